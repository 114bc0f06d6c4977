/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/tls.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server.inc"

#include "verify.inc"

#include "reload.inc"

#include "pins.inc"

/* The names of what is made, in the folder that the test runs in. */
static int save(const char *path, th_str text)
{
    return th_file_save(path, text.ptr, text.len, 0600);
}

/* A certificate for `name` in PATH.pem, its key in PATH.key. */
static int make(const char *path, const char *name, th_arena *arena)
{
    th_cert_alt alt = { TH_ALT_DNS, th_str_of(name) };
    th_cert_opts what = { .alts = &alt, .alts_count = 1, .extended_usage = "" };
    th_key *key = NULL;
    th_cert *cert = NULL;
    th_str pem;
    int err = th_key_new("ec", &key);
    if (err == 0)
        err = th_cert_self_sign(key, &what, &cert);
    if (err == 0)
        err = th_cert_pem(cert, arena, &pem);
    if (err == 0)
        err = save(th_arena_printf(arena, "%s.pem", path), pem);
    if (err == 0)
        err = th_key_pem(key, NULL, arena, &pem);
    if (err == 0)
        err = save(th_arena_printf(arena, "%s.key", path), pem);
    th_cert_unref(cert);
    th_key_unref(key);
    return err;
}

typedef struct side {
    th_tls *tls;
    th_stream *plain;
    int result;
} side;

static int serve(void *arg)
{
    side *s = arg;
    th_stream *stream;
    s->result = th_tls_server(s->tls, s->plain, NULL, &stream);
    th_stream_free(s->result < 0 ? s->plain : stream);
    return 0;
}

/* 0 when both sides are content. */
static int meet(th_tls *server, th_tls *client, const char *name)
{
    th_stream *ends[2], *stream;
    th_scope scope;
    int err = th_stream_pair(ends);
    if (err == 0)
        err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    side s = { .tls = server, .plain = ends[0] };
    err = th_spawn(&scope, serve, &s);
    int result = th_tls_client(client, ends[1], &(th_tls_stream_opts){ .name = name }, &stream);
    if (result == 0) {
        char c;
        ssize_t n = th_stream_read(stream, &c, 1); /* a refusal of 1.3 comes so late */
        result = n == TH_EOF ? 0 : (int)n;
        th_stream_free(stream);
    } else {
        th_stream_free(ends[1]);
    }
    int closed = th_scope_close(&scope);
    if (err < 0 || closed < 0)
        return err < 0 ? err : closed;
    return s.result < 0 ? s.result : result;
}

/* A client that trusts a file and may show a certificate. */
static int new_client(const char *authority, const char *cert, const char *key, th_tls **tls)
{
    const char *const authorities[] = { authority, NULL };
    th_tls_opts opts = { .cert = cert, .key = key, .trust = { .files = authorities } };
    return th_tls_new(&opts, tls);
}

static int try_servers(void)
{
    th_tls *server = NULL, *strict = NULL, *client = NULL, *agent = NULL;
    th_tls_facts facts;
    int err = new_server("server.pem", "server.key", &server);
    if (err == 0)
        err = new_client("server.pem", NULL, NULL, &client);
    if (err == 0)
        err = meet(server, client, "db.example");
    if (err == 0)
        err = reload(server, "none.pem", "none.key") == -ENOENT ? 0 : -EPROTO;
    if (err == 0)
        err = reload(server, "server.pem", "server.key");
    if (err == 0)
        err = th_tls_tell(server, sizeof facts, &facts);
    if (err == 0 && (facts.generation != 2 || facts.names != 1))
        err = -EPROTO;
    if (err == 0)
        err = meet(server, client, "db.example");
    if (err == 0)
        err = new_strict_server("server.pem", "server.key", "agent.pem", &strict);
    if (err == 0)
        err = new_client("server.pem", "agent.pem", "agent.key", &agent);
    if (err == 0)
        err = meet(strict, agent, "db.example");
    if (err == 0)
        err = meet(strict, client, "db.example") == TH_ETLS ? 0 : -EPROTO;
    th_tls_unref(server);
    th_tls_unref(strict);
    th_tls_unref(client);
    th_tls_unref(agent);
    return err;
}

static int try_clients(void)
{
    static const char wrong[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    th_tls *server = NULL, *pinned = NULL, *known = NULL;
    int err = new_server("server.pem", "server.key", &server);
    if (err == 0)
        err = new_pinned("server.pem", wrong, &pinned);
    if (err == 0)
        err = meet(server, pinned, "db.example") == TH_ETLS ? 0 : -EPROTO;
    if (err == 0)
        err = th_tls_client_default(&known);
    if (err == 0)
        err = meet(server, known, "db.example") == TH_ETLS ? 0 : -EPROTO;
    th_tls_unref(server);
    th_tls_unref(pinned);
    th_tls_unref(known);
    return err;
}

static int app(int argc, char **argv)
{
    th_arena arena;
    (void)argc;
    (void)argv;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    int err = make("server", "db.example", &arena);
    if (err == 0)
        err = make("agent", "agent.example", &arena);
    th_arena_deinit(&arena);
    if (err == 0)
        err = try_servers();
    if (err == 0)
        err = try_clients();
    if (err < 0)
        fprintf(stderr, "%s: %s\n", th_errname(err), th_err_detail());
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
