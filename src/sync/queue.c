/* SPDX-License-Identifier: MIT */

/*
 * The queue.
 *
 * One lock guards all of it but those who join. While it is held for a few instructions nothing is
 * allocated: whoever finds no room in the store lets go, makes more, and tries again.
 *
 * Somebody waits for an item only while the store is empty, and for a place only while it is full;
 * since it has room for one item at least, both never wait at once, and share one queue of waiters.
 * An item that is put into an empty store goes to the first waiter instead. One that is taken out
 * of a full one makes a place, which the first waiter's item fills at once, before anybody else's.
 *
 * Who was woken does not touch the queue again, so whoever knows that the work is done may free it.
 * Only closing and freeing leave others behind who have yet to return: they hold the queue until
 * they have. That includes those who were about to leave by themselves and find it closed.
 */
#include "sync/queue.h"

#include "base/alloc.h"

#include <thrum/error.h>

/* ---- making and freeing ---- */

static bool are_valid(const th_queue_opts *opts)
{
    return opts->size <= sizeof *opts && opts->order >= TH_QUEUE_FIFO &&
           opts->order <= TH_QUEUE_PRIORITY &&
           (opts->compare != NULL) == (opts->order == TH_QUEUE_PRIORITY);
}

int th_queue_new(const th_queue_opts *opts, th_queue **queue)
{
    static const th_queue_opts defaults = { .order = TH_QUEUE_FIFO };
    if (!opts)
        opts = &defaults;
    if (!queue || !are_valid(opts))
        return -EINVAL;
    th_queue *q = thi_calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->items.order = opts->order;
    q->items.compare = opts->compare;
    q->items.compare_arg = opts->compare_arg;
    q->capacity = opts->capacity ? opts->capacity : SIZE_MAX;
    atomic_init(&q->holders, 1);
    *queue = q;
    return 0;
}

static void hold(th_queue *q, size_t count)
{
    atomic_fetch_add_explicit(&q->holders, count, memory_order_relaxed);
}

static void hold_for_all(th_queue *q, const thi_waitq *waiting)
{
    size_t count = 0;
    for (const thi_waiter *w = waiting->first; w; w = w->next)
        count++;
    hold(q, count);
}

static void let_go(th_queue *q)
{
    if (atomic_fetch_sub_explicit(&q->holders, 1, memory_order_acq_rel) > 1)
        return;
    thi_free(q->items.room);
    thi_free(q);
}

int th_queue_close(th_queue *q)
{
    if (!q)
        return -EINVAL;
    thi_waiter *woken = NULL;
    thi_waitq_lock(&q->waiting);
    int result = thi_store_count(&q->items) > 0 ? TH_ECLOSED : TH_EOF; /* who waits, if any */
    bool was_closed = q->closed;
    if (!was_closed) {
        q->closed = true;
        hold_for_all(q, &q->waiting);
        woken = thi_waitq_take_all(&q->waiting);
    }
    thi_waitq_unlock(&q->waiting);
    thi_waiter_wake_all_with(woken, result);
    return was_closed ? TH_ECLOSED : 0;
}

void th_queue_free(th_queue *q)
{
    if (!q)
        return;
    (void)th_queue_close(q);
    thi_waitq_lock(&q->joiners);
    q->freed = true;
    hold_for_all(q, &q->joiners);
    thi_waiter *woken = thi_waitq_take_all(&q->joiners);
    thi_waitq_unlock(&q->joiners);
    thi_waiter_wake_all_with(woken, TH_ECLOSED);
    let_go(q);
}

/* ---- those who wait ---- */

/* A waiter that was cancelled notes whether it holds the queue. */
static void note_closed(thi_waiter *w)
{
    w->request = thi_container_of(w->queue, th_queue, waiting)->closed;
}

static void note_freed(thi_waiter *w)
{
    w->request = thi_container_of(w->queue, th_queue, joiners)->freed;
}

/* Under the lock. */
static int wait_in_line(th_queue *q, thi_waiter *w, void *item)
{
    w->request = (uintptr_t)item;
    w->left = note_closed;
    thi_waitq_push(&q->waiting, w);
    return THI_QUEUED;
}

int thi_sync_queue_waited(th_queue *q, const thi_waiter *w, int result)
{
    if (result < 0 && (result == TH_EOF || result == TH_ECLOSED || w->request != 0))
        let_go(q);
    return result;
}

void thi_sync_queue_leave(th_queue *q, thi_waiter *w)
{
    thi_waitq_lock(&q->waiting);
    thi_waitq_remove(&q->waiting, w);
    bool holds = q->closed;
    thi_waitq_unlock(&q->waiting);
    if (holds)
        let_go(q);
}

/* Whether a waiter's party goes on with what it has found. Without a waiter there is no doubt. */
static inline bool goes_on(thi_waiter *w)
{
    return !w || thi_waiter_win(w) ||
           atomic_load_explicit(&w->party->winner, memory_order_relaxed) == w;
}

/* ---- room ---- */

