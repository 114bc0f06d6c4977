/* SPDX-License-Identifier: MIT */

/*
 * PKCS#12: reading.
 *
 * The file is a list of boxes, encrypted or not, of bags: keys, certificates, other boxes.
 * OpenSSL's reader of all of it does what a file tells it to, as often as it tells; here each box
 * says what opening it will cost before it is opened, and all of them share what a file may cost.
 * The phrase is known by then: the MAC over everything is checked first.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "pool/blocking.h"
#include "tls/cert.h"
#include "tls/key.h"
#include "tls/load.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"
#include "tls/pkcs12.h"

#include <thrum/pkcs12.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <string.h>

#define LIMIT     ((size_t)16 << 20)
#define DEPTH_MAX 4 /* of boxes in boxes */

static const thi_pem_kind kind = { "PKCS#12 file", { "PKCS12", NULL }, PKCS12_it };

uint64_t thi_pkcs12_hashes = UINT64_C(4) * THI_ITERATIONS_MAX;

/* What has been found so far; all owned. */
typedef struct unpacking {
    const PKCS12 *p12;
    uint64_t left;      /* hashes of the phrase that the rest of the file may cost */
    const char *phrase; /* terminated; NULL: none, which is not the same as an empty one */
    int phrase_len;
    EVP_PKEY *pkey;
    char *key_name;         /* the friendly name of the key's bag, from OpenSSL's heap */
    STACK_OF(X509) * certs; /* in the order of the file, their friendly names as aliases */
} unpacking;

/* The MAC was right, and so is the phrase, unless a box has another one. */
static int cannot_open(const char *what)
{
    if (ERR_GET_LIB(thi_ossl_peek()) == ERR_LIB_ASN1)
        return thi_ossl_fail(TH_ETLS, "the %s is broken", what);
    return thi_phrase_fail(what);
}

/* ---- bags ---- */

static int keep_key(unpacking *u, PKCS12_SAFEBAG *bag, EVP_PKEY *pkey)
{
    if (!pkey)
        return thi_ossl_fail(TH_ETLS, "a key in it is broken");
    if (u->pkey) { /* one is enough; the first is the one that others would take */
        EVP_PKEY_free(pkey);
        return 0;
    }
    u->pkey = pkey;
    u->key_name = PKCS12_get_friendlyname(bag);
    return 0;
}

static int take_shrouded_key(unpacking *u, PKCS12_SAFEBAG *bag)
{
    const X509_ALGOR *how;
    X509_SIG_get0(PKCS12_SAFEBAG_get0_pkcs8(bag), &how, NULL);
    int err = thi_phrase_cost(how, &u->left);
    if (err < 0)
        return err;
    thi_ossl_begin();
    PKCS8_PRIV_KEY_INFO *p8 = PKCS12_decrypt_skey(bag, u->phrase, u->phrase_len);
    if (!p8)
        return cannot_open("key");
    EVP_PKEY *pkey = EVP_PKCS82PKEY(p8);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return keep_key(u, bag, pkey);
}

static int take_cert(unpacking *u, PKCS12_SAFEBAG *bag)
{
    if (PKCS12_SAFEBAG_get_bag_nid(bag) != NID_x509Certificate)
        return 0;
    thi_ossl_begin();
    X509 *x509 = PKCS12_SAFEBAG_get1_cert(bag);
    if (!x509)
        return thi_ossl_fail(TH_ETLS, "a certificate in it is broken");
    char *name = PKCS12_get_friendlyname(bag);
    int ok = name ? X509_alias_set1(x509, (unsigned char *)name, (int)strlen(name)) : 1;
    OPENSSL_free(name);
    if (ok == 1 && sk_X509_push(u->certs, x509) > 0)
        return 0;
    X509_free(x509);
    return thi_ossl_fail(-ENOMEM, "a certificate");
}

static int take_bags(unpacking *u, const STACK_OF(PKCS12_SAFEBAG) * bags, int depth);

static int take_bag(unpacking *u, PKCS12_SAFEBAG *bag, int depth)
{
    switch (PKCS12_SAFEBAG_get_nid(bag)) {
    case NID_keyBag:
        thi_ossl_begin();
        return keep_key(u, bag, EVP_PKCS82PKEY(PKCS12_SAFEBAG_get0_p8inf(bag)));
    case NID_pkcs8ShroudedKeyBag:
        return take_shrouded_key(u, bag);
    case NID_certBag:
        return take_cert(u, bag);
    case NID_safeContentsBag:
        return take_bags(u, PKCS12_SAFEBAG_get0_safes(bag), depth + 1);
    default:
        return 0; /* revocation lists and secrets */
    }
}

