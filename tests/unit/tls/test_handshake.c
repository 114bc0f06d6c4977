/* SPDX-License-Identifier: MIT */

/* Handshakes that take their time, are given up, fail, or meet what is no TLS. */
#include "streams.h"

#include "base/alloc.h"
#include "io/stream.h"

#include <thrum/tls_session.h>

#include <stdio.h>
#include <stdlib.h>

static const th_tls_stream_opts to_server = { .name = "server.test" };

static void open_plain(th_tls_opts server, th_tls_opts client)
{
    make_contexts(server, client);
    open_sockets();
    server_side = client_side = NULL;
}

static void close_plain(void)
{
    th_stream_free(server_plain);
    th_stream_free(client_plain);
    free_contexts();
}

static bool detail_has(const char *words)
{
    return strstr(th_err_detail(), words) != NULL;
}

#define ck_assert_detail(words)                                                                    \
    ck_assert_msg(detail_has(words), "'%s' has not '%s'", th_err_detail(), words)

/* ---- time and cancellation ---- */

FIBER_TEST(a_silent_peer_is_given_up_in_time)
{
    th_tls_stream_opts hasty = { .name = "server.test", .handshake_time = 5 * TH_MILLISECOND };
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &hasty, &client_side), -ETIMEDOUT);
    ck_assert_detail("longer than");
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &hasty, &server_side), -ETIMEDOUT);
    ck_assert_detail("longer than");
    ck_assert_ptr_null(client_side);
    ck_assert_ptr_null(server_side);
    close_plain();
}

FIBER_TEST(the_limit_of_the_context_counts_as_well)
{
    open_plain((th_tls_opts){ .handshake_time = 5 * TH_MILLISECOND }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), -ETIMEDOUT);
    ck_assert_detail("longer than");
    close_plain();
}

FIBER_TEST(the_scope_ends_a_handshake_too)
{
    th_scope scope;
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), -ETIMEDOUT);
    ck_assert_msg(!detail_has("longer"), "%s", th_err_detail());
    (void)th_scope_close(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), -ECANCELED);
    (void)th_scope_close(&scope);
    close_plain();
}

/* A relay that lets so many bytes of each through, and then nothing more. */
typedef struct gate {
    th_stream *from;
    th_stream *to;
    size_t left;
} gate;

static int pass_some(void *arg)
{
    gate *g = arg;
    char byte;
    for (; g->left > 0; g->left--) {
        if (th_stream_read(g->from, &byte, 1) != 1)
            return 0;
        if (th_stream_write(g->to, &byte, 1) != 1)
            return 0;
    }
    return 0;
}

static int server_in_time(void *arg)
{
    th_tls_stream_opts opts = { .handshake_time = *(int64_t *)arg };
    return th_tls_server(server_tls, server_plain, &opts, &server_side);
}

/* Both ends over a line on which so many bytes pass in each direction; what they say. */
static void talk_through(size_t from_client, size_t from_server, int *client, int *server)
{
    bool stops = from_client != SIZE_MAX || from_server != SIZE_MAX;
    int64_t patience = stops ? 40 * TH_MILLISECOND : TH_NEVER;
    th_scope scope;
    th_stream *near[2], *far[2];
    th_tls_stream_opts hasty = { .name = "server.test", .handshake_time = patience };
    ck_assert_int_eq(th_stream_pair(near), 0);
    ck_assert_int_eq(th_stream_pair(far), 0);
    gate forth = { near[1], far[1], from_client };
    gate back = { far[1], near[1], from_server };
    client_plain = near[0];
    server_plain = far[0];
    server_side = client_side = NULL;
    open_scope(&scope);
    spawn(&scope, pass_some, &forth);
    spawn(&scope, pass_some, &back);
    th_fiber *fiber = spawn_handle(&scope, server_in_time, &patience);
    *client = th_tls_client(client_tls, client_plain, &hasty, &client_side);
    ck_assert_int_eq(th_join(fiber, server), 0);
    th_fiber_unref(fiber);
    ck_assert((*client < 0) == !client_side);
    ck_assert((*server < 0) == !server_side);
    th_stream_free(client_side ? client_side : client_plain);
    th_stream_free(server_side ? server_side : server_plain);
    th_scope_cancel(&scope, 0);
    (void)th_scope_close(&scope);
    th_stream_free(near[1]);
    th_stream_free(far[1]);
}

