/* SPDX-License-Identifier: MIT */

/* The round of a worker: fibers, then the loop. */
#include "runtime/turn.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "runtime/deadlock.h"
#include "runtime/locks.h"
#include "runtime/sched.h"
#include "sys/machine.h"
#include "sys/signals.h"

#include <errno.h>

#define STRIP_BATCH 64        /* stacks given back to the system in one round */
#define WARM_MIN    256       /* free stacks that a quiet worker keeps */
#define COOLING     TH_SECOND /* how often it looks whether it has more */

static void on_cooling(thi_timer *timer)
{
    thi_worker *worker = thi_container_of(timer, thi_worker, cooling);
    thi_fiber_pool_cool(&worker->fibers, WARM_MIN);
}

int thi_worker_open(thi_worker *worker, thi_runtime *runtime, unsigned index)
{
    int stack_class = thi_stack_class(runtime->opts.stack_size);
    if (stack_class < 0)
        return stack_class;
    *worker = (thi_worker){ .runtime = runtime, .index = index, .stack_class = stack_class };
    worker->allowance = THI_ALLOWANCE;
    thi_rank_init(worker, &runtime->opts);
    worker->thread_id = thi_machine_thread(); /* until it has one of its own, if it gets one */
    worker->counts = runtime->counts || thi_locks_are_seen();
    worker->slice = worker->counts ? 0 : THI_SLICE_MIN;
    worker->last_id = worker->published_id = (uint64_t)index << 48;
    thi_list_init(&worker->stoppers);
    thi_lookout_init(worker);
    thi_fiber_pool_init(&worker->fibers, thi_fiber_entry);
    thi_timer_init(&worker->cooling, on_cooling);
    return thi_loop_open(&worker->loop, runtime->engine.engine);
}

void thi_worker_close(thi_worker *worker)
{
    thi_lookout_deinit(worker);
    thi_loop_close(&worker->loop);
    thi_fiber_pool_deinit(&worker->fibers);
    thi_free(worker->scratch);
}

void *thi_worker_scratch(void)
{
    thi_worker *worker = thi_worker_self;
    if (TH_UNLIKELY(!worker->scratch))
        worker->scratch = thi_alloc(THI_SCRATCH_SIZE);
    return worker->scratch;
}

/* Counters of fibers are told once a round, so that a spawn does not pay for them. */
static void publish(thi_worker *worker)
{
    size_t live = atomic_load_explicit(&worker->load, memory_order_relaxed) - worker->guests;
    thi_metric_add(THI_M_FIBERS_SPAWNED, (int64_t)(worker->last_id - worker->published_id));
    thi_metric_add(THI_M_FIBERS_LIVE, (int64_t)(live - worker->published_live));
    worker->published_id = worker->last_id;
    worker->published_live = live;
}

bool thi_worker_turn(thi_worker *worker, int64_t until)
{
    worker->lookout.rounds += thi_worker_has_ready(worker);
    thi_sched_run(worker);
    publish(worker);
    bool stripping = thi_fiber_pool_strip(&worker->fibers, STRIP_BATCH);
    if (TH_UNLIKELY(worker->fibers.hot_count > WARM_MIN) && !thi_timer_active(&worker->cooling))
        thi_loop_timer(&worker->loop, &worker->cooling, worker->loop.now + COOLING);
    if (thi_worker_has_ready(worker) || stripping)
        until = 0;
    else
        thi_lookout_rest(worker);
    /* A turn can fail only for lack of kernel memory; timers and messages were handled all the
     * same. */
    (void)!thi_loop_turn(&worker->loop, until);
    return stripping;
}

void thi_worker_rounds(thi_worker *worker)
{
    while (!worker->stop)
        thi_worker_turn(worker, INT64_MAX);
    publish(worker);
}

bool thi_worker_begin(thi_worker *worker)
{
    thi_worker_self = worker;
    worker->errno_at = &errno;
    __atomic_store_n(&worker->thread_id, thi_machine_thread(), __ATOMIC_RELAXED);
    (void)!thi_metrics_attach(); /* without a block of its own the thread counts in the shared one
                                  */
    thi_trace_enlist(worker->index, worker->thread_id);
    bool held = thi_sigpipe_hold();
    thi_context_init_thread(&worker->scheduler);
    thi_loop_look_at_clock(&worker->loop); /* from now on it is busy, for others to see */
    return held;
}

void thi_worker_end(thi_worker *worker, bool held)
{
    thi_loop_set_stale(&worker->loop, true);
    thi_sigpipe_release(held);
    thi_trace_delist();
    thi_metrics_detach();
    thi_context_deinit(&worker->scheduler);
    thi_worker_self = NULL;
}

void thi_worker_run(thi_worker *worker)
{
    bool held = thi_worker_begin(worker);
    thi_worker_rounds(worker);
    thi_worker_end(worker, held);
}
