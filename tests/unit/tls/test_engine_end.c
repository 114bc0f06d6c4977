/* SPDX-License-Identifier: MIT */

/* Engines at their end, and with peers that do not play by the rules. */
#include "engines.h"

#include "tls/ossl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

static th_tls_info info_of(th_tls_engine *engine)
{
    th_tls_info info = { .size = sizeof info };
    ck_assert_int_eq(th_tls_engine_info(engine, &info), 0);
    return info;
}

#define ck_assert_detail(words)                                                                    \
    ck_assert_msg(strstr(th_err_detail(), words) != NULL, "'%s' has not '%s'", th_err_detail(),    \
                  words)

/* ---- ends ---- */

START_TEST(the_end_is_said_by_one_and_then_by_both)
{
    char byte;
    open_shaken(versions[_i]);
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), -EAGAIN);
    ck_assert_int_eq(info_of(client_end).sent_close, 1);
    ck_assert_int_eq(info_of(client_end).received_close, 0);
    ck_assert_int_eq(th_tls_engine_write(client_end, "x", 1), -EPIPE);
    size_t said = carry(client_end, server_end);
    ck_assert_uint_gt(said, 0);
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), -EAGAIN);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0); /* it is said once */
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_EOF);
    ck_assert_int_eq(info_of(server_end).received_close, 1);
    ck_assert_int_eq(th_tls_engine_shutdown(server_end),
                     0); /* at once: the other one has said it */
    carry(server_end, client_end);
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), 0);
    ck_assert_int_eq(info_of(client_end).received_close, 1);
    close_engines();
}
END_TEST

START_TEST(before_the_handshake_there_is_no_end)
{
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), -ENOTCONN);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0);
    close_engines();
}
END_TEST

START_TEST(unread_bytes_come_before_the_end)
{
    char buf[8] = "";
    open_shaken(versions[_i]);
    say(client_end, server_end, "abc");
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), -EAGAIN);
    carry(client_end, server_end);
    ck_assert_int_eq(th_tls_engine_shutdown(server_end), -EAGAIN); /* bytes are in the way */
    ck_assert_int_eq(th_tls_engine_read(server_end, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_tls_engine_read(server_end, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_tls_engine_shutdown(server_end), 0);
    close_engines();
}
END_TEST

START_TEST(input_that_just_ends_is_a_cut)
{
    char byte;
    open_shaken(versions[_i]);
    say(client_end, server_end, "ab");
    ck_assert_int_eq(th_tls_engine_feed_end(server_end), 0);
    hear(server_end, "ab");
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_ETRUNCATED);
    ck_assert_detail("without the end");
    ck_assert_int_eq(th_tls_engine_write(server_end, "x", 1), TH_ETRUNCATED);
    ck_assert_int_eq(th_tls_engine_shutdown(server_end), TH_ETRUNCATED);
    close_engines();
}
END_TEST

START_TEST(ends_can_be_declared)
{
    char byte;
    open_shaken(versions[_i]);
    ck_assert_int_eq(th_tls_engine_set_closed(client_end, 0, 1), 0);
    ck_assert_int_eq(info_of(client_end).sent_close, 0);
    ck_assert_int_eq(info_of(client_end).received_close, 1);
    ck_assert_int_eq(th_tls_engine_read(client_end, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_tls_engine_set_closed(client_end, 1, 0), 0);
    ck_assert_int_eq(info_of(client_end).sent_close, 1);
    ck_assert_int_eq(th_tls_engine_shutdown(client_end), 0);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0);
    close_engines();
}
END_TEST

/* ---- information ---- */

