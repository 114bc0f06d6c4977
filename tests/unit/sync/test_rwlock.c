/* SPDX-License-Identifier: MIT */

/* Locks for readers and writers: who gets in with whom, in which order, and who leaves early. */
#include "sync/parties.h"

#include <thrum/rwlock.h>

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static th_rwlock lock = TH_RWLOCK_INIT;

static void rdlock(th_rwlock *l)
{
    ck_assert_int_eq(th_rwlock_rdlock(l), 0);
}

static void wrlock(th_rwlock *l)
{
    ck_assert_int_eq(th_rwlock_wrlock(l), 0);
}

static void rdunlock(th_rwlock *l)
{
    ck_assert_int_eq(th_rwlock_rdunlock(l), 0);
}

static void wrunlock(th_rwlock *l)
{
    ck_assert_int_eq(th_rwlock_wrunlock(l), 0);
}

/* Nobody has it and nobody waits. */
static void expect_free(th_rwlock *l)
{
    ck_assert_int_eq(th_rwlock_rdunlock(l), -EPERM);
    ck_assert_int_eq(th_rwlock_wrunlock(l), -EPERM);
    ck_assert_int_eq(th_rwlock_trywrlock(l), 0);
    wrunlock(l);
    ck_assert_int_eq(th_rwlock_tryrdlock(l), 0);
    rdunlock(l);
}

/* ---- without waiting ---- */

FIBER_TEST(many_read_or_one_writes)
{
    th_rwlock zero = { { 0 } };
    rdlock(&zero);
    rdlock(&zero);
    ck_assert_int_eq(th_rwlock_tryrdlock(&zero), 0);
    ck_assert_int_eq(th_rwlock_trywrlock(&zero), -EBUSY);
    for (int i = 0; i < 3; i++)
        rdunlock(&zero);
    wrlock(&zero);
    ck_assert_int_eq(th_rwlock_tryrdlock(&zero), -EBUSY);
    ck_assert_int_eq(th_rwlock_trywrlock(&zero), -EBUSY);
    wrunlock(&zero);
    expect_free(&zero);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    ck_assert_int_eq(th_rwlock_rdlock(NULL), -EINVAL);
    ck_assert_int_eq(th_rwlock_tryrdlock(NULL), -EINVAL);
    ck_assert_int_eq(th_rwlock_wrlock(NULL), -EINVAL);
    ck_assert_int_eq(th_rwlock_trywrlock(NULL), -EINVAL);
    ck_assert_int_eq(th_rwlock_rdunlock(NULL), -EINVAL);
    ck_assert_int_eq(th_rwlock_wrunlock(NULL), -EINVAL);
    expect_free(&lock);
    wrlock(&lock);
    ck_assert_int_eq(th_rwlock_wrlock(&lock), -EDEADLK);
    ck_assert_int_eq(th_rwlock_rdlock(&lock), -EDEADLK);
    ck_assert_int_eq(th_rwlock_rdunlock(&lock), -EPERM);
    wrunlock(&lock);
    rdlock(&lock);
    ck_assert_int_eq(th_rwlock_wrunlock(&lock), -EPERM);
    rdunlock(&lock);
    expect_free(&lock);
}

static int not_mine(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_rwlock_wrunlock(&lock), -EPERM);
    ck_assert_int_eq(th_rwlock_rdunlock(&lock), -EPERM);
    return 0;
}

FIBER_TEST(only_the_writer_unlocks_what_it_locked)
{
    th_scope scope;
    open_scope(&scope);
    wrlock(&lock);
    spawn(&scope, not_mine, NULL);
    close_scope(&scope);
    wrunlock(&lock);
}

FIBER_TEST(there_can_be_only_so_many_readers)
{
    atomic_uint *word = (atomic_uint *)(void *)&lock;
    rdlock(&lock);
    atomic_store(word, UINT_MAX & ~7u); /* one less than the most */
    rdlock(&lock);
    ck_assert_int_eq(th_rwlock_rdlock(&lock), -EOVERFLOW);
    ck_assert_int_eq(th_rwlock_tryrdlock(&lock), -EOVERFLOW);
    ck_assert_int_eq(th_rwlock_trywrlock(&lock), -EBUSY);
    rdunlock(&lock);
    rdlock(&lock);
    atomic_store(word, 0);
    expect_free(&lock);
}

FIBER_TEST(a_free_one_is_locked_even_in_a_cancelled_scope)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    wrlock(&lock);
    wrunlock(&lock);
    rdlock(&lock);
    rdlock(&lock);
    rdunlock(&lock);
    rdunlock(&lock);
    close_scope(&scope);
}

static void lock_in_loop(void)
{
    ck_assert_int_eq(th_rwlock_rdlock(&lock), -EPERM);
    ck_assert_int_eq(th_rwlock_wrlock(&lock), -EPERM);
    ck_assert_int_eq(th_rwlock_wrunlock(&lock), -EPERM);
}

