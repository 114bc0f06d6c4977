/* SPDX-License-Identifier: MIT */

/*
 * The scheduler of a worker.
 *
 * A fiber that suspends switches straight to the next ready one; the loop's own stack is entered
 * only when nobody is ready or the slice is used up. So a hand-over between fibers is one switch.
 *
 * The slice bounds how long events wait while fibers keep each other busy. It is counted in
 * switches because a clock would cost more than the switch, and adapts to what switches cost: a
 * turn that found nothing to do and came soon doubles it, one that came late halves it.
 */
#include "runtime/sched.h"

#include "base/alloc.h"
#include "fiber/depth.h"
#include "runtime/deadlock.h"
#include "runtime/overflow.h"
#include "runtime/place.h"
#include "runtime/tree.h"
#include "sys/sys.h"

#include <thrum/fiber.h>

#define SLICE_MAX  4096
#define SLICE_SOON (100 * TH_MICROSECOND)
#define SLICE_LATE (500 * TH_MICROSECOND)

#define OVERDRAWN_MAX 16 /* allowances used up until the loop is looked at */

/*
 * The trace sees each switch, so budget is 0 while it is on, and `traced` is spent in its place.
 * Here the fiber that leaves is recorded, and the next one chosen.
 */
static th_fiber *next_traced(thi_worker *worker)
{
    const th_fiber *last = worker->current;
    th_fiber *next = NULL;
    if (last)
        worker->began = thi_trace_record(worker->began, TH_TRACE_FIBER, last->id,
                                         last->state == THI_FIBER_FREE, (uintptr_t)last->fn);
    if (worker->ranked > 0) {
        next = thi_rank_next(worker);
    } else if (worker->traced > 0 && worker->ready[THI_RANK_NORMAL].first) {
        worker->traced--;
        next = thi_sched_take_first_(worker);
    }
    worker->traced += worker->budget; /* which the last one of another rank gave back */
    worker->budget = 0;
    return next;
}

thi_context *thi_sched_elsewhere_(thi_worker *worker)
{
    if (TH_UNLIKELY(worker->counts))
        thi_points_pass(worker->current);
    th_fiber *next = TH_UNLIKELY(worker->began != 0) ? next_traced(worker)
                     : worker->ranked > 0            ? thi_rank_next(worker)
                                                     : NULL;
    worker->current = next;
    if (next) {
        next->state = THI_FIBER_RUNNING;
        return &next->context;
    }
    return &worker->scheduler;
}

int thi_sched_park(thi_wait *wait)
{
    wait->since = thi_worker_self->loop.now;
    return thi_sched_park_inline(wait);
}

int thi_sched_park_tied(thi_wait *wait)
{
    thi_worker *worker = thi_worker_self;
    th_fiber *self = worker->current;
    thi_list_push_back(&worker->lookout.tied, &self->tied);
    thi_lookout_wake(worker);
    int result = thi_sched_park(wait);
    thi_list_remove(&self->tied);
    return result;
}

void thi_sched_ready(th_fiber *fiber, int result)
{
    thi_sched_ready_inline(fiber, result);
}

/* What most fibers do not have is tidied up here. */
static void tidy_up(th_fiber *fiber)
{
    if (fiber->locals)
        fiber->locals->end(&fiber->locals);
    if (fiber->detail) {
        thi_free(fiber->detail);
        fiber->detail = NULL;
    }
    if (fiber->follower)
        fiber->follower->leaves(fiber->follower);
}

/*
 * Accounts for the end of a body, the last that its fiber does before it leaves. From the moment it
 * is in the pool it may be spawned again; nobody else runs before it has switched away, and then it
 * simply goes round.
 */
