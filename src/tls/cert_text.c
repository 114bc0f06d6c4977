/* SPDX-License-Identifier: MIT */

/*
 * Certificates, requests and revocation lists in words.
 *
 * The texts are for people: one line for each thing, its name in front. What comes from the object
 * is escaped, since it may be somebody's who would like to write on the reader's terminal.
 */
#include "base/error.h"
#include "tls/cert_name.h"
#include "tls/cert_time.h"
#include "tls/digest.h"
#include "tls/ossl.h"
#include "tls/pem.h"

#include <thrum/cert_issue.h>
#include <thrum/crl.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

/* A text in the making. The first failure is kept, and what follows is not written. */
typedef struct paper {
    BIO *bio;
    th_arena *arena;
    int err;
} paper;

static int begin(paper *p, th_arena *arena)
{
    thi_ossl_begin();
    *p = (paper){ .bio = BIO_new(BIO_s_mem()), .arena = arena };
    return p->bio ? 0 : thi_ossl_fail(-ENOMEM, "a text");
}

static int end(paper *p, th_str *text)
{
    int err = p->err < 0 ? thi_err_clear(p->err) : thi_bio_copy(p->bio, p->arena, text);
    BIO_free(p->bio);
    return err;
}

TH_PRINTF(2, 3) static void say(paper *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = th_arena_vprintf(p->arena, format, args);
    va_end(args);
    int len = text ? (int)strlen(text) : -1;
    if (p->err == 0 && (len < 0 || BIO_write(p->bio, text, len) != len))
        p->err = -ENOMEM;
}

#define WIDTH "  %-18s "

static void say_line(paper *p, const char *name, const char *text)
{
    say(p, WIDTH "%s\n", name, text);
}

/* Foreign text, on one line: breaks and the blanks around them become one blank. */
static const char *tame(paper *p, th_str text)
{
    char *flat = th_arena_alloc(p->arena, text.len + 1);
    size_t len = 0;
    if (!flat) {
        p->err = -ENOMEM;
        return "";
    }
    for (size_t i = 0; i < text.len; i++) {
        bool blank = text.ptr[i] == ' ' || text.ptr[i] == '\n';
        if (!blank || (len > 0 && flat[len - 1] != ' '))
            flat[len++] = blank ? ' ' : text.ptr[i];
    }
    const char *shown = thi_text_escape(th_str_make(flat, len), "", p->arena);
    if (!shown)
        p->err = -ENOMEM;
    return shown ? shown : "";
}

/* ---- parts ---- */

static void say_key(paper *p, const th_key_info *key)
{
    switch (key->kind) {
    case TH_KEY_RSA:
        say(p, WIDTH "RSA, %d bits\n", "Key:", key->bits);
        break;
    case TH_KEY_EC:
        say(p, WIDTH "EC, %s\n", "Key:", key->name);
        break;
    default:
        say_line(p, "Key:", key->name);
    }
}

static void say_alts(paper *p, const th_cert_alt *alts, size_t count)
{
    static const char *const kinds[] = { "", "", "IP ", "mail ", "" };
    for (size_t i = 0; i < count; i++)
        say(p, WIDTH "%s%s\n", i == 0 ? "Names:" : "", kinds[alts[i].kind], tame(p, alts[i].value));
}

static void say_urls(paper *p, const char *name, const th_str *urls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say_line(p, i == 0 ? name : "", tame(p, urls[i]));
}

static void say_words(paper *p, const char *name, const char *const *words, size_t count)
{
    if (count == 0)
        return;
    say(p, WIDTH, name);
    for (size_t i = 0; i < count; i++)
        say(p, "%s%s", i > 0 ? ", " : "", words[i]);
    say(p, "\n");
}

static void say_usage(paper *p, int usage)
{
    static const char *const names[] = { "digitalSignature", "nonRepudiation", "keyEncipherment",
                                         "dataEncipherment", "keyAgreement",   "keyCertSign",
                                         "cRLSign",          "encipherOnly",   "decipherOnly" };
    const char *set[9];
    size_t count = 0;
    for (int i = 0; usage > 0 && i < 9; i++)
        if (usage & (1 << i))
            set[count++] = names[i];
    say_words(p, "Key usage:", set, count);
}

static void say_bytes(paper *p, const char *name, th_str bytes)
{
    th_str hex = { 0 };
    if (bytes.len == 0)
        return;
    if (thi_hex_write(bytes, ':', p->arena, &hex) < 0)
        p->err = -ENOMEM;
    else
        say_line(p, name, hex.ptr);
}

/* Those that have a line of their own. */
static bool is_told(const char *name)
{
    static const char *const told[] = { "basicConstraints",      "keyUsage",
                                        "extendedKeyUsage",      "subjectAltName",
                                        "subjectKeyIdentifier",  "authorityKeyIdentifier",
                                        "crlDistributionPoints", "authorityInfoAccess",
                                        "certificatePolicies" };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strcmp(name, told[i]) == 0)
            return true;
    return false;
}

