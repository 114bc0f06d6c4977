/* SPDX-License-Identifier: MIT */

/* DTLS over UDP: servers on all workers, clients, their ends, and those who are not let in. */
#include "runtime/in_fiber.h"
#include "tls/certs.h"

#include "sys/sys.h"

#include <thrum/dtls.h>
#include <thrum/tls.h>
#include <thrum/udp.h>

#include <stdatomic.h>

typedef struct server {
    th_dtls_serve_opts opts;
    const char *address;
    th_addr addr;
    bool listening;
    int result;
    atomic_int guests;
    atomic_int present;
    atomic_int last;   /* what receiving ended with */
    th_tls_info *seen; /* of the last guest, on one worker; NULL: of no interest */
    th_scope scope;
} server;

static void listening(const th_addr *addr, void *arg)
{
    server *s = arg;
    s->addr = *addr;
    s->listening = true;
}

static int echo(th_dtls *dtls, void *arg)
{
    server *s = arg;
    char buf[2048];
    ssize_t n;
    ck_assert_int_eq(s->seen ? th_dtls_info(dtls, s->seen) : 0, 0);
    atomic_fetch_add(&s->guests, 1);
    atomic_fetch_add(&s->present, 1);
    while ((n = th_dtls_recv(dtls, buf, sizeof buf)) > 0)
        if (th_dtls_send(dtls, buf, (size_t)n) < 0)
            break;
    atomic_store(&s->last, (int)n);
    atomic_fetch_sub(&s->present, 1);
    return 0;
}

static int serve(void *arg)
{
    server *s = arg;
    s->opts.listening = listening;
    s->result = th_dtls_serve(s->address ? s->address : "dtls://127.0.0.1:0", echo, s, &s->opts);
    return 0;
}

static th_tls *client_tls;

static void start(server *s, th_tls_opts opts)
{
    make_certs();
    opts.dtls = 1;
    s->opts.tls = test_tls(&test_server, opts);
    client_tls = test_tls(NULL, (th_tls_opts){ .dtls = 1 });
    open_scope(&s->scope);
    spawn(&s->scope, serve, s);
    while (!s->listening)
        ck_assert_int_eq(th_yield(), 0);
}

static void finish(server *s)
{
    (void)th_scope_close(&s->scope);
    th_tls_unref(s->opts.tls);
    th_tls_unref(client_tls);
    free_certs();
}

static void stop(server *s)
{
    ck_assert_int_eq(th_stop(), 0);
    finish(s);
    ck_assert_int_eq(s->result, 0);
}

static int dial_with(const server *s, th_dtls_opts opts, th_dtls **dtls)
{
    char text[TH_ADDR_TEXT + 8];
    char addr[TH_ADDR_TEXT];
    opts.tls = opts.tls ? opts.tls : client_tls;
    snprintf(text, sizeof text, "dtls://%s", th_addr_format(&s->addr, addr, sizeof addr));
    return th_dtls_dial(text, &opts, dtls);
}

/* The certificate is for 127.0.0.1, too. */
static th_dtls *dial(const server *s)
{
    th_dtls *dtls = NULL;
    int err = dial_with(s, (th_dtls_opts){ .size = 0 }, &dtls);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return dtls;
}

static void ask(th_dtls *dtls, const char *text)
{
    char buf[64];
    ck_assert_int_eq(th_dtls_send(dtls, text, strlen(text)), 0);
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), (ssize_t)strlen(text));
    ck_assert_int_eq(memcmp(buf, text, strlen(text)), 0);
}

FIBER_TEST_ON(2, many_clients_are_served_and_hear_of_the_end)
{
    server s = { .guests = 0 };
    th_dtls *clients[12];
    char buf[64];
    start(&s, (th_tls_opts){ 0 });
    for (size_t i = 0; i < thi_array_len(clients); i++)
        clients[i] = dial(&s);
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < thi_array_len(clients); i++) {
            snprintf(buf, sizeof buf, "client %zu, %d", i, k);
            ask(clients[i], buf);
        }
    ck_assert_int_eq(s.guests, (int)thi_array_len(clients));
    ck_assert_int_eq(th_stop(), 0);
    for (size_t i = 0; i < thi_array_len(clients); i++) {
        ck_assert_int_eq(th_dtls_recv(clients[i], buf, sizeof buf), TH_EOF);
        th_dtls_free(clients[i]);
    }
    finish(&s);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(s.present, 0);
    ck_assert_int_eq(s.last, TH_EOF);
}

