/* SPDX-License-Identifier: MIT */

/* Semaphores: units, bounds, order, and waits that are broken off. */
#include "sync/parties.h"

#include "sync/sem.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static th_sem sem = TH_SEM_INIT(0);
static th_sem three = TH_SEM_INIT(3);
static th_sem bounded = TH_SEM_BOUNDED_INIT(1, 2);

static void acquire(th_sem *s)
{
    ck_assert_int_eq(th_sem_acquire(s), 0);
}

static void release(th_sem *s, uint32_t units)
{
    ck_assert_int_eq(th_sem_release(s, units), 0);
}

/* Takes all units that there are, and counts them. */
static int drain(th_sem *s)
{
    int units = 0;
    while (th_sem_tryacquire(s) == 0)
        units++;
    ck_assert_int_eq(th_sem_tryacquire(s), -EAGAIN);
    return units;
}

/* ---- without waiting ---- */

FIBER_TEST(it_holds_the_units_it_was_made_with)
{
    th_sem zeroed = { { 0 } };
    ck_assert_int_eq(drain(&zeroed), 0);
    ck_assert_int_eq(drain(&sem), 0);
    ck_assert_int_eq(drain(&bounded), 1);
    acquire(&three);
    acquire(&three);
    ck_assert_int_eq(drain(&three), 1);
}

FIBER_TEST(more_may_be_released_than_there_were)
{
    release(&three, 1);
    release(&three, 5);
    ck_assert_int_eq(drain(&three), 9);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    ck_assert_int_eq(th_sem_acquire(NULL), -EINVAL);
    ck_assert_int_eq(th_sem_tryacquire(NULL), -EINVAL);
    ck_assert_int_eq(th_sem_release(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_sem_release(&three, 0), -EINVAL);
    ck_assert_int_eq(drain(&three), 3);
}

FIBER_TEST(a_release_beyond_the_bound_is_refused_whole)
{
    ck_assert_int_eq(th_sem_release(&bounded, 2), -EOVERFLOW);
    release(&bounded, 1);
    ck_assert_int_eq(th_sem_release(&bounded, 1), -EOVERFLOW);
    ck_assert_int_eq(drain(&bounded), 2);
    release(&bounded, 2);
    ck_assert_int_eq(drain(&bounded), 2);
}

FIBER_TEST(without_a_bound_there_is_a_most_all_the_same)
{
    th_sem full = TH_SEM_INIT(TH_SEM_MAX);
    ck_assert_int_eq(th_sem_release(&full, 1), -EOVERFLOW);
    acquire(&full);
    ck_assert_int_eq(th_sem_release(&full, TH_SEM_MAX), -EOVERFLOW);
    release(&full, 1);
    th_sem empty = TH_SEM_INIT(0);
    release(&empty, TH_SEM_MAX);
    ck_assert_int_eq(th_sem_release(&empty, 1), -EOVERFLOW);
}

FIBER_TEST(a_unit_that_is_there_is_taken_even_in_a_cancelled_scope)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    acquire(&three);
    ck_assert_int_eq(th_sem_acquire(&sem), -ECANCELED);
    ck_assert_int_eq(drain(&three), 2);
    close_scope(&scope);
}

static int acquire_and_note(void *arg)
{
    acquire(&sem);
    note(*(char *)arg);
    return 0;
}

/* The lock is looked behind only because somebody has waited: that counts as "need not wait". */
FIBER_TEST(what_was_left_over_by_those_who_waited_is_there_in_a_cancelled_scope)
{
    static char name = 'a';
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, acquire_and_note, &name);
    th_yield();
    release(&sem, 4);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    acquire(&sem);
    acquire(&sem);
    ck_assert_int_eq(drain(&sem), 1);
    close_scope(&scope);
}

/* ---- others ---- */

static void spawn_noters(th_scope *scope, int count)
{
    static char names[] = "abcdef";
    for (int i = 0; i < count; i++)
        spawn(scope, acquire_and_note, &names[i]);
    th_yield(); /* all of them wait now */
}

FIBER_TEST(a_unit_goes_to_the_one_that_has_waited_longest)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, 6);
    for (int i = 0; i < 6; i++) {
        release(&sem, 1);
        ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN); /* nobody gets in between */
    }
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdef");
    ck_assert_int_eq(drain(&sem), 0);
}

FIBER_TEST(so_many_are_woken_as_units_are_released)
{
    th_scope scope;
    open_scope(&scope);
    spawn_noters(&scope, 6);
    release(&sem, 2);
    th_yield();
    ck_assert_str_eq(trace, "ab");
    release(&sem, 10);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdef");
    ck_assert_int_eq(drain(&sem), 6);
    release(&sem, 1);
    ck_assert_int_eq(drain(&sem), 1);
}

static int acquire_from(void *arg)
{
    acquire(arg);
    note('.');
    return 0;
}

