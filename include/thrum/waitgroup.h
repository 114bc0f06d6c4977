/* SPDX-License-Identifier: MIT */

/*
 * Wait groups: a count of what is under way, and a wait for none.
 *
 * Where fibers are the work, the scope that they run in does the same, and more. A wait group is
 * for other things: requests in progress, items handed to threads, users of an object. It works
 * between fibers of any worker and plain threads.
 *
 * What is to be waited for is added before the wait starts. When all waits have returned the group
 * may be used again, or freed: a th_waitgroup_done() that let them go does not come back to it.
 */
#ifndef THRUM_WAITGROUP_H
#define THRUM_WAITGROUP_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A wait group. Its contents are private; while it is in use it must stay where it is. */
typedef struct th_waitgroup {
    uint64_t private_[6];
} th_waitgroup;

/* What a group is initialised with, nothing under way: { 0 } does the same. Nothing has to be
 * freed. */
#define TH_WAITGROUP_INIT                                                                          \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Counts more, or less. Whoever waits is let go when the count becomes zero.
 *
 * @param group  an initialised group
 * @param n      how many more are under way; negative: how many less
 * @return 0; -EINVAL when the count would become negative, -EOVERFLOW when it would exceed INT_MAX,
 *         both with nothing changed; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_waitgroup_add(th_waitgroup *group, int n);

/**
 * Counts one less.
 *
 * @param group  a group that one was added to
 * @return 0; -EINVAL when the count is zero already, with nothing changed, or for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_waitgroup_done(th_waitgroup *group);

/**
 * Waits until the count is zero.
 *
 * Any number of parties may wait; all of them are let go together, though the count may have risen
 * again before they run.
 *
 * @param group  an initialised group
 * @return 0 when the count is zero, or was since the call; -ECANCELED or -ETIMEDOUT when it is not
 *         and the caller's scope says so; -EPERM when it is not and the caller is a worker's loop,
 *         not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, unless the count is zero
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_waitgroup_wait(th_waitgroup *group);

TH_END_DECLS

#endif
