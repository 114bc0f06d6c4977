/* SPDX-License-Identifier: MIT */

/* Protocols over TLS: by address, and begun in the middle. */
#include "callback/probe.h"
#include "tls/certs.h"

#include "base/alloc.h"
#include "net/listener.h"
#include "tls/stream.h"

#include <thrum/dial.h>
#include <thrum/reconnect.h>
#include <thrum/serve.h>
#include <thrum/tls_stream.h>

#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>

/* ---- help ------------------------------------------------------------------------------------ */

static th_tls *server_tls, *client_tls;
static th_dial_opts dial; /* with the client's context, and the name that the server has */

static void open_contexts(void)
{
    make_certs();
    server_tls = test_tls(&test_server, (th_tls_opts){ 0 });
    client_tls = test_tls(NULL, (th_tls_opts){ 0 });
    dial = (th_dial_opts){ .tls = client_tls, .tls_name = "server.test" };
}

static void close_contexts(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    free_certs();
}

/* A server, either of protocols or of fibers, on a free port. */
typedef struct server {
    th_listener *listener;
    char address[TH_ADDR_TEXT + 8];
    th_scope scope;
    th_protocol_factory factory;
    void *arg;
    th_serve_fn fn;
    th_protocol_serve_opts opts;
    int result;
} server;

static int serve(void *arg)
{
    server *s = arg;
    if (s->fn)
        s->result =
            th_serve_on(&s->listener, 1, s->fn, s->arg, &(th_serve_opts){ .tls = server_tls });
    else
        s->result = th_protocol_serve_on(&s->listener, 1, s->factory, s->arg, &s->opts);
    return 0;
}

static void start_server(server *s)
{
    char text[TH_ADDR_TEXT];
    ck_assert_int_eq(th_listen("tls://127.0.0.1:0", NULL, &s->listener), 0);
    th_addr_format(&s->listener->addr, text, sizeof text);
    (void)snprintf(s->address, sizeof s->address, "tls://%s", text);
    if (!s->opts.tls)
        s->opts.tls = server_tls;
    open_scope(&s->scope);
    spawn(&s->scope, serve, s);
}

static void wait_for_server(server *s)
{
    th_scope_close(&s->scope);
    th_listener_close(s->listener);
}

static void cancel_server(server *s)
{
    ck_assert_int_eq(th_scope_cancel(&s->scope, 0), 0);
    wait_for_server(s);
    ck_assert_int_eq(s->result, -ECANCELED);
}

static int failure;
static char words[256];

static void on_failed(void *arg, int error)
{
    (void)arg;
    failure = error;
    (void)snprintf(words, sizeof words, "%s", th_err_detail());
    th_event_set(&news);
}

static void connect_probe(probe *p, const char *address)
{
    th_protocol_opts opts = { .dial = &dial, .failed = on_failed };
    p->peer = -1;
    failure = 0;
    ck_assert_int_eq(CALL(th_protocol_connect(address, use_probe, p, &opts)), 0);
}

static void connected_probe(probe *p, const char *address)
{
    connect_probe(p, address);
    await(p->told[0] == 'm' || failure);
    ck_assert_msg(failure == 0, "%s: %s", th_errname(failure), words);
}

static int echo(probe *p, th_str data)
{
    return th_transport_write(p->t, data.ptr, data.len);
}

/* ---- by address ------------------------------------------------------------------------------ */

FIBER_TEST(two_protocols_talk_over_tls_as_over_a_socket)
{
    enum { SIZE = 1 << 20 };
    probe a = { .peer = -1 };
    probe b = { .on_data = echo, .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    char *bytes = pattern(SIZE);
    start_server(&s);
    connected_probe(&a, s.address);
    ck_assert_str_eq(info_of(a.t).carrier, "tls");
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
    ck_assert_ptr_nonnull(strchr(a.told, 's'));
    ck_assert_ptr_nonnull(strchr(a.told, 'e'));
    free(bytes);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

FIBER_TEST(a_close_is_seen_as_the_end)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    start_server(&s);
    connected_probe(&a, s.address);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "warp", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_close(a.t)), 0);
    await(is_lost(&a) && is_lost(&b));
    ck_assert_str_eq(a.told, "ml");
    ck_assert_str_eq(b.told, "mdel");
    got_is(&b, "warp");
    ck_assert_int_eq(a.reason, 0);
    ck_assert_int_eq(b.reason, 0);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