static void end(th_fiber *fiber, int result)
{
    thi_worker *worker = fiber->worker;
    thi_scope *home = fiber->home;
    if (TH_UNLIKELY(((uintptr_t)fiber->follower | (uintptr_t)fiber->detail |
                     (uintptr_t)fiber->locals) != 0))
        tidy_up(fiber);
    thi_follower *follower = fiber->follower;
    if (TH_UNLIKELY(fiber->scope != home)) /* its storage is gone: nothing can be saved */
        thi_assert_fail(__FILE__, __LINE__, "a fiber closes every scope that it opened");
    if (TH_UNLIKELY(!thi_stack_intact(fiber)))
        thi_overflow_found(fiber);
    thi_scope_leave(fiber);
    thi_worker_add_load(worker, (size_t)-1);
    thi_fiber_pool_put(&worker->fibers, fiber);
    if (TH_LIKELY(!follower)) {
        thi_scope_child_ended(home, result);
        return;
    }
    fiber->follower = NULL;
    follower->ended(follower, home, result);
}

/*
 * The switch is inlined here, so that no return lies between the switch to a fiber and its body:
 * the returns of whoever is resumed next are then predicted rightly.
 */
void thi_fiber_entry(void *object)
{
    th_fiber *fiber = object;
    thi_context_entered(&fiber->context);
    for (;;) {
        const char *from = TH_UNLIKELY(fiber->stands_for > 0) ? thi_depth_clear(fiber) : NULL;
        int result = fiber->fn(fiber->arg);
        if (TH_UNLIKELY(from != NULL))
            thi_marks_ended(fiber, from, __builtin_frame_address(0));
        end(fiber, result);
        thi_annotate_ended(&fiber->context.note, __builtin_frame_address(0));
        thi_context *next = thi_sched_successor_(fiber->worker);
        if (next != &fiber->context) /* it may have been spawned anew */
            thi_context_leave(&fiber->context, next);
        thi_annotate_reused(&fiber->context.note);
    }
}

static void adapt_slice(thi_worker *worker)
{
    if (worker->budget > 0) { /* the fibers came to rest by themselves */
        worker->slice = THI_SLICE_MIN;
        return;
    }
    int64_t spent = thi_sys_clock() - worker->loop.now;
    if (spent > SLICE_LATE && worker->slice > THI_SLICE_MIN)
        worker->slice /= 2;
    else if (spent < SLICE_SOON && worker->slice < SLICE_MAX)
        worker->slice *= 2;
}

/* Every switch goes by the scheduler's stack, because every one is a choice. */
static void run_picked(thi_worker *worker)
{
    th_fiber *next;
    worker->budget = worker->aside = 0;
    while (thi_worker_has_ready(worker) && (next = worker->pick(worker))) {
        next->state = THI_FIBER_RUNNING;
        worker->current = next;
        worker->began = thi_trace_begin();
        thi_context_switch(&worker->scheduler, &next->context);
    }
}

void thi_sched_run(thi_worker *worker)
{
    if (!thi_worker_has_ready(worker))
        return;
    if (TH_UNLIKELY(worker->pick != NULL)) {
        run_picked(worker);
        return;
    }
    worker->budget = worker->slice;
    if (TH_UNLIKELY(worker->ranked > 0)) {
        worker->aside = worker->budget;
        worker->budget = 0;
    }
    th_fiber *next = worker->ranked > 0 ? thi_rank_take(worker) : thi_sched_take_first_(worker);
    worker->began = thi_trace_begin();
    if (TH_UNLIKELY(worker->began != 0)) {
        worker->traced = worker->budget;
        worker->budget = 0;
    }
    next->state = THI_FIBER_RUNNING;
    worker->current = next;
    thi_context_switch(&worker->scheduler, &next->context);
    if (TH_UNLIKELY(worker->traced > 0)) {
        worker->budget = worker->traced;
        worker->traced = 0;
    }
    if (TH_UNLIKELY(worker->ranked > 0))
        worker->budget = worker->aside;
    adapt_slice(worker);
}

void thi_sched_run_first(thi_worker *worker, th_fiber *fiber)
{
    if (TH_UNLIKELY(worker->current != NULL || worker->pick != NULL)) {
        thi_sched_enqueue(worker, fiber);
        return;
    }
    worker->budget = worker->aside = worker->traced = 0; /* whoever is ready waits for
                                                            thi_sched_run() */
    worker->began = thi_trace_begin();
    fiber->state = THI_FIBER_RUNNING;
    worker->current = fiber;
    thi_context_switch(&worker->scheduler, &fiber->context);
}

