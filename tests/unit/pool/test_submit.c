/* SPDX-License-Identifier: MIT */

/* Work with futures: states, cancellation and abandonment at every moment. */
#include "pool/pools.h"

#include "base/alloc.h"
#include "sys/sys.h"

#define ROUNDS 2000

/* ---- states ---- */

START_TEST(work_is_pending_then_running_then_done)
{
    gate first, second;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &first);
    gate_init(&second);
    th_future *future = submit(pool, wait_at_gate, &second);
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_PENDING);
    release(busy, &first);
    wait_for_arrival(&second);
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_RUNNING);
    ck_assert_int_eq(th_future_peek(future, NULL), -EAGAIN);
    open_gate(&second);
    expect_result(future, 0);
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_DONE);
    th_future_unref(future);
    free_pool(pool);
}
END_TEST

START_TEST(any_number_is_a_result)
{
    static int numbers[] = { 0, 1, -1, INT32_MAX, INT32_MIN, -ECANCELED };
    th_pool *pool = pool_of(1);
    for (size_t i = 0; i < thi_array_len(numbers); i++) {
        th_future *future = submit(pool, return_number, &numbers[i]);
        expect_result(future, numbers[i]);
        th_future_unref(future);
        ck_assert_int_eq(th_offload(pool, return_number, &numbers[i]), numbers[i]);
    }
    free_pool(pool);
}
END_TEST

/* ---- cancelling ---- */

START_TEST(work_that_waits_is_cancelled_and_never_runs)
{
    gate g;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    th_future *future = submit(pool, count, NULL);
    ck_assert_int_eq(th_future_cancel(future), 0);
    ck_assert_int_eq(th_future_cancel(future), 0);
    expect_result(future, -ECANCELED);
    th_future_unref(future);
    release(busy, &g);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 0);
}
END_TEST

static int until_cancelled(void *arg)
{
    sem_post(arg);
    while (th_work_cancelled() == 0)
        sched_yield();
    return 77;
}

START_TEST(work_that_runs_is_told_and_keeps_its_result)
{
    sem_t runs;
    sem_init(&runs, 0, 0);
    th_pool *pool = pool_of(1);
    th_future *future = submit(pool, until_cancelled, &runs);
    while (sem_wait(&runs) != 0)
        ;
    ck_assert_int_eq(th_future_cancel(future), -EBUSY);
    expect_result(future, 77);
    ck_assert_int_eq(th_future_cancel(future), -EALREADY);
    th_future_unref(future);
    ck_assert_int_eq(th_offload(pool, (th_work_fn)count, NULL), 1); /* the next one is not told */
    free_pool(pool);
}
END_TEST

FIBER_TEST(a_waiter_that_is_cancelled_lets_go_at_once)
{
    gate g;
    th_scope scope;
    int64_t live = thi_alloc_live();
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_future_wait(busy, NULL), -ETIMEDOUT);
    close_scope(&scope);
    th_future_abandon(busy);
    open_gate(&g);
    free_pool(pool);
    wait_until(thi_alloc_live() == live);
}

static void submit_more(th_future *future, int result, void *arg)
{
    (void)future;
    ck_assert_int_eq(result, 1);
    int err = th_pool_submit(arg, count, NULL, TH_POOL_NORMAL, NULL);
    ck_assert(err == 0 || err == -ESHUTDOWN);
}

START_TEST(a_callback_submits_while_the_pool_is_stopped)
{
    gate g;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    th_future *future = submit(pool, count, NULL);
    ck_assert_int_eq(th_future_then(future, submit_more, pool), 0);
    release(busy, &g);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    expect_result(future, 1);
    th_future_unref(future);
    free_pool(pool);
}
END_TEST

/* ---- many ---- */

typedef struct tally {
    atomic_int ran;
    atomic_int cancelled;
    atomic_int told;
    atomic_int done;
} tally;

static tally all;
static th_pool *shared;

static int tally_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&all.ran, 1);
    if (th_work_cancelled() < 0)
        atomic_fetch_add(&all.told, 1);
    return 1;
}

static void cancel_sometimes(int i)
{
    int result = 0;
    th_future *future = submit(shared, tally_run, NULL);
    if (i % 3 == 0 && th_future_cancel(future) == 0)
        atomic_fetch_add(&all.cancelled, 1);
    if (i % 3 == 1) {
        if (th_future_cancel(th_future_ref(future)) == 0)
            atomic_fetch_add(&all.cancelled, 1);
        th_future_unref(future);
    } else {
        ck_assert_int_eq(th_future_wait(future, &result), 0);
        ck_assert(result == 1 || result == -ECANCELED);
    }
    th_future_unref(future);
}

static int submit_as_fiber(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        cancel_sometimes(i);
    return 0;
}

static void *submit_as_thread(void *arg)
{
    (void)submit_as_fiber(arg);
    return NULL;
}

FIBER_TEST_ON(4, each_job_either_runs_or_is_cancelled)
{
    pthread_t threads[2];
    th_scope scope;
    shared = new_pool(&(th_pool_opts){ .threads_max = 3, .queue_max = 4 });
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++)
        spawn_on(&scope, i % 4, submit_as_fiber, NULL);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(submit_as_thread, NULL);
    close_scope(&scope);
    for (int i = 0; i < 2; i++)
        join_thread(threads[i]);
    ck_assert_int_eq(th_pool_stop(shared, TH_POOL_FINISH), 0);
    th_pool_stats stats = stats_of(shared);
    ck_assert_int_eq(atomic_load(&all.ran) + atomic_load(&all.cancelled), 10 * ROUNDS);
    ck_assert_uint_eq(stats.done + stats.cancelled, 10 * ROUNDS);
    ck_assert_uint_eq(stats.cancelled, (uint64_t)atomic_load(&all.cancelled));
    ck_assert_uint_le(stats.queued_peak, 4);
    free_pool(shared);
}

