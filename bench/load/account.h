/* SPDX-License-Identifier: MIT */

/* What a measured stretch of time has cost: wall time, CPU time of client, servers and machine. */
#ifndef BENCH_LOAD_ACCOUNT_H
#define BENCH_LOAD_ACCOUNT_H

#include "load/engine.h"

#include <time.h>

/* A clock's time, ns. */
int64_t load_clock_ns(clockid_t id);

/* Begins a stretch: fills the result's times with readings that load_account_end() subtracts. */
void load_account_begin(const struct load_options *o, struct load_result *r);
void load_account_end(const struct load_options *o, struct load_result *r);

#endif
