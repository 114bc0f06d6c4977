/* SPDX-License-Identifier: MIT */

/*
 * Thread pools: nanoseconds per empty job, and the time to an answer.
 *
 * "burst" submits a thousand empty jobs from one thread and waits until all have run; "round trip"
 * hands over one and waits for its answer. All pools have as many threads, and take turns in each
 * round, because the machine is never twice the same. The median over the rounds is shown, and the
 * best one, since noise mostly adds.
 *
 * Thrum is there three times: th_pool_submit() without futures, with a future for each job, and
 * from a fiber, whose round trip goes through its worker's loop as libuv's does.
 */
#include "pool_peers/peers.h"

#include <thrum.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS    2
#define BURST      1000
#define ROUNDS     40
#define ROUND_TRIP 300 /* of them in a round */

static th_pool *pool;
static th_future *futures[BURST];

static void must(int err)
{
    if (err < 0) {
        fprintf(stderr, "micro_pool: %s\n", th_strerror(err));
        exit(1);
    }
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static bool start(unsigned threads)
{
    if (!pool)
        must(th_pool_new(&(th_pool_opts){ .threads_min = threads,
                                          .threads_max = threads,
                                          .queue_max = SIZE_MAX },
                         &pool));
    return true;
}

static atomic_size_t left;
static th_promise *all_done;

static int count_down(void *arg)
{
    (void)arg;
    if (atomic_fetch_sub(&left, 1) == 1)
        must(th_promise_set(all_done, 0));
    return 0;
}

static void burst_plain(size_t n)
{
    th_future *done;
    must(th_promise_new(&all_done, &done));
    atomic_store(&left, n);
    for (size_t i = 0; i < n; i++)
        must(th_pool_submit(pool, count_down, NULL, TH_POOL_NORMAL, NULL));
    must(th_future_wait(done, NULL));
    th_future_unref(done);
    th_promise_free(all_done);
}

static void burst_of_futures(size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(th_pool_submit(pool, nothing, NULL, TH_POOL_NORMAL, &futures[i]));
    must(th_future_wait_all(futures, n));
    for (size_t i = 0; i < n; i++)
        th_future_unref(futures[i]);
}

static void offload(void)
{
    must(th_offload(pool, nothing, NULL));
}

static void future_and_wait(void)
{
    burst_of_futures(1);
}

static void stop(void)
{
    must(th_pool_free(pool));
    pool = NULL;
}

/* ---- fibers ---- */

static int offload_once(void *arg)
{
    (void)arg;
    return th_offload(pool, nothing, NULL);
}

/* A fiber for each job. */
static void burst_of_fibers(size_t n)
{
    th_scope scope;
    must(th_scope_open(&scope, NULL));
    for (size_t i = 0; i < n; i++)
        must(th_spawn(&scope, offload_once, NULL));
    must(th_scope_close(&scope));
}

static const pool_peer plain = { "thrum, no futures", start, burst_plain, offload, NULL };
static const pool_peer with_futures = { "thrum, futures", start, burst_of_futures, future_and_wait,
                                        NULL };
static const pool_peer in_fibers = { "thrum, fibers", start, burst_of_fibers, offload, stop };

/* ---- measuring ---- */

typedef struct row {
    const pool_peer *peer;
    bool fiber; /* measured from a fiber */
    int64_t burst[ROUNDS];
    int64_t round_trip[ROUNDS];
} row;

static row rows[] = {
    { .peer = &plain },
    { .peer = &with_futures },
    { .peer = &in_fibers, .fiber = true },
    { .peer = &pool_peer_libuv },
    { .peer = &pool_peer_cond },
};

#define ROWS (sizeof rows / sizeof rows[0])

static int measured; /* the round */

static int measure(void *arg)
{
    row *r = arg;
    r->peer->burst(BURST); /* stacks and threads are there now, memory is warm */
    int64_t began = th_now();
    r->peer->burst(BURST);
    int64_t between = th_now();
    for (int i = 0; i < ROUND_TRIP; i++)
        r->peer->round_trip();
    r->burst[measured] = (between - began) / BURST;
    r->round_trip[measured] = (th_now() - between) / ROUND_TRIP;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void show(row *r)
{
    qsort(r->burst, ROUNDS, sizeof r->burst[0], by_size);
    qsort(r->round_trip, ROUNDS, sizeof r->round_trip[0], by_size);
    printf("%-22s %8lld %8lld %12lld %8lld\n", r->peer->name, (long long)r->burst[ROUNDS / 2],
           (long long)r->burst[0], (long long)r->round_trip[ROUNDS / 2],
           (long long)r->round_trip[0]);
}

int main(void)
{
    bool there[ROWS];
    th_run_opts opts = { .workers = 1, .no_signals = 1 };
    for (size_t i = 0; i < ROWS; i++)
        there[i] = rows[i].peer->start(THREADS);
    for (measured = 0; measured < ROUNDS; measured++)
        for (size_t i = 0; i < ROWS; i++)
            if (there[i])
                must(rows[i].fiber ? th_run(measure, &rows[i], &opts) : measure(&rows[i]));
    printf("%d threads; ns: median and best of %d rounds\n", THREADS, ROUNDS);
    printf("%-22s %8s %8s %12s %8s\n", "", "per job", "best", "round trip", "best");
    for (size_t i = 0; i < ROWS; i++) {
        if (there[i])
            show(&rows[i]);
        else
            printf("%-22s is not installed\n", rows[i].peer->name);
        if (there[i] && rows[i].peer->stop)
            rows[i].peer->stop();
    }
    return 0;
}
