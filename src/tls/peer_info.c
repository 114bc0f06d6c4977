/* SPDX-License-Identifier: MIT */

/*
 * What is known of a connection and its peer, as plain data.
 *
 * Nothing here fails because it is too early: what is not known yet is absent.
 */
#include "tls/engine.h"

#include "base/util.h"
#include "tls/ossl.h"
#include "tls/sessions.h"

#include <errno.h>
#include <openssl/x509.h>
#include <string.h>

/* ---- certificates ---- */

/* OpenSSL leaves the leaf out of the chain that a server gets, and has it in a client's. */
static X509 *sent_at(const thi_tls_link *link, size_t at)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(link->ssl);
    if (at == 0)
        return SSL_get0_peer_certificate(link->ssl);
    size_t skip = link->server ? 1 : 0;
    return chain && at - skip < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)(at - skip))
                                                           : NULL;
}

static X509 *verified_at(const thi_tls_link *link, size_t at)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(link->ssl);
    return chain && at < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)at) : NULL;
}

static X509 *cert_at(const thi_tls_link *link, int chain, size_t at)
{
    switch (chain) {
    case TH_TLS_CERTS_SENT:
        return sent_at(link, at);
    case TH_TLS_CERTS_VERIFIED:
        return verified_at(link, at);
    default:
        return at == 0 ? SSL_get_certificate(link->ssl) : NULL;
    }
}

ssize_t thi_tls_engine_cert(thi_tls_engine *e, int chain, size_t at, void *buf, size_t size)
{
    if (chain < TH_TLS_CERTS_SENT || chain > TH_TLS_CERTS_OWN || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    X509 *cert = cert_at(&e->link, chain, at);
    if (!cert)
        return thi_err_clear(-ENOENT);
    thi_ossl_begin();
    int len = i2d_X509(cert, NULL);
    if (len <= 0)
        return thi_ossl_fail(TH_ETLS, "a certificate of the peer cannot be written");
    unsigned char *to = buf;
    if ((size_t)len <= size)
        len = i2d_X509(cert, &to);
    return len;
}

static size_t count_certs(const thi_tls_link *link, int chain)
{
    size_t n = 0;
    while (cert_at(link, chain, n))
        n++;
    return n;
}

/* ---- the rest ---- */

static void tell_handshake(SSL *ssl, th_tls_info *info)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    int group = (int)SSL_get_negotiated_group(ssl);
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    info->version = SSL_is_dtls(ssl) ? TH_TLS_1_2 : SSL_version(ssl);
    info->version_name = SSL_get_version(ssl);
    info->cipher = cipher ? SSL_CIPHER_get_name(cipher) : NULL;
    info->bits = cipher ? SSL_CIPHER_get_bits(cipher, NULL) : 0;
    info->group = group > 0 ? SSL_group_to_name(ssl, group) : NULL;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    info->alpn = th_str_make((const char *)alpn, alpn_len);
    info->resumed = SSL_session_reused(ssl);
    info->sent_finished_size =
        SSL_get_finished(ssl, info->sent_finished, sizeof info->sent_finished);
    info->received_finished_size =
        SSL_get_peer_finished(ssl, info->received_finished, sizeof info->received_finished);
}

static void tell_peer(const thi_tls_link *link, th_tls_info *info)
{
    const SSL *ssl = link->ssl;
    int early = SSL_get_early_data_status(ssl);
    info->early = early == SSL_EARLY_DATA_ACCEPTED ? 1 : early == SSL_EARLY_DATA_REJECTED ? -1 : 0;
    info->peer_certs = count_certs(link, TH_TLS_CERTS_SENT);
    info->verified_certs = count_certs(link, TH_TLS_CERTS_VERIFIED);
    info->verify_error = SSL_get_verify_result(ssl);
    info->verified = info->peer_certs > 0 && info->verify_error == X509_V_OK && !link->insecure;
}

int thi_tls_link_info(const thi_tls_link *link, bool done, th_tls_info *info)
{
    size_t size = info->size;
    if (size != 0 && size != sizeof *info)
        return thi_err_clear(-EINVAL);
    *info = (th_tls_info){
        .size = size, .server = link->server, .done = done, .verify_error = link->verdict
    };
    info->name = SSL_get_servername(link->ssl, TLSEXT_NAMETYPE_host_name);
    thi_ossl_begin();
    if (done) {
        tell_handshake(link->ssl, info);
        tell_peer(link, info);
    }
    thi_ossl_begin();
    return 0;
}

int thi_tls_engine_info(thi_tls_engine *e, th_tls_info *info)
{
    int err = thi_tls_link_info(&e->link, e->done, info);
    if (err < 0)
        return err;
    info->sent_close = e->sent_close;
    info->received_close = e->received_close;
    info->speaks_plainly = !e->done && thi_tls_engine_speaks_plainly(e);
    info->kernel_sends = e->done && BIO_get_ktls_send(SSL_get_wbio(e->link.ssl)) != 0;
    return 0;
}

int thi_tls_engine_session(thi_tls_engine *e, struct th_tls_session **session)
{
    if (e->link.server)
        return thi_err_clear(-EINVAL);
    return thi_tls_session_of(e->link.ssl, session);
}
