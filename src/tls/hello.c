/* SPDX-License-Identifier: MIT */

/*
 * What a server chooses by the client's hello.
 *
 * OpenSSL has two places for it. The one for server names comes when version and session have been
 * chosen; here the first is used, before anything is: another context may then have other versions,
 * ciphers and demands. SSL_set_SSL_CTX() changes the certificate and what OpenSSL reads through the
 * context (ciphers, callbacks, trust, names of authorities); what it has copied into the connection
 * beforehand has to be set again, which is adopt(). Without that, a client could reach the
 * protected context by way of an open one.
 */
#include "tls/hello.h"

#include "base/alloc.h"
#include "tls/early.h"
#include "tls/link.h"
#include "tls/ossl.h"

#include <thrum/time.h>

#include <errno.h>
#include <string.h>

/* ---- the name ---- */

/* Names are told to people; blanks, control characters and other alphabets are in none. */
static bool is_printable(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] <= ' ' || bytes[i] >= 0x7f)
            return false;
    return true;
}

/*
 * The host name in the extension (RFC 6066, 3): a list of one entry, of kind 0. 1 and a view; 0
 * when there is none; -1 for one that is broken.
 */
static int find_name(SSL *ssl, th_str *name)
{
    const unsigned char *ext;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) != 1)
        return 0;
    if (len < 5 || ((size_t)ext[0] << 8 | ext[1]) != len - 2 || ext[2] != TLSEXT_NAMETYPE_host_name)
        return -1;
    size_t n = (size_t)ext[3] << 8 | ext[4];
    if (n != len - 5 || n == 0 || n > 255 || !is_printable(ext + 5, n))
        return -1;
    *name = th_str_make((const char *)ext + 5, n);
    return 1;
}

/* ---- another context ---- */

/* Gives a connection the settings that were copied into it when it was made. */
static bool adopt_settings(thi_tls_link *link, const thi_tls_config *config)
{
    SSL *ssl = link->ssl;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    SSL_CTX *ctx = config->server;
    if (!link->has_verify)
        SSL_set_verify(ssl, thi_tls_verify_mode(config->facts.client_auth), NULL);
    SSL_set_verify_depth(ssl, (int)config->facts.verify_depth);
    X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
                                             X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_flags(param, config->verify_flags);
    SSL_set_security_level(ssl, SSL_CTX_get_security_level(ctx));
    SSL_clear_options(ssl, SSL_OP_NO_TICKET | SSL_OP_ENABLE_KTLS);
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    SSL_set_max_cert_list(ssl, (long)config->facts.chain_max);
    if (!link->has_record)
        link->record = (uint16_t)config->facts.record_max;
    SSL_set_max_send_fragment(ssl, link->record);
    return SSL_set_min_proto_version(ssl, config->facts.min_version) == 1 &&
           SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx)) == 1 &&
           SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(ctx)) == 1 &&
           thi_tls_early_adopt(ssl, ctx) && SSL_set1_groups_list(ssl, config->groups) == 1;
}

/* Takes the reference to the other's snapshot. */
static bool adopt(thi_tls_link *link, thi_tls_config *config)
{
    if (!config->server) {
        thi_tls_config_unref(config);
        thi_tls_link_fail(link, -EINVAL, "the context that was chosen has no certificate");
        return false;
    }
    /* First the connection's own: SSL_set_SSL_CTX() takes the new id only in place of the old. */
    bool good = SSL_set_SSL_CTX(link->ssl, config->server) != NULL &&
                SSL_set_session_id_context(link->ssl, config->sid_ctx, config->sid_ctx_len) == 1 &&
                adopt_settings(link, config);
    thi_tls_config_unref(link->config);
    link->config = config;
    if (!good)
        (void)thi_ossl_fail(thi_tls_link_fail(link, TH_ETLS, "the chosen context does not fit"),
                            "context");
    return good;
}

/* ---- choosing ---- */

/* A callback's refusal: the alert that it asks for. */
static int refuse(int *alert, int number)
{
    *alert = number;
    return SSL_CLIENT_HELLO_ERROR;
}

/* Asks the user's callback. Whether to go on; else *alert. */
static bool ask_user(thi_tls_link *link, int *alert)
{
    const thi_tls_hooks *hooks = &link->config->hooks;
    th_tls *other = NULL;
    if (!hooks->choose)
        return true;
    thi_err_clear(0);
    int answer = hooks->choose(link->name, &other, link->user, hooks->arg);
    thi_ossl_begin(); /* it may have suspended */
    if (answer < 0) {
        thi_tls_link_fail(link, answer, NULL);
        *alert = SSL_AD_HANDSHAKE_FAILURE;
        return false;
    }
    if (answer > 0) {
        *alert = answer & 0xff;
        thi_tls_link_fail(link, TH_ETLS, "the name '%s' was refused with the alert '%s'",
                          link->name ? link->name : "", thi_tls_alert_name(*alert));
        return false;
    }
    *alert = SSL_AD_INTERNAL_ERROR;
    return !other || adopt(link, thi_tls_config_of(other));
}

