/* SPDX-License-Identifier: MIT */

/*
 * Making certificates: by oneself, by an authority, on request.
 *
 * The three ways differ in where name, key and issuer come from; they fill one plan, and build()
 * does the rest. An extension may need another part of the certificate, such as the key of which an
 * identifier is made, so those parts come first and the user's own extensions last.
 */
#include "base/error.h"
#include "tls/cert.h"
#include "tls/cert_name.h"
#include "tls/cert_opts.h"
#include "tls/cert_request.h"
#include "tls/cert_serial.h"
#include "tls/cert_time.h"
#include "tls/key.h"
#include "tls/ossl.h"

#include <errno.h>
#include <string.h>

#define DAY       INT64_C(86400)
#define VALID_FOR (90 * DAY)

/* Where everything comes from; all borrowed. */
typedef struct plan {
    const th_cert_opts *opts;
    const X509_NAME *subject; /* NULL: opts->subject */
    X509 *issuer;             /* NULL: itself */
    const th_key *signer;
    EVP_PKEY *pkey;
    int key_kind;
} plan;

/* ---- parts ---- */

static int set_serial(X509 *x509, const plan *p)
{
    ASN1_INTEGER *serial = NULL;
    int err = thi_serial_make(p->opts->serial, &serial);
    if (err < 0)
        return err;
    int ok = X509_set_serialNumber(x509, serial);
    ASN1_INTEGER_free(serial);
    return ok == 1 ? 0 : thi_ossl_fail(-ENOMEM, "a serial number");
}

static int set_names(X509 *x509, const plan *p)
{
    thi_ossl_begin();
    X509_NAME *made = p->subject ? X509_NAME_dup(p->subject) : X509_NAME_new();
    if (!made)
        return thi_ossl_fail(-ENOMEM, "a name");
    int err = p->subject ? 0 : thi_name_make(&p->opts->subject, made);
    const X509_NAME *issuer = p->issuer ? X509_get_subject_name(p->issuer) : made;
    if (err == 0 &&
        (X509_set_subject_name(x509, made) != 1 || X509_set_issuer_name(x509, issuer) != 1))
        err = thi_ossl_fail(-ENOMEM, "a name");
    if (err == 0 && X509_NAME_entry_count(made) == 0 && p->opts->alts_count == 0)
        err = thi_err_set(-EINVAL, "neither a subject nor alternative names");
    X509_NAME_free(made);
    return err;
}

static int set_time(X509 *x509, int64_t seconds, int (*set)(X509 *x509, const ASN1_TIME *time))
{
    ASN1_TIME *time = NULL;
    int err = thi_cert_time_make(seconds, &time);
    if (err == -ERANGE)
        return thi_err_set(-EINVAL, "a time of validity that cannot be written");
    if (err == 0 && set(x509, time) != 1)
        err = thi_ossl_fail(-ENOMEM, "a time of validity");
    ASN1_TIME_free(time);
    return err;
}

static int set_times(X509 *x509, const plan *p)
{
    const th_cert_opts *o = p->opts;
    int64_t first = o->not_before != 0 ? o->not_before : thi_cert_now();
    int64_t last = o->not_after;
    if (last == 0 &&
        __builtin_add_overflow(first, o->valid_for != 0 ? o->valid_for : VALID_FOR, &last))
        return thi_err_set(-EINVAL, "a time of validity that cannot be written");
    if (last < first)
        return thi_err_set(-EINVAL, "it would expire before it is valid");
    int err = set_time(x509, first, X509_set1_notBefore);
    return err == 0 ? set_time(x509, last, X509_set1_notAfter) : err;
}

static int fill_exts(const plan *p, thi_exts *exts)
{
    int err = thi_cert_opts_exts(p->opts, true, p->key_kind, exts);
    if (err == 0)
        err = thi_exts_own(exts, NID_subject_key_identifier, "hash");
    if (err == 0 && p->issuer)
        err = thi_exts_own(exts, NID_authority_key_identifier, "keyid,issuer");
    return err == 0 ? thi_cert_opts_more(p->opts, exts) : err;
}

static int set_exts(X509 *x509, const plan *p)
{
    thi_exts exts;
    int err = thi_exts_init(&exts, p->issuer ? p->issuer : x509, x509, NULL, NULL);
    if (err == 0)
        err = fill_exts(p, &exts);
    for (int i = 0; err == 0 && i < sk_X509_EXTENSION_num(exts.list); i++)
        if (X509_add_ext(x509, sk_X509_EXTENSION_value(exts.list, i), -1) != 1)
            err = thi_ossl_fail(-ENOMEM, "an extension");
    thi_exts_deinit(&exts);
    return err;
}

