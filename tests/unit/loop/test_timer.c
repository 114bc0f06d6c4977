/* SPDX-License-Identifier: MIT */

/* The timer wheel against a model that keeps a plain array, with the clock as a number. */
#include "check_main.h"

#include "base/alloc.h"
#include "loop/timer.h"

#include <string.h>

#define MS  INT64_C(1000000)
#define SEC (1000 * MS)
#define DAY (86400 * SEC)

static thi_timers timers;
static int64_t now;

static uint64_t rand64(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void start_at(int64_t time)
{
    now = time;
    thi_timers_init(&timers, now);
}

/* ---- the model ----------------------------------------------------------------------------------
 */

#define MODELS 200

/* A timer and what should become of it. */
typedef struct model {
    thi_timer timer;
    bool active;
    int64_t due;
    uint64_t order; /* of setting */
} model;

static model models[MODELS];
static uint64_t orders;
static uint64_t last_order; /* of the one that fired last in this run */
static int64_t last_due;
static size_t fired;

static void model_set(model *m, int64_t due)
{
    m->active = true;
    m->due = due < now ? now : due;
    m->order = ++orders;
    thi_timer_set(&timers, &m->timer, due, now);
}

static void model_cancel(model *m)
{
    m->active = false;
    thi_timer_cancel(&timers, &m->timer);
}

/* A span of any magnitude, from a nanosecond to the end of time. */
static int64_t any_span(void)
{
    return (int64_t)(rand64() >> (1 + rand64() % 63));
}

static int64_t any_due(void)
{
    int64_t due;
    if (rand64() % 50 == 0)
        return INT64_MAX;
    if (rand64() % 4 == 0) /* one of a few, so that many are equal */
        return now + (int64_t)(rand64() % 4) * 10 * MS;
    return __builtin_add_overflow(now, any_span(), &due) ? INT64_MAX : due;
}

static model *any_model(void)
{
    return &models[rand64() % MODELS];
}

static void do_something(void)
{
    if (rand64() % 3 == 0)
        model_cancel(any_model());
    else
        model_set(any_model(), any_due());
}

static void on_model(thi_timer *timer)
{
    model *m = thi_container_of(timer, model, timer);
    ck_assert(m->active);
    ck_assert(!thi_timer_active(timer));
    ck_assert_int_le(m->due, now);
    ck_assert(m->due > last_due || (m->due == last_due && m->order > last_order));
    last_due = m->due;
    last_order = m->order;
    m->active = false;
    fired++;
    while (rand64() % 2)
        do_something();
}

/* The first due time of the model, INT64_MAX when nothing is active. */
static int64_t model_next(void)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < MODELS; i++)
        if (models[i].active && models[i].due < next)
            next = models[i].due;
    return next;
}

static void run_model(void)
{
    uint64_t set_before = orders;
    last_due = INT64_MIN;
    fired = 0;
    size_t count = thi_timers_run(&timers, now);
    ck_assert_uint_eq(count, fired);
    size_t active = 0;
    for (int i = 0; i < MODELS; i++) {
        const model *m = &models[i];
        ck_assert_int_eq(m->active, thi_timer_active(&m->timer));
        ck_assert(!m->active || m->due > now || m->order > set_before);
        active += m->active;
    }
    ck_assert_uint_eq(timers.count, active);
}

/* Goes on by some time, never beyond what the timers allow a sleeping loop. */
static void sleep_some(void)
{
    int64_t wake = thi_timers_next(&timers);
    ck_assert_int_le(wake, model_next());
    if (wake == INT64_MAX)
        return;
    if (rand64() % 3 == 0) { /* late: the loop was busy */
        int64_t later;
        if (!__builtin_add_overflow(now, any_span() >> 20, &later))
            now = later;
    } else if (wake > now && rand64() % 3 == 0) { /* woken by something else */
        now += (int64_t)(rand64() % (uint64_t)(wake - now));
    } else if (wake > now) {
        now = wake;
    }
}

static void run_against_model(int64_t start, int steps)
{
    start_at(start);
    for (int i = 0; i < MODELS; i++)
        thi_timer_init(&models[i].timer, on_model);
    for (int step = 0; step < steps && now < INT64_MAX; step++) {
        for (uint64_t n = rand64() % 4; n > 0; n--)
            do_something();
        sleep_some();
        run_model();
    }
}

