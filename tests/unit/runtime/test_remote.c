/* SPDX-License-Identifier: MIT */

/* Children on other workers, and calls on a scope from other workers and plain threads. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>

static unsigned here(void)
{
    return thi_worker_self->index;
}

/* Waits for a condition that another worker brings about; the test's time limit is the patience. */
#define sleep_until(cond)                                                                          \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(50 * TH_MICROSECOND), 0)

/* ---- where children run ---------------------------------------------------------------------- */

static int store_worker(void *arg)
{
    *(unsigned *)arg = here();
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_uint_eq(here(), *(unsigned *)arg);
    return 0;
}

FIBER_TEST_ON(4, a_child_runs_on_the_worker_it_was_placed_on)
{
    unsigned ran_on[4] = { 99, 99, 99, 99 };
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 4; i++)
        spawn_on(&scope, i, store_worker, &ran_on[i]);
    close_scope(&scope);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(ran_on[i], i);
}

static int return_worker_as_failure(void *arg)
{
    (void)arg;
    return here() == 1 ? -EIO : 0;
}

FIBER_TEST_ON(2, a_failure_elsewhere_counts)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, return_worker_as_failure, NULL);
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
}

FIBER_TEST_ON(2, a_failure_elsewhere_cancels_the_rest)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn_on(&scope, 0, sleep_for_ever, NULL);
    spawn_on(&scope, 1, sleep_for_ever, NULL);
    spawn_on(&scope, 1, return_worker_as_failure, NULL);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), -EIO);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
}

static int inspect_and_sleep(void *arg)
{
    th_scope inner;
    open_scope(&inner);
    int err = th_sleep(TH_NEVER);
    *(int *)arg = th_scope_reason(&inner);
    ck_assert_int_eq(th_yield(), err);
    ck_assert_int_eq(th_sleep(1), err);
    close_scope(&inner);
    return err;
}

FIBER_TEST_ON(2, a_cancellation_reaches_children_elsewhere_with_its_reason)
{
    th_scope scope;
    int reason = 0;
    open_scope(&scope);
    spawn_on(&scope, 1, inspect_and_sleep, &reason);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    th_scope_cancel(&scope, -ESHUTDOWN);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_int_eq(reason, -ESHUTDOWN);
}

static int report_deadline(void *arg)
{
    th_scope inner;
    open_scope(&inner);
    *(int64_t *)arg = th_scope_deadline(&inner);
    int err = th_sleep(TH_NEVER);
    close_scope(&inner);
    return err;
}

FIBER_TEST_ON(2, a_deadline_holds_elsewhere_too)
{
    th_scope scope;
    int64_t seen = 0;
    open_scope_for(&scope, 3 * TH_MILLISECOND);
    int64_t deadline = th_scope_deadline(&scope);
    spawn_on(&scope, 1, report_deadline, &seen);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT);
    ck_assert_int_eq(seen, deadline);
    ck_assert_int_ge(th_now(), deadline);
}

static int cancel_scope(void *arg)
{
    ck_assert_int_eq(th_scope_cancel(arg, -EPIPE), 0);
    ck_assert_int_eq(th_scope_cancel(arg, -EIO), 0);
    return 0;
}

FIBER_TEST_ON(2, a_child_elsewhere_may_cancel_the_scope_it_lives_in)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, sleep_for_ever, NULL);
    spawn_on(&scope, 1, sleep_for_ever, NULL);
    spawn_on(&scope, 1, cancel_scope, &scope);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), -EPIPE);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

typedef struct relay {
    th_scope *scope;
    atomic_int *ran;
    int depth;
    unsigned ran_on;
} relay;

static int count_here(void *arg)
{
    relay *r = arg;
    r->ran_on = here();
    atomic_fetch_add(r->ran, 1);
    return 0;
}

static int spawn_from_there(void *arg)
{
    relay *r = arg;
    return th_spawn(r->scope, count_here, r);
}

FIBER_TEST_ON(2, a_child_elsewhere_that_spawns_does_so_on_its_own_worker)
{
    th_scope scope;
    atomic_int ran = 0;
    relay r = { .scope = &scope, .ran = &ran };
    open_scope(&scope);
    spawn_on(&scope, 1, spawn_from_there, &r);
    close_scope(&scope);
    ck_assert_int_eq(ran, 1);
    ck_assert_uint_eq(r.ran_on, 1);
}

