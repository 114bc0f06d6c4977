/* SPDX-License-Identifier: MIT */

/* A log-linear histogram of durations: constant space, under 1 % relative error, any range. */
#ifndef BENCH_LOAD_HISTOGRAM_H
#define BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7, /* 128 steps per power of two: a step is at most 1/128 of its value */
    HISTOGRAM_CELLS = (65 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS,
};

struct histogram {
    uint64_t total; /* values recorded */
    uint64_t sum;
    uint64_t max; /* exact */
    uint64_t cells[HISTOGRAM_CELLS];
};

/* Forgets all values. */
void histogram_reset(struct histogram *h);

/* Adds one value. */
void histogram_record(struct histogram *h, uint64_t value);

/*
 * The smallest bound that `part` (0 < part <= 1) of all values do not exceed, rounded up to the end
 * of its cell but never above the maximum. 0 for an empty histogram.
 */
uint64_t histogram_at(const struct histogram *h, double part);

#endif
