/* SPDX-License-Identifier: MIT */

/*
 * Counters, gauges and histograms: counted per thread without contention, summed when read.
 *
 * A worker attaches a block of its own to its thread; counting is then a plain load, add and store.
 * Threads without a block count into one that all of them share, with atomic additions.
 */
#ifndef THI_BASE_METRICS_H
#define THI_BASE_METRICS_H

#include "base/metrics_list.h"
#include "base/util.h"

#include <thrum/defs.h>

#include <stdint.h>

/* THI_M_… for each counter and gauge. */
#define THI_METRIC_ID(kind, id, name, label, help) THI_M_##id,
typedef enum thi_metric { THI_METRIC_LIST(THI_METRIC_ID) THI_M_COUNT } thi_metric;

/* THI_H_… for each histogram. */
#define THI_HISTOGRAM_ID(id, name, help) THI_H_##id,
typedef enum thi_histogram { THI_HISTOGRAM_LIST(THI_HISTOGRAM_ID) THI_H_COUNT } thi_histogram;

typedef enum thi_metric_kind { THI_METRIC_COUNTER, THI_METRIC_GAUGE } thi_metric_kind;

/* How a metric is called; histograms have neither kind nor label. All strings are static. */
typedef struct thi_metric_info {
    thi_metric_kind kind;
    const char *name;
    const char *label; /* such as class="2xx", or empty */
    const char *help;
} thi_metric_info;

extern const thi_metric_info thi_metric_infos[THI_M_COUNT];
extern const thi_metric_info thi_histogram_infos[THI_H_COUNT];

/*
 * Buckets of a duration, two per octave: bucket i takes what is at most thi_histogram_bound(i) and
 * more than the bound before; the last takes the rest. Bounds are 8.2 us, 12.3 us, 16.4 us … 103 s.
 */
#define THI_HISTOGRAM_FIRST_OCTAVE 13
#define THI_HISTOGRAM_BUCKETS      49

/* One histogram's numbers. */
typedef struct thi_histogram_data {
    int64_t buckets[THI_HISTOGRAM_BUCKETS]; /* durations seen, not cumulated */
    int64_t sum;                            /* of all durations, in nanoseconds */
} thi_histogram_data;

/* A full set of numbers: a thread's own, or a sum. */
typedef struct thi_metrics {
    int64_t values[THI_M_COUNT];
    thi_histogram_data histograms[THI_H_COUNT];
} thi_metrics;

/* This thread's block; NULL when it has none. */
extern _Thread_local thi_metrics *thi_metrics_own __attribute__((tls_model("initial-exec")));

/* Gives this thread a block of its own: 0 or -ENOMEM; nothing to do when it has one. */
TH_MUST int thi_metrics_attach(void);

/* Folds this thread's block into what is shared and frees it. Before the thread ends. */
void thi_metrics_detach(void);

/* Sums up all threads into *sum. Counters of one thread may be a moment apart from each other. */
void thi_metrics_read(thi_metrics *sum);

/* The sum of one counter or gauge. */
int64_t thi_metric_read(thi_metric id);

/* Adds to a shared cell; what the inline functions do on a thread without a block. */
void thi_metrics_add_shared(thi_metric id, int64_t n);
void thi_metrics_observe_shared(thi_histogram id, int64_t ns);

/* Adds to a cell of this thread's block: others only read it, so no atomic addition is needed. */
static inline void thi_metrics_bump_(int64_t *cell, int64_t n)
{
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* Adds n to a counter (n >= 0) or a gauge (any n). */
static inline void thi_metric_add(thi_metric id, int64_t n)
{
    thi_metrics *own = thi_metrics_own;
    if (TH_LIKELY(own))
        thi_metrics_bump_(&own->values[id], n);
    else
        thi_metrics_add_shared(id, n);
}

/* The bucket of a duration in nanoseconds; a negative one counts as 0. */
static inline int thi_histogram_bucket(int64_t ns)
{
    if (ns <= (int64_t)1 << THI_HISTOGRAM_FIRST_OCTAVE)
        return 0;
    uint64_t below = (uint64_t)ns - 1; /* bounds belong to the bucket below */
    int octave = 63 - __builtin_clzll(below);
    int half = (int)(below >> (octave - 1)) & 1;
    return thi_min(2 * (octave - THI_HISTOGRAM_FIRST_OCTAVE) + half + 1, THI_HISTOGRAM_BUCKETS - 1);
}

/* The upper bound of a bucket in nanoseconds, inclusive; INT64_MAX for the last. */
static inline int64_t thi_histogram_bound(int bucket)
{
    if (bucket >= THI_HISTOGRAM_BUCKETS - 1)
        return INT64_MAX;
    return (int64_t)(2 + bucket % 2) << (bucket / 2 + THI_HISTOGRAM_FIRST_OCTAVE - 1);
}

/* Counts a duration of ns nanoseconds. */
static inline void thi_metric_observe(thi_histogram id, int64_t ns)
{
    thi_metrics *own = thi_metrics_own;
    if (TH_UNLIKELY(!own)) {
        thi_metrics_observe_shared(id, ns);
        return;
    }
    thi_metrics_bump_(&own->histograms[id].buckets[thi_histogram_bucket(ns)], 1);
    thi_metrics_bump_(&own->histograms[id].sum, ns);
}

#endif
