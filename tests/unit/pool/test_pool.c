/* SPDX-License-Identifier: MIT */

/* Pools: options, threads that come and go, order, the bound of the queue, stopping. */
#include "pool/pools.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "sys/fault.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>

/* ---- options ---- */

static int refused(th_pool_opts opts)
{
    th_pool *pool = NULL;
    int err = th_pool_new(&opts, &pool);
    ck_assert_int_lt(err, 0);
    ck_assert_ptr_null(pool);
    return err;
}

START_TEST(wrong_options_are_refused)
{
    ck_assert_int_eq(th_pool_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .size = sizeof(th_pool_opts) + 1 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .threads_min = 2, .threads_max = 1 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .threads_max = 1025 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .threads_min = 1025 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .idle_time = -1 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .when_full = 3 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .when_full = -1 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .stack_size = (size_t)PTHREAD_STACK_MIN - 1 }),
                     -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .stack_size = ((size_t)1 << 30) + 1 }), -EINVAL);
    ck_assert_int_eq(refused((th_pool_opts){ .gives_way = 20 }), -EINVAL);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(refused((th_pool_opts){ 0 }), -ENOMEM);
}
END_TEST

START_TEST(options_at_their_limits_are_taken)
{
    free_pool(new_pool(NULL));
    free_pool(new_pool(&(th_pool_opts){ .threads_max = 1024, .threads_min = 1024 }));
    th_pool *pool = new_pool(&(th_pool_opts){ .name = "a-name-of-more-than-15-bytes",
                                              .stack_size = (size_t)PTHREAD_STACK_MIN + 65536 });
    ck_assert_str_eq(th_pool_name(pool), "a-name-of-more-");
    ck_assert_str_eq(th_pool_name(NULL), "");
    th_future *future = submit(pool, count, NULL);
    expect_result(future, 1);
    th_future_unref(future);
    free_pool(pool);
}
END_TEST

START_TEST(misuse_is_refused)
{
    th_pool_stats stats;
    th_pool *pool = pool_of(1);
    th_future *future = NULL;
    ck_assert_int_eq(th_pool_submit(pool, NULL, NULL, 0, &future), -EINVAL);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 2, &future), -EINVAL);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, -2, &future), -EINVAL);
    ck_assert_int_eq(th_offload(pool, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_pool_stop(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_pool_stop(pool, 4), -EINVAL);
    ck_assert_int_eq(th_pool_get_stats(NULL, &stats), -EINVAL);
    ck_assert_int_eq(th_pool_get_stats(pool, NULL), -EINVAL);
    ck_assert_int_eq(th_work_cancelled(), -EPERM);
    ck_assert_int_eq(th_pool_free(NULL), 0);
    ck_assert_ptr_null(future);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 0);
}
END_TEST

/* ---- threads ---- */

START_TEST(never_more_threads_than_asked_for_and_all_jobs_run)
{
    enum { THREADS = 3, JOBS = 15 * THREADS };
    gate g;
    gate_init(&g);
    th_pool *pool = pool_of(THREADS);
    for (int i = 0; i < JOBS; i++)
        throw_in(pool, wait_at_gate, &g, TH_POOL_NORMAL);
    for (int i = 0; i < THREADS; i++)
        wait_for_arrival(&g);
    th_pool_stats stats = stats_of(pool);
    ck_assert_uint_eq(stats.running, THREADS);
    ck_assert_uint_eq(stats.queued, JOBS - THREADS);
    for (int i = 0; i < JOBS; i++)
        open_gate(&g);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    stats = stats_of(pool);
    ck_assert_uint_eq(stats.done, JOBS);
    ck_assert_uint_eq(stats.submitted, JOBS);
    ck_assert_uint_eq(stats.threads_peak, THREADS);
    ck_assert_uint_eq(stats.threads, 0);
    free_pool(pool);
}
END_TEST

START_TEST(an_idle_thread_is_used_again)
{
    th_pool *pool = pool_of(8);
    for (int i = 1; i <= 200; i++)
        ck_assert_int_eq(th_offload(pool, count, NULL), i);
    ck_assert_uint_eq(stats_of(pool).threads_peak, 1);
    free_pool(pool);
}
END_TEST

