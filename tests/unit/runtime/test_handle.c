/* SPDX-License-Identifier: MIT */

/* Handles of fibers anywhere: joining and cancelling from other workers and from plain threads. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>

static const int places[] = { TH_PLACE_HERE, TH_PLACE_LEAST, TH_PLACE_ROUND, 1, 2 };

static th_fiber *spawn_placed(th_scope *scope, int place, th_fiber_fn fn, void *arg)
{
    th_fiber *fiber = NULL;
    th_spawn_opts opts = { .place = place };
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, &opts, &fiber), 0);
    ck_assert_ptr_nonnull(fiber);
    return fiber;
}

static void expect_result(th_fiber *fiber, int expected)
{
    int result = 77;
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, expected);
}

/* ---- joining --------------------------------------------------------------------------------- */

static int nap_and_return(void *arg)
{
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    return *(int *)arg;
}

FIBER_TEST_ON(2, a_fiber_is_joined_wherever_it_lives)
{
    th_scope scope;
    int number = 42;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(places); i++) {
        th_fiber *fiber = spawn_placed(&scope, places[i], nap_and_return, &number);
        expect_result(fiber, 42);
        expect_result(fiber, 42);
        th_fiber_unref(fiber);
    }
    close_scope(&scope);
}

static int join_42(void *arg)
{
    expect_result(arg, 42);
    return 0;
}

FIBER_TEST_ON(3, anybody_on_any_worker_joins_the_same_fiber)
{
    th_scope scope;
    int number = 42;
    open_scope(&scope);
    th_fiber *fiber = spawn_placed(&scope, 2, nap_and_return, &number);
    for (unsigned i = 0; i < 30; i++)
        spawn_on(&scope, i % 3, join_42, fiber);
    close_scope(&scope);
    th_fiber_unref(fiber);
}

static void *join_in_thread(void *arg)
{
    expect_result(arg, 42);
    return NULL;
}

FIBER_TEST_ON(2, plain_threads_join)
{
    th_scope scope;
    int number = 42;
    pthread_t threads[4];
    open_scope(&scope);
    th_fiber *fiber = spawn_placed(&scope, 2, nap_and_return, &number);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, join_in_thread, fiber), 0);
    close_scope(&scope);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    th_fiber_unref(fiber);
}

static int sum_up(void *arg)
{
    return *(int *)arg + 1;
}

static void *spawn_and_join(void *arg)
{
    int number = 41;
    th_fiber *fiber = NULL;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(th_spawn_with(arg, sum_up, &number, NULL, &fiber), 0);
        expect_result(fiber, 42);
        th_fiber_unref(fiber);
    }
    ck_assert_int_eq(th_scope_cancel(arg, 0), 0);
    return NULL;
}

FIBER_TEST_ON(2, a_thread_starts_fibers_and_waits_for_their_results)
{
    th_scope scope;
    pthread_t thread;
    open_scope(&scope);
    ck_assert_int_eq(pthread_create(&thread, NULL, spawn_and_join, &scope), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED); /* the loop runs until then */
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    close_scope(&scope);
}

static th_fiber *kept;

static int leave_a_handle(void *arg)
{
    th_scope scope;
    open_scope(&scope);
    kept = spawn_placed(&scope, 2, return_number, arg);
    ck_assert_uint_ne(th_fiber_id(kept), 0);
    return th_scope_close(&scope);
}

START_TEST(a_handle_outlives_the_runtime)
{
    int number = 5;
    run_in_fiber(2, 0, leave_a_handle, &number);
    expect_result(kept, 5);
    ck_assert_int_eq(strncmp(th_fiber_name(kept), "fn at test_handle.c:", 20), 0);
    ck_assert_int_eq(strncmp(th_fiber_place(kept), "test_handle.c:", 14), 0);
    ck_assert_int_eq(th_fiber_cancel(kept, 0), 0);
    th_fiber_unref(kept);
}
END_TEST

static int store_id(void *arg)
{
    *(uint64_t *)arg = th_fiber_id(th_fiber_self());
    return 0;
}

