/* SPDX-License-Identifier: MIT */

/*
 * Serving with protocols: the server accepts and shares out, the parts' scopes own the transports.
 *
 * So the end needs nothing here: a cancelled server is a cancelled scope, which aborts what is in
 * it. Only an orderly stop has to be told, for the scope does not know it.
 */
#include "callback/carrier.h"
#include "net/server.h"

#include "base/error.h"

#define LISTENERS_MAX 64

typedef struct service {
    thi_server server;
    th_protocol_factory factory;
    void *arg;
} service;

static void on_ended(th_transport *t)
{
    thi_list_remove(&t->link);
    thi_server_conn_ended(t->maker);
}

static int arrived(thi_server_part *part, int fd)
{
    service *sv = part->server->data;
    thi_scope *scope = thi_scope_of(&part->scope);
    th_transport *t = NULL;
    int err = thi_transport_take_place(scope);
    if (err < 0)
        return err;
    err = thi_carrier_socket(fd, &t);
    if (err == 0)
        err = thi_transport_start_lent(t, scope, sv->factory, sv->arg);
    if (err < 0) {
        thi_scope_child_ended(scope, 0);
        return err;
    }
    t->maker = part;
    t->ended = on_ended;
    t->stop_asked = part->stopping; /* it was on its way here */
    thi_list_push_back(&part->conns, &t->link);
    return 0;
}

static void stopping(thi_server_part *part)
{
    thi_list_each (node, &part->conns) {
        th_transport *t = thi_list_item(node, th_transport, link);
        t->stop_asked = true;
        thi_transport_later(t);
    }
}

static const thi_server_ops protocol_ops = { .arrived = arrived, .stopping = stopping };

int th_protocol_serve_on(th_listener *const *listeners, size_t count, th_protocol_factory factory,
                         void *arg, const th_protocol_serve_opts *opts)
{
    if (!listeners || count < 1 || count > LISTENERS_MAX || !factory ||
        (opts && opts->size > sizeof *opts))
        return thi_err_clear(-EINVAL);
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    service sv = { .factory = factory, .arg = arg };
    sv.server = (thi_server){ .ops = &protocol_ops,
                              .data = &sv,
                              .listeners = listeners,
                              .listener_count = count,
                              .limit = opts ? opts->max_connections : 0 };
    for (size_t i = 0; opts && opts->listening && i < count; i++)
        opts->listening(&listeners[i]->addr, arg);
    return thi_server_run(&sv.server);
}

int th_protocol_serve(const char *address, th_protocol_factory factory, void *arg,
                      const th_protocol_serve_opts *opts)
{
    th_listener *listener;
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = th_listen(address, NULL, &listener);
    if (err < 0)
        return err;
    err = th_protocol_serve_on(&listener, 1, factory, arg, opts);
    th_listener_close(listener);
    return err;
}
