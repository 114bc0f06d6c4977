/* SPDX-License-Identifier: MIT */

/* DTLS by hand: cookies, handshakes, messages, lost datagrams, sizes; without a network. */
#include "tls/certs.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sys/sys.h"
#include "tls/dtls_cookie.h"
#include "tls/dtls_core.h"

#include <thrum/error.h>
#include <thrum/time.h>
#include <thrum/tls.h>

#include <errno.h>

/* A client and a server, and what is between them. */
typedef struct dtls_pair {
    th_tls *server_tls;
    th_tls *client_tls;
    thi_dtls_core server;
    thi_dtls_core client;
    th_addr peer; /* where the client seems to be */
    int lost;     /* datagrams to the server that are still to be lost */
    size_t largest;
} dtls_pair;

static void open_core(thi_dtls_core *core, th_tls *tls, bool server, size_t mtu)
{
    thi_tls_link_opts opts = { .name = server ? NULL : "server.test" };
    thi_tls_config *config = thi_tls_config_of(tls);
    int err = thi_dtls_core_init(core, config, server, &opts, mtu);
    ck_assert_msg(err == 0, "%s", th_err_detail());
    thi_tls_config_unref(config);
}

static void set_up_with(dtls_pair *p, size_t mtu, const char *ciphers)
{
    th_tls_opts opts = { .dtls = 1, .ciphers = ciphers };
    make_certs();
    *p = (dtls_pair){ .server_tls = test_tls(&test_server, opts),
                      .client_tls = test_tls(NULL, opts),
                      .peer = { .kind = TH_ADDR_IP4, .port = 1234, .ip = { 192, 0, 2, 1 } } };
    open_core(&p->server, p->server_tls, true, mtu);
    open_core(&p->client, p->client_tls, false, mtu);
}

static void set_up(dtls_pair *p, size_t mtu)
{
    set_up_with(p, mtu, NULL);
}

static void tear_down(dtls_pair *p)
{
    thi_dtls_core_deinit(&p->server);
    thi_dtls_core_deinit(&p->client);
    th_tls_unref(p->server_tls);
    th_tls_unref(p->client_tls);
    free_certs();
}

/* Carries what is there; how many datagrams. */
static int carry(dtls_pair *p, thi_dtls_core *from, thi_dtls_core *to)
{
    int count = 0;
    for (thi_datagram *d; (d = thi_dtls_wire_take(&from->wire)) != NULL; count++) {
        p->largest = thi_max(p->largest, d->size);
        if (to == &p->server && p->lost > 0)
            p->lost--;
        else
            thi_dtls_wire_feed(&to->wire, d->data, d->size);
        thi_free(d);
    }
    return count;
}

/* The exchange of cookies: the server knows where the client is. */
static void meet(dtls_pair *p)
{
    ck_assert_int_eq(thi_dtls_core_handshake(&p->client), -EAGAIN);
    ck_assert_int_eq(carry(p, &p->client, &p->server), 1);
    ck_assert_int_eq(thi_dtls_core_listen(&p->server, &p->peer), 0);
    ck_assert_int_eq(carry(p, &p->server, &p->client), 1); /* a cookie */
    ck_assert_int_eq(thi_dtls_core_handshake(&p->client), -EAGAIN);
    ck_assert_int_eq(carry(p, &p->client, &p->server), 1);
    ck_assert_int_eq(thi_dtls_core_listen(&p->server, &p->peer), 1);
}

static void shake(dtls_pair *p)
{
    int server = -EAGAIN;
    int client = -EAGAIN;
    for (int i = 0; i < 20 && (server == -EAGAIN || client == -EAGAIN); i++) {
        server = thi_dtls_core_handshake(&p->server);
        carry(p, &p->server, &p->client);
        client = thi_dtls_core_handshake(&p->client);
        carry(p, &p->client, &p->server);
    }
    ck_assert_msg(server == 0, "server: %s: %s", th_errname(server), th_err_detail());
    ck_assert_msg(client == 0, "client: %s: %s", th_errname(client), th_err_detail());
}