static int meet(void *arg)
{
    return pthread_barrier_wait(arg) > 0 ? -EIO : 0;
}

/* Three jobs that wait for each other need three threads. */
static void use_three(th_pool *pool)
{
    pthread_barrier_t barrier;
    th_future *futures[3];
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 3; i++)
        futures[i] = submit(pool, meet, &barrier);
    ck_assert_int_eq(th_future_wait_all(futures, 3), 0);
    for (int i = 0; i < 3; i++)
        th_future_unref(futures[i]);
    pthread_barrier_destroy(&barrier);
}

FIBER_TEST(idle_threads_end_down_to_the_least)
{
    th_pool *pool = new_pool(
        &(th_pool_opts){ .threads_min = 1, .threads_max = 3, .idle_time = TH_MILLISECOND });
    for (int round = 0; round < 3; round++) {
        use_three(pool);
        wait_until(stats_of(pool).threads == 1);
    }
    wait_until(stats_of(pool).idle == 1); /* it may be on its way from its job */
    ck_assert_uint_eq(stats_of(pool).threads, 1);
    ck_assert_int_eq(th_offload(pool, count, NULL), 1);
    ck_assert_uint_eq(stats_of(pool).threads_peak, 3);
    free_pool(pool);
}

FIBER_TEST(without_a_least_all_end_and_new_ones_come)
{
    th_pool *pool = new_pool(&(th_pool_opts){ .threads_max = 3, .idle_time = TH_MICROSECOND });
    for (int round = 1; round <= 100; round++) {
        ck_assert_int_eq(th_offload(pool, count, NULL), round);
        if (round % 2)
            wait_until(stats_of(pool).threads == 0);
    }
    free_pool(pool);
}

static int own_name(void *arg)
{
    return pthread_getname_np(pthread_self(), arg, 16);
}

START_TEST(threads_are_named_after_their_pool)
{
    char name[16];
    th_pool *pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, own_name, name), 0);
    ck_assert_str_eq(name, "test-0");
    free_pool(pool);
}
END_TEST

static int own_signals(void *arg)
{
    sigset_t *blocked = arg;
    return pthread_sigmask(SIG_BLOCK, NULL, blocked);
}

static int niceness(void *arg)
{
    (void)arg;
    return 20 + getpriority(PRIO_PROCESS, 0); /* of the thread */
}

START_TEST(threads_give_way_as_much_as_asked_for)
{
    th_pool *pool = new_pool(&(th_pool_opts){ .name = "test", .gives_way = 3 });
    int own = niceness(NULL);
    ck_assert_int_eq(th_offload(pool, niceness, NULL), thi_min(own + 3, 39));
    ck_assert_int_eq(th_offload(NULL, niceness, NULL), own);
    ck_assert_int_eq(niceness(NULL), own);
    free_pool(pool);
}
END_TEST

START_TEST(threads_get_no_signals_but_those_of_faults)
{
    sigset_t blocked;
    th_pool *pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, own_signals, &blocked), 0);
    ck_assert(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGPIPE));
    ck_assert(!sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGBUS));
    free_pool(pool);
}
END_TEST

/* ---- no thread can be had ---- */

START_TEST(without_a_thread_the_error_is_told_and_nothing_remains)
{
    th_future *future = NULL;
    th_pool *pool = pool_of(2);
    int64_t live = thi_alloc_live();
    thi_fault_begin(1, EAGAIN);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, &future), -EAGAIN);
    ck_assert_str_eq(thi_fault_hit(), "thread");
    thi_fault_begin(1, ENOMEM);
    ck_assert_int_eq(th_offload(pool, count, NULL), -ENOMEM);
    thi_fault_end();
    ck_assert_ptr_null(future);
    ck_assert_int_eq(thi_alloc_live(), live);
    th_pool_stats stats = stats_of(pool);
    ck_assert_uint_eq(stats.threads + stats.queued + stats.submitted, 0);
    ck_assert_uint_eq(stats.refused, 2);
    ck_assert_int_eq(th_offload(pool, count, NULL), 1); /* the next time it works */
    free_pool(pool);
}
END_TEST

