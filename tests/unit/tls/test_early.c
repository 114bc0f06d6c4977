/* SPDX-License-Identifier: MIT */

/* Early data: what a server gets of it, what it does not, and that it takes none twice. */
#include "tls/ssl_pair.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "sys/sys.h"
#include "tls/early.h"
#include "tls/early_once.h"
#include "tls/tickets.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <pthread.h>

static SSL_CTX *server;
static SSL_CTX *client;
static th_tls_ticket_keys *keys;
static SSL_SESSION *last_session;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(last_session);
    last_session = SSL_SESSION_dup(session);
    return 0;
}

static SSL_CTX *server_of(uint32_t max)
{
    static const thi_tls_ticket_rules rules = {
        .count = 2, .session_time = TH_HOUR, .id = "test", .id_size = 4
    };
    SSL_CTX *ctx = make_server(TLS1_3_VERSION);
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), 0);
    if (max) {
        thi_early_once *hellos;
        ck_assert_int_eq(thi_early_once_new(THI_EARLY_HELLOS, &hellos), 0);
        ck_assert_int_eq(thi_tls_early_attach(ctx, max, hellos), 0);
        thi_early_once_unref(hellos); /* the context has its own reference */
    }
    return ctx;
}

/* Ends with a session of the server's. */
static void set_up(uint32_t max)
{
    make_authority();
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, &keys), 0);
    server = server_of(max);
    client = make_client();
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_session);
    ssl_pair p = tie(server, client);
    ck_assert(shake(&p));
    untie(&p);
    ck_assert_ptr_nonnull(last_session);
}

static void tear_down(void)
{
    SSL_SESSION_free(last_session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}

/* A pair whose client resumes. */
static ssl_pair begin(void)
{
    ssl_pair p = tie(server, client);
    SSL_SESSION *copy = SSL_SESSION_dup(last_session);
    ck_assert_int_eq(SSL_set_session(p.client, copy), 1);
    SSL_SESSION_free(copy);
    return p;
}

static void finish(ssl_pair *p)
{
    ck_assert(shake(p));
    untie(p);
}

START_TEST(early_data_comes_before_the_handshake_is_done_and_is_answered)
{
    char buf[64] = "";
    size_t n = 0;
    set_up(1000);
    int64_t before = thi_metric_read(THI_M_TLS_EARLY_TAKEN);
    ssl_pair p = begin();
    ck_assert_int_eq(thi_tls_early_send(p.client, "GET /", 5, &n), THI_EARLY_DATA);
    ck_assert_uint_eq(n, 5);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_DATA);
    ck_assert_uint_eq(n, 5);
    ck_assert_str_eq(buf, "GET /");
    ck_assert(!SSL_is_init_finished(p.server));
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_MORE);
    ck_assert_int_eq(thi_tls_early_write(p.server, "200 OK", 6, &n), THI_EARLY_DATA);
    ck_assert_int_eq(SSL_do_handshake(p.client), 1);
    ck_assert_int_eq(SSL_read(p.client, buf, sizeof buf),
                     6); /* and the server has not got it yet */
    ck_assert_int_eq(memcmp(buf, "200 OK", 6), 0);
    ck_assert(!SSL_is_init_finished(p.server));
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_OVER);
    ck_assert_int_eq(SSL_do_handshake(p.server), 1);
    ck_assert(thi_tls_early_taken(p.client));
    ck_assert(thi_tls_early_taken(p.server));
    thi_tls_early_count(p.server);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_EARLY_TAKEN) - before, 1);
    ck_assert_int_eq(SSL_write(p.client, "more", 4), 4);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 4);
    finish(&p);
    tear_down();
}
END_TEST

START_TEST(a_client_without_early_data_is_served_as_ever)
{
    char buf[64];
    size_t n;
    set_up(1000);
    ssl_pair p = begin();
    ck_assert_int_ge(step(p.client), 0);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_OVER);
    finish(&p);
    p = tie(server, client); /* nor has it a session */
    ck_assert_int_eq(thi_tls_early_send(p.client, "x", 1, &n), THI_EARLY_OVER);
    ck_assert_int_ge(step(p.client), 0);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_OVER);
    ck_assert(shake(&p));
    ck_assert(!thi_tls_early_taken(p.client));
    untie(&p);
    tear_down();
}
END_TEST

