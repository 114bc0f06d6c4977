/* SPDX-License-Identifier: MIT */

/* Suspension points: counted, cancelled one at a time, told by th_main(), the same in a simulation.
 */
#include "capture.h"
#include "in_fiber.h"

#include <thrum/event.h>
#include <thrum/sim.h>

static int results[4];

/* Waits three times in a row; the results of the waits. */
static int wait_thrice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        results[i] = th_sleep(TH_MICROSECOND);
    return 0;
}

static uint64_t run_at(th_fiber_fn fn, uint64_t n)
{
    uint64_t waits = UINT64_MAX;
    th_run_opts opts = { .workers = 1, .no_signals = 1, .cancel_at = n, .waits = &waits };
    memset(results, 0, sizeof results);
    memset(trace, 0, sizeof trace);
    ck_assert_int_eq(th_run(fn, NULL, &opts), 0);
    return waits;
}

START_TEST(waits_are_counted)
{
    ck_assert_uint_eq(run_at(wait_thrice, 0), 3);
    ck_assert_int_eq(results[0], 0);
    ck_assert_int_eq(results[2], 0);
}
END_TEST

START_TEST(the_wait_of_that_number_is_cancelled_and_all_after_it_fail)
{
    ck_assert_uint_eq(run_at(wait_thrice, 2), 2); /* the third one is refused before it waits */
    ck_assert_int_eq(results[0], 0);
    ck_assert_int_eq(results[1], -ECANCELED);
    ck_assert_int_eq(results[2], -ECANCELED);
}
END_TEST

START_TEST(a_number_beyond_the_last_wait_changes_nothing)
{
    ck_assert_uint_eq(run_at(wait_thrice, 4), 3);
    ck_assert_int_eq(results[2], 0);
}
END_TEST

static int need_not_wait(void *arg)
{
    th_event set = TH_EVENT_INIT;
    (void)arg;
    ck_assert_int_eq(th_event_set(&set), 0);
    ck_assert_int_eq(th_event_wait(&set), 0);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_sleep(0), 0);
    return 0;
}

START_TEST(calls_that_need_not_wait_do_not_count)
{
    ck_assert_uint_eq(run_at(need_not_wait, 1), 0);
}
END_TEST

static int note_end(int err)
{
    note(err == 0 ? 's' : err == -ECANCELED ? 'c' : '?');
    return 0;
}

static int sleep_and_note(void *arg)
{
    return note_end(th_sleep(*(const int64_t *)arg));
}

static int wait_and_note(void *arg)
{
    return note_end(th_event_wait(arg));
}

/* A child in an inner scope, beside one outside of it that lasts longer. */
static int nest(void *arg)
{
    static const int64_t soon = TH_MICROSECOND;
    th_event over = TH_EVENT_INIT;
    th_scope outer;
    th_scope inner;
    (void)arg;
    open_scope(&outer);
    spawn(&outer, wait_and_note, &over);
    open_scope(&inner);
    spawn(&inner, sleep_and_note, (void *)(uintptr_t)&soon);
    th_scope_close(&inner); /* the first wait, and one that nothing cuts short */
    ck_assert_int_eq(th_event_set(&over), 0);
    th_scope_close(&outer);
    return 0;
}

START_TEST(the_innermost_scope_of_the_one_who_waits_is_cancelled)
{
    ck_assert_uint_eq(run_at(nest, 0), 4);
    ck_assert_str_eq(trace, "ss");
    (void)run_at(nest, 1); /* the host of both, in the inner one */
    ck_assert_str_eq(trace, "cs");
    (void)run_at(nest, 2); /* the first child, in the outer one, around all */
    ck_assert_str_eq(trace, "cc");
    (void)run_at(nest, 3); /* the second child, in the inner one */
    ck_assert_str_eq(trace, "cs");
}
END_TEST

static int wait_in_a_shield(void *arg)
{
    th_scope shield;
    (void)arg;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    results[0] = th_sleep(TH_MICROSECOND);
    close_scope(&shield);
    results[1] = th_yield();
    return 0;
}

START_TEST(a_shield_holds_and_what_is_around_it_is_cancelled)
{
    ck_assert_uint_eq(run_at(wait_in_a_shield, 1), 1);
    ck_assert_int_eq(results[0], 0);
    ck_assert_int_eq(results[1], -ECANCELED);
}
END_TEST

/* ---- on several workers ---------------------------------------------------------------------- */

/* Notes nothing: the trace belongs to one worker. */
static int only_sleep(void *arg)
{
    (void)th_sleep(*(const int64_t *)arg);
    return 0;
}

static int spread(void *arg)
{
    static const int64_t soon = TH_MICROSECOND;
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    for (unsigned i = 0; i < 20; i++)
        spawn_on(&scope, i % 2, only_sleep, (void *)(uintptr_t)&soon);
    th_scope_close(&scope);
    return 0;
}

/* Each of the ten on the other worker is told of the cancellation, and says so: the host looks up,
 * and may have to wait once more. */