START_TEST(with_one_thread_the_work_waits_for_it)
{
    gate g;
    th_pool *pool = pool_of(2);
    th_future *busy = occupy(pool, &g);
    thi_fault_begin(1, EAGAIN);
    th_future *future = submit(pool, count, NULL);
    ck_assert_str_eq(thi_fault_hit(), "thread");
    thi_fault_end();
    ck_assert_int_eq(th_future_peek(future, NULL), -EAGAIN);
    release(busy, &g);
    expect_result(future, 1);
    th_future_unref(future);
    free_pool(pool);
}
END_TEST

START_TEST(without_memory_nothing_is_submitted)
{
    th_future *future = NULL;
    th_pool *pool = pool_of(1);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, &future), -ENOMEM);
    ck_assert_ptr_null(future);
    ck_assert_uint_eq(stats_of(pool).threads, 0);
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(th_offload(pool, count, NULL), 1);
    free_pool(pool);
    ck_assert_int_lt(thi_alloc_live(), live);
}
END_TEST

/* ---- order ---- */

static int note_once(void *arg)
{
    note(*(char *)arg);
    return 0;
}

START_TEST(more_urgent_work_goes_first)
{
    static char names[] = "ABCabc123";
    static const int priorities[] = { TH_POOL_LOW, TH_POOL_NORMAL, TH_POOL_HIGH };
    gate g;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    for (int i = 0; i < 9; i++)
        throw_in(pool, note_once, &names[8 - i], priorities[i / 3]);
    release(busy, &g);
    free_pool(pool);
    ck_assert_str_eq(trace, "CBAcba321");
}
END_TEST

/* ---- the bound ---- */

static th_pool *full_pool(int when_full, gate *g, th_future **busy, th_future *queued[2])
{
    th_pool *pool =
        new_pool(&(th_pool_opts){ .threads_max = 1, .queue_max = 2, .when_full = when_full });
    *busy = occupy(pool, g);
    for (int i = 0; i < 2; i++)
        queued[i] = submit(pool, count, NULL);
    return pool;
}

static int expect_number(void *arg)
{
    int number = *(int *)arg;
    if (atomic_load(&counted) == number)
        atomic_fetch_add(&counted, 1);
    return 0;
}

/* Some are left without the lock, some are not, some wait for room. */
START_TEST(work_of_one_submitter_keeps_its_order_whichever_way_it_takes)
{
    enum { JOBS = 20000 };
    static int numbers[JOBS];
    th_pool *pool = new_pool(&(th_pool_opts){ .threads_max = 1, .queue_max = 50 });
    for (int i = 0; i < JOBS; i++) {
        numbers[i] = i;
        throw_in(pool, expect_number, &numbers[i], TH_POOL_NORMAL);
    }
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    ck_assert_int_eq(atomic_load(&counted), JOBS);
    ck_assert_uint_le(stats_of(pool).queued_peak, 50);
    ck_assert_uint_eq(stats_of(pool).submitted, JOBS);
    free_pool(pool);
}
END_TEST

/* While the only thread is at work, normal work is left in the inbox, beside the ranks. */
START_TEST(ranks_hold_between_work_that_was_left_and_work_that_was_queued)
{
    static const int order[] = { 2, 0, 1, 3, 4 };
    static int numbers[] = { 0, 1, 2, 3, 4 };
    gate g;
    gate_init(&g);
    th_pool *pool = pool_of(1);
    th_future *busy = submit(pool, wait_at_gate, &g);
    wait_for_arrival(&g);
    for (size_t i = 0; i < thi_array_len(order); i++)
        numbers[order[i]] = (int)i;
    throw_in(pool, expect_number, &numbers[4], TH_POOL_LOW);
    throw_in(pool, expect_number, &numbers[0], TH_POOL_NORMAL);
    throw_in(pool, expect_number, &numbers[1], TH_POOL_NORMAL);
    throw_in(pool, expect_number, &numbers[2], TH_POOL_HIGH);
    throw_in(pool, expect_number, &numbers[3], TH_POOL_NORMAL);
    open_gate(&g);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    ck_assert_int_eq(atomic_load(&counted), (int)thi_array_len(order));
    th_future_unref(busy);
    free_pool(pool);
}
END_TEST