FIBER_TEST_ON(2, handle_and_fiber_have_the_same_number)
{
    th_scope scope;
    uint64_t id;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(places); i++) {
        th_fiber *fiber = spawn_placed(&scope, places[i], store_id, &id);
        ck_assert_int_eq(th_join(fiber, NULL), 0);
        ck_assert_uint_eq(th_fiber_id(fiber), id);
        th_fiber_unref(fiber);
    }
    close_scope(&scope);
}

static int join_main(void *arg)
{
    return th_join(arg, NULL); /* the main fiber itself, no handle */
}

FIBER_TEST_ON(2, a_fiber_without_a_handle_is_joined_on_its_worker_only)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, join_main, th_fiber_self());
    ck_assert_int_eq(th_scope_close(&scope), -EINVAL);
    ck_assert_int_eq(th_join(th_fiber_self(), NULL), -EDEADLK);
    open_scope(&scope);
    th_fiber *joiner = spawn_handle(&scope, join_main, th_fiber_self());
    th_yield();
    ck_assert_int_eq(th_fiber_cancel(joiner, 0), 0);
    expect_result(joiner, -ECANCELED);
    th_fiber_unref(joiner);
    close_scope(&scope);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

FIBER_TEST_ON(2, one_fiber_is_cancelled_and_the_others_are_not)
{
    for (size_t i = 0; i < thi_array_len(places); i++) {
        th_scope scope;
        bool go_on = false;
        ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
        th_fiber *one = spawn_placed(&scope, places[i], sleep_for_ever, NULL);
        spawn(&scope, wait_for_flag, &go_on);
        th_yield();
        ck_assert_int_eq(th_fiber_cancel(one, 0), 0);
        expect_result(one, -ECANCELED);
        ck_assert_int_eq(th_scope_reason(&scope), 0);
        ck_assert_int_eq(th_cancel_reason(), 0);
        go_on = true;
        close_scope(&scope);
        th_fiber_unref(one);
    }
}

static int find_out_why(void *arg)
{
    ck_assert_int_eq(th_cancel_reason(), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    ck_assert_int_eq(th_check(), -ECANCELED);
    *(int *)arg = th_cancel_reason();
    return 7;
}

FIBER_TEST(the_first_reason_stays_and_so_does_the_cancellation)
{
    th_scope scope;
    int reason = 0;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, find_out_why, &reason);
    th_yield();
    ck_assert_int_eq(th_fiber_cancel(fiber, -ENODATA), 0);
    ck_assert_int_eq(th_fiber_cancel(fiber, -EBUSY), 0);
    expect_result(fiber, 7);
    ck_assert_int_eq(reason, -ENODATA);
    close_scope(&scope);
    th_fiber_unref(fiber);
}

static int sleep_in_scopes(void *arg)
{
    th_scope outer;
    th_scope inner;
    th_scope later;
    th_scope shield;
    open_scope(&outer);
    open_scope(&inner);
    spawn(&outer, sleep_for_ever, NULL);
    spawn(&inner, sleep_for_ever, NULL);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&inner), -EPROTO);
    ck_assert_int_eq(th_scope_close(&inner), -ECANCELED);
    ck_assert_int_eq(th_scope_close(&outer), -ECANCELED);
    open_scope(&later);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_cancel_reason(), 0);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    close_scope(&shield);
    close_scope(&later);
    *(bool *)arg = true;
    return th_cancel_reason();
}

FIBER_TEST(the_scopes_that_it_opened_and_opens_are_reached)
{
    th_scope scope;
    bool done = false;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, sleep_in_scopes, &done);
    th_yield();
    th_yield();
    ck_assert_int_eq(th_fiber_cancel(fiber, -EPROTO), 0);
    expect_result(fiber, -EPROTO);
    ck_assert(done);
    ck_assert_int_eq(th_scope_close(&scope), -EPROTO); /* a failure of its own */
    th_fiber_unref(fiber);
}

static int wait_in_a_shield(void *arg)
{
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(wait_for_flag(arg), 0);
    ck_assert_int_eq(th_check(), 0);
    close_scope(&shield);
    return th_check();
}

FIBER_TEST(a_shield_holds_until_it_is_closed)
{
    th_scope scope;
    bool go_on = false;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, wait_in_a_shield, &go_on);
    th_yield();
    ck_assert_int_eq(th_fiber_cancel(fiber, 0), 0);
    th_yield();
    go_on = true;
    expect_result(fiber, -ECANCELED);
    close_scope(&scope);
    th_fiber_unref(fiber);
}