START_TEST(before_the_handshake_nothing_is_known)
{
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    th_tls_info info = info_of(server_end);
    ck_assert_int_eq(info.server, 1);
    ck_assert_int_eq(info.done, 0);
    ck_assert_int_eq(info.version, 0);
    ck_assert_ptr_null(info.version_name);
    ck_assert_ptr_null(info.cipher);
    ck_assert_int_eq(info.bits, 0);
    ck_assert_ptr_null(info.group);
    ck_assert_ptr_null(info.name);
    ck_assert_uint_eq(info.alpn.len, 0);
    ck_assert_uint_eq(info.peer_certs, 0);
    ck_assert_uint_eq(info.verified_certs, 0);
    ck_assert_uint_eq(info.sent_finished_size, 0);
    ck_assert_uint_eq(info.received_finished_size, 0);
    for (int chain = TH_TLS_CERTS_SENT; chain <= TH_TLS_CERTS_VERIFIED; chain++)
        ck_assert_int_eq(th_tls_engine_cert(client_end, chain, 0, NULL, 0), -ENOENT);
    ck_assert_int_eq(th_tls_engine_cert(client_end, TH_TLS_CERTS_OWN, 0, NULL, 0), -ENOENT);
    close_engines();
}
END_TEST

START_TEST(both_sides_know_the_same)
{
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    open_engines((th_tls_opts){ .max_version = versions[_i], .alpn = alpn },
                 (th_tls_opts){ .alpn = alpn + 1 });
    shake_well();
    th_tls_info server = info_of(server_end), client = info_of(client_end);
    ck_assert_int_eq(client.server, 0);
    ck_assert_int_eq(client.done, 1);
    ck_assert_int_eq(client.version, versions[_i]);
    ck_assert_int_eq(server.version, versions[_i]);
    ck_assert_str_eq(client.version_name, _i == 0 ? "TLSv1.2" : "TLSv1.3");
    ck_assert_str_eq(client.cipher, server.cipher);
    ck_assert_int_eq(client.bits, server.bits);
    ck_assert_int_ge(client.bits, 128);
    ck_assert_str_eq(client.group, server.group);
    ck_assert_str_eq(server.name, "server.test");
    ck_assert_str_eq(client.name, "server.test");
    ck_assert(th_str_eq(client.alpn, th_str_of("http/1.1")));
    ck_assert(th_str_eq(server.alpn, th_str_of("http/1.1")));
    ck_assert_int_eq(client.resumed, 0);
    ck_assert_int_eq(client.early, 0);
    ck_assert_int_eq(client.verified, 1);
    ck_assert_int_eq(client.verify_error, 0);
    ck_assert_int_eq(server.verified, 0); /* it has not asked */
    ck_assert_uint_eq(server.peer_certs, 0);
    ck_assert_uint_gt(client.sent_finished_size, 0);
    ck_assert_uint_eq(client.sent_finished_size, server.received_finished_size);
    ck_assert_mem_eq(client.sent_finished, server.received_finished, client.sent_finished_size);
    ck_assert_uint_eq(server.sent_finished_size, client.received_finished_size);
    ck_assert_mem_eq(server.sent_finished, client.received_finished, server.sent_finished_size);
    close_engines();
}
END_TEST

static void is_in_der(th_tls_engine *engine, int chain, size_t at, X509 *cert)
{
    unsigned char got[4096], *der = NULL;
    int len = i2d_X509(cert, &der);
    ck_assert_int_eq(th_tls_engine_cert(engine, chain, at, NULL, 0), len);
    memset(got, 1, sizeof got);
    ck_assert_int_eq(th_tls_engine_cert(engine, chain, at, got, (size_t)len - 1), len);
    ck_assert_int_eq(got[0], 1); /* no room for all of it: nothing is written */
    ck_assert_int_eq(th_tls_engine_cert(engine, chain, at, got, sizeof got), len);
    ck_assert_mem_eq(got, der, (size_t)len);
    OPENSSL_free(der);
}

START_TEST(chains_are_given_in_der)
{
    open_shaken(versions[_i]);
    ck_assert_uint_eq(info_of(client_end).peer_certs, 1);
    ck_assert_uint_eq(info_of(client_end).verified_certs, 2); /* the anchor was not sent */
    is_in_der(client_end, TH_TLS_CERTS_SENT, 0, test_server.cert);
    is_in_der(client_end, TH_TLS_CERTS_VERIFIED, 0, test_server.cert);
    is_in_der(client_end, TH_TLS_CERTS_VERIFIED, 1, test_ca.cert);
    is_in_der(server_end, TH_TLS_CERTS_OWN, 0, test_server.cert);
    ck_assert_int_eq(th_tls_engine_cert(client_end, TH_TLS_CERTS_SENT, 1, NULL, 0), -ENOENT);
    ck_assert_int_eq(th_tls_engine_cert(client_end, TH_TLS_CERTS_VERIFIED, 2, NULL, 0), -ENOENT);
    ck_assert_int_eq(th_tls_engine_cert(server_end, TH_TLS_CERTS_OWN, 1, NULL, 0), -ENOENT);
    ck_assert_int_eq(th_tls_engine_cert(client_end, 0, 0, NULL, 0), -EINVAL);
    close_engines();
}
END_TEST

