/* SPDX-License-Identifier: MIT */

/*
 * The mutex.
 *
 * Its word is 0, or HELD, or HELD and QUEUE. From 0 to HELD and back it changes by one atomic
 * operation. Whoever finds it held sets QUEUE and enters the queue, both under the queue's lock;
 * unlocking with QUEUE set takes that lock as well and hands the mutex to the first in the queue:
 * the word stays HELD all the time, so nobody can get in between.
 *
 * QUEUE may be set while nobody waits any more (the last one was cancelled): then unlocking finds
 * an empty queue, takes QUEUE back and starts again. The word becomes 0 by the one operation
 * without the lock only, which is the last that an unlocking party does to the mutex: the next
 * holder may free it at once, as it does when the mutex guards the count of references to what it
 * is part of.
 *
 * `owner` is written by the holder alone, or by the one that hands over; others compare it with
 * themselves, which a concurrent change cannot make come out wrong.
 */
#include "sync/mutex.h"

static void set_owner(thi_mutex *m, const void *owner)
{
    atomic_store_explicit(&m->owner, owner, memory_order_relaxed);
}

static bool take_free(thi_mutex *m)
{
    unsigned none = 0;
    return atomic_compare_exchange_strong_explicit(&m->word, &none, THI_MUTEX_HELD,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* Under the queue's lock: takes the mutex if it has become free, else sees to it that the holder
 * will look at the queue. */
static bool take_or_announce(thi_mutex *m)
{
    unsigned word = atomic_load_explicit(&m->word, memory_order_relaxed);
    for (;;) {
        unsigned next = word | (word & THI_MUTEX_HELD ? THI_MUTEX_QUEUE : THI_MUTEX_HELD);
        if (next == word || atomic_compare_exchange_weak_explicit(
                                &m->word, &word, next, memory_order_acquire, memory_order_relaxed))
            return !(word & THI_MUTEX_HELD);
    }
}

/* Enters the queue, unless the mutex is free meanwhile: then true. */
static bool take_or_queue(thi_mutex *m, thi_waiter *w)
{
    thi_waitq_lock(&m->queue);
    bool taken = take_or_announce(m);
    if (!taken) {
        w->request = (uintptr_t)thi_sync_self();
        thi_waitq_push(&m->queue, w);
    }
    thi_waitq_unlock(&m->queue);
    return taken;
}

static const thi_wait_kind locking = { "mutex", THI_BY_OWNER, offsetof(thi_mutex, owner) };

static int lock_slowly(thi_mutex *m)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &m->queue, &locking, m);
    if (err < 0)
        return err;
    if (!take_or_queue(m, &w))
        return thi_waiter_sleep(&w); /* the one that hands over has set the owner */
    set_owner(m, thi_sync_self());
    return 0;
}

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

int th_mutex_lock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    if (TH_LIKELY(take_free(m))) {
        set_owner(m, thi_sync_self());
        return 0;
    }
    return thi_mutex_is_mine(m) ? lock_again(m, -EDEADLK) : lock_slowly(m);
}

int th_mutex_trylock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    if (TH_LIKELY(take_free(m))) {
        set_owner(m, thi_sync_self());
        return 0;
    }
    return thi_mutex_is_mine(m) ? lock_again(m, -EBUSY) : -EBUSY;
}

void thi_mutex_lock_on(thi_mutex *m)
{
    thi_waiter w;
    if (take_free(m)) {
        set_owner(m, thi_sync_self());
        return;
    }
    thi_waiter_init_on(&w, &m->queue, &locking, m);
    if (take_or_queue(m, &w))
        set_owner(m, thi_sync_self());
    else
        (void)!thi_waiter_sleep(&w);
}

void thi_mutex_lock_for(thi_mutex *m, thi_waiter *w)
{
    thi_waitq_lock(&m->queue);
    bool taken = take_or_announce(m);
    if (taken)
        set_owner(m, (const void *)w->request);
    else
        thi_waitq_push(&m->queue, w);
    thi_waitq_unlock(&m->queue);
    if (taken)
        thi_waiter_wake(w, 0);
}

/* Others wait, or have waited: the first has it now. NULL: nobody does, the caller has it still. */
static thi_waiter *hand_over(thi_mutex *m)
{
    thi_waitq_lock(&m->queue);
    thi_waiter *next = thi_waitq_take(&m->queue);
    if (next)
        set_owner(m, (const void *)next->request);
    if (!next || !m->queue.first)
        atomic_store_explicit(&m->word, THI_MUTEX_HELD, memory_order_release);
    thi_waitq_unlock(&m->queue);
    return next;
}

thi_waiter *thi_mutex_release(thi_mutex *m)
{
    thi_waiter *next = NULL;
    unsigned held = THI_MUTEX_HELD;
    set_owner(m, NULL);
    while (TH_UNLIKELY(!atomic_compare_exchange_strong_explicit(
        &m->word, &held, 0, memory_order_release, memory_order_relaxed))) {
        if ((next = hand_over(m)))
            break;
        held = THI_MUTEX_HELD;
    }
    return next;
}

int th_mutex_unlock(th_mutex *mutex)
{
    thi_mutex *m = thi_mutex_of(mutex);
    if (TH_UNLIKELY(!m))
        return -EINVAL;
    if (TH_UNLIKELY(!thi_mutex_is_mine(m)))
        return -EPERM;
    if (m->depth > 0) {
        m->depth--;
        return 0;
    }
    thi_waiter *next = thi_mutex_release(m);
    if (TH_UNLIKELY(next != NULL))
        thi_waiter_wake(next, 0);
    return 0;
}
