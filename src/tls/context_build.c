/* SPDX-License-Identifier: MIT */

/*
 * From options to a snapshot.
 *
 * What needs the caller's fiber comes first: bounds, pass phrases. The rest, which reads files and
 * computes, is one piece of work off the loop. A server has an SSL_CTX for each certificate (for
 * each pair of RSA and ECDSA with the same names), all made by the same function, so that they
 * differ in nothing else; they share one store of authorities.
 */
#include "tls/context_build.h"

#include "base/alloc.h"
#include "io/fileway.h"
#include "tls/context_opts.h"
#include "tls/dtls_cookie.h"
#include "tls/extras.h"
#include "tls/hello.h"
#include "tls/identity.h"
#include "tls/info.h"
#include "tls/link.h"
#include "tls/ossl.h"
#include "tls/trust.h"
#include "tls/verify.h"

#include <thrum/time.h>

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

typedef struct build {
    const th_tls_opts *opts;
    thi_tls_policy policy;
    thi_tls_config *config;
    thi_tls_identity *identities; /* owned */
    size_t count;                 /* of those that are loaded */
    size_t *leaders;              /* owned; with which one each shares an SSL_CTX */
    thi_tls_trust trust;          /* owned; without a store where nobody is named */
    X509_STORE *system;           /* owned; the client's where nobody is named */
    STACK_OF(X509_NAME) * names;  /* owned; told to clients; NULL: those of trust */
} build;

/* ---- what needs no files ---- */

static void set_hooks(thi_tls_config *config, const th_tls_opts *opts)
{
    config->hooks = (thi_tls_hooks){ .choose = opts->choose,
                                     .alpn_choose = opts->alpn_choose,
                                     .verify = opts->verify,
                                     .ocsp_check = opts->ocsp_check,
                                     .ocsp_staple = opts->ocsp_staple,
                                     .keylog = opts->keylog,
                                     .info = opts->info,
                                     .arg = opts->arg };
}

static int set_plain(build *b)
{
    thi_tls_config *config = b->config;
    const th_tls_opts *opts = b->opts;
    int err = thi_tls_opts_read(opts, &config->facts, &b->policy);
    if (err == 0)
        err = thi_tls_pins_parse(opts->trust.pins, &config->pins);
    if (err == 0)
        err = thi_tls_alpn_read(opts->alpn, &config->alpn);
    if (err < 0)
        return err;
    set_hooks(config, opts);
    thi_tls_sni_init(&config->sni, opts->unknown_name);
    config->alpn_go_on = opts->alpn_unknown == TH_TLS_ALPN_GO_ON;
    config->any_name = opts->insecure_any_name != 0;
    config->kernel_sends = opts->kernel_sends != 0;
    config->handshakes_max = opts->handshakes_max;
    config->ocsp = opts->ocsp;
    config->groups = thi_strdup_n(b->policy.groups, strlen(b->policy.groups));
    return config->groups ? 0 : thi_err_clear(-ENOMEM);
}

/* ---- certificates ---- */

/* Whether a certificate may share the SSL_CTX of the one at `first`: it pairs with all there. */
static bool joins(const build *b, size_t first, size_t i)
{
    for (size_t k = first; k < i; k++)
        if (b->leaders[k] == first && !thi_tls_identity_pairs(&b->identities[k], &b->identities[i]))
            return false;
    return true;
}

/* Finds out which certificates share an SSL_CTX: that of the first among them. */
static int find_leaders(build *b)
{
    b->leaders = thi_calloc(b->count, sizeof *b->leaders);
    if (!b->leaders)
        return thi_err_clear(-ENOMEM);
    for (size_t i = 0; i < b->count; i++) {
        size_t first = 0;
        while (first < i && (b->leaders[first] != first || !joins(b, first, i)))
            first++;
        b->leaders[i] = first;
    }
    return 0;
}

static int load_identities(build *b)
{
    const th_tls_opts *opts = b->opts;
    th_tls_cert first = { .cert = opts->cert, .key = opts->key };
    size_t own = opts->cert ? 1 : 0;
    size_t count = own + opts->certs_count;
    int err = 0;
    if (count == 0)
        return 0;
    b->identities = thi_calloc(count, sizeof *b->identities);
    if (!b->identities)
        return thi_err_clear(-ENOMEM);
    while (b->count < count && err == 0) {
        const th_tls_cert *from = b->count < own ? &first : &opts->certs[b->count - own];
        err = thi_tls_identity_load(from, &b->identities[b->count]);
        if (err < 0)
            break;
        if (b->count < own)
            b->identities[0].from = NULL; /* it says nothing more, and does not live longer */
        b->count++;
    }
    b->config->facts.certs = b->count;
    for (size_t i = 0; i < b->count && err == 0; i++) {
        int64_t end = thi_tls_identity_end(&b->identities[i]);
        if (end < b->config->facts.not_after)
            b->config->facts.not_after = end;
    }
    return err < 0 ? err : find_leaders(b);
}

