/* SPDX-License-Identifier: MIT */

/*
 * Private keys that do not hold up the loop.
 *
 * A signer computes with one private key. It stands behind a key that OpenSSL takes for an ordinary
 * one: that has the public part, and methods that ask the signer (signer_methods.c). The fiber that
 * is inside of SSL_do_handshake() is then parked right there, while a thread of the pool "crypto"
 * computes, or another process does (keyd_client.c). Outside of a fiber there is nobody to park,
 * and the key is used in place.
 *
 * What is cheaper than to hand it over is not wrapped at all (sign_cost.c).
 */
#ifndef THI_TLS_SIGNER_H
#define THI_TLS_SIGNER_H

#include "base/util.h"

#include <thrum/defs.h>

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thi_signer thi_signer;

/* What a private key is asked for. The numbers are those of the key process's protocol. */
typedef enum thi_sign_op {
    THI_SIGN_RSA_PKCS1 = 1, /* `in` is a DigestInfo, to be padded as PKCS #1 1.5 says */
    THI_SIGN_RSA_RAW = 2,   /* `in` is padded, of the modulus's size: PSS */
    THI_SIGN_ECDSA = 3      /* `in` is a digest, `out` a signature in DER */
} thi_sign_op;

/* The largest result: RSA of 8192 bits. Larger keys are used by the fiber itself, for seconds. */
#define THI_SIGN_MAX 1024

/* One request. The buffers are the caller's, who is parked until nobody uses them any more. */
typedef struct thi_sign_request {
    thi_sign_op op;
    const uint8_t *in;
    size_t len;
    uint8_t *out;
    size_t room; /* bytes at out */
} thi_sign_request;

/* How a signer does it. */
typedef struct thi_signer_ops {
    /* The length of the result, or a negative code with a detail. May suspend in a fiber. */
    int (*sign)(thi_signer *signer, const thi_sign_request *request);
    void (*free)(thi_signer *signer);
} thi_signer_ops;

/* The first member of whatever has these. */
struct thi_signer {
    const thi_signer_ops *ops;
    unsigned refs; /* atomic */
};

static inline thi_signer *thi_signer_ref(thi_signer *signer)
{
    __atomic_fetch_add(&signer->refs, 1, __ATOMIC_RELAXED);
    return signer;
}

static inline void thi_signer_unref(thi_signer *signer)
{
    if (signer && __atomic_sub_fetch(&signer->refs, 1, __ATOMIC_ACQ_REL) == 0)
        signer->ops->free(signer);
}

/* What thi_signer_wrap() shall do with a key. */
typedef enum thi_signer_where {
    THI_SIGNER_AS_MEASURED, /* off the loop what is dearer than the way there */
    THI_SIGNER_OFF_LOOP     /* any RSA or EC key */
} thi_signer_where;

/*
 * Makes a key of a private key for SSL_CTX_use_PrivateKey(): one with a signer, or the same one
 * with another reference. Keys of other kinds than RSA and EC always stay as they are.
 * 0; TH_ETLS with a detail; -ENOMEM. May suspend in a fiber, when the first key of its kind and
 * size is measured.
 */
TH_MUST int thi_signer_wrap(EVP_PKEY *key, thi_signer_where where, EVP_PKEY **wrapped);

/* Whether a key has a signer. */
bool thi_signer_has(const EVP_PKEY *key);

/*
 * Makes a key with the public part of `public`, an RSA or EC key, and a signer, whose reference it
 * takes on success. 0; TH_ETLS for another kind, with a detail; -ENOMEM.
 */
TH_MUST int thi_signer_key(const EVP_PKEY *public, thi_signer *signer, EVP_PKEY **key);

/*
 * For the methods: has the request done. Puts the thread's errors aside meanwhile, and lays a
 * failure into the queue. The length of the result, or a negative code.
 */
int thi_signer_ask(thi_signer *signer, const thi_sign_request *request);

/* ---- signer_local.c ---- */

/* A signer with the private key in this process. 0; TH_ETLS with a detail; -ENOMEM. */
TH_MUST int thi_signer_local(EVP_PKEY *key, thi_signer **signer);

/* Computes with a local signer on the calling thread: as ops->sign. */
int thi_signer_compute(thi_signer *signer, const thi_sign_request *request);

#endif
