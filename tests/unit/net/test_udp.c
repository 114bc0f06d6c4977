/* SPDX-License-Identifier: MIT */

/* Datagram sockets one datagram at a time: boundaries, targets, errors, closing, cancelling. */
#include "net/udp_sockets.h"

#include <stdio.h>
#include <stdlib.h>

#define SOON (20 * TH_MILLISECOND)

static char large[70000];

/* ---- datagrams ------------------------------------------------------------------------------- */

FIBER_TEST(datagrams_keep_their_boundaries_and_name_their_sender)
{
    char buf[64] = "";
    th_addr from;
    unsigned flags = 99;
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    th_addr at_b = local_of(b);
    send_text(b, "one", &at_a);
    send_text(b, "twenty", &at_a);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, &from, &flags), 3);
    ck_assert_int_eq(flags, 0);
    ck_assert_int_eq(th_addr_equal(&from, &at_b), 1);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), 6);
    ck_assert_mem_eq(buf, "twenty", 6);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(an_empty_datagram_is_one)
{
    char buf[8];
    th_addr from = { .kind = TH_ADDR_NONE };
    unsigned flags = 99;
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_send(b, NULL, 0, &at_a), 0);
    send_text(b, "x", &at_a);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, &from, &flags), 0);
    ck_assert_int_eq(from.kind, TH_ADDR_IP4);
    ck_assert_int_eq(flags, 0);
    receive_text(a, "x");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(what_has_no_room_is_cut_and_that_is_told)
{
    char buf[4] = "....";
    unsigned flags = 0;
    th_udp *a;
    th_udp *b;
    open_couple(&a, &b);
    send_text(b, "longer", NULL);
    send_text(b, "full", NULL);
    send_text(b, "none", NULL);
    send_text(b, "next", NULL);
    ck_assert_int_eq(th_udp_recv(a, buf, 3, NULL, &flags), 3);
    ck_assert_uint_eq(flags, TH_DGRAM_CUT);
    ck_assert_mem_eq(buf, "lon.", 4);
    ck_assert_int_eq(th_udp_recv(a, buf, 4, NULL, &flags), 4);
    ck_assert_uint_eq(flags, 0);
    ck_assert_int_eq(th_udp_recv(a, NULL, 0, NULL, &flags), 0);
    ck_assert_uint_eq(flags, TH_DGRAM_CUT);
    receive_text(a, "next");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(the_largest_is_sent_and_one_byte_more_is_refused)
{
    unsigned flags = 0;
    th_udp *a;
    th_udp *b;
    open_couple(&a, &b);
    ck_assert_int_eq(th_udp_send(b, large, 65508, NULL), -EMSGSIZE);
    ck_assert_int_eq(th_udp_send(b, large, sizeof large, NULL), -EMSGSIZE);
    ck_assert_int_eq(th_udp_send(b, large, 65507, NULL), 0);
    ck_assert_int_eq(th_udp_recv(a, large, sizeof large, NULL, &flags), 65507);
    ck_assert_uint_eq(flags, 0);
    send_text(b, "as good as before", NULL);
    receive_text(a, "as good as before");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(ip6_sockets_talk_and_with_dual_stack_to_ip4)
{
    char buf[8];
    th_addr from;
    th_udp *six = NULL;
    th_udp *both = NULL;
    ck_assert_int_eq(th_udp_open("[::1]:0", NULL, &six), 0);
    ck_assert_int_eq(th_udp_open("udp://[::]:0", &(th_udp_opts){ .dual_stack = 1 }, &both), 0);
    th_udp *four = open_udp();
    th_addr to_six = local_of(six);
    th_addr to_both = local_of(both);
    send_text(both, "six", &to_six);
    receive_text(six, "six");
    to_six = to_both;
    ck_assert_int_eq(th_addr_parse("127.0.0.1:1", &to_both), 0);
    to_both.port = to_six.port;
    send_text(four, "four", &to_both);
    ck_assert_int_eq(th_udp_recv(both, buf, sizeof buf, &from, NULL), 4);
    ck_assert_int_eq(from.kind, TH_ADDR_IP6);
    ck_assert_mem_eq(from.ip + 10, "\xff\xff\x7f\0\0\1", 6);
    send_text(both, "back", &from);
    receive_text(four, "back");
    th_udp_free(six);
    th_udp_free(both);
    th_udp_free(four);
}

FIBER_TEST(an_ip6_socket_leaves_ip4_alone_unless_asked)
{
    th_udp *six = NULL;
    th_udp *four = NULL;
    char text[TH_ADDR_TEXT];
    ck_assert_int_eq(th_udp_open("[::]:0", NULL, &six), 0);
    snprintf(text, sizeof text, "0.0.0.0:%u", local_of(six).port);
    ck_assert_int_eq(th_udp_open(text, NULL, &four), 0);
    th_udp_free(six);
    th_udp_free(four);
}

/* ---- targets --------------------------------------------------------------------------------- */

FIBER_TEST(a_target_is_named_if_and_only_if_there_is_no_peer)
{
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_send(b, "x", 1, NULL), -EDESTADDRREQ);
    ck_assert_int_eq(th_udp_connect(b, &at_a), 0);
    ck_assert_int_eq(th_udp_send(b, "x", 1, &at_a), -EISCONN);
    send_text(b, "with", NULL);
    ck_assert_int_eq(th_udp_connect(b, NULL), 0);
    ck_assert_int_eq(th_udp_send(b, "x", 1, NULL), -EDESTADDRREQ);
    send_text(b, "without", &at_a);
    receive_text(a, "with");
    receive_text(a, "without");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_peer_can_be_asked_for_changed_and_left)
{
    th_addr addr;
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_udp *c = open_udp();
    th_addr at_a = local_of(a);
    th_addr at_b = local_of(b);
    th_addr at_c = local_of(c);
    ck_assert_int_eq(th_udp_peer(c, &addr), -ENOTCONN);
    ck_assert_int_eq(th_udp_connect(c, &at_a), 0);
    ck_assert_int_eq(th_udp_peer(c, &addr), 0);
    ck_assert_int_eq(th_addr_equal(&addr, &at_a), 1);
    ck_assert_int_eq(th_udp_connect(c, &at_b), 0);
    send_text(c, "to b", NULL);
    receive_text(b, "to b");
    send_text(a, "not heard", &at_c); /* c has another peer */
    send_text(b, "heard", &at_c);
    receive_text(c, "heard");
    ck_assert_int_eq(th_udp_connect(c, NULL), 0);
    ck_assert_int_eq(th_udp_peer(c, &addr), -ENOTCONN);
    addr = local_of(c); /* the port stays, though the system has chosen it */
    ck_assert_int_eq(th_addr_equal(&addr, &at_c), 1);
    send_text(a, "heard now", &at_c);
    receive_text(c, "heard now");
    th_udp_free(a);
    th_udp_free(b);
    th_udp_free(c);
}

FIBER_TEST(a_peer_of_another_family_is_refused)
{
    th_addr six;
    th_udp *a = open_udp();
    ck_assert_int_eq(th_addr_parse("[::1]:9", &six), 0);
    ck_assert_int_eq(th_udp_connect(a, &six), -EAFNOSUPPORT);
    ck_assert_int_lt(th_udp_send(a, "x", 1, &six), 0);
    th_udp_free(a);
}

FIBER_TEST(to_dial_the_unspecified_address_is_to_dial_this_machine)
{
    char text[32];
    th_udp *a = open_udp();
    th_udp *b = NULL;
    snprintf(text, sizeof text, "udp://0.0.0.0:%u", local_of(a).port);
    ck_assert_int_eq(th_udp_dial(text, NULL, &b), 0);
    send_text(b, "here", NULL);
    receive_text(a, "here");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_name_can_be_dialled)
{
    char text[64];
    th_udp *a = open_udp();
    th_udp *b = NULL;
    snprintf(text, sizeof text, "udp://thrum.localhost:%u", local_of(a).port);
    int err = th_udp_dial(text, NULL, &b); /* its first address may be of IPv6 */
    ck_assert_int_eq(err, 0);
    th_addr peer;
    ck_assert_int_eq(th_udp_peer(b, &peer), 0);
    ck_assert_uint_eq(peer.port, local_of(a).port);
    th_udp_free(b);
    b = NULL;
    ck_assert_int_eq(th_udp_dial("no such name:9", NULL, &b), TH_EADDRESS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no such name"));
    ck_assert_int_eq(th_udp_dial("thrum.localhost:no-such-service", NULL, &b), TH_ENAME);
    ck_assert_int_eq(th_udp_open("thrum.localhost:9", NULL, &b), TH_EADDRESS);
    ck_assert_ptr_null(b);
    th_udp_free(a);
}

FIBER_TEST(options_are_given_as_text_as_well)
{
    int value = 0;
    th_udp *u = open_with(&(th_udp_opts){ .tune = "rcvbuf=40K" });
    ck_assert_int_eq(th_udp_get(u, TH_UDP_RECV_BUFFER, &value), 0);
    ck_assert_int_eq(value, 2 * 40 * 1024);
    th_udp_free(u);
    u = NULL;
    ck_assert_int_lt(th_udp_open("127.0.0.1:0", &(th_udp_opts){ .tune = "rcvbuf=no" }, &u), 0);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "rcvbuf"));
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "127.0.0.1:0"));
    ck_assert_int_lt(th_udp_open("127.0.0.1:0", &(th_udp_opts){ .tune = "nodelay" }, &u), 0);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "nodelay"));
    ck_assert_ptr_null(u);
}

