/* SPDX-License-Identifier: MIT */

/* What a certificate says, as plain data. */
#include "tls/cert_info.h"

#include "base/util.h"
#include "tls/cert.h"
#include "tls/cert_ext.h"
#include "tls/cert_name.h"
#include "tls/cert_serial.h"
#include "tls/cert_time.h"
#include "tls/key.h"
#include "tls/ossl.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <string.h>

/* ---- what others say, too ---- */

int thi_info_name(const X509_NAME *from, th_arena *arena, th_cert_name *name, th_str *text)
{
    int err = thi_name_read(from, arena, name);
    return err == 0 ? th_cert_name_text(name, arena, text) : err;
}

int thi_info_key(EVP_PKEY *pkey, th_arena *arena, th_key_info *info)
{
    char *name = th_arena_alloc(arena, 64);
    if (!name)
        return thi_err_clear(-ENOMEM);
    if (pkey) {
        thi_key_tell(pkey, false, name, info);
        return 0;
    }
    memcpy(name, "unknown", 8);
    *info = (th_key_info){ .kind = TH_KEY_OTHER, .name = name };
    return 0;
}

void thi_info_signature(int nid, const char **signature, const char **digest)
{
    int md;
    *signature = nid == NID_undef ? "unknown" : OBJ_nid2ln(nid);
    *digest = OBJ_find_sigid_algs(nid, &md, NULL) == 1 && md != NID_undef ? OBJ_nid2sn(md) : "";
}

/* ---- single extensions ---- */

/* A certificate that is read. */
typedef struct source {
    const X509 *x509;
    th_arena *arena;
    th_cert_info *info;
} source;

/* NULL when it is not there. */
static int find(const source *s, int nid, void **value)
{
    int critical;
    thi_ossl_begin();
    *value = X509_get_ext_d2i(s->x509, nid, &critical, NULL);
    if (*value || critical == -1) {
        thi_ossl_begin();
        return 0;
    }
    return thi_ossl_fail(TH_ETLS,
                         critical == -2 ? "the extension %s is there more than once"
                                        : "the extension %s is broken",
                         OBJ_nid2sn(nid));
}

static int copy(const source *s, const ASN1_STRING *from, th_str *to)
{
    size_t len = (size_t)ASN1_STRING_length(from);
    char *text =
        th_arena_strdup(s->arena, th_str_make((const char *)ASN1_STRING_get0_data(from), len));
    if (!text)
        return thi_err_clear(-ENOMEM);
    *to = th_str_make(text, len);
    return 0;
}

static int read_alts(const source *s)
{
    void *names = NULL;
    int err = find(s, NID_subject_alt_name, &names);
    if (err == 0)
        err = thi_alts_read(names, s->arena, &s->info->alts, &s->info->alts_count);
    GENERAL_NAMES_free(names);
    return err;
}

static int read_constraints(const source *s)
{
    void *value = NULL;
    int err = find(s, NID_basic_constraints, &value);
    BASIC_CONSTRAINTS *constraints = value;
    s->info->ca = constraints ? constraints->ca != 0 : -1;
    s->info->path_max = -1;
    if (constraints && constraints->pathlen) {
        long most = ASN1_INTEGER_get(constraints->pathlen);
        s->info->path_max = most >= 0 && most <= 1000000 ? (int)most : 1000000;
    }
    BASIC_CONSTRAINTS_free(constraints);
    return err;
}

static int read_usage(const source *s)
{
    void *value = NULL;
    int err = find(s, NID_key_usage, &value);
    ASN1_BIT_STRING *bits = value;
    s->info->usage = bits ? 0 : -1;
    for (int i = 0; bits && i < 9; i++)
        s->info->usage |= ASN1_BIT_STRING_get_bit(bits, i) << i;
    ASN1_BIT_STRING_free(bits);
    return err;
}

