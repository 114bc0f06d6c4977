/* SPDX-License-Identifier: MIT */

/* What can carry a transport. Each makes one that is not started yet. */
#ifndef THI_CALLBACK_CARRIER_H
#define THI_CALLBACK_CARRIER_H

#include "callback/transport.h"

/* A connected, non-blocking socket, which is the transport's on success. */
TH_MUST int thi_carrier_socket(int fd, th_transport **transport);

/*
 * A socket with TLS, whose handshake has been made: a stream of TLS above a socket that is only a
 * shell any more, and the connected descriptor that was in that. Both are the transport's on
 * success.
 */
TH_MUST int thi_carrier_tls(int fd, th_stream *tls_stream, th_transport **transport);

/* The same for a transport that is there and has no carrier at present; -errno changes nothing. */
TH_MUST int thi_carrier_tls_over(th_transport *transport, int fd, th_stream *tls_stream);

/* What is known of its TLS; NULL: it has none. Borrowed. */
th_stream *thi_carrier_tls_of(const th_transport *transport);

/* A descriptor of any kind that can be waited for; made non-blocking, and the transport's on
 * success. */
TH_MUST int thi_carrier_descriptor(int fd, th_transport **transport);

/* A non-blocking socket of datagrams, connected or not, which is the transport's on success. */
TH_MUST int thi_carrier_datagram(int fd, th_transport **transport);

/* What carriers on descriptors have in common. */
TH_MUST int thi_carrier_fd_make(const thi_carrier *carrier, int fd, bool reads,
                                th_transport **transport);
TH_MUST int thi_carrier_fd_rewatch(th_transport *transport,
                                   int fd); /* one not watched at present */
int thi_carrier_fd_want(th_transport *transport, unsigned dirs);
void thi_carrier_fd_close(th_transport *transport, bool reset);
int thi_carrier_fd_peer(const th_transport *transport, th_addr *addr);
int thi_carrier_fd_local(const th_transport *transport, th_addr *addr);

/* The steps of a socket. */
ssize_t thi_carrier_socket_read(th_transport *transport, void *buf, size_t size);
ssize_t thi_carrier_socket_writev(th_transport *transport, const struct iovec *iov, int count);
void thi_carrier_socket_close(th_transport *transport, bool reset);
bool thi_carrier_is_socket(const th_transport *transport);

/* Two that are connected in memory. */
TH_MUST int thi_carrier_memory(th_transport *transports[2]);

#endif
