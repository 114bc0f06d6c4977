/* SPDX-License-Identifier: MIT */

/*
 * One echo server, in each of the three ways to write it, among clients that do what they should
 * not: the same scenario on every back end, the simulated one included.
 *
 * Those who are up to no good come first and stay: half open, half said, never reading, byte by
 * byte, and gone by a reset in every state. Then honest clients must all be served, in time. What
 * is wrong is noted in `wrong`, because nothing may leave a fiber's stack by a jump.
 */
#ifndef THI_TEST_HOSTILE_H
#define THI_TEST_HOSTILE_H

#include <thrum/dial.h>
#include <thrum/dispatcher.h>
#include <thrum/error.h>
#include <thrum/event.h>
#include <thrum/fiber.h>
#include <thrum/protocol.h>
#include <thrum/scope.h>
#include <thrum/serve.h>
#include <thrum/socket.h>
#include <thrum/stream.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOSTILE_HONEST   4
#define HOSTILE_TALKS    10
#define HOSTILE_EACH     2
#define HOSTILE_MESSAGE  700
#define HOSTILE_PATIENCE (20 * TH_SECOND)
#define HOSTILE_WAITING  (16 * 1024)
/* A server that took so much from somebody who reads nothing has kept it somewhere. The kernel of a
 * real machine keeps some MiB at both ends. */
#define HOSTILE_TOO_MUCH (64u * 1024 * 1024)

enum { HOSTILE_FIBERS, HOSTILE_PROTOCOLS, HOSTILE_DISPATCHERS, HOSTILE_WAYS };

typedef struct hostile_stage {
    int way;
    char address[TH_ADDR_TEXT];
    th_event ready;
    th_dispatch_map *map;
    int served; /* what the server returned */
    char wrong[160];
} hostile_stage;

static void hostile_fail(hostile_stage *st, const char *what, long long value)
{
    if (st->wrong[0] == '\0')
        snprintf(st->wrong, sizeof st->wrong, "way %d: %s: %lld (%s)", st->way, what, value,
                 th_err_detail());
}

