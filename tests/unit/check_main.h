/* SPDX-License-Identifier: MIT */

/* The main of a unit test: one suite, each test in a child process with a time limit of its own. */
#ifndef THI_CHECK_MAIN_H
#define THI_CHECK_MAIN_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
 * check has no word for a test that cannot run on this machine. Such a test is told in a file
 * beside check's own result file, where tools/results.py finds it.
 */
static inline const char *thi_check_skips_path(char path[4096])
{
    const char *results = getenv("CK_XML_LOG_FILE_NAME");
    snprintf(path, 4096, "%s.skipped", results ? results : "");
    return results ? path : NULL;
}

static inline void thi_check_skip(const char *function, const char *reason)
{
    char path[4096];
    int len = (int)strlen(function);
    if (len > 3 && strcmp(function + len - 3, "_fn") == 0) /* what START_TEST appends */
        len -= 3;
    fprintf(stderr, "skipped: %.*s: %s\n", len, function, reason);
    FILE *skips = thi_check_skips_path(path) ? fopen(path, "ae") : NULL;
    if (!skips)
        return;
    fprintf(skips, "%.*s: %s\n", len, function, reason);
    fclose(skips);
}

/*
 * Ends a test, as the first thing in it, where the machine lacks what it is about. What is asked is
 * whether the thing is there, never which machine this is.
 */
#define SKIP_UNLESS(condition, reason)                                                             \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            thi_check_skip(__func__, reason);                                                      \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/*
 * For main, where the machine lacks `what` the whole program is about: returns the exit code that
 * Meson calls skipped.
 */
static inline int thi_check_skip_all(const char *what, const char *reason)
{
    thi_check_skip(what, reason);
    return 77;
}

/*
 * Runs the suite `name` ("layer/module") whose cases `fill` adds, and prints check's summary.
 * Returns the exit code for main. A test is killed after 10 seconds unless its case says otherwise
 * (tcase_set_timeout); CK_DEFAULT_TIMEOUT and CK_TIMEOUT_MULTIPLIER stretch that for slow machines,
 * CK_FORK=no runs all in one process, for a debugger.
 */
static inline int thi_check_run(const char *name, void (*fill)(Suite *suite))
{
    char path[4096];
    setenv("CK_DEFAULT_TIMEOUT", "10", 0);
    if (thi_check_skips_path(path))
        remove(path); /* of an earlier run */
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
