/* SPDX-License-Identifier: MIT */

/*
 * Doing something once.
 *
 * The word is 0, RUNNING, RUNNING and QUEUE, or DONE, which stays. Whoever changes it from 0 to
 * RUNNING runs the function. Those who come meanwhile set QUEUE and enter the queue, both under its
 * lock. After success the runner lets them all go; after a failure it hands its part to the first
 * of them, and the word stays RUNNING, so that nobody who comes then overtakes those who wait.
 */
#include "runtime/waiter.h"

#include <thrum/once.h>

typedef struct thi_once {
    atomic_uint word;
    _Atomic(const void *) owner; /* thi_sync_self() of whoever runs the function; NULL: nobody */
    thi_waitq queue;             /* the request: thi_sync_self(); after the wake 0 for done */
} thi_once;

#define RUNNING 1u
#define QUEUE   2u
#define DONE    4u

_Static_assert(sizeof(thi_once) <= sizeof(th_once), "th_once has no room for a thi_once");

static void set_owner(thi_once *o, const void *owner)
{
    atomic_store_explicit(&o->owner, owner, memory_order_relaxed);
}

static bool is_mine(const thi_once *o)
{
    return atomic_load_explicit(&o->owner, memory_order_relaxed) == thi_sync_self();
}

/* Changes the word from RUNNING, unless somebody waits. */
static bool leave(thi_once *o, unsigned word)
{
    unsigned running = RUNNING;
    return atomic_compare_exchange_strong_explicit(&o->word, &running, word, memory_order_release,
                                                   memory_order_relaxed);
}

static void finish(thi_once *o)
{
    if (leave(o, DONE))
        return;
    thi_waitq_lock(&o->queue);
    thi_waiter *chain = thi_waitq_pop_all(&o->queue);
    for (thi_waiter *w = chain; w; w = w->next)
        w->request = 0;
    atomic_store_explicit(&o->word, DONE, memory_order_release);
    thi_waitq_unlock(&o->queue);
    thi_waiter_wake_all(chain);
}

static void give_up(thi_once *o)
{
    if (leave(o, 0))
        return;
    thi_waitq_lock(&o->queue);
    thi_waiter *next = thi_waitq_pop(&o->queue);
    if (next)
        set_owner(o, (const void *)next->request);
    if (!o->queue.first) /* QUEUE may be set because of one that was cancelled */
        atomic_store_explicit(&o->word, next ? RUNNING : 0, memory_order_release);
    thi_waitq_unlock(&o->queue);
    if (next)
        thi_waiter_wake(next, 0);
}

/* The caller has made the word RUNNING, or was handed that. */
static int run(thi_once *o, th_once_fn fn, void *arg)
{
    int result = fn(arg);
    set_owner(o, NULL);
    if (result < 0) {
        give_up(o);
        return result;
    }
    finish(o);
    return 0;
}

/* Under the queue's lock: the word as it was found, after RUNNING or QUEUE was added if need be. */
static unsigned announce(thi_once *o)
{
    unsigned word = atomic_load_explicit(&o->word, memory_order_acquire);
    while (word != DONE && word != (RUNNING | QUEUE)) {
        unsigned next = word | (word == 0 ? RUNNING : QUEUE);
        if (atomic_compare_exchange_weak_explicit(&o->word, &word, next, memory_order_acquire,
                                                  memory_order_acquire))
            break;
    }
    return word;
}

static const thi_wait_kind once_running = { "once", THI_BY_OWNER, offsetof(thi_once, owner) };

/* Another party runs the function, or did a moment ago. 1 when it is the caller's turn, 0 when it
 * has been done. */
static int wait_for_turn(thi_once *o)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &o->queue, &once_running, o);
    if (err < 0)
        return err;
    w.request = (uintptr_t)thi_sync_self();
    thi_waitq_lock(&o->queue);
    unsigned found = announce(o);
    if (found & RUNNING)
        thi_waitq_push(&o->queue, &w);
    thi_waitq_unlock(&o->queue);
    if (found & RUNNING) {
        err = thi_waiter_sleep_tied(&w);
        return err == 0 ? w.request != 0 : err; /* whoever handed over has set the owner */
    }
    if (found == 0)
        set_owner(o, thi_sync_self());
    return found == 0;
}

int th_once_call(th_once *once, th_once_fn fn, void *arg)
{
    thi_once *o = (thi_once *)(void *)once;
    if (TH_UNLIKELY(!o || !fn))
        return -EINVAL;
    unsigned word = atomic_load_explicit(&o->word, memory_order_acquire);
    if (TH_LIKELY(word == DONE))
        return 0;
    if (word == 0 && atomic_compare_exchange_strong_explicit(
                         &o->word, &word, RUNNING, memory_order_acquire, memory_order_acquire)) {
        set_owner(o, thi_sync_self());
        return run(o, fn, arg);
    }
    if (is_mine(o))
        return -EDEADLK;
    int turn = word == DONE ? 0 : wait_for_turn(o);
    return turn == 1 ? run(o, fn, arg) : turn;
}
