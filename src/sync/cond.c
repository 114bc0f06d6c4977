/* SPDX-License-Identifier: MIT */

/*
 * The condition variable.
 *
 * It is a queue and nothing else. Whoever waits enters it and releases the mutex under the queue's
 * lock, so that no signal falls in between, and none finds a waiter in here that holds the mutex
 * still: that one would be queued behind itself.
 *
 * A signal does not wake: it moves its receiver, asleep, to the queue of the mutex (or gives it the
 * mutex, if that is free), and the unlocking of the mutex wakes it in its turn. The wait for the
 * mutex is one that must not be broken off; `moved` tells the canceller so. It is set under the
 * lock of this queue, which the canceller takes first: so either the signal has the waiter or the
 * canceller does. Who was broken off by the canceller locks the mutex like anybody else, only that
 * nothing breaks that off either.
 *
 * Of the two locks, this queue's comes first.
 */
#include "sync/mutex.h"

#include <thrum/cond.h>

typedef struct thi_cond {
    thi_waitq queue;
} thi_cond;

/* A waiter, and the mutex that it is to hold when it goes on. */
typedef struct cond_waiter {
    thi_waiter waiter;
    thi_mutex *mutex;
} cond_waiter;

_Static_assert(sizeof(thi_cond) <= sizeof(th_cond), "th_cond has no room for a thi_cond");

static thi_cond *cond_of(th_cond *cond)
{
    return (thi_cond *)(void *)cond;
}

/* Enters the queue and gives up the mutex; who has that now is woken when no lock is held. */
static void enqueue_and_release(thi_cond *c, cond_waiter *w)
{
    w->waiter.request = (uintptr_t)thi_sync_self(); /* as the queue of the mutex wants it */
    thi_waitq_lock(&c->queue);
    thi_waitq_push(&c->queue, &w->waiter);
    thi_waiter *next = thi_mutex_release(w->mutex);
    thi_waitq_unlock(&c->queue);
    if (next)
        thi_waiter_wake(next, 0);
}

static const thi_wait_kind signalled = { "condition", THI_BY_ANYBODY, 0 };

int th_cond_wait(th_cond *cond, th_mutex *mutex)
{
    thi_cond *c = cond_of(cond);
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!c || !m))
        return -EINVAL;
    if (TH_UNLIKELY(!thi_mutex_is_mine(m)))
        return -EPERM;
    cond_waiter w = { .mutex = m };
    int err = thi_waiter_init(&w.waiter, &c->queue, &signalled, c);
    if (TH_UNLIKELY(err < 0))
        return err;
    uint32_t depth = m->depth;
    m->depth = 0;
    enqueue_and_release(c, &w);
    err = thi_waiter_sleep_tied(&w.waiter);
    if (err < 0)
        thi_mutex_lock_on(m);
    m->depth = depth;
    return err;
}

/* Moves one that was taken out of the queue; afterwards it may run, and be gone. */
static void move_on(thi_waiter *waiter)
{
    thi_mutex_lock_for(thi_container_of(waiter, cond_waiter, waiter)->mutex, waiter);
}

int th_cond_signal(th_cond *cond)
{
    thi_cond *c = cond_of(cond);
    if (TH_UNLIKELY(!c))
        return -EINVAL;
    thi_waitq_lock(&c->queue);
    thi_waiter *first = thi_waitq_pop(&c->queue);
    if (first)
        thi_waiter_move(first);
    thi_waitq_unlock(&c->queue);
    if (first)
        move_on(first);
    return 0;
}

/* All are taken out in one step: who comes back while the others are moved waits for the next. */
int th_cond_broadcast(th_cond *cond)
{
    thi_cond *c = cond_of(cond);
    if (TH_UNLIKELY(!c))
        return -EINVAL;
    thi_waitq_lock(&c->queue);
    thi_waiter *first = thi_waitq_pop_all(&c->queue);
    for (thi_waiter *w = first; w; w = w->next)
        thi_waiter_move(w);
    thi_waitq_unlock(&c->queue);
    while (first) {
        thi_waiter *w = first;
        first = w->next;
        move_on(w);
    }
    return 0;
}
