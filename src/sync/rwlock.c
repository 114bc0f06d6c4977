/* SPDX-License-Identifier: MIT */

/*
 * The lock for many readers or one writer.
 *
 * Its word says who has it: WRITER, or the number of readers in units of READER, or nobody; and
 * QUEUE, that somebody waits. As long as nobody does, it is changed by one atomic operation. With
 * QUEUE set nobody gets in without the queue's lock, so nobody overtakes. Under that lock, and
 * whenever nobody holds that:
 *
 *   QUEUE is set if and only if the queue is not empty, and then the lock is held;
 *   if readers have the lock, the first in the queue is a writer.
 *
 * The last holder hands over under the queue's lock: to a writer, or to all readers up to the next
 * writer. The word goes from held to held, never by way of 0.
 *
 * A writer that is cancelled may have kept readers waiting which the present ones would not: who
 * takes it out lets them in, else they would wait for nobody. That can make a last reader one of
 * many, or the queue empty, just when the reader has decided to hand over; so it looks again under
 * the queue's lock, and starts anew. The word becomes 0 by the one operation without that lock
 * only, the last thing that its holder does to it: then the next one may free it.
 */
#include "runtime/waiter.h"

#include <thrum/rwlock.h>

#include <limits.h>

typedef struct thi_rwlock {
    atomic_uint word;
    _Atomic(const void *) owner; /* thi_sync_self() of the writer; NULL: none */
    thi_waitq queue;             /* the request of a writer is its thi_sync_self(), a reader's 0 */
} thi_rwlock;

#define WRITER 1u
#define QUEUE  2u
#define READER 4u

_Static_assert(sizeof(thi_rwlock) <= sizeof(th_rwlock), "th_rwlock has no room for a thi_rwlock");

static thi_rwlock *rwlock_of(th_rwlock *lock)
{
    return (thi_rwlock *)(void *)lock;
}

static void set_owner(thi_rwlock *l, const void *owner)
{
    atomic_store_explicit(&l->owner, owner, memory_order_relaxed);
}

static bool is_mine(const thi_rwlock *l)
{
    return atomic_load_explicit(&l->owner, memory_order_relaxed) == thi_sync_self();
}

/* What a newcomer would make of the word; -EBUSY when it has to wait. */
static inline int claim(unsigned word, bool writes, unsigned *next)
{
    if (writes ? word != 0 : (word & (WRITER | QUEUE)) != 0)
        return -EBUSY;
    if (!writes && word > UINT_MAX - READER)
        return -EOVERFLOW;
    *next = word + (writes ? WRITER : READER);
    return 0;
}

static inline int try_lock(thi_rwlock *l, bool writes)
{
    unsigned next, word = atomic_load_explicit(&l->word, memory_order_relaxed);
    for (;;) {
        int err = claim(word, writes, &next);
        if (err < 0)
            return err;
        if (TH_LIKELY(atomic_compare_exchange_weak_explicit(
                &l->word, &word, next, memory_order_acquire, memory_order_relaxed)))
            return 0;
    }
}

/* Under the queue's lock: as try_lock(), but with -EBUSY it is announced that somebody waits. */
static int lock_or_announce(thi_rwlock *l, bool writes)
{
    unsigned next, word = atomic_load_explicit(&l->word, memory_order_relaxed);
    for (;;) {
        int err = claim(word, writes, &next);
        if (err == -EBUSY)
            next = word | QUEUE;
        else if (err < 0)
            return err;
        if (atomic_compare_exchange_weak_explicit(&l->word, &word, next, memory_order_acquire,
                                                  memory_order_relaxed))
            return err;
    }
}

/* Takes the readers at the head of the queue, linked as a chain, and counts them. */
static thi_waiter *take_readers(thi_waitq *queue, unsigned *count)
{
    thi_waiter *first = NULL, **end = &first;
    *count = 0;
    while (queue->first && queue->first->request == 0) {
        thi_waiter *reader = thi_waitq_pop(queue);
        reader->next = NULL;
        *end = reader;
        end = &reader->next;
        ++*count;
    }
    return first;
}

/* The canceller has taken a waiter out: perhaps the writer that kept others from reading along. */
static void left(thi_waiter *w)
{
    thi_rwlock *l = thi_container_of(w->queue, thi_rwlock, queue);
    unsigned readers;
    if (atomic_load_explicit(&l->word, memory_order_relaxed) >= READER) {
        w->next = take_readers(&l->queue, &readers);
        atomic_fetch_add_explicit(&l->word, readers * READER, memory_order_acq_rel);
    }
    if (!l->queue.first)
        atomic_fetch_and_explicit(&l->word, ~QUEUE, memory_order_acq_rel);
}

