/* SPDX-License-Identifier: MIT */

/*
 * TLS by address, with protocols and with fibers, and TLS in the middle, while each system call and
 * each allocation fails in turn.
 */
#include "tls/certs.h"
#include "torture.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/protocol.h>
#include <thrum/serve.h>

#include <sys/socket.h>

static const char ping[] = "There and back again.";

static th_tls *server_tls, *client_tls;
static th_dial_opts dial;
static atomic_int open_now; /* made, and not lost */

/* Nothing is kept from one run for the next. */
static void open_contexts(void)
{
    make_certs();
    server_tls = test_tls(&test_server, (th_tls_opts){ .tickets = TH_TLS_NO_TICKETS });
    client_tls = test_tls(NULL, (th_tls_opts){ .no_sessions = 1 });
    dial = (th_dial_opts){ .tls = client_tls, .tls_name = "server.test" };
}

static void close_contexts(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    free_certs();
}

/* ---- protocols ------------------------------------------------------------------------------- */

static int made(th_transport *t, void *self)
{
    (void)t;
    (void)self;
    atomic_fetch_add(&open_now, 1);
    return 0;
}

static void lost(th_transport *t, void *self, int reason)
{
    (void)t;
    (void)self;
    (void)reason;
    atomic_fetch_sub(&open_now, 1);
}

static int echo(th_transport *t, void *self, th_str data)
{
    (void)self;
    int result = th_transport_write(t, data.ptr, data.len);
    return result < 0 ? result : 0;
}

static const th_protocol echo_protocol = { .connection_made = made,
                                           .data_received = echo,
                                           .connection_lost = lost };

static int make_echo(th_transport *t, void *arg)
{
    return th_transport_set_protocol(t, &echo_protocol, arg);
}

/* Sends, wants the same back, and closes. */
typedef struct client {
    char got[sizeof ping];
    size_t len;
    int result;
    bool over;
    bool plain; /* TLS begins when there is a connection */
} client;

static int send_ping(th_transport *t, void *self, int result)
{
    (void)self;
    if (result == 0)
        result = th_transport_write(t, ping, sizeof ping);
    return result < 0 ? result : 0;
}

static int client_made(th_transport *t, void *self)
{
    client *c = self;
    (void)made(t, self);
    if (c->plain)
        return th_transport_tls_client(t, client_tls, "server.test", send_ping);
    return send_ping(t, self, 0);
}

static int client_data(th_transport *t, void *self, th_str data)
{
    client *c = self;
    ck_assert_uint_le(c->len + data.len, sizeof c->got);
    memcpy(c->got + c->len, data.ptr, data.len);
    c->len += data.len;
    return c->len == sizeof ping ? th_transport_close(t) : 0;
}

static void client_lost(th_transport *t, void *self, int reason)
{
    client *c = self;
    lost(t, NULL, reason);
    c->over = true;
    c->result = reason < 0 ? reason : c->len == sizeof ping ? 0 : TH_ETRUNCATED;
    if (c->len == sizeof ping)
        ck_assert_mem_eq(c->got, ping, sizeof ping);
}

static int make_client(th_transport *t, void *arg)
{
    static const th_protocol protocol = { .connection_made = client_made,
                                          .data_received = client_data,
                                          .connection_lost = client_lost };
    return th_transport_set_protocol(t, &protocol, arg);
}

static void client_failed(void *arg, int error)
{
    client *c = arg;
    c->over = true;
    c->result = error;
}

/* ---- by address ------------------------------------------------------------------------------ */

/* One server and two clients after each other, in one runtime. */
typedef struct service {
    bool fibers;
    th_listener *listener;
    char address[TH_ADDR_TEXT + 8];
    int served; /* results */
    int called;
} service;

