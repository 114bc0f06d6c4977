/* SPDX-License-Identifier: MIT */

/* A mutex from inside: for the condition variable, which gives one up and takes it again. */
#ifndef THI_SYNC_MUTEX_H
#define THI_SYNC_MUTEX_H

#include "runtime/waiter.h"

#include <thrum/mutex.h>

typedef struct thi_mutex {
    uint64_t recursive;
    atomic_uintptr_t word; /* 0, or thi_sync_self() of the holder, perhaps with THI_MUTEX_QUEUE */
    uint32_t depth;        /* of a recursive one, beyond the first lock; the holder's */
    thi_waitq queue;
} thi_mutex;

#define THI_MUTEX_QUEUE ((uintptr_t)1) /* somebody waits, or has: unlocking looks at the queue */

_Static_assert(sizeof(thi_mutex) <= sizeof(th_mutex), "th_mutex has no room for a thi_mutex");

static inline thi_mutex *thi_mutex_of(th_mutex *mutex)
{
    return (thi_mutex *)(void *)mutex;
}

static inline bool thi_mutex_is_mine(const thi_mutex *mutex)
{
    uintptr_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
    return (word & ~THI_MUTEX_QUEUE) == (uintptr_t)thi_sync_self();
}

/* Unlocks the caller's mutex, whose depth is 0. Who has it now is to be woken; NULL: nobody has. */
TH_MUST thi_waiter *thi_mutex_release(thi_mutex *mutex);

/* Locks with a wait that no cancellation breaks off; the caller does not hold it. */
void thi_mutex_lock_on(thi_mutex *mutex);

/*
 * Locks for a party that sleeps, was taken out of the queue that it slept in, and has `request` set
 * to its thi_sync_self(): it is woken with 0 when it holds the mutex, which may be at once.
 */
void thi_mutex_lock_for(thi_mutex *mutex, thi_waiter *waiter);

#endif
