/* SPDX-License-Identifier: MIT */

/* Deadlines in deadlines: which scope has expired, and what is said of it where. */
#include "in_fiber.h"

/* Passes time without suspending, as a loop that computes does. */
static void compute_until(int64_t time)
{
    while (th_now() < time)
        continue;
}

static void open_until(th_scope *scope, int64_t deadline)
{
    ck_assert_int_eq(th_scope_open(scope, &(th_scope_opts){ .deadline = deadline }), 0);
}

FIBER_TEST(scopes_with_the_same_deadline_both_know_that_it_has_passed)
{
    th_scope outer;
    th_scope inner;
    int64_t due = th_after(TH_MILLISECOND);
    open_until(&outer, due);
    open_until(&inner, due);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&inner), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&outer), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT); /* outside of it the outer one still holds */
    close_scope(&outer);
    ck_assert_int_eq(th_yield(), 0);
}

FIBER_TEST(when_the_inner_one_expires_what_follows_it_is_still_bounded)
{
    th_scope outer;
    th_scope inner;
    int64_t start = th_now();
    open_until(&outer, start + 3 * TH_MILLISECOND);
    open_until(&inner, start + TH_MILLISECOND);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&inner), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_ge(th_now(), start + 3 * TH_MILLISECOND);
    ck_assert_int_eq(th_scope_reason(&outer), -ETIMEDOUT);
    close_scope(&outer);
}

FIBER_TEST(a_worker_that_was_busy_across_both_reports_both)
{
    th_scope outer;
    th_scope inner;
    int64_t start = th_now();
    open_until(&outer, start + 2 * TH_MILLISECOND);
    open_until(&inner, start + TH_MILLISECOND);
    compute_until(start + 3 * TH_MILLISECOND);
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&inner), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&outer), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
    close_scope(&outer);
}

FIBER_TEST(when_the_outer_one_expires_first_the_inner_one_says_so_and_the_outer_one_is_to_blame)
{
    th_scope outer;
    th_scope inner;
    open_scope_for(&outer, TH_MILLISECOND);
    open_scope_for(&inner, TH_HOUR);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&outer), -ETIMEDOUT);
    close_scope(&inner);
    open_scope_for(&inner, TH_HOUR);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    close_scope(&inner);
    close_scope(&outer);

    open_scope_for(&outer, TH_HOUR);
    open_scope_for(&inner, TH_MILLISECOND);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&outer), 0); /* the inner one alone */
    close_scope(&inner);
    ck_assert_int_eq(th_yield(), 0);
    close_scope(&outer);
}

static int cancel_it(void *arg)
{
    return th_scope_cancel(arg, 0);
}

FIBER_TEST(a_cancellation_from_outside_never_looks_like_a_deadline)
{
    th_scope outer;
    th_scope inner;
    open_scope(&outer);
    open_scope_for(&inner, TH_HOUR);
    spawn(&inner, cancel_it, &outer);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&inner), -ECANCELED);
    close_scope(&inner);
    close_scope(&outer);
}

static int fail_of_its_own(void *arg)
{
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    return *(const int *)arg;
}

FIBER_TEST(a_failure_of_its_own_is_told_instead_of_the_deadline)
{
    static const int broken = -EIO, seven = 7;
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&scope, fail_of_its_own, (void *)(uintptr_t)&broken);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&scope, fail_of_its_own, (void *)(uintptr_t)&seven); /* it finished in spite of it */
    ck_assert_int_eq(th_scope_close(&scope), 0);
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&scope, sleep_for_ever, NULL);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT); /* and it has ended by now */
}

static bool cleaned_up;

static int clean_up_late(void *arg)
{
    (void)arg;
    int err = th_sleep(TH_NEVER);
    cleaned_up = th_shielded(TH_SECOND, do_nothing, NULL) == 0;
    return err;
}

FIBER_TEST(work_that_times_out_has_ended_before_that_is_told)
{
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&scope, clean_up_late, NULL);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT);
    ck_assert(cleaned_up);
}

FIBER_TEST(who_cancels_itself_is_told_at_the_next_call_that_suspends)
{
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(th_scope_cancel(&scope, -EINTR), 0);
    ck_assert_int_eq(th_check(), -ECANCELED);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), -EINTR);
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "deadlines");
    tcase_add_test(tcase, scopes_with_the_same_deadline_both_know_that_it_has_passed);
    tcase_add_test(tcase, when_the_inner_one_expires_what_follows_it_is_still_bounded);
    tcase_add_test(tcase, a_worker_that_was_busy_across_both_reports_both);
    tcase_add_test(
        tcase,
        when_the_outer_one_expires_first_the_inner_one_says_so_and_the_outer_one_is_to_blame);
    tcase_add_test(tcase, a_cancellation_from_outside_never_looks_like_a_deadline);
    tcase_add_test(tcase, a_failure_of_its_own_is_told_instead_of_the_deadline);
    tcase_add_test(tcase, work_that_times_out_has_ended_before_that_is_told);
    tcase_add_test(tcase, who_cancels_itself_is_told_at_the_next_call_that_suspends);
}

int main(void)
{
    return thi_check_run("runtime/deadlines", fill);
}