FIBER_TEST(a_peer_that_stops_anywhere_is_given_up)
{
    int client, server, given_up = 0;
    int64_t live = 0;
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ .no_sessions = 1 });
    for (size_t n = 0; n < 24; n++) {
        size_t at = (n / 2) * 61;
        talk_through(n % 2 ? at : SIZE_MAX, n % 2 ? SIZE_MAX : at, &client, &server);
        ck_assert_msg(client == 0 || client == -ETIMEDOUT, "%zu: %s", n, th_errname(client));
        ck_assert_msg(server == 0 || server == -ETIMEDOUT, "%zu: %s", n, th_errname(server));
        given_up += client < 0 || server < 0;
        let_others_run(); /* a fiber may be sending what was left at a close */
        if (n == 11)      /* what is made once is there by now */
            live = thi_alloc_live();
        else if (n > 11)
            ck_assert_int_le(llabs(thi_alloc_live() - live), 4); /* a leak would add up */
    }
    ck_assert_int_ge(given_up, 16);
    talk_through(SIZE_MAX, SIZE_MAX, &client, &server);
    ck_assert_int_eq(client, 0);
    ck_assert_int_eq(server, 0);
    free_contexts();
}

/* ---- peers that speak something else ---- */

static int server_result;

/* What a server says to somebody who sends these bytes and then waits. */
static int server_hears(const char *bytes, size_t size)
{
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_stream_write(client_plain, bytes, size), (ssize_t)size);
    return th_tls_server(server_tls, server_plain, NULL, &server_side);
}

FIBER_TEST(plain_http_is_called_so)
{
    static const char *const requests[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                            "POST /a HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n",
                                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                            "DELETE /x HTTP/1.1\r\n\r\n" };
    for (size_t i = 0; i < thi_array_len(requests); i++) {
        ck_assert_int_eq(server_hears(requests[i], strlen(requests[i])), TH_ETLS);
        ck_assert_detail("speaks HTTP, not TLS");
        close_plain();
    }
}

FIBER_TEST(a_stream_made_for_later_says_who_speaks_plainly)
{
    th_tls_info info = { 0 };
    char byte;
    th_tls_stream_opts later = { .later = 1, .keep_below = 1 };
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    write_text(client_plain, "GET / HTTP/1.1\r\n\r\n");
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &later, &server_side), 0);
    ck_assert_int_eq(th_tls_handshake(server_side), TH_ETLS);
    ck_assert_int_eq(th_tls_info_get(server_side, &info), 0);
    ck_assert_int_eq(info.speaks_plainly, 1);
    ck_assert_int_eq(info.done, 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_ETLS); /* never a byte of it */
    ck_assert_detail("speaks HTTP");
    th_stream_free(server_side);
    write_text(server_plain, "HTTP/1.1 400 this is a TLS port\r\n\r\n");
    close_plain();
}

FIBER_TEST(a_client_at_a_plain_server_hears_so)
{
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    write_text(server_plain, "HTTP/1.1 400 Bad Request\r\n\r\n");
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &to_server, &client_side), TH_ETLS);
    ck_assert_detail("speaks HTTP, not TLS");
    close_plain();
}

FIBER_TEST(garbage_is_refused_with_an_alert)
{
    unsigned char alert[7];
    static const char noise[] = "\xff\xfe\xfd this is not a record of TLS at all";
    static const char garbage[] = "\x16\x03\x01\0\x20 nor is this a message of it, or is it?";
    ck_assert_int_eq(server_hears(noise, sizeof noise), TH_ETLS);
    ck_assert_detail("not TLS");
    close_plain();
    ck_assert_int_eq(server_hears(garbage, sizeof garbage), TH_ETLS);
    ck_assert_str_ne(th_err_detail(), "");
    ck_assert_int_eq(th_stream_read_all(client_plain, alert, sizeof alert), sizeof alert);
    ck_assert_int_eq(alert[0], 21); /* a record of type alert, */
    ck_assert_int_eq(alert[5], 2);  /* and a fatal one */
    close_plain();
}

