/* SPDX-License-Identifier: MIT */

/* Fibers that start later, or never; in virtual time, so that "later" is exact. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "runtime/worker.h"

#include <thrum/sim.h>

#include <pthread.h>

/* A test whose body is the main fiber of a simulation with so many workers, under several seeds. */
#define SIM_TEST_ON(count, name)                                                                   \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (unsigned seed = 1; seed <= 20; seed++) {                                              \
            memset(trace, 0, sizeof trace);                                                        \
            th_sim_opts opts = { .seed = seed, .workers = (count) };                               \
            ck_assert_int_eq(th_sim_run(name##_main, NULL, &opts, NULL), 0);                       \
        }                                                                                          \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

static th_fiber *spawn_later(th_scope *scope, int64_t delay, int place, th_fiber_fn fn, void *arg)
{
    th_fiber *fiber = NULL;
    th_spawn_opts opts = { .delay = delay, .place = place };
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, &opts, &fiber), 0);
    return fiber;
}

static void expect_result(th_fiber *fiber, int expected)
{
    int result = 77;
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, expected);
    th_fiber_unref(fiber);
}

static int note_time(void *arg)
{
    *(int64_t *)arg = th_now();
    return 5;
}

static int fail_if_run(void *arg)
{
    (void)arg;
    ck_abort_msg("it was called off before its time");
}

SIM_TEST_ON(2, it_starts_when_its_time_has_come_wherever_that_is)
{
    static const int places[] = { TH_PLACE_HERE, TH_PLACE_ROUND, TH_PLACE_LEAST, 1, 2 };
    for (size_t i = 0; i < thi_array_len(places); i++) {
        th_scope scope;
        int64_t ran = 0;
        open_scope(&scope);
        int64_t start = th_now();
        th_fiber *fiber = spawn_later(&scope, TH_SECOND, places[i], note_time, &ran);
        ck_assert_uint_eq(th_scope_children(&scope), 1);
        close_scope(&scope); /* waits for it */
        ck_assert_int_ge(ran, start + TH_SECOND);
        ck_assert_int_le(ran, start + TH_SECOND + TH_MILLISECOND);
        expect_result(fiber, 5);
    }
}

SIM_TEST_ON(1, the_earlier_one_runs_first)
{
    th_scope scope;
    open_scope(&scope);
    th_fiber *c = spawn_later(&scope, 3 * TH_SECOND, 0, note_letter, "c");
    th_fiber *a = spawn_later(&scope, 1 * TH_SECOND, 0, note_letter, "a");
    th_fiber *b = spawn_later(&scope, 2 * TH_SECOND, 0, note_letter, "b");
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
    th_fiber_unref(a);
    th_fiber_unref(b);
    th_fiber_unref(c);
}

SIM_TEST_ON(1, meanwhile_it_holds_no_stack)
{
    th_scope scope;
    open_scope(&scope);
    size_t stacks = thi_worker_self->fibers.total;
    th_spawn_opts opts = { .delay = TH_SECOND };
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(th_spawn_with(&scope, do_nothing, NULL, &opts, NULL), 0);
    ck_assert_uint_eq(th_scope_children(&scope), 100);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_uint_eq(thi_worker_self->fibers.total, stacks);
    close_scope(&scope);
}

SIM_TEST_ON(2, in_a_cancelled_scope_it_never_runs)
{
    for (int place = 0; place <= 2; place++) {
        th_scope scope;
        open_scope(&scope);
        th_fiber *fiber = spawn_later(&scope, TH_HOUR, place, fail_if_run, NULL);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
        int64_t start = th_now();
        ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
        ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
        ck_assert_int_lt(th_now() - start, TH_SECOND);
        expect_result(fiber, -ECANCELED);
    }
}

SIM_TEST_ON(1, a_deadline_before_its_time_ends_it)
{
    th_scope scope;
    open_scope_for(&scope, TH_SECOND);
    th_fiber *fiber = spawn_later(&scope, TH_HOUR, 0, fail_if_run, NULL);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT);
    expect_result(fiber, -ETIMEDOUT);
}

