/* SPDX-License-Identifier: MIT */

/* Condition variables: signals, their order, and the mutex whatever happens. */
#include "sync/parties.h"

#include "sync/mutex.h"

#include <thrum/cond.h>

#include <sched.h>
#include <stdatomic.h>

#define ROUNDS 1000

static th_mutex mutex = TH_MUTEX_INIT;
static th_mutex recursive = TH_MUTEX_RECURSIVE_INIT;
static th_cond cond = TH_COND_INIT;

static void lock(th_mutex *m)
{
    ck_assert_int_eq(th_mutex_lock(m), 0);
}

static void unlock(th_mutex *m)
{
    ck_assert_int_eq(th_mutex_unlock(m), 0);
}

static void signal_one(void)
{
    ck_assert_int_eq(th_cond_signal(&cond), 0);
}

static void signal_all(void)
{
    ck_assert_int_eq(th_cond_broadcast(&cond), 0);
}

/* Whoever waits has the mutex again, as deep as given, and no deeper. */
static void expect_held(th_mutex *m, int times)
{
    for (int i = 0; i < times; i++)
        unlock(m);
    ck_assert_int_eq(th_mutex_unlock(m), -EPERM);
}

/* ---- without waiting ---- */

static int wait_with_the_lock_of_another(void *arg)
{
    ck_assert_int_eq(th_cond_wait(&cond, arg), -EPERM);
    return 0;
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    th_scope scope;
    ck_assert_int_eq(th_cond_wait(NULL, &mutex), -EINVAL);
    ck_assert_int_eq(th_cond_wait(&cond, NULL), -EINVAL);
    ck_assert_int_eq(th_cond_signal(NULL), -EINVAL);
    ck_assert_int_eq(th_cond_broadcast(NULL), -EINVAL);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), -EPERM);
    open_scope(&scope);
    lock(&mutex);
    spawn(&scope, wait_with_the_lock_of_another, &mutex);
    close_scope(&scope);
    expect_held(&mutex, 1);
}

FIBER_TEST(nothing_is_remembered_when_nobody_waits)
{
    th_scope scope;
    th_cond zero = { { 0 } };
    ck_assert_int_eq(th_cond_signal(&zero), 0);
    ck_assert_int_eq(th_cond_broadcast(&zero), 0);
    lock(&mutex);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_cond_wait(&zero, &mutex), -ETIMEDOUT);
    close_scope(&scope);
    expect_held(&mutex, 1);
}

static int lock_after_all(void *arg)
{
    (void)arg;
    lock(&mutex);
    note('x');
    unlock(&mutex);
    return 0;
}

FIBER_TEST(in_a_cancelled_scope_the_mutex_is_not_unlocked)
{
    th_scope outer, inner;
    open_scope(&outer);
    lock(&mutex);
    spawn(&outer, lock_after_all, NULL);
    th_yield(); /* it waits for the mutex */
    open_cancelled_scope(&inner);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), -ECANCELED);
    ck_assert_str_eq(trace, "");
    close_scope(&inner);
    expect_held(&mutex, 1);
    close_scope(&outer);
    ck_assert_str_eq(trace, "x");
}

static void wait_in_loop(void)
{
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), -EPERM);
    expect_held(&mutex, 1);
}

FIBER_TEST(a_loop_does_not_wait_for_it)
{
    call_in_loop(wait_in_loop);
    signal_all();
}

/* ---- signals ---- */

/* Waits for a signal, notes its letter with the mutex held, and lets others run while it is. */
static int wait_and_note(void *arg)
{
    lock(&mutex);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), 0);
    note(*(char *)arg);
    th_yield();
    note('.');
    expect_held(&mutex, 1);
    return 0;
}

static void spawn_waiters(th_scope *scope, char *names)
{
    for (; *names; names++)
        spawn(scope, wait_and_note, names);
    th_yield();
}

FIBER_TEST(a_signal_lets_the_one_go_that_has_waited_longest)
{
    static char names[] = "abcd";
    th_scope scope;
    open_scope(&scope);
    spawn_waiters(&scope, names);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(strlen(trace), 2 * i);
        lock(&mutex);
        signal_one();
        unlock(&mutex);
        wait_until(strlen(trace) > 2 * i);
        for (int j = 0; j < 10; j++)
            th_yield(); /* were more than one let go, they would be seen */
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.b.c.d.");
}