FIBER_TEST(a_peer_that_just_leaves_is_a_cut)
{
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), TH_ETRUNCATED);
    ck_assert_detail("before it said anything");
    close_plain();
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    write_text(client_plain, "\x16\x03\x01");
    ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), TH_ETRUNCATED);
    ck_assert_detail("in the middle of the handshake");
    close_plain();
}

FIBER_TEST(bytes_and_a_reset_before_the_handshake_are_an_error)
{
    static const char text[] = "not for anybody to read";
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_stream_write(client_plain, text, sizeof text), sizeof text);
    ck_assert_int_eq(th_stream_reset(client_plain), 0);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), TH_ETLS);
    ck_assert_ptr_null(server_side);
    close_plain();
}

/* ---- what both have to agree on ---- */

static int shake_both(int *server)
{
    int err = shake_as(NULL, &to_server, server);
    if (err == 0 && *server == 0)
        return 0;
    if (client_side)
        th_stream_free(client_side);
    else
        th_stream_free(client_plain);
    if (server_side)
        th_stream_free(server_side);
    else
        th_stream_free(server_plain);
    return err;
}

FIBER_TEST(no_common_version_fails_at_both_ends)
{
    int server;
    open_plain((th_tls_opts){ .min_version = TH_TLS_1_3 },
               (th_tls_opts){ .max_version = TH_TLS_1_2 });
    ck_assert_int_eq(shake_both(&server), TH_ETLS);
    ck_assert_int_eq(server, TH_ETLS);
    ck_assert_detail("alert");
    ck_assert_detail("protocol version");
    free_contexts();
}

FIBER_TEST(no_common_cipher_fails_at_both_ends)
{
    int server;
    open_plain(
        (th_tls_opts){ .max_version = TH_TLS_1_2, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
        (th_tls_opts){ .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" });
    ck_assert_int_eq(shake_both(&server), TH_ETLS);
    ck_assert_int_eq(server, TH_ETLS);
    ck_assert_detail("handshake failure");
    free_contexts();
}

FIBER_TEST(a_server_of_another_name_is_refused)
{
    static const th_tls_stream_opts other = { .name = "other.test" };
    int server;
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(shake_as(NULL, &other, &server), TH_ETLS);
    ck_assert_int_eq(server, TH_ETLS); /* the alert was sent, although the client gave up */
    close_plain();
}

FIBER_TEST(insecure_connections_believe_anybody)
{
    static const th_tls_stream_opts anybody = { .verify = TH_TLS_VERIFY_NONE_INSECURE };
    th_tls_info info = { 0 };
    int server;
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(shake_as(NULL, &anybody, &server), 0);
    ck_assert_int_eq(server, 0);
    ck_assert_int_eq(th_tls_info_get(client_side, &info), 0);
    ck_assert_int_eq(info.verified, 0);
    free_sides();
}

/* In 1.3 the client is done before the server has looked at what it has shown. */
static void shake_without_a_certificate(void)
{
    int server;
    open_plain(
        (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED, .min_version = TH_TLS_1_3 },
        (th_tls_opts){ 0 });
    ck_assert_int_eq(shake_as(NULL, &to_server, &server), 0);
    ck_assert_int_eq(server, TH_ETLS);
}

FIBER_TEST(a_missing_certificate_shows_at_the_first_read)
{
    char byte;
    shake_without_a_certificate();
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_ETLS);
        ck_assert_detail("certificate required");
    }
    th_stream_free(server_plain);
    th_stream_free(client_side);
    free_contexts();
}

/* The alert is heard though nobody reads; the system says -EPIPE, or -ECONNRESET. */
FIBER_TEST(a_missing_certificate_shows_when_a_write_fails)
{
    char byte;
    shake_without_a_certificate();
    th_stream_free(server_plain);
    for (int times = 0; times < 2; times++) {
        ck_assert_int_eq(th_stream_write(client_side, "x", 1), TH_ETLS);
        ck_assert_detail("certificate required");
    }
    ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_ETLS);
    th_stream_free(client_side);
    free_contexts();
}

