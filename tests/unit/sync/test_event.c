/* SPDX-License-Identifier: MIT */

/* Events, manual and automatic: who is woken, what is kept, and waits that are broken off. */
#include "sync/parties.h"

#include "sync/event.h"

#include <stdlib.h>

static th_event manual = TH_EVENT_INIT;
static th_event automatic = TH_EVENT_AUTO_INIT;

static void set(th_event *e)
{
    ck_assert_int_eq(th_event_set(e), 0);
}

static void clear(th_event *e)
{
    ck_assert_int_eq(th_event_clear(e), 0);
}

static void wait(th_event *e)
{
    ck_assert_int_eq(th_event_wait(e), 0);
}

static void expect_set(th_event *e)
{
    ck_assert_int_eq(th_event_is_set(e), 1);
}

static void expect_clear(th_event *e)
{
    ck_assert_int_eq(th_event_is_set(e), 0);
}

/* ---- without waiting ---- */

FIBER_TEST(a_manual_one_stays_set_until_it_is_cleared)
{
    th_event zeroed = { { 0 } };
    expect_clear(&zeroed);
    set(&zeroed);
    expect_set(&zeroed);
    wait(&zeroed);
    wait(&zeroed);
    expect_set(&zeroed);
    clear(&zeroed);
    expect_clear(&zeroed);
}

FIBER_TEST(an_automatic_one_lets_a_single_party_through)
{
    expect_clear(&automatic);
    set(&automatic);
    expect_set(&automatic);
    wait(&automatic);
    expect_clear(&automatic);
    set(&automatic);
    clear(&automatic);
    expect_clear(&automatic);
}

FIBER_TEST(setting_and_clearing_twice_is_the_same_as_once)
{
    set(&automatic);
    set(&automatic);
    wait(&automatic);
    expect_clear(&automatic);
    set(&manual);
    set(&manual);
    clear(&manual);
    expect_clear(&manual);
    clear(&manual);
    expect_clear(&manual);
}

FIBER_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_event_set(NULL), -EINVAL);
    ck_assert_int_eq(th_event_clear(NULL), -EINVAL);
    ck_assert_int_eq(th_event_is_set(NULL), -EINVAL);
    ck_assert_int_eq(th_event_wait(NULL), -EINVAL);
}

FIBER_TEST(one_that_is_set_is_passed_even_in_a_cancelled_scope)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    set(&manual);
    wait(&manual);
    clear(&manual);
    ck_assert_int_eq(th_event_wait(&manual), -ECANCELED);
    set(&automatic);
    wait(&automatic);
    ck_assert_int_eq(th_event_wait(&automatic), -ECANCELED);
    close_scope(&scope);
}

/* ---- others ---- */

static th_event *awaited;

static int wait_and_note(void *arg)
{
    wait(awaited);
    note(*(char *)arg);
    return 0;
}

static void spawn_noters(th_scope *scope, th_event *event, int count)
{
    static char names[] = "abcdef";
    awaited = event;
    for (int i = 0; i < count; i++)
        spawn(scope, wait_and_note, &names[i]);
    th_yield(); /* all of them wait now */
}

FIBER_TEST(setting_a_manual_one_wakes_all_in_order)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, &manual, 6);
    set(&manual);
    expect_set(&manual);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdef");
    wait(&manual);
    clear(&manual);
    expect_clear(&manual);
}

FIBER_TEST(those_who_were_woken_have_seen_it_set_though_it_was_cleared_since)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, &manual, 3);
    set(&manual);
    clear(&manual);
    expect_clear(&manual);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
}

FIBER_TEST(one_that_was_awaited_is_passed_in_a_cancelled_scope)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, &automatic, 1);
    set(&automatic);
    set(&automatic);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    wait(&automatic);
    expect_clear(&automatic);
    close_scope(&scope);
}

FIBER_TEST(each_setting_of_an_automatic_one_wakes_the_one_that_has_waited_longest)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, &automatic, 4);
    set(&automatic);
    expect_clear(&automatic);
    th_yield();
    ck_assert_str_eq(trace, "a");
    set(&automatic);
    set(&automatic); /* before the woken one has run: that is another one's */
    th_yield();
    ck_assert_str_eq(trace, "abc");
    set(&automatic);
    set(&automatic);
    expect_set(&automatic);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcd");
    wait(&automatic);
    expect_clear(&automatic);
}

