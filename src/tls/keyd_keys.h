/* SPDX-License-Identifier: MIT */

/* The keys that a key process holds: read at its start, and not changed any more. */
#ifndef THI_TLS_KEYD_KEYS_H
#define THI_TLS_KEYD_KEYS_H

#include "tls/keyd_wire.h"

#include <thrum/keyd.h>

#include <stdbool.h>

typedef struct thi_keyd_held {
    char name[THI_KEYD_NAME_MAX + 1];
    uint8_t id[THI_KEYD_ID_SIZE];
    thi_signer *signer;
    char kind[64]; /* "RSA-2048", "P-256" */
    unsigned bits;
    bool dear; /* handed over to the pool */
} thi_keyd_held;

typedef struct thi_keyd_keys {
    thi_keyd_held *list;
    size_t count;
} thi_keyd_keys;

/*
 * Reads all of them. 0; -errno of a file, TH_ETLS for what cannot be held or two of one name, with
 * a detail; -EINVAL for a name or count that is not allowed; -ENOMEM. On failure there is nothing.
 * May suspend.
 */
TH_MUST int thi_keyd_keys_load(thi_keyd_keys *keys, const th_keyd_key *from, size_t count);

void thi_keyd_keys_deinit(thi_keyd_keys *keys);

/* The one that a request names: by its public part, and its name if that is given. NULL: none. */
const thi_keyd_held *thi_keyd_keys_find(const thi_keyd_keys *keys, const thi_keyd_request *request);

#endif