START_TEST(cookies_then_a_handshake_then_messages_both_ways)
{
    char buf[64];
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    meet(&p);
    shake(&p);
    ck_assert_str_eq(SSL_get_version(p.client.link.ssl), "DTLSv1.2");
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "one", 3), 0);
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "two!", 4), 0);
    ck_assert_int_eq(carry(&p, &p.client, &p.server), 2);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), 3); /* they stay apart */
    ck_assert_int_eq(memcmp(buf, "one", 3), 0);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, 2), 2); /* the rest is lost */
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(thi_dtls_core_write(&p.server, "three", 5), 0);
    carry(&p, &p.server, &p.client);
    ck_assert_int_eq(thi_dtls_core_read(&p.client, buf, sizeof buf), 5);
    ck_assert_int_eq(thi_dtls_core_shutdown(&p.client), 0);
    ck_assert_int_eq(thi_dtls_core_shutdown(&p.client), 0);
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "x", 1), -EPIPE);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), TH_EOF);
    tear_down(&p);
}
END_TEST

START_TEST(who_is_somewhere_else_gets_another_cookie)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
    carry(&p, &p.server, &p.client);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    carry(&p, &p.client, &p.server);
    p.peer.port++; /* the same bytes from another port */
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
    ck_assert_int_eq(carry(&p, &p.server, &p.client), 1);
    tear_down(&p);
}
END_TEST

/* Neither strange bytes nor the same hello again are of any consequence. */
START_TEST(rubbish_and_repetition_are_harmless)
{
    static const char *const rubbish[] = { "x", "GET / HTTP/1.1\r\n\r\n", "\026\376\375",
                                           "\026\376" };
    char buf[64];
    char hello[2048];
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    for (size_t i = 0; i < thi_array_len(rubbish); i++) {
        thi_dtls_wire_feed(&p.server.wire, rubbish[i], strlen(rubbish[i]));
        ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
        ck_assert_ptr_null(thi_dtls_wire_take(&p.server.wire));
    }
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    thi_datagram *d = thi_dtls_wire_take(&p.client.wire);
    size_t size = d->size;
    ck_assert_uint_le(size, sizeof hello);
    memcpy(hello, d->data, size);
    thi_free(d);
    for (int i = 0; i < 5; i++) { /* a cookie each time, and nothing else */
        thi_dtls_wire_feed(&p.server.wire, hello, size);
        ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
        ck_assert_int_eq(carry(&p, &p.server, &p.client), 1);
    }
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 1);
    thi_dtls_wire_feed(&p.server.wire, hello, size);
    shake(&p);
    for (size_t i = 0; i < thi_array_len(rubbish); i++)
        thi_dtls_wire_feed(&p.server.wire, rubbish[i], strlen(rubbish[i]));
    thi_dtls_wire_feed(&p.server.wire, hello, size);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "fine", 4), 0);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), 4);
    tear_down(&p);
}
END_TEST

/* The timer is told only while there is something to repeat; before its time nothing happens. */
/* What cannot be genuine, for it is too short to have been sealed. */
static void forge(thi_dtls_core *to, unsigned char type, size_t size)
{
    unsigned char record[64] = { type, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 99, 0, 0 };
    record[12] = (unsigned char)size;
    thi_dtls_wire_feed(&to->wire, record, 13 + size);
}

static const char *const ciphers[] = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-CCM8",       "ECDHE-ECDSA-AES128-SHA256",     "ECDHE-ECDSA-AES256-SHA",
};

/* One datagram with a sender's address that is another's: no more is needed for it. */
START_TEST(forgeries_of_any_size_are_passed_over_and_what_is_shortest_is_not)
{
    char buf[8];
    dtls_pair p;
    set_up_with(&p, THI_DTLS_MTU, ciphers[_i]);
    meet(&p);
    shake(&p);
    ck_assert_str_eq(SSL_get_cipher(p.server.link.ssl), ciphers[_i]);
    for (size_t size = 0; size <= 50; size++)
        for (unsigned char type = 20; type <= 24; type++) {
            forge(&p.server, type, size);
            ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), -EAGAIN);
            forge(&p.client, type, size);
            ck_assert_int_eq(thi_dtls_core_read(&p.client, buf, sizeof buf), -EAGAIN);
        }
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "x", 1), 0);
    ck_assert_int_eq(thi_dtls_core_shutdown(&p.client), 0);
    forge(&p.server, 23, 15);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), 1);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), TH_EOF);
    tear_down(&p);
}
END_TEST

