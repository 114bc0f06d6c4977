/* SPDX-License-Identifier: MIT */

/* Several futures: all of them, any of them, each as it is done. */
#include "pool/pools.h"

#include "base/alloc.h"
#include "pool/gather.h"

#define MANY   12 /* more than find room on the stack of who waits */
#define ROUNDS 500

static th_promise *promises[MANY];
static th_future *futures[MANY];

static void set_up(void)
{
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(th_promise_new(&promises[i], &futures[i]), 0);
}

static void tear_down(void)
{
    for (int i = 0; i < MANY; i++) {
        th_promise_free(promises[i]);
        th_future_unref(futures[i]);
    }
}

static void keep(int i)
{
    ck_assert_int_eq(th_promise_set(promises[i], i), 0);
}

/* ---- all ---- */

START_TEST(misuse_is_refused)
{
    th_future *some[2] = { NULL, NULL };
    th_gather *g = NULL;
    th_future *future = NULL;
    size_t index = 7;
    ck_assert_int_eq(th_future_wait_all(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_future_wait_all(some, 2), -EINVAL);
    ck_assert_int_eq(th_future_wait_any(NULL, 1, &index), -EINVAL);
    ck_assert_int_eq(th_future_wait_any(some, 2, &index), -EINVAL);
    ck_assert_int_eq(th_future_wait_any(NULL, 0, &index), -ENOENT);
    ck_assert_uint_eq(index, 7);
    ck_assert_int_eq(th_future_wait_all(NULL, 0), 0);
    ck_assert_int_eq(th_gather_new(NULL), -EINVAL);
    ck_assert_int_eq(th_gather_new(&g), 0);
    ck_assert_int_eq(th_gather_add(g, NULL), -EINVAL);
    ck_assert_int_eq(th_gather_add(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_gather_next(NULL, &future), -EINVAL);
    ck_assert_int_eq(th_gather_next(g, NULL), -EINVAL);
    ck_assert_int_eq(th_gather_next(g, &future), -ENOENT);
    th_gather_free(g);
    th_gather_free(NULL);
}
END_TEST

static int wait_for_all(void *arg)
{
    ck_assert_int_eq(th_future_wait_all(futures, MANY), *(int *)arg);
    note('.');
    return 0;
}

FIBER_TEST(all_are_waited_for)
{
    static int fine = 0;
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, wait_for_all, &fine);
    for (int i = MANY - 1; i >= 0; i--) {
        th_yield();
        ck_assert_str_eq(trace, "");
        keep(i);
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    tear_down();
}

FIBER_TEST(at_the_deadline_the_done_ones_are_told_apart)
{
    static int late = -ETIMEDOUT;
    th_scope scope;
    set_up();
    keep(3);
    open_scope_for(&scope, TH_MILLISECOND);
    wait_for_all(&late);
    close_scope(&scope);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(th_future_peek(futures[i], NULL), i == 3 ? 0 : -EAGAIN);
    tear_down();
}

/* ---- any ---- */

static int wait_for_any(void *arg)
{
    const int *wanted = arg; /* how many to wait for, then the result and the index */
    size_t index = 99;
    ck_assert_int_eq(th_future_wait_any(futures, (size_t)wanted[0], &index), wanted[1]);
    ck_assert_uint_eq(index, (size_t)wanted[2]);
    note('.');
    return 0;
}

FIBER_TEST(the_first_that_is_done_ends_the_wait_for_any)
{
    static int few[] = { 8, 0, 7 }, many[] = { MANY, 0, 7 };
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, wait_for_any, few);
    spawn(&scope, wait_for_any, many);
    th_yield();
    ck_assert_str_eq(trace, "");
    keep(7);
    keep(2);
    close_scope(&scope);
    ck_assert_str_eq(trace, "..");
    tear_down();
}

FIBER_TEST(of_those_that_are_done_already_the_first_given_is_any)
{
    static int wanted[] = { MANY, 0, 4 };
    th_scope scope;
    set_up();
    keep(9);
    keep(4);
    open_cancelled_scope(&scope);
    wait_for_any(wanted);
    close_scope(&scope);
    tear_down();
}

FIBER_TEST(a_wait_for_any_that_is_broken_off_leaves_nothing_behind)
{
    static int wanted[] = { MANY, -ETIMEDOUT, 99 };
    th_scope scope;
    set_up();
    open_scope_for(&scope, TH_MILLISECOND);
    wait_for_any(wanted);
    close_scope(&scope);
    for (int i = 0; i < MANY; i++)
        ck_assert(thi_list_empty(&futures[i]->watches));
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_future_wait_any(futures, 9, NULL), -ENOMEM);
    tear_down();
}

/* ---- as they are done ---- */

static th_gather *gather_all(void)
{
    th_gather *g = NULL;
    ck_assert_int_eq(th_gather_new(&g), 0);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(th_gather_add(g, futures[i]), 0);
    return g;
}

static void expect_next(th_gather *g, int wanted)
{
    th_future *future = NULL;
    ck_assert_int_eq(th_gather_next(g, &future), 0);
    ck_assert_ptr_eq(future, futures[wanted]);
    th_future_unref(future);
}

FIBER_TEST(they_come_in_the_order_in_which_they_are_done)
{
    static const int order[MANY] = { 5, 0, 11, 3, 1, 2, 4, 10, 9, 8, 7, 6 };
    th_future *future = NULL;
    set_up();
    keep(order[0]); /* before it is added */
    th_gather *g = gather_all();
    for (int i = 1; i < 4; i++)
        keep(order[i]);
    for (int i = 0; i < 4; i++)
        expect_next(g, order[i]);
    for (int i = 4; i < MANY; i++) {
        keep(order[i]);
        expect_next(g, order[i]);
    }
    ck_assert_int_eq(th_gather_next(g, &future), -ENOENT);
    ck_assert_ptr_null(future);
    th_gather_free(g);
    tear_down();
}

