/* SPDX-License-Identifier: MIT */

/* Futures and promises: results, waits, callbacks, cancellation, handles. */
#include "pool/pools.h"

#include "base/alloc.h"
#include "pool/future.h"

#define ROUNDS 2000

static th_promise *promise;
static th_future *future;

static void promise_new(void)
{
    ck_assert_int_eq(th_promise_new(&promise, &future), 0);
}

static void let_go(void)
{
    th_promise_free(promise);
    th_future_unref(future);
}

/* ---- results ---- */

START_TEST(misuse_is_refused)
{
    int result = 1;
    ck_assert_int_eq(th_future_wait(NULL, &result), -EINVAL);
    ck_assert_int_eq(th_future_peek(NULL, &result), -EINVAL);
    ck_assert_int_eq(th_future_state(NULL), -EINVAL);
    ck_assert_int_eq(th_future_cancel(NULL), -EINVAL);
    ck_assert_int_eq(th_promise_new(NULL, &future), -EINVAL);
    ck_assert_int_eq(th_promise_new(&promise, NULL), -EINVAL);
    ck_assert_int_eq(th_promise_set(NULL, 1), -EINVAL);
    ck_assert_int_eq(result, 1);
    ck_assert_ptr_null(th_future_ref(NULL));
    th_future_unref(NULL);
    th_future_abandon(NULL);
    th_promise_free(NULL);
}
END_TEST

START_TEST(a_promise_is_pending_and_then_done_for_good)
{
    int result = 1;
    promise_new();
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_PENDING);
    ck_assert_int_eq(th_future_peek(future, &result), -EAGAIN);
    ck_assert_int_eq(result, 1);
    ck_assert_int_eq(th_promise_set(promise, 42), 0);
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_DONE);
    ck_assert_int_eq(th_promise_set(promise, 43), -EALREADY);
    ck_assert_int_eq(th_future_peek(future, &result), 0);
    ck_assert_int_eq(result, 42);
    ck_assert_int_eq(th_future_wait(future, NULL), 0);
    expect_result(future, 42);
    let_go();
}
END_TEST

START_TEST(a_broken_promise_is_a_cancellation)
{
    promise_new();
    th_promise_free(promise);
    expect_result(future, -ECANCELED);
    th_future_unref(future);
}
END_TEST

START_TEST(without_memory_nothing_is_made)
{
    promise = NULL;
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_promise_new(&promise, &future), -ENOMEM);
    ck_assert_ptr_null(promise);
    promise_new();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_future_then(future, (th_future_fn)abort, NULL), -ENOMEM);
    let_go();
}
END_TEST

START_TEST(handles_are_counted)
{
    int64_t live = thi_alloc_live();
    promise_new();
    th_future *second = th_future_ref(future);
    let_go();
    expect_result(second, -ECANCELED);
    ck_assert_int_eq(thi_alloc_live(), live + 1);
    th_future_unref(second);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

/* ---- waits ---- */

static int wait_and_note(void *arg)
{
    expect_result(future, *(int *)arg);
    note('.');
    return 0;
}

FIBER_TEST(all_who_wait_get_the_result)
{
    static int wanted = -EPIPE;
    th_scope scope;
    promise_new();
    open_scope(&scope);
    for (int i = 0; i < 5; i++)
        spawn(&scope, wait_and_note, &wanted);
    th_yield();
    ck_assert_str_eq(trace, "");
    ck_assert_int_eq(th_promise_set(promise, wanted), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".....");
    let_go();
}

FIBER_TEST(a_wait_ends_at_its_deadline_and_may_begin_again)
{
    th_scope scope;
    int result = 7;
    promise_new();
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_future_wait(future, &result), -ETIMEDOUT);
    ck_assert_int_eq(th_future_wait(future, &result), -ETIMEDOUT);
    ck_assert_int_eq(result, 7);
    close_scope(&scope);
    ck_assert_int_eq(th_promise_set(promise, -ETIMEDOUT), 0);
    expect_result(future, -ETIMEDOUT); /* the work's own, not the caller's */
    let_go();
}

FIBER_TEST(a_result_that_is_there_is_given_even_in_a_cancelled_scope)
{
    th_scope scope;
    promise_new();
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_future_wait(future, NULL), -ECANCELED);
    ck_assert_int_eq(th_promise_set(promise, 3), 0);
    expect_result(future, 3);
    close_scope(&scope);
    let_go();
}