/* A server gets the chain in another way than a client. */
START_TEST(a_server_sees_the_chain_of_its_client)
{
    static char chain[2 * sizeof test_client.pem];
    th_tls_cert with_root = { 0 };
    open_engines(
        (th_tls_opts){ .max_version = versions[_i], .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED },
        (th_tls_opts){ 0 });
    th_tls_engine_free(client_end);
    th_tls_unref(client_tls);
    snprintf(chain, sizeof chain, "%s%s", test_client.pem, test_ca.pem);
    with_root.cert_pem = th_str_of(chain);
    client_tls = test_tls(NULL, (th_tls_opts){ .certs = &with_root, .certs_count = 1 });
    new_engine(client_tls, TH_TLS_CLIENT, &(th_tls_engine_opts){ .connection.name = "server.test" },
               &client_end);
    shake_well();
    ck_assert_int_eq(info_of(server_end).verified, 1);
    ck_assert_uint_eq(info_of(server_end).peer_certs, 2);
    ck_assert_uint_eq(info_of(server_end).verified_certs, 2);
    is_in_der(server_end, TH_TLS_CERTS_SENT, 0, test_client.cert);
    is_in_der(server_end, TH_TLS_CERTS_SENT, 1, test_ca.cert);
    is_in_der(client_end, TH_TLS_CERTS_OWN, 0, test_client.cert);
    close_engines();
}
END_TEST

/* ---- peers that do not play by the rules ---- */

/* A client or server of OpenSSL's own, which does what it is told. */
static SSL_CTX *raw_ctx;
static SSL *raw;