static void *stop_in_between(void *arg)
{
    while (stats_of(shared).done < 100)
        sched_yield();
    ck_assert_int_eq(th_pool_stop(shared, TH_POOL_ABORT), 0);
    return arg;
}

static int submit_until_stopped(void *arg)
{
    th_future *future = NULL;
    int err;
    (void)arg;
    while ((err = th_pool_submit(shared, tally_run, NULL, TH_POOL_NORMAL, &future)) == 0) {
        int result = 0;
        if (atomic_fetch_add(&all.done, 1) % 2)
            ck_assert_int_eq(th_future_wait(future, &result), 0);
        if (result == -ECANCELED)
            atomic_fetch_add(&all.cancelled, 1);
        th_future_unref(future);
    }
    ck_assert_int_eq(err, -ESHUTDOWN);
    return 0;
}

FIBER_TEST_ON(4, a_stop_meets_submissions)
{
    th_scope scope;
    shared = new_pool(&(th_pool_opts){ .threads_max = 2, .queue_max = 8 });
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++)
        spawn_on(&scope, i % 4, submit_until_stopped, NULL);
    pthread_t thread = start_thread(stop_in_between, NULL);
    close_scope(&scope);
    join_thread(thread);
    th_pool_stats stats = stats_of(shared);
    ck_assert_uint_eq(stats.done, (uint64_t)atomic_load(&all.ran));
    ck_assert_uint_eq(stats.done + stats.cancelled, (uint64_t)atomic_load(&all.done));
    free_pool(shared);
}

/* ---- torture ---- */

/* Everything once; gives the first error that it met. */
static int scenario(void)
{
    th_pool *pool = NULL;
    th_gather *g = NULL;
    th_future *futures[3] = { NULL };
    th_future *next = NULL;
    int err = th_pool_new(&(th_pool_opts){ .threads_max = 2 }, &pool);
    if (err == 0)
        err = th_gather_new(&g);
    for (int i = 0; err == 0 && i < 3; i++)
        err = th_pool_submit(pool, count, NULL, i - 1, &futures[i]);
    for (int i = 0; err == 0 && i < 3; i++)
        err = th_gather_add(g, futures[i]);
    if (err == 0)
        err = th_gather_next(g, &next);
    if (err == 0)
        err = th_future_wait_all(futures, 3);
    if (err == 0)
        err = th_offload(pool, do_nothing, NULL);
    th_future_unref(next);
    for (int i = 0; i < 3; i++)
        th_future_unref(futures[i]);
    th_gather_free(g);
    ck_assert_int_eq(th_pool_free(pool), 0);
    return err;
}

START_TEST(without_memory_calls_fail_and_nothing_leaks)
{
    ck_assert_int_eq(scenario(), 0);
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = scenario();
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_msg(err == 0 || err == -ENOMEM, "allocation %d: %s", (int)n, th_errname(err));
        ck_assert_int_eq(thi_alloc_live(), live);
        if (err == 0 && untouched)
            break;
        ck_assert_int_lt(n, 100);
    }
}
END_TEST

/* Of the calls that are made here only the start of a thread can fail. */
static thi_sys no_threads;
static int starts_left;

static int start_until_none_is_left(pthread_t *thread, size_t stack_size, void *(*body)(void *),
                                    void *arg)
{
    return starts_left-- > 0 ? thi_sys_real.thread(thread, stack_size, body, arg) : -EAGAIN;
}

START_TEST(threads_may_be_missing)
{
    no_threads = thi_sys_real;
    no_threads.thread = start_until_none_is_left;
    ck_assert_int_eq(scenario(), 0);
    int64_t live = thi_alloc_live();
    thi_sys_table = &no_threads;
    for (int n = 0; n < 3; n++) {
        for (int round = 0; round < 100; round++) {
            starts_left = n;
            ck_assert_int_eq(scenario(), n == 0 ? -EAGAIN : 0);
            ck_assert_int_eq(thi_alloc_live(), live);
        }
    }
    thi_sys_table = &thi_sys_real;
}
END_TEST

static void fill(Suite *suite)
{
    TCase *states = thi_check_case(suite, "states");
    tcase_add_test(states, work_is_pending_then_running_then_done);
    tcase_add_test(states, any_number_is_a_result);

    TCase *cancel = thi_check_case(suite, "cancel");
    tcase_add_test(cancel, work_that_waits_is_cancelled_and_never_runs);
    tcase_add_test(cancel, work_that_runs_is_told_and_keeps_its_result);
    tcase_add_test(cancel, a_waiter_that_is_cancelled_lets_go_at_once);
    tcase_add_test(cancel, a_callback_submits_while_the_pool_is_stopped);

    TCase *many = thi_check_case(suite, "many");
    tcase_set_timeout(many, 30);
    tcase_add_test(many, each_job_either_runs_or_is_cancelled);
    tcase_add_test(many, a_stop_meets_submissions);

    TCase *torture = thi_check_case(suite, "torture");
    tcase_add_test(torture, without_memory_calls_fail_and_nothing_leaks);
    tcase_add_test(torture, threads_may_be_missing);
}

int main(void)
{
    return thi_check_run("pool/submit", fill);
}
