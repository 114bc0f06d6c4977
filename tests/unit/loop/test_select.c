/* SPDX-License-Identifier: MIT */

/* What only select has: an end of its descriptors. */
#include "engines_table.h"

#include "sys/machine.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/select.h>

static int calls;

static void count_call(thi_watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
    calls++;
}

/* A readable descriptor of a given number. */
static int readable_at(int number)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    ck_assert_int_eq(dup2(fd, number), number);
    close(fd);
    return number;
}

static thi_watch watched;

static int watch_number(int number)
{
    return thi_loop_watch(&loop, &watched, readable_at(number), 0, count_call);
}

START_TEST(highest_descriptor_of_a_set_works)
{
    ck_assert_int_gt(thi_machine_raise_nofile(), FD_SETSIZE);
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_select), 0);
    ck_assert_int_eq(watch_number(FD_SETSIZE - 1), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &watched, THI_READ), 0);
    turn_until(calls == 1);
    thi_loop_unwatch(&loop, &watched);
    settle();
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(descriptor_beyond_the_set_is_refused_in_words)
{
    ck_assert_int_gt(thi_machine_raise_nofile(), FD_SETSIZE);
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_select), 0);
    ck_assert_int_eq(watch_number(FD_SETSIZE), -ENFILE);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "select"));
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "1024"));
    settle();
    ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(other_engines_have_no_such_end)
{
    ck_assert_int_gt(thi_machine_raise_nofile(), FD_SETSIZE);
    open_loop(_i);
    if (is_engine(&thi_engine_select))
        return;
    ck_assert_int_eq(watch_number(FD_SETSIZE), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &watched, THI_READ), 0);
    turn_until(calls == 1);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "limit");
    tcase_add_test(tcase, highest_descriptor_of_a_set_works);
    tcase_add_test(tcase, descriptor_beyond_the_set_is_refused_in_words);
    add_for_engines(tcase, other_engines_have_no_such_end);
}

int main(void)
{
    return thi_check_run("loop/select", fill_suite);
}
