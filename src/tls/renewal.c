/* SPDX-License-Identifier: MIT */

/*
 * Looking again in the background.
 *
 * `busy` is held by one party at a time: by the job from before it is put until after it has run or
 * was dropped, or by whoever looks himself. While it is set `due` does not matter, so a look that
 * takes longer than the span between two is not joined by a second one.
 */
#include "tls/renewal.h"

#include "base/util.h"
#include "pool/crew.h"
#include "sys/sys.h"

static thi_renewal *renewal_of(thi_job *job)
{
    return thi_container_of(job, thi_renewal, job);
}

static void run(thi_job *job)
{
    thi_renewal *renewal = renewal_of(job);
    renewal->ops->look(renewal);
}

/* The reference goes last: it may be the one that keeps the renewal itself. */
static void finish(thi_job *job)
{
    thi_renewal *renewal = renewal_of(job);
    thi_renewal_end(renewal);
    renewal->ops->release(renewal);
}

static void drop(thi_job *job, int why)
{
    (void)why;
    finish(job);
}

static const thi_job_ops job_ops = { .run = run, .finish = finish, .drop = drop };

void thi_renewal_init(thi_renewal *renewal, int64_t every, const thi_renewal_ops *ops)
{
    renewal->ops = ops;
    renewal->every = thi_min(every, THI_RENEWAL_MAX);
    atomic_init(&renewal->due, thi_sys_clock() + renewal->every);
    atomic_init(&renewal->busy, false);
}

bool thi_renewal_begin(thi_renewal *renewal)
{
    if (atomic_exchange(&renewal->busy, true))
        return false;
    atomic_store(&renewal->due, thi_sys_clock() + renewal->every);
    return true;
}

void thi_renewal_end(thi_renewal *renewal)
{
    atomic_store(&renewal->busy, false);
}

void thi_renewal_ask(thi_renewal *renewal)
{
    int64_t due = atomic_load_explicit(&renewal->due, memory_order_relaxed);
    if (TH_LIKELY(thi_sys_clock() < due) || !thi_renewal_begin(renewal))
        return;
    renewal->ops->hold(renewal);
    thi_job_init(&renewal->job, &job_ops, THI_JOB_LOW);
    if (thi_crew_put(th_pool_default(renewal->ops->pool), &renewal->job) < 0)
        finish(&renewal->job); /* the pool is full or ends: at the next look */
}
