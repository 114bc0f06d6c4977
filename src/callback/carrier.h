/* SPDX-License-Identifier: MIT */

/* What can carry a transport. Each makes one that is not started yet. */
#ifndef THI_CALLBACK_CARRIER_H
#define THI_CALLBACK_CARRIER_H

#include "callback/transport.h"

/* A connected, non-blocking socket, which is the transport's on success. */
TH_MUST int thi_carrier_socket(int fd, th_transport **transport);

/* A descriptor of any kind that can be waited for; made non-blocking, and the transport's on
 * success. */
TH_MUST int thi_carrier_descriptor(int fd, th_transport **transport);

/* A non-blocking socket of datagrams, connected or not, which is the transport's on success. */
TH_MUST int thi_carrier_datagram(int fd, th_transport **transport);

/* What carriers on descriptors have in common. */
TH_MUST int thi_carrier_fd_make(const thi_carrier *carrier, int fd, bool reads,
                                th_transport **transport);
int thi_carrier_fd_want(th_transport *transport, unsigned dirs);
void thi_carrier_fd_close(th_transport *transport, bool reset);
int thi_carrier_fd_peer(const th_transport *transport, th_addr *addr);
int thi_carrier_fd_local(const th_transport *transport, th_addr *addr);

/* Two that are connected in memory. */
TH_MUST int thi_carrier_memory(th_transport *transports[2]);

#endif
