/* SPDX-License-Identifier: MIT */

/* Extensions and alternative names as plain data. */
#include "tls/cert_ext.h"

#include "base/error.h"
#include "tls/cert_name.h"
#include "tls/digest.h"
#include "tls/ossl.h"
#include "tls/pem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- alternative names ---- */

static int copy(th_str from, th_arena *arena, th_str *to)
{
    char *text = th_arena_strdup(arena, from);
    if (!text)
        return thi_err_clear(-ENOMEM);
    *to = th_str_make(text, from.len);
    return 0;
}

static th_str bytes_of(const ASN1_STRING *string)
{
    return th_str_make((const char *)ASN1_STRING_get0_data(string),
                       (size_t)ASN1_STRING_length(string));
}

/* Whatever has no kind of its own, as OpenSSL prints it. */
static int read_other(const GENERAL_NAME *from, th_arena *arena, th_cert_alt *alt)
{
    thi_ossl_begin();
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return thi_ossl_fail(-ENOMEM, "an alternative name");
    alt->kind = TH_ALT_OTHER;
    (void)GENERAL_NAME_print(bio, (GENERAL_NAME *)(uintptr_t)from);
    thi_ossl_begin();
    int err = thi_bio_copy(bio, arena, &alt->value);
    BIO_free(bio);
    return err;
}

static int read_ip(const GENERAL_NAME *from, th_arena *arena, th_cert_alt *alt)
{
    char text[INET6_ADDRSTRLEN];
    th_str bytes = bytes_of(from->d.iPAddress);
    if (bytes.len != 4 && bytes.len != 16)
        return read_other(from, arena, alt);
    alt->kind = TH_ALT_IP;
    inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.ptr, text, sizeof text);
    return copy(th_str_of(text), arena, &alt->value);
}

static int read_alt(const GENERAL_NAME *from, th_arena *arena, th_cert_alt *alt)
{
    switch (from->type) {
    case GEN_DNS:
        alt->kind = TH_ALT_DNS;
        return copy(bytes_of(from->d.dNSName), arena, &alt->value);
    case GEN_EMAIL:
        alt->kind = TH_ALT_EMAIL;
        return copy(bytes_of(from->d.rfc822Name), arena, &alt->value);
    case GEN_URI:
        alt->kind = TH_ALT_URI;
        return copy(bytes_of(from->d.uniformResourceIdentifier), arena, &alt->value);
    case GEN_IPADD:
        return read_ip(from, arena, alt);
    default:
        return read_other(from, arena, alt);
    }
}

int thi_alts_read(const GENERAL_NAMES *from, th_arena *arena, const th_cert_alt **alts,
                  size_t *count)
{
    int n = from ? sk_GENERAL_NAME_num(from) : 0;
    th_cert_alt *all = n > 0 ? th_arena_calloc(arena, (size_t)n, sizeof *all) : NULL;
    if (n > 0 && !all)
        return thi_err_clear(-ENOMEM);
    for (int i = 0; i < n; i++) {
        int err = read_alt(sk_GENERAL_NAME_value(from, i), arena, &all[i]);
        if (err < 0)
            return err;
    }
    *alts = all;
    *count = n > 0 ? (size_t)n : 0;
    return 0;
}

/* ---- extensions ---- */

static const char *const prefixes[] = { "", "DNS:", "IP:", "email:", "URI:" };

/* As "DNS:a, IP:192.0.2.1", with every byte of the names; OpenSSL's printer stops at a NUL. */
static int print_alts(const GENERAL_NAMES *names, th_arena *arena, th_str *text)
{
    const th_cert_alt *alts = NULL;
    size_t count = 0, len = 0;
    int err = thi_alts_read(names, arena, &alts, &count);
    if (err < 0)
        return err;
    for (size_t i = 0; i < count; i++)
        len += strlen(prefixes[alts[i].kind]) + alts[i].value.len + 2;
    char *start = th_arena_alloc(arena, len + 1), *at = start;
    if (!start)
        return thi_err_clear(-ENOMEM);
    for (size_t i = 0; i < count; i++) {
        at = stpcpy(at, i > 0 ? ", " : "");
        at = stpcpy(at, prefixes[alts[i].kind]);
        if (alts[i].value.len > 0)
            at = mempcpy(at, alts[i].value.ptr, alts[i].value.len);
    }
    *at = '\0';
    *text = th_str_make(start, (size_t)(at - start));
    return 0;
}

/* 1 when it is one of alternative names that can be read. */
static int print_names(const X509_EXTENSION *ext, th_arena *arena, th_str *text)
{
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object((X509_EXTENSION *)(uintptr_t)ext));
    if (nid != NID_subject_alt_name && nid != NID_issuer_alt_name)
        return 0;
    GENERAL_NAMES *names = X509V3_EXT_d2i((X509_EXTENSION *)(uintptr_t)ext);
    if (!names)
        return 0;
    int err = print_alts(names, arena, text);
    GENERAL_NAMES_free(names);
    return err < 0 ? err : 1;
}

/* What OpenSSL does not know, or cannot read, as it would be written to make it again. */
static int print_der(const X509_EXTENSION *ext, th_arena *arena, th_str *text)
{
    th_str hex = { 0 };
    int err = thi_hex_write(bytes_of(X509_EXTENSION_get_data((X509_EXTENSION *)(uintptr_t)ext)),
                            ':', arena, &hex);
    char *all = err == 0 ? th_arena_printf(arena, "DER:%s", hex.ptr) : NULL;
    if (!all)
        return thi_err_clear(-ENOMEM);
    *text = th_str_of(all);
    return 0;
}

static int print(const X509_EXTENSION *ext, th_arena *arena, th_str *text)
{
    thi_ossl_begin();
    int done = print_names(ext, arena, text);
    if (done != 0)
        return done < 0 ? done : 0;
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return thi_ossl_fail(-ENOMEM, "an extension");
    int known = X509V3_EXT_print(bio, (X509_EXTENSION *)(uintptr_t)ext, X509V3_EXT_DEFAULT, 0);
    thi_ossl_begin();
    int err = known == 1 ? thi_bio_copy(bio, arena, text) : print_der(ext, arena, text);
    BIO_free(bio);
    if (err == 0 && known == 1)
        *text = th_str_trim(*text);
    return err;
}

int thi_exts_read(const STACK_OF(X509_EXTENSION) * from, th_arena *arena, const th_cert_ext **exts,
                  size_t *count)
{
    int n = from ? sk_X509_EXTENSION_num(from) : 0;
    th_cert_ext *all = n > 0 ? th_arena_calloc(arena, (size_t)n, sizeof *all) : NULL;
    if (n > 0 && !all)
        return thi_err_clear(-ENOMEM);
    for (int i = 0; i < n; i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(from, i);
        all[i].critical = X509_EXTENSION_get_critical(ext);
        all[i].name = thi_object_name(X509_EXTENSION_get_object(ext), arena);
        int err = all[i].name ? print(ext, arena, &all[i].value) : thi_err_clear(-ENOMEM);
        if (err < 0)
            return err;
    }
    *exts = all;
    *count = n > 0 ? (size_t)n : 0;
    return 0;
}
