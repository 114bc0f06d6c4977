/* SPDX-License-Identifier: MIT */

/* Mutexes: exclusion, order, holders, and waits that are broken off. */
#include "sync/parties.h"

#include "sync/mutex.h"
#include "sys/sys.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static th_mutex mutex = TH_MUTEX_INIT;
static th_mutex recursive = TH_MUTEX_RECURSIVE_INIT;

static void lock(th_mutex *m)
{
    ck_assert_int_eq(th_mutex_lock(m), 0);
}

static void unlock(th_mutex *m)
{
    ck_assert_int_eq(th_mutex_unlock(m), 0);
}

/* ---- without waiting ---- */

FIBER_TEST(it_is_free_after_unlocking)
{
    lock(&mutex);
    unlock(&mutex);
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0);
    unlock(&mutex);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    ck_assert_int_eq(th_mutex_lock(NULL), -EINVAL);
    ck_assert_int_eq(th_mutex_trylock(NULL), -EINVAL);
    ck_assert_int_eq(th_mutex_unlock(NULL), -EINVAL);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
    lock(&mutex);
    ck_assert_int_eq(th_mutex_lock(&mutex), -EDEADLK);
    ck_assert_int_eq(th_mutex_trylock(&mutex), -EBUSY);
    unlock(&mutex);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
}

FIBER_TEST(a_recursive_one_is_unlocked_as_often_as_locked)
{
    lock(&recursive);
    lock(&recursive);
    ck_assert_int_eq(th_mutex_trylock(&recursive), 0);
    for (int i = 0; i < 3; i++)
        unlock(&recursive);
    ck_assert_int_eq(th_mutex_unlock(&recursive), -EPERM);
}

FIBER_TEST(a_recursive_one_can_be_locked_only_so_often)
{
    lock(&recursive);
    thi_mutex_of(&recursive)->depth = UINT32_MAX;
    ck_assert_int_eq(th_mutex_lock(&recursive), -EOVERFLOW);
    ck_assert_int_eq(th_mutex_trylock(&recursive), -EOVERFLOW);
    thi_mutex_of(&recursive)->depth = 0;
    unlock(&recursive);
}

FIBER_TEST(a_free_one_is_locked_even_in_a_cancelled_scope)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    lock(&mutex);
    unlock(&mutex);
    close_scope(&scope);
}

static void lock_in_loop(void)
{
    ck_assert_int_eq(th_mutex_lock(&mutex), -EPERM);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
}

FIBER_TEST(a_loop_does_not_wait_for_it)
{
    lock(&mutex);
    call_in_loop(lock_in_loop);
    unlock(&mutex);
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0);
    unlock(&mutex);
}

/* ---- others ---- */

static int not_mine(void *arg)
{
    th_mutex *m = arg;
    ck_assert_int_eq(th_mutex_unlock(m), -EPERM);
    ck_assert_int_eq(th_mutex_trylock(m), -EBUSY);
    return 0;
}

FIBER_TEST(only_its_holder_unlocks_it)
{
    th_scope scope;
    open_scope(&scope);
    lock(&mutex);
    lock(&recursive);
    spawn(&scope, not_mine, &mutex);
    spawn(&scope, not_mine, &recursive);
    close_scope(&scope);
    unlock(&mutex);
    unlock(&recursive);
}

static int lock_and_note(void *arg)
{
    lock(&mutex);
    note(*(char *)arg);
    th_yield();
    unlock(&mutex);
    return 0;
}

FIBER_TEST(it_goes_to_the_one_that_has_waited_longest)
{
    static char names[] = "abcdef";
    th_scope scope;
    open_scope(&scope);
    lock(&mutex);
    for (int i = 0; i < 6; i++)
        spawn(&scope, lock_and_note, &names[i]);
    th_yield(); /* all of them wait now */
    unlock(&mutex);
    ck_assert_int_eq(th_mutex_trylock(&mutex), -EBUSY); /* nobody gets in between */
    lock(&mutex);
    note('!');
    unlock(&mutex);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdef!");
}

/* ---- waits that end otherwise ---- */

static int hold_until(void *arg)
{
    lock(&mutex);
    wait_for_flag(arg);
    unlock(&mutex);
    return 0;
}

FIBER_TEST(waiting_ends_at_the_deadline)
{
    static bool enough;
    th_scope scope, inner;
    open_scope(&scope);
    spawn(&scope, hold_until, &enough);
    th_yield();
    open_scope_for(&inner, TH_MILLISECOND);
    ck_assert_int_eq(th_mutex_lock(&mutex), -ETIMEDOUT);
    ck_assert_int_eq(th_mutex_lock(&mutex), -ETIMEDOUT); /* and does not wait again */
    close_scope(&inner);
    enough = true;
    lock(&mutex);
    unlock(&mutex);
    close_scope(&scope);
}

