/* SPDX-License-Identifier: MIT */

/* Listeners that expect PROXY headers, and sending them. */
#include "serving.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "net/socket.h"
#include "pair.h"
#include "sys/fault.h"

#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/proxied.h>
#include <thrum/sim.h>

#include <netinet/tcp.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V1  "PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\n"
#define V2  SIG "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\x09\xdc\x04\x01\xbb"

/* ---- a server that tells what it sees -------------------------------------------------------- */

/* What the last connection's peer was, and whether there was a header. */
static char seen_peer[TH_ADDR_TEXT];
static th_proxied seen;
static int seen_result;

static int look(th_stream *stream, void *arg)
{
    th_addr peer;
    ck_assert_int_eq(th_stream_peer(stream, &peer), 0);
    (void)th_addr_format(&peer, seen_peer, sizeof seen_peer);
    seen_result = th_stream_proxied(stream, &seen);
    return echo(stream, arg);
}

static server expecting(int kind, const char *from)
{
    server s = { .fn = look, .how = { .proxy_protocol = kind, .proxy_from = from } };
    seen_peer[0] = '\0';
    seen_result = 77;
    return s;
}

static void sends(int fd, const void *bytes, size_t size)
{
    ck_assert_int_eq(send(fd, bytes, size, 0), (ssize_t)size);
}

#define SENDS(fd, literal) sends(fd, literal, sizeof(literal) - 1)

static void receives(int fd, const char *text)
{
    char buf[200] = "";
    size_t len = 0;
    while (len < strlen(text)) {
        ssize_t n;
        wait_until((n = recv(fd, buf + len, strlen(text) - len, MSG_DONTWAIT)) >= 0 ||
                   errno != EAGAIN);
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    ck_assert_str_eq(buf, text);
}

/* The client is reset, and the server has never seen it. */
static void is_turned_away(int fd)
{
    char state = 'r';
    if (fd >= 0)
        wait_until((state = state_of(fd)) != 'o');
    ck_assert_int_eq(state, 'r'); /* which is told once */
    ck_assert_int_eq(seen_result, 77);
    if (fd >= 0)
        close(fd);
}

/* ---- reading --------------------------------------------------------------------------------- */

FIBER_TEST(the_client_is_seen_instead_of_the_proxy)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    int fd = client_of(&s);
    SENDS(fd, V1 "hello");
    receives(fd, "hello");
    ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    ck_assert_int_eq(seen_result, 0);
    ck_assert_int_eq(seen.version, 1);
    ck_assert_uint_eq(seen.destination.port, 443);
    close(fd);
    fd = client_of(&s);
    SENDS(fd, V2 "hello");
    receives(fd, "hello");
    ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    ck_assert_int_eq(seen.version, 2);
    close(fd);
    cancel_server(&s);
}

/* In every cut, byte for byte: what is behind the header is the client's, and all of it is there.
 */
FIBER_TEST(no_byte_behind_the_header_is_lost)
{
    static const char *const headers[] = { V1, V2 };
    static const size_t sizes[] = { sizeof V1 - 1, sizeof V2 - 1 };
    int one = 1;
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    for (int version = 0; version < 2; version++) {
        for (size_t cut = 1; cut < sizes[version] + 2; cut += cut % 5 + 1) {
            char all[100];
            size_t size = sizes[version] + 4;
            memcpy(all, headers[version], sizes[version]);
            memcpy(all + sizes[version], "\r\nab", 4);
            int fd = client_of(&s);
            ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
            for (size_t at = 0; at < size; at += cut) {
                sends(fd, all + at, thi_min(cut, size - at));
                ck_assert_int_eq(th_yield(), 0);
            }
            receives(fd, "\r\nab");
            close(fd);
        }
    }
    cancel_server(&s);
}

/* A header of which a byte comes in each turn is read without spinning, and nobody else waits. */
FIBER_TEST(a_slow_header_keeps_nobody_waiting)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    int slow = client_of(&s);
    SENDS(slow, "PROXY TCP4 192");
    int quick = client_of(&s);
    SENDS(quick, V2 "x");
    receives(quick, "x");
    int64_t turns = thi_metric_read(THI_M_LOOP_TURNS);
    ck_assert_int_eq(th_sleep(50 * TH_MILLISECOND), 0);
    ck_assert_int_le(thi_metric_read(THI_M_LOOP_TURNS), turns + 20);
    SENDS(slow, ".0.2.8 198.51.100.9 1 2\r\ny");
    receives(slow, "y");
    ck_assert_str_eq(seen_peer, "192.0.2.8:1");
    close(slow);
    close(quick);
    cancel_server(&s);
}