/* ---- what sessions belong to ---- */

/*
 * A session of a server vouches for the client's certificate. So it belongs to the demands on
 * clients: resumed where other ones hold, it would be a way around them. Equal settings give equal
 * ids, on every host. A callback is a demand that nobody can look into: there it is this callback,
 * in this process.
 */
static int make_sid_ctx(const build *b, thi_tls_config *config)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    const th_tls_opts *opts = b->opts;
    config->sid_ctx_len = sizeof config->sid_ctx;
    if (opts->session_id) {
        config->sid_ctx_len = (unsigned)strlen(opts->session_id);
        memcpy(config->sid_ctx, opts->session_id, config->sid_ctx_len);
        return 0;
    }
    struct {
        char what[16];
        unsigned char trust[32];
        uint64_t numbers[5];
    } demands;
    memset(&demands, 0, sizeof demands);
    memcpy(demands.what, "thrum sessions", sizeof "thrum sessions");
    if (opts->client_auth != TH_TLS_CLIENT_AUTH_OFF) {
        memcpy(demands.trust, b->trust.digest, sizeof demands.trust);
        demands.numbers[0] = (uint64_t)opts->client_auth;
        demands.numbers[1] = config->facts.verify_depth;
        demands.numbers[2] = config->verify_flags;
        demands.numbers[3] = (uintptr_t)opts->verify;
        demands.numbers[4] = opts->verify ? (uintptr_t)opts->arg : 0;
    }
    thi_ossl_begin();
    if (EVP_Digest(&demands, sizeof demands, hash, NULL, EVP_sha256(), NULL) != 1)
        return thi_ossl_fail(TH_ETLS, "SHA-256");
    memcpy(config->sid_ctx, hash, sizeof config->sid_ctx);
    return 0;
}

/* ---- SSL_CTXs ---- */

/* What both roles have. */
static int make_ctx(const build *b, bool dtls, X509_STORE *store, SSL_CTX **made)
{
    const th_tls_facts *facts = &b->config->facts;
    thi_ossl_begin();
    SSL_CTX *ctx = SSL_CTX_new(dtls ? DTLS_method() : TLS_method());
    if (!ctx)
        return thi_ossl_fail(-ENOMEM, "context");
    int err = thi_tls_policy_apply(&b->policy, dtls, ctx);
    if (err < 0) {
        SSL_CTX_free(ctx);
        return err;
    }
    if (store)
        SSL_CTX_set1_cert_store(ctx, store);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), b->config->verify_flags);
    SSL_CTX_set_verify_depth(ctx, (int)facts->verify_depth);
    SSL_CTX_set_max_cert_list(ctx, (long)facts->chain_max);
    SSL_CTX_set_max_send_fragment(ctx, facts->record_max);
    if (b->config->kernel_sends && !dtls)
        SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
    thi_tls_verify_attach(ctx);
    thi_tls_info_attach(ctx);
    *made = ctx;
    return 0;
}

static int set_client_auth(const build *b, SSL_CTX *ctx)
{
    STACK_OF(X509_NAME) *names = b->names ? b->names : b->trust.names;
    SSL_CTX_set_verify(ctx, thi_tls_verify_mode(b->opts->client_auth), NULL);
    if (b->opts->client_auth == TH_TLS_CLIENT_AUTH_OFF || !names)
        return 0;
    STACK_OF(X509_NAME) *copy = sk_X509_NAME_deep_copy(names, X509_NAME_dup, X509_NAME_free);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    SSL_CTX_set_client_CA_list(ctx, copy);
    return 0;
}

/* OpenSSL has room for one certificate of each kind of key. */
static int use_identities(const build *b, size_t first, SSL_CTX *ctx)
{
    const thi_tls_identity *used[THI_TLS_EXTRAS_CERTS + 1] = { NULL };
    size_t count = 0;
    int err = 0;
    for (size_t i = first; i < b->count && err == 0; i++) {
        if (b->leaders[i] != first)
            continue;
        err = thi_tls_identity_use(&b->identities[i], ctx);
        if (count < THI_TLS_EXTRAS_CERTS)
            used[count++] = &b->identities[i];
    }
    return err < 0 ? err : thi_tls_extras_staple(b->config, used, ctx);
}

