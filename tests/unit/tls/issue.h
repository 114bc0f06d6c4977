/* SPDX-License-Identifier: MIT */

/* Certificates of every kind, good and bad, made by the test itself with OpenSSL; and files. */
#ifndef THI_TEST_TLS_ISSUE_H
#define THI_TEST_TLS_ISSUE_H

#include "minting.h"

#include <thrum/error.h>
#include <thrum/str.h>

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is to be made; all zero is a leaf for nobody. */
typedef struct wish {
    const char *cn;
    const char *alts;  /* "DNS:a.test,IP:127.0.0.1" */
    const char *key;   /* as mint_key() has it; NULL: "ec" */
    const char *usage; /* extended: "serverAuth"; NULL: none */
    bool ca;
    long from, to; /* seconds from now; both 0: an hour ago to a day ahead */
    long serial;   /* 0: a new one */
} wish;

typedef struct issued {
    X509 *cert;
    EVP_PKEY *key;
} issued;

/* Signed by `by`, or by itself. */
static inline issued issue(const issued *by, wish w)
{
    issued made = { .key = mint_key(w.key) };
    made.cert = mint_cert(made.key, by ? by->cert : NULL, by ? by->key : NULL,
                          (minting){ .cn = w.cn,
                                     .alts = w.alts,
                                     .usage = w.usage,
                                     .ca = w.ca,
                                     .from = w.from,
                                     .to = w.to,
                                     .serial = w.serial });
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
    ck_assert_int_gt(X509_CRL_sign(crl, by->key, mint_digest(by->key)), 0);
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