FIBER_TEST(a_proxy_that_speaks_for_itself_is_seen_itself)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    int fd = client_of(&s);
    SENDS(fd, SIG "\x20\0\0\0x");
    receives(fd, "x");
    ck_assert_int_eq(strncmp(seen_peer, "127.0.0.1:", 10), 0);
    ck_assert_int_eq(seen_result, 0);
    ck_assert_int_eq(seen.local, 1);
    close(fd);
    fd = client_of(&s);
    SENDS(fd, "PROXY UNKNOWN\r\nx");
    receives(fd, "x");
    ck_assert_int_eq(strncmp(seen_peer, "127.0.0.1:", 10), 0);
    ck_assert_uint_eq(seen.source.kind, TH_ADDR_NONE);
    close(fd);
    cancel_server(&s);
}

/* Looks for facts while the connection is open, when they are valid. */
static char alpn[8];

static int look_for_facts(th_stream *stream, void *arg)
{
    th_str value;
    ck_assert_int_eq(th_stream_proxied(stream, &seen), 0);
    ck_assert_int_eq(th_proxied_tlv(&seen, TH_PROXIED_ALPN, &value), 0);
    (void)snprintf(alpn, sizeof alpn, "%.*s", TH_STR_ARG(value));
    ck_assert_int_eq(th_proxied_tlv(&seen, TH_PROXIED_AUTHORITY, &value), -ENOENT);
    ck_assert_int_eq(th_stream_close(stream), 0);
    ck_assert_int_eq(th_stream_proxied(stream, &seen), -EBADF);
    (void)arg;
    return 0;
}

FIBER_TEST(further_facts_are_found)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    s.fn = look_for_facts;
    start_server(&s);
    int fd = client_of(&s);
    SENDS(fd, SIG "\x21\x11\0\x11\xc0\0\2\7\xc6\x33\x64\x09\xdc\x04\x01\xbb\1\0\2h2");
    wait_until(state_of(fd) == 'e');
    ck_assert_str_eq(alpn, "h2");
    close(fd);
    cancel_server(&s);
}

/* ---- refusing -------------------------------------------------------------------------------- */

FIBER_TEST(a_wrong_header_is_turned_away)
{
    int64_t refused = thi_metric_read(THI_M_CONNS_REFUSED_PROXY);
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    int fd = client_of(&s);
    SENDS(fd, "GET / HTTP/1.1\r\n");
    is_turned_away(fd);
    fd = client_of(&s);
    SENDS(fd, "PROXY TCP4 1.2.3.4\r\n");
    is_turned_away(fd);
    fd = client_of(&s);
    SENDS(fd, SIG "\x21\x11\xff\xff");
    is_turned_away(fd);
    ck_assert_int_eq(thi_metric_read(THI_M_CONNS_REFUSED_PROXY), refused + 3);
    fd = client_of(&s); /* one that ends before its header */
    SENDS(fd, "PROXY");
    shutdown(fd, SHUT_WR);
    is_turned_away(fd);
    cancel_server(&s);
}

FIBER_TEST(a_header_that_does_not_come_in_time_is_turned_away)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    s.how.proxy_time = 20 * TH_MILLISECOND;
    start_server(&s);
    int silent = client_of(&s);
    int half = client_of(&s);
    SENDS(half, "PROXY TCP4");
    is_turned_away(silent);
    is_turned_away(half);
    cancel_server(&s);
}

FIBER_TEST(with_networks_only_known_proxies_may_come)
{
    server s = expecting(TH_PROXY_REQUIRED, "127.0.0.2, 10.0.0.0/8");
    start_server(&s);
    int fd = client_from(&s, 1);
    is_turned_away(fd);
    fd = client_from(&s, 2);
    SENDS(fd, V1 "x");
    receives(fd, "x");
    ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    close(fd);
    cancel_server(&s);
}

