/* SPDX-License-Identifier: MIT */

/* Datagrams: one by one, empty, waiting in order, refused, and come back. */
#include "callback/probe.h"

#include "base/alloc.h"

#include <thrum/addr.h>

#include <sys/un.h>

/* A probe that receives datagrams; each with a bar behind it. */
typedef struct receiver {
    probe p; /* first */
    th_addr from;
    int errors;
    int error;   /* the last one */
    th_addr to;  /* of that */
    bool had_to; /* it was told */
    int (*act)(struct receiver *r, th_str data);
} receiver;

static int on_datagram(th_transport *t, void *self, th_str data, const th_addr *from)
{
    receiver *r = self;
    ck_assert_ptr_eq(r->p.t, t);
    tell(&r->p, 'd');
    take(&r->p, data.ptr, data.len);
    take(&r->p, "|", 1);
    r->from = *from;
    return r->act ? r->act(r, data) : 0;
}

static void on_error(th_transport *t, void *self, int error, const th_addr *to)
{
    receiver *r = self;
    ck_assert_ptr_eq(r->p.t, t);
    tell(&r->p, 'x');
    r->errors++;
    r->error = error;
    r->had_to = to != NULL;
    if (to)
        r->to = *to;
}

static const th_protocol datagram_protocol = {
    .connection_made = probe_made,
    .datagram_received = on_datagram,
    .error_received = on_error,
    .pause_writing = probe_pause,
    .resume_writing = probe_resume,
    .connection_lost = probe_lost,
};

/* A socket on loopback and its address. */
static int udp_socket(th_addr *addr)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *addr = (th_addr){ .kind = TH_ADDR_IP4, .port = ntohs(in.sin_port), .ip = { 127, 0, 0, 1 } };
    return fd;
}

static void aim(int fd, const th_addr *addr)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(addr->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
}

/* Over UDP; the peer is connected to it, and it to the peer if so said. */
static th_addr open_udp(receiver *r, bool connected)
{
    th_addr own;
    th_addr peer;
    int fd = udp_socket(&own);
    int other = udp_socket(&peer);
    aim(other, &own);
    if (connected)
        aim(fd, &peer);
    r->p.protocol = &datagram_protocol;
    open_probe_on(&r->p, fd, other);
    ck_assert_str_eq(info_of(r->p.t).carrier, "datagrams");
    return peer;
}

/* Over a Unix socket, whose queue is short. */
static void open_unix(receiver *r)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    r->p.protocol = &datagram_protocol;
    open_probe_on(&r->p, fds[0], fds[1]);
    await(was_told(&r->p, "m"));
}

static void peer_gets_datagram(receiver *r, const char *text)
{
    char got[64] = "";
    ssize_t n;
    while ((n = peer_reads(&r->p, got, sizeof got - 1)) == -EAGAIN)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
}

/* ---- receiving ------------------------------------------------------------------------------- */

FIBER_TEST(each_datagram_is_received_whole_an_empty_one_too)
{
    receiver r = { .errors = 0 };
    th_addr peer = open_udp(&r, false);
    peer_sends(&r.p, "warp");
    ck_assert_int_eq(send(r.p.peer, NULL, 0, 0), 0);
    peer_sends(&r.p, "weft");
    await(r.p.len == 11);
    got_is(&r.p, "warp||weft|");
    ck_assert(th_addr_equal(&r.from, &peer));
    ck_assert_str_eq(r.p.told, "md");
    close_probe(&r.p);
}

FIBER_TEST(what_comes_while_paused_is_received_after_resuming)
{
    receiver r = { .errors = 0 };
    (void)open_udp(&r, false);
    await(was_told(&r.p, "m"));
    ck_assert_int_eq(CALL(th_transport_pause_reading(r.p.t)), 0);
    peer_sends(&r.p, "warp");
    let_loop_run();
    ck_assert_uint_eq(r.p.len, 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(r.p.t)), 0);
    await(r.p.len == 5);
    close_probe(&r.p);
}

static int close_now(receiver *r, th_str data)
{
    (void)data;
    return CALL(th_transport_close(r->p.t));
}

