/* SPDX-License-Identifier: MIT */

/*
 * A client of TLS for tests: asks a server, and tells about each connection in a line of JSON.
 *
 * usage: tls_ask to=ADDRESS [name=value]...
 *
 * It makes `times` connections (1), one after the other, with one context, so that all but the
 * first may be resumed. In each it sends `say`; then reads `until` bytes (to the end when that is
 * not said), sends `then`, says its own end, and reads to the end. `much` is instead a number of
 * bytes that are sent while those that come back are read and compared.
 *
 * Of the context: ca, cert, key, min and max ("1.2"), alpn (with commas), pha, early, ocsp ("ask",
 * "required"). Of the connection: name, and first, which is sent early if that is possible. With
 * dtls, datagrams: each `say` is one, and what comes back until `until` bytes are there. `save`
 * names a file for what came.
 */
#include <thrum.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPN_MAX 4
#define TEXT_MAX 4096
#define PIECE    16384

typedef struct settings {
    const char *to, *name, *say, *then, *first, *save;
    size_t times, until, much;
    bool dtls, early;
    th_tls_opts tls;
    const char *ca[2];
    const char *alpn[ALPN_MAX + 1];
} settings;

/* What came of one connection. */
typedef struct outcome {
    int err; /* why it failed, with the detail, or 0 */
    char detail[512];
    int end; /* how it ended: TH_EOF, TH_ETRUNCATED, ...; 0: it did not come to that */
    th_tls_info info;
    size_t bytes;        /* that came */
    bool differs;        /* of much: not what was sent */
    char text[TEXT_MAX]; /* the first of it */
} outcome;

/* ---- the command line ---- */

static int version(const char *value)
{
    return strcmp(value, "1.2") == 0 ? TH_TLS_1_2 : TH_TLS_1_3;
}

static void set_alpn(settings *s, char *value)
{
    char *rest;
    size_t n = 0;
    for (char *one = strtok_r(value, ",", &rest); one && n < ALPN_MAX;
         one = strtok_r(NULL, ",", &rest))
        s->alpn[n++] = one;
    s->tls.alpn = s->alpn;
}

static bool set_tls(settings *s, const char *name, char *value)
{
    if (strcmp(name, "ca") == 0)
        s->ca[0] = value;
    else if (strcmp(name, "cert") == 0)
        s->tls.cert = value;
    else if (strcmp(name, "key") == 0)
        s->tls.key = value;
    else if (strcmp(name, "min") == 0)
        s->tls.min_version = version(value);
    else if (strcmp(name, "max") == 0)
        s->tls.max_version = version(value);
    else if (strcmp(name, "alpn") == 0)
        set_alpn(s, value);
    else if (strcmp(name, "pha") == 0)
        s->tls.post_handshake_auth = 1;
    else if (strcmp(name, "early") == 0)
        s->tls.early_data_max = 1;
    else if (strcmp(name, "ocsp") == 0)
        s->tls.ocsp = strcmp(value, "ask") == 0 ? TH_TLS_OCSP_ASK : TH_TLS_OCSP_REQUIRED;
    else
        return false;
    return true;
}

static bool set_text(settings *s, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **at;
    } texts[] = { { "to", &s->to },     { "name", &s->name },   { "say", &s->say },
                  { "then", &s->then }, { "first", &s->first }, { "save", &s->save } };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(texts[i].name, name) == 0) {
            *texts[i].at = value;
            return true;
        }
    return false;
}

static bool set_number(settings *s, const char *name, const char *value)
{
    size_t number = (size_t)strtoul(value, NULL, 10);
    if (strcmp(name, "times") == 0)
        s->times = number;
    else if (strcmp(name, "until") == 0)
        s->until = number;
    else if (strcmp(name, "much") == 0)
        s->much = number;
    else if (strcmp(name, "dtls") == 0)
        s->dtls = number != 0;
    else
        return false;
    return true;
}

static int read_words(settings *s, int argc, char **argv)
{
    *s = (settings){ .times = 1, .until = SIZE_MAX };
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value)
            *value++ = '\0';
        if (!value || (!set_tls(s, argv[i], value) && !set_text(s, argv[i], value) &&
                       !set_number(s, argv[i], value))) {
            fprintf(stderr, "tls_ask: what is %s?\n", argv[i]);
            return -1;
        }
    }
    if (s->ca[0])
        s->tls.trust.files = s->ca;
    s->tls.dtls = s->dtls;
    return s->to ? 0 : -1;
}

/* ---- what is told ---- */

static void print_text(const char *name, const char *text, size_t len)
{
    printf("\"%s\": \"", name);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    printf("\", ");
}

static void print_word(const char *name, const char *text)
{
    print_text(name, text ? text : "", text ? strlen(text) : 0);
}

static void print_outcome(const outcome *o)
{
    const th_tls_info *info = &o->info;
    putchar('{');
    print_word("error", o->err < 0 ? th_errname(o->err) : "");
    print_word("detail", o->detail);
    print_word("version", info->version_name);
    print_word("cipher", info->cipher);
    print_word("group", info->group);
    print_text("alpn", info->alpn.ptr, info->alpn.len);
    print_word("end", o->end < 0 ? th_errname(o->end) : "");
    print_text("text", o->text, o->bytes < sizeof o->text ? o->bytes : sizeof o->text);
    printf("\"bytes\": %zu, \"same\": %s, \"resumed\": %s, \"verified\": %s, \"early\": %d, ",
           o->bytes, o->differs ? "false" : "true", info->resumed ? "true" : "false",
           info->verified ? "true" : "false", info->early);
    printf("\"peer_certs\": %zu}\n", info->peer_certs);
    fflush(stdout);
}

