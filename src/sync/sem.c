/* SPDX-License-Identifier: MIT */

/*
 * The semaphore.
 *
 * Its word holds the units, and QUEUE. Without QUEUE, acquiring and releasing are one atomic
 * operation on it. Whoever finds no unit sets QUEUE and enters the queue; from then on the word
 * changes only under the queue's lock. There are never units while somebody waits: releasing hands
 * them to those in the queue, in their order, and adds only what is left over.
 *
 * QUEUE may be set while nobody waits any more. Then a release still goes by the lock, and leaves
 * QUEUE set; only an acquirer takes it down. So giving back the lock is what publishes the units,
 * and the last that the release does to the semaphore: whoever gets them may free it.
 */
#include "sync/sem.h"

static uint64_t load(const thi_sem *s)
{
    return atomic_load_explicit(&s->word, memory_order_relaxed);
}

static bool change(thi_sem *s, uint64_t *from, uint64_t to, memory_order order)
{
    return atomic_compare_exchange_weak_explicit(&s->word, from, to, order, memory_order_relaxed);
}

/* Whoever takes a unit that is left sees what was written before those were released, too. */
static void store(thi_sem *s, uint64_t word)
{
    atomic_store_explicit(&s->word, word, memory_order_release);
}

/* Without looking at the queue. */
static inline bool take_free(thi_sem *s)
{
    uint64_t word = load(s);
    while (word >= THI_SEM_UNIT && !(word & THI_SEM_QUEUE))
        if (TH_LIKELY(change(s, &word, word - THI_SEM_UNIT, memory_order_acquire)))
            return true;
    return false;
}

/* Under the lock: sees to it that nobody else changes the word; gives it. */
static uint64_t settle(thi_sem *s)
{
    return atomic_fetch_or_explicit(&s->word, THI_SEM_QUEUE, memory_order_acquire) | THI_SEM_QUEUE;
}

int thi_sem_enter(thi_sem *s, thi_waiter *w)
{
    int result = THI_QUEUED;
    thi_waitq_lock(&s->queue);
    uint64_t word = settle(s);
    if (word < THI_SEM_UNIT) {
        thi_waitq_push(&s->queue, w);
    } else if (thi_waiter_win(w)) {
        store(s, (word - THI_SEM_UNIT) & ~THI_SEM_QUEUE);
        result = THI_TAKEN;
    } else {
        result = THI_LOST;
    }
    thi_waitq_unlock(&s->queue);
    return result;
}

/* Under the lock, which a release may have given units. */
static bool take_left_over(thi_sem *s)
{
    thi_waitq_lock(&s->queue);
    uint64_t word = load(s);
    bool taken = false;
    while (word >= THI_SEM_UNIT && !taken)
        taken = change(s, &word, (word - THI_SEM_UNIT) & ~THI_SEM_QUEUE, memory_order_acq_rel);
    thi_waitq_unlock(&s->queue);
    return taken;
}

bool thi_sem_take(thi_sem *s)
{
    return take_free(s) || (load(s) >= THI_SEM_UNIT && take_left_over(s));
}

static const thi_wait_kind a_unit = { "semaphore", THI_BY_ANYBODY, 0 };

static int acquire_slowly(thi_sem *s)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &s->queue, &a_unit, s);
    if (TH_UNLIKELY(err < 0))
        return thi_sem_take(s) ? 0 : err;
    return thi_sem_enter(s, &w) == THI_TAKEN ? 0 : thi_waiter_sleep(&w);
}

int th_sem_acquire(th_sem *sem)
{
    thi_sem *s = thi_sem_of(sem);
    if (TH_UNLIKELY(!s))
        return -EINVAL;
    if (TH_UNLIKELY(!take_free(s)))
        return acquire_slowly(s);
    thi_sched_spend(1);
    return 0;
}

int th_sem_tryacquire(th_sem *sem)
{
    thi_sem *s = thi_sem_of(sem);
    if (TH_UNLIKELY(!s))
        return -EINVAL;
    return TH_LIKELY(thi_sem_take(s)) ? 0 : -EAGAIN;
}

static bool has_room(const thi_sem *s, uint64_t word, uint32_t units)
{
    uint64_t bound = s->bound ? s->bound : TH_SEM_MAX;
    return word / THI_SEM_UNIT + units <= bound;
}

/* Under the lock: takes out as many as there are units for, as a chain; counts these down. */
static thi_waiter *take_some(thi_sem *s, uint32_t *units)
{
    thi_waiter *chain = NULL;
    thi_waiter **end = &chain;
    while (*units > 0 && (*end = thi_waitq_take(&s->queue))) {
        end = &(*end)->next;
        --*units;
    }
    *end = NULL;
    return chain;
}

/* Others wait, or have waited. 0, -EOVERFLOW, or -EAGAIN when QUEUE is down by now. */
static int hand_over(thi_sem *s, uint32_t units)
{
    thi_waiter *chain = NULL;
    int err = 0;
    thi_waitq_lock(&s->queue);
    uint64_t word = load(s);
    if (!(word & THI_SEM_QUEUE)) {
        err = -EAGAIN;
    } else if (!has_room(s, word, units)) {
        err = -EOVERFLOW;
    } else {
        chain = take_some(s, &units);
        store(s, word + units * THI_SEM_UNIT);
    }
    thi_waitq_unlock(&s->queue);
    thi_waiter_wake_all(chain);
    return err;
}

int th_sem_release(th_sem *sem, uint32_t units)
{
    thi_sem *s = thi_sem_of(sem);
    if (TH_UNLIKELY(!s || units == 0))
        return -EINVAL;
    uint64_t word = load(s);
    for (;;) {
        while (!(word & THI_SEM_QUEUE)) {
            if (TH_UNLIKELY(!has_room(s, word, units)))
                return -EOVERFLOW;
            if (TH_LIKELY(change(s, &word, word + units * THI_SEM_UNIT, memory_order_release)))
                return 0;
        }
        int err = hand_over(s, units);
        if (err != -EAGAIN)
            return err;
        word = load(s);
    }
}