/* Children that start children on the next worker, in the scope of the first. */
static int relay_on(void *arg)
{
    relay *r = arg;
    atomic_fetch_add(r->ran, 1);
    if (r->depth-- == 0)
        return 0;
    th_spawn_opts opts = { .place = 1 + (int)((here() + 1) % 4) };
    return th_spawn_with(r->scope, relay_on, r, &opts, NULL);
}

FIBER_TEST_ON(4, a_scope_does_not_close_while_a_start_is_under_way)
{
    for (int round = 0; round < 50; round++) {
        th_scope scope;
        atomic_int ran = 0;
        relay r = { .scope = &scope, .ran = &ran, .depth = 20 };
        open_scope(&scope);
        spawn_on(&scope, 1, relay_on, &r);
        close_scope(&scope);
        ck_assert_int_eq(ran, 21);
    }
}

FIBER_TEST_ON(2, nothing_starts_elsewhere_in_a_cancelled_scope)
{
    th_scope scope;
    th_spawn_opts opts = { .place = 2 };
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, note_letter, "x", &opts, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
}

/* ---- plain threads --------------------------------------------------------------------------- */

enum { STARTS = 200 };

typedef struct starter {
    th_scope *scope;
    th_fiber_fn fn;
    void *arg;
    int place;
    int starts;
    atomic_bool done;
    pthread_t thread;
} starter;

static void *start_from_a_thread(void *arg)
{
    starter *s = arg;
    th_spawn_opts opts = { .place = s->place };
    for (int i = 0; i < s->starts; i++)
        ck_assert_int_eq(th_spawn_with(s->scope, s->fn, s->arg, &opts, NULL), 0);
    atomic_store(&s->done, true);
    return NULL;
}

static void start_thread(starter *s)
{
    ck_assert_int_eq(pthread_create(&s->thread, NULL, start_from_a_thread, s), 0);
}

static void join_thread(starter *s)
{
    sleep_until(atomic_load(&s->done));
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
}

static int next_in_turn;

static int note_turn(void *arg)
{
    (void)arg;
    next_in_turn++;
    ck_assert_uint_eq(here(), 0);
    return 0;
}

FIBER_TEST_ON(2, a_thread_starts_fibers_on_the_scopes_worker)
{
    th_scope scope;
    starter s = { .scope = &scope, .fn = note_turn, .starts = STARTS };
    open_scope(&scope);
    start_thread(&s);
    join_thread(&s);
    close_scope(&scope);
    ck_assert_int_eq(next_in_turn, STARTS);
}

static atomic_int ran_on_one;

static int count_on_one(void *arg)
{
    (void)arg;
    ck_assert_uint_eq(here(), 1);
    atomic_fetch_add(&ran_on_one, 1);
    return 0;
}

FIBER_TEST_ON(2, a_thread_places_fibers)
{
    th_scope scope;
    starter s = { .scope = &scope, .fn = count_on_one, .place = 2, .starts = STARTS };
    open_scope(&scope);
    start_thread(&s);
    join_thread(&s);
    close_scope(&scope);
    ck_assert_int_eq(ran_on_one, STARTS);
}

static int running;

static int be_alone(void *arg)
{
    (void)arg;
    ck_assert_int_eq(running++, 0);
    th_yield();
    th_yield();
    running--;
    next_in_turn++;
    return 0;
}

FIBER_TEST_ON(2, starts_of_threads_wait_for_room_in_the_scope)
{
    th_scope scope;
    starter s = { .scope = &scope, .fn = be_alone, .starts = STARTS };
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    start_thread(&s);
    join_thread(&s);
    close_scope(&scope);
    ck_assert_int_eq(next_in_turn, STARTS);
}

typedef struct letters {
    th_scope *scope;
    atomic_bool done;
} letters;

static void *start_letters(void *arg)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    static char each[26][2];
    letters *l = arg;
    for (int i = 0; i < 26; i++) {
        each[i][0] = alphabet[i];
        ck_assert_int_eq(th_spawn(l->scope, note_letter, each[i]), 0);
    }
    atomic_store(&l->done, true);
    return NULL;
}

FIBER_TEST(starts_of_one_thread_keep_their_order)
{
    th_scope scope;
    letters l = { .scope = &scope };
    pthread_t thread;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 2 }), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, start_letters, &l), 0);
    sleep_until(atomic_load(&l.done));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdefghijklmnopqrstuvwxyz");
}