FIBER_TEST(closing_in_the_function_that_receives_is_the_last_it_hears)
{
    receiver r = { .act = close_now };
    (void)open_udp(&r, true);
    await(was_told(&r.p, "m"));
    peer_sends(&r.p, "one");
    peer_sends(&r.p, "two");
    await(is_lost(&r.p));
    ck_assert_str_eq(r.p.told, "mdl");
    got_is(&r.p, "one|");
    ck_assert_int_eq(r.p.reason, 0);
    close_probe(&r.p);
}

/* ---- sending --------------------------------------------------------------------------------- */

FIBER_TEST(datagrams_go_where_they_are_sent)
{
    receiver r = { .errors = 0 };
    char byte;
    th_addr peer = open_udp(&r, false);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "warp", 4, &peer)), 0);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, NULL, 0, &peer)), 0);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "weft", 4, &peer)), 0);
    peer_gets_datagram(&r, "warp");
    peer_gets_datagram(&r, "");
    peer_gets_datagram(&r, "weft");
    ck_assert_int_eq(peer_reads(&r.p, &byte, 1), -EAGAIN);
    ck_assert_uint_eq(info_of(r.p.t).sent, 8);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "weft", 4, NULL)), -EDESTADDRREQ);
    close_probe(&r.p);
}

FIBER_TEST(a_connected_one_sends_to_its_peer_and_to_no_other)
{
    receiver r = { .errors = 0 };
    th_addr peer = open_udp(&r, true);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "warp", 4, NULL)), 0);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "weft", 4, &peer)), -EISCONN);
    peer_gets_datagram(&r, "warp");
    ck_assert_int_eq(r.errors, 0);
    close_probe(&r.p);
}

FIBER_TEST(what_streams_do_is_misuse)
{
    receiver r = { .errors = 0 };
    probe p = { .peer = -1 };
    struct iovec iov = { "warp", 4 };
    static const th_transport_producer producer = { .produce = NULL };
    open_unix(&r);
    open_probe(&p);
    ck_assert_int_eq(th_transport_write(r.p.t, "warp", 4), -EINVAL);
    ck_assert_int_eq(th_transport_writev(r.p.t, &iov, 1), -EINVAL);
    ck_assert_int_eq(th_transport_try_write(r.p.t, "warp", 4), -EINVAL);
    ck_assert_int_eq(th_transport_write_eof(r.p.t), -EINVAL);
    ck_assert_int_eq(th_transport_unread(r.p.t, "warp", 4), -EINVAL);
    ck_assert_int_eq(th_transport_sendfile(r.p.t, 0, 0, 1, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_set_producer(r.p.t, &producer, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_set_protocol(r.p.t, &probe_protocol, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_set_protocol(p.t, &datagram_protocol, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_send_to(p.t, "warp", 4, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_send_to(r.p.t, NULL, 4, NULL), -EINVAL);
    await(was_told(&p, "m"));
    close_probe(&p);
    close_probe(&r.p);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Sends numbers until one waits; how many in all. */
static int stuff(receiver *r)
{
    char text[16];
    int n = 0;
    while (info_of(r->p.t).waiting == 0) {
        snprintf(text, sizeof text, "%06d", n++);
        ck_assert_int_ge(CALL(th_transport_send_to(r->p.t, text, 6, NULL)), 0);
    }
    return n;
}

FIBER_TEST(what_the_kernel_has_no_room_for_waits_in_order)
{
    receiver r = { .errors = 0 };
    char text[16];
    open_unix(&r);
    int n = stuff(&r);
    for (int end = n + 50; n < end; n++) {
        snprintf(text, sizeof text, "%06d", n);
        ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, text, 6, NULL)), 0);
    }
    ck_assert_uint_eq(info_of(r.p.t).waiting, 51 * 6);
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%06d", i);
        peer_gets_datagram(&r, text);
    }
    ck_assert_uint_eq(info_of(r.p.t).waiting, 0);
    ck_assert_int_eq(r.errors, 0);
    close_probe(&r.p);
}

/* To a Unix socket that one is not connected to: no event tells that its queue has room again. */
FIBER_TEST(what_waits_for_a_full_queue_that_nobody_watches_is_tried_again)
{
    receiver r = { .p.protocol = &datagram_protocol };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    th_addr to = { .kind = TH_ADDR_UNIX };
    char text[16];
    int own = socket(AF_UNIX, SOCK_DGRAM, 0);
    int other = socket(AF_UNIX, SOCK_DGRAM, 0);
    to.path_len =
        (uint16_t)(1 + snprintf(to.path + 1, sizeof to.path - 1, "thrum-test-%d", (int)getpid()));
    memcpy(un.sun_path, to.path, to.path_len);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + to.path_len);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&un, len), 0);
    open_probe_on(&r.p, own, other);
    await(was_told(&r.p, "m"));
    int n = 0;
    for (int end = INT32_MAX; n < end; n++) {
        snprintf(text, sizeof text, "%06d", n);
        ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, text, 6, &to)), 0);
        if (end == INT32_MAX && info_of(r.p.t).waiting > 0)
            end = n + 30;
    }
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%06d", i);
        peer_gets_datagram(&r, text);
    }
    close_probe(&r.p);
}