static void failed(outcome *o, int err)
{
    if (err >= 0 || o->err < 0)
        return;
    o->err = err;
    snprintf(o->detail, sizeof o->detail, "%s", th_err_detail());
}

/* ---- bytes ---- */

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 8) * 7);
}

/* Keeps the first of what came, and compares or saves all of it. */
static void take(const settings *s, outcome *o, FILE *file, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (o->bytes + i < sizeof o->text)
            o->text[o->bytes + i] = data[i];
        o->differs = o->differs || (s->much > 0 && data[i] != pattern(o->bytes + i));
    }
    if (file)
        (void)!fwrite(data, 1, len, file);
    o->bytes += len;
}

/* Reads until so many bytes have come; 0, or how it ended. */
static int read_until(th_stream *stream, const settings *s, outcome *o, FILE *file, size_t until)
{
    static char buf[PIECE];
    while (o->bytes < until) {
        size_t room = until - o->bytes < sizeof buf ? until - o->bytes : sizeof buf;
        ssize_t n = th_stream_read(stream, buf, room);
        if (n < 0)
            return (int)n;
        take(s, o, file, buf, (size_t)n);
    }
    return 0;
}

typedef struct much {
    th_stream *stream;
    size_t size;
} much;

static int send_much(void *arg)
{
    static char buf[PIECE];
    const much *m = arg;
    for (size_t at = 0; at < m->size; at += sizeof buf) {
        size_t len = m->size - at < sizeof buf ? m->size - at : sizeof buf;
        for (size_t i = 0; i < len; i++)
            buf[i] = pattern(at + i);
        ssize_t n = th_stream_write(m->stream, buf, len);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

static int echo_much(th_stream *stream, const settings *s, outcome *o)
{
    th_scope scope;
    much m = { stream, s->much };
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, send_much, &m);
    if (err == 0)
        err = read_until(stream, s, o, NULL, s->much);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

static int say(th_stream *stream, const char *text)
{
    ssize_t n = text ? th_stream_write(stream, text, strlen(text)) : 0;
    return n < 0 ? (int)n : 0;
}

/* ---- streams ---- */

static void talk(th_stream *stream, const settings *s, outcome *o, FILE *file)
{
    int err = say(stream, s->say);
    if (err == 0 && s->much > 0)
        err = echo_much(stream, s, o);
    else if (err == 0)
        err = read_until(stream, s, o, file, s->until);
    if (err == 0)
        err = say(stream, s->then);
    if (err == 0)
        err = th_stream_shutdown(stream);
    if (err == 0)
        err = read_until(stream, s, o, file, SIZE_MAX);
    o->end = err;
    if (err != TH_EOF)
        failed(o, err);
}

static void ask_stream(const settings *s, th_tls *tls, outcome *o)
{
    th_stream *plain, *stream;
    th_tls_stream_opts opts = { .name = s->name, .first = th_str_of(s->first ? s->first : "") };
    int err = th_dial(s->to, NULL, &plain);
    if (err == 0) {
        err = th_tls_client(tls, plain, &opts, &stream);
        if (err < 0) {
            failed(o, err);
            th_stream_free(plain);
        }
    }
    if (err < 0) {
        failed(o, err);
        print_outcome(o);
        return;
    }
    FILE *file = s->save ? fopen(s->save, "w") : NULL;
    if (file)
        setbuf(file, NULL); /* who waits for a byte of it sees it */
    talk(stream, s, o, file);
    if (file)
        (void)fclose(file);
    (void)th_tls_info_get(stream, &o->info);
    print_outcome(o);
    th_stream_free(stream);
}

/* ---- datagrams ---- */

static void talk_datagrams(th_dtls *dtls, const settings *s, outcome *o)
{
    static char buf[PIECE];
    ssize_t n = s->say ? th_dtls_send(dtls, s->say, strlen(s->say)) : 0;
    while (n >= 0 && o->bytes < s->until) {
        n = th_dtls_recv(dtls, buf, sizeof buf);
        if (n > 0)
            take(s, o, NULL, buf, (size_t)n);
    }
    o->end = (int)(n < 0 ? n : 0);
    if (n != TH_EOF)
        failed(o, o->end);
}

static void ask_datagrams(const settings *s, th_tls *tls, outcome *o)
{
    th_dtls *dtls;
    int err = th_dtls_dial(s->to, &(th_dtls_opts){ .tls = tls, .name = s->name }, &dtls);
    failed(o, err);
    if (err == 0) {
        talk_datagrams(dtls, s, o);
        (void)th_dtls_info(dtls, &o->info);
    }
    print_outcome(o);
    if (err == 0)
        th_dtls_free(dtls);
}

/* ---- */

static int app(void *arg)
{
    const settings *s = arg;
    th_tls *tls;
    int err = th_tls_new(&s->tls, &tls);
    if (err < 0) {
        fprintf(stderr, "tls_ask: %s: %s\n", th_errname(err), th_err_detail());
        return err;
    }
    for (size_t i = 0; i < s->times; i++) {
        outcome *o = calloc(1, sizeof *o);
        if (!o)
            return -ENOMEM;
        o->info.size = sizeof o->info;
        (s->dtls ? ask_datagrams : ask_stream)(s, tls, o);
        free(o);
    }
    th_tls_unref(tls);
    return 0;
}

int main(int argc, char **argv)
{
    settings s;
    if (read_words(&s, argc, argv) < 0)
        return 2;
    return th_run(app, &s, &(th_run_opts){ .workers = 1 }) < 0;
}
