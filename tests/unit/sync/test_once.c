/* SPDX-License-Identifier: MIT */

/* Doing something once: who does it, who waits, and who does it after a failure. */
#include "sync/parties.h"

#include <thrum/once.h>

static th_once once = TH_ONCE_INIT;

static int never(void *arg)
{
    (void)arg;
    ck_abort_msg("it is not to be done");
    return 0;
}

/* ---- without waiting ---- */

static int count(void *arg)
{
    return ++*(int *)arg; /* positive: success as well */
}

FIBER_TEST(it_is_done_by_the_first_call_only)
{
    int counter = 0;
    th_once zero = { { 0 } };
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_once_call(&zero, count, &counter), 0);
    ck_assert_int_eq(counter, 1);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    int counter = 0;
    ck_assert_int_eq(th_once_call(NULL, never, NULL), -EINVAL);
    ck_assert_int_eq(th_once_call(&once, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_once_call(&once, count, &counter), 0);
    ck_assert_int_eq(th_once_call(&once, NULL, NULL), -EINVAL);
    ck_assert_int_eq(counter, 1);
}

static int fail_so(void *arg)
{
    note('f');
    return *(int *)arg;
}

FIBER_TEST(after_a_failure_the_next_call_does_it)
{
    int counter = 0, failure = TH_EPROTO;
    ck_assert_int_eq(th_once_call(&once, fail_so, &failure), TH_EPROTO);
    ck_assert_int_eq(th_once_call(&once, fail_so, &failure), TH_EPROTO);
    ck_assert_int_eq(th_once_call(&once, count, &counter), 0);
    ck_assert_int_eq(th_once_call(&once, never, NULL), 0);
    ck_assert_str_eq(trace, "ff");
}

static int again(void *arg)
{
    ck_assert_int_eq(th_once_call(&once, never, NULL), -EDEADLK);
    return count(arg);
}

FIBER_TEST(inside_itself_it_cannot_be_called)
{
    int counter = 0;
    ck_assert_int_eq(th_once_call(&once, again, &counter), 0);
    ck_assert_int_eq(th_once_call(&once, never, NULL), 0);
    ck_assert_int_eq(counter, 1);
}

FIBER_TEST(it_is_done_even_in_a_cancelled_scope)
{
    int counter = 0;
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_once_call(&once, count, &counter), 0);
    ck_assert_int_eq(th_once_call(&once, never, NULL), 0);
    close_scope(&scope);
    ck_assert_int_eq(counter, 1);
}

/* ---- others wait ---- */

/* A call: what it does, and what comes of it. */
typedef struct call {
    char name;
    int fails; /* the result of doing it */
    int result;
} call;

static bool enough; /* what is done ends when this is set */

static int do_slowly(void *arg)
{
    call *c = arg;
    note(c->name);
    while (!enough && th_yield() == 0)
        ;
    note('.');
    return c->fails;
}

static int make_call(void *arg)
{
    call *c = arg;
    ck_assert_int_eq(th_once_call(&once, do_slowly, c), c->result);
    note((char)(c->name - 'a' + 'A'));
    return 0;
}

static void spawn_calls(th_scope *scope, call *calls, int n)
{
    for (int i = 0; i < n; i++)
        spawn(scope, make_call, &calls[i]);
    th_yield();
}

FIBER_TEST(the_others_wait_until_it_is_done)
{
    static call calls[] = { { 'a', 0, 0 }, { 'b', 0, 0 }, { 'c', 0, 0 } };
    th_scope scope;
    open_scope(&scope);
    spawn_calls(&scope, calls, 3);
    for (int i = 0; i < 10; i++)
        th_yield();
    ck_assert_str_eq(trace, "a");
    enough = true;
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.ABC");
}

FIBER_TEST(after_a_failure_the_one_that_has_waited_longest_does_it)
{
    static call calls[] = {
        { 'a', TH_EPROTO, TH_EPROTO }, { 'b', -EIO, -EIO }, { 'c', 0, 0 }, { 'd', 0, 0 }
    };
    th_scope scope;
    open_scope(&scope);
    spawn_calls(&scope, calls, 4);
    enough = true;
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.Ab.Bc.CD");
}

FIBER_TEST(one_to_whom_it_falls_may_not_call_it_inside_itself)
{
    static call calls[] = { { 'a', -EIO, -EIO } };
    int counter = 0;
    th_scope scope;
    open_scope(&scope);
    spawn_calls(&scope, calls, 1);
    enough = true;
    ck_assert_int_eq(th_once_call(&once, again, &counter), 0);
    close_scope(&scope);
    ck_assert_int_eq(counter, 1);
}

