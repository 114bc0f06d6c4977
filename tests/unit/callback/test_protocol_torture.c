/* SPDX-License-Identifier: MIT */

/* Connecting and serving with protocols while each system call of them fails in turn. */
#include "torture.h"

#include <thrum/addr.h>
#include <thrum/event.h>
#include <thrum/protocol.h>

#include <stdatomic.h>

static const char ping[] = "There and back again.";

/* One server and one client after the other, in one runtime. */
typedef struct service {
    th_listener *listener;
    char address[TH_ADDR_TEXT];
    int served; /* results */
    int called;
} service;

static atomic_int open_now; /* made, and not lost */

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

/* ---- the server ------------------------------------------------------------------------------ */

static int echo(th_transport *t, void *self, th_str data)
{
    (void)self;
    int result = th_transport_write(t, data.ptr, data.len);
    return result < 0 ? result : 0;
}

static int make_echo(th_transport *t, void *arg)
{
    static const th_protocol protocol = { .connection_made = made,
                                          .data_received = echo,
                                          .connection_lost = lost };
    return th_transport_set_protocol(t, &protocol, arg);
}

static int serve(void *arg)
{
    service *s = arg;
    s->served = th_protocol_serve_on(&s->listener, 1, make_echo, NULL, NULL);
    th_listener_close(s->listener);
    return 0;
}

/* ---- the client ------------------------------------------------------------------------------ */

typedef struct client {
    th_transport *t;
    char got[sizeof ping];
    size_t len;
    int result;
    bool over;
} client;

static int client_made(th_transport *t, void *self)
{
    (void)made(t, self);
    int result = th_transport_write(t, ping, sizeof ping);
    return result < 0 ? result : 0;
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

static int call(service *s)
{
    client c = { .result = 0 };
    th_protocol_opts opts = { .failed = client_failed };
    th_scope scope;
    open_scope(&scope);
    int err = th_protocol_connect(s->address, make_client, &c, &opts);
    close_scope(&scope); /* which waits for the connection */
    ck_assert_int_eq(c.over, err == 0);
    return err < 0 ? err : c.result;
}

static int serve_and_call(void *arg)
{
    service *s = arg;
    th_scope scope;
    th_addr addr;
    int err = th_listen("127.0.0.1:0", NULL, &s->listener);
    if (err < 0)
        return err;
    th_listener_addr(s->listener, &addr);
    th_addr_format(&addr, s->address, sizeof s->address);
    open_scope(&scope);
    err = th_spawn(&scope, serve, s);
    if (err == 0) {
        s->called = call(s);
        if (s->called == 0)
            s->called = call(s);
        ck_assert_int_eq(th_stop(), 0);
    } else {
        th_listener_close(s->listener);
    }
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(atomic_load(&open_now), 0);
    return err;
}

/* What a client may get: where the server could not start, nobody listens. */
static bool is_good(const run *r, const service *s, int result)
{
    return is_as_peer_ordered(r, result) || (s->served < 0 && result == -ECONNREFUSED) ||
           (r->hit && result == -ENOMEM);
}

static int talking(void *arg)
{
    run *r = arg;
    service s = { .served = 0 };
    int result = torment_body(r, serve_and_call, &s);
    ck_assert_msg(is_as_ordered(r, result) || (r->hit && result == -ENOMEM), "%s%s: start: %s",
                  torture_now, hit_of(r), th_errname(result));
    ck_assert_msg(is_as_ordered(r, s.served) || (r->hit && s.served == -ENOMEM), "%s%s: server: %s",
                  torture_now, hit_of(r), th_errname(s.served));
    ck_assert_msg(is_good(r, &s, s.called), "%s%s: client: %s", torture_now, hit_of(r),
                  th_errname(s.called));
    return 0;
}

START_TEST(both_ends_live_through_what_their_system_calls_do)
{
    torture(1, _i, talking);
}
END_TEST

START_TEST(on_two_workers_as_well)
{
    torture(2, _i, talking);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "torture");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, both_ends_live_through_what_their_system_calls_do);
    add_on_engines(tcase, on_two_workers_as_well);
}

int main(void)
{
    return thi_check_run("callback/protocol_torture", fill_suite);
}
