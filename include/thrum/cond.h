/* SPDX-License-Identifier: MIT */

/*
 * Condition variables: waiting, with a mutex given up, until another party says that something
 * under that mutex has changed.
 *
 * A condition is the caller's storage, and works between fibers of any worker and plain threads.
 * Waiters are let go in the order in which they came. A wait does not end without a signal, but
 * others may have held the mutex since the signal was given, so whoever waits for a state of things
 * looks again:
 *
 *     while (queue_empty(q) && err == 0)
 *         err = th_cond_wait(&q->filled, &q->mutex);
 *
 * A signal makes its receiver queue for the mutex, behind those who wait for it already. Nobody is
 * woken only to find the mutex held, so to signal all is no stampede, and to signal while holding
 * the mutex costs nothing more.
 */
#ifndef THRUM_COND_H
#define THRUM_COND_H

#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/mutex.h>

TH_BEGIN_DECLS

/* A condition. Its contents are private; while parties wait for it, it must stay where it is. */
typedef struct th_cond {
    uint64_t private_[4];
} th_cond;

/* What a condition is initialised with: { 0 } does the same. Nothing has to be freed. */
#define TH_COND_INIT                                                                               \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Unlocks a mutex and waits for a signal, in one step, then locks the mutex again.
 *
 * A recursive mutex is unlocked altogether, and afterwards as deep as it was. Whatever the result,
 * the caller holds the mutex as before; to take it again, it waits as long as that takes.
 *
 * @param cond   an initialised condition
 * @param mutex  a mutex that the caller holds, the same one for all who wait at the same time
 * @return 0 after a signal, which stays the caller's even if its scope is cancelled before it runs;
 *         -ECANCELED or -ETIMEDOUT when its scope says so before a signal: then none is lost, the
 *         next one goes to somebody else; -EPERM when it does not hold the mutex, or is a worker's
 *         loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, until a signal, and until the mutex is free
 * Thread: any; the fiber or thread that locked the mutex
 * On cancel: the mutex is held again; in a scope cancelled before the call it is never unlocked
 * Since: 0.1
 */
TH_API TH_MUST int th_cond_wait(th_cond *cond, th_mutex *mutex);

/**
 * Lets the party go on that has waited longest. Nothing is remembered when nobody waits.
 *
 * The caller need not hold the mutex. If it does not, one that has looked at the state of things
 * and is about to wait may miss the signal, unless the state was changed with the mutex held.
 *
 * @param cond  an initialised condition
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cond_signal(th_cond *cond);

/**
 * Lets all parties go on that wait now, one after the other as the mutex becomes free.
 *
 * @param cond  an initialised condition
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cond_broadcast(th_cond *cond);

TH_END_DECLS

#endif
