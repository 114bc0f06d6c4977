/* SPDX-License-Identifier: MIT */

/* Tests of assertions: what they print, that they end the process, what they evaluate. */
#include "base/assert.h"

#include "check_main.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `misbehave` in a child whose standard error comes back in text; returns the wait status. */
static int run_failing(void (*misbehave)(void), char *text, size_t size)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
        dup2(ends[1], STDERR_FILENO);
        misbehave();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

/*
 * What is said of any program that aborts, and by whom we do not care: nothing by a kernel, but an
 * emulator has its say on the program's own standard error.
 */
static const char *said_of_any_abort(void)
{
    static char text[1024];
    run_failing(abort, text, sizeof text);
    return text;
}

static void fail_plainly(void)
{
    thi_assert_fail("some/file.c", 1234567, "a == b");
}

static void fail_condition(void)
{
    TH_ASSERT(1 + 1 == 3);
}

static void fail_at_great_length(void)
{
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    thi_assert_fail("f.c", 0, text);
}

START_TEST(failure_is_reported_in_one_line_and_aborts)
{
    char text[4096];
    char want[1200];
    snprintf(want, sizeof want, "some/file.c:1234567: assertion failed: a == b\n%s",
             said_of_any_abort());
    int status = run_failing(fail_plainly, text, sizeof text);
    ck_assert_str_eq(text, want);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

START_TEST(false_condition_names_itself)
{
    char text[4096];
    int status = run_failing(fail_condition, text, sizeof text);
    ck_assert(WIFSIGNALED(status));
    ck_assert_ptr_nonnull(strstr(text, "test_assert.c:"));
    ck_assert_ptr_nonnull(strstr(text, "1 + 1 == 3\n"));
}
END_TEST

START_TEST(long_text_is_cut_but_still_a_line)
{
    char text[4096];
    run_failing(fail_at_great_length, text, sizeof text);
    ck_assert_uint_gt(strlen(text), 400);
    ck_assert_uint_lt(strlen(text), 1000);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(true_condition_is_evaluated_once_and_passes)
{
    int calls = 0;
    TH_ASSERT(++calls == 1);
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(debug_assertion_is_evaluated_only_in_debug_builds)
{
    int calls = 0;
    TH_DEBUG_ASSERT(++calls == 1);
#ifdef NDEBUG
    ck_assert_int_eq(calls, 0);
#else
    ck_assert_int_eq(calls, 1);
#endif
}
END_TEST

static void fill(Suite *suite)
{
    TCase *failing = thi_check_case(suite, "failing");
    tcase_add_test(failing, failure_is_reported_in_one_line_and_aborts);
    tcase_add_test(failing, false_condition_names_itself);
    tcase_add_test(failing, long_text_is_cut_but_still_a_line);
    TCase *passing = thi_check_case(suite, "passing");
    tcase_add_test(passing, true_condition_is_evaluated_once_and_passes);
    tcase_add_test(passing, debug_assertion_is_evaluated_only_in_debug_builds);
}

int main(void)
{
    return thi_check_run("base/assert", fill);
}
