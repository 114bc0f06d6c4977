/* SPDX-License-Identifier: MIT */

/* The pools that are compared, each of so many threads. */
#ifndef BENCH_POOL_PEERS_H
#define BENCH_POOL_PEERS_H

#include <stdbool.h>
#include <stddef.h>

/* A pool to be measured. */
typedef struct pool_peer {
    bool (*start)(unsigned threads); /* false: it is not to be had */
    void (*burst)(size_t n);         /* n empty jobs, submitted at once, until all have run */
    void (*round_trip)(void);        /* one empty job and its answer */
    void (*stop)(void);
} pool_peer;

extern const pool_peer pool_peer_libuv;
extern const pool_peer pool_peer_cond;
extern const pool_peer pool_peer_thrum;         /* th_pool_submit() without futures */
extern const pool_peer pool_peer_thrum_futures; /* with one for each job */
extern const pool_peer pool_peer_thrum_fibers;  /* th_offload() in fibers */

#endif
