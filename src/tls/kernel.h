/* SPDX-License-Identifier: MIT */

/* Records that the kernel makes of what a socket is given (kTLS), instead of OpenSSL. */
#ifndef THI_TLS_KERNEL_H
#define THI_TLS_KERNEL_H

#include "io/stream.h"
#include "tls/wire.h"

/*
 * Offers a stream below for it, before the handshake: if it may be a socket of TCP, and as far as
 * it is known the kernel can. Nothing is asked of the kernel before OpenSSL gives a key away, which
 * SSL_OP_ENABLE_KTLS makes it do. Then `sending` is looked at: whether somebody is in the middle of
 * sending what is in wire->out.
 */
void thi_tls_kernel_offer(thi_tls_wire *wire, th_stream *below, const bool *sending);

/* What OpenSSL asks a BIO about it; 0 for all else. */
long thi_tls_kernel_ctrl(thi_tls_wire *wire, int what, long number, void *arg);

/* The rest is for when wire->kernel.sends. */

/* Puts records of one type into wire->out, heads and contents: 0 or -ENOMEM. */
TH_MUST int thi_tls_kernel_put(thi_tls_wire *wire, unsigned char type, const char *buf,
                               size_t size);

/* As a record of the user's, at most THI_TLS_RECORD_MAX bytes: size or -ENOMEM. */
TH_MUST ssize_t thi_tls_kernel_write(thi_tls_wire *wire, const void *data, size_t size);

/* Looks at a message of the handshake that has come; also when it is not the kernel that sends. */
void thi_tls_kernel_look(thi_tls_wire *wire, const void *message, size_t size);

/* Sends a record of wire->out, or a part of one, with a wait: bytes, or an error. */
TH_MUST ssize_t thi_tls_kernel_send(thi_tls_wire *wire, th_stream *below);

/* The same without a wait: -EAGAIN for none. */
TH_MUST ssize_t thi_tls_kernel_try_send(thi_tls_wire *wire, th_stream *below);

/* The same over a descriptor that somebody else waits for. */
TH_MUST ssize_t thi_tls_kernel_send_over(thi_tls_wire *wire, int fd);

/* What a step of the stream below has returned, in the words of a stream; a failure is kept. */
ssize_t thi_tls_kernel_result(thi_tls_wire *wire, ssize_t n);

/* Why the user's bytes must not be given to the socket any more: the peer is gone, or TH_ETLS with
 * a detail for one that wants new keys; 0: they may. */
TH_MUST int thi_tls_kernel_refuses(const thi_tls_wire *wire);

#endif
