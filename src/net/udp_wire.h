/* SPDX-License-Identifier: MIT */

/* What goes with datagrams as control messages, both ways: ip(7), ipv6(7), udp(7). */
#ifndef THI_NET_UDP_WIRE_H
#define THI_NET_UDP_WIRE_H

#include "net/addr.h"

#include <thrum/udp.h>

#include <netinet/in.h>

/* Room for the control messages of one that is received, and of one that is sent. */
typedef union thi_udp_told {
    char buf[160];
    struct cmsghdr align;
} thi_udp_told;

typedef union thi_udp_wish {
    char buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
} thi_udp_wish;

/*
 * Fills what was told of a message into d; *local holds the address that d->local then points to.
 * Returns the size of the datagrams that it consists of, 0 when it is one.
 */
size_t thi_udp_read_told(struct msghdr *msg, th_dgram *d, th_addr *local);

/*
 * Writes what d wishes of a socket of the family, and in pieces of which size the kernel shall send
 * (0: as one), and makes msg point there, or nowhere when nothing is wished.
 */
void thi_udp_write_wish(struct msghdr *msg, thi_udp_wish *wish, const th_dgram *d, int family,
                        uint16_t segment);

#endif
