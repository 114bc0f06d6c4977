/* SPDX-License-Identifier: MIT */

/*
 * The life of a fiber: spawn, run, end, join.
 *
 * A context is entered once and then stays in a loop: run a body, account for its end, switch away,
 * and with the next spawn go round again. So a spawn builds no frame, and a fiber may put its own
 * object into the pool while it still runs the last lines here; nobody else runs before it has
 * switched away, and if it is spawned again before that, it simply goes round.
 *
 * The place of a child in its scope is counted before the fiber exists. Whoever ends hands its
 * place to the fiber that has waited longest, so newcomers cannot overtake.
 */
#include "runtime/spawn.h"

#include "base/alloc.h"
#include "runtime/remote.h"
#include "runtime/sched.h"

/* The wait of a fiber for the end of another. */
typedef struct joiner {
    thi_wait wait;
    thi_list link;
    th_fiber *fiber;
} joiner;

/* The wait of a fiber for room in a scope. */
typedef struct spawner {
    thi_wait wait;
    thi_list link;
    th_fiber *fiber;
} spawner;

/* Only the owner writes; others read an approximate figure. */
static void change_load(thi_worker *worker, size_t by)
{
    size_t load = atomic_load_explicit(&worker->load, memory_order_relaxed);
    atomic_store_explicit(&worker->load, load + by, memory_order_relaxed);
}

static void wake_joiners(th_fiber *fiber)
{
    thi_list *node;
    while ((node = thi_list_pop_front(&fiber->joiners)))
        thi_sched_ready(thi_list_item(node, joiner, link)->fiber, 0);
}

void thi_fiber_end(th_fiber *fiber, int result)
{
    thi_worker *worker = fiber->worker;
    thi_scope *home = fiber->home;
    TH_ASSERT(fiber->scope == home); /* the body has closed every scope that it opened */
    TH_ASSERT(thi_stack_intact(fiber));
    thi_scope_leave(fiber);
    fiber->result = result;
    wake_joiners(fiber);
    if (TH_UNLIKELY(fiber->detail != NULL)) {
        thi_free(fiber->detail);
        fiber->detail = NULL;
    }
    change_load(worker, (size_t)-1);
    fiber->state = THI_FIBER_ENDED;
    if (--fiber->refs == 0)
        thi_fiber_pool_put(&worker->fibers, fiber);
    thi_scope_child_ended(home, result);
}

int thi_spawn_here(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    thi_worker *worker = scope->worker;
    int stack_class = start->stack_size ? thi_stack_class(start->stack_size) : worker->stack_class;
    if (stack_class < 0)
        return stack_class;
    th_fiber *fiber = thi_fiber_pool_get(&worker->fibers, (unsigned)stack_class);
    if (!fiber)
        return -ENOMEM;
    fiber->worker = worker;
    fiber->fn = start->fn;
    fiber->arg = start->arg;
    fiber->name = start->name;
    fiber->refs = out ? 2 : 1;
    fiber->id = (uint64_t)worker->index << 48 | ++worker->last_id;
    fiber->home = scope;
    thi_list_init(&fiber->joiners);
    thi_scope_enter(scope, fiber);
    change_load(worker, 1);
    thi_sched_enqueue(worker, fiber);
    if (out)
        *out = fiber;
    return 0;
}

int thi_spawn_placed(thi_scope *scope, const thi_start *start)
{
    thi_worker *target = thi_worker_place(scope->worker, start->place);
    if (target == scope->worker)
        return thi_spawn_here(scope, start, NULL);
    return thi_remote_spawn(scope, target, start);
}

void thi_spawner_admit(thi_list *node)
{
    thi_sched_ready(thi_list_item(node, spawner, link)->fiber, 0);
}

void thi_spawn_pending(thi_scope *scope)
{
    thi_start *start = thi_container_of(thi_queue_pop(&scope->pending), thi_start, node);
    scope->live++;
    int err = thi_spawn_placed(scope, start);
    thi_free(start);
    if (err < 0)
        thi_scope_child_ended(scope, err);
}

static void spawner_abort(thi_wait *wait, int result)
{
    spawner *s = thi_container_of(wait, spawner, wait);
    thi_list_remove(&s->link);
    thi_sched_ready(s->fiber, result);
}

