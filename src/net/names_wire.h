/* SPDX-License-Identifier: MIT */

/*
 * The way to name servers: a question goes in, a set of records comes out.
 *
 * A wire belongs to one worker and works from its loop, without a fiber. There are two: c-ares on
 * the loop, and a table of a simulation's names.
 */
#ifndef THI_NET_NAMES_WIRE_H
#define THI_NET_NAMES_WIRE_H

#include "base/list.h"
#include "loop/loop.h"
#include "net/names_set.h"

typedef struct thi_wire thi_wire;
typedef struct thi_wire_query thi_wire_query;

/* A question; its owner's storage until it is done. */
struct thi_wire_query {
    const char *name; /* in lower case, without a dot at its end */
    uint16_t type;
    /*
     * Called once, maybe before thi_wire_ask() returns. The set is the owner's from now on; NULL
     * when memory was lacking, or when the wire was closed. It must not close the wire.
     */
    void (*done)(thi_wire_query *query, thi_names_set *set);
    thi_wire *wire; /* that it was put to */
};

typedef struct thi_wire_ops {
    void (*ask)(thi_wire *wire, thi_wire_query *query);
    void (*close)(thi_wire *wire);
} thi_wire_ops;

struct thi_wire {
    const thi_wire_ops *ops;
    thi_list link;  /* the owner's */
    size_t pending; /* questions that are not done */
};

/* Opens the one that the calling thread's world has; -errno of whatever it could not get. */
TH_MUST int thi_wire_open(thi_loop *loop, const thi_names_conf *conf, thi_wire **wire);

/* Each of them alone. */
TH_MUST int thi_wire_open_ares(thi_loop *loop, const thi_names_conf *conf, thi_wire **wire);
TH_MUST int thi_wire_open_sim(thi_loop *loop, thi_wire **wire);

static inline void thi_wire_ask(thi_wire *wire, thi_wire_query *query)
{
    query->wire = wire;
    wire->pending++;
    wire->ops->ask(wire, query);
}

/* What is pending is done, with NULL. */
static inline void thi_wire_close(thi_wire *wire)
{
    wire->ops->close(wire);
}

/* For wires: hands a set over. */
static inline void thi_wire_done(thi_wire_query *query, thi_names_set *set)
{
    query->wire->pending--;
    query->done(query, set);
}

#endif
