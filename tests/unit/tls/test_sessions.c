/* SPDX-License-Identifier: MIT */

/* The sessions of clients: kept by destination, used once in 1.3, bounded, and handed over. */
#include "tls/ssl_pair.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "sys/sys.h"
#include "tls/session.h"
#include "tls/sessions.h"
#include "tls/tally.h"
#include "tls/tickets.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* ---- a server and clients ---- */

static SSL_CTX *server;
static SSL_CTX *client;
static th_tls_ticket_keys *keys;

static const thi_tls_ticket_rules usual = {
    .count = 2, .session_time = TH_HOUR, .id = "test", .id_size = 4
};

static void set_up_with(int version, const thi_tls_ticket_rules *rules)
{
    make_authority();
    server = make_server(version);
    client = make_client();
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, &keys), 0);
    ck_assert_int_eq(thi_tls_tickets_attach(server, keys, rules), 0);
    ck_assert_int_eq(thi_tls_sessions_attach(client), 0);
}

static void set_up(int version)
{
    set_up_with(version, &usual);
}

static void tear_down(void)
{
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}

static th_tls_sessions *cache_with(th_tls_sessions_opts opts)
{
    th_tls_sessions *sessions = NULL;
    ck_assert_int_eq(th_tls_sessions_new(&opts, &sessions), 0);
    return sessions;
}

static th_tls_sessions *cache(void)
{
    return cache_with((th_tls_sessions_opts){ .size = 0 });
}

static th_tls_sessions_stats stats_of(th_tls_sessions *sessions)
{
    th_tls_sessions_stats stats;
    ck_assert_int_eq(th_tls_sessions_get_stats(sessions, sizeof stats, &stats), 0);
    return stats;
}

static const thi_tls_destination usual_one = { .name = "server.test",
                                               .server_name = "server.test",
                                               .port = 443 };

static ssl_pair begin(const thi_tls_destination *to, th_tls_sessions *sessions,
                      th_tls_session *session)
{
    ssl_pair p = tie(server, client);
    ck_assert_int_eq(thi_tls_sessions_begin(p.client, to, sessions, session), 0);
    return p;
}

