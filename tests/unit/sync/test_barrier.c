/* SPDX-License-Identifier: MIT */

/* Barriers: rounds, and what breaks them. */
#include "sync/parties.h"

#include <thrum/barrier.h>

static th_barrier three = TH_BARRIER_INIT(3);

static void expect_broken(th_barrier *barrier, int broken)
{
    ck_assert_int_eq(th_barrier_is_broken(barrier), broken);
}

/* ---- without waiting ---- */

FIBER_TEST(one_party_never_waits)
{
    th_barrier one = TH_BARRIER_INIT(1);
    th_scope scope;
    open_cancelled_scope(&scope);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_barrier_wait(&one), 1);
    close_scope(&scope);
}

FIBER_TEST(misuse_is_refused)
{
    th_barrier zero = { { 0 } };
    ck_assert_int_eq(th_barrier_init(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_barrier_init(&zero, 0), -EINVAL);
    ck_assert_int_eq(th_barrier_wait(&zero), -EINVAL);
    ck_assert_int_eq(th_barrier_wait(NULL), -EINVAL);
    ck_assert_int_eq(th_barrier_abort(NULL), -EINVAL);
    ck_assert_int_eq(th_barrier_reset(NULL), -EINVAL);
    ck_assert_int_eq(th_barrier_is_broken(NULL), -EINVAL);
}

/* ---- rounds ---- */

/* Notes when it comes, and the result when it goes. */
static int come_and_go(void *arg)
{
    th_barrier *barrier = arg;
    note('c');
    int result = th_barrier_wait(barrier);
    note(result == TH_EBROKEN ? 'b' : result < 0 ? '-' : (char)('0' + result));
    return 0;
}

FIBER_TEST(nobody_goes_before_all_have_come)
{
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(trace, i == 0 ? "" : i == 1 ? "c" : "cc");
        spawn(&scope, come_and_go, &three);
        th_yield();
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, "ccc100");
}

FIBER_TEST(it_may_be_initialised_at_run_time_and_again)
{
    th_barrier barrier;
    for (uint32_t parties = 2; parties < 4; parties++) {
        th_scope scope;
        ck_assert_int_eq(th_barrier_init(&barrier, parties), 0);
        open_scope(&scope);
        for (uint32_t i = 1; i < parties; i++)
            spawn(&scope, come_and_go, &barrier);
        th_yield();
        ck_assert_int_eq(th_barrier_wait(&barrier), 1);
        close_scope(&scope);
    }
    ck_assert_str_eq(trace, "c0cc00");
}

FIBER_TEST(the_last_one_comes_even_in_a_cancelled_scope)
{
    th_scope scope, inner;
    open_scope(&scope);
    spawn(&scope, come_and_go, &three);
    spawn(&scope, come_and_go, &three);
    th_yield();
    open_cancelled_scope(&inner);
    ck_assert_int_eq(th_barrier_wait(&three), 1);
    close_scope(&inner);
    close_scope(&scope);
    ck_assert_str_eq(trace, "cc00");
}

static void come_in_loop(void)
{
    ck_assert_int_eq(th_barrier_wait(&three), -EPERM);
}

static void come_last_in_loop(void)
{
    ck_assert_int_eq(th_barrier_wait(&three), 1);
}

FIBER_TEST(a_loop_does_not_wait_and_does_not_count_unless_it_is_the_last)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_and_go, &three);
    th_yield();
    call_in_loop(come_in_loop);
    expect_broken(&three, 0);
    spawn(&scope, come_and_go, &three);
    th_yield();
    call_in_loop(come_last_in_loop);
    close_scope(&scope);
    ck_assert_str_eq(trace, "cc00");
}

/* ---- broken ---- */

static int expect_result(void *arg)
{
    ck_assert_int_eq(th_barrier_wait(&three), *(int *)arg);
    note('.');
    return 0;
}

static int fine = 0, broken = TH_EBROKEN, cancelled = -ECANCELED;

/* Three come, and all of them get there. */
static void expect_whole(void)
{
    th_scope scope;
    expect_broken(&three, 0);
    open_scope(&scope);
    spawn(&scope, expect_result, &fine);
    spawn(&scope, expect_result, &fine);
    th_yield();
    ck_assert_int_eq(th_barrier_wait(&three), 1);
    close_scope(&scope);
}

