/* SPDX-License-Identifier: MIT */

/* thrum cert show: what is in a file, or what a server shows, in words. */
#include "cert_commands.h"
#include "cert_judge.h"
#include "cert_make.h"
#include "cert_target.h"
#include "cert_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct show_settings {
    const char *what;
    const char *name;  /* NULL: a server's host */
    const char *trust; /* file; NULL: the system */
    const char *pass;  /* file; NULL: none */
    long seconds;      /* that a server may take */
    bool pem;
    bool all;
} show_settings;

static const char *set_name(void *settings, const char *value)
{
    ((show_settings *)settings)->name = value;
    return *value ? NULL : "must be a name";
}

static const char *set_trust(void *settings, const char *value)
{
    ((show_settings *)settings)->trust = value;
    return *value ? NULL : "must be a file";
}

static const char *set_pass(void *settings, const char *value)
{
    ((show_settings *)settings)->pass = value;
    return *value ? NULL : "must be a file";
}

static const char *set_timeout(void *settings, const char *value)
{
    return options_number(value, 1, 3600, &((show_settings *)settings)->seconds)
               ? NULL
               : "must be a number from 1 to 3600";
}

static const char *set_pem(void *settings, const char *value)
{
    (void)value;
    ((show_settings *)settings)->pem = true;
    return NULL;
}

static const char *set_all(void *settings, const char *value)
{
    (void)value;
    ((show_settings *)settings)->all = true;
    return NULL;
}

static const char *take_what(void *settings, const char *text)
{
    show_settings *s = settings;
    if (s->what)
        return "only one thing can be shown";
    s->what = text;
    return *text ? NULL : "no file has an empty name";
}

static const option options[] = {
    { "trust", "FILE", "authorities that are trusted; by default those of the system", set_trust },
    { "name", "NAME", "that it should be for; of a server by default HOST", set_name },
    { "pass", "FILE", "pass phrase of an encrypted file, the file's first line", set_pass },
    { "timeout", "SECONDS", "how long a server may take; 10", set_timeout },
    { "all", NULL, "every extension, too", set_all },
    { "pem", NULL, "print the certificates as PEM, no words", set_pem },
    { NULL, NULL, NULL, NULL },
};

const command cert_show_command = {
    .name = "cert show",
    .arguments = "FILE|HOST:PORT",
    .purpose = "Shows in words what is in a file, or what a server has.",
    .details = "Shows certificates, requests, revocation lists, keys and PKCS#12 files, and the\n"
               "certificates that the TLS server at HOST:PORT sends, good or not.\n",
    .options = options,
    .argument = take_what,
};

static void row(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void row(const char *what, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start here */
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cert_say("  %-13s %s\n", what, text);
}

/* ---- a certificate ---- */

static void show_names(const th_cert_alt *alts, size_t count)
{
    static const char *const kinds[] = { "", "", "", "mail ", "" };
    for (size_t i = 0; i < count; i++)
        row(i == 0 ? "names" : "", "%s%.*s", kinds[alts[i].kind], TH_STR_ARG(alts[i].value));
}

static void show_usage(const th_cert_info *info)
{
    static const char *const bits[] = {
        "digital signatures",       "non-repudiation",  "encipherment of keys",
        "encipherment of data",     "key agreement",    "signing certificates",
        "signing revocation lists", "enciphering only", "deciphering only"
    };
    static const char *const extended[][2] = {
        { "serverAuth", "TLS servers" },       { "clientAuth", "TLS clients" },
        { "codeSigning", "signing programs" }, { "emailProtection", "mail" },
        { "OCSPSigning", "OCSP answers" },     { "timeStamping", "time stamps" },
        { "anyExtendedKeyUsage", "anything" },
    };
    const size_t known = sizeof extended / sizeof extended[0];
    for (size_t i = 0; i < info->extended_usages_count; i++) {
        size_t k = 0;
        while (k < known && strcmp(extended[k][0], info->extended_usages[i]) != 0)
            k++;
        row(i == 0 ? "is for" : "", "%s", k < known ? extended[k][1] : info->extended_usages[i]);
    }
    if (info->usage == -1)
        return;
    const char *title = "its key does";
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        if (info->usage & (1 << i)) {
            row(title, "%s", bits[i]);
            title = "";
        }
    }
}

