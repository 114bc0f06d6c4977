/* SPDX-License-Identifier: MIT */

/* Maps over indices and ordered maps over streams. */
#include "parties.h"

#include "base/alloc.h"

#include <thrum/group.h>

#include <limits.h>
#include <stdatomic.h>

/* ---- over indices ---------------------------------------------------------------------------- */

static int results[1000];
static atomic_int running, most, calls;
static size_t bad = SIZE_MAX; /* the index that fails */

static void reset(void)
{
    atomic_store(&running, 0);
    atomic_store(&most, 0);
    atomic_store(&calls, 0);
    bad = SIZE_MAX;
    for (size_t i = 0; i < thi_array_len(results); i++)
        results[i] = INT_MIN;
}

/* Sleeps for other times than its neighbours, so that ends are in another order; returns the index.
 * The bad one fails at once. */
static int work(size_t index, void *arg)
{
    (void)arg;
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most))
        atomic_store(&most, now);
    atomic_fetch_add(&calls, 1);
    int err = index == bad ? 0 : th_sleep(((int64_t)index * 7919 % 11 + 1) * TH_MICROSECOND);
    atomic_fetch_sub(&running, 1);
    if (index == bad)
        return -EIO;
    return err < 0 ? err : (int)index;
}

static void expect_all(size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(results[i], (int)i);
}

FIBER_TEST(results_are_in_the_order_of_the_input)
{
    reset();
    ck_assert_int_eq(th_map(1000, work, NULL, &(th_group_opts){ .limit = 50 }, results), 0);
    expect_all(1000);
    ck_assert_int_eq(atomic_load(&most), 50);
    reset();
    ck_assert_int_eq(th_map(100, work, NULL, NULL, results), 0);
    expect_all(100);
    ck_assert_int_eq(atomic_load(&most), 100);
    reset();
    ck_assert_int_eq(th_map(3, work, NULL, &(th_group_opts){ .limit = 50 }, results), 0);
    expect_all(3);
    ck_assert_int_eq(results[3], INT_MIN);
}

FIBER_TEST_ON(4, a_map_spreads_over_workers)
{
    reset();
    th_group_opts opts = { .limit = 20, .place = TH_PLACE_ROUND };
    ck_assert_int_eq(th_map(1000, work, NULL, &opts, results), 0);
    expect_all(1000);
}

FIBER_TEST(a_map_over_nothing_is_over_at_once_even_in_a_cancelled_scope)
{
    th_scope scope;
    reset();
    ck_assert_int_eq(th_map(0, work, NULL, NULL, NULL), 0);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_map(0, work, NULL, NULL, NULL), 0);
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&calls), 0);
}

FIBER_TEST(the_first_failure_is_told_and_what_has_not_begun_never_does)
{
    reset();
    bad = 20;
    ck_assert_int_eq(th_map(1000, work, NULL, &(th_group_opts){ .limit = 4 }, results), -EIO);
    ck_assert_int_eq(results[20], -EIO);
    int broken_off = 0; /* those that slept when the bad one failed */
    for (size_t i = 0; i < 20; i++)
        if (results[i] != (int)i) {
            ck_assert_int_eq(results[i], -ECANCELED);
            broken_off++;
        }
    ck_assert_int_le(broken_off, 3);
    for (size_t i = 21; i < 1000; i++)
        ck_assert_int_eq(results[i], -ECANCELED);
    ck_assert_int_eq(atomic_load(&calls), 21);
}

FIBER_TEST(collecting_goes_on_after_a_failure)
{
    reset();
    bad = 20;
    th_group_opts opts = { .limit = 4, .mode = TH_GROUP_COLLECT };
    ck_assert_int_eq(th_map(1000, work, NULL, &opts, results), -EIO);
    ck_assert_int_eq(results[20], -EIO);
    results[20] = 20;
    expect_all(1000);
}

static int win_at_seven(size_t index, void *arg)
{
    (void)arg;
    if (index == 7)
        return 7;
    return index < 7 ? th_sleep(TH_NEVER) : -EIO;
}

static int lose(size_t index, void *arg)
{
    (void)arg;
    return index == 0 ? -ENOSPC : -EIO;
}

FIBER_TEST(a_race_of_a_map_has_a_winner_or_the_first_failure)
{
    reset();
    th_group_opts opts = { .mode = TH_GROUP_RACE };
    ck_assert_int_eq(th_map(10, win_at_seven, NULL, &opts, results), 0);
    ck_assert_int_eq(results[0], -ECANCELED);
    ck_assert_int_eq(results[7], 7);
    ck_assert_int_eq(results[9], -ECANCELED); /* never began */
    ck_assert_int_eq(th_map(10, lose, NULL, &opts, results), -ENOSPC);
    ck_assert_int_eq(results[9], -EIO);
}

