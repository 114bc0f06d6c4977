/* SPDX-License-Identifier: MIT */

/* Wait groups: counts, their limits, and what becomes of those who wait. */
#include "sync/parties.h"

#include <thrum/waitgroup.h>

#include <limits.h>
#include <sched.h>
#include <stdlib.h>

#define ROUNDS 300

static th_waitgroup group = TH_WAITGROUP_INIT;

static void add(th_waitgroup *g, int n)
{
    ck_assert_int_eq(th_waitgroup_add(g, n), 0);
}

static void done(th_waitgroup *g)
{
    ck_assert_int_eq(th_waitgroup_done(g), 0);
}

static void wait_for(th_waitgroup *g)
{
    ck_assert_int_eq(th_waitgroup_wait(g), 0);
}

/* Nothing is under way. */
static void expect_over(th_waitgroup *g)
{
    wait_for(g);
    ck_assert_int_eq(th_waitgroup_done(g), -EINVAL);
}

/* ---- without waiting ---- */

FIBER_TEST(at_zero_nobody_waits_even_in_a_cancelled_scope)
{
    th_scope scope;
    th_waitgroup zero = { { 0 } };
    open_cancelled_scope(&scope);
    wait_for(&zero);
    add(&zero, 2);
    done(&zero);
    done(&zero);
    expect_over(&zero);
    add(&zero, 0);
    expect_over(&zero);
    close_scope(&scope);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    ck_assert_int_eq(th_waitgroup_add(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_waitgroup_done(NULL), -EINVAL);
    ck_assert_int_eq(th_waitgroup_wait(NULL), -EINVAL);
    ck_assert_int_eq(th_waitgroup_done(&group), -EINVAL);
    add(&group, 2);
    ck_assert_int_eq(th_waitgroup_add(&group, -3), -EINVAL);
    ck_assert_int_eq(th_waitgroup_add(&group, INT_MIN), -EINVAL);
    add(&group, -2);
    expect_over(&group);
}

FIBER_TEST(so_many_can_be_under_way_and_no_more)
{
    add(&group, INT_MAX);
    ck_assert_int_eq(th_waitgroup_add(&group, 1), -EOVERFLOW);
    ck_assert_int_eq(th_waitgroup_add(&group, INT_MAX), -EOVERFLOW);
    done(&group);
    add(&group, 1);
    ck_assert_int_eq(th_waitgroup_add(&group, 1), -EOVERFLOW);
    add(&group, -INT_MAX);
    expect_over(&group);
}

static void wait_in_loop(void)
{
    add(&group, 1);
    ck_assert_int_eq(th_waitgroup_wait(&group), -EPERM);
    done(&group);
    wait_for(&group);
}

FIBER_TEST(a_loop_does_not_wait_for_it)
{
    call_in_loop(wait_in_loop);
    expect_over(&group);
}

/* ---- waits ---- */

static int wait_and_note(void *arg)
{
    wait_for(&group);
    note(*(char *)arg);
    return 0;
}

static void spawn_waiters(th_scope *scope, char *names)
{
    for (; *names; names++)
        spawn(scope, wait_and_note, names);
    th_yield();
}

FIBER_TEST(all_who_wait_are_let_go_at_zero_and_not_before)
{
    static char names[] = "abc";
    th_scope scope;
    open_scope(&scope);
    add(&group, 2);
    spawn_waiters(&scope, names);
    done(&group);
    add(&group, 1); /* up again, with others waiting */
    done(&group);
    ck_assert_int_eq(th_waitgroup_add(&group, -2), -EINVAL);
    for (int i = 0; i < 10; i++)
        th_yield();
    ck_assert_str_eq(trace, "");
    done(&group);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
    expect_over(&group);
}

FIBER_TEST(it_may_be_used_again_before_those_who_waited_have_run)
{
    static char first[] = "ab", second[] = "c";
    th_scope scope;
    open_scope(&scope);
    add(&group, 1);
    spawn_waiters(&scope, first);
    done(&group);
    add(&group, 1);
    spawn_waiters(&scope, second);
    for (int i = 0; i < 10; i++)
        th_yield();
    ck_assert_str_eq(trace, "ab");
    done(&group);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
}

/* ---- waits that end otherwise ---- */

static int wait_in_vain(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_waitgroup_wait(&group), -ECANCELED);
    ck_assert_int_eq(th_waitgroup_wait(&group), -ECANCELED);
    note('-');
    return 0;
}

