/* SPDX-License-Identifier: MIT */

/*
 * The response of OCSP that a server staples to its certificate: from a file, which somebody else
 * renews, or from a callback.
 */
#ifndef THI_TLS_OCSP_FILE_H
#define THI_TLS_OCSP_FILE_H

#include "tls/ocsp.h"

typedef struct thi_ocsp_file thi_ocsp_file;

/*
 * Reads the file for a certificate; issuer may be NULL. One whose time is not, or no longer, is
 * taken, with a warning, and not shown to anybody until another one is there. 0; -errno with the
 * path as detail; TH_ETLS when the response is broken, about another certificate or not signed by
 * the issuer; -ENOMEM. Blocks.
 */
TH_MUST int thi_ocsp_file_new(const char *path, X509 *cert, X509 *issuer, thi_ocsp_file **file);

/* NULL is a no-op. */
void thi_ocsp_file_unref(thi_ocsp_file *file);

/* What a server answers to who asks. */
typedef struct thi_ocsp_server {
    thi_ocsp_file *file; /* counted; NULL: none */
    /* Asked first, if not NULL: puts a response in *response, or leaves it empty: then the file
     * counts. 0, or a negative code that ends the handshake. */
    int (*staple)(SSL *ssl, th_str *response, void *arg);
    void (*failed)(SSL *ssl, int code, void *arg); /* as thi_ocsp_client */
    void *arg;
} thi_ocsp_server;

/* Makes connections of a server's SSL_CTX staple. 0; -ENOMEM. */
TH_MUST int thi_ocsp_server_attach(SSL_CTX *ctx, const thi_ocsp_server *server);

#endif