START_TEST(any_sequence_fires_what_a_sorted_list_would)
{
    run_against_model(0, 6000);
    memset(models, 0, sizeof models);
    run_against_model(12345678901234567, 6000);
}
END_TEST

/* The ends of the wheel's levels, as seen by a machine that has been up for 50 days and more. */
START_TEST(any_sequence_works_at_the_ends_of_levels)
{
    for (int level = 1; level <= 5; level++) {
        int64_t end = INT64_C(1) << (20 + 8 * level);
        memset(models, 0, sizeof models);
        run_against_model(end - 3 * MS, 1500);
    }
}
END_TEST

/* ---- single behaviours --------------------------------------------------------------------------
 */

static thi_timer a, b;
static int calls;

static void count_call(thi_timer *timer)
{
    (void)timer;
    calls++;
}

START_TEST(timer_fires_at_its_time_and_not_a_nanosecond_before)
{
    start_at(5 * SEC);
    thi_timer_init(&a, count_call);
    static const int64_t spans[] = { 1, 999, MS, 300 * MS, 70 * SEC, 6 * 3600 * SEC, 60 * DAY };
    for (size_t i = 0; i < thi_array_len(spans); i++) {
        int64_t due = now + spans[i];
        calls = 0;
        thi_timer_set(&timers, &a, due, now);
        ck_assert_int_le(thi_timers_next(&timers), due);
        thi_timers_run(&timers, due - 1);
        ck_assert_int_eq(calls, 0);
        thi_timers_run(&timers, due);
        ck_assert_int_eq(calls, 1);
        now = due;
    }
}
END_TEST

START_TEST(near_timer_lets_the_loop_sleep_right_to_its_time)
{
    start_at(1000 * SEC);
    thi_timer_init(&a, count_call);
    thi_timer_set(&timers, &a, now + 3 * MS + 17, now);
    ck_assert_int_eq(thi_timers_next(&timers), now + 3 * MS + 17);
}
END_TEST

START_TEST(far_timer_wakes_the_loop_a_few_times_at_most)
{
    start_at(7 * SEC);
    thi_timer_init(&a, count_call);
    thi_timer_set(&timers, &a, now + 200 * DAY, now);
    int wakes = 0;
    for (; calls == 0; wakes++) {
        int64_t next = thi_timers_next(&timers);
        ck_assert_int_gt(next, now);
        now = next;
        thi_timers_run(&timers, now);
    }
    ck_assert_int_le(wakes, 30);
}
END_TEST

START_TEST(none_set_lets_the_loop_sleep_for_ever)
{
    start_at(SEC);
    thi_timer_init(&a, count_call);
    ck_assert_int_eq(thi_timers_next(&timers), INT64_MAX);
    thi_timer_set(&timers, &a, INT64_MAX, now);
    thi_timer_cancel(&timers, &a);
    thi_timer_cancel(&timers, &a);
    ck_assert_int_eq(thi_timers_next(&timers), INT64_MAX);
    ck_assert_uint_eq(thi_timers_run(&timers, INT64_MAX), 0);
}
END_TEST

START_TEST(second_setting_replaces_the_first)
{
    start_at(SEC);
    thi_timer_init(&a, count_call);
    thi_timer_set(&timers, &a, now + 10 * MS, now);
    thi_timer_set(&timers, &a, now + 30 * MS, now);
    thi_timers_run(&timers, now + 29 * MS);
    ck_assert_int_eq(calls, 0);
    thi_timer_set(&timers, &a, now + 29 * MS + 5, now);
    thi_timers_run(&timers, now + 60 * MS);
    ck_assert_int_eq(calls, 1);
    thi_timers_run(&timers, now + DAY);
    ck_assert_int_eq(calls, 1);
}
END_TEST

static void set_zero(thi_timer *timer)
{
    calls++;
    thi_timer_set(&timers, timer, 0, now);
}