int thi_sched_expired(thi_scope *scope)
{
    if (scope->status == 0)
        thi_scope_expire(scope, scope->worker->loop.now);
    return scope->status;
}

int th_check(void)
{
    th_fiber *self = thi_sched_self();
    if (!self)
        return -EPERM;
    thi_scope *scope = self->scope;
    if (scope->status == 0 && scope->deadline != TH_NEVER) {
        int64_t now = thi_sys_clock(); /* whoever computes for long is not in the loop's present */
        if (scope->deadline <= now)
            thi_scope_expire(scope, now);
    }
    return scope->status;
}

int th_yield(void)
{
    thi_worker *worker = thi_worker_self;
    th_fiber *self = worker ? worker->current : NULL;
    int err = thi_sched_may_park_as(self);
    if (TH_UNLIKELY(err < 0))
        return err;
    if (!worker->ready[THI_RANK_NORMAL].first &&
        worker->budget > 0) { /* nobody else: the loop is asked now and then */
        worker->budget--;
        return 0;
    }
    int saved = *worker->errno_at;
    thi_sched_enqueue(worker, self);
    thi_sched_switch_away_(worker, self);
    *worker->errno_at = saved;
    return 0;
}

void thi_sched_give_way(void)
{
    thi_worker *worker = thi_worker_self;
    th_fiber *self = worker->current;
    int saved = *worker->errno_at;
    thi_sched_enqueue(worker, self);
    worker->budget = worker->aside = worker->traced = 0;
    thi_sched_switch_away_(worker, self);
    *worker->errno_at = saved;
}

/*
 * The clock is looked at only here, and says whether the turn has lasted long enough for the loop
 * to be asked. Now and then it is asked in any case: a simulation's clock does not move meanwhile.
 */
void thi_sched_overdrawn(thi_worker *worker)
{
    worker->allowance = THI_ALLOWANCE;
    if (!worker->current)
        return;
    if (++worker->overdrawn % OVERDRAWN_MAX == 0 ||
        thi_sys_clock() - worker->loop.now > SLICE_LATE) {
        thi_sched_give_way();
    } else if (thi_worker_has_ready(worker)) {
        int saved = *worker->errno_at;
        thi_sched_enqueue(worker, worker->current);
        thi_sched_switch_away_(worker, worker->current);
        *worker->errno_at = saved;
    }
}

/* A sleeper: its timer and its wait. */
typedef struct sleeper {
    thi_wait wait;
    thi_timer timer;
    th_fiber *fiber;
} sleeper;

static const thi_wait_kind sleeping = { "sleep", THI_BY_TIME, offsetof(thi_timer, due) };

static void sleeper_expired(thi_timer *timer)
{
    sleeper *s = thi_container_of(timer, sleeper, timer);
    thi_sched_ready(s->fiber, 0);
}

static void sleeper_abort(thi_wait *wait, int result)
{
    sleeper *s = thi_container_of(wait, sleeper, wait);
    thi_timer_cancel(&s->fiber->worker->loop.timers, &s->timer);
    thi_sched_ready(s->fiber, result);
}

int th_sleep_until(int64_t time)
{
    th_fiber *self = thi_sched_self();
    int err = thi_sched_may_park_as(self);
    if (err < 0)
        return err;
    sleeper s = { .wait = { .kind = &sleeping, .object = &s.timer, .abort = sleeper_abort },
                  .fiber = self };
    thi_loop *loop = &self->worker->loop;
    thi_timer_init(&s.timer, sleeper_expired);
    if (time <= loop->now)
        return th_yield();
    if (time != TH_NEVER)
        thi_loop_timer(loop, &s.timer, time);
    else
        s.timer.due = TH_NEVER; /* for whoever looks */
    return thi_sched_park(&s.wait);
}

int th_sleep(int64_t span)
{
    return span <= 0 ? th_yield() : th_sleep_until(th_after(span));
}
