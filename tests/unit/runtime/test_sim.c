/* SPDX-License-Identifier: MIT */

/* A simulated run as a whole: that it repeats, ends, and says why when it does not. */
#include "check_main.h"

#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/fiber.h>
#include <thrum/runtime.h>
#include <thrum/scope.h>
#include <thrum/sim.h>
#include <thrum/time.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static th_sim_result result;

static int run(int (*app)(void *arg), const th_sim_opts *opts)
{
    return th_sim_run(app, NULL, opts, &result);
}

/* ---- what a run is ---- */

static int return_7(void *arg)
{
    (void)arg;
    return 7;
}

START_TEST(result_of_the_main_fiber_is_returned)
{
    ck_assert_int_eq(run(return_7, NULL), 7);
    ck_assert_int_eq(result.verdict, 0);
    ck_assert_uint_eq(result.open_descriptors, 0);
    ck_assert_int_eq(result.live_allocations, 0);
    ck_assert_uint_gt(result.steps, 0);
    ck_assert_int_eq(th_sim_run(return_7, NULL, NULL, NULL), 7);
}
END_TEST

static int ask_for_info(void *arg)
{
    th_run_info info;
    ck_assert_int_eq(th_run_get_info(&info), 0);
    *(unsigned *)arg = info.workers;
    return strcmp(info.backend, "sim") == 0 && strstr(info.backend_why, "42") ? 0 : -EPROTO;
}

START_TEST(runtime_is_as_large_as_asked_for)
{
    unsigned workers = 0;
    for (unsigned n = 1; n <= 64; n *= 8) {
        th_sim_opts opts = { .seed = 42, .workers = n };
        ck_assert_int_eq(th_sim_run(ask_for_info, &workers, &opts, NULL), 0);
        ck_assert_uint_eq(workers, n);
    }
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    ck_assert_int_eq(run(NULL, NULL), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .size = sizeof(th_sim_opts) + 1 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .size = sizeof(th_sim_opts) }), 7);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .workers = 65 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .latency_min = 2, .latency_max = 1 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .latency_min = -1 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .time_limit = -1 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .fault_until = -1 }), -EINVAL);
    ck_assert_int_eq(run(return_7, &(th_sim_opts){ .stack_size = 5 << 20 }), -EINVAL);
    static const char *const no_schedules[] = { ".", "x", "1,2", "1..2", "99999", "-1" };
    for (size_t i = 0; i < sizeof no_schedules / sizeof no_schedules[0]; i++)
        ck_assert_int_eq(run(return_7, &(th_sim_opts){ .schedule = no_schedules[i] }), -EINVAL);
}
END_TEST

static int run_inside(void *arg)
{
    (void)arg;
    if (th_sim_run(return_7, NULL, NULL, NULL) != -EBUSY)
        return -EPROTO;
    if (th_sim_explore(return_7, NULL, NULL, NULL) != -EBUSY)
        return -EPROTO;
    return th_run(return_7, NULL, NULL) == -EBUSY ? 0 : -EPROTO;
}

START_TEST(thread_runs_one_thing_at_a_time)
{
    ck_assert_int_eq(run(run_inside, NULL), 0);
    ck_assert_int_eq(th_run(run_inside, NULL, &(th_run_opts){ .workers = 1 }), 0);
}
END_TEST

START_TEST(real_system_is_back_afterwards)
{
    const thi_sys *before = thi_sys_table;
    int64_t now = th_now();
    ck_assert_int_eq(run(return_7, NULL), 7);
    ck_assert_ptr_eq(thi_sys_table, before);
    ck_assert_int_lt(th_now() - now, TH_MINUTE);
    ck_assert_uint_eq(th_sim_random(100), 0);
    ck_assert_int_eq(th_sim_signal(SIGTERM), -EPERM);
    th_sim_note("to nobody");
}
END_TEST

/* ---- time ---- */

static int sleep_a_year(void *arg)
{
    int64_t start = th_now(), wall = th_wall();
    (void)arg;
    th_sleep(365 * 24 * TH_HOUR);
    int64_t slept = th_now() - start;
    if (slept < 365 * 24 * TH_HOUR || slept > 365 * 24 * TH_HOUR + TH_SECOND)
        return -EPROTO;
    return th_wall() - wall == slept ? 0 : -EPROTO;
}