static int expect_lock(void *arg)
{
    int result = th_mutex_lock(&mutex);
    if (result == 0)
        unlock(&mutex);
    ck_assert_int_eq(result, *(int *)arg);
    note('.');
    return 0;
}

FIBER_TEST(a_cancelled_wait_leaves_the_queue_in_order)
{
    th_scope outer, inner;
    static int fine = 0, cancelled = -ECANCELED;
    open_scope(&outer);
    lock(&mutex);
    spawn(&outer, expect_lock, &fine);
    open_scope(&inner);
    spawn(&inner, expect_lock, &cancelled);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    ck_assert_str_eq(trace, ".");
    unlock(&mutex);
    close_scope(&outer);
    ck_assert_str_eq(trace, "..");
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0);
    unlock(&mutex);
}

/* What was handed over is kept, though the cancellation came before the holder could run. */
FIBER_TEST(a_lock_that_was_handed_over_is_not_lost_by_a_cancellation)
{
    th_scope scope;
    static int fine = 0;
    open_scope(&scope);
    lock(&mutex);
    spawn(&scope, expect_lock, &fine);
    th_yield();
    unlock(&mutex);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, ".");
}

/* ---- lifetime ---- */

/* An object that the last of its users frees. */
typedef struct counted {
    th_mutex mutex;
    int users;
} counted;

static void drop(counted *c)
{
    bool last = --c->users == 0;
    unlock(&c->mutex);
    if (last)
        free(c);
}

static void *try_and_drop(void *arg)
{
    counted *c = arg;
    while (th_mutex_trylock(&c->mutex) != 0)
        sched_yield();
    drop(c);
    return NULL;
}

static int lock_in_vain(void *arg)
{
    ck_assert_int_eq(th_mutex_lock(arg), -ECANCELED);
    return 0;
}

/* The one that unlocked before does not come back to it, though it has looked for waiters. */
FIBER_TEST(the_last_user_may_free_it)
{
    for (int i = 0; i < 50; i++) {
        th_scope scope;
        counted *c = calloc(1, sizeof *c);
        ck_assert_ptr_nonnull(c);
        c->users = 2;
        lock(&c->mutex);
        open_scope(&scope);
        spawn(&scope, lock_in_vain, &c->mutex);
        th_yield();
        ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
        close_scope(&scope);
        pthread_t thread = start_thread(try_and_drop, c);
        drop(c);
        join_thread(thread);
    }
}

static int lock_once(void *arg)
{
    lock(arg);
    unlock(arg);
    return 0;
}

static atomic_bool held, ended;

/* Wakes the loop, and looks whether it goes away while its waker is still at it. */
static ssize_t write_slowly(int fd, const void *buf, size_t n)
{
    ssize_t written = thi_sys_real.write(fd, buf, n);
    for (int64_t end = th_after(10 * TH_MILLISECOND); th_now() < end;) {
        ck_assert(!atomic_load(&ended));
        (void)sched_yield();
    }
    return written;
}

static void *unlock_when_awaited(void *arg)
{
    thi_sys sys = thi_sys_real;
    sys.write = write_slowly;
    thi_sys_table = &sys;
    lock(&mutex);
    atomic_store(&held, true);
    while (!(atomic_load(&thi_mutex_of(&mutex)->word) & THI_MUTEX_QUEUE))
        (void)sched_yield();
    unlock(&mutex);
    return arg;
}

START_TEST(a_runtime_ends_only_when_the_thread_that_woke_its_last_fiber_has_left_it)
{
    pthread_t thread = start_thread(unlock_when_awaited, NULL);
    while (!atomic_load(&held))
        (void)sched_yield();
    run_in_fiber(1, 0, lock_once, &mutex);
    atomic_store(&ended, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, it_is_free_after_unlocking);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, a_recursive_one_is_unlocked_as_often_as_locked);
    tcase_add_test(alone, a_recursive_one_can_be_locked_only_so_often);
    tcase_add_test(alone, a_free_one_is_locked_even_in_a_cancelled_scope);
    tcase_add_test(alone, a_loop_does_not_wait_for_it);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, only_its_holder_unlocks_it);
    tcase_add_test(waits, it_goes_to_the_one_that_has_waited_longest);
    tcase_add_test(waits, waiting_ends_at_the_deadline);
    tcase_add_test(waits, a_cancelled_wait_leaves_the_queue_in_order);
    tcase_add_test(waits, a_lock_that_was_handed_over_is_not_lost_by_a_cancellation);

    TCase *many = thi_check_case(suite, "lifetime");
    tcase_add_test(many, the_last_user_may_free_it);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, a_runtime_ends_only_when_the_thread_that_woke_its_last_fiber_has_left_it);
}

int main(void)
{
    return thi_check_run("sync/mutex", fill);
}