FIBER_TEST(broadcast_is_refused_unless_asked_for)
{
    th_addr all;
    th_udp *a = NULL;
    ck_assert_int_eq(th_addr_parse("127.255.255.255:9", &all), 0);
    ck_assert_int_eq(th_udp_open("0.0.0.0:0", NULL, &a), 0);
    ck_assert_int_eq(th_udp_send(a, "x", 1, &all), -EACCES);
    ck_assert_int_eq(th_udp_set(a, TH_UDP_BROADCAST, 1), 0);
    ck_assert_int_eq(th_udp_send(a, "x", 1, &all), 0);
    ck_assert_int_eq(th_udp_set(a, TH_UDP_BROADCAST, 0), 0);
    ck_assert_int_eq(th_udp_send(a, "x", 1, &all), -EACCES);
    th_udp_free(a);
    ck_assert_int_eq(th_udp_open("0.0.0.0:0", &(th_udp_opts){ .broadcast = 1 }, &a), 0);
    ck_assert_int_eq(th_udp_send(a, "x", 1, &all), 0);
    th_udp_free(a);
}

/* ---- what came back -------------------------------------------------------------------------- */

/* Nothing that is sent to nobody disturbs what is sent to somebody. */
FIBER_TEST(without_a_peer_nothing_is_heard_of_dead_ports)
{
    th_addr dead = dead_address();
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    for (int i = 0; i < 10; i++) {
        send_text(b, "lost", &dead);
        send_text(b, "found", &at_a);
        receive_text(a, "found");
    }
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_connected_socket_hears_that_nobody_is_there_and_goes_on)
{
    char buf[8];
    th_addr dead = dead_address();
    th_udp *a = dial_to(&dead, NULL);
    send_text(a, "hello?", NULL);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), -ECONNREFUSED);
    th_udp *b = open_udp();
    th_addr at_b = local_of(b);
    ck_assert_int_eq(th_udp_connect(a, &at_b), 0);
    send_text(a, "hello", NULL);
    receive_text(b, "hello");
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_waiting_receiver_hears_that_nobody_is_there)
{
    th_addr dead = dead_address();
    receiving r = { .udp = dial_to(&dead, NULL) };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, receive_once, &r);
    let_others_run();
    send_text(r.udp, "hello?", NULL);
    close_scope(&scope);
    ck_assert_int_eq(r.result, -ECONNREFUSED);
    th_udp_free(r.udp);
}

