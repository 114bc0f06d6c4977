/* SPDX-License-Identifier: MIT */

/* Serving connections with a fiber each. */
#include <thrum/serve.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/server.h"
#include "net/socket.h"
#include "runtime/start.h"

typedef struct service {
    thi_server server;
    th_serve_fn fn;
    void *arg;
    size_t stack_size;
} service;

typedef struct connection {
    thi_socket socket;
    thi_server_part *part;
} connection;

static int serve_connection(void *arg)
{
    connection *c = arg;
    service *sv = c->part->server->data;
    int result = sv->fn(&c->socket.base, sv->arg);
    if (result < 0 && result != TH_EOF)
        thi_log(TH_LOG_DEBUG, "a connection ended: %s", th_strerror(result));
    th_stream_free(&c->socket.base);
    thi_server_conn_ended(c->part);
    thi_free(c);
    return 0;
}

static int arrived(thi_server_part *part, const thi_arrival *arrival)
{
    service *sv = part->server->data;
    thi_scope *scope = thi_scope_of(&part->scope);
    connection *c = thi_alloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    int err = thi_socket_init(&c->socket, arrival->fd);
    if (err < 0) {
        thi_free(c);
        return err;
    }
    c->part = part;
    c->socket.origin = arrival->origin;
    scope->live++;
    thi_start start = {
        .fn = serve_connection, .arg = c, .name = "connection", .stack_size = sv->stack_size
    };
    err = thi_start_here(scope, &start);
    if (err < 0) {
        thi_scope_child_ended(scope, 0);
        thi_loop_unwatch(&part->worker->loop, &c->socket.watch);
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
    thi_server_plan plan = { .ops = &serve_ops,
                             .data = &sv,
                             .listeners = listeners,
                             .listener_count = count,
                             .max_connections = opts->max_connections,
                             .max_per_peer = opts->max_per_peer,
                             .peer_bits4 = opts->peer_bits4,
                             .peer_bits6 = opts->peer_bits6,
                             .listening = opts->listening,
                             .listening_arg = arg };
    return thi_server_run(&sv.server, &plan);
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
