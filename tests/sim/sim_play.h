/* SPDX-License-Identifier: MIT */

/*
 * A play: a server on all workers, clients that try until they succeed, and faults that are over at
 * some time. Whatever happens before that, afterwards all clients get what they want, and an
 * orderly stop ends the server.
 */
#ifndef THI_TEST_SIM_PLAY_H
#define THI_TEST_SIM_PLAY_H

#include "sim_seeds.h"

#include <thrum/addr.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>

#include <errno.h>

#define FAULTS_END (20 * TH_SECOND)

typedef struct sim_play {
    bool faulty;      /* there are faults to begin with */
    int64_t calm;     /* when they are over */
    unsigned done;    /* clients that have succeeded */
    int64_t stopping; /* how long the orderly stop took, ns */
} sim_play;

static inline bool faults_are_on(const sim_play *p)
{
    return p->faulty && th_now() < p->calm;
}

/* Does something that may fail while there are faults; the function ends if it fails later. */
#define until_it_works(p, call)                                                                    \
    for (;;) {                                                                                     \
        bool excused_ = faults_are_on(p);                                                          \
        int result_ = (call);                                                                      \
        if (result_ == 0)                                                                          \
            break;                                                                                 \
        expect_value(excused_, result_);                                                           \
        if (!excused_)                                                                             \
            return result_;                                                                        \
        th_sleep(100 * TH_MILLISECOND);                                                            \
    }

static inline void play_begin(sim_play *p)
{
    p->calm = th_now() + FAULTS_END;
    p->done = 0;
}

/* Listens, and writes where. */
static inline int play_listen(sim_play *p, const char *address, th_listener **listener,
                              char where[TH_ADDR_TEXT])
{
    th_addr addr;
    until_it_works(p, th_listen(address, NULL, listener));
    th_listener_addr(*listener, &addr);
    th_addr_format(&addr, where, TH_ADDR_TEXT);
    return 0;
}

/* All clients, one after the other on each worker, until they are done and the faults are over. */
static inline int play_clients(sim_play *p, unsigned count, th_fiber_fn client, void *arg)
{
    static const th_spawn_opts around = { .place = TH_PLACE_ROUND };
    th_scope asking;
    expect(th_scope_open(&asking, NULL) == 0);
    for (unsigned i = 0; i < count; i++)
        until_it_works(p, th_spawn_with(&asking, client, arg, &around, NULL));
    int lost = th_scope_close(&asking); /* a start on another worker may fail there */
    expect_value(p->done == count || (p->faulty && lost == -ENOMEM), p->done);
    if (p->faulty)
        th_sleep_until(p->calm);
    return 0;
}

/* The server, the clients, and an orderly stop. */
static inline int play_out(sim_play *p, th_fiber_fn server, unsigned count, th_fiber_fn client,
                           void *arg)
{
    th_scope serving;
    expect(th_scope_open(&serving, NULL) == 0);
    until_it_works(p, th_spawn(&serving, server, arg));
    int err = play_clients(p, count, client, arg);
    int64_t began = th_now();
    expect(th_stop() == 0);
    th_scope_close(&serving);
    p->stopping = th_now() - began;
    return err;
}

/* ---- worlds ---- */

static inline void friendly(th_sim_opts *opts)
{
    opts->workers = 1 + (unsigned)(opts->seed % 3);
}

/* Everything that can go wrong. */
static inline void hostile(th_sim_opts *opts)
{
    friendly(opts);
    th_sim_set_faults(opts, 1 << (opts->seed % 15));
    opts->fault_until = FAULTS_END;
}

/* What may slow things down, but must never make anything fail. */
static inline void slow(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_SHORT_READ].per_million = 100000;
    opts->faults[TH_SIM_SHORT_WRITE].per_million = 100000;
    opts->faults[TH_SIM_AGAIN].per_million = 100000;
    opts->faults[TH_SIM_STALL].per_million = 100;
}

#endif