static int take_rest(void *arg)
{
    th_future *future = NULL;
    int err;
    while ((err = th_gather_next(arg, &future)) == 0) {
        note('.');
        th_future_unref(future);
    }
    ck_assert_int_eq(err, -ENOENT);
    note('!');
    return 0;
}

FIBER_TEST(several_may_take_and_all_learn_that_nothing_is_left)
{
    th_scope scope;
    set_up();
    th_gather *g = gather_all();
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, take_rest, g);
    th_yield();
    for (int i = 0; i < MANY; i++)
        keep(i);
    close_scope(&scope);
    ck_assert_uint_eq(strlen(trace), MANY + 3);
    ck_assert_int_eq(trace[MANY + 2], '!');
    th_gather_free(g);
    tear_down();
}

FIBER_TEST(a_future_comes_as_often_as_it_was_added)
{
    th_future *future = NULL;
    set_up();
    th_gather *g = NULL;
    ck_assert_int_eq(th_gather_new(&g), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_gather_add(g, futures[2]), 0);
    keep(2);
    for (int i = 0; i < 3; i++)
        expect_next(g, 2);
    ck_assert_int_eq(th_gather_next(g, &future), -ENOENT);
    th_gather_free(g);
    tear_down();
}

FIBER_TEST(leaving_early_removes_it_from_the_rest)
{
    int64_t live = thi_alloc_live();
    th_scope scope;
    th_future *future = NULL;
    set_up();
    th_gather *g = gather_all();
    keep(1);
    open_scope_for(&scope, TH_MILLISECOND);
    expect_next(g, 1);
    ck_assert_int_eq(th_gather_next(g, &future), -ETIMEDOUT);
    close_scope(&scope);
    keep(2);
    th_gather_free(g);
    for (int i = 0; i < MANY; i++)
        ck_assert(thi_list_empty(&futures[i]->watches));
    tear_down();
    ck_assert_int_eq(thi_alloc_live(), live);
}

START_TEST(without_memory_nothing_is_added)
{
    th_gather *g = NULL;
    th_future *future = NULL;
    set_up();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_gather_new(&g), -ENOMEM);
    ck_assert_int_eq(th_gather_new(&g), 0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_gather_add(g, futures[0]), -ENOMEM);
    ck_assert_int_eq(th_gather_next(g, &future), -ENOENT);
    th_gather_free(g);
    tear_down();
}
END_TEST

/* ---- many ---- */

static int number(void *arg)
{
    return (int)(intptr_t)arg;
}

/* Each finishes somewhere while it is waited for, added, left, and cancelled. */
static int gather_from_pool(void *arg)
{
    th_pool *pool = arg;
    for (int round = 0; round < ROUNDS; round++) {
        th_future *some[4];
        th_gather *g = NULL;
        size_t index = 0;
        int sum = 0;
        ck_assert_int_eq(th_gather_new(&g), 0);
        for (int i = 0; i < 4; i++) {
            some[i] = submit(pool, number, (void *)(intptr_t)(1 << i));
            ck_assert_int_eq(th_gather_add(g, some[i]), 0);
        }
        ck_assert_int_eq(th_future_wait_any(some, 4, &index), 0);
        ck_assert_int_eq(th_future_peek(some[index], NULL), 0);
        for (int i = 0; i < 4 - round % 4; i++) {
            th_future *future = NULL;
            int result = 0;
            ck_assert_int_eq(th_gather_next(g, &future), 0);
            ck_assert_int_eq(th_future_peek(future, &result), 0);
            th_future_unref(future);
            sum += result;
        }
        ck_assert(round % 4 > 0 || sum == 15);
        th_gather_free(g);
        for (int i = 0; i < 4; i++)
            th_future_abandon(some[i]);
    }
    return 0;
}

FIBER_TEST_ON(4, futures_finish_while_they_are_gathered)
{
    th_scope scope;
    th_pool *pool = pool_of(3);
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++)
        spawn_on(&scope, i % 4, gather_from_pool, pool);
    close_scope(&scope);
    free_pool(pool);
}

static void fill(Suite *suite)
{
    TCase *all = thi_check_case(suite, "all");
    tcase_add_test(all, misuse_is_refused);
    tcase_add_test(all, all_are_waited_for);
    tcase_add_test(all, at_the_deadline_the_done_ones_are_told_apart);

    TCase *any = thi_check_case(suite, "any");
    tcase_add_test(any, the_first_that_is_done_ends_the_wait_for_any);
    tcase_add_test(any, of_those_that_are_done_already_the_first_given_is_any);
    tcase_add_test(any, a_wait_for_any_that_is_broken_off_leaves_nothing_behind);

    TCase *each = thi_check_case(suite, "each");
    tcase_add_test(each, they_come_in_the_order_in_which_they_are_done);
    tcase_add_test(each, several_may_take_and_all_learn_that_nothing_is_left);
    tcase_add_test(each, a_future_comes_as_often_as_it_was_added);
    tcase_add_test(each, leaving_early_removes_it_from_the_rest);
    tcase_add_test(each, without_memory_nothing_is_added);

    TCase *many = thi_check_case(suite, "many");
    tcase_set_timeout(many, 30);
    tcase_add_test(many, futures_finish_while_they_are_gathered);
}

int main(void)
{
    return thi_check_run("pool/gather", fill);
}