FIBER_TEST(one_larger_than_any_of_udp_is_told_instead_of_cut)
{
    enum { SIZE = 100000 };
    receiver r = { .errors = 0 };
    char *large = calloc(1, SIZE);
    open_unix(&r);
    ck_assert_int_eq(write(r.p.peer, large, SIZE), SIZE);
    peer_sends(&r.p, "small");
    await(r.p.len == 6);
    got_is(&r.p, "small|");
    ck_assert_int_eq(r.errors, 1);
    ck_assert_int_eq(r.error, -EMSGSIZE);
    ck_assert_int_eq(r.from.kind, TH_ADDR_UNIX);
    free(large);
    close_probe(&r.p);
}

FIBER_TEST(one_that_waited_and_fails_is_told_and_the_others_are_sent)
{
    enum { TOO_LARGE = 8 << 20 };
    receiver r = { .errors = 0 };
    char *large = calloc(1, TOO_LARGE);
    char text[16];
    open_unix(&r);
    ck_assert_int_eq(th_transport_send_to(r.p.t, large, TOO_LARGE, NULL), -EMSGSIZE);
    let_loop_run();
    ck_assert_int_eq(r.errors, 0); /* the call has said it */
    int n = stuff(&r);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "good", 4, NULL)), 0);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, large, TOO_LARGE, NULL)), 1);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "well", 4, NULL)), 1);
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%06d", i);
        peer_gets_datagram(&r, text);
    }
    peer_gets_datagram(&r, "good");
    peer_gets_datagram(&r, "well");
    ck_assert_int_eq(r.errors, 1);
    ck_assert_int_eq(r.error, -EMSGSIZE);
    ck_assert(r.had_to);
    await(strchr(r.p.told, 'r') != NULL);
    free(large);
    close_probe(&r.p);
}

FIBER_TEST(closing_sends_what_waits_and_aborting_drops_it)
{
    for (int abort = 0; abort < 2; abort++) {
        receiver r = { .errors = 0 };
        char text[16];
        open_unix(&r);
        int n = stuff(&r);
        ck_assert_int_eq(CALL(abort ? th_transport_abort(r.p.t, 0) : th_transport_close(r.p.t)), 0);
        ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "late", 4, NULL)), 0);
        ck_assert_uint_eq(info_of(r.p.t).dropped, 1);
        for (int i = 0; i < n - abort; i++) {
            snprintf(text, sizeof text, "%06d", i);
            peer_gets_datagram(&r, text);
        }
        await(is_lost(&r.p));
        ck_assert_int_eq(r.p.reason, abort ? -ECONNABORTED : 0);
        char byte;
        ck_assert_int_le(peer_reads(&r.p, &byte, 1), 0);
        close_probe(&r.p);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Sent to where nobody is, it comes back; the transport goes on. */
FIBER_TEST(a_datagram_that_comes_back_is_told_and_reading_goes_on)
{
    receiver r = { .errors = 0 };
    th_addr peer = open_udp(&r, true);
    await(was_told(&r.p, "m"));
    close_peer(&r.p);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "warp", 4, NULL)), 0);
    await(r.errors == 1);
    ck_assert_int_eq(r.error, -ECONNREFUSED);
    ck_assert(!r.had_to);
    /* Somebody is there again. */
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(peer.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    r.p.peer = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(r.p.peer, (struct sockaddr *)&in, sizeof in), 0);
    set_nonblocking(r.p.peer);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "weft", 4, NULL)), 0);
    peer_gets_datagram(&r, "weft");
    ck_assert_int_eq(r.errors, 1);
    close_probe(&r.p);
}