static int cancel_oneself(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_fiber_cancel(th_fiber_self(), -EINTR), 0);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    ck_assert_int_eq(th_cancel_reason(), -EINTR);
    return -ECANCELED;
}

FIBER_TEST(a_fiber_cancels_itself)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, cancel_oneself, NULL);
    th_fiber *fiber = spawn_handle(&scope, cancel_oneself, NULL);
    close_scope(&scope);
    expect_result(fiber, -ECANCELED);
    th_fiber_unref(fiber);
}

FIBER_TEST(a_cancelled_fiber_is_reached_by_the_scope_around_as_before)
{
    th_scope scope;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, sleep_for_ever, NULL);
    th_yield();
    ck_assert_int_eq(th_fiber_cancel(fiber, -EPROTO), 0);
    th_scope_cancel(&scope, -ESHUTDOWN);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    expect_result(fiber, -ECANCELED);
    th_fiber_unref(fiber);
}

static void *cancel_in_thread(void *arg)
{
    ck_assert_int_eq(th_fiber_cancel(arg, -ENOLINK), 0);
    return NULL;
}

static atomic_bool began;

static int begin_and_find_out(void *arg)
{
    atomic_store(&began, true);
    return find_out_why(arg);
}

FIBER_TEST_ON(2, a_plain_thread_cancels)
{
    for (int place = 1; place <= 2; place++) {
        th_scope scope;
        pthread_t thread;
        int reason = 0;
        open_scope(&scope);
        atomic_store(&began, false);
        th_fiber *fiber = spawn_placed(&scope, place, begin_and_find_out, &reason);
        while (!atomic_load(&began))
            th_yield();
        ck_assert_int_eq(pthread_create(&thread, NULL, cancel_in_thread, fiber), 0);
        expect_result(fiber, 7);
        ck_assert_int_eq(reason, -ENOLINK);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        th_fiber_unref(fiber);
        close_scope(&scope);
    }
}

static int fail_if_run(void *arg)
{
    (void)arg;
    ck_abort_msg("it was cancelled before its start");
}

/* A thread starts one where there is no room, and calls it off. */
static void *start_and_cancel(void *arg)
{
    th_fiber *fiber = NULL;
    ck_assert_int_eq(th_spawn_with(arg, fail_if_run, NULL, NULL, &fiber), 0);
    ck_assert_int_eq(th_fiber_cancel(fiber, 0), 0);
    return fiber;
}

FIBER_TEST(a_start_that_waits_for_room_can_be_called_off)
{
    th_scope scope;
    bool go_on = false;
    pthread_t thread;
    void *late = NULL;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    spawn(&scope, wait_for_flag, &go_on);
    ck_assert_int_eq(pthread_create(&thread, NULL, start_and_cancel, &scope), 0);
    ck_assert_int_eq(pthread_join(thread, &late), 0);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    go_on = true;
    close_scope(&scope);
    expect_result(late, -ECANCELED);
    th_fiber_unref(late);
}

/* Handles are passed between workers while fibers end by themselves and are cancelled. */
typedef struct victim {
    th_fiber *fiber;
    int turns;
} victim;

static int live_for_turns(void *arg)
{
    for (int i = ((victim *)arg)->turns; i > 0; i--) {
        int err = th_yield();
        if (err < 0)
            return err;
    }
    return 0;
}

static int cancel_and_join(void *arg)
{
    victim *v = arg;
    int result = 77;
    ck_assert_int_eq(th_fiber_cancel(v->fiber, -EPROTO), 0);
    ck_assert_int_eq(th_join(v->fiber, &result), 0);
    ck_assert(result == 0 || result == -ECANCELED);
    return 0;
}

