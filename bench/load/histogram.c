/* SPDX-License-Identifier: MIT */

/*
 * Log-linear histogram of durations.
 *
 * Values below 128 have a cell each. Above, each power of two is divided into 128 equal cells: the
 * cell number is the exponent and the seven bits below the leading one, so that recording is a
 * count of leading zeros, a shift and an addition. This is the layout of HdrHistogram.
 */
#include "load/histogram.h"

#include <math.h>
#include <string.h>

static unsigned cell_of(uint64_t value)
{
    const uint64_t linear = UINT64_C(1) << HISTOGRAM_SUB_BITS;

    if (value < linear)
        return (unsigned)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

/* The largest value that falls into the cell. */
static uint64_t cell_end(unsigned cell)
{
    const unsigned linear = 1U << HISTOGRAM_SUB_BITS;

    if (cell < 2 * linear)
        return cell;
    unsigned shift = (cell >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t first = (uint64_t)(cell - (shift << HISTOGRAM_SUB_BITS)) << shift;
    return first + ((UINT64_C(1) << shift) - 1);
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_record(struct histogram *h, uint64_t value)
{
    h->cells[cell_of(value)]++;
    h->total++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
    uint64_t rank = (uint64_t)ceil(part * (double)h->total);
    uint64_t seen = 0;

    if (h->total == 0)
        return 0;
    for (unsigned cell = 0; cell < HISTOGRAM_CELLS; cell++) {
        seen += h->cells[cell];
        if (seen >= rank && seen > 0)
            return cell_end(cell) < h->max ? cell_end(cell) : h->max;
    }
    return h->max;
}
