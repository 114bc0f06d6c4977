/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/dtls.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.inc"
#include "serve.inc"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,            \
                    th_err_detail());                                                              \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

static char address[TH_ADDR_TEXT];

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    th_addr_format(addr, address, sizeof address);
}

static int make_contexts(th_arena *arena, th_tls **server, th_tls **client)
{
    th_cert_alt name = { TH_ALT_IP, TH_STR("127.0.0.1") };
    th_cert_opts what = { .alts = &name, .alts_count = 1 };
    th_certs certs = { 0 };
    th_key *key;
    th_cert *cert;
    th_str pem;
    CHECK(th_key_new("ec", &key) == 0);
    CHECK(th_cert_self_sign(key, &what, &cert) == 0);
    CHECK(th_certs_add(&certs, cert) == 0);
    CHECK(th_cert_pem(cert, arena, &pem) == 0);
    th_tls_cert own = { .cert_object = &certs, .key_object = key };
    th_tls_opts opts = { .certs = &own, .certs_count = 1, .dtls = 1 };
    CHECK(th_tls_new(&opts, server) == 0);
    CHECK(th_tls_new(&(th_tls_opts){ .trust = { .memory = pem }, .dtls = 1 }, client) == 0);
    th_certs_clear(&certs);
    th_cert_unref(cert);
    th_key_unref(key);
    return 0;
}

static int serve(void *arg)
{
    return serve_echo(arg, listening);
}

static int app(int argc, char **argv)
{
    th_arena arena;
    th_tls *server;
    th_tls *client;
    th_scope scope;
    char buf[64];
    (void)argc;
    (void)argv;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    CHECK(make_contexts(&arena, &server, &client) == 0);
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, serve, server) == 0);
    while (!address[0])
        CHECK(th_yield() == 0);
    CHECK(ask(client, address, "well?", buf, sizeof buf) == 5);
    CHECK(memcmp(buf, "well?", 5) == 0);
    CHECK(th_stop() == 0);
    CHECK(th_scope_close(&scope) == 0);
    th_tls_unref(server);
    th_tls_unref(client);
    th_arena_deinit(&arena);
    return 0;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
