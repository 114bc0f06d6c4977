/* SPDX-License-Identifier: MIT */

/* The histogram against exact order statistics: prints what differs and fails, or is silent. */
#include "load/histogram.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALUES = 20000 };

static uint64_t values[VALUES];
static struct histogram histogram;
static int failures;

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* A cell is at most 1/128 of its value wide, and a percentile is its upper end. */
static void expect_near(const char *what, uint64_t found, uint64_t exact)
{
    if (found >= exact && found - exact <= exact / 128)
        return;
    fprintf(stderr, "%s: %" PRIu64 " instead of %" PRIu64 "\n", what, found, exact);
    failures++;
}

/* Values spread over all magnitudes up to 2^bits. */
static void check_spread(unsigned bits)
{
    static const double parts[] = { 0.001, 0.5, 0.9, 0.99, 0.999, 1 };

    histogram_reset(&histogram);
    for (size_t i = 0; i < VALUES; i++) {
        uint64_t random = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        values[i] = random >> (64 - bits + (unsigned)rand() % bits);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof *values, by_size);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t rank = (size_t)ceil(parts[i] * VALUES);
        expect_near("percentile", histogram_at(&histogram, parts[i]), values[rank - 1]);
    }
    if (histogram_at(&histogram, 1) != values[VALUES - 1] || histogram.max != values[VALUES - 1]) {
        fprintf(stderr, "the maximum is not exact\n");
        failures++;
    }
}

/* Each power of two and its neighbours, alone in the histogram. */
static void check_edges(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off;
            histogram_reset(&histogram);
            histogram_record(&histogram, value);
            expect_near("single value", histogram_at(&histogram, 0.5), value);
        }
    }
    histogram_reset(&histogram);
    expect_near("empty", histogram_at(&histogram, 0.5), 0);
    histogram_record(&histogram, UINT64_MAX);
    expect_near("largest", histogram_at(&histogram, 0.5), UINT64_MAX);
}

int main(void)
{
    srand(1);
    for (unsigned bits = 1; bits <= 63; bits += 2)
        check_spread(bits);
    check_edges();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
