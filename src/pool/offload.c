/* SPDX-License-Identifier: MIT */

/*
 * Off-loading: the job lives on the stack of the one who waits for it.
 *
 * So its end must be awaited whatever happens. A cancellation breaks off the wait; if the job can
 * still be taken out of the queue that is the end of it, else a second wait begins, which nothing
 * breaks off. The lock of `waiting` is what both sides agree by: after `done` was seen under it the
 * pool does not touch the job any more.
 */
#include "base/error.h"
#include "pool/crew.h"
#include "pool/defaults.h"
#include "runtime/sched.h"

#include <errno.h>
#include <string.h>

typedef struct offload {
    thi_job job;
    thi_waitq waiting; /* the one who waits, if he has come to it */
    th_work_fn fn;
    void *arg;
    int result;
    bool done;                        /* under the lock */
    char detail[THI_ERR_DETAIL_SIZE]; /* of a failure; empty without one */
} offload;

/* The detail of a failure is kept by the thread; the one who waits shall have it. */
static void run(thi_job *job)
{
    offload *o = thi_container_of(job, offload, job);
    if (*th_err_detail())
        (void)thi_err_set(0, "%s", ""); /* of other work */
    o->result = o->fn(o->arg);
    if (TH_UNLIKELY(o->result < 0))
        memcpy(o->detail, th_err_detail(), strlen(th_err_detail()) + 1);
}

static void finish(thi_job *job)
{
    offload *o = thi_container_of(job, offload, job);
    thi_waitq_lock(&o->waiting);
    o->done = true;
    thi_waiter *w = thi_waitq_pop(&o->waiting);
    thi_waitq_unlock(&o->waiting);
    if (w)
        thi_waiter_wake(w, 0);
}

static void drop(thi_job *job, int why)
{
    offload *o = thi_container_of(job, offload, job);
    o->result = why;
    finish(job);
}

static const thi_job_ops ops = { .run = run, .finish = finish, .drop = drop };

/* Waits by a waiter that is prepared. A thread that is always faster must let the others run. */
static int sleep_until_done(offload *o, thi_waiter *w)
{
    thi_waitq_lock(&o->waiting);
    bool done = o->done;
    if (!done)
        thi_waitq_push(&o->waiting, w);
    thi_waitq_unlock(&o->waiting);
    if (!done)
        return thi_waiter_sleep(w);
    thi_sched_spend(THI_COST_DESCRIPTOR); /* for what the thread was woken with */
    return 0;
}

static int result_of(const offload *o)
{
    return TH_UNLIKELY(o->detail[0]) ? thi_err_set(o->result, "%s", o->detail) : o->result;
}

static const thi_wait_kind offloaded = { "offload", THI_BY_WORK, offsetof(offload, fn) };

static int wait(th_pool *pool, offload *o)
{
    thi_waiter w;
    thi_waiter *admitted;
    int err = thi_waiter_init(&w, &o->waiting, &offloaded, o);
    if (err == 0)
        err = sleep_until_done(o, &w);
    if (TH_LIKELY(err == 0))
        return result_of(o);
    bool revoked = thi_crew_revoke(pool, &o->job, &admitted);
    if (admitted)
        thi_waiter_wake(admitted, 0);
    if (revoked)
        return err;
    thi_waiter_init_on(&w, &o->waiting, &offloaded, o);
    (void)!sleep_until_done(o, &w);
    return result_of(o);
}

int th_offload(th_pool *pool, th_work_fn fn, void *arg)
{
    if (TH_UNLIKELY(!fn))
        return -EINVAL;
    pool = pool ? pool : thi_default_pool();
    if (TH_UNLIKELY(thi_pool_self == pool)) /* it might wait for itself */
        return fn(arg);
    offload o;
    o.waiting = (thi_waitq){ 0 };
    o.fn = fn;
    o.arg = arg;
    o.done = false;
    o.detail[0] = '\0';
    thi_waiter probe; /* who may not wait shall not start anything either */
    int err = thi_waiter_init(&probe, &o.waiting, &offloaded, &o);
    if (TH_UNLIKELY(err < 0))
        return err;
    thi_job_init(&o.job, &ops, THI_JOB_NORMAL);
    err = thi_crew_put(pool, &o.job);
    return TH_LIKELY(err == 0) ? wait(pool, &o) : err;
}
