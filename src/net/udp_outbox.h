/* SPDX-License-Identifier: MIT */

/* Packing datagrams into as few messages as possible, and sending them with one call. */
#ifndef THI_NET_UDP_OUTBOX_H
#define THI_NET_UDP_OUTBOX_H

#include <thrum/udp.h>

#include <stdbool.h>

typedef struct thi_udp_outbox thi_udp_outbox;

/* An outbox for a socket of the family; -ENOMEM. It asks the kernel what that can do. */
TH_MUST int thi_udp_outbox_new(int fd, int family, thi_udp_outbox **outbox);

/* NULL is a no-op. */
void thi_udp_outbox_free(thi_udp_outbox *outbox);

/*
 * Sends the first of some datagrams, as many as one call can, and says how many are done with: each
 * of them was sent, or it is one that was not, and has its error set accordingly. -EAGAIN: the
 * kernel has no room, and nothing is done. With `again` an error that may be of an earlier datagram
 * is not taken for an answer.
 */
TH_MUST ssize_t thi_udp_outbox_send(thi_udp_outbox *outbox, int fd, th_dgram *dgrams, size_t count,
                                    bool again);

#endif
