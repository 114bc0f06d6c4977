/* SPDX-License-Identifier: MIT */

/*
 * Waiting for several futures.
 *
 * Each future has a watch in a place of the gather. When it is done the place moves from `pending`
 * to the queue of the done ones, under both locks (the future's, then the gather's), or straight to
 * the party that waits longest. A party waits only while something is pending; when the last
 * pending future goes to somebody else, it is told that nothing is left.
 *
 * To wait for all there is no need of this: one after the other takes as long as all of them.
 */
#include "pool/gather.h"

#include "base/alloc.h"

#include <errno.h>

#define NEAR 8 /* so many places are on the stack of who waits for any */

/* Somebody takes this place, or it is queued. */
static void on_done(thi_future_watch *watch, thi_waiter **woken)
{
    thi_gathered *place = thi_container_of(watch, thi_gathered, watch);
    th_gather *g = place->gather;
    thi_waitq_lock(&g->waiters);
    thi_list_remove(&place->link);
    place->next = NULL;
    thi_waiter *w = thi_waitq_pop(&g->waiters);
    if (w) {
        w->request = (uintptr_t)place;
    } else {
        *g->end = place;
        g->end = &place->next;
    }
    while (w) {
        w->next = *woken;
        *woken = w;
        w = thi_list_empty(&g->pending) ? thi_waitq_pop(&g->waiters) : NULL;
        if (w)
            w->request = 0;
    }
    thi_waitq_unlock(&g->waiters);
}

static void init(th_gather *g)
{
    *g = (th_gather){ 0 };
    thi_list_init(&g->pending);
    g->end = &g->first;
}

static void add(th_gather *g, thi_gathered *place, th_future *future)
{
    *place = (thi_gathered){ .watch.fn = on_done, .gather = g, .future = future };
    thi_waitq_lock(&g->waiters);
    thi_list_push_back(&g->pending, &place->link);
    thi_waitq_unlock(&g->waiters);
    thi_future_watch_set(future, &place->watch);
}

static thi_gathered *first_pending(th_gather *g)
{
    thi_waitq_lock(&g->waiters);
    thi_list *link = thi_list_first(&g->pending);
    thi_waitq_unlock(&g->waiters);
    return link ? thi_list_item(link, thi_gathered, link) : NULL;
}

/* Takes a pending place back; one that is done in the same moment is in the queue instead. */
static bool take_back(th_gather *g, thi_gathered *place)
{
    thi_future_watch_unset(place->future, &place->watch);
    thi_waitq_lock(&g->waiters);
    bool pending = !thi_list_empty(&place->link);
    if (pending)
        thi_list_remove(&place->link);
    thi_waitq_unlock(&g->waiters);
    return pending;
}

static thi_gathered *take_done(th_gather *g)
{
    thi_gathered *place = g->first;
    if (place) {
        g->first = place->next;
        if (!g->first)
            g->end = &g->first;
    }
    return place;
}

static const thi_wait_kind finishing = { "futures", THI_BY_ANYBODY, 0 };

/* The next one that is done. -ENOENT when none is left. */
static int next(th_gather *g, thi_gathered **place)
{
    thi_waiter w;
    thi_waitq_lock(&g->waiters);
    *place = take_done(g);
    bool empty = thi_list_empty(&g->pending);
    thi_waitq_unlock(&g->waiters);
    if (*place || empty)
        return *place ? 0 : -ENOENT;
    int err = thi_waiter_init(&w, &g->waiters, &finishing, g);
    if (err < 0)
        return err;
    thi_waitq_lock(&g->waiters);
    *place = take_done(g);
    bool waits = !*place && !thi_list_empty(&g->pending);
    if (waits)
        thi_waitq_push(&g->waiters, &w);
    thi_waitq_unlock(&g->waiters);
    if (waits)
        err = thi_waiter_sleep(&w);
    if (waits && err == 0)
        *place = (thi_gathered *)w.request;
    return err < 0 || *place ? err : -ENOENT;
}

int th_gather_new(th_gather **gather)
{
    if (!gather)
        return -EINVAL;
    th_gather *g = thi_alloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    init(g);
    *gather = g;
    return 0;
}

int th_gather_add(th_gather *gather, th_future *future)
{
    if (!gather || !future)
        return -EINVAL;
    thi_gathered *place = thi_alloc(sizeof *place);
    if (!place)
        return -ENOMEM;
    add(gather, place, th_future_ref(future));
    return 0;
}

int th_gather_next(th_gather *gather, th_future **future)
{
    thi_gathered *place = NULL;
    if (!gather || !future)
        return -EINVAL;
    int err = next(gather, &place);
    if (err < 0)
        return err;
    *future = place->future;
    thi_free(place);
    return 0;
}

static void free_place(thi_gathered *place)
{
    th_future_unref(place->future);
    thi_free(place);
}

void th_gather_free(th_gather *gather)
{
    thi_gathered *place;
    if (!gather)
        return;
    while ((place = first_pending(gather)))
        if (take_back(gather, place))
            free_place(place);
    while ((place = take_done(gather)))
        free_place(place);
    thi_free(gather);
}

/* ---- several at once ---- */

static bool all_given(th_future *const *futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!futures[i])
            return false;
    return futures || n == 0;
}

int th_future_wait_all(th_future *const *futures, size_t n)
{
    if ((n > 0 && !futures) || !all_given(futures, n))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int err = th_future_wait(futures[i], NULL);
        if (err < 0)
            return err;
    }
    return 0;
}

/* A thread of a pool that would wait for that same pool alone does the work that it waits for. */
static void help(th_future *const *futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (thi_future_is_done(futures[i]))
            return;
    for (size_t i = 0; i < n; i++) {
        if (futures[i]->ops && futures[i]->ops->help)
            futures[i]->ops->help(futures[i]);
        if (thi_future_is_done(futures[i]))
            return;
    }
}

static int wait_any_in(thi_gathered *places, th_future *const *futures, size_t n, size_t *index)
{
    th_gather g;
    thi_gathered *done = NULL;
    init(&g);
    for (size_t i = 0; i < n; i++)
        add(&g, &places[i], futures[i]);
    int err = next(&g, &done);
    for (size_t i = 0; i < n; i++)
        (void)take_back(&g, &places[i]);
    if (err == 0 && index)
        *index = (size_t)(done - places);
    return err;
}

int th_future_wait_any(th_future *const *futures, size_t n, size_t *index)
{
    thi_gathered near[NEAR];
    if ((n > 0 && !futures) || !all_given(futures, n))
        return -EINVAL;
    thi_gathered *places = n <= NEAR ? near : NULL;
    if (!places)
        places = thi_calloc(n, sizeof *places);
    if (!places)
        return -ENOMEM;
    help(futures, n);
    int err = wait_any_in(places, futures, n, index);
    if (places != near)
        thi_free(places);
    return err;
}