/* A record without seal of any version and size, whose body is the head of a sealed one. */
static void forge_nested(thi_dtls_core *to, unsigned version, size_t said, size_t size)
{
    unsigned char record[1100] = { 23, (unsigned char)(version >> 8), (unsigned char)version };
    static const unsigned char inner[] = { 23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 99, 0, 15 };
    record[11] = (unsigned char)(said >> 8);
    record[12] = (unsigned char)said;
    memcpy(record + 13, inner, sizeof inner);
    thi_dtls_wire_feed(&to->wire, record, 13 + size);
}

START_TEST(forgeries_within_what_is_no_record_are_passed_over)
{
    char buf[8];
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    ck_assert_int_eq(
        SSL_set_tlsext_max_fragment_length(p.client.link.ssl, TLSEXT_max_fragment_length_512), 1);
    meet(&p);
    shake(&p);
    static const struct {
        unsigned version;
        size_t said, size;
    } cases[] = { { 0xfefd, 28, 28 }, { 0, 28, 28 },         { 0xfeff, 28, 28 },
                  { 0x0303, 28, 28 }, { 0xfefd, 20000, 28 }, { 0xfefd, 900, 900 },
                  { 0xfefd, 10, 28 }, { 0xfefd, 0, 28 } };
    for (size_t i = 0; i < thi_array_len(cases); i++) {
        forge_nested(&p.server, cases[i].version, cases[i].said, cases[i].size);
        ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), -EAGAIN);
    }
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "heard", 5), 0);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_read(&p.server, buf, sizeof buf), 5);
    tear_down(&p);
}
END_TEST

START_TEST(forgeries_that_come_before_the_keys_are_passed_over)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    meet(&p);
    forge(&p.server, 22, 15);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.server), -EAGAIN);
    forge(&p.server, 22, 23);
    forge(&p.client, 22, 15);
    shake(&p);
    tear_down(&p);
}
END_TEST

START_TEST(who_leaves_amid_the_handshake_fails_it)
{
    static const char close_notify[] = "\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\2\1"; /* and a zero */
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    meet(&p);
    thi_dtls_wire_feed(&p.client.wire, close_notify, sizeof close_notify);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(thi_dtls_core_handshake(&p.client), TH_ETLS);
        ck_assert_str_eq(th_err_detail(), "handshake: the peer left before its end");
    }
    ck_assert_int_eq(thi_dtls_core_write(&p.client, "x", 1), TH_ETLS);
    tear_down(&p);
}
END_TEST

START_TEST(what_is_lost_is_repeated_when_its_time_has_come)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    ck_assert_int_eq(thi_dtls_core_wait(&p.client), TH_NEVER);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    p.lost = 1;
    ck_assert_int_eq(carry(&p, &p.client, &p.server), 1);
    ck_assert_int_eq(thi_dtls_core_late(&p.client), 0); /* too soon */
    ck_assert_ptr_null(thi_dtls_wire_take(&p.client.wire));
    for (int64_t left; (left = thi_dtls_core_wait(&p.client)) > 0;) {
        ck_assert_int_le(left, 2 * TH_SECOND);
        struct timespec span = { left / TH_SECOND, left % TH_SECOND };
        (void)nanosleep(&span, NULL); /* OpenSSL's timer: there is no event to wait for */
    }
    ck_assert_int_eq(thi_dtls_core_late(&p.client), 0);
    ck_assert_int_eq(carry(&p, &p.client, &p.server), 1);
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
    carry(&p, &p.server, &p.client);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), -EAGAIN);
    carry(&p, &p.client, &p.server);
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 1);
    shake(&p);
    ck_assert_int_eq(thi_dtls_core_wait(&p.client), TH_NEVER);
    tear_down(&p);
}
END_TEST

START_TEST(a_message_fits_into_the_mtu_and_follows_its_change)
{
    static char data[2000];
    static const size_t sizes[] = { THI_DTLS_MTU_MIN, 576, 1200, 1500 };
    dtls_pair p;
    set_up(&p, 400);
    meet(&p);
    shake(&p);
    ck_assert_uint_le(p.largest, 400); /* the certificate went in pieces */
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        ck_assert_int_eq(thi_dtls_core_set_mtu(&p.client, sizes[i]), 0);
        size_t payload = thi_dtls_core_payload(&p.client);
        ck_assert_uint_lt(payload, sizes[i]);
        ck_assert_uint_gt(payload, sizes[i] - 100);
        ck_assert_int_eq(thi_dtls_core_write(&p.client, data, payload + 1), -EMSGSIZE);
        ck_assert_int_eq(thi_dtls_core_write(&p.client, data, payload), 0);
        p.largest = 0;
        ck_assert_int_eq(carry(&p, &p.client, &p.server), 1);
        ck_assert_uint_le(p.largest, sizes[i]);
        ck_assert_int_eq(thi_dtls_core_read(&p.server, data, sizeof data), (ssize_t)payload);
    }
    ck_assert_int_eq(thi_dtls_core_set_mtu(&p.client, THI_DTLS_MTU_MIN - 1), -EINVAL);
    ck_assert_int_eq(thi_dtls_core_set_mtu(&p.client, THI_DTLS_MTU_MAX + 1), -EINVAL);
    tear_down(&p);
}
END_TEST