FIBER_TEST(a_client_that_leaves_ends_what_serves_it)
{
    server s = { .guests = 0 };
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    ask(dtls, "hello");
    ck_assert_int_eq(th_dtls_shutdown(dtls), 0);
    ck_assert_int_eq(th_dtls_send(dtls, "x", 1), -EPIPE);
    while (s.present > 0)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(s.last, TH_EOF);
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(what_was_agreed_upon_is_told)
{
    server s = { .guests = 0 };
    th_tls_info info = { .size = sizeof info };
    th_addr peer;
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    ck_assert_int_eq(th_dtls_info(dtls, &info), 0);
    ck_assert_int_eq(info.done, 1);
    ck_assert_int_eq(info.server, 0);
    ck_assert_int_eq(info.resumed, 0);
    ck_assert_int_eq(info.verified, 1);
    ck_assert_str_eq(info.version_name, "DTLSv1.2");
    ck_assert_ptr_nonnull(info.cipher);
    ck_assert_uint_eq(info.verified_certs, 2);
    ck_assert_int_eq(th_dtls_peer(dtls, &peer), 0);
    ck_assert(th_addr_equal(&peer, &s.addr));
    ck_assert_int_gt(th_dtls_payload(dtls), 1100);
    ck_assert_int_eq(th_dtls_set_mtu(dtls, 500), 0);
    ck_assert_int_lt(th_dtls_payload(dtls), 500);
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(a_server_sees_all_that_its_client_has_sent)
{
    th_tls_info seen = { 0 };
    server s = { .seen = &seen };
    th_dtls *dtls = NULL;
    start(&s, (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED });
    th_tls *known = test_tls(&test_client, (th_tls_opts){ .dtls = 1 });
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .tls = known }, &dtls), 0);
    ask(dtls, "hello");
    ck_assert_int_eq(seen.server, 1);
    ck_assert_int_eq(seen.version, TH_TLS_1_2);
    ck_assert_int_eq(seen.verified, 1);
    ck_assert_uint_eq(seen.peer_certs, 1);
    ck_assert_uint_eq(seen.verified_certs, 2);
    th_dtls_free(dtls);
    th_tls_unref(known);
    stop(&s);
}

/* The chain is good, but nobody has looked at it to refuse another one. */
FIBER_TEST(who_believes_anybody_has_verified_nobody)
{
    server s = { .guests = 0 };
    th_tls_info info = { .size = sizeof info };
    th_dtls *dtls = NULL;
    start(&s, (th_tls_opts){ 0 });
    th_tls *any = test_tls(NULL, (th_tls_opts){ .dtls = 1, .insecure_no_verification = 1 });
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .tls = any }, &dtls), 0);
    ck_assert_int_eq(th_dtls_info(dtls, &info), 0);
    ck_assert_int_eq(info.verified, 0);
    th_dtls_free(dtls);
    th_tls_unref(any);
    stop(&s);
}

/* As of TLS 1.2, one session serves until it expires. */
FIBER_TEST(all_connections_but_the_first_are_resumed)
{
    server s = { .guests = 0 };
    start(&s, (th_tls_opts){ 0 });
    for (int i = 0; i < 4; i++) {
        th_tls_info info = { .size = sizeof info };
        th_dtls *dtls = dial(&s);
        ck_assert_int_eq(th_dtls_info(dtls, &info), 0);
        ck_assert_int_eq(info.resumed, i > 0);
        ask(dtls, "hello");
        th_dtls_free(dtls);
    }
    stop(&s);
}