static int close_at_once(probe *p, th_str data)
{
    (void)data;
    return CALL(th_transport_close(p->t));
}

FIBER_TEST(an_error_that_is_there_when_it_closes_is_not_told)
{
    receiver r = { .p.on_made = close_at_once };
    (void)open_udp(&r, true);
    close_peer(&r.p);
    ck_assert_int_eq(CALL(th_transport_send_to(r.p.t, "warp", 4, NULL)), 0);
    await(is_lost(&r.p));
    ck_assert_str_eq(r.p.told, "ml");
    close_probe(&r.p);
}

/* The news of an earlier datagram must not be taken for the failure of a later one. */
FIBER_TEST(sending_a_thousand_to_where_nobody_is_neither_ends_nor_stalls_it)
{
    receiver r = { .errors = 0 };
    (void)open_udp(&r, true);
    await(was_told(&r.p, "m"));
    close_peer(&r.p);
    int refused = 0;
    for (int i = 0; i < 1000; i++) {
        int err = CALL(th_transport_send_to(r.p.t, "warp", 4, NULL));
        ck_assert(err == 0 || err == -ECONNREFUSED);
        refused += err < 0;
        if (i % 100 == 0)
            let_loop_run();
    }
    await(r.errors > 0);
    ck_assert_int_eq(r.error, -ECONNREFUSED);
    ck_assert_int_lt(refused, 1000);
    close_probe(&r.p);
}

FIBER_TEST(each_allocation_may_fail)
{
    for (int64_t n = 1;; n++) {
        receiver r = { .p.protocol = &datagram_protocol };
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
        set_nonblocking(fds[1]);
        thi_alloc_fail_at(n);
        int err = th_protocol_open(fds[0], use_probe, &r.p, NULL);
        if (err == 0) {
            for (int i = 0; i < 2000; i++) {
                int sent = th_transport_send_to(r.p.t, "warp", 4, NULL);
                ck_assert(sent == 0 || sent == -ENOMEM);
            }
            (void)th_transport_abort(r.p.t, 0);
            while (!is_lost(&r.p))
                ck_assert_int_eq(th_yield(), 0);
        } else {
            ck_assert_int_eq(err, -ENOMEM);
            close(fds[0]);
        }
        bool struck = thi_alloc_fail_at(0) == 0;
        close(fds[1]);
        free(r.p.got);
        if (!struck || n > 20) /* 2,000 that wait need no more of the same */
            break;
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "receiving");
    add_on_engines(tcase, each_datagram_is_received_whole_an_empty_one_too);
    tcase_add_test(tcase, what_comes_while_paused_is_received_after_resuming);
    add_on_engines(tcase, closing_in_the_function_that_receives_is_the_last_it_hears);
    tcase = thi_check_case(suite, "sending");
    add_on_engines(tcase, datagrams_go_where_they_are_sent);
    tcase_add_test(tcase, a_connected_one_sends_to_its_peer_and_to_no_other);
    tcase_add_test(tcase, what_streams_do_is_misuse);
    add_on_engines(tcase, what_the_kernel_has_no_room_for_waits_in_order);
    add_on_engines(tcase, what_waits_for_a_full_queue_that_nobody_watches_is_tried_again);
    tcase_add_test(tcase, one_larger_than_any_of_udp_is_told_instead_of_cut);
    add_on_engines(tcase, one_that_waited_and_fails_is_told_and_the_others_are_sent);
    add_on_engines(tcase, closing_sends_what_waits_and_aborting_drops_it);
    tcase = thi_check_case(suite, "errors");
    add_on_engines(tcase, a_datagram_that_comes_back_is_told_and_reading_goes_on);
    tcase_add_test(tcase, an_error_that_is_there_when_it_closes_is_not_told);
    add_on_engines(tcase, sending_a_thousand_to_where_nobody_is_neither_ends_nor_stalls_it);
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/datagram", fill_suite);
}
