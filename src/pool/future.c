/* SPDX-License-Identifier: MIT */

/*
 * The future: a result that is there once, and everybody who wants to hear of it.
 *
 * It is completed by one party under its lock: whoever runs the work, whoever took the work out of
 * its queue, or the user. From DONE on nothing but the reference count changes, so results are read
 * without the lock. Watches are called under the lock, so that one who takes a watch back knows
 * that its memory is his again; callbacks of users run after it, in order, and before anybody who
 * waits is woken.
 */
#include "pool/future.h"

#include "base/alloc.h"

#include <errno.h>

struct thi_future_then {
    thi_future_then *next;
    th_future_fn fn;
    void *arg;
};

/* A promise has nothing of its own; the type keeps the two handles apart. */
struct th_promise {
    th_future future;
};

static void lock(th_future *f)
{
    thi_waitq_lock(&f->waiters);
}

static void unlock(th_future *f)
{
    thi_waitq_unlock(&f->waiters);
}

void thi_future_init(th_future *f, const thi_future_ops *ops, unsigned refs,
                     void (*free)(th_future *future))
{
    *f = (th_future){ .ops = ops, .free = free };
    thi_list_init(&f->watches);
    f->thens_end = &f->thens;
    atomic_init(&f->refs, refs);
    atomic_init(&f->state, TH_FUTURE_PENDING);
}

static void call_all(th_future *f, thi_future_then *first)
{
    while (first) {
        thi_future_then *then = first;
        first = then->next;
        then->fn(f, f->result, then->arg);
        thi_free(then);
    }
}

/* Under the lock: the result is there. Gives the callbacks that are to be run after it. */
static thi_future_then *settle(th_future *f, int result, thi_waiter **woken)
{
    thi_list *link;
    thi_waiter *w;
    thi_future_then *thens = f->thens;
    f->result = result;
    f->thens = NULL;
    atomic_store_explicit(&f->state, TH_FUTURE_DONE, memory_order_release);
    while ((link = thi_list_pop_front(&f->watches))) {
        thi_future_watch *watch = thi_list_item(link, thi_future_watch, link);
        watch->set = false;
        watch->fn(watch, woken);
    }
    thi_waiter **end = woken;
    while (*end)
        end = &(*end)->next;
    while ((w = thi_waitq_pop(&f->waiters))) {
        w->next = NULL;
        *end = w;
        end = &w->next;
    }
    return thens;
}

int thi_future_complete(th_future *f, int result, thi_waiter **woken)
{
    *woken = NULL;
    lock(f);
    if (thi_future_is_done(f)) {
        unlock(f);
        return -EALREADY;
    }
    thi_future_then *thens = settle(f, result, woken);
    unlock(f);
    call_all(f, thens);
    return 0;
}

void thi_future_watch_set(th_future *f, thi_future_watch *watch)
{
    thi_waiter *woken = NULL;
    lock(f);
    watch->set = !thi_future_is_done(f);
    if (watch->set)
        thi_list_push_back(&f->watches, &watch->link);
    else
        watch->fn(watch, &woken);
    unlock(f);
    thi_waiter_wake_all(woken);
}

void thi_future_watch_unset(th_future *f, thi_future_watch *watch)
{
    lock(f);
    if (watch->set)
        thi_list_remove(&watch->link);
    watch->set = false;
    unlock(f);
}

/* ---- waiting ---- */

static const thi_wait_kind finishing = { "future", THI_BY_ANYBODY, 0 };

static int wait_slowly(th_future *f)
{
    thi_waiter w;
    if (f->ops && f->ops->help)
        f->ops->help(f);
    if (thi_future_is_done(f))
        return 0;
    int err = thi_waiter_init(&w, &f->waiters, &finishing, f);
    if (err < 0)
        return err;
    lock(f);
    bool done = thi_future_is_done(f);
    if (!done)
        thi_waitq_push(&f->waiters, &w);
    unlock(f);
    return done ? 0 : thi_waiter_sleep(&w);
}

int th_future_wait(th_future *future, int *result)
{
    if (TH_UNLIKELY(!future))
        return -EINVAL;
    bool done = thi_future_is_done(future);
    int err = done ? 0 : wait_slowly(future);
    if (TH_LIKELY(err == 0) && result)
        *result = future->result;
    if (done)
        thi_sched_spend(1);
    return err;
}

int th_future_peek(const th_future *future, int *result)
{
    if (!future)
        return -EINVAL;
    if (!thi_future_is_done(future))
        return -EAGAIN;
    if (result)
        *result = future->result;
    return 0;
}

int th_future_state(const th_future *future)
{
    return future ? atomic_load_explicit(&future->state, memory_order_acquire) : -EINVAL;
}

int th_future_then(th_future *future, th_future_fn fn, void *arg)
{
    if (!future || !fn)
        return -EINVAL;
    thi_future_then *then = thi_alloc(sizeof *then);
    if (!then)
        return -ENOMEM;
    *then = (thi_future_then){ .fn = fn, .arg = arg };
    lock(future);
    bool done = thi_future_is_done(future);
    if (!done) {
        *future->thens_end = then;
        future->thens_end = &then->next;
    }
    unlock(future);
    if (done)
        call_all(future, then);
    return 0;
}

/* ---- cancelling ---- */

int th_future_cancel(th_future *future)
{
    thi_waiter *woken = NULL;
    thi_future_then *thens = NULL;
    if (!future)
        return -EINVAL;
    lock(future);
    bool done = thi_future_is_done(future);
    bool revoked = !done && (!future->ops || future->ops->revoke(future, &woken));
    if (revoked) {
        future->cancelled = true;
        thens = settle(future, -ECANCELED, &woken);
    }
    int err = future->cancelled ? 0 : done ? -EALREADY : -EBUSY;
    unlock(future);
    call_all(future, thens);
    thi_waiter_wake_all(woken);
    if (revoked && future->ops)
        th_future_unref(future); /* the work's own handle */
    return err;
}

void th_future_abandon(th_future *future)
{
    if (future)
        (void)th_future_cancel(future);
    th_future_unref(future);
}

th_future *th_future_ref(th_future *future)
{
    if (future)
        atomic_fetch_add_explicit(&future->refs, 1, memory_order_relaxed);
    return future;
}

void th_future_unref(th_future *future)
{
    if (future && atomic_fetch_sub_explicit(&future->refs, 1, memory_order_acq_rel) == 1)
        future->free(future);
}

/* ---- promises ---- */

static void free_promise(th_future *future)
{
    thi_free(thi_container_of(future, th_promise, future));
}

int th_promise_new(th_promise **promise, th_future **future)
{
    if (!promise || !future)
        return -EINVAL;
    th_promise *p = thi_alloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    thi_future_init(&p->future, NULL, 2, free_promise);
    *promise = p;
    *future = &p->future;
    return 0;
}

int th_promise_set(th_promise *promise, int result)
{
    thi_waiter *woken;
    if (!promise)
        return -EINVAL;
    int err = thi_future_complete(&promise->future, result, &woken);
    thi_waiter_wake_all(woken);
    return err;
}

void th_promise_free(th_promise *promise)
{
    if (!promise)
        return;
    (void)th_promise_set(promise, -ECANCELED);
    th_future_unref(&promise->future);
}
