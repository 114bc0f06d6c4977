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

/* Adds the test once for each engine; its index reaches the test as `_i`. */
static inline void add_for_engines(TCase *tcase, const TTest *test)
{
    for (int i = 0; i < (int)thi_array_len(every_engine); i++) {
        thi_loop probe;
        int err = thi_loop_open(&probe, every_engine[i]);
        if (err == 0) {
            thi_loop_close(&probe);
            tcase_add_loop_test(tcase, test, i, i + 1);
        } else {
            fprintf(stderr, "not tested on %s: %s\n", every_engine[i]->name, th_strerror(err));
        }
    }
}

/* Polls for what is there already: what the kernel knows is told within a few turns. */
static inline void settle(void)
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
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
