/* SPDX-License-Identifier: MIT */

/* Bare pairs of OpenSSL connections over memory, and keys and certificates for them. */
#ifndef THI_TEST_TLS_PAIRS_H
#define THI_TEST_TLS_PAIRS_H

#include "check_main.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string.h>

/* A new key: "RSA" with bits, "P-256" and other curves, "ED25519". */
static inline EVP_PKEY *new_key(const char *kind, size_t bits)
{
    EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(bits)
                    : kind[0] == 'P'         ? EVP_EC_gen(kind)
                                             : EVP_PKEY_Q_keygen(NULL, NULL, kind);
    ck_assert_ptr_nonnull(key);
    return key;
}

/* A certificate of a key that it signs itself. */
static inline X509 *new_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    ck_assert_ptr_nonnull(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    bool pure = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
    ck_assert_int_gt(X509_sign(cert, key, pure ? NULL : EVP_sha256()), 0);
    return cert;
}

/* A server's context: the certificate is of `key`, `used` is what it signs with. */
static inline SSL_CTX *new_server_ctx(EVP_PKEY *key, EVP_PKEY *used)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *cert = new_cert(key);
    ck_assert_ptr_nonnull(ctx);
    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, used), 1);
    ck_assert_int_eq(SSL_CTX_check_private_key(ctx), 1);
    X509_free(cert);
    return ctx;
}

static inline SSL_CTX *new_client_ctx(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(ctx);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    return ctx;
}

typedef struct pair {
    SSL *server;
    SSL *client;
} pair;

/* What one writes the other reads. */
static inline void make_pair(pair *p, SSL_CTX *server, SSL_CTX *client)
{
    BIO *to_server = BIO_new(BIO_s_mem());
    BIO *to_client = BIO_new(BIO_s_mem());
    p->server = SSL_new(server);
    p->client = SSL_new(client);
    ck_assert(to_server && to_client && p->server && p->client);
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    SSL_set_bio(p->server, to_server, to_client);
    SSL_set_bio(p->client, to_client, to_server);
    SSL_set_accept_state(p->server);
    SSL_set_connect_state(p->client);
}

static inline void free_pair(pair *p)
{
    SSL_free(p->server);
    SSL_free(p->client);
}

/* One step of one side: 1 done, 0 not yet, -1 failed with the reason in the queue. */
static inline int step(SSL *ssl)
{
    ERR_clear_error();
    int result = SSL_do_handshake(ssl);
    if (result == 1)
        return 1;
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Both sides in turns, to the end. 0, or -1 when the server or the client has failed. */
static inline int shake_hands(pair *p)
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

#endif