static void *misuse_from_a_thread(void *arg)
{
    th_fiber *fiber = NULL;
    th_scope own;
    ck_assert_int_eq(th_spawn_with(arg, NULL, NULL, NULL, &fiber), -EINVAL);
    ck_assert_ptr_null(fiber);
    ck_assert_int_eq(th_spawn(arg, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_scope_open(&own, NULL), -EPERM);
    ck_assert_int_eq(th_scope_close(arg), -EPERM);
    ck_assert_int_eq(th_scope_wait(arg), -EPERM);
    ck_assert_int_eq(th_scope_cancel(arg, 1), -EINVAL);
    ck_assert_ptr_null(th_scope_root());
    ck_assert_int_eq(th_stop(), -EPERM);
    return NULL;
}

FIBER_TEST(threads_cannot_do_what_belongs_to_fibers)
{
    th_scope scope;
    pthread_t thread;
    open_scope(&scope);
    ck_assert_int_eq(pthread_create(&thread, NULL, misuse_from_a_thread, &scope), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    close_scope(&scope);
}

static void *cancel_from_a_thread(void *arg)
{
    ck_assert_int_eq(th_scope_cancel(arg, -ESHUTDOWN), 0);
    ck_assert_int_eq(th_scope_cancel(arg, -EIO), 0);
    return NULL;
}

FIBER_TEST_ON(2, a_thread_cancels_a_scope)
{
    th_scope scope;
    pthread_t thread;
    open_scope(&scope);
    spawn_on(&scope, 0, sleep_for_ever, NULL);
    spawn_on(&scope, 1, sleep_for_ever, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel_from_a_thread, &scope), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), -ESHUTDOWN);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

/* Two threads and the host cancel at once; whoever is first gives the reason. */
FIBER_TEST(cancellations_from_several_sides_are_one)
{
    for (int round = 0; round < 50; round++) {
        th_scope scope;
        pthread_t threads[2];
        open_scope(&scope);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, cancel_from_a_thread, &scope), 0);
        th_scope_cancel(&scope, -EPIPE);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        int reason = th_scope_reason(&scope);
        ck_assert(reason == -EPIPE || reason == -ESHUTDOWN);
        close_scope(&scope);
    }
}

/* ---- at the same moment ---------------------------------------------------------------------- */

static int yield_a_few_times(void *arg)
{
    int times = *(int *)arg;
    while (times-- > 0 && th_yield() == 0)
        ;
    return 0;
}

static void cancel_while_they_end(unsigned workers)
{
    static int times[] = { 0, 1, 3, 10 };
    for (int round = 0; round < 500; round++) {
        th_scope scope;
        open_scope(&scope);
        for (unsigned i = 0; i < 8; i++)
            spawn_on(&scope, i % workers, yield_a_few_times, &times[i % 4]);
        for (int i = 0; i < round % 7; i++)
            th_yield();
        th_scope_cancel(&scope, 0);
        close_scope(&scope);
    }
}

FIBER_TEST_ON(2, children_may_end_while_they_are_cancelled)
{
    cancel_while_they_end(2);
}

FIBER_TEST_ON(4, children_of_four_workers_may_end_while_they_are_cancelled)
{
    cancel_while_they_end(4);
}

/* The messages of a scope do not outlive it, nor the runtime. */
START_TEST(nothing_is_left_of_children_that_end_while_they_are_cancelled)
{
    int64_t before = thi_alloc_live();
    for (int round = 0; round < 50; round++) {
        run_in_fiber(2, 0, a_cancellation_reaches_children_elsewhere_with_its_reason_main, NULL);
        ck_assert_int_eq(thi_alloc_live(), before);
    }
}
END_TEST

static int cancel_root_and_return(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 8; i++)
        spawn_on(th_scope_root(), i % 2, sleep_for_ever, NULL);
    return 0;
}

START_TEST(nothing_is_left_when_the_runtime_ends_with_children_elsewhere)
{
    int64_t before = thi_alloc_live();
    for (int round = 0; round < 200; round++) {
        run_in_fiber(2, 0, cancel_root_and_return, NULL);
        ck_assert_int_eq(thi_alloc_live(), before);
    }
}
END_TEST

/*
 * A start that waits in a full scope gets its place after the cancellation. It runs, since its
 * sender was told so, and must hear of the cancellation on its worker.
 */
static int hold_the_place(void *arg)
{
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(wait_for_flag(arg), 0);
    close_scope(&shield);
    return 0;
}

