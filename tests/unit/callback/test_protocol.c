/* SPDX-License-Identifier: MIT */

/* The same protocol over everything that carries it; connecting; serving. */
#include "callback/probe.h"

#include "base/alloc.h"
#include "net/listener.h"

#include <thrum/dial.h>
#include <thrum/future.h>
#include <thrum/queue.h>
#include <thrum/serve.h>

#include <stdatomic.h>
#include <stdio.h>

static int echo(probe *p, th_str data)
{
    return th_transport_write(p->t, data.ptr, data.len);
}

/* ---- carriers -------------------------------------------------------------------------------- */

FIBER_TEST(a_pipe_is_read_to_its_end)
{
    probe p = { .peer = -1 };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    open_probe_on(&p, ends[0], ends[1]);
    peer_sends(&p, "warp");
    await(p.len == 4);
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdel");
    ck_assert_int_eq(p.reason, 0);
    close_probe(&p);
}

FIBER_TEST(a_pipe_is_written_and_its_end_closes_it)
{
    static const th_protocol writer = { .connection_made = probe_made,
                                        .eof_sent = probe_eof_sent,
                                        .connection_lost = probe_lost };
    probe p = { .protocol = &writer };
    int ends[2];
    th_addr addr = { .kind = TH_ADDR_IP4 };
    ck_assert_int_eq(pipe(ends), 0);
    open_probe_on(&p, ends[1], ends[0]);
    ck_assert_int_eq(th_transport_peer(p.t, &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_NONE);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "weft", 4)), 0);
    peer_gets(&p, "weft");
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "msl");
    peer_sees_the_end(&p);
    close_probe(&p);
}

FIBER_TEST(a_writer_hears_that_nobody_reads_the_pipe_any_more)
{
    probe p = { .peer = -1 };
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    open_probe_on(&p, ends[1], ends[0]);
    await(was_told(&p, "m"));
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, -EPIPE);
    close_probe(&p);
}

FIBER_TEST(in_memory_two_talk_as_over_a_socket)
{
    enum { SIZE = 1 << 20 };
    probe a = { .peer = -1 };
    probe b = { .on_data = echo, .peer = -1 };
    void *both[2] = { &a, &b };
    char *bytes = pattern(SIZE);
    ck_assert_int_eq(CALL(th_protocol_pair(use_probe, both, NULL)), 0);
    ck_assert_str_eq(a.told, "");
    ck_assert_str_eq(info_of(a.t).carrier, "memory");
    ck_assert_int_eq(info_of(a.t).fd, -1);
    for (size_t at = 0; at < SIZE; at += 1000)
        ck_assert_int_ge(
            CALL(th_transport_write(a.t, bytes + at, thi_min((size_t)1000, SIZE - at))), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(a.t)), 0);
    await(is_lost(&b)); /* it does not keep open, and has sent all back */
    await(is_lost(&a));
    ck_assert_uint_eq(a.len, SIZE);
    ck_assert_mem_eq(a.got, bytes, SIZE);
    ck_assert_int_eq(a.reason, 0);
    ck_assert_int_eq(b.reason, 0);
    free(bytes);
    close_probe(&a);
    close_probe(&b);
}

FIBER_TEST(in_memory_the_end_right_after_the_bytes_is_seen)
{
    probe a = { .peer = -1 };
    probe b = { .on_data = echo, .peer = -1 };
    void *both[2] = { &a, &b };
    ck_assert_int_eq(CALL(th_protocol_pair(use_probe, both, NULL)), 0);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "warp", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(a.t)), 0);
    await(is_lost(&a) && is_lost(&b));
    ck_assert_str_eq(b.told, "mdel");
    got_is(&a, "warp");
    close_probe(&a);
    close_probe(&b);
}

FIBER_TEST(in_memory_back_pressure_works_too)
{
    static char bytes[1 << 20];
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    void *both[2] = { &a, &b };
    ck_assert_int_eq(th_protocol_pair(use_probe, both, NULL), 0);
    await(was_told(&b, "m"));
    ck_assert_int_eq(CALL(th_transport_pause_reading(b.t)), 0);
    ck_assert_int_eq(CALL(th_transport_write(a.t, bytes, sizeof bytes)), 1);
    ck_assert_uint_eq(info_of(a.t).waiting, sizeof bytes - 65536);
    await(was_told(&a, "mp"));
    let_loop_run();
    ck_assert_uint_eq(b.len, 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(b.t)), 0);
    await(was_told(&a, "mpr") && b.len == sizeof bytes);
    ck_assert_int_eq(CALL(th_transport_abort(a.t, 0)), 0);
    await(is_lost(&b));
    ck_assert_int_eq(b.reason, -ECONNRESET);
    close_probe(&a);
    close_probe(&b);
}

