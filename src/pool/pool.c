/* SPDX-License-Identifier: MIT */

/* Pools as users see them: options, beginning and end. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/error.h"
#include "loop/sim_world.h"
#include "pool/simulated.h"
#include "pool/threads.h"
#include "sys/machine.h"

#include <thrum/time.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define THREADS_MAX       1024
#define THREADS_DEFAULT   32
#define THREADS_SPARE     4 /* beside one for each CPU: those that wait for a disk, not compute */
#define THREADS_SIMULATED 8u
#define QUEUE_DEFAULT     1024
#define IDLE_DEFAULT      (10 * TH_SECOND)
#define STACK_MAX         ((size_t)1 << 30)
#define NICEST            19 /* sched(7) */

static int check(const th_pool_opts *o)
{
    if (o->size > sizeof *o || o->idle_time < 0)
        return -EINVAL;
    if (o->when_full < TH_POOL_WAIT || o->when_full > TH_POOL_RUN_HERE)
        return thi_err_set(-EINVAL, "when_full is %d", o->when_full);
    if (o->threads_max > THREADS_MAX || o->threads_min > THREADS_MAX)
        return thi_err_set(-EINVAL, "a pool has at most %d threads", THREADS_MAX);
    if (o->threads_max > 0 && o->threads_min > o->threads_max)
        return thi_err_set(-EINVAL, "at least %u threads and at most %u", o->threads_min,
                           o->threads_max);
    if (o->stack_size > 0 &&
        (o->stack_size < (size_t)PTHREAD_STACK_MIN || o->stack_size > STACK_MAX))
        return thi_err_set(-EINVAL, "a thread's stack of %zu bytes", o->stack_size);
    if (o->gives_way > NICEST)
        return thi_err_set(-EINVAL, "threads give way by at most %d steps, not %u", NICEST,
                           o->gives_way);
    return 0;
}

/* A simulation is the same on every machine, and to ask for the CPUs would let others run. */
static unsigned threads_max(const th_pool_opts *o, bool simulated)
{
    if (o->threads_max > 0)
        return o->threads_max;
    if (simulated)
        return thi_max(THREADS_SIMULATED, o->threads_min);
    return thi_max(thi_min(thi_machine_cpus() + THREADS_SPARE, (unsigned)THREADS_DEFAULT),
                   o->threads_min);
}

int thi_pool_init(th_pool *pool, const th_pool_opts *opts, bool simulated)
{
    th_pool_opts o = opts ? *opts : (th_pool_opts){ 0 };
    int err = check(&o);
    if (err < 0)
        return err;
    *pool = (th_pool){ .simulated = simulated, .shut = true };
    (void)thi_inbox_take(&pool->inbox, true);
    pool->start = simulated ? thi_simulated_start : thi_threads_start;
    pool->queue_max = o.queue_max > 0 ? o.queue_max : QUEUE_DEFAULT;
    pool->servers_min = o.threads_min;
    pool->servers_max = threads_max(&o, simulated);
    pool->may_linger = !simulated && thi_machine_cpus() > 1;
    pool->when_full = (uint8_t)o.when_full;
    pool->idle_time = o.idle_time > 0 ? o.idle_time : IDLE_DEFAULT;
    pool->stack_size = o.stack_size;
    pool->gives_way = o.gives_way;
    thi_list_init(&pool->virtual_threads);
    snprintf(pool->name, sizeof pool->name, "%s", o.name ? o.name : "pool");
    pool->helpers.at_rest = thi_crew_at_rest;
    if (!simulated)
        thi_helpers_add(&pool->helpers);
    return 0;
}

int th_pool_new(const th_pool_opts *opts, th_pool **pool)
{
    if (!pool)
        return -EINVAL;
    th_pool *made = thi_alloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    int err = thi_pool_init(made, opts, thi_sim_self != NULL);
    if (err < 0) {
        thi_free(made);
        return err;
    }
    *pool = made;
    return 0;
}

/* Whether the caller may end a pool, and wait for its end. */
static int may_end(const th_pool *pool, bool waits)
{
    if (!pool)
        return -EINVAL;
    if (pool->lasting)
        return thi_err_set(-EPERM, "pool %s belongs to the process", pool->name);
    if (waits && thi_pool_self == pool)
        return thi_err_set(-EDEADLK, "a job of pool %s would wait for its own end", pool->name);
    return waits && thi_worker_self && !thi_sched_self() ? -EPERM : 0;
}

int th_pool_stop(th_pool *pool, int how)
{
    bool waits = !(how & TH_POOL_NO_WAIT);
    int err = how & ~(TH_POOL_ABORT | TH_POOL_NO_WAIT) ? -EINVAL : may_end(pool, waits);
    if (err < 0)
        return err;
    thi_crew_stop(pool, how & TH_POOL_ABORT ? THI_CREW_ABORTS : THI_CREW_FINISHES);
    return waits ? thi_crew_wait(pool, true) : 0;
}

int th_pool_free(th_pool *pool)
{
    int err = pool ? may_end(pool, true) : 0;
    if (!pool || err < 0)
        return err;
    thi_crew_stop(pool, THI_CREW_FINISHES);
    (void)!thi_crew_wait(pool, false);
    if (!pool->simulated)
        thi_helpers_remove(&pool->helpers);
    thi_free(pool);
    return 0;
}

int th_pool_get_stats(th_pool *pool, th_pool_stats *stats)
{
    if (!pool || !stats)
        return -EINVAL;
    thi_crew_stats(pool, stats);
    return 0;
}

const char *th_pool_name(const th_pool *pool)
{
    return pool ? pool->name : "";
}

int th_work_cancelled(void)
{
    thi_job *job = thi_job_self;
    if (TH_LIKELY(job != NULL)) {
        bool unwanted = atomic_load_explicit(&job->unwanted, memory_order_relaxed) ||
                        atomic_load_explicit(&thi_pool_self->aborted, memory_order_relaxed);
        return unwanted ? -ECANCELED : 0;
    }
    return th_check(); /* run in place by a fiber; -EPERM where there is none */
}