static void open_raw(const SSL_METHOD *method, bool server, uint64_t options)
{
    raw_ctx = SSL_CTX_new(method);
    ck_assert_ptr_nonnull(raw_ctx);
    SSL_CTX_set_options(raw_ctx, options);
    if (server) {
        ck_assert_int_eq(SSL_CTX_use_certificate(raw_ctx, test_server.cert), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(raw_ctx, test_server.key), 1);
    }
    raw = SSL_new(raw_ctx);
    SSL_set_bio(raw, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(raw);
    else
        SSL_set_connect_state(raw);
}

static void close_raw(void)
{
    SSL_free(raw);
    SSL_CTX_free(raw_ctx);
    close_engines();
}

static void to_raw(th_tls_engine *from)
{
    char buf[20000];
    ssize_t n;
    while ((n = th_tls_engine_take(from, buf, sizeof buf)) > 0)
        ck_assert_int_eq(BIO_write(SSL_get_rbio(raw), buf, (int)n), (int)n);
}

static void from_raw(th_tls_engine *to)
{
    char buf[20000];
    int n;
    while ((n = BIO_read(SSL_get_wbio(raw), buf, sizeof buf)) > 0)
        ck_assert_int_eq(th_tls_engine_feed(to, buf, (size_t)n), n);
}

static void shake_with_raw(th_tls_engine *engine)
{
    int err = -EAGAIN, done = 0;
    for (int i = 0; i < 10 && (err != 0 || done != 1); i++) {
        done = SSL_do_handshake(raw);
        from_raw(engine);
        err = th_tls_engine_handshake(engine);
        to_raw(engine);
    }
    ck_assert_int_eq(err, 0);
    ck_assert_int_eq(done, 1);
}

/* RFC 5246, 7.2.2: the refusal is a warning, and the connection goes on. */
START_TEST(renegotiation_is_refused_and_no_byte_lost)
{
    char buf[8] = "";
    open_engines((th_tls_opts){ .max_version = TH_TLS_1_2 }, (th_tls_opts){ 0 });
    open_raw(TLS_client_method(), false, SSL_OP_LEGACY_SERVER_CONNECT);
    shake_with_raw(server_end);
    ck_assert_int_eq(SSL_write(raw, "abc", 3), 3);
    ck_assert_int_eq(SSL_renegotiate(raw), 1);
    (void)SSL_do_handshake(raw);
    from_raw(server_end);
    hear(server_end, "abc");
    ck_assert_int_eq(th_tls_engine_read(server_end, buf, 1), -EAGAIN);
    ck_assert_uint_gt(th_tls_engine_to_take(server_end), 0);
    to_raw(server_end);
    ck_assert_int_le(SSL_do_handshake(raw), 0);
    ck_assert_int_eq(ERR_GET_REASON(thi_ossl_peek()), SSL_R_NO_RENEGOTIATION);
    thi_ossl_begin();
    close_raw();
}
END_TEST

START_TEST(updates_of_keys_are_answered)
{
    char buf[8] = "";
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_raw(TLS_client_method(), false, 0);
    shake_with_raw(server_end);
    for (int i = 0; i < 50; i++) { /* with data between them they may be many */
        ck_assert_int_eq(SSL_key_update(raw, SSL_KEY_UPDATE_REQUESTED), 1);
        ck_assert_int_eq(SSL_write(raw, "abc", 3), 3);
        from_raw(server_end);
        hear(server_end, "abc");
        ck_assert_int_eq(th_tls_engine_write(server_end, "def", 3), 3);
        to_raw(server_end);
        ck_assert_int_eq(SSL_read(raw, buf, sizeof buf), 3);
    }
    close_raw();
}
END_TEST

START_TEST(a_flood_of_updates_ends_the_connection)
{
    char byte;
    ssize_t n = -EAGAIN;
    int updates = 0;
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_raw(TLS_client_method(), false, 0);
    shake_with_raw(server_end);
    for (; updates < 200 && n == -EAGAIN; updates++) {
        ck_assert_int_eq(SSL_key_update(raw, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        (void)SSL_do_handshake(raw);
        from_raw(server_end);
        n = th_tls_engine_read(server_end, &byte, 1);
    }
    ck_assert_int_eq(n, TH_ELIMIT);
    ck_assert_int_eq(updates, 65);
    ck_assert_detail("without anything");
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_ELIMIT);
    ck_assert_int_eq(th_tls_engine_write(server_end, "x", 1), TH_ELIMIT);
    close_raw();
}
END_TEST

START_TEST(a_flood_in_one_piece_ends_it_too)
{
    char byte;
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_raw(TLS_client_method(), false, 0);
    shake_with_raw(server_end);
    for (int i = 0; i < 70; i++) {
        ck_assert_int_eq(SSL_key_update(raw, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        (void)SSL_do_handshake(raw);
    }
    from_raw(server_end);
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_ELIMIT);
    close_raw();
}
END_TEST

START_TEST(answers_nobody_takes_are_not_made_without_end)
{
    char byte;
    ssize_t n;
    th_tls_engine_opts narrow = { .out_limit = 200 };
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    th_tls_engine_free(server_end);
    new_engine(server_tls, TH_TLS_SERVER, &narrow, &server_end);
    open_raw(TLS_client_method(), false, 0);
    shake_with_raw(server_end);
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(SSL_key_update(raw, SSL_KEY_UPDATE_REQUESTED), 1);
        ck_assert_int_eq(SSL_write(raw, "a", 1), 1);
    }
    from_raw(server_end);
    int read = 0;
    while ((n = th_tls_engine_read(server_end, &byte, 1)) == 1)
        read++;
    ck_assert_int_eq(n, -ENOBUFS);
    ck_assert_int_lt(read, 60);
    ck_assert_uint_lt(th_tls_engine_to_take(server_end), 400);
    drop(server_end);
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), 1); /* and on it goes */
    close_raw();
}
END_TEST

