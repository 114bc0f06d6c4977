/* SPDX-License-Identifier: MIT */

/* Pins: hashes of the public keys that are accepted of a peer or its authorities. */
#ifndef THI_TLS_PINS_H
#define THI_TLS_PINS_H

#include <thrum/defs.h>

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define THI_TLS_PIN_SIZE 32 /* SHA-256 */

/* Hashes of the DER of SubjectPublicKeyInfo; none: there is no such demand. */
typedef struct thi_tls_pins {
    unsigned char (*list)[THI_TLS_PIN_SIZE];
    size_t count;
} thi_tls_pins;

/*
 * Reads "sha256/" (or "sha256//" as curl writes it) and base64 or hex, ended by NULL. 0; TH_ECONFIG
 * with a detail; -ENOMEM; on failure there are no pins.
 */
TH_MUST int thi_tls_pins_parse(const char *const *texts, thi_tls_pins *pins);

void thi_tls_pins_deinit(thi_tls_pins *pins);

/* Whether the key of a certificate is among them. */
bool thi_tls_pins_have(const thi_tls_pins *pins, const X509 *cert);

/* Whether a key of one certificate of a chain is. NULL is an empty chain. */
bool thi_tls_pins_have_one(const thi_tls_pins *pins, const STACK_OF(X509) * chain);

#endif
