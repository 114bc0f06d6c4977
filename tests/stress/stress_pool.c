/* SPDX-License-Identifier: MIT */

/* A crowd at a pool: every job runs once or never, as its future says, also while the pool stops.
 */
#include "crowd.h"

#include <thrum/future.h>
#include <thrum/pool.h>

#define JOBS 600 /* of each */

/* How a job was given away, and with it how often it may have run. */
enum { NOT_YET, MUST_RUN, MAY_RUN, MUST_NOT_RUN };

typedef struct job {
    int number; /* its result */
    int fate;   /* one of the above; its owner's */
    int runs;   /* plain: its runs, if there are several, are in an order */
} job;

static job jobs[CROWD][JOBS];
static th_pool *pool;
static atomic_bool stopping; /* somebody has said that it is to stop */

static void begin_with(size_t queue_max, int when_full)
{
    th_pool_opts opts = {
        .name = "crowd", .threads_max = 4, .queue_max = queue_max, .when_full = when_full
    };
    surely(th_pool_new(&opts, &pool));
    atomic_store(&stopping, false);
    for (int me = 0; me < CROWD; me++)
        for (int i = 0; i < JOBS; i++)
            jobs[me][i] = (job){ .number = me * JOBS + i };
}

static int run(void *arg)
{
    job *j = arg;
    if (j->number % 64 == 0)
        (void)sched_yield();
    j->runs++;
    return j->number;
}

/* What a result that is known says of the runs. */
static void settle(job *j, int result)
{
    ck_assert(result == j->number || result == -ECANCELED);
    ck_assert_int_eq(j->runs, result == j->number);
    j->fate = result == j->number ? MUST_RUN : MUST_NOT_RUN;
}

/* What a submission that failed says: the job never runs. */
static void refuse(job *j, int err)
{
    bool stops = err == -ESHUTDOWN || err == -ECANCELED;
    ck_assert(err == -ETIMEDOUT || err == -EAGAIN || (stops && atomic_load(&stopping)));
    ck_assert_int_eq(j->runs, 0);
    j->fate = MUST_NOT_RUN;
}

static int wait_to_the_end(th_future *future)
{
    int result = 0;
    int err = -ETIMEDOUT;
    for (int how = 0; err == -ETIMEDOUT; how++)
        err = how % 2 ? th_future_wait(future, &result)
                      : briefly(20, th_future_wait(future, &result));
    surely(err);
    return result;
}

static int submit_somehow(job *j, int how, th_future **future)
{
    int priority = j->number % 3 - 1;
    return how % 2 ? th_pool_submit(pool, run, j, priority, future)
                   : briefly(50, th_pool_submit(pool, run, j, priority, future));
}

static void submit(job *j, int how)
{
    th_future *future;
    int err = submit_somehow(j, how / 4, &future);
    if (err != 0) {
        refuse(j, err);
        return;
    }
    if (how % 4 == 0) { /* to be waited for */
        settle(j, wait_to_the_end(future));
    } else if (how % 4 == 1) { /* to be cancelled, if it is not too late */
        (void)th_future_cancel(future);
        settle(j, wait_to_the_end(future));
    } else if (how % 4 == 2) { /* to be forgotten, but done unless the pool is aborted */
        j->fate = MUST_RUN;
        th_future_unref(future);
        return;
    } else {
        j->fate = MAY_RUN;
        th_future_abandon(future);
        return;
    }
    th_future_unref(future);
}

static void offload(job *j, int how)
{
    int result = how % 2 ? th_offload(pool, run, j) : briefly(50, th_offload(pool, run, j));
    if (result >= 0)
        settle(j, result);
    else
        refuse(j, result);
}

static void give_away(int me, int i)
{
    if (i % 3 == 0)
        offload(&jobs[me][i], me + i / 3);
    else
        submit(&jobs[me][i], me + i);
}

static void give_all_away(int me)
{
    for (int i = 0; i < JOBS; i++)
        give_away(me, i);
}

/* After the pool is gone: `dropped` says that it may have left out what was only to be done. */
static void check_runs(bool dropped)
{
    for (int i = 0; i < CROWD * JOBS; i++) {
        const job *j = &jobs[i / JOBS][i % JOBS];
        ck_assert_int_ge(j->runs, j->fate == MUST_RUN && !dropped);
        ck_assert_int_le(j->runs, j->fate == MUST_RUN || j->fate == MAY_RUN);
        ck_assert_int_ne(j->fate, NOT_YET);
    }
}

static void check_finished(void)
{
    th_pool_stats stats;
    surely(th_pool_stop(pool, TH_POOL_FINISH));
    surely(th_pool_get_stats(pool, &stats));
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_eq(stats.running, 0);
    ck_assert_uint_eq(stats.threads, 0);
    surely(th_pool_free(pool));
    check_runs(false);
}

static void begin_waiting(void)
{
    begin_with(8, TH_POOL_WAIT);
}

static void begin_refusing(void)
{
    begin_with(8, TH_POOL_REFUSE);
}

static void begin_roomy(void)
{
    begin_with(SIZE_MAX, TH_POOL_WAIT);
}

CROWD_TEST(each_job_runs_once_or_never_where_one_waits_for_room, .begin = begin_waiting,
           .act = give_all_away, .check = check_finished)

CROWD_TEST(each_job_runs_once_or_never_where_one_is_refused, .begin = begin_refusing,
           .act = give_all_away, .check = check_finished)

CROWD_TEST(each_job_runs_once_or_never_where_there_is_room, .begin = begin_roomy,
           .act = give_all_away, .check = check_finished)

/* ---- while it stops ---- */

/* A fiber and a thread stop it in the middle; the others go on until they are told. */
static void give_away_until_it_stops(int me)
{
    for (int i = 0; i < JOBS; i++) {
        if (i == JOBS / 4 && me % CROWD_FIBERS == 0) {
            atomic_store(&stopping, true);
            surely(th_pool_stop(pool, TH_POOL_ABORT));
        }
        give_away(me, i);
    }
}

static void check_aborted(void)
{
    surely(th_pool_stop(pool, TH_POOL_FINISH));
    surely(th_pool_free(pool));
    check_runs(true);
}

CROWD_TEST(no_job_is_run_or_lost_after_it_was_aborted, .begin = begin_waiting,
           .act = give_away_until_it_stops, .check = check_aborted)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "pool");
    tcase_add_test(tcase, each_job_runs_once_or_never_where_one_waits_for_room);
    tcase_add_test(tcase, each_job_runs_once_or_never_where_one_is_refused);
    tcase_add_test(tcase, each_job_runs_once_or_never_where_there_is_room);
    tcase_add_test(tcase, no_job_is_run_or_lost_after_it_was_aborted);
}

int main(void)
{
    return thi_check_run("stress/pool", fill);
}