#define hostile_expect(st, cond, value)                                                            \
    ((cond) ? (void)0 : hostile_fail(st, #cond, (long long)(value)))

/* ---- the server as a fiber for each connection ---- */

static int hostile_fiber(th_stream *stream, void *arg)
{
    char buf[512];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

/* ---- as protocols ---- */

static int hostile_received(th_transport *transport, void *self, th_str data)
{
    (void)self;
    int held = th_transport_write(transport, data.ptr, data.len);
    return held == 1 ? th_transport_pause_reading(transport) : held;
}

static void hostile_go_on(th_transport *transport, void *self)
{
    (void)self;
    th_transport_resume_reading(transport);
}

static int hostile_protocol(th_transport *transport, void *arg)
{
    static const th_protocol echo = { .data_received = hostile_received,
                                      .resume_writing = hostile_go_on };
    return th_transport_set_protocol(transport, &echo, arg);
}

/* ---- as dispatchers ---- */

static int hostile_read(th_dispatcher *d, void *arg)
{
    char buf[512];
    (void)arg;
    ssize_t n = th_dispatcher_recv(d, buf, sizeof buf);
    int err = n > 0 ? th_dispatcher_push(d, buf, (size_t)n) : (int)n;
    if (err < 0 || th_dispatcher_pending(d) <= HOSTILE_WAITING)
        return err;
    return th_dispatcher_set_gates(d, false, false);
}

static int hostile_drained(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_set_gates(d, true, false);
}

static int hostile_end(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_close_when_done(d);
}

static int hostile_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    static const th_dispatcher_ops ops = {
        .name = "echo", .read = hostile_read, .drained = hostile_drained, .close = hostile_end
    };
    th_dispatcher *d;
    (void)arg;
    (void)peer;
    int err = th_dispatcher_new(&ops, NULL, th_dispatcher_map(listener), &d);
    return err < 0 ? err : th_dispatcher_attach(d, fd, 0);
}

/* ---- running it ---- */

static void hostile_listening(const th_addr *addr, void *arg)
{
    hostile_stage *st = arg;
    th_addr_format(addr, st->address, sizeof st->address);
    (void)th_event_set(&st->ready);
}

static int hostile_listen(hostile_stage *st)
{
    static const th_dispatcher_ops ops = { .name = "door", .accepted = hostile_accepted };
    th_dispatcher *d;
    th_addr addr;
    int err = th_dispatch_map_new(NULL, &st->map);
    if (err == 0)
        err = th_dispatcher_new(&ops, NULL, st->map, &d);
    if (err == 0)
        err = th_dispatcher_bind(d, "127.0.0.1:0");
    if (err == 0)
        err = th_dispatcher_listen(d, 0);
    if (err < 0)
        return err;
    th_dispatcher_addr(d, &addr);
    hostile_listening(&addr, st);
    return 0;
}

static int hostile_server(void *arg)
{
    hostile_stage *st = arg;
    if (st->way == HOSTILE_FIBERS) {
        st->served = th_serve("127.0.0.1:0", hostile_fiber, st,
                              &(th_serve_opts){ .listening = hostile_listening });
    } else if (st->way == HOSTILE_PROTOCOLS) {
        st->served = th_protocol_serve("127.0.0.1:0", hostile_protocol, st,
                                       &(th_protocol_serve_opts){ .listening = hostile_listening });
    } else {
        int err = hostile_listen(st);
        if (err == 0)
            err = th_dispatch_map_loop(st->map, TH_NEVER, -1);
        (void)th_dispatch_map_close_all(st->map);
        (void)th_dispatch_map_free(st->map);
        st->served = err;
    }
    (void)th_event_set(&st->ready);
    return 0;
}

/* ---- who is honest ---- */

typedef struct hostile_message {
    hostile_stage *st;
    th_stream *stream;
    size_t size;
    char bytes[HOSTILE_MESSAGE];
} hostile_message;

static int hostile_say(void *arg)
{
    hostile_message *m = arg;
    ssize_t n = th_stream_write(m->stream, m->bytes, m->size);
    hostile_expect(m->st, n == (ssize_t)m->size, n);
    return 0;
}

/* A message and its answer, which is read meanwhile: the buffers between the two may be smaller. */
static void hostile_talk(hostile_stage *st, th_stream *stream, size_t size, unsigned seed)
{
    char heard[HOSTILE_MESSAGE];
    hostile_message m = { .st = st, .stream = stream, .size = size };
    th_scope scope;
    for (size_t i = 0; i < size; i++)
        m.bytes[i] = (char)('a' + (seed + i * 7) % 26);
    int err = th_scope_open(&scope, NULL);
    hostile_expect(st, err == 0, err);
    if (err < 0)
        return;
    err = th_spawn(&scope, hostile_say, &m);
    hostile_expect(st, err == 0, err);
    ssize_t n = th_stream_read_all(stream, heard, size);
    hostile_expect(st, n == (ssize_t)size, n);
    hostile_expect(st, n < 0 || memcmp(m.bytes, heard, size) == 0, seed);
    err = th_scope_close(&scope);
    hostile_expect(st, err == 0, err);
}

static th_stream *hostile_dial(hostile_stage *st)
{
    th_stream *stream = NULL;
    int err = th_dial(st->address, NULL, &stream);
    hostile_expect(st, err == 0, err);
    return stream;
}

/* Ends in order: what was said last is answered, and the end with an end. */
static void hostile_part(hostile_stage *st, th_stream *stream)
{
    char byte;
    int err = th_stream_shutdown(stream);
    hostile_expect(st, err == 0, err);
    ssize_t n = th_stream_read(stream, &byte, 1);
    hostile_expect(st, n == TH_EOF, n);
    th_stream_free(stream);
}

static int honest(void *arg)
{
    hostile_stage *st = arg;
    th_stream *stream = hostile_dial(st);
    if (!stream)
        return 0;
    for (unsigned i = 0; i < HOSTILE_TALKS; i++)
        hostile_talk(st, stream, 1 + i * 64, i);
    hostile_part(st, stream);
    return 0;
}

/* Slow, but within its rights. */
static int byte_by_byte(void *arg)
{
    hostile_stage *st = arg;
    th_stream *stream = hostile_dial(st);
    if (!stream)
        return 0;
    for (unsigned i = 0; i < 200; i++)
        hostile_talk(st, stream, 1, i);
    hostile_part(st, stream);
    return 0;
}

/* ---- who is not ---- */

/* Waits for the end of the scenario, and what it then says is of no interest. */
static void hostile_stay(th_stream *stream)
{
    (void)th_sleep(TH_NEVER);
    th_stream_free(stream);
}

static int half_open(void *arg)
{
    th_stream *stream = hostile_dial(arg);
    if (stream)
        hostile_stay(stream);
    return 0;
}

/* As much as fits into the buffers, which may be too small for all of it and its answer. */
static void hostile_mutter(th_stream *stream, const char *text)
{
    th_scope scope;
    if (th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_SECOND / 5) }) < 0)
        return;
    ssize_t n = th_stream_write(stream, text, strlen(text));
    (void)n;
    (void)th_scope_close(&scope);
}

