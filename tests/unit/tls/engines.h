/* SPDX-License-Identifier: MIT */

/* Two engines that talk by hand: what one leaves to be taken is fed to the other. */
#ifndef THI_TEST_TLS_ENGINES_H
#define THI_TEST_TLS_ENGINES_H

#include "certs.h"

#include <thrum/error.h>
#include <thrum/tls_engine.h>

#include <errno.h>
#include <stdbool.h>

static th_tls *server_tls, *client_tls;
static th_tls_engine *server_end, *client_end;

/* Moves all that waits from one to the other, or as much as the other takes; returns the bytes. */
static inline size_t carry(th_tls_engine *from, th_tls_engine *to)
{
    static char buf[100 * 1024];
    ssize_t n = th_tls_engine_take(from, buf, sizeof buf);
    ck_assert_int_ge(n, 0);
    for (ssize_t at = 0; at < n;) {
        ssize_t fed = th_tls_engine_feed(to, buf + at, (size_t)(n - at));
        ck_assert_int_gt(fed, 0);
        at += fed;
    }
    return (size_t)n;
}

/* Drops all that waits. */
static inline void drop(th_tls_engine *from)
{
    static char buf[100 * 1024];
    ck_assert_int_ge(th_tls_engine_take(from, buf, sizeof buf), 0);
}

/* Until both are done, or one has failed; what both said last. */
static inline void shake(int *server, int *client)
{
    for (int i = 0; i < 20; i++) {
        *client = th_tls_engine_handshake(client_end);
        carry(client_end, server_end);
        *server = th_tls_engine_handshake(server_end);
        carry(server_end, client_end);
        if (*client != -EAGAIN && *server != -EAGAIN)
            break;
    }
}

static inline void new_engine(th_tls *tls, int role, const th_tls_engine_opts *opts,
                              th_tls_engine **engine)
{
    int err = th_tls_engine_new(tls, role, opts, engine);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
}

/* Two engines of two contexts; the client knows the server's name. */
static inline void open_engines(th_tls_opts server, th_tls_opts client)
{
    th_tls_engine_opts to_server = { .connection.name = "server.test" };
    make_certs();
    server_tls = test_tls(&test_server, server);
    client_tls = test_tls(NULL, client);
    new_engine(server_tls, TH_TLS_SERVER, NULL, &server_end);
    new_engine(client_tls, TH_TLS_CLIENT, &to_server, &client_end);
}

static inline void close_engines(void)
{
    th_tls_engine_free(server_end);
    th_tls_engine_free(client_end);
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    free_certs();
}

static inline void shake_well(void)
{
    int server, client;
    shake(&server, &client);
    ck_assert_msg(server == 0 && client == 0, "server %s, client %s: %s", th_errname(server),
                  th_errname(client), th_err_detail());
}

static inline void open_shaken(int max_version)
{
    open_engines((th_tls_opts){ .max_version = max_version }, (th_tls_opts){ 0 });
    shake_well();
}

/* Writes a text, and carries it over. */
static inline void say(th_tls_engine *from, th_tls_engine *to, const char *text)
{
    ck_assert_int_eq(th_tls_engine_write(from, text, strlen(text)), (ssize_t)strlen(text));
    carry(from, to);
}

static inline void hear(th_tls_engine *engine, const char *text)
{
    char buf[256] = "";
    ssize_t n = th_tls_engine_read(engine, buf, strlen(text));
    ck_assert_msg(n == (ssize_t)strlen(text), "%s: %s", n < 0 ? th_errname((int)n) : "too short",
                  th_err_detail());
    ck_assert_str_eq(buf, text);
}

#endif