static void say_exts(paper *p, const th_cert_ext *exts, size_t count, bool all)
{
    for (size_t i = 0; i < count; i++)
        if (all ? strcmp(exts[i].name, "subjectAltName") != 0 : !is_told(exts[i].name))
            say(p, WIDTH "%s%s: %s\n", "Extension:", exts[i].name,
                exts[i].critical ? " (critical)" : "", tame(p, exts[i].value));
}

static const char *or_none(const char *text)
{
    return *text ? text : "(none)";
}

/* ---- certificates ---- */

static void say_authority(paper *p, const th_cert_info *info)
{
    if (info->ca < 0)
        return;
    if (info->ca == 0)
        say_line(p, "Signs others:", "no");
    else if (info->path_max < 0)
        say_line(p, "Signs others:", "yes");
    else
        say(p, WIDTH "yes, with up to %d authorities below it\n", "Signs others:", info->path_max);
}

static void say_cert(paper *p, const th_cert_info *info)
{
    char first[32], last[32];
    say_line(p, "Subject:", or_none(info->subject_text.ptr));
    say_alts(p, info->alts, info->alts_count);
    say_line(p, "Issuer:", info->self_issued ? "itself" : or_none(info->issuer_text.ptr));
    say(p, WIDTH "%s to %s\n", "Valid:", thi_cert_time_words(info->not_before, first),
        thi_cert_time_words(info->not_after, last));
    say_line(p, "Serial number:", info->serial.ptr);
    say_key(p, &info->key);
    say_line(p, "Signed with:", info->signature);
    say_authority(p, info);
    say_usage(p, info->usage);
    say_words(p, "Extended usage:", info->extended_usages, info->extended_usages_count);
    say_words(p, "Policies:", info->policies, info->policies_count);
    say_bytes(p, "Key id:", info->subject_key_id);
    say_bytes(p, "Issuer's key id:", info->authority_key_id);
    say_urls(p, "Revocation list:", info->crl_urls, info->crl_urls_count);
    say_urls(p, "OCSP:", info->ocsp_urls, info->ocsp_urls_count);
    say_urls(p, "Issuer is at:", info->issuer_urls, info->issuer_urls_count);
    say_exts(p, info->exts, info->exts_count, false);
}

int th_cert_text(const th_cert *cert, th_arena *arena, th_str *text)
{
    th_cert_info info = { 0 };
    th_str print = { 0 };
    paper p;
    if (!cert || !arena || !text)
        return thi_err_clear(-EINVAL);
    int err = th_cert_get_info(cert, arena, &info);
    if (err == 0)
        err = th_cert_fingerprint(cert, "sha256", arena, &print);
    if (err == 0)
        err = begin(&p, arena);
    if (err < 0)
        return err;
    say(&p, "Certificate, version %d\n", info.version);
    say_cert(&p, &info);
    say_line(&p, "SHA-256:", print.ptr);
    return end(&p, text);
}

int th_cert_request_text(const th_cert_request *request, th_arena *arena, th_str *text)
{
    th_cert_request_info info = { 0 };
    paper p;
    if (!request || !arena || !text)
        return thi_err_clear(-EINVAL);
    int err = th_cert_request_get_info(request, arena, &info);
    if (err == 0)
        err = begin(&p, arena);
    if (err < 0)
        return err;
    say(&p, "Request for a certificate\n");
    say_line(&p, "Subject:", or_none(info.subject_text.ptr));
    say_alts(&p, info.alts, info.alts_count);
    say_key(&p, &info.key);
    say_line(&p, "Signed with:", info.signature);
    say_exts(&p, info.exts, info.exts_count, true);
    return end(&p, text);
}

/* ---- revocation lists ---- */

int th_crl_text(const th_crl *crl, th_arena *arena, th_str *text)
{
    th_crl_info info = { 0 };
    char time[32];
    paper p;
    if (!crl || !arena || !text)
        return thi_err_clear(-EINVAL);
    int err = th_crl_get_info(crl, arena, &info);
    if (err == 0)
        err = begin(&p, arena);
    if (err < 0)
        return err;
    say(&p, "Revocation list\n");
    say_line(&p, "Issuer:", or_none(info.issuer_text.ptr));
    if (info.number.len > 0)
        say_line(&p, "Number:", info.number.ptr);
    say_line(&p, "Of:", thi_cert_time_words(info.last_update, time));
    if (info.next_update != 0)
        say_line(&p, "Next one by:", thi_cert_time_words(info.next_update, time));
    say_line(&p, "Signed with:", info.signature);
    say(&p, WIDTH "%zu\n", "Revoked:", info.entries_count);
    for (size_t i = 0; i < info.entries_count; i++)
        say(&p, "    %s  %s%s%s\n", info.entries[i].serial,
            thi_cert_time_words(info.entries[i].when, time), info.entries[i].reason ? "  " : "",
            info.entries[i].reason ? info.entries[i].reason : "");
    return end(&p, text);
}