START_TEST(a_year_passes_in_a_moment)
{
    ck_assert_int_eq(run(sleep_a_year, &(th_sim_opts){ .time_limit = 400 * 24 * TH_HOUR }), 0);
    ck_assert_int_ge(result.time, 365 * 24 * TH_HOUR);
}
END_TEST

static int spin_for_a_second(void *arg)
{
    int64_t until = th_after(TH_MILLISECOND);
    (void)arg;
    while (th_now() < until)
        th_yield();
    return 0;
}

START_TEST(time_passes_for_those_who_poll)
{
    ck_assert_int_eq(run(spin_for_a_second, NULL), 0);
}
END_TEST

/* ---- repeating ---- */

static char order[64];

static int tell_and_sleep(void *arg)
{
    char name[2] = { *(char *)arg, '\0' };
    for (int i = 0; i < 4; i++) {
        strcat(order, name);
        th_sleep((int64_t)th_sim_random(3));
    }
    return 0;
}

static int tell_order(void *arg)
{
    static char names[] = "abcd";
    th_scope s;
    (void)arg;
    order[0] = '\0';
    if (th_scope_open(&s, NULL) < 0)
        return -EPROTO;
    for (int i = 0; i < 4; i++)
        if (th_spawn_with(&s, tell_and_sleep, &names[i],
                          &(th_spawn_opts){ .place = TH_PLACE_ROUND }, NULL) < 0)
            return -EPROTO;
    return th_scope_close(&s);
}

START_TEST(same_seed_is_the_same_run_and_another_seed_another)
{
    char before[sizeof order] = "";
    int differed = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        th_sim_opts opts = { .seed = seed, .workers = 1 + (unsigned)(seed % 3) };
        ck_assert_int_eq(run(tell_order, &opts), 0);
        th_sim_result first = result;
        char told[sizeof order];
        strcpy(told, order);
        ck_assert_int_eq(run(tell_order, &opts), 0);
        ck_assert_uint_eq(result.hash, first.hash);
        ck_assert_uint_eq(result.steps, first.steps);
        ck_assert_int_eq(result.time, first.time);
        ck_assert_str_eq(order, told);
        ck_assert_uint_eq(result.seed, seed);
        differed += strcmp(before, told) != 0;
        strcpy(before, told);
    }
    ck_assert_int_gt(differed, 15);
}
END_TEST

static int note_something(void *arg)
{
    th_sim_note(arg);
    th_sim_note(NULL);
    return 0;
}

START_TEST(notes_are_part_of_the_hash)
{
    th_sim_result a, b, c;
    ck_assert_int_eq(th_sim_run(note_something, (char[]){ "one" }, NULL, &a), 0);
    ck_assert_int_eq(th_sim_run(note_something, (char[]){ "two" }, NULL, &b), 0);
    ck_assert_int_eq(th_sim_run(note_something, (char[]){ "one" }, NULL, &c), 0);
    ck_assert_uint_ne(a.hash, b.hash);
    ck_assert_uint_eq(a.hash, c.hash);
}
END_TEST

static void find_note(void *arg, const char *line)
{
    *(int *)arg += strstr(line, "a note") != NULL;
}

START_TEST(trace_tells_events_and_changes_nothing)
{
    int found = 0;
    th_sim_result silent;
    char note[] = "a note";
    ck_assert_int_eq(th_sim_run(note_something, note, NULL, &silent), 0);
    th_sim_opts opts = { .trace = find_note, .trace_arg = &found };
    ck_assert_int_eq(th_sim_run(note_something, note, &opts, &result), 0);
    ck_assert_int_eq(found, 1);
    ck_assert_uint_eq(result.hash, silent.hash);
}
END_TEST

static int draw_numbers(void *arg)
{
    uint64_t *numbers = arg;
    for (int i = 0; i < 3; i++) {
        numbers[i] = th_sim_random(1000000);
        th_sleep(1);
    }
    return 0;
}

