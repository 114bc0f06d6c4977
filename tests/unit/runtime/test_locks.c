/* SPDX-License-Identifier: MIT */

/* Locks of threads that are held across a suspension. Linked with libthrum-debug-locks. */
#include "in_fiber.h"

#include "base/metrics.h"
#include "runtime/locks.h"

#include <thrum/log.h>
#include <thrum/mutex.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* ---- what is said ------------------------------------------------------------------------------
 */

static char said[4096];
static atomic_int warnings;

static void on_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    if (level != TH_LOG_WARNING || !memmem(text.ptr, text.len, "pthread", 7))
        return;
    snprintf(said, sizeof said, "%.*s", (int)text.len, text.ptr);
    atomic_fetch_add(&warnings, 1);
}

static int64_t counted_before;

static void listen_to_log(void)
{
    ck_assert_int_eq(th_log_set_sink(on_log, NULL, TH_LOG_WARNING), 0);
    counted_before = thi_metric_read(THI_M_LOCKS_HELD);
}

static int64_t counted(void)
{
    return thi_metric_read(THI_M_LOCKS_HELD) - counted_before;
}

static void expect_said(const char *text)
{
    ck_assert_msg(strstr(said, text) != NULL, "no '%s' in: %s", text, said);
}

/* ---- bodies ------------------------------------------------------------------------------------
 */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static int sleep_with_mutex(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&mutex);
    int err = th_sleep(1);
    (void)pthread_mutex_unlock(&mutex);
    return err;
}

static int sleep_without(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&mutex);
    (void)pthread_mutex_unlock(&mutex);
    return th_sleep(1);
}

static int sleep_twice_with_mutex(void *arg)
{
    (void)arg;
    (void)pthread_mutex_lock(&mutex);
    int err = th_sleep(1);
    if (err == 0)
        err = th_sleep(1);
    (void)pthread_mutex_unlock(&mutex);
    return err;
}

static int yield_with_timed_mutex(void *arg)
{
    (void)arg;
    struct timespec never = { .tv_sec = INT32_MAX };
    (void)pthread_mutex_timedlock(&mutex, &never);
    th_yield();
    (void)pthread_mutex_unlock(&mutex);
    return 0;
}

static int end_with_tried_mutex(void *arg)
{
    (void)arg;
    int err = pthread_mutex_trylock(&mutex);
    note('e'); /* the call is none that leaves this function */
    return err;
}

static int sleep_with_rwlock(void *arg)
{
    (void)(arg ? pthread_rwlock_wrlock(&rwlock) : pthread_rwlock_rdlock(&rwlock));
    int err = th_sleep(1);
    (void)pthread_rwlock_unlock(&rwlock);
    return err;
}

static void run_named(const char *name, th_fiber_fn fn, void *arg)
{
    th_scope scope;
    th_spawn_opts opts = { .name = name };
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, fn, arg, &opts, NULL), 0);
    close_scope(&scope);
}

/* ---- the tests ---------------------------------------------------------------------------------
 */

FIBER_TEST(a_mutex_held_over_a_sleep_is_told_with_all_there_is_to_know)
{
    listen_to_log();
    run_named("holder", sleep_with_mutex, NULL);
    ck_assert_int_eq(warnings, 1);
    ck_assert_int_eq(counted(), 1);
    char address[40];
    snprintf(address, sizeof address, "mutex, %p", (void *)&mutex);
    expect_said(address);
    expect_said("fiber 'holder' #");
    expect_said("spawned at ");
    expect_said("test_locks.c:");
    expect_said("(sleep)");
    expect_said("locked in sleep_with_mutex+");
}

FIBER_TEST(the_same_place_is_told_once_and_counted_always)
{
    listen_to_log();
    for (int i = 0; i < 3; i++)
        run_named("holder", sleep_with_mutex, NULL);
    ck_assert_int_eq(warnings, 1);
    ck_assert_int_eq(counted(), 3);
    run_named("other", sleep_twice_with_mutex, NULL);
    ck_assert_int_eq(warnings, 2);
    ck_assert_int_eq(counted(), 4);
}

FIBER_TEST(a_mutex_given_back_before_is_none_of_it)
{
    listen_to_log();
    for (int i = 0; i < 100; i++)
        run_named("good", sleep_without, NULL);
    ck_assert_int_eq(counted(), 0);
    ck_assert_int_eq(warnings, 0);
}

FIBER_TEST(others_that_wait_meanwhile_are_not_blamed)
{
    listen_to_log();
    th_scope scope;
    open_scope(&scope);
    (void)pthread_mutex_lock(&mutex);
    th_yield();
    for (int i = 0; i < 10; i++)
        spawn(&scope, wait_for_cancel, NULL);
    (void)th_sleep(1);
    ck_assert_int_eq(counted(), 1);
    expect_said("fiber 'main'");
    expect_said("(yield)");
    (void)pthread_mutex_unlock(&mutex);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    ck_assert_int_eq(counted(), 1);
}

FIBER_TEST(yields_and_ends_count_as_well)
{
    listen_to_log();
    run_named("yielder", yield_with_timed_mutex, NULL);
    expect_said("'yielder'");
    expect_said("locked in yield_with_timed_mutex+");
    run_named("ender", end_with_tried_mutex, NULL);
    expect_said("(its end)");
    expect_said("locked in end_with_tried_mutex+");
    ck_assert_int_eq(counted(), 2);
    (void)pthread_mutex_unlock(&mutex);
}

FIBER_TEST(locks_for_reading_and_writing_are_told)
{
    listen_to_log();
    run_named("reader", sleep_with_rwlock, NULL);
    expect_said("'reader'");
    expect_said("pthread rwlock");
    run_named("writer", sleep_with_rwlock, &rwlock);
    expect_said("'writer'");
    ck_assert_int_eq(warnings, 2);
}

FIBER_TEST_ON(4, every_worker_is_looked_at)
{
    listen_to_log();
    th_scope scope;
    for (unsigned w = 0; w < 4; w++) { /* one after the other: they share the mutex */
        open_scope(&scope);
        spawn_on(&scope, w, sleep_with_mutex, NULL);
        close_scope(&scope);
    }
    ck_assert_int_eq(counted(), 4);
    ck_assert_int_eq(warnings, 1);
}

static int hold_th_mutex(void *arg)
{
    ck_assert_int_eq(th_mutex_lock(arg), 0);
    int err = th_sleep(1);
    th_mutex_unlock(arg);
    return err;
}

FIBER_TEST_ON(2, locks_of_the_library_are_never_told)
{
    static th_mutex shared;
    listen_to_log();
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 20; i++)
        spawn_on(&scope, i % 2, hold_th_mutex, &shared);
    close_scope(&scope);
    ck_assert_int_eq(counted(), 0);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "locks");
    tcase_add_test(tcase, a_mutex_held_over_a_sleep_is_told_with_all_there_is_to_know);
    tcase_add_test(tcase, the_same_place_is_told_once_and_counted_always);
    tcase_add_test(tcase, a_mutex_given_back_before_is_none_of_it);
    tcase_add_test(tcase, others_that_wait_meanwhile_are_not_blamed);
    tcase_add_test(tcase, yields_and_ends_count_as_well);
    tcase_add_test(tcase, locks_for_reading_and_writing_are_told);
    tcase_add_test(tcase, every_worker_is_looked_at);
    tcase_add_test(tcase, locks_of_the_library_are_never_told);
}

int main(void)
{
    if (!thi_locks_are_seen())
        return thi_check_skip_all("runtime/locks", "a sanitizer stands before the locks itself");
    return thi_check_run("runtime/locks", fill);
}