FIBER_TEST(an_optional_header_is_believed_from_known_proxies_only)
{
    server s = expecting(TH_PROXY_OPTIONAL, "127.0.0.2");
    start_server(&s);
    int fd = client_from(&s, 1); /* what looks like a header is this client's own text */
    SENDS(fd, V1);
    receives(fd, V1);
    ck_assert_int_eq(strncmp(seen_peer, "127.0.0.1:", 10), 0);
    ck_assert_int_eq(seen_result, -ENOENT);
    close(fd);
    fd = client_from(&s, 2);
    SENDS(fd, V1 "x");
    receives(fd, "x");
    ck_assert_int_eq(seen_result, 0);
    close(fd);
    seen_result = 77;
    fd = client_from(&s, 2); /* it must send one */
    SENDS(fd, "hello");
    is_turned_away(fd);
    cancel_server(&s);
}

FIBER_TEST(unix_sockets_are_a_network_too)
{
    char address[80];
    (void)snprintf(address, sizeof address, "unix:@thrum-proxied-%ld", (long)getpid());
    server s = expecting(TH_PROXY_OPTIONAL, "unix");
    s.address = address;
    start_server(&s);
    int fd = client_of(&s);
    SENDS(fd, V1 "x");
    receives(fd, "x");
    ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    close(fd);
    cancel_server(&s);
}

START_TEST(misuse_is_refused)
{
    th_listener *l = NULL;
    th_proxied p = { .size = 0 };
    th_str value;
    th_listen_opts opts = { .proxy_protocol = TH_PROXY_OPTIONAL };
    ck_assert_int_eq(th_listen("127.0.0.1:0", &opts, &l), -EINVAL);
    opts = (th_listen_opts){ .proxy_from = "10.0.0.0/8" };
    ck_assert_int_eq(th_listen("127.0.0.1:0", &opts, &l), -EINVAL);
    opts = (th_listen_opts){ .proxy_protocol = 3 };
    ck_assert_int_eq(th_listen("127.0.0.1:0", &opts, &l), -EINVAL);
    opts = (th_listen_opts){ .proxy_protocol = TH_PROXY_REQUIRED, .proxy_time = -1 };
    ck_assert_int_eq(th_listen("127.0.0.1:0", &opts, &l), -EINVAL);
    opts = (th_listen_opts){ .proxy_protocol = TH_PROXY_REQUIRED, .proxy_from = "10.0.0.1/8" };
    ck_assert_int_eq(th_listen("127.0.0.1:0", &opts, &l), TH_EADDRESS);
    ck_assert_ptr_null(l);
    ck_assert_int_eq(th_stream_proxied(NULL, &p), -EINVAL);
    ck_assert_int_eq(th_proxied_tlv(NULL, 1, &value), -EINVAL);
    ck_assert_int_eq(th_proxied_of(NULL, &p), -EINVAL);
    ck_assert_int_eq(th_proxied_send(&p, NULL), -EINVAL);
}
END_TEST

/* ---- with limits and ends -------------------------------------------------------------------- */

FIBER_TEST(the_limit_per_peer_counts_clients_not_proxies)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    s.opts.max_per_peer = 1;
    start_server(&s);
    int a = client_of(&s);
    int b = client_of(&s);
    SENDS(a, "PROXY TCP4 192.0.2.1 198.51.100.9 1 2\r\na");
    receives(a, "a");
    SENDS(b, "PROXY TCP4 192.0.2.2 198.51.100.9 1 2\r\nb");
    receives(b, "b");
    seen_result = 77;
    int again = client_of(&s);
    SENDS(again, "PROXY TCP4 192.0.2.1 198.51.100.9 3 2\r\nc");
    is_turned_away(again);
    close(a);
    wait_until(atomic_load(&serving_now) == 1);
    again = client_of(&s);
    SENDS(again, "PROXY TCP4 192.0.2.1 198.51.100.9 3 2\r\nd");
    receives(again, "d");
    close(again);
    close(b);
    cancel_server(&s);
}

FIBER_TEST_ON(2, a_stop_does_not_wait_for_headers)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    int clients[8];
    s.how.proxy_time = 3600 * TH_SECOND;
    start_server(&s);
    for (int i = 0; i < 8; i++)
        clients[i] = client_of(&s);
    wait_until(thi_metric_read(THI_M_CONNS_OPEN) == 8);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&s.scope);
    ck_assert_int_eq(s.result, 0);
    th_listener_close(s.listener);
    for (int i = 0; i < 8; i++)
        is_turned_away(clients[i]);
}

