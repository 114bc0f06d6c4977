/* SPDX-License-Identifier: MIT */

/*
 * Places on OpenSSL's objects where something of ours hangs ("ex data"): found again by callbacks,
 * and given back when the object goes.
 *
 *     static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = forget };
 *
 * OpenSSL numbers such places. A number is asked for at the first use, and again at the next one if
 * there was no memory.
 */
#ifndef THI_TLS_SLOT_H
#define THI_TLS_SLOT_H

#include <thrum/defs.h>

#include <openssl/ssl.h>
#include <stdatomic.h>

/* In static storage. */
typedef struct thi_slot {
    int class;                  /* CRYPTO_EX_INDEX_SSL or CRYPTO_EX_INDEX_SSL_CTX */
    void (*forget)(void *what); /* what is there when the object goes; NULL: it is not ours */
    atomic_int place;           /* the number, and one more; 0: none yet */
} thi_slot;

/* Hangs something there; forgets nothing. 0; -ENOMEM. Any thread. */
TH_MUST int thi_slot_put_ctx(thi_slot *slot, SSL_CTX *ctx, void *what);
TH_MUST int thi_slot_put_ssl(thi_slot *slot, SSL *ssl, void *what);

/* What hangs there, or NULL. Any thread. */
void *thi_slot_ctx(const thi_slot *slot, const SSL_CTX *ctx);
void *thi_slot_ssl(const thi_slot *slot, const SSL *ssl);

#endif
