/* SPDX-License-Identifier: MIT */

/* Clients that ask for a stapled response, and what they do about it. */
#ifndef THI_TLS_OCSP_CLIENT_H
#define THI_TLS_OCSP_CLIENT_H

#include "tls/ocsp.h"

#include <openssl/ssl.h>

/* A client's demand. */
typedef struct thi_ocsp_client {
    bool required; /* no response is a failure; else only where the certificate demands one */
    /* Whether what comes on this connection is not looked at, for it verifies nothing; NULL: no. */
    bool (*unjudged)(SSL *ssl, void *arg);
    /* Called with what came and was not refused, empty for nothing. 0, or a negative code that ends
     * the handshake; NULL: not called. */
    int (*check)(SSL *ssl, th_str response, void *arg);
    /* Told why the handshake ends: a code, with its words in th_err_detail(). */
    void (*failed)(SSL *ssl, int code, void *arg);
    void *arg;
} thi_ocsp_client;

/* Makes connections of a client's SSL_CTX ask for responses and judge them. 0; -ENOMEM. */
TH_MUST int thi_ocsp_client_attach(SSL_CTX *ctx, const thi_ocsp_client *client);

#endif
