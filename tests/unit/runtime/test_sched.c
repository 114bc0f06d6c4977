/* SPDX-License-Identifier: MIT */

/* Yielding, sleeping, checking: who runs when, and what ends a wait. */
#include "in_fiber.h"

#include "runtime/worker.h"
#include "sys/sys.h"

#include <pthread.h>

/* ---- yield ----------------------------------------------------------------------------------- */

static int note_three_times(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(*(char *)arg);
        th_yield();
    }
    return 0;
}

FIBER_TEST(yield_goes_behind_all_that_are_ready)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, note_three_times, "a");
    spawn(&scope, note_three_times, "b");
    spawn(&scope, note_three_times, "c");
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcabcabc");
}

FIBER_TEST(yield_with_nobody_else_returns_at_once)
{
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(th_yield(), 0);
}

static int yield_until_told(void *arg)
{
    return wait_for_flag(arg);
}

/* Sets the flag that arg points to when a little time has passed. */
static int sleep_then_tell(void *arg)
{
    ck_assert_int_eq(th_sleep(2 * TH_MILLISECOND), 0);
    *(bool *)arg = true;
    return 0;
}

FIBER_TEST(a_busy_pair_does_not_starve_timers)
{
    bool told = false;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, yield_until_told, &told);
    spawn(&scope, yield_until_told, &told);
    spawn(&scope, sleep_then_tell, &told);
    close_scope(&scope);
}

FIBER_TEST(a_lonely_busy_fiber_does_not_starve_timers)
{
    th_scope scope;
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    while (th_yield() == 0)
        ;
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    close_scope(&scope);
}

static int tell(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

typedef struct thread_spawn {
    th_scope *scope;
    bool told;
} thread_spawn;

static void *spawn_tell(void *arg)
{
    thread_spawn *job = arg;
    ck_assert_int_eq(th_spawn(job->scope, tell, &job->told), 0);
    return NULL;
}

FIBER_TEST(a_busy_fiber_does_not_starve_messages_of_threads)
{
    th_scope scope;
    thread_spawn job = { .scope = &scope };
    pthread_t thread;
    open_scope(&scope);
    ck_assert_int_eq(pthread_create(&thread, NULL, spawn_tell, &job), 0);
    while (!job.told)
        th_yield();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    close_scope(&scope);
}

/* ---- sleep ----------------------------------------------------------------------------------- */

typedef struct sleep_job {
    int64_t span;
    char letter;
    int64_t slept;
} sleep_job;

static int sleep_and_note(void *arg)
{
    sleep_job *job = arg;
    int64_t begin = th_now();
    int err = th_sleep(job->span);
    job->slept = th_now() - begin;
    note(job->letter);
    return err;
}

static void sleep_together(void)
{
    sleep_job jobs[] = {
        { .span = 30 * TH_MILLISECOND, .letter = 'c' },
        { .span = 40 * TH_MILLISECOND, .letter = 'd' },
        { .span = 10 * TH_MILLISECOND, .letter = 'a' },
        { .span = 20 * TH_MILLISECOND, .letter = 'b' },
    };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(jobs); i++)
        spawn(&scope, sleep_and_note, &jobs[i]);
    close_scope(&scope);
    for (size_t i = 0; i < thi_array_len(jobs); i++)
        ck_assert_int_ge(jobs[i].slept, jobs[i].span);
}

/* On a machine that stalls for milliseconds they do not begin at the same time, so the order is
 * another one; but not always. */
FIBER_TEST(sleepers_wake_in_the_order_of_their_times_and_never_early)
{
    for (int i = 0; i < 20 && strcmp(trace, "abcd") != 0; i++) {
        memset(trace, 0, sizeof trace);
        sleep_together();
    }
    ck_assert_str_eq(trace, "abcd");
}

static int sleep_until_and_note(void *arg)
{
    sleep_job *job = arg;
    int err = th_sleep_until(job->span);
    note(job->letter);
    return err;
}

