/* SPDX-License-Identifier: MIT */

/* Groups: results by index and in order of ends, first failure, race, limits, cancellation. */
#include "parties.h"

#include "base/alloc.h"

#include <thrum/event.h>
#include <thrum/group.h>

#include <limits.h>

static th_group *open_group(const th_group_opts *opts)
{
    th_group *group = NULL;
    ck_assert_int_eq(th_group_open(opts, &group), 0);
    ck_assert_ptr_nonnull(group);
    return group;
}

static void close_group(th_group *group)
{
    ck_assert_int_eq(th_group_close(group), 0);
}

/* Starts a child, whose index must be the one given. */
static void add(th_group *group, int index, th_fiber_fn fn, const void *arg)
{
    ck_assert_int_eq(th_group_spawn(group, fn, (void *)(uintptr_t)arg), index);
}

static int result_of(th_group *group, size_t index)
{
    int result = INT_MIN;
    ck_assert_int_eq(th_group_result(group, index, &result), 0);
    return result;
}

static void expect_next(th_group *group, int index, int expected)
{
    int result = INT_MIN;
    ck_assert_int_eq(th_group_next(group, &result), index);
    ck_assert_int_eq(result, expected);
}

static void expect_info(th_group *group, size_t spawned, size_t ended, size_t waiting)
{
    th_group_info info;
    ck_assert_int_eq(th_group_get_info(group, &info), 0);
    ck_assert_uint_eq(info.spawned, spawned);
    ck_assert_uint_eq(info.ended, ended);
    ck_assert_uint_eq(info.waiting, waiting);
}

/* A child with a time and a result. */
typedef struct task {
    int64_t needs;
    int result;
} task;

static int do_task(void *arg)
{
    const task *t = arg;
    int err = th_sleep(t->needs);
    return err < 0 ? err : t->result;
}

#define AFTER(ms, value)                                                                           \
    &(task)                                                                                        \
    {                                                                                              \
        (ms) * TH_MILLISECOND, value                                                               \
    }

/* Sleeps through anything, then returns what arg points to. */
static int ignore_the_end(void *arg)
{
    (void)th_sleep(TH_NEVER);
    return *(const int *)arg;
}

static const int seven = 7, five = 5, broken = -EIO, full = -ENOSPC, gone = -ECANCELED;

/* ---- misuse ---------------------------------------------------------------------------------- */

