/* SPDX-License-Identifier: MIT */

/*
 * thrum serve over TLS.
 *
 * The context that connections are made with stays the same for the life of the server; what is in
 * it is replaced as a whole when SIGHUP comes or a file has changed. What cannot be read, or does
 * not fit together, is reported, and the one in use stays. The keys of tickets are made once:
 * sessions of before can be resumed after.
 *
 * Files are watched by their folders, since whoever renews a certificate mostly renames a new file
 * over the old one, or moves a link: of the path as given, and of where its links lead. Whatever
 * happens there, the files themselves are looked at, once it has been quiet for a moment: a
 * certificate and its key are never written at the same time.
 */
#include "serve_tls.h"

#include "cert_files.h"
#include "cert_words.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE      (200 * TH_MILLISECOND) /* without an event, */
#define SETTLE_MOST (2 * TH_SECOND)        /* or at last */

#define PHRASE_FILE_MAX 65536

/* ---- options ---- */

const char *set_tls(void *settings, const char *value)
{
    (void)value;
    ((tls_settings *)settings)->tls_on = true;
    return NULL;
}

const char *set_cert(void *settings, const char *value)
{
    tls_settings *s = settings;
    if (s->cert_count == TLS_CERTS_MAX)
        return "at most 64 certificates are possible";
    s->tls_on = true;
    s->certs[s->cert_count++].cert = value;
    return NULL;
}

/* The certificate that an option belongs to; NULL: there is none. */
static th_tls_cert *last_cert(tls_settings *s)
{
    s->tls_on = true;
    return s->cert_count > 0 ? &s->certs[s->cert_count - 1] : NULL;
}

const char *set_key(void *settings, const char *value)
{
    th_tls_cert *cert = last_cert(settings);
    if (!cert)
        return "belongs behind its --cert";
    if (cert->key)
        return "that --cert has a key already";
    cert->key = value;
    return NULL;
}

const char *set_phrase_file(void *settings, const char *value)
{
    tls_settings *s = settings;
    s->tls_on = true;
    s->phrase_file = value;
    return NULL;
}

const char *set_ocsp(void *settings, const char *value)
{
    th_tls_cert *cert = last_cert(settings);
    if (!cert)
        return "belongs behind its --cert";
    if (cert->ocsp_file)
        return "that --cert has a response already";
    cert->ocsp_file = value;
    return NULL;
}

const char *set_client_ca(void *settings, const char *value)
{
    tls_settings *s = settings;
    if (s->client_ca_count == TLS_CAS_MAX)
        return "at most 16 files are possible";
    s->tls_on = true;
    s->client_cas[s->client_ca_count++] = value;
    return NULL;
}

const char *set_client_crl(void *settings, const char *value)
{
    tls_settings *s = settings;
    if (s->client_crl_count == TLS_CAS_MAX)
        return "at most 16 files are possible";
    s->tls_on = true;
    s->client_crls[s->client_crl_count++] = value;
    return NULL;
}

const char *set_client_cert(void *settings, const char *value)
{
    tls_settings *s = settings;
    s->tls_on = true;
    s->client_chosen = true;
    s->client_optional = strcmp(value, "optional") == 0;
    return s->client_optional || strcmp(value, "required") == 0 ? NULL
                                                                : "must be required or optional";
}

const char *set_tls_profile(void *settings, const char *value)
{
    static const char *const names[] = { "intermediate", "modern", "old" };
    tls_settings *s = settings;
    s->tls_on = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], value) == 0)
            s->profile = names[i];
    return s->profile ? NULL : "must be intermediate, modern or old";
}

const char *set_min_tls(void *settings, const char *value)
{
    tls_settings *s = settings;
    s->tls_on = true;
    s->min_version = strcmp(value, "1.3") == 0   ? TH_TLS_1_3
                     : strcmp(value, "1.2") == 0 ? TH_TLS_1_2
                                                 : 0;
    return s->min_version ? NULL : "must be 1.2 or 1.3";
}

const char *set_hsts(void *settings, const char *value)
{
    tls_settings *s = settings;
    long n;
    s->tls_on = true;
    if (!options_number(value, 1, INT32_MAX, &n))
        return "must be a number of seconds above 0";
    s->hsts = (uint32_t)n;
    return NULL;
}

const char *set_ticket_keys(void *settings, const char *value)
{
    tls_settings *s = settings;
    s->tls_on = true;
    s->ticket_file = value;
    return NULL;
}

const char *set_keylog(void *settings, const char *value)
{
    tls_settings *s = settings;
    s->tls_on = true;
    s->keylog = value;
    return NULL;
}

const char *set_tls_kernel(void *settings, const char *value)
{
    tls_settings *s = settings;
    (void)value;
    s->tls_on = true;
    s->kernel = true;
    return NULL;
}

/* Who asks for certificates shall not believe that they are looked at when nobody's are good. */
const char *check_tls(const tls_settings *s)
{
    if (s->client_ca_count > 0)
        return NULL;
    if (s->client_chosen)
        return "--client-cert needs --client-ca: whose certificates are good";
    return s->client_crl_count > 0 ? "--client-crl needs --client-ca: whose lists they are" : NULL;
}