FIBER_TEST(a_map_ends_with_its_deadline_and_with_its_scope)
{
    th_scope scope;
    reset();
    th_group_opts opts = { .limit = 2, .deadline = th_after(TH_MILLISECOND) };
    ck_assert_int_eq(th_map(10, win_at_seven, NULL, &opts, results), -ETIMEDOUT);
    for (size_t i = 0; i < 10; i++)
        ck_assert_int_eq(results[i], -ETIMEDOUT);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_map(3, work, NULL, NULL, results), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(results[2], -ECANCELED);
    ck_assert_int_eq(atomic_load(&calls), 0);
}

START_TEST(outside_a_fiber_nothing_is_mapped)
{
    ck_assert_int_eq(th_map(1, work, NULL, NULL, NULL), -EPERM);
    ck_assert_int_eq(th_map(1, NULL, NULL, NULL, NULL), -EINVAL);
}
END_TEST

/* ---- over streams ---------------------------------------------------------------------------- */

typedef struct feed {
    int given;
    int count;       /* items that there are */
    int fails_after; /* items after which `next` fails; 0: it does not */
    int told;
    int most_open; /* given and not told */
    int stop_at;   /* the item at which `done` fails; 0: it does not */
    int odd_fails; /* 1: items with odd numbers fail */
    int seen[1001];
} feed;

static int next_number(void **item, void *arg)
{
    feed *f = arg;
    if (f->fails_after && f->given == f->fails_after)
        return -ENODATA;
    if (f->given == f->count)
        return TH_EOF;
    *item = (void *)(intptr_t)++f->given;
    f->most_open = thi_max(f->most_open, f->given - f->told);
    return 0;
}

static int work_on(void *item, void *arg)
{
    const feed *f = arg;
    int n = (int)(intptr_t)item;
    int err = th_sleep((n * 7919 % 11 + 1) * TH_MICROSECOND);
    if (f->odd_fails && n % 2)
        return -EIO;
    return err < 0 ? err : n;
}

static int tell(void *item, int result, void *arg)
{
    feed *f = arg;
    ck_assert_int_eq((int)(intptr_t)item, ++f->told); /* strictly in the order of the input */
    f->seen[f->told] = result;
    return f->stop_at && f->told == f->stop_at ? -ENOSPC : 0;
}

static int map_feed(feed *f, const th_group_opts *opts)
{
    th_map_stream stream = { .next = next_number, .each = work_on, .done = tell, .arg = f };
    return th_map_ordered(&stream, opts);
}

static void expect_seen(const feed *f, int from, int to)
{
    for (int i = from; i <= to; i++)
        ck_assert_int_eq(f->seen[i], i);
}

FIBER_TEST(a_thousand_items_through_fifty_fibers_come_in_order)
{
    feed f = { .count = 1000 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .limit = 50 }), 0);
    ck_assert_int_eq(f.told, 1000);
    ck_assert_int_eq(f.most_open, 50);
    expect_seen(&f, 1, 1000);
}

FIBER_TEST_ON(4, they_come_in_order_from_four_workers)
{
    feed f = { .count = 1000 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .place = TH_PLACE_ROUND }), 0);
    ck_assert_int_eq(f.told, 1000);
    ck_assert_int_eq(f.most_open, (int)TH_MAP_LIMIT);
    expect_seen(&f, 1, 1000);
}

FIBER_TEST(a_stream_of_nothing_is_over_at_once)
{
    feed f = { .count = 0 };
    ck_assert_int_eq(map_feed(&f, NULL), 0);
    ck_assert_int_eq(f.told, 0);
}

FIBER_TEST(each_failure_comes_at_its_place_and_the_map_goes_on)
{
    feed f = { .count = 100, .odd_fails = 1 };
    th_group_opts opts = { .limit = 7, .mode = TH_GROUP_COLLECT };
    ck_assert_int_eq(map_feed(&f, &opts), -EIO);
    ck_assert_int_eq(f.told, 100);
    for (int i = 1; i <= 100; i++)
        ck_assert_int_eq(f.seen[i], i % 2 ? -EIO : i);
}

FIBER_TEST(the_first_failure_ends_the_input_and_what_was_begun_is_told)
{
    feed f = { .count = 1000, .odd_fails = 1 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .limit = 8 }), -EIO);
    ck_assert_int_eq(f.told, f.given);
    ck_assert_int_le(f.given, 16);
}

FIBER_TEST(input_that_fails_is_told_after_the_results_before_it)
{
    feed f = { .count = 1000, .fails_after = 30 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .limit = 8 }), -ENODATA);
    ck_assert_int_eq(f.told, 30);
    expect_seen(&f, 1, 30);
}

FIBER_TEST(one_that_is_told_may_stop_it)
{
    feed f = { .count = 1000, .stop_at = 20 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .limit = 8 }), -ENOSPC);
    ck_assert_int_eq(f.told, f.given);
    ck_assert_int_le(f.given, 28);
    expect_seen(&f, 1, 20);
}

