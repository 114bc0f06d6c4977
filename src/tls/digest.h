/* SPDX-License-Identifier: MIT */

/* Digests by name, and what is made of them: fingerprints. */
#ifndef THI_TLS_DIGEST_H
#define THI_TLS_DIGEST_H

#include <thrum/mem.h>
#include <thrum/str.h>

#include <openssl/types.h>

/* The digest of that name, to be freed. 0; -EINVAL for an unknown one, and for one without a size
 * of its own, such as SHAKE; -ENOMEM. */
TH_MUST int thi_digest_fetch(const char *name, EVP_MD **digest);

/* Upper-case hexadecimal pairs with `between` between them (0: nothing), and a NUL behind them. */
TH_MUST int thi_hex_write(th_str bytes, char between, th_arena *arena, th_str *text);

/* The fingerprint of bytes by the digest of that name; NULL: sha256. */
TH_MUST int thi_fingerprint(th_str bytes, const char *digest, th_arena *arena, th_str *text);

#endif
