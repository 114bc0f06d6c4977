/* SPDX-License-Identifier: MIT */

/*
 * Accepting connections on every worker, balanced, bounded, and stopped in an orderly way.
 *
 * What a connection is, a fiber or something lighter, is up to the user of this: a server is run
 * with a table of functions. Each worker has its part of the server, which only that worker
 * touches.
 */
#ifndef THI_NET_SERVER_H
#define THI_NET_SERVER_H

#include "net/listener.h"
#include "net/origin.h"
#include "runtime/sched.h"
#include "runtime/stop.h"

#include <thrum/scope.h>

typedef struct thi_server thi_server;
typedef struct thi_server_part thi_server_part;
typedef struct thi_acceptor thi_acceptor;

#define THI_SERVER_LISTENERS 64 /* at most */

/* A connection on its way from the kernel to who serves it. */
typedef struct thi_arrival {
    int fd; /* -1: it was kept after all */
    bool has_header;
    const th_listener *listener;
    thi_origin *origin; /* NULL: there is nothing to be known */
} thi_arrival;

/* All are called on the part's worker; those that may be NULL say so. */
typedef struct thi_server_ops {
    /* Before the part accepts, and after its last connection has ended, on its fiber. Both may be
     * NULL; begin may fail with -errno. */
    int (*begin)(thi_server_part *part);
    void (*end)(thi_server_part *part);
    /* A connection for this part, which takes its descriptor and its origin, to be freed when the
     * descriptor is closed; -errno leaves both to the caller. */
    int (*arrived)(thi_server_part *part, const thi_arrival *arrival);
    /* After `begin`: an orderly stop has begun, close what is idle. May be NULL. */
    void (*stopping)(thi_server_part *part);
    /* After `begin`: the time is over, close everything. May be NULL where the scope's cancellation
     * does that. */
    void (*abort)(thi_server_part *part);
} thi_server_ops;

struct thi_server_part {
    thi_server *server;
    thi_worker *worker;
    th_scope scope; /* for the fibers of connections; open while the part accepts or drains */
    size_t open;    /* connections here */
    bool begun;     /* the user's `begin` has succeeded */
    bool stopping;  /* accepts no more */
    bool listens;   /* its acceptors are in the loop */
    bool has_listened;
    bool full;      /* does not accept until all parts have begun, or a connection ends somewhere */
    int failure;    /* why it could not start to listen */
    bool exhausted; /* the last attempt to accept met a lack of descriptors or memory */
    int64_t pause;  /* for which accepting is suspended then, ns */
    thi_acceptor *acceptors;
    thi_list arriving; /* connections whose PROXY header is being read */
    thi_stopper stopper;
    thi_wait *sleeper; /* the wait of the part's own fiber */
    thi_timer retry;   /* runs while accepting is suspended for lack of descriptors or memory, and
                          at the start while parts have not begun */
    thi_msg resume;    /* out when `full` is to end */
    uint64_t dice;
    atomic_bool ready; /* takes connections from other parts */
    atomic_bool wants_resume;
    atomic_size_t incoming; /* connections on their way here */
    thi_list conns;         /* the user's: all connections of this part */
    void *user;             /* the user's */
};

struct thi_server {
    const thi_server_ops *ops;
    void *data; /* the user's */
    th_listener *const *listeners;
    size_t listener_count;
    uint32_t limit;   /* connections at the same time; 0: none */
    thi_peers *peers; /* how many connections each peer has; NULL: as many as it likes */
    _Atomic int64_t exhausted_since; /* the first part met a lack; 0: there is none */
    thi_server_part *parts;
    unsigned part_count;
    atomic_size_t open;  /* connections in all parts, counted where there is a limit */
    atomic_uint awaited; /* parts that have not begun */
    atomic_uint active;  /* parts that have not been told of an orderly stop */
    th_scope scope;      /* of the parts' fibers */
};

/* What is to be run: what all servers have in common, however they serve. */
typedef struct thi_server_plan {
    const thi_server_ops *ops;
    void *data; /* the user's */
    th_listener *const *listeners;
    size_t listener_count;
    bool has_tls;             /* its user speaks TLS on the listeners that are for it */
    uint32_t max_connections; /* these as in th_serve_opts */
    uint32_t max_per_peer;
    uint8_t peer_bits4;
    uint8_t peer_bits6;
    void (*listening)(const th_addr *addr, void *arg);
    void *listening_arg;
} thi_server_plan;

/*
 * Runs a server from the calling fiber until an orderly stop has drained it, or the fiber's scope
 * is cancelled; returns 0 or that, or the -errno of a start that failed: -EINVAL for a plan with
 * numbers out of range, -EOPNOTSUPP for a listener of TLS where nobody speaks it. The server is its
 * memory: filled in before `listening` is called.
 */
TH_MUST int thi_server_run(thi_server *server, const thi_server_plan *plan);

/* To be called by the user when one of the part's connections has ended and is closed. */
void thi_server_conn_ended(thi_server_part *part);

#endif
