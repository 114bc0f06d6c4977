/* SPDX-License-Identifier: MIT */

/*
 * The barrier.
 *
 * All of it is guarded by the lock of the queue, in which the parties of the present round stand,
 * all but the last. Whoever ends a round, by coming last or by breaking the barrier, takes all of
 * them out and leaves the outcome in each: what becomes of the barrier before they run does not
 * concern them any more.
 */
#include "runtime/waiter.h"

#include <thrum/barrier.h>
#include <thrum/error.h>

typedef struct thi_barrier {
    uint64_t parties;
    uint32_t present; /* parties in the queue */
    bool broken;
    thi_waitq queue; /* its waiters' request is the outcome */
} thi_barrier;

_Static_assert(sizeof(thi_barrier) <= sizeof(th_barrier),
               "th_barrier has no room for a thi_barrier");

static thi_barrier *barrier_of(th_barrier *barrier)
{
    return (thi_barrier *)(void *)barrier;
}

/* Ends the round under the lock; those whom it gives are to be woken without it. */
static thi_waiter *end_round(thi_barrier *b, int outcome)
{
    thi_waiter *chain = thi_waitq_pop_all(&b->queue);
    for (thi_waiter *w = chain; w; w = w->next)
        w->request = (uintptr_t)(intptr_t)outcome;
    b->present = 0;
    return chain;
}

static thi_waiter *break_it(thi_barrier *b)
{
    b->broken = true;
    return end_round(b, TH_EBROKEN);
}

/* A party was cancelled while it waited, so this round will never be complete. */
static void left(thi_waiter *w)
{
    w->next = break_it(thi_container_of(w->queue, thi_barrier, queue));
}

/*
 * Under the lock: counts the caller in. 1 when it is the last, 0 when it is in the queue now, or
 * why not; `may_wait` is what its scope says to waiting. *chain is woken without the lock.
 */
static int arrive(thi_barrier *b, thi_waiter *w, int may_wait, thi_waiter **chain)
{
    if (b->broken)
        return TH_EBROKEN;
    if (b->present + UINT64_C(1) == b->parties) {
        *chain = end_round(b, 0);
        return 1;
    }
    if (may_wait == 0) {
        w->left = left;
        b->present++;
        thi_waitq_push(&b->queue, w);
    } else if (may_wait != -EPERM) {
        *chain = break_it(b); /* it came, and could not stay */
    }
    return may_wait;
}

static const thi_wait_kind gathering = { "barrier", THI_BY_ANYBODY, 0 };

int th_barrier_wait(th_barrier *barrier)
{
    thi_barrier *b = barrier_of(barrier);
    if (TH_UNLIKELY(!b || b->parties == 0))
        return -EINVAL;
    thi_waiter w, *chain = NULL;
    int may_wait = thi_waiter_init(&w, &b->queue, &gathering, b);
    thi_waitq_lock(&b->queue);
    int result = arrive(b, &w, may_wait, &chain);
    thi_waitq_unlock(&b->queue);
    thi_waiter_wake_all(chain);
    if (result != 0)
        return result;
    result = thi_waiter_sleep(&w);
    return result == 0 ? (int)(intptr_t)w.request : result;
}

int th_barrier_init(th_barrier *barrier, uint32_t parties)
{
    if (!barrier || parties == 0)
        return -EINVAL;
    *barrier = (th_barrier)TH_BARRIER_INIT(parties);
    return 0;
}

static int stop_round(th_barrier *barrier, bool broken)
{
    thi_barrier *b = barrier_of(barrier);
    if (!b)
        return -EINVAL;
    thi_waitq_lock(&b->queue);
    thi_waiter *chain = end_round(b, TH_EBROKEN);
    b->broken = broken;
    thi_waitq_unlock(&b->queue);
    thi_waiter_wake_all(chain);
    return 0;
}

int th_barrier_abort(th_barrier *barrier)
{
    return stop_round(barrier, true);
}

int th_barrier_reset(th_barrier *barrier)
{
    return stop_round(barrier, false);
}

int th_barrier_is_broken(th_barrier *barrier)
{
    thi_barrier *b = barrier_of(barrier);
    if (!b)
        return -EINVAL;
    thi_waitq_lock(&b->queue);
    bool broken = b->broken;
    thi_waitq_unlock(&b->queue);
    return broken;
}
