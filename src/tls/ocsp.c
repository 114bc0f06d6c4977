/* SPDX-License-Identifier: MIT */

/*
 * Responses of OCSP.
 *
 * A response is judged against one certificate and its issuer, and nothing else: the issuer is the
 * anchor of trust, because the chain above it was verified before, by whatever demands. So the
 * signer is the issuer itself, or somebody with a certificate of the issuer for that purpose (RFC
 * 6960 4.2.2.2).
 *
 * A response without an end of its time may be used for a day: its responder says that there is
 * always a newer one.
 */
#include "tls/ocsp.h"

#include "base/util.h"
#include "tls/cert_time.h"
#include "tls/ossl.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define CLOCKS_DIFFER 300         /* seconds */
#define WITHOUT_END   (24 * 3600) /* seconds */

/* ---- about whom ---- */

static bool is_about(OCSP_SINGLERESP *single, X509 *cert, X509 *issuer)
{
    ASN1_OBJECT *digest = NULL;
    ASN1_INTEGER *serial = NULL;
    OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    if (!OCSP_id_get0_info(NULL, &digest, NULL, &serial, id) ||
        ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) != 0)
        return false;
    if (!issuer)
        return true;
    OCSP_CERTID *ours = OCSP_cert_to_id(EVP_get_digestbyobj(digest), cert, issuer);
    bool same = ours && OCSP_id_cmp(ours, id) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

static OCSP_SINGLERESP *find(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        if (is_about(single, cert, issuer))
            return single;
    }
    return NULL;
}

/* ---- by whom ---- */

static X509_STORE *store_of(X509 *issuer, int64_t now)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return NULL;
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
    if (X509_STORE_add_cert(store, issuer) &&
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN))
        return store;
    X509_STORE_free(store);
    return NULL;
}

/* GOOD, UNTRUSTED or UNJUDGED. */
static thi_ocsp_verdict verify(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
    X509_STORE *store = store_of(issuer, now);
    STACK_OF(X509) *others = sk_X509_new_null();
    thi_ocsp_verdict verdict = THI_OCSP_UNJUDGED;
    if (store && others && sk_X509_push(others, issuer) > 0)
        verdict =
            OCSP_basic_verify(basic, others, store, 0) > 0 ? THI_OCSP_GOOD : THI_OCSP_UNTRUSTED;
    sk_X509_free(others);
    X509_STORE_free(store);
    return verdict;
}

/* ---- what ---- */

static thi_ocsp_verdict read_status(OCSP_SINGLERESP *single, int64_t now, thi_ocsp_findings *f)
{
    ASN1_GENERALIZEDTIME *revoked = NULL;
    ASN1_GENERALIZEDTIME *since = NULL;
    ASN1_GENERALIZEDTIME *until = NULL;
    int status = OCSP_single_get0_status(single, &f->reason, &revoked, &since, &until);
    if (thi_cert_time_of(since, &f->since) < 0 || (until && thi_cert_time_of(until, &f->until) < 0))
        return THI_OCSP_BROKEN;
    if (!until)
        f->until = f->since + WITHOUT_END;
    if (status == V_OCSP_CERTSTATUS_REVOKED) { /* that does not go by */
        (void)!thi_cert_time_of(revoked, &f->revoked_at);
        return THI_OCSP_REVOKED;
    }
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return THI_OCSP_UNKNOWN;
    if (f->since > now + CLOCKS_DIFFER)
        return THI_OCSP_EARLY;
    return f->until < now - CLOCKS_DIFFER ? THI_OCSP_STALE : THI_OCSP_GOOD;
}

static thi_ocsp_verdict judge_basic(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer, int64_t now,
                                    thi_ocsp_findings *f)
{
    OCSP_SINGLERESP *single = find(basic, cert, issuer);
    if (!single)
        return THI_OCSP_OTHER;
    thi_ocsp_verdict verdict = issuer ? verify(basic, issuer, now) : THI_OCSP_GOOD;
    return verdict == THI_OCSP_GOOD ? read_status(single, now, f) : verdict;
}

static OCSP_BASICRESP *read_basic(th_str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    OCSP_BASICRESP *basic = NULL;
    if (response && at == (const unsigned char *)der.ptr + der.len &&
        OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    OCSP_RESPONSE_free(response);
    return basic;
}

void thi_ocsp_judge(th_str der, X509 *cert, X509 *issuer, int64_t now, thi_ocsp_findings *findings)
{
    thi_ocsp_findings f = { .verdict = THI_OCSP_NONE, .until = INT64_MAX, .reason = -1 };
    f.unsigned_ = !issuer;
    thi_ossl_begin();
    if (der.len > 0) {
        OCSP_BASICRESP *basic = der.len <= THI_OCSP_MAX ? read_basic(der) : NULL;
        f.verdict = basic ? judge_basic(basic, cert, issuer, now, &f) : THI_OCSP_BROKEN;
        OCSP_BASICRESP_free(basic);
    }
    thi_ossl_begin(); /* what was found out is in the verdict */
    *findings = f;
}

char *thi_ocsp_words(const thi_ocsp_findings *f, char *text, size_t size)
{
    static const char *const words[] = {
        [THI_OCSP_GOOD] = "says that the certificate is good",
        [THI_OCSP_NONE] = "is missing",
        [THI_OCSP_BROKEN] = "cannot be read, or is the failure of its responder",
        [THI_OCSP_OTHER] = "is about another certificate",
        [THI_OCSP_UNTRUSTED] = "is not signed by the issuer of the certificate",
        [THI_OCSP_EARLY] = "is not valid yet; it begins on ",
        [THI_OCSP_STALE] = "is no longer valid; it ended on ",
        [THI_OCSP_REVOKED] = "says that the certificate was revoked on ",
        [THI_OCSP_UNKNOWN] = "says that its responder does not know the certificate",
        [THI_OCSP_UNJUDGED] = "could not be judged for lack of memory",
    };
    char when[32];
    int64_t time = f->verdict == THI_OCSP_EARLY   ? f->since
                   : f->verdict == THI_OCSP_STALE ? f->until
                                                  : f->revoked_at;
    bool timed = f->verdict == THI_OCSP_EARLY || f->verdict == THI_OCSP_STALE ||
                 f->verdict == THI_OCSP_REVOKED;
    bool reasoned = f->verdict == THI_OCSP_REVOKED && f->reason >= 0;
    snprintf(text, size, "%s%s%s%s%s", words[f->verdict],
             timed ? thi_cert_time_words(time, when) : "", reasoned ? " (" : "",
             reasoned ? OCSP_crl_reason_str(f->reason) : "", reasoned ? ")" : "");
    return text;
}

/* The number of the extension `status_request` in a list of TLS features. */
#define STATUS_REQUEST 5

bool thi_ocsp_is_demanded(X509 *cert)
{
    bool demanded = false;
    thi_ossl_begin();
    TLS_FEATURE *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++)
        demanded |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
    TLS_FEATURE_free(features);
    thi_ossl_begin();
    return demanded;
}
