/* SPDX-License-Identifier: MIT */

/*
 * Running a scenario under many seeds.
 *
 * THRUM_SIM_SEEDS says how many (200 without it, fewer where CK_TIMEOUT_MULTIPLIER says that the
 * build is slow), THRUM_SIM_SEED=n runs that one alone, and with THRUM_SIM_TRACE=1 its trace goes
 * to standard error. A failure names its seed.
 */
#ifndef THI_TEST_SIM_SEEDS_H
#define THI_TEST_SIM_SEEDS_H

#include "check_main.h"

#include <thrum/error.h>
#include <thrum/fiber.h>
#include <thrum/scope.h>
#include <thrum/sim.h>
#include <thrum/time.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* What a scenario found wrong first; empty while nothing was. */
static char sim_failure[256];

static inline void sim_fail(const char *file, int line, const char *what, long long value)
{
    if (sim_failure[0] == '\0')
        snprintf(sim_failure, sizeof sim_failure, "%s:%d: %s (%lld)", file, line, what, value);
}

/*
 * What a scenario expects. A failure is noted and told after the run, because nothing may leave a
 * fiber's stack by a jump; the scenario goes on.
 */
#define expect(cond) ((cond) ? (void)0 : sim_fail(__FILE__, __LINE__, #cond, 0))
#define expect_value(cond, value)                                                                  \
    ((cond) ? (void)0 : sim_fail(__FILE__, __LINE__, #cond, (long long)(value)))

static inline uint64_t sim_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static inline uint64_t sim_count(void)
{
    uint64_t slow = sim_env("CK_TIMEOUT_MULTIPLIER", 1);
    return sim_env("THRUM_SIM_SEEDS", slow > 1 ? 200 / slow : 200);
}

static inline void sim_print(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "%s\n", line);
}

/* Runs a scenario once. Whatever it was, nothing may be left open or allocated. */
static inline th_sim_result sim_once(int (*app)(void *arg), void *arg, const th_sim_opts *opts)
{
    th_sim_result result;
    sim_failure[0] = '\0';
    int err = th_sim_run(app, arg, opts, &result);
    unsigned long long seed = opts->seed;
    if (err < 0)
        ck_abort_msg("seed %llu: %s: %s", seed, th_errname(err), th_err_detail());
    if (sim_failure[0])
        ck_abort_msg("seed %llu: %s", seed, sim_failure);
    if (result.open_descriptors != 0 || result.live_allocations != 0)
        ck_abort_msg("seed %llu: %zu descriptors and %lld allocations are left", seed,
                     result.open_descriptors, (long long)result.live_allocations);
    return result;
}

/*
 * Runs a scenario under all seeds; `configure` fills in the options for opts->seed. Every tenth run
 * is made twice, which must be the same run; neighbours must differ.
 */
static inline void sim_seeds(int (*app)(void *arg), void *arg, void (*configure)(th_sim_opts *opts))
{
    uint64_t only = sim_env("THRUM_SIM_SEED", UINT64_MAX);
    uint64_t first = only == UINT64_MAX ? 1 : only;
    uint64_t count = only == UINT64_MAX ? sim_count() : 1;
    uint64_t last_hash = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        th_sim_opts opts = { .seed = seed };
        configure(&opts);
        if (sim_env("THRUM_SIM_TRACE", 0))
            opts.trace = sim_print;
        th_sim_result result = sim_once(app, arg, &opts);
        ck_assert_uint_ne(result.hash, last_hash);
        last_hash = result.hash;
        if (seed % 10 == 0) {
            th_sim_result again = sim_once(app, arg, &opts);
            if (again.hash != result.hash || again.steps != result.steps)
                ck_abort_msg("seed %llu gave two different runs", (unsigned long long)seed);
        }
    }
}

/* A case whose tests may take as long as many seeds do. */
static inline TCase *sim_case(Suite *suite, const char *name)
{
    TCase *tcase = thi_check_case(suite, name);
    tcase_set_timeout(tcase, 600);
    return tcase;
}

#endif