FIBER_TEST(a_broadcast_lets_all_go_one_after_the_other)
{
    static char names[] = "abcd";
    th_scope scope;
    open_scope(&scope);
    spawn_waiters(&scope, names);
    lock(&mutex);
    signal_all();
    th_yield();
    ck_assert_str_eq(trace, ""); /* they are not woken before they can have the mutex */
    unlock(&mutex);
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.b.c.d.");
}

FIBER_TEST(a_signal_without_the_mutex_gives_the_mutex)
{
    static char names[] = "ab";
    th_scope scope;
    open_scope(&scope);
    spawn_waiters(&scope, names);
    signal_all();
    ck_assert_int_eq(th_mutex_trylock(&mutex), -EBUSY); /* the first has it, though it sleeps */
    close_scope(&scope);
    ck_assert_str_eq(trace, "a.b.");
}

FIBER_TEST(who_is_signalled_does_not_overtake_those_who_wait_for_the_mutex)
{
    static char names[] = "a";
    th_scope scope;
    open_scope(&scope);
    spawn_waiters(&scope, names);
    lock(&mutex);
    spawn(&scope, lock_after_all, NULL);
    th_yield();
    signal_one();
    unlock(&mutex);
    close_scope(&scope);
    ck_assert_str_eq(trace, "xa.");
}

/* One that waits again while the others are still to be let go is not let go twice. */
static int wait_twice(void *arg)
{
    lock(&mutex);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_cond_wait(&cond, &mutex), 0);
        note(*(char *)arg);
    }
    unlock(&mutex);
    return 0;
}

FIBER_TEST(a_broadcast_is_for_those_who_wait_now)
{
    static char names[] = "abc";
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, wait_twice, &names[i]);
    th_yield();
    signal_all();
    wait_until(strlen(trace) == 3);
    for (int j = 0; j < 10; j++)
        th_yield();
    ck_assert_str_eq(trace, "abc");
    signal_all();
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcabc");
}

/* ---- recursive mutexes ---- */

static int wait_three_deep(void *arg)
{
    for (int i = 0; i < 3; i++)
        lock(&recursive);
    note('w');
    ck_assert_int_eq(th_cond_wait(&cond, &recursive), *(int *)arg);
    note('g');
    expect_held(&recursive, 3);
    return 0;
}

FIBER_TEST(a_recursive_mutex_is_unlocked_altogether_and_is_as_deep_afterwards)
{
    static int fine = 0;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, wait_three_deep, &fine);
    th_yield();
    ck_assert_str_eq(trace, "w");
    ck_assert_int_eq(th_mutex_trylock(&recursive), 0);
    signal_one();
    expect_held(&recursive, 1);
    close_scope(&scope);
    ck_assert_str_eq(trace, "wg");
}

FIBER_TEST(a_recursive_mutex_is_as_deep_after_a_cancellation)
{
    static int cancelled = -ECANCELED;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, wait_three_deep, &cancelled);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "wg");
}

/* ---- waits that end otherwise ---- */

static int expect_wait(void *arg)
{
    lock(&mutex);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), *(int *)arg);
    note(*(int *)arg == 0 ? '0' : 'c');
    expect_held(&mutex, 1);
    return 0;
}

static int fine = 0, cancelled = -ECANCELED;

FIBER_TEST(waiting_ends_at_the_deadline_and_not_before)
{
    th_scope outer, inner;
    open_scope(&outer);
    lock(&mutex);
    int64_t start = th_now();
    open_scope_for(&inner, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_int_ge(th_now() - start, 2 * TH_MILLISECOND);
    spawn(&outer, expect_wait, &fine);
    expect_held(&mutex, 1);
    th_yield();
    signal_one(); /* goes to the one that waits, not to the one that has left */
    close_scope(&outer);
    ck_assert_str_eq(trace, "0");
}

FIBER_TEST(who_is_cancelled_waits_for_the_mutex_all_the_same)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_wait, &cancelled);
    th_yield();
    lock(&mutex);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    for (int i = 0; i < 10; i++)
        th_sleep(TH_MICROSECOND);
    ck_assert_str_eq(trace, "");
    expect_held(&mutex, 1);
    close_scope(&scope);
    ck_assert_str_eq(trace, "c");
}

FIBER_TEST(a_signal_after_a_cancellation_goes_to_the_next)
{
    th_scope first, second;
    open_scope(&first);
    open_scope(&second);
    spawn(&second, expect_wait, &cancelled);
    spawn(&first, expect_wait, &fine);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&second, 0), 0);
    signal_one(); /* before the cancelled one has run */
    close_scope(&second);
    close_scope(&first);
    ck_assert_int_eq((int)strlen(trace), 2);
}

