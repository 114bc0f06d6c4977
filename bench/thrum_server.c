/* SPDX-License-Identifier: MIT */

/*
 * Thrum in the parts of raw_epoll.c, written as a program would be that wants one core.
 *
 * `thrum_server http PORT` answers /hello from a handler, with everything a request gets: strict
 * parsing, limits, time-outs, a fiber and a scope of its own. `thrum_server echo PORT` is the echo
 * server of the guide, a fiber per connection; `thrum_server protocol PORT` the same with a
 * protocol, whose functions the loop calls, and `thrum_server dispatcher PORT` with dispatchers.
 * `thrum_server udp PORT` sends datagrams back, in batches. `thrum_server forward PORT TO` passes
 * on what it gets to another port.
 */
#include <thrum/dial.h>
#include <thrum/dispatcher.h>
#include <thrum/http.h>
#include <thrum/protocol.h>
#include <thrum/relay.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>
#include <thrum/str.h>
#include <thrum/stream.h>
#include <thrum/time.h>
#include <thrum/udp.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { ECHO_SIZE = 32 * 1024 }; /* half of a fiber's stack */

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    if (!th_str_eq(th_http_request_path(request), th_str_of("/hello")))
        return th_http_reply_text(reply, 404, "not here\n");
    return th_http_reply_text(reply, 200, "hello, world\n");
}

static int echo(th_stream *stream, void *arg)
{
    char buffer[ECHO_SIZE];
    ssize_t n;

    (void)arg;
    while ((n = th_stream_read(stream, buffer, sizeof buffer)) > 0)
        if ((n = th_stream_write(stream, buffer, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int received(th_transport *transport, void *self, th_str data)
{
    (void)self;
    int held = th_transport_write(transport, data.ptr, data.len);
    return held > 0 ? th_transport_pause_reading(transport) : held;
}

static void resume(th_transport *transport, void *self)
{
    (void)self;
    th_transport_resume_reading(transport);
}

static int make_echo(th_transport *transport, void *arg)
{
    static const th_protocol protocol = { .data_received = received, .resume_writing = resume };
    return th_transport_set_protocol(transport, &protocol, arg);
}

static int forward(th_stream *client, void *arg)
{
    char address[64];
    th_stream *server;

    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", (const char *)arg);
    int err = th_dial(address, NULL, &server);
    if (err < 0)
        return err;
    err = th_stream_relay(client, server, NULL, NULL);
    th_stream_free(server);
    return err;
}

/* ---- dispatchers ---- */

static int on_read(th_dispatcher *d, void *arg)
{
    static char buffer[2 * ECHO_SIZE]; /* one for all: only one of them reads at a time */

    (void)arg;
    ssize_t n = th_dispatcher_recv(d, buffer, sizeof buffer);
    int err = n > 0 ? th_dispatcher_push(d, buffer, (size_t)n) : (int)n;
    if (err < 0 || th_dispatcher_pending(d) == 0)
        return err;
    return th_dispatcher_set_gates(d, false, false); /* until that is sent */
}

static int on_drained(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_set_gates(d, true, false);
}

static int on_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    static const th_dispatcher_ops ops = { .read = on_read, .drained = on_drained };
    th_dispatcher *d;

    (void)arg;
    (void)peer;
    int err = th_dispatcher_new(&ops, NULL, th_dispatcher_map(listener), &d);
    return err < 0 ? err : th_dispatcher_attach(d, fd, 0);
}

static int serve_with_dispatchers(const char *address)
{
    static const th_dispatcher_ops ops = { .accepted = on_accepted };
    th_dispatcher *listener;
    int err = th_dispatcher_new(&ops, NULL, NULL, &listener);

    if (err == 0)
        err = th_dispatcher_create(listener, AF_INET, SOCK_STREAM);
    if (err == 0)
        err = th_dispatcher_set_reuse_addr(listener);
    if (err == 0)
        err = th_dispatcher_bind(listener, address);
    if (err == 0)
        err = th_dispatcher_listen(listener, 0);
    if (err == 0)
        err = th_dispatch_map_loop(NULL, TH_NEVER, -1);
    th_dispatch_map_close_all(NULL);
    return err;
}

/* ---- datagrams ---- */

static int echo_datagrams(th_udp *udp, void *arg)
{
    th_udp_batch *batch;
    th_dgram *dgrams;
    int n = th_udp_set(udp, TH_UDP_RECV_BUFFER, 1 << 20);

    (void)arg;
    if (n == 0)
        n = th_udp_batch_new(64, 2048, &batch);
    if (n < 0)
        return n;
    while ((n = th_udp_recv_batch(udp, batch, &dgrams)) > 0)
        (void)th_udp_send_batch(udp, dgrams, (size_t)n);
    th_udp_batch_free(batch);
    return n;
}

static int app(int argc, char **argv)
{
    char address[64];

    if (argc != 3 && !(argc == 4 && strcmp(argv[1], "forward") == 0)) {
        fprintf(stderr, "usage: thrum_server http|echo|protocol|dispatcher|udp PORT\n"
                        "       thrum_server forward PORT TO\n");
        return 2;
    }
    snprintf(address, sizeof address, "tcp://127.0.0.1:%s", argv[2]);
    if (strcmp(argv[1], "echo") == 0)
        return th_serve(address, echo, NULL, NULL);
    if (argc == 4)
        return th_serve(address, forward, argv[3], NULL);
    if (strcmp(argv[1], "protocol") == 0)
        return th_protocol_serve(address, make_echo, NULL, NULL);
    if (strcmp(argv[1], "dispatcher") == 0)
        return serve_with_dispatchers(address);
    if (strcmp(argv[1], "udp") == 0) {
        th_udp_serve_opts opts = { .udp = &(th_udp_opts){ .coalesce = 1 } };
        snprintf(address, sizeof address, "udp://127.0.0.1:%s", argv[2]);
        return th_udp_serve(address, echo_datagrams, NULL, &opts);
    }
    snprintf(address, sizeof address, "http://127.0.0.1:%s", argv[2]);
    return th_http_serve(address, hello, NULL, &(th_http_opts){ .idle_time = TH_HOUR });
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
