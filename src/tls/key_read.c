/* SPDX-License-Identifier: MIT */

/*
 * Reading keys.
 *
 * OpenSSL's own readers try forms and ask for phrases as they see fit. Here the form is known
 * before anything is decrypted: a block of PEM says it, and DER is tried as one after the other of
 * the few that there are. So the phrase is asked for once, on the caller's fiber, is never
 * shortened, and only the decryption goes to the pool.
 */
#include "pool/blocking.h"
#include "tls/key.h"
#include "tls/load.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"
#include "tls/pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <string.h>

/* A key that is being read. */
typedef struct reading {
    const th_passphrase *source;
    thi_phrase *phrase;
    EVP_PKEY *pkey; /* out */
    bool is_private;
    /* what is being decrypted; one or the other */
    const X509_SIG *box;
    EVP_CIPHER_INFO how;
    thi_pem_block *block;
} reading;

static int get_phrase(reading *r)
{
    int err = thi_phrase_get(r->source, r->phrase);
    if (err < 0)
        return err;
    return r->phrase->given ? 0
                            : thi_err_set(-EACCES, "the key is encrypted, and there is no pass "
                                                   "phrase for it");
}

static int got(reading *r, EVP_PKEY *pkey, bool is_private)
{
    if (!pkey)
        return thi_ossl_fail(TH_ETLS, "the %s key is broken", is_private ? "private" : "public");
    r->pkey = pkey;
    r->is_private = is_private;
    return 0;
}

/* ---- PKCS#8 ---- */

static int from_pkcs8(reading *r, const PKCS8_PRIV_KEY_INFO *p8)
{
    return got(r, EVP_PKCS82PKEY(p8), true);
}

/* In the pool. */
static int open_box(void *arg)
{
    reading *r = arg;
    thi_ossl_begin();
    PKCS8_PRIV_KEY_INFO *p8 = PKCS8_decrypt(r->box, r->phrase->text, (int)r->phrase->len);
    if (!p8)
        return thi_phrase_fail("key");
    int err = from_pkcs8(r, p8);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return err;
}

static int from_box(reading *r, const X509_SIG *box)
{
    const X509_ALGOR *how;
    uint64_t left = THI_ITERATIONS_MAX;
    X509_SIG_get0(box, &how, NULL);
    int err = thi_phrase_cost(how, &left);
    if (err == 0)
        err = get_phrase(r);
    if (err < 0)
        return err;
    r->box = box;
    return thi_compute(open_box, r);
}

/* ---- single forms; each needs all of the bytes ---- */

static bool ends(const unsigned char *at, th_str der)
{
    return (const char *)at == der.ptr + der.len;
}

static int read_pkcs8(reading *r, th_str der)
{
    thi_ossl_begin();
    const unsigned char *at = (const unsigned char *)der.ptr;
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    int err =
        p8 && ends(at, der) ? from_pkcs8(r, p8) : thi_ossl_fail(TH_ETLS, "this is no private key");
    PKCS8_PRIV_KEY_INFO_free(p8);
    return err;
}

static int read_box(reading *r, th_str der)
{
    thi_ossl_begin();
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509_SIG *box = d2i_X509_SIG(NULL, &at, (long)der.len);
    int err = box && ends(at, der) ? from_box(r, box)
                                   : thi_ossl_fail(TH_ETLS, "this is no encrypted key");
    X509_SIG_free(box);
    return err;
}

static int read_public(reading *r, th_str der)
{
    thi_ossl_begin();
    const unsigned char *at = (const unsigned char *)der.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (pkey && !ends(at, der)) {
        EVP_PKEY_free(pkey);
        return thi_err_set(TH_ETLS, "something stands behind the public key");
    }
    return got(r, pkey, false);
}

/* The forms before PKCS#8; `type` 0: whichever it looks like. */
static int read_older(reading *r, int type, th_str der)
{
    thi_ossl_begin();
    const unsigned char *at = (const unsigned char *)der.ptr;
    EVP_PKEY *pkey = type ? d2i_PrivateKey(type, NULL, &at, (long)der.len)
                          : d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    if (pkey && !ends(at, der)) {
        EVP_PKEY_free(pkey);
        return thi_err_set(TH_ETLS, "something stands behind the key");
    }
    return got(r, pkey, true);
}

/* ---- PEM ---- */

/* OpenSSL asks here; we have asked already. */
static int hand_over(char *buf, int size, int writing, void *arg)
{
    const thi_phrase *phrase = arg;
    (void)writing;
    if (phrase->len > (size_t)size)
        return -1;
    memcpy(buf, phrase->text, phrase->len);
    return (int)phrase->len;
}

/* In the pool. */
static int open_block(void *arg)
{
    reading *r = arg;
    thi_ossl_begin();
    if (PEM_do_header(&r->how, r->block->data, &r->block->len, hand_over, r->phrase) == 1)
        return 0;
    return thi_phrase_fail("key");
}

