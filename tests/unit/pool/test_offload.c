/* SPDX-License-Identifier: MIT */

/* Off-loading: who waits, and what a cancellation does at each moment. */
#include "pool/pools.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"

#define ROUNDS 2000

static th_pool *pool;

FIBER_TEST(the_worker_goes_on_meanwhile)
{
    gate g;
    th_scope scope;
    pool = pool_of(1);
    gate_init(&g);
    open_scope(&scope);
    th_future *busy = occupy(pool, &g);
    spawn(&scope, note_letter, "a");
    th_yield();
    ck_assert_str_eq(trace, "a");
    release(busy, &g);
    ck_assert_int_eq(th_offload(pool, count, NULL), 1);
    close_scope(&scope);
    free_pool(pool);
}

/* Starts a thread, and comes back when that has done the job. */
static int (*start_thread_of_pool)(th_pool *pool);

static int start_and_lag(th_pool *p)
{
    int64_t done = thi_metric_read(THI_M_POOL_JOBS_DONE);
    int err = start_thread_of_pool(p);
    while (err == 0 && thi_metric_read(THI_M_POOL_JOBS_DONE) == done)
        sched_yield();
    return err;
}

static int count_turns(void *arg)
{
    size_t *turns = arg;
    while (*turns < 1000 && th_yield() == 0)
        ++*turns;
    return 0;
}

/* No job is ever waited for: each has a thread of its own, which is always faster. */
FIBER_TEST(threads_that_are_always_faster_let_others_run)
{
    size_t turns = 0;
    th_scope scope;
    pool = pool_of(1);
    start_thread_of_pool = pool->start;
    pool->start = start_and_lag;
    pool->watched = true; /* so threads end that have no job left */
    open_scope(&scope);
    spawn(&scope, count_turns, &turns);
    for (int i = 0; i < 320; i++)
        ck_assert_int_eq(th_offload(pool, count, NULL), i + 1);
    ck_assert_uint_ge(turns, 5);
    ck_assert_uint_lt(turns, 320);
    turns = 1000;
    close_scope(&scope);
    pool->watched = false;
    free_pool(pool);
}

static int other_thread(void *arg)
{
    return pthread_equal(*(pthread_t *)arg, pthread_self()) || th_fiber_self() ? -EIO : 5;
}

FIBER_TEST(the_work_runs_on_a_thread_that_is_no_worker)
{
    pthread_t self = pthread_self();
    ck_assert_int_eq(th_offload(NULL, other_thread, &self), 5);
}

START_TEST(a_plain_thread_waits_too)
{
    pthread_t self = pthread_self();
    pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, other_thread, &self), 5);
    free_pool(pool);
}
END_TEST

FIBER_TEST(nothing_is_allocated)
{
    pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, count, NULL), 1);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_offload(pool, count, NULL), 2);
    ck_assert_int_eq(thi_alloc_fail_at(0), 1);
    free_pool(pool);
}

static int fail_with_detail(void *arg)
{
    return arg ? thi_err_set(-EIO, "%s is broken", (char *)arg) : -ENOENT;
}

FIBER_TEST(the_detail_of_a_failure_comes_along)
{
    pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, fail_with_detail, "the disk"), -EIO);
    ck_assert_str_eq(th_err_detail(), "the disk is broken");
    ck_assert_int_eq(thi_err_set(-EPIPE, "mine"), -EPIPE);
    ck_assert_int_eq(th_offload(pool, fail_with_detail, NULL), -ENOENT); /* not that of before */
    ck_assert_str_eq(th_err_detail(), "mine");
    free_pool(pool);
}

/* ---- cancelling ---- */

FIBER_TEST(in_a_cancelled_scope_nothing_is_begun)
{
    th_scope scope;
    pool = pool_of(1);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_offload(pool, count, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_uint_eq(stats_of(pool).submitted, 0);
    free_pool(pool);
}

FIBER_TEST(what_has_not_begun_is_taken_out)
{
    gate g;
    th_scope scope;
    pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_offload(pool, count, NULL), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_uint_eq(stats_of(pool).queued, 0);
    ck_assert_uint_eq(stats_of(pool).cancelled, 1);
    release(busy, &g);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 0);
}

static int until_cancelled(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
    while (th_work_cancelled() == 0)
        sched_yield();
    return 33;
}

static int offload_until_cancelled(void *arg)
{
    ck_assert_int_eq(th_offload(pool, until_cancelled, arg), 33);
    ck_assert_int_eq(th_check(), -ECANCELED);
    note('.');
    return 0;
}

