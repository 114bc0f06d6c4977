/* SPDX-License-Identifier: MIT */

/*
 * Mutual exclusion between fibers of any worker and plain threads.
 *
 * A mutex is the caller's storage. It is fair: it goes to the party that has waited longest, and
 * nobody overtakes. A fiber that waits for one lets its worker run others; a thread that waits
 * sleeps. As long as nobody has to wait, locking and unlocking is one atomic operation each.
 *
 * Unlike a pthread mutex it may be held while its fiber suspends. Whoever knows that nobody else
 * will use it any more may free its storage, also if another party has only just unlocked it.
 */
#ifndef THRUM_MUTEX_H
#define THRUM_MUTEX_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A mutex. Its contents are private; while it is in use it must stay where it is. */
typedef struct th_mutex {
    uint64_t private_[6];
} th_mutex;

/* What a mutex is initialised with: { 0 } does the same. Nothing has to be freed. */
#define TH_MUTEX_INIT                                                                              \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* One that its holder may lock again, and must unlock as often. */
#define TH_MUTEX_RECURSIVE_INIT                                                                    \
    {                                                                                              \
        {                                                                                          \
            1                                                                                      \
        }                                                                                          \
    }

/**
 * Locks a mutex, and waits for it if need be.
 *
 * @param mutex  an initialised mutex
 * @return 0; -EDEADLK when the caller holds it already and it is not recursive; -EOVERFLOW when a
 *         recursive one was locked 2^32 - 1 times; -ECANCELED or -ETIMEDOUT when the caller would
 * have to wait and its scope says so; -EPERM when it would have to wait and is a worker's loop, not
 * a fiber; -EINVAL for NULL
 *
 * Suspends: yes, unless nobody holds it
 * Thread: any
 * On cancel: the mutex is not locked
 * Since: 0.1
 */
TH_API TH_MUST int th_mutex_lock(th_mutex *mutex);

/**
 * Locks a mutex if nobody holds it, or if it is recursive and the caller does.
 *
 * @param mutex  an initialised mutex
 * @return 0; -EBUSY when it is held; -EOVERFLOW as for th_mutex_lock(); -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_mutex_trylock(th_mutex *mutex);

/**
 * Unlocks a mutex; if others wait, the first of them has it from now on.
 *
 * @param mutex  a mutex that the caller holds
 * @return 0; -EPERM when the caller does not hold it, with nothing done; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any; the fiber or thread that locked it
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_mutex_unlock(th_mutex *mutex);

TH_END_DECLS

#endif
