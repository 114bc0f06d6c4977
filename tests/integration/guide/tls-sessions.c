/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/tls-sessions.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keys.inc"
#include "session.inc"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,            \
                    th_err_detail());                                                              \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

/* A certificate with its key in web.pem, and the certificate alone. */
static int make_cert(th_arena *arena, th_str *pem)
{
    th_cert_alt name = { TH_ALT_DNS, TH_STR("db.example") };
    th_cert_opts what = { .alts = &name, .alts_count = 1 };
    th_key *key;
    th_cert *cert;
    th_str key_pem;
    CHECK(th_key_new("ec", &key) == 0);
    CHECK(th_cert_self_sign(key, &what, &cert) == 0);
    CHECK(th_cert_pem(cert, arena, pem) == 0);
    CHECK(th_key_pem(key, NULL, arena, &key_pem) == 0);
    const char *both =
        th_arena_printf(arena, "%.*s%.*s", (int)pem->len, pem->ptr, (int)key_pem.len, key_pem.ptr);
    CHECK(both && th_file_save("web.pem", both, strlen(both), 0600) == 0);
    th_cert_unref(cert);
    th_key_unref(key);
    return 0;
}

typedef struct side {
    th_tls *tls;
    th_stream *plain;
} side;

static int serve(void *arg)
{
    side *s = arg;
    th_stream *stream;
    CHECK(th_tls_server(s->tls, s->plain, NULL, &stream) == 0);
    CHECK(th_stream_write(stream, "x", 1) >= 0);
    CHECK(th_stream_shutdown(stream) == 0);
    char byte;
    while (th_stream_read(stream, &byte, 1) > 0)
        ;
    th_stream_free(stream);
    return 0;
}

/* Whether it was resumed. Keeps the session. */
static int meet(th_tls *server, th_tls *client, th_tls_session *session)
{
    th_stream *ends[2], *stream;
    th_scope scope;
    char byte;
    th_tls_info info = { .size = sizeof info };
    th_tls_stream_opts opts = { .name = "db.example", .session = session };
    CHECK(th_stream_pair(ends) == 0);
    CHECK(th_scope_open(&scope, NULL) == 0);
    side s = { server, ends[0] };
    CHECK(th_spawn(&scope, serve, &s) == 0);
    CHECK(th_tls_client(client, ends[1], &opts, &stream) == 0);
    CHECK(keep_session(stream, "session") == -EAGAIN);
    CHECK(th_stream_read(stream, &byte, 1) == 1);
    CHECK(th_tls_info_get(stream, &info) == 0);
    CHECK(keep_session(stream, "session") == 0);
    th_stream_free(stream);
    CHECK(th_scope_close(&scope) == 0);
    return info.resumed;
}

static int app(int argc, char **argv)
{
    th_arena arena;
    th_str pem;
    th_tls *server;
    th_tls *client;
    th_tls_session *session;
    th_tls_session_facts facts;
    (void)argc;
    (void)argv;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    CHECK(make_cert(&arena, &pem) == 0);
    CHECK(new_server("web.pem", "keys", &server) == -ENOENT);
    CHECK(th_tls_ticket_file_rotate("keys") == 0);
    CHECK(new_server("web.pem", "keys", &server) == 0);
    th_tls_opts opts = { .trust = { .memory = pem }, .no_sessions = 1 };
    CHECK(th_tls_new(&opts, &client) == 0);
    CHECK(meet(server, client, NULL) == 0);
    CHECK(load_session(client, "session", &session) == 0);
    CHECK(th_tls_session_tell(session, sizeof facts, &facts) == 0);
    CHECK(strcmp(facts.name, "db.example") == 0 && facts.left > 0);
    th_tls_unref(server);
    CHECK(new_server("web.pem", "keys", &server) == 0); /* another one with the same keys */
    CHECK(meet(server, client, session) == 1);
    th_tls_session_unref(session);
    th_tls_unref(server);
    th_tls_unref(client);
    th_arena_deinit(&arena);
    return 0;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