/* Takes a place for one more child, waiting for it if need be. */
static int take_place(thi_scope *scope)
{
    if (TH_LIKELY(scope->live < scope->limit && thi_list_empty(&scope->spawners))) {
        scope->live++;
        return 0;
    }
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    spawner s = { .wait = { .what = "spawn", .object = scope, .abort = spawner_abort },
                  .fiber = thi_sched_self() };
    thi_list_push_back(&scope->spawners, &s.link);
    return thi_sched_park(&s.wait);
}

/* From another worker or thread: "here" is where the caller is, if that is a worker. */
static int spawn_from_afar(thi_scope *scope, thi_start start)
{
    if (thi_worker_self && start.place == TH_PLACE_HERE)
        start.place = 1 + (int)thi_worker_self->index;
    return thi_remote_send_start(scope, &start);
}

static int spawn(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    if (TH_UNLIKELY(thi_worker_self != scope->worker || !thi_worker_self->current))
        return out ? -EINVAL : spawn_from_afar(scope, *start);
    int err = scope->status;
    if (err < 0)
        return err;
    err = take_place(scope);
    if (err < 0)
        return err;
    err = scope->status; /* it may have been cancelled while this fiber waited */
    if (err == 0 && TH_LIKELY(start->place == TH_PLACE_HERE))
        err = thi_spawn_here(scope, start, out);
    else if (err == 0)
        err = thi_spawn_placed(scope, start);
    if (TH_UNLIKELY(err < 0))
        thi_scope_child_ended(scope, 0);
    return err;
}

int th_spawn(th_scope *scope, th_fiber_fn fn, void *arg)
{
    if (!fn || !thi_scope_is_open(thi_scope_of(scope)))
        return -EINVAL;
    thi_start start = { .fn = fn, .arg = arg };
    return spawn(thi_scope_of(scope), &start, NULL);
}

static bool place_exists(const thi_scope *scope, int place)
{
    return place >= TH_PLACE_ROUND && place <= (int)scope->worker->runtime->count;
}

int th_spawn_with(th_scope *storage, th_fiber_fn fn, void *arg, const th_spawn_opts *opts,
                  th_fiber **fiber)
{
    thi_scope *scope = thi_scope_of(storage);
    if (!fn || !thi_scope_is_open(scope))
        return -EINVAL;
    thi_start start = { .fn = fn, .arg = arg };
    if (opts) {
        if (opts->size > sizeof *opts || thi_stack_class(opts->stack_size) < 0 ||
            !place_exists(scope, opts->place))
            return -EINVAL;
        start.name = opts->name;
        start.stack_size = opts->stack_size;
        start.place = opts->place;
    }
    if (fiber && start.place != TH_PLACE_HERE && start.place != 1 + (int)scope->worker->index)
        return -EINVAL;
    return spawn(scope, &start, fiber);
}

static void joiner_abort(thi_wait *wait, int result)
{
    joiner *j = thi_container_of(wait, joiner, wait);
    thi_list_remove(&j->link);
    thi_sched_ready(j->fiber, result);
}

int th_join(th_fiber *fiber, int *result)
{
    th_fiber *self = thi_sched_self();
    if (!fiber)
        return -EINVAL;
    if (!self)
        return -EPERM;
    if (fiber->worker != self->worker)
        return -EINVAL;
    if (fiber == self)
        return -EDEADLK;
    if (fiber->state != THI_FIBER_ENDED) {
        int err = thi_sched_may_park();
        if (err < 0)
            return err;
        joiner j = { .wait = { .what = "join", .object = fiber, .abort = joiner_abort },
                     .fiber = self };
        thi_list_push_back(&fiber->joiners, &j.link);
        err = thi_sched_park(&j.wait);
        if (err < 0)
            return err;
    }
    if (result)
        *result = fiber->result;
    return 0;
}

th_fiber *th_fiber_self(void)
{
    return thi_sched_self();
}

const char *th_fiber_name(const th_fiber *fiber)
{
    return fiber && fiber->name ? fiber->name : "fiber";
}

uint64_t th_fiber_id(const th_fiber *fiber)
{
    return fiber ? fiber->id : 0;
}

void th_fiber_unref(th_fiber *fiber)
{
    if (fiber && --fiber->refs == 0)
        thi_fiber_pool_put(&fiber->worker->fibers, fiber);
}
