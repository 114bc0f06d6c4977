/* SPDX-License-Identifier: MIT */

/* A semaphore from inside: for select, which waits for several things at once. */
#ifndef THI_SYNC_SEM_H
#define THI_SYNC_SEM_H

#include "runtime/waiter.h"

#include <thrum/sem.h>

typedef struct thi_sem {
    _Atomic(uint64_t) word; /* THI_SEM_QUEUE, and THI_SEM_UNIT for each unit */
    uint64_t bound;         /* most units; 0: TH_SEM_MAX */
    thi_waitq queue;
} thi_sem;

#define THI_SEM_QUEUE UINT64_C(1) /* the word changes under the queue's lock only */
#define THI_SEM_UNIT  UINT64_C(2)

_Static_assert(sizeof(thi_sem) <= sizeof(th_sem), "th_sem has no room for a thi_sem");

static inline thi_sem *thi_sem_of(th_sem *sem)
{
    return (thi_sem *)(void *)sem;
}

/* Takes a unit if there is one. */
bool thi_sem_take(thi_sem *sem);

/* Takes a unit, or enters the queue: THI_TAKEN, THI_QUEUED, THI_LOST. */
int thi_sem_enter(thi_sem *sem, thi_waiter *waiter);

#endif