START_TEST(outside_a_fiber_there_is_no_group)
{
    th_group *group = (th_group *)&group;
    const th_group *before = group;
    ck_assert_int_eq(th_group_open(NULL, &group), -EPERM);
    ck_assert_int_eq(th_group_open(NULL, NULL), -EINVAL);
    ck_assert_ptr_eq(group, before);
    ck_assert_int_eq(th_group_close(NULL), 0);
    ck_assert_ptr_null(th_group_scope(NULL));
}
END_TEST

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    th_group *group = NULL;
    th_group_opts wrong[] = { { .size = sizeof(th_group_opts) + 1 },
                              { .mode = TH_GROUP_RACE + 1 },
                              { .mode = -1 },
                              { .place = TH_PLACE_ROUND - 1 },
                              { .place = 2 } };
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_group_open(&wrong[i], &group), -EINVAL);
    ck_assert_ptr_null(group);
    group = open_group(NULL);
    ck_assert_int_eq(th_group_spawn(NULL, do_nothing, NULL), -EINVAL);
    ck_assert_int_eq(th_group_spawn(group, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_group_next(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_group_result(group, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_group_result(NULL, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_group_wait(NULL), -EINVAL);
    ck_assert_int_eq(th_group_verdict(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_group_get_info(group, NULL), -EINVAL);
    th_group_info info;
    ck_assert_int_eq(th_group_get_info(NULL, &info), -EINVAL);
    th_scope inner;
    open_scope(&inner);
    ck_assert_int_eq(th_group_close(group), -EINVAL); /* not the innermost one */
    close_scope(&inner);
    add(group, 0, do_nothing, NULL);
    ck_assert_int_eq(result_of(group, 0), 0);
    ck_assert_int_eq(th_group_result(group, 1, NULL), -EINVAL);
    close_group(group);
}

static int touch_anothers(void *arg)
{
    ck_assert_int_eq(th_group_next(arg, NULL), -EINVAL);
    ck_assert_int_eq(th_group_result(arg, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_group_wait(arg), -EINVAL);
    ck_assert_int_eq(th_group_verdict(arg, NULL), -EINVAL);
    ck_assert_int_eq(th_group_close(arg), -EINVAL);
    return 0;
}

FIBER_TEST(a_child_cannot_wait_for_its_own_group)
{
    th_group *group = open_group(NULL);
    add(group, 0, touch_anothers, group);
    close_group(group);
}

/* ---- results --------------------------------------------------------------------------------- */

FIBER_TEST(a_group_without_children_is_over_at_once)
{
    th_group *group = open_group(NULL);
    size_t decided = 0;
    ck_assert_int_eq(th_group_next(group, NULL), TH_EOF);
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(th_group_verdict(group, &decided), 0);
    ck_assert_uint_eq(decided, SIZE_MAX);
    close_group(group);
}

FIBER_TEST_ON(2, results_are_in_the_order_of_spawning_whoever_ends_first)
{
    th_group *group = open_group(&(th_group_opts){ .place = TH_PLACE_ROUND });
    add(group, 0, do_task, AFTER(3, 30));
    add(group, 1, do_task, AFTER(1, 10));
    add(group, 2, do_task, AFTER(2, 20));
    ck_assert_int_eq(result_of(group, 0), 30);
    ck_assert_int_eq(result_of(group, 1), 10);
    ck_assert_int_eq(result_of(group, 2), 20);
    ck_assert_int_eq(result_of(group, 0), 30); /* it stays */
    close_group(group);
}

FIBER_TEST(next_gives_each_once_in_the_order_of_their_ends)
{
    bool go_on = false;
    th_group *group = open_group(NULL);
    add(group, 0, wait_for_flag, &go_on);
    add(group, 1, do_task, AFTER(1, 10));
    expect_next(group, 1, 10);
    add(group, 2, do_task, AFTER(1, 20));
    expect_next(group, 2, 20);
    go_on = true;
    expect_next(group, 0, 0);
    ck_assert_int_eq(th_group_next(group, NULL), TH_EOF);
    add(group, 3, do_nothing, NULL);
    expect_next(group, 3, 0);
    ck_assert_int_eq(th_group_next(group, NULL), TH_EOF);
    close_group(group);
}

static void count_all(unsigned children, int place)
{
    static task tasks[500];
    bool seen[500] = { false };
    int i;
    int n = 0;
    int result;
    th_group *group = open_group(&(th_group_opts){ .place = place, .limit = 50 });
    for (i = 0; i < (int)children; i++) {
        tasks[i] = (task){ .needs = (i * 7919) % 13 * TH_MICROSECOND, .result = i + 1 };
        add(group, i, do_task, &tasks[i]);
    }
    while ((i = th_group_next(group, &result)) >= 0) {
        ck_assert(!seen[i]);
        seen[i] = true;
        ck_assert_int_eq(result, i + 1);
        n++;
    }
    ck_assert_int_eq(i, TH_EOF);
    ck_assert_int_eq(n, (int)children);
    close_group(group);
}

FIBER_TEST_ON(4, five_hundred_on_four_workers_are_each_given_once)
{
    count_all(500, TH_PLACE_ROUND);
}

FIBER_TEST(five_hundred_on_one_worker_are_each_given_once)
{
    count_all(500, TH_PLACE_HERE);
}

FIBER_TEST(waiting_for_all_leaves_the_group_open_for_more)
{
    th_group *group = open_group(NULL);
    add(group, 0, do_task, AFTER(2, 1));
    add(group, 1, do_task, AFTER(1, 2));
    ck_assert_int_eq(th_group_wait(group), 0);
    expect_info(group, 2, 2, 0);
    add(group, 2, do_task, AFTER(1, 3));
    expect_info(group, 3, 2, 0);
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(result_of(group, 2), 3);
    close_group(group);
}

/* ---- failures -------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, the_first_failure_cancels_the_rest_and_is_the_verdict)
{
    size_t decided;
    th_group *group = open_group(&(th_group_opts){ .place = TH_PLACE_ROUND });
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, do_task, AFTER(1, -EIO));
    add(group, 2, ignore_the_end, &full); /* fails as well, later */
    add(group, 3, sleep_for_ever, NULL);
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(result_of(group, 0), -ECANCELED);
    ck_assert_int_eq(result_of(group, 1), -EIO);
    ck_assert_int_eq(result_of(group, 2), -ENOSPC);
    ck_assert_int_eq(th_group_verdict(group, &decided), -EIO);
    ck_assert_uint_eq(decided, 1);
    ck_assert_int_eq(th_scope_reason(th_group_scope(group)), -EIO);
    ck_assert_int_eq(th_group_spawn(group, do_nothing, NULL), -ECANCELED);
    expect_info(group, 4, 4, 0);
    ck_assert_int_eq(th_group_close(group), -EIO);
    ck_assert_int_eq(th_yield(), 0);
}

FIBER_TEST(collecting_lets_all_run_and_tells_the_first_failure)
{
    size_t decided;
    th_group *group = open_group(&(th_group_opts){ .mode = TH_GROUP_COLLECT });
    add(group, 0, do_task, AFTER(3, 7));
    add(group, 1, do_task, AFTER(2, -EIO));
    add(group, 2, do_task, AFTER(1, -ENOSPC));
    expect_next(group, 2, -ENOSPC);
    expect_next(group, 1, -EIO);
    expect_next(group, 0, 7);
    ck_assert_int_eq(th_group_verdict(group, &decided), -ENOSPC);
    ck_assert_uint_eq(decided, 2);
    ck_assert_int_eq(th_group_close(group), -ENOSPC);
}

FIBER_TEST(a_failure_beats_those_who_only_repeat_the_cancellation)
{
    size_t decided;
    th_group *group = open_group(NULL);
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, ignore_the_end, &broken);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_cancel(th_group_scope(group), 0), 0);
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(th_group_verdict(group, &decided), -EIO);
    ck_assert_uint_eq(decided, 1);
    ck_assert_int_eq(th_group_close(group), -EIO);
}

static int cancel_oneself(void *arg)
{
    th_scope scope;
    (void)arg;
    open_cancelled_scope(&scope);
    int err = th_yield();
    (void)th_scope_close(&scope);
    return err;
}

FIBER_TEST(a_child_that_was_cancelled_by_itself_has_failed)
{
    th_group *group = open_group(&(th_group_opts){ .mode = TH_GROUP_COLLECT });
    add(group, 0, cancel_oneself, NULL);
    add(group, 1, do_task, AFTER(1, 7));
    ck_assert_int_eq(result_of(group, 1), 7);
    ck_assert_int_eq(result_of(group, 0), -ECANCELED);
    ck_assert_int_eq(th_group_close(group), -ECANCELED);
}

/* ---- races ----------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, in_a_race_the_first_success_wins_and_the_others_have_ended)
{
    size_t decided;
    th_group *group =
        open_group(&(th_group_opts){ .mode = TH_GROUP_RACE, .place = TH_PLACE_ROUND });
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, return_number, &broken);
    add(group, 2, do_task, AFTER(1, 7));
    add(group, 3, ignore_the_end, &five); /* succeeds too late */
    add(group, 4, ignore_the_end, &full);
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(th_group_verdict(group, &decided), 7);
    ck_assert_uint_eq(decided, 2);
    ck_assert_int_eq(result_of(group, 0), -ECANCELED);
    ck_assert_int_eq(result_of(group, 1), -EIO);
    ck_assert_int_eq(result_of(group, 3), 5);
    ck_assert_int_eq(th_group_close(group), 7);
}

FIBER_TEST(a_race_that_all_lose_tells_the_first_failure_and_all_can_be_read)
{
    size_t decided;
    th_group *group = open_group(&(th_group_opts){ .mode = TH_GROUP_RACE });
    add(group, 0, do_task, AFTER(2, -EIO));
    add(group, 1, do_task, AFTER(1, -ENOSPC));
    ck_assert_int_eq(th_group_wait(group), 0);
    ck_assert_int_eq(th_group_verdict(group, &decided), -ENOSPC);
    ck_assert_uint_eq(decided, 1);
    ck_assert_int_eq(result_of(group, 0), -EIO);
    ck_assert_int_eq(result_of(group, 1), -ENOSPC);
    ck_assert_int_eq(th_group_close(group), -ENOSPC);
}

FIBER_TEST(a_race_may_be_against_the_clock)
{
    th_group *group = open_group(
        &(th_group_opts){ .mode = TH_GROUP_RACE, .deadline = th_after(2 * TH_MILLISECOND) });
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, return_number, &broken);
    ck_assert_int_eq(th_group_close(group), -EIO); /* the failure that is no echo */
    group = open_group(
        &(th_group_opts){ .mode = TH_GROUP_RACE, .deadline = th_after(2 * TH_MILLISECOND) });
    add(group, 0, sleep_for_ever, NULL);
    ck_assert_int_eq(th_group_close(group), -ETIMEDOUT);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int running, most;

static int count_running(void *arg)
{
    running++;
    most = thi_max(running, most);
    int err = do_task(arg);
    running--;
    return err;
}

FIBER_TEST(ten_jobs_on_a_limit_of_four_all_run_and_four_at_once)
{
    static task tasks[10];
    th_group *group = open_group(&(th_group_opts){ .limit = 4 });
    for (int i = 0; i < 10; i++) {
        tasks[i] = (task){ .needs = (10 - i) * TH_MICROSECOND, .result = i };
        add(group, i, count_running, &tasks[i]);
    }
    for (size_t i = 0; i < 10; i++)
        ck_assert_int_eq(result_of(group, i), (int)i);
    ck_assert_int_eq(most, 4);
    close_group(group);
}

static th_group *shared;

static int spawn_into_shared(void *arg)
{
    int index = th_group_spawn(shared, return_number, arg);
    return index < 0 ? index : 0;
}

FIBER_TEST(a_spawn_that_times_out_leaves_no_hole)
{
    th_scope hurry;
    bool go_on = false;
    shared = open_group(&(th_group_opts){ .limit = 1 });
    add(shared, 0, wait_for_flag, &go_on);
    open_scope_for(&hurry, TH_MILLISECOND);
    ck_assert_int_eq(th_group_spawn(shared, do_nothing, NULL), -ETIMEDOUT);
    close_scope(&hurry);
    expect_info(shared, 1, 0, 0);
    go_on = true;
    add(shared, 1, return_number, &seven);
    ck_assert_int_eq(result_of(shared, 1), 7);
    close_group(shared);
}

FIBER_TEST(who_waits_for_room_is_counted_and_let_in_when_there_is_more)
{
    th_scope scope;
    bool go_on = false;
    open_scope(&scope);
    shared = open_group(&(th_group_opts){ .limit = 1 });
    add(shared, 0, wait_for_flag, &go_on);
    spawn(&scope, spawn_into_shared, (void *)(uintptr_t)&seven); /* no child of the group */
    spawn(&scope, spawn_into_shared, (void *)(uintptr_t)&five);
    ck_assert_int_eq(th_yield(), 0);
    expect_info(shared, 1, 0, 2);
    ck_assert_int_eq(th_scope_set_limit(th_group_scope(shared), 2), 0);
    for (int i = 0; i < 8; i++) /* one after the other in the second place */
        ck_assert_int_eq(th_yield(), 0);
    expect_info(shared, 3, 2, 0);
    go_on = true;
    expect_next(shared, 1, 7);
    ck_assert_int_eq(th_group_wait(shared), 0);
    close_group(shared);
    close_scope(&scope);
}

FIBER_TEST(a_lower_limit_ends_nobody)
{
    bool go_on = false;
    th_group *group = open_group(&(th_group_opts){ .limit = 3 });
    for (int i = 0; i < 3; i++)
        add(group, i, wait_for_flag, &go_on);
    th_scope *scope = th_group_scope(group);
    ck_assert_int_eq(th_scope_set_limit(scope, 1), 0);
    ck_assert_uint_eq(th_scope_children(scope), 3);
    th_scope hurry;
    open_scope_for(&hurry, TH_MILLISECOND);
    ck_assert_int_eq(th_group_spawn(group, do_nothing, NULL), -ETIMEDOUT);
    close_scope(&hurry);
    go_on = true;
    add(group, 3, do_nothing, NULL); /* once the three have gone */
    expect_info(group, 4, 3, 0);
    ck_assert_int_eq(th_scope_set_limit(scope, 0), 0);
    for (int i = 4; i < 50; i++)
        add(group, i, do_nothing, NULL);
    close_group(group);
}

static int spawn_from_inside(void *arg)
{
    return spawn_into_shared(arg);
}

static int spawn_from_below(void *arg)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, spawn_into_shared, arg);
    return th_scope_close(&scope);
}