START_TEST(scenario_draws_the_same_numbers_in_any_world)
{
    uint64_t friendly[3], hostile[3];
    th_sim_opts opts = { .seed = 5 };
    ck_assert_int_eq(th_sim_run(draw_numbers, friendly, &opts, NULL), 0);
    th_sim_set_faults(&opts, 100000);
    opts.workers = 3;
    ck_assert_int_eq(th_sim_run(draw_numbers, hostile, &opts, NULL), 0);
    ck_assert_mem_eq(friendly, hostile, sizeof friendly);
    opts.seed = 6;
    ck_assert_int_eq(th_sim_run(draw_numbers, hostile, &opts, NULL), 0);
    ck_assert_mem_ne(friendly, hostile, sizeof friendly);
}
END_TEST

/* ---- runs that do not end ---- */

static int wait_for_ever(void *arg)
{
    (void)arg;
    return th_sleep(TH_NEVER);
}

static int hang_in_two_places(void *arg)
{
    th_scope s;
    (void)arg;
    if (th_scope_open(&s, NULL) < 0 ||
        th_spawn_with(&s, wait_for_ever, NULL, &(th_spawn_opts){ .name = "dozer", .place = 2 },
                      NULL) < 0)
        return -EPROTO;
    return th_scope_close(&s);
}

START_TEST(deadlock_is_told_with_who_waits_for_what)
{
    th_sim_opts opts = { .workers = 2 };
    ck_assert_int_eq(run(hang_in_two_places, &opts), -EDEADLK);
    ck_assert_int_eq(result.verdict, -EDEADLK);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "main #1 on worker 0: scope"));
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "dozer #1 on worker 1: sleep"));
    ck_assert_int_eq(result.live_allocations, 0);
    ck_assert_int_eq(run(wait_for_ever, NULL), -EDEADLK);
    ck_assert_int_eq(run(return_7, NULL), 7);
}
END_TEST

static int hang_in_a_shield(void *arg)
{
    th_scope s;
    (void)arg;
    if (th_scope_open(&s, &(th_scope_opts){ .shield = 1 }) < 0)
        return -EPROTO;
    return th_sleep(TH_NEVER);
}

START_TEST(fiber_that_even_cancelling_does_not_end_is_abandoned)
{
    ck_assert_int_eq(run(hang_in_a_shield, NULL), -EDEADLK);
    ck_assert_int_eq(run(return_7, NULL), 7);
}
END_TEST

static int yield_for_ever(void *arg)
{
    (void)arg;
    while (th_yield() == 0)
        ;
    return 0;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    while (th_sleep(TH_SECOND) == 0)
        ;
    return 0;
}

START_TEST(limits_end_a_run_that_goes_on_and_on)
{
    ck_assert_int_eq(run(yield_for_ever, &(th_sim_opts){ .step_limit = 1000 }), TH_ELIMIT);
    ck_assert_uint_ge(result.steps, 1000);
    ck_assert_uint_lt(result.steps, 1100);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "1000 steps"));
    ck_assert_int_eq(run(sleep_for_ever, &(th_sim_opts){ .time_limit = TH_MINUTE }), TH_ELIMIT);
    ck_assert_int_ge(result.time, TH_MINUTE);
    ck_assert_int_lt(result.time, TH_MINUTE + 2 * TH_SECOND);
}
END_TEST

static int ignore_everything(void *arg)
{
    (void)arg;
    for (;;) { /* misbehaves: goes on when it is cancelled */
        th_scope s;
        if (th_scope_open(&s, &(th_scope_opts){ .shield = 1 }) < 0)
            return -EPROTO;
        th_sleep(TH_SECOND);
        th_scope_close(&s);
    }
}

START_TEST(fiber_that_ignores_its_end_is_abandoned_at_the_second_limit)
{
    ck_assert_int_eq(run(ignore_everything, &(th_sim_opts){ .time_limit = TH_MINUTE }), TH_ELIMIT);
}
END_TEST

static int leak(void *arg)
{
    (void)arg;
    return thi_sys_eventfd() >= 0 ? 0 : -EPROTO;
}

START_TEST(descriptors_left_open_are_counted)
{
    ck_assert_int_eq(run(leak, NULL), 0);
    ck_assert_uint_eq(result.open_descriptors, 1);
}
END_TEST

/* ---- signals and faults ---- */