/* ---- the files ---- */

/* Keys that live elsewhere are no files. */
static bool is_file(const char *path)
{
    return path && strncmp(path, "keyd:", 5) != 0;
}

/* The files that the context is built from, by number; NULL behind the last one. */
static size_t list_files(const tls_settings *s, const char *files[TLS_FILES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < s->cert_count; i++) {
        const char *of_one[] = { s->certs[i].cert, s->certs[i].key, s->certs[i].ocsp_file };
        for (size_t k = 0; k < 3; k++)
            if (is_file(of_one[k]))
                files[n++] = of_one[k];
    }
    for (size_t i = 0; i < s->client_ca_count; i++)
        files[n++] = s->client_cas[i];
    for (size_t i = 0; i < s->client_crl_count; i++)
        files[n++] = s->client_crls[i];
    return n;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Looks at all files; whether one is another than at the last look. One that is not there is all
 * zero. */
static bool look_at_files(tls_settings *s)
{
    const char *files[TLS_FILES_MAX];
    size_t count = list_files(s, files);
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        struct stat st = { 0 };
        if (th_path_stat(files[i], &st) < 0)
            memset(&st, 0, sizeof st);
        changed |= !same_file(&st, &s->seen[i]);
        s->seen[i] = st;
    }
    s->changes += changed;
    return changed;
}

static int watch_folder_of(th_watch *watch, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", (int)(slash == path ? 1 : slash - path), path);
    int id =
        th_watch_add(watch, folder,
                     TH_WATCH_CREATED | TH_WATCH_MOVED_TO | TH_WATCH_WRITTEN | TH_WATCH_ATTRIBUTES);
    return id < 0 ? id : 0;
}

/* Links may lead elsewhere than before: those folders are added, and none is forgotten. */
static int watch_folders(tls_settings *s)
{
    const char *files[TLS_FILES_MAX];
    size_t count = list_files(s, files);
    int err = 0;
    for (size_t i = 0; i < count; i++) {
        char *real = realpath(files[i], NULL);
        int one = watch_folder_of(s->files, files[i]);
        if (one == 0 && real)
            one = watch_folder_of(s->files, real);
        free(real);
        err = err < 0 ? err : one;
    }
    return err;
}

/* ---- the context ---- */

/* Whenever keys are read: so it need not be kept, and may change with the keys. */
static ssize_t read_phrase(void *arg, char *buf, size_t room)
{
    const tls_settings *s = arg;
    th_arena arena;
    th_str text;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    ssize_t n = th_file_load(s->phrase_file, PHRASE_FILE_MAX, &arena, &text);
    if (n == 0) {
        size_t len = cert_pass_in(text).len;
        n = len <= room ? (ssize_t)len : TH_ELIMIT;
        memcpy(buf, text.ptr, n < 0 ? 0 : len);
        explicit_bzero((char *)(uintptr_t)text.ptr, text.len);
    }
    th_arena_deinit(&arena);
    if (n < 0 && n != -ECANCELED)
        print_error("thrum serve: the pass phrase cannot be taken from %s: %s", s->phrase_file,
                    th_strerror((int)n));
    return n;
}

static int build(tls_settings *s, th_tls **tls)
{
    static const char *const protocols[] = { "http/1.1", NULL };
    th_tls_opts opts = { .size = sizeof opts,
                         .certs = s->certs,
                         .certs_count = s->cert_count,
                         .profile = s->profile,
                         .min_version = s->min_version,
                         .alpn = protocols,
                         .kernel_sends = s->kernel,
                         .ticket_keys = s->ticket_keys,
                         .keylog_file = s->keylog };
    if (s->client_ca_count > 0) {
        opts.trust.files = s->client_cas;
        opts.trust.crl_files = s->client_crl_count > 0 ? s->client_crls : NULL;
        opts.client_auth =
            s->client_optional ? TH_TLS_CLIENT_AUTH_OPTIONAL : TH_TLS_CLIENT_AUTH_REQUIRED;
    }
    (void)look_at_files(s); /* first: a change meanwhile is seen at the next look */
    return th_tls_new(&opts, tls);
}

/* It serves all the same: that may be wanted, and to stop would help nobody. */
static void warn_of_the_end(const th_tls *tls)
{
    th_tls_facts facts;
    char when[CERT_WHEN_SIZE];
    if (th_tls_tell(tls, sizeof facts, &facts) == 0 && facts.not_after < th_wall() / TH_SECOND)
        print_error("thrum serve: a certificate expired on %s: clients refuse it",
                    cert_when(facts.not_after, when));
}

/* Where no certificate is named, that of `thrum cert dev` serves, which is made on first use. */
static int use_dev(tls_settings *s)
{
    int err = th_cert_dev_open(NULL, &s->dev);
    if (err == 0)
        s->certs[s->cert_count++].cert = th_cert_dev_file(s->dev);
    return err;
}

