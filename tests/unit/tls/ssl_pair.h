/* SPDX-License-Identifier: MIT */

/* Two ends of OpenSSL's own, tied together in memory, for what is attached to their SSL_CTXs. */
#ifndef THI_TEST_TLS_SSL_PAIR_H
#define THI_TEST_TLS_SSL_PAIR_H

#include "minting.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

/* An authority and what it signed; made anew in each test's process. */
static EVP_PKEY *authority_key;
static X509 *authority;

static inline void make_authority(void)
{
    authority_key = mint_key("ec");
    authority = mint_cert(authority_key, NULL, NULL,
                          (minting){ .cn = "Test Root", .ca = true, .serial = 1 });
}

static inline void drop_authority(void)
{
    X509_free(authority);
    EVP_PKEY_free(authority_key);
    authority = NULL;
    authority_key = NULL;
}

/* A certificate of the authority that ends in so many seconds; `nid` is one more extension, 0 for
 * none. */
static inline X509 *make_cert(EVP_PKEY *key, long serial, long ends, int nid, const char *value)
{
    return mint_cert(key, authority, authority_key,
                     (minting){ .cn = "server.test",
                                .alts = "DNS:server.test",
                                .from = -3600,
                                .to = ends,
                                .serial = serial,
                                .ext = nid,
                                .value = value });
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
    EVP_PKEY *key = mint_key("ec");
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

/* A server's context with a certificate that signs itself: it is of `key`, `used` is what it signs
 * with. */
static inline SSL_CTX *new_server_ctx(EVP_PKEY *key, EVP_PKEY *used)
{
    X509 *cert = mint_cert(key, NULL, NULL, (minting){ .cn = "test" });
    SSL_CTX *ctx = server_with(cert, used, 0);
    ck_assert_int_eq(SSL_CTX_check_private_key(ctx), 1);
    X509_free(cert);
    return ctx;
}

/* One of a client that verifies nobody. */
static inline SSL_CTX *new_client_ctx(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(ctx);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
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

/* One step of one end: 1 done, 0 not yet, -1 failed with the reason in the queue. */
static inline int step(SSL *ssl)
{
    ERR_clear_error();
    int n = SSL_do_handshake(ssl);
    if (n == 1)
        return 1;
    return SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Both ends in turns until they are done. 0, or -1 when one has failed, with its reason in the
 * queue. */
static inline int shake_hands(ssl_pair *p)
{
    for (int round = 0; round < 10; round++) {
        int client = step(p->client);
        int server = client < 0 ? 0 : step(p->server);
        if (client < 0 || server < 0)
            return -1;
        if (client == 1 && server == 1)
            return 0;
    }
    return -1;
}

/* Both handshakes to their end, and what each says after it, an alert or tickets: whether both
 * succeed. */
static inline bool shake(ssl_pair *p)
{
    char byte;
    for (int i = 0; i < 10; i++) {
        int client = step(p->client);
        if (step(p->server) < 0 || client < 0)
            return false;
    }
    ERR_clear_error();
    int n = SSL_read(p->client, &byte, 1);
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