START_TEST(one_wait_of_two_workers_is_cancelled)
{
    uint64_t waits = 0;
    for (uint64_t n = 1; n == 1 || n <= waits; n++) {
        th_run_opts opts = { .workers = 2, .no_signals = 1, .cancel_at = n, .waits = &waits };
        ck_assert_int_eq(th_run(spread, NULL, &opts), 0);
        ck_assert_uint_le(waits, n > waits ? 21 : 21 + 10);
    }
}
END_TEST

/* ---- in a simulation ------------------------------------------------------------------------- */

static uint64_t simulate_at(uint64_t n, uint64_t *hash)
{
    th_sim_result seen;
    th_sim_opts opts = { .seed = 1, .workers = 2, .cancel_at = n };
    ck_assert_int_eq(th_sim_run(spread, NULL, &opts, &seen), 0);
    ck_assert_int_eq(seen.live_allocations, 0);
    *hash = seen.hash;
    return seen.waits;
}

START_TEST(in_a_simulation_the_same_wait_is_cancelled_each_time)
{
    uint64_t untouched;
    uint64_t hash;
    uint64_t again;
    uint64_t waits = simulate_at(0, &untouched);
    ck_assert_uint_eq(waits, 21);
    for (uint64_t n = 1; n <= waits; n++) {
        uint64_t seen = simulate_at(n, &hash);
        ck_assert_uint_eq(simulate_at(n, &again), seen);
        ck_assert_uint_eq(hash, again);
    }
    ck_assert_uint_eq(simulate_at(waits + 1, &hash), waits);
    ck_assert_uint_eq(hash, untouched);
}
END_TEST

/* ---- by environment -------------------------------------------------------------------------- */

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int err = th_sleep(TH_MICROSECOND);
    return err < 0 ? err : th_sleep(TH_MICROSECOND);
}

static int run_app(void)
{
    char *arguments[] = { "weaver", NULL };
    return th_main(app, 1, arguments, &(th_run_opts){ .workers = 1 });
}

static void expect_of(const char *at, int status, const char *said)
{
    ck_assert_int_eq(setenv("THRUM_CANCEL_AT", at, 1), 0);
    capture c = run_captured(run_app);
    ck_assert_str_eq(c.said, said);
    ck_assert_int_eq(WEXITSTATUS(c.status), status);
}

START_TEST(a_program_is_told_by_its_environment_and_tells_how_it_went)
{
    expect_of("1", 1,
              "weaver: cancelled at wait 1 of 1; left: 0 descriptors, 0 allocations\n"
              "weaver: Operation canceled\n");
    expect_of("2", 1,
              "weaver: cancelled at wait 2 of 2; left: 0 descriptors, 0 allocations\n"
              "weaver: Operation canceled\n");
    expect_of("3", 0, "weaver: 2 waits, not cancelled; left: 0 descriptors, 0 allocations\n");
    expect_of("0", 0, "weaver: 2 waits, not cancelled; left: 0 descriptors, 0 allocations\n");
}
END_TEST

START_TEST(a_number_that_is_none_is_refused)
{
    static const char *const wrong[] = { "", "x", "-1", "1 ", " 1", "18446744073709551616" };
    for (size_t i = 0; i < thi_array_len(wrong); i++) {
        ck_assert_int_eq(setenv("THRUM_CANCEL_AT", wrong[i], 1), 0);
        capture c = run_captured(run_app);
        expect_said(&c, "weaver: cannot start: Invalid argument: THRUM_CANCEL_AT is '");
        ck_assert_int_eq(WEXITSTATUS(c.status), 1);
    }
}
END_TEST

static int leave_something(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return dup(STDERR_FILENO) < 0 ? -errno : 0;
}

static int run_leaky(void)
{
    char *arguments[] = { "weaver", NULL };
    return th_main(leave_something, 1, arguments, &(th_run_opts){ .workers = 1 });
}

START_TEST(what_is_left_behind_is_told)
{
    ck_assert_int_eq(setenv("THRUM_CANCEL_AT", "0", 1), 0);
    capture c = run_captured(run_leaky);
    expect_said(&c, "left: 1 descriptors, 0 allocations\n");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "points");
    tcase_add_test(tcase, waits_are_counted);
    tcase_add_test(tcase, the_wait_of_that_number_is_cancelled_and_all_after_it_fail);
    tcase_add_test(tcase, a_number_beyond_the_last_wait_changes_nothing);
    tcase_add_test(tcase, calls_that_need_not_wait_do_not_count);
    tcase_add_test(tcase, the_innermost_scope_of_the_one_who_waits_is_cancelled);
    tcase_add_test(tcase, a_shield_holds_and_what_is_around_it_is_cancelled);
    tcase_add_test(tcase, one_wait_of_two_workers_is_cancelled);
    tcase_add_test(tcase, in_a_simulation_the_same_wait_is_cancelled_each_time);
    tcase = thi_check_case(suite, "environment");
    tcase_add_test(tcase, a_program_is_told_by_its_environment_and_tells_how_it_went);
    tcase_add_test(tcase, a_number_that_is_none_is_refused);
    tcase_add_test(tcase, what_is_left_behind_is_told);
}

int main(void)
{
    return thi_check_run("runtime/points", fill);
}
