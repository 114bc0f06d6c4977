/* SPDX-License-Identifier: MIT */

/* A whole program as one fiber: exit status and message. */
#include "capture.h"
#include "in_fiber.h"

#include "base/error.h"

static char *arguments[] = { "weaver", "--warp", "7", NULL };

static const th_run_opts one = { .workers = 1 };

static int seen_argc;
static char **seen_argv;
static int result;

static int app(int argc, char **argv)
{
    seen_argc = argc;
    seen_argv = argv;
    ck_assert_ptr_nonnull(th_fiber_self());
    return result;
}

START_TEST(the_function_gets_the_command_line)
{
    ck_assert_int_eq(th_main(app, 3, arguments, &one), 0);
    ck_assert_int_eq(seen_argc, 3);
    ck_assert_ptr_eq(seen_argv, arguments);
}
END_TEST

START_TEST(results_up_to_255_are_the_exit_status)
{
    result = 1;
    ck_assert_int_eq(th_main(app, 3, arguments, &one), 1);
    result = 255;
    ck_assert_int_eq(th_main(app, 3, arguments, &one), 255);
    result = 256;
    ck_assert_int_eq(th_main(app, 3, arguments, &one), 255);
}
END_TEST

static int run_app(void)
{
    return th_main(app, 3, arguments, &one);
}

START_TEST(success_says_nothing)
{
    capture c = run_captured(run_app);
    ck_assert_int_eq(c.status, 0);
    ck_assert_str_eq(c.said, "");
}
END_TEST

START_TEST(a_failure_is_told_in_one_line)
{
    result = -EPIPE;
    capture c = run_captured(run_app);
    ck_assert_int_eq(WEXITSTATUS(c.status), 1);
    ck_assert_str_eq(c.said, "weaver: Broken pipe\n");
}
END_TEST

static int app_with_detail(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return thi_err_set(TH_ECONFIG, "line 7: no such colour");
}

static int run_with_detail(void)
{
    return th_main(app_with_detail, 3, arguments, &one);
}

START_TEST(a_failures_detail_is_told_too)
{
    capture c = run_captured(run_with_detail);
    ck_assert_int_eq(WEXITSTATUS(c.status), 1);
    ck_assert_str_eq(c.said, "weaver: the configuration is wrong: line 7: no such colour\n");
}
END_TEST

static int run_on_nothing(void)
{
    return th_main(app, 3, arguments, &(th_run_opts){ .backend = "carrier pigeon" });
}

START_TEST(a_program_that_cannot_start_says_why)
{
    capture c = run_captured(run_on_nothing);
    ck_assert_int_eq(WEXITSTATUS(c.status), 1);
    expect_said(&c, "weaver: cannot start: Invalid argument: no back end is called "
                    "'carrier pigeon'");
}
END_TEST

static int run_without_name(void)
{
    return th_main(app, 0, NULL, &one);
}

static int run_without_function(void)
{
    return th_main(NULL, 3, arguments, &one);
}

START_TEST(a_program_needs_neither_name_nor_function_to_fail_well)
{
    result = -EIO;
    capture c = run_captured(run_without_name);
    ck_assert_str_eq(c.said, "program: Input/output error\n");
    c = run_captured(run_without_function);
    ck_assert_int_eq(WEXITSTATUS(c.status), 1);
    ck_assert_str_eq(c.said, "weaver: cannot start: Invalid argument\n");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "main");
    tcase_add_test(tcase, the_function_gets_the_command_line);
    tcase_add_test(tcase, results_up_to_255_are_the_exit_status);
    tcase_add_test(tcase, success_says_nothing);
    tcase_add_test(tcase, a_failure_is_told_in_one_line);
    tcase_add_test(tcase, a_failures_detail_is_told_too);
    tcase_add_test(tcase, a_program_that_cannot_start_says_why);
    tcase_add_test(tcase, a_program_needs_neither_name_nor_function_to_fail_well);
}

int main(void)
{
    return thi_check_run("runtime/main", fill);
}
