/* SPDX-License-Identifier: MIT */

/*
 * Serving with protocols: the server accepts and shares out, the parts' scopes own the transports.
 *
 * So the end needs nothing here: a cancelled server is a cancelled scope, which aborts what is in
 * it. Only an orderly stop has to be told, for the scope does not know it.
 *
 * Where TLS is spoken, the handshake comes first, as an attempt that belongs to the same scope;
 * what it finds is then started as a connection without TLS is.
 */
#include "callback/attempt.h"
#include "callback/carrier.h"
#include "net/server.h"
#include "tls/doors.h"

#include "base/error.h"
#include "base/log.h"
#include "sys/sys.h"

typedef struct service {
    thi_server server;
    th_protocol_factory factory;
    void *arg;
    thi_tls_doors doors;
} service;

static void on_ended(th_transport *t)
{
    thi_list_remove(&t->link);
    thi_server_conn_ended(t->maker);
}

/* What is known of where it comes from is there for the factory, and stays the server's if that
 * fails. */
static int start(th_transport *t, thi_scope *scope, thi_server_part *part, thi_origin *origin)
{
    const service *sv = part->server->data;
    t->origin = origin;
    int err = thi_transport_start_lent(t, scope, sv->factory, sv->arg);
    if (err < 0)
        return err;
    t->maker = part;
    t->ended = on_ended;
    t->stop_asked = part->stopping; /* it was on its way here */
    thi_list_push_back(&part->conns, &t->link);
    return 0;
}

static void drop(thi_attempt *a, int fd)
{
    if (fd >= 0)
        (void)thi_sys_close(fd);
    thi_origin_free(a->origin);
    thi_scope_child_ended(a->scope, 0);
    thi_server_conn_ended(a->maker);
}

/* The handshake has been made, or not. The place of the attempt becomes the transport's. */
static void on_met(thi_attempt *a, int result)
{
    th_transport *t = NULL;
    if (result < 0) {
        thi_log(TH_LOG_DEBUG, "no TLS with a client: %s",
                *th_err_detail() ? th_err_detail() : th_strerror(result));
        drop(a, -1);
        return;
    }
    int err = thi_attempt_carrier(a, result, &t);
    if (err == 0)
        err = start(t, a->scope, a->maker, a->origin);
    if (err < 0)
        drop(a, result);
}

static int meet(thi_server_part *part, const thi_arrival *arrival, th_tls *tls)
{
    thi_attempt *a = thi_attempt_new_tls(arrival->fd, tls, true, NULL);
    if (!a)
        return -ENOMEM;
    a->done = on_met;
    a->maker = part;
    a->origin = arrival->origin;
    return thi_attempt_begin(a, thi_scope_of(&part->scope));
}

static int arrived(thi_server_part *part, const thi_arrival *arrival)
{
    service *sv = part->server->data;
    thi_scope *scope = thi_scope_of(&part->scope);
    th_tls *tls = thi_tls_doors_at(&sv->doors, arrival->listener);
    th_transport *t = NULL;
    if (tls)
        return meet(part, arrival, tls);
    int err = thi_transport_take_place(scope);
    if (err < 0)
        return err;
    err = thi_carrier_socket(arrival->fd, &t);
    if (err == 0)
        err = start(t, scope, part, arrival->origin);
    if (err < 0)
        thi_scope_child_ended(scope, 0);
    return err;
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
    static const th_protocol_serve_opts defaults;
    opts = opts ? opts : &defaults;
    if (!factory || opts->size > sizeof *opts)
        return thi_err_clear(-EINVAL);
    service sv = { .factory = factory, .arg = arg };
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = thi_tls_doors_open(listeners, count, opts->tls, &sv.doors);
    if (err < 0)
        return err;
    thi_server_plan plan = { .ops = &protocol_ops,
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

int th_protocol_serve(const char *address, th_protocol_factory factory, void *arg,
                      const th_protocol_serve_opts *opts)
{
    th_listener *listener;
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = th_listen(address, opts ? opts->listen : NULL, &listener);
    if (err < 0)
        return err;
    err = th_protocol_serve_on(&listener, 1, factory, arg, opts);
    th_listener_close(listener);
    return err;
}