static void show_authority(const th_cert_info *info)
{
    if (info->ca != 1)
        return;
    if (info->path_max < 0)
        row("authority", "may sign others");
    else
        row("authority", "may sign others, with at most %d further authorit%s below it",
            info->path_max, info->path_max == 1 ? "y" : "ies");
}

static void show_urls(const char *title, const th_str *urls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        row(i == 0 ? title : "", "%.*s", TH_STR_ARG(urls[i]));
}

static void show_key_pin(const th_key *key, th_arena *arena)
{
    th_str text;
    char pin[65];
    size_t n = 0;
    if (th_key_fingerprint(key, "sha256", arena, &text) < 0)
        return;
    for (size_t i = 0; i < text.len && n < sizeof pin - 1; i++)
        if (text.ptr[i] != ':')
            pin[n++] = (char)tolower((unsigned char)text.ptr[i]);
    pin[n] = '\0';
    row("pin of key", "sha256/%s", pin);
}

static void show_prints(const th_cert *cert, th_arena *arena)
{
    th_str text;
    th_key *key;
    if (th_cert_fingerprint(cert, "sha256", arena, &text) == 0)
        row("SHA-256", "%.*s", TH_STR_ARG(text));
    if (th_cert_key(cert, &key) == 0) {
        show_key_pin(key, arena);
        th_key_unref(key);
    }
}

static void show_exts(const th_cert_ext *exts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        row(i == 0 ? "extensions" : "", "%s%s: %.*s", exts[i].name,
            exts[i].critical ? " (critical)" : "", TH_STR_ARG(exts[i].value));
}

static int show_cert(const show_settings *s, const th_certs *certs, size_t i, th_arena *arena)
{
    th_cert_info info;
    char key[CERT_KEY_TEXT_SIZE];
    char when[CERT_WHEN_SIZE];
    int err = th_cert_get_info(certs->at[i], arena, &info);
    if (err < 0)
        return cert_failed(&cert_show_command, err, s->what);
    printf("certificate %zu of %zu\n", i + 1, certs->count);
    row("subject", "%s", info.subject_text.len > 0 ? info.subject_text.ptr : "(empty)");
    show_names(info.alts, info.alts_count);
    row("issuer", "%s%s", info.issuer_text.ptr, info.self_issued ? " (itself)" : "");
    row("valid from", "%s", cert_when(info.not_before, when));
    row("until", "%s", cert_when(info.not_after, when));
    row("key", "%s", cert_key_text(&info.key, key));
    row("signed by", "%s", info.signature);
    show_authority(&info);
    show_usage(&info);
    show_urls("lists at", info.crl_urls, info.crl_urls_count);
    show_urls("OCSP at", info.ocsp_urls, info.ocsp_urls_count);
    show_urls("issuer at", info.issuer_urls, info.issuer_urls_count);
    row("serial", "%.*s", TH_STR_ARG(info.serial));
    show_prints(certs->at[i], arena);
    if (s->all)
        show_exts(info.exts, info.exts_count);
    return 0;
}

/* ---- other things ---- */

static int show_request(const show_settings *s, const th_cert_request *request, th_arena *arena)
{
    th_cert_request_info info;
    char key[CERT_KEY_TEXT_SIZE];
    int err = th_cert_request_get_info(request, arena, &info);
    if (err < 0)
        return cert_failed(&cert_show_command, err, s->what);
    printf("request for a certificate\n");
    row("subject", "%s", info.subject_text.len > 0 ? info.subject_text.ptr : "(empty)");
    show_names(info.alts, info.alts_count);
    row("key", "%s", cert_key_text(&info.key, key));
    row("signature", "%s, %s", info.signature,
        th_cert_request_verify(request, NULL) == 0 ? "good" : "WRONG");
    show_exts(info.exts, info.exts_count);
    return 0;
}

static int show_list(const show_settings *s, const th_crl *crl, th_arena *arena)
{
    th_crl_info info;
    char when[CERT_WHEN_SIZE];
    int err = th_crl_get_info(crl, arena, &info);
    if (err < 0)
        return cert_failed(&cert_show_command, err, s->what);
    printf("revocation list\n");
    row("issuer", "%s", info.issuer_text.ptr);
    row("made", "%s", cert_when(info.last_update, when));
    if (info.next_update != 0)
        row("next", "%s", cert_when(info.next_update, when));
    if (info.number.len > 0)
        row("number", "%.*s", TH_STR_ARG(info.number));
    row("signed by", "%s", info.signature);
    row("revoked", "%zu", info.entries_count);
    for (size_t i = 0; i < info.entries_count; i++)
        row("", "%s on %s%s%s", info.entries[i].serial, cert_when(info.entries[i].when, when),
            info.entries[i].reason ? ", " : "",
            info.entries[i].reason ? info.entries[i].reason : "");
    return 0;
}