/* HTTP connections have no fiber while their header comes, as while they are idle. */
static int tell_peer(th_http_request *q, th_http_reply *r, void *arg)
{
    char text[TH_ADDR_TEXT];
    th_addr peer;
    (void)arg;
    ck_assert_int_eq(th_http_request_peer(q, &peer), 0);
    return th_http_reply_text(r, 200, th_addr_format(&peer, text, sizeof text));
}

static int run_http(void *arg)
{
    server *s = arg;
    s->result = th_http_serve_on(&s->listener, 1, tell_peer, NULL, NULL);
    return 0;
}

FIBER_TEST(http_sees_the_client_too)
{
    char reply[1000] = "";
    size_t len = 0;
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    ck_assert_int_eq(th_listen("127.0.0.1:0", &s.how, &s.listener), 0);
    open_scope(&s.scope);
    spawn(&s.scope, run_http, &s);
    int fd = client_of(&s);
    SENDS(fd, V2 "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (ssize_t n = 1; n != 0;) {
        wait_until((n = recv(fd, reply + len, sizeof reply - 1 - len, MSG_DONTWAIT)) >= 0);
        len += (size_t)n;
    }
    ck_assert_ptr_nonnull(strstr(reply, "192.0.2.7:56324"));
    close(fd);
    cancel_server(&s);
}

static int run_http_for_few(void *arg)
{
    server *s = arg;
    s->result =
        th_http_serve_on(&s->listener, 1, tell_peer, NULL, &(th_http_opts){ .max_per_peer = 1 });
    return 0;
}

/* An idle connection counts until it is closed. */
FIBER_TEST(http_has_the_limit_per_peer_too)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    server s = expecting(TH_PROXY_NONE, NULL);
    ck_assert_int_eq(th_listen("127.0.0.1:0", &s.how, &s.listener), 0);
    open_scope(&s.scope);
    spawn(&s.scope, run_http_for_few, &s);
    for (int i = 0; i < 3; i++) {
        int fd = client_from(&s, 5);
        SENDS(fd, request);
        receives(fd, "HTTP/1.1 200 OK\r\n");
        is_turned_away(client_from(&s, 5));
        close(fd);
        wait_until(thi_metric_read(THI_M_CONNS_OPEN) == 0);
    }
    cancel_server(&s);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The peer of the pair finds exactly these bytes. */
static void peer_finds(pair *p, const void *bytes, size_t size)
{
    char buf[300];
    ssize_t n = recv(p->peer, buf, sizeof buf, 0);
    ck_assert_int_eq(n, (ssize_t)size);
    ck_assert_mem_eq(buf, bytes, size);
}

FIBER_TEST(a_header_is_sent)
{
    pair p = open_pair();
    th_proxied h = { .version = 1,
                     .source = { .kind = TH_ADDR_IP4, .port = 56324, .ip = { 192, 0, 2, 7 } },
                     .destination = {
                         .kind = TH_ADDR_IP4, .port = 443, .ip = { 198, 51, 100, 9 } } };
    ck_assert_int_eq(th_proxied_send(&h, p.stream), 0);
    peer_finds(&p, V1, sizeof V1 - 1);
    h.version = 0; /* the binary one */
    ck_assert_int_eq(th_proxied_send(&h, p.stream), 0);
    peer_finds(&p, V2, sizeof V2 - 1);
    h.local = 1;
    ck_assert_int_eq(th_proxied_send(&h, p.stream), 0);
    peer_finds(&p, SIG "\x20\0\0\0", 16);
    h.local = 0;
    h.version = 3;
    ck_assert_int_eq(th_proxied_send(&h, p.stream), -EINVAL);
    h.version = 2;
    h.tlvs = TH_STR("\1\0\2h");
    ck_assert_int_eq(th_proxied_send(&h, p.stream), -EINVAL);
    h.tlvs = TH_STR("\3\0\4\0\0\0\0");
    ck_assert_int_eq(th_proxied_send(&h, p.stream), -EINVAL);
    static char facts[1024 - 28 + 1] = "\x04\x03";
    facts[2] = (char)(sizeof facts - 3 - 0x300);
    h.tlvs = th_str_make(facts, sizeof facts);
    ck_assert_int_eq(th_proxied_send(&h, p.stream), TH_ELIMIT);
    facts[2]--;
    h.tlvs.len--;
    ck_assert_int_eq(th_proxied_send(&h, p.stream), 0);
    h.tlvs.len = 0;
    h.destination.kind = TH_ADDR_IP6;
    ck_assert_int_eq(th_proxied_send(&h, p.stream), -EINVAL);
    h = (th_proxied){ .size = sizeof h + 1 };
    ck_assert_int_eq(th_proxied_send(&h, p.stream), -EINVAL);
    close_pair(&p);
}

