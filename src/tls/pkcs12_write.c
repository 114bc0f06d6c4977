/* SPDX-License-Identifier: MIT */

/*
 * PKCS#12: writing.
 *
 * PBES2 with AES-256-CBC and PBKDF2 with HMAC-SHA256 for what is in it, and a MAC by SHA-256:
 * Windows 10 (1709), macOS 15, Java 8u301 and Firefox read that; older ones need a cipher of their
 * own time, which OpenSSL keeps in its "legacy" provider.
 */
#include "base/error.h"
#include "pool/blocking.h"
#include "tls/cert.h"
#include "tls/digest.h"
#include "tls/key.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"

#include <thrum/pkcs12.h>

#include <errno.h>
#include <openssl/pkcs12.h>
#include <string.h>

/* A file that is being made, by the pool. */
typedef struct packing {
    const th_pkcs12 *from;
    const thi_phrase *phrase;
    STACK_OF(X509) * chain;
    int cipher; /* NID */
    const EVP_MD *mac;
    int iterations;
    PKCS12 *p12; /* out */
} packing;

static int pack(void *arg)
{
    packing *p = arg;
    const th_pkcs12 *from = p->from;
    thi_ossl_begin();
    /* -1: no MAC yet, so that its digest can be chosen. */
    p->p12 = PKCS12_create(p->phrase->text, from->name, from->key ? from->key->pkey : NULL,
                           from->cert ? from->cert->x509 : NULL, p->chain, p->cipher, p->cipher,
                           p->iterations, -1, 0);
    if (p->p12 && PKCS12_set_mac(p->p12, p->phrase->text, (int)p->phrase->len, NULL, 0,
                                 p->iterations, p->mac) == 1)
        return 0;
    PKCS12_free(p->p12);
    p->p12 = NULL;
    return thi_ossl_fail(TH_ETLS, "making the PKCS#12 file");
}

static int check_opts(const th_pkcs12 *p12, const th_pkcs12_opts *o)
{
    if (o->size > sizeof *o)
        return thi_err_set(-EINVAL, "th_pkcs12_opts of a later version");
    if (!p12->key && !p12->cert && p12->chain.count == 0)
        return thi_err_set(-EINVAL, "there is nothing to write");
    if (p12->key && !p12->key->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to write, only the public part");
    if (p12->key && p12->cert && th_cert_has_key(p12->cert, p12->key) != 1)
        return thi_err_set(-EINVAL, "the key is not the one of the certificate");
    if (o->iterations != 0 &&
        (o->iterations < THI_ITERATIONS_MIN || o->iterations > THI_ITERATIONS_MAX))
        return thi_err_set(-EINVAL, "%u iterations; %u to %u are possible", o->iterations,
                           THI_ITERATIONS_MIN, THI_ITERATIONS_MAX);
    return 0;
}

/* With everything found but the phrase. */
static int write_with(packing *p, const th_passphrase *source, th_arena *arena, th_str *der)
{
    thi_phrase phrase;
    int err = thi_phrase_get(source, &phrase);
    if (err < 0)
        return err;
    p->phrase = &phrase;
    if (memchr(phrase.text, '\0', phrase.len))
        err = thi_err_set(-EINVAL, "a phrase for PKCS#12 ends at its first NUL byte");
    else
        err = thi_compute(pack, p);
    p->phrase = NULL;
    thi_phrase_wipe(&phrase);
    if (err == 0)
        err = thi_der_write(PKCS12_it(), p->p12, arena, der);
    PKCS12_free(p->p12);
    return err;
}

int th_pkcs12_write(const th_pkcs12 *p12, const th_passphrase *phrase, const th_pkcs12_opts *opts,
                    th_arena *arena, th_str *der)
{
    th_pkcs12_opts o = { 0 };
    EVP_CIPHER *cipher = NULL;
    EVP_MD *mac = NULL;
    if (!p12 || !arena || !der || !thi_phrase_valid(phrase))
        return thi_err_clear(-EINVAL);
    if (opts)
        o = *opts;
    packing p = { .from = p12, .iterations = (int)(o.iterations ? o.iterations : THI_ITERATIONS) };
    int err = check_opts(p12, &o);
    if (err == 0)
        err = thi_phrase_cipher(o.cipher, &cipher);
    if (err == 0)
        err = thi_digest_fetch(o.mac ? o.mac : "sha256", &mac);
    if (err == 0)
        err = thi_certs_stack(&p12->chain, &p.chain);
    if (err == 0) {
        p.cipher = EVP_CIPHER_get_nid(cipher);
        p.mac = mac;
        err = write_with(&p, phrase, arena, der);
    }
    sk_X509_pop_free(p.chain, X509_free);
    EVP_CIPHER_free(cipher);
    EVP_MD_free(mac);
    return err;
}
