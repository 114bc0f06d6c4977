/* SPDX-License-Identifier: MIT */

/*
 * Counting semaphores between fibers of any worker and plain threads.
 *
 * A semaphore holds a number of units; whoever acquires one takes it away, anybody may bring some
 * back. It is the caller's storage. It is fair: a unit that is released goes to the party that has
 * waited longest, and nobody overtakes. A fiber that waits for one lets its worker run others; a
 * thread that waits sleeps. As long as nobody has to wait, acquiring and releasing is one atomic
 * operation each.
 *
 * Releasing is the last that a party does to a semaphore: whoever gets the last unit may free it.
 */
#ifndef THRUM_SEM_H
#define THRUM_SEM_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A semaphore. Its contents are private; while it is in use it must stay where it is. */
typedef struct th_sem {
    uint64_t private_[6];
} th_sem;

/* The most units that a semaphore holds if nothing else is said. */
#define TH_SEM_MAX UINT32_MAX

/* A semaphore with so many units to begin with, from 0 to TH_SEM_MAX: { 0 } is one without any.
 * Nothing has to be freed. */
#define TH_SEM_INIT(units)                                                                         \
    {                                                                                              \
        {                                                                                          \
            (uint64_t)(uint32_t)(units)*2                                                          \
        }                                                                                          \
    }

/* One that never holds more than `bound` units, from 1 to TH_SEM_MAX: releasing too many is an
 * error. */
#define TH_SEM_BOUNDED_INIT(units, bound)                                                          \
    {                                                                                              \
        {                                                                                          \
            (uint64_t)(uint32_t)(units)*2, (uint32_t)(bound)                                       \
        }                                                                                          \
    }

/**
 * Takes a unit, and waits for one if need be.
 *
 * @param sem  an initialised semaphore
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller would have to wait and its scope says so;
 *         -EPERM when it would have to wait and is a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, unless there is a unit
 * Thread: any
 * On cancel: no unit is taken
 * Since: 0.1
 */
TH_API TH_MUST int th_sem_acquire(th_sem *sem);

/**
 * Takes a unit if there is one.
 *
 * @param sem  an initialised semaphore
 * @return 0; -EAGAIN when there is none; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_sem_tryacquire(th_sem *sem);

/**
 * Gives units back, or adds new ones; those who wait get them first.
 *
 * @param sem    an initialised semaphore
 * @param units  how many, at least 1
 * @return 0; -EOVERFLOW when it would hold more than its bound, or than TH_SEM_MAX, with nothing
 *         changed and nobody woken; -EINVAL for NULL or 0 units
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_sem_release(th_sem *sem, uint32_t units);

TH_END_DECLS

#endif
