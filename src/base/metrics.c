/* SPDX-License-Identifier: MIT */

/*
 * Storage of metrics: blocks of threads, and the sum over them.
 *
 * Each block fills cache lines of its own. The registry is locked when a thread attaches, detaches
 * or reads, never when it counts. The block of a thread that detaches is added to `shared` under
 * the same lock, so that a reader sees its numbers exactly once, in one place or the other.
 */
#include "base/metrics.h"

#include "base/alloc.h"
#include "base/list.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#define METRIC_ROW(kind, id, name, label, help) { THI_METRIC_##kind, name, label, help },
const thi_metric_info thi_metric_infos[THI_M_COUNT] = { THI_METRIC_LIST(METRIC_ROW) };

#define HISTOGRAM_ROW(id, name, help) { THI_METRIC_COUNTER, name, "", help },
const thi_metric_info thi_histogram_infos[THI_H_COUNT] = { THI_HISTOGRAM_LIST(HISTOGRAM_ROW) };

/* A thread's block as it is registered. */
struct block {
    thi_metrics metrics;
    thi_list link;
    void *memory; /* what was allocated; the block is aligned within */
};

_Thread_local thi_metrics *thi_metrics_own __attribute__((tls_model("initial-exec")));

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static thi_list blocks = THI_LIST_INIT(blocks);
static thi_metrics shared; /* of threads that ended or never attached; atomic additions only */

int thi_metrics_attach(void)
{
    if (thi_metrics_own)
        return 0;
    size_t size = thi_align_up(sizeof(struct block), THI_CACHE_LINE);
    void *memory = thi_calloc(1, size + THI_CACHE_LINE - 1);
    if (!memory)
        return -ENOMEM;
    struct block *block = (void *)thi_align_up((uintptr_t)memory, THI_CACHE_LINE);
    block->memory = memory;
    pthread_mutex_lock(&gate);
    thi_list_push_back(&blocks, &block->link);
    pthread_mutex_unlock(&gate);
    thi_metrics_own = &block->metrics;
    return 0;
}

static void add_shared(int64_t *cell, int64_t n)
{
    __atomic_fetch_add(cell, n, __ATOMIC_RELAXED);
}

/* Both structures are nothing but int64_t: a block is added as one array of cells. */
enum { CELLS = sizeof(thi_metrics) / sizeof(int64_t) };
_Static_assert(CELLS * sizeof(int64_t) == sizeof(thi_metrics), "metrics have no padding");

static int64_t *cells_of(thi_metrics *metrics)
{
    return (int64_t *)(void *)metrics;
}

static void add_all(thi_metrics *to, thi_metrics *from)
{
    int64_t *target = cells_of(to), *source = cells_of(from);
    for (size_t i = 0; i < CELLS; i++)
        add_shared(&target[i], __atomic_load_n(&source[i], __ATOMIC_RELAXED));
}

void thi_metrics_detach(void)
{
    if (!thi_metrics_own)
        return;
    struct block *block = thi_container_of(thi_metrics_own, struct block, metrics);
    thi_metrics_own = NULL;
    pthread_mutex_lock(&gate);
    add_all(&shared, &block->metrics);
    thi_list_remove(&block->link);
    pthread_mutex_unlock(&gate);
    thi_free(block->memory);
}

void thi_metrics_read(thi_metrics *sum)
{
    *sum = (thi_metrics){ .values = { 0 } };
    pthread_mutex_lock(&gate);
    add_all(sum, &shared);
    thi_list_each (link, &blocks)
        add_all(sum, &thi_list_item(link, struct block, link)->metrics);
    pthread_mutex_unlock(&gate);
}

int64_t thi_metric_read(thi_metric id)
{
    pthread_mutex_lock(&gate);
    int64_t sum = __atomic_load_n(&shared.values[id], __ATOMIC_RELAXED);
    thi_list_each (link, &blocks) {
        struct block *block = thi_list_item(link, struct block, link);
        sum += __atomic_load_n(&block->metrics.values[id], __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&gate);
    return sum;
}

void thi_metrics_add_shared(thi_metric id, int64_t n)
{
    add_shared(&shared.values[id], n);
}

void thi_metrics_observe_shared(thi_histogram id, int64_t ns)
{
    add_shared(&shared.histograms[id].buckets[thi_histogram_bucket(ns)], 1);
    add_shared(&shared.histograms[id].sum, ns);
}
