/* SPDX-License-Identifier: MIT */

/*
 * Where an accepted connection comes from, beyond what the kernel knows: what a proxy said of it,
 * and its place among the connections of its peer.
 *
 * A server that wants neither has none of these. It is made when the connection is accepted, lives
 * with its socket, and ends when the socket is closed.
 */
#ifndef THI_NET_ORIGIN_H
#define THI_NET_ORIGIN_H

#include "net/peers.h"
#include "proto/proxy_protocol.h"

#include <thrum/proxied.h>

#include <stdbool.h>

typedef struct thi_origin {
    thi_peer *peer;      /* its place; NULL: not counted */
    th_proxied *proxied; /* with its tlvs behind it; NULL: there was no header */
} thi_origin;

/* Gives the place back, and all memory. NULL is allowed. */
void thi_origin_free(thi_origin *origin);

/* Keeps a header, whose views may end afterwards; 0 or -ENOMEM. */
TH_MUST int thi_origin_keep(thi_origin *origin, const thi_proxy_header *header);

/* The client that a proxy spoke for; NULL when there is none. */
const th_addr *thi_origin_source(const thi_origin *origin);

#endif
