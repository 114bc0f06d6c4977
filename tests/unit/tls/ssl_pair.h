/* SPDX-License-Identifier: MIT */

/* Two ends of OpenSSL's own, tied together in memory, for what is attached to their SSL_CTXs. */
#ifndef THI_TEST_TLS_SSL_PAIR_H
#define THI_TEST_TLS_SSL_PAIR_H

#include "check_main.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

/* An authority and what it signed; made anew in each test's process. */
static EVP_PKEY *authority_key;
static X509 *authority;

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, authority ? authority : cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

/* A certificate that begins an hour ago and ends in so many seconds, without its signature. */
static inline X509 *begin_cert(const char *common, EVP_PKEY *key, long serial, long ends)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), ends);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)common, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(authority ? authority : cert));
    return cert;
}

static inline EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    ck_assert_ptr_nonnull(key);
    return key;
}

static inline void make_authority(void)
{
    authority_key = make_key();
    X509 *cert = begin_cert("Test Root", authority_key, 1, 24L * 3600);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_key_identifier, "hash");
    ck_assert_int_gt(X509_sign(cert, authority_key, EVP_sha256()), 0);
    authority = cert;
}

static inline void drop_authority(void)
{
    X509_free(authority);
    EVP_PKEY_free(authority_key);
    authority = NULL;
    authority_key = NULL;
}

/* A certificate of the authority; `nid` is one more extension, 0 for none. */
static inline X509 *make_cert(EVP_PKEY *key, long serial, long ends, int nid, const char *value)
{
    X509 *cert = begin_cert("server.test", key, serial, ends);
    add_extension(cert, NID_subject_alt_name, "DNS:server.test");
    if (nid)
        add_extension(cert, nid, value);
    ck_assert_int_gt(X509_sign(cert, authority_key, EVP_sha256()), 0);
    return cert;
}

/* An SSL_CTX of a server with that certificate, both of which stay the caller's; 0: any version. */
static inline SSL_CTX *server_with(X509 *cert, EVP_PKEY *key, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
    return ctx;
}

static inline SSL_CTX *make_server(int version)
{
    EVP_PKEY *key = make_key();
    X509 *cert = make_cert(key, 7, 24L * 3600, 0, NULL);
    SSL_CTX *ctx = server_with(cert, key, version);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

/* One of a client that verifies by the authority. */
static inline SSL_CTX *make_client(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

/* Two ends that are tied together. */
typedef struct ssl_pair {
    SSL *server;
    SSL *client;
} ssl_pair;

static inline ssl_pair tie(SSL_CTX *server, SSL_CTX *client)
{
    BIO *a, *b;
    ssl_pair p = { SSL_new(server), SSL_new(client) };
    ck_assert_int_eq(BIO_new_bio_pair(&a, (size_t)64 * 1024, &b, (size_t)64 * 1024), 1);
    SSL_set_bio(p.server, a, a);
    SSL_set_bio(p.client, b, b);
    SSL_set_accept_state(p.server);
    SSL_set_connect_state(p.client);
    return p;
}

/* Whether an end has got through, or waits for the other one; false when it has failed. */
static inline bool step(SSL *ssl)
{
    ERR_clear_error();
    int n = SSL_do_handshake(ssl);
    return n == 1 || SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ;
}

/* Both handshakes to their end, and what the server says after it: whether both succeed. */
static inline bool shake(ssl_pair *p)
{
    char byte;
    for (int i = 0; i < 10; i++) {
        bool client = step(p->client);
        if (!step(p->server) || !client)
            return false;
    }
    ERR_clear_error();
    int n = SSL_read(p->client, &byte, 1); /* tickets */
    return SSL_is_init_finished(p->client) && SSL_is_init_finished(p->server) && n <= 0 &&
           SSL_get_error(p->client, n) == SSL_ERROR_WANT_READ;
}

static inline void untie(ssl_pair *p)
{
    SSL_free(p->server);
    SSL_free(p->client);
    *p = (ssl_pair){ NULL, NULL };
}

#endif
