/* SPDX-License-Identifier: MIT */

/*
 * Work with a future: one block of memory holds both.
 *
 * The block has two handles from the start: the work's own, given back when the work has ended or
 * was taken out, and the submitter's. So whoever abandons it leaves it to the work. Of work whose
 * future nobody asked for there is none: the block is the job's alone.
 */
#include "base/spares.h"
#include "pool/crew.h"
#include "pool/defaults.h"
#include "pool/future.h"

#include <errno.h>

typedef struct task {
    thi_job job;
    th_work_fn fn; /* beside the job: without a future no more is touched than this */
    void *arg;
    th_pool *pool;
    th_future future;
    thi_waiter *woken; /* those who waited, between the end of the work and that of the job */
} task;

static thi_spares tasks = { .size = sizeof(task) };

static task *task_of(th_future *future)
{
    return thi_container_of(future, task, future);
}

static void run(thi_job *job)
{
    task *t = thi_container_of(job, task, job);
    thi_future_begin(&t->future);
    int result = t->fn(t->arg);
    (void)thi_future_complete(&t->future, result, &t->woken);
}

static void finish(thi_job *job)
{
    task *t = thi_container_of(job, task, job);
    thi_waiter_wake_all(t->woken);
    th_future_unref(&t->future);
}

static void drop(thi_job *job, int why)
{
    task *t = thi_container_of(job, task, job);
    (void)thi_future_complete(&t->future, why, &t->woken);
    finish(job);
}

static void run_unwatched(thi_job *job)
{
    task *t = thi_container_of(job, task, job);
    (void)t->fn(t->arg);
}

static void finish_unwatched(thi_job *job)
{
    thi_spares_free(&tasks, thi_container_of(job, task, job));
}

static void drop_unwatched(thi_job *job, int why)
{
    (void)why;
    finish_unwatched(job);
}

static const thi_job_ops unwatched_ops = { .run = run_unwatched,
                                           .finish = finish_unwatched,
                                           .drop = drop_unwatched };
static const thi_job_ops job_ops = { .run = run, .finish = finish, .drop = drop };

static bool revoke(th_future *future, thi_waiter **woken)
{
    task *t = task_of(future);
    return thi_crew_revoke(t->pool, &t->job, woken);
}

/* A thread of the pool that waits for its own pool would hold up what it waits for. */
static void help(th_future *future)
{
    task *t = task_of(future);
    if (thi_pool_self == t->pool)
        thi_crew_help(t->pool, &t->job);
}

static const thi_future_ops future_ops = { .revoke = revoke, .help = help };

static void free_task(th_future *future)
{
    thi_spares_free(&tasks, task_of(future));
}

static int rank_of(int priority)
{
    switch (priority) {
    case TH_POOL_NORMAL:
        return THI_JOB_NORMAL;
    case TH_POOL_HIGH:
        return THI_JOB_HIGH;
    case TH_POOL_LOW:
        return THI_JOB_LOW;
    default:
        return -EINVAL;
    }
}

int th_pool_submit(th_pool *pool, th_work_fn fn, void *arg, int priority, th_future **future)
{
    int rank = rank_of(priority);
    if (!fn || rank < 0)
        return -EINVAL;
    pool = pool ? pool : thi_default_pool();
    task *t = thi_spares_alloc(&tasks);
    if (!t)
        return -ENOMEM;
    thi_job_init(&t->job, future ? &job_ops : &unwatched_ops, (uint8_t)rank);
    if (future)
        thi_future_init(&t->future, &future_ops, 2, free_task);
    t->pool = pool;
    t->fn = fn;
    t->arg = arg;
    int err = thi_crew_put(pool, &t->job);
    if (err < 0) {
        thi_spares_free(&tasks, t); /* nobody else has seen it */
        return err;
    }
    if (future)
        *future = &t->future;
    return 0;
}