FIBER_TEST(a_child_of_a_full_group_is_refused_more_instead_of_waiting_for_itself)
{
    shared = open_group(&(th_group_opts){ .limit = 1, .mode = TH_GROUP_COLLECT });
    add(shared, 0, spawn_from_inside, &seven);
    add(shared, 1, spawn_from_below, &seven);
    ck_assert_int_eq(result_of(shared, 0), -EDEADLK);
    ck_assert_int_eq(result_of(shared, 1), -EDEADLK);
    ck_assert_int_eq(th_scope_set_limit(th_group_scope(shared), 2), 0);
    add(shared, 2, spawn_from_inside, &seven);
    ck_assert_int_eq(result_of(shared, 2), 0);
    ck_assert_int_eq(result_of(shared, 3), 7);
    ck_assert_int_eq(th_group_close(shared), -EDEADLK);
}

FIBER_TEST_ON(2, a_child_elsewhere_starts_more_without_waiting)
{
    shared = open_group(&(th_group_opts){ .limit = 1, .place = 2 });
    add(shared, 0, spawn_from_inside, &seven);
    ck_assert_int_eq(th_group_wait(shared), 0);
    ck_assert_int_eq(result_of(shared, 1), 7);
    close_group(shared);
}

static int note_whose_child(void *arg)
{
    return strcmp(th_fiber_name(th_fiber_self()), arg);
}