FIBER_TEST(what_runs_is_told_and_waited_for)
{
    static atomic_bool runs;
    th_scope scope;
    pool = pool_of(1);
    open_scope(&scope);
    spawn(&scope, offload_until_cancelled, &runs);
    wait_until(atomic_load(&runs));
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    free_pool(pool);
}

static int expect_cancelled(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_offload(pool, count, NULL), -ECANCELED);
    note('.');
    return 0;
}

FIBER_TEST(aborting_the_pool_is_a_cancellation)
{
    gate g;
    th_scope scope;
    pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    open_scope(&scope);
    spawn(&scope, expect_cancelled, NULL);
    th_yield();
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_ABORT | TH_POOL_NO_WAIT), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    release(busy, &g);
    free_pool(pool);
}

/* ---- in place ---- */

static int check_in_place(void *arg)
{
    (void)arg;
    return th_work_cancelled();
}

FIBER_TEST(work_in_place_obeys_the_scope_of_its_fiber)
{
    gate g;
    th_scope scope;
    pool = new_pool(
        &(th_pool_opts){ .threads_max = 1, .queue_max = 1, .when_full = TH_POOL_RUN_HERE });
    th_future *busy = occupy(pool, &g);
    throw_in(pool, count, NULL, TH_POOL_NORMAL);
    ck_assert_int_eq(th_offload(pool, check_in_place, NULL), 0);
    open_cancelled_scope(&scope);
    th_future *future = submit(pool, check_in_place, NULL);
    expect_result(future, -ECANCELED);
    th_future_unref(future);
    close_scope(&scope);
    release(busy, &g);
    free_pool(pool);
}

/* ---- many ---- */

static atomic_int ran, cancelled;

static int run_briefly(void *arg)
{
    int *here = arg; /* on the stack of who waits */
    atomic_fetch_add(&ran, 1);
    for (int i = 0; i < 200 && th_work_cancelled() == 0; i++)
        *here += 1;
    return 1;
}

static int offload_with_deadlines(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        th_scope scope;
        int here = 0;
        open_scope_for(&scope, (i % 50) * TH_MICROSECOND);
        int result = th_offload(pool, run_briefly, &here);
        close_scope(&scope);
        ck_assert(result == 1 || result == -ETIMEDOUT);
        if (result < 0)
            atomic_fetch_add(&cancelled, 1);
    }
    return 0;
}

static void *offload_as_thread(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int here = 0;
        ck_assert_int_eq(th_offload(pool, run_briefly, &here), 1);
        ck_assert_int_eq(here, 200);
    }
    return arg;
}

FIBER_TEST_ON(4, off_loads_and_deadlines_race_and_no_stack_is_touched_late)
{
    pthread_t threads[2];
    th_scope scope;
    pool = new_pool(&(th_pool_opts){ .threads_max = 3, .queue_max = 3 });
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++)
        spawn_on(&scope, i % 4, offload_with_deadlines, NULL);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(offload_as_thread, NULL);
    close_scope(&scope);
    for (int i = 0; i < 2; i++)
        join_thread(threads[i]);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&ran) + atomic_load(&cancelled), 10 * ROUNDS);
}

static void fill(Suite *suite)
{
    TCase *plain = thi_check_case(suite, "plain");
    tcase_add_test(plain, the_worker_goes_on_meanwhile);
    tcase_add_test(plain, threads_that_are_always_faster_let_others_run);
    tcase_add_test(plain, the_work_runs_on_a_thread_that_is_no_worker);
    tcase_add_test(plain, a_plain_thread_waits_too);
    tcase_add_test(plain, nothing_is_allocated);
    tcase_add_test(plain, the_detail_of_a_failure_comes_along);

    TCase *cancel = thi_check_case(suite, "cancel");
    tcase_add_test(cancel, in_a_cancelled_scope_nothing_is_begun);
    tcase_add_test(cancel, what_has_not_begun_is_taken_out);
    tcase_add_test(cancel, what_runs_is_told_and_waited_for);
    tcase_add_test(cancel, aborting_the_pool_is_a_cancellation);
    tcase_add_test(cancel, work_in_place_obeys_the_scope_of_its_fiber);

    TCase *many = thi_check_case(suite, "many");
    tcase_set_timeout(many, 30);
    tcase_add_test(many, off_loads_and_deadlines_race_and_no_stack_is_touched_late);
}

int main(void)
{
    return thi_check_run("pool/offload", fill);
}