/* Each one that came back is told with its target, to receivers; senders are not disturbed. */
FIBER_TEST(with_errors_on_each_that_came_back_is_told)
{
    char buf[8];
    th_udp_returned_info info;
    th_addr dead[2] = { dead_address(), dead_address() };
    th_udp *a = open_with(&(th_udp_opts){ .errors = 1 });
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    th_addr at_b = local_of(b);
    ck_assert_int_eq(th_udp_returned(a, &info), -ENOENT);
    for (int i = 0; i < 2; i++)
        send_text(a, "lost", &dead[i]);
    send_text(a, "found", &at_b);
    receive_text(b, "found");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), -ECONNREFUSED);
        ck_assert_int_eq(th_udp_returned(a, &info), 0);
        ck_assert_int_eq(info.error, -ECONNREFUSED);
        ck_assert_int_eq(th_addr_equal(&info.to, &dead[i]), 1);
        ck_assert_int_eq(info.by.kind, TH_ADDR_IP4);
        ck_assert_mem_eq(info.by.ip, "\x7f\0\0\1", 4);
    }
    send_text(b, "still there", &at_a);
    receive_text(a, "still there");
    th_udp_free(a);
    th_udp_free(b);
}

/* No back end may spin on an error that lies in the kernel's queue. */
FIBER_TEST(a_socket_that_waits_after_an_error_rests)
{
    th_addr dead = dead_address();
    receiving r = { .udp = open_with(&(th_udp_opts){ .errors = 1 }) };
    th_addr here = local_of(r.udp);
    th_scope scope;
    for (int i = 0; i < 3; i++)
        send_text(r.udp, "lost", &dead);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(receive_once(&r), 0);
        ck_assert_int_eq(r.result, -ECONNREFUSED);
    }
    open_scope(&scope);
    spawn(&scope, receive_once, &r);
    let_others_run();
    uint64_t before = thi_worker_self->loop.turns;
    ck_assert_int_eq(th_sleep(SOON), 0);
    ck_assert_uint_lt(thi_worker_self->loop.turns - before, 20);
    send_text(r.udp, "self", &here);
    close_scope(&scope);
    ck_assert_int_eq(r.result, 4);
    th_udp_free(r.udp);
}