FIBER_TEST(a_child_is_named_after_where_it_was_spawned_or_by_its_group)
{
    th_group *group = open_group(NULL);
    ck_assert_int_eq(th_group_spawn(group, note_whose_child, TH_ORIGIN(note_whose_child)), 0);
    ck_assert_int_eq((th_group_spawn)(group, note_whose_child, "fiber"), 1);
    ck_assert_int_eq(result_of(group, 0), 0);
    ck_assert_int_eq(result_of(group, 1), 0);
    close_group(group);
    group = open_group(&(th_group_opts){ .name = "weaver" });
    ck_assert_int_eq(th_group_spawn(group, note_whose_child, "weaver"), 0);
    ck_assert_int_eq(result_of(group, 0), 0);
    close_group(group);
}

static void *spawn_from_thread(void *arg)
{
    for (int i = 0; i < 100; i++)
        ck_assert_int_ge(th_group_spawn(arg, return_number, (void *)(uintptr_t)&seven), 0);
    return NULL;
}

FIBER_TEST_ON(2, threads_may_spawn_too)
{
    int i;
    int result;
    int n = 0;
    th_group *group = open_group(&(th_group_opts){ .place = TH_PLACE_ROUND, .limit = 3 });
    pthread_t threads[2];
    for (int t = 0; t < 2; t++)
        threads[t] = start_thread(spawn_from_thread, group);
    for (int t = 0; t < 2; t++)
        join_thread(threads[t]);
    while ((i = th_group_next(group, &result)) >= 0) {
        ck_assert_int_eq(result, 7);
        n++;
    }
    ck_assert_int_eq(n, 200);
    close_group(group);
}

