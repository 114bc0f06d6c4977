/* SPDX-License-Identifier: MIT */

/* uv_fs_read() on libuv's pool, with as many threads as Thrum's. */
#include "file_peers/peers.h"

#include <stdint.h>
#include <stdlib.h>
#include <uv.h>

#define DEPTH_MAX 64

typedef struct reading {
    uv_fs_t request;
    char bytes[BLOCK];
} reading;

static uv_loop_t loop;
static reading readings[DEPTH_MAX];
static int file;
static size_t file_blocks;
static size_t left;
static unsigned state;

static void start_next(reading *r);

static void on_read(uv_fs_t *request)
{
    if (request->result != (ssize_t)BLOCK)
        abort();
    uv_fs_req_cleanup(request);
    start_next((reading *)request);
}

static void start_next(reading *r)
{
    uv_buf_t buf = uv_buf_init(r->bytes, BLOCK);
    if (left == 0)
        return;
    left--;
    int64_t at = (int64_t)(next_block(&state, file_blocks) * BLOCK);
    if (uv_fs_read(&loop, &r->request, file, &buf, 1, at, on_read) != 0)
        abort();
}

bool file_peer_libuv(int fd, size_t blocks, size_t count, size_t depth)
{
    static bool open;
    if (!open) {
        setenv("UV_THREADPOOL_SIZE", "8", 1);
        open = uv_loop_init(&loop) == 0;
    }
    file = fd;
    file_blocks = blocks;
    left = count;
    for (size_t i = 0; i < depth; i++)
        start_next(&readings[i]);
    uv_run(&loop, UV_RUN_DEFAULT);
    return true;
}
