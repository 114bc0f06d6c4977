/* SPDX-License-Identifier: MIT */

/* Certificates made by the test itself, with OpenSSL: an authority, a server and a client of it. */
#ifndef THI_TEST_TLS_CERTS_H
#define THI_TEST_TLS_CERTS_H

#include "minting.h"

#include <thrum/error.h>
#include <thrum/str.h>
#include <thrum/tls.h>

#include <openssl/pem.h>

/* A certificate with its key, both as objects and, one behind the other, as PEM. */
typedef struct test_cert {
    EVP_PKEY *key;
    X509 *cert;
    char pem[8192];
} test_cert;

static test_cert test_ca, test_server, test_client;

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
    made->key = key;
    made->cert = mint_cert(
        key, by ? by->cert : NULL, by ? by->key : NULL,
        (minting){ .cn = common, .alts = names, .ca = !by, .serial = 1 + (long)strlen(common) });
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
    test_cert_make(&test_ca, "Test Root", NULL, NULL, mint_key("ed25519"));
    test_cert_make(&test_server, "server.test", "DNS:server.test,DNS:*.wild.test,IP:127.0.0.1",
                   &test_ca, mint_key("ec"));
    test_cert_make(&test_client, "client.test", "DNS:client.test", &test_ca, mint_key("ed25519"));
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