FIBER_TEST(a_thousand_sends_to_an_unreachable_net_do_not_stall)
{
    th_addr nowhere;
    th_udp *a = open_udp(); /* bound to loopback: nothing outside can be reached from there */
    ck_assert_int_eq(th_addr_parse("192.0.2.1:9", &nowhere), 0);
    int64_t before = th_now();
    for (int i = 0; i < 1000; i++)
        ck_assert_int_lt(th_udp_send(a, "x", 1, &nowhere), 0);
    ck_assert_int_lt(th_now() - before, 5 * TH_SECOND);
    th_addr here = local_of(a);
    send_text(a, "fine", &here);
    receive_text(a, "fine");
    th_udp_free(a);
}

/* ---- several fibers -------------------------------------------------------------------------- */

FIBER_TEST(of_many_receivers_each_gets_one)
{
    enum { MANY = 10 };
    receiving rs[MANY];
    char seen[MANY + 1] = "";
    th_scope scope;
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    open_scope(&scope);
    for (int i = 0; i < MANY; i++) {
        rs[i] = (receiving){ .udp = a };
        spawn(&scope, receive_once, &rs[i]);
    }
    let_others_run();
    for (int i = 0; i < MANY; i++) {
        char text[2] = { (char)('0' + i), '\0' };
        send_text(b, text, &at_a);
    }
    close_scope(&scope);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(rs[i].result, 1);
        seen[rs[i].buf[0] - '0'] = 'x';
    }
    ck_assert_str_eq(seen, "xxxxxxxxxx");
    th_udp_free(a);
    th_udp_free(b);
}

/* One that is cancelled must not take the others' event with it. */
FIBER_TEST(a_receiver_that_leaves_does_not_keep_the_others_from_hearing)
{
    receiving rs[3];
    th_scope all;
    th_scope first;
    th_udp *a = open_udp();
    th_addr at_a = local_of(a);
    open_scope(&all);
    open_scope(&first);
    for (int i = 0; i < 3; i++) {
        rs[i] = (receiving){ .udp = a };
        spawn(i == 0 ? &first : &all, receive_once, &rs[i]);
        let_others_run();
    }
    send_text(a, "1", &at_a);
    send_text(a, "2", &at_a);
    ck_assert_int_eq(th_scope_cancel(&first, 0), 0);
    (void)th_scope_close(&first);
    if (rs[0].result == 1) /* it was there before the end of its scope */
        send_text(a, "3", &at_a);
    close_scope(&all);
    ck_assert(rs[0].result == 1 || rs[0].result == -ECANCELED);
    ck_assert_int_eq(rs[1].result, 1);
    ck_assert_int_eq(rs[2].result, 1);
    th_udp_free(a);
}

static int close_it(void *arg)
{
    ck_assert_int_eq(th_udp_close(arg), 0);
    return 0;
}

FIBER_TEST(a_close_wakes_all_who_wait)
{
    receiving rs[3];
    th_scope scope;
    th_udp *a = open_udp();
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        rs[i] = (receiving){ .udp = a };
        spawn(&scope, receive_once, &rs[i]);
    }
    let_others_run();
    spawn(&scope, close_it, a);
    close_scope(&scope);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rs[i].result, -ECANCELED);
    th_udp_free(a);
}