static int read_extended(const source *s)
{
    void *value = NULL;
    int err = find(s, NID_ext_key_usage, &value);
    EXTENDED_KEY_USAGE *usages = value;
    int count = usages ? sk_ASN1_OBJECT_num(usages) : 0;
    const char **names = th_arena_calloc(s->arena, (size_t)count + 1, sizeof *names);
    if (err == 0 && !names)
        err = thi_err_clear(-ENOMEM);
    for (int i = 0; names && i < count && err == 0; i++) {
        names[i] = thi_object_name(sk_ASN1_OBJECT_value(usages, i), s->arena);
        err = names[i] ? 0 : thi_err_clear(-ENOMEM);
    }
    EXTENDED_KEY_USAGE_free(usages);
    s->info->extended_usages = names;
    s->info->extended_usages_count = (size_t)count;
    return err;
}

static int read_policies(const source *s)
{
    void *value = NULL;
    int err = find(s, NID_certificate_policies, &value);
    CERTIFICATEPOLICIES *policies = value;
    int count = policies ? sk_POLICYINFO_num(policies) : 0;
    const char **names = th_arena_calloc(s->arena, (size_t)count + 1, sizeof *names);
    if (err == 0 && !names)
        err = thi_err_clear(-ENOMEM);
    for (int i = 0; names && i < count && err == 0; i++) {
        names[i] = thi_object_name(sk_POLICYINFO_value(policies, i)->policyid, s->arena);
        err = names[i] ? 0 : thi_err_clear(-ENOMEM);
    }
    CERTIFICATEPOLICIES_free(policies);
    s->info->policies = names;
    s->info->policies_count = (size_t)count;
    return err;
}

static int read_key_ids(const source *s)
{
    void *own = NULL, *other = NULL;
    int err = find(s, NID_subject_key_identifier, &own);
    if (err == 0 && own)
        err = copy(s, own, &s->info->subject_key_id);
    ASN1_OCTET_STRING_free(own);
    if (err < 0)
        return err;
    err = find(s, NID_authority_key_identifier, &other);
    AUTHORITY_KEYID *id = other;
    if (err == 0 && id && id->keyid)
        err = copy(s, id->keyid, &s->info->authority_key_id);
    AUTHORITY_KEYID_free(id);
    return err;
}

/* ---- addresses ---- */

static int read_crl_urls(const source *s)
{
    void *value = NULL;
    size_t room = 0, count = 0;
    int err = find(s, NID_crl_distribution_points, &value);
    CRL_DIST_POINTS *points = value;
    for (int i = 0; points && i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;
        room += name && name->type == 0 ? (size_t)sk_GENERAL_NAME_num(name->name.fullname) : 0;
    }
    th_str *urls = th_arena_calloc(s->arena, room + 1, sizeof *urls);
    if (err == 0 && !urls)
        err = thi_err_clear(-ENOMEM);
    for (int i = 0; points && i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;
        int n = name && name->type == 0 ? sk_GENERAL_NAME_num(name->name.fullname) : 0;
        for (int j = 0; urls && j < n && err == 0; j++) {
            const GENERAL_NAME *one = sk_GENERAL_NAME_value(name->name.fullname, j);
            if (one->type == GEN_URI)
                err = copy(s, one->d.uniformResourceIdentifier, &urls[count++]);
        }
    }
    CRL_DIST_POINTS_free(points);
    s->info->crl_urls = urls;
    s->info->crl_urls_count = count;
    return err;
}

/* Those of one method; the others are passed over. */
static int read_access(const source *s, const AUTHORITY_INFO_ACCESS *list, int method,
                       const th_str **urls, size_t *count)
{
    int n = list ? sk_ACCESS_DESCRIPTION_num(list) : 0;
    th_str *found = th_arena_calloc(s->arena, (size_t)n + 1, sizeof *found);
    if (!found)
        return thi_err_clear(-ENOMEM);
    *urls = found;
    *count = 0;
    for (int i = 0; i < n; i++) {
        const ACCESS_DESCRIPTION *one = sk_ACCESS_DESCRIPTION_value(list, i);
        if (OBJ_obj2nid(one->method) != method || one->location->type != GEN_URI)
            continue;
        int err = copy(s, one->location->d.uniformResourceIdentifier, &found[(*count)++]);
        if (err < 0)
            return err;
    }
    return 0;
}

