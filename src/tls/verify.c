/* SPDX-License-Identifier: MIT */

/*
 * The verdict on a peer's chain.
 *
 * Where nobody else is to be asked, OpenSSL's verification stops at the first thing that is wrong,
 * and that is told. Where the user's callback decides, all that is wrong is collected first, and
 * the callback is then asked about each certificate from the anchor down, and about each thing that
 * is wrong with it: to forgive one of them does not forgive another that would have come behind it.
 * What is wrong with the chain as a whole, without which it cannot be judged further, nobody can
 * forgive. Nor can a pin be overruled.
 */
#include "tls/verify.h"

#include "base/alloc.h"
#include "tls/link.h"
#include "tls/ossl.h"
#include "tls/verify_words.h"

#include <errno.h>

/* Things that may be wrong with one chain before it is given up. */
#define FAULTS_MAX 32

/* Certificates of a chain that a callback is shown; OpenSSL builds none that is longer. */
#define CHAIN_MAX 102

typedef struct fault {
    int depth;
    int error;
} fault;

typedef struct findings {
    fault faults[FAULTS_MAX];
    size_t count;
} findings;

/* For OpenSSL: notes what is wrong, and goes on. */
static int collect(int ok, X509_STORE_CTX *store)
{
    findings *f = X509_STORE_CTX_get_app_data(store);
    if (ok)
        return 1;
    if (f->count == FAULTS_MAX)
        return 0;
    f->faults[f->count++] =
        (fault){ X509_STORE_CTX_get_error_depth(store), X509_STORE_CTX_get_error(store) };
    return 1;
}

/* Keeps what speaks against the peer, in words. */
static void blame(thi_tls_link *link, X509_STORE_CTX *store, int error, int depth)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    thi_tls_blame b = { .error = error,
                        .depth = depth,
                        .cert = sk_X509_value(chain, depth),
                        .chain = chain,
                        .name = link->server ? NULL : link->name };
    if (!b.cert)
        b.cert = X509_STORE_CTX_get_current_cert(store);
    link->verdict = error;
    thi_tls_verify_words(&b, link->detail, sizeof link->detail);
}

/* ---- the user's callback ---- */

typedef struct shown {
    th_str ders[CHAIN_MAX];
    size_t count;
} shown;

static int encode_chain(const STACK_OF(X509) * chain, shown *s)
{
    int count = sk_X509_num(chain);
    for (int i = 0; i < count && i < CHAIN_MAX; i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, i), &der);
        if (len < 0)
            return -ENOMEM;
        s->ders[s->count++] = th_str_make((const char *)der, (size_t)len);
    }
    return 0;
}

static void free_shown(shown *s)
{
    for (size_t i = 0; i < s->count; i++)
        OPENSSL_free((char *)(uintptr_t)s->ders[i].ptr);
    thi_free(s);
}

/* One question to the callback: whether the answer lets the peer pass. */
static bool ask(thi_tls_link *link, X509_STORE_CTX *store, const shown *s, fault f)
{
    const thi_tls_hooks *hooks = &link->config->hooks;
    size_t at = (size_t)f.depth < s->count ? (size_t)f.depth : s->count - 1;
    th_tls_verify seen = { .depth = f.depth,
                           .error = f.error,
                           .words = f.error ? X509_verify_cert_error_string(f.error) : "",
                           .cert = s->ders[at],
                           .chain = s->ders,
                           .chain_count = s->count,
                           .name = link->server ? NULL : link->name };
    thi_err_clear(0);
    int answer = hooks->verify(&seen, link->user, hooks->arg);
    if (answer > 0)
        return true;
    blame(link, store, f.error ? f.error : X509_V_ERR_APPLICATION_VERIFICATION, f.depth);
    if (answer < 0)
        thi_tls_link_fail(link, answer, NULL);
    return false;
}

/* Asks about the certificate at a depth, and each thing wrong with it. */
static bool ask_at(thi_tls_link *link, X509_STORE_CTX *store, const shown *s, const findings *f,
                   int depth, bool is_top)
{
    bool found = false;
    for (size_t i = 0; i < f->count; i++) {
        /* An issuer that is missing is at the depth where it would be. */
        if (f->faults[i].depth != depth && !(is_top && f->faults[i].depth > depth))
            continue;
        found = true;
        if (!ask(link, store, s, f->faults[i]))
            return false;
    }
    return found || ask(link, store, s, (fault){ depth, 0 });
}

static bool ask_user(thi_tls_link *link, X509_STORE_CTX *store, const findings *f)
{
    shown *s = thi_calloc(1, sizeof *s);
    int err = s ? encode_chain(X509_STORE_CTX_get0_chain(store), s) : -ENOMEM;
    bool good = err == 0 && s->count > 0;
    if (err < 0)
        thi_tls_link_fail(link, err, "no memory to show the chain");
    for (size_t i = good ? s->count : 0; i > 0 && good; i--)
        good = ask_at(link, store, s, f, (int)i - 1, i == s->count);
    if (s)
        free_shown(s);
    return good;
}

/* ---- the verdict ---- */

/* Without a callback: OpenSSL's, or none that counts. */
static bool judge_alone(thi_tls_link *link, X509_STORE_CTX *store)
{
    bool good = X509_verify_cert(store) > 0;
    if (!good)
        blame(link, store, X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
    return good || link->insecure;
}

static bool judge_with_user(thi_tls_link *link, X509_STORE_CTX *store)
{
    findings f = { .count = 0 };
    X509_STORE_CTX_set_app_data(store, &f);
    X509_STORE_CTX_set_verify_cb(store, collect);
    bool judged = X509_verify_cert(store) > 0;
    X509_STORE_CTX_set_app_data(store, NULL);
    if (!judged) {
        int error = X509_STORE_CTX_get_error(store);
        blame(link, store, error ? error : X509_V_ERR_UNSPECIFIED,
              X509_STORE_CTX_get_error_depth(store));
        return false;
    }
    if (link->insecure && f.count > 0)
        blame(link, store, f.faults[0].error, f.faults[0].depth);
    if (link->insecure)
        f.count = 0; /* nothing is held against the peer but what the callback itself finds */
    if (!ask_user(link, store, &f))
        return false;
    if (!link->insecure)
        X509_STORE_CTX_set_error(store, X509_V_OK);
    return true;
}

/* Of a chain that was verified any key will do; else the peer has proved to have its own alone. */
static bool is_pinned(const thi_tls_link *link, X509_STORE_CTX *store)
{
    const thi_tls_pins *pins = &link->config->pins;
    if (pins->count == 0 || link->server)
        return true;
    if (link->insecure)
        return thi_tls_pins_have(pins, X509_STORE_CTX_get0_cert(store));
    return thi_tls_pins_have_one(pins, X509_STORE_CTX_get0_chain(store));
}

/* For OpenSSL, in place of X509_verify_cert(). */
static int judge(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    thi_tls_link *link = ssl ? thi_tls_link_of(ssl) : NULL;
    (void)arg;
    if (!link)
        return X509_verify_cert(store);
    bool good =
        link->config->hooks.verify ? judge_with_user(link, store) : judge_alone(link, store);
    if (good && !is_pinned(link, store)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        blame(link, store, X509_V_ERR_APPLICATION_VERIFICATION, 0);
        (void)thi_tls_link_fail(link, TH_ETLS, "no key of the peer's is among the pins: %s",
                                link->detail);
        good = false;
    }
    if (!good && X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    thi_ossl_begin(); /* what a verification leaves behind is not the failure of the next call */
    return good;
}

void thi_tls_verify_attach(SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, judge, NULL);
}
