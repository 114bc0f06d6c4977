/* SPDX-License-Identifier: MIT */

/* Writing private keys: PKCS#8, in the clear or with a pass phrase (PBES2 of RFC 8018). */
#include "pool/blocking.h"
#include "tls/key.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"
#include "tls/pem.h"

#include <errno.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

/* A key that is being encrypted. */
typedef struct sealing {
    PKCS8_PRIV_KEY_INFO *p8;
    const EVP_CIPHER *cipher;
    thi_phrase *phrase;
    int iterations;
    X509_SIG *box; /* out */
} sealing;

/* In the pool. -1: by PBES2, whose hash is HMAC-SHA256. */
static int seal(void *arg)
{
    sealing *s = arg;
    thi_ossl_begin();
    s->box = PKCS8_encrypt(-1, s->cipher, s->phrase->text, (int)s->phrase->len, NULL, 0,
                           s->iterations, s->p8);
    return s->box ? 0 : thi_ossl_fail(TH_ETLS, "encrypting the key");
}

static int check_opts(const th_key *key, const th_key_write_opts *o)
{
    if (!key->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to write, only the public part");
    if (o->size > sizeof *o)
        return thi_err_set(-EINVAL, "th_key_write_opts of a later version");
    if (!thi_phrase_valid(o->phrase))
        return thi_err_set(-EINVAL, "th_passphrase of a later version");
    if (o->cipher && !thi_phrase_any(o->phrase))
        return thi_err_set(-EINVAL, "the cipher %s, but no pass phrase", o->cipher);
    if (o->iterations != 0 &&
        (o->iterations < THI_ITERATIONS_MIN || o->iterations > THI_ITERATIONS_MAX))
        return thi_err_set(-EINVAL, "%u iterations; %u to %u are possible", o->iterations,
                           THI_ITERATIONS_MIN, THI_ITERATIONS_MAX);
    return 0;
}

static int write_sealed(const th_key_write_opts *o, PKCS8_PRIV_KEY_INFO *p8, th_arena *arena,
                        th_str *der)
{
    thi_phrase phrase;
    EVP_CIPHER *cipher = NULL;
    sealing s = { .p8 = p8,
                  .phrase = &phrase,
                  .iterations = (int)(o->iterations ? o->iterations : THI_ITERATIONS) };
    int err = thi_phrase_cipher(o->cipher, &cipher);
    if (err == 0)
        err = thi_phrase_get(o->phrase, &phrase);
    s.cipher = cipher;
    if (err == 0) {
        err = thi_compute(seal, &s);
        thi_phrase_wipe(&phrase);
    }
    if (err == 0)
        err = thi_der_write(ASN1_ITEM_rptr(X509_SIG), s.box, arena, der);
    X509_SIG_free(s.box);
    EVP_CIPHER_free(cipher);
    return err;
}

/* The DER, and whether it is encrypted. */
static int write_der(const th_key *key, const th_key_write_opts *opts, th_arena *arena, th_str *der,
                     bool *sealed)
{
    th_key_write_opts o = { 0 };
    if (!key || !arena || !der)
        return thi_err_clear(-EINVAL);
    if (opts)
        o = *opts;
    int err = check_opts(key, &o);
    if (err < 0)
        return err;
    thi_ossl_begin();
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key->pkey);
    if (!p8)
        return thi_ossl_fail(TH_ETLS, "the key cannot be written");
    *sealed = thi_phrase_any(o.phrase);
    err = *sealed ? write_sealed(&o, p8, arena, der)
                  : thi_der_write(ASN1_ITEM_rptr(PKCS8_PRIV_KEY_INFO), p8, arena, der);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return err;
}

int th_key_der(const th_key *key, const th_key_write_opts *opts, th_arena *arena, th_str *der)
{
    bool sealed = false;
    return write_der(key, opts, arena, der, &sealed);
}

int th_key_pem(const th_key *key, const th_key_write_opts *opts, th_arena *arena, th_str *pem)
{
    th_str der = { 0 };
    bool sealed = false;
    if (!pem)
        return thi_err_clear(-EINVAL);
    int err = write_der(key, opts, arena, &der, &sealed);
    if (err < 0)
        return err;
    err = thi_pem_write(sealed ? "ENCRYPTED PRIVATE KEY" : "PRIVATE KEY", der, arena, pem);
    OPENSSL_cleanse((void *)(uintptr_t)der.ptr, der.len);
    return err;
}