/* ---- the end --------------------------------------------------------------------------------- */

FIBER_TEST(use_after_a_close_is_refused)
{
    char buf[8];
    int value;
    th_addr addr;
    th_dgram d = { .data = buf, .size = 1 };
    th_dgram *got;
    th_udp_batch *batch;
    th_udp *a = open_udp();
    th_addr here = local_of(a);
    ck_assert_int_eq(th_udp_batch_new(4, 100, &batch), 0);
    ck_assert_int_eq(th_udp_close(a), 0);
    ck_assert_int_eq(th_udp_close(a), -EBADF);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), -EBADF);
    ck_assert_int_eq(th_udp_send(a, buf, 1, &here), -EBADF);
    ck_assert_int_eq(th_udp_send_batch(a, &d, 1), -EBADF);
    ck_assert_int_eq(d.error, -EBADF);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), -EBADF);
    ck_assert_int_eq(th_udp_connect(a, &here), -EBADF);
    ck_assert_int_eq(th_udp_local(a, &addr), -EBADF);
    ck_assert_int_eq(th_udp_peer(a, &addr), -EBADF);
    ck_assert_int_eq(th_udp_join(a, "239.1.2.3", NULL, NULL), -EBADF);
    ck_assert_int_eq(th_udp_set(a, TH_UDP_TTL, 1), -EBADF);
    ck_assert_int_eq(th_udp_get(a, TH_UDP_TTL, &value), -EBADF);
    ck_assert_int_eq(th_udp_fd(a), -EBADF);
    ck_assert_int_eq(th_udp_detach(a), -EBADF);
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(NULL);
    th_udp_batch_free(NULL);
}

FIBER_TEST(a_descriptor_closed_behind_it_is_told_by_the_close)
{
    th_udp *a = open_udp();
    ck_assert_int_eq(close(th_udp_fd(a)), 0);
    ck_assert_int_eq(th_udp_close(a), -EBADF);
    ck_assert_int_eq(th_udp_close(a), -EBADF);
    th_udp_free(a);
}

FIBER_TEST(a_detached_descriptor_goes_on)
{
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    int fd = th_udp_detach(a);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(th_udp_close(a), -EBADF);
    th_udp_free(a);
    send_text(b, "on", &at_a);
    ck_assert_int_eq(th_udp_from_fd(fd, &a), 0);
    receive_text(a, "on");
    th_udp_free(a);
    th_udp_free(b);
}

/* ---- descriptors from elsewhere -------------------------------------------------------------- */

FIBER_TEST(a_foreign_descriptor_is_taken_as_what_it_is)
{
    char buf[8];
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    th_udp *u = NULL;
    th_udp *b = open_udp();
    th_addr at_b = local_of(b);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    in.sin_port = htons(at_b.port);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(th_udp_from_fd(fd, &u), 0);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(th_udp_send(u, "x", 1, &at_b), -EISCONN); /* its peer was seen */
    send_text(u, "hi", NULL);
    ck_assert_int_eq(th_udp_recv(b, buf, sizeof buf, NULL, NULL), 2);
    th_udp_free(u);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    th_udp_free(b);
}

FIBER_TEST(what_is_no_datagram_socket_is_refused)
{
    int fds[2];
    th_udp *u = NULL;
    th_udp *a = open_udp();
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(th_udp_from_fd(-1, &u), -EBADF);
    ck_assert_int_eq(th_udp_from_fd(1000, &u), -EBADF);
    ck_assert_int_eq(th_udp_from_fd(fds[0], &u), -ENOTSOCK);
    ck_assert_int_eq(th_udp_from_fd(stream, &u), -EPROTOTYPE);
    ck_assert_int_eq(th_udp_from_fd(th_udp_fd(a), &u), -EEXIST);
    ck_assert_int_eq(th_udp_from_fd(stream, NULL), -EINVAL);
    ck_assert_ptr_null(u);
    close(fds[0]);
    close(fds[1]);
    close(stream);
    th_udp_free(a);
}

/* ---- making one ------------------------------------------------------------------------------ */

FIBER_TEST(descriptors_are_close_on_exec_and_non_blocking)
{
    th_udp *a = open_udp();
    int fd = th_udp_fd(a);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    th_udp_free(a);
}

