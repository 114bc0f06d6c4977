/* SPDX-License-Identifier: MIT */

/*
 * PEM and DER: which of them something is, objects out of both, and objects into both.
 *
 * Nothing here suspends or asks for a pass phrase.
 */
#ifndef THI_TLS_PEM_H
#define THI_TLS_PEM_H

#include <thrum/mem.h>
#include <thrum/str.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <stdbool.h>

/* A kind of object, and what it is called in PEM. */
typedef struct thi_pem_kind {
    const char *what;               /* in details: "certificate" */
    const char *names[2];           /* of its blocks; the first is written; the other may be NULL */
    const ASN1_ITEM *(*item)(void); /* how it is encoded */
} thi_pem_kind;

/* One block of a PEM text. */
typedef struct thi_pem_block {
    char *name;
    char *header; /* "Proc-Type: 4,ENCRYPTED" and so on; empty without any */
    unsigned char *data;
    long len;
} thi_pem_block;

/* How large what is not said otherwise may be. */
#define THI_PEM_LIMIT ((size_t)1 << 20)

/* Whether it is a PEM text; else it may be DER. */
bool thi_pem_is(th_str data);

/* A reader of a text that must stay; NULL without memory, or for more than INT_MAX bytes. */
BIO *thi_pem_open(th_str data);

/* The next block: 1, to be given back with thi_pem_drop(); 0: no more; TH_ETLS for a broken one. */
TH_MUST int thi_pem_next(BIO *bio, thi_pem_block *block);

/* Frees a block, and wipes it. */
void thi_pem_drop(thi_pem_block *block);

/* Called for each object, which it takes over in any case. A failure ends the reading. */
typedef int thi_pem_take_fn(void *arg, void *object);

/* A kind that is looked for, and who takes it. */
typedef struct thi_pem_wanted {
    const thi_pem_kind *kind;
    thi_pem_take_fn *take;
} thi_pem_wanted;

/*
 * Hands all objects of some kinds to their takers, in order; other blocks are passed over. Returns
 * how many there were, at least 1; TH_ETLS when there is none or one is broken, after those before
 * it were taken; TH_ELIMIT for more than `limit` bytes; -ENOMEM; what a taker returned. DER is of
 * the first kind, and may have nothing behind it.
 */
TH_MUST int thi_pem_each_of(const thi_pem_wanted *wanted, size_t count, th_str data, size_t limit,
                            void *arg);

/* The same for one kind. */
TH_MUST int thi_pem_each(const thi_pem_kind *kind, th_str data, size_t limit, thi_pem_take_fn *take,
                         void *arg);

/* The first object of a kind. */
TH_MUST int thi_pem_read(const thi_pem_kind *kind, th_str data, size_t limit, void **object);

/* An object of DER that must be all of it. */
TH_MUST int thi_der_read(const thi_pem_kind *kind, th_str der, void **object);

/* The DER of an object, in the arena. */
TH_MUST int thi_der_write(const ASN1_ITEM *item, const void *object, th_arena *arena, th_str *der);

/* The PEM of DER, in the arena, with a NUL behind it. */
TH_MUST int thi_pem_write(const char *name, th_str der, th_arena *arena, th_str *pem);

/* The PEM of an object. */
TH_MUST int thi_pem_write_object(const thi_pem_kind *kind, const void *object, th_arena *arena,
                                 th_str *pem);

/* What was written to a memory BIO, copied into the arena with a NUL behind it. */
TH_MUST int thi_bio_copy(BIO *bio, th_arena *arena, th_str *text);

#endif