FIBER_TEST(waiting_ends_at_the_deadline)
{
    th_scope scope;
    add(&group, 1);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_waitgroup_wait(&group), -ETIMEDOUT);
    close_scope(&scope);
    done(&group);
    expect_over(&group);
}

FIBER_TEST(a_cancelled_wait_leaves_the_others_waiting)
{
    static char first[] = "a", last[] = "b";
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    add(&group, 1);
    spawn_waiters(&outer, first);
    spawn(&inner, wait_in_vain, NULL);
    th_yield();
    spawn_waiters(&outer, last);
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    ck_assert_str_eq(trace, "-");
    done(&group);
    close_scope(&outer);
    ck_assert_str_eq(trace, "-ab");
    expect_over(&group);
}

FIBER_TEST(who_was_let_go_is_not_cancelled)
{
    static char names[] = "ab";
    th_scope scope;
    open_scope(&scope);
    add(&group, 1);
    spawn_waiters(&scope, names);
    done(&group);
    add(&group, 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ab");
    done(&group);
}

/* ---- several workers and threads ---- */

/* What is done is plain, for the thread sanitizer to see that it is over. */
static int finish_and_leave(void *arg)
{
    done(arg);
    return 0;
}

static void *finish_and_leave_as_thread(void *arg)
{
    done(arg);
    return NULL;
}

/* Whoever let the waiting party go does not come back to the group, whether it slept or not. */
FIBER_TEST_ON(4, whoever_has_waited_may_free_it)
{
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < ROUNDS; i++) {
        th_waitgroup *g = calloc(1, sizeof *g);
        ck_assert_ptr_nonnull(g);
        add(g, 2);
        pthread_t thread = start_thread(finish_and_leave_as_thread, g);
        spawn_on(&scope, 1 + (unsigned)i % 3, finish_and_leave, g);
        for (volatile int j = 0; j < (i % 30) * 100; j++)
            ;
        wait_for(g);
        free(g);
        join_thread(thread);
    }
    close_scope(&scope);
}

static int wait_in_vain_for(void *arg)
{
    ck_assert_int_eq(th_waitgroup_wait(arg), -ECANCELED);
    return 0;
}

/* The same where nobody sleeps, but somebody did: the last one looks for waiters, and one that
 * finds zero meanwhile does not pass before it has left. */
FIBER_TEST(whoever_has_found_zero_may_free_it)
{
    for (int i = 0; i < 50; i++) {
        th_scope scope;
        th_waitgroup *g = calloc(1, sizeof *g);
        ck_assert_ptr_nonnull(g);
        add(g, 1);
        open_scope(&scope);
        spawn(&scope, wait_in_vain_for, g);
        th_yield();
        ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
        close_scope(&scope);
        pthread_t thread = start_thread(finish_and_leave_as_thread, g);
        open_cancelled_scope(&scope);
        while (th_waitgroup_wait(g) != 0)
            sched_yield();
        free(g);
        close_scope(&scope);
        join_thread(thread);
    }
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, at_zero_nobody_waits_even_in_a_cancelled_scope);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, so_many_can_be_under_way_and_no_more);
    tcase_add_test(alone, a_loop_does_not_wait_for_it);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, all_who_wait_are_let_go_at_zero_and_not_before);
    tcase_add_test(waits, it_may_be_used_again_before_those_who_waited_have_run);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, waiting_ends_at_the_deadline);
    tcase_add_test(ends, a_cancelled_wait_leaves_the_others_waiting);
    tcase_add_test(ends, who_was_let_go_is_not_cancelled);

    TCase *many = thi_check_case(suite, "lifetime");
    tcase_add_test(many, whoever_has_waited_may_free_it);
    tcase_add_test(many, whoever_has_found_zero_may_free_it);
}

int main(void)
{
    return thi_check_run("sync/waitgroup", fill);
}