static int read_access_urls(const source *s)
{
    void *value = NULL;
    th_cert_info *info = s->info;
    int err = find(s, NID_info_access, &value);
    if (err == 0)
        err = read_access(s, value, NID_ad_OCSP, &info->ocsp_urls, &info->ocsp_urls_count);
    if (err == 0)
        err =
            read_access(s, value, NID_ad_ca_issuers, &info->issuer_urls, &info->issuer_urls_count);
    AUTHORITY_INFO_ACCESS_free(value);
    return err;
}

/* ---- all of it ---- */

static int read_times(const source *s)
{
    th_cert_info *info = s->info;
    char first[TH_CERT_TIME_TEXT], last[TH_CERT_TIME_TEXT];
    int err = thi_cert_time_of(X509_get0_notBefore(s->x509), &info->not_before);
    if (err == 0)
        err = thi_cert_time_of(X509_get0_notAfter(s->x509), &info->not_after);
    if (err == 0)
        err = th_cert_time_text(info->not_before, first);
    if (err == 0)
        err = th_cert_time_text(info->not_after, last);
    if (err < 0)
        return err == -ENOMEM ? err : thi_err_set(TH_ETLS, "its time of validity cannot be read");
    info->not_before_text = th_str_of(th_arena_strdup(s->arena, th_str_of(first)));
    info->not_after_text = th_str_of(th_arena_strdup(s->arena, th_str_of(last)));
    return info->not_before_text.ptr && info->not_after_text.ptr ? 0 : thi_err_clear(-ENOMEM);
}

static int read_names(const source *s)
{
    th_cert_info *info = s->info;
    const X509_NAME *subject = X509_get_subject_name(s->x509);
    const X509_NAME *issuer = X509_get_issuer_name(s->x509);
    info->self_issued = X509_NAME_cmp(subject, issuer) == 0;
    int err = thi_info_name(subject, s->arena, &info->subject, &info->subject_text);
    return err == 0 ? thi_info_name(issuer, s->arena, &info->issuer, &info->issuer_text) : err;
}

static int read_signature(const source *s)
{
    int md;
    th_cert_info *info = s->info;
    thi_info_signature(X509_get_signature_nid(s->x509), &info->signature, &info->digest);
    /* RSA-PSS has its digest among its parameters. */
    thi_ossl_begin();
    if (info->digest[0] == '\0' &&
        X509_get_signature_info((X509 *)(uintptr_t)s->x509, &md, NULL, NULL, NULL) == 1 &&
        md != NID_undef)
        info->digest = OBJ_nid2sn(md);
    thi_ossl_begin();
    return thi_info_key(X509_get0_pubkey(s->x509), s->arena, &info->key);
}

static int read_serial(const source *s)
{
    s->info->version = (int)X509_get_version(s->x509) + 1;
    return thi_serial_read(X509_get0_serialNumber(s->x509), s->arena, &s->info->serial);
}

static int read_exts(const source *s)
{
    return thi_exts_read(X509_get0_extensions(s->x509), s->arena, &s->info->exts,
                         &s->info->exts_count);
}

int th_cert_get_info(const th_cert *cert, th_arena *arena, th_cert_info *info)
{
    static int (*const parts[])(const source *s) = {
        read_serial,   read_names,       read_times,       read_signature, read_alts,
        read_usage,    read_extended,    read_constraints, read_key_ids,   read_crl_urls,
        read_policies, read_access_urls, read_exts,
    };
    if (!cert || !arena || !info)
        return thi_err_clear(-EINVAL);
    th_cert_info made = { 0 };
    source s = { .x509 = cert->x509, .arena = arena, .info = &made };
    for (size_t i = 0; i < thi_array_len(parts); i++) {
        int err = parts[i](&s);
        if (err < 0)
            return err;
    }
    *info = made;
    return 0;
}