FIBER_TEST(back_pressure_works_too)
{
    enum { SIZE = 8 << 20 };
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    char *bytes = pattern(SIZE);
    start_server(&s);
    connected_probe(&a, s.address);
    await(was_told(&b, "m"));
    ck_assert_int_eq(CALL(th_transport_pause_reading(b.t)), 0);
    ck_assert_int_eq(CALL(th_transport_write(a.t, bytes, SIZE)), 1);
    await(was_told(&a, "mp"));
    let_loop_run();
    ck_assert_uint_eq(b.len, 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(b.t)), 0);
    await(was_told(&a, "mpr") && b.len == SIZE);
    ck_assert_mem_eq(b.got, bytes, SIZE);
    free(bytes);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

static int both_write(probe *p, th_str data)
{
    take(p, data.ptr, data.len);
    return 0;
}

FIBER_TEST(both_may_write_much_at_once)
{
    enum { SIZE = 4 << 20 };
    probe a = { .peer = -1, .on_data = both_write };
    probe b = { .peer = -1, .on_data = both_write };
    server s = { .factory = use_probe, .arg = &b };
    char *bytes = pattern(SIZE);
    start_server(&s);
    connected_probe(&a, s.address);
    await(b.told[0] == 'm');
    ck_assert_int_eq(CALL(th_transport_write(a.t, bytes, SIZE)), 1);
    ck_assert_int_eq(CALL(th_transport_write(b.t, bytes, SIZE)), 1);
    await(a.len == SIZE && b.len == SIZE);
    ck_assert_mem_eq(a.got, bytes, SIZE);
    ck_assert_mem_eq(b.got, bytes, SIZE);
    free(bytes);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

FIBER_TEST(both_ends_know_whom_they_talk_to)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    th_tls_info info = { .size = sizeof info };
    unsigned char cert[2048];
    th_addr addr;
    start_server(&s);
    connected_probe(&a, s.address);
    await(b.told[0] == 'm');
    ck_assert_int_eq(th_transport_tls_info(a.t, &info), 0);
    ck_assert_int_eq(info.server, 0);
    ck_assert_int_eq(info.verified, 1);
    ck_assert_str_eq(info.name, "server.test");
    ck_assert_int_eq(th_transport_tls_info(b.t, &info), 0);
    ck_assert_int_eq(info.server, 1);
    ck_assert_str_eq(info.version_name, "TLSv1.3");
    ssize_t n = th_transport_tls_cert(a.t, TH_TLS_CERTS_SENT, 0, cert, sizeof cert);
    ck_assert_int_eq(n, i2d_X509(test_server.cert, NULL));
    ck_assert_int_eq(th_transport_peer(a.t, &addr), 0);
    ck_assert(th_addr_equal(&addr, &s.listener->addr));
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

/* Ends the socket below, without a word of TLS. */
static int cut_off(th_stream *stream, void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_stream_write(stream, "warp", 4), 4);
    ck_assert_int_eq(th_stream_shutdown(thi_tls_stream_below(stream)), 0);
    return (int)th_stream_read(stream, (char[1]){ 0 }, 1);
}

FIBER_TEST(a_connection_that_is_cut_off_is_told_from_one_that_ended)
{
    probe a = { .peer = -1 };
    server s = { .fn = cut_off };
    start_server(&s);
    connected_probe(&a, s.address);
    await(is_lost(&a));
    ck_assert_str_eq(a.told, "mdl");
    ck_assert_int_eq(a.reason, TH_ETRUNCATED);
    close_probe(&a);
    cancel_server(&s);
}

static int spoil(th_stream *stream, void *arg)
{
    th_stream *below = thi_tls_stream_below(stream);
    (void)arg;
    ck_assert_int_eq(
        th_stream_write(below, "\x17\x03\x03\0\x20 this is not what was agreed on", 37), 37);
    return (int)th_stream_read(stream, (char[1]){ 0 }, 1);
}

