/* SPDX-License-Identifier: MIT */

/*
 * Waiting for each other: fibers of any worker and plain threads, in one queue.
 *
 * Every primitive of this layer is a word of its own, changed by atomic operations as long as
 * nobody has to wait, and a queue for those who have to. The queue has a small lock that is held
 * for a few instructions and never while anybody sleeps.
 *
 *     thi_waiter w;
 *     err = thi_waiter_init(&w, &m->queue, "mutex", m);    may this caller wait at all?
 *     thi_waitq_lock(&m->queue);
 *     ... look once more whether waiting is necessary ...
 *     thi_waitq_push(&m->queue, &w);
 *     thi_waitq_unlock(&m->queue);
 *     err = thi_waiter_sleep(&w);
 *
 * Whoever takes a waiter out of the queue decides its fate: a waker, who then calls
 * thi_waiter_wake(), or the canceller of its scope. So what is handed over with a wake is never
 * lost: if the waker was first, the sleep returns success even when a cancellation came meanwhile.
 */
#ifndef THI_SYNC_WAITER_H
#define THI_SYNC_WAITER_H

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
    bool moved;        /* it left for another queue, where nothing breaks off its wait any more */
    th_fiber *fiber;   /* NULL: a plain thread waits */
    uintptr_t request; /* the primitive's: what is wanted, or what was given */
    int result;        /* of the sleep; written before the wake */
    thi_msg msg;       /* to a fiber on another worker */
    uint32_t woken;    /* of a plain thread: what it sleeps on */
    /* The primitive's, under the lock: the canceller has just taken this waiter out. If others need
     * not wait any more because of that, it takes them out as well and leaves their chain in
     * waiter->next, to be woken. May be NULL. */
    void (*left)(thi_waiter *waiter);
};

/* Who the caller is, to tell holders apart: its fiber, or a mark of its thread. */
static inline const void *thi_sync_self(void)
{
    extern _Thread_local char thi_sync_thread __attribute__((tls_model("initial-exec")));
    const th_fiber *fiber = thi_sched_self();
    return fiber ? (const void *)fiber : &thi_sync_thread;
}

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

/* These four are called with the lock held. */

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

/* Takes the one that has waited longest; NULL when there is none. */
static inline thi_waiter *thi_waitq_pop(thi_waitq *queue)
{
    thi_waiter *waiter = queue->first;
    if (waiter)
        thi_waitq_remove(queue, waiter);
    return waiter;
}

/* Takes all of them, as a chain for thi_waiter_wake_all(). */
static inline thi_waiter *thi_waitq_take_all(thi_waitq *queue)
{
    thi_waiter *first = queue->first;
    for (thi_waiter *w = first; w; w = w->next)
        w->queued = false;
    queue->first = queue->last = NULL;
    return first;
}

/*
 * Prepares the caller's wait. -ECANCELED or -ETIMEDOUT when its scope says so; -EPERM on a worker
 * outside of a fiber, whose loop must not stop.
 */
TH_MUST int thi_waiter_init(thi_waiter *waiter, thi_waitq *queue, const char *what,
                            const void *object);

/* The same for a wait that nothing breaks off; a worker outside of a fiber cannot have one. */
void thi_waiter_init_on(thi_waiter *waiter, thi_waitq *queue, const char *what, const void *object);

/*
 * Waits; the waiter is in its queue, or was taken out since. 0, whatever the waker gave, or
 * -ECANCELED or -ETIMEDOUT: then nobody has woken it, and nobody will.
 */
TH_MUST int thi_waiter_sleep(thi_waiter *waiter);

/* Wakes one that the caller has taken out of the queue. Afterwards its storage may be gone. */
void thi_waiter_wake(thi_waiter *waiter, int result);

/* Wakes a chain of waiters that are linked by `next`, with 0. */
void thi_waiter_wake_all(thi_waiter *first);

#endif