FIBER_TEST(sleepers_until_the_same_time_wake_in_the_order_of_falling_asleep)
{
    sleep_job jobs[8];
    th_scope scope;
    int64_t time = th_after(3 * TH_MILLISECOND);
    open_scope(&scope);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (sleep_job){ .span = time, .letter = (char)('a' + i) };
        spawn(&scope, sleep_until_and_note, &jobs[i]);
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdefgh");
    ck_assert_int_ge(th_now(), time);
}

FIBER_TEST(short_sleeps_are_not_cut)
{
    for (int64_t span = 1; span < 2 * TH_MILLISECOND; span *= 3) {
        int64_t begin = th_now();
        ck_assert_int_eq(th_sleep(span), 0);
        ck_assert_int_ge(th_now() - begin, span);
    }
}

FIBER_TEST(a_sleep_of_nothing_lets_others_run)
{
    static const int64_t spans[] = { 0, -1, INT64_MIN };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(spans); i++) {
        spawn(&scope, note_letter, "a");
        ck_assert_int_eq(th_sleep(spans[i]), 0);
        note('|');
        spawn(&scope, note_letter, "b");
        ck_assert_int_eq(th_sleep_until(spans[i]), 0);
        note('|');
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, "a|b|a|b|a|b|");
}

FIBER_TEST(only_never_is_never)
{
    th_scope scope;
    ck_assert_int_eq(th_after(TH_NEVER), TH_NEVER);
    ck_assert_int_eq(th_after(TH_NEVER - 1), TH_NEVER);
    ck_assert_int_le(th_after(0), th_now());
    ck_assert_int_lt(th_after(INT64_MIN), 0);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_sleep(TH_NEVER - 1), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_sleep_until(TH_NEVER - 1), -ETIMEDOUT);
    close_scope(&scope);
}

FIBER_TEST(a_cancelled_sleeper_returns_at_once_and_again_and_again)
{
    th_scope scope;
    int64_t begin = th_now();
    open_scope(&scope);
    spawn(&scope, sleep_for_ever, NULL);
    th_yield();
    th_scope_cancel(&scope, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_sleep(100 * TH_SECOND), -ECANCELED);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_int_lt(th_now() - begin, 50 * TH_SECOND);
}

/* Wakes later than the sleeper under test would, had its timer stayed. */
FIBER_TEST(the_timer_of_a_cancelled_sleeper_is_gone)
{
    th_scope scope;
    open_scope(&scope);
    sleep_job job = { .span = 2 * TH_MILLISECOND, .letter = 'x' };
    spawn(&scope, sleep_and_note, &job);
    th_yield();
    ck_assert_uint_eq(thi_worker_self->loop.timers.count, 1);
    th_scope_cancel(&scope, 0);
    ck_assert_uint_eq(thi_worker_self->loop.timers.count, 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_int_eq(th_sleep(4 * TH_MILLISECOND), 0);
    ck_assert_str_eq(trace, "x");
}

FIBER_TEST(many_sleepers_all_wake)
{
    enum { COUNT = 2000 };
    static sleep_job jobs[COUNT];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < COUNT; i++) {
        jobs[i].span = (i * 7919 % 2000) * 5 * TH_MICROSECOND;
        spawn(&scope, sleep_and_note, &jobs[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_ge(jobs[i].slept, jobs[i].span);
}

/* ---- check and hogs -------------------------------------------------------------------------- */

static void compute_until(int64_t time)
{
    while (th_now() < time)
        ;
}

FIBER_TEST(check_sees_a_deadline_in_a_loop_that_never_suspends)
{
    th_scope scope;
    ck_assert_int_eq(th_check(), 0);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_check(), 0);
    while (th_check() == 0)
        ;
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&scope), -ETIMEDOUT);
    ck_assert_int_ge(th_now(), th_scope_deadline(&scope));
    close_scope(&scope);
    ck_assert_int_eq(th_check(), 0);
}

