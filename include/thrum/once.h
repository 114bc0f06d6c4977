/* SPDX-License-Identifier: MIT */

/*
 * Initialisation that is done once, by whichever fiber or thread needs it first, while the others
 * that need it wait.
 */
#ifndef THRUM_ONCE_H
#define THRUM_ONCE_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* Whether something was done. Its contents are private; until all calls on it have returned it must
 * stay where it is. */
typedef struct th_once {
    uint64_t private_[6];
} th_once;

/* What it is initialised with, not done: { 0 } does the same. Nothing has to be freed. */
#define TH_ONCE_INIT                                                                               \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* What is done; a negative result says that it was not. */
typedef int (*th_once_fn)(void *arg);

/**
 * Calls a function unless it has been called with success, and waits while another party does.
 *
 * When the function fails, its caller gets the result, and the next call does it anew: that of the
 * party that has waited longest, if any waits.
 *
 * @param once  an initialised th_once
 * @param fn    what to do; it may suspend, and runs in the caller's scope
 * @param arg   handed to fn
 * @return 0 when it has been done, now or before; the negative result of fn, if this call ran it;
 *         -EDEADLK when the caller is inside fn at this moment; -ECANCELED or -ETIMEDOUT when
 *         another party runs fn and the caller's scope does not let it wait; -EPERM when it would
 *         have to wait and is a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, while another party runs fn
 * Thread: any
 * On cancel: whoever runs fn goes on; the caller must not take it as done
 * Since: 0.1
 */
TH_API TH_MUST int th_once_call(th_once *once, th_once_fn fn, void *arg);

TH_END_DECLS

#endif