FIBER_TEST(a_header_is_made_of_a_connection)
{
    th_addr peer;
    th_proxied h;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_peer(p.stream, &peer), 0);
    ck_assert_int_eq(th_proxied_of(p.stream, &h), 0);
    ck_assert_int_eq(h.version, 2);
    ck_assert(th_addr_equal(&h.source, &peer));
    ck_assert_uint_eq(h.destination.kind, TH_ADDR_IP4);
    ck_assert_int_eq(th_stream_proxied(p.stream, &h), -ENOENT);
    close_pair(&p);
}

/* The same in one call. */
FIBER_TEST(a_header_is_sent_by_who_dials)
{
    char text[TH_ADDR_TEXT];
    char byte;
    th_stream *stream = NULL;
    th_proxied h = { .source = { .kind = TH_ADDR_IP4, .port = 56324, .ip = { 192, 0, 2, 7 } },
                     .destination = { .kind = TH_ADDR_IP4 } };
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&s);
    (void)th_addr_format(&s.listener->addr, text, sizeof text);
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .proxied = &h }, &stream), 0);
    ck_assert_int_eq(th_stream_write(stream, "x", 1), 1);
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), 1);
    ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    th_stream_free(stream);
    stream = NULL;
    h.version = 3;
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .proxied = &h }, &stream), -EINVAL);
    ck_assert_ptr_null(stream);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), text));
    cancel_server(&s);
}

/* A chain: who came with a header is announced with it to the next, facts and checksum included. */
static th_listener *next_server;

static int forward(th_stream *stream, void *arg)
{
    char text[TH_ADDR_TEXT];
    th_proxied h;
    th_stream *next = NULL;
    (void)arg;
    ck_assert_int_eq(th_proxied_of(stream, &h), 0);
    ck_assert_int_eq(th_dial(th_addr_format(&next_server->addr, text, sizeof text), NULL, &next),
                     0);
    ck_assert_int_eq(th_proxied_send(&h, next), 0);
    int n = (int)th_stream_read(next, text, 1);
    th_stream_free(next);
    return n;
}