START_TEST(a_server_that_takes_none_says_so_in_its_sessions)
{
    size_t n;
    set_up(0);
    ssl_pair p = begin();
    ck_assert_int_eq(thi_tls_early_send(p.client, "x", 1, &n), THI_EARLY_OVER);
    finish(&p);
    tear_down();
}
END_TEST

START_TEST(no_more_is_sent_than_the_session_allows)
{
    char buf[64];
    size_t n;
    set_up(10);
    ssl_pair p = begin();
    memset(buf, 'x', sizeof buf);
    ck_assert_int_eq(thi_tls_early_send(p.client, buf, sizeof buf, &n), THI_EARLY_DATA);
    ck_assert_uint_eq(n, 10);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_DATA);
    ck_assert_uint_eq(n, 10);
    ck_assert_int_ge(step(p.client), 0);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_OVER);
    finish(&p);
    tear_down();
}
END_TEST

/* Who sends more than it may is cut off. */
START_TEST(more_than_the_limit_is_a_failure)
{
    char buf[64];
    size_t n;
    set_up(10);
    ssl_pair p = begin();
    memset(buf, 'x', sizeof buf);
    ck_assert_int_eq(thi_tls_early_send(p.client, buf, 10, &n), THI_EARLY_DATA);
    SSL_set_max_early_data(p.server, 9);
    SSL_set_recv_max_early_data(p.server, 9);
    ck_assert_int_eq(thi_tls_early_read(p.server, buf, sizeof buf, &n), THI_EARLY_FAILED);
    ck_assert_int_eq(SSL_get_error(p.server, 0), SSL_ERROR_SSL);
    untie(&p);
    tear_down();
}
END_TEST

/* What a client has sent so far. */
static size_t drain(SSL *ssl, unsigned char *buf, size_t size)
{
    int n = BIO_read(SSL_get_rbio(ssl), buf, (int)size);
    return n > 0 ? (size_t)n : 0;
}

/* Somebody has recorded the first flight of a client and sends it again. */
START_TEST(early_data_that_is_sent_again_is_not_taken)
{
    static unsigned char recorded[16384];
    char buf[64];
    size_t n;
    set_up(1000);
    int64_t before = thi_metric_read(THI_M_TLS_EARLY_REFUSED);
    ssl_pair p = begin();
    ck_assert_int_eq(thi_tls_early_send(p.client, "pay", 3, &n), THI_EARLY_DATA);
    size_t size = drain(p.server, recorded, sizeof recorded);
    ck_assert_uint_gt(size, 100);
    for (int i = 0; i < 4; i++) {
        SSL *victim = SSL_new(server);
        BIO *in = BIO_new(BIO_s_mem());
        BIO_write(in, recorded, (int)size);
        SSL_set_bio(victim, in, BIO_new(BIO_s_mem()));
        SSL_set_accept_state(victim);
        int expected = i == 0 ? THI_EARLY_DATA : THI_EARLY_OVER;
        ck_assert_int_eq(thi_tls_early_read(victim, buf, sizeof buf, &n), expected);
        ck_assert_int_eq(SSL_session_reused(victim), 1);
        if (i > 0)
            thi_tls_early_count(victim);
        SSL_free(victim);
    }
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_EARLY_REFUSED) - before, 3);
    untie(&p);
    tear_down();
}
END_TEST

/* The client learns of it and can send it again, in the connection proper. */
START_TEST(refused_early_data_is_skipped_and_the_connection_goes_on)
{
    char buf[64] = "";
    size_t n;
    set_up(1000);
    SSL_CTX_free(server);
    server = server_of(0); /* it has the keys, but takes none any more */
    ssl_pair p = begin();
    ck_assert_int_eq(thi_tls_early_send(p.client, "early", 5, &n), THI_EARLY_DATA);
    ck_assert(shake(&p));
    ck_assert(!thi_tls_early_taken(p.client));
    ck_assert(!thi_tls_early_taken(p.server));
    ck_assert_int_eq(SSL_write(p.client, "again", 5), 5);
    ck_assert_int_eq(SSL_read(p.server, buf, sizeof buf), 5);
    ck_assert_str_eq(buf, "again");
    untie(&p);
    tear_down();
}
END_TEST

