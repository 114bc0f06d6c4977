/* SPDX-License-Identifier: MIT */

/* How OpenSSL reaches the datagrams of a DTLS connection: a BIO between two queues. */
#ifndef THI_TLS_DTLS_WIRE_H
#define THI_TLS_DTLS_WIRE_H

#include "base/list.h"

#include <openssl/bio.h>
#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thi_datagram {
    thi_list link;
    size_t size;
    char data[];
} thi_datagram;

/* Stays where it is while the BIO lives. */
typedef struct thi_dtls_wire {
    thi_list in;  /* what came from the peer and OpenSSL has not taken */
    thi_list out; /* what OpenSSL has made for the peer */
    size_t waiting;
    size_t waiting_max; /* in `in`; more are lost */
    const SSL *ssl;     /* borrowed: what it cannot stand is lost; NULL: nothing is */
} thi_dtls_wire;

void thi_dtls_wire_init(thi_dtls_wire *wire, size_t waiting_max);
void thi_dtls_wire_deinit(thi_dtls_wire *wire);

/* Adds a copy of a datagram of the peer, or loses it. */
void thi_dtls_wire_feed(thi_dtls_wire *wire, const void *data, size_t size);

/* The next one for the peer, to be freed by thi_free(); NULL: there is none. */
thi_datagram *thi_dtls_wire_take(thi_dtls_wire *wire);

/* A BIO with one reference, for both directions; NULL: no memory. */
TH_MUST BIO *thi_dtls_wire_bio(thi_dtls_wire *wire);

#endif