static int read_older_block(reading *r, int type, thi_pem_block *block)
{
    thi_ossl_begin();
    if (PEM_get_EVP_CIPHER_INFO(block->header, &r->how) != 1)
        return thi_ossl_fail(TH_ETLS, "the header of the key is broken");
    bool encrypted = r->how.cipher != NULL;
    int err = encrypted ? get_phrase(r) : 0;
    r->block = block;
    if (err == 0 && encrypted)
        err = thi_compute(open_block, r);
    r->block = NULL;
    if (err < 0)
        return err;
    err = read_older(r, type, th_str_make((const char *)block->data, (size_t)block->len));
    /* By chance, a wrong phrase gives bytes that look decrypted. */
    return err == TH_ETLS && encrypted ? thi_err_set(-EACCES, "wrong pass phrase for the key")
                                       : err;
}

/* 1: it is no key. */
static int read_block(reading *r, thi_pem_block *block)
{
    th_str der = th_str_make((const char *)block->data, (size_t)block->len);
    if (strcmp(block->name, "PRIVATE KEY") == 0)
        return read_pkcs8(r, der);
    if (strcmp(block->name, "ENCRYPTED PRIVATE KEY") == 0)
        return read_box(r, der);
    if (strcmp(block->name, "PUBLIC KEY") == 0)
        return read_public(r, der);
    if (strcmp(block->name, "RSA PRIVATE KEY") == 0)
        return read_older_block(r, EVP_PKEY_RSA, block);
    if (strcmp(block->name, "EC PRIVATE KEY") == 0)
        return read_older_block(r, EVP_PKEY_EC, block);
    return 1;
}

static int read_pem(reading *r, th_str data)
{
    thi_pem_block block;
    BIO *bio = thi_pem_open(data);
    int err = bio ? 1 : thi_err_clear(-ENOMEM);
    while (err == 1) {
        int more = thi_pem_next(bio, &block);
        if (more <= 0) {
            err = more < 0 ? more : thi_err_set(TH_ETLS, "there is no key in it");
            break;
        }
        err = read_block(r, &block);
        thi_pem_drop(&block);
    }
    BIO_free(bio);
    return err;
}

/* ---- DER ---- */

/* Whether it has the form of that type, as far as reading it without a phrase tells. */
static bool looks_like(const ASN1_ITEM *item, th_str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    thi_ossl_begin();
    ASN1_VALUE *value = ASN1_item_d2i(NULL, &at, (long)der.len, item);
    bool fits = value && ends(at, der);
    ASN1_item_free(value, item);
    thi_ossl_begin();
    return fits;
}

static int read_der(reading *r, th_str data)
{
    if (data.len == 0 || data.ptr[0] != 0x30)
        return thi_err_set(TH_ETLS, "this is no key: neither PEM nor DER");
    if (looks_like(ASN1_ITEM_rptr(X509_SIG), data))
        return read_box(r, data);
    if (r->source && r->source->text.ptr)
        return thi_err_set(-EINVAL, "a pass phrase, but the key is not encrypted");
    if (looks_like(ASN1_ITEM_rptr(PKCS8_PRIV_KEY_INFO), data))
        return read_pkcs8(r, data);
    if (looks_like(ASN1_ITEM_rptr(X509_PUBKEY), data))
        return read_public(r, data);
    return read_older(r, 0, data);
}

/* ---- the calls ---- */

int th_key_parse(th_str data, const th_passphrase *phrase, th_key **key)
{
    thi_phrase buf = { 0 };
    reading r = { .source = phrase, .phrase = &buf };
    if (!key || (!data.ptr && data.len > 0) || !thi_phrase_valid(phrase))
        return thi_err_clear(-EINVAL);
    if (data.len > THI_PEM_LIMIT)
        return thi_err_set(TH_ELIMIT, "more than %zu bytes", THI_PEM_LIMIT);
    if (phrase && phrase->text.ptr && phrase->text.len > TH_PASSPHRASE_MAX)
        return thi_err_set(-EINVAL, "the pass phrase is longer than %d bytes", TH_PASSPHRASE_MAX);
    int err = thi_pem_is(data) ? read_pem(&r, data) : read_der(&r, data);
    thi_phrase_wipe(&buf);
    return err == 0 ? thi_key_wrap(r.pkey, r.is_private, key) : err;
}

/* What the parser of thi_load() needs besides the bytes. */
typedef struct loading {
    const th_passphrase *phrase;
    th_key **key;
} loading;

static int parse_loaded(th_str data, void *arg)
{
    const loading *l = arg;
    return th_key_parse(data, l->phrase, l->key);
}

int th_key_load(const char *path, const th_passphrase *phrase, th_key **key)
{
    loading l = { phrase, key };
    if (!path || !key || !thi_phrase_valid(phrase))
        return thi_err_clear(-EINVAL);
    return thi_load(path, THI_PEM_LIMIT, parse_loaded, &l);
}