int open_tls(tls_settings *s)
{
    th_tls_ticket_opts tickets = { .size = sizeof tickets, .file = s->ticket_file };
    if (!s->tls_on)
        return 0;
    s->server.how.tls = 1;
    int err = s->cert_count == 0 ? use_dev(s) : 0;
    s->phrase = (th_passphrase){ .ask = read_phrase, .arg = s };
    for (size_t i = 0; i < s->cert_count && s->phrase_file; i++)
        s->certs[i].phrase = &s->phrase;
    if (err == 0)
        err = th_tls_ticket_keys_new(&tickets, &s->ticket_keys);
    if (err == 0)
        err = build(s, &s->tls);
    if (err == 0)
        warn_of_the_end(s->tls);
    return err;
}

void print_tls(const tls_settings *s)
{
    if (!s->dev || s->server.quiet)
        return;
    printf("  the certificate is %s, for this machine; `thrum cert dev` says how it is trusted\n",
           th_cert_dev_file(s->dev));
    fflush(stdout);
}

static void renew(tls_settings *s)
{
    th_tls *newer = NULL;
    int tries = 3;
    unsigned before;
    char why[256] = "";
    int err;
    if (th_mutex_lock(&s->renewing) < 0)
        return; /* it is over */
    do {        /* again when they have changed while they were read, whoever has seen it */
        (void)look_at_files(s);
        before = s->changes;
        err = build(s, &newer);
        snprintf(why, sizeof why, "%s", th_err_detail());
        if (err < 0)
            (void)look_at_files(s);
    } while (err < 0 && --tries > 0 && s->changes != before);
    if (err == 0)
        err = th_tls_replace(s->tls, newer);
    if (err == 0 && !s->server.quiet)
        print_error("thrum serve: the certificates were read again and are in use");
    if (err == 0)
        warn_of_the_end(s->tls);
    else if (err != -ECANCELED)
        print_error("thrum serve: the certificates were not renewed, those in use stay: %s: %s",
                    why, th_strerror(err));
    th_tls_unref(newer);
    (void)th_mutex_unlock(&s->renewing);
}

/* ---- when it is renewed ---- */

/* The end of a terminal is no wish for new certificates. */
static int renew_on_hangup(void *arg)
{
    tls_settings *s = arg;
    th_signal_info info;
    while (th_signals_read(s->hangups, &info) >= 0) {
        if (info.known && info.code == SI_KERNEL) {
            th_stop();
            break; /* it may come twice, and to stop twice is to cut off */
        }
        renew(s);
    }
    return 0;
}

/* Waits until nothing has happened for a moment; a failure is that of the watch. */
static int settle(tls_settings *s)
{
    int64_t end = th_after(SETTLE_MOST);
    int err;
    do {
        th_scope moment;
        th_scope_opts until = { .deadline = th_after(SETTLE) };
        th_watch_event event;
        err = th_scope_open(&moment, &until);
        if (err < 0)
            return err;
        err = th_watch_read(s->files, &event);
        (void)th_scope_close(&moment);
    } while (err == 0 && th_now() < end);
    return err == -ETIMEDOUT ? 0 : err;
}

static int renew_on_change(void *arg)
{
    tls_settings *s = arg;
    th_watch_event event;
    do {
        if (!look_at_files(s)) /* also before the first event: it has taken a moment to get here */
            continue;
        if (settle(s) < 0)
            break;
        renew(s);
        (void)watch_folders(s);
    } while (th_watch_read(s->files, &event) == 0);
    return 0;
}

int start_renewing_tls(tls_settings *s)
{
    static const int hangup[] = { SIGHUP, 0 };
    if (!s->tls)
        return 0;
    int err = th_scope_open(&s->renewers, NULL);
    if (err < 0)
        return err;
    s->renews = true;
    err = th_signals_open(hangup, 0, &s->hangups);
    if (err == 0)
        err = th_spawn(&s->renewers, renew_on_hangup, s);
    if (err < 0)
        return err;
    int watched = th_watch_open(&s->files);
    if (watched == 0)
        watched = watch_folders(s);
    if (watched == 0)
        watched = th_spawn(&s->renewers, renew_on_change, s);
    if (watched < 0)
        print_error("thrum serve: the certificates' files are not watched, only SIGHUP renews: %s",
                    th_strerror(watched));
    return 0;
}

void stop_renewing_tls(tls_settings *s)
{
    if (!s->renews)
        return;
    (void)th_scope_cancel(&s->renewers, -ECANCELED);
    (void)th_scope_close(&s->renewers);
    th_signals_close(s->hangups);
    th_watch_free(s->files);
}

void close_tls(tls_settings *s)
{
    th_tls_unref(s->tls);
    s->tls = NULL;
    th_tls_ticket_keys_unref(s->ticket_keys);
    s->ticket_keys = NULL;
    th_cert_dev_free(s->dev);
    s->dev = NULL;
}