static void call_once_in_loop(void)
{
    ck_assert_int_eq(th_once_call(&once, never, NULL), enough ? 0 : -EPERM);
}

FIBER_TEST(a_loop_does_not_wait_for_it)
{
    static call calls[] = { { 'a', 0, 0 } };
    th_scope scope;
    open_scope(&scope);
    spawn_calls(&scope, calls, 1);
    call_in_loop(call_once_in_loop);
    enough = true;
    close_scope(&scope);
    call_in_loop(call_once_in_loop);
}

/* ---- waits that end otherwise ---- */

FIBER_TEST(waiting_ends_at_the_deadline_and_it_goes_on)
{
    static call calls[] = { { 'a', 0, 0 } };
    th_scope outer, inner;
    open_scope(&outer);
    spawn_calls(&outer, calls, 1);
    open_scope_for(&inner, TH_MILLISECOND);
    ck_assert_int_eq(th_once_call(&once, never, NULL), -ETIMEDOUT);
    ck_assert_int_eq(th_once_call(&once, never, NULL), -ETIMEDOUT);
    enough = true;
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, "a.A");
    ck_assert_int_eq(th_once_call(&once, never, NULL), 0);
}

FIBER_TEST(one_that_was_cancelled_does_not_do_it)
{
    static call first[] = { { 'a', -EIO, -EIO } }, second[] = { { 'b', 0, -ECANCELED } },
                third[] = { { 'c', 0, 0 } };
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    spawn_calls(&outer, first, 1);
    spawn_calls(&inner, second, 1);
    spawn_calls(&outer, third, 1);
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    enough = true;
    close_scope(&outer);
    ck_assert_str_eq(trace, "aB.Ac.C");
}

FIBER_TEST(when_all_who_wait_are_cancelled_a_failure_leaves_it_undone)
{
    static call first[] = { { 'a', -EIO, -EIO } }, second[] = { { 'b', 0, -ECANCELED } };
    int counter = 0;
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    spawn_calls(&outer, first, 1);
    spawn_calls(&inner, second, 1);
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    enough = true;
    close_scope(&outer);
    ck_assert_int_eq(th_once_call(&once, count, &counter), 0);
    ck_assert_int_eq(counter, 1);
}

/* It is what the function makes of it that counts: here the cancellation. */
static int do_until_cancelled(void *arg)
{
    (void)arg;
    return th_sleep(TH_NEVER);
}

static int call_until_cancelled(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_once_call(&once, do_until_cancelled, NULL), -ECANCELED);
    return 0;
}

FIBER_TEST(what_is_done_can_be_cancelled_and_falls_to_the_next)
{
    static call next[] = { { 'b', 0, 0 } };
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    spawn(&inner, call_until_cancelled, NULL);
    th_yield();
    spawn_calls(&outer, next, 1);
    enough = true;
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, "b.B");
}

FIBER_TEST(what_fell_to_one_is_done_though_it_was_cancelled)
{
    static call calls[] = { { 'a', -EIO, -EIO }, { 'b', 0, 0 } };
    th_scope scope;
    open_scope(&scope);
    spawn_calls(&scope, calls, 2);
    enough = true;
    wait_until(strchr(trace, '.'));
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.Ab.B");
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, it_is_done_by_the_first_call_only);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, after_a_failure_the_next_call_does_it);
    tcase_add_test(alone, inside_itself_it_cannot_be_called);
    tcase_add_test(alone, it_is_done_even_in_a_cancelled_scope);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, the_others_wait_until_it_is_done);
    tcase_add_test(waits, after_a_failure_the_one_that_has_waited_longest_does_it);
    tcase_add_test(waits, one_to_whom_it_falls_may_not_call_it_inside_itself);
    tcase_add_test(waits, a_loop_does_not_wait_for_it);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, waiting_ends_at_the_deadline_and_it_goes_on);
    tcase_add_test(ends, one_that_was_cancelled_does_not_do_it);
    tcase_add_test(ends, when_all_who_wait_are_cancelled_a_failure_leaves_it_undone);
    tcase_add_test(ends, what_is_done_can_be_cancelled_and_falls_to_the_next);
    tcase_add_test(ends, what_fell_to_one_is_done_though_it_was_cancelled);
}

int main(void)
{
    return thi_check_run("sync/once", fill);
}
