/* SPDX-License-Identifier: MIT */

/*
 * Parking and waking fibers: the one place where suspension happens.
 *
 * A suspending call fills a thi_wait, puts it where the waker will find it, and parks. Exactly one
 * party makes the fiber ready: the waker, or the canceller through wait->abort.
 */
#ifndef THI_RUNTIME_SCHED_H
#define THI_RUNTIME_SCHED_H

#include "base/assert.h"
#include "runtime/points.h"
#include "runtime/rank.h"
#include "runtime/tree.h"
#include "runtime/worker.h"

#include <errno.h>

/*
 * Suspends the running fiber until thi_sched_ready() and returns the result given there. Does not
 * look at the scope first: thi_sched_may_park() does.
 */
int thi_sched_park(thi_wait *wait);

/* The same for a wait that names who can end it, by whatever chain of waits it may be part of. */
int thi_sched_park_tied(thi_wait *wait);

/* Makes a parked fiber of this worker ready; its thi_sched_park() will return `result`. */
void thi_sched_ready(th_fiber *fiber, int result);

/* What every fresh context runs: a loop that serves one spawn after the other. */
void thi_fiber_entry(void *fiber);

/* Puts a fiber at the end of the run queue of its rank. */
static inline void thi_sched_enqueue(thi_worker *worker, th_fiber *fiber)
{
    fiber->state = THI_FIBER_READY;
    fiber->next = NULL;
    if (TH_UNLIKELY(fiber->rank != THI_RANK_NORMAL)) {
        thi_rank_enqueue(worker, fiber);
        return;
    }
    if (worker->ready[THI_RANK_NORMAL].first)
        worker->ready[THI_RANK_NORMAL].last->next = fiber;
    else
        worker->ready[THI_RANK_NORMAL].first = fiber;
    worker->ready[THI_RANK_NORMAL].last = fiber;
}

/* Switches from fiber to fiber before the loop is looked at, when events are to be expected. */
#define THI_SLICE_MIN 61

/* Runs the ready fibers until none is left or the slice is used up; called on the thread's stack.
 */
void thi_sched_run(thi_worker *worker);

/*
 * From a function that the loop calls: runs a new fiber at once, before those that are ready, up to
 * its first wait or its end. Where a simulation picks, and on a fiber, it is made ready.
 */
void thi_sched_run_first(thi_worker *worker, th_fiber *fiber);

/* ---- what is inlined where a nanosecond counts ---- */

static inline th_fiber *thi_sched_take_first_(thi_worker *worker)
{
    th_fiber *fiber = worker->ready[THI_RANK_NORMAL].first;
    worker->ready[THI_RANK_NORMAL].first = fiber->next;
    return fiber;
}

/* Where some ready fiber has another rank, to the one whose turn it is; else to the scheduler. On
 * the way the wait is counted, where that is asked for. */
thi_context *thi_sched_elsewhere_(thi_worker *worker);

/* Who runs after the fiber that leaves: the next one that is ready, or the scheduler. A worker that
 * counts waits has no slices. */
static inline thi_context *thi_sched_successor_(thi_worker *worker)
{
    if (TH_LIKELY(worker->budget > 0 && worker->ready[THI_RANK_NORMAL].first)) {
        worker->budget--;
        th_fiber *next = thi_sched_take_first_(worker);
        next->state = THI_FIBER_RUNNING;
        worker->current = next;
        return &next->context;
    }
    return thi_sched_elsewhere_(worker);
}

/* Leaves the running fiber, which is queued somewhere, for whoever comes next. */
static inline void thi_sched_switch_away_(thi_worker *worker, th_fiber *self)
{
    thi_context *next = thi_sched_successor_(worker);
    if (next != &self->context)
        thi_context_switch(&self->context, next);
}

/* The same as thi_sched_park(), but that the caller has set wait->since. */
static inline int thi_sched_park_inline(thi_wait *wait)
{
    thi_worker *worker = thi_worker_self;
    th_fiber *self = worker->current;
    int saved = *worker->errno_at;
    self->waits = wait;
    self->state = THI_FIBER_PARKED;
    thi_sched_switch_away_(worker, self);
    *worker->errno_at = saved;
    return self->wake_result;
}

static inline void thi_sched_ready_inline(th_fiber *fiber, int result)
{
    TH_DEBUG_ASSERT(fiber->worker == thi_worker_self);
    TH_ASSERT(fiber->state == THI_FIBER_PARKED);
    fiber->wake_result = result;
    thi_sched_enqueue(fiber->worker, fiber);
}

/*
 * Suspends the running fiber until everybody else who is ready has run and the loop has looked at
 * its events; obeys no scope.
 */
void thi_sched_give_way(void);

/* Operations in a row that may succeed at once; one on a descriptor counts as several. */
#define THI_ALLOWANCE       64
#define THI_COST_DESCRIPTOR 2

/* The slow half of thi_sched_spend(): lets others run if somebody or something waits for that. */
void thi_sched_overdrawn(thi_worker *worker);

/*
 * An operation that could have suspended did not have to. One whose lock is always free, whose
 * queue always full or whose peer always faster would never suspend, never let others run, and
 * never notice that its scope has ended. So a worker has an allowance of such operations, and who
 * uses it up may have to wait. Call it where the fiber may be suspended and nothing of the
 * operation is left open.
 */
static inline void thi_sched_spend(int cost)
{
    thi_worker *worker = thi_worker_self;
    if (TH_LIKELY(worker != NULL) && TH_UNLIKELY((worker->allowance -= cost) < 0))
        thi_sched_overdrawn(worker);
}

/* The running fiber, or NULL. */
static inline th_fiber *thi_sched_self(void)
{
    thi_worker *worker = thi_worker_self;
    return worker ? worker->current : NULL;
}

/* The slow half of thi_sched_may_park(): the scope's deadline has passed, or it has a status. */
int thi_sched_expired(thi_scope *scope);

/* The same for whoever has the running fiber at hand; NULL gives -EPERM. */
static inline int thi_sched_may_park_as(th_fiber *self)
{
    if (TH_UNLIKELY(!self))
        return -EPERM;
    thi_scope *scope = self->scope;
    if (TH_LIKELY(scope->status == 0 && scope->deadline > self->worker->loop.now))
        return 0;
    return thi_sched_expired(scope);
}

/*
 * What a call must ask before it suspends: 0, or what the scope of the running fiber says. A
 * deadline that has passed counts even if its timer has not fired yet. -EPERM outside a fiber.
 */
static inline int thi_sched_may_park(void)
{
    return thi_sched_may_park_as(thi_sched_self());
}

#endif
