/* SPDX-License-Identifier: MIT */

/*
 * Waiting for each other: fibers of any worker and plain threads, in one queue.
 *
 * Every primitive of this layer is a word of its own, changed by atomic operations as long as
 * nobody has to wait, and a queue for those who have to. The queue has a small lock that is held
 * for a few instructions and never while anybody sleeps.
 *
 *     thi_waiter w;
 *     err = thi_waiter_init(&w, &m->queue, &kind, m);    may this caller wait at all?
 *     thi_waitq_lock(&m->queue);
 *     ... look once more whether waiting is necessary ...
 *     thi_waitq_push(&m->queue, &w);
 *     thi_waitq_unlock(&m->queue);
 *     err = thi_waiter_sleep(&w);
 *
 * Whoever wins a waiter and takes it out of the queue decides its fate: a waker, who then calls
 * thi_waiter_wake(), or the canceller of its scope. So what is handed over with a wake is never
 * lost: if the waker was first, the sleep returns success even when a cancellation came meanwhile.
 * And a canceller that has lost leaves the queue alone, which may be gone by then. A waiter that is
 * won and still queued is about to be taken out by its own side; wakers pass it over.
 *
 * A party that waits in several queues at once has a waiter in each, which share a `party`: the one
 * that sleeps and that is won, once for all of them.
 */
#ifndef THI_RUNTIME_WAITER_H
#define THI_RUNTIME_WAITER_H

#include "loop/loop.h"
#include "runtime/sched.h"

#include <stdatomic.h>

typedef struct thi_waiter thi_waiter;

/* A queue of waiters. All zero is an empty one. */
typedef struct thi_waitq {
    atomic_uint lock;
    thi_waiter *first;
    thi_waiter *last;
} thi_waitq;

/* On the waiting party's stack. */
struct thi_waiter {
    thi_wait wait; /* of a fiber: what it waits for, and how a canceller breaks that off */
    thi_waitq *queue;
    thi_waiter *next; /* these are guarded by the queue's lock; `moved` by that of the first one */
    thi_waiter *prev;
    bool queued;
    bool moved;      /* it left for another queue, where nothing breaks off its wait any more */
    th_fiber *fiber; /* NULL: a plain thread waits */
    /* The worker of a fiber that waits in this queue alone, THI_WAITER_NOBODY of all others. One
     * that is the caller's own needs neither to be won nor to be sent a message. */
    const thi_worker *worker;
    uintptr_t request; /* the primitive's: what is wanted, or what was given */
    int result;        /* of the sleep; written before the wake */
    thi_msg msg;       /* to a fiber on another worker */
    uint32_t woken;    /* of a plain thread: what it sleeps on */
    /* The primitive's, under the lock: the canceller has just taken this waiter out. If others need
     * not wait any more because of that, it takes them out as well and leaves their chain in
     * waiter->next, to be woken. May be NULL. */
    void (*left)(thi_waiter *waiter);
    thi_waiter *party; /* who sleeps: this one, or another for which it stands in its queue */
    /* Of a party: the waiter of it that a waker has won, itself when that was somebody else, NULL
     * until then. */
    _Atomic(thi_waiter *) winner;
};

#define THI_WAITER_NOBODY ((const thi_worker *)1)

/* Who the caller is, to tell holders apart: its fiber, or a mark of its thread. The lowest bits of
 * both are 0. */
static inline const void *thi_sync_self(void)
{
    extern _Thread_local uint64_t thi_sync_thread __attribute__((tls_model("initial-exec")));
    const th_fiber *fiber = thi_sched_self();
    return fiber ? (const void *)fiber : &thi_sync_thread;
}

/* What came of an attempt to take something or else to queue for it; LOST: neither, for the party
 * was won through another of its waiters. */
enum { THI_TAKEN, THI_QUEUED, THI_LOST };

void thi_waitq_lock_slow(thi_waitq *queue);

static inline void thi_waitq_lock(thi_waitq *queue)
{
    unsigned unlocked = 0;
    if (TH_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &queue->lock, &unlocked, 1, memory_order_acquire, memory_order_relaxed)))
        thi_waitq_lock_slow(queue);
}

static inline void thi_waitq_unlock(thi_waitq *queue)
{
    atomic_store_explicit(&queue->lock, 0, memory_order_release);
}