/* Gives the store another size, unless somebody has changed it meanwhile; -ENOMEM. */
static int resize(th_queue *q, size_t from, size_t to)
{
    void *room = thi_store_make_room(&q->items, to);
    if (!room)
        return -ENOMEM;
    thi_waitq_lock(&q->waiting);
    if (q->items.size == from && thi_store_count(&q->items) <= to)
        room = thi_store_move(&q->items, room, to);
    thi_waitq_unlock(&q->waiting);
    thi_free(room);
    return 0;
}

/* ---- putting in ---- */

/* Under the lock: 0, -EAGAIN for a full queue, -ENOMEM for a full store, TH_ECLOSED, THI_LOST.
 * While the store is empty it is not full, so those who wait, if any, wait for an item. */
static inline __attribute__((always_inline)) int put_in(th_queue *q, void *item, thi_waiter *w,
                                                        thi_waiter **woken)
{
    size_t count = thi_store_count(&q->items);
    if (TH_UNLIKELY(q->closed))
        return goes_on(w) ? TH_ECLOSED : THI_LOST;
    bool handed = count == 0 && q->waiting.first;
    if (TH_UNLIKELY(count >= q->capacity))
        return -EAGAIN;
    if (TH_UNLIKELY(!handed && count >= q->items.size))
        return -ENOMEM;
    if (TH_UNLIKELY(!goes_on(w)))
        return THI_LOST;
    *woken = handed ? thi_waitq_take(&q->waiting) : NULL;
    if (*woken)
        (*woken)->request = (uintptr_t)item;
    else if (TH_LIKELY(count < q->items.size))
        thi_store_push(&q->items, item);
    else
        return -ENOMEM; /* all who waited are on their way out */
    q->undone++;
    return 0;
}

int thi_sync_queue_put(th_queue *q, void *item, thi_waiter *w)
{
    for (;;) {
        thi_waiter *woken = NULL;
        thi_waitq_lock(&q->waiting);
        int err = put_in(q, item, w, &woken);
        if (TH_UNLIKELY(err == -EAGAIN && w))
            err = wait_in_line(q, w, item);
        size_t size = q->items.size;
        size_t larger = thi_store_larger(&q->items);
        thi_waitq_unlock(&q->waiting);
        if (woken)
            thi_waiter_wake(woken, 0);
        if (TH_LIKELY(err != -ENOMEM))
            return err;
        err = resize(q, size, larger);
        if (err < 0)
            return err;
    }
}

static const thi_wait_kind putting = { "put", THI_BY_ANYBODY, 0 };

/* There was no place, or no room for one. */
static __attribute__((noinline)) int put_slowly(th_queue *q, void *item)
{
    thi_waiter w;
    int err = thi_sync_queue_put(q, item, NULL);
    if (err != -EAGAIN)
        return err;
    err = thi_waiter_init(&w, &q->waiting, &putting, q);
    if (err < 0)
        return err;
    err = thi_sync_queue_put(q, item, &w);
    return err == THI_QUEUED ? thi_sync_queue_waited(q, &w, thi_waiter_sleep(&w)) : err;
}

int th_queue_put(th_queue *q, void *item)
{
    if (TH_UNLIKELY(!q))
        return -EINVAL;
    thi_waiter *woken = NULL;
    thi_waitq_lock(&q->waiting);
    int err = put_in(q, item, NULL, &woken);
    thi_waitq_unlock(&q->waiting);
    if (woken)
        thi_waiter_wake(woken, 0);
    if (TH_UNLIKELY(err != 0))
        return put_slowly(q, item);
    thi_sched_spend(1);
    return 0;
}

int th_queue_tryput(th_queue *q, void *item)
{
    return TH_UNLIKELY(!q) ? -EINVAL : thi_sync_queue_put(q, item, NULL);
}

/* ---- taking out ---- */

/* Under the lock: 0, -EAGAIN for an empty queue, TH_EOF, THI_LOST. */
static inline __attribute__((always_inline)) int take_out(th_queue *q, void **item, thi_waiter *w,
                                                          thi_waiter **woken)
{
    if (thi_store_count(&q->items) == 0) {
        if (TH_LIKELY(!q->closed))
            return -EAGAIN;
        return goes_on(w) ? TH_EOF : THI_LOST;
    }
    if (TH_UNLIKELY(!goes_on(w)))
        return THI_LOST;
    *item = thi_store_pop(&q->items);
    *woken = q->waiting.first ? thi_waitq_take(&q->waiting) : NULL;
    if (*woken) {
        thi_store_push(&q->items, (void *)(*woken)->request);
        q->undone++;
    }
    return 0;
}

