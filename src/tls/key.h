/* SPDX-License-Identifier: MIT */

/* The inside of a key, for those that hand it to OpenSSL. */
#ifndef THI_TLS_KEY_H
#define THI_TLS_KEY_H

#include <thrum/key.h>

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Nothing changes after it was made, but for refs. */
struct th_key {
    atomic_uint refs;
    EVP_PKEY *pkey; /* owned; EVP_PKEY counts itself, so others may keep it longer */
    th_key_info info;
    char name[64]; /* info.name */
};

/* Makes a key of OpenSSL's, which is taken over also on failure. */
TH_MUST int thi_key_wrap(EVP_PKEY *pkey, bool is_private, th_key **key);

/* Fills info about a key of OpenSSL's; info->name is in `name`. */
void thi_key_tell(EVP_PKEY *pkey, bool is_private, char name[64], th_key_info *info);

/*
 * The digest that is signed with a key, to be freed: the one that is asked for, or one as strong as
 * the key; NULL for a key that has none (Ed25519). -EINVAL for one that is unknown or not wanted.
 */
TH_MUST int thi_key_digest(const th_key *key, const char *name, EVP_MD **digest);

#endif