FIBER_TEST(a_header_is_handed_on_to_the_next_server)
{
    server last = expecting(TH_PROXY_REQUIRED, NULL);
    start_server(&last);
    next_server = last.listener;
    server first = { .fn = forward, .how.proxy_protocol = TH_PROXY_REQUIRED };
    start_server(&first);
    int fd = client_of(&first);
    thi_proxy_header h = { .version = 2, .kind = THI_PROXY_IP6, .checksum = true };
    h.source.ip[15] = 9;
    h.source.port = 99;
    h.tlvs = TH_STR("\1\0\2h2");
    char buf[200];
    sends(fd, buf, thi_proxy_write(&h, buf, sizeof buf));
    wait_until(*seen_peer);
    ck_assert_str_eq(seen_peer, "[::9]:99");
    ck_assert_int_eq(seen.checksum, 1);
    ck_assert_uint_eq(seen.tlvs.len, 5);
    cancel_server(&first);
    cancel_server(&last);
    close(fd);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* One client behind a proxy, served or not, while something fails. */
static int one_client(void *arg)
{
    int64_t *allocation = arg;
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    s.opts.max_per_peer = 5;
    char byte = 0;
    start_server(&s);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    thi_alloc_fail_at(*allocation);
    int fd = client_of(&s);
    SENDS(fd, V2 "x");
    wait_until(recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN);
    *allocation = thi_alloc_fail_at(0);
    close(fd);
    wait_until(thi_metric_read(THI_M_CONNS_OPEN) == 0);
    cancel_server(&s);
    return byte == 'x' ? 1 : 0;
}

START_TEST(without_memory_a_client_is_turned_away_and_nothing_leaks)
{
    int64_t left = 0;
    th_run_opts opts = { .workers = 1, .backend = engine_names[_i], .no_signals = 1 };
    ck_assert_int_eq(th_run(one_client, &left, &opts), 1);
    int64_t live = thi_alloc_live();
    for (int64_t n = 1; n < 100; n++) {
        left = n;
        int served = th_run(one_client, &left, &opts);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (left > 0) {
            ck_assert_int_eq(served, 1);
            ck_assert_int_gt(n, 4);
            return;
        }
    }
    ck_abort_msg("it always fails");
}
END_TEST

/* In a simulation, where bytes come in whatever pieces and moments, faults included. */
static int sim_client(void *arg)
{
    server *s = arg;
    char text[TH_ADDR_TEXT];
    char byte;
    th_stream *stream = NULL;
    if (th_dial(th_addr_format(&s->listener->addr, text, sizeof text), NULL, &stream) < 0)
        return 0;
    if (th_stream_write(stream, V2 "x", sizeof V2) == sizeof V2 &&
        th_stream_read(stream, &byte, 1) == 1) {
        ck_assert_int_eq(byte, 'x');
        ck_assert_str_eq(seen_peer, "192.0.2.7:56324");
    }
    th_stream_free(stream);
    return 0;
}

static int sim_main(void *arg)
{
    server s = expecting(TH_PROXY_REQUIRED, NULL);
    th_scope clients;
    (void)arg;
    if (th_listen("127.0.0.1:0", &s.how, &s.listener) < 0)
        return 0;
    open_scope(&s.scope);
    s.fn = look;
    int err = th_spawn(&s.scope, run_server, &s);
    open_scope(&clients);
    for (int i = 0; i < 10 && err == 0; i++)
        err = th_spawn(&clients, sim_client, &s);
    (void)th_scope_close(&clients);
    (void)th_scope_cancel(&s.scope, 0);
    (void)th_scope_close(&s.scope);
    th_listener_close(s.listener);
    return 0;
}

START_TEST(in_a_simulation_headers_come_in_every_way)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        th_sim_result result;
        th_sim_opts opts = { .seed = seed, .workers = 2 };
        for (int i = 0; i < TH_SIM_FAULTS && seed > 20; i++)
            if (i != TH_SIM_NO_ANSWER && i != TH_SIM_NEVER_READS && i != TH_SIM_NO_MEMORY)
                opts.faults[i].per_million = 20000;
        int err = th_sim_run(sim_main, NULL, &opts, &result);
        ck_assert_msg(err == 0, "seed %d: %s: %s", (int)seed, th_errname(err), th_err_detail());
        ck_assert_uint_eq(result.open_descriptors, 0);
        ck_assert_int_eq(result.live_allocations, 0);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "reading");
    tcase_set_timeout(tcase, 30);
    add_on_engines(tcase, the_client_is_seen_instead_of_the_proxy);
    add_on_engines(tcase, no_byte_behind_the_header_is_lost);
    add_on_engines(tcase, a_slow_header_keeps_nobody_waiting);
    tcase_add_test(tcase, a_proxy_that_speaks_for_itself_is_seen_itself);
    tcase_add_test(tcase, further_facts_are_found);
    tcase = thi_check_case(suite, "refusing");
    add_on_engines(tcase, a_wrong_header_is_turned_away);
    add_on_engines(tcase, a_header_that_does_not_come_in_time_is_turned_away);
    tcase_add_test(tcase, with_networks_only_known_proxies_may_come);
    tcase_add_test(tcase, an_optional_header_is_believed_from_known_proxies_only);
    tcase_add_test(tcase, unix_sockets_are_a_network_too);
    tcase_add_test(tcase, misuse_is_refused);
    tcase = thi_check_case(suite, "limits and ends");
    tcase_add_test(tcase, the_limit_per_peer_counts_clients_not_proxies);
    add_on_engines(tcase, a_stop_does_not_wait_for_headers);
    tcase_add_test(tcase, http_sees_the_client_too);
    tcase_add_test(tcase, http_has_the_limit_per_peer_too);
    tcase = thi_check_case(suite, "sending");
    tcase_add_test(tcase, a_header_is_sent);
    tcase_add_test(tcase, a_header_is_made_of_a_connection);
    tcase_add_test(tcase, a_header_is_sent_by_who_dials);
    tcase_add_test(tcase, a_header_is_handed_on_to_the_next_server);
    tcase = thi_check_case(suite, "failures");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, without_memory_a_client_is_turned_away_and_nothing_leaks);
    tcase_add_test(tcase, in_a_simulation_headers_come_in_every_way);
}

int main(void)
{
    return thi_check_run("net/proxied", fill);
}
