/* SPDX-License-Identifier: MIT */

/* Runs a test once for each back end that the machine lets us open. */
#ifndef THI_TEST_ENGINES_TABLE_H
#define THI_TEST_ENGINES_TABLE_H

#include "check_main.h"

#include "base/util.h"
#include "loop/engines.h"
#include "sys/sys.h"

#include <thrum/error.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const thi_engine *const every_engine[] = {
    &thi_engine_epoll,
    &thi_engine_uring,
    &thi_engine_poll,
    &thi_engine_select,
};

/* The loop under test; a test process has one. */
static thi_loop loop;

static inline void open_loop(int engine)
{
    ck_assert_int_eq(thi_loop_open(&loop, every_engine[engine]), 0);
}

static inline bool is_engine(const thi_engine *engine)
{
    return loop.engine == engine;
}

/*
 * valgrind (3.19) lets no other thread run while one waits in io_uring_enter: tests with threads
 * would wait for ever.
 */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

/* Why the test cannot run on the engine, NULL when it can. */
static inline const char *hindrance(const thi_engine *engine, bool concurrent)
{
    if (concurrent && RUNNING_ON_VALGRIND && engine == &thi_engine_uring)
        return "valgrind stands still while it waits";
    int err = thi_loop_open(&loop, engine);
    if (err < 0)
        return th_strerror(err);
    thi_loop_close(&loop);
    return NULL;
}

/* Stands for a test that cannot run, and was told to be skipped when it was added. */
START_TEST(not_on_this_machine) {}
END_TEST

static inline void add_where_possible(TCase *tcase, const TTest *test, bool concurrent)
{
    char what[256];
    for (int i = 0; i < (int)thi_array_len(every_engine); i++) {
        const char *why = hindrance(every_engine[i], concurrent);
        if (!why) {
            tcase_add_loop_test(tcase, test, i, i + 1);
            continue;
        }
        snprintf(what, sizeof what, "%s on %s", test->name, every_engine[i]->name);
        thi_check_skip(what, why);
        tcase_add_test(tcase, not_on_this_machine);
    }
}

/* Adds the test once for each engine; its index reaches the test as `_i`. */
static inline void add_for_engines(TCase *tcase, const TTest *test)
{
    add_where_possible(tcase, test, false);
}

/* The same for a test in which threads or signal handlers run while the loop waits. */
static inline void add_concurrent_for_engines(TCase *tcase, const TTest *test)
{
    add_where_possible(tcase, test, true);
}

/* Polls until what the kernel knows has been told; a shared watch may have no end of it. */
static inline void settle(void)
{
    int quiet = 0;
    for (int i = 0; i < 500 && quiet < 3; i++) {
        int seen = thi_loop_turn(&loop, 0);
        ck_assert_int_ge(seen, 0);
        quiet = seen == 0 ? quiet + 1 : 0;
    }
}

/* Turns until the condition holds; the test's time limit is the patience. */
#define turn_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_ge(thi_loop_turn(&loop, INT64_MAX), 0)

/* Open descriptors of the process below 256. */
static inline int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

#endif
