/* SPDX-License-Identifier: MIT */

/*
 * Running under every schedule.
 *
 * A run is repeated with a list of choices to make; beyond the list it takes the first alternative
 * each time, and notes how many there were. The next list is the present one up to the last choice
 * that has an alternative left, with that taken: a depth-first walk over the tree of schedules,
 * which needs no more memory than one path.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "runtime/sim.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdio.h>

#define DEPTH_DEFAULT 16
#define DEPTH_MAX     4096
#define RUNS_DEFAULT  100000

/* Goes on to the next list of choices; false when there is none. */
static bool advance(thi_sim_schedule *s)
{
    size_t i = thi_min(s->made, s->room);
    while (i > 0 && s->chosen[i - 1] + 1 >= s->of[i - 1])
        i--;
    if (i == 0)
        return false;
    s->chosen[i - 1]++;
    s->given = i;
    s->made = 0;
    return true;
}

/* The choices of the last run, as far as they were not the first alternative anyway. */
static void format(const thi_sim_schedule *s, char *text, size_t size)
{
    size_t count = thi_min(s->made, s->room);
    size_t len = 0;
    while (count > 0 && s->chosen[count - 1] == 0)
        count--;
    text[0] = '\0';
    for (size_t i = 0; i < count && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, i > 0 ? ".%u" : "%u", s->chosen[i]);
}

static void note(th_sim_explored *seen, const thi_sim_schedule *s, const th_sim_result *result)
{
    seen->runs++;
    seen->choices = thi_max(seen->choices, s->made);
    seen->open_descriptors = thi_max(seen->open_descriptors, result->open_descriptors);
    seen->live_allocations = thi_max(seen->live_allocations, result->live_allocations);
}

static int walk(int (*app)(void *arg), void *arg, const th_sim_explore_opts *opts,
                thi_sim_schedule *s, th_sim_explored *seen)
{
    th_sim_result result;
    int err;
    do {
        if (seen->runs == (opts->runs_max ? opts->runs_max : RUNS_DEFAULT))
            return 0;
        err = thi_sim_run(app, arg, opts->sim, s, &result);
        note(seen, s, &result);
        format(s, seen->schedule, sizeof seen->schedule);
        if (err < 0)
            return thi_err_set(err, "run %llu, schedule \"%s\": %s", (unsigned long long)seen->runs,
                               seen->schedule, result.verdict < 0 ? th_err_detail() : "failed");
    } while (advance(s));
    seen->complete = 1;
    return 0;
}

int th_sim_explore(int (*app)(void *arg), void *arg, const th_sim_explore_opts *opts,
                   th_sim_explored *explored)
{
    static const th_sim_explore_opts defaults;
    if (!opts)
        opts = &defaults;
    if (!app || opts->size > sizeof *opts || opts->depth > DEPTH_MAX)
        return -EINVAL;
    if (thi_worker_self || thi_sim_self)
        return -EBUSY;
    size_t depth = opts->depth ? opts->depth : DEPTH_DEFAULT;
    thi_sim_schedule schedule = { .chosen = thi_calloc(depth, sizeof *schedule.chosen),
                                  .of = thi_calloc(depth, sizeof *schedule.of),
                                  .room = depth };
    th_sim_explored seen = { 0 };
    int err = schedule.chosen && schedule.of ? walk(app, arg, opts, &schedule, &seen) : -ENOMEM;
    thi_free(schedule.chosen);
    thi_free(schedule.of);
    if (explored)
        *explored = seen;
    return err;
}
