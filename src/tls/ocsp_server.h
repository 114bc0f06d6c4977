/* SPDX-License-Identifier: MIT */

/* Servers that staple a response to their certificate: from a file, or from a callback. */
#ifndef THI_TLS_OCSP_SERVER_H
#define THI_TLS_OCSP_SERVER_H

#include "tls/ocsp_file.h"

#include <thrum/str.h>

#include <openssl/ssl.h>

/* Certificates of an SSL_CTX: one for each kind of key. */
#define THI_OCSP_FILES 8

/* What a server answers to who asks. */
typedef struct thi_ocsp_server {
    thi_ocsp_file
        *files[THI_OCSP_FILES]; /* of its certificates; NULL: none. References are taken */
    /* Asked first, if not NULL: puts a response in *response, borrowed until it is called again on
     * the thread, or leaves it empty: then the file counts. 0, or a negative code that ends the
     * handshake. */
    int (*staple)(SSL *ssl, th_str *response, void *arg);
    /* Told why the handshake ends: a code, with its words in th_err_detail(). */
    void (*failed)(SSL *ssl, int code, void *arg);
    void *arg;
} thi_ocsp_server;

/* Makes connections of a server's SSL_CTX staple. 0; -ENOMEM. */
TH_MUST int thi_ocsp_server_attach(SSL_CTX *ctx, const thi_ocsp_server *server);

#endif