static int note_words(probe *p, th_str data)
{
    (void)p;
    (void)data;
    (void)snprintf(words, sizeof words, "%s", th_err_detail());
    return 0;
}

FIBER_TEST(what_is_wrong_with_the_peer_is_told_in_words)
{
    SKIP_UNLESS(!test_wants_kernel(), "the kernel would encrypt what is written below as well");
    probe a = { .peer = -1, .on_lost = note_words };
    server s = { .fn = spoil };
    words[0] = '\0';
    start_server(&s);
    connected_probe(&a, s.address);
    await(is_lost(&a));
    ck_assert_int_eq(a.reason, TH_ETLS);
    ck_assert_str_ne(words, "");
    close_probe(&a);
    cancel_server(&s);
}

static atomic_int parts_sent;

static void on_sent(th_transport *t, void *arg, int result, uint64_t sent)
{
    (void)t;
    (void)arg;
    ck_assert_int_eq(result, 0);
    ck_assert_uint_eq(sent, 300000);
    atomic_fetch_add(&parts_sent, 1);
    th_event_set(&news);
}

FIBER_TEST(a_file_is_sent_between_other_bytes)
{
    char name[] = "/tmp/thrum-tls-file-XXXXXX";
    char *bytes = pattern(300000);
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    int fd = mkstemp(name);
    ck_assert_int_eq(write(fd, bytes, 300000), 300000);
    start_server(&s);
    connected_probe(&a, s.address);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "warp", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_sendfile(a.t, fd, 0, -1, on_sent, NULL)), 0);
    ck_assert_int_ge(CALL(th_transport_write(a.t, "weft", 4)), 0);
    await(b.len == 300008);
    ck_assert_mem_eq(b.got, "warp", 4);
    ck_assert_mem_eq(b.got + 4, bytes, 300000);
    ck_assert_mem_eq(b.got + 300004, "weft", 4);
    await(atomic_load(&parts_sent) == 1);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
    unlink(name);
    close(fd);
    free(bytes);
}

static atomic_int conns_now;

static int count_made(th_transport *t, void *self)
{
    (void)t;
    (void)self;
    atomic_fetch_add(&conns_now, 1);
    return 0;
}

static int send_back(th_transport *t, void *self, th_str data)
{
    (void)self;
    return th_transport_write(t, data.ptr, data.len);
}

static void count_lost(th_transport *t, void *self, int reason)
{
    (void)t;
    (void)self;
    (void)reason;
    atomic_fetch_sub(&conns_now, 1);
}

static int make_counted(th_transport *t, void *arg)
{
    static const th_protocol protocol = { .connection_made = count_made,
                                          .data_received = send_back,
                                          .connection_lost = count_lost };
    return th_transport_set_protocol(t, &protocol, arg);
}

FIBER_TEST(a_second_connection_resumes_the_first)
{
    th_tls_info info = { .size = sizeof info };
    server s = { .factory = make_counted };
    start_server(&s);
    for (int i = 0; i < 2; i++) {
        probe a = { .peer = -1 };
        connected_probe(&a, s.address);
        ck_assert_int_eq(CALL(th_transport_write(a.t, "warp", 4)), 0);
        await(a.len == 4);
        ck_assert_int_eq(th_transport_tls_info(a.t, &info), 0);
        ck_assert_int_eq(info.resumed, i);
        ck_assert_int_eq(CALL(th_transport_close(a.t)), 0);
        await(is_lost(&a));
        close_probe(&a);
    }
    cancel_server(&s);
}

