/* SPDX-License-Identifier: MIT */

/* Small scenarios under every schedule to a depth. */
#include "sim_schedules.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>
#include <thrum/stream.h>

#include <errno.h>
#include <stdbool.h>

/* ---- cancelling ---- */

static int outcomes[3];

static int sleeper(void *arg)
{
    int *result = arg;
    *result = th_sleep(TH_MILLISECOND);
    return 0;
}

/* A sleeper, a deadline at the very time at which it wakes up, and a cancellation. */
static int sleep_against_end(void *arg)
{
    (void)arg;
    th_scope s;
    outcomes[0] = outcomes[1] = 1;
    expect(th_scope_open(&s, &(th_scope_opts){ .deadline = th_after(TH_MILLISECOND) }) == 0);
    expect(th_spawn(&s, sleeper, &outcomes[0]) == 0);
    expect(th_spawn(&s, sleeper, &outcomes[1]) == 0);
    (void)th_sleep(TH_MILLISECOND);
    th_scope_cancel(&s, 0);
    expect(th_scope_close(&s) == 0);
    for (int i = 0; i < 2; i++)
        expect_value(outcomes[i] == 0 || outcomes[i] == -ETIMEDOUT || outcomes[i] == -ECANCELED,
                     outcomes[i]);
    return verdict();
}

START_TEST(wake_up_deadline_and_cancellation_at_the_same_time)
{
    explore(sleep_against_end, 1, 12);
}
END_TEST

static int running;

static int limited(void *arg)
{
    (void)arg;
    expect(++running <= 1);
    int result = th_yield();
    running--;
    return result;
}

static int spawner(void *arg)
{
    int result = th_spawn(arg, limited, NULL);
    expect(result == 0 || result == -ECANCELED);
    return 0;
}

static int canceller(void *arg)
{
    th_yield();
    return th_scope_cancel(arg, 0);
}

/* Three want the only place in a scope, one of them through another fiber; a fourth cancels. */
static int one_place(void *arg)
{
    (void)arg;
    th_scope s, others;
    running = 0;
    expect(th_scope_open(&s, &(th_scope_opts){ .limit = 1 }) == 0);
    expect(th_scope_open(&others, NULL) == 0);
    expect(th_spawn(&others, spawner, &s) == 0);
    expect(th_spawn(&others, canceller, &s) == 0);
    (void)spawner(&s);
    (void)spawner(&s);
    th_scope_close(&others);
    th_scope_close(&s);
    expect(running == 0);
    return verdict();
}

START_TEST(place_in_a_scope_is_handed_over_or_cancelled)
{
    explore(one_place, 1, 14);
}
END_TEST

static int joiner(void *arg)
{
    int result = th_join(arg, NULL);
    expect(result == 0 || result == -ECANCELED);
    return 0;
}

static int join_against_cancel(void *arg)
{
    (void)arg;
    th_scope s, waiting;
    th_fiber *fiber;
    outcomes[0] = 1;
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_spawn_with(&s, sleeper, &outcomes[0], NULL, &fiber) == 0);
    expect(th_scope_open(&waiting, NULL) == 0);
    expect(th_spawn(&waiting, joiner, fiber) == 0);
    expect(th_spawn(&waiting, joiner, fiber) == 0);
    expect(th_spawn(&waiting, canceller, &waiting) == 0);
    expect(th_scope_close(&waiting) == 0);
    th_scope_cancel(&s, 0);
    expect(th_scope_close(&s) == 0);
    expect(outcomes[0] <= 0);
    th_fiber_unref(fiber);
    return verdict();
}

START_TEST(joiners_are_woken_once_each)
{
    explore(join_against_cancel, 1, 12);
}
END_TEST

/* ---- two workers ---- */

static int far_child(void *arg)
{
    int *result = arg;
    *result = th_sleep(TH_NEVER);
    return 0;
}

/* The status and the end of a child cross each other on their ways between two workers. */
static int cancel_afar(void *arg)
{
    (void)arg;
    th_scope s;
    th_spawn_opts far = { .place = 2 };
    outcomes[0] = outcomes[1] = 1;
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_spawn_with(&s, far_child, &outcomes[0], &far, NULL) == 0);
    expect(th_spawn(&s, sleeper, &outcomes[1]) == 0);
    th_yield();
    th_scope_cancel(&s, 0);
    expect(th_scope_close(&s) == 0);
    expect(outcomes[0] == -ECANCELED);
    return verdict();
}

START_TEST(child_on_another_worker_is_cancelled)
{
    explore(cancel_afar, 2, 16);
}
END_TEST

static int cancel_home(void *arg)
{
    expect(th_scope_cancel(arg, -EINTR) == 0);
    return 0;
}

static int start_at_home(void *arg)
{
    expect(th_spawn(arg, cancel_home, arg) == 0);
    return 0;
}

/* A child elsewhere starts a sibling in its scope, and that one cancels it, while it closes. */
static int reach_home(void *arg)
{
    (void)arg;
    th_scope s;
    th_spawn_opts far = { .place = 2 };
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_spawn_with(&s, start_at_home, &s, &far, NULL) == 0);
    expect(th_scope_close(&s) == 0);
    return verdict();
}

START_TEST(scope_waits_for_calls_that_are_under_way)
{
    explore(reach_home, 2, 13);
}
END_TEST

/* ---- streams ---- */

static th_stream *client;
static th_listener *listener;

