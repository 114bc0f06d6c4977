/* SPDX-License-Identifier: MIT */

/* Values of fibers and threads, and who destroys them when. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "fiber/fiber.h"

#include <thrum/local.h>

#include <pthread.h>

/* Destructors note the letter that the value points to. */
static th_fiber *destroyed_on;

static void note_end(void *value)
{
    destroyed_on = th_fiber_self();
    note(*(char *)value);
}

static const th_local a = { note_end };
static const th_local b = { note_end };
static const th_local c = { note_end };
static const th_local plain = { NULL };

static char letters[] = "abcdefghijklmnopqrstuvwxyz";

static void set(const th_local *key, void *value)
{
    ck_assert_int_eq(th_local_set(key, value), 0);
}

static int set_three(void *arg)
{
    (void)arg;
    ck_assert_ptr_null(th_local_get(&a));
    set(&a, &letters[0]);
    set(&b, &letters[1]);
    set(&c, &letters[2]);
    set(&plain, &letters[3]);
    th_yield();
    ck_assert_ptr_eq(th_local_get(&a), &letters[0]);
    ck_assert_ptr_eq(th_local_get(&b), &letters[1]);
    ck_assert_ptr_eq(th_local_get(&c), &letters[2]);
    ck_assert_ptr_eq(th_local_get(&plain), &letters[3]);
    note('.');
    return 0;
}

FIBER_TEST(the_last_one_set_is_destroyed_first_when_the_function_has_returned)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, set_three, NULL);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".cba");
}

static int set_own(void *arg)
{
    ck_assert_ptr_null(th_local_get(&plain)); /* nor anything of who spawned it */
    set(&plain, arg);
    th_yield();
    ck_assert_ptr_eq(th_local_get(&plain), arg);
    return 0;
}

FIBER_TEST(each_fiber_has_its_own)
{
    th_scope scope;
    open_scope(&scope);
    set(&plain, &letters[7]);
    for (int round = 0; round < 3; round++) { /* the same objects again and again */
        for (int i = 0; i < 5; i++)
            spawn(&scope, set_own, &letters[i]);
        ck_assert_int_eq(th_scope_wait(&scope), 0);
    }
    close_scope(&scope);
    ck_assert_ptr_eq(th_local_get(&plain), &letters[7]);
}

static int set_and_take_away(void *arg)
{
    (void)arg;
    set(&a, &letters[0]);
    set(&b, &letters[1]);
    set(&c, &letters[2]);
    set(&a, &letters[3]); /* keeps its place; the former value is not destroyed */
    set(&b, NULL);
    set(&b, NULL);
    ck_assert_ptr_null(th_local_get(&b));
    ck_assert_ptr_eq(th_local_get(&c), &letters[2]);
    return 0;
}

FIBER_TEST(a_value_can_be_replaced_and_taken_away)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, set_and_take_away, NULL);
    close_scope(&scope);
    ck_assert_str_eq(trace, "cd");
}

/* Destroying a value takes time, and leaves another one. */
static void suspend_and_set(void *value)
{
    note(*(char *)value);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    set(&a, &letters[25]);
}

static int set_suspending(void *arg)
{
    static const th_local slow = { suspend_and_set };
    (void)arg;
    set(&slow, &letters[18]);
    return 3;
}

FIBER_TEST(a_destructor_runs_on_the_fiber_and_may_suspend_and_set)
{
    th_scope scope;
    int result = 0;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, set_suspending, NULL);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, 3);
    ck_assert_str_eq(trace, "sz");
    ck_assert_ptr_nonnull(destroyed_on);
    ck_assert_ptr_ne(destroyed_on, th_fiber_self());
    th_fiber_unref(fiber);
    close_scope(&scope);
}

enum { MANY = 100 };
static th_local many[MANY];

static int set_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        many[i].destroy = i % 10 == 0 ? note_end : NULL;
        set(&many[i], &letters[i / 10]);
    }
    for (int i = 0; i < MANY; i++)
        ck_assert_ptr_eq(th_local_get(&many[i]), &letters[i / 10]);
    return 0;
}

FIBER_TEST(there_may_be_many)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, set_many, NULL);
    close_scope(&scope);
    ck_assert_str_eq(trace, "jihgfedcba");
}

static int fail_to_set(void *arg)
{
    (void)arg;
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(th_local_set(&a, &letters[0]), -ENOMEM);
    (void)thi_alloc_fail_at(0);
    ck_assert_ptr_null(th_local_get(&a));
    for (int i = 0; i < 4; i++)
        set(&many[i], &letters[i]);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(th_local_set(&a, &letters[0]), -ENOMEM);
    (void)thi_alloc_fail_at(0);
    for (int i = 0; i < 4; i++)
        ck_assert_ptr_eq(th_local_get(&many[i]), &letters[i]);
    return 0;
}

FIBER_TEST(without_memory_all_stays_as_it_was)
{
    th_scope scope;
    int64_t live = thi_alloc_live();
    open_scope(&scope);
    spawn(&scope, fail_to_set, NULL);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
    ck_assert_int_eq(thi_alloc_live(), live);
}

static int has_none(void *arg)
{
    (void)arg;
    ck_assert_ptr_null(th_fiber_self()->locals);
    return 0;
}

FIBER_TEST(who_uses_none_has_none)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, set_three, NULL);
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    spawn(&scope, has_none, NULL); /* on the stack of the former */
    close_scope(&scope);
}

static void *set_in_thread(void *arg)
{
    (void)arg;
    ck_assert_ptr_null(th_local_get(&a));
    set(&a, &letters[0]);
    set(&b, &letters[1]);
    ck_assert_ptr_eq(th_local_get(&a), &letters[0]);
    return NULL;
}

START_TEST(a_plain_thread_has_values_until_it_ends)
{
    pthread_t thread;
    int64_t live = thi_alloc_live();
    for (int i = 0; i < 3; i++) {
        memset(trace, 0, sizeof trace);
        ck_assert_int_eq(pthread_create(&thread, NULL, set_in_thread, NULL), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_str_eq(trace, "ba");
    }
    ck_assert_ptr_null(th_local_get(&a));
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

START_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_local_set(NULL, &letters[0]), -EINVAL);
    ck_assert_ptr_null(th_local_get(NULL));
    ck_assert_int_eq(th_local_set(&a, NULL), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "local");
    tcase_add_test(tcase, the_last_one_set_is_destroyed_first_when_the_function_has_returned);
    tcase_add_test(tcase, each_fiber_has_its_own);
    tcase_add_test(tcase, a_value_can_be_replaced_and_taken_away);
    tcase_add_test(tcase, a_destructor_runs_on_the_fiber_and_may_suspend_and_set);
    tcase_add_test(tcase, there_may_be_many);
    tcase_add_test(tcase, without_memory_all_stays_as_it_was);
    tcase_add_test(tcase, who_uses_none_has_none);
    tcase_add_test(tcase, a_plain_thread_has_values_until_it_ends);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("runtime/local", fill);
}
