/* SPDX-License-Identifier: MIT */

/*
 * A server's certificates by name: exact names, then wildcards of one label, then what is done with
 * the rest.
 */
#ifndef THI_TLS_SNI_H
#define THI_TLS_SNI_H

#include "base/map.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct thi_tls_sni {
    thi_map exact;    /* "example.com" -> SSL_CTX */
    thi_map wildcard; /* "example.com", of "*.example.com" -> SSL_CTX */
    int unknown;      /* TH_TLS_UNKNOWN_* */
} thi_tls_sni;

/* Longest server name, RFC 1035. */
#define THI_TLS_NAME_MAX 253

/*
 * Reads a host name (not an address) as it may be in a certificate: letters, digits, hyphens and
 * underscores in labels of 1 to 63 bytes. Writes it in lower case, without a dot at its end, and
 * terminated; returns its length, or -EINVAL.
 */
TH_MUST ssize_t thi_tls_name_read(const char *name, size_t len,
                                  char lower[static THI_TLS_NAME_MAX + 1]);

void thi_tls_sni_init(thi_tls_sni *sni, int unknown);

/* Forgets the names; the SSL_CTXs are not its own. */
void thi_tls_sni_deinit(thi_tls_sni *sni);

/*
 * Adds a name, "*.example.com" for a wildcard, compared without regard to case; a name that is
 * there stays with its first SSL_CTX. 0; TH_ECONFIG with a detail for what cannot be a name;
 * -ENOMEM.
 */
TH_MUST int thi_tls_sni_add(thi_tls_sni *sni, const char *name, size_t len, SSL_CTX *ctx);

/* The SSL_CTX for a name in any case; NULL when none is for it. */
SSL_CTX *thi_tls_sni_find(const thi_tls_sni *sni, const char *name, size_t len);

/* How many names there are. */
size_t thi_tls_sni_count(const thi_tls_sni *sni);

#endif