FIBER_TEST_ON(2, many_connections_are_served_on_all_workers)
{
    enum { MANY = 40 };
    th_stream *clients[MANY];
    char got[5] = "";
    server s = { .factory = make_counted };
    start_server(&s);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(th_dial(s.address, &dial, &clients[i]), 0);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(th_stream_write(clients[i], "warp", 4), 4);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(th_stream_read_all(clients[i], got, 4), 4);
        ck_assert_str_eq(got, "warp");
    }
    ck_assert_int_eq(atomic_load(&conns_now), MANY);
    for (int i = 0; i < MANY / 2; i++)
        th_stream_free(clients[i]);
    cancel_server(&s);
    ck_assert_int_eq(atomic_load(&conns_now), 0);
    for (int i = MANY / 2; i < MANY; i++) {
        ck_assert_int_lt(th_stream_read(clients[i], got, 1), 0);
        th_stream_free(clients[i]);
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

static int no_factory(th_transport *t, void *arg)
{
    (void)t;
    (void)arg;
    ck_abort();
}

FIBER_TEST(a_handshake_that_fails_is_told_and_makes_no_transport)
{
    server s = { .factory = no_factory };
    probe a = { .peer = -1 };
    start_server(&s);
    dial.tls_name = "other.test";
    connect_probe(&a, s.address);
    await(failure != 0);
    ck_assert_int_eq(failure, TH_ETLS);
    ck_assert_msg(strstr(words, s.address) != NULL, "%s", words);
    connect_probe(&a, s.address + 6); /* without TLS, but with options for it */
    await(failure != 0);
    ck_assert_int_eq(failure, -EINVAL);
    ck_assert_str_eq(a.told, "");
    cancel_server(&s);
}

static int bare_client(const server *s)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(s->listener->addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    set_nonblocking(fd);
    return fd;
}

static bool is_open(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN;
}

FIBER_TEST(who_does_not_speak_holds_up_nobody_and_is_given_up)
{
    th_tls *hasty = test_tls(&test_server, (th_tls_opts){ .handshake_time = 300 * TH_MILLISECOND });
    probe a = { .peer = -1 };
    probe b = { .on_data = echo, .peer = -1 };
    server s = { .factory = use_probe, .arg = &b, .opts.tls = hasty };
    start_server(&s);
    int silent = bare_client(&s);
    do { /* on a slow machine, again */
        connect_probe(&a, s.address);
        await(a.told[0] == 'm' || failure);
    } while (failure);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "warp", 4)), 0);
    await(a.len == 4);
    while (is_open(silent))
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_str_eq(b.told, "md");
    close(silent);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
    th_tls_unref(hasty);
}

FIBER_TEST(handshakes_under_way_end_with_the_server)
{
    server s = { .factory = no_factory };
    start_server(&s);
    int silent = bare_client(&s);
    let_loop_run();
    ck_assert(is_open(silent));
    cancel_server(&s);
    ck_assert(!is_open(silent));
    close(silent);
}

FIBER_TEST(an_attempt_ends_with_its_scope_or_its_time)
{
    th_listener *deaf;
    char text[TH_ADDR_TEXT], address[TH_ADDR_TEXT + 8];
    probe a = { .peer = -1 };
    th_scope scope;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &deaf), 0);
    (void)snprintf(address, sizeof address, "tls://%s",
                   th_addr_format(&deaf->addr, text, sizeof text));
    th_protocol_opts opts = { .dial = &dial, .failed = on_failed, .time = 20 * TH_MILLISECOND };
    ck_assert_int_eq(th_protocol_connect(address, use_probe, &a, &opts), 0);
    await(failure != 0);
    ck_assert_int_eq(failure, -ETIMEDOUT);
    failure = 0;
    open_scope(&scope);
    opts.time = 0;
    ck_assert_int_eq(th_protocol_connect(address, use_probe, &a, &opts), 0);
    let_loop_run();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(failure, -ECANCELED);
    ck_assert_str_eq(a.told, "");
    th_listener_close(deaf);
}

FIBER_TEST(an_orderly_stop_tells_the_connections)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    start_server(&s);
    connected_probe(&a, s.address);
    await(b.told[0] == 'm');
    ck_assert_int_eq(th_stop(), 0);
    await(was_told(&b, "mq"));
    ck_assert_int_eq(CALL(th_transport_close(b.t)), 0);
    await(is_lost(&a) && is_lost(&b));
    ck_assert_int_eq(a.reason, 0);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
    close_probe(&a);
    close_probe(&b);
}

