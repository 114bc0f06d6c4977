/* SPDX-License-Identifier: MIT */

/* Waits that end: that none of them is taken for one that does not. */
#include "runtime/findings.h"

/* ---- circles with a way out
 * -------------------------------------------------------------------------- */

/* All of this one's waits are in a scope with an end. */
static int ring_with_deadline(void *arg)
{
    th_scope scope;
    open_scope_for(&scope, 100 * SPAN);
    int err = take_two(arg);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err == -ETIMEDOUT ? 0 : err;
}

WATCHED_TEST_ON(2, deadline_is_an_end)
{
    ring r = { .size = 3 };
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, take_two, &r);
    spawn_on(&scope, 1, ring_with_deadline, &r);
    spawn_on(&scope, 1, take_two, &r);
    wait_until(atomic_load(&r.held) == 3);
    have_looks();
    have_looks();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_cancelled(&scope);
    ck_assert_int_eq(atomic_load(&circles), 0);
}

/* A shield keeps the deadline away. */
static int ring_in_shield(void *arg)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .shield = 1 }), 0);
    int err = take_two(arg);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err;
}

static int shielded_pair(void *arg)
{
    th_scope scope;
    open_scope_for(&scope, 1000 * TH_SECOND);
    int err = ring_in_shield(arg);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err;
}

static th_scope *inner_scope; /* where a circle can be broken that is out of reach */

static int ring_in_shield_that_opens(void *arg)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .shield = 1 }), 0);
    inner_scope = &scope;
    int err = take_two(arg);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err;
}

WATCHED_TEST_ON(1, shield_keeps_a_deadline_away)
{
    ring r = { .size = 2 };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, shielded_pair, &r);
    spawn(&scope, ring_in_shield_that_opens, &r);
    wait_until(atomic_load(&circles) == 1);
    ck_assert_int_eq(th_scope_cancel(inner_scope, 0), 0);
    close_scope(&scope);
}

static int hold_until_told(void *arg)
{
    closing *c = arg;
    ck_assert_int_eq(th_mutex_lock(&c->lock), 0);
    ck_assert_int_eq(th_event_wait(&c->go), 0);
    th_mutex_unlock(&c->lock);
    return 0;
}

WATCHED_TEST_ON(2, owner_that_waits_for_something_else_is_no_circle)
{
    closing c = { .child_on = 1 };
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, hold_until_told, &c);
    for (unsigned i = 0; i < 10; i++)
        spawn_on(&scope, i % 2, lock_and_unlock, &c.lock);
    have_looks();
    have_looks();
    th_event_set(&c.go);
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&circles), 0);
}

static atomic_bool spin_on;

/* Holds the lock and its worker. */
static int spin_holding(void *arg)
{
    ck_assert_int_eq(th_mutex_lock(arg), 0);
    while (atomic_load(&spin_on))
        ;
    th_mutex_unlock(arg);
    return 0;
}

/* No question is answered while it spins; a circle on the worker that asks is found all the same.
 */
WATCHED_TEST_ON(2, owner_that_is_busy_is_no_circle)
{
    static ring r;
    th_mutex lock = { 0 };
    th_scope scope, waiting;
    atomic_store(&spin_on, true);
    open_scope(&waiting);
    spawn_on(&waiting, 1, spin_holding, &lock);
    for (int i = 0; i < 4; i++)
        spawn_on(&waiting, 0, lock_and_unlock, &lock);
    open_scope(&scope);
    r.size = 2;
    spawn(&scope, take_two, &r);
    spawn(&scope, take_two, &r);
    expect_circle(&scope, 2);
    close_cancelled(&scope);
    atomic_store(&spin_on, false);
    close_scope(&waiting);
    ck_assert_int_eq(atomic_load(&circles), 1);
}

static int be_offloaded(void *arg)
{
    (void)arg;
    wait_for_look();
    return 0;
}

/* Only the pool's thread is at work; nobody else knows of it. */
static int hold_offloaded(void *arg)
{
    ck_assert_int_eq(th_mutex_lock(arg), 0);
    ck_assert_int_eq(th_offload(NULL, be_offloaded, NULL), 0);
    th_mutex_unlock(arg);
    return 0;
}

WATCHED_TEST_ON(2, work_in_a_pool_is_an_end)
{
    th_mutex lock = { 0 };
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, hold_offloaded, &lock);
    spawn_on(&scope, 1, lock_and_unlock, &lock);
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&circles) + atomic_load(&lost), 0);
}

static int ring_for_a_while(void *arg)
{
    ring r = { .size = 2 };
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    spawn(&scope, take_two, &r);
    spawn(&scope, take_two, &r);
    ck_assert_int_eq(th_sleep(20 * TH_MILLISECOND), 0); /* of looks there would be ten */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_cancelled(&scope);
    return 0;
}

START_TEST(it_can_be_switched_off)
{
    ck_assert_int_eq(run_with(1, TH_NEVER, ring_for_a_while, NULL), 0);
    ck_assert_int_eq(looks(), 0);
    ck_assert_int_eq(atomic_load(&circles), 0);
    ck_assert_int_eq(run_with(1, -1, ring_for_a_while, NULL), -EINVAL);
}
END_TEST

/* A place for one more child comes free when any of them ends. */
static int spawn_holding(void *arg)
{
    closing *c = arg;
    th_scope inner;
    ck_assert_int_eq(th_mutex_lock(&c->lock), 0);
    ck_assert_int_eq(th_scope_open(&inner, &(th_scope_opts){ .limit = 2 }), 0);
    spawn(&inner, lock_and_unlock, &c->lock);
    spawn(&inner, wait_for_event, &c->go);
    int err = th_spawn(&inner, do_nothing, NULL);
    th_mutex_unlock(&c->lock);
    close_cancelled(&inner);
    return forgive(err);
}

WATCHED_TEST_ON(1, room_in_a_scope_may_come_from_any_child)
{
    closing c = { .child_on = 0 };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, spawn_holding, &c);
    have_looks();
    have_looks();
    ck_assert_int_eq(atomic_load(&circles), 0);
    th_event_set(&c.go);
    close_scope(&scope);
    have_looks();
    ck_assert_int_eq(atomic_load(&circles), 0);
}

static void add_traps(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "no circles");
    tcase_add_test(tcase, room_in_a_scope_may_come_from_any_child);
    tcase_add_test(tcase, deadline_is_an_end);
    tcase_add_test(tcase, shield_keeps_a_deadline_away);
    tcase_add_test(tcase, owner_that_waits_for_something_else_is_no_circle);
    tcase_add_test(tcase, owner_that_is_busy_is_no_circle);
    tcase_add_test(tcase, work_in_a_pool_is_an_end);
    tcase_add_test(tcase, it_can_be_switched_off);
}

static void fill(Suite *suite)
{
    add_traps(suite);
}

int main(void)
{
    return thi_check_run("runtime/deadlock_traps", fill);
}
