/* SPDX-License-Identifier: MIT */

/* A certificate, its chain and its key, read and found to belong together. */
#ifndef THI_TLS_IDENTITY_H
#define THI_TLS_IDENTITY_H

#include "tls/sni.h"

#include <thrum/tls.h>

#include <openssl/ssl.h>
#include <stdbool.h>

typedef struct thi_tls_identity {
    const th_tls_cert *from; /* the caller's; names and OCSP file are there; NULL: neither is */
    const char *what;        /* the certificate in messages: its path, or that it is in memory */
    STACK_OF(X509) * certs;  /* owned; the certificate, then its chain */
    EVP_PKEY *key;           /* owned */
} thi_tls_identity;

/*
 * Reads it. 0; -errno of a file, TH_ETLS for what cannot be read or does not belong together, with
 * path and reason as detail; the failure of the pass phrase's callback; -EINVAL with a detail when
 * the options name no certificate or two; -ENOMEM. Suspends on a fiber. On failure there is
 * nothing.
 */
TH_MUST int thi_tls_identity_load(const th_tls_cert *from, thi_tls_identity *identity);

void thi_tls_identity_deinit(thi_tls_identity *identity);

/* The certificate itself. */
X509 *thi_tls_identity_leaf(const thi_tls_identity *identity);

/* Gives it to an SSL_CTX. 0; TH_ETLS with the reason, such as a key that is too small. */
TH_MUST int thi_tls_identity_use(const thi_tls_identity *identity, SSL_CTX *ctx);

/* Adds the names for which it is shown. As thi_tls_sni_add(); names in certificates that cannot be
 * those of a server are passed over. */
TH_MUST int thi_tls_identity_names(const thi_tls_identity *identity, thi_tls_sni *sni,
                                   SSL_CTX *ctx);

/* Whether both are shown for the same names, with keys of different kinds: a pair such as RSA and
 * ECDSA, of which OpenSSL takes what the client can use. */
bool thi_tls_identity_pairs(const thi_tls_identity *a, const thi_tls_identity *b);

/* Seconds of Unix time at which it expires; INT64_MIN when that cannot be read. */
int64_t thi_tls_identity_end(const thi_tls_identity *identity);

#endif
