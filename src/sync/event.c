/* SPDX-License-Identifier: MIT */

/*
 * The event.
 *
 * Its word holds SET and QUEUE. Without QUEUE, every call is one atomic operation on it. Whoever
 * finds it not set sets QUEUE and enters the queue; from then on the word changes only under the
 * queue's lock. It is never SET while somebody waits: setting wakes those in the queue, and an
 * automatic event becomes SET only if there is nobody.
 *
 * As with the semaphore, setting leaves QUEUE as it is, and only one who passes takes it down; SET
 * beside QUEUE is believed only under the lock. So giving back the lock is what publishes it, and
 * the last that setting does to the event.
 */
#include "sync/event.h"

static unsigned load(const thi_event *e, memory_order order)
{
    return atomic_load_explicit(&e->word, order);
}

/* Whoever passes later sees what was written before the event was set, too. */
static void store(thi_event *e, unsigned word)
{
    atomic_store_explicit(&e->word, word, memory_order_release);
}

/* Changes the word while QUEUE is down; false, and nothing done, when it is up. */
static bool change(thi_event *e, unsigned to, memory_order order)
{
    unsigned word = load(e, memory_order_relaxed);
    while (!(word & THI_EVENT_QUEUE))
        if (atomic_compare_exchange_weak_explicit(&e->word, &word, to, order, memory_order_relaxed))
            return true;
    return false;
}

/* Without looking at the queue. */
static inline bool pass_set(thi_event *e)
{
    unsigned set = THI_EVENT_SET;
    if (!e->automatic)
        return load(e, memory_order_acquire) == set;
    return load(e, memory_order_relaxed) == set &&
           atomic_compare_exchange_strong_explicit(&e->word, &set, 0, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Under the lock: what the word is after somebody has passed. Nobody waits by then. */
static void store_passed(thi_event *e)
{
    store(e, e->automatic ? 0 : THI_EVENT_SET);
}

int thi_event_enter(thi_event *e, thi_waiter *w)
{
    int result = THI_QUEUED;
    thi_waitq_lock(&e->queue);
    unsigned word = atomic_fetch_or_explicit(&e->word, THI_EVENT_QUEUE, memory_order_acquire);
    if (!(word & THI_EVENT_SET)) {
        thi_waitq_push(&e->queue, w);
    } else if (thi_waiter_win(w)) {
        store_passed(e);
        result = THI_TAKEN;
    } else {
        result = THI_LOST;
    }
    thi_waitq_unlock(&e->queue);
    return result;
}

/* Under the lock, beside which an event may have been set. */
static bool pass_locked(thi_event *e)
{
    thi_waitq_lock(&e->queue);
    unsigned word = atomic_fetch_or_explicit(&e->word, THI_EVENT_QUEUE, memory_order_acquire);
    bool set = word & THI_EVENT_SET;
    if (set)
        store_passed(e);
    thi_waitq_unlock(&e->queue);
    return set;
}

bool thi_event_take(thi_event *e)
{
    return pass_set(e) || ((load(e, memory_order_relaxed) & THI_EVENT_SET) && pass_locked(e));
}

static const thi_wait_kind event_set = { "event", THI_BY_ANYBODY, 0 };

static int wait_slowly(thi_event *e)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &e->queue, &event_set, e);
    if (TH_UNLIKELY(err < 0))
        return thi_event_take(e) ? 0 : err;
    return thi_event_enter(e, &w) == THI_TAKEN ? 0 : thi_waiter_sleep(&w);
}

int th_event_wait(th_event *event)
{
    thi_event *e = thi_event_of(event);
    if (TH_UNLIKELY(!e))
        return -EINVAL;
    if (TH_UNLIKELY(!pass_set(e)))
        return wait_slowly(e);
    thi_sched_spend(1);
    return 0;
}

/* Others wait, or have waited; false when QUEUE is down by now. */
static bool set_slowly(thi_event *e)
{
    thi_waiter *woken = NULL;
    thi_waitq_lock(&e->queue);
    bool queue = load(e, memory_order_relaxed) & THI_EVENT_QUEUE;
    if (queue && e->automatic) {
        woken = thi_waitq_take(&e->queue);
        if (woken)
            woken->next = NULL;
        else
            store(e, THI_EVENT_SET | THI_EVENT_QUEUE);
    } else if (queue) {
        woken = thi_waitq_take_all(&e->queue);
        store(e, THI_EVENT_SET | THI_EVENT_QUEUE);
    }
    thi_waitq_unlock(&e->queue);
    thi_waiter_wake_all(woken);
    return queue;
}

int th_event_set(th_event *event)
{
    thi_event *e = thi_event_of(event);
    if (TH_UNLIKELY(!e))
        return -EINVAL;
    while (!change(e, THI_EVENT_SET, memory_order_release))
        if (set_slowly(e))
            break;
    return 0;
}

/* Others wait, or have waited; false when QUEUE is down by now. */
static bool clear_slowly(thi_event *e)
{
    thi_waitq_lock(&e->queue);
    bool queue = load(e, memory_order_relaxed) & THI_EVENT_QUEUE;
    if (queue)
        store(e, THI_EVENT_QUEUE);
    thi_waitq_unlock(&e->queue);
    return queue;
}

int th_event_clear(th_event *event)
{
    thi_event *e = thi_event_of(event);
    if (TH_UNLIKELY(!e))
        return -EINVAL;
    while (!change(e, 0, memory_order_relaxed))
        if (clear_slowly(e))
            break;
    return 0;
}

/* A set event that others have waited for is published by the lock. */
int th_event_is_set(th_event *event)
{
    thi_event *e = thi_event_of(event);
    if (TH_UNLIKELY(!e))
        return -EINVAL;
    unsigned word = load(e, memory_order_acquire);
    if (TH_UNLIKELY(word == (THI_EVENT_SET | THI_EVENT_QUEUE))) {
        thi_waitq_lock(&e->queue);
        word = load(e, memory_order_acquire);
        thi_waitq_unlock(&e->queue);
    }
    return word & THI_EVENT_SET ? 1 : 0;
}
