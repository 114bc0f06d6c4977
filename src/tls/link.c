/* SPDX-License-Identifier: MIT */

/*
 * What ties one SSL to its settings.
 *
 * The SSL points to its link (slot.h); a callback thus finds the right connection whichever thread
 * it runs on.
 */
#include "tls/link.h"

#include "base/alloc.h"
#include "tls/ossl.h"
#include "tls/sessions.h"
#include "tls/slot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL };

thi_tls_link *thi_tls_link_of(const SSL *ssl)
{
    return thi_slot_ssl(&slot, ssl);
}

int thi_tls_link_fail(thi_tls_link *link, int code, const char *format, ...)
{
    char text[THI_ERR_DETAIL_SIZE];
    if (link->failed < 0)
        return code;
    link->failed = code;
    if (format) {
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args); /* may refer to the present detail */
        va_end(args);
    } else {
        snprintf(text, sizeof text, "%s", th_err_detail());
    }
    memcpy(link->detail, text, sizeof text);
    return code;
}

int thi_tls_verify_mode(int client_auth)
{
    switch (client_auth) {
    case TH_TLS_CLIENT_AUTH_OPTIONAL:
        return SSL_VERIFY_PEER;
    case TH_TLS_CLIENT_AUTH_REQUIRED:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    default:
        return SSL_VERIFY_NONE;
    }
}

/* ---- what a client says and verifies ---- */

/* An address as a text without brackets; of IPv6, what is behind '%' is the host's own matter. */
static bool read_ip(const char *name, char ip[static INET6_ADDRSTRLEN])
{
    struct in6_addr addr;
    size_t len = strcspn(name, "%");
    if (len >= INET6_ADDRSTRLEN)
        return false;
    memcpy(ip, name, len);
    ip[len] = '\0';
    if (inet_pton(AF_INET6, ip, &addr) == 1)
        return true;
    return name[len] == '\0' && inet_pton(AF_INET, ip, &addr) == 1;
}

static int bad_name(const char *name)
{
    return thi_err_set(-EINVAL, "'%.100s' is neither an address nor a host name in ASCII", name);
}

/* Tells the server whom one wants. Addresses are not told (RFC 6066, 3). */
static int say_name(SSL *ssl, const char *name)
{
    char host[THI_TLS_NAME_MAX + 1];
    if (thi_tls_name_read(name, strlen(name), host) < 0)
        return bad_name(name);
    if (SSL_set_tlsext_host_name(ssl, host) != 1)
        return thi_ossl_fail(TH_ETLS, "server name");
    return 0;
}

/* The name or address that the certificate has to be for. */
static int demand_name(thi_tls_link *link, const char *name, bool say)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(link->ssl);
    char ip[INET6_ADDRSTRLEN];
    char host[THI_TLS_NAME_MAX + 1];
    bool check = !link->config->any_name;
    link->name = thi_strdup_n(name, strlen(name));
    if (!link->name)
        return thi_err_clear(-ENOMEM);
    if (read_ip(name, ip)) {
        if (check && X509_VERIFY_PARAM_set1_ip_asc(param, ip) != 1)
            return thi_ossl_fail(TH_ETLS, "address %s", ip);
        return 0;
    }
    if (thi_tls_name_read(name, strlen(name), host) < 0)
        return bad_name(name);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (check && X509_VERIFY_PARAM_set1_host(param, host, 0) != 1)
        return thi_ossl_fail(TH_ETLS, "name %s", host);
    return say ? say_name(link->ssl, host) : 0;
}

static int set_names(thi_tls_link *link, const thi_tls_link_opts *opts)
{
    int err = 0;
    if (!opts->name && !link->insecure && !link->config->any_name)
        return thi_err_set(-EINVAL, "there is no name that the server's certificate could be for");
    if (opts->name)
        err = demand_name(link, opts->name, !opts->sent_name);
    if (err == 0 && opts->sent_name && opts->sent_name[0] != '\0')
        err = say_name(link->ssl, opts->sent_name);
    return err;
}

