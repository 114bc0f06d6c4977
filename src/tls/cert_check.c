/* SPDX-License-Identifier: MIT */

/* The check of a chain against a store, without a connection. */
#include "base/error.h"
#include "base/util.h"
#include "tls/cert.h"
#include "tls/cert_store.h"
#include "tls/cert_time.h"
#include "tls/ossl.h"
#include "tls/verify_words.h"

#include <errno.h>
#include <limits.h>
#include <openssl/x509v3.h>
#include <string.h>

#define HOST_MAX  253
#define DEPTH_MAX 100
#define SECURITY  2

static const struct purpose {
    const char *name;
    int id; /* 0: any */
} purposes[] = {
    { "any", 0 },
    { "server", X509_PURPOSE_SSL_SERVER },
    { "client", X509_PURPOSE_SSL_CLIENT },
    { "email", X509_PURPOSE_SMIME_SIGN },
    { "ocsp", X509_PURPOSE_OCSP_HELPER },
    { "timestamp", X509_PURPOSE_TIMESTAMP_SIGN },
};

static const struct purpose *find_purpose(const char *name)
{
    for (size_t i = 0; i < thi_array_len(purposes); i++)
        if (strcmp(purposes[i].name, name ? name : "any") == 0)
            return &purposes[i];
    return NULL;
}

static int check_opts(const th_cert_check_opts *o)
{
    if (o->size > sizeof *o)
        return thi_err_set(-EINVAL, "th_cert_check_opts of a later version");
    if (!find_purpose(o->purpose))
        return thi_err_set(-EINVAL, "unknown purpose %s", o->purpose);
    if ((!o->host.ptr && o->host.len > 0) || o->host.len > HOST_MAX ||
        (o->host.len > 0 && memchr(o->host.ptr, '\0', o->host.len)))
        return thi_err_set(-EINVAL, "the name of the host is too long or has NUL bytes");
    /* OpenSSL takes that for a question about everything below. */
    if (o->host.len > 0 && o->host.ptr[0] == '.')
        return thi_err_set(-EINVAL, "the name of the host begins with a dot");
    if (o->crl < TH_CRL_NONE || o->crl > TH_CRL_ALL)
        return thi_err_set(-EINVAL, "crl is none of TH_CRL_...");
    if (o->depth_max < -1 || o->depth_max > DEPTH_MAX)
        return thi_err_set(-EINVAL, "depth_max is %d at most", DEPTH_MAX);
    if (o->security_level < -1 || o->security_level > 5)
        return thi_err_set(-EINVAL, "security_level is 0 to 5");
    return 0;
}

/* ---- setting up ---- */

/* An address is compared with addresses only. `name` is terminated. */
static int set_host(X509_VERIFY_PARAM *param, const char *name, size_t len)
{
    if (len == 0 || X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return 0;
    thi_ossl_begin();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, len) == 1 ? 0
                                                              : thi_ossl_fail(-ENOMEM, "a check");
}

static unsigned long flags_of(const th_cert_check_opts *o)
{
    unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
    if (o->crl != TH_CRL_NONE)
        flags |= X509_V_FLAG_CRL_CHECK;
    if (o->crl == TH_CRL_ALL)
        flags |= X509_V_FLAG_CRL_CHECK_ALL;
    if (o->partial)
        flags |= X509_V_FLAG_PARTIAL_CHAIN;
    return flags;
}

static int set_up(X509_STORE_CTX *ctx, const th_cert_check_opts *o, const char *name)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    int purpose = find_purpose(o->purpose)->id;
    int level = o->security_level == 0 ? SECURITY : thi_max(o->security_level, 0);
    X509_VERIFY_PARAM_set_flags(param, flags_of(o));
    X509_VERIFY_PARAM_set_depth(param, o->depth_max == 0 ? DEPTH_MAX : thi_max(o->depth_max, 0));
    X509_VERIFY_PARAM_set_auth_level(param, level);
    X509_VERIFY_PARAM_set_time(param, (time_t)(o->when != 0 ? o->when : thi_cert_now()));
    if (purpose != 0 && X509_STORE_CTX_set_purpose(ctx, purpose) != 1)
        return thi_ossl_fail(TH_ETLS, "the purpose %s", o->purpose);
    return set_host(param, name, o->host.len);
}

/* ---- the verdict ---- */

static int tell(X509_STORE_CTX *ctx, const char *host, th_arena *arena, th_cert_verdict *verdict)
{
    char words[THI_ERR_DETAIL_SIZE] = "";
    int code = X509_STORE_CTX_get_error(ctx);
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    thi_tls_blame blame = { .error = code,
                            .depth = X509_STORE_CTX_get_error_depth(ctx),
                            .cert = X509_STORE_CTX_get_current_cert(ctx),
                            .chain = chain,
                            .name = host[0] != '\0' ? host : NULL };
    if (code != X509_V_OK)
        thi_tls_verify_words(&blame, words, sizeof words);
    if (verdict) {
        th_cert_verdict made = { .code = code,
                                 .name = X509_verify_cert_error_string(code),
                                 .depth = code != X509_V_OK ? blame.depth : 0 };
        const char *copy = th_arena_strdup(arena, th_str_of(words));
        int err = copy ? thi_certs_add_stack(&made.chain, chain, 0) : thi_err_clear(-ENOMEM);
        if (err < 0)
            return err;
        made.words = th_str_of(copy);
        *verdict = made;
    }
    return code == X509_V_OK ? 0 : thi_err_set(TH_ETLS, "%s", words);
}

static int run(X509_STORE_CTX *ctx, const th_cert_check_opts *o, th_arena *arena,
               th_cert_verdict *verdict)
{
    char name[HOST_MAX + 1] = "";
    if (o->host.len > 0)
        memcpy(name, o->host.ptr, o->host.len);
    int err = set_up(ctx, o, name);
    if (err < 0)
        return err;
    thi_ossl_begin();
    int good = X509_verify_cert(ctx);
    if (good < 0 || X509_STORE_CTX_get_error(ctx) == X509_V_ERR_OUT_OF_MEM)
        return thi_ossl_fail(-ENOMEM, "the check cannot be made");
    thi_ossl_begin();
    return tell(ctx, name, arena, verdict);
}

int th_cert_check(th_cert_store *store, const th_cert *cert, const th_cert_check_opts *opts,
                  th_arena *arena, th_cert_verdict *verdict)
{
    th_cert_check_opts o = { 0 };
    X509_STORE *own = NULL;
    STACK_OF(X509) *chain = NULL;
    if (!store || !cert || (verdict && !arena))
        return thi_err_clear(-EINVAL);
    if (opts)
        o = *opts;
    int err = check_opts(&o);
    if (err == 0)
        err = thi_cert_store_get(store, &own);
    if (err == 0)
        err = thi_certs_stack(o.chain, &chain);
    if (err == 0) {
        thi_ossl_begin();
        X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        err = ctx && X509_STORE_CTX_init(ctx, own, cert->x509, chain) == 1
                  ? run(ctx, &o, arena, verdict)
                  : thi_ossl_fail(-ENOMEM, "a check");
        X509_STORE_CTX_free(ctx);
    }
    sk_X509_pop_free(chain, X509_free);
    thi_cert_store_give_back(store, own);
    return err;
}
