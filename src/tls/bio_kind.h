/* SPDX-License-Identifier: MIT */

/*
 * Kinds of BIO of ours.
 *
 *     static thi_bio_kind kind = { .name = "x", .read = x_read, .write = x_write, .ctrl = x_ctrl };
 *
 * OpenSSL's description of one is made when it is first wanted, again at the next time if there was
 * no memory, and kept as long as the process.
 */
#ifndef THI_TLS_BIO_KIND_H
#define THI_TLS_BIO_KIND_H

#include <thrum/defs.h>

#include <openssl/bio.h>
#include <stdatomic.h>

/* In static storage. */
typedef struct thi_bio_kind {
    const char *name;
    int (*read)(BIO *bio, char *buf, int size);
    int (*write)(BIO *bio, const char *buf, int size);
    long (*ctrl)(BIO *bio, int what, long number, void *arg);
    _Atomic(BIO_METHOD *) method; /* NULL: none yet */
} thi_bio_kind;

/* A BIO with one reference, whose BIO_get_data() is `data`; NULL: no memory. Any thread. */
TH_MUST BIO *thi_bio_new(thi_bio_kind *kind, void *data);

#endif