/* The certificate for the name. Whether there is one to be shown. */
static bool choose_cert(thi_tls_link *link)
{
    const thi_tls_config *config = link->config;
    size_t len = link->name ? strlen(link->name) : 0;
    SSL_CTX *found = link->name ? thi_tls_sni_find(&config->sni, link->name, len) : NULL;
    if (found)
        return found == SSL_get_SSL_CTX(link->ssl) || SSL_set_SSL_CTX(link->ssl, found) != NULL;
    if (config->sni.unknown == TH_TLS_UNKNOWN_DEFAULT ||
        (!link->name && config->sni.unknown == TH_TLS_UNKNOWN_REFUSE))
        return true;
    thi_tls_link_fail(link, TH_ETLS,
                      link->name ? "there is no certificate for the name '%s'"
                                 : "the client says no name%s",
                      link->name ? link->name : "");
    return false;
}

/* For OpenSSL: the hello has come. It comes twice when another group is asked for. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
    thi_tls_link *link = thi_tls_link_of(ssl);
    th_str name;
    (void)arg;
    if (!link || link->chosen)
        return SSL_CLIENT_HELLO_SUCCESS;
    link->chosen = true;
    int has = find_name(ssl, &name);
    if (has < 0) {
        thi_tls_link_fail(link, TH_ETLS, "the client's server name is broken");
        return refuse(alert, SSL_AD_DECODE_ERROR);
    }
    link->name = has ? thi_strdup_n(name.ptr, name.len) : NULL;
    if (has && !link->name) {
        thi_tls_link_fail(link, -ENOMEM, "no memory for the client's server name");
        return refuse(alert, SSL_AD_INTERNAL_ERROR);
    }
    if (!ask_user(link, alert))
        return SSL_CLIENT_HELLO_ERROR;
    return choose_cert(link) ? SSL_CLIENT_HELLO_SUCCESS : refuse(alert, SSL_AD_UNRECOGNIZED_NAME);
}

/*
 * For OpenSSL, later: the name counts. Without this the server would not acknowledge it, and its
 * sessions would not know it. The session is there now, with the time that sessions of the first
 * context have: OpenSSL never asks another one for it.
 */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    const thi_tls_link *link = thi_tls_link_of(ssl);
    SSL_SESSION *session = SSL_get_session(ssl);
    (void)alert;
    (void)arg;
    if (link && session)
        SSL_SESSION_set_timeout(session, (long)(link->config->facts.session_time / TH_SECOND));
    return link && link->name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* ---- the protocol ---- */

/* Asks the user's callback: an index, TH_TLS_ALPN_NONE, or *refused. */
static int ask_protocol(thi_tls_link *link, const th_str *offered, size_t count, bool *refused)
{
    const thi_tls_hooks *hooks = &link->config->hooks;
    thi_err_clear(0);
    int answer = hooks->alpn_choose(offered, count, link->user, hooks->arg);
    thi_ossl_begin();
    *refused = true;
    if (answer < TH_TLS_ALPN_NONE)
        thi_tls_link_fail(link, answer, NULL);
    else if (answer > 0 && (answer & 0x10000) != 0)
        thi_tls_link_fail(link, TH_ETLS, "the client's protocols were refused");
    else if (answer >= 0 && (size_t)answer >= count)
        thi_tls_link_fail(link, -EINVAL, "the chosen protocol was not offered");
    else
        *refused = false;
    return answer;
}

static int take(th_str protocol, const unsigned char **out, unsigned char *out_len)
{
    *out = (const unsigned char *)protocol.ptr;
    *out_len = (unsigned char)protocol.len;
    return SSL_TLSEXT_ERR_OK;
}

/* For OpenSSL. Whatever the reason, a refusal is the alert `no application protocol`. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    if (!link)
        return SSL_TLSEXT_ERR_NOACK;
    if (link->config->hooks.alpn_choose) {
        th_str offered[THI_TLS_ALPN_SEEN];
        size_t count = thi_tls_alpn_views(in, in_len, offered);
        bool refused;
        int answer = ask_protocol(link, offered, count, &refused);
        if (refused)
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        return answer >= 0 ? take(offered[answer], out, out_len) : SSL_TLSEXT_ERR_NOACK;
    }
    th_str best = thi_tls_alpn_best(&link->config->alpn, in, in_len);
    if (best.len > 0)
        return take(best, out, out_len);
    if (link->config->alpn_go_on)
        return SSL_TLSEXT_ERR_NOACK;
    thi_tls_link_fail(link, TH_ETLS, "the client offers no protocol that is spoken here");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void thi_tls_hello_attach(SSL_CTX *ctx, const thi_tls_config *config)
{
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    if (config->alpn.wire || config->hooks.alpn_choose)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}
