/* SPDX-License-Identifier: MIT */

/*
 * Hashing and telling of events.
 *
 * The hash needs no strength against anybody, it must only make two runs that differ in a single
 * event differ in the end: multiply, rotate, add, word by word.
 */
#include "loop/sim_trace.h"

#include <stdio.h>

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

void thi_sim_trace_number(thi_sim *w, uint64_t number)
{
    w->result.hash = mix(w->result.hash, number);
}

void thi_sim_trace(thi_sim *w, const char *what, int64_t a, int64_t b)
{
    uint64_t hash = mix(w->result.hash, (uint64_t)w->now);
    for (const char *at = what; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    hash = mix(hash, (uint64_t)w->actor);
    hash = mix(hash, (uint64_t)a);
    w->result.hash = mix(hash, (uint64_t)b);
    if (!w->opts.trace)
        return;
    char line[256];
    snprintf(line, sizeof line, "%4lld.%09lld %2d %s %lld %lld", (long long)(w->now / 1000000000),
             (long long)(w->now % 1000000000), w->actor, what, (long long)a, (long long)b);
    w->opts.trace(w->opts.trace_arg, line);
}