START_TEST(a_server_with_another_name_is_refused)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    thi_dtls_core_deinit(&p.client);
    thi_tls_link_opts opts = { .name = "other.test" };
    thi_tls_config *config = thi_tls_config_of(p.client_tls);
    ck_assert_int_eq(thi_dtls_core_init(&p.client, config, false, &opts, THI_DTLS_MTU), 0);
    thi_tls_config_unref(config);
    meet(&p);
    int client = -EAGAIN;
    for (int i = 0; i < 10 && client == -EAGAIN; i++) {
        (void)!thi_dtls_core_handshake(&p.server);
        carry(&p, &p.server, &p.client);
        client = thi_dtls_core_handshake(&p.client);
        carry(&p, &p.client, &p.server);
    }
    ck_assert_int_eq(client, TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "other.test"));
    char byte;
    ck_assert_int_eq(thi_err_set(-EIO, "something else"), -EIO);
    ck_assert_int_eq(thi_dtls_core_handshake(&p.client), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "other.test")); /* every time */
    ck_assert_int_eq(thi_err_set(-EIO, "something else"), -EIO);
    ck_assert_int_eq(thi_dtls_core_read(&p.client, &byte, 1), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "other.test"));
    ck_assert_int_eq(thi_dtls_core_handshake(&p.server), TH_ETLS); /* by the alert */
    tear_down(&p);
}
END_TEST

START_TEST(sessions_are_resumed)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    meet(&p);
    shake(&p);
    ck_assert(!SSL_session_reused(p.client.link.ssl));
    thi_dtls_core_deinit(&p.server);
    thi_dtls_core_deinit(&p.client);
    open_core(&p.server, p.server_tls, true, THI_DTLS_MTU);
    open_core(&p.client, p.client_tls, false, THI_DTLS_MTU);
    meet(&p);
    shake(&p);
    ck_assert(SSL_session_reused(p.client.link.ssl));
    ck_assert(SSL_session_reused(p.server.link.ssl));
    tear_down(&p);
}
END_TEST

START_TEST(more_than_may_wait_is_lost)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    p.server.wire.waiting_max = 2;
    for (int i = 0; i < 5; i++)
        thi_dtls_wire_feed(&p.server.wire, "x", 1);
    ck_assert_uint_eq(p.server.wire.waiting, 2);
    thi_dtls_wire_feed(&p.server.wire, "", 0);
    ck_assert_int_eq(thi_dtls_core_listen(&p.server, &p.peer), 0);
    tear_down(&p);
}
END_TEST

START_TEST(contexts_without_datagrams_are_refused)
{
    thi_dtls_core core;
    thi_tls_link_opts opts = { .name = "server.test" };
    th_tls *tls = NULL;
    make_certs();
    th_tls *plain = test_tls(&test_server, (th_tls_opts){ 0 });
    thi_tls_config *config = thi_tls_config_of(plain);
    ck_assert_int_eq(thi_dtls_core_init(&core, config, false, &opts, THI_DTLS_MTU), -EINVAL);
    ck_assert_str_eq(th_err_detail(), "the context was made without DTLS");
    thi_tls_config_unref(config);
    th_tls_unref(plain);
    th_tls_opts modern = { .dtls = 1, .profile = "modern", .insecure_no_verification = 1 };
    ck_assert_int_eq(th_tls_new(&modern, &tls), -EINVAL);
    th_tls *bare = test_tls(NULL, (th_tls_opts){ .dtls = 1 });
    config = thi_tls_config_of(bare);
    ck_assert_int_eq(thi_dtls_core_init(&core, config, true, &opts, THI_DTLS_MTU), -EINVAL);
    ck_assert_int_eq(thi_dtls_core_init(&core, config, false, &opts, 100), -EINVAL);
    thi_tls_config_unref(config);
    th_tls_unref(bare);
    free_certs();
}
END_TEST

