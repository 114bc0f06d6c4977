/* SPDX-License-Identifier: MIT */

/* Failed verifications in words. */
#ifndef THI_TLS_VERIFY_WORDS_H
#define THI_TLS_VERIFY_WORDS_H

#include <openssl/x509.h>
#include <stddef.h>

/* What is to be told. */
typedef struct thi_tls_blame {
    int error;                    /* X509_V_ERR_* */
    int depth;                    /* of the certificate, in the chain */
    X509 *cert;                   /* the certificate; NULL: not known */
    const STACK_OF(X509) * chain; /* as far as it was built; NULL: not at all */
    const char *name;             /* the host that was asked for; NULL: none */
} thi_tls_blame;

/*
 * Tells it: "certificate of db.example expired on 2026-01-02; chain: db.example <- R3 <- X1".
 * Returns text.
 */
char *thi_tls_verify_words(const thi_tls_blame *blame, char *text, size_t size);

/*
 * What people call a certificate: its common name, else its first alternative name, else what its
 * subject ends with. Only printable bytes; never empty. Returns text.
 */
char *thi_tls_cert_title(const X509 *cert, char *text, size_t size);

#endif
