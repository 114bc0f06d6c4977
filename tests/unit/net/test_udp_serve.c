/* SPDX-License-Identifier: MIT */

/* Serving datagrams on every worker, and the orderly stop. */
#include "net/udp_sockets.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct service {
    char address[TH_ADDR_TEXT];
    th_addr addr;
    bool listening;
    atomic_int parts;    /* that have begun */
    atomic_int received; /* datagrams */
    atomic_uint by_worker[4];
    int fail_with; /* what the second part returns at once */
    bool holds_on; /* after the end */
    int result;
} service;

static void listening(const th_addr *addr, void *arg)
{
    service *s = arg;
    s->addr = *addr;
    s->listening = true;
}

static int echo(th_udp *udp, void *arg)
{
    service *s = arg;
    char buf[64];
    th_addr from;
    ssize_t n;
    if (atomic_fetch_add(&s->parts, 1) == 1 && s->fail_with)
        return s->fail_with;
    while ((n = th_udp_recv(udp, buf, sizeof buf, &from, NULL)) >= 0) {
        atomic_fetch_add(&s->received, 1);
        atomic_fetch_add(&s->by_worker[thi_worker_self->index], 1);
        n = th_udp_send(udp, buf, (size_t)n, &from);
        if (n < 0)
            break;
    }
    if (n == TH_EOF) /* and again, as often as it is asked */
        ck_assert_int_eq(th_udp_recv(udp, buf, sizeof buf, &from, NULL), TH_EOF);
    if (s->holds_on)
        return th_sleep(TH_NEVER);
    return (int)n;
}

static int serve(void *arg)
{
    service *s = arg;
    th_udp_serve_opts opts = { .listening = listening };
    s->result = th_udp_serve(s->address[0] ? s->address : "127.0.0.1:0", echo, s, &opts);
    return 0;
}

static void start(th_scope *scope, service *s)
{
    open_scope(scope);
    spawn(scope, serve, s);
    while (!s->listening)
        ck_assert_int_eq(th_yield(), 0);
}

static void ask(const service *s, int times)
{
    th_udp *client = dial_to(&s->addr, NULL);
    for (int i = 0; i < times; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        send_text(client, text, NULL);
        receive_text(client, text);
    }
    th_udp_free(client);
}

FIBER_TEST_ON(2, every_worker_serves_and_one_sender_has_one_worker)
{
    th_scope scope;
    service s = { .listening = false };
    start(&scope, &s);
    for (int i = 0; i < 64; i++) {
        unsigned before[2] = { s.by_worker[0], s.by_worker[1] };
        ask(&s, 3);
        unsigned here = s.by_worker[0] - before[0];
        ck_assert_msg(here == 0 || here == 3, "%u of 3", here);
    }
    ck_assert_uint_gt(s.by_worker[0], 0); /* of 64 senders, by the kernel's hash */
    ck_assert_uint_gt(s.by_worker[1], 0);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&scope);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(s.parts, 2);
    ck_assert_int_eq(s.received, 64 * 3);
}

/* What has arrived when the stop is asked for is served. */
FIBER_TEST(a_stop_serves_what_is_there_and_then_ends)
{
    th_scope scope;
    service s = { .listening = false };
    start(&scope, &s);
    ask(&s, 1);
    th_udp *client = dial_to(&s.addr, NULL);
    ck_assert_int_eq(th_stop(), 0);
    for (int i = 0; i < 20; i++)
        send_text(client, "late", NULL);
    close_scope(&scope);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(s.received, 21);
    th_udp_free(client);
}

FIBER_TEST_ON(2, a_second_instance_is_refused)
{
    th_scope scope;
    service s = { .listening = false };
    service second = { .listening = false };
    start(&scope, &s);
    th_addr_format(&s.addr, second.address, sizeof second.address);
    ck_assert_int_eq(serve(&second), 0);
    ck_assert_int_eq(second.result, -EADDRINUSE);
    ck_assert(!second.listening);
    ask(&s, 3);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&scope);
    ck_assert_int_eq(s.result, 0);
}

FIBER_TEST_ON(2, a_part_that_fails_ends_the_service_with_its_failure)
{
    service s = { .fail_with = -EPIPE };
    ck_assert_int_eq(serve(&s), 0);
    ck_assert_int_eq(s.result, -EPIPE);
}

FIBER_TEST_ON(2, a_cancelled_service_returns_that)
{
    th_scope scope;
    service s = { .listening = false };
    start(&scope, &s);
    ask(&s, 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(s.result, -ECANCELED);
    open_cancelled_scope(&scope);
    s.listening = false;
    ck_assert_int_eq(serve(&s), 0);
    ck_assert_int_eq(s.result, -ECANCELED);
    ck_assert(!s.listening);
    (void)th_scope_close(&scope);
}

FIBER_TEST_ON(2, a_unix_socket_is_served_by_one_worker)
{
    th_scope scope;
    service s = { .address = "unix:@thrum-test-udp-serve" };
    start(&scope, &s);
    ask(&s, 5);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&scope);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(s.parts, 1);
    ck_assert_int_eq(s.received, 5);
}

static int stop_and_hold_on(void *arg)
{
    service *s = arg;
    th_scope scope;
    start(&scope, s);
    ask(s, 1);
    ck_assert_int_eq(th_stop(), 0);
    (void)th_scope_close(&scope);
    return s->result;
}

START_TEST(a_part_that_holds_on_is_cancelled_when_the_grace_is_over)
{
    service s = { .holds_on = true };
    th_run_opts opts = {
        .workers = 2, .no_signals = 1, .watchdog = TH_NEVER, .grace = 50 * TH_MILLISECOND
    };
    ck_assert_int_eq(th_run(stop_and_hold_on, &s, &opts), -ECANCELED);
    ck_assert_int_eq(s.result, -ECANCELED);
}
END_TEST

FIBER_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_udp_serve(NULL, echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_serve("127.0.0.1:0", NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_serve("127.0.0.1:0", echo, NULL, &(th_udp_serve_opts){ .size = 4096 }),
                     -EINVAL);
    ck_assert_int_eq(th_udp_serve("127.0.0.1:0", echo, NULL,
                                  &(th_udp_serve_opts){ .udp = &(th_udp_opts){ .tell = 64 } }),
                     -EINVAL);
    ck_assert_int_eq(th_udp_serve("nowhere", echo, NULL, NULL), TH_EADDRESS);
}

START_TEST(outside_of_a_fiber_nobody_serves)
{
    ck_assert_int_eq(th_udp_serve("127.0.0.1:0", echo, NULL, NULL), -EPERM);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "serving");
    add_on_engines(tcase, every_worker_serves_and_one_sender_has_one_worker);
    add_on_engines(tcase, a_stop_serves_what_is_there_and_then_ends);
    tcase_add_test(tcase, a_second_instance_is_refused);
    tcase_add_test(tcase, a_part_that_fails_ends_the_service_with_its_failure);
    add_on_engines(tcase, a_cancelled_service_returns_that);
    tcase_add_test(tcase, a_unix_socket_is_served_by_one_worker);
    tcase_add_test(tcase, a_part_that_holds_on_is_cancelled_when_the_grace_is_over);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, outside_of_a_fiber_nobody_serves);
}

int main(void)
{
    return thi_check_run("net/udp_serve", fill_suite);
}