FIBER_TEST(sizes_at_the_limit_and_beyond_it)
{
    static char data[2048];
    server s = { .guests = 0 };
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    size_t most = (size_t)th_dtls_payload(dtls);
    ck_assert_int_eq(th_dtls_send(dtls, data, most + 1), -EMSGSIZE);
    ck_assert_int_eq(th_dtls_send(dtls, data, most), 0);
    ck_assert_int_eq(th_dtls_recv(dtls, data, sizeof data), (ssize_t)most);
    ck_assert_int_eq(th_dtls_send(dtls, "abcdef", 6), 0);
    ck_assert_int_eq(th_dtls_recv(dtls, data, 3), 3); /* the rest has no room */
    ask(dtls, "next");
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(a_wrong_name_is_refused)
{
    server s = { .guests = 0 };
    th_dtls *dtls = NULL;
    start(&s, (th_tls_opts){ 0 });
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .name = "other.test" }, &dtls), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "other.test"));
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .name = "server.test" }, &dtls), 0);
    th_dtls_free(dtls);
    stop(&s);
}

/* A socket that is bound and never read: neither an answer nor a refusal. */
FIBER_TEST(a_server_that_says_nothing_is_given_up_in_time)
{
    server s = { .listening = false };
    th_udp *silent;
    th_dtls *dtls = NULL;
    make_certs();
    client_tls = test_tls(NULL, (th_tls_opts){ .dtls = 1 });
    ck_assert_int_eq(th_udp_open("127.0.0.1:0", NULL, &silent), 0);
    ck_assert_int_eq(th_udp_local(silent, &s.addr), 0);
    th_dtls_opts opts = { .handshake_time = 50 * TH_MILLISECOND };
    ck_assert_int_eq(dial_with(&s, opts, &dtls), -ETIMEDOUT);
    ck_assert_str_eq(th_err_detail(), "the handshake took longer than 0.1 s");
    th_scope scope;
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .size = 0 }, &dtls), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .size = 0 }, &dtls), -ECANCELED);
    close_scope(&scope);
    th_udp_free(silent);
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .size = 0 }, &dtls), -ECONNREFUSED);
    ck_assert_ptr_null(dtls);
    th_tls_unref(client_tls);
    free_certs();
}

/* The first datagram of each direction is lost; it is sent again after OpenSSL's second. */
static thi_sys lossy;
static atomic_int to_lose;

static ssize_t lossy_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (atomic_fetch_sub(&to_lose, 1) > 0)
        return (ssize_t)msg->msg_iov->iov_len;
    return thi_sys_real.sendmsg(fd, msg, flags);
}

static ssize_t lossy_send(int fd, const void *buf, size_t n, int flags)
{
    if (atomic_fetch_sub(&to_lose, 1) > 0)
        return (ssize_t)n;
    return thi_sys_real.send(fd, buf, n, flags);
}

FIBER_TEST(lost_datagrams_are_sent_again)
{
    server s = { .guests = 0 };
    start(&s, (th_tls_opts){ 0 });
    lossy = *thi_sys_table;
    lossy.sendmsg = lossy_sendmsg;
    lossy.send = lossy_send;
    const thi_sys *before = thi_sys_table;
    thi_sys_table = &lossy;
    atomic_store(&to_lose, 1);
    int64_t began = th_now();
    th_dtls *dtls = dial(&s);
    ck_assert_int_ge(th_now() - began, 900 * TH_MILLISECOND);
    thi_sys_table = before;
    ask(dtls, "after all");
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(a_silent_peer_is_let_go)
{
    server s = { .opts.idle_time = 30 * TH_MILLISECOND };
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    char buf[8];
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), TH_EOF); /* it says so */
    while (s.present > 0)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(s.last, -ETIMEDOUT);
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(beyond_the_number_of_peers_nobody_is_answered)
{
    server s = { .opts.peers_max = 2 };
    th_dtls *dtls = NULL;
    start(&s, (th_tls_opts){ 0 });
    th_dtls *one = dial(&s);
    th_dtls *two = dial(&s);
    th_dtls_opts opts = { .handshake_time = 50 * TH_MILLISECOND };
    ck_assert_int_eq(dial_with(&s, opts, &dtls), -ETIMEDOUT);
    ask(one, "still there");
    th_dtls_free(one);
    while (s.present > 1)
        ck_assert_int_eq(th_yield(), 0);
    one = dial(&s);
    ask(one, "again");
    ask(two, "and still");
    th_dtls_free(one);
    th_dtls_free(two);
    stop(&s);
}

