/* SPDX-License-Identifier: MIT */

/* Those who read files, compared by bench/micro_files.c. */
#ifndef BENCH_FILE_PEERS_H
#define BENCH_FILE_PEERS_H

#include <stdbool.h>
#include <stddef.h>

#define BLOCK ((size_t)4096)

/* Reads `count` blocks of the file, `depth` of them at a time; false: it is not to be had. */
bool file_peer_libuv(int fd, size_t blocks, size_t count, size_t depth);

/* A block to read next, the same sequence for all. */
static inline size_t next_block(unsigned *state, size_t blocks)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % blocks;
}

#endif