/* The waker was first: the result counts, though the cancellation came before the fiber ran. */
FIBER_TEST(a_result_is_not_lost_by_a_cancellation)
{
    static int wanted = 5;
    th_scope scope;
    promise_new();
    open_scope(&scope);
    spawn(&scope, wait_and_note, &wanted);
    th_yield();
    ck_assert_int_eq(th_promise_set(promise, wanted), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    let_go();
}

static void *wait_as_thread(void *arg)
{
    expect_result(future, 11);
    return arg;
}

static bool somebody_waits(void)
{
    thi_waitq_lock(&future->waiters);
    bool waits = future->waiters.first != NULL;
    thi_waitq_unlock(&future->waiters);
    return waits;
}

FIBER_TEST(a_plain_thread_waits_too)
{
    promise_new();
    pthread_t thread = start_thread(wait_as_thread, NULL);
    wait_until(somebody_waits());
    ck_assert_int_eq(th_promise_set(promise, 11), 0);
    join_thread(thread);
    let_go();
}

/* ---- callbacks ---- */

static void note_result(th_future *f, int result, void *arg)
{
    ck_assert_ptr_eq(f, future);
    ck_assert_int_eq(result, 9);
    ck_assert_int_eq(th_future_state(f), TH_FUTURE_DONE);
    note(*(char *)arg);
}

FIBER_TEST(callbacks_run_in_order_each_once_and_before_waiters_go_on)
{
    static char names[] = "abc";
    static int wanted = 9;
    th_scope scope;
    promise_new();
    open_scope(&scope);
    spawn(&scope, wait_and_note, &wanted);
    th_yield();
    ck_assert_int_eq(th_future_then(future, note_result, &names[0]), 0);
    ck_assert_int_eq(th_future_then(future, note_result, &names[1]), 0);
    ck_assert_int_eq(th_promise_set(promise, 9), 0);
    ck_assert_int_eq(th_promise_set(promise, 9), -EALREADY);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ab.");
    ck_assert_int_eq(th_future_then(future, note_result, &names[2]), 0);
    ck_assert_str_eq(trace, "ab.c");
    ck_assert_int_eq(th_future_then(NULL, note_result, NULL), -EINVAL);
    ck_assert_int_eq(th_future_then(future, NULL, NULL), -EINVAL);
    let_go();
}

static void let_go_of_it(th_future *f, int result, void *arg)
{
    (void)result;
    th_future_unref(f);
    th_promise_free(arg);
}

START_TEST(a_callback_may_give_back_the_last_handles)
{
    int64_t live = thi_alloc_live();
    promise_new();
    th_promise *kept = promise;
    ck_assert_int_eq(th_promise_set(kept, 1), 0);
    ck_assert_int_eq(th_future_then(future, let_go_of_it, kept), 0);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

/* ---- cancelling ---- */

START_TEST(a_promise_can_be_cancelled_until_it_is_kept)
{
    promise_new();
    ck_assert_int_eq(th_future_cancel(future), 0);
    ck_assert_int_eq(th_future_cancel(future), 0);
    ck_assert_int_eq(th_promise_set(promise, 1), -EALREADY);
    expect_result(future, -ECANCELED);
    let_go();
    promise_new();
    ck_assert_int_eq(th_promise_set(promise, 1), 0);
    ck_assert_int_eq(th_future_cancel(future), -EALREADY);
    expect_result(future, 1);
    let_go();
}
END_TEST

FIBER_TEST(cancelling_wakes_who_waits)
{
    static int wanted = -ECANCELED;
    th_scope scope;
    promise_new();
    open_scope(&scope);
    spawn(&scope, wait_and_note, &wanted);
    th_yield();
    th_future_abandon(th_future_ref(future));
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
    let_go();
}

/* ---- many ---- */

typedef struct shared {
    _Atomic(th_future *) futures[ROUNDS];
    th_promise *promises[ROUNDS];
    atomic_int waited;
} shared;

static shared all;

static void *keep_promises(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(th_promise_set(all.promises[i], i), 0);
        th_promise_free(all.promises[i]);
    }
    return arg;
}

static int wait_for_each(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        th_scope scope;
        int result = -1;
        open_scope_for(&scope, 20 * TH_MICROSECOND);
        int err = th_future_wait(all.futures[i], &result);
        close_scope(&scope);
        if (err < 0)
            ck_assert_int_eq(err, -ETIMEDOUT);
        expect_result(all.futures[i], i);
        atomic_fetch_add(&all.waited, 1);
        th_future_unref(all.futures[i]);
    }
    return 0;
}

FIBER_TEST_ON(4, results_and_deadlines_race_and_nothing_is_lost)
{
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(th_promise_new(&all.promises[i], &future), 0);
        all.futures[i] = future;
        for (int n = 0; n < 3; n++)
            (void)th_future_ref(future);
    }
    for (unsigned i = 0; i < 4; i++)
        spawn_on(&scope, i, wait_for_each, NULL);
    pthread_t thread = start_thread(keep_promises, NULL);
    close_scope(&scope);
    join_thread(thread);
    ck_assert_int_eq(atomic_load(&all.waited), 4 * ROUNDS);
}

static void fill(Suite *suite)
{
    TCase *results = thi_check_case(suite, "results");
    tcase_add_test(results, misuse_is_refused);
    tcase_add_test(results, a_promise_is_pending_and_then_done_for_good);
    tcase_add_test(results, a_broken_promise_is_a_cancellation);
    tcase_add_test(results, without_memory_nothing_is_made);
    tcase_add_test(results, handles_are_counted);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, all_who_wait_get_the_result);
    tcase_add_test(waits, a_wait_ends_at_its_deadline_and_may_begin_again);
    tcase_add_test(waits, a_result_that_is_there_is_given_even_in_a_cancelled_scope);
    tcase_add_test(waits, a_result_is_not_lost_by_a_cancellation);
    tcase_add_test(waits, a_plain_thread_waits_too);

    TCase *callbacks = thi_check_case(suite, "callbacks");
    tcase_add_test(callbacks, callbacks_run_in_order_each_once_and_before_waiters_go_on);
    tcase_add_test(callbacks, a_callback_may_give_back_the_last_handles);

    TCase *cancel = thi_check_case(suite, "cancel");
    tcase_add_test(cancel, a_promise_can_be_cancelled_until_it_is_kept);
    tcase_add_test(cancel, cancelling_wakes_who_waits);

    TCase *many = thi_check_case(suite, "many");
    tcase_add_test(many, results_and_deadlines_race_and_nothing_is_lost);
}

int main(void)
{
    return thi_check_run("pool/future", fill);
}