FIBER_TEST(an_aborted_one_is_broken_for_all_until_it_is_reset)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_result, &broken);
    spawn(&scope, expect_result, &broken);
    th_yield();
    expect_broken(&three, 0);
    ck_assert_int_eq(th_barrier_abort(&three), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "..");
    expect_broken(&three, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_barrier_wait(&three), TH_EBROKEN);
    ck_assert_int_eq(th_barrier_abort(&three), 0);
    ck_assert_int_eq(th_barrier_reset(&three), 0);
    expect_whole();
}

FIBER_TEST(resetting_sends_away_those_who_wait)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_result, &broken);
    th_yield();
    ck_assert_int_eq(th_barrier_reset(&three), 0);
    expect_whole(); /* at once, before the one that was sent away has run */
    close_scope(&scope);
    expect_whole();
}

FIBER_TEST(a_party_that_is_cancelled_breaks_it)
{
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    spawn(&outer, expect_result, &broken);
    spawn(&inner, expect_result, &cancelled);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, "..");
    expect_broken(&three, 1);
    ck_assert_int_eq(th_barrier_reset(&three), 0);
    expect_whole();
}

FIBER_TEST(all_parties_of_one_scope_can_be_cancelled)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_and_go, &three);
    spawn(&scope, come_and_go, &three);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "cc-b"); /* the first broke it for the second */
}

FIBER_TEST(a_party_whose_time_is_up_breaks_it)
{
    th_scope outer, inner;
    open_scope(&outer);
    spawn(&outer, expect_result, &broken);
    th_yield();
    open_scope_for(&inner, TH_MILLISECOND);
    ck_assert_int_eq(th_barrier_wait(&three), -ETIMEDOUT);
    close_scope(&inner);
    close_scope(&outer);
    expect_broken(&three, 1);
}

FIBER_TEST(a_party_that_comes_and_may_not_wait_breaks_it)
{
    th_scope outer, inner;
    open_scope(&outer);
    spawn(&outer, expect_result, &broken);
    th_yield();
    open_cancelled_scope(&inner);
    ck_assert_int_eq(th_barrier_wait(&three), -ECANCELED);
    ck_assert_int_eq(th_barrier_wait(&three), TH_EBROKEN);
    close_scope(&inner);
    close_scope(&outer);
}

FIBER_TEST(a_round_that_is_complete_is_not_broken_by_a_cancellation)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_result, &fine);
    spawn(&scope, expect_result, &fine);
    th_yield();
    ck_assert_int_eq(th_barrier_wait(&three), 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_barrier_abort(&three), 0); /* that round is over as well */
    close_scope(&scope);
    ck_assert_str_eq(trace, "..");
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, one_party_never_waits);
    tcase_add_test(alone, misuse_is_refused);

    TCase *rounds = thi_check_case(suite, "rounds");
    tcase_add_test(rounds, nobody_goes_before_all_have_come);
    tcase_add_test(rounds, it_may_be_initialised_at_run_time_and_again);
    tcase_add_test(rounds, the_last_one_comes_even_in_a_cancelled_scope);
    tcase_add_test(rounds, a_loop_does_not_wait_and_does_not_count_unless_it_is_the_last);

    TCase *breaks = thi_check_case(suite, "breaks");
    tcase_add_test(breaks, an_aborted_one_is_broken_for_all_until_it_is_reset);
    tcase_add_test(breaks, resetting_sends_away_those_who_wait);
    tcase_add_test(breaks, a_party_that_is_cancelled_breaks_it);
    tcase_add_test(breaks, all_parties_of_one_scope_can_be_cancelled);
    tcase_add_test(breaks, a_party_whose_time_is_up_breaks_it);
    tcase_add_test(breaks, a_party_that_comes_and_may_not_wait_breaks_it);
    tcase_add_test(breaks, a_round_that_is_complete_is_not_broken_by_a_cancellation);
}

int main(void)
{
    return thi_check_run("sync/barrier", fill);
}