static int only_the_first(th_transport *t, void *arg)
{
    return arg ? use_probe(t, arg) : -EPROTO;
}

FIBER_TEST(when_the_second_end_cannot_be_made_the_first_sees_the_end)
{
    probe a = { .peer = -1 };
    void *both[2] = { &a, NULL };
    void *none[2] = { NULL, &a };
    ck_assert_int_eq(th_protocol_pair(only_the_first, none, NULL), -EPROTO);
    ck_assert_int_eq(th_protocol_pair(only_the_first, both, NULL), -EPROTO);
    await(is_lost(&a));
    ck_assert_str_eq(a.told, "mel");
    close_probe(&a);
}

/* ---- serving --------------------------------------------------------------------------------- */

typedef struct server {
    th_listener *listener;
    char address[TH_ADDR_TEXT];
    th_scope scope;
    th_protocol_factory factory;
    th_protocol_serve_opts opts;
    int result;
} server;

static atomic_int open_now;
static atomic_int made_on[4];
static atomic_int reasons[2]; /* connections lost in order, and otherwise */

typedef struct conn {
    bool echoed;
} conn;

static int conn_made(th_transport *t, void *self)
{
    (void)t;
    (void)self;
    atomic_fetch_add(&open_now, 1);
    atomic_fetch_add(&made_on[thi_worker_self->index], 1);
    return 0;
}

static int conn_data(th_transport *t, void *self, th_str data)
{
    (void)self;
    return th_transport_write(t, data.ptr, data.len);
}

static void conn_lost(th_transport *t, void *self, int reason)
{
    (void)t;
    atomic_fetch_sub(&open_now, 1);
    atomic_fetch_add(&reasons[reason < 0], 1);
    free(self);
}

static void conn_stopping(th_transport *t, void *self)
{
    (void)self;
    th_transport_write(t, "bye", 3);
    th_transport_close(t);
}

static const th_protocol echo_protocol = { .connection_made = conn_made,
                                           .data_received = conn_data,
                                           .connection_lost = conn_lost };
static const th_protocol polite_protocol = { .connection_made = conn_made,
                                             .data_received = conn_data,
                                             .stopping = conn_stopping,
                                             .connection_lost = conn_lost };

static int make_echo(th_transport *t, void *arg)
{
    (void)arg;
    return th_transport_set_protocol(t, &echo_protocol, calloc(1, sizeof(conn)));
}

static int make_polite(th_transport *t, void *arg)
{
    (void)arg;
    return th_transport_set_protocol(t, &polite_protocol, calloc(1, sizeof(conn)));
}

static int serve(void *arg)
{
    server *s = arg;
    s->result = th_protocol_serve_on(&s->listener, 1, s->factory, s, &s->opts);
    return 0;
}

static void start_server(server *s, const char *address)
{
    th_addr addr;
    ck_assert_int_eq(th_listen(address, NULL, &s->listener), 0);
    th_listener_addr(s->listener, &addr);
    th_addr_format(&addr, s->address, sizeof s->address);
    open_scope(&s->scope);
    spawn(&s->scope, serve, s);
}

static void wait_for_server(server *s)
{
    th_scope_close(&s->scope);
    th_listener_close(s->listener);
}

static th_stream *call(server *s)
{
    th_stream *stream;
    ck_assert_int_eq(th_dial(s->address, NULL, &stream), 0);
    return stream;
}