static int begin_sessions(thi_tls_link *link, const thi_tls_link_opts *opts,
                          const thi_tls_alpn *alpn)
{
    thi_tls_destination to = { .name = link->name,
                               .insecure = link->insecure,
                               .server_name =
                                   SSL_get_servername(link->ssl, TLSEXT_NAMETYPE_host_name),
                               .port = opts->port,
                               .alpn = alpn->wire,
                               .alpn_len = alpn->len };
    return thi_tls_sessions_begin(link->ssl, &to, link->config->sessions, opts->session);
}

/* The protocols, and the sessions that depend on them. */
static int set_alpn(thi_tls_link *link, const thi_tls_link_opts *opts)
{
    thi_tls_alpn alpn;
    int err = thi_tls_alpn_read(opts->alpn, &alpn);
    if (err < 0)
        return err;
    /* 0 is success here, for once. */
    if (alpn.wire && SSL_set_alpn_protos(link->ssl, alpn.wire, (unsigned)alpn.len) != 0)
        err = thi_ossl_fail(TH_ETLS, "application protocols");
    if (err == 0)
        err = begin_sessions(link, opts, alpn.wire ? &alpn : &link->config->alpn);
    thi_tls_alpn_deinit(&alpn);
    return err;
}

static int be_client(thi_tls_link *link, const thi_tls_link_opts *opts)
{
    link->insecure = !link->config->facts.verifies_servers;
    if (opts->verify != TH_TLS_VERIFY_AS_CONTEXT)
        link->insecure = opts->verify == TH_TLS_VERIFY_NONE_INSECURE;
    SSL_set_connect_state(link->ssl);
    /* Also of a peer that is believed in any case, so that pins and callbacks see its chain. */
    SSL_set_verify(link->ssl, SSL_VERIFY_PEER, NULL);
    int err = set_names(link, opts);
    return err < 0 ? err : set_alpn(link, opts);
}

static int be_server(thi_tls_link *link, const thi_tls_link_opts *opts)
{
    static const int modes[] = { [TH_TLS_VERIFY_NONE_INSECURE] = TH_TLS_CLIENT_AUTH_OFF,
                                 [TH_TLS_VERIFY_OPTIONAL] = TH_TLS_CLIENT_AUTH_OPTIONAL,
                                 [TH_TLS_VERIFY_REQUIRED] = TH_TLS_CLIENT_AUTH_REQUIRED };
    link->has_verify = opts->verify != TH_TLS_VERIFY_AS_CONTEXT;
    SSL_set_accept_state(link->ssl);
    if (link->has_verify)
        SSL_set_verify(link->ssl, thi_tls_verify_mode(modes[opts->verify]), NULL);
    return 0;
}

/* ---- open and closed ---- */

int thi_tls_link_open(thi_tls_link *link, thi_tls_config *config, bool server,
                      const thi_tls_link_opts *opts)
{
    if (opts->verify < 0 || opts->verify > TH_TLS_VERIFY_REQUIRED)
        return thi_err_set(-EINVAL, "an unknown kind of verification");
    if (opts->dtls && !config->dtls_client)
        return thi_err_set(-EINVAL, "the context was made without DTLS");
    if (server && !config->server)
        return thi_err_set(-EINVAL, "the context has no certificate, which a server needs");
    thi_ossl_begin();
    SSL *ssl = SSL_new(opts->dtls ? (server ? config->dtls_server : config->dtls_client)
                                  : (server ? config->server : config->client));
    if (!ssl)
        return thi_ossl_fail(-ENOMEM, "connection");
    *link =
        (thi_tls_link){ .ssl = ssl,
                        .config = thi_tls_config_ref(config),
                        .server = server,
                        .has_record = opts->record > 0,
                        .record = opts->record ? opts->record : (uint16_t)config->facts.record_max,
                        .alert_sent = -1,
                        .alert_received = -1,
                        .user = opts->user };
    int err = thi_slot_put_ssl(&slot, ssl, link);
    if (err == 0 && link->has_record && SSL_set_max_send_fragment(ssl, link->record) != 1)
        err = thi_ossl_fail(TH_ETLS, "records of %u bytes", (unsigned)link->record);
    if (err == 0)
        err = server ? be_server(link, opts) : be_client(link, opts);
    if (err < 0)
        thi_tls_link_close(link);
    return err;
}

void thi_tls_link_close(thi_tls_link *link)
{
    SSL_free(link->ssl);
    thi_tls_config_unref(link->config);
    thi_free(link->name);
    *link = (thi_tls_link){ 0 };
}