static const thi_wait_kind reading = { "read lock", THI_BY_OWNER, offsetof(thi_rwlock, owner) };
static const thi_wait_kind writing = { "write lock", THI_BY_OWNER, offsetof(thi_rwlock, owner) };

static int lock_slowly(thi_rwlock *l, const void *writer)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &l->queue, writer ? &writing : &reading, l);
    if (err < 0)
        return err;
    w.request = (uintptr_t)writer;
    w.left = left;
    thi_waitq_lock(&l->queue);
    err = lock_or_announce(l, writer != NULL);
    if (err == -EBUSY)
        thi_waitq_push(&l->queue, &w);
    thi_waitq_unlock(&l->queue);
    if (err == -EBUSY)
        return thi_waiter_sleep_tied(&w); /* the one that hands over has set the owner */
    if (err == 0 && writer)
        set_owner(l, writer);
    return err;
}

int th_rwlock_rdlock(th_rwlock *lock)
{
    thi_rwlock *l = rwlock_of(lock);
    if (TH_UNLIKELY(!l))
        return -EINVAL;
    thi_sched_spend(1);
    int err = try_lock(l, false);
    if (TH_LIKELY(err != -EBUSY))
        return err;
    return is_mine(l) ? -EDEADLK : lock_slowly(l, NULL);
}

int th_rwlock_tryrdlock(th_rwlock *lock)
{
    return TH_LIKELY(lock != NULL) ? try_lock(rwlock_of(lock), false) : -EINVAL;
}

int th_rwlock_wrlock(th_rwlock *lock)
{
    thi_rwlock *l = rwlock_of(lock);
    if (TH_UNLIKELY(!l))
        return -EINVAL;
    thi_sched_spend(1);
    if (TH_LIKELY(try_lock(l, true) == 0)) {
        set_owner(l, thi_sync_self());
        return 0;
    }
    return is_mine(l) ? -EDEADLK : lock_slowly(l, thi_sync_self());
}

int th_rwlock_trywrlock(th_rwlock *lock)
{
    thi_rwlock *l = rwlock_of(lock);
    if (TH_UNLIKELY(!l))
        return -EINVAL;
    int err = try_lock(l, true);
    if (err == 0)
        set_owner(l, thi_sync_self());
    return err;
}

/*
 * The caller is the last holder, and others wait; both may have changed by now, then nothing is
 * done and the answer is no. The exchange also takes over what earlier readers have done, for the
 * writer that follows.
 */
static bool hand_over(thi_rwlock *l, unsigned mine)
{
    thi_waiter *next = NULL;
    thi_waitq_lock(&l->queue);
    if (atomic_load_explicit(&l->word, memory_order_relaxed) == (mine | QUEUE)) {
        unsigned readers, word = WRITER;
        if ((next = take_readers(&l->queue, &readers))) {
            word = readers * READER;
        } else {
            next = thi_waitq_pop(&l->queue);
            next->next = NULL;
            set_owner(l, (const void *)next->request);
        }
        if (l->queue.first)
            word |= QUEUE;
        atomic_exchange_explicit(&l->word, word, memory_order_acq_rel);
    }
    thi_waitq_unlock(&l->queue);
    thi_waiter_wake_all(next);
    return next != NULL;
}

int th_rwlock_rdunlock(th_rwlock *lock)
{
    thi_rwlock *l = rwlock_of(lock);
    if (TH_UNLIKELY(!l))
        return -EINVAL;
    unsigned word = atomic_load_explicit(&l->word, memory_order_relaxed);
    while (TH_LIKELY(word >= READER)) {
        if (TH_UNLIKELY(word == (READER | QUEUE))) {
            if (hand_over(l, READER))
                return 0;
            word = atomic_load_explicit(&l->word, memory_order_relaxed);
            continue;
        }
        if (TH_LIKELY(atomic_compare_exchange_weak_explicit(
                &l->word, &word, word - READER, memory_order_release, memory_order_relaxed)))
            return 0;
    }
    return -EPERM;
}

int th_rwlock_wrunlock(th_rwlock *lock)
{
    thi_rwlock *l = rwlock_of(lock);
    if (TH_UNLIKELY(!l))
        return -EINVAL;
    if (TH_UNLIKELY(!is_mine(l)))
        return -EPERM;
    set_owner(l, NULL);
    for (;;) {
        unsigned word = WRITER;
        if (TH_LIKELY(atomic_compare_exchange_strong_explicit(
                &l->word, &word, 0, memory_order_release, memory_order_relaxed)))
            return 0;
        if (hand_over(l, WRITER))
            return 0;
    }
}
