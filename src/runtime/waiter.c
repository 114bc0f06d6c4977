/* SPDX-License-Identifier: MIT */

/*
 * How waiters sleep and are woken.
 *
 * A fiber parks; a wake from its own worker makes it ready, one from elsewhere sends a message to
 * its loop, in memory of the waiter itself. The message cannot overtake the parking: a worker reads
 * its inbox only between fibers. A plain thread sleeps on a futex.
 *
 * A canceller runs on the fiber's own worker. It wins the waiter and takes it out under the queue's
 * lock, or finds that a waker was faster; then it leaves the fiber alone, which will be ready as
 * soon as the message has come, and the queue as well: what it belongs to may have been freed by
 * whoever woke the last that waited for it. Only a waker on another worker has to race with it.
 */
#include "runtime/waiter.h"

#include "runtime/deadlock.h"
#include "runtime/outside.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdint.h>

#define PAUSE_MAX     32
#define TIED_PATIENCE (100 * TH_MILLISECOND)

_Thread_local uint64_t thi_sync_thread;

/*
 * The holder needs a few instructions, unless it was preempted: then it is given the processor. Who
 * waits looks at the lock more and more rarely, since every look takes the cache line from whoever
 * wants to lock and unlock it meanwhile.
 */
void thi_waitq_lock_slow(thi_waitq *queue)
{
    for (unsigned pause = 1;; pause *= 2) {
        unsigned unlocked = 0;
        if (atomic_load_explicit(&queue->lock, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&queue->lock, &unlocked, 1,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        for (unsigned i = 0; i < pause && pause <= PAUSE_MAX; i++)
            thi_relax();
        if (pause > PAUSE_MAX) {
            thi_sys_yield();
            pause = 1;
        }
    }
}

thi_waiter *thi_waitq_take_all(thi_waitq *queue)
{
    thi_waiter *chain = NULL;
    thi_waiter **end = &chain;
    for (thi_waiter *w = queue->first, *next; w; w = next) {
        next = w->next;
        if (!thi_waiter_win(w))
            continue;
        thi_waitq_remove(queue, w);
        *end = w;
        end = &w->next;
    }
    *end = NULL;
    return chain;
}

/* Takes out a waiter that its canceller has won; false when a waker has taken it, unasked. */
static bool leave_queue(thi_waiter *w)
{
    thi_waitq *queue = w->queue;
    thi_waitq_lock(queue);
    bool was_queued = !w->moved && w->queued; /* of one that has moved another lock guards that */
    if (was_queued) {
        thi_waitq_remove(queue, w);
        w->next = NULL;
        if (w->left)
            w->left(w);
    }
    thi_waitq_unlock(queue);
    return was_queued;
}

void thi_waiter_break_off(thi_wait *wait, int result)
{
    thi_waiter *w = thi_container_of(wait, thi_waiter, wait);
    if (!thi_waiter_decide(w, w) || (w->queue && !leave_queue(w)))
        return;
    thi_sched_ready(w->fiber, result); /* it runs later: the chain is still there */
    if (w->queue)
        thi_waiter_wake_all(w->next);
}

void thi_waiter_init_on(thi_waiter *w, thi_waitq *queue, const thi_wait_kind *kind,
                        const void *object)
{
    th_fiber *self = thi_sched_self();
    TH_ASSERT(self || !thi_worker_self);
    thi_waiter_set_(w, self, queue);
    w->wait.kind = kind;
    w->wait.object = object;
}

void thi_waiter_init_for(thi_waiter *w, thi_waitq *queue, thi_waiter *party)
{
    thi_waiter_set_(w, party->fiber, queue);
    w->party = party;
    w->worker = THI_WAITER_NOBODY;
}

/* One who has to sleep for longer tells those who look for circles of such waits. */
static void sleep_tied(thi_waiter *w)
{
    thi_outsider outsider;
    int64_t patience = TIED_PATIENCE;
    thi_outsider_enter(&outsider, &thi_sync_thread, &w->wait);
    while (__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE) == 0) {
        if (thi_sys_futex_wait(&w->woken, 0, patience) != -ETIMEDOUT)
            continue;
        patience = -1;
        thi_deadlock_suspect();
    }
    thi_outsider_leave(&outsider);
}

/* A thread has no scope: it waits as long as it takes. */
int thi_waiter_sleep_as_thread_(thi_waiter *w)
{
    const thi_wait_kind *kind = thi_wait_kind_of(&w->wait); /* it may be moved already */
    if (kind && (kind->ends == THI_BY_OWNER || kind->ends == THI_BY_FIBER))
        sleep_tied(w);
    while (__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE) == 0)
        (void)thi_sys_futex_wait(&w->woken, 0, -1);
    return w->result;
}

bool thi_waiter_sleep_until(thi_waiter *w, int64_t time)
{
    while (__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE) == 0) {
        int64_t now = thi_sys_clock();
        if (time <= now)
            return false;
        (void)thi_sys_futex_wait(&w->woken, 0, time - now);
    }
    return true;
}

static void on_wake(thi_msg *msg)
{
    thi_waiter *w = thi_container_of(msg, thi_waiter, msg);
    thi_sched_ready(w->fiber, w->result);
}

void thi_waiter_wake_afar_(thi_waiter *w, int result)
{
    th_fiber *fiber = w->fiber;
    if (fiber && fiber->worker == thi_worker_self) {
        thi_sched_ready(fiber, result);
    } else if (fiber) {
        w->result = result;
        w->msg.fn = on_wake;
        thi_worker_post(fiber->worker, &w->msg);
    } else {
        uint32_t *woken = &w->woken;
        w->result = result;
        __atomic_store_n(woken, 1, __ATOMIC_RELEASE);
        /* The thread may be gone from here by now, and its stack as well: to wake a word that
         * nobody sleeps on, or that does not exist, does nothing. */
        (void)thi_sys_futex_wake(woken, 1);
    }
}

void thi_waiter_wake_all_with(thi_waiter *first, int result)
{
    while (first) {
        thi_waiter *w = first;
        first = w->next;
        thi_waiter_wake(w, result);
    }
}

void thi_waiter_wake_all(thi_waiter *first)
{
    thi_waiter_wake_all_with(first, 0);
}
