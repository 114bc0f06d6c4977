/* SPDX-License-Identifier: MIT */

/* Circles of waits: that they are found and told. */
#include "runtime/findings.h"

/* ---- circles of locks ------------------------------------------------------------------------ */

WATCHED_TEST_ON(1, circle_of_two_locks_is_told_with_stacks)
{
    static ring r;
    th_scope scope;
    open_scope(&scope);
    start_ring(&scope, &r, 2);
    expect_circle(&scope, 2);
    close_cancelled(&scope);
    expect_text("deadlock: 2 wait for each other in a circle\nfiber 'taker' #");
    expect_text(" on worker 0, which runs take_two, has waited for ");
    expect_text(" s: mutex 0x");
    expect_text(", held by fiber #");
    expect_text("\n    thi_sched_park_tied+0x");
    expect_text("\n    take_two+0x");
    ck_assert_ptr_null(strstr(text, "thi_fiber_entry"));
}

/* Some fibers that are always up to something. */
static atomic_bool busy_stop;
static th_mutex busy_locks[64];

static int be_busy(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    while (!atomic_load(&busy_stop)) {
        unsigned low = i % 63, high = low + 1 + i % (63 - low);
        ck_assert_int_eq(th_mutex_lock(&busy_locks[low]), 0);
        ck_assert_int_eq(th_mutex_lock(&busy_locks[high]), 0);
        ck_assert_int_eq(i % 3 ? th_yield() : 0, 0);
        th_mutex_unlock(&busy_locks[high]);
        th_mutex_unlock(&busy_locks[low]);
        ck_assert_int_eq(i % 2 ? th_yield() : th_sleep(TH_MILLISECOND), 0);
        i = i * 1103515245 + 12345;
        i ^= i >> 7;
    }
    return 0;
}

/* To ThreadSanitizer each fiber is a thread, which is dear. */
#ifdef __SANITIZE_THREAD__
#define BUSY 500
#else
#define BUSY 10000
#endif

