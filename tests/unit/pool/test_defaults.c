/* SPDX-License-Identifier: MIT */

/* The default pools: found by name, apart from each other, and gone in time. */
#include "pool/pools.h"

#include "pool/anew.h"
#include "pool/defaults.h"
#include "runtime/capture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(they_are_found_by_name)
{
    static const char *const names[] = { "default", "files", "names", "crypto" };
    for (size_t i = 0; i < thi_array_len(names); i++) {
        th_pool *pool = th_pool_default(names[i]);
        ck_assert_ptr_nonnull(pool);
        ck_assert_str_eq(th_pool_name(pool), names[i]);
        ck_assert_ptr_eq(th_pool_default(names[i]), pool);
        ck_assert_uint_eq(stats_of(pool).threads, 0);
    }
    ck_assert_ptr_null(th_pool_default("other"));
    ck_assert_ptr_null(th_pool_default(NULL));
}
END_TEST

START_TEST(they_are_not_the_programs_to_end)
{
    th_pool *pool = th_pool_default("files");
    ck_assert_int_eq(th_pool_free(pool), -EPERM);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_ABORT), -EPERM);
    ck_assert_int_eq(th_pool_stop(pool, TH_POOL_NO_WAIT), -EPERM);
    ck_assert_int_eq(th_offload(pool, count, NULL), 1);
}
END_TEST

START_TEST(null_is_the_one_called_default)
{
    ck_assert_int_eq(th_offload(NULL, count, NULL), 1);
    ck_assert_uint_eq(stats_of(th_pool_default("default")).done, 1);
}
END_TEST

FIBER_TEST(one_that_is_stuck_leaves_the_others_alone)
{
    gate g;
    th_pool *names = th_pool_default("names");
    th_future *stuck[4];
    gate_init(&g);
    for (int i = 0; i < 4; i++)
        stuck[i] = submit(names, wait_at_gate, &g);
    ck_assert_int_eq(th_offload(th_pool_default("files"), count, NULL), 1);
    for (int i = 0; i < 4; i++)
        open_gate(&g);
    ck_assert_int_eq(th_future_wait_all(stuck, 4), 0);
    for (int i = 0; i < 4; i++)
        th_future_unref(stuck[i]);
}

/* ---- the end of runtimes ---- */

static int use_all(void *arg)
{
    (void)arg;
    (void)th_offload(NULL, count, NULL);
    (void)th_offload(th_pool_default("names"), count, NULL);
    return 0;
}

START_TEST(after_the_last_runtime_no_idle_thread_is_left)
{
    for (int i = 1; i <= 20; i++) {
        run_in_fiber(2, 0, use_all, NULL);
        ck_assert_uint_eq(stats_of(th_pool_default("default")).threads, 0);
        ck_assert_uint_eq(stats_of(th_pool_default("names")).threads, 0);
        ck_assert_int_eq(atomic_load(&counted), 2 * i);
    }
}
END_TEST

static int abandon_short_work(void *arg)
{
    th_future_abandon(submit(NULL, count, arg));
    th_future_unref(submit(th_pool_default("files"), count, arg));
    return 0;
}

/* One that waited in vain for a thread to leave would take a second, its patience. */
START_TEST(work_that_ends_in_the_meantime_does_not_delay_the_end)
{
    for (int i = 0; i < 100; i++) {
        int64_t began = th_now();
        run_in_fiber(1, 0, abandon_short_work, NULL);
        ck_assert_int_lt(th_now() - began, TH_SECOND);
    }
}
END_TEST

static gate last;

static int abandon_work(void *arg)
{
    (void)arg;
    th_future_abandon(occupy(NULL, &last));
    return 0;
}

START_TEST(abandoned_work_does_not_hold_up_the_end)
{
    run_in_fiber(1, 0, abandon_work, NULL);
    ck_assert_uint_eq(stats_of(thi_default_pool()).running, 1);
    open_gate(&last);
    while (stats_of(thi_default_pool()).running > 0)
        sched_yield();
    ck_assert_int_eq(th_offload(NULL, count, NULL), 1);
}
END_TEST

/* ---- the end of the process ---- */

static int in_child(void (*body)(void))
{
    int status = -1;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body();
        exit(atomic_load(&counted));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int until_told(void *arg)
{
    sem_post(arg);
    while (th_work_cancelled() == 0)
        sched_yield();
    return 0;
}

static void leave_work_that_listens(void)
{
    static sem_t runs;
    sem_init(&runs, 0, 0);
    throw_in(NULL, until_told, &runs, TH_POOL_NORMAL);
    while (sem_wait(&runs) != 0)
        ;
}

static int forever(void *arg)
{
    sem_post(arg);
    while (atomic_load(&counted) == 0)
        pause();
    return 0;
}

static void leave_work_that_hangs(void)
{
    static sem_t runs;
    sem_init(&runs, 0, 0);
    throw_in(th_pool_default("names"), forever, &runs, TH_POOL_NORMAL);
    while (sem_wait(&runs) != 0)
        ;
}

static int exit_process(void *arg)
{
    exit(*(int *)arg);
    return 0;
}

static void let_a_job_end_it(void)
{
    static int status = 7;
    (void)th_offload(NULL, exit_process, &status);
}

static void use_after_fork(void)
{
    ck_assert_int_eq(th_offload(NULL, count, NULL), 2);
}

START_TEST(in_a_forked_child_they_begin_anew)
{
    SKIP_UNLESS(may_begin_anew(), NO_THREADS_ANEW);
    ck_assert_int_eq(th_offload(NULL, count, NULL), 1);
    ck_assert_int_eq(in_child(use_after_fork), 2);
    ck_assert_int_eq(th_offload(NULL, count, NULL), 2);
}
END_TEST

START_TEST(work_that_runs_is_told_of_the_end_of_the_process)
{
    ck_assert_int_eq(in_child(leave_work_that_listens), 0);
}
END_TEST

START_TEST(work_that_hangs_does_not_keep_the_process)
{
    ck_assert_int_eq(in_child(leave_work_that_hangs), 0);
}
END_TEST

START_TEST(a_job_may_end_the_process)
{
    ck_assert_int_eq(in_child(let_a_job_end_it), 7);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *found = thi_check_case(suite, "found");
    tcase_add_test(found, they_are_found_by_name);
    tcase_add_test(found, they_are_not_the_programs_to_end);
    tcase_add_test(found, null_is_the_one_called_default);
    tcase_add_test(found, one_that_is_stuck_leaves_the_others_alone);

    TCase *runtimes = thi_check_case(suite, "runtimes");
    tcase_add_test(runtimes, after_the_last_runtime_no_idle_thread_is_left);
    tcase_add_test(runtimes, work_that_ends_in_the_meantime_does_not_delay_the_end);
    tcase_add_test(runtimes, abandoned_work_does_not_hold_up_the_end);

    TCase *process = thi_check_case(suite, "process");
    tcase_add_test(process, work_that_runs_is_told_of_the_end_of_the_process);
    tcase_add_test(process, work_that_hangs_does_not_keep_the_process);
    tcase_add_test(process, a_job_may_end_the_process);
    tcase_add_test(process, in_a_forked_child_they_begin_anew);
}

int main(void)
{
    return thi_check_run("pool/defaults", fill);
}