START_TEST(a_full_pool_that_refuses_refuses)
{
    gate g;
    th_future *busy, *queued[2], *none = NULL;
    th_pool *pool = full_pool(TH_POOL_REFUSE, &g, &busy, queued);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, &none), -EAGAIN);
    ck_assert_int_eq(th_offload(pool, count, NULL), -EAGAIN);
    ck_assert_ptr_null(none);
    th_future_abandon(queued[0]); /* makes room */
    none = submit(pool, count, NULL);
    release(busy, &g);
    expect_result(queued[1], 1);
    expect_result(none, 2);
    th_future_unref(queued[1]);
    th_future_unref(none);
    ck_assert_uint_eq(stats_of(pool).refused, 2);
    ck_assert_uint_eq(stats_of(pool).cancelled, 1);
    free_pool(pool);
}
END_TEST

START_TEST(a_full_pool_that_runs_here_does)
{
    gate g;
    th_future *busy, *queued[2];
    th_pool *pool = full_pool(TH_POOL_RUN_HERE, &g, &busy, queued);
    th_future *here = submit(pool, count, NULL);
    ck_assert_int_eq(th_future_state(here), TH_FUTURE_DONE);
    expect_result(here, 1);
    ck_assert_int_eq(th_offload(pool, count, NULL), 2);
    ck_assert_uint_eq(stats_of(pool).run_here, 2);
    release(busy, &g);
    ck_assert_int_eq(th_future_wait_all(queued, 2), 0);
    th_future_unref(here);
    th_future_unref(queued[0]);
    th_future_unref(queued[1]);
    free_pool(pool);
}
END_TEST

static int submit_and_note(void *arg)
{
    th_future *future = submit(arg, count, NULL);
    note('s');
    expect_result(future, 3);
    th_future_unref(future);
    return 0;
}

FIBER_TEST(a_full_pool_makes_the_submitter_wait)
{
    gate g;
    th_scope scope, inner;
    th_future *busy, *queued[2], *none = NULL;
    th_pool *pool = full_pool(TH_POOL_WAIT, &g, &busy, queued);
    open_scope(&scope);
    spawn(&scope, submit_and_note, pool);
    th_yield();
    open_scope_for(&inner, TH_MILLISECOND);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, &none), -ETIMEDOUT);
    ck_assert_int_eq(th_offload(pool, count, NULL), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_str_eq(trace, "");
    ck_assert_ptr_null(none);
    release(busy, &g);
    close_scope(&scope);
    ck_assert_str_eq(trace, "s");
    ck_assert_int_eq(th_future_wait_all(queued, 2), 0);
    th_future_unref(queued[0]);
    th_future_unref(queued[1]);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 3);
}

FIBER_TEST(room_made_by_a_cancellation_goes_to_who_waits)
{
    gate g;
    th_scope scope;
    th_future *busy, *queued[2];
    th_pool *pool = full_pool(TH_POOL_WAIT, &g, &busy, queued);
    atomic_store(&counted, 1);
    open_scope(&scope);
    spawn(&scope, submit_and_note, pool);
    th_yield();
    ck_assert_int_eq(th_future_cancel(queued[0]), 0);
    th_yield();
    ck_assert_str_eq(trace, "s");
    release(busy, &g);
    close_scope(&scope);
    th_future_unref(queued[0]);
    th_future_unref(queued[1]);
    free_pool(pool);
}

/* ---- a pool that serves itself ---- */

static th_pool *nested;

static int submit_inside(void *arg)
{
    int *depth = arg;
    if (--*depth == 0)
        return count(NULL);
    if (*depth % 2)
        return th_offload(nested, submit_inside, depth);
    int result = -1;
    th_future *future = submit(nested, submit_inside, depth);
    ck_assert_int_eq(th_future_wait(future, &result), 0);
    th_future_unref(future);
    return result;
}

START_TEST(its_own_work_may_wait_for_more_of_it)
{
    int depth = 10;
    nested = new_pool(&(th_pool_opts){ .threads_max = 1, .queue_max = 1 });
    ck_assert_int_eq(th_offload(nested, submit_inside, &depth), 1);
    free_pool(nested);
}
END_TEST