/* Its answer waits for it, and it for the end. */
static int half_said(void *arg)
{
    th_stream *stream = hostile_dial(arg);
    if (!stream)
        return 0;
    hostile_mutter(stream, "wa");
    hostile_stay(stream);
    return 0;
}

/*
 * As much as the server takes within a time, which must be little. It need not have come to rest: a
 * kernel whose buffers are full may still let through some bytes now and then.
 */
static void hostile_stuff(hostile_stage *st, th_stream *stream)
{
    static const char much[16 * 1024];
    th_scope scope;
    size_t sent = 0;
    ssize_t n;
    if (th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_SECOND / 5) }) < 0)
        return;
    do {
        n = th_stream_write(stream, much, sizeof much);
        sent += sizeof much;
    } while (n > 0 && sent < HOSTILE_TOO_MUCH);
    (void)th_scope_close(&scope);
    hostile_expect(st, n == -ETIMEDOUT || n == -ECANCELED, n);
}

static int never_reads(void *arg)
{
    hostile_stage *st = arg;
    th_stream *stream = hostile_dial(st);
    if (!stream)
        return 0;
    hostile_stuff(st, stream);
    hostile_stay(stream);
    return 0;
}

static void reset_in_state(hostile_stage *st, int state)
{
    char buf[64];
    th_stream *stream = hostile_dial(st);
    if (!stream)
        return;
    if (state == 4) /* the server is stuck with its answers */
        hostile_stuff(st, stream);
    else if (state > 0) /* its answer is on its way, or there */
        hostile_mutter(stream, "weft");
    if (state == 2) /* some of it has been read, and more is said */
        hostile_expect(st, th_stream_read(stream, buf, 1) > 0, state);
    if (state == 2)
        hostile_mutter(stream, "weft");
    if (state == 3) /* the end was said, the answer was not read */
        hostile_expect(st, th_stream_shutdown(stream) == 0, state);
    (void)th_stream_reset(stream);
    th_stream_free(stream);
}

static int resets(void *arg)
{
    for (int state = 0; state <= 4; state++)
        reset_in_state(arg, state);
    return 0;
}

/* ---- the scenario ---- */

static void hostile_spawn(hostile_stage *st, th_scope *scope, int (*fn)(void *arg), int count)
{
    for (int i = 0; i < count; i++) {
        int err = th_spawn(scope, fn, st);
        hostile_expect(st, err == 0, err);
    }
}

static void hostile_clients(hostile_stage *st)
{
    th_scope bad;
    th_scope good;
    hostile_expect(st, th_scope_open(&bad, NULL) == 0, 0);
    hostile_spawn(st, &bad, half_open, HOSTILE_EACH);
    hostile_spawn(st, &bad, half_said, HOSTILE_EACH);
    hostile_spawn(st, &bad, never_reads, HOSTILE_EACH);
    hostile_expect(
        st, th_scope_open(&good, &(th_scope_opts){ .deadline = th_after(HOSTILE_PATIENCE) }) == 0,
        0);
    hostile_spawn(st, &good, resets, HOSTILE_EACH);
    hostile_spawn(st, &good, byte_by_byte, HOSTILE_EACH);
    hostile_spawn(st, &good, honest, HOSTILE_HONEST);
    int err = th_scope_close(&good);
    hostile_expect(st, err == 0, err);
    (void)honest(st); /* all the rest being over, but those who stay */
    (void)th_scope_cancel(&bad, 0);
    (void)th_scope_close(&bad);
}

/* The main fiber: arg is the stage, of which `way` is set. Nothing may be left behind. */
static int hostile_scenario(void *arg)
{
    hostile_stage *st = arg;
    th_scope scope;
    st->wrong[0] = '\0';
    st->served = 77;
    st->ready = (th_event)TH_EVENT_INIT;
    hostile_expect(st, th_scope_open(&scope, NULL) == 0, 0);
    hostile_spawn(st, &scope, hostile_server, 1);
    hostile_expect(st, th_event_wait(&st->ready) == 0, 0);
    hostile_expect(st, st->served == 77, st->served);
    if (st->wrong[0] == '\0')
        hostile_clients(st);
    (void)th_scope_cancel(&scope, 0);
    (void)th_scope_close(&scope);
    hostile_expect(st, st->served == -ECANCELED, st->served);
    return 0;
}

#endif
