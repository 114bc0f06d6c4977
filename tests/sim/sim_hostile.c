/* SPDX-License-Identifier: MIT */

/* Servers of all three ways among hostile clients, on the simulated network. */
#include "sim_seeds.h"

#include "callback/hostile.h"

static int run_way(void *arg)
{
    hostile_stage *st = arg;
    int result = hostile_scenario(st);
    if (st->wrong[0])
        sim_fail(__FILE__, __LINE__, st->wrong, 0);
    return result;
}

static void friendly(th_sim_opts *opts)
{
    opts->workers = 1 + (unsigned)(opts->seed % 2);
}

/* What arrives, arrives in pieces, and what is ready says that it is not. */
static void slow(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_SHORT_READ].per_million = 200000;
    opts->faults[TH_SIM_SHORT_WRITE].per_million = 200000;
    opts->faults[TH_SIM_AGAIN].per_million = 100000;
}

START_TEST(who_is_honest_is_served)
{
    hostile_stage st = { .way = _i };
    sim_seeds(run_way, &st, friendly);
}
END_TEST

START_TEST(who_is_honest_is_served_if_slowly)
{
    hostile_stage st = { .way = _i };
    sim_seeds(run_way, &st, slow);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = sim_case(suite, "hostile clients");
    tcase_add_loop_test(tcase, who_is_honest_is_served, 0, HOSTILE_WAYS);
    tcase_add_loop_test(tcase, who_is_honest_is_served_if_slowly, 0, HOSTILE_WAYS);
}

int main(void)
{
    return thi_check_run("sim/hostile", fill);
}