static int wait_for_any_inside(void *arg)
{
    th_future *futures[2];
    size_t index = 9;
    (void)arg;
    for (int i = 0; i < 2; i++)
        futures[i] = submit(nested, count, NULL);
    ck_assert_int_eq(th_future_wait_any(futures, 2, &index), 0);
    ck_assert_uint_eq(index, 0);
    ck_assert_int_eq(th_future_state(futures[1]), TH_FUTURE_PENDING);
    ck_assert_int_eq(th_future_wait_all(futures, 2), 0);
    th_future_unref(futures[0]);
    th_future_unref(futures[1]);
    return 0;
}

START_TEST(its_own_work_may_wait_for_any_of_it)
{
    nested = pool_of(1);
    ck_assert_int_eq(th_offload(nested, wait_for_any_inside, NULL), 0);
    free_pool(nested);
}
END_TEST

static int fill_up(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        throw_in(nested, count, NULL, TH_POOL_NORMAL);
    return 0;
}

START_TEST(its_own_work_never_waits_for_room)
{
    nested = new_pool(&(th_pool_opts){ .threads_max = 1, .queue_max = 1 });
    ck_assert_int_eq(th_offload(nested, fill_up, NULL), 0);
    free_pool(nested);
    ck_assert_int_eq(atomic_load(&counted), 10);
}
END_TEST

/* ---- the end ---- */

START_TEST(finishing_runs_what_is_queued)
{
    gate g;
    th_pool *pool = pool_of(2);
    th_future *busy = occupy(pool, &g);
    for (int i = 0; i < 100; i++)
        throw_in(pool, count, NULL, TH_POOL_LOW);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH | TH_POOL_NO_WAIT), 0);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, NULL), -ESHUTDOWN);
    ck_assert_int_eq(th_offload(pool, count, NULL), -ESHUTDOWN);
    release(busy, &g);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    ck_assert_int_eq(atomic_load(&counted), 100);
    free_pool(pool);
}
END_TEST

static int until_cancelled(void *arg)
{
    sem_post(arg);
    while (th_work_cancelled() == 0)
        sched_yield();
    return th_work_cancelled();
}

START_TEST(aborting_drops_the_queue_and_tells_who_runs)
{
    sem_t runs;
    sem_init(&runs, 0, 0);
    th_pool *pool = pool_of(1);
    th_future *running = submit(pool, until_cancelled, &runs);
    th_future *queued = submit(pool, count, NULL);
    while (sem_wait(&runs) != 0)
        ;
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_ABORT), 0);
    expect_result(running, -ECANCELED);
    expect_result(queued, -ECANCELED);
    ck_assert_int_eq(th_future_cancel(queued), -EALREADY);
    th_future_unref(running);
    th_future_unref(queued);
    th_pool_stats stats = stats_of(pool);
    ck_assert_uint_eq(stats.cancelled + stats.done, stats.submitted);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 0);
}
END_TEST

FIBER_TEST(waiting_for_the_end_obeys_the_scope_and_freeing_does_not)
{
    gate g;
    th_scope scope;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), -ETIMEDOUT);
    open_gate(&g);
    free_pool(pool);
    expect_result(busy, 0); /* futures outlive the pool */
    ck_assert_int_eq(th_future_cancel(busy), -EALREADY);
    th_future_unref(busy);
    close_scope(&scope);
}

static int submit_to_stopped(void *arg)
{
    ck_assert_int_eq(th_pool_submit(arg, count, NULL, 0, NULL), -ESHUTDOWN);
    note('.');
    return 0;
}

FIBER_TEST(stopping_refuses_those_who_wait_for_room)
{
    gate g;
    th_scope scope;
    th_future *busy, *queued[2];
    th_pool *pool = full_pool(TH_POOL_WAIT, &g, &busy, queued);
    open_scope(&scope);
    spawn(&scope, submit_to_stopped, pool);
    th_yield();
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_ABORT | TH_POOL_NO_WAIT), 0);
    release(busy, &g);
    expect_result(queued[0], -ECANCELED);
    expect_result(queued[1], -ECANCELED);
    th_future_unref(queued[0]);
    th_future_unref(queued[1]);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    free_pool(pool);
}

