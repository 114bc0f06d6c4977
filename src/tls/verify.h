/* SPDX-License-Identifier: MIT */

/*
 * The verdict on a peer's chain: OpenSSL's, the pins', the user's callback's; and its words.
 */
#ifndef THI_TLS_VERIFY_H
#define THI_TLS_VERIFY_H

#include <thrum/defs.h>

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* SHA-256 of the public keys (SubjectPublicKeyInfo) that are accepted; empty: no such demand. */
typedef struct thi_tls_pins {
    unsigned char (*list)[32];
    size_t count;
} thi_tls_pins;

/* Reads "sha256/" and base64 or hex, ended by NULL. 0; TH_ECONFIG with a detail; -ENOMEM. */
TH_MUST int thi_tls_pins_parse(const char *const *texts, thi_tls_pins *pins);

void thi_tls_pins_deinit(thi_tls_pins *pins);

bool thi_tls_pins_have(const thi_tls_pins *pins, X509 *cert);

/* Makes connections of an SSL_CTX be judged here (SSL_CTX_set_cert_verify_callback). */
void thi_tls_verify_attach(SSL_CTX *ctx);

/*
 * Tells a failed verification in words, such as "certificate of db.example expired on 2026-01-02;
 * chain: db.example <- R3 <- ISRG Root X1". Returns text.
 */
char *thi_tls_verify_words(X509_STORE_CTX *store, const char *name, char *text, size_t size);

#endif