FIBER_TEST(a_loop_does_not_wait_for_it)
{
    wrlock(&lock);
    call_in_loop(lock_in_loop);
    wrunlock(&lock);
    expect_free(&lock);
}

/* ---- order ---- */

/* Reads if its letter is a small one, else writes; notes when it has come in and when it leaves. */
static int visit(void *arg)
{
    char name = *(char *)arg;
    bool writes = name >= 'A' && name <= 'Z';
    ck_assert_int_eq(writes ? th_rwlock_wrlock(&lock) : th_rwlock_rdlock(&lock), 0);
    note(name);
    for (int i = 0; i < 3; i++)
        th_yield();
    note(writes ? '!' : '.');
    ck_assert_int_eq(writes ? th_rwlock_wrunlock(&lock) : th_rwlock_rdunlock(&lock), 0);
    return 0;
}

static void spawn_visits(th_scope *scope, char *names)
{
    for (; *names; names++)
        spawn(scope, visit, names);
    th_yield();
}

FIBER_TEST(a_reader_waits_behind_a_waiting_writer)
{
    static char names[] = "Ab";
    th_scope scope;
    open_scope(&scope);
    rdlock(&lock);
    spawn_visits(&scope, names);
    ck_assert_int_eq(th_rwlock_tryrdlock(&lock), -EBUSY);
    ck_assert_str_eq(trace, "");
    rdunlock(&lock);
    ck_assert_int_eq(th_rwlock_tryrdlock(&lock), -EBUSY); /* the writer has it at once */
    close_scope(&scope);
    ck_assert_str_eq(trace, "A!b.");
    expect_free(&lock);
}

FIBER_TEST(after_a_writer_the_readers_up_to_the_next_writer_come_in_together)
{
    static char names[] = "abcDeFgh";
    th_scope scope;
    open_scope(&scope);
    wrlock(&lock);
    spawn_visits(&scope, names);
    ck_assert_str_eq(trace, "");
    wrunlock(&lock);
    ck_assert_int_eq(th_rwlock_tryrdlock(&lock), -EBUSY); /* a writer waits still */
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc...D!e.F!gh..");
    expect_free(&lock);
}

FIBER_TEST(readers_that_were_let_in_last_let_newcomers_read_along)
{
    static char names[] = "ab";
    th_scope scope;
    open_scope(&scope);
    wrlock(&lock);
    spawn_visits(&scope, names);
    wrunlock(&lock);
    rdlock(&lock);
    rdunlock(&lock);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ab..");
    expect_free(&lock);
}

/* ---- waits that end otherwise ---- */

static int write_in_vain(void *arg)
{
    ck_assert_int_eq(th_rwlock_wrlock(&lock), *(int *)arg);
    ck_assert_int_eq(th_rwlock_wrlock(&lock), *(int *)arg); /* and does not wait again */
    note('-');
    return 0;
}

static int read_in_vain(void *arg)
{
    ck_assert_int_eq(th_rwlock_rdlock(&lock), *(int *)arg);
    note('-');
    return 0;
}

static int cancelled = -ECANCELED;

static void cancel_and_close(th_scope *scope)
{
    ck_assert_int_eq(th_scope_cancel(scope, 0), 0);
    close_scope(scope);
}

FIBER_TEST(waiting_ends_at_the_deadline)
{
    th_scope scope;
    rdlock(&lock);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_rwlock_wrlock(&lock), -ETIMEDOUT);
    close_scope(&scope);
    rdlock(&lock); /* nobody waits any more */
    rdunlock(&lock);
    rdunlock(&lock);
    wrlock(&lock);
    wrunlock(&lock);
    expect_free(&lock);
}

FIBER_TEST(readers_behind_a_writer_that_was_cancelled_read_along)
{
    static char names[] = "abC";
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    rdlock(&lock);
    spawn(&inner, write_in_vain, &cancelled);
    th_yield();
    spawn_visits(&outer, names);
    ck_assert_str_eq(trace, "");
    cancel_and_close(&inner);
    wait_until(strlen(trace) >= 5);
    ck_assert_int_eq(th_rwlock_tryrdlock(&lock), -EBUSY); /* C waits for the lock of this fiber */
    rdunlock(&lock);
    close_scope(&outer);
    ck_assert_str_eq(trace + 5, "C!");
    expect_free(&lock);
}

FIBER_TEST(a_reader_that_a_cancellation_lets_in_has_the_lock_at_once)
{
    static char names[] = "aB";
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    rdlock(&lock);
    spawn(&inner, write_in_vain, &cancelled);
    th_yield();
    spawn_visits(&outer, names);
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    rdunlock(&lock); /* a has the lock, though it has not run since */
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, "-a.B!");
    expect_free(&lock);
}

