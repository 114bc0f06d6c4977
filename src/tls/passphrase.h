/* SPDX-License-Identifier: MIT */

/* Pass phrases: asked for once, never cut, wiped after use; and what they cost to hash. */
#ifndef THI_TLS_PASSPHRASE_H
#define THI_TLS_PASSPHRASE_H

#include <thrum/key.h>

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* How often a phrase is hashed: by itself, at least, at most. */
#define THI_ITERATIONS     600000u /* OWASP's figure for PBKDF2 with HMAC-SHA256 */
#define THI_ITERATIONS_MIN 1000u
#define THI_ITERATIONS_MAX 10000000u

/* A phrase at hand. Zeroed is none. */
typedef struct thi_phrase {
    bool given;
    size_t len;
    char text[TH_PASSPHRASE_MAX + 1]; /* with a NUL behind it */
} thi_phrase;

/* Whether options of a caller are of no later version. NULL is. */
bool thi_phrase_valid(const th_passphrase *p);

/* Whether it says anything at all. */
bool thi_phrase_any(const th_passphrase *p);

/*
 * Gets the phrase, asking for it if need be; may suspend then. Without any it succeeds, and
 * phrase->given is false; to be wiped. -EINVAL for one that is too long; what p->ask returned; then
 * there is nothing to be wiped.
 */
TH_MUST int thi_phrase_get(const th_passphrase *p, thi_phrase *phrase);

void thi_phrase_wipe(thi_phrase *phrase);

/*
 * After OpenSSL has failed to decrypt something, or to read what came out: -EACCES and "wrong pass
 * phrase" when it looks like that; TH_ETLS and its reason when that is a cipher or a digest that it
 * does not have, or anything else; -ENOMEM.
 */
int thi_phrase_fail(const char *what);

/*
 * Takes what it costs to open something from what is left: hashes of the phrase, or as much work of
 * another kind. TH_ELIMIT when that is more than THI_ITERATIONS_MAX, or than is left.
 */
TH_MUST int thi_phrase_cost(const X509_ALGOR *how, uint64_t *left);

/* The same where only the number is said; NULL: it is not. */
TH_MUST int thi_phrase_iterations(const ASN1_INTEGER *count, uint64_t *left);

/* The CBC cipher of that name, to be freed; NULL: "aes-256-cbc". -EINVAL. */
TH_MUST int thi_phrase_cipher(const char *name, EVP_CIPHER **cipher);

#endif