FIBER_TEST_ON(3, cancellation_and_end_may_come_together)
{
    enum { ROUNDS = 200, VICTIMS = 6 };
    for (int round = 0; round < ROUNDS; round++) {
        th_scope scope;
        victim victims[VICTIMS];
        open_scope(&scope);
        for (int i = 0; i < VICTIMS; i++) {
            victims[i].turns = (round + i) % 7;
            victims[i].fiber = spawn_placed(&scope, 1 + i % 3, live_for_turns, &victims[i]);
        }
        for (int i = 0; i < VICTIMS; i++)
            spawn_on(&scope, (unsigned)(i + round) % 3, cancel_and_join, &victims[i]);
        close_scope(&scope); /* 0: no failure of anybody's counts */
        for (int i = 0; i < VICTIMS; i++)
            th_fiber_unref(victims[i].fiber);
    }
}

static int cancel_many_elsewhere(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        th_fiber *fiber = spawn_placed(th_scope_root(), 2, sleep_for_ever, NULL);
        ck_assert_int_eq(th_fiber_cancel(fiber, 0), 0);
        th_fiber_unref(fiber);
    }
    return 0;
}

START_TEST(the_runtime_ends_with_cancellations_under_way)
{
    for (int i = 0; i < 50; i++)
        run_in_fiber(2, 0, cancel_many_elsewhere, NULL);
}
END_TEST

FIBER_TEST(misuse_is_refused)
{
    th_scope scope;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, do_nothing, NULL);
    ck_assert_int_eq(th_fiber_cancel(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_fiber_cancel(fiber, 1), -EINVAL);
    expect_result(fiber, 0);
    ck_assert_int_eq(th_fiber_cancel(fiber, 0), 0);
    th_fiber_unref(fiber);
    th_fiber_unref(th_fiber_self()); /* no handle: nothing to give back */
    close_scope(&scope);
}

START_TEST(outside_a_fiber_there_is_no_reason)
{
    ck_assert_int_eq(th_cancel_reason(), 0);
}
END_TEST

FIBER_TEST(without_memory_there_is_no_handle_and_no_fiber)
{
    th_scope scope;
    th_fiber *fiber = NULL;
    open_scope(&scope);
    spawn(&scope, do_nothing, NULL); /* so that there is a stack */
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(th_spawn_with(&scope, fail_if_run, NULL, NULL, &fiber), -ENOMEM);
    ck_assert_ptr_null(fiber);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(th_fiber_cancel(th_fiber_self(), 0), -ENOMEM);
    (void)thi_alloc_fail_at(0);
    ck_assert_int_eq(th_check(), 0);
    ck_assert_uint_eq(th_scope_children(&scope), 0);
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    TCase *join = thi_check_case(suite, "join");
    tcase_add_test(join, a_fiber_is_joined_wherever_it_lives);
    tcase_add_test(join, anybody_on_any_worker_joins_the_same_fiber);
    tcase_add_test(join, plain_threads_join);
    tcase_add_test(join, a_thread_starts_fibers_and_waits_for_their_results);
    tcase_add_test(join, a_handle_outlives_the_runtime);
    tcase_add_test(join, handle_and_fiber_have_the_same_number);
    tcase_add_test(join, a_fiber_without_a_handle_is_joined_on_its_worker_only);
    TCase *cancel = thi_check_case(suite, "cancel");
    tcase_add_test(cancel, one_fiber_is_cancelled_and_the_others_are_not);
    tcase_add_test(cancel, the_first_reason_stays_and_so_does_the_cancellation);
    tcase_add_test(cancel, the_scopes_that_it_opened_and_opens_are_reached);
    tcase_add_test(cancel, a_shield_holds_until_it_is_closed);
    tcase_add_test(cancel, a_fiber_cancels_itself);
    tcase_add_test(cancel, a_cancelled_fiber_is_reached_by_the_scope_around_as_before);
    tcase_add_test(cancel, a_plain_thread_cancels);
    tcase_add_test(cancel, a_start_that_waits_for_room_can_be_called_off);
    tcase_add_test(cancel, cancellation_and_end_may_come_together);
    tcase_add_test(cancel, the_runtime_ends_with_cancellations_under_way);
    TCase *misuse = thi_check_case(suite, "misuse");
    tcase_add_test(misuse, misuse_is_refused);
    tcase_add_test(misuse, outside_a_fiber_there_is_no_reason);
    tcase_add_test(misuse, without_memory_there_is_no_handle_and_no_fiber);
}

int main(void)
{
    return thi_check_run("runtime/handle", fill);
}
