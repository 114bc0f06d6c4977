/* SPDX-License-Identifier: MIT */

/* What a server chooses by the client's hello: certificate, context, protocol; and refusals. */
#include "links.h"

#include <thrum/time.h>

static issued ca, first, second, rsa;
static th_tls *client;

static void setup(void)
{
    ca = issue(NULL, (wish){ .cn = "Root", .ca = true });
    first = issue(&ca, (wish){ .cn = "first", .alts = "DNS:first.test,DNS:both.test" });
    second = issue(
        &ca, (wish){ .cn = "second", .alts = "DNS:second.test,DNS:*.second.test,DNS:both.test" });
    rsa = issue(&ca, (wish){ .cn = "rsa", .key = "rsa", .alts = "DNS:first.test,DNS:both.test" });
    client = new_client(&ca, (th_tls_opts){ .insecure_any_name = 1 });
}

static void teardown(void)
{
    drop_issued(&ca);
    drop_issued(&first);
    drop_issued(&second);
    drop_issued(&rsa);
    th_tls_unref(client);
}

static th_tls *new_both(th_tls_opts opts)
{
    th_tls_cert certs[] = { cert_of(&first), cert_of(&second) };
    opts.certs = certs;
    opts.certs_count = 2;
    return new_tls(opts);
}

static void shake_named(pair *p, th_tls *server, const thi_tls_link_opts *server_opts,
                        const char *name)
{
    thi_tls_link_opts opts = { .name = name };
    open_pair(p, server, server_opts, client, &opts);
    shake(p);
}

static const char *shown(pair *p)
{
    static char title[64];
    X509 *cert = SSL_get0_peer_certificate(p->client.link.ssl);
    if (!cert)
        return "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, title, sizeof title);
    return title;
}

/* ---- names ---- */

static const struct {
    const char *name, *shown;
} choices[] = {
    { "first.test", "first" },      { "FIRST.test", "first" },
    { "second.test", "second" },    { "a.second.test", "second" },
    { "b.A.second.test", "first" }, /* one label only */
    { "both.test", "first" },       { "unknown.test", "first" },
    { "127.0.0.1", "first" },       { NULL, "first" },
};

