/* SPDX-License-Identifier: MIT */

/* Which worker a new fiber gets when its starter leaves that to the runtime. */
#include "in_fiber.h"

#include "runtime/place.h"

#include <stdatomic.h>

static atomic_int fibers_on[4];

static int count_here(void *arg)
{
    (void)arg;
    atomic_fetch_add(&fibers_on[thi_worker_self->index], 1);
    (void)th_sleep(TH_NEVER);
    return 0;
}

/* All of them stay until then, so that the load of each worker only grows. */
static void close_cancelled(th_scope *scope)
{
    th_scope_cancel(scope, 0);
    close_scope(scope);
}

static void spawn_placed(th_scope *scope, int place, int count)
{
    th_spawn_opts opts = { .place = place };
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(th_spawn_with(scope, count_here, NULL, &opts, NULL), 0);
}

FIBER_TEST_ON(4, in_turn_gives_each_worker_the_same_number)
{
    th_scope scope;
    open_scope(&scope);
    spawn_placed(&scope, TH_PLACE_ROUND, 40);
    close_cancelled(&scope);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(fibers_on[i], 10);
}

/*
 * Few of them have arrived when the last is sent off. One that is just arriving may be counted
 * twice for a moment, so the numbers are not exact.
 */
FIBER_TEST_ON(4, a_burst_for_the_least_loaded_spreads)
{
    th_scope scope;
    open_scope(&scope);
    spawn_placed(&scope, TH_PLACE_LEAST, 40);
    close_cancelled(&scope);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_ge(fibers_on[i], 8);
        ck_assert_int_le(fibers_on[i], 12);
    }
}

FIBER_TEST_ON(2, the_busier_worker_gets_none)
{
    th_scope scope;
    open_scope(&scope);
    spawn_placed(&scope, TH_PLACE_HERE, 10);
    spawn_placed(&scope, TH_PLACE_LEAST, 10);
    close_cancelled(&scope);
    ck_assert_int_eq(fibers_on[0], 10);
    ck_assert_int_eq(fibers_on[1], 10);
}

FIBER_TEST_ON(4, afterwards_nobody_counts_any_more)
{
    const thi_runtime *rt = thi_worker_self->runtime;
    th_scope scope;
    open_scope(&scope);
    spawn_placed(&scope, TH_PLACE_ROUND, 40);
    close_cancelled(&scope);
    ck_assert_uint_eq(thi_worker_load(&rt->workers[0]), 1); /* the main fiber */
    for (unsigned i = 1; i < rt->count; i++)
        ck_assert_uint_eq(thi_worker_load(&rt->workers[i]), 0);
}

FIBER_TEST(alone_every_place_is_here)
{
    th_scope scope;
    open_scope(&scope);
    spawn_placed(&scope, TH_PLACE_ROUND, 3);
    spawn_placed(&scope, TH_PLACE_LEAST, 3);
    spawn_placed(&scope, 1, 3);
    close_cancelled(&scope);
    ck_assert_int_eq(fibers_on[0], 9);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "place");
    tcase_add_test(tcase, in_turn_gives_each_worker_the_same_number);
    tcase_add_test(tcase, a_burst_for_the_least_loaded_spreads);
    tcase_add_test(tcase, the_busier_worker_gets_none);
    tcase_add_test(tcase, afterwards_nobody_counts_any_more);
    tcase_add_test(tcase, alone_every_place_is_here);
}

int main(void)
{
    return thi_check_run("runtime/place", fill);
}
