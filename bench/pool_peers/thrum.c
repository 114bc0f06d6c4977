/* SPDX-License-Identifier: MIT */

/*
 * Thrum's pool, three times: th_pool_submit() without futures, with a future for each job, and from
 * fibers, whose round trip goes through their worker's loop as libuv's does.
 */
#include "pool_peers/peers.h"

#include <thrum.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST_MAX = 1000 };

static th_pool *pool;
static th_future *futures[BURST_MAX];
static atomic_size_t left;
static th_promise *all_done;

static void must(int err)
{
    if (err < 0) {
        fprintf(stderr, "pool: %s\n", th_strerror(err));
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
    must(th_pool_new(
        &(th_pool_opts){ .threads_min = threads, .threads_max = threads, .queue_max = SIZE_MAX },
        &pool));
    return true;
}

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
}

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

const pool_peer pool_peer_thrum = { start, burst_plain, offload, stop };
const pool_peer pool_peer_thrum_futures = { start, burst_of_futures, future_and_wait, stop };
const pool_peer pool_peer_thrum_fibers = { start, burst_of_fibers, offload, stop };