/* ---- connecting again ------------------------------------------------------------------------ */

FIBER_TEST(a_client_connects_again_over_tls)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    server s = { .factory = use_probe, .arg = &b };
    th_reconnect *r = NULL;
    start_server(&s);
    th_reconnect_opts opts = { .first = TH_MILLISECOND, .dial = &dial };
    ck_assert_int_eq(th_reconnect_start(s.address, use_probe, &a, &opts, &r), 0);
    await(a.told[0] == 'm' && b.told[0] == 'm');
    ck_assert_int_eq(CALL(th_transport_abort(b.t, 0)), 0);
    await(is_lost(&a) && is_lost(&b));
    free(a.got);
    a = b = (probe){ .peer = -1 };
    await(a.told[0] == 'm' && b.told[0] == 'm');
    ck_assert_str_eq(info_of(a.t).carrier, "tls");
    th_reconnect_free(r);
    close_probe(&a);
    close_probe(&b);
    cancel_server(&s);
}

/* ---- in the middle --------------------------------------------------------------------------- */

static int done_a = 77, done_b = 77;

static int on_done_a(th_transport *t, void *self, int result)
{
    probe *p = self;
    ck_assert_ptr_eq(p->t, t);
    ck_assert_ptr_null(thi_worker_self->current);
    done_a = result;
    (void)snprintf(words, sizeof words, "%s", th_err_detail());
    th_event_set(&news);
    return 0;
}

static int on_done_b(th_transport *t, void *self, int result)
{
    (void)t;
    (void)self;
    done_b = result;
    th_event_set(&news);
    return 0;
}

/* Two transports on the two ends of a socket. */
static void open_both(probe *a, probe *b)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    open_probe_on(a, fds[0], fds[1]);
    a->peer = -1;
    ck_assert_int_eq(CALL(th_protocol_open(fds[1], use_probe, b, NULL)), 0);
    b->peer = -1;
    await(a->told[0] == 'm' && b->told[0] == 'm');
    done_a = done_b = 77;
}

static size_t given_back;

/* "starttls\n", perhaps with TLS behind it, which is given back. Answers, unless it has `more`. */
static int on_command(probe *p, th_str data)
{
    size_t len = strlen("starttls\n");
    if (p->len >= len) {
        take(p, data.ptr, data.len);
        return 0;
    }
    size_t part = thi_min(data.len, len - p->len);
    take(p, data.ptr, part);
    if (p->len < len)
        return 0;
    if (!p->more)
        ck_assert_int_eq(th_transport_write(p->t, "go on\n", 6), 0);
    ck_assert_int_eq(th_transport_tls_server(p->t, server_tls, on_done_b), 0);
    given_back = data.len - part;
    return th_transport_unread(p->t, data.ptr + part, data.len - part);
}

FIBER_TEST(tls_begins_in_the_middle_and_no_byte_is_lost)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1, .on_data = on_command };
    th_tls_info info = { .size = sizeof info };
    open_both(&a, &b);
    ck_assert_int_eq(th_transport_tls_info(a.t, &info), -EOPNOTSUPP);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "starttls\n", 9)), 0);
    await(a.len == 6);
    got_is(&a, "go on\n");
    ck_assert_int_eq(CALL(th_transport_tls_client(a.t, client_tls, "server.test", on_done_a)), 0);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "x", 1)), -EBUSY);
    await(done_a != 77 && done_b != 77);
    ck_assert_msg(done_a == 0, "%s: %s", th_errname(done_a), words);
    ck_assert_int_eq(done_b, 0);
    ck_assert_int_eq(th_transport_tls_info(a.t, &info), 0);
    ck_assert_int_eq(info.verified, 1);
    ck_assert_str_eq(info_of(b.t).carrier, "tls");
    ck_assert_int_eq(CALL(th_transport_write(a.t, "weft", 4)), 0);
    await(b.len == 13);
    got_is(&b, "starttls\nweft");
    ck_assert_int_eq(CALL(th_transport_close(b.t)), 0);
    await(is_lost(&a) && is_lost(&b));
    ck_assert_int_eq(a.reason, 0);
    close_probe(&a);
    close_probe(&b);
}