/* ---- sessions ---- */

/* What both say of a connection with this session, or what the client's side fails with. */
static int resume_with(th_tls *tls, struct th_tls_session *session, int *resumed)
{
    th_tls_info client = { 0 }, server = { 0 };
    th_tls_stream_opts opts = { .name = "server.test", .session = session };
    th_tls *own = client_tls;
    int result;
    open_sockets();
    client_tls = tls;
    int err = shake_as(NULL, &opts, &result);
    client_tls = own;
    if (err == 0) {
        ck_assert_int_eq(th_tls_info_get(client_side, &client), 0);
        ck_assert_int_eq(th_tls_info_get(server_side, &server), 0);
        ck_assert_int_eq(client.resumed, server.resumed);
        *resumed = client.resumed;
    }
    th_stream_free(err == 0 ? client_side : client_plain);
    th_stream_free(result == 0 ? server_side : server_plain);
    return err;
}

FIBER_TEST(a_session_is_taken_and_resumed)
{
    struct th_tls_session *session = NULL;
    int resumed = -1;
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ .no_sessions = 1 });
    shake_well();
    ck_assert_int_eq(th_tls_session_get(client_side, &session), -EAGAIN); /* it comes with a read */
    write_text(server_side, "x");
    read_text(client_side, "x");
    ck_assert_int_eq(th_tls_session_get(server_side, &session), -EINVAL);
    ck_assert_int_eq(th_tls_session_get(client_side, &session), 0);
    th_stream_free(client_side);
    th_stream_free(server_side);
    ck_assert_int_eq(resume_with(client_tls, NULL, &resumed), 0);
    ck_assert_int_eq(resumed, 0);
    ck_assert_int_eq(resume_with(client_tls, session, &resumed), 0);
    ck_assert_int_eq(resumed, 1);
    th_tls *other = test_tls(NULL, (th_tls_opts){ 0 });
    ck_assert_int_eq(resume_with(other, session, &resumed), -EINVAL);
    th_tls_unref(other);
    th_tls_session_unref(session);
    free_contexts();
}

/* ---- for later ---- */

FIBER_TEST(the_first_call_makes_the_handshake)
{
    th_scope scope;
    th_tls_stream_opts later = { .name = "server.test", .later = 1 };
    th_tls_info info = { 0 };
    char byte;
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &later, &server_side), 0);
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &later, &client_side), 0);
    ck_assert_int_eq(th_tls_info_get(client_side, &info), 0);
    ck_assert_int_eq(info.done, 0);
    ck_assert_int_eq(th_stream_shutdown(client_side), -ENOTCONN);
    ck_assert_int_eq(th_stream_try_read(client_side, &byte, 1), -EAGAIN);
    ck_assert_int_eq(th_stream_try_write(client_side, "x", 1), -EAGAIN);
    open_scope(&scope);
    th_fiber *reader = spawn_handle(&scope, (th_fiber_fn)th_tls_handshake, server_side);
    let_others_run();
    write_text(client_side, "early");
    read_text(server_side, "early");
    ck_assert_int_eq(th_join(reader, &server_result), 0);
    ck_assert_int_eq(server_result, 0);
    th_fiber_unref(reader);
    close_scope(&scope);
    ck_assert_int_eq(th_tls_handshake(client_side), 0);
    free_sides();
}

static int read_letter(void *arg)
{
    char byte;
    ssize_t n = th_stream_read(arg, &byte, 1);
    return n == 1 ? byte : (int)n;
}

