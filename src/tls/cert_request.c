/* SPDX-License-Identifier: MIT */

/* Requests for certificates. */
#include "tls/cert_request.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/cert.h"
#include "tls/cert_info.h"
#include "tls/cert_name.h"
#include "tls/cert_opts.h"
#include "tls/key.h"
#include "tls/load.h"
#include "tls/ossl.h"
#include "tls/pem.h"

#include <errno.h>
#include <openssl/pem.h>

static const thi_pem_kind kind = { "certificate request",
                                   { PEM_STRING_X509_REQ, PEM_STRING_X509_REQ_OLD },
                                   X509_REQ_it };

/* ---- the object ---- */

/* Takes req over, also on failure. */
static int wrap(X509_REQ *req, th_cert_request **request)
{
    th_cert_request *made = thi_calloc(1, sizeof *made);
    if (!made) {
        X509_REQ_free(req);
        return thi_err_clear(-ENOMEM);
    }
    atomic_init(&made->refs, 1);
    made->req = req;
    *request = made;
    return 0;
}

th_cert_request *th_cert_request_ref(th_cert_request *request)
{
    atomic_fetch_add_explicit(&request->refs, 1, memory_order_relaxed);
    return request;
}

void th_cert_request_unref(th_cert_request *request)
{
    if (!request || atomic_fetch_sub_explicit(&request->refs, 1, memory_order_acq_rel) > 1)
        return;
    X509_REQ_free(request->req);
    thi_free(request);
}

int th_cert_request_parse(th_str data, th_cert_request **request)
{
    void *req = NULL;
    if (!request || (!data.ptr && data.len > 0))
        return thi_err_clear(-EINVAL);
    int err = thi_pem_read(&kind, data, THI_PEM_LIMIT, &req);
    return err == 0 ? wrap(req, request) : err;
}

static int parse_one(th_str data, void *out)
{
    return th_cert_request_parse(data, out);
}

int th_cert_request_load(const char *path, th_cert_request **request)
{
    if (!path || !request)
        return thi_err_clear(-EINVAL);
    return thi_load(path, THI_PEM_LIMIT, parse_one, request);
}

int th_cert_request_pem(const th_cert_request *request, th_arena *arena, th_str *pem)
{
    if (!request || !arena || !pem)
        return thi_err_clear(-EINVAL);
    return thi_pem_write_object(&kind, request->req, arena, pem);
}

int th_cert_request_der(const th_cert_request *request, th_arena *arena, th_str *der)
{
    if (!request || !arena || !der)
        return thi_err_clear(-EINVAL);
    return thi_der_write(X509_REQ_it(), request->req, arena, der);
}

/* ---- making ---- */

static int set_exts(X509_REQ *req, const th_cert_opts *o, int key_kind)
{
    thi_exts exts;
    int err = thi_exts_init(&exts, NULL, NULL, req, NULL);
    if (err == 0)
        err = thi_cert_opts_exts(o, false, key_kind, &exts);
    if (err == 0)
        err = thi_cert_opts_more(o, &exts);
    if (err == 0 && exts.list && X509_REQ_add_extensions(req, exts.list) != 1)
        err = thi_ossl_fail(-ENOMEM, "an extension");
    thi_exts_deinit(&exts);
    return err;
}

static int sign(X509_REQ *req, const th_key *key, const char *name)
{
    EVP_MD *digest = NULL;
    int err = thi_key_digest(key, name, &digest);
    if (err < 0)
        return err;
    thi_ossl_begin();
    int len = X509_REQ_sign(req, key->pkey, digest);
    EVP_MD_free(digest);
    return len > 0 ? 0 : thi_ossl_fail(TH_ETLS, "signing the request");
}

static int fill(X509_REQ *req, const th_key *key, const th_cert_opts *o)
{
    thi_ossl_begin();
    if (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(req, key->pkey) != 1)
        return thi_ossl_fail(TH_ETLS, "the key cannot be put into a request");
    int err = thi_name_make(&o->subject, X509_REQ_get_subject_name(req));
    if (err == 0)
        err = set_exts(req, o, key->info.kind);
    return err == 0 ? sign(req, key, o->digest) : err;
}

int th_cert_request_new(const th_key *key, const th_cert_opts *opts, th_cert_request **request)
{
    if (!key || !opts || !request)
        return thi_err_clear(-EINVAL);
    if (!key->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to sign with, only the public part");
    int err = thi_cert_opts_check(opts);
    if (err < 0)
        return err;
    if (opts->serial || opts->not_before || opts->not_after || opts->valid_for)
        return thi_err_set(-EINVAL, "a request has neither a serial number nor a time");
    thi_ossl_begin();
    X509_REQ *req = X509_REQ_new();
    if (!req)
        return thi_ossl_fail(-ENOMEM, "a request");
    err = fill(req, key, opts);
    if (err == 0)
        return wrap(req, request);
    X509_REQ_free(req);
    return err;
}

/* ---- looking ---- */

int th_cert_request_key(const th_cert_request *request, th_key **key)
{
    if (!request || !key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    EVP_PKEY *pkey = X509_REQ_get_pubkey(request->req);
    return pkey ? thi_key_wrap(pkey, false, key)
                : thi_ossl_fail(TH_ETLS, "the public key of the request cannot be read");
}

int th_cert_request_verify(const th_cert_request *request, const th_key *key)
{
    if (!request)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    EVP_PKEY *pkey = key ? key->pkey : X509_REQ_get0_pubkey(request->req);
    if (pkey && X509_REQ_verify(request->req, pkey) == 1)
        return 0;
    return thi_ossl_fail(TH_ETLS, "the request was not signed by %s key", key ? "this" : "its own");
}

static int read_exts(const th_cert_request *request, th_arena *arena, th_cert_request_info *info)
{
    thi_ossl_begin();
    STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(request->req);
    GENERAL_NAMES *alts = NULL;
    int err = 0, critical = -1;
    if (!exts && X509_REQ_get_attr_count(request->req) > 0 && thi_ossl_peek() != 0)
        return thi_ossl_fail(TH_ETLS, "the extensions that are asked for cannot be read");
    if (exts)
        alts = X509V3_get_d2i(exts, NID_subject_alt_name, &critical, NULL);
    if (!alts && critical != -1)
        err = thi_ossl_fail(TH_ETLS, "the alternative names are broken");
    thi_ossl_begin();
    if (err == 0)
        err = thi_alts_read(alts, arena, &info->alts, &info->alts_count);
    if (err == 0)
        err = thi_exts_read(exts, arena, &info->exts, &info->exts_count);
    GENERAL_NAMES_free(alts);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    return err;
}

int th_cert_request_get_info(const th_cert_request *request, th_arena *arena,
                             th_cert_request_info *info)
{
    if (!request || !arena || !info)
        return thi_err_clear(-EINVAL);
    th_cert_request_info made = { 0 };
    int err = thi_info_name(X509_REQ_get_subject_name(request->req), arena, &made.subject,
                            &made.subject_text);
    thi_info_signature(X509_REQ_get_signature_nid(request->req), &made.signature, &made.digest);
    thi_ossl_begin();
    if (err == 0)
        err = thi_info_key(X509_REQ_get0_pubkey(request->req), arena, &made.key);
    if (err == 0)
        err = read_exts(request, arena, &made);
    if (err == 0)
        *info = made;
    return err;
}
