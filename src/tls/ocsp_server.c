/* SPDX-License-Identifier: MIT */

/*
 * Servers that staple a response to their certificate.
 *
 * OpenSSL calls back when a client has asked, and takes the response, in memory of its own, for the
 * one connection. Where there is none the handshake goes on without.
 */
#include "tls/ocsp_server.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/ossl.h"
#include "tls/slot.h"

#include <errno.h>

static void forget(void *what)
{
    thi_ocsp_server *server = what;
    for (size_t i = 0; i < THI_OCSP_FILES; i++)
        thi_ocsp_file_unref(server->files[i]);
    thi_free(server);
}

static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = forget };

/* Hands a response over, a copy of OpenSSL's; an empty one is none. */
static int show(SSL *ssl, unsigned char *copy, size_t size)
{
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)size);
    return SSL_TLSEXT_ERR_OK;
}

/* That of the certificate which this connection shows. */
static thi_ocsp_file *file_of(const thi_ocsp_server *server, SSL *ssl)
{
    X509 *cert = SSL_get_certificate(ssl);
    for (size_t i = 0; cert && i < THI_OCSP_FILES; i++)
        if (server->files[i] && thi_ocsp_file_is_of(server->files[i], cert))
            return server->files[i];
    return NULL;
}

static int on_request(SSL *ssl, void *arg)
{
    const thi_ocsp_server *server = arg;
    th_str response = th_str_make("", 0);
    size_t size = 0;
    int err = server->staple ? server->staple(ssl, &response, server->arg) : 0;
    thi_ossl_begin();
    if (err < 0) {
        if (server->failed)
            server->failed(ssl, err, server->arg);
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (response.len > 0)
        return show(ssl, OPENSSL_memdup(response.ptr, response.len), response.len);
    thi_ocsp_file *file = file_of(server, ssl);
    unsigned char *copy = file ? thi_ocsp_file_copy(file, &size) : NULL;
    return show(ssl, copy, size);
}

int thi_ocsp_server_attach(SSL_CTX *ctx, const thi_ocsp_server *server)
{
    thi_ocsp_server *copy = thi_alloc(sizeof *copy);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *copy = *server;
    for (size_t i = 0; i < THI_OCSP_FILES; i++)
        (void)thi_ocsp_file_ref(copy->files[i]);
    thi_ossl_begin();
    int err = thi_slot_put_ctx(&slot, ctx, copy);
    if (err < 0) {
        forget(copy);
        return err;
    }
    SSL_CTX_set_tlsext_status_cb(ctx, on_request);
    SSL_CTX_set_tlsext_status_arg(ctx, copy);
    return 0;
}