/* Calls itself by way of take_bag(), to a depth that is bounded. */
static int take_bags(unpacking *u, const STACK_OF(PKCS12_SAFEBAG) * bags, int depth)
{
    int err = 0;
    if (depth > DEPTH_MAX)
        return thi_err_set(TH_ELIMIT, "more than %d boxes in one another", DEPTH_MAX);
    for (int i = 0; i < sk_PKCS12_SAFEBAG_num(bags) && err == 0; i++)
        err = take_bag(u, sk_PKCS12_SAFEBAG_value(bags, i), depth);
    return err;
}

/* ---- boxes ---- */

static int take_box(unpacking *u, PKCS7 *box)
{
    int type = OBJ_obj2nid(box->type);
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    thi_ossl_begin();
    if (type == NID_pkcs7_data) {
        bags = PKCS12_unpack_p7data(box);
        if (!bags)
            return thi_ossl_fail(TH_ETLS, "the PKCS#12 file is broken");
    } else if (type == NID_pkcs7_encrypted) {
        if (!box->d.encrypted || !box->d.encrypted->enc_data)
            return thi_err_set(TH_ETLS, "the PKCS#12 file is broken");
        int err = thi_phrase_cost(box->d.encrypted->enc_data->algorithm, &u->left);
        if (err < 0)
            return err;
        bags = PKCS12_unpack_p7encdata(box, u->phrase, u->phrase_len);
        if (!bags)
            return cannot_open("PKCS#12 file");
    } else {
        return 0; /* one encrypted with a public key, of which nobody has heard */
    }
    int err = take_bags(u, bags, 0);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    return err;
}

static int check_mac(unpacking *u, const thi_phrase *phrase)
{
    const ASN1_INTEGER *iterations = NULL;
    PKCS12 *p12 = (PKCS12 *)(uintptr_t)u->p12;
    thi_ossl_begin();
    if (!PKCS12_mac_present(p12))
        return thi_err_set(TH_ETLS, "the PKCS#12 file has no MAC");
    PKCS12_get0_mac(NULL, NULL, NULL, &iterations, p12);
    int err = thi_phrase_iterations(iterations, &u->left);
    if (err < 0)
        return err;
    thi_ossl_begin();
    u->phrase = phrase->text;
    u->phrase_len = (int)phrase->len;
    if (PKCS12_verify_mac(p12, u->phrase, u->phrase_len) == 1)
        return 0;
    if (phrase->len > 0)
        return thi_phrase_fail("PKCS#12 file");
    /* Programs do not agree on whether "none" has a terminator that is hashed. */
    u->phrase = NULL;
    u->phrase_len = 0;
    thi_ossl_begin();
    if (PKCS12_verify_mac(p12, NULL, 0) == 1)
        return 0;
    err = thi_phrase_fail("PKCS#12 file");
    return err == -EACCES && !phrase->given
               ? thi_err_set(err, "the PKCS#12 file needs a pass phrase")
               : err;
}

/* The whole work, in the pool. */
typedef struct job {
    unpacking *u;
    const thi_phrase *phrase;
} job;

static int unpack(void *arg)
{
    const job *j = arg;
    int err = check_mac(j->u, j->phrase);
    if (err < 0)
        return err;
    thi_ossl_begin();
    STACK_OF(PKCS7) *boxes = PKCS12_unpack_authsafes(j->u->p12);
    if (!boxes)
        return thi_ossl_fail(TH_ETLS, "the PKCS#12 file is broken");
    for (int i = 0; i < sk_PKCS7_num(boxes) && err == 0; i++)
        err = take_box(j->u, sk_PKCS7_value(boxes, i));
    sk_PKCS7_pop_free(boxes, PKCS7_free);
    return err;
}

/* ---- the parts ---- */

static void drop(unpacking *u)
{
    EVP_PKEY_free(u->pkey);
    OPENSSL_free(u->key_name);
    sk_X509_pop_free(u->certs, X509_free);
}

