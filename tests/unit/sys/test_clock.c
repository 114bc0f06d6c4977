/* SPDX-License-Identifier: MIT */

/* The public clock calls, on the machine's clock and on one that the test holds in its hand. */
#include "check_main.h"

#include "sys/sys.h"

#include <thrum/time.h>

#include <time.h>

static int64_t hand;

static int64_t fake_clock(void)
{
    return hand;
}

static void take_clock(int64_t now)
{
    static thi_sys table;
    table = thi_sys_real;
    table.clock = fake_clock;
    table.wall = fake_clock;
    thi_sys_table = &table;
    hand = now;
}

START_TEST(clock_never_runs_backwards)
{
    int64_t last = th_now();
    for (int i = 0; i < 1000; i++) {
        int64_t now = th_now();
        ck_assert_int_ge(now, last);
        last = now;
    }
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ck_assert_int_le(last, ts.tv_sec * TH_SECOND + ts.tv_nsec);
}
END_TEST

START_TEST(wall_clock_is_the_calendar)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    ck_assert_int_le(ts.tv_sec, th_wall() / TH_SECOND);
    ck_assert_int_le(th_wall() / TH_SECOND, ts.tv_sec + 60);
}
END_TEST

START_TEST(calls_read_the_clock_in_force)
{
    take_clock(12345);
    ck_assert_int_eq(th_now(), 12345);
    ck_assert_int_eq(th_wall(), 12345);
}
END_TEST

START_TEST(after_adds_and_does_not_overflow)
{
    take_clock(1000);
    ck_assert_int_eq(th_after(0), 1000);
    ck_assert_int_eq(th_after(TH_SECOND), 1000 + TH_SECOND);
    ck_assert_int_eq(th_after(-400), 600);
    ck_assert_int_eq(th_after(TH_NEVER), TH_NEVER);
    ck_assert_int_eq(th_after(TH_NEVER - 1), TH_NEVER);
    ck_assert_int_eq(th_after(TH_NEVER - 1001), TH_NEVER - 1);
    ck_assert_int_eq(th_after(TH_NEVER - 1000), TH_NEVER);
    ck_assert_int_le(th_after(INT64_MIN), 1000);
    take_clock(-5);
    ck_assert_int_eq(th_after(INT64_MIN), INT64_MIN);
    ck_assert_int_eq(th_after(TH_NEVER), TH_NEVER);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "clock");
    tcase_add_test(tcase, clock_never_runs_backwards);
    tcase_add_test(tcase, wall_clock_is_the_calendar);
    tcase_add_test(tcase, calls_read_the_clock_in_force);
    tcase_add_test(tcase, after_adds_and_does_not_overflow);
}

int main(void)
{
    return thi_check_run("sys/clock", fill_suite);
}