static int sign(X509 *x509, const plan *p)
{
    EVP_MD *digest = NULL;
    int err = thi_key_digest(p->signer, p->opts->digest, &digest);
    if (err < 0)
        return err;
    thi_ossl_begin();
    int len = X509_sign(x509, p->signer->pkey, digest);
    EVP_MD_free(digest);
    return len > 0 ? 0 : thi_ossl_fail(TH_ETLS, "signing the certificate");
}

/* ---- the whole ---- */

static int fill(X509 *x509, const plan *p)
{
    thi_ossl_begin();
    if (X509_set_version(x509, X509_VERSION_3) != 1 || X509_set_pubkey(x509, p->pkey) != 1)
        return thi_ossl_fail(TH_ETLS, "the key cannot be put into a certificate");
    int err = set_serial(x509, p);
    if (err == 0)
        err = set_names(x509, p);
    if (err == 0)
        err = set_times(x509, p);
    if (err == 0)
        err = set_exts(x509, p);
    return err == 0 ? sign(x509, p) : err;
}

static int build(const plan *p, th_cert **cert)
{
    if (!p->signer->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to sign with, only the public part");
    int err = thi_cert_opts_check(p->opts);
    if (err < 0)
        return err;
    thi_ossl_begin();
    X509 *x509 = X509_new();
    if (!x509)
        return thi_ossl_fail(-ENOMEM, "a certificate");
    err = fill(x509, p);
    if (err == 0)
        return thi_cert_wrap(x509, cert);
    X509_free(x509);
    return err;
}

int th_cert_self_sign(const th_key *key, const th_cert_opts *opts, th_cert **cert)
{
    if (!key || !opts || !cert)
        return thi_err_clear(-EINVAL);
    plan p = { .opts = opts, .signer = key, .pkey = key->pkey, .key_kind = key->info.kind };
    return build(&p, cert);
}

/* A certificate of an older version says nothing, and is believed (X509_check_ca() > 1). */
static int check_issuer(const th_cert *issuer, const th_key *key)
{
    if (th_cert_has_key(issuer, key) != 1)
        return thi_err_set(-EINVAL, "the issuer's key is not the one of its certificate");
    thi_ossl_begin();
    int may = X509_check_ca(issuer->x509);
    thi_ossl_begin();
    return may > 0 ? 0
                   : thi_err_set(-EINVAL, "the issuer's certificate is not one of an authority");
}

int th_cert_issue(const th_cert *issuer, const th_key *issuer_key, const th_key *key,
                  const th_cert_opts *opts, th_cert **cert)
{
    if (!issuer || !issuer_key || !key || !opts || !cert)
        return thi_err_clear(-EINVAL);
    int err = check_issuer(issuer, issuer_key);
    if (err < 0)
        return err;
    plan p = { .opts = opts,
               .issuer = issuer->x509,
               .signer = issuer_key,
               .pkey = key->pkey,
               .key_kind = key->info.kind };
    return build(&p, cert);
}

/* Those of a request that a certificate can be given: of kinds that can be written. */
static int take_alts(const th_cert_request_info *info, th_arena *arena, th_cert_opts *opts)
{
    th_cert_alt *alts = th_arena_calloc(arena, info->alts_count + 1, sizeof *alts);
    if (!alts)
        return thi_err_clear(-ENOMEM);
    opts->alts = alts;
    opts->alts_count = 0;
    for (size_t i = 0; i < info->alts_count; i++)
        if (info->alts[i].kind != TH_ALT_OTHER)
            alts[opts->alts_count++] = info->alts[i];
    return 0;
}

/* With the names of the request in place of those that the options do not have. */
static int build_requested(plan *p, const th_cert_request *request, th_cert_opts *opts,
                           th_cert **cert)
{
    th_arena arena;
    th_cert_request_info info = { 0 };
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_cert_request_get_info(request, &arena, &info);
    if (err == 0) {
        if (opts->subject.count == 0) {
            p->subject = X509_REQ_get_subject_name(request->req);
            opts->subject = info.subject;
        }
        p->key_kind = info.key.kind;
        if (!opts->alts)
            err = take_alts(&info, &arena, opts);
    }
    if (err == 0)
        err = build(p, cert);
    th_arena_deinit(&arena);
    return err;
}

int th_cert_issue_request(const th_cert *issuer, const th_key *issuer_key,
                          const th_cert_request *request, const th_cert_opts *opts, th_cert **cert)
{
    th_cert_opts o = { 0 };
    if (!issuer || !issuer_key || !request || !cert)
        return thi_err_clear(-EINVAL);
    if (opts)
        o = *opts;
    int err = th_cert_request_verify(request, NULL);
    if (err == 0)
        err = check_issuer(issuer, issuer_key);
    if (err < 0)
        return err;
    plan p = { .opts = &o,
               .issuer = issuer->x509,
               .signer = issuer_key,
               .pkey = X509_REQ_get0_pubkey(request->req) };
    return build_requested(&p, request, &o, cert);
}
