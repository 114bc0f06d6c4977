/* SPDX-License-Identifier: MIT */

/* Two streams of TLS over something that carries them, on the fibers of one worker. */
#ifndef THI_TEST_TLS_STREAMS_H
#define THI_TEST_TLS_STREAMS_H

#include "runtime/in_fiber.h"

#include "certs.h"
#include "tcp_pair.h"

#include <thrum/socket.h>
#include <thrum/stream.h>
#include <thrum/tls_stream.h>

static th_tls *server_tls, *client_tls;
static th_stream *server_plain, *client_plain; /* below */
static th_stream *server_side, *client_side;

static inline void make_contexts(th_tls_opts server, th_tls_opts client)
{
    make_certs();
    server_tls = test_tls(&test_server, server);
    client_tls = test_tls(NULL, client);
}

static inline void free_contexts(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    free_certs();
}

static inline void open_memory(size_t size)
{
    th_stream *ends[2];
    ck_assert_int_eq(th_stream_memory(size, ends), 0);
    server_plain = ends[0];
    client_plain = ends[1];
}

static inline void open_sockets(void)
{
    th_stream *ends[2];
    if (test_wants_kernel()) {
        int fds[2];
        connect_both(fds, false);
        ends[0] = adopt(fds[0]);
        ends[1] = adopt(fds[1]);
    } else {
        ck_assert_int_eq(th_stream_pair(ends), 0);
    }
    server_plain = ends[0];
    client_plain = ends[1];
}

static inline int be_server(void *arg)
{
    return th_tls_server(server_tls, server_plain, arg, &server_side);
}

/* Wraps both ends; what the server's side and the client's say. */
static inline int shake_as(const th_tls_stream_opts *server, const th_tls_stream_opts *client,
                           int *server_result)
{
    th_scope scope;
    open_scope(&scope);
    server_side = client_side = NULL;
    th_fiber *fiber = spawn_handle(&scope, be_server, (void *)(uintptr_t)server);
    int err = th_tls_client(client_tls, client_plain, client, &client_side);
    if (err < 0) /* or the server might wait for ever */
        (void)th_stream_shutdown(client_plain);
    int result;
    ck_assert_int_eq(th_join(fiber, &result), 0);
    th_fiber_unref(fiber);
    (void)th_scope_close(&scope);
    if (server_result)
        *server_result = result;
    return err;
}

static inline void shake_well(void)
{
    static const th_tls_stream_opts client = { .name = "server.test" };
    int server;
    int err = shake_as(NULL, &client, &server);
    ck_assert_msg(err == 0 && server == 0, "client %s, server %s: %s", th_errname(err),
                  th_errname(server), th_err_detail());
}

static inline void free_sides(void)
{
    th_stream_free(client_side);
    th_stream_free(server_side);
    free_contexts();
}

static inline void write_text(th_stream *stream, const char *text)
{
    ssize_t n = th_stream_write(stream, text, strlen(text));
    ck_assert_msg(n == (ssize_t)strlen(text), "%s: %s", th_errname((int)n), th_err_detail());
}

static inline void read_text(th_stream *stream, const char *text)
{
    char got[256] = "";
    ssize_t n = th_stream_read_all(stream, got, strlen(text));
    ck_assert_msg(n == (ssize_t)strlen(text), "%s: %s", th_errname((int)n), th_err_detail());
    ck_assert_str_eq(got, text);
}

static inline void let_others_run(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_yield(), 0);
}

#endif
