/* SPDX-License-Identifier: MIT */

/*
 * Making extensions.
 *
 * What comes from a user's text, alternative names and addresses, is never put together to a line
 * of OpenSSL's configuration language, in which a comma in a name would begin another.
 */
#include "base/error.h"
#include "base/util.h"
#include "tls/cert_ext.h"
#include "tls/ossl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/conf.h>
#include <string.h>

/* ---- the list ---- */

int thi_exts_init(thi_exts *exts, X509 *issuer, X509 *subject, X509_REQ *request, X509_CRL *crl)
{
    *exts = (thi_exts){ 0 };
    thi_ossl_begin();
    BIO *nothing = BIO_new_mem_buf("", 0);
    exts->conf = NCONF_new(NULL);
    int ok = nothing && exts->conf ? NCONF_load_bio(exts->conf, nothing, NULL) : 0;
    BIO_free(nothing);
    if (ok != 1)
        return thi_ossl_fail(-ENOMEM, "extensions");
    X509V3_set_ctx(&exts->ctx, issuer, subject, request, crl, 0);
    X509V3_set_nconf(&exts->ctx, exts->conf);
    return 0;
}

void thi_exts_deinit(thi_exts *exts)
{
    sk_X509_EXTENSION_pop_free(exts->list, X509_EXTENSION_free);
    NCONF_free(exts->conf);
    *exts = (thi_exts){ 0 };
}

/* Takes ext over. */
static int put(thi_exts *exts, X509_EXTENSION *ext)
{
    int at = X509v3_get_ext_by_OBJ(exts->list, X509_EXTENSION_get_object(ext), -1);
    if (at >= 0)
        X509_EXTENSION_free(X509v3_delete_ext(exts->list, at));
    int ok = X509v3_add_ext(&exts->list, ext, -1) != NULL;
    X509_EXTENSION_free(ext);
    return ok ? 0 : thi_ossl_fail(-ENOMEM, "an extension");
}

int thi_exts_nid(thi_exts *exts, int nid, const char *text)
{
    thi_ossl_begin();
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(exts->conf, &exts->ctx, nid, text);
    return ext ? put(exts, ext)
               : thi_ossl_fail(-EINVAL, "the extension %s cannot be \"%s\"", OBJ_nid2sn(nid), text);
}

int thi_exts_own(thi_exts *exts, int nid, const char *text)
{
    int err = thi_exts_nid(exts, nid, text);
    return err == -EINVAL ? thi_err_set(TH_ETLS, "%s", th_err_detail()) : err;
}

/* OpenSSL knows the names of extensions by their short form alone. */
static X509_EXTENSION *make(thi_exts *exts, const char *name, const char *text)
{
    int nid = OBJ_txt2nid(name);
    return nid != NID_undef ? X509V3_EXT_nconf_nid(exts->conf, &exts->ctx, nid, text)
                            : X509V3_EXT_nconf(exts->conf, &exts->ctx, name, text);
}

int thi_exts_text(thi_exts *exts, const th_cert_ext *from)
{
    th_arena arena;
    if (!from->name || (!from->value.ptr && from->value.len > 0))
        return thi_err_set(-EINVAL, "an extension has no name or no value");
    if (from->value.len > 0 && memchr(from->value.ptr, '\0', from->value.len))
        return thi_err_set(-EINVAL, "the text of the extension %s has a NUL byte", from->name);
    th_arena_init(&arena, NULL, 0, 0);
    const char *text = th_arena_strdup(&arena, from->value);
    thi_ossl_begin();
    X509_EXTENSION *ext = text ? make(exts, from->name, text) : NULL;
    int err = ext ? 0
              : text
                  ? thi_ossl_fail(-EINVAL, "the extension %s cannot be \"%.60s\"", from->name, text)
                  : thi_err_clear(-ENOMEM);
    th_arena_deinit(&arena);
    if (err < 0)
        return err;
    if (from->critical)
        X509_EXTENSION_set_critical(ext, 1);
    return put(exts, ext);
}