SIM_TEST_ON(2, it_is_called_off_alone)
{
    for (int place = 0; place <= 2; place++) {
        th_scope scope;
        int64_t ran = 0;
        open_scope(&scope);
        th_fiber *one = spawn_later(&scope, TH_HOUR, place, fail_if_run, NULL);
        th_fiber *other = spawn_later(&scope, TH_SECOND, place, note_time, &ran);
        int64_t start = th_now();
        ck_assert_int_eq(th_fiber_cancel(one, -EPROTO), 0);
        expect_result(one, -ECANCELED);
        ck_assert_int_lt(th_now() - start, TH_SECOND);
        close_scope(&scope); /* no failure */
        ck_assert_int_ge(ran, start);
        expect_result(other, 5);
    }
}

static int cancel_it(void *arg)
{
    return th_fiber_cancel(arg, 0);
}

/* The cancellation comes from the other worker, before, at, and after its time. */
SIM_TEST_ON(2, a_cancellation_from_elsewhere_may_meet_its_time)
{
    for (int64_t delay = 1; delay < 30 * TH_MICROSECOND; delay += 3 * TH_MICROSECOND) {
        th_scope scope;
        int result = 77;
        open_scope(&scope);
        th_fiber *fiber = spawn_later(&scope, delay, 1, do_nothing, NULL);
        spawn_on(&scope, 1, cancel_it, fiber);
        close_scope(&scope);
        ck_assert_int_eq(th_join(fiber, &result), 0);
        ck_assert(result == 0 || result == -ECANCELED);
        th_fiber_unref(fiber);
    }
}

SIM_TEST_ON(1, it_takes_its_place_under_the_limit_at_once)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    th_fiber *fiber = spawn_later(&scope, TH_SECOND, 0, note_letter, "a");
    int64_t start = th_now();
    spawn(&scope, note_letter, "b"); /* waits for room */
    ck_assert_int_ge(th_now() - start, TH_SECOND);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ab");
    th_fiber_unref(fiber);
}

static void *start_late_in_thread(void *arg)
{
    return spawn_later(arg, TH_MILLISECOND, 0, note_letter, "t");
}

FIBER_TEST(a_thread_can_start_one_as_well)
{
    th_scope scope;
    pthread_t thread;
    void *fiber = NULL;
    open_scope(&scope);
    ck_assert_int_eq(pthread_create(&thread, NULL, start_late_in_thread, &scope), 0);
    ck_assert_int_eq(pthread_join(thread, &fiber), 0);
    close_scope(&scope);
    expect_result(fiber, 0);
    ck_assert_str_eq(trace, "t");
}

FIBER_TEST(without_memory_nothing_is_counted)
{
    th_scope scope;
    open_scope(&scope);
    for (int64_t n = 1; n <= 2; n++) {
        th_fiber *fiber = NULL;
        th_spawn_opts opts = { .delay = TH_SECOND };
        (void)thi_alloc_fail_at(n);
        ck_assert_int_eq(th_spawn_with(&scope, fail_if_run, NULL, &opts, &fiber), -ENOMEM);
        ck_assert_int_eq(thi_alloc_fail_at(0), 0); /* it came to that */
        ck_assert_ptr_null(fiber);
        ck_assert_uint_eq(th_scope_children(&scope), 0);
    }
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "delay");
    tcase_add_test(tcase, it_starts_when_its_time_has_come_wherever_that_is);
    tcase_add_test(tcase, the_earlier_one_runs_first);
    tcase_add_test(tcase, meanwhile_it_holds_no_stack);
    tcase_add_test(tcase, in_a_cancelled_scope_it_never_runs);
    tcase_add_test(tcase, a_deadline_before_its_time_ends_it);
    tcase_add_test(tcase, it_is_called_off_alone);
    tcase_add_test(tcase, a_cancellation_from_elsewhere_may_meet_its_time);
    tcase_add_test(tcase, it_takes_its_place_under_the_limit_at_once);
    tcase_add_test(tcase, a_thread_can_start_one_as_well);
    tcase_add_test(tcase, without_memory_nothing_is_counted);
}

int main(void)
{
    return thi_check_run("runtime/delay", fill);
}