/* Somebody sends anything to the port, and as many hellos as he likes: no peer comes of it. */
FIBER_TEST(strangers_leave_nothing_behind)
{
    server s = { .guests = 0 };
    char addr[TH_ADDR_TEXT];
    th_udp *udp;
    start(&s, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_udp_dial(th_addr_format(&s.addr, addr, sizeof addr), NULL, &udp), 0);
    for (int i = 0; i < 200; i++) {
        char junk[64];
        for (size_t k = 0; k < sizeof junk; k++)
            junk[k] = (char)(i * 7 + (int)k * i);
        junk[0] = 22;
        ck_assert_int_eq(th_udp_send(udp, junk, (size_t)(i % 64), NULL), 0);
    }
    th_dtls *dtls = dial(&s);
    ask(dtls, "undisturbed");
    ck_assert_int_eq(s.guests, 1);
    th_dtls_free(dtls);
    th_udp_free(udp);
    stop(&s);
}

FIBER_TEST(newcomers_get_the_certificate_of_now)
{
    server s = { .guests = 0 };
    th_dtls *dtls = NULL;
    start(&s, (th_tls_opts){ 0 });
    th_dtls *old = dial(&s);
    test_cert second;
    test_cert_make(&second, "client.test", "DNS:client.test", &test_ca, EVP_EC_gen("P-256"));
    th_tls *newer = test_tls(&second, (th_tls_opts){ .dtls = 1 });
    test_cert_free(&second);
    ck_assert_int_eq(th_tls_replace(s.opts.tls, newer), 0);
    th_tls_unref(newer);
    th_tls *fresh = test_tls(NULL, (th_tls_opts){ .dtls = 1, .no_sessions = 1 });
    ck_assert_int_eq(dial_with(&s, (th_dtls_opts){ .tls = fresh }, &dtls), TH_ETLS);
    th_dtls_opts opts = { .tls = fresh, .name = "client.test" };
    int err = dial_with(&s, opts, &dtls);
    ck_assert_msg(err == 0, "%s", th_err_detail());
    ask(dtls, "new");
    ask(old, "old");
    th_dtls_free(dtls);
    th_dtls_free(old);
    th_tls_unref(fresh);
    stop(&s);
}

static int close_it(void *arg)
{
    ck_assert_int_eq(th_dtls_close(arg), 0);
    return 0;
}

FIBER_TEST(a_closed_one_wakes_who_waits_and_is_bad_afterwards)
{
    server s = { .guests = 0 };
    char buf[8];
    th_addr addr;
    th_scope scope;
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    open_scope(&scope);
    spawn(&scope, close_it, dtls);
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), -EBADF);
    ck_assert_int_eq(th_dtls_send(dtls, buf, 1), -EBADF);
    ck_assert_int_eq(th_dtls_shutdown(dtls), -EBADF);
    ck_assert_int_eq(th_dtls_close(dtls), -EBADF);
    ck_assert_int_eq(th_dtls_peer(dtls, &addr), -EBADF);
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(scopes_end_receiving_and_nothing_is_lost)
{
    server s = { .guests = 0 };
    char buf[8];
    th_scope scope;
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_dtls_recv(dtls, buf, sizeof buf), -ECANCELED);
    ck_assert_int_eq(th_dtls_send(dtls, "x", 1), -ECANCELED);
    close_scope(&scope);
    ask(dtls, "y");
    th_dtls_free(dtls);
    stop(&s);
}

FIBER_TEST(a_cancelled_service_cancels_those_whom_it_serves)
{
    server s = { .guests = 0 };
    start(&s, (th_tls_opts){ 0 });
    th_dtls *dtls = dial(&s);
    ask(dtls, "z");
    ck_assert_int_eq(th_scope_cancel(&s.scope, 0), 0);
    finish(&s);
    ck_assert_int_eq(s.result, -ECANCELED);
    ck_assert_int_eq(s.present, 0);
    th_dtls_free(dtls);
}

