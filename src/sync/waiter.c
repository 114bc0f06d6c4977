/* SPDX-License-Identifier: MIT */

/*
 * How waiters sleep and are woken.
 *
 * A fiber parks; a wake from its own worker makes it ready, one from elsewhere sends a message to
 * its loop, in memory of the waiter itself. The message cannot overtake the parking: a worker reads
 * its inbox only between fibers. A plain thread sleeps on a futex.
 *
 * A canceller runs on the fiber's own worker. It takes the waiter out under the queue's lock, or
 * finds that a waker was faster; then it leaves the fiber alone, which will be ready as soon as the
 * message has come.
 */
#include "sync/waiter.h"

#include "sys/sys.h"

#include <errno.h>
#include <stdint.h>

#define SPINS 64

_Thread_local char thi_sync_thread;

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The holder needs a few instructions, unless it was preempted: then it is given the processor. */
void thi_waitq_lock_slow(thi_waitq *queue)
{
    for (unsigned spins = 0;; spins++) {
        unsigned unlocked = 0;
        if (atomic_load_explicit(&queue->lock, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&queue->lock, &unlocked, 1,
                                                    memory_order_acquire, memory_order_relaxed))
            return;
        if (spins < SPINS)
            relax();
        else
            thi_sys_yield();
    }
}

static void break_off(thi_wait *wait, int result)
{
    thi_waiter *w = thi_container_of(wait, thi_waiter, wait);
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
    if (was_queued) {
        thi_sched_ready(w->fiber, result); /* it runs later: the chain is still there */
        thi_waiter_wake_all(w->next);
    }
}

static void init(thi_waiter *w, th_fiber *self, thi_waitq *queue, thi_wait wait)
{
    w->wait = wait;
    w->queue = queue;
    w->queued = false;
    w->moved = false;
    w->fiber = self;
    w->woken = 0;
    w->left = NULL;
}

int thi_waiter_init(thi_waiter *w, thi_waitq *queue, const char *what, const void *object)
{
    th_fiber *self = thi_sched_self();
    if (TH_UNLIKELY(!self && thi_worker_self))
        return -EPERM;
    int err = self ? thi_sched_may_park_as(self) : 0;
    if (TH_LIKELY(err == 0))
        init(w, self, queue, (thi_wait){ .what = what, .object = object, .abort = break_off });
    return err;
}

void thi_waiter_init_on(thi_waiter *w, thi_waitq *queue, const char *what, const void *object)
{
    th_fiber *self = thi_sched_self();
    TH_ASSERT(self || !thi_worker_self);
    init(w, self, queue, (thi_wait){ .what = what, .object = object });
}

/* A thread has no scope: it waits as long as it takes. */
static int sleep_as_thread(thi_waiter *w)
{
    while (__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE) == 0)
        (void)thi_sys_futex_wait(&w->woken, 0, -1);
    return w->result;
}

int thi_waiter_sleep(thi_waiter *w)
{
    return w->fiber ? thi_sched_park(&w->wait) : sleep_as_thread(w);
}

static void on_wake(thi_msg *msg)
{
    thi_waiter *w = thi_container_of(msg, thi_waiter, msg);
    thi_sched_ready(w->fiber, w->result);
}

/* Workers of one runtime end together; anybody else may find the fiber's runtime ended once the
 * fiber has been woken. */
static void post_to(thi_worker *worker, thi_msg *msg)
{
    if (thi_worker_self && thi_worker_self->runtime == worker->runtime)
        thi_loop_post(&worker->loop, msg);
    else
        thi_loop_post_as_guest(&worker->loop, msg);
}

void thi_waiter_wake(thi_waiter *w, int result)
{
    th_fiber *fiber = w->fiber;
    if (TH_LIKELY(fiber && fiber->worker == thi_worker_self)) {
        thi_sched_ready(fiber, result);
    } else if (fiber) {
        w->result = result;
        w->msg.fn = on_wake;
        post_to(fiber->worker, &w->msg);
    } else {
        uint32_t *woken = &w->woken;
        w->result = result;
        __atomic_store_n(woken, 1, __ATOMIC_RELEASE);
        /* The thread may be gone from here by now, and its stack as well: to wake a word that
         * nobody sleeps on, or that does not exist, does nothing. */
        (void)thi_sys_futex_wake(woken, 1);
    }
}

void thi_waiter_wake_all(thi_waiter *first)
{
    while (first) {
        thi_waiter *w = first;
        first = w->next;
        thi_waiter_wake(w, 0);
    }
}