/* The client waits for no answer: its command and its TLS come in one piece. */
FIBER_TEST(tls_that_came_with_the_last_plain_bytes_is_given_back)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1, .on_data = on_command, .more = &b };
    open_both(&a, &b);
    ck_assert_int_eq(CALL(th_transport_pause_reading(b.t)), 0);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "starttls\n", 9)), 0);
    ck_assert_int_eq(CALL(th_transport_tls_client(a.t, client_tls, "server.test", on_done_a)), 0);
    for (int unread = 0; unread <= 9;) { /* until the first of its TLS is there */
        ck_assert_int_eq(ioctl(info_of(b.t).fd, FIONREAD, &unread), 0);
        ck_assert_int_eq(th_yield(), 0);
    }
    ck_assert_int_eq(CALL(th_transport_resume_reading(b.t)), 0);
    await(done_a != 77 && done_b != 77);
    ck_assert_int_eq(done_a, 0);
    ck_assert_int_eq(done_b, 0);
    ck_assert_uint_gt(given_back, 100);
    ck_assert_int_eq(CALL(th_transport_write(a.t, "weft", 4)), 0);
    await(b.len == 13);
    got_is(&b, "starttls\nweft");
    close_probe(&a);
    close_probe(&b);
}

FIBER_TEST(a_handshake_in_the_middle_that_fails_ends_the_connection)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    open_both(&a, &b);
    ck_assert_int_eq(CALL(th_transport_tls_server(b.t, server_tls, NULL)), 0);
    ck_assert_int_eq(CALL(th_transport_tls_client(a.t, client_tls, "other.test", on_done_a)), 0);
    await(is_lost(&a) && is_lost(&b));
    ck_assert_int_eq(done_a, TH_ETLS);
    ck_assert_str_ne(words, "");
    ck_assert_int_eq(a.reason, TH_ETLS);
    ck_assert_int_lt(b.reason, 0);
    close_probe(&a);
    close_probe(&b);
}

FIBER_TEST(a_transport_may_end_in_the_middle_of_a_handshake)
{
    for (int way = 0; way < 3; way++) {
        probe a = { .peer = -1 };
        th_addr addr;
        open_tcp_probe(&a);
        await(a.told[0] == 'm');
        done_a = 77;
        ck_assert_int_eq(CALL(th_transport_tls_client(a.t, client_tls, "server.test", on_done_a)),
                         0);
        if (way > 0) {
            char byte;
            ck_assert_uint_eq(peer_takes(&a, &byte, 1), 1); /* it has begun */
            ck_assert_int_eq(th_transport_peer(a.t, &addr), -EBUSY);
            ck_assert_int_eq(CALL(th_transport_unread(a.t, "x", 1)), -EBUSY);
        }
        if (way == 2)
            ck_assert_int_eq(CALL(th_transport_abort(a.t, 0)), 0);
        else
            ck_assert_int_eq(CALL(th_transport_close(a.t)), 0);
        await(is_lost(&a));
        ck_assert_int_eq(done_a, 77);
        close_probe(&a);
    }
}

FIBER_TEST(what_was_written_before_leaves_first)
{
    enum { SIZE = 4 << 20 };
    probe a = { .peer = -1 };
    char *bytes = pattern(SIZE);
    char *got = malloc(SIZE);
    open_tcp_probe(&a);
    await(a.told[0] == 'm');
    ck_assert_int_eq(CALL(th_transport_write(a.t, bytes, SIZE)), 1);
    ck_assert_int_eq(CALL(th_transport_tls_client(a.t, client_tls, "server.test", NULL)), 0);
    ck_assert_uint_eq(peer_takes(&a, got, SIZE), SIZE);
    ck_assert_mem_eq(got, bytes, SIZE);
    ck_assert_uint_eq(peer_takes(&a, got, 2), 2);
    ck_assert_mem_eq(got, "\x16\x03", 2);
    free(bytes);
    free(got);
    close_probe(&a);
}