/* The certificate of the key, taken out of the stack; NULL: none. */
static X509 *take_own(const unpacking *u)
{
    for (int i = 0; u->pkey && i < sk_X509_num(u->certs); i++) {
        thi_ossl_begin();
        EVP_PKEY *pkey = X509_get0_pubkey(sk_X509_value(u->certs, i));
        bool own = pkey && EVP_PKEY_eq(pkey, u->pkey) == 1;
        thi_ossl_begin();
        if (own)
            return sk_X509_delete(u->certs, i);
    }
    return NULL;
}

/* The friendly name is at the key, at its certificate, or at both. */
static int keep_name(const unpacking *u, X509 *own, th_pkcs12 *p12)
{
    int len = 0;
    const unsigned char *alias = own ? X509_alias_get0(own, &len) : NULL;
    if (!alias && sk_X509_num(u->certs) > 0 && !u->pkey)
        alias = X509_alias_get0(sk_X509_value(u->certs, 0), &len);
    const char *name = alias ? (const char *)alias : u->key_name;
    if (!name)
        return 0;
    p12->name = thi_strdup_n(name, alias ? (size_t)len : strlen(name));
    return p12->name ? 0 : thi_err_clear(-ENOMEM);
}

static int keep_parts(unpacking *u, th_pkcs12 *p12)
{
    X509 *own = take_own(u);
    int err = keep_name(u, own, p12);
    if (own && err == 0)
        err = thi_cert_wrap(own, &p12->cert);
    else
        X509_free(own);
    if (err == 0)
        err = thi_certs_add_stack(&p12->chain, u->certs, 0);
    if (err == 0 && u->pkey) {
        EVP_PKEY *pkey = u->pkey;
        u->pkey = NULL;
        err = thi_key_wrap(pkey, true, &p12->key);
    }
    return err;
}

void th_pkcs12_clear(th_pkcs12 *p12)
{
    if (!p12)
        return;
    th_key_unref(p12->key);
    th_cert_unref(p12->cert);
    th_certs_clear(&p12->chain);
    thi_free((char *)(uintptr_t)p12->name);
    *p12 = (th_pkcs12){ 0 };
}

static int read_with(const PKCS12 *from, const th_passphrase *source, th_pkcs12 *p12)
{
    thi_phrase phrase;
    th_pkcs12 made = { 0 };
    unpacking u = { .p12 = from, .left = thi_pkcs12_hashes };
    int err = thi_phrase_get(source, &phrase);
    if (err < 0)
        return err;
    if (memchr(phrase.text, '\0', phrase.len)) {
        err = thi_err_set(-EINVAL, "a phrase for PKCS#12 ends at its first NUL byte");
    } else {
        u.certs = sk_X509_new_null();
        job j = { &u, &phrase };
        err = u.certs ? thi_compute(unpack, &j) : thi_err_clear(-ENOMEM);
    }
    thi_phrase_wipe(&phrase);
    if (err == 0)
        err = keep_parts(&u, &made);
    drop(&u);
    if (err < 0)
        th_pkcs12_clear(&made);
    else
        *p12 = made;
    return err;
}

int th_pkcs12_parse(th_str data, const th_passphrase *phrase, th_pkcs12 *p12)
{
    void *from = NULL;
    if (!p12 || (!data.ptr && data.len > 0) || !thi_phrase_valid(phrase))
        return thi_err_clear(-EINVAL);
    if (data.len > LIMIT)
        return thi_err_set(TH_ELIMIT, "more than %zu bytes", LIMIT);
    int err = thi_der_read(&kind, data, &from);
    if (err < 0)
        return err;
    err = read_with(from, phrase, p12);
    PKCS12_free(from);
    return err;
}

/* What the parser of thi_load() needs besides the bytes. */
typedef struct load {
    const th_passphrase *phrase;
    th_pkcs12 *p12;
} load;

static int parse_loaded(th_str data, void *arg)
{
    const load *l = arg;
    return th_pkcs12_parse(data, l->phrase, l->p12);
}

int th_pkcs12_load(const char *path, const th_passphrase *phrase, th_pkcs12 *p12)
{
    if (!path || !p12 || !thi_phrase_valid(phrase))
        return thi_err_clear(-EINVAL);
    load l = { phrase, p12 };
    return thi_load(path, LIMIT, parse_loaded, &l);
}