/* ---- cancellation and deadlines -------------------------------------------------------------- */

FIBER_TEST(what_ends_the_group_reaches_the_children_and_their_results_are_given)
{
    th_group *group = open_group(&(th_group_opts){ .mode = TH_GROUP_COLLECT });
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, ignore_the_end, &seven);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_cancel(th_group_scope(group), 0), 0);
    ck_assert_int_eq(th_yield(), -ECANCELED); /* the host is in that scope as well */
    expect_next(group, 0, -ECANCELED);
    ck_assert_int_eq(result_of(group, 1), 7);
    ck_assert_int_eq(th_group_close(group), -ECANCELED);
}

FIBER_TEST(at_its_deadline_each_child_that_is_left_has_timed_out)
{
    th_group *group = open_group(
        &(th_group_opts){ .mode = TH_GROUP_COLLECT, .deadline = th_after(2 * TH_MILLISECOND) });
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, do_nothing, NULL);
    add(group, 2, sleep_for_ever, NULL);
    expect_next(group, 1, 0);
    expect_next(group, 0, -ETIMEDOUT);
    expect_next(group, 2, -ETIMEDOUT);
    ck_assert_int_eq(th_group_next(group, NULL), TH_EOF);
    ck_assert_int_eq(th_group_close(group), -ETIMEDOUT);
}

