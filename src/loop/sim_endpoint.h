/* SPDX-License-Identifier: MIT */

/* Simulated sockets, and the link between two that are connected. */
#ifndef THI_LOOP_SIM_ENDPOINT_H
#define THI_LOOP_SIM_ENDPOINT_H

#include "loop/sim_addr.h"
#include "loop/sim_desc.h"
#include "loop/sim_flow.h"

#define THI_SIM_OPTIONS     16
#define THI_SIM_OPTION_SIZE 16

typedef struct thi_sim_endpoint thi_sim_endpoint;
typedef struct thi_sim_link thi_sim_link;

/*
 * FRESH: made or bound; CONNECTING; CONNECTED, also after everything has ended; FAILED: the attempt
 * to connect did; LISTENING.
 */
enum thi_sim_state {
    THI_SIM_FRESH,
    THI_SIM_CONNECTING,
    THI_SIM_CONNECTED,
    THI_SIM_FAILED,
    THI_SIM_LISTENING
};

/* A socket option as it was set. */
typedef struct thi_sim_option {
    int level;
    int name;
    socklen_t len;
    unsigned char value[THI_SIM_OPTION_SIZE];
} thi_sim_option;

struct thi_sim_endpoint {
    thi_sim_desc desc;
    int family;
    enum thi_sim_state state;
    int error; /* what SO_ERROR and the next call will tell, once; a positive errno */
    thi_sim_addr local;
    thi_sim_addr peer;
    thi_list bound; /* in w->bound while it holds its local address */
    thi_list by_port;
    uint64_t inode; /* of the file of a bound Unix socket; 0: none */
    thi_sim_option options[THI_SIM_OPTIONS];
    unsigned option_count;

    /* Connecting and connected. */
    thi_sim_link *link;
    uint8_t side;      /* which end of the link */
    bool read_shut;    /* shut down here */
    bool write_shut;   /* shut down here, or it makes no sense any more */
    bool dead;         /* was reset */
    bool abort;        /* closing it resets the other end */
    thi_list waiting;  /* in the accept queue of the listener below */
    thi_sim_event try; /* when the attempt to connect gets on */
    unsigned tries;

    /* A datagram socket, which is FRESH, or CONNECTED while it has a peer; NULL: a stream's. */
    struct thi_sim_mailbox *mail;

    /* Listening. */
    thi_list queue; /* connections to be accepted, oldest first */
    size_t queued;
    size_t backlog;
};

/* A connection: freed when both ends are closed. */
struct thi_sim_link {
    thi_sim_flow flows[2];     /* flows[i] takes what end i writes */
    thi_sim_endpoint *ends[2]; /* NULL once closed */
    thi_sim_event resets[2];   /* a reset on its way to end i */
    bool tcp;                  /* at a distance, with resets; otherwise local, as AF_UNIX */
};

/* Those who are bound to an address that can be this one, by their `by_port`, among others. */
static inline thi_list *thi_sim_by_port(thi_sim *w, const thi_sim_addr *addr)
{
    return &w->by_port[thi_sim_addr_port(addr) % THI_SIM_PORT_LISTS];
}

static inline thi_sim_endpoint *thi_sim_endpoint_of(thi_sim_desc *desc)
{
    return thi_container_of(desc, thi_sim_endpoint, desc);
}

/* What comes in, what goes out, and who is at the other end (NULL when that is closed). */
static inline thi_sim_flow *thi_sim_inflow(const thi_sim_endpoint *ep)
{
    return &ep->link->flows[!ep->side];
}

static inline thi_sim_flow *thi_sim_outflow(const thi_sim_endpoint *ep)
{
    return &ep->link->flows[ep->side];
}

static inline thi_sim_endpoint *thi_sim_other_end(const thi_sim_endpoint *ep)
{
    return ep->link->ends[!ep->side];
}

#endif
