/* SPDX-License-Identifier: MIT */

/*
 * The mutex.
 *
 * Its word is 0, or its holder, or its holder and QUEUE. From 0 to a holder and back it changes by
 * one atomic operation. Whoever finds it held sets QUEUE and enters the queue, both under the
 * queue's lock; unlocking with QUEUE set takes that lock as well and makes the first in the queue
 * the holder: the word is not 0 in between, so nobody can get ahead of it.
 *
 * QUEUE may be set while nobody waits any more (the last one was cancelled): then unlocking finds
 * an empty queue, takes QUEUE back and starts again. The word becomes 0 by the one operation
 * without the lock only, which is the last that an unlocking party does to the mutex: the next
 * holder may free it at once, as it does when the mutex guards the count of references to what it
 * is part of.
 *
 * Others compare the holder with themselves, which a concurrent change cannot make come out wrong.
 */
#include "sync/mutex.h"

#include "runtime/deadlock.h"

static bool take_free(thi_mutex *m, uintptr_t self)
{
    uintptr_t nobody = 0;
    return atomic_compare_exchange_strong_explicit(&m->word, &nobody, self, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Under the queue's lock: takes the mutex if it has become free, else sees to it that the holder
 * will look at the queue. */
static bool take_or_announce(thi_mutex *m, uintptr_t self)
{
    uintptr_t word = atomic_load_explicit(&m->word, memory_order_relaxed);
    for (;;) {
        uintptr_t next = word ? word | THI_MUTEX_QUEUE : self;
        if (next == word || atomic_compare_exchange_weak_explicit(
                                &m->word, &word, next, memory_order_acquire, memory_order_relaxed))
            return word == 0;
    }
}

/* Enters the queue, unless the mutex is free meanwhile: then true. */
static bool take_or_queue(thi_mutex *m, thi_waiter *w)
{
    thi_waitq_lock(&m->queue);
    w->request = (uintptr_t)thi_sync_self();
    bool taken = take_or_announce(m, w->request);
    if (!taken)
        thi_waitq_push(&m->queue, w);
    thi_waitq_unlock(&m->queue);
    return taken;
}

static const thi_wait_kind locking = { "mutex", THI_BY_OWNER, offsetof(thi_mutex, word) };

/* The caller holds it. */
static int lock_again(thi_mutex *m, int refusal)
{
    if (!m->recursive)
        return refusal;
    if (m->depth == UINT32_MAX)
        return -EOVERFLOW;
    m->depth++;
    return 0;
}

/* Somebody holds it, the caller perhaps. */
static __attribute__((noinline)) int lock_slowly(thi_mutex *m)
{
    thi_waiter w;
    if (thi_mutex_is_mine(m))
        return lock_again(m, -EDEADLK);
    int err = thi_waiter_init(&w, &m->queue, &locking, m);
    if (err < 0)
        return err;
    return take_or_queue(m, &w) ? 0 : thi_waiter_sleep_tied(&w);
}

int th_mutex_lock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    thi_sched_spend(1); /* before it is held */
    if (TH_LIKELY(take_free(m, (uintptr_t)thi_sync_self())))
        return 0;
    int err = lock_slowly(m);
    __asm__ volatile(""); /* the call is no jump: a stack shows who locks, and not only how */
    return err;
}

int th_mutex_trylock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    if (TH_LIKELY(take_free(m, (uintptr_t)thi_sync_self())))
        return 0;
    return thi_mutex_is_mine(m) ? lock_again(m, -EBUSY) : -EBUSY;
}

void thi_mutex_lock_on(thi_mutex *m)
{
    thi_waiter w;
    if (take_free(m, (uintptr_t)thi_sync_self()))
        return;
    thi_waiter_init_on(&w, &m->queue, &locking, m);
    if (!take_or_queue(m, &w))
        (void)!thi_waiter_sleep_tied(&w);
}

void thi_mutex_lock_for(thi_mutex *m, thi_waiter *w)
{
    thi_waitq_lock(&m->queue);
    bool taken = take_or_announce(m, w->request);
    if (!taken) {
        thi_waitq_push(&m->queue, w);
        /* What it waits for now is looked at by its worker, at any time: the kind comes last. */
        __atomic_store_n(&w->wait.object, m, __ATOMIC_RELAXED);
        __atomic_store_n(&w->wait.kind, &locking, __ATOMIC_RELEASE);
    }
    thi_waitq_unlock(&m->queue);
    if (taken)
        thi_waiter_wake(w, 0);
    else if (thi_worker_self)
        thi_lookout_suspect(thi_worker_self);
}

/* Others wait, or have waited: the first has it now. NULL: nobody does, `self` has it still. */
static thi_waiter *hand_over(thi_mutex *m, uintptr_t self)
{
    thi_waitq_lock(&m->queue);
    thi_waiter *next = thi_waitq_take(&m->queue);
    uintptr_t word = self;
    if (next)
        word = next->request | (m->queue.first ? THI_MUTEX_QUEUE : 0);
    atomic_store_explicit(&m->word, word, memory_order_release);
    thi_waitq_unlock(&m->queue);
    return next;
}

/* The one operation without the lock. */
static bool give_up(thi_mutex *m, uintptr_t self)
{
    return atomic_compare_exchange_strong_explicit(&m->word, &self, 0, memory_order_release,
                                                   memory_order_relaxed);
}

thi_waiter *thi_mutex_release(thi_mutex *m)
{
    thi_waiter *next = NULL;
    uintptr_t self = (uintptr_t)thi_sync_self();
    while (TH_UNLIKELY(!give_up(m, self)))
        if ((next = hand_over(m, self)))
            break;
    return next;
}

static __attribute__((noinline)) int unlock_slowly(thi_mutex *m)
{
    if (!thi_mutex_is_mine(m))
        return -EPERM;
    if (m->depth > 0) {
        m->depth--;
        return 0;
    }
    thi_waiter *next = thi_mutex_release(m);
    if (next)
        thi_waiter_wake(next, 0);
    return 0;
}

int th_mutex_unlock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    uintptr_t self = (uintptr_t)thi_sync_self();
    bool plain = atomic_load_explicit(&m->word, memory_order_relaxed) == self && m->depth == 0;
    return TH_LIKELY(plain && give_up(m, self)) ? 0 : unlock_slowly(m);
}