/* ---- waits that end otherwise ---- */

FIBER_TEST(waiting_ends_at_the_deadline)
{
    th_scope scope;
    int64_t end = th_after(TH_MILLISECOND);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_event_wait(&manual), -ETIMEDOUT);
    ck_assert_int_ge(th_now(), end);
    ck_assert_int_eq(th_event_wait(&automatic), -ETIMEDOUT); /* and does not wait again */
    close_scope(&scope);
    set(&manual);
    wait(&manual);
}

static int expect_wait(void *arg)
{
    ck_assert_int_eq(th_event_wait(&automatic), *(int *)arg);
    note('.');
    return 0;
}

FIBER_TEST(a_cancelled_wait_leaves_the_queue_in_order)
{
    static int cancelled = -ECANCELED;
    static char last = 'z';
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    spawn(&inner, expect_wait, &cancelled);
    th_yield();
    spawn_noters(&outer, &automatic, 2);
    spawn(&inner, expect_wait, &cancelled);
    th_yield();
    spawn(&outer, wait_and_note, &last);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    for (int i = 0; i < 3; i++)
        set(&automatic);
    close_scope(&outer);
    ck_assert_str_eq(trace, "..abz");
    expect_clear(&automatic);
}

FIBER_TEST(a_setting_after_the_last_waiter_was_cancelled_stays)
{
    static int cancelled = -ECANCELED;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_wait, &cancelled);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    set(&automatic); /* before the cancelled one has run */
    close_scope(&scope);
    expect_set(&automatic);
    wait(&automatic);
    expect_clear(&automatic);
}

FIBER_TEST(a_setting_that_has_woken_one_is_not_lost_by_a_cancellation)
{
    static int fine = 0;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_wait, &fine);
    th_yield();
    set(&automatic);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    expect_clear(&automatic);
}

/* ---- ends ---- */

static void *set_in_thread(void *arg)
{
    set(arg);
    return NULL;
}

static int wait_once(void *arg)
{
    wait(arg);
    return 0;
}

static void poll_it(th_event *e)
{
    while (th_event_is_set(e) == 0)
        th_yield();
}

/* The thread sanitizer sees it if setting touches the event once others can see it, whether or not
 * somebody has waited. */
FIBER_TEST(whoever_sees_it_set_may_free_it)
{
    for (int i = 0; i < 100; i++) {
        th_event *e = calloc(1, sizeof *e);
        th_scope scope;
        ck_assert_ptr_nonnull(e);
        open_scope(&scope);
        if (i % 2)
            spawn(&scope, wait_once, e);
        th_yield();
        pthread_t thread = start_thread(set_in_thread, e);
        if (i % 4 < 2)
            wait(e);
        else
            poll_it(e);
        close_scope(&scope);
        free(e);
        join_thread(thread);
    }
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, a_manual_one_stays_set_until_it_is_cleared);
    tcase_add_test(alone, an_automatic_one_lets_a_single_party_through);
    tcase_add_test(alone, setting_and_clearing_twice_is_the_same_as_once);
    tcase_add_test(alone, misuse_is_refused);
    tcase_add_test(alone, one_that_is_set_is_passed_even_in_a_cancelled_scope);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, setting_a_manual_one_wakes_all_in_order);
    tcase_add_test(waits, those_who_were_woken_have_seen_it_set_though_it_was_cleared_since);
    tcase_add_test(waits, one_that_was_awaited_is_passed_in_a_cancelled_scope);
    tcase_add_test(waits, each_setting_of_an_automatic_one_wakes_the_one_that_has_waited_longest);
    tcase_add_test(waits, waiting_ends_at_the_deadline);
    tcase_add_test(waits, a_cancelled_wait_leaves_the_queue_in_order);
    tcase_add_test(waits, a_setting_after_the_last_waiter_was_cancelled_stays);
    tcase_add_test(waits, a_setting_that_has_woken_one_is_not_lost_by_a_cancellation);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, whoever_sees_it_set_may_free_it);
}

int main(void)
{
    return thi_check_run("sync/event", fill);
}