static void exchange(th_stream *stream, const char *text)
{
    char got[64] = "";
    ck_assert_int_eq(th_stream_write(stream, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(th_stream_read_all(stream, got, strlen(text)), (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
}

FIBER_TEST_ON(2, connections_are_served_until_the_server_is_cancelled)
{
    th_stream *clients[20];
    char byte;
    for (int round = 0; round < 2; round++) {
        server s = { .factory = make_echo };
        start_server(&s, round ? "unix:@thrum-test-protocol" : "127.0.0.1:0");
        for (size_t i = 0; i < thi_array_len(clients); i++)
            clients[i] = call(&s);
        for (size_t i = 0; i < thi_array_len(clients); i++)
            exchange(clients[i], "warp and weft");
        ck_assert_int_eq(atomic_load(&open_now), 20);
        ck_assert_int_eq(th_scope_cancel(&s.scope, 0), 0);
        wait_for_server(&s);
        ck_assert_int_eq(s.result, -ECANCELED);
        ck_assert_int_eq(atomic_load(&open_now), 0);
        for (size_t i = 0; i < thi_array_len(clients); i++) {
            ck_assert_int_lt(th_stream_read(clients[i], &byte, 1), 0);
            th_stream_free(clients[i]);
        }
    }
    ck_assert_int_eq(atomic_load(&reasons[1]), 40);
    ck_assert_int_gt(atomic_load(&made_on[0]), 0);
    ck_assert_int_gt(atomic_load(&made_on[1]), 0);
}

FIBER_TEST_ON(2, an_orderly_stop_tells_the_connections_and_waits_for_them)
{
    th_stream *clients[4];
    th_stream *late;
    char bye[4] = "";
    server s = { .factory = make_polite };
    start_server(&s, "127.0.0.1:0");
    for (size_t i = 0; i < thi_array_len(clients); i++) {
        clients[i] = call(&s);
        exchange(clients[i], "hello");
    }
    ck_assert_int_eq(th_stop(), 0);
    for (size_t i = 0; i < thi_array_len(clients); i++) {
        ck_assert_int_eq(th_stream_read_all(clients[i], bye, 3), 3);
        ck_assert_str_eq(bye, "bye");
        ck_assert_int_eq(th_stream_read(clients[i], bye, 1), TH_EOF);
        th_stream_free(clients[i]);
    }
    th_scope_close(&s.scope);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(th_dial(s.address, NULL, &late), -ECONNREFUSED);
    th_listener_close(s.listener);
    ck_assert_int_eq(atomic_load(&reasons[0]), 4);
}

FIBER_TEST(connections_go_on_when_the_server_stops_until_they_end)
{
    server s = { .factory = make_echo };
    start_server(&s, "127.0.0.1:0");
    th_stream *client = call(&s);
    exchange(client, "before");
    ck_assert_int_eq(th_stop(), 0);
    let_loop_run();
    exchange(client, "after");
    ck_assert_int_eq(s.result, 0);
    th_stream_free(client);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(atomic_load(&reasons[0]), 1);
}

FIBER_TEST(of_more_connections_than_the_limit_the_rest_wait)
{
    char byte;
    server s = { .factory = make_echo, .opts = { .max_connections = 1 } };
    start_server(&s, "127.0.0.1:0");
    th_stream *first = call(&s);
    exchange(first, "first");
    th_stream *second = call(&s);
    ck_assert_int_eq(th_stream_write(second, "s", 1), 1);
    let_loop_run();
    ck_assert_int_eq(atomic_load(&open_now), 1);
    th_stream_free(first);
    ck_assert_int_eq(th_stream_read_all(second, &byte, 1), 1);
    th_stream_free(second);
    ck_assert_int_eq(th_scope_cancel(&s.scope, 0), 0);
    wait_for_server(&s);
}

static int refuse(th_transport *t, void *arg)
{
    (void)t;
    (void)arg;
    return -EPERM;
}

FIBER_TEST(a_factory_that_fails_drops_its_connection_and_no_other)
{
    char byte;
    server s = { .factory = refuse };
    start_server(&s, "127.0.0.1:0");
    for (int i = 0; i < 3; i++) {
        th_stream *client = call(&s);
        ck_assert_int_eq(th_stream_read(client, &byte, 1), TH_EOF);
        th_stream_free(client);
    }
    ck_assert_int_eq(th_stop(), 0);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
}

FIBER_TEST(misuse_of_serving_is_refused)
{
    server s = { .factory = make_echo };
    th_protocol_serve_opts newer = { .size = sizeof newer + 1 };
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &s.listener), 0);
    ck_assert_int_eq(th_protocol_serve_on(NULL, 1, make_echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_serve_on(&s.listener, 0, make_echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_serve_on(&s.listener, 65, make_echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_serve_on(&s.listener, 1, NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_serve_on(&s.listener, 1, make_echo, NULL, &newer), -EINVAL);
    ck_assert_int_eq(th_protocol_serve("no address", make_echo, NULL, NULL), TH_EADDRESS);
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_protocol_serve("127.0.0.1:0", make_echo, NULL, NULL), -ECANCELED);
    close_scope(&scope);
    th_listener_close(s.listener);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int failure; /* 1: none was told */

static void on_failed(void *arg, int error)
{
    (void)arg;
    ck_assert(!inside);
    ck_assert_ptr_null(thi_worker_self->current);
    ck_assert_int_eq(failure, 1);
    failure = error;
    th_event_set(&news);
}

static const th_protocol_opts told_opts = { .failed = on_failed };

FIBER_TEST(who_connects_is_made_when_there_is_a_connection)
{
    th_addr addr;
    char text[TH_ADDR_TEXT];
    server s = { .factory = make_echo };
    probe p = { .peer = -1 };
    start_server(&s, "127.0.0.1:0");
    failure = 1;
    ck_assert_int_eq(CALL(th_protocol_connect(s.address, use_probe, &p, &told_opts)), 0);
    ck_assert_ptr_null(p.t);
    await(was_told(&p, "m"));
    ck_assert_int_eq(th_transport_peer(p.t, &addr), 0);
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), s.address);
    ck_assert_int_eq(th_transport_local(p.t, &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_IP4);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "warp", 4)), 0);
    await(p.len == 4);
    ck_assert_int_eq(failure, 1);
    close_probe(&p);
    ck_assert_int_eq(th_scope_cancel(&s.scope, 0), 0);
    wait_for_server(&s);
}

FIBER_TEST(who_cannot_connect_is_told_once_by_the_loop)
{
    probe p = { .peer = -1 };
    failure = 1;
    ck_assert_int_eq(CALL(th_protocol_connect("127.0.0.1:1", use_probe, &p, &told_opts)), 0);
    await(failure != 1);
    ck_assert_int_eq(failure, -ECONNREFUSED);
    failure = 1;
    ck_assert_int_eq(CALL(th_protocol_connect("no address", use_probe, &p, &told_opts)), 0);
    await(failure != 1);
    ck_assert_int_eq(failure, TH_EADDRESS);
    ck_assert_int_eq(th_protocol_connect("127.0.0.1:1", use_probe, &p, NULL), 0);
    ck_assert_int_eq(th_protocol_connect(NULL, use_probe, &p, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_connect("127.0.0.1:1", NULL, &p, NULL), -EINVAL);
    ck_assert_ptr_null(p.t);
}

/* A listener whose queue is full leaves a client waiting. */
static int full_listener(char *address, size_t size, int clients[4])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        set_nonblocking(clients[i]);
        (void)!connect(clients[i], (struct sockaddr *)&in, len);
    }
    snprintf(address, size, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

FIBER_TEST(an_attempt_ends_with_its_time_or_its_scope)
{
    char address[TH_ADDR_TEXT];
    int clients[4];
    probe p = { .peer = -1 };
    th_scope scope;
    int fd = full_listener(address, sizeof address, clients);
    th_protocol_opts timed = { .failed = on_failed, .time = 20 * TH_MILLISECOND };
    failure = 1;
    ck_assert_int_eq(th_protocol_connect(address, use_probe, &p, &timed), 0);
    await(failure != 1);
    ck_assert_int_eq(failure, -ETIMEDOUT);
    open_scope(&scope);
    failure = 1;
    ck_assert_int_eq(th_protocol_connect(address, use_probe, &p, &told_opts), 0);
    let_loop_run();
    ck_assert_int_eq(failure, 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_int_eq(failure, -ECANCELED);
    ck_assert_ptr_null(p.t);
    for (int i = 0; i < 4; i++)
        close(clients[i]);
    close(fd);
}

/* ---- callbacks and fibers -------------------------------------------------------------------- */

/* What a fiber waits for and a callback delivers. */
typedef struct answers {
    probe p; /* first */
    th_promise *promise;
    th_queue *queue;
} answers;

static int deliver(probe *p, th_str data)
{
    answers *a = (answers *)(void *)p;
    if (a->promise)
        return th_promise_set(a->promise, (int)data.len);
    static char items[16];
    for (size_t i = 0; i < data.len; i++) {
        items[i] = data.ptr[i];
        ck_assert_int_eq(th_queue_tryput(a->queue, &items[i]), 0);
    }
    return 0;
}

FIBER_TEST(a_fiber_awaits_what_a_callback_delivers)
{
    answers a = { .p = { .on_data = deliver } };
    th_future *future;
    int result = 0;
    void *item;
    open_probe(&a.p);
    ck_assert_int_eq(th_promise_new(&a.promise, &future), 0);
    peer_sends(&a.p, "seven..");
    ck_assert_int_eq(th_future_wait(future, &result), 0);
    ck_assert_int_eq(result, 7);
    th_promise_free(a.promise);
    th_future_unref(future);
    a.promise = NULL;
    ck_assert_int_eq(th_queue_new(NULL, &a.queue), 0);
    peer_sends(&a.p, "abc");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(th_queue_get(a.queue, &item), 0);
        ck_assert_int_eq(*(char *)item, 'a' + i);
    }
    th_queue_free(a.queue);
    close_probe(&a.p);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void on_attempt_failed(void *arg, int error)
{
    probe *p = arg;
    ck_assert_int_eq(error, -ENOMEM);
    p->reason = error;
}

/* A pair, and a client of a server that has no memory either. */
static void talk_without_memory(const char *address)
{
    probe a = { .peer = -1 };
    probe b = { .on_data = echo, .peer = -1 };
    probe c = { .peer = -1 };
    void *both[2] = { &a, &b };
    th_protocol_opts opts = { .failed = on_attempt_failed };
    th_scope scope;
    open_scope(&scope);
    int err = th_protocol_pair(use_probe, both, NULL);
    ck_assert(err == 0 || err == -ENOMEM);
    if (err == 0) {
        (void)th_transport_write(a.t, "warp", 4);
        (void)th_transport_write_eof(a.t);
    }
    err = th_protocol_connect(address, use_probe, &c, &opts);
    ck_assert(err == 0 || err == -ENOMEM);
    while (err == 0 && c.told[0] == 0 && c.reason == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    if (c.t)
        (void)th_transport_close(c.t);
    (void)th_scope_close(&scope);
    ck_assert(a.t == NULL && b.t == NULL && c.t == NULL);
    free(a.got);
    free(b.got);
    free(c.got);
}

FIBER_TEST(each_allocation_may_fail)
{
    server s = { .factory = make_echo };
    start_server(&s, "127.0.0.1:0");
    let_loop_run();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        talk_without_memory(s.address);
        if (thi_alloc_fail_at(0) > 0)
            break;
    }
    ck_assert_int_eq(th_stop(), 0);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(atomic_load(&open_now), 0);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "carriers");
    add_on_engines(tcase, a_pipe_is_read_to_its_end);
    add_on_engines(tcase, a_pipe_is_written_and_its_end_closes_it);
    add_on_engines(tcase, a_writer_hears_that_nobody_reads_the_pipe_any_more);
    tcase_add_test(tcase, in_memory_two_talk_as_over_a_socket);
    tcase_add_test(tcase, in_memory_the_end_right_after_the_bytes_is_seen);
    tcase_add_test(tcase, in_memory_back_pressure_works_too);
    tcase_add_test(tcase, when_the_second_end_cannot_be_made_the_first_sees_the_end);
    tcase = thi_check_case(suite, "serving");
    add_on_engines(tcase, connections_are_served_until_the_server_is_cancelled);
    add_on_engines(tcase, an_orderly_stop_tells_the_connections_and_waits_for_them);
    add_on_engines(tcase, connections_go_on_when_the_server_stops_until_they_end);
    tcase_add_test(tcase, of_more_connections_than_the_limit_the_rest_wait);
    tcase_add_test(tcase, a_factory_that_fails_drops_its_connection_and_no_other);
    tcase_add_test(tcase, misuse_of_serving_is_refused);
    tcase = thi_check_case(suite, "connecting");
    add_on_engines(tcase, who_connects_is_made_when_there_is_a_connection);
    add_on_engines(tcase, who_cannot_connect_is_told_once_by_the_loop);
    add_on_engines(tcase, an_attempt_ends_with_its_time_or_its_scope);
    tcase = thi_check_case(suite, "fibers");
    add_on_engines(tcase, a_fiber_awaits_what_a_callback_delivers);
    tcase = thi_check_case(suite, "memory");
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/protocol", fill_suite);
}