/* Takes out, and makes the room smaller if most of it is empty. */
static inline __attribute__((always_inline)) int get(th_queue *q, void **item, thi_waiter *w)
{
    thi_waiter *woken = NULL;
    thi_waitq_lock(&q->waiting);
    int err = take_out(q, item, w, &woken);
    if (err == -EAGAIN && w)
        err = wait_in_line(q, w, NULL);
    size_t size = q->items.size;
    size_t smaller = err == 0 ? thi_store_smaller(&q->items) : 0;
    if (TH_UNLIKELY(smaller > 0))
        hold(q, 1); /* the item may have been the last that kept others from freeing it */
    thi_waitq_unlock(&q->waiting);
    if (woken)
        thi_waiter_wake(woken, 0);
    if (TH_UNLIKELY(smaller > 0)) {
        (void)!resize(q, size, smaller); /* without memory it stays as large as it is */
        let_go(q);
    }
    return err;
}

int thi_sync_queue_get(th_queue *q, void **item, thi_waiter *w)
{
    return get(q, item, w);
}

static inline __attribute__((always_inline)) bool wait_for_item(th_queue *q, thi_waiter *w)
{
    thi_waitq_lock(&q->waiting);
    bool waits = thi_store_count(&q->items) == 0 && !q->closed;
    if (TH_LIKELY(waits))
        (void)wait_in_line(q, w, NULL);
    thi_waitq_unlock(&q->waiting);
    return waits;
}

static const thi_wait_kind getting = { "get", THI_BY_ANYBODY, 0 };

/* Nothing was in it a moment ago. */
static __attribute__((noinline)) int get_slowly(th_queue *q, void **item)
{
    thi_waiter w;
    int may_wait = thi_waiter_init(&w, &q->waiting, &getting, q);
    while (TH_UNLIKELY(may_wait < 0 || !wait_for_item(q, &w))) {
        int err = thi_sync_queue_get(q, item, NULL);
        if (err != -EAGAIN || may_wait < 0)
            return err == -EAGAIN ? may_wait : err;
    }
    int err = thi_waiter_sleep(&w);
    if (TH_UNLIKELY(err < 0))
        return thi_sync_queue_waited(q, &w, err);
    *item = (void *)w.request;
    return 0;
}

/* The usual case of that, on its own because the compiler keeps less in memory then: a fiber which
 * may wait, and has to. */
static __attribute__((noinline)) int get_in_fiber(th_queue *q, void **item)
{
    thi_waiter w;
    if (TH_UNLIKELY(!thi_sched_self() || thi_waiter_init(&w, &q->waiting, &getting, q) < 0 ||
                    !wait_for_item(q, &w)))
        return get_slowly(q, item);
    int err = thi_sched_park_inline(&w.wait);
    if (TH_UNLIKELY(err < 0))
        return thi_sync_queue_waited(q, &w, err);
    *item = (void *)w.request;
    return 0;
}

static __attribute__((noinline)) int get_quickly(th_queue *q, void **item)
{
    int err = get(q, item, NULL);
    if (TH_UNLIKELY(err == -EAGAIN))
        return get_slowly(q, item);
    thi_sched_spend(1);
    return err;
}

/* With nothing in it a wait is to be expected, and the lock not worth taking twice. */
int th_queue_get(th_queue *q, void **item)
{
    if (TH_UNLIKELY(!q || !item))
        return -EINVAL;
    return thi_store_count(&q->items) > 0 ? get_quickly(q, item) : get_in_fiber(q, item);
}

int th_queue_tryget(th_queue *q, void **item)
{
    return TH_UNLIKELY(!q || !item) ? -EINVAL : thi_sync_queue_get(q, item, NULL);
}

size_t th_queue_len(const th_queue *q)
{
    return q ? thi_store_count(&q->items) : 0;
}

/* ---- what was done ---- */

int th_queue_task_done(th_queue *q)
{
    if (TH_UNLIKELY(!q))
        return -EINVAL;
    thi_waiter *woken = NULL;
    thi_waitq_lock(&q->waiting);
    int err = q->undone > 0 ? 0 : -EINVAL;
    if (err == 0 && --q->undone == 0) {
        thi_waitq_lock(&q->joiners);
        woken = thi_waitq_take_all(&q->joiners);
        thi_waitq_unlock(&q->joiners);
    }
    thi_waitq_unlock(&q->waiting);
    thi_waiter_wake_all(woken);
    return err;
}

/* Whether everything is done; if not, and there is a waiter, it enters the queue. */
static bool all_done(th_queue *q, thi_waiter *w)
{
    thi_waitq_lock(&q->waiting);
    bool done = q->undone == 0;
    if (!done && w) {
        w->left = note_freed;
        w->request = 0;
        thi_waitq_lock(&q->joiners);
        thi_waitq_push(&q->joiners, w);
        thi_waitq_unlock(&q->joiners);
    }
    thi_waitq_unlock(&q->waiting);
    return done;
}

static const thi_wait_kind joining = { "queue join", THI_BY_ANYBODY, 0 };

int th_queue_join(th_queue *q)
{
    thi_waiter w;
    if (TH_UNLIKELY(!q))
        return -EINVAL;
    if (all_done(q, NULL))
        return 0;
    int err = thi_waiter_init(&w, &q->joiners, &joining, q);
    if (err < 0 || all_done(q, &w))
        return err;
    return thi_sync_queue_waited(q, &w, thi_waiter_sleep(&w));
}