static int reader(void *arg)
{
    (void)arg;
    char byte;
    ssize_t n = th_stream_read(client, &byte, 1);
    expect_value(n == 1 || n == -ECANCELED || n == -EBADF, n);
    return 0;
}

static int closer(void *arg)
{
    (void)arg;
    expect(th_stream_close(client) == 0);
    return 0;
}

static int answer(th_stream *stream, void *arg)
{
    (void)arg;
    return (int)th_stream_write(stream, "x", 1);
}

static int server(void *arg)
{
    (void)arg;
    return th_serve_on(&listener, 1, answer, NULL, NULL);
}

/* A stream is closed while a fiber reads it and the byte that it waits for arrives. */
static int close_against_read(void *arg)
{
    (void)arg;
    th_scope serving, s;
    expect(th_listen("unix:@thrum-sim-explore", NULL, &listener) == 0);
    expect(th_scope_open(&serving, NULL) == 0);
    expect(th_spawn(&serving, server, NULL) == 0);
    expect(th_dial("unix:@thrum-sim-explore", NULL, &client) == 0);
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_spawn(&s, reader, NULL) == 0);
    expect(th_spawn(&s, closer, NULL) == 0);
    expect(th_scope_close(&s) == 0);
    th_stream_free(client);
    expect(th_stop() == 0);
    int served = th_scope_close(&serving);
    expect_value(served == 0 || served == -ECANCELED, served); /* stopped before it began */
    th_listener_close(listener);
    return verdict();
}

START_TEST(closing_wakes_the_reader_whatever_comes_first)
{
    explore(close_against_read, 1, 14);
}
END_TEST

/* ---- exploring itself ---- */

static int steps;

static int wait_for_step(void *arg)
{
    int wanted = *(int *)arg;
    if (steps == wanted)
        steps++;
    return 0;
}

/* Only one order of six leads to the end. */
static int combination_lock(void *arg)
{
    static int order[] = { 2, 0, 1 };
    th_scope s;
    (void)arg;
    steps = 0;
    expect(th_scope_open(&s, NULL) == 0);
    for (int i = 0; i < 3; i++)
        expect(th_spawn(&s, wait_for_step, &order[i]) == 0);
    th_scope_close(&s);
    return steps == 3 ? -EPROTO : 0;
}

START_TEST(exploration_finds_the_one_order_that_fails)
{
    th_sim_explored seen;
    ck_assert_int_eq(th_sim_explore(combination_lock, NULL, NULL, &seen), -EPROTO);
    ck_assert(!seen.complete);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), seen.schedule));
    th_sim_opts again = { .schedule = seen.schedule };
    ck_assert_int_eq(th_sim_run(combination_lock, NULL, &again, NULL), -EPROTO);
    again.schedule = "";
    ck_assert_int_eq(th_sim_run(combination_lock, NULL, &again, NULL), 0);
}
END_TEST

static int three_yields(void *arg)
{
    (void)arg;
    th_yield();
    return 0;
}

static int three_fibers(void *arg)
{
    th_scope s;
    (void)arg;
    expect(th_scope_open(&s, NULL) == 0);
    for (int i = 0; i < 3; i++)
        expect(th_spawn(&s, three_yields, NULL) == 0);
    return th_scope_close(&s);
}

/* Three fibers of two steps each: 6! / (2! 2! 2!) orders. */
START_TEST(every_order_is_run_exactly_once)
{
    th_sim_explored seen = explore(three_fibers, 1, 16);
    ck_assert_uint_eq(seen.runs, 90);
}
END_TEST

START_TEST(exploration_stops_at_its_limits)
{
    th_sim_explored seen;
    th_sim_explore_opts opts = { .runs_max = 7 };
    ck_assert_int_eq(th_sim_explore(three_fibers, NULL, &opts, &seen), 0);
    ck_assert_uint_eq(seen.runs, 7);
    ck_assert(!seen.complete);
    opts = (th_sim_explore_opts){ .depth = 1 };
    ck_assert_int_eq(th_sim_explore(three_fibers, NULL, &opts, &seen), 0);
    ck_assert_uint_eq(seen.runs, 3);
    ck_assert(seen.complete);
    opts = (th_sim_explore_opts){ .depth = 4097 };
    ck_assert_int_eq(th_sim_explore(three_fibers, NULL, &opts, &seen), -EINVAL);
    ck_assert_int_eq(th_sim_explore(NULL, NULL, NULL, &seen), -EINVAL);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "exploring");
    tcase_add_test(tcase, every_order_is_run_exactly_once);
    tcase_add_test(tcase, exploration_finds_the_one_order_that_fails);
    tcase_add_test(tcase, exploration_stops_at_its_limits);

    tcase = sim_case(suite, "scopes");
    tcase_add_test(tcase, wake_up_deadline_and_cancellation_at_the_same_time);
    tcase_add_test(tcase, place_in_a_scope_is_handed_over_or_cancelled);
    tcase_add_test(tcase, joiners_are_woken_once_each);
    tcase_add_test(tcase, child_on_another_worker_is_cancelled);
    tcase_add_test(tcase, scope_waits_for_calls_that_are_under_way);

    tcase = sim_case(suite, "streams");
    tcase_add_test(tcase, closing_wakes_the_reader_whatever_comes_first);
}

int main(void)
{
    return thi_check_run("sim/explore", fill_suite);
}
