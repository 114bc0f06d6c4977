/* SPDX-License-Identifier: MIT */

/*
 * What show and check look at: a file, or the server at HOST:PORT.
 *
 * A server is spoken to with a context that believes anybody: no more is done than the handshake,
 * and what came is judged afterwards, so that a bad certificate is shown instead of refused.
 */
#include "cert_target.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CERTS_MAX 100

/* The work of the fiber that connects. */
typedef struct work {
    char address[300];
    const char *name;
    int64_t patience; /* ns */
    cert_target *target;
    char detail[256];
} work;

/* A prefix that says TLS, and a port that goes without saying. */
static const char *without_scheme(const char *what, const char **port)
{
    *port = "";
    if (strncmp(what, "https://", 8) == 0) {
        *port = ":443";
        return what + 8;
    }
    return strncmp(what, "tls://", 6) == 0 ? what + 6 : what;
}

static bool is_port(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isdigit((unsigned char)*text))
            return false;
    return true;
}

/* Splits HOST:PORT, perhaps with a scheme and a slash behind it; false when it is none. */
static bool split(const char *what, work *w)
{
    const char *port;
    char *text = w->address;
    const char *rest = without_scheme(what, &port);
    size_t len = strcspn(rest, "/");
    if (len == 0 || len + 8 > sizeof w->address)
        return false;
    snprintf(text, sizeof w->address, "%.*s", (int)len, rest);
    const char *bracket = strchr(text, ']');
    char *colon = strrchr(bracket ? bracket : text, ':');
    if (!colon) {
        if (!*port)
            return false;
        colon = text + strlen(text);
        memcpy(colon, port, strlen(port) + 1); /* fits: see above */
    }
    size_t skip = text[0] == '[';
    size_t host = (size_t)(colon - text) - 2 * skip;
    if (!is_port(colon + 1) || colon == text || host >= sizeof w->target->host)
        return false;
    snprintf(w->target->host, sizeof w->target->host, "%.*s", (int)host, text + skip);
    return true;
}

static int take_certs(th_stream *stream, cert_target *target)
{
    static unsigned char der[1 << 17];
    for (size_t i = 0; i < CERTS_MAX; i++) {
        th_cert *cert;
        ssize_t n = th_tls_cert_get(stream, TH_TLS_CERTS_SENT, i, der, sizeof der);
        if (n == -ENOENT)
            return 0;
        if (n < 0 || (size_t)n > sizeof der)
            return n < 0 ? (int)n : TH_ELIMIT;
        int err = th_cert_parse(th_str_make((const char *)der, (size_t)n), &cert);
        if (err == 0)
            err = th_certs_add(&target->things.certs, cert);
        th_cert_unref(cert);
        if (err < 0)
            return err;
    }
    return 0;
}

static int look_at(th_stream *stream, cert_target *target)
{
    th_tls_info info = { .size = sizeof info };
    int err = th_tls_info_get(stream, &info);
    if (err < 0)
        return err;
    snprintf(target->connection, sizeof target->connection, "%s, %s%s%s%s%.*s", info.version_name,
             info.cipher, info.group ? ", " : "", info.group ? info.group : "",
             info.alpn.len > 0 ? ", " : "", TH_STR_ARG(info.alpn));
    return take_certs(stream, target);
}

static int handshake(work *w, th_tls *tls)
{
    th_stream *below;
    th_stream *stream;
    int err = th_dial(w->address, NULL, &below);
    if (err < 0)
        return err;
    const th_tls_stream_opts opts = { .size = sizeof opts, .name = w->name };
    err = th_tls_client(tls, below, &opts, &stream);
    if (err < 0) {
        th_stream_free(below);
        return err;
    }
    err = look_at(stream, w->target);
    th_stream_free(stream);
    return err;
}

static int connect_to(void *arg)
{
    work *w = arg;
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    th_scope scope;
    th_tls *tls;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(w->patience) });
    if (err < 0)
        return err;
    const th_tls_opts opts = {
        .size = sizeof opts, .profile = "old", .insecure_no_verification = 1, .alpn = alpn
    };
    err = th_tls_new(&opts, &tls);
    if (err == 0) {
        err = handshake(w, tls);
        th_tls_unref(tls);
    }
    snprintf(w->detail, sizeof w->detail, "%s", err < 0 ? th_err_detail() : "");
    (void)!th_scope_close(&scope);
    return err;
}

static int open_server(const command *cmd, const char *what, work *w)
{
    const th_run_opts opts = { .workers = 1 };
    if (!w->name)
        w->name = w->target->host;
    w->target->is_server = true;
    int err = th_run(connect_to, w, &opts);
    if (err >= 0 && w->target->things.certs.count > 0)
        return 0;
    if (err >= 0)
        print_error("thrum %s: %s: the server has shown no certificate", cmd->name, what);
    else if (err == -ETIMEDOUT)
        print_error("thrum %s: %s: no answer within %" PRId64 " s", cmd->name, what,
                    w->patience / TH_SECOND);
    else
        print_error("thrum %s: %s: %s%s%s", cmd->name, what, w->detail, *w->detail ? ": " : "",
                    th_strerror(err));
    return err < 0 ? err : TH_ETLS;
}

int cert_target_open(const command *cmd, const char *what, const cert_look *look,
                     cert_target *target)
{
    work w = { .name = look->name, .patience = look->seconds * TH_SECOND, .target = target };
    if (access(what, F_OK) != 0 && split(what, &w))
        return open_server(cmd, what, &w);
    return cert_things_load(cmd, what, look->pass, &target->things) ? 0 : -ENOENT;
}

void cert_target_clear(cert_target *target)
{
    cert_things_clear(&target->things);
}
