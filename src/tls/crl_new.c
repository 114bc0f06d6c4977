/* SPDX-License-Identifier: MIT */

/* Making revocation lists. */
#include "base/error.h"
#include "tls/cert.h"
#include "tls/cert_ext.h"
#include "tls/cert_serial.h"
#include "tls/cert_time.h"
#include "tls/crl.h"
#include "tls/crl_reason.h"
#include "tls/key.h"
#include "tls/ossl.h"

#include <errno.h>

#define DAY      INT64_C(86400)
#define GOOD_FOR (30 * DAY)

static int check_opts(const th_cert *issuer, const th_key *key, const th_crl_opts *o)
{
    if (o->size > sizeof *o)
        return thi_err_set(-EINVAL, "th_crl_opts of a later version");
    if (!o->entries && o->entries_count > 0)
        return thi_err_set(-EINVAL, "a count without an array");
    if (!key->info.is_private)
        return thi_err_set(-EINVAL, "there is no private key to sign with, only the public part");
    if (th_cert_has_key(issuer, key) != 1)
        return thi_err_set(-EINVAL, "the issuer's key is not the one of its certificate");
    return 0;
}

/* ---- entries ---- */

static int set_reason(X509_REVOKED *entry, const char *name)
{
    int number = thi_crl_reason_number(name);
    if (number < 0)
        return thi_err_set(-EINVAL, "unknown reason for a revocation: %s", name);
    thi_ossl_begin();
    ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    int ok = value && ASN1_ENUMERATED_set(value, number) == 1
                 ? X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, value, 0, 0)
                 : 0;
    ASN1_ENUMERATED_free(value);
    return ok == 1 ? 0 : thi_ossl_fail(-ENOMEM, "an entry");
}

static int fill_entry(const th_crl_entry *from, int64_t now, X509_REVOKED *entry)
{
    ASN1_INTEGER *serial = NULL;
    ASN1_TIME *when = NULL;
    if (!from->serial)
        return thi_err_set(-EINVAL, "an entry without a serial number");
    int err = thi_serial_make(from->serial, &serial);
    if (err == 0)
        err = thi_cert_time_make(from->when != 0 ? from->when : now, &when);
    if (err == -ERANGE)
        err = thi_err_set(-EINVAL, "the time of a revocation cannot be written");
    if (err == 0 && (X509_REVOKED_set_serialNumber(entry, serial) != 1 ||
                     X509_REVOKED_set_revocationDate(entry, when) != 1))
        err = thi_ossl_fail(-ENOMEM, "an entry");
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(when);
    return err == 0 && from->reason ? set_reason(entry, from->reason) : err;
}

static int add_entry(const th_crl_entry *from, int64_t now, X509_CRL *crl)
{
    thi_ossl_begin();
    X509_REVOKED *entry = X509_REVOKED_new();
    int err = entry ? fill_entry(from, now, entry) : thi_ossl_fail(-ENOMEM, "an entry");
    if (err == 0 && X509_CRL_add0_revoked(crl, entry) == 1)
        return 0;
    X509_REVOKED_free(entry);
    return err < 0 ? err : thi_ossl_fail(-ENOMEM, "an entry");
}

/* ---- the list ---- */

static int set_time(X509_CRL *crl, int64_t seconds, int (*set)(X509_CRL *, const ASN1_TIME *))
{
    ASN1_TIME *time = NULL;
    int err = thi_cert_time_make(seconds, &time);
    if (err == -ERANGE)
        return thi_err_set(-EINVAL, "a time of update that cannot be written");
    if (err == 0 && set(crl, time) != 1)
        err = thi_ossl_fail(-ENOMEM, "a time of update");
    ASN1_TIME_free(time);
    return err;
}

static int set_times(X509_CRL *crl, const th_crl_opts *o, int64_t now)
{
    int64_t last = o->last_update != 0 ? o->last_update : now;
    int64_t next = o->next_update;
    if (next == 0 && __builtin_add_overflow(last, GOOD_FOR, &next))
        return thi_err_set(-EINVAL, "a time of update that cannot be written");
    if (next < last)
        return thi_err_set(-EINVAL, "the next update would be before this one");
    int err = set_time(crl, last, X509_CRL_set1_lastUpdate);
    return err == 0 ? set_time(crl, next, X509_CRL_set1_nextUpdate) : err;
}

static int add_number(const th_crl_opts *o, thi_exts *exts)
{
    ASN1_INTEGER *number = NULL;
    if (!o->number)
        return 0;
    int err = thi_serial_make(o->number, &number);
    if (err == 0) {
        err = thi_exts_add(exts, NID_crl_number, number, false);
        ASN1_INTEGER_free(number);
    }
    return err;
}

static int set_exts(X509_CRL *crl, X509 *issuer, const th_crl_opts *o)
{
    thi_exts exts;
    int err = thi_exts_init(&exts, issuer, NULL, NULL, crl);
    if (err == 0)
        err = thi_exts_own(&exts, NID_authority_key_identifier, "keyid,issuer");
    if (err == 0)
        err = add_number(o, &exts);
    for (int i = 0; err == 0 && i < sk_X509_EXTENSION_num(exts.list); i++)
        if (X509_CRL_add_ext(crl, sk_X509_EXTENSION_value(exts.list, i), -1) != 1)
            err = thi_ossl_fail(-ENOMEM, "an extension");
    thi_exts_deinit(&exts);
    return err;
}

static int sign(X509_CRL *crl, const th_key *key, const char *name)
{
    EVP_MD *digest = NULL;
    int err = thi_key_digest(key, name, &digest);
    if (err < 0)
        return err;
    thi_ossl_begin();
    int len = X509_CRL_sign(crl, key->pkey, digest);
    EVP_MD_free(digest);
    return len > 0 ? 0 : thi_ossl_fail(TH_ETLS, "signing the revocation list");
}

static int fill(X509_CRL *crl, const th_cert *issuer, const th_key *key, const th_crl_opts *o)
{
    int64_t now = thi_cert_now();
    if (X509_CRL_set_version(crl, X509_CRL_VERSION_2) != 1 ||
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509)) != 1)
        return thi_ossl_fail(-ENOMEM, "a revocation list");
    int err = set_times(crl, o, now);
    for (size_t i = 0; i < o->entries_count && err == 0; i++)
        err = add_entry(&o->entries[i], now, crl);
    if (err == 0)
        err = set_exts(crl, issuer->x509, o);
    return err == 0 ? sign(crl, key, o->digest) : err;
}

int th_crl_new(const th_cert *issuer, const th_key *issuer_key, const th_crl_opts *opts,
               th_crl **crl)
{
    th_crl_opts o = { 0 };
    if (!issuer || !issuer_key || !crl)
        return thi_err_clear(-EINVAL);
    if (opts)
        o = *opts;
    int err = check_opts(issuer, issuer_key, &o);
    if (err < 0)
        return err;
    thi_ossl_begin();
    X509_CRL *made = X509_CRL_new();
    if (!made)
        return thi_ossl_fail(-ENOMEM, "a revocation list");
    err = fill(made, issuer, issuer_key, &o);
    if (err == 0)
        return thi_crl_wrap(made, crl);
    X509_CRL_free(made);
    return err;
}