START_TEST(time_in_the_past_fires_in_the_next_run)
{
    start_at(DAY);
    thi_timer_init(&a, set_zero);
    thi_timer_set(&timers, &a, -1, now);
    ck_assert_int_eq(thi_timers_next(&timers), now);
    for (int run = 1; run <= 3; run++) {
        thi_timers_run(&timers, now);
        ck_assert_int_eq(calls, run);
    }
}
END_TEST

static void cancel_b(thi_timer *timer)
{
    (void)timer;
    thi_timer_cancel(&timers, &b);
}

START_TEST(timer_cancelled_by_one_that_fires_before_it_stays_quiet)
{
    start_at(SEC);
    thi_timer_init(&a, cancel_b);
    thi_timer_init(&b, count_call);
    thi_timer_set(&timers, &a, now + MS, now);
    thi_timer_set(&timers, &b, now + MS, now);
    thi_timers_run(&timers, now + MS);
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(timers.count, 0);
}
END_TEST

static void free_itself(thi_timer *timer)
{
    calls++;
    thi_free(timer);
}

START_TEST(timer_may_be_freed_in_its_own_call)
{
    start_at(SEC);
    for (int i = 0; i < 10; i++) {
        thi_timer *timer = thi_alloc(sizeof *timer);
        ck_assert_ptr_nonnull(timer);
        thi_timer_init(timer, free_itself);
        thi_timer_set(&timers, timer, now + i % 3 * MS, now);
    }
    thi_timers_run(&timers, now + SEC);
    ck_assert_int_eq(calls, 10);
}
END_TEST

#define MILLION 1000000

/*
 * A million idle time-outs, each pushed back as its connection is used. Time is not measured:
 * what is counted is how often the loop has to wake up for them, and that none gets as far as the
 * heap, whose cost depends on their number.
 */
START_TEST(million_idle_timers_cost_no_work)
{
    start_at(1000 * SEC);
    thi_timer *idle = thi_alloc(MILLION * sizeof *idle);
    ck_assert_ptr_nonnull(idle);
    for (int i = 0; i < MILLION; i++) {
        thi_timer_init(&idle[i], count_call);
        thi_timer_set(&timers, &idle[i], now + 60 * SEC + i, now);
    }
    int wakes = 0;
    for (int second = 1; second <= 59; second++) {
        int64_t end = now + SEC;
        for (int64_t next; (next = thi_timers_next(&timers)) < end; wakes++) {
            now = next;
            thi_timers_run(&timers, now);
        }
        now = end;
        for (int i = second; i < MILLION; i += 59)
            thi_timer_set(&timers, &idle[i], now + 60 * SEC, now);
        ck_assert_uint_eq(thi_heap_count(&timers.near), 0);
    }
    ck_assert_int_le(wakes, 4);
    ck_assert_int_eq(calls, 0);
    ck_assert_uint_eq(timers.count, MILLION);
    for (int i = 0; i < MILLION; i++)
        thi_timer_cancel(&timers, &idle[i]);
    ck_assert_uint_eq(timers.count, 0);
    ck_assert_int_eq(thi_timers_next(&timers), INT64_MAX);
    thi_free(idle);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "model");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, any_sequence_fires_what_a_sorted_list_would);
    tcase_add_test(tcase, any_sequence_works_at_the_ends_of_levels);

    tcase = thi_check_case(suite, "time");
    tcase_add_test(tcase, timer_fires_at_its_time_and_not_a_nanosecond_before);
    tcase_add_test(tcase, near_timer_lets_the_loop_sleep_right_to_its_time);
    tcase_add_test(tcase, far_timer_wakes_the_loop_a_few_times_at_most);
    tcase_add_test(tcase, none_set_lets_the_loop_sleep_for_ever);

    tcase = thi_check_case(suite, "set and cancel");
    tcase_add_test(tcase, second_setting_replaces_the_first);
    tcase_add_test(tcase, time_in_the_past_fires_in_the_next_run);
    tcase_add_test(tcase, timer_cancelled_by_one_that_fires_before_it_stays_quiet);
    tcase_add_test(tcase, timer_may_be_freed_in_its_own_call);

    tcase = thi_check_case(suite, "many");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, million_idle_timers_cost_no_work);
}

int main(void)
{
    return thi_check_run("loop/timer", fill_suite);
}