FIBER_TEST(a_scope_inside_ends_the_wait_and_leaves_the_children_alone)
{
    th_scope hurry;
    bool go_on = false;
    th_group *group = open_group(NULL);
    add(group, 0, wait_for_flag, &go_on);
    open_scope_for(&hurry, TH_MILLISECOND);
    ck_assert_int_eq(th_group_next(group, NULL), -ETIMEDOUT);
    ck_assert_int_eq(th_group_result(group, 0, NULL), -ETIMEDOUT);
    ck_assert_int_eq(th_group_wait(group), -ETIMEDOUT);
    close_scope(&hurry);
    go_on = true;
    expect_next(group, 0, 0);
    close_group(group);
}

static int host_a_group(void *arg)
{
    int result = 0;
    th_group *group = open_group(NULL);
    add(group, 0, sleep_for_ever, NULL);
    add(group, 1, ignore_the_end, &seven);
    *(bool *)arg = true;
    ck_assert_int_eq(th_group_next(group, &result), 0);
    ck_assert_int_eq(result, -ECANCELED);
    return th_group_close(group);
}

FIBER_TEST(cancelling_the_host_cancels_all_children_and_it_leaves_after_them)
{
    th_scope scope;
    bool begun = false;
    open_scope(&scope);
    spawn(&scope, host_a_group, &begun);
    wait_for_flag(&begun);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

FIBER_TEST(an_outer_failure_ends_the_inner_group_first)
{
    th_group *outer = open_group(NULL);
    bool begun = false;
    add(outer, 0, host_a_group, &begun);
    add(outer, 1, do_task, AFTER(1, -EIO));
    ck_assert_int_eq(th_group_close(outer), -EIO);
    ck_assert(begun);
}

FIBER_TEST(a_group_in_a_cancelled_scope_starts_nothing)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    th_group *group = open_group(NULL);
    ck_assert_int_eq(th_group_spawn(group, do_nothing, NULL), -ECANCELED);
    ck_assert_int_eq(th_group_next(group, NULL), TH_EOF);
    close_group(group);
    close_scope(&scope);
}

static int spawn_siblings(void *arg)
{
    int err;
    do
        err = th_group_spawn(shared, spawn_siblings, arg);
    while (err >= 0 && (err = th_yield()) == 0);
    return err;
}

FIBER_TEST(children_that_keep_starting_children_end_when_one_fails)
{
    shared = open_group(NULL);
    add(shared, 0, spawn_siblings, NULL);
    add(shared, 1, do_task, AFTER(1, -EIO));
    ck_assert_int_eq(th_group_close(shared), -EIO);
}

static int return_cancelled(void *arg)
{
    return return_number(arg);
}

