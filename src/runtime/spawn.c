/* SPDX-License-Identifier: MIT */

/*
 * Spawning, as the user sees it.
 *
 * The place of a child in its scope is counted before the fiber exists. Whoever ends hands its
 * place to the start that has waited longest, so newcomers cannot overtake.
 */
#include <thrum/fiber.h>

#include "runtime/delay.h"
#include "runtime/handle.h"
#include "runtime/remote.h"
#include "runtime/sched.h"

/* The wait of a fiber for room in a scope. */
typedef struct spawner {
    thi_wait wait;
    thi_place_wait place;
    th_fiber *fiber;
} spawner;

static int spawner_admit(thi_place_wait *place)
{
    thi_sched_ready(thi_container_of(place, spawner, place)->fiber, 0);
    return 0;
}

static void spawner_abort(thi_wait *wait, int result)
{
    spawner *s = thi_container_of(wait, spawner, wait);
    thi_list_remove(&s->place.link);
    thi_sched_ready(s->fiber, result);
}

static bool has_place(const thi_scope *scope)
{
    return scope->live < scope->limit && thi_list_empty(&scope->waiting);
}

static const thi_wait_kind room = { "spawn", THI_BY_CHILDREN, 1 };

/* Takes a place for one more child, waiting for it if need be. */
static int take_place(thi_scope *scope)
{
    if (TH_LIKELY(has_place(scope))) {
        scope->live++;
        return 0;
    }
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    spawner s = { .wait = { .kind = &room, .object = scope, .abort = spawner_abort },
                  .place.admit = spawner_admit,
                  .fiber = thi_sched_self() };
    thi_list_push_back(&scope->waiting, &s.place.link);
    return thi_sched_park_tied(&s.wait);
}

/* From another worker or thread: "here" is where the caller is, if that is a worker. */
static int spawn_from_afar(thi_scope *scope, thi_start start)
{
    if (thi_worker_self && start.place == TH_PLACE_HERE)
        start.place = 1 + (int)thi_worker_self->index;
    return thi_remote_send_start(scope, &start);
}

/* In a place that is counted, and given back on failure. */
static int start_in_place(thi_scope *scope, const thi_start *start)
{
    int err = scope->status; /* it may have been cancelled while this fiber waited */
    if (err == 0 && TH_UNLIKELY(start->at != 0))
        err = thi_delay_start(scope, start, thi_remote_start);
    else if (err == 0 && TH_LIKELY(start->place == TH_PLACE_HERE))
        err = thi_start_here(scope, start);
    else if (err == 0)
        err = thi_remote_start(scope, start);
    if (TH_UNLIKELY(err < 0))
        thi_scope_child_ended(scope, 0);
    return err;
}

/* From a function that the loop calls: it cannot wait for room, so its start does. */
static int spawn_from_loop(thi_scope *scope, const thi_start *start)
{
    if (scope->status < 0)
        return scope->status;
    if (!has_place(scope))
        return spawn_from_afar(scope, *start);
    scope->live++;
    return start_in_place(scope, start);
}

static int spawn(thi_scope *scope, const thi_start *start)
{
    if (TH_UNLIKELY(thi_worker_self != scope->worker))
        return spawn_from_afar(scope, *start);
    if (TH_UNLIKELY(!thi_worker_self->current))
        return spawn_from_loop(scope, start);
    int err = scope->status;
    if (err < 0)
        return err;
    err = take_place(scope);
    return err < 0 ? err : start_in_place(scope, start);
}

/* The plain case, which most are, needs no description that travels. */
int th_spawn_from(th_scope *scope, th_fiber_fn fn, void *arg, const char *origin)
{
    if (!fn || !thi_scope_is_open(thi_scope_of(scope)))
        return -EINVAL;
    thi_scope *s = thi_scope_of(scope);
    thi_worker *worker = s->worker;
    bool plain = worker == thi_worker_self && worker->current && s->status == 0 && has_place(s);
    if (TH_UNLIKELY(!plain)) {
        thi_start start = { .fn = fn, .arg = arg, .origin = origin };
        return spawn(s, &start);
    }
    if (!thi_start_fiber(s, fn, arg, origin, (unsigned)worker->stack_class))
        return -ENOMEM;
    s->live++;
    return 0;
}

/* The macros of the same names are for calls; these are for whoever takes their address. */
int(th_spawn)(th_scope *scope, th_fiber_fn fn, void *arg)
{
    return th_spawn_from(scope, fn, arg, NULL);
}

static bool place_exists(const thi_scope *scope, int place)
{
    return place >= TH_PLACE_ROUND && place <= (int)scope->worker->runtime->count;
}

/* The same with a handle, which is there before the fiber is. */
static int spawn_handle(thi_scope *scope, thi_start *start, th_fiber **out)
{
    bool away = thi_worker_self != scope->worker || !thi_worker_self->current ||
                start->place != TH_PLACE_HERE || start->at;
    start->handle = thi_handle_new(scope->worker, start->name, start->origin, away);
    if (!start->handle)
        return -ENOMEM;
    int err = spawn(scope, start);
    if (err < 0) {
        thi_handle_unref(start->handle);
        thi_handle_unref(start->handle);
        return err;
    }
    *out = (th_fiber *)(void *)start->handle;
    return 0;
}

static bool are_valid(const thi_scope *scope, const th_spawn_opts *opts)
{
    return opts->size <= sizeof *opts && thi_stack_class(opts->stack_size) >= 0 &&
           place_exists(scope, opts->place) && opts->delay >= 0 && thi_rank_of(opts->priority) >= 0;
}

int th_spawn_with_from(const char *origin, th_scope *storage, th_fiber_fn fn, void *arg,
                       const th_spawn_opts *opts, th_fiber **fiber)
{
    thi_scope *scope = thi_scope_of(storage);
    if (!fn || !thi_scope_is_open(scope))
        return -EINVAL;
    thi_start start = { .fn = fn, .arg = arg, .origin = origin };
    if (opts) {
        if (!are_valid(scope, opts))
            return -EINVAL;
        start.name = opts->name;
        start.stack_size = opts->stack_size;
        start.place = opts->place;
        start.rank = (uint8_t)thi_rank_of(opts->priority);
        start.at = opts->delay ? th_after(opts->delay) : 0;
    }
    if (thi_worker_self == scope->worker && start.place == 1 + (int)scope->worker->index)
        start.place = TH_PLACE_HERE;
    return fiber ? spawn_handle(scope, &start, fiber) : spawn(scope, &start);
}

int(th_spawn_with)(th_scope *scope, th_fiber_fn fn, void *arg, const th_spawn_opts *opts,
                   th_fiber **fiber)
{
    return th_spawn_with_from(NULL, scope, fn, arg, opts, fiber);
}