/* A reader begins it, a writer finds it begun, and each gets what it wants. */
FIBER_TEST(two_fibers_share_one_handshake)
{
    th_scope scope;
    th_tls_stream_opts later = { .name = "server.test", .later = 1 };
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &later, &client_side), 0);
    open_scope(&scope);
    th_fiber *reader = spawn_handle(&scope, read_letter, client_side);
    let_others_run();
    th_fiber *server = spawn_handle(&scope, be_server, NULL);
    write_text(client_side, "a");
    ck_assert_int_eq(th_join(server, &server_result), 0);
    ck_assert_int_eq(server_result, 0);
    read_text(server_side, "a");
    write_text(server_side, "b");
    ck_assert_int_eq(th_join(reader, &server_result), 0);
    ck_assert_int_eq(server_result, 'b');
    th_fiber_unref(reader);
    th_fiber_unref(server);
    (void)th_scope_close(&scope);
    free_sides();
}

FIBER_TEST(bytes_read_ahead_belong_to_the_handshake)
{
    char hello[2000];
    th_tls_stream_opts later = { .name = "server.test", .later = 1 };
    open_plain((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &later, &client_side), 0);
    ck_assert_int_eq(th_stream_try_write(client_side, "x", 1), -EAGAIN);
    ssize_t n = th_stream_read(server_plain, hello, sizeof hello);
    ck_assert_int_gt(n, 0);
    th_tls_stream_opts ahead = { .ahead = th_str_make(hello, (size_t)n), .later = 1 };
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &ahead, &server_side), 0);
    memset(hello, 0, sizeof hello); /* they were copied */
    ck_assert_int_eq(th_stream_try_read(server_side, hello, 1), -EAGAIN);
    write_text(client_side, "y");
    read_text(server_side, "y");
    free_sides();
}

/* ---- callbacks that suspend inside OpenSSL ---- */

static int inside, wanted_inside;

/* Leaves when so many are inside as are wanted. */
static int crowded_choice(const char *name, th_tls **other, void *user, void *arg)
{
    (void)name;
    (void)other;
    (void)user;
    (void)arg;
    for (inside++; inside < wanted_inside;)
        if (th_yield() < 0)
            return -ECANCELED;
    return 0;
}

static int slow_choice(const char *name, th_tls **other, void *user, void *arg)
{
    (void)name;
    (void)other;
    (void)user;
    (void)arg;
    note('(');
    int err = th_sleep(5 * TH_MILLISECOND);
    note(')');
    return err;
}

static int server_in_scope(void *arg)
{
    (void)arg;
    int err = th_tls_server(server_tls, server_plain, NULL, &server_side);
    note('s');
    return err;
}

FIBER_TEST(many_handshakes_are_inside_openssl_at_once)
{
    enum { MANY = 20 };
    th_scope scope;
    th_stream *ends[MANY][2];
    th_fiber *fibers[MANY];
    make_contexts((th_tls_opts){ .choose = crowded_choice }, (th_tls_opts){ 0 });
    inside = 0;
    wanted_inside = MANY;
    open_scope(&scope);
    for (int i = 0; i < MANY; i++) {
        th_tls_stream_opts later = { .name = "server.test", .later = 1 };
        ck_assert_int_eq(th_stream_pair(ends[i]), 0);
        ck_assert_int_eq(th_tls_client(client_tls, ends[i][1], &later, &ends[i][1]), 0);
        ck_assert_int_eq(th_tls_server(server_tls, ends[i][0], &later, &ends[i][0]), 0);
        fibers[i] = spawn_handle(&scope, (th_fiber_fn)th_tls_handshake, ends[i][0]);
        spawn(&scope, (th_fiber_fn)th_tls_handshake, ends[i][1]);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(th_join(fibers[i], &server_result), 0);
        ck_assert_int_eq(server_result, 0);
        th_fiber_unref(fibers[i]);
    }
    close_scope(&scope);
    ck_assert_int_eq(inside, MANY);
    for (int i = 0; i < MANY; i++) {
        write_text(ends[i][1], "hello");
        read_text(ends[i][0], "hello");
        th_stream_free(ends[i][0]);
        th_stream_free(ends[i][1]);
    }
    free_contexts();
}