static int echo_stream(th_stream *stream, void *arg)
{
    char buf[64];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int serve(void *arg)
{
    service *s = arg;
    if (s->fibers)
        s->served =
            th_serve_on(&s->listener, 1, echo_stream, NULL, &(th_serve_opts){ .tls = server_tls });
    else
        s->served = th_protocol_serve_on(&s->listener, 1, make_echo, NULL,
                                         &(th_protocol_serve_opts){ .tls = server_tls });
    th_listener_close(s->listener);
    return 0;
}

static int call_protocol(service *s)
{
    client c = { .result = 0 };
    th_protocol_opts opts = { .dial = &dial, .failed = client_failed };
    th_scope scope;
    open_scope(&scope);
    int err = th_protocol_connect(s->address, make_client, &c, &opts);
    close_scope(&scope); /* which waits for the connection */
    ck_assert_int_eq(c.over, err == 0);
    return err < 0 ? err : c.result;
}

static int call_stream(service *s)
{
    char got[sizeof ping];
    th_stream *stream;
    int err = th_dial(s->address, &dial, &stream);
    if (err < 0)
        return err;
    ssize_t n = th_stream_write(stream, ping, sizeof ping);
    if (n > 0)
        n = th_stream_read_all(stream, got, sizeof got);
    if (n > 0)
        ck_assert_mem_eq(got, ping, sizeof ping);
    th_stream_free(stream);
    return n < 0 ? (int)n : 0;
}

static int serve_and_call(void *arg)
{
    service *s = arg;
    th_scope scope;
    char place[TH_ADDR_TEXT];
    th_addr addr;
    int err = th_listen("tls://127.0.0.1:0", NULL, &s->listener);
    if (err < 0)
        return err;
    th_listener_addr(s->listener, &addr);
    snprintf(s->address, sizeof s->address, "tls://%s", th_addr_format(&addr, place, sizeof place));
    open_scope(&scope);
    err = th_spawn(&scope, serve, s);
    if (err == 0) {
        s->called = s->fibers ? call_stream(s) : call_protocol(s);
        if (s->called == 0)
            s->called = s->fibers ? call_stream(s) : call_protocol(s);
        ck_assert_int_eq(th_stop(), 0);
    } else {
        th_listener_close(s->listener);
    }
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(atomic_load(&open_now), 0);
    return err;
}

/* ---- in the middle --------------------------------------------------------------------------- */

static int server_made(th_transport *t, void *self)
{
    (void)made(t, self);
    return th_transport_tls_server(t, server_tls, NULL);
}

static int make_server(th_transport *t, void *arg)
{
    static const th_protocol protocol = { .connection_made = server_made,
                                          .data_received = echo,
                                          .connection_lost = lost };
    return th_transport_set_protocol(t, &protocol, arg);
}

static int upgrade_both(void *arg)
{
    service *s = arg;
    client c = { .plain = true };
    th_scope scope;
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    open_scope(&scope);
    s->called = th_protocol_open(fds[0], make_client, &c, NULL);
    if (s->called < 0)
        close(fds[0]);
    int err = th_protocol_open(fds[1], make_server, NULL, NULL);
    if (err < 0)
        close(fds[1]);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(atomic_load(&open_now), 0);
    if (s->called == 0)
        s->called = c.result;
    return err;
}

/* ---- system calls ---------------------------------------------------------------------------- */

/* What may become of a client: its own calls failed, or its server's did, which then ends TLS in
 * some way, or could not even start. */
static bool is_good(const run *r, const service *s, int result)
{
    return is_as_peer_ordered(r, result) || (s->served < 0 && result == -ECONNREFUSED) ||
           (r->hit && (result == -ENOMEM || result == TH_ETLS));
}

static int judged(run *r, service *s, int result)
{
    ck_assert_msg(is_as_ordered(r, result) || (r->hit && result == -ENOMEM), "%s%s: start: %s",
                  torture_now, hit_of(r), th_errname(result));
    ck_assert_msg(is_as_ordered(r, s->served) || (r->hit && s->served == -ENOMEM),
                  "%s%s: server: %s", torture_now, hit_of(r), th_errname(s->served));
    ck_assert_msg(is_good(r, s, s->called), "%s%s: client: %s", torture_now, hit_of(r),
                  th_errname(s->called));
    return 0;
}

static int with_protocols(void *arg)
{
    service s = { .served = 0 };
    int result = torment_body(arg, serve_and_call, &s);
    return judged(arg, &s, result);
}

static int with_fibers(void *arg)
{
    service s = { .fibers = true };
    int result = torment_body(arg, serve_and_call, &s);
    return judged(arg, &s, result);
}

static int in_the_middle(void *arg)
{
    service s = { .served = 0 };
    int result = torment_body(arg, upgrade_both, &s);
    return judged(arg, &s, result);
}

START_TEST(protocols_live_through_what_their_system_calls_do)
{
    torture(1, _i, with_protocols);
}
END_TEST

START_TEST(fibers_do_so_as_well)
{
    torture(2, _i, with_fibers);
}
END_TEST

START_TEST(so_does_who_begins_tls_in_the_middle)
{
    torture_spares_again = true;
    torture(1, _i, in_the_middle);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct lack {
    int64_t n;
    bool met;
    th_fiber_fn body;
    bool fibers;
} lack;

/* Whatever it comes to, it comes to an end, and in success only if nothing was missing. */
static int meet_lack(void *arg)
{
    lack *l = arg;
    service s = { .fibers = l->fibers };
    thi_alloc_fail_at(l->n);
    int result = l->body(&s);
    l->met = thi_alloc_fail_at(0) <= 0;
    if (!l->met)
        ck_assert_msg(result == 0 && s.called == 0 && s.served == 0, "%s, %s, %s",
                      th_errname(result), th_errname(s.called), th_errname(s.served));
    return 0;
}

static void lack_memory(th_fiber_fn body, bool fibers)
{
    lack l = { .n = INT64_MAX, .body = body, .fibers = fibers };
    run_in_fiber(1, 0, meet_lack, &l);
    int64_t live = thi_alloc_live();
    int open = count_open();
    l.n = 0;
    do {
        l.n++;
        (void)snprintf(torture_now, sizeof torture_now, "allocation %lld: ", (long long)l.n);
        (void)signal(SIGALRM, torture_hangs);
        alarm(20);
        run_in_fiber(1, 0, meet_lack, &l);
        alarm(0);
        ck_assert_msg(thi_alloc_live() == live, "%sleaves memory", torture_now);
        ck_assert_msg(count_open() == open, "%sleaves a descriptor", torture_now);
        ck_assert_int_lt(l.n, 2000);
    } while (l.met);
}

START_TEST(protocols_live_through_a_lack_of_memory)
{
    lack_memory(serve_and_call, false);
}
END_TEST

START_TEST(fibers_live_through_a_lack_of_memory)
{
    lack_memory(serve_and_call, true);
}
END_TEST

START_TEST(who_begins_tls_in_the_middle_lives_through_a_lack_of_memory)
{
    lack_memory(upgrade_both, false);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "torture");
    tcase_add_checked_fixture(tcase, open_contexts, close_contexts);
    tcase_set_timeout(tcase, 120);
    add_on_engines(tcase, protocols_live_through_what_their_system_calls_do);
    add_on_engines(tcase, fibers_do_so_as_well);
    add_on_engines(tcase, so_does_who_begins_tls_in_the_middle);
    tcase_add_test(tcase, protocols_live_through_a_lack_of_memory);
    tcase_add_test(tcase, fibers_live_through_a_lack_of_memory);
    tcase_add_test(tcase, who_begins_tls_in_the_middle_lives_through_a_lack_of_memory);
}

int main(void)
{
    return thi_check_run("callback/tls_torture", fill_suite);
}