FIBER_TEST(a_cancelled_wait_leaves_the_queue_in_order)
{
    static char first[] = "aB", last[] = "cD";
    th_scope outer, inner;
    open_scope(&outer);
    open_scope(&inner);
    wrlock(&lock);
    spawn_visits(&outer, first);
    spawn(&inner, read_in_vain, &cancelled);
    spawn(&inner, write_in_vain, &cancelled);
    th_yield();
    spawn_visits(&outer, last);
    cancel_and_close(&inner);
    ck_assert_str_eq(trace, "--");
    wrunlock(&lock);
    close_scope(&outer);
    ck_assert_str_eq(trace, "--a.B!c.D!");
    expect_free(&lock);
}

FIBER_TEST(when_all_waits_are_cancelled_unlocking_frees_it)
{
    th_scope scope;
    open_scope(&scope);
    wrlock(&lock);
    spawn(&scope, read_in_vain, &cancelled);
    spawn(&scope, write_in_vain, &cancelled);
    th_yield();
    cancel_and_close(&scope);
    wrunlock(&lock);
    expect_free(&lock);
}

FIBER_TEST(a_lock_that_was_handed_over_is_not_lost_by_a_cancellation)
{
    static char readers[] = "ab", writer[] = "C";
    for (int i = 0; i < 2; i++) {
        th_scope scope;
        open_scope(&scope);
        wrlock(&lock);
        spawn_visits(&scope, i == 0 ? readers : writer);
        wrunlock(&lock);
        ck_assert_int_eq(th_rwlock_trywrlock(&lock), -EBUSY); /* they have it, and have not run */
        cancel_and_close(&scope);
        expect_free(&lock);
    }
    ck_assert_str_eq(trace, "a.b.C!"); /* nobody yields in a cancelled scope */
}

/* An object that the last of its users frees; a writer counts them. */
typedef struct counted {
    th_rwlock lock;
    int users;
} counted;

static void drop(counted *c)
{
    bool last = --c->users == 0;
    wrunlock(&c->lock);
    if (last)
        free(c);
}

static void *wait_and_drop(void *arg)
{
    counted *c = arg;
    while (th_rwlock_trywrlock(&c->lock) != 0)
        sched_yield();
    drop(c);
    return NULL;
}

static int write_in_vain_at(void *arg)
{
    ck_assert_int_eq(th_rwlock_wrlock(arg), -ECANCELED);
    return 0;
}

/* Neither reader nor writer comes back to it after it was unlocked, whoever has waited. */
FIBER_TEST(the_last_user_may_free_it)
{
    for (int i = 0; i < 50; i++) {
        th_scope scope;
        counted *c = calloc(1, sizeof *c);
        ck_assert_ptr_nonnull(c);
        c->users = i % 2 ? 2 : 1;
        ck_assert_int_eq(i % 2 ? th_rwlock_wrlock(&c->lock) : th_rwlock_rdlock(&c->lock), 0);
        open_scope(&scope);
        spawn(&scope, write_in_vain_at, &c->lock);
        th_yield();
        cancel_and_close(&scope);
        pthread_t thread = start_thread(wait_and_drop, c);
        if (i % 2)
            drop(c);
        else
            rdunlock(&c->lock);
        join_thread(thread);
    }
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, many_read_or_one_writes);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, only_the_writer_unlocks_what_it_locked);
    tcase_add_test(alone, there_can_be_only_so_many_readers);
    tcase_add_test(alone, a_free_one_is_locked_even_in_a_cancelled_scope);
    tcase_add_test(alone, a_loop_does_not_wait_for_it);

    TCase *order = thi_check_case(suite, "order");
    tcase_add_test(order, a_reader_waits_behind_a_waiting_writer);
    tcase_add_test(order, after_a_writer_the_readers_up_to_the_next_writer_come_in_together);
    tcase_add_test(order, readers_that_were_let_in_last_let_newcomers_read_along);

    TCase *ends = thi_check_case(suite, "ends");
    tcase_add_test(ends, waiting_ends_at_the_deadline);
    tcase_add_test(ends, readers_behind_a_writer_that_was_cancelled_read_along);
    tcase_add_test(ends, a_reader_that_a_cancellation_lets_in_has_the_lock_at_once);
    tcase_add_test(ends, a_cancelled_wait_leaves_the_queue_in_order);
    tcase_add_test(ends, when_all_waits_are_cancelled_unlocking_frees_it);
    tcase_add_test(ends, a_lock_that_was_handed_over_is_not_lost_by_a_cancellation);

    TCase *many = thi_check_case(suite, "lifetime");
    tcase_add_test(many, the_last_user_may_free_it);
}

int main(void)
{
    return thi_check_run("sync/rwlock", fill);
}
