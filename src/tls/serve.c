/* SPDX-License-Identifier: MIT */

/*
 * Serving connections with a fiber each, with TLS or without: the public entry points.
 *
 * The handshake is made by the connection's own fiber, so that a client that takes its time with
 * it, or makes a wrong one, costs nobody else anything.
 */
#include <thrum/serve.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/server.h"
#include "net/socket.h"
#include "runtime/start.h"
#include "tls/doors.h"

#include <thrum/addr.h>
#include <thrum/tls_stream.h>

#include <stdio.h>

typedef struct service {
    thi_server server;
    th_serve_fn fn;
    void *arg;
    size_t stack_size;
    thi_tls_doors doors;
} service;

typedef struct connection {
    thi_socket *socket; /* its own below; with TLS, which may have to send a last word after the
                           connection has ended, one on the heap */
    thi_socket own;
    thi_server_part *part;
    th_tls *tls; /* what it speaks, the service's; NULL: no TLS */
} connection;

static void tell_of_failure(th_stream *stream, int err)
{
    char reason[THI_ERR_DETAIL_SIZE];
    char text[TH_ADDR_TEXT];
    th_addr peer = { .kind = TH_ADDR_NONE };
    (void)snprintf(reason, sizeof reason, "%s", th_err_detail());
    (void)th_stream_peer(stream, &peer);
    thi_log(TH_LOG_DEBUG, "no TLS with %s: %s", th_addr_format(&peer, text, sizeof text),
            *reason ? reason : th_strerror(err));
}

/* What is served: the socket, or TLS above it, which then owns it. NULL: there was no agreement. */
static th_stream *meet(connection *c)
{
    th_stream *stream = &c->socket->base;
    int err = c->tls ? th_tls_server(c->tls, stream, NULL, &stream) : 0;
    if (TH_LIKELY(err == 0))
        return stream;
    tell_of_failure(stream, err);
    return NULL;
}

static int serve_connection(void *arg)
{
    connection *c = arg;
    service *sv = c->part->server->data;
    th_stream *stream = meet(c);
    int result = stream ? sv->fn(stream, sv->arg) : 0;
    if (result < 0 && result != TH_EOF)
        thi_log(TH_LOG_DEBUG, "a connection ended: %s", th_strerror(result));
    th_stream_free(stream ? stream : &c->socket->base);
    thi_server_conn_ended(c->part);
    thi_free(c);
    return 0;
}

static int make_socket(connection *c, int fd)
{
    c->socket = &c->own;
    return c->tls ? thi_socket_new(fd, &c->socket) : thi_socket_init(&c->own, fd);
}

/* Leaves the descriptor as it was. */
static void unmake_socket(connection *c)
{
    thi_loop_unwatch(&c->part->worker->loop, &c->socket->watch);
    if (c->socket != &c->own)
        thi_free(c->socket);
}

static int arrived(thi_server_part *part, const thi_arrival *arrival)
{
    service *sv = part->server->data;
    thi_scope *scope = thi_scope_of(&part->scope);
    connection *c = thi_alloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    c->part = part;
    c->tls = thi_tls_doors_at(&sv->doors, arrival->listener);
    int err = make_socket(c, arrival->fd);
    if (err < 0) {
        thi_free(c);
        return err;
    }
    c->socket->origin = arrival->origin;
    scope->live++;
    thi_start start = {
        .fn = serve_connection, .arg = c, .name = "connection", .stack_size = sv->stack_size
    };
    err = thi_start_here(scope, &start);
    if (err < 0) {
        thi_scope_child_ended(scope, 0);
        unmake_socket(c);
        thi_free(c);
    }
    return err;
}

static const thi_server_ops serve_ops = { .arrived = arrived };

int th_serve_on(th_listener *const *listeners, size_t count, th_serve_fn fn, void *arg,
                const th_serve_opts *opts)
{
    static const th_serve_opts defaults;
    opts = opts ? opts : &defaults;
    if (!fn || opts->size > sizeof *opts || thi_stack_class(opts->stack_size) < 0)
        return thi_err_clear(-EINVAL);
    service sv = { .fn = fn, .arg = arg, .stack_size = opts->stack_size };
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = thi_tls_doors_open(listeners, count, opts->tls, &sv.doors);
    if (err < 0)
        return err;
    thi_server_plan plan = { .ops = &serve_ops,
                             .data = &sv,
                             .listeners = listeners,
                             .listener_count = count,
                             .has_tls = true,
                             .max_connections = opts->max_connections,
                             .max_per_peer = opts->max_per_peer,
                             .peer_bits4 = opts->peer_bits4,
                             .peer_bits6 = opts->peer_bits6,
                             .listening = opts->listening,
                             .listening_arg = arg };
    err = thi_server_run(&sv.server, &plan);
    thi_tls_doors_close(&sv.doors);
    return err;
}

int th_serve(const char *address, th_serve_fn fn, void *arg, const th_serve_opts *opts)
{
    th_listener *listener;
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = th_listen(address, opts ? opts->listen : NULL, &listener);
    if (err < 0)
        return err;
    err = th_serve_on(&listener, 1, fn, arg, opts);
    th_listener_close(listener);
    return err;
}
