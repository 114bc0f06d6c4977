/* SPDX-License-Identifier: MIT */

/*
 * Maps of dispatchers, and the loop that a fiber runs for one.
 *
 * A map belongs to the worker that made it. Its default map hangs on the worker, and goes with it.
 */
#include "callback/dispatch.h"

#include "base/alloc.h"
#include "base/error.h"

#include <thrum/time.h>

#define PUSH_HIGH ((size_t)1024 * 1024)

/* ---- made and freed ---- */

static void on_time(thi_timer *timer)
{
    th_dispatch_map *map = thi_container_of(timer, th_dispatch_map, timer);
    map->late = true;
    if (map->sleeper)
        map->sleeper->abort(map->sleeper, 0);
}

static th_dispatch_map *make(const th_dispatch_map_opts *opts)
{
    th_dispatch_map *map = thi_calloc(1, sizeof *map);
    if (!map)
        return NULL;
    map->worker = thi_worker_self;
    map->push_high = opts && opts->push_high ? opts->push_high : PUSH_HIGH;
    map->accepted = -1;
    map->shown = -1;
    thi_list_init(&map->fresh);
    thi_list_init(&map->open);
    thi_list_init(&map->closed);
    thi_list_init(&map->kept);
    thi_list_init(&map->ready);
    thi_list_init(&map->gated);
    thi_timer_init(&map->timer, on_time);
    thi_timer_init(&map->rest, thi_dispatch_on_rested);
    return map;
}

int th_dispatch_map_new(const th_dispatch_map_opts *opts, th_dispatch_map **map)
{
    if (!map || (opts && opts->size > sizeof *opts))
        return thi_err_clear(-EINVAL);
    if (!thi_worker_self)
        return thi_err_clear(-EPERM);
    th_dispatch_map *made = make(opts);
    if (!made)
        return thi_err_clear(-ENOMEM);
    *map = made;
    return 0;
}

static int close_all(th_dispatch_map *map)
{
    int result = 0;
    thi_list *node;
    while ((node = thi_list_first(&map->open))) {
        int err = th_dispatcher_close(thi_list_item(node, th_dispatcher, link));
        if (err < 0 && result == 0)
            result = err;
    }
    return result;
}

/* A program that forgets to close may have forgotten more. */
static void tell_unclosed(th_dispatch_map *map)
{
#ifndef NDEBUG
    thi_list_each (node, &map->open) {
        th_dispatcher *d = thi_list_item(node, th_dispatcher, link);
        char text[TH_DISPATCHER_TEXT];
        thi_dispatch_log(d, TH_LOG_WARNING, "unclosed %s",
                         th_dispatcher_format(d, text, sizeof text));
    }
#else
    (void)map;
#endif
}

static void drop_fresh(th_dispatch_map *map)
{
    thi_list *node;
    while ((node = thi_list_first(&map->fresh)))
        (void)th_dispatcher_close(thi_list_item(node, th_dispatcher, link));
}

/* What the program keeps by a reference of its own outlives its map. */
static void free_map(th_dispatch_map *map)
{
    tell_unclosed(map);
    do {
        (void)close_all(map);
        drop_fresh(map);
        thi_dispatch_release_closed(map);
    } while (map->count > 0 || !thi_list_empty(&map->fresh));
    thi_list *node;
    while ((node = thi_list_pop_front(&map->kept)))
        thi_list_item(node, th_dispatcher, link)->map = NULL;
    thi_timer_cancel(&map->worker->loop.timers, &map->timer);
    thi_timer_cancel(&map->worker->loop.timers, &map->rest);
    thi_free(map->look);
    thi_free(map->in);
    thi_free(map);
}

int th_dispatch_map_free(th_dispatch_map *map)
{
    if (!map)
        return 0;
    if (map->worker != thi_worker_self)
        return thi_err_clear(-EPERM);
    if (map->is_default)
        return thi_err_clear(-EINVAL);
    if (map->running)
        return thi_err_clear(-EBUSY);
    free_map(map);
    return 0;
}

/* ---- the default ---- */

static const char default_kind;

static void close_default(thi_annex *annex, thi_worker *worker)
{
    thi_worker *before = thi_worker_self;
    thi_worker_self = worker;
    free_map(thi_container_of(annex, th_dispatch_map, annex));
    thi_worker_self = before;
}

static th_dispatch_map *find_default(const thi_worker *worker)
{
    thi_annex *annex = thi_annex_find(worker, &default_kind);
    return annex ? thi_container_of(annex, th_dispatch_map, annex) : NULL;
}

th_dispatch_map *th_dispatch_map_default(void)
{
    thi_worker *worker = thi_worker_self;
    if (!worker)
        return NULL;
    th_dispatch_map *map = find_default(worker);
    if (map)
        return map;
    map = make(NULL);
    if (!map)
        return NULL;
    map->is_default = true;
    map->annex.kind = &default_kind;
    map->annex.close = close_default;
    thi_annex_add(worker, &map->annex);
    return map;
}

int thi_dispatch_map_of(th_dispatch_map *map, th_dispatch_map **meant)
{
    if (!thi_worker_self)
        return -EPERM;
    if (!map)
        map = th_dispatch_map_default();
    if (!map)
        return -ENOMEM;
    if (map->worker != thi_worker_self)
        return -EPERM;
    *meant = map;
    return 0;
}

/* ---- the loop ---- */

void thi_dispatch_wake(th_dispatch_map *map)
{
    map->woken = true;
    if (map->sleeper)
        map->sleeper->abort(map->sleeper, 0);
}

static int run(th_dispatch_map *map, int64_t timeout, int64_t count)
{
    int code = 0;
    thi_dispatch_release_closed(map);
    while (code == 0 && map->count > 0 && count != 0) {
        code = thi_dispatch_turn(map, timeout == 0 ? 0 : th_after(timeout));
        if (count > 0)
            count--;
    }
    return code;
}

int th_dispatch_map_loop(th_dispatch_map *map, int64_t timeout, int64_t count)
{
    if (timeout < 0)
        return thi_err_clear(-EINVAL);
    int err = thi_sched_self() ? thi_dispatch_map_of(map, &map) : -EPERM;
    if (err == 0 && map->running)
        err = -EBUSY;
    if (err < 0)
        return thi_err_clear(err);
    map->running = true;
    int code = run(map, timeout, count);
    map->running = false;
    map->woken = false;
    thi_timer_cancel(&map->worker->loop.timers, &map->timer);
    return code;
}

int th_dispatch_map_wake(th_dispatch_map *map)
{
    int err = thi_dispatch_map_of(map, &map);
    if (err == 0)
        thi_dispatch_wake(map);
    return (int)thi_err_plain(err);
}

int th_dispatch_map_close_all(th_dispatch_map *map)
{
    int err = thi_dispatch_map_of(map, &map);
    return (int)thi_err_plain(err < 0 ? err : close_all(map));
}

size_t th_dispatch_map_count(const th_dispatch_map *map)
{
    if (!map && thi_worker_self)
        map = find_default(thi_worker_self);
    return map ? map->count : 0;
}
