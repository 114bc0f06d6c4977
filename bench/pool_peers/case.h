/* SPDX-License-Identifier: MIT */

/*
 * How a pool is measured: bursts of empty jobs, and round trips of one, in wall-clock time.
 *
 * A pool's threads and its submitter are more than the CPUs of a small machine, and who runs when
 * is the kernel's choice: so the median over many short stretches is taken, not the mean over all.
 */
#ifndef BENCH_POOL_CASE_H
#define BENCH_POOL_CASE_H

#include "fiber_peers/peer.h"
#include "pool_peers/peers.h"

enum { POOL_THREADS = 2, POOL_BURST = 1000, POOL_TRIPS = 100, POOL_STRETCHES = 4096 };

static inline int pool_by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline void pool_trips(const pool_peer *peer)
{
    for (int i = 0; i < POOL_TRIPS; i++)
        peer->round_trip();
}

/* Nanoseconds per job of `count` jobs in stretches: a burst each, or a number of round trips. */
static inline int pool_measure(const pool_peer *peer, int trips, unsigned long count,
                               struct peer_result *r)
{
    static double took[POOL_STRETCHES];
    unsigned long each = trips ? POOL_TRIPS : POOL_BURST;
    unsigned long stretches = count / each;

    if (stretches == 0 || stretches > POOL_STRETCHES || !peer->start(POOL_THREADS))
        return -1;
    peer->burst(POOL_BURST); /* threads and memory are there now */
    for (unsigned long i = 0; i < stretches; i++) {
        double begin = peer_wall();
        if (trips)
            pool_trips(peer);
        else
            peer->burst(POOL_BURST);
        took[i] = (peer_wall() - begin) * 1e9 / (double)each;
    }
    qsort(took, stretches, sizeof took[0], pool_by_size);
    r->value = took[stretches / 2];
    peer->stop();
    return 0;
}

#endif
