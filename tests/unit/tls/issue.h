/* SPDX-License-Identifier: MIT */

/* Certificates of every kind, good and bad, made by the test itself with OpenSSL; and files. */
#ifndef THI_TEST_TLS_ISSUE_H
#define THI_TEST_TLS_ISSUE_H

#include "check_main.h"

#include <thrum/error.h>
#include <thrum/str.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is to be made; all zero is a leaf for nobody. */
typedef struct wish {
    const char *cn;
    const char *alts;  /* "DNS:a.test,IP:127.0.0.1" */
    const char *key;   /* "ec" (also by NULL), "ec384", "rsa", "rsa1024", "ed25519" */
    const char *usage; /* extended: "serverAuth"; NULL: none */
    bool ca;
    long from, to; /* seconds from now; both 0: an hour ago to a day ahead */
    long serial;   /* 0: a new one */
} wish;

typedef struct issued {
    X509 *cert;
    EVP_PKEY *key;
} issued;

static inline EVP_PKEY *new_key(const char *kind)
{
    EVP_PKEY *key = NULL;
    if (!kind || strcmp(kind, "ec") == 0)
        key = EVP_EC_gen("P-256");
    else if (strcmp(kind, "ec384") == 0)
        key = EVP_EC_gen("P-384");
    else if (strcmp(kind, "rsa") == 0)
        key = EVP_RSA_gen(2048);
    else if (strcmp(kind, "rsa1024") == 0)
        key = EVP_RSA_gen(1024);
    else if (strcmp(kind, "ed25519") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ck_assert_ptr_nonnull(key);
    return key;
}

static inline void add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static inline const EVP_MD *digest_for(EVP_PKEY *key)
{
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

/* Signed by `by`, or by itself. */
static inline issued issue(const issued *by, wish w)
{
    static long serials = 100;
    issued made = { X509_new(), new_key(w.key) };
    X509 *issuer = by ? by->cert : made.cert;
    EVP_PKEY *signer = by ? by->key : made.key;
    bool dated = w.from != 0 || w.to != 0;
    X509_set_version(made.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), w.serial ? w.serial : ++serials);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), dated ? w.from : -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), dated ? w.to : 24L * 3600);
    X509_set_pubkey(made.cert, made.key);
    if (w.cn)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made.cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)w.cn, -1, -1, 0);
    X509_set_issuer_name(made.cert, X509_get_subject_name(issuer));
    add_ext(made.cert, issuer, NID_basic_constraints,
            w.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_ext(made.cert, issuer, NID_subject_key_identifier, "hash");
    if (w.alts)
        add_ext(made.cert, issuer, NID_subject_alt_name, w.alts);
    if (w.usage)
        add_ext(made.cert, issuer, NID_ext_key_usage, w.usage);
    ck_assert_int_gt(X509_sign(made.cert, signer, digest_for(signer)), 0);
    return made;
}

static inline void drop_issued(issued *made)
{
    X509_free(made->cert);
    EVP_PKEY_free(made->key);
    *made = (issued){ 0 };
}

/* A list of issuer's, with the certificate in it unless it is NULL. */
static inline X509_CRL *issue_crl(const issued *by, const issued *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *then = X509_gmtime_adj(NULL, 24L * 3600);
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->cert));
    X509_CRL_set1_lastUpdate(crl, now);
    X509_CRL_set1_nextUpdate(crl, then);
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->cert));
        X509_REVOKED_set_revocationDate(entry, now);
        ck_assert_int_eq(X509_CRL_add0_revoked(crl, entry), 1);
    }
    ck_assert_int_gt(X509_CRL_sign(crl, by->key, digest_for(by->key)), 0);
    ASN1_TIME_free(now);
    ASN1_TIME_free(then);
    return crl;
}

/* ---- as texts ---- */

/* Texts are kept until the process ends, where whoever looks for leaks finds them. */
typedef struct kept {
    struct kept *before;
    char text[];
} kept;

static kept *last_kept;

static inline char *keep(const char *text, size_t len)
{
    kept *k = calloc(1, sizeof *k + len + 1);
    ck_assert_ptr_nonnull(k);
    k->before = last_kept;
    last_kept = k;
    if (text)
        memcpy(k->text, text, len);
    return k->text;
}

/* All that has been written. */
static inline char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = keep(data, (size_t)len);
    BIO_free(bio);
    return text;
}

/* The certificates one behind the other, NULL at the end. */
#define PEM_OF(...) pem_of((X509 *const[]){ __VA_ARGS__, NULL })

static inline char *pem_of(X509 *const *certs)
{
    BIO *bio = BIO_new(BIO_s_mem());
    for (size_t i = 0; certs[i]; i++)
        ck_assert_int_eq(PEM_write_bio_X509(bio, certs[i]), 1);
    return text_of(bio);
}

static inline char *pem_of_crl(X509_CRL *crl)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_X509_CRL(bio, crl), 1);
    X509_CRL_free(crl);
    return text_of(bio);
}

static inline char *pem_of_key(EVP_PKEY *key, const char *phrase, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, key, phrase ? EVP_aes_256_cbc() : NULL,
                                                   (char *)(uintptr_t)phrase, (int)len, NULL, NULL),
                     1);
    return text_of(bio);
}

static inline char *pem_of_public(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, key), 1);
    return text_of(bio);
}

static inline char *joined(const char *a, const char *b)
{
    size_t len = strlen(a);
    char *both = keep(NULL, len + strlen(b));
    memcpy(both, a, len);
    strcpy(both + len, b);
    return both;
}

/* ---- files ---- */

static char folder[64];

static inline void make_folder(void)
{
    strcpy(folder, "/tmp/thrum-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* A path in the folder; valid for the process. */
static inline char *path_of(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return keep(path, strlen(path));
}

static inline char *write_file(const char *name, const char *text)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

#endif