/* A whole connection, which ends without a farewell: whether it was resumed. */
static bool visit(const thi_tls_destination *to, th_tls_sessions *sessions)
{
    ssl_pair p = begin(to, sessions, NULL);
    ck_assert(shake(&p));
    bool resumed = SSL_session_reused(p.client);
    untie(&p);
    return resumed;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- the cache ---- */

/* SSL_free() without a farewell marks a session as not to be resumed; the cache does not suffer. */
START_TEST(the_next_connection_to_a_destination_is_resumed_and_so_on)
{
    set_up(versions[_i]);
    th_tls_sessions *sessions = cache();
    ck_assert(!visit(&usual_one, sessions));
    for (int i = 0; i < 20; i++)
        ck_assert(visit(&usual_one, sessions));
    th_tls_sessions_stats stats = stats_of(sessions);
    ck_assert_uint_eq(stats.missed, 1);
    ck_assert_uint_eq(stats.offered, 20);
    ck_assert_uint_eq(stats.destinations, 1);
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

START_TEST(each_ticket_of_13_is_used_once_and_one_of_12_again_and_again)
{
    thi_tls_ticket_rules rules = usual;
    rules.count = 3;
    set_up_with(versions[_i], &rules);
    th_tls_sessions *sessions = cache();
    bool old = versions[_i] == TLS1_2_VERSION;
    ck_assert(!visit(&usual_one, sessions));
    ck_assert_uint_eq(stats_of(sessions).sessions, old ? 1 : 3);
    ssl_pair pairs[4];
    for (size_t i = 0; i < thi_array_len(pairs); i++) { /* all begin before one has got through */
        pairs[i] = begin(&usual_one, sessions, NULL);
        size_t left = stats_of(sessions).sessions;
        ck_assert_uint_eq(left, old ? 1 : i < 3 ? 2 - i : 0);
    }
    for (size_t i = 0; i < thi_array_len(pairs); i++) {
        ck_assert(shake(&pairs[i]));
        ck_assert_int_eq(SSL_session_reused(pairs[i].client), old || i < 3);
        untie(&pairs[i]);
    }
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

START_TEST(another_name_port_protocol_or_context_is_another_destination)
{
    static const unsigned char h2[] = "\002h2";
    static const thi_tls_destination others[] = {
        { .name = "other.test", .server_name = "server.test", .port = 443 },
        { .name = "server.test", .server_name = "other.test", .port = 443 },
        { .name = "server.test", .port = 443 },
        { .server_name = "server.test", .port = 443 },
        { .name = "server.test", .server_name = "server.test", .port = 444 },
        { .name = "server.test",
          .server_name = "server.test",
          .port = 443,
          .alpn = h2,
          .alpn_len = 3 },
        { .name = "server.testserver.test", .server_name = "", .port = 443 },
    };
    static const thi_tls_destination same = { .name = "SERVER.test",
                                              .server_name = "server.TEST",
                                              .port = 443 };
    set_up(TLS1_2_VERSION);
    th_tls_sessions *sessions = cache();
    ck_assert(!visit(&usual_one, sessions));
    for (size_t i = 0; i < thi_array_len(others); i++)
        ck_assert(!visit(&others[i], sessions));
    ck_assert_uint_eq(stats_of(sessions).destinations, 1 + thi_array_len(others));
    ck_assert(visit(&same, sessions));
    SSL_CTX *former = client;
    client = make_client(); /* it might have other demands */
    ck_assert_int_eq(thi_tls_sessions_attach(client), 0);
    ck_assert_uint_ne(thi_tls_sessions_number(client), thi_tls_sessions_number(former));
    ck_assert(!visit(&usual_one, sessions));
    SSL_CTX_free(former);
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

START_TEST(the_oldest_makes_room_in_a_destination_and_in_all)
{
    thi_tls_ticket_rules rules = usual;
    rules.count = 5;
    set_up_with(TLS1_3_VERSION, &rules);
    th_tls_sessions *sessions = cache_with((th_tls_sessions_opts){ .max = 6, .max_each = 4 });
    ck_assert(!visit(&usual_one, sessions));
    ck_assert_uint_eq(stats_of(sessions).sessions, 4);
    ck_assert_uint_eq(stats_of(sessions).displaced, 1);
    thi_tls_destination second = usual_one;
    second.port = 444;
    ck_assert(!visit(&second, sessions));
    ck_assert_uint_eq(stats_of(sessions).sessions, 6); /* 2 of the first are left */
    thi_tls_destination third = usual_one;
    third.port = 445;
    ck_assert(!visit(&third, sessions));
    th_tls_sessions_stats stats = stats_of(sessions);
    ck_assert_uint_eq(stats.sessions, 6);
    ck_assert_uint_eq(stats.destinations, 2); /* nothing is left of the first */
    ck_assert_uint_eq(stats.stored, 15);
    ck_assert_uint_eq(stats.displaced, 9);
    ck_assert(!visit(&usual_one, sessions));
    th_tls_sessions_clear(sessions);
    stats = stats_of(sessions);
    ck_assert_uint_eq(stats.sessions, 0);
    ck_assert_uint_eq(stats.destinations, 0);
    ck_assert(!visit(&third, sessions));
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

static thi_sys shifted;
static int64_t shift;

static int64_t shifted_clock(void)
{
    return thi_sys_real.clock() + shift;
}

START_TEST(a_session_ends_with_its_time)
{
    set_up(versions[_i]);
    shifted = *thi_sys_table;
    shifted.clock = shifted_clock;
    thi_sys_table = &shifted;
    th_tls_sessions *sessions = cache_with((th_tls_sessions_opts){ .session_time = TH_MINUTE });
    ck_assert(!visit(&usual_one, sessions));
    shift = TH_MINUTE - 10 * TH_SECOND;
    ck_assert(visit(&usual_one, sessions));
    shift += TH_MINUTE;
    ck_assert(!visit(&usual_one, sessions));
    ck_assert_uint_gt(stats_of(sessions).expired, 0);
    th_tls_sessions_unref(sessions);
    sessions = cache(); /* now what the server said counts: an hour */
    ck_assert(!visit(&usual_one, sessions));
    shift += TH_HOUR - 10 * TH_SECOND;
    ck_assert(visit(&usual_one, sessions));
    shift += TH_HOUR;
    ck_assert(!visit(&usual_one, sessions));
    th_tls_sessions_unref(sessions);
    thi_sys_table = &thi_sys_real;
    tear_down();
}
END_TEST

/* RFC 8446, 4.6.1: whatever the server and the cache's owner say. That the server has other keys by
 * then is its own matter. */
START_TEST(no_session_is_kept_for_more_than_a_week)
{
    EVP_PKEY *key = mint_key("ec");
    set_up(0);
    X509 *cert = make_cert(key, 9, 60L * 24 * 3600, 0, NULL);
    SSL_CTX_free(server);
    server = server_with(cert, key, versions[_i]);
    ck_assert_int_eq(thi_tls_tickets_attach(server, keys, &usual), 0);
    SSL_CTX_set_timeout(server, 30L * 24 * 3600);
    shifted = *thi_sys_table;
    shifted.clock = shifted_clock;
    thi_sys_table = &shifted;
    th_tls_sessions *sessions =
        cache_with((th_tls_sessions_opts){ .session_time = 60 * 24 * TH_HOUR });
    ck_assert(!visit(&usual_one, sessions));
    shift = 7 * 24 * TH_HOUR - 10 * TH_SECOND;
    (void)visit(&usual_one, sessions);
    ck_assert_uint_eq(stats_of(sessions).offered, 1);
    shift += 7 * 24 * TH_HOUR;
    (void)visit(&usual_one, sessions);
    ck_assert_uint_eq(stats_of(sessions).offered, 1);
    ck_assert_uint_gt(stats_of(sessions).expired, 0);
    th_tls_sessions_unref(sessions);
    thi_sys_table = &thi_sys_real;
    X509_free(cert);
    EVP_PKEY_free(key);
    tear_down();
}
END_TEST

/* Nor does it outlive the certificate that was verified when it was made. */
START_TEST(a_session_ends_with_the_certificate)
{
    EVP_PKEY *key = mint_key("ec");
    set_up(0);
    X509 *cert = make_cert(key, 9, 60, 0, NULL);
    SSL_CTX_free(server);
    server = server_with(cert, key, versions[_i]);
    ck_assert_int_eq(thi_tls_tickets_attach(server, keys, &usual), 0);
    ssl_pair p = begin(&usual_one, NULL, NULL);
    ck_assert(shake(&p));
    th_tls_session *session = NULL;
    th_tls_session_facts facts;
    ck_assert_int_eq(thi_tls_session_of(p.client, &session), 0);
    ck_assert_int_eq(th_tls_session_tell(session, sizeof facts, &facts), 0);
    ck_assert_int_gt(facts.left, 0);
    ck_assert_int_le(facts.left, TH_MINUTE);
    th_tls_session_unref(session);
    untie(&p);
    X509_free(cert);
    EVP_PKEY_free(key);
    tear_down();
}
END_TEST

START_TEST(after_a_failure_a_destination_is_forgotten)
{
    set_up(versions[_i]);
    th_tls_sessions *sessions = cache();
    ck_assert(!visit(&usual_one, sessions));
    ssl_pair p = begin(&usual_one, sessions, NULL);
    thi_tls_sessions_forget(p.client);
    ck_assert_uint_eq(stats_of(sessions).sessions, 0);
    thi_tls_sessions_forget(p.client); /* there is nothing any more */
    thi_tls_sessions_forget(p.server); /* never was */
    untie(&p);
    ck_assert(!visit(&usual_one, sessions));
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

/* A server that forgets its keys costs a full handshake, nothing else. */
START_TEST(a_session_that_the_server_does_not_take_is_no_failure)
{
    set_up(versions[_i]);
    th_tls_sessions *sessions = cache();
    ck_assert(!visit(&usual_one, sessions));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_tls_ticket_keys_rotate(keys), 0);
    ck_assert(!visit(&usual_one, sessions));
    ck_assert(visit(&usual_one, sessions));
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

/* ---- single sessions ---- */

START_TEST(a_session_that_is_taken_is_resumed_where_it_is_given)
{
    th_tls_session *session = NULL;
    th_tls_session_facts facts;
    set_up(versions[_i]);
    ssl_pair p = begin(&usual_one, NULL, NULL);
    ck_assert_int_eq(thi_tls_session_of(p.client, &session), -EAGAIN);
    ck_assert_int_eq(thi_tls_session_of(p.server, &session), -EINVAL);
    ck_assert(shake(&p));
    ck_assert_int_eq(thi_tls_session_of(p.client, &session), 0);
    untie(&p);
    ck_assert_int_eq(th_tls_session_tell(session, sizeof facts, &facts), 0);
    ck_assert_int_eq(facts.version, versions[_i]);
    ck_assert_int_eq(facts.once, versions[_i] == TLS1_3_VERSION);
    ck_assert_str_eq(facts.name, "server.test");
    ck_assert_int_gt(facts.left, 59 * TH_MINUTE);
    ck_assert_int_le(facts.left, TH_HOUR);
    ck_assert_uint_eq(facts.early, 0);
    p = begin(&usual_one, NULL, session);
    ck_assert(shake(&p));
    ck_assert(SSL_session_reused(p.client));
    ck_assert(SSL_session_reused(p.server));
    untie(&p);
    th_tls_session_unref(th_tls_session_ref(session));
    th_tls_session_unref(session);
    th_tls_session_unref(NULL);
    tear_down();
}
END_TEST

/* In 1.3 tickets come with what is read after the handshake, also after one that was resumed. */
START_TEST(there_is_no_session_of_13_before_a_ticket_has_come)
{
    th_tls_session *session = NULL;
    char byte;
    set_up(TLS1_3_VERSION);
    th_tls_sessions *sessions = cache();
    for (int i = 0; i < 2; i++) {
        ssl_pair p = begin(&usual_one, sessions, NULL);
        while (!SSL_is_init_finished(p.client))
            ck_assert(step(p.client) >= 0 && step(p.server) >= 0);
        ck_assert_int_eq(SSL_session_reused(p.client), i);
        ck_assert_int_eq(thi_tls_session_of(p.client, &session), -EAGAIN);
        ck_assert_int_ge(step(p.server), 0);
        ck_assert_int_le(SSL_read(p.client, &byte, 1), 0);
        ck_assert_int_eq(thi_tls_session_of(p.client, &session), 0);
        th_tls_session_unref(session);
        untie(&p);
    }
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

static th_tls_session *take_one(void)
{
    th_tls_session *session = NULL;
    ssl_pair p = begin(&usual_one, NULL, NULL);
    ck_assert(shake(&p));
    ck_assert_int_eq(thi_tls_session_of(p.client, &session), 0);
    untie(&p);
    return session;
}

START_TEST(a_session_of_another_context_or_name_is_refused)
{
    set_up(versions[_i]);
    th_tls_session *session = take_one();
    thi_tls_destination other = usual_one;
    other.name = "other.test";
    ssl_pair p = tie(server, client);
    ck_assert_int_eq(thi_tls_sessions_begin(p.client, &other, NULL, session), -EINVAL);
    ck_assert_str_eq(th_err_detail(), "the session is of server.test, not of other.test");
    ck_assert_int_eq(thi_tls_sessions_begin(p.client, &other, NULL, NULL), -EINVAL); /* twice */
    untie(&p);
    SSL_CTX *former = client;
    client = make_client();
    p = tie(server, client);
    ck_assert_int_eq(thi_tls_sessions_begin(p.client, &usual_one, NULL, session), -EINVAL);
    untie(&p); /* that was not attached */
    ck_assert_int_eq(thi_tls_sessions_attach(client), 0);
    p = tie(server, client);
    ck_assert_int_eq(thi_tls_sessions_begin(p.client, &usual_one, NULL, session), -EINVAL);
    ck_assert_str_eq(th_err_detail(), "the session was made with another context");
    untie(&p);
    SSL_CTX_free(former);
    th_tls_session_unref(session);
    tear_down();
}
END_TEST

START_TEST(a_session_goes_through_bytes_and_is_still_resumed)
{
    char buf[8192];
    th_tls_session *session;
    set_up(versions[_i]);
    th_tls_session *first = take_one();
    ssize_t need = th_tls_session_export(first, NULL, 0);
    ck_assert_int_gt(need, 0);
    ck_assert_int_le(need, (ssize_t)sizeof buf);
    buf[0] = 'x';
    ck_assert_int_eq(th_tls_session_export(first, buf, (size_t)need - 1), need);
    ck_assert_int_eq(buf[0], 'x');
    ck_assert_int_eq(th_tls_session_export(first, buf, (size_t)need), need);
    th_tls_session_unref(first);
    uint64_t number = thi_tls_sessions_number(client);
    ck_assert_int_eq(thi_tls_session_read(number, buf, (size_t)need, &session), 0);
    ssl_pair p = begin(&usual_one, NULL, session);
    ck_assert(shake(&p));
    ck_assert(SSL_session_reused(p.client));
    untie(&p);
    th_tls_session_unref(session);
    tear_down();
}
END_TEST

START_TEST(other_bytes_are_no_session)
{
    char buf[8192];
    th_tls_session *session = NULL;
    set_up(TLS1_3_VERSION);
    th_tls_session *first = take_one();
    size_t size = (size_t)th_tls_session_export(first, buf, sizeof buf);
    for (size_t i = 0; i < size; i++) /* none that is cut */
        ck_assert_int_eq(thi_tls_session_read(1, buf, i, &session), TH_ETLS);
    buf[size] = 0;
    ck_assert_int_eq(thi_tls_session_read(1, buf, size + 1, &session), TH_ETLS);
    buf[5]++; /* the name */
    ck_assert_int_eq(thi_tls_session_read(1, buf, size, &session), TH_ETLS);
    buf[5]--;
    buf[3]++;
    ck_assert_int_eq(thi_tls_session_read(1, buf, size, &session), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "these bytes are no session");
    ck_assert_ptr_null(session);
    ck_assert_int_eq(th_tls_session_export(NULL, buf, sizeof buf), -EINVAL);
    ck_assert_int_eq(th_tls_session_export(first, NULL, 1), -EINVAL);
    th_tls_session_unref(first);
    tear_down();
}
END_TEST

START_TEST(misuse_is_refused)
{
    th_tls_sessions *sessions = NULL;
    th_tls_sessions_stats stats;
    th_tls_session_facts facts;
    th_tls_sessions_opts wrong[] = {
        { .size = sizeof(th_tls_sessions_opts) + 1 },
        { .max = 1000001 },
        { .max_each = 65 },
        { .session_time = -1 },
    };
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_tls_sessions_new(&wrong[i], &sessions), -EINVAL);
    ck_assert_int_eq(th_tls_sessions_new(NULL, NULL), -EINVAL);
    ck_assert_ptr_null(sessions);
    sessions = cache_with((th_tls_sessions_opts){ .max = 1000000, .max_each = 64 });
    ck_assert_int_eq(th_tls_sessions_get_stats(NULL, sizeof stats, &stats), -EINVAL);
    ck_assert_int_eq(th_tls_sessions_get_stats(sessions, sizeof stats, NULL), -EINVAL);
    ck_assert_int_eq(th_tls_sessions_get_stats(sessions, sizeof stats + 1, &stats), -EINVAL);
    ck_assert_int_eq(th_tls_sessions_get_stats(sessions, 0, &stats), -EINVAL);
    ck_assert_int_eq(th_tls_session_tell(NULL, sizeof facts, &facts), -EINVAL);
    ck_assert_ptr_eq(th_tls_sessions_ref(sessions), sessions);
    th_tls_sessions_unref(sessions);
    th_tls_sessions_unref(sessions);
    th_tls_sessions_unref(NULL);
    th_tls_sessions_clear(NULL);
    ck_assert_ptr_null(th_tls_sessions_ref(NULL));
    ck_assert_ptr_null(th_tls_session_ref(NULL));
}
END_TEST

/* ---- the share of resumed handshakes, faults, threads ---- */

START_TEST(full_and_resumed_handshakes_are_counted_by_role)
{
    set_up(versions[_i]);
    th_tls_sessions *sessions = cache();
    int64_t before[] = {
        thi_metric_read(THI_M_TLS_SERVER_FULL),   thi_metric_read(THI_M_TLS_SERVER_RESUMED),
        thi_metric_read(THI_M_TLS_CLIENT_FULL),   thi_metric_read(THI_M_TLS_CLIENT_RESUMED),
        thi_metric_read(THI_M_TLS_SERVER_FAILED), thi_metric_read(THI_M_TLS_CLIENT_FAILED)
    };
    for (int i = 0; i < 3; i++) {
        ssl_pair p = begin(&usual_one, sessions, NULL);
        ck_assert(shake(&p));
        thi_tls_count_done(p.client);
        thi_tls_count_done(p.server);
        untie(&p);
    }
    thi_tls_count_failed(true);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SERVER_FULL) - before[0], 1);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SERVER_RESUMED) - before[1], 2);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_CLIENT_FULL) - before[2], 1);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_CLIENT_RESUMED) - before[3], 2);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SERVER_FAILED) - before[4], 1);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_CLIENT_FAILED) - before[5], 0);
    th_tls_sessions_unref(sessions);
    tear_down();
}
END_TEST