START_TEST(a_name_finds_its_certificate_and_others_the_first)
{
    pair p;
    th_tls *server = new_both((th_tls_opts){ 0 });
    shake_named(&p, server, NULL, choices[_i].name);
    EXPECT_DONE(&p);
    ck_assert_str_eq(shown(&p), choices[_i].shown);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(the_server_knows_the_name_and_acknowledges_it)
{
    pair p;
    th_tls *server = new_both((th_tls_opts){ 0 });
    shake_named(&p, server, NULL, "a.second.test");
    ck_assert_str_eq(p.server.link.name, "a.second.test");
    ck_assert_str_eq(SSL_get_servername(p.server.link.ssl, TLSEXT_NAMETYPE_host_name),
                     "a.second.test");
    close_pair(&p);
    shake_named(&p, server, NULL, "127.0.0.1"); /* addresses are verified, not told */
    ck_assert_ptr_null(p.server.link.name);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

static const struct {
    int unknown;
    const char *name;
    bool refused;
} refusals[] = {
    { TH_TLS_UNKNOWN_REFUSE, "unknown.test", true },
    { TH_TLS_UNKNOWN_REFUSE, "first.test", false },
    { TH_TLS_UNKNOWN_REFUSE, NULL, false },
    { TH_TLS_UNKNOWN_REFUSE_NAMELESS, NULL, true },
    { TH_TLS_UNKNOWN_REFUSE_NAMELESS, "unknown.test", true },
    { TH_TLS_UNKNOWN_REFUSE_NAMELESS, "second.test", false },
};

START_TEST(unknown_names_are_refused_where_that_is_asked_for)
{
    pair p;
    th_tls *server = new_both((th_tls_opts){ .unknown_name = refusals[_i].unknown });
    shake_named(&p, server, NULL, refusals[_i].name);
    if (refusals[_i].refused) {
        ck_assert_int_eq(p.server.result, TH_ETLS);
        EXPECT_WORDS(&p.server, "name");
        EXPECT_WORDS(&p.client, "the peer sent the alert 'unrecognized name'");
    } else {
        EXPECT_DONE(&p);
    }
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(names_given_by_options_count_instead_of_those_inside)
{
    pair p;
    const char *const names[] = { "other.test", NULL };
    const char *const bad[] = { "not a name", NULL };
    th_tls_cert certs[] = { cert_of(&first), cert_of(&second) };
    certs[1].names = names;
    th_tls *server = new_tls((th_tls_opts){ .certs = certs, .certs_count = 2 });
    shake_named(&p, server, NULL, "other.test");
    ck_assert_str_eq(shown(&p), "second");
    close_pair(&p);
    shake_named(&p, server, NULL, "second.test");
    ck_assert_str_eq(shown(&p), "first");
    close_pair(&p);
    th_tls_unref(server);
    certs[1].names = bad;
    EXPECT_REFUSED(TH_ECONFIG, "'not a name'", { .certs = certs, .certs_count = 2 });
}
END_TEST

/* RSA and ECDSA for the same names: what the client can use is shown. */
START_TEST(a_pair_of_keys_shares_its_names)
{
    pair p;
    th_tls_cert certs[] = { cert_of(&first), cert_of(&rsa), cert_of(&second) };
    th_tls *server = new_tls((th_tls_opts){ .certs = certs, .certs_count = 3 });
    th_tls *old = new_client(&ca, (th_tls_opts){ .max_version = TH_TLS_1_2,
                                                 .ciphers = "ECDHE-RSA-AES128-GCM-SHA256",
                                                 .insecure_any_name = 1 });
    shake_named(&p, server, NULL, "first.test");
    ck_assert_str_eq(shown(&p), "first");
    close_pair(&p);
    try_pair(&p, server, old, "first.test");
    EXPECT_DONE(&p);
    ck_assert_str_eq(shown(&p), "rsa");
    close_pair(&p);
    th_tls_unref(old);
    th_tls_unref(server);
}
END_TEST

/* ---- the callback ---- */

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

typedef struct chooser {
    th_tls *other;
    int answer, calls;
    const char *name;
    void *user;
} chooser;

static int choose(const char *name, th_tls **other, void *user, void *arg)
{
    chooser *c = arg;
    c->calls++;
    c->name = name ? keep(name, strlen(name)) : NULL;
    c->user = user;
    if (c->other)
        *other = c->other;
    if (c->answer < 0)
        (void)thi_err_set(c->answer, "my own words");
    return c->answer;
}

START_TEST(the_callback_gets_the_name_or_none)
{
    pair p;
    chooser c = { 0 };
    th_tls *server = new_both((th_tls_opts){ .choose = choose, .arg = &c });
    thi_tls_link_opts opts = { .user = &p };
    shake_named(&p, server, &opts, "second.test");
    EXPECT_DONE(&p);
    ck_assert_str_eq(c.name, "second.test");
    ck_assert_ptr_eq(c.user, &p);
    ck_assert_str_eq(shown(&p), "second"); /* it has chosen nothing */
    close_pair(&p);
    shake_named(&p, server, NULL, NULL);
    ck_assert_ptr_null(c.name);
    ck_assert_int_eq(c.calls, 2);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

/* A hello that is asked for again, because of the group, is one hello to the callback. */
START_TEST(the_callback_is_asked_once_also_with_a_second_hello)
{
    pair p;
    chooser c = { 0 };
    th_tls *server = new_both((th_tls_opts){ .choose = choose, .arg = &c, .groups = "P-384" });
    shake_named(&p, server, NULL, "second.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(c.calls, 1);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(the_chosen_context_is_kept_alive_and_used_with_all_its_settings)
{
    pair p;
    const char *const protocols[] = { "inner", NULL };
    chooser c = { .other = new_server(&second, (th_tls_opts){ .max_version = TH_TLS_1_2,
                                                              .groups = "P-384",
                                                              .alpn = protocols }) };
    th_tls *server = new_server(&first, (th_tls_opts){ .choose = choose, .arg = &c });
    thi_tls_link_opts opts = { .name = "x.test", .alpn = protocols };
    const unsigned char *protocol;
    unsigned len;
    open_pair(&p, server, NULL, client, &opts);
    step(&p.client);
    step(&p.server);
    th_tls_unref(c.other);
    shake(&p);
    EXPECT_DONE(&p);
    ck_assert_str_eq(shown(&p), "second");
    ck_assert_str_eq(SSL_get_version(p.client.link.ssl), "TLSv1.2");
    ck_assert_int_eq(SSL_get_negotiated_group(p.client.link.ssl), NID_secp384r1);
    SSL_get0_alpn_selected(p.client.link.ssl, &protocol, &len);
    ck_assert_uint_eq(len, 5);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

/* OpenSSL would take it from the context that the connection began with. */
START_TEST(sessions_live_as_long_as_the_chosen_context_says)
{
    pair p;
    char buf[8];
    th_tls_opts there = { .session_time = 5000 * TH_SECOND, .max_version = versions[_i] };
    chooser c = { .other = new_server(&second, there) };
    th_tls *server = new_server(
        &first, (th_tls_opts){ .choose = choose, .arg = &c, .session_time = 100 * TH_SECOND });
    shake_named(&p, server, NULL, "x.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(read_side(&p.client, buf, sizeof buf), 0); /* the tickets */
    const SSL_SESSION *session = SSL_get_session(p.client.link.ssl);
    ck_assert_int_eq(SSL_SESSION_has_ticket(session), 1);
    ck_assert_uint_eq(SSL_SESSION_get_ticket_lifetime_hint(session), 5000);
    close_pair(&p);
    th_tls_unref(c.other);
    th_tls_unref(server);
}
END_TEST

/* By way of an open context nobody gets into one that demands certificates. */
START_TEST(the_chosen_contexts_demands_on_clients_hold)
{
    pair p;
    chooser c = { .other = new_server(
                      &second, (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED,
                                              .trust.memory = th_str_of(PEM_OF(ca.cert)) }) };
    th_tls *server = new_server(&first, (th_tls_opts){ .choose = choose, .arg = &c });
    shake_named(&p, server, NULL, "x.test");
    EXPECT_WORDS(&p.server, "peer did not return a certificate");
    close_pair(&p);
    th_tls_unref(c.other);
    th_tls_unref(server);
}
END_TEST

/* The same by a session of the open context, offered to the one that demands. */
START_TEST(sessions_of_one_context_do_not_open_another)
{
    pair p;
    chooser c = { 0 };
    char buf[8];
    th_tls *server = new_server(&first, (th_tls_opts){ .choose = choose, .arg = &c });
    th_tls *strict =
        new_server(&second, (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED,
                                           .trust.memory = th_str_of(PEM_OF(ca.cert)) });
    thi_tls_link_opts opts = { .name = "x.test" };
    shake_named(&p, server, NULL, "x.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(read_side(&p.client, buf, sizeof buf), 0); /* the tickets */
    SSL_SESSION *session = SSL_get1_session(p.client.link.ssl);
    /* Else OpenSSL takes the connection for broken, and its session with it. */
    SSL_set_shutdown(p.client.link.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    close_pair(&p);
    SSL_SESSION *again = SSL_SESSION_dup(session); /* one of 1.3 is good for one connection */
    ck_assert_int_eq(SSL_SESSION_is_resumable(session), 1);
    open_pair(&p, server, NULL, client, &opts);
    ck_assert_int_eq(SSL_set_session(p.client.link.ssl, session), 1);
    shake(&p);
    EXPECT_DONE(&p);
    ck_assert_int_eq(SSL_session_reused(p.server.link.ssl), 1); /* that it can be resumed at all */
    close_pair(&p);
    ck_assert_int_eq(SSL_SESSION_is_resumable(again), 1);
    c.other = strict;
    open_pair(&p, server, NULL, client, &opts);
    ck_assert_int_eq(SSL_set_session(p.client.link.ssl, again), 1);
    shake(&p);
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "peer did not return a certificate");
    close_pair(&p);
    SSL_SESSION_free(session);
    SSL_SESSION_free(again);
    th_tls_unref(server);
    th_tls_unref(strict);
}
END_TEST

/* Who sets the id says that the contexts are of one kind; it is exact. */
static const struct {
    const char *before, *after;
    int resumed;
} ids[] = { { NULL, NULL, 1 }, { "a", "a", 1 }, { "a", "b", 0 }, { "a", NULL, 0 } };

START_TEST(sessions_outlast_a_replacement_where_the_id_is_the_same)
{
    pair p;
    char buf[8];
    th_tls *server = new_server(&first, (th_tls_opts){ .session_id = ids[_i].before });
    th_tls *newer = new_server(&second, (th_tls_opts){ .session_id = ids[_i].after });
    for (int i = 0; i < 2; i++) {
        shake_named(&p, server, NULL, "both.test");
        EXPECT_DONE(&p);
        ck_assert_int_eq(read_side(&p.client, buf, sizeof buf), 0); /* the tickets */
        ck_assert_int_eq(SSL_session_reused(p.client.link.ssl), i == 0 ? 0 : ids[_i].resumed);
        close_pair(&p);
        ck_assert_int_eq(th_tls_replace(server, newer), 0);
    }
    th_tls_unref(server);
    th_tls_unref(newer);
}
END_TEST

/* What one callback has let in another has not seen; with an id one says that they are alike. */
static int let_in(const th_tls_verify *seen, void *user, void *arg)
{
    (void)user;
    (void)arg;
    return seen->error == 0;
}

static th_tls *new_asking(th_tls_opts opts, void *arg)
{
    opts.client_auth = TH_TLS_CLIENT_AUTH_REQUIRED;
    opts.trust.memory = th_str_of(PEM_OF(ca.cert));
    opts.verify = let_in;
    opts.arg = arg;
    return new_server(&first, opts);
}

static const struct {
    const char *id;
    int other; /* the callback's argument changes */
    int resumed;
} letters[] = { { NULL, 0, 1 }, { NULL, 1, 0 }, { "x", 1, 1 } };

START_TEST(sessions_belong_to_the_callback_that_has_seen_the_client)
{
    pair p;
    char buf[8];
    int args[2];
    th_tls_opts opts = { .session_id = letters[_i].id };
    th_tls_cert cert = cert_of(&second);
    th_tls *known = new_client(&ca, (th_tls_opts){ .certs = &cert, .certs_count = 1 });
    th_tls *server = new_asking(opts, &args[0]);
    th_tls *newer = new_asking(opts, &args[letters[_i].other]);
    for (int i = 0; i < 2; i++) {
        thi_tls_link_opts named = { .name = "both.test" };
        open_pair(&p, server, NULL, known, &named);
        shake(&p);
        EXPECT_DONE(&p);
        ck_assert_int_eq(read_side(&p.client, buf, sizeof buf), 0); /* the tickets */
        ck_assert_int_eq(SSL_session_reused(p.server.link.ssl), i == 0 ? 0 : letters[_i].resumed);
        close_pair(&p);
        ck_assert_int_eq(th_tls_replace(server, newer), 0);
    }
    th_tls_unref(known);
    th_tls_unref(server);
    th_tls_unref(newer);
}
END_TEST

START_TEST(the_callback_may_refuse_with_an_alert_or_fail)
{
    pair p;
    chooser c = { .answer = TH_TLS_ALERT(49) };
    th_tls *server = new_both((th_tls_opts){ .choose = choose, .arg = &c });
    shake_named(&p, server, NULL, "x.test");
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "the name 'x.test' was refused with the alert 'access denied'");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'access denied'");
    close_pair(&p);
    c.answer = -EDQUOT;
    shake_named(&p, server, NULL, "x.test");
    ck_assert_int_eq(p.server.result, -EDQUOT);
    EXPECT_WORDS(&p.server, "my own words");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'handshake failure'");
    close_pair(&p);
    c = (chooser){ .other = client }; /* it has no certificate */
    shake_named(&p, server, NULL, "x.test");
    ck_assert_int_eq(p.server.result, -EINVAL);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(a_context_without_certificates_serves_if_others_are_chosen)
{
    pair p;
    chooser c = { .other = new_server(&second, (th_tls_opts){ 0 }) };
    th_tls *server = new_tls((th_tls_opts){ .choose = choose, .arg = &c });
    shake_named(&p, server, NULL, "x.test");
    EXPECT_DONE(&p);
    close_pair(&p);
    th_tls_unref(c.other);
    c.other = NULL;
    shake_named(&p, server, NULL, "x.test");
    ck_assert_int_eq(p.server.result, TH_ETLS);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

/* ---- protocols ---- */

static const char *protocol_of(const SSL *ssl)
{
    static char text[2][260];
    static int at;
    const unsigned char *protocol;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &protocol, &len);
    char *out = text[at++ % 2];
    if (len > 0)
        memcpy(out, protocol, len);
    out[len] = '\0';
    return out;
}

static void shake_alpn(pair *p, th_tls *server, const char *const *offered)
{
    thi_tls_link_opts opts = { .name = "x.test", .alpn = offered };
    open_pair(p, server, NULL, client, &opts);
    shake(p);
}

static const char *const h2_h1[] = { "h2", "http/1.1", NULL };
static const char *const h1_h2[] = { "http/1.1", "h2", NULL };
static const char *const smtp[] = { "smtp", NULL };

START_TEST(the_servers_best_that_is_offered_is_taken)
{
    pair p;
    th_tls *server = new_server(&first, (th_tls_opts){ .alpn = h2_h1 });
    shake_alpn(&p, server, h1_h2);
    EXPECT_DONE(&p);
    ck_assert_str_eq(protocol_of(p.client.link.ssl), "h2");
    ck_assert_str_eq(protocol_of(p.server.link.ssl), "h2");
    close_pair(&p);
    shake_alpn(&p, server, NULL); /* the client does not speak of it */
    EXPECT_DONE(&p);
    ck_assert_str_eq(protocol_of(p.client.link.ssl), "");
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(without_one_in_common_the_server_refuses_or_goes_on)
{
    pair p;
    th_tls *strict = new_server(&first, (th_tls_opts){ .alpn = h2_h1 });
    th_tls *easy =
        new_server(&first, (th_tls_opts){ .alpn = h2_h1, .alpn_unknown = TH_TLS_ALPN_GO_ON });
    th_tls *without = new_server(&first, (th_tls_opts){ 0 });
    shake_alpn(&p, strict, smtp);
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "no protocol that is spoken here");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'no application protocol'");
    close_pair(&p);
    shake_alpn(&p, easy, smtp);
    EXPECT_DONE(&p);
    ck_assert_str_eq(protocol_of(p.client.link.ssl), "");
    close_pair(&p);
    shake_alpn(&p, without, smtp);
    EXPECT_DONE(&p);
    ck_assert_str_eq(protocol_of(p.server.link.ssl), "");
    close_pair(&p);
    th_tls_unref(strict);
    th_tls_unref(easy);
    th_tls_unref(without);
}
END_TEST

static int alpn_answer;
static char alpn_seen[64];

static int choose_protocol(const th_str *offered, size_t count, void *user, void *arg)
{
    (void)user;
    (void)arg;
    alpn_seen[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strncat(alpn_seen, offered[i].ptr, offered[i].len);
        strcat(alpn_seen, " ");
    }
    if (alpn_answer < -1)
        (void)thi_err_set(alpn_answer, "my own words");
    return alpn_answer;
}

START_TEST(the_callback_sees_the_offer_in_order_and_chooses)
{
    pair p;
    th_tls *server = new_server(&first, (th_tls_opts){ .alpn_choose = choose_protocol });
    alpn_answer = 1;
    shake_alpn(&p, server, h2_h1);
    EXPECT_DONE(&p);
    ck_assert_str_eq(alpn_seen, "h2 http/1.1 ");
    ck_assert_str_eq(protocol_of(p.client.link.ssl), "http/1.1");
    close_pair(&p);
    alpn_answer = TH_TLS_ALPN_NONE;
    shake_alpn(&p, server, h2_h1);
    EXPECT_DONE(&p);
    ck_assert_str_eq(protocol_of(p.client.link.ssl), "");
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

static const struct {
    int answer, code;
    const char *words;
} alpn_failures[] = {
    { 2, -EINVAL, "was not offered" },
    { -EDQUOT, -EDQUOT, "my own words" },
    { TH_TLS_ALERT(120), TH_ETLS, "refused" },
};

START_TEST(a_choice_that_was_not_offered_and_failures_end_the_handshake)
{
    pair p;
    th_tls *server = new_server(&first, (th_tls_opts){ .alpn_choose = choose_protocol });
    alpn_answer = alpn_failures[_i].answer;
    shake_alpn(&p, server, h2_h1);
    ck_assert_int_eq(p.server.result, alpn_failures[_i].code);
    EXPECT_WORDS(&p.server, alpn_failures[_i].words);
    EXPECT_WORDS(&p.client, "the peer sent the alert 'no application protocol'");
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

START_TEST(a_list_of_one_connection_overrides_the_contexts)
{
    pair p;
    th_tls *server = new_server(&first, (th_tls_opts){ .alpn = h2_h1 });
    th_tls *with = new_client(&ca, (th_tls_opts){ .alpn = smtp, .insecure_any_name = 1 });
    thi_tls_link_opts opts = { .name = "x.test", .alpn = h2_h1 };
    open_pair(&p, server, NULL, with, &opts);
    shake(&p);
    EXPECT_DONE(&p);
    close_pair(&p);
    opts.alpn = NULL;
    open_pair(&p, server, NULL, with, &opts);
    shake(&p);
    ck_assert_int_eq(p.server.result, TH_ETLS);
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(with);
}
END_TEST

START_TEST(lists_that_are_empty_or_have_bad_names_are_misuse)
{
    static char long_name[257];
    memset(long_name, 'x', 256);
    const char *const none[] = { NULL };
    const char *const empty[] = { "h2", "", NULL };
    const char *const too_long[] = { long_name, NULL };
    const char *const just[] = { long_name + 1, NULL };
    EXPECT_REFUSED(-EINVAL, "1 to 255 bytes", { .alpn = none });
    EXPECT_REFUSED(-EINVAL, "1 to 255 bytes", { .alpn = empty });
    EXPECT_REFUSED(-EINVAL, "1 to 255 bytes", { .alpn = too_long });
    th_tls_unref(new_tls((th_tls_opts){ .alpn = just }));
}
END_TEST

/* ---- what is told ---- */

static char told[4096];

static void note_info(int what, int number, const char *text, void *user, void *arg)
{
    char line[128];
    ck_assert_str_eq(arg, "arg");
    if (what == TH_TLS_INFO_STEP)
        return;
    snprintf(line, sizeof line, "%s:%d:%d:%s\n", user ? (char *)user : "", what, number, text);
    strcat(told, line);
}

START_TEST(start_and_end_of_handshakes_and_alerts_are_told_per_connection)
{
    pair p;
    char buf[8];
    char server_name[] = "server";
    thi_tls_link_opts opts = { .user = server_name };
    th_tls *server = new_server(
        &first,
        (th_tls_opts){ .info = note_info, .alpn = h2_h1, .arg = (void *)(uintptr_t) "arg" });
    shake_named(&p, server, &opts, "x.test");
    (void)read_side(&p.client, buf, sizeof buf);
    ck_assert_str_eq(told, "server:1:0:\nserver:2:0:\n");
    close_pair(&p);
    told[0] = '\0';
    thi_tls_link_opts wrong = { .name = "x.test", .alpn = smtp };
    open_pair(&p, server, NULL, client, &wrong);
    shake(&p);
    ck_assert_str_eq(told, ":1:0:\n:4:120:no application protocol\n");
    ck_assert_int_eq(p.server.link.alert_sent, 120);
    ck_assert_int_eq(p.client.link.alert_received, 120);
    close_pair(&p);
    th_tls_unref(server);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "choices");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_name_finds_its_certificate_and_others_the_first, 0,
                        (int)(sizeof choices / sizeof choices[0]));
    tcase_add_test(tcase, the_server_knows_the_name_and_acknowledges_it);
    tcase_add_loop_test(tcase, unknown_names_are_refused_where_that_is_asked_for, 0,
                        (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(tcase, names_given_by_options_count_instead_of_those_inside);
    tcase_add_test(tcase, a_pair_of_keys_shares_its_names);
    tcase_add_test(tcase, the_callback_gets_the_name_or_none);
    tcase_add_test(tcase, the_callback_is_asked_once_also_with_a_second_hello);
    tcase_add_test(tcase, the_chosen_context_is_kept_alive_and_used_with_all_its_settings);
    tcase_add_loop_test(tcase, sessions_live_as_long_as_the_chosen_context_says, 0, 2);
    tcase_add_test(tcase, the_chosen_contexts_demands_on_clients_hold);
    tcase_add_test(tcase, sessions_of_one_context_do_not_open_another);
    tcase_add_loop_test(tcase, sessions_outlast_a_replacement_where_the_id_is_the_same, 0,
                        (int)(sizeof ids / sizeof ids[0]));
    tcase_add_loop_test(tcase, sessions_belong_to_the_callback_that_has_seen_the_client, 0,
                        (int)(sizeof letters / sizeof letters[0]));
    tcase_add_test(tcase, the_callback_may_refuse_with_an_alert_or_fail);
    tcase_add_test(tcase, a_context_without_certificates_serves_if_others_are_chosen);
    tcase_add_test(tcase, the_servers_best_that_is_offered_is_taken);
    tcase_add_test(tcase, without_one_in_common_the_server_refuses_or_goes_on);
    tcase_add_test(tcase, the_callback_sees_the_offer_in_order_and_chooses);
    tcase_add_loop_test(tcase, a_choice_that_was_not_offered_and_failures_end_the_handshake, 0, 3);
    tcase_add_test(tcase, a_list_of_one_connection_overrides_the_contexts);
    tcase_add_test(tcase, lists_that_are_empty_or_have_bad_names_are_misuse);
    tcase_add_test(tcase, start_and_end_of_handshakes_and_alerts_are_told_per_connection);
}

int main(void)
{
    return thi_check_run("tls/hello", fill);
}
