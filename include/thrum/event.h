/* SPDX-License-Identifier: MIT */

/*
 * Events: flags that fibers of any worker and plain threads can wait for.
 *
 * An event is set or not. A manual one stays set, and lets everybody through, until it is cleared.
 * An automatic one lets a single party through and is then no longer set. It is the caller's
 * storage. Setting wakes those who wait in their order; being woken counts, whatever becomes of the
 * event before they run. As long as nobody has to wait, every call is one atomic operation.
 *
 * Setting is the last that a party does to an event: whoever sees it set may free it.
 */
#ifndef THRUM_EVENT_H
#define THRUM_EVENT_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* An event. Its contents are private; while it is in use it must stay where it is. */
typedef struct th_event {
    uint64_t private_[6];
} th_event;

/* A manual event that is not set: { 0 } does the same. Nothing has to be freed. */
#define TH_EVENT_INIT                                                                              \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* An automatic one that is not set. */
#define TH_EVENT_AUTO_INIT                                                                         \
    {                                                                                              \
        {                                                                                          \
            1                                                                                      \
        }                                                                                          \
    }

/**
 * Sets an event.
 *
 * A manual one wakes all who wait; an automatic one wakes the first and is not set after all, or is
 * set if nobody waits.
 *
 * @param event  an initialised event
 * @return 0, also when it was set before, which changes nothing; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_event_set(th_event *event);

/**
 * Clears an event: those who come from now on wait.
 *
 * @param event  an initialised event
 * @return 0, also when it was not set; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_event_clear(th_event *event);

/**
 * Tells whether an event is set, and leaves it as it is.
 *
 * @param event  an initialised event
 * @return 1 or 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_event_is_set(th_event *event);

/**
 * Waits until an event is set, and takes the setting away if it is an automatic one.
 *
 * @param event  an initialised event
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller would have to wait and its scope says so;
 *         -EPERM when it would have to wait and is a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, unless it is set
 * Thread: any
 * On cancel: nothing is taken away
 * Since: 0.1
 */
TH_API TH_MUST int th_event_wait(th_event *event);

TH_END_DECLS

#endif