/* Wins a party for one of its waiters, or for itself. */
static inline bool thi_waiter_decide(thi_waiter *party, thi_waiter *winner)
{
    thi_waiter *nobody = NULL;
    return atomic_compare_exchange_strong_explicit(&party->winner, &nobody, winner,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* These are called with the lock held. */

static inline void thi_waitq_push(thi_waitq *queue, thi_waiter *waiter)
{
    waiter->queued = true;
    waiter->next = NULL;
    waiter->prev = queue->last;
    if (queue->last)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
}

static inline void thi_waitq_remove(thi_waitq *queue, thi_waiter *waiter)
{
    waiter->queued = false;
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        queue->last = waiter->prev;
}

/* Whether it is a fiber of the calling worker that waits in this queue alone: so nobody else can
 * want it, for its canceller, if any, would have to run on this very worker. */
static inline bool thi_waiter_is_near(const thi_waiter *waiter)
{
    return TH_LIKELY(waiter->worker == thi_worker_self);
}

/* Wins a waiter. A thread that waits in this queue alone has no canceller. */
static inline bool thi_waiter_win(thi_waiter *waiter)
{
    if (thi_waiter_is_near(waiter) || (waiter->party == waiter && !waiter->fiber))
        return true;
    return thi_waiter_decide(waiter->party, waiter);
}

/* Takes the one that has waited longest, won by whomever; NULL when there is none. */
static inline thi_waiter *thi_waitq_pop(thi_waitq *queue)
{
    thi_waiter *waiter = queue->first;
    if (waiter)
        thi_waitq_remove(queue, waiter);
    return waiter;
}

/* Wins and takes the one that has waited longest of those that can be won; NULL when there is none.
 */
static inline thi_waiter *thi_waitq_take(thi_waitq *queue)
{
    thi_waiter *waiter = queue->first;
    while (waiter && !thi_waiter_is_near(waiter) && !waiter->moved && !thi_waiter_win(waiter))
        waiter = waiter->next;
    if (waiter)
        thi_waitq_remove(queue, waiter);
    return waiter;
}

/* Takes all of them, won by whomever, as a chain for thi_waiter_wake_all(). */
static inline thi_waiter *thi_waitq_pop_all(thi_waitq *queue)
{
    thi_waiter *first = queue->first;
    for (thi_waiter *w = first; w; w = w->next)
        w->queued = false;
    queue->first = queue->last = NULL;
    return first;
}

/* Wins and takes all that can be won, as a chain in their order. */
thi_waiter *thi_waitq_take_all(thi_waitq *queue);

/* Of one that was taken out, to enter another queue: nothing breaks off its wait any more. */
static inline void thi_waiter_move(thi_waiter *waiter)
{
    waiter->moved = true;
    atomic_store_explicit(&waiter->winner, waiter, memory_order_release);
}

/* How a canceller breaks off the wait of a party. */
void thi_waiter_break_off(thi_wait *wait, int result);

/* Field by field: a structure that is put together first and then copied by vectors is read back
 * before its parts have arrived, which the processor punishes. */
static inline void thi_waiter_set_(thi_waiter *waiter, th_fiber *self, thi_waitq *queue)
{
    waiter->wait.abort = NULL;
    waiter->queue = queue;
    waiter->queued = false;
    waiter->moved = false;
    waiter->fiber = self;
    waiter->worker = self ? self->worker : THI_WAITER_NOBODY;
    waiter->woken = 0;
    waiter->left = NULL;
    waiter->party = waiter;
    atomic_init(&waiter->winner, NULL);
}

/*
 * Prepares the caller's wait; without a queue that of a party, which waits in several.
 * -ECANCELED or -ETIMEDOUT when its scope says so; -EPERM on a worker outside of a fiber, whose
 * loop must not stop.
 */
TH_MUST static inline int thi_waiter_init(thi_waiter *waiter, thi_waitq *queue,
                                          const thi_wait_kind *kind, const void *object)
{
    th_fiber *self = thi_sched_self();
    if (TH_UNLIKELY(!self && thi_worker_self))
        return -EPERM;
    int err = TH_LIKELY(self) ? thi_sched_may_park_as(self) : 0;
    if (TH_UNLIKELY(err < 0))
        return err;
    thi_waiter_set_(waiter, self, queue);
    waiter->wait.since = self ? self->worker->loop.now : 0;
    waiter->wait.kind = kind;
    waiter->wait.object = object;
    waiter->wait.abort = thi_waiter_break_off;
    return 0;
}

/* The same for a wait that nothing breaks off; a worker outside of a fiber cannot have one. */
void thi_waiter_init_on(thi_waiter *waiter, thi_waitq *queue, const thi_wait_kind *kind,
                        const void *object);

/* Prepares a waiter of a party, for one of its queues. */
void thi_waiter_init_for(thi_waiter *waiter, thi_waitq *queue, thi_waiter *party);

int thi_waiter_sleep_as_thread_(thi_waiter *waiter);

/*
 * Waits; the waiter is in its queue, or was taken out since. 0, whatever the waker gave, or
 * -ECANCELED or -ETIMEDOUT: then nobody has woken it, and nobody will.
 */
TH_MUST static inline int thi_waiter_sleep(thi_waiter *waiter)
{
    return TH_LIKELY(waiter->fiber) ? thi_sched_park_inline(&waiter->wait)
                                    : thi_waiter_sleep_as_thread_(waiter);
}

/* The same where the kind of wait names who can end it, or may come to. */
TH_MUST static inline int thi_waiter_sleep_tied(thi_waiter *waiter)
{
    return TH_LIKELY(waiter->fiber) ? thi_sched_park_tied(&waiter->wait)
                                    : thi_waiter_sleep_as_thread_(waiter);
}

/* The same for a plain thread, until a point in time at the latest: whether it was woken before. */
TH_MUST bool thi_waiter_sleep_until(thi_waiter *waiter, int64_t time);

void thi_waiter_wake_afar_(thi_waiter *party, int result);

/* Wakes one that the caller has taken out of the queue. Afterwards its storage may be gone. */
static inline void thi_waiter_wake(thi_waiter *waiter, int result)
{
    if (thi_waiter_is_near(waiter))
        thi_sched_ready_inline(waiter->fiber, result);
    else
        thi_waiter_wake_afar_(waiter->party, result);
}

/* Wakes a chain of waiters that are linked by `next`, with 0, or with what is said. */
void thi_waiter_wake_all(thi_waiter *first);
void thi_waiter_wake_all_with(thi_waiter *first, int result);

#endif
