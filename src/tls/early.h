/* SPDX-License-Identifier: MIT */

/*
 * Early data of TLS 1.3 (RFC 8446 2.3): what a client sends together with its hello.
 *
 * Who records such bytes can send them again, to this process or to another one with the same
 * ticket keys, and the server cannot tell. So they are off unless asked for, and whoever reads them
 * has to know which they are. Within one process they are taken once: see early_once.h.
 *
 * At a server thi_tls_early_read() comes before the handshake, as often as it wants more; while it
 * says THI_EARLY_DATA, answers are written by thi_tls_early_write(). Once reading says
 * THI_EARLY_OVER, SSL_do_handshake() brings the handshake to its end, and all is as usual. No call
 * here suspends; the caller deals with the BIOs.
 */
#ifndef THI_TLS_EARLY_H
#define THI_TLS_EARLY_H

#include <thrum/defs.h>

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    THI_EARLY_OVER = 0,   /* no early data, or none any more: go on with SSL_do_handshake() */
    THI_EARLY_DATA = 1,   /* there is some */
    THI_EARLY_MORE = 2,   /* nothing yet: more bytes of the peer are wanted */
    THI_EARLY_FAILED = -1 /* SSL_get_error() says why */
};

struct thi_early_once; /* early_once.h */

/* Hellos with early data that a register of a context has room for; what is more is refused. */
#define THI_EARLY_HELLOS ((size_t)8192)

/*
 * Makes a server's SSL_CTX take so many bytes of early data from a connection, and note hellos in a
 * register, to which it takes a reference. 0; -ENOMEM.
 */
TH_MUST int thi_tls_early_attach(SSL_CTX *ctx, uint32_t max, struct thi_early_once *hellos);

/* Makes a connection that has changed to another SSL_CTX do as that one does. */
bool thi_tls_early_adopt(SSL *ssl, const SSL_CTX *ctx);

/*
 * The first reading of a server: the hello, the answer to it, and the early data. THI_EARLY_DATA
 * with *got bytes in buf, of at least 1 byte; THI_EARLY_OVER; THI_EARLY_MORE; THI_EARLY_FAILED.
 * Also for the readings after it.
 */
TH_MUST int thi_tls_early_read(SSL *ssl, void *buf, size_t size, size_t *got);

/*
 * Writes of a server while the early data is not over: THI_EARLY_DATA with *put bytes taken;
 * THI_EARLY_MORE when the BIO takes nothing now; THI_EARLY_FAILED. Whom it goes to is not known for
 * certain yet.
 */
TH_MUST int thi_tls_early_write(SSL *ssl, const void *buf, size_t size, size_t *put);

/*
 * A client, before its handshake: sends bytes early, as many as the session that is set allows.
 * THI_EARLY_DATA with *put bytes sent; THI_EARLY_OVER when the session allows none; THI_EARLY_MORE;
 * THI_EARLY_FAILED.
 */
TH_MUST int thi_tls_early_send(SSL *ssl, const void *buf, size_t size, size_t *put);

/* After the handshake: whether the early data was taken. At a client, else it is to be sent again.
 */
bool thi_tls_early_taken(SSL *ssl);

/* At a server, once the handshake is complete: counts what became of early data. */
void thi_tls_early_count(SSL *ssl);

#endif