FIBER_TEST(misuse_in_the_middle_is_refused)
{
    probe a = { .peer = -1 };
    probe b = { .peer = -1 };
    probe m[2] = { { .peer = -1 }, { .peer = -1 } };
    void *both[2] = { &m[0], &m[1] };
    th_tls_info info = { .size = sizeof info };
    open_both(&a, &b);
    ck_assert_int_eq(th_transport_tls_server(NULL, server_tls, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_tls_server(a.t, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_tls_info(a.t, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_tls_cert(a.t, TH_TLS_CERTS_SENT, 0, NULL, 0), -EOPNOTSUPP);
    ck_assert_int_eq(th_protocol_pair(use_probe, both, NULL), 0);
    await(m[0].told[0] == 'm' && m[1].told[0] == 'm');
    ck_assert_int_eq(th_transport_tls_server(m[0].t, server_tls, NULL), -EOPNOTSUPP);
    ck_assert_int_eq(th_transport_tls_client(a.t, client_tls, "server.test", NULL), 0);
    ck_assert_int_eq(th_transport_tls_client(a.t, client_tls, "server.test", NULL), -EBUSY);
    ck_assert_int_eq(th_transport_write_eof(a.t), -EBUSY);
    ck_assert_int_eq(th_transport_try_write(a.t, "x", 1), -EBUSY);
    ck_assert_int_eq(th_transport_sendfile(a.t, 0, 0, 1, NULL, NULL), -EBUSY);
    ck_assert_int_eq(th_transport_write_eof(b.t), 0);
    ck_assert_int_eq(th_transport_tls_server(b.t, server_tls, NULL), -EPIPE);
    th_transport *kept = th_transport_ref(a.t);
    close_probe(&a);
    ck_assert_int_eq(th_transport_tls_client(kept, client_tls, "server.test", NULL), -EBADF);
    ck_assert_int_eq(th_transport_tls_info(kept, &info), -EBADF);
    th_transport_unref(kept);
    close_probe(&b);
    close_probe(&m[0]);
    close_probe(&m[1]);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "address");
    tcase_add_checked_fixture(tcase, open_contexts, close_contexts);
    add_on_engines(tcase, two_protocols_talk_over_tls_as_over_a_socket);
    add_on_engines(tcase, a_close_is_seen_as_the_end);
    add_on_engines(tcase, back_pressure_works_too);
    add_on_engines(tcase, both_may_write_much_at_once);
    tcase_add_test(tcase, both_ends_know_whom_they_talk_to);
    add_on_engines(tcase, a_connection_that_is_cut_off_is_told_from_one_that_ended);
    tcase_add_test(tcase, what_is_wrong_with_the_peer_is_told_in_words);
    tcase_add_test(tcase, a_file_is_sent_between_other_bytes);
    tcase_add_test(tcase, a_second_connection_resumes_the_first);
    add_on_engines(tcase, many_connections_are_served_on_all_workers);
    tcase_add_test(tcase, a_handshake_that_fails_is_told_and_makes_no_transport);
    add_on_engines(tcase, who_does_not_speak_holds_up_nobody_and_is_given_up);
    tcase_add_test(tcase, handshakes_under_way_end_with_the_server);
    tcase_add_test(tcase, an_attempt_ends_with_its_scope_or_its_time);
    tcase_add_test(tcase, an_orderly_stop_tells_the_connections);
    tcase_add_test(tcase, a_client_connects_again_over_tls);

    tcase = thi_check_case(suite, "middle");
    tcase_add_checked_fixture(tcase, open_contexts, close_contexts);
    add_on_engines(tcase, tls_begins_in_the_middle_and_no_byte_is_lost);
    tcase_add_test(tcase, tls_that_came_with_the_last_plain_bytes_is_given_back);
    tcase_add_test(tcase, a_handshake_in_the_middle_that_fails_ends_the_connection);
    tcase_add_test(tcase, a_transport_may_end_in_the_middle_of_a_handshake);
    add_on_engines(tcase, what_was_written_before_leaves_first);
    tcase_add_test(tcase, misuse_in_the_middle_is_refused);
}

int main(void)
{
    return thi_check_run("callback/tls", fill_suite);
}