FIBER_TEST(a_handshake_inside_openssl_can_be_cancelled)
{
    th_scope scope;
    th_tls_stream_opts later = { .name = "server.test", .later = 1 };
    open_plain((th_tls_opts){ .choose = slow_choice }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &later, &client_side), 0);
    ck_assert_int_eq(th_stream_try_write(client_side, "x", 1), -EAGAIN);
    open_scope(&scope);
    th_fiber *server = spawn_handle(&scope, server_in_scope, NULL);
    while (trace[0] == '\0')
        th_yield();
    th_scope_cancel(&scope, 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(th_join(server, &server_result), 0);
    th_fiber_unref(server);
    ck_assert_int_eq(server_result, -ECANCELED);
    ck_assert_str_eq(trace, "()s");
    th_stream_free(client_side);
    th_stream_free(server_plain);
    free_contexts();
}

FIBER_TEST(what_is_busy_is_waited_for_and_may_be_closed)
{
    th_scope scope;
    th_tls_stream_opts later = { .name = "server.test", .later = 1 };
    char byte;
    open_plain((th_tls_opts){ .choose = slow_choice }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, &later, &client_side), 0);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &later, &server_side), 0);
    ck_assert_int_eq(th_stream_try_write(client_side, "x", 1), -EAGAIN);
    open_scope(&scope);
    th_fiber *shaking = spawn_handle(&scope, (th_fiber_fn)th_tls_handshake, server_side);
    while (trace[0] == '\0')
        th_yield();
    th_fiber *reader = spawn_handle(&scope, read_letter, server_side);
    let_others_run();
    ck_assert_int_eq(th_stream_try_write(server_side, "x", 1), -EAGAIN);
    ck_assert_int_eq(th_stream_shutdown(server_side), -ENOTCONN);
    ck_assert_int_eq(th_stream_close(server_side), 0);
    ck_assert_int_eq(th_join(reader, &server_result), 0);
    ck_assert_int_eq(server_result, -ECANCELED);
    ck_assert_int_eq(th_join(shaking, &server_result), 0);
    ck_assert_int_eq(server_result, -ECANCELED);
    th_fiber_unref(reader);
    th_fiber_unref(shaking);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -EBADF);
    free_sides();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "time");
    tcase_set_timeout(tcase, 20);
    add_on_engines(tcase, a_silent_peer_is_given_up_in_time);
    tcase_add_test(tcase, the_limit_of_the_context_counts_as_well);
    tcase_add_test(tcase, the_scope_ends_a_handshake_too);
    tcase_add_test(tcase, a_peer_that_stops_anywhere_is_given_up);
    tcase = thi_check_case(suite, "other languages");
    tcase_add_test(tcase, plain_http_is_called_so);
    tcase_add_test(tcase, a_stream_made_for_later_says_who_speaks_plainly);
    tcase_add_test(tcase, a_client_at_a_plain_server_hears_so);
    tcase_add_test(tcase, garbage_is_refused_with_an_alert);
    tcase_add_test(tcase, a_peer_that_just_leaves_is_a_cut);
    tcase_add_test(tcase, bytes_and_a_reset_before_the_handshake_are_an_error);
    tcase = thi_check_case(suite, "agreement");
    tcase_add_test(tcase, no_common_version_fails_at_both_ends);
    tcase_add_test(tcase, no_common_cipher_fails_at_both_ends);
    tcase_add_test(tcase, a_server_of_another_name_is_refused);
    tcase_add_test(tcase, insecure_connections_believe_anybody);
    tcase_add_test(tcase, a_missing_certificate_shows_at_the_first_read);
    tcase_add_test(tcase, a_missing_certificate_shows_when_a_write_fails);
    tcase_add_test(tcase, a_session_is_taken_and_resumed);
    tcase = thi_check_case(suite, "later");
    add_on_engines(tcase, the_first_call_makes_the_handshake);
    add_on_engines(tcase, two_fibers_share_one_handshake);
    tcase_add_test(tcase, bytes_read_ahead_belong_to_the_handshake);
    tcase = thi_check_case(suite, "suspended");
    add_on_engines(tcase, many_handshakes_are_inside_openssl_at_once);
    add_on_engines(tcase, a_handshake_inside_openssl_can_be_cancelled);
    add_on_engines(tcase, what_is_busy_is_waited_for_and_may_be_closed);
}

int main(void)
{
    return thi_check_run("tls/handshake", fill);
}
