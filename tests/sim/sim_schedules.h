/* SPDX-License-Identifier: MIT */

/* Running a small scenario under every schedule. */
#ifndef THI_TEST_SIM_SCHEDULES_H
#define THI_TEST_SIM_SCHEDULES_H

#include "sim_seeds.h"

#include <errno.h>

/* Explores a scenario, of which no run may fail, hang, leave anything, or miss an expectation. */
static inline th_sim_explored explore(int (*app)(void *arg), unsigned workers, unsigned depth)
{
    bool slow = sim_count() < 100; /* a build in which the whole tree would take too long */
    th_sim_opts world = { .workers = workers };
    th_sim_explore_opts opts = { .depth = depth, .runs_max = slow ? 1000 : 200000, .sim = &world };
    th_sim_explored seen;
    sim_failure[0] = '\0';
    int err = th_sim_explore(app, NULL, &opts, &seen);
    if (err < 0 || sim_failure[0])
        ck_abort_msg("schedule \"%s\": %s: %s", seen.schedule, sim_failure, th_err_detail());
    ck_assert_uint_eq(seen.open_descriptors, 0);
    ck_assert_int_eq(seen.live_allocations, 0);
    ck_assert(seen.complete || slow);
    ck_assert_uint_gt(seen.runs, 1);
    return seen;
}

/* To be returned by a scenario: an expectation that failed ends the exploration there. */
static inline int verdict(void)
{
    return sim_failure[0] ? -EPROTO : 0;
}

#endif