static int find_among_busy(void *arg)
{
    static ring rings[9];
    th_scope busy, scope;
    (void)arg;
    open_scope(&busy);
    for (uintptr_t i = 0; i < BUSY; i++)
        ck_assert_int_eq(th_spawn_with(&busy, be_busy, (void *)(i * 7919 + 1),
                                       &(th_spawn_opts){ .place = TH_PLACE_ROUND }, NULL),
                         0);
    open_scope(&scope);
    for (int size = 2; size <= 8; size++)
        start_ring(&scope, &rings[size], size);
    for (int size = 2; size <= 8; size++)
        wait_until(atomic_load(&rings[size].held) == size);
    int64_t start = th_now();
    wait_until(atomic_load(&circles) == 7);
    if (getenv("THRUM_TEST_TELL"))
        fprintf(stderr, "7 circles found after %lld ms\n",
                (long long)((th_now() - start) / TH_MILLISECOND));
    for (int size = 2; size <= 8; size++)
        ck_assert_int_eq(atomic_load(&sizes[size]), 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_cancelled(&scope);
    atomic_store(&busy_stop, true);
    close_scope(&busy);
    ck_assert_int_eq(atomic_load(&circles), 7);
    return 0;
}

START_TEST(circles_of_2_to_8_are_found_among_10000_busy_fibers)
{
    const unsigned workers[] = { 1, 2, 4 };
    ck_assert_int_eq(run_with(workers[_i], 0, find_among_busy, NULL), 0);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

WATCHED_TEST_ON(2, circle_is_told_once)
{
    static ring r;
    th_scope scope;
    open_scope(&scope);
    start_ring(&scope, &r, 3);
    wait_until(atomic_load(&circles) == 1);
    have_looks();
    have_looks();
    expect_circle(&scope, 3);
    close_cancelled(&scope);
}

WATCHED_TEST_ON(2, circle_that_forms_again_is_told_again)
{
    for (int i = 1; i <= 3; i++) {
        ring r = { .size = 0 };
        th_scope scope;
        open_scope(&scope);
        start_ring(&scope, &r, 2);
        wait_until(atomic_load(&circles) == i);
        ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
        close_cancelled(&scope);
    }
}

/* ---- circles of other things ----------------------------------------------------------------- */

/* Two parties, each with something that the other one wants. */
typedef struct pair {
    th_mutex a, b;
    th_mutex recursive;
    th_rwlock rw;
    th_once once;
    th_cond cond;
    th_fiber *other;
    atomic_int ready;
    bool flag;
} pair;

/* Both have come so far. */
static void meet(pair *p, int n)
{
    atomic_fetch_add(&p->ready, 1);
    wait_until(atomic_load(&p->ready) >= n);
}

static int lock_a_then(pair *p, int (*then)(pair *p))
{
    int err = th_mutex_lock(&p->a);
    ck_assert_int_eq(err, 0);
    meet(p, 2);
    err = then(p);
    th_mutex_unlock(&p->a);
    return forgive(err);
}

static int lock_a(pair *p)
{
    int err = th_mutex_lock(&p->a);
    if (err == 0)
        th_mutex_unlock(&p->a);
    return err;
}

static void run_pair(int (*one)(void *), int (*two)(void *), pair *p, int size)
{
    th_scope scope;
    open_scope(&scope);
    p->other = spawn_handle(&scope, two, p);
    ck_assert_int_eq(
        th_spawn_with(&scope, one, p, &(th_spawn_opts){ .place = TH_PLACE_HERE }, NULL), 0);
    expect_circle(&scope, size);
    close_cancelled(&scope);
    th_fiber_unref(p->other);
}

static int join_other(pair *p)
{
    return th_join(p->other, NULL);
}

static int join_holding_a(void *arg)
{
    return lock_a_then(arg, join_other);
}

static int meet_and_lock_a(void *arg)
{
    meet(arg, 2);
    return forgive(lock_a(arg));
}

WATCHED_TEST_ON(1, join_is_part_of_a_circle)
{
    pair p = { .ready = 0 };
    run_pair(join_holding_a, meet_and_lock_a, &p, 2);
    expect_text(": join 0x");
    expect_text(", the end of fiber #");
}

static int once_body(void *arg)
{
    meet(arg, 2);
    return lock_a(arg);
}

static int run_once(void *arg)
{
    return forgive(th_once_call(&((pair *)arg)->once, once_body, arg));
}

static int call_once(pair *p)
{
    return th_once_call(&p->once, once_body, p);
}

static int call_once_holding_a(void *arg)
{
    return lock_a_then(arg, call_once);
}

WATCHED_TEST_ON(1, once_is_part_of_a_circle)
{
    pair p = { .ready = 0 };
    run_pair(call_once_holding_a, run_once, &p, 2);
    expect_text(": once 0x");
}

static int write_lock(pair *p)
{
    int err = th_rwlock_wrlock(&p->rw);
    if (err == 0)
        th_rwlock_wrunlock(&p->rw);
    return err;
}

static int read_lock(pair *p)
{
    int err = th_rwlock_rdlock(&p->rw);
    if (err == 0)
        th_rwlock_rdunlock(&p->rw);
    return err;
}

static int write_lock_holding_a(void *arg)
{
    return lock_a_then(arg, write_lock);
}

static int read_lock_holding_a(void *arg)
{
    return lock_a_then(arg, read_lock);
}

static int lock_a_writing(void *arg)
{
    pair *p = arg;
    ck_assert_int_eq(th_rwlock_wrlock(&p->rw), 0);
    meet(p, 2);
    int err = lock_a(p);
    th_rwlock_wrunlock(&p->rw);
    return forgive(err);
}

WATCHED_TEST_ON(1, writer_is_part_of_a_circle)
{
    pair p = { .ready = 0 };
    run_pair(write_lock_holding_a, lock_a_writing, &p, 2);
    expect_text(": write lock 0x");
}

WATCHED_TEST_ON(1, who_waits_to_read_is_part_of_a_circle)
{
    pair p = { .ready = 0 };
    run_pair(read_lock_holding_a, lock_a_writing, &p, 2);
    expect_text(": read lock 0x");
}

static int lock_recursive(pair *p)
{
    int err = th_mutex_lock(&p->recursive);
    if (err == 0)
        th_mutex_unlock(&p->recursive);
    return err;
}

static int lock_recursive_holding_a(void *arg)
{
    return lock_a_then(arg, lock_recursive);
}

static int lock_a_in_recursive(void *arg)
{
    pair *p = arg;
    ck_assert_int_eq(th_mutex_lock(&p->recursive), 0);
    ck_assert_int_eq(th_mutex_lock(&p->recursive), 0);
    meet(p, 2);
    int err = lock_a(p);
    th_mutex_unlock(&p->recursive);
    th_mutex_unlock(&p->recursive);
    return forgive(err);
}

WATCHED_TEST_ON(1, recursive_mutex_is_part_of_a_circle)
{
    pair p = { .recursive = TH_MUTEX_RECURSIVE_INIT };
    run_pair(lock_recursive_holding_a, lock_a_in_recursive, &p, 2);
}

/* Comes back from the condition only with the mutex a, which the one who signals keeps. */
static int wait_for_condition(void *arg)
{
    pair *p = arg;
    ck_assert_int_eq(th_mutex_lock(&p->b), 0);
    ck_assert_int_eq(th_mutex_lock(&p->a), 0);
    meet(p, 1);
    int err = th_cond_wait(&p->cond, &p->a);
    th_mutex_unlock(&p->a);
    th_mutex_unlock(&p->b);
    return forgive(err);
}

static int signal_and_lock_b(void *arg)
{
    pair *p = arg;
    wait_until(atomic_load(&p->ready) == 1);
    ck_assert_int_eq(th_mutex_lock(&p->a), 0);
    th_cond_signal(&p->cond);
    int err = th_mutex_lock(&p->b);
    if (err == 0)
        th_mutex_unlock(&p->b);
    th_mutex_unlock(&p->a);
    return forgive(err);
}

WATCHED_TEST_ON(1, who_was_signalled_waits_for_the_mutex)
{
    pair p = { .ready = 0 };
    run_pair(signal_and_lock_b, wait_for_condition, &p, 2);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static int close_holding(void *arg)
{
    closing *c = arg;
    th_scope inner;
    ck_assert_int_eq(th_mutex_lock(&c->lock), 0);
    open_scope(&inner);
    spawn_on(&inner, c->child_on, lock_and_unlock, &c->lock);
    close_cancelled(&inner);
    th_mutex_unlock(&c->lock);
    return 0;
}

static void expect_close_in_circle(unsigned child_on)
{
    closing c = { .child_on = child_on };
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, close_holding, &c);
    expect_circle(&scope, 2);
    close_cancelled(&scope);
    expect_text(": scope 0x");
    expect_text(", with its child fiber #");
}

WATCHED_TEST_ON(1, closing_a_scope_is_part_of_a_circle)
{
    expect_close_in_circle(0);
}

WATCHED_TEST_ON(3, closing_a_scope_with_a_far_child_is_part_of_a_circle)
{
    expect_close_in_circle(2);
}

static int wait_and_lock(void *arg)
{
    closing *c = arg;
    int err = th_event_wait(&c->go);
    return err < 0 ? forgive(err) : lock_and_unlock(&c->lock);
}

static int spawn_third_holding(void *arg)
{
    closing *c = arg;
    th_scope inner;
    ck_assert_int_eq(th_mutex_lock(&c->lock), 0);
    ck_assert_int_eq(th_scope_open(&inner, &(th_scope_opts){ .limit = 2 }), 0);
    spawn(&inner, lock_and_unlock, &c->lock);
    spawn(&inner, wait_and_lock, c);
    int err = th_spawn(&inner, do_nothing, NULL);
    th_mutex_unlock(&c->lock);
    close_cancelled(&inner);
    return forgive(err);
}

WATCHED_TEST_ON(1, room_that_no_child_can_give_is_part_of_a_circle)
{
    closing c = { .child_on = 0 };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, spawn_third_holding, &c);
    have_looks();
    ck_assert_int_eq(atomic_load(&circles), 0);
    th_event_set(&c.go);
    expect_circle(&scope, 2);
    close_cancelled(&scope);
    expect_text(": spawn 0x");
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *lock_b_then_a(void *arg)
{
    pair *p = arg;
    ck_assert_int_eq(th_mutex_lock(&p->b), 0);
    atomic_fetch_add(&p->ready, 1);
    while (atomic_load(&p->ready) < 2)
        sched_yield();
    ck_assert_int_eq(th_mutex_lock(&p->a), 0);
    th_mutex_unlock(&p->a);
    th_mutex_unlock(&p->b);
    return NULL;
}

static int lock_b(pair *p)
{
    int err = th_mutex_lock(&p->b);
    if (err == 0)
        th_mutex_unlock(&p->b);
    return err;
}

static int lock_b_holding_a(void *arg)
{
    return lock_a_then(arg, lock_b);
}

WATCHED_TEST_ON(2, plain_thread_is_part_of_a_circle)
{
    static pair p;
    pthread_t thread;
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, lock_b_holding_a, &p);
    ck_assert_int_eq(pthread_create(&thread, NULL, lock_b_then_a, &p), 0);
    expect_circle(&scope, 2);
    close_cancelled(&scope);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    expect_text("thread '");
    expect_text(", held by thread '");
}

/* ---- want of memory -------------------------------------------------------------------------- */

static int find_without_memory(void *arg)
{
    static ring r;
    th_scope scope;
    r = (ring){ .size = 0 };
    open_scope(&scope);
    start_ring(&scope, &r, 3);
    wait_until(atomic_load(&r.held) == 3);
    thi_alloc_fail_at(*(int *)arg);
    wait_until(atomic_load(&circles) == 1);
    *(int *)arg = thi_alloc_fail_at(0) > 0 ? 0 : *(int *)arg;
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_cancelled(&scope);
    return 0;
}

START_TEST(circle_is_found_in_spite_of_want_of_memory)
{
    for (int n = 1;; n++) {
        int order = n;
        atomic_store(&circles, 0);
        ck_assert_int_eq(run_with(2, 2 * TH_MILLISECOND, find_without_memory, &order), 0);
        if (order == 0)
            break;
        ck_assert_int_lt(n, 100);
    }
}
END_TEST

static int64_t live_before;

START_TEST(nothing_is_left_behind)
{
    int n = 10;
    stop_when_found = true;
    ck_assert_int_eq(run_with(2, SPAN, in_circle_for_ever, NULL), 0);
    live_before = thi_alloc_live();
    ck_assert_int_eq(run_with(2, SPAN, lose, &n), 0);
    ck_assert_int_eq(thi_alloc_live(), live_before);
}
END_TEST

static void add_found(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "circles");
    tcase_add_test(tcase, circle_of_two_locks_is_told_with_stacks);
    tcase_add_test(tcase, circle_is_told_once);
    tcase_add_test(tcase, circle_that_forms_again_is_told_again);
    tcase_add_test(tcase, join_is_part_of_a_circle);
    tcase_add_test(tcase, once_is_part_of_a_circle);
    tcase_add_test(tcase, writer_is_part_of_a_circle);
    tcase_add_test(tcase, who_waits_to_read_is_part_of_a_circle);
    tcase_add_test(tcase, recursive_mutex_is_part_of_a_circle);
    tcase_add_test(tcase, who_was_signalled_waits_for_the_mutex);
    tcase_add_test(tcase, closing_a_scope_is_part_of_a_circle);
    tcase_add_test(tcase, closing_a_scope_with_a_far_child_is_part_of_a_circle);
    tcase_add_test(tcase, room_that_no_child_can_give_is_part_of_a_circle);
    tcase_add_test(tcase, plain_thread_is_part_of_a_circle);
    tcase = thi_check_case(suite, "among many");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, circles_of_2_to_8_are_found_among_10000_busy_fibers, 0, 3);
}

static void fill(Suite *suite)
{
    add_found(suite);
    TCase *tcase = thi_check_case(suite, "memory");
    tcase_add_test(tcase, circle_is_found_in_spite_of_want_of_memory);
    tcase_add_test(tcase, nothing_is_left_behind);
}

int main(void)
{
    return thi_check_run("runtime/deadlock", fill);
}