/* A server's, with the certificates that belong to the one at `first`; SIZE_MAX: none. */
static int make_server(const build *b, bool dtls, size_t first, SSL_CTX **made)
{
    SSL_CTX *ctx = NULL;
    int err = make_ctx(b, dtls, b->trust.store, &ctx);
    if (err == 0)
        err = thi_tls_extras_server(b->opts, b->config, ctx);
    if (err == 0)
        err = set_client_auth(b, ctx);
    if (err == 0)
        err = use_identities(b, first, ctx);
    if (err == 0 && first < b->count && !dtls)
        err = thi_tls_identity_names(&b->identities[first], &b->config->sni, ctx);
    if (err < 0) {
        SSL_CTX_free(ctx);
        return err;
    }
    thi_tls_hello_attach(ctx, b->config);
    thi_dtls_cookie_attach(ctx); /* also where a connection of DTLS comes for its name */
    *made = ctx;
    return 0;
}

static int make_servers(build *b)
{
    thi_tls_config *config = b->config;
    int err = 0;
    if (b->count == 0)
        return config->hooks.choose ? make_server(b, false, SIZE_MAX, &config->server) : 0;
    config->others = thi_calloc(b->count, sizeof(SSL_CTX *));
    if (!config->others)
        return thi_err_clear(-ENOMEM);
    for (size_t i = 0; i < b->count && err == 0; i++) {
        if (i > 0 && b->leaders[i] != i)
            continue;
        err = make_server(b, false, i,
                          i == 0 ? &config->server : &config->others[config->others_count]);
        if (err == 0 && i > 0)
            config->others_count++;
    }
    config->facts.names = thi_tls_sni_count(&config->sni);
    return err;
}

/* A client's: it shows the first certificate, and the other of its pair. */
static int make_client(build *b, bool dtls, SSL_CTX **made)
{
    thi_tls_config *config = b->config;
    SSL_CTX *ctx = NULL;
    int err = make_ctx(b, dtls, b->system ? b->system : b->trust.store, &ctx);
    for (size_t i = 0; i < b->count && err == 0; i++)
        if (b->leaders[i] == 0)
            err = thi_tls_identity_use(&b->identities[i], ctx);
    thi_ossl_begin();
    if (err == 0 && config->alpn.wire &&
        SSL_CTX_set_alpn_protos(ctx, config->alpn.wire, (unsigned)config->alpn.len) != 0)
        err = thi_ossl_fail(TH_ETLS, "application protocols");
    if (err == 0)
        err = thi_tls_extras_client(b->opts, config, ctx);
    if (err < 0) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_post_handshake_auth(ctx, b->opts->post_handshake_auth != 0);
    *made = ctx;
    return 0;
}

/* ---- together ---- */

static int load_trust(build *b)
{
    int err = 0;
    if (thi_tls_trust_given(&b->opts->trust))
        err = thi_tls_trust_load(&b->opts->trust, &b->trust);
    else if (!b->opts->insecure_no_verification)
        err = thi_tls_trust_system(&b->system);
    if (err == 0 && b->opts->client_ca_files)
        err = thi_tls_trust_names(b->opts->client_ca_files, &b->names);
    b->config->verify_flags = b->trust.flags;
    return err;
}

/* The same once more; which certificate is shown by which name is in the same table. */
static int make_dtls(build *b)
{
    thi_tls_config *config = b->config;
    int err = make_client(b, true, &config->dtls_client);
    if (err == 0 && config->server)
        err = make_server(b, true, b->count > 0 ? 0 : SIZE_MAX, &config->dtls_server);
    return err;
}

/* Off the loop. */
static int make_all(void *arg)
{
    build *b = arg;
    int err = load_trust(b);
    if (err == 0)
        err = make_sid_ctx(b, b->config);
    if (err == 0)
        err = thi_tls_extras_open(b->opts, b->config);
    if (err == 0)
        err = make_servers(b);
    if (err == 0)
        err = make_client(b, false, &b->config->client);
    return err == 0 && b->opts->dtls ? make_dtls(b) : err;
}

int thi_tls_config_build(const th_tls_opts *opts, thi_tls_config **config)
{
    build b = { .opts = opts, .config = thi_tls_config_new() };
    if (!b.config)
        return thi_err_clear(-ENOMEM);
    int err = set_plain(&b);
    if (err == 0)
        err = load_identities(&b);
    if (err == 0)
        err = thi_fileway_run(make_all, &b);
    for (size_t i = 0; i < b.count; i++)
        thi_tls_identity_deinit(&b.identities[i]);
    thi_free(b.identities);
    thi_free(b.leaders);
    thi_tls_trust_deinit(&b.trust);
    X509_STORE_free(b.system);
    sk_X509_NAME_pop_free(b.names, X509_NAME_free);
    if (err < 0)
        thi_tls_config_unref(b.config);
    else
        *config = b.config;
    return err;
}
