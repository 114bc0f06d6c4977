/* SPDX-License-Identifier: MIT */

/* Keys: what they are, checking and comparing them, their public part. */
#include "tls/key.h"

#include "base/alloc.h"
#include "pool/blocking.h"
#include "tls/digest.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"
#include "tls/pem.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* ---- the object ---- */

static int kind_of(const EVP_PKEY *pkey)
{
    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return TH_KEY_RSA;
    case EVP_PKEY_EC:
        return TH_KEY_EC;
    case EVP_PKEY_ED25519:
        return TH_KEY_ED25519;
    case EVP_PKEY_ED448:
        return TH_KEY_ED448;
    default:
        return TH_KEY_OTHER;
    }
}

/* "P-256" is what people say, "prime256v1" what OpenSSL does. */
static void name_curve(EVP_PKEY *pkey, char name[64])
{
    char group[64];
    size_t len;
    if (EVP_PKEY_get_group_name(pkey, group, sizeof group, &len) != 1) {
        snprintf(name, 64, "EC with parameters of its own");
        return;
    }
    const char *known = EC_curve_nid2nist(OBJ_txt2nid(group));
    snprintf(name, 64, "%s", known ? known : group);
}

void thi_key_tell(EVP_PKEY *pkey, bool is_private, char name[64], th_key_info *info)
{
    thi_ossl_begin();
    *info = (th_key_info){ .kind = kind_of(pkey),
                           .is_private = is_private,
                           .bits = EVP_PKEY_get_bits(pkey),
                           .security_bits = EVP_PKEY_get_security_bits(pkey),
                           .name = name };
    const char *type = EVP_PKEY_get0_type_name(pkey);
    switch (info->kind) {
    case TH_KEY_EC:
        name_curve(pkey, name);
        break;
    case TH_KEY_ED25519:
        snprintf(name, 64, "Ed25519");
        break;
    case TH_KEY_ED448:
        snprintf(name, 64, "Ed448");
        break;
    default:
        snprintf(name, 64, "%s", type ? type : "?");
    }
    thi_ossl_begin();
}

int thi_key_wrap(EVP_PKEY *pkey, bool is_private, th_key **key)
{
    th_key *made = thi_calloc(1, sizeof *made);
    if (!made) {
        EVP_PKEY_free(pkey);
        return thi_err_clear(-ENOMEM);
    }
    atomic_init(&made->refs, 1);
    made->pkey = pkey;
    thi_key_tell(pkey, is_private, made->name, &made->info);
    *key = made;
    return 0;
}

th_key *th_key_ref(th_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

void th_key_unref(th_key *key)
{
    if (!key || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) > 1)
        return;
    EVP_PKEY_free(key->pkey);
    thi_free(key);
}

int th_key_get_info(const th_key *key, th_key_info *info)
{
    if (!key || !info)
        return thi_err_clear(-EINVAL);
    *info = key->info;
    return 0;
}

/* ---- comparing and checking ---- */

int th_key_equal(const th_key *a, const th_key *b)
{
    if (!a || !b)
        return 0;
    thi_ossl_begin();
    int same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    thi_ossl_begin();
    return same;
}

/* Reads the numbers anew, which is all that OpenSSL's check needs of a key that others use. */
static int check(void *arg)
{
    th_key *key = arg;
    thi_ossl_begin();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    int ok = ctx ? EVP_PKEY_check(ctx) : -1;
    EVP_PKEY_CTX_free(ctx);
    if (ok == 1) {
        thi_ossl_begin();
        return 0;
    }
    return thi_ossl_fail(ctx ? TH_ETLS : -ENOMEM, "the %s key is broken", key->name);
}

int th_key_check(const th_key *key)
{
    if (!key)
        return thi_err_clear(-EINVAL);
    if (!key->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to check, only the public part");
    return thi_compute(check, (void *)(uintptr_t)key);
}

int thi_key_digest(const th_key *key, const char *name, EVP_MD **digest)
{
    char fallback[64] = "";
    thi_ossl_begin();
    int has = EVP_PKEY_get_default_digest_name(key->pkey, fallback, sizeof fallback);
    thi_ossl_begin();
    /* 2: the key has no choice, and "UNDEF" is its name for having none. */
    if (has == 2 && strcmp(fallback, "UNDEF") == 0) {
        if (name)
            return thi_err_set(-EINVAL, "a signature with %s has no digest to choose", key->name);
        *digest = NULL;
        return 0;
    }
    const char *strong = key->info.security_bits > 192   ? "sha512"
                         : key->info.security_bits > 128 ? "sha384"
                                                         : "sha256";
    return thi_digest_fetch(name ? name : strong, digest);
}

/* ---- the public part ---- */

int th_key_public_der(const th_key *key, th_arena *arena, th_str *der)
{
    if (!key || !arena || !der)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    unsigned char *bytes = NULL;
    int len = i2d_PUBKEY(key->pkey, &bytes);
    if (len <= 0)
        return thi_ossl_fail(TH_ETLS, "the public key cannot be written");
    char *copy = th_arena_strdup(arena, th_str_make((const char *)bytes, (size_t)len));
    OPENSSL_free(bytes);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *der = th_str_make(copy, (size_t)len);
    return 0;
}

int th_key_public_pem(const th_key *key, th_arena *arena, th_str *pem)
{
    th_str der = { 0 };
    if (!pem)
        return thi_err_clear(-EINVAL);
    int err = th_key_public_der(key, arena, &der);
    return err == 0 ? thi_pem_write("PUBLIC KEY", der, arena, pem) : err;
}

int th_key_fingerprint(const th_key *key, const char *digest, th_arena *arena, th_str *text)
{
    th_str der = { 0 };
    if (!text)
        return thi_err_clear(-EINVAL);
    int err = th_key_public_der(key, arena, &der);
    return err == 0 ? thi_fingerprint(der, digest, arena, text) : err;
}

/* By way of its encoding, the one form in which there is nothing but the public part. */
int th_key_public(const th_key *key, th_key **public_key)
{
    if (!key || !public_key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key->pkey, &der);
    const unsigned char *at = der;
    EVP_PKEY *pkey = len > 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
    OPENSSL_free(der);
    if (!pkey)
        return thi_ossl_fail(TH_ETLS, "the public key cannot be taken");
    return thi_key_wrap(pkey, false, public_key);
}
