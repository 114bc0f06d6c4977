/* SPDX-License-Identifier: MIT */

/* uv_queue_work() on libuv's one pool. */
#include "pool_peers/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static uv_loop_t loop;

static void nothing(uv_work_t *work)
{
    (void)work;
}

static void after(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

static bool start(unsigned threads)
{
    char text[16];
    snprintf(text, sizeof text, "%u", threads);
    setenv("UV_THREADPOOL_SIZE", text, 1);
    return uv_loop_init(&loop) == 0;
}

static void burst(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uv_work_t *work = malloc(sizeof *work);
        if (!work || uv_queue_work(&loop, work, nothing, after) != 0)
            abort();
    }
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void round_trip(void)
{
    burst(1);
}

static void stop(void)
{
    uv_loop_close(&loop);
}

const pool_peer pool_peer_libuv = { start, burst, round_trip, stop };