FIBER_TEST(a_stream_ends_with_its_scope_and_all_that_was_given_is_told)
{
    th_scope scope;
    feed f = { .count = 1000 };
    th_group_opts opts = { .limit = 1, .deadline = th_after(TH_MILLISECOND) };
    ck_assert_int_eq(map_feed(&f, &opts), -ETIMEDOUT);
    ck_assert_int_eq(f.told, f.given);
    ck_assert_int_lt(f.given, 1000);
    f = (feed){ .count = 1000 };
    open_cancelled_scope(&scope);
    ck_assert_int_eq(map_feed(&f, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(f.given, 0);
}

FIBER_TEST(a_race_over_a_stream_stops_at_the_first_success)
{
    feed f = { .count = 1000, .odd_fails = 1 };
    ck_assert_int_eq(map_feed(&f, &(th_group_opts){ .limit = 4, .mode = TH_GROUP_RACE }), 0);
    ck_assert_int_eq(f.told, f.given);
    ck_assert_int_le(f.given, 8);
}

FIBER_TEST(misuse_of_a_stream_is_refused)
{
    feed f = { .count = 1 };
    th_map_stream stream = { .next = next_number, .arg = &f };
    ck_assert_int_eq(th_map_ordered(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_map_ordered(&stream, NULL), -EINVAL);
    stream.each = work_on;
    stream.size = sizeof stream + 1;
    ck_assert_int_eq(th_map_ordered(&stream, NULL), -EINVAL);
    stream.size = sizeof stream;
    ck_assert_int_eq(th_map_ordered(&stream, &(th_group_opts){ .mode = 3 }), -EINVAL);
    ck_assert_int_eq(f.given, 0);
    ck_assert_int_eq(th_map_ordered(&stream, NULL), 0); /* nobody need be told */
    ck_assert_int_eq(f.given, 1);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static int map_both_ways(int place)
{
    feed f = { .count = 40 };
    th_group_opts opts = { .limit = 4, .place = place };
    int err = map_feed(&f, &opts);
    ck_assert_int_eq(f.told, f.given);
    ck_assert(err == 0 || err == -ENOMEM);
    if (err == 0)
        expect_seen(&f, 1, 40);
    int other = th_map(40, work, NULL, &opts, results);
    ck_assert(other == 0 || other == -ENOMEM);
    if (other == 0)
        expect_all(40);
    return err < 0 ? err : other;
}

/* The run at hand: which allocation fails, and what came of it. */
static int64_t failing;
static int64_t not_reached;
static bool has_failed;

static int use_with_a_failure(void *place)
{
    reset();
    (void)thi_alloc_fail_at(failing);
    has_failed = map_both_ways(*(int *)place) < 0;
    not_reached = thi_alloc_fail_at(0);
    return 0;
}

/* What is left is counted when the runtime has ended: until then it may hold some for itself. */
static void fail_each_allocation(unsigned workers, int place)
{
    int64_t live = thi_alloc_live();
    int failures = 0;
    not_reached = 0;
    for (failing = 1; not_reached == 0; failing++) {
        run_in_fiber(workers, 0, use_with_a_failure, &place);
        ck_assert_int_eq(thi_alloc_live(), live);
        failures += has_failed;
    }
    ck_assert_int_ge(failures, 40);
}

START_TEST(each_allocation_of_a_map_may_fail)
{
    fail_each_allocation(1, TH_PLACE_HERE);
}
END_TEST

START_TEST(each_allocation_of_a_map_elsewhere_may_fail)
{
    fail_each_allocation(2, 2);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "indices");
    tcase_add_test(tcase, results_are_in_the_order_of_the_input);
    tcase_add_test(tcase, a_map_spreads_over_workers);
    tcase_add_test(tcase, a_map_over_nothing_is_over_at_once_even_in_a_cancelled_scope);
    tcase_add_test(tcase, the_first_failure_is_told_and_what_has_not_begun_never_does);
    tcase_add_test(tcase, collecting_goes_on_after_a_failure);
    tcase_add_test(tcase, a_race_of_a_map_has_a_winner_or_the_first_failure);
    tcase_add_test(tcase, a_map_ends_with_its_deadline_and_with_its_scope);
    tcase_add_test(tcase, outside_a_fiber_nothing_is_mapped);
    tcase = thi_check_case(suite, "streams");
    tcase_add_test(tcase, a_thousand_items_through_fifty_fibers_come_in_order);
    tcase_add_test(tcase, they_come_in_order_from_four_workers);
    tcase_add_test(tcase, a_stream_of_nothing_is_over_at_once);
    tcase_add_test(tcase, each_failure_comes_at_its_place_and_the_map_goes_on);
    tcase_add_test(tcase, the_first_failure_ends_the_input_and_what_was_begun_is_told);
    tcase_add_test(tcase, input_that_fails_is_told_after_the_results_before_it);
    tcase_add_test(tcase, one_that_is_told_may_stop_it);
    tcase_add_test(tcase, a_stream_ends_with_its_scope_and_all_that_was_given_is_told);
    tcase_add_test(tcase, a_race_over_a_stream_stops_at_the_first_success);
    tcase_add_test(tcase, misuse_of_a_stream_is_refused);
    tcase = thi_check_case(suite, "memory");
    tcase_add_test(tcase, each_allocation_of_a_map_may_fail);
    tcase_add_test(tcase, each_allocation_of_a_map_elsewhere_may_fail);
}

int main(void)
{
    return thi_check_run("sync/group_map", fill);
}
