/* SPDX-License-Identifier: MIT */

/*
 * A DTLS connection of fibers: the core, and the socket that its datagrams go by.
 *
 * A client has a socket of its own and reads it when it has to wait. The peers of a server share
 * their worker's socket: one fiber receives for all of them, puts what came into their queues and
 * sets `arrived`. All that belongs to a connection happens on one worker.
 */
#ifndef THI_TLS_DTLS_H
#define THI_TLS_DTLS_H

#include "runtime/worker.h"
#include "tls/dtls_core.h"

#include <thrum/dtls.h>
#include <thrum/event.h>

/* Room for the largest datagram that holds a record. */
#define THI_DTLS_ROOM ((size_t)16384 + 1024)

struct th_dtls {
    thi_dtls_core core;
    th_udp *udp; /* a client's own; a server's peer's: that of its worker */
    thi_worker *worker;
    char *room;       /* a client's: where datagrams are received; NULL: a server's peer */
    th_event arrived; /* a server's peer: look at the queue, or at `ended` */
    int64_t last;     /* by the clock: when something came */
    int64_t idle_time;
    bool ended;     /* a server's peer: nothing comes any more */
    bool receiving; /* a fiber is in th_dtls_recv() */
    bool closed;
};

/* Makes one that has not begun; the socket of a client (room: true) it takes on success. */
TH_MUST int thi_dtls_new(thi_tls_config *config, bool server, const thi_tls_link_opts *opts,
                         size_t mtu, th_udp *udp, th_dtls **dtls);

/* Makes the handshake, in at most so many nanoseconds. */
TH_MUST int thi_dtls_shake(th_dtls *dtls, int64_t span);

/* Sends what is in wire.out. */
TH_MUST int thi_dtls_flush(th_dtls *dtls);

/* The address without the scheme of DTLS, which that of UDP does not know. */
const char *thi_dtls_address(const char *address);

#endif