static int end_own_pool(void *arg)
{
    ck_assert_int_eq(th_pool_stop(arg, TH_POOL_FINISH), -EDEADLK);
    ck_assert_int_eq(th_pool_free(arg), -EDEADLK);
    ck_assert_int_eq(th_pool_stop(arg, TH_POOL_FINISH | TH_POOL_NO_WAIT), 0);
    ck_assert_int_eq(th_pool_submit(arg, count, NULL, 0, NULL), -ESHUTDOWN);
    return 0;
}

START_TEST(a_job_does_not_wait_for_its_own_end)
{
    th_pool *pool = pool_of(1);
    ck_assert_int_eq(th_offload(pool, end_own_pool, pool), 0);
    free_pool(pool);
}
END_TEST

START_TEST(the_metrics_add_up)
{
    gate g;
    th_pool *pool = pool_of(1);
    th_future *busy = occupy(pool, &g);
    th_future *queued = submit(pool, count, NULL);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_THREADS), 1);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_JOBS_WAITING), 1);
    th_future_abandon(queued);
    release(busy, &g);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_FINISH), 0);
    ck_assert_int_eq(th_pool_submit(pool, count, NULL, 0, NULL), -ESHUTDOWN);
    free_pool(pool);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_JOBS_DONE), 1);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_JOBS_CANCELLED), 1);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_JOBS_REFUSED), 1);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_JOBS_WAITING), 0);
    ck_assert_int_eq(thi_metric_read(THI_M_POOL_THREADS), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *options = thi_check_case(suite, "options");
    tcase_add_test(options, wrong_options_are_refused);
    tcase_add_test(options, options_at_their_limits_are_taken);
    tcase_add_test(options, misuse_is_refused);

    TCase *threads = thi_check_case(suite, "threads");
    tcase_add_test(threads, never_more_threads_than_asked_for_and_all_jobs_run);
    tcase_add_test(threads, an_idle_thread_is_used_again);
    tcase_add_test(threads, idle_threads_end_down_to_the_least);
    tcase_add_test(threads, without_a_least_all_end_and_new_ones_come);
    tcase_add_test(threads, threads_give_way_as_much_as_asked_for);
    tcase_add_test(threads, threads_get_no_signals_but_those_of_faults);
    tcase_add_test(threads, threads_are_named_after_their_pool);
    tcase_add_test(threads, without_a_thread_the_error_is_told_and_nothing_remains);
    tcase_add_test(threads, with_one_thread_the_work_waits_for_it);
    tcase_add_test(threads, without_memory_nothing_is_submitted);

    TCase *queue = thi_check_case(suite, "queue");
    tcase_add_test(queue, more_urgent_work_goes_first);
    tcase_add_test(queue, work_of_one_submitter_keeps_its_order_whichever_way_it_takes);
    tcase_add_test(queue, ranks_hold_between_work_that_was_left_and_work_that_was_queued);
    tcase_add_test(queue, a_full_pool_that_refuses_refuses);
    tcase_add_test(queue, a_full_pool_that_runs_here_does);
    tcase_add_test(queue, a_full_pool_makes_the_submitter_wait);
    tcase_add_test(queue, room_made_by_a_cancellation_goes_to_who_waits);
    tcase_add_test(queue, its_own_work_may_wait_for_more_of_it);
    tcase_add_test(queue, its_own_work_may_wait_for_any_of_it);
    tcase_add_test(queue, its_own_work_never_waits_for_room);

    TCase *end = thi_check_case(suite, "end");
    tcase_add_test(end, finishing_runs_what_is_queued);
    tcase_add_test(end, aborting_drops_the_queue_and_tells_who_runs);
    tcase_add_test(end, waiting_for_the_end_obeys_the_scope_and_freeing_does_not);
    tcase_add_test(end, stopping_refuses_those_who_wait_for_room);
    tcase_add_test(end, a_job_does_not_wait_for_its_own_end);
    tcase_add_test(end, the_metrics_add_up);
}

int main(void)
{
    return thi_check_run("pool/pool", fill);
}