FIBER_TEST(a_signal_before_a_cancellation_is_kept)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_wait, &fine);
    th_yield();
    signal_one(); /* it has the mutex */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "0");
}

FIBER_TEST(a_cancellation_does_not_reach_one_that_waits_for_the_mutex)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_wait, &fine);
    th_yield();
    lock(&mutex);
    signal_one(); /* it is in the queue of the mutex */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    expect_held(&mutex, 1);
    close_scope(&scope);
    ck_assert_str_eq(trace, "0");
}

/* ---- several workers and threads ---- */

/* Two wait; the first is cancelled when the signal comes: one of them has it, not both nor none. */
typedef struct rivals {
    int waiting;
    int signalled;
    int broken_off;
} rivals;

static rivals rival;

static int wait_as_rival(void *arg)
{
    (void)arg;
    lock(&mutex);
    rival.waiting++;
    int result = th_cond_wait(&cond, &mutex);
    if (result == 0)
        rival.signalled++;
    else
        rival.broken_off++;
    rival.waiting--;
    unlock(&mutex);
    return 0;
}

static int look(const int *number)
{
    lock(&mutex);
    int seen = *number;
    unlock(&mutex);
    return seen;
}

FIBER_TEST_ON(3, a_signal_that_races_with_a_cancellation_is_not_lost)
{
    for (int i = 0; i < 300; i++) {
        th_scope outer, inner;
        rival = (rivals){ 0 };
        open_scope(&outer);
        open_scope(&inner);
        spawn_on(&inner, 1, wait_as_rival, NULL);
        wait_until(look(&rival.waiting) == 1);
        spawn_on(&outer, 2, wait_as_rival, NULL);
        wait_until(look(&rival.waiting) == 2);
        ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
        for (volatile int j = 0; j < (i % 30) * 100; j++)
            ;
        signal_one();
        close_scope(&inner);
        if (look(&rival.broken_off) == 1) {
            wait_until(look(&rival.waiting) == 0);
        } else {
            ck_assert_int_eq(look(&rival.waiting), 1);
            signal_one();
        }
        close_scope(&outer);
        ck_assert_int_eq(rival.signalled + rival.broken_off, 2);
    }
}

static void *signal_until(void *arg)
{
    while (!atomic_load((atomic_bool *)arg)) {
        signal_one();
        sched_yield();
    }
    return NULL;
}

/* Also when the receiver has entered the queue and is about to give up the mutex. */
FIBER_TEST(a_signal_without_the_mutex_may_come_at_any_moment)
{
    static atomic_bool enough;
    pthread_t thread = start_thread(signal_until, &enough);
    for (int i = 0; i < ROUNDS / 4; i++) {
        lock(&mutex);
        ck_assert_int_eq(th_cond_wait(&cond, &mutex), 0);
        expect_held(&mutex, 1);
    }
    atomic_store(&enough, true);
    join_thread(thread);
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, nothing_is_remembered_when_nobody_waits);
    tcase_add_test(alone, in_a_cancelled_scope_the_mutex_is_not_unlocked);
    tcase_add_test(alone, a_loop_does_not_wait_for_it);

    TCase *signals = thi_check_case(suite, "signals");
    tcase_add_test(signals, a_signal_lets_the_one_go_that_has_waited_longest);
    tcase_add_test(signals, a_broadcast_lets_all_go_one_after_the_other);
    tcase_add_test(signals, a_signal_without_the_mutex_gives_the_mutex);
    tcase_add_test(signals, who_is_signalled_does_not_overtake_those_who_wait_for_the_mutex);
    tcase_add_test(signals, a_broadcast_is_for_those_who_wait_now);
    tcase_add_test(signals, a_recursive_mutex_is_unlocked_altogether_and_is_as_deep_afterwards);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, a_recursive_mutex_is_as_deep_after_a_cancellation);
    tcase_add_test(ends, waiting_ends_at_the_deadline_and_not_before);
    tcase_add_test(ends, who_is_cancelled_waits_for_the_mutex_all_the_same);
    tcase_add_test(ends, a_signal_after_a_cancellation_goes_to_the_next);
    tcase_add_test(ends, a_signal_before_a_cancellation_is_kept);
    tcase_add_test(ends, a_cancellation_does_not_reach_one_that_waits_for_the_mutex);

    TCase *many = thi_check_case(suite, "many");
    tcase_add_test(many, a_signal_that_races_with_a_cancellation_is_not_lost);
    tcase_add_test(many, a_signal_without_the_mutex_may_come_at_any_moment);
}

int main(void)
{
    return thi_check_run("sync/cond", fill);
}
