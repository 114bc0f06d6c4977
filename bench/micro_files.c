/* SPDX-License-Identifier: MIT */

/*
 * Files: nanoseconds per read of 4 KiB from the page cache, one at a time and 32 at a time.
 *
 * Thrum is there three times: as it is, which tries at once and succeeds; with all reads by the
 * ring; and with all of them by the pool `files`, which is what it does for what is not in memory
 * on an engine that reads no files. pread(2) is the bare system call. All take turns in each round,
 * because the machine is never twice the same; shown are the median over the rounds and the best.
 */
#include "file_peers/peers.h"

#include "io/fileway.h"

#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCKS ((size_t)4096) /* 16 MiB */
#define COUNT  4000           /* reads in a round */
#define ROUNDS 25

static th_file *file;
static int fd;
static size_t depth;

static void must(int err)
{
    if (err < 0) {
        fprintf(stderr, "micro_files: %s\n", th_strerror(err));
        exit(1);
    }
}

static int read_blocks(void *arg)
{
    unsigned state = (unsigned)(size_t)arg;
    static char bytes[64][BLOCK]; /* the stack of a fiber is small */
    for (size_t i = 0; i < COUNT / depth; i++) {
        int64_t at = (int64_t)(next_block(&state, BLOCKS) * BLOCK);
        if (th_file_pread(file, bytes[(size_t)arg], BLOCK, at) != (ssize_t)BLOCK)
            return -EIO;
    }
    return 0;
}

static int read_in_fibers(void *arg)
{
    th_scope scope;
    int64_t began = th_now();
    must(th_scope_open(&scope, NULL));
    for (size_t i = 0; i < depth; i++)
        must(th_spawn(&scope, read_blocks, (void *)i));
    must(th_scope_close(&scope));
    *(int64_t *)arg = th_now() - began;
    return 0;
}

static int64_t time_thrum(const char *backend, unsigned ways)
{
    int64_t took = 0;
    th_run_opts opts = { .workers = 1, .no_signals = 1, .backend = backend };
    atomic_store(&thi_fileways, ways);
    must(th_run(read_in_fibers, &took, &opts));
    return took;
}

static int64_t time_as_it_is(void)
{
    return time_thrum("epoll", THI_FILEWAY_ALL);
}

static int64_t time_ring(void)
{
    return time_thrum("uring", THI_FILEWAY_ENGINE);
}

static int64_t time_pool(void)
{
    return time_thrum("epoll", 0);
}

static int64_t time_libuv(void)
{
    int64_t began = th_now();
    return file_peer_libuv(fd, BLOCKS, COUNT, depth) ? th_now() - began : -1;
}

static int64_t time_pread(void)
{
    static char bytes[BLOCK];
    unsigned state = 0;
    int64_t began = th_now();
    for (size_t i = 0; i < COUNT; i++)
        if (pread(fd, bytes, BLOCK, (off_t)(next_block(&state, BLOCKS) * BLOCK)) < 0)
            must(-EIO);
    return th_now() - began;
}

typedef struct row {
    const char *name;
    int64_t (*time)(void);
    int64_t taken[2][ROUNDS]; /* ns per read; one at a time, and many */
} row;

static row rows[] = {
    { .name = "thrum", .time = time_as_it_is },   { .name = "thrum, ring", .time = time_ring },
    { .name = "thrum, pool", .time = time_pool }, { .name = "libuv", .time = time_libuv },
    { .name = "pread(2)", .time = time_pread },
};

#define ROWS (sizeof rows / sizeof rows[0])

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void make_file(void)
{
    static char bytes[BLOCK];
    char path[] = "/tmp/thrum-files-XXXXXX";
    fd = mkstemp(path);
    must(fd < 0 ? -EIO : 0);
    (void)unlink(path);
    for (size_t i = 0; i < BLOCKS; i++)
        must(write(fd, bytes, BLOCK) == (ssize_t)BLOCK ? 0 : -EIO);
    must(th_file_adopt(dup(fd), &file));
}

static void show(row *r)
{
    if (r->taken[0][0] < 0) {
        printf("%-14s is not installed\n", r->name);
        return;
    }
    printf("%-14s", r->name);
    for (int many = 0; many < 2; many++) {
        qsort(r->taken[many], ROUNDS, sizeof r->taken[many][0], by_size);
        printf(" %10lld %8lld", (long long)r->taken[many][ROUNDS / 2],
               (long long)r->taken[many][0]);
    }
    printf("\n");
}

int main(void)
{
    static const size_t depths[] = { 1, 32 };
    make_file();
    for (int round = 0; round < ROUNDS; round++)
        for (int many = 0; many < 2; many++)
            for (size_t i = 0; i < ROWS; i++) {
                depth = depths[many];
                int64_t took = rows[i].time();
                rows[i].taken[many][round] = took < 0 ? -1 : took / COUNT;
            }
    printf("ns per read of 4 KiB from the page cache: median and best of %d rounds\n", ROUNDS);
    printf("%-14s %10s %8s %10s %8s\n", "", "one", "best", "32 at once", "best");
    for (size_t i = 0; i < ROWS; i++)
        show(&rows[i]);
    th_file_free(file);
    return 0;
}