/* Every allocation of ours fails once, while a connection is made and its sessions are kept. */
START_TEST(without_memory_a_session_is_not_kept_and_nothing_is_lost)
{
    set_up(versions[_i]);
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        th_tls_sessions *sessions = NULL;
        ssl_pair p = tie(server, client);
        thi_alloc_fail_at(n);
        int err = th_tls_sessions_new(NULL, &sessions);
        if (err == 0)
            err = thi_tls_sessions_begin(p.client, &usual_one, sessions, NULL);
        bool shaken = shake(&p);
        bool done = thi_alloc_fail_at(0) > 0;
        ck_assert(shaken);
        ck_assert(err == 0 || err == -ENOMEM);
        if (done)
            ck_assert_uint_gt(stats_of(sessions).sessions, 0);
        untie(&p);
        th_tls_sessions_unref(sessions);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (done)
            break;
    }
    tear_down();
}
END_TEST

static th_tls_sessions *shared;

static void *visit_often(void *arg)
{
    for (int i = 0; i < 30; i++) {
        thi_tls_destination to = usual_one;
        to.port = (uint16_t)(i % 3);
        (void)visit(&to, shared);
        if (i % 10 == 9)
            th_tls_sessions_clear(shared);
    }
    return arg;
}

START_TEST(threads_share_a_cache)
{
    pthread_t threads[4];
    set_up(versions[_i]);
    shared = cache_with((th_tls_sessions_opts){ .max = 5, .max_each = 2 });
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, visit_often, NULL), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    th_tls_sessions_stats stats = stats_of(shared);
    ck_assert_uint_le(stats.sessions, 5);
    ck_assert_uint_eq(stats.offered + stats.missed, 120);
    th_tls_sessions_unref(shared);
    tear_down();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "cache");
    tcase_add_loop_test(tcase, the_next_connection_to_a_destination_is_resumed_and_so_on, 0, 2);
    tcase_add_loop_test(tcase, each_ticket_of_13_is_used_once_and_one_of_12_again_and_again, 0, 2);
    tcase_add_test(tcase, another_name_port_protocol_or_context_is_another_destination);
    tcase_add_test(tcase, the_oldest_makes_room_in_a_destination_and_in_all);
    tcase_add_loop_test(tcase, a_session_ends_with_its_time, 0, 2);
    tcase_add_loop_test(tcase, no_session_is_kept_for_more_than_a_week, 0, 2);
    tcase_add_loop_test(tcase, a_session_ends_with_the_certificate, 0, 2);
    tcase_add_loop_test(tcase, after_a_failure_a_destination_is_forgotten, 0, 2);
    tcase_add_loop_test(tcase, a_session_that_the_server_does_not_take_is_no_failure, 0, 2);
    tcase = thi_check_case(suite, "single sessions");
    tcase_add_loop_test(tcase, a_session_that_is_taken_is_resumed_where_it_is_given, 0, 2);
    tcase_add_test(tcase, there_is_no_session_of_13_before_a_ticket_has_come);
    tcase_add_loop_test(tcase, a_session_of_another_context_or_name_is_refused, 0, 2);
    tcase_add_loop_test(tcase, a_session_goes_through_bytes_and_is_still_resumed, 0, 2);
    tcase_add_test(tcase, other_bytes_are_no_session);
    tcase_add_test(tcase, misuse_is_refused);
    tcase = thi_check_case(suite, "all of it");
    tcase_add_loop_test(tcase, full_and_resumed_handshakes_are_counted_by_role, 0, 2);
    tcase_add_loop_test(tcase, without_memory_a_session_is_not_kept_and_nothing_is_lost, 0, 2);
    tcase_add_loop_test(tcase, threads_share_a_cache, 0, 2);
}

int main(void)
{
    return thi_check_run("tls/sessions", fill);
}
