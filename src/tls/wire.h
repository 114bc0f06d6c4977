/* SPDX-License-Identifier: MIT */

/* The bytes of an engine on their way between the peer and OpenSSL. */
#ifndef THI_TLS_WIRE_H
#define THI_TLS_WIRE_H

#include "base/buf.h"

#include <stdbool.h>

/* What is in a record at most, of the user's. */
#define THI_TLS_RECORD_MAX ((size_t)16384)

/* What becomes of a connection whose records the kernel makes; see kernel.h. */
typedef struct thi_tls_kernel {
    struct thi_socket *socket; /* which may be given the key; NULL: none may */
    const bool *sending;       /* somebody is in the middle of sending what is in `out` */
    bool sends;                /* the socket has the key: it encrypts all that it is given */
    int broken;                /* why nothing reaches the peer any more, negative; 0: it does */
    bool outdated;             /* the peer wants another key, which the kernel cannot be given */
    unsigned char next;        /* the type of the record that OpenSSL writes next */
    unsigned char front;       /* the type of the record at the front of `out`, whose head is off */
    size_t left;               /* and bytes that are left of it; 0: a head comes next */
} thi_tls_kernel;

/* The two ways. Embedded in an engine, which stays where it is while the BIO lives. */
typedef struct thi_tls_wire {
    thi_buf in;  /* what came from the peer and OpenSSL has not taken */
    thi_buf out; /* what OpenSSL has made for the peer; while kernel.sends, heads and contents */
    size_t out_limit;      /* while so many bytes are in `out`, OpenSSL has to wait */
    unsigned char seen[7]; /* the first bytes of the peer: as many as a record with an alert has */
    unsigned char seen_count;
    bool unbounded; /* the limit does not count now */
    thi_tls_kernel kernel;
    bool no_memory; /* OpenSSL's bytes could not be kept: the connection has a hole, and is lost */
} thi_tls_wire;

#endif
