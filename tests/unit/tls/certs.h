/* SPDX-License-Identifier: MIT */

/* Certificates made by the test itself, with OpenSSL: an authority, a server and a client of it. */
#ifndef THI_TEST_TLS_CERTS_H
#define THI_TEST_TLS_CERTS_H

#include "check_main.h"

#include <thrum/error.h>
#include <thrum/str.h>
#include <thrum/tls.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

/* A certificate with its key, both as objects and, one behind the other, as PEM. */
typedef struct test_cert {
    EVP_PKEY *key;
    X509 *cert;
    char pem[8192];
} test_cert;

static test_cert test_ca, test_server, test_client;

static inline void test_cert_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static inline void test_cert_to_pem(test_cert *made)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ck_assert_int_eq(PEM_write_bio_X509(bio, made->cert), 1);
    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL), 1);
    int n = BIO_read(bio, made->pem, sizeof made->pem - 1);
    ck_assert_int_gt(n, 0);
    made->pem[n] = '\0';
    BIO_free(bio);
}

/* Signed by `by`, or by itself; `names` as in an extension, "DNS:example.test". */
static inline void test_cert_make(test_cert *made, const char *common, const char *names,
                                  const test_cert *by, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    made->key = key;
    made->cert = cert;
    ck_assert_ptr_nonnull(key);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + (long)strlen(common));
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 24L * 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)common, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(by ? by->cert : cert));
    test_cert_add(cert, by ? by->cert : cert, NID_basic_constraints,
                  by ? "critical,CA:FALSE" : "critical,CA:TRUE");
    test_cert_add(cert, by ? by->cert : cert, NID_subject_key_identifier, "hash");
    if (names)
        test_cert_add(cert, by->cert, NID_subject_alt_name, names);
    const EVP_MD *digest =
        EVP_PKEY_get_base_id(by ? by->key : key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    ck_assert_int_gt(X509_sign(cert, by ? by->key : key, digest), 0);
    test_cert_to_pem(made);
}

static inline void test_cert_free(test_cert *made)
{
    X509_free(made->cert);
    EVP_PKEY_free(made->key);
    *made = (test_cert){ 0 };
}

/* The three, with keys of a kind whose signatures all have one size, so that runs can be repeated.
 */
static inline void make_certs(void)
{
    test_cert_make(&test_ca, "Test Root", NULL, NULL, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    test_cert_make(&test_server, "server.test", "DNS:server.test,DNS:*.wild.test,IP:127.0.0.1",
                   &test_ca, EVP_EC_gen("P-256"));
    test_cert_make(&test_client, "client.test", "DNS:client.test", &test_ca,
                   EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

static inline void free_certs(void)
{
    test_cert_free(&test_ca);
    test_cert_free(&test_server);
    test_cert_free(&test_client);
}

/*
 * Where TLS in the kernel is promised (`make ktls`), all contexts ask for it: what holds of
 * connections holds of those as well. A test that is about who encrypts says it itself.
 */
static bool test_chooses_kernel;

static inline bool test_wants_kernel(void)
{
    return !test_chooses_kernel && getenv("THRUM_KTLS");
}

/* A context with one certificate (NULL: none) that trusts the authority; `opts` may say more. */
static inline th_tls *test_tls(const test_cert *own, th_tls_opts opts)
{
    th_tls_cert cert = { 0 };
    th_tls *tls = NULL;
    if (own) {
        cert.cert_pem = th_str_of(own->pem);
        opts.certs = &cert;
        opts.certs_count = 1;
    }
    opts.trust.memory = th_str_of(test_ca.pem);
    if (test_wants_kernel())
        opts.kernel_sends = 1;
    int err = th_tls_new(&opts, &tls);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return tls;
}

#endif
