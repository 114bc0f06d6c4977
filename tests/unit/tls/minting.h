/* SPDX-License-Identifier: MIT */

/* Keys and certificates of any kind, good and bad, made with OpenSSL alone. */
#ifndef THI_TEST_TLS_MINTING_H
#define THI_TEST_TLS_MINTING_H

#include "check_main.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is to be in a certificate; all zero is a leaf for nobody. */
typedef struct minting {
    const char *cn;
    const char *alts;  /* "DNS:a.test,IP:127.0.0.1" */
    const char *usage; /* extended: "serverAuth"; NULL: none */
    bool ca;
    long from, to;     /* seconds from now; both 0: an hour ago to a day ahead */
    long serial;       /* 0: a new one */
    int ext;           /* the number of one more extension; 0: none */
    const char *value; /* of that */
} minting;

/* A new key: "ec" (also by NULL), "rsa", "rsa1024", "rsa4096", "ed25519", or a curve,
 * "P-384". */
static inline EVP_PKEY *mint_key(const char *kind)
{
    EVP_PKEY *key = NULL;
    if (!kind || strcasecmp(kind, "ec") == 0)
        key = EVP_EC_gen("P-256");
    else if (strcasecmp(kind, "ed25519") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else if (strncasecmp(kind, "rsa", 3) == 0)
        key = EVP_RSA_gen(strlen(kind) > 3 ? strtoul(kind + 3, NULL, 10) : 2048);
    else
        key = EVP_EC_gen(kind);
    ck_assert_ptr_nonnull(key);
    return key;
}

static inline void mint_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static inline const EVP_MD *mint_digest(const EVP_PKEY *key)
{
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

/* A certificate of `key`, signed by an issuer, or by itself (NULL, NULL). */
static inline X509 *mint_cert(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, minting m)
{
    static long serials = 100;
    bool dated = m.from != 0 || m.to != 0;
    X509 *cert = X509_new();
    ck_assert_ptr_nonnull(cert);
    issuer = issuer ? issuer : cert;
    issuer_key = issuer_key ? issuer_key : key;
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), m.serial ? m.serial : ++serials);
    X509_gmtime_adj(X509_getm_notBefore(cert), dated ? m.from : -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), dated ? m.to : 24L * 3600);
    X509_set_pubkey(cert, key);
    if (m.cn)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)m.cn, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    mint_ext(cert, issuer, NID_basic_constraints, m.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    mint_ext(cert, issuer, NID_subject_key_identifier, "hash");
    if (m.alts)
        mint_ext(cert, issuer, NID_subject_alt_name, m.alts);
    if (m.usage)
        mint_ext(cert, issuer, NID_ext_key_usage, m.usage);
    if (m.ext)
        mint_ext(cert, issuer, m.ext, m.value);
    ck_assert_int_gt(X509_sign(cert, issuer_key, mint_digest(issuer_key)), 0);
    return cert;
}

#endif