/* ---- the register ---- */

START_TEST(a_hello_is_noted_once_within_its_span)
{
    thi_early_once *hellos = NULL;
    int64_t now = thi_sys_clock();
    ck_assert_int_eq(thi_early_once_new(64, &hellos), 0);
    ck_assert(thi_early_once_note(hellos, "a", 1, now));
    ck_assert(!thi_early_once_note(hellos, "a", 1, now));
    ck_assert(thi_early_once_note(hellos, "b", 1, now + THI_EARLY_SPAN - 1));
    ck_assert(!thi_early_once_note(hellos, "a", 1, now + THI_EARLY_SPAN - 1));
    ck_assert(!thi_early_once_note(hellos, "b", 1, now + 2 * THI_EARLY_SPAN - 2));
    ck_assert(thi_early_once_note(hellos, "a", 1, now + 4 * THI_EARLY_SPAN));
    ck_assert(thi_early_once_note(hellos, "b", 1, now + 4 * THI_EARLY_SPAN));
    thi_early_once_unref(hellos);
    thi_early_once_unref(NULL);
}
END_TEST

START_TEST(a_full_register_refuses_until_there_is_room)
{
    thi_early_once *hellos = NULL;
    int64_t now = thi_sys_clock();
    ck_assert_int_eq(thi_early_once_new(64, &hellos), 0);
    for (int i = 0; i < 64; i++)
        ck_assert(thi_early_once_note(hellos, &i, sizeof i, now));
    int more = 64;
    ck_assert(!thi_early_once_note(hellos, &more, sizeof more, now));
    now += THI_EARLY_SPAN + TH_MILLISECOND;
    ck_assert(thi_early_once_note(hellos, &more, sizeof more, now));
    for (int i = 0; i < 64; i++) /* those of before are still known */
        ck_assert(!thi_early_once_note(hellos, &i, sizeof i, now));
    thi_early_once_unref(hellos);
}
END_TEST

static thi_early_once *shared;

static void *note_all(void *arg)
{
    atomic_int *fresh = arg;
    int64_t now = thi_sys_clock();
    for (int i = 0; i < 1000; i++)
        if (thi_early_once_note(shared, &i, sizeof i, now))
            atomic_fetch_add(fresh, 1);
    return NULL;
}

START_TEST(of_threads_that_note_the_same_one_is_first)
{
    pthread_t threads[4];
    atomic_int fresh = 0;
    ck_assert_int_eq(thi_early_once_new(1024, &shared), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, note_all, &fresh), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(fresh, 1000);
    thi_early_once_unref(shared);
}
END_TEST

START_TEST(without_memory_there_is_no_register)
{
    thi_early_once *hellos = NULL;
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_early_once_new(64, &hellos), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_ptr_null(hellos);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "early data");
    tcase_add_test(tcase, early_data_comes_before_the_handshake_is_done_and_is_answered);
    tcase_add_test(tcase, a_client_without_early_data_is_served_as_ever);
    tcase_add_test(tcase, a_server_that_takes_none_says_so_in_its_sessions);
    tcase_add_test(tcase, no_more_is_sent_than_the_session_allows);
    tcase_add_test(tcase, more_than_the_limit_is_a_failure);
    tcase_add_test(tcase, early_data_that_is_sent_again_is_not_taken);
    tcase_add_test(tcase, refused_early_data_is_skipped_and_the_connection_goes_on);
    tcase = thi_check_case(suite, "once only");
    tcase_add_test(tcase, a_hello_is_noted_once_within_its_span);
    tcase_add_test(tcase, a_full_register_refuses_until_there_is_room);
    tcase_add_test(tcase, of_threads_that_note_the_same_one_is_first);
    tcase_add_test(tcase, without_memory_there_is_no_register);
}

int main(void)
{
    return thi_check_run("tls/early", fill);
}