/* ---- cookies ---- */

START_TEST(a_cookie_is_of_one_address_and_ends_with_its_secret)
{
    unsigned char cookie[THI_DTLS_COOKIE];
    th_addr a = { .kind = TH_ADDR_IP4, .port = 1, .ip = { 192, 0, 2, 1 } };
    th_addr b = { .kind = TH_ADDR_IP6, .port = 1, .ip = { 192, 0, 2, 1 } };
    int64_t now = 1000 * TH_SECOND;
    ck_assert(thi_dtls_cookie_make(&a, now, cookie));
    ck_assert(thi_dtls_cookie_check(&a, now, cookie, sizeof cookie));
    ck_assert(!thi_dtls_cookie_check(&b, now, cookie, sizeof cookie));
    ck_assert(!thi_dtls_cookie_check(&a, now, cookie, sizeof cookie - 1));
    ck_assert(!thi_dtls_cookie_check(&a, now, cookie, 0));
    cookie[0] ^= 1;
    ck_assert(!thi_dtls_cookie_check(&a, now, cookie, sizeof cookie));
    cookie[0] ^= 1;
    ck_assert(thi_dtls_cookie_check(&a, now + THI_DTLS_SECRET_TIME, cookie, sizeof cookie));
    ck_assert(!thi_dtls_cookie_check(&a, now + 2 * THI_DTLS_SECRET_TIME, cookie, sizeof cookie));
    ck_assert(thi_dtls_cookie_make(&a, now + 9 * THI_DTLS_SECRET_TIME, cookie));
    ck_assert(thi_dtls_cookie_check(&a, now + 9 * THI_DTLS_SECRET_TIME, cookie, sizeof cookie));
    ck_assert(!thi_dtls_cookie_check(&a, now + 99 * THI_DTLS_SECRET_TIME, cookie, sizeof cookie));
}
END_TEST

/* Every allocation of ours fails once, at either end: a datagram is lost, or nothing is made. */
START_TEST(without_memory_datagrams_are_lost)
{
    dtls_pair p;
    set_up(&p, THI_DTLS_MTU);
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_dtls_core client = { .done = false };
        thi_tls_link_opts opts = { .name = "server.test" };
        thi_tls_config *config = thi_tls_config_of(p.client_tls);
        thi_alloc_fail_at(n);
        int err = thi_dtls_core_init(&client, config, false, &opts, THI_DTLS_MTU);
        if (err == 0)
            err = thi_dtls_core_handshake(&client);
        bool through = thi_alloc_fail_at(0) > 0;
        ck_assert(err == -ENOMEM || err == -EAGAIN);
        thi_datagram *d = client.link.ssl ? thi_dtls_wire_take(&client.wire) : NULL;
        ck_assert(!through || d);
        thi_free(d);
        thi_dtls_core_deinit(&client);
        thi_tls_config_unref(config);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (through)
            break;
    }
    tear_down(&p);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "core");
    tcase_add_test(tcase, cookies_then_a_handshake_then_messages_both_ways);
    tcase_add_test(tcase, who_is_somewhere_else_gets_another_cookie);
    tcase_add_test(tcase, rubbish_and_repetition_are_harmless);
    tcase_add_loop_test(tcase, forgeries_of_any_size_are_passed_over_and_what_is_shortest_is_not, 0,
                        (int)thi_array_len(ciphers));
    tcase_add_test(tcase, forgeries_within_what_is_no_record_are_passed_over);
    tcase_add_test(tcase, forgeries_that_come_before_the_keys_are_passed_over);
    tcase_add_test(tcase, who_leaves_amid_the_handshake_fails_it);
    tcase_add_test(tcase, what_is_lost_is_repeated_when_its_time_has_come);
    tcase_add_test(tcase, a_message_fits_into_the_mtu_and_follows_its_change);
    tcase_add_test(tcase, a_server_with_another_name_is_refused);
    tcase_add_test(tcase, sessions_are_resumed);
    tcase_add_test(tcase, more_than_may_wait_is_lost);
    tcase_add_test(tcase, contexts_without_datagrams_are_refused);
    tcase_add_test(tcase, a_cookie_is_of_one_address_and_ends_with_its_secret);
    tcase_add_test(tcase, without_memory_datagrams_are_lost);
}

int main(void)
{
    return thi_check_run("tls/dtls_core", fill);
}