static int wait_for_signal(void *arg)
{
    int signo = *(int *)arg;
    int err = th_sim_signal(signo);
    return err < 0 ? err : th_sleep(TH_NEVER);
}

START_TEST(signals_that_stop_do_so)
{
    int signo = SIGTERM;
    ck_assert_int_eq(th_sim_run(wait_for_signal, &signo, NULL, &result), -ECANCELED);
    ck_assert_int_eq(result.verdict, 0);
    signo = SIGINT;
    ck_assert_int_eq(th_sim_run(wait_for_signal, &signo, NULL, &result), -ECANCELED);
    signo = SIGHUP;
    ck_assert_int_eq(th_sim_run(wait_for_signal, &signo, NULL, &result), -EINVAL);
}
END_TEST

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn_many(void *arg)
{
    th_scope s;
    (void)arg;
    int err = th_scope_open(&s, NULL);
    for (int i = 0; i < 20 && err == 0; i++)
        err =
            th_spawn_with(&s, do_nothing, NULL, &(th_spawn_opts){ .place = TH_PLACE_ROUND }, NULL);
    int ended = th_scope_close(&s);
    return err < 0 ? err : ended;
}

/* Every allocation of a run fails once, until a run gets through untouched. */
START_TEST(each_allocation_may_fail)
{
    for (uint32_t n = 1;; n++) {
        th_sim_opts opts = { .workers = 2 };
        opts.faults[TH_SIM_NO_MEMORY].at = n;
        int err = run(spawn_many, &opts);
        ck_assert_int_eq(result.verdict, 0);
        ck_assert_int_eq(result.live_allocations, 0);
        if (result.faults[TH_SIM_NO_MEMORY] == 0) {
            ck_assert_int_eq(err, 0);
            ck_assert_uint_gt(n, 5);
            break;
        }
        ck_assert(err == 0 || err == -ENOMEM);
    }
}
END_TEST

START_TEST(stalls_take_time_and_nothing_else)
{
    th_sim_opts opts = { .workers = 3 };
    ck_assert_int_eq(run(tell_order, &opts), 0);
    int64_t undisturbed = result.time;
    opts.faults[TH_SIM_STALL].per_million = 500000;
    ck_assert_int_eq(run(tell_order, &opts), 0);
    ck_assert_uint_gt(result.faults[TH_SIM_STALL], 0);
    ck_assert_int_gt(result.time, undisturbed);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "run");
    tcase_add_test(tcase, result_of_the_main_fiber_is_returned);
    tcase_add_test(tcase, runtime_is_as_large_as_asked_for);
    tcase_add_test(tcase, wrong_options_are_refused);
    tcase_add_test(tcase, thread_runs_one_thing_at_a_time);
    tcase_add_test(tcase, real_system_is_back_afterwards);

    tcase = thi_check_case(suite, "time");
    tcase_add_test(tcase, a_year_passes_in_a_moment);
    tcase_add_test(tcase, time_passes_for_those_who_poll);

    tcase = thi_check_case(suite, "repeating");
    tcase_add_test(tcase, same_seed_is_the_same_run_and_another_seed_another);
    tcase_add_test(tcase, notes_are_part_of_the_hash);
    tcase_add_test(tcase, trace_tells_events_and_changes_nothing);
    tcase_add_test(tcase, scenario_draws_the_same_numbers_in_any_world);

    tcase = thi_check_case(suite, "no end");
    tcase_add_test(tcase, deadlock_is_told_with_who_waits_for_what);
    tcase_add_test(tcase, fiber_that_even_cancelling_does_not_end_is_abandoned);
    tcase_add_test(tcase, limits_end_a_run_that_goes_on_and_on);
    tcase_add_test(tcase, fiber_that_ignores_its_end_is_abandoned_at_the_second_limit);
    tcase_add_test(tcase, descriptors_left_open_are_counted);

    tcase = thi_check_case(suite, "faults");
    tcase_add_test(tcase, signals_that_stop_do_so);
    tcase_add_test(tcase, each_allocation_may_fail);
    tcase_add_test(tcase, stalls_take_time_and_nothing_else);
}

int main(void)
{
    return thi_check_run("runtime/sim", fill_suite);
}
