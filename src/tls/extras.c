/* SPDX-License-Identifier: MIT */

/*
 * What a snapshot has besides certificates and trust.
 *
 * The modules that do the work know OpenSSL's objects only. Here they are given what a connection's
 * link says: the user's callbacks with the connection's `user`, and where a failure goes.
 */
#include "tls/extras.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/early.h"
#include "tls/early_once.h"
#include "tls/keylog.h"
#include "tls/link.h"
#include "tls/ocsp_client.h"
#include "tls/ocsp_server.h"
#include "tls/ossl_aside.h"
#include "tls/sessions.h"
#include "tls/tickets.h"

#include <errno.h>
#include <openssl/x509v3.h>

/* ---- callbacks ---- */

static void on_key_line(const SSL *ssl, const char *line, void *arg)
{
    const thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    thi_ossl_aside aside;
    if (!link || !link->config->hooks.keylog)
        return;
    thi_ossl_put_aside(&aside);
    link->config->hooks.keylog(line, link->user, link->config->hooks.arg);
    thi_ossl_take_back(&aside);
}

static int on_response(SSL *ssl, th_str response, void *arg)
{
    const thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    thi_err_clear(0);
    if (!link || !link->config->hooks.ocsp_check)
        return 0;
    return link->config->hooks.ocsp_check(response, link->user, link->config->hooks.arg);
}

static int on_request(SSL *ssl, th_str *response, void *arg)
{
    const thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    thi_err_clear(0);
    if (!link || !link->config->hooks.ocsp_staple)
        return 0;
    return link->config->hooks.ocsp_staple(response, link->user, link->config->hooks.arg);
}

static void on_failed(SSL *ssl, int code, void *arg)
{
    thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    if (link)
        (void)thi_tls_link_fail(link, code, NULL);
}

/* A client that believes anybody on this one connection believes any response. */
static bool is_insecure(SSL *ssl, void *arg)
{
    const thi_tls_link *link = thi_tls_link_of(ssl);
    (void)arg;
    return link && link->insecure;
}

/* ---- shared ---- */

static int open_sessions(const th_tls_opts *opts, thi_tls_config *config)
{
    th_tls_sessions_opts how = { .session_time = config->facts.session_time };
    if (opts->no_sessions)
        return 0;
    if (!opts->sessions)
        return th_tls_sessions_new(&how, &config->sessions);
    config->sessions = th_tls_sessions_ref(opts->sessions);
    return 0;
}

int thi_tls_extras_open(const th_tls_opts *opts, thi_tls_config *config)
{
    int err = 0;
    if (opts->ticket_keys)
        config->ticket_keys = th_tls_ticket_keys_ref(opts->ticket_keys);
    else
        err = thi_ticket_keys_default(&config->ticket_keys);
    if (err == 0)
        err = open_sessions(opts, config);
    if (err == 0 && (opts->keylog_file || opts->keylog))
        err = thi_tls_keylog_new(opts->keylog_file, opts->keylog ? on_key_line : NULL, NULL,
                                 &config->keylog);
    if (err == 0 && opts->early_data_max > 0)
        err = thi_early_once_new(THI_EARLY_HELLOS, &config->hellos);
    return err;
}

/* ---- a server ---- */

int thi_tls_extras_server(const th_tls_opts *opts, const thi_tls_config *config, SSL_CTX *ctx)
{
    int tickets = config->facts.tickets;
    thi_tls_ticket_rules rules = { .count = tickets == TH_TLS_NO_TICKETS ? 0 : tickets,
                                   .session_time = config->facts.session_time,
                                   .id = config->sid_ctx,
                                   .id_size = config->sid_ctx_len };
    int err = thi_tls_tickets_attach(ctx, config->ticket_keys, &rules);
    if (err == 0 && opts->early_data_max > 0)
        err = thi_tls_early_attach(ctx, opts->early_data_max, config->hellos);
    if (err == 0 && config->keylog)
        err = thi_tls_keylog_attach(ctx, config->keylog);
    return err;
}

/* Who issued it, if that was sent along; a self-signed one did so itself. */
static X509 *issuer_of(const thi_tls_identity *identity)
{
    X509 *cert = sk_X509_value(identity->certs, 0);
    for (int i = 0; i < sk_X509_num(identity->certs); i++)
        if (X509_check_issued(sk_X509_value(identity->certs, i), cert) == X509_V_OK)
            return sk_X509_value(identity->certs, i);
    return NULL;
}

static int open_file(const thi_tls_identity *identity, thi_ocsp_file **file)
{
    const char *path = identity->from ? identity->from->ocsp_file : NULL;
    if (!path)
        return 0;
    return thi_ocsp_file_new(path, sk_X509_value(identity->certs, 0), issuer_of(identity), file);
}

_Static_assert(THI_TLS_EXTRAS_CERTS <= THI_OCSP_FILES, "a file for each certificate");

int thi_tls_extras_staple(const thi_tls_config *config, const thi_tls_identity *const *identities,
                          SSL_CTX *ctx)
{
    thi_ocsp_server server = { .staple = config->hooks.ocsp_staple ? on_request : NULL,
                               .failed = on_failed };
    int err = 0;
    bool any = server.staple != NULL;
    for (size_t i = 0; identities[i] && err == 0; i++) {
        err = open_file(identities[i], &server.files[i]);
        any = any || server.files[i];
    }
    if (err == 0 && any)
        err = thi_ocsp_server_attach(ctx, &server);
    for (size_t i = 0; i < THI_OCSP_FILES; i++)
        thi_ocsp_file_unref(server.files[i]);
    return err;
}

/* ---- a client ---- */

int thi_tls_extras_client(const th_tls_opts *opts, const thi_tls_config *config, SSL_CTX *ctx)
{
    thi_ocsp_client client = { .required = opts->ocsp == TH_TLS_OCSP_REQUIRED,
                               .unjudged = is_insecure,
                               .check = on_response,
                               .failed = on_failed };
    int err = thi_tls_sessions_attach(ctx);
    if (err == 0 && opts->ocsp != TH_TLS_OCSP_OFF)
        err = thi_ocsp_client_attach(ctx, &client);
    if (err == 0 && config->keylog)
        err = thi_tls_keylog_attach(ctx, config->keylog);
    return err;
}
