/* SPDX-License-Identifier: MIT */

/*
 * Cookies of DTLS (RFC 6347 4.2.1): what a client sends back to show that it is where it says.
 *
 * A cookie is a keyed hash of the client's address. So a server needs to remember nothing of those
 * whom it has given one, and a client that got one elsewhere gains nothing by it.
 */
#ifndef THI_TLS_DTLS_COOKIE_H
#define THI_TLS_DTLS_COOKIE_H

#include <thrum/addr.h>
#include <thrum/defs.h>

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum { THI_DTLS_COOKIE = 32 }; /* bytes; RFC 6347 allows 255 */

/* A secret is used for so long, and believed for as long again, ns. */
#define THI_DTLS_SECRET_TIME (60 * INT64_C(1000000000))

/* The cookie of an address at a time of the clock; false without randomness. Any thread. */
TH_MUST bool thi_dtls_cookie_make(const th_addr *peer, int64_t now, unsigned char *cookie);
TH_MUST bool thi_dtls_cookie_check(const th_addr *peer, int64_t now, const unsigned char *cookie,
                                   size_t size);

/* Has an SSL_CTX of a server ask for cookies by the addresses that its connections have. */
void thi_dtls_cookie_attach(SSL_CTX *ctx);

/* Says where the peer of a connection is; borrowed as long as the SSL lives. 0; -ENOMEM. */
TH_MUST int thi_dtls_cookie_set_peer(SSL *ssl, const th_addr *peer);

#endif