FIBER_TEST(an_address_that_is_taken_or_foreign_is_told)
{
    char text[TH_ADDR_TEXT];
    th_udp *a = open_udp();
    th_udp *b = NULL;
    th_addr at_a = local_of(a);
    th_addr_format(&at_a, text, sizeof text);
    ck_assert_int_eq(th_udp_open(text, NULL, &b), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), text));
    ck_assert_int_eq(th_udp_open("192.0.2.1:0", NULL, &b), -EADDRNOTAVAIL);
    ck_assert_int_eq(th_udp_open("nonsense", NULL, &b), TH_EADDRESS);
    ck_assert_int_eq(th_udp_open("127.0.0.1:65536", NULL, &b), TH_EADDRESS);
    ck_assert_int_eq(th_udp_dial("127.0.0.1", NULL, &b), TH_EADDRESS);
    ck_assert_ptr_null(b);
    th_udp_free(a);
}

FIBER_TEST(sockets_that_say_so_share_an_address)
{
    char text[TH_ADDR_TEXT];
    th_udp_opts opts = { .reuse_addr = 1 };
    th_udp *a = open_with(&opts);
    th_udp *b = NULL;
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_open(th_addr_format(&at_a, text, sizeof text), &opts, &b), 0);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    char buf[8];
    th_udp *u = NULL;
    ck_assert_int_eq(th_udp_open(NULL, NULL, &u), -EINVAL);
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_dial(NULL, NULL, &u), -EINVAL);
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", &(th_udp_opts){ .size = 4096 }, &u), -EINVAL);
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", &(th_udp_opts){ .tell = 8 }, &u), -EINVAL);
    ck_assert_int_eq(
        th_udp_open("127.0.0.1:0", &(th_udp_opts){ .device = "a-name-of-sixteen" }, &u), -EINVAL);
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", &(th_udp_opts){ .device = "no-such-if" }, &u),
                     -ENODEV);
    ck_assert_ptr_null(u);
    u = open_udp();
    ck_assert_int_eq(th_udp_recv(u, NULL, 1, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_send(u, NULL, 1, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_returned(u, NULL), -EINVAL);
    th_udp_free(u);
    u = open_with(&(th_udp_opts){ .coalesce = 1 });
    ck_assert_int_eq(th_udp_recv(u, buf, sizeof buf, NULL, NULL), -EINVAL);
    th_udp_free(u);
}

static int use_elsewhere(void *arg)
{
    char buf[8];
    th_udp *u = arg;
    ck_assert_int_eq(th_udp_recv(u, buf, sizeof buf, NULL, NULL), -EPERM);
    return 0;
}

FIBER_TEST_ON(2, a_socket_stays_on_its_worker)
{
    th_scope scope;
    th_udp *a = open_udp();
    open_scope(&scope);
    spawn_on(&scope, 1, use_elsewhere, a);
    close_scope(&scope);
    th_udp_free(a);
}

START_TEST(outside_of_a_worker_there_are_none)
{
    th_udp *u = NULL;
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", NULL, &u), -EPERM);
    ck_assert_int_eq(th_udp_dial("127.0.0.1:9", NULL, &u), -EPERM);
    ck_assert_int_eq(th_udp_from_fd(0, &u), -EPERM);
    ck_assert_ptr_null(u);
}
END_TEST

/* ---- cancelling ------------------------------------------------------------------------------ */

FIBER_TEST(a_cancelled_scope_is_obeyed_whatever_is_there)
{
    char buf[8];
    th_scope scope;
    th_udp *a = open_udp();
    th_addr here = local_of(a);
    send_text(a, "there", &here);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), -ECANCELED);
    ck_assert_int_eq(th_udp_send(a, "x", 1, &here), -ECANCELED);
    (void)th_scope_close(&scope);
    receive_text(a, "there"); /* nothing was lost, and nothing sent */
    open_scope_for(&scope, SOON);
    ck_assert_int_eq(th_udp_recv(a, buf, sizeof buf, NULL, NULL), -ETIMEDOUT);
    (void)th_scope_close(&scope);
    th_udp_free(a);
}

FIBER_TEST(a_waiting_receiver_ends_with_its_scope_and_the_socket_goes_on)
{
    th_scope scope;
    receiving r = { .udp = open_udp() };
    th_addr here = local_of(r.udp);
    open_scope(&scope);
    spawn(&scope, receive_once, &r);
    let_others_run();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(r.result, -ECANCELED);
    send_text(r.udp, "on", &here);
    receive_text(r.udp, "on");
    th_udp_free(r.udp);
}

