/* SPDX-License-Identifier: MIT */

/* Revocation lists: in and out, and what they say. */
#include "tls/crl.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/cert.h"
#include "tls/cert_info.h"
#include "tls/cert_serial.h"
#include "tls/cert_time.h"
#include "tls/crl_reason.h"
#include "tls/key.h"
#include "tls/load.h"
#include "tls/ossl.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define LIMIT ((size_t)64 << 20)

const thi_pem_kind thi_crl_kind = { "revocation list", { PEM_STRING_X509_CRL, NULL }, X509_CRL_it };

/* ---- the object ---- */

int thi_crl_wrap(X509_CRL *from, th_crl **crl)
{
    th_crl *made = thi_calloc(1, sizeof *made);
    if (!made) {
        X509_CRL_free(from);
        return thi_err_clear(-ENOMEM);
    }
    atomic_init(&made->refs, 1);
    made->crl = from;
    *crl = made;
    return 0;
}

th_crl *th_crl_ref(th_crl *crl)
{
    atomic_fetch_add_explicit(&crl->refs, 1, memory_order_relaxed);
    return crl;
}

void th_crl_unref(th_crl *crl)
{
    if (!crl || atomic_fetch_sub_explicit(&crl->refs, 1, memory_order_acq_rel) > 1)
        return;
    X509_CRL_free(crl->crl);
    thi_free(crl);
}

int th_crl_parse(th_str data, th_crl **crl)
{
    void *made = NULL;
    if (!crl || (!data.ptr && data.len > 0))
        return thi_err_clear(-EINVAL);
    int err = thi_pem_read(&thi_crl_kind, data, LIMIT, &made);
    return err == 0 ? thi_crl_wrap(made, crl) : err;
}

static int parse_one(th_str data, void *out)
{
    return th_crl_parse(data, out);
}

int th_crl_load(const char *path, th_crl **crl)
{
    if (!path || !crl)
        return thi_err_clear(-EINVAL);
    return thi_load(path, LIMIT, parse_one, crl);
}

int th_crl_pem(const th_crl *crl, th_arena *arena, th_str *pem)
{
    if (!crl || !arena || !pem)
        return thi_err_clear(-EINVAL);
    return thi_pem_write_object(&thi_crl_kind, crl->crl, arena, pem);
}

int th_crl_der(const th_crl *crl, th_arena *arena, th_str *der)
{
    if (!crl || !arena || !der)
        return thi_err_clear(-EINVAL);
    return thi_der_write(X509_CRL_it(), crl->crl, arena, der);
}

/* ---- looking ---- */

int th_crl_verify(const th_crl *crl, const th_key *key)
{
    if (!crl || !key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    if (X509_CRL_verify(crl->crl, key->pkey) == 1)
        return 0;
    return thi_ossl_fail(TH_ETLS, "the revocation list was not signed by this key");
}

/* -1: none is given, or none that can be read. */
static int reason_of(const X509_REVOKED *entry)
{
    thi_ossl_begin();
    ASN1_ENUMERATED *value = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    int code = value ? (int)ASN1_ENUMERATED_get(value) : -1;
    ASN1_ENUMERATED_free(value);
    thi_ossl_begin();
    return code;
}

/* In the order of the list, and without OpenSSL's search, which sorts it. */
int th_crl_revokes(const th_crl *crl, const th_cert *cert)
{
    if (!crl || !cert)
        return thi_err_clear(-EINVAL);
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl->crl), X509_get_issuer_name(cert->x509)) != 0)
        return 0;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl->crl);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);
        if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(entry), serial) == 0)
            return reason_of(entry) != CRL_REASON_REMOVE_FROM_CRL;
    }
    return 0;
}

static int read_entry(const X509_REVOKED *from, th_arena *arena, th_crl_entry *entry)
{
    th_str serial = { 0 };
    int err = thi_serial_read(X509_REVOKED_get0_serialNumber(from), arena, &serial);
    if (err == 0)
        err = thi_cert_time_of(X509_REVOKED_get0_revocationDate(from), &entry->when);
    if (err < 0)
        return err;
    entry->serial = serial.ptr;
    entry->reason = thi_crl_reason_name(reason_of(from));
    return 0;
}

static int read_entries(const th_crl *crl, th_arena *arena, th_crl_info *info)
{
    STACK_OF(X509_REVOKED) *from = X509_CRL_get_REVOKED(crl->crl);
    int count = from ? sk_X509_REVOKED_num(from) : 0;
    th_crl_entry *entries = th_arena_calloc(arena, (size_t)count + 1, sizeof *entries);
    if (!entries)
        return thi_err_clear(-ENOMEM);
    for (int i = 0; i < count; i++) {
        int err = read_entry(sk_X509_REVOKED_value(from, i), arena, &entries[i]);
        if (err < 0)
            return err;
    }
    info->entries = entries;
    info->entries_count = (size_t)count;
    return 0;
}

static int read_number(const th_crl *crl, th_arena *arena, th_crl_info *info)
{
    int critical;
    thi_ossl_begin();
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl->crl, NID_crl_number, &critical, NULL);
    if (!number)
        return critical == -1 ? 0 : thi_ossl_fail(TH_ETLS, "the extension crlNumber is broken");
    int err = thi_serial_read(number, arena, &info->number);
    ASN1_INTEGER_free(number);
    return err;
}

int th_crl_get_info(const th_crl *crl, th_arena *arena, th_crl_info *info)
{
    const char *digest;
    if (!crl || !arena || !info)
        return thi_err_clear(-EINVAL);
    th_crl_info made = { 0 };
    int err = thi_info_name(X509_CRL_get_issuer(crl->crl), arena, &made.issuer, &made.issuer_text);
    thi_info_signature(X509_CRL_get_signature_nid(crl->crl), &made.signature, &digest);
    if (err == 0)
        err = thi_cert_time_of(X509_CRL_get0_lastUpdate(crl->crl), &made.last_update);
    if (err == 0 && X509_CRL_get0_nextUpdate(crl->crl))
        err = thi_cert_time_of(X509_CRL_get0_nextUpdate(crl->crl), &made.next_update);
    if (err == 0)
        err = read_number(crl, arena, &made);
    if (err == 0)
        err = read_entries(crl, arena, &made);
    if (err == 0)
        *info = made;
    return err;
}
