/* SPDX-License-Identifier: MIT */

/* Failing the n-th system call. */
#include "check_main.h"

#include "sys/fault.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Three calls that count, between others that do not. */
static int three_calls(int results[3])
{
    int fd = thi_sys_eventfd();
    results[0] = fd < 0 ? fd : 0;
    (void)thi_sys_clock();
    (void)thi_sys_wall();
    uint64_t value = 1;
    results[1] = (int)thi_sys_write(fd, &value, sizeof value);
    results[2] = (int)thi_sys_read(fd, &value, sizeof value);
    return fd < 0 ? 0 : thi_sys_close(fd);
}

START_TEST(only_the_nth_call_fails)
{
    for (unsigned long n = 2; n <= 3; n++) {
        int results[3];
        thi_fault_begin(n, ENOBUFS);
        ck_assert_int_eq(three_calls(results), 0);
        ck_assert_ptr_nonnull(thi_fault_hit());
        ck_assert_str_eq(thi_fault_hit(), n == 2 ? "write" : "read");
        ck_assert_uint_eq(thi_fault_end(), 3);
        ck_assert_int_eq(results[0], 0);
        ck_assert_int_eq(results[n - 1], -ENOBUFS);
        ck_assert_int_eq(results[n == 2 ? 2 : 1], n == 2 ? -EAGAIN : 8);
    }
}
END_TEST

START_TEST(first_call_may_fail)
{
    thi_fault_begin(1, EMFILE);
    ck_assert_int_eq(thi_sys_eventfd(), -EMFILE);
    ck_assert_str_eq(thi_fault_hit(), "eventfd");
    int fd = thi_sys_eventfd();
    ck_assert_int_ge(fd, 0);
    thi_fault_end();
    close(fd);
}
END_TEST

START_TEST(beyond_the_last_call_nothing_fails)
{
    int results[3];
    thi_fault_begin(4, EIO);
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_ptr_null(thi_fault_hit());
    ck_assert_uint_eq(thi_fault_end(), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(results[i], 0);
}
END_TEST

START_TEST(zero_only_counts)
{
    int results[3];
    thi_fault_begin(0, EIO);
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_ptr_null(thi_fault_hit());
    ck_assert_uint_eq(thi_fault_end(), 3);
}
END_TEST

START_TEST(end_restores_the_table_before)
{
    static thi_sys mine;
    mine = thi_sys_real;
    thi_sys_table = &mine;
    thi_fault_begin(1, EIO);
    thi_fault_begin(2, EIO); /* begun anew: counts anew */
    ck_assert_ptr_ne(thi_sys_table, &mine);
    thi_fault_end();
    ck_assert_ptr_eq(thi_sys_table, &mine);
    thi_fault_end();
    ck_assert_ptr_eq(thi_sys_table, &mine);
}
END_TEST

static void *call_elsewhere(void *arg)
{
    (void)arg;
    int fd = thi_sys_eventfd();
    close(fd);
    return (void *)(intptr_t)fd;
}

START_TEST(other_threads_are_left_alone)
{
    thi_fault_begin(1, EIO);
    pthread_t thread;
    void *fd = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, call_elsewhere, NULL), 0);
    pthread_join(thread, &fd);
    ck_assert_int_ge((intptr_t)fd, 0);
    ck_assert_int_eq(thi_sys_eventfd(), -EIO);
    thi_fault_end();
}
END_TEST

static void *count_along(void *arg)
{
    thi_sys_table = arg;
    int results[3];
    (void)three_calls(results);
    return (void *)(intptr_t)results[1];
}

/* As the threads of workers do. */
START_TEST(a_thread_that_takes_the_table_over_counts_along)
{
    pthread_t thread;
    void *result = NULL;
    int results[3];
    thi_fault_begin(5, EIO);
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, count_along, (void *)(uintptr_t)thi_sys_table),
                     0);
    pthread_join(thread, &result);
    ck_assert_int_eq((intptr_t)result, -EIO);
    ck_assert_str_eq(thi_fault_hit(), "write");
    ck_assert_uint_eq(thi_fault_end(), 6);
}
END_TEST

START_TEST(an_order_may_name_the_calls_that_count)
{
    int results[3];
    thi_fault_begin(0, 0);
    thi_fault_order("readv read", 1, ENOMEM);
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_int_eq(results[1], 8);
    ck_assert_int_eq(results[2], -ENOMEM);
    ck_assert_str_eq(thi_fault_hit(), "read");
    thi_fault_order("writev pwrite eventf", 1, ENOMEM); /* parts of names are no names */
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_ptr_null(thi_fault_hit());
    thi_fault_order(NULL, 3, EIO);
    ck_assert_int_eq(three_calls(results), 0);
    ck_assert_int_eq(results[2], -EIO);
    ck_assert_uint_eq(thi_fault_end(), 3);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "fault");
    tcase_add_test(tcase, only_the_nth_call_fails);
    tcase_add_test(tcase, first_call_may_fail);
    tcase_add_test(tcase, beyond_the_last_call_nothing_fails);
    tcase_add_test(tcase, zero_only_counts);
    tcase_add_test(tcase, end_restores_the_table_before);
    tcase_add_test(tcase, other_threads_are_left_alone);
    tcase_add_test(tcase, a_thread_that_takes_the_table_over_counts_along);
    tcase_add_test(tcase, an_order_may_name_the_calls_that_count);
}

int main(void)
{
    return thi_check_run("sys/fault", fill_suite);
}