/* A receiver that always finds something lets others run, and meets its deadline. */
FIBER_TEST(a_fiber_that_always_has_something_meets_its_deadline)
{
    char buf[8];
    ssize_t n;
    th_scope scope;
    th_udp *a = open_udp();
    th_addr here = local_of(a);
    open_scope_for(&scope, SOON);
    do {
        n = th_udp_send(a, "x", 1, &here);
        if (n == 0)
            n = th_udp_recv(a, buf, sizeof buf, NULL, NULL);
    } while (n == 1);
    ck_assert_int_eq(n, -ETIMEDOUT);
    (void)th_scope_close(&scope);
    th_udp_free(a);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "datagrams");
    add_on_engines(tcase, datagrams_keep_their_boundaries_and_name_their_sender);
    tcase_add_test(tcase, an_empty_datagram_is_one);
    tcase_add_test(tcase, what_has_no_room_is_cut_and_that_is_told);
    tcase_add_test(tcase, the_largest_is_sent_and_one_byte_more_is_refused);
    tcase_add_test(tcase, ip6_sockets_talk_and_with_dual_stack_to_ip4);
    tcase_add_test(tcase, an_ip6_socket_leaves_ip4_alone_unless_asked);
    tcase = thi_check_case(suite, "targets");
    tcase_add_test(tcase, a_target_is_named_if_and_only_if_there_is_no_peer);
    add_on_engines(tcase, a_peer_can_be_asked_for_changed_and_left);
    tcase_add_test(tcase, a_peer_of_another_family_is_refused);
    tcase_add_test(tcase, to_dial_the_unspecified_address_is_to_dial_this_machine);
    add_on_engines(tcase, a_name_can_be_dialled);
    tcase_add_test(tcase, options_are_given_as_text_as_well);
    tcase_add_test(tcase, broadcast_is_refused_unless_asked_for);
    tcase = thi_check_case(suite, "what came back");
    add_on_engines(tcase, without_a_peer_nothing_is_heard_of_dead_ports);
    add_on_engines(tcase, a_connected_socket_hears_that_nobody_is_there_and_goes_on);
    add_on_engines(tcase, a_waiting_receiver_hears_that_nobody_is_there);
    add_on_engines(tcase, with_errors_on_each_that_came_back_is_told);
    add_on_engines(tcase, a_socket_that_waits_after_an_error_rests);
    tcase_add_test(tcase, a_thousand_sends_to_an_unreachable_net_do_not_stall);
    tcase = thi_check_case(suite, "several fibers");
    add_on_engines(tcase, of_many_receivers_each_gets_one);
    add_on_engines(tcase, a_receiver_that_leaves_does_not_keep_the_others_from_hearing);
    add_on_engines(tcase, a_close_wakes_all_who_wait);
    tcase = thi_check_case(suite, "ending");
    tcase_add_test(tcase, use_after_a_close_is_refused);
    add_on_engines(tcase, a_descriptor_closed_behind_it_is_told_by_the_close);
    add_on_engines(tcase, a_detached_descriptor_goes_on);
    tcase = thi_check_case(suite, "making one");
    add_on_engines(tcase, a_foreign_descriptor_is_taken_as_what_it_is);
    tcase_add_test(tcase, what_is_no_datagram_socket_is_refused);
    tcase_add_test(tcase, descriptors_are_close_on_exec_and_non_blocking);
    tcase_add_test(tcase, an_address_that_is_taken_or_foreign_is_told);
    tcase_add_test(tcase, sockets_that_say_so_share_an_address);
    tcase_add_test(tcase, misuse_is_refused_and_changes_nothing);
    tcase_add_test(tcase, a_socket_stays_on_its_worker);
    tcase_add_test(tcase, outside_of_a_worker_there_are_none);
    tcase = thi_check_case(suite, "cancelling");
    tcase_add_test(tcase, a_cancelled_scope_is_obeyed_whatever_is_there);
    add_on_engines(tcase, a_waiting_receiver_ends_with_its_scope_and_the_socket_goes_on);
    tcase_add_test(tcase, a_fiber_that_always_has_something_meets_its_deadline);
}

int main(void)
{
    return thi_check_run("net/udp", fill_suite);
}