FIBER_TEST_ON(2, a_start_admitted_after_the_cancellation_is_told_of_it)
{
    th_scope scope;
    bool go_on = false;
    int reason = 0;
    starter s = {
        .scope = &scope, .fn = inspect_and_sleep, .arg = &reason, .place = 2, .starts = 1
    };
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    spawn(&scope, hold_the_place, &go_on);
    start_thread(&s);
    join_thread(&s);
    th_yield();
    th_scope_cancel(&scope, -ESHUTDOWN);
    go_on = true;
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_int_eq(reason, -ESHUTDOWN);
}

/* ---- deadlines that move -----------------------------------------------------------------------
 */

/* Sleeps until the scope's deadline, and returns whether it came when it should. */
static int sleep_until_the_deadline(void *arg)
{
    int64_t due = *(const int64_t *)arg;
    int err = th_sleep(TH_NEVER);
    ck_assert_int_eq(err, -ETIMEDOUT);
    ck_assert_int_ge(th_now(), due);
    return 0;
}

FIBER_TEST_ON(2, a_deadline_moved_here_counts_for_children_there)
{
    th_scope scope;
    static int64_t due;
    due = th_now() + 5 * TH_MILLISECOND;
    open_scope_for(&scope, TH_HOUR);
    spawn_on(&scope, 1, sleep_until_the_deadline, &due);
    ck_assert_int_eq(th_scope_set_deadline(&scope, due), 0);
    close_scope(&scope);
    ck_assert_int_ge(th_now(), due);

    due = th_now() + 20 * TH_MILLISECOND; /* the former one comes long before, but is taken away */
    open_scope_for(&scope, 10 * TH_SECOND);
    spawn_on(&scope, 1, sleep_until_the_deadline, &due);
    ck_assert_int_eq(th_scope_set_deadline(&scope, TH_NEVER), 0);
    ck_assert_int_eq(th_scope_set_deadline(&scope, due), 0);
    close_scope(&scope);
}

static int move_it(void *arg)
{
    ck_assert_int_eq(th_scope_set_deadline(arg, TH_NEVER), -EINVAL);
    ck_assert_int_eq(th_scope_set_limit(arg, 1), -EINVAL);
    return 0;
}

FIBER_TEST_ON(2, only_its_own_worker_moves_a_scopes_deadline)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, move_it, &scope);
    close_scope(&scope);
}

static void fill(Suite *suite)
{
    TCase *place = thi_check_case(suite, "place");
    add_on_engines(place, a_child_runs_on_the_worker_it_was_placed_on);
    tcase_add_test(place, a_child_elsewhere_that_spawns_does_so_on_its_own_worker);
    tcase_add_test(place, nothing_starts_elsewhere_in_a_cancelled_scope);

    TCase *status = thi_check_case(suite, "status");
    tcase_add_test(status, a_failure_elsewhere_counts);
    tcase_add_test(status, a_failure_elsewhere_cancels_the_rest);
    add_on_engines(status, a_cancellation_reaches_children_elsewhere_with_its_reason);
    add_on_engines(status, a_deadline_holds_elsewhere_too);
    add_on_engines(status, a_child_elsewhere_may_cancel_the_scope_it_lives_in);
    tcase_add_test(status, a_start_admitted_after_the_cancellation_is_told_of_it);

    TCase *threads = thi_check_case(suite, "threads");
    add_on_engines(threads, a_thread_starts_fibers_on_the_scopes_worker);
    tcase_add_test(threads, a_thread_places_fibers);
    tcase_add_test(threads, starts_of_threads_wait_for_room_in_the_scope);
    tcase_add_test(threads, starts_of_one_thread_keep_their_order);
    tcase_add_test(threads, threads_cannot_do_what_belongs_to_fibers);
    add_on_engines(threads, a_thread_cancels_a_scope);
    tcase_add_test(threads, cancellations_from_several_sides_are_one);

    TCase *moment = thi_check_case(suite, "same moment");
    tcase_set_timeout(moment, 30);
    tcase_add_test(moment, a_scope_does_not_close_while_a_start_is_under_way);
    add_on_engines(moment, children_may_end_while_they_are_cancelled);
    tcase_add_test(moment, children_of_four_workers_may_end_while_they_are_cancelled);
    tcase_add_test(moment, nothing_is_left_of_children_that_end_while_they_are_cancelled);
    tcase_add_test(moment, nothing_is_left_when_the_runtime_ends_with_children_elsewhere);
    tcase_add_test(status, a_deadline_moved_here_counts_for_children_there);
    tcase_add_test(status, only_its_own_worker_moves_a_scopes_deadline);
}

int main(void)
{
    return thi_check_run("runtime/remote", fill);
}
