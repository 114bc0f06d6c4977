/* SPDX-License-Identifier: MIT */

/* How OpenSSL reaches the bytes of an engine: a BIO between its two buffers. */
#ifndef THI_TLS_BIO_H
#define THI_TLS_BIO_H

#include "base/buf.h"

#include <openssl/bio.h>
#include <stdbool.h>

/* The two ways. Embedded in an engine, which stays where it is while the BIO lives. */
typedef struct thi_tls_wire {
    thi_buf in;            /* what came from the peer and OpenSSL has not taken */
    thi_buf out;           /* what OpenSSL has made for the peer */
    size_t out_limit;      /* while so many bytes are in `out`, OpenSSL has to wait */
    unsigned char seen[5]; /* the first bytes of the peer */
    unsigned char seen_count;
    bool unbounded; /* the limit does not count now */
    bool no_memory; /* OpenSSL's bytes could not be kept: the connection has a hole, and is lost */
} thi_tls_wire;

/* A BIO with one reference, for SSL_set_bio() on both sides; NULL: no memory. */
TH_MUST BIO *thi_tls_bio_new(thi_tls_wire *wire);

#endif
