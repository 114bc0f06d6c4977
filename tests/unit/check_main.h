/* SPDX-License-Identifier: MIT */

/* The main of a unit test: one suite, each test in a child process with a time limit of its own. */
#ifndef THI_CHECK_MAIN_H
#define THI_CHECK_MAIN_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/*
 * check notes each assertion that holds in a file, to say of a crash after which one it came. In a
 * loop these notes cost more than the test; here each line of a test notes itself once.
 */
static inline void thi_check_mark(const char *file, int line)
{
    static atomic_bool seen[4096];
    if (line < (int)(sizeof seen / sizeof seen[0]) &&
        atomic_exchange_explicit(&seen[line], true, memory_order_relaxed))
        return;
    _mark_point(file, line);
}

#define _mark_point(file, line) thi_check_mark(file, line)

/*
 * Runs the suite `name` ("layer/module") whose cases `fill` adds, and prints check's summary.
 * Returns the exit code for main. A test is killed after 10 seconds unless its case says otherwise
 * (tcase_set_timeout); CK_DEFAULT_TIMEOUT and CK_TIMEOUT_MULTIPLIER stretch that for slow machines,
 * CK_FORK=no runs all in one process, for a debugger.
 */
static inline int thi_check_run(const char *name, void (*fill)(Suite *suite))
{
    setenv("CK_DEFAULT_TIMEOUT", "10", 0);
    Suite *suite = suite_create(name);
    fill(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int ran = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Adds a case named `name` to the suite; tcase_add_test() then fills it. */
static inline TCase *thi_check_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    suite_add_tcase(suite, tcase);
    return tcase;
}

#endif
