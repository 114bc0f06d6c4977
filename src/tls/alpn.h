/* SPDX-License-Identifier: MIT */

/* Application protocols (ALPN, RFC 7301): the list on the wire, and the server's choice. */
#ifndef THI_TLS_ALPN_H
#define THI_TLS_ALPN_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stddef.h>

/* The most that the extension holds. */
#define THI_TLS_ALPN_MAX 65535

/* Protocols offered at most that a callback sees. */
#define THI_TLS_ALPN_SEEN 64

/* A list as it is on the wire: each name behind a byte with its length. */
typedef struct thi_tls_alpn {
    unsigned char *wire; /* owned; NULL: none */
    size_t len;
} thi_tls_alpn;

/*
 * Reads names, ended by NULL; NULL: none. 0; -EINVAL with a detail for an empty list and for a name
 * that is empty or longer than 255 bytes; -ENOMEM.
 */
TH_MUST int thi_tls_alpn_read(const char *const *names, thi_tls_alpn *alpn);

void thi_tls_alpn_deinit(thi_tls_alpn *alpn);

/* Views of the names in a list; as many as there are, or THI_TLS_ALPN_SEEN. */
size_t thi_tls_alpn_views(const unsigned char *wire, size_t len,
                          th_str views[static THI_TLS_ALPN_SEEN]);

/* The first of ours that is offered, as a view of the offer; empty: none. */
th_str thi_tls_alpn_best(const thi_tls_alpn *ours, const unsigned char *wire, size_t len);

#endif
