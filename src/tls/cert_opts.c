/* SPDX-License-Identifier: MIT */

/* What shall be in a certificate or a request: checked, and made into extensions. */
#include "tls/cert_opts.h"

#include "base/error.h"
#include "tls/ossl.h"

#include <errno.h>
#include <string.h>

int thi_cert_opts_check(const th_cert_opts *o)
{
    if (o->size > sizeof *o)
        return thi_err_set(-EINVAL, "th_cert_opts of a later version");
    if ((!o->alts && o->alts_count > 0) || (!o->exts && o->exts_count > 0) ||
        (!o->subject.parts && o->subject.count > 0))
        return thi_err_set(-EINVAL, "a count without an array");
    if (o->path_limit < 0 || (o->path_limit > 0 && !o->ca))
        return thi_err_set(-EINVAL, "path_limit is for authorities, and at least 0");
    if (o->valid_for < 0)
        return thi_err_set(-EINVAL, "it would be valid for less than no time");
    return 0;
}

static int add_constraints(const th_cert_opts *o, thi_exts *exts)
{
    thi_ossl_begin();
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    if (!constraints)
        return thi_ossl_fail(-ENOMEM, "an extension");
    int err = 0;
    constraints->ca = o->ca ? 0xff : 0;
    if (o->path_limit > 0) {
        constraints->pathlen = ASN1_INTEGER_new();
        if (!constraints->pathlen || ASN1_INTEGER_set(constraints->pathlen, o->path_limit - 1) != 1)
            err = thi_ossl_fail(-ENOMEM, "an extension");
    }
    if (err == 0)
        err = thi_exts_add(exts, NID_basic_constraints, constraints, o->ca != 0);
    BASIC_CONSTRAINTS_free(constraints);
    return err;
}

/* Key encipherment is what TLS 1.2's RSA key exchange needs, and still what others look for. */
static const char *default_usage(const th_cert_opts *o, int key_kind)
{
    if (o->ca)
        return "critical,keyCertSign,cRLSign";
    return key_kind == TH_KEY_RSA ? "critical,digitalSignature,keyEncipherment"
                                  : "critical,digitalSignature";
}

/* NULL and "" add nothing. */
static int add_text(thi_exts *exts, int nid, const char *text)
{
    return text && *text ? thi_exts_nid(exts, nid, text) : 0;
}

int thi_cert_opts_exts(const th_cert_opts *o, bool defaults, int key_kind, thi_exts *exts)
{
    const char *usage = o->usage, *extended = o->extended_usage;
    if (defaults && !usage)
        usage = default_usage(o, key_kind);
    if (defaults && !extended && !o->ca)
        extended = "serverAuth";
    int err = defaults || o->ca ? add_constraints(o, exts) : 0;
    if (err == 0)
        err = add_text(exts, NID_key_usage, usage);
    if (err == 0)
        err = add_text(exts, NID_ext_key_usage, extended);
    /* Without a subject, nobody may overlook the other names (RFC 5280, 4.2.1.6). */
    if (err == 0 && o->alts_count > 0)
        err = thi_exts_alts(exts, o->alts, o->alts_count, o->subject.count == 0);
    if (err == 0)
        err = add_text(exts, NID_certificate_policies, o->policies);
    if (err == 0)
        err = thi_exts_urls(exts, o->crl_url, o->ocsp_url, o->issuer_url);
    return err;
}

int thi_cert_opts_more(const th_cert_opts *o, thi_exts *exts)
{
    int err = 0;
    for (size_t i = 0; i < o->exts_count && err == 0; i++)
        err = thi_exts_text(exts, &o->exts[i]);
    return err;
}