FIBER_TEST(check_sees_a_cancellation)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_check(), -ECANCELED);
    ck_assert_int_eq(th_check(), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(th_check(), 0);
}

static int hog(void *arg)
{
    compute_until(th_now() + *(int64_t *)arg);
    note('h');
    return 0;
}

static int sleep_under_deadline(void *arg)
{
    (void)arg;
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    int err = th_sleep(100 * TH_SECOND);
    note('d');
    close_scope(&scope);
    return err == -ETIMEDOUT ? 0 : -EIO;
}

FIBER_TEST(behind_a_hog_deadlines_fire_late_but_fire)
{
    int64_t span = 10 * TH_MILLISECOND;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, sleep_under_deadline, NULL);
    spawn(&scope, hog, &span);
    close_scope(&scope);
    ck_assert_str_eq(trace, "hd");
}

/* ---- deadlines that have passed -------------------------------------------------------------- */

static void expect_all_calls_to_time_out(int64_t deadline)
{
    th_scope scope;
    th_fiber *fiber;
    th_scope around;
    int result = 0;
    open_scope(&around);
    fiber = spawn_handle(&around, do_nothing, NULL);
    uint64_t turns = thi_worker_self->loop.turns;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .deadline = deadline }), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_yield(), -ETIMEDOUT);
        ck_assert_int_eq(th_sleep(1), -ETIMEDOUT);
        ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
        ck_assert_int_eq(th_join(fiber, &result), -ETIMEDOUT);
        ck_assert_int_eq(th_scope_wait(&around), -ETIMEDOUT);
        ck_assert_int_eq(th_check(), -ETIMEDOUT);
    }
    ck_assert_int_eq(th_scope_wait(&scope), 0); /* needs no suspension */
    ck_assert_uint_eq(turns, thi_worker_self->loop.turns);
    close_scope(&scope);
    close_scope(&around);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    th_fiber_unref(fiber);
}

FIBER_TEST(after_the_deadline_nothing_suspends_any_more)
{
    static const int64_t past[] = { 1, -1, INT64_MIN };
    for (size_t i = 0; i < thi_array_len(past); i++)
        expect_all_calls_to_time_out(past[i]);
    expect_all_calls_to_time_out(th_now() - 1);
    expect_all_calls_to_time_out(th_now());
}

static void fill(Suite *suite)
{
    TCase *yield = thi_check_case(suite, "yield");
    tcase_add_test(yield, yield_goes_behind_all_that_are_ready);
    tcase_add_test(yield, yield_with_nobody_else_returns_at_once);
    add_on_engines(yield, a_busy_pair_does_not_starve_timers);
    add_on_engines(yield, a_lonely_busy_fiber_does_not_starve_timers);
    add_on_engines(yield, a_busy_fiber_does_not_starve_messages_of_threads);

    TCase *sleep = thi_check_case(suite, "sleep");
    add_on_engines(sleep, sleepers_wake_in_the_order_of_their_times_and_never_early);
    add_on_engines(sleep, sleepers_until_the_same_time_wake_in_the_order_of_falling_asleep);
    add_on_engines(sleep, short_sleeps_are_not_cut);
    tcase_add_test(sleep, a_sleep_of_nothing_lets_others_run);
    add_on_engines(sleep, only_never_is_never);
    tcase_add_test(sleep, a_cancelled_sleeper_returns_at_once_and_again_and_again);
    tcase_add_test(sleep, the_timer_of_a_cancelled_sleeper_is_gone);
    add_on_engines(sleep, many_sleepers_all_wake);

    TCase *check = thi_check_case(suite, "check");
    tcase_add_test(check, check_sees_a_deadline_in_a_loop_that_never_suspends);
    tcase_add_test(check, check_sees_a_cancellation);
    add_on_engines(check, behind_a_hog_deadlines_fire_late_but_fire);
    tcase_add_test(check, after_the_deadline_nothing_suspends_any_more);
}

int main(void)
{
    return thi_check_run("runtime/sched", fill);
}
