/* SPDX-License-Identifier: MIT */

/*
 * Locks that many readers or one writer hold, between fibers of any worker and plain threads.
 *
 * A lock is the caller's storage. It is fair: whoever asks first gets it first, but readers that
 * stand in the queue one behind the other get it together. So a reader that comes while a writer
 * waits queues behind that writer, and neither kind starves. As long as nobody has to wait, locking
 * and unlocking is one atomic operation each.
 *
 * The lock does not know its readers by name. One that locks for reading again waits for itself if
 * a writer came in between; one that locks for writing always does.
 *
 * It may be held while its fiber suspends. Whoever knows that nobody else will use it any more may
 * free its storage, also if another party has only just unlocked it.
 */
#ifndef THRUM_RWLOCK_H
#define THRUM_RWLOCK_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A lock. Its contents are private; while it is in use it must stay where it is. */
typedef struct th_rwlock {
    uint64_t private_[6];
} th_rwlock;

/* What a lock is initialised with: { 0 } does the same. Nothing has to be freed. */
#define TH_RWLOCK_INIT                                                                             \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Locks for reading, and waits if need be.
 *
 * @param lock  an initialised lock
 * @return 0; -EDEADLK when the caller has it for writing; -EOVERFLOW when 2^30 - 1 readers have it;
 *         -ECANCELED or -ETIMEDOUT when the caller would have to wait and its scope says so; -EPERM
 *         when it would have to wait and is a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, if a writer has it or waits for it
 * Thread: any
 * On cancel: the lock is not taken, and does not hold up those who came later
 * Since: 0.1
 */
TH_API TH_MUST int th_rwlock_rdlock(th_rwlock *lock);

/**
 * Locks for reading if no writer has it or waits for it.
 *
 * @param lock  an initialised lock
 * @return 0; -EBUSY when a writer, also the caller itself, has it or waits for it; -EOVERFLOW as
 *         for th_rwlock_rdlock(); -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_rwlock_tryrdlock(th_rwlock *lock);

/**
 * Locks for writing, and waits if need be.
 *
 * @param lock  an initialised lock, which the caller does not have for reading
 * @return 0; -EDEADLK when the caller has it for writing already; -ECANCELED or -ETIMEDOUT when the
 *         caller would have to wait and its scope says so; -EPERM when it would have to wait and is
 *         a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, unless nobody has it
 * Thread: any
 * On cancel: the lock is not taken, and does not hold up those who came later
 * Since: 0.1
 */
TH_API TH_MUST int th_rwlock_wrlock(th_rwlock *lock);

/**
 * Locks for writing if nobody has it.
 *
 * @param lock  an initialised lock
 * @return 0; -EBUSY when somebody has it; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_rwlock_trywrlock(th_rwlock *lock);

/**
 * Gives up a lock for reading.
 *
 * When the last reader does, the writer that has waited longest has it.
 *
 * @param lock  a lock that the caller has for reading; any party may unlock in its place
 * @return 0; -EPERM when nobody has it for reading, with nothing done; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_rwlock_rdunlock(th_rwlock *lock);

/**
 * Gives up a lock for writing.
 *
 * If others wait, the first of them has it from now on, and if that is a reader, all readers
 * directly behind it as well.
 *
 * @param lock  a lock that the caller has for writing
 * @return 0; -EPERM when the caller does not have it for writing, with nothing done; -EINVAL for
 *         NULL
 *
 * Suspends: no
 * Thread: any; the fiber or thread that locked it
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_rwlock_wrunlock(th_rwlock *lock);

TH_END_DECLS

#endif
