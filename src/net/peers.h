/* SPDX-License-Identifier: MIT */

/* How many connections each peer has, and the limit on that. */
#ifndef THI_NET_PEERS_H
#define THI_NET_PEERS_H

#include <thrum/addr.h>

/* Of one server; used by all its workers at once. */
typedef struct thi_peers thi_peers;

/* A peer that has connections, each of which holds it once. */
typedef struct thi_peer thi_peer;

/*
 * A table in which each network of so many bits of IPv4 and IPv6 (0: 32 and 64) may have `limit`
 * connections; NULL for no limit (0). 0, -ENOMEM, or -errno when there is no randomness.
 */
TH_MUST int thi_peers_new(uint32_t limit, unsigned bits4, unsigned bits6, thi_peers **peers);

/* When nobody holds a peer any more; NULL is allowed. */
void thi_peers_free(thi_peers *peers);

/*
 * Counts one more connection from an address. 0, and *peer is to be left again (NULL for Unix
 * sockets, which are not counted); TH_ELIMIT when it has as many as it may; -ENOMEM.
 */
TH_MUST int thi_peers_enter(thi_peers *peers, const th_addr *addr, thi_peer **peer);

/* One of its connections has ended. NULL is allowed. */
void thi_peer_leave(thi_peer *peer);

#endif