int thi_exts_add(thi_exts *exts, int nid, void *value, bool critical)
{
    thi_ossl_begin();
    X509_EXTENSION *ext = X509V3_EXT_i2d(nid, critical, value);
    return ext ? put(exts, ext)
               : thi_ossl_fail(TH_ETLS, "the extension %s cannot be made", OBJ_nid2sn(nid));
}

/* ---- alternative names ---- */

static bool is_host(th_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && (c == '\0' || !strchr("-._*", c)))
            return false;
    }
    return name.len > 0 && name.len <= 253 && name.ptr[0] != '.';
}

/* What may stand in an IA5String without surprising anybody. */
static bool is_plain(th_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return text.len > 0;
}

static bool is_ip(th_str text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

static bool has(th_str text, const char *what)
{
    return memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

static int check_alt(const th_cert_alt *alt)
{
    bool good = false;
    switch (alt->kind) {
    case TH_ALT_DNS:
        good = is_host(alt->value);
        break;
    case TH_ALT_IP:
        good = is_ip(alt->value);
        break;
    case TH_ALT_EMAIL:
        good = is_plain(alt->value) && has(alt->value, "@");
        break;
    case TH_ALT_URI:
        good = is_plain(alt->value) && has(alt->value, ":");
        break;
    default:
        return thi_err_set(-EINVAL, "an alternative name of kind %d cannot be made", alt->kind);
    }
    static const char *const kinds[] = { "", "name of a host", "IP address", "mail address",
                                         "URI" };
    if (good)
        return 0;
    return thi_err_set(-EINVAL, "\"%.*s\" is no %s%s", TH_STR_ARG(alt->value), kinds[alt->kind],
                       alt->kind == TH_ALT_DNS ? "; an international one is written as xn--..."
                                               : "");
}

int th_cert_alt_of(const char *text, th_cert_alt *alt)
{
    static const struct prefix {
        const char *text;
        int kind;
    } prefixes[] = { { "DNS:", TH_ALT_DNS },
                     { "IP:", TH_ALT_IP },
                     { "email:", TH_ALT_EMAIL },
                     { "URI:", TH_ALT_URI } };
    if (!text || !alt)
        return thi_err_clear(-EINVAL);
    th_cert_alt found = { .kind = TH_ALT_DNS, .value = th_str_of(text) };
    for (size_t i = 0; i < thi_array_len(prefixes); i++) {
        size_t len = strlen(prefixes[i].text);
        if (strncasecmp(text, prefixes[i].text, len) == 0) {
            found.kind = prefixes[i].kind;
            found.value = th_str_of(text + len);
            break;
        }
        if (i + 1 < thi_array_len(prefixes))
            continue;
        if (is_ip(found.value))
            found.kind = TH_ALT_IP;
        else if (has(found.value, "://"))
            found.kind = TH_ALT_URI;
        else if (has(found.value, "@"))
            found.kind = TH_ALT_EMAIL;
    }
    int err = check_alt(&found);
    if (err == 0)
        *alt = found;
    return err;
}

static GENERAL_NAME *new_text_name(int type, th_str text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    if (!name || !string || text.len > INT_MAX ||
        ASN1_STRING_set(string, text.ptr, (int)text.len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(string);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, string);
    return name;
}

static GENERAL_NAME *new_ip_name(th_str text)
{
    char copy[INET6_ADDRSTRLEN];
    memcpy(copy, text.ptr, text.len); /* it was checked */
    copy[text.len] = '\0';
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *bytes = a2i_IPADDRESS(copy);
    if (!name || !bytes) {
        GENERAL_NAME_free(name);
        ASN1_OCTET_STRING_free(bytes);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    return name;
}

static GENERAL_NAME *new_name(const th_cert_alt *alt)
{
    switch (alt->kind) {
    case TH_ALT_DNS:
        return new_text_name(GEN_DNS, alt->value);
    case TH_ALT_EMAIL:
        return new_text_name(GEN_EMAIL, alt->value);
    case TH_ALT_URI:
        return new_text_name(GEN_URI, alt->value);
    default:
        return new_ip_name(alt->value);
    }
}

/* Adds a name, which is taken over, to several. */
static int push_name(GENERAL_NAMES *names, GENERAL_NAME *name)
{
    if (name && sk_GENERAL_NAME_push(names, name) > 0)
        return 0;
    GENERAL_NAME_free(name);
    return thi_ossl_fail(-ENOMEM, "an alternative name");
}

int thi_exts_alts(thi_exts *exts, const th_cert_alt *alts, size_t count, bool critical)
{
    if (!alts)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int err = names ? 0 : thi_ossl_fail(-ENOMEM, "alternative names");
    for (size_t i = 0; i < count && err == 0; i++) {
        err = check_alt(&alts[i]);
        if (err == 0)
            err = push_name(names, new_name(&alts[i]));
    }
    if (err == 0)
        err = thi_exts_add(exts, NID_subject_alt_name, names, critical);
    GENERAL_NAMES_free(names);
    return err;
}

/* ---- where things are ---- */

static int new_url(const char *text, GENERAL_NAME **url)
{
    th_cert_alt alt = { .kind = TH_ALT_URI, .value = th_str_of(text) };
    int err = check_alt(&alt);
    if (err < 0)
        return err;
    GENERAL_NAME *name = new_name(&alt);
    if (!name)
        return thi_ossl_fail(-ENOMEM, "a URL");
    *url = name;
    return 0;
}

static int add_crl(thi_exts *exts, const char *text)
{
    GENERAL_NAME *url = NULL;
    int err = new_url(text, &url);
    if (err < 0)
        return err;
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    DIST_POINT_NAME *name = DIST_POINT_NAME_new();
    if (points && point && names && name && sk_GENERAL_NAME_push(names, url) > 0) {
        url = NULL;
        name->type = 0; /* fullName */
        name->name.fullname = names;
        point->distpoint = name;
        names = NULL;
        name = NULL;
        if (sk_DIST_POINT_push(points, point) > 0) {
            point = NULL;
            err = thi_exts_add(exts, NID_crl_distribution_points, points, false);
        } else {
            err = thi_ossl_fail(-ENOMEM, "a URL");
        }
    } else {
        err = thi_ossl_fail(-ENOMEM, "a URL");
    }
    GENERAL_NAME_free(url);
    GENERAL_NAMES_free(names);
    DIST_POINT_NAME_free(name);
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    return err;
}

static int add_access(AUTHORITY_INFO_ACCESS *list, int method, const char *text)
{
    GENERAL_NAME *url = NULL;
    if (!text)
        return 0;
    int err = new_url(text, &url);
    if (err < 0)
        return err;
    ACCESS_DESCRIPTION *access = ACCESS_DESCRIPTION_new();
    if (!access) {
        GENERAL_NAME_free(url);
        return thi_ossl_fail(-ENOMEM, "a URL");
    }
    ASN1_OBJECT_free(access->method);
    access->method = OBJ_nid2obj(method);
    GENERAL_NAME_free(access->location);
    access->location = url;
    if (sk_ACCESS_DESCRIPTION_push(list, access) > 0)
        return 0;
    ACCESS_DESCRIPTION_free(access);
    return thi_ossl_fail(-ENOMEM, "a URL");
}

int thi_exts_urls(thi_exts *exts, const char *crl, const char *ocsp, const char *issuer)
{
    thi_ossl_begin();
    int err = crl ? add_crl(exts, crl) : 0;
    if (err < 0 || (!ocsp && !issuer))
        return err;
    AUTHORITY_INFO_ACCESS *list = AUTHORITY_INFO_ACCESS_new();
    err = list ? add_access(list, NID_ad_OCSP, ocsp) : thi_ossl_fail(-ENOMEM, "a URL");
    if (err == 0)
        err = add_access(list, NID_ad_ca_issuers, issuer);
    if (err == 0)
        err = thi_exts_add(exts, NID_info_access, list, false);
    AUTHORITY_INFO_ACCESS_free(list);
    return err;
}
