/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/simulation.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>

static int add(void *arg)
{
    int *sum = arg;
    int before = *sum;
    th_yield(); /* whoever else adds now is forgotten */
    *sum = before + 1;
    return 0;
}

/* Goes wrong under some schedules: two fibers of one worker, who yields first. */
static int scenario(void *arg)
{
    int sum = 0;
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, add, &sum);
    if (err == 0)
        err = th_spawn(&scope, add, &sum);
    th_scope_close(&scope);
    (void)arg;
    return err < 0 ? err : sum == 2 ? 0 : -EIO;
}

static int wait_a_little(void *arg)
{
    (void)arg;
    return th_sleep(TH_HOUR);
}

static int run_hostile(uint64_t seed)
{
#include "hostile.inc"
    th_sim_result result;
    return th_sim_run(wait_a_little, NULL, &opts, &result);
}

int main(void)
{
    if (run_hostile(1) < 0)
        return 1;
#include "explore.inc"
    if (err != -EIO || seen.runs < 1)
        printf("%s %s\n", th_errname(err), th_err_detail());
    return err != -EIO;
}