/* A record whose tag is wrong, one that is too long, and one of no known type. */
START_TEST(broken_records_are_failures_that_stay)
{
    static const unsigned char heads[][5] = { { 23, 3, 3, 0, 40 },
                                              { 23, 3, 3, 0xff, 0xff },
                                              { 99, 3, 3, 0, 40 } };
    static char body[40];
    char byte;
    open_shaken(versions[_i % 2]);
    ck_assert_int_eq(th_tls_engine_feed(server_end, heads[_i / 2], 5), 5);
    ck_assert_int_eq(th_tls_engine_feed(server_end, body, sizeof body), sizeof body);
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_ETLS);
    char first[200];
    snprintf(first, sizeof first, "%s", th_err_detail());
    ck_assert_str_ne(first, "");
    ck_assert_int_eq(th_tls_engine_read(server_end, &byte, 1), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), first);
    ck_assert_int_eq(th_tls_engine_write(server_end, &byte, 1), TH_ETLS);
    ck_assert_int_eq(th_tls_engine_shutdown(server_end), TH_ETLS);
    carry(server_end, client_end); /* the alert */
    ck_assert_int_eq(th_tls_engine_read(client_end, &byte, 1), TH_ETLS);
    ck_assert_detail("the peer sent the alert");
    close_engines();
}
END_TEST

START_TEST(bytes_before_a_failure_are_read_first)
{
    static const unsigned char bad[] = { 23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
                                         9,  0, 1, 2, 3,  4, 5, 6, 7, 8, 9, 0 };
    char buf[16] = "";
    open_shaken(versions[_i]);
    say(client_end, server_end, "abc");
    ck_assert_int_eq(th_tls_engine_feed(server_end, bad, sizeof bad), sizeof bad);
    ck_assert_int_eq(th_tls_engine_read(server_end, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_tls_engine_read(server_end, buf, sizeof buf), TH_ETLS);
    ck_assert_str_ne(th_err_detail(), "");
    close_engines();
}
END_TEST

/* What one connection leaves in OpenSSL's queue is no failure of another. */
START_TEST(errors_of_others_are_not_ones_own)
{
    open_shaken(versions[_i]);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET);
    char byte;
    ck_assert_int_eq(th_tls_engine_read(client_end, &byte, 1), -EAGAIN);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET);
    say(client_end, server_end, "abc");
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET);
    hear(server_end, "abc");
    ck_assert_uint_eq(thi_ossl_peek(), 0);
    close_engines();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ends");
    tcase_add_loop_test(tcase, the_end_is_said_by_one_and_then_by_both, 0, 2);
    tcase_add_test(tcase, before_the_handshake_there_is_no_end);
    tcase_add_loop_test(tcase, unread_bytes_come_before_the_end, 0, 2);
    tcase_add_loop_test(tcase, input_that_just_ends_is_a_cut, 0, 2);
    tcase_add_loop_test(tcase, ends_can_be_declared, 0, 2);
    tcase = thi_check_case(suite, "information");
    tcase_add_test(tcase, before_the_handshake_nothing_is_known);
    tcase_add_loop_test(tcase, both_sides_know_the_same, 0, 2);
    tcase_add_loop_test(tcase, chains_are_given_in_der, 0, 2);
    tcase_add_loop_test(tcase, a_server_sees_the_chain_of_its_client, 0, 2);
    tcase = thi_check_case(suite, "bad peers");
    tcase_add_test(tcase, renegotiation_is_refused_and_no_byte_lost);
    tcase_add_test(tcase, updates_of_keys_are_answered);
    tcase_add_test(tcase, a_flood_of_updates_ends_the_connection);
    tcase_add_test(tcase, a_flood_in_one_piece_ends_it_too);
    tcase_add_test(tcase, answers_nobody_takes_are_not_made_without_end);
    tcase_add_loop_test(tcase, broken_records_are_failures_that_stay, 0, 6);
    tcase_add_loop_test(tcase, bytes_before_a_failure_are_read_first, 0, 2);
    tcase_add_loop_test(tcase, errors_of_others_are_not_ones_own, 0, 2);
}

int main(void)
{
    return thi_check_run("tls/engine_end", fill);
}
