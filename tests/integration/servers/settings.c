/* SPDX-License-Identifier: MIT */

/* Reading the command line of the test servers, and starting them. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether text is "name=..."; then *value is what stands behind. */
static bool is(const char *text, const char *name, const char **value)
{
    size_t len = strlen(name);
    if (strncmp(text, name, len) != 0 || text[len] != '=')
        return false;
    *value = text + len + 1;
    return true;
}

static int64_t number(const char *value)
{
    char *end;
    long long n = strtoll(value, &end, 10);
    if (end == value || *end) {
        fprintf(stderr, "not a number: %s\n", value);
        exit(2);
    }
    return n;
}

static int64_t milliseconds(const char *value)
{
    return number(value) * TH_MILLISECOND;
}

static bool read_run(settings *s, const char *text)
{
    const char *value;
    if (is(text, "workers", &value))
        s->run.workers = (unsigned)number(value);
    else if (is(text, "backend", &value))
        s->run.backend = value;
    else if (is(text, "grace", &value))
        s->run.grace = milliseconds(value);
    else
        return false;
    return true;
}

static bool read_http(settings *s, const char *text)
{
    const char *value;
    if (is(text, "max_connections", &value))
        s->http.max_connections = (uint32_t)number(value);
    else if (is(text, "head_size", &value))
        s->http.head_size = (uint32_t)number(value);
    else if (is(text, "head_count", &value))
        s->http.head_count = (uint32_t)number(value);
    else if (is(text, "target_size", &value))
        s->http.target_size = (uint32_t)number(value);
    else if (is(text, "body_size", &value))
        s->http.body_size = number(value);
    else if (is(text, "head_time", &value))
        s->http.head_time = milliseconds(value);
    else if (is(text, "idle_time", &value))
        s->http.idle_time = milliseconds(value);
    else if (is(text, "min_rate", &value))
        s->http.min_rate = (uint32_t)number(value);
    else
        return false;
    return true;
}

static bool read_tls(settings *s, const char *text)
{
    const char *value;
    if (is(text, "cert", &value))
        s->tls.cert = value;
    else if (is(text, "key", &value))
        s->tls.key = value;
    else if (is(text, "client_ca", &value))
        s->client_ca[0] = value;
    else if (is(text, "ca", &value))
        s->ca[0] = value;
    else if (is(text, "handshake_time", &value))
        s->tls.handshake_time = milliseconds(value);
    else if (is(text, "session_time", &value))
        s->tls.session_time = milliseconds(value);
    else if (is(text, "chain_max", &value))
        s->tls.chain_max = (size_t)number(value);
    else if (is(text, "post_handshake_auth", &value))
        s->tls.post_handshake_auth = number(value) != 0;
    else if (is(text, "early_data", &value))
        s->tls.early_data_max = (uint32_t)number(value);
    else if (is(text, "hsts", &value))
        s->http.hsts = (uint32_t)number(value);
    else
        return false;
    return true;
}

static bool read_own(settings *s, const char *text)
{
    const char *value;
    if (is(text, "listen", &value) && s->listen_count < LISTEN_MAX)
        s->listen[s->listen_count++] = value;
    else if (is(text, "file", &value))
        s->file = value;
    else if (is(text, "log", &value))
        s->log = value;
    else if (is(text, "mode", &value))
        s->mode = value;
    else if (is(text, "read_all", &value))
        s->read_all = number(value);
    else if (is(text, "length_required", &value))
        s->length_required = number(value) != 0;
    else
        return false;
    return true;
}

void settings_read(settings *s, int argc, char **argv)
{
    *s = (settings){ .mode = "", .read_all = INT64_MAX };
    for (int i = 1; i < argc; i++) {
        if (!read_run(s, argv[i]) && !read_http(s, argv[i]) && !read_tls(s, argv[i]) &&
            !read_own(s, argv[i])) {
            fprintf(stderr, "%s: what is %s?\n", argv[0], argv[i]);
            exit(2);
        }
    }
    if (s->listen_count == 0)
        s->listen[s->listen_count++] = "127.0.0.1:0";
}

int settings_make_tls(settings *s)
{
    static const char *const protocols[] = { "http/1.1", NULL };
    if (!s->tls.cert)
        return 0;
    s->tls.alpn = protocols;
    if (s->ca[0])
        s->tls.trust.files = s->ca;
    if (s->client_ca[0]) {
        s->tls.trust.files = s->client_ca;
        s->tls.client_auth = TH_TLS_CLIENT_AUTH_OPTIONAL;
    }
    int err = th_tls_new(&s->tls, &s->http.tls);
    if (err < 0)
        fprintf(stderr, "no TLS: %s\n", th_err_detail());
    return err;
}

int settings_listen(settings *s)
{
    char text[TH_ADDR_TEXT];
    th_addr addr;
    int made = settings_make_tls(s);
    if (made < 0)
        return made;
    for (size_t i = 0; i < s->listen_count; i++) {
        th_listen_opts how = { .tls = s->http.tls != NULL };
        int err = th_listen(s->listen[i], &how, &s->listeners[i]);
        if (err < 0)
            return err;
        th_listener_addr(s->listeners[i], &addr);
        printf("listening on %s\n", th_addr_format(&addr, text, sizeof text));
    }
    fflush(stdout);
    return 0;
}

static void print_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    fprintf(stderr, "%s: %.*s\n", th_log_level_name(level), (int)text.len, text.ptr);
}

int settings_run(settings *s, int (*app)(void *settings))
{
    (void)!th_log_set_sink(print_log, NULL, TH_LOG_WARNING);
    int err = th_run(app, s, &s->run);
    for (size_t i = 0; i < s->listen_count; i++)
        th_listener_close(s->listeners[i]);
    th_tls_unref(s->http.tls);
    if (err < 0)
        fprintf(stderr, "ended: %s\n", th_errname(err));
    return err < 0;
}