FIBER_TEST(without_a_reason_of_its_own_a_cancelled_result_is_a_failure)
{
    th_group *group = open_group(NULL);
    add(group, 0, return_cancelled, &gone);
    add(group, 1, ignore_the_end, &broken); /* ended by the first */
    ck_assert_int_eq(th_group_close(group), -ECANCELED);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

/* A group whose every allocation may fail; 0 or -ENOMEM. */
static int use_a_group(int place)
{
    th_group *group;
    int err = th_group_open(&(th_group_opts){ .place = place, .mode = TH_GROUP_COLLECT }, &group);
    if (err < 0)
        return err;
    int begun = 0;
    for (int i = 0; i < 20 && err >= 0; i++) {
        err = th_group_spawn(group, return_number, (void *)(uintptr_t)&seven);
        begun += err >= 0;
    }
    ck_assert(err >= 0 || err == -ENOMEM);
    int result;
    int index;
    bool failed = err < 0;
    while ((index = th_group_next(group, &result)) >= 0) {
        ck_assert(result == 7 || result == -ENOMEM);
        failed |= result < 0;
        begun--;
    }
    ck_assert_int_eq(index, TH_EOF);
    ck_assert_int_eq(begun, 0);
    int verdict = th_group_close(group);
    ck_assert(verdict == 0 || verdict == -ENOMEM);
    return failed ? -ENOMEM : 0;
}

/* The run at hand: which allocation fails, and what came of it. */
static int64_t failing;
static int64_t not_reached;
static bool has_failed;

static int use_with_a_failure(void *place)
{
    (void)thi_alloc_fail_at(failing);
    has_failed = use_a_group(*(int *)place) < 0;
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
    ck_assert_int_ge(failures, 20);
}

START_TEST(each_allocation_may_fail)
{
    fail_each_allocation(1, TH_PLACE_HERE);
}
END_TEST

START_TEST(each_allocation_for_children_elsewhere_may_fail)
{
    fail_each_allocation(2, 2);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "group");
    tcase_add_test(tcase, outside_a_fiber_there_is_no_group);
    tcase_add_test(tcase, misuse_is_refused_and_changes_nothing);
    tcase_add_test(tcase, a_child_cannot_wait_for_its_own_group);
    tcase_add_test(tcase, a_group_without_children_is_over_at_once);
    tcase_add_test(tcase, results_are_in_the_order_of_spawning_whoever_ends_first);
    tcase_add_test(tcase, next_gives_each_once_in_the_order_of_their_ends);
    tcase_add_test(tcase, five_hundred_on_four_workers_are_each_given_once);
    tcase_add_test(tcase, five_hundred_on_one_worker_are_each_given_once);
    tcase_add_test(tcase, waiting_for_all_leaves_the_group_open_for_more);
    tcase = thi_check_case(suite, "failures");
    tcase_add_test(tcase, the_first_failure_cancels_the_rest_and_is_the_verdict);
    tcase_add_test(tcase, collecting_lets_all_run_and_tells_the_first_failure);
    tcase_add_test(tcase, a_failure_beats_those_who_only_repeat_the_cancellation);
    tcase_add_test(tcase, a_child_that_was_cancelled_by_itself_has_failed);
    tcase_add_test(tcase, in_a_race_the_first_success_wins_and_the_others_have_ended);
    tcase_add_test(tcase, a_race_that_all_lose_tells_the_first_failure_and_all_can_be_read);
    tcase_add_test(tcase, a_race_may_be_against_the_clock);
    tcase = thi_check_case(suite, "limits");
    tcase_add_test(tcase, ten_jobs_on_a_limit_of_four_all_run_and_four_at_once);
    tcase_add_test(tcase, a_spawn_that_times_out_leaves_no_hole);
    tcase_add_test(tcase, who_waits_for_room_is_counted_and_let_in_when_there_is_more);
    tcase_add_test(tcase, a_lower_limit_ends_nobody);
    tcase_add_test(tcase, a_child_of_a_full_group_is_refused_more_instead_of_waiting_for_itself);
    tcase_add_test(tcase, a_child_elsewhere_starts_more_without_waiting);
    tcase_add_test(tcase, a_child_is_named_after_where_it_was_spawned_or_by_its_group);
    tcase_add_test(tcase, threads_may_spawn_too);
    tcase = thi_check_case(suite, "ends");
    tcase_add_test(tcase, what_ends_the_group_reaches_the_children_and_their_results_are_given);
    tcase_add_test(tcase, at_its_deadline_each_child_that_is_left_has_timed_out);
    tcase_add_test(tcase, a_scope_inside_ends_the_wait_and_leaves_the_children_alone);
    tcase_add_test(tcase, cancelling_the_host_cancels_all_children_and_it_leaves_after_them);
    tcase_add_test(tcase, an_outer_failure_ends_the_inner_group_first);
    tcase_add_test(tcase, a_group_in_a_cancelled_scope_starts_nothing);
    tcase_add_test(tcase, children_that_keep_starting_children_end_when_one_fails);
    tcase_add_test(tcase, without_a_reason_of_its_own_a_cancelled_result_is_a_failure);
    tcase_add_test(tcase, each_allocation_may_fail);
    tcase_add_test(tcase, each_allocation_for_children_elsewhere_may_fail);
}

int main(void)
{
    return thi_check_run("sync/group", fill);
}