FIBER_TEST(misuse_is_refused)
{
    char buf[8];
    th_addr addr;
    th_tls_info info = { .size = 1 };
    th_dtls *dtls = NULL;
    make_certs();
    th_tls *plain = test_tls(&test_server, (th_tls_opts){ 0 });
    th_tls *bare = test_tls(NULL, (th_tls_opts){ .dtls = 1 });
    ck_assert_int_eq(th_dtls_dial(NULL, NULL, &dtls), -EINVAL);
    ck_assert_int_eq(th_dtls_dial("127.0.0.1:1", NULL, &dtls), -EINVAL);
    th_dtls_opts opts = { .tls = plain };
    ck_assert_int_eq(th_dtls_dial("127.0.0.1:1", &opts, &dtls), -EINVAL);
    ck_assert_str_eq(th_err_detail(), "the context was made without DTLS");
    opts = (th_dtls_opts){ .tls = bare };
    ck_assert_int_eq(th_dtls_dial("127.0.0.1:1", &opts, NULL), -EINVAL);
    ck_assert_int_eq(th_dtls_dial("nonsense", &opts, &dtls), TH_EADDRESS);
    opts.mtu = 100;
    ck_assert_int_eq(th_dtls_dial("127.0.0.1:1", &opts, &dtls), -EINVAL);
    opts = (th_dtls_opts){ .tls = bare, .handshake_time = -1 };
    ck_assert_int_eq(th_dtls_dial("127.0.0.1:1", &opts, &dtls), -EINVAL);
    th_dtls_serve_opts serving = { .tls = plain };
    ck_assert_int_eq(th_dtls_serve("127.0.0.1:0", echo, NULL, &serving), -EINVAL);
    serving.tls = bare;
    ck_assert_int_eq(th_dtls_serve("127.0.0.1:0", echo, NULL, &serving), -EINVAL);
    ck_assert_int_eq(th_dtls_serve("127.0.0.1:0", echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_dtls_recv(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_dtls_send(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_dtls_shutdown(NULL), -EINVAL);
    ck_assert_int_eq(th_dtls_close(NULL), -EINVAL);
    ck_assert_int_eq(th_dtls_payload(NULL), -EINVAL);
    ck_assert_int_eq(th_dtls_set_mtu(NULL, 500), -EINVAL);
    ck_assert_int_eq(th_dtls_peer(NULL, &addr), -EINVAL);
    ck_assert_int_eq(th_dtls_info(NULL, &info), -EINVAL);
    th_dtls_free(NULL);
    ck_assert_ptr_null(dtls);
    th_tls_unref(plain);
    th_tls_unref(bare);
    free_certs();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "dtls");
    add_on_engines(tcase, many_clients_are_served_and_hear_of_the_end);
    add_on_engines(tcase, a_client_that_leaves_ends_what_serves_it);
    tcase_add_test(tcase, what_was_agreed_upon_is_told);
    tcase_add_test(tcase, a_server_sees_all_that_its_client_has_sent);
    tcase_add_test(tcase, who_believes_anybody_has_verified_nobody);
    tcase_add_test(tcase, all_connections_but_the_first_are_resumed);
    tcase_add_test(tcase, sizes_at_the_limit_and_beyond_it);
    tcase_add_test(tcase, a_wrong_name_is_refused);
    tcase_add_test(tcase, a_server_that_says_nothing_is_given_up_in_time);
    tcase_add_test(tcase, lost_datagrams_are_sent_again);
    tcase_add_test(tcase, a_silent_peer_is_let_go);
    tcase_add_test(tcase, beyond_the_number_of_peers_nobody_is_answered);
    tcase_add_test(tcase, strangers_leave_nothing_behind);
    tcase_add_test(tcase, newcomers_get_the_certificate_of_now);
    tcase_add_test(tcase, a_closed_one_wakes_who_waits_and_is_bad_afterwards);
    tcase_add_test(tcase, scopes_end_receiving_and_nothing_is_lost);
    tcase_add_test(tcase, a_cancelled_service_cancels_those_whom_it_serves);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("tls/dtls", fill);
}