FIBER_TEST(too_many_units_wake_nobody)
{
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(drain(&bounded), 1);
    for (int i = 0; i < 3; i++)
        spawn(&scope, acquire_from, &bounded);
    th_yield();
    ck_assert_int_eq(th_sem_release(&bounded, 3), -EOVERFLOW);
    th_yield();
    ck_assert_str_eq(trace, "");
    release(&bounded, 2);
    release(&bounded, 2);
    close_scope(&scope);
    ck_assert_str_eq(trace, "...");
    ck_assert_int_eq(drain(&bounded), 1);
}

/* ---- waits that end otherwise ---- */

FIBER_TEST(waiting_ends_at_the_deadline)
{
    th_scope scope;
    int64_t end = th_after(TH_MILLISECOND);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_sem_acquire(&sem), -ETIMEDOUT);
    ck_assert_int_ge(th_now(), end);
    ck_assert_int_eq(th_sem_acquire(&sem), -ETIMEDOUT); /* and does not wait again */
    close_scope(&scope);
    release(&sem, 1);
    ck_assert_int_eq(drain(&sem), 1);
}

static int expect_acquire(void *arg)
{
    ck_assert_int_eq(th_sem_acquire(&sem), *(int *)arg);
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
    spawn(&inner, expect_acquire, &cancelled);
    th_yield();
    spawn_noters(&outer, 2);
    spawn(&inner, expect_acquire, &cancelled);
    th_yield();
    spawn(&outer, acquire_and_note, &last);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    release(&sem, 4);
    close_scope(&outer);
    ck_assert_str_eq(trace, "..abz");
    ck_assert_int_eq(drain(&sem), 1);
}

FIBER_TEST(a_unit_that_was_handed_over_is_not_lost_by_a_cancellation)
{
    static int fine = 0;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, expect_acquire, &fine);
    th_yield();
    release(&sem, 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_int_eq(drain(&sem), 0);
}

/* ---- ends ---- */

static void *release_two(void *arg)
{
    release(arg, 2);
    return NULL;
}

static int acquire_one(void *arg)
{
    acquire(arg);
    return 0;
}

/* The thread sanitizer sees it if releasing touches the semaphore once others can have its units,
 * whether or not somebody has waited. */
FIBER_TEST(whoever_gets_the_last_unit_may_free_it)
{
    for (int i = 0; i < 100; i++) {
        th_sem *s = calloc(1, sizeof *s);
        th_scope scope;
        ck_assert_ptr_nonnull(s);
        open_scope(&scope);
        spawn(&scope, acquire_one, s);
        if (i % 2)
            th_yield();
        pthread_t thread = start_thread(release_two, s);
        acquire(s);
        close_scope(&scope);
        free(s);
        join_thread(thread);
    }
}

static th_sem *short_lived;
static atomic_int stage;

static int acquire_short_lived(void *arg)
{
    (void)arg;
    atomic_store(&stage, 1);
    acquire(short_lived);
    return 0;
}

/* Runs on the other worker, and keeps it from reading its messages. */
static int cancel_one_that_is_being_woken(void *arg)
{
    (void)arg;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, acquire_short_lived, NULL);
    th_yield();
    atomic_store(&stage, 2);
    while (atomic_load(&stage) != 3)
        (void)sched_yield();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    return 0;
}

FIBER_TEST_ON(2, a_cancellation_that_comes_too_late_leaves_it_alone)
{
    th_scope scope;
    short_lived = calloc(1, sizeof *short_lived);
    ck_assert_ptr_nonnull(short_lived);
    open_scope(&scope);
    spawn_on(&scope, 1, cancel_one_that_is_being_woken, NULL);
    wait_until(atomic_load(&stage) == 2);
    release(short_lived, 1);
    free(short_lived);
    atomic_store(&stage, 3);
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, it_holds_the_units_it_was_made_with);
    tcase_add_test(alone, more_may_be_released_than_there_were);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, a_release_beyond_the_bound_is_refused_whole);
    tcase_add_test(alone, without_a_bound_there_is_a_most_all_the_same);
    tcase_add_test(alone, a_unit_that_is_there_is_taken_even_in_a_cancelled_scope);
    tcase_add_test(alone, what_was_left_over_by_those_who_waited_is_there_in_a_cancelled_scope);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, a_unit_goes_to_the_one_that_has_waited_longest);
    tcase_add_test(waits, so_many_are_woken_as_units_are_released);
    tcase_add_test(waits, too_many_units_wake_nobody);
    tcase_add_test(waits, waiting_ends_at_the_deadline);
    tcase_add_test(waits, a_cancelled_wait_leaves_the_queue_in_order);
    tcase_add_test(waits, a_unit_that_was_handed_over_is_not_lost_by_a_cancellation);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, whoever_gets_the_last_unit_may_free_it);
    tcase_add_test(ends, a_cancellation_that_comes_too_late_leaves_it_alone);
}

int main(void)
{
    return thi_check_run("sync/sem", fill);
}