static void show_key(const cert_things *t, th_arena *arena)
{
    th_key_info info;
    char text[CERT_KEY_TEXT_SIZE];
    if (t->key_is_locked) {
        printf("private key, encrypted\n");
        return;
    }
    if (!t->key || th_key_get_info(t->key, &info) < 0)
        return;
    printf("%s key\n", info.is_private ? "private" : "public");
    row("kind", "%s", cert_key_text(&info, text));
    show_key_pin(t->key, arena);
    if (t->certs.count > 0)
        row("belongs to", "%s",
            th_cert_has_key(t->certs.at[0], t->key) == 1 ? "certificate 1"
                                                         : "NOT to certificate 1");
}

/* ---- the verdict ---- */

static void tell(void *arg, cert_grade grade, const char *words)
{
    (void)arg;
    row(grade == CERT_CRITICAL ? "not good" : "but", "%s", words);
}

static int show_verdict(const show_settings *s, const cert_target *target)
{
    const th_certs *certs = &target->things.certs;
    cert_measure measure = { .warning = 30 * DAY, .tell = tell };
    measure.name = s->name ? s->name : target->is_server ? target->host : NULL;
    measure.usage = target->is_server ? "server" : NULL;
    if (!cert_open_store(&cert_show_command, s->trust, &measure.store)) {
        th_cert_store_unref(measure.store);
        return 1;
    }
    printf("verification\n");
    if (cert_judge(&measure, certs) < CERT_CRITICAL)
        row("good", "trusted by %s%s%s", s->trust ? s->trust : "the system",
            measure.name ? ", and for " : "", measure.name ? measure.name : "");
    th_cert_store_unref(measure.store);
    return 0;
}

static int show_all(const show_settings *s, const cert_target *target, th_arena *arena)
{
    const cert_things *t = &target->things;
    int status = 0;
    if (target->is_server) {
        printf("server\n");
        row("address", "%s", s->what);
        row("connection", "%s", target->connection);
    }
    for (size_t i = 0; status == 0 && i < t->certs.count; i++)
        status = show_cert(s, &t->certs, i, arena);
    if (status == 0 && t->request)
        status = show_request(s, t->request, arena);
    if (status == 0 && t->crl)
        status = show_list(s, t->crl, arena);
    if (status == 0)
        show_key(t, arena);
    if (status == 0 && t->certs.count > 0)
        status = show_verdict(s, target);
    return status;
}

static int show_pem(const show_settings *s, const cert_target *target, th_arena *arena)
{
    th_str pem;
    if (target->things.certs.count == 0) {
        print_error("thrum %s: %s: there is no certificate in it", cert_show_command.name, s->what);
        return 1;
    }
    int err = th_certs_pem(&target->things.certs, arena, &pem);
    if (err < 0)
        return cert_failed(&cert_show_command, err, s->what);
    fwrite(pem.ptr, 1, pem.len, stdout);
    return 0;
}

int cert_show_main(int argc, char **argv)
{
    show_settings s = { .seconds = CERT_PATIENCE };
    cert_target target = { .is_server = false };
    cert_pass pass = { .len = 0 };
    th_arena arena;
    int status = options_read(&cert_show_command, argc, argv, &s);
    if (status >= 0)
        return status;
    if (!s.what)
        return options_wrong(&cert_show_command, "a file or HOST:PORT is missing");
    th_arena_init(&arena, NULL, 0, 0);
    status = 1;
    const cert_look look = { .name = s.name, .pass = &pass, .seconds = s.seconds };
    if (cert_load_pass(&cert_show_command, s.pass, &pass) &&
        cert_target_open(&cert_show_command, s.what, &look, &target) == 0)
        status = s.pem ? show_pem(&s, &target, &arena) : show_all(&s, &target, &arena);
    explicit_bzero(&pass, sizeof pass);
    cert_target_clear(&target);
    th_arena_deinit(&arena);
    return status;
}
