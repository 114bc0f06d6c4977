/* SPDX-License-Identifier: MIT */

/* The verdict on a peer's chain, and its words: names, dates, trust, pins, lists, callbacks. */
#include "links.h"

#include "base/alloc.h"
#include "tls/verify_words.h"

static issued ca, stranger, leaf;
static th_tls *server;

static void setup(void)
{
    ca = issue(NULL, (wish){ .cn = "Good Root", .ca = true });
    stranger = issue(NULL, (wish){ .cn = "Strange Root", .ca = true });
    leaf = issue(&ca, (wish){ .cn = "leaf",
                              .alts = "DNS:db.test,DNS:*.wild.test,IP:127.0.0.1,"
                                      "IP:0:0:0:0:0:0:0:1" });
}

static void teardown(void)
{
    drop_issued(&ca);
    drop_issued(&stranger);
    drop_issued(&leaf);
}

/* In the process of the test: who reads a key may start threads, which no fork takes along. */
static void start(void)
{
    server = new_server(&leaf, (th_tls_opts){ 0 });
}

static void end(void)
{
    th_tls_unref(server);
}

/* What a client of `opts`, which trusts the authority, says to a server that has the certificate.
 */
static void meet(pair *p, const issued *by, wish w, th_tls_opts opts, const char *name)
{
    issued made = issue(by, w);
    th_tls *with = new_server(&made, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, opts);
    try_pair(p, with, client, name);
    close_pair(p);
    th_tls_unref(with);
    th_tls_unref(client);
    drop_issued(&made);
}

/* The same with the common server. */
static void ask_for(pair *p, th_tls_opts opts, const char *name)
{
    th_tls *client = new_client(&ca, opts);
    try_pair(p, server, client, name);
    close_pair(p);
    th_tls_unref(client);
}

#define EXPECT_VERDICT(p, text)                                                                    \
    do {                                                                                           \
        ck_assert_int_eq((p)->client.result, TH_ETLS);                                             \
        EXPECT_WORDS(&(p)->client, text);                                                          \
    } while (0)

/* ---- words ---- */

START_TEST(an_expired_certificate_is_told_with_name_date_and_chain)
{
    pair p;
    char date[32];
    time_t then = time(NULL) - 3600;
    strftime(date, sizeof date, "db.test expired on %Y-%m-%d", gmtime(&then));
    meet(&p, &ca, (wish){ .cn = "db.test", .alts = "DNS:db.test", .from = -7200, .to = -3600 },
         (th_tls_opts){ 0 }, "db.test");
    EXPECT_VERDICT(&p, date);
    EXPECT_WORDS(&p.client, "handshake: certificate of db.test");
    EXPECT_WORDS(&p.client, "; chain: db.test <- Good Root");
    EXPECT_WORDS(&p.server, "the peer sent the alert 'certificate expired'");
}
END_TEST

START_TEST(a_certificate_of_tomorrow_is_not_valid_today)
{
    pair p;
    meet(&p, &ca, (wish){ .cn = "db.test", .alts = "DNS:db.test", .from = 86400, .to = 172800 },
         (th_tls_opts){ 0 }, "db.test");
    EXPECT_VERDICT(&p, "certificate of db.test is not valid before 2");
}
END_TEST

START_TEST(an_unknown_authority_is_told_by_name)
{
    pair p;
    meet(&p, &stranger, (wish){ .cn = "db.test", .alts = "DNS:db.test" }, (th_tls_opts){ 0 },
         "db.test");
    EXPECT_VERDICT(&p, "unable to get local issuer certificate: its issuer is Strange Root");
    EXPECT_WORDS(&p.server, "the peer sent the alert 'unknown ca'");
}
END_TEST

START_TEST(self_signed_certificates_are_told_as_such)
{
    pair p;
    meet(&p, NULL, (wish){ .cn = "db.test", .alts = "DNS:db.test" }, (th_tls_opts){ 0 }, "db.test");
    EXPECT_VERDICT(&p, "signed by itself");
}
END_TEST

START_TEST(a_certificate_for_something_else_is_told)
{
    pair p;
    meet(&p, &ca, (wish){ .cn = "db.test", .alts = "DNS:db.test", .usage = "clientAuth" },
         (th_tls_opts){ 0 }, "db.test");
    EXPECT_VERDICT(&p, "certificate of db.test: un");
}
END_TEST

/* What a peer writes is shown to people, in terminals. */
START_TEST(strange_bytes_in_names_are_not_passed_on)
{
    pair p;
    meet(&p, &stranger, (wish){ .cn = "a\x1b[31m\xc3\xa4", .alts = "DNS:db.test" },
         (th_tls_opts){ 0 }, "db.test");
    EXPECT_VERDICT(&p, "certificate of a?[31m?");
    ck_assert_ptr_null(strchr(p.client.words, '\x1b'));
}
END_TEST

START_TEST(words_that_do_not_fit_are_cut)
{
    char text[24];
    thi_tls_blame blame = { .error = X509_V_ERR_CERT_HAS_EXPIRED, .cert = leaf.cert };
    thi_tls_verify_words(&blame, text, sizeof text);
    ck_assert_str_eq(text, "certificate of leaf exp");
}
END_TEST

START_TEST(a_certificate_without_a_subject_is_called_by_its_names)
{
    char text[64];
    issued no_cn = issue(&ca, (wish){ .alts = "DNS:only.test" });
    issued none = issue(&ca, (wish){ 0 });
    ck_assert_str_eq(thi_tls_cert_title(no_cn.cert, text, sizeof text), "only.test");
    ck_assert_str_eq(thi_tls_cert_title(none.cert, text, sizeof text), "(no name)");
    ck_assert_str_eq(thi_tls_cert_title(NULL, text, sizeof text), "(no name)");
    drop_issued(&no_cn);
    drop_issued(&none);
}
END_TEST

/* ---- names ---- */

static const struct {
    const char *name;
    bool good;
} names[] = {
    { "db.test", true },     { "DB.Test", true },     { "db.test.", true },
    { "a.wild.test", true }, { "127.0.0.1", true },   { "::1", true },
    { "::1%lo", true },      { "other.test", false }, { "a.b.wild.test", false },
    { "wild.test", false },  { "127.0.0.2", false },  { "::2", false },
    { "leaf", false }, /* the common name does not count where there are alternative ones */
};

START_TEST(names_match_exactly_or_by_one_label_and_addresses_as_addresses)
{
    pair p;
    ask_for(&p, (th_tls_opts){ 0 }, names[_i].name);
    ck_assert_msg((p.client.result == 0) == names[_i].good, "%s: %s", names[_i].name,
                  p.client.words);
    if (!names[_i].good)
        EXPECT_WORDS(&p.client, "certificate is for db.test, *.wild.test, 127.0.0.1");
}
END_TEST

static const struct {
    const char *in_cert, *name;
} mismatches[] = {
    { "DNS:d*.wild.test", "db.wild.test" }, /* part of a label */
    { "DNS:*.test", "db.test" },            /* a bare suffix */
    { "DNS:*", "test" },                    /* everything */
    { "DNS:xn--*.wild.test", "xn--a.wild.test" },
    { "DNS:127.0.0.1", "127.0.0.1" }, /* an address as a name */
    { "DNS:db.test\\0.evil.test", "db.test" },
    { "URI:https://db.test/", "db.test" },
};

START_TEST(wildcards_are_whole_labels_and_kinds_are_not_mixed)
{
    pair p;
    meet(&p, &ca, (wish){ .cn = "nobody", .alts = mismatches[_i].in_cert }, (th_tls_opts){ 0 },
         mismatches[_i].name);
    ck_assert_msg(p.client.result == TH_ETLS, "%s matched %s", mismatches[_i].in_cert,
                  mismatches[_i].name);
}
END_TEST

/* The extension is written by hand: a configuration ends at a NUL. */
START_TEST(a_name_with_a_nul_inside_does_not_match_what_is_before_it)
{
    pair p;
    issued evil = { X509_new(), mint_key(NULL) };
    GENERAL_NAMES *alts = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *alt = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, "db.test\0.evil.test", 18);
    GENERAL_NAME_set0_value(alt, GEN_DNS, text);
    sk_GENERAL_NAME_push(alts, alt);
    X509_set_version(evil.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(evil.cert), 9);
    X509_gmtime_adj(X509_getm_notBefore(evil.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(evil.cert), 3600);
    X509_set_pubkey(evil.cert, evil.key);
    X509_set_issuer_name(evil.cert, X509_get_subject_name(ca.cert));
    ck_assert_int_eq(X509_add1_ext_i2d(evil.cert, NID_subject_alt_name, alts, 1, 0), 1);
    ck_assert_int_gt(X509_sign(evil.cert, ca.key, EVP_sha256()), 0);
    th_tls *with = new_server(&evil, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, with, client, "db.test");
    EXPECT_VERDICT(&p, "certificate is for db.test?.evil.test, not for db.test");
    close_pair(&p);
    GENERAL_NAMES_free(alts);
    th_tls_unref(with);
    th_tls_unref(client);
    drop_issued(&evil);
}
END_TEST

START_TEST(the_common_name_counts_where_there_is_nothing_else)
{
    pair p;
    meet(&p, &ca, (wish){ .cn = "db.test" }, (th_tls_opts){ 0 }, "db.test");
    EXPECT_DONE(&p);
    meet(&p, &ca, (wish){ .cn = "db.test" }, (th_tls_opts){ 0 }, "other.test");
    EXPECT_VERDICT(&p, "certificate is for db.test, not for other.test");
}
END_TEST

START_TEST(a_client_without_a_name_to_verify_is_misuse)
{
    thi_tls_link link;
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    thi_tls_config *config = thi_tls_config_of(client);
    const char *const bad[] = { "", ".", "a..b", "a b", "a/b", "\xc3\xa4.test", "[::1]", "a:1" };
    ck_assert_int_eq(thi_tls_link_open(&link, config, false, &(thi_tls_link_opts){ 0 }), -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        thi_tls_link_opts opts = { .name = bad[i] };
        ck_assert_int_eq(thi_tls_link_open(&link, config, false, &opts), -EINVAL);
        opts = (thi_tls_link_opts){ .name = "good.test", .sent_name = bad[i] };
        int err = thi_tls_link_open(&link, config, false, &opts);
        ck_assert_int_eq(err, bad[i][0] ? -EINVAL : 0); /* "" sends none */
        if (err == 0)
            thi_tls_link_close(&link);
    }
    thi_tls_config_unref(config);
    th_tls_unref(client);
}
END_TEST

/* ---- insecure, by name ---- */

START_TEST(without_verification_anybody_is_believed_and_the_verdict_is_kept)
{
    pair p;
    th_tls *client = new_tls((th_tls_opts){ .insecure_no_verification = 1 });
    try_pair(&p, server, client, NULL);
    EXPECT_DONE(&p);
    ck_assert_int_ne(SSL_get_verify_result(p.client.link.ssl), X509_V_OK);
    ck_assert_ptr_nonnull(strstr(p.client.link.detail, "its issuer is Good Root"));
    close_pair(&p);
    th_tls_unref(client);
}
END_TEST

START_TEST(any_name_still_wants_a_good_chain)
{
    pair p;
    meet(&p, &ca, (wish){ .cn = "whoever" }, (th_tls_opts){ .insecure_any_name = 1 }, "db.test");
    EXPECT_DONE(&p);
    meet(&p, &ca, (wish){ .cn = "whoever" }, (th_tls_opts){ .insecure_any_name = 1 }, NULL);
    EXPECT_DONE(&p);
    meet(&p, &stranger, (wish){ .cn = "db.test" }, (th_tls_opts){ .insecure_any_name = 1 },
         "db.test");
    EXPECT_VERDICT(&p, "issuer");
}
END_TEST

START_TEST(a_connection_may_differ_from_its_context)
{
    pair p;
    th_tls *strict = new_tls((th_tls_opts){ 0 });
    th_tls *open = new_tls((th_tls_opts){ .insecure_no_verification = 1 });
    thi_tls_link_opts none = { .verify = TH_TLS_VERIFY_NONE_INSECURE };
    thi_tls_link_opts full = { .name = "db.test", .verify = TH_TLS_VERIFY_REQUIRED };
    open_pair(&p, server, NULL, strict, &none);
    shake(&p);
    EXPECT_DONE(&p);
    close_pair(&p);
    open_pair(&p, server, NULL, open, &full);
    shake(&p);
    EXPECT_VERDICT(&p, "issuer");
    close_pair(&p);
    try_pair(&p, server, open, NULL); /* the contexts are as they were */
    EXPECT_DONE(&p);
    close_pair(&p);
    th_tls_unref(strict);
    th_tls_unref(open);
}
END_TEST

/* ---- pins ---- */

static char *pin_of(const issued *made)
{
    unsigned char hash[32];
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(made->cert), &der);
    static char text[4][80];
    static int at;
    char *pin = text[at++ % 4];
    ck_assert_int_eq(EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    strcpy(pin, "sha256/");
    EVP_EncodeBlock((unsigned char *)pin + 7, hash, 32);
    return pin;
}

START_TEST(a_pin_wants_a_key_of_the_verified_chain)
{
    pair p;
    const char *const of_leaf[] = { pin_of(&leaf), NULL };
    const char *const of_root[] = { pin_of(&stranger), pin_of(&ca), NULL };
    const char *const of_other[] = { pin_of(&stranger), NULL };
    ask_for(&p, (th_tls_opts){ .trust.pins = of_leaf }, "db.test");
    EXPECT_DONE(&p);
    ask_for(&p, (th_tls_opts){ .trust.pins = of_root }, "db.test");
    EXPECT_DONE(&p);
    ask_for(&p, (th_tls_opts){ .trust.pins = of_other }, "db.test");
    EXPECT_VERDICT(&p, "among the pins");
    EXPECT_WORDS(&p.client, "chain: leaf <- Good Root");
    ask_for(&p, (th_tls_opts){ .trust.pins = of_leaf }, "other.test");
    EXPECT_VERDICT(&p, "not for other.test"); /* a pin replaces nothing */
}
END_TEST

START_TEST(without_verification_a_pin_is_of_the_servers_own_key)
{
    pair p;
    const char *const of_leaf[] = { pin_of(&leaf), NULL };
    const char *const of_root[] = { pin_of(&ca), NULL };
    ask_for(&p, (th_tls_opts){ .trust.pins = of_leaf, .insecure_no_verification = 1 }, "x.test");
    EXPECT_DONE(&p);
    ask_for(&p, (th_tls_opts){ .trust.pins = of_root, .insecure_no_verification = 1 }, "db.test");
    EXPECT_VERDICT(&p, "among the pins");
}
END_TEST

/* ---- the callback ---- */

typedef struct seen {
    int depths[16], errors[16];
    size_t chain[16];
    int count;
    int forgive;   /* the error that is forgiven */
    int refuse_at; /* the depth that is refused; -1: none */
    int fail;      /* what the callback fails with; 0: it does not */
    char name[32];
    void *user;
} seen;

static int look(const th_tls_verify *v, void *user, void *arg)
{
    seen *s = arg;
    const unsigned char *der = (const unsigned char *)v->cert.ptr;
    X509 *cert = d2i_X509(NULL, &der, (long)v->cert.len);
    ck_assert_ptr_nonnull(cert);
    X509_free(cert);
    ck_assert_int_lt(s->count, 16);
    ck_assert_int_eq(v->words[0] == '\0', v->error == 0);
    s->depths[s->count] = v->depth;
    s->errors[s->count] = v->error;
    s->chain[s->count++] = v->chain_count;
    s->user = user;
    snprintf(s->name, sizeof s->name, "%s", v->name ? v->name : "");
    if (s->fail) {
        (void)thi_err_set(s->fail, "my own words");
        return s->fail;
    }
    return v->depth != s->refuse_at && (v->error == 0 || v->error == s->forgive);
}

static void meet_looking(pair *p, seen *s, const issued *by, wish w, const char *name)
{
    issued made = issue(by, w);
    th_tls *with = new_server(&made, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, (th_tls_opts){ .verify = look, .arg = s });
    thi_tls_link_opts opts = { .name = name, .user = p };
    open_pair(p, with, NULL, client, &opts);
    shake(p);
    close_pair(p);
    th_tls_unref(with);
    th_tls_unref(client);
    drop_issued(&made);
}

START_TEST(the_callback_sees_each_certificate_once_from_the_anchor_down)
{
    pair p;
    seen s = { .refuse_at = -1 };
    meet_looking(&p, &s, &ca, (wish){ .cn = "x", .alts = "DNS:db.test" }, "db.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(s.count, 2);
    ck_assert_int_eq(s.depths[0], 1);
    ck_assert_int_eq(s.depths[1], 0);
    ck_assert_int_eq(s.errors[0] | s.errors[1], 0);
    ck_assert_uint_eq(s.chain[0], 2);
    ck_assert_ptr_eq(s.user, &p);
    ck_assert_str_eq(s.name, "db.test");
}
END_TEST

START_TEST(the_callback_can_refuse_a_good_one)
{
    pair p;
    seen s = { .refuse_at = 1 };
    meet_looking(&p, &s, &ca, (wish){ .cn = "x", .alts = "DNS:db.test" }, "db.test");
    EXPECT_VERDICT(&p, "application verification failure");
    ck_assert_int_eq(s.count, 1);
}
END_TEST

START_TEST(the_callback_can_accept_a_bad_one_but_each_fault_is_asked_about)
{
    pair p;
    wish expired = { .cn = "x", .alts = "DNS:db.test", .from = -7200, .to = -3600 };
    seen s = { .refuse_at = -1, .forgive = X509_V_ERR_CERT_HAS_EXPIRED };
    meet_looking(&p, &s, &ca, expired, "db.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(s.errors[1], X509_V_ERR_CERT_HAS_EXPIRED);
    /* Forgiving the date does not forgive the name. */
    s = (seen){ .refuse_at = -1, .forgive = X509_V_ERR_CERT_HAS_EXPIRED };
    meet_looking(&p, &s, &ca, expired, "other.test");
    EXPECT_VERDICT(&p, "not for other.test");
    /* Nor the authority. */
    s = (seen){ .refuse_at = -1, .forgive = X509_V_ERR_CERT_HAS_EXPIRED };
    meet_looking(&p, &s, &stranger, expired, "db.test");
    EXPECT_VERDICT(&p, "issuer");
}
END_TEST

START_TEST(a_failure_of_the_callbacks_own_reaches_the_caller)
{
    pair p;
    seen s = { .refuse_at = -1, .fail = -EDQUOT };
    meet_looking(&p, &s, &ca, (wish){ .cn = "x", .alts = "DNS:db.test" }, "db.test");
    ck_assert_int_eq(p.client.result, -EDQUOT);
    EXPECT_WORDS(&p.client, "my own words");
    ck_assert_int_eq(p.server.result, TH_ETLS);
}
END_TEST

START_TEST(the_callback_cannot_overrule_a_pin)
{
    pair p;
    seen s = { .refuse_at = -1 };
    const char *const of_other[] = { pin_of(&stranger), NULL };
    ask_for(&p, (th_tls_opts){ .verify = look, .arg = &s, .trust.pins = of_other }, "db.test");
    EXPECT_VERDICT(&p, "among the pins");
    ck_assert_int_eq(s.count, 2);
}
END_TEST

/* ---- certificates of clients ---- */

static void meet_client(pair *p, int client_auth, const issued *own, int version)
{
    th_tls_cert cert = { 0 };
    th_tls_cert server_cert = cert_of(&leaf);
    th_tls_opts client = { .trust.memory = th_str_of(PEM_OF(ca.cert)), .max_version = version };
    th_tls_opts serving = { .client_auth = client_auth,
                            .trust.memory = th_str_of(PEM_OF(ca.cert)),
                            .certs = &server_cert,
                            .certs_count = 1 };
    if (own) {
        cert = cert_of(own);
        client.certs = &cert;
        client.certs_count = 1;
    }
    th_tls *a = new_tls(serving);
    th_tls *b = new_tls(client);
    try_pair(p, a, b, "db.test");
    th_tls_unref(a);
    th_tls_unref(b);
}

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

START_TEST(a_demand_without_a_certificate_fails_on_both_sides)
{
    pair p;
    meet_client(&p, TH_TLS_CLIENT_AUTH_REQUIRED, NULL, versions[_i]);
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "peer did not return a certificate");
    /* In 1.3 the client was through with its handshake before, and learns it when it reads. */
    ck_assert_int_eq(p.client.result, TH_ETLS);
    EXPECT_WORDS(&p.client, "the peer sent the alert '");
    close_pair(&p);
}
END_TEST

START_TEST(a_request_without_a_demand_goes_on)
{
    pair p;
    meet_client(&p, TH_TLS_CLIENT_AUTH_OPTIONAL, NULL, versions[_i]);
    EXPECT_DONE(&p);
    ck_assert_ptr_null(SSL_get0_peer_certificate(p.server.link.ssl));
    close_pair(&p);
}
END_TEST

START_TEST(certificates_of_clients_are_verified)
{
    pair p;
    issued good = issue(&ca, (wish){ .cn = "good client", .usage = "clientAuth" });
    issued bad = issue(&stranger, (wish){ .cn = "bad client" });
    issued wrong = issue(&ca, (wish){ .cn = "a server", .usage = "serverAuth" });
    meet_client(&p, TH_TLS_CLIENT_AUTH_REQUIRED, &good, versions[_i]);
    EXPECT_DONE(&p);
    ck_assert_ptr_nonnull(SSL_get0_peer_certificate(p.server.link.ssl));
    close_pair(&p);
    meet_client(&p, TH_TLS_CLIENT_AUTH_OPTIONAL, &bad, versions[_i]);
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "certificate of bad client");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'unknown ca'");
    close_pair(&p);
    meet_client(&p, TH_TLS_CLIENT_AUTH_REQUIRED, &wrong, versions[_i]);
    EXPECT_WORDS(&p.server, "certificate of a server: un");
    close_pair(&p);
    drop_issued(&good);
    drop_issued(&bad);
    drop_issued(&wrong);
}
END_TEST

/*
 * After the handshake of 1.3 a server may ask once more. A client that has not said that it would
 * answer is asked in vain, and neither side is harmed.
 */
START_TEST(a_certificate_is_shown_later_only_by_who_allows_it)
{
    pair p;
    char buf[8];
    issued good = issue(&ca, (wish){ .cn = "good client" });
    th_tls_cert cert = cert_of(&good);
    th_tls_cert server_cert = cert_of(&leaf);
    th_tls *asking = new_tls((th_tls_opts){
        .trust.memory = th_str_of(PEM_OF(ca.cert)), .certs = &server_cert, .certs_count = 1 });
    th_tls *client = new_tls((th_tls_opts){ .trust.memory = th_str_of(PEM_OF(ca.cert)),
                                            .certs = &cert,
                                            .certs_count = 1,
                                            .post_handshake_auth = _i });
    try_pair(&p, asking, client, "db.test");
    EXPECT_DONE(&p);
    SSL_set_verify(p.server.link.ssl, SSL_VERIFY_PEER, NULL);
    ck_assert_int_eq(SSL_verify_client_post_handshake(p.server.link.ssl), _i);
    ERR_clear_error();
    for (int i = 0; i < 3; i++) {
        step(&p.server);
        ck_assert_int_ge(SSL_do_handshake(p.server.link.ssl), 0);
        ck_assert_int_eq(read_side(&p.client, buf, sizeof buf), 0);
        ck_assert_int_eq(read_side(&p.server, buf, sizeof buf), 0);
    }
    ck_assert_int_eq(SSL_get0_peer_certificate(p.server.link.ssl) != NULL, _i);
    ck_assert_int_eq(SSL_write(p.client.link.ssl, "hello", 5), 5);
    ck_assert_int_eq(read_side(&p.server, buf, sizeof buf), 5);
    close_pair(&p);
    th_tls_unref(asking);
    th_tls_unref(client);
    drop_issued(&good);
}
END_TEST

/* The verified chain ends at the anchor, though that was not sent. */
START_TEST(the_verified_chain_ends_at_the_anchor)
{
    pair p;
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, server, client, "db.test");
    ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(p.client.link.ssl)), 1);
    ck_assert_int_eq(sk_X509_num(SSL_get0_verified_chain(p.client.link.ssl)), 2);
    close_pair(&p);
    th_tls_unref(client);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "verdicts");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_checked_fixture(tcase, start, end);
    tcase_add_test(tcase, an_expired_certificate_is_told_with_name_date_and_chain);
    tcase_add_test(tcase, a_certificate_of_tomorrow_is_not_valid_today);
    tcase_add_test(tcase, an_unknown_authority_is_told_by_name);
    tcase_add_test(tcase, self_signed_certificates_are_told_as_such);
    tcase_add_test(tcase, a_certificate_for_something_else_is_told);
    tcase_add_test(tcase, strange_bytes_in_names_are_not_passed_on);
    tcase_add_test(tcase, words_that_do_not_fit_are_cut);
    tcase_add_test(tcase, a_certificate_without_a_subject_is_called_by_its_names);
    tcase_add_loop_test(tcase, names_match_exactly_or_by_one_label_and_addresses_as_addresses, 0,
                        (int)(sizeof names / sizeof names[0]));
    tcase_add_loop_test(tcase, wildcards_are_whole_labels_and_kinds_are_not_mixed, 0,
                        (int)(sizeof mismatches / sizeof mismatches[0]));
    tcase_add_test(tcase, a_name_with_a_nul_inside_does_not_match_what_is_before_it);
    tcase_add_test(tcase, the_common_name_counts_where_there_is_nothing_else);
    tcase_add_test(tcase, a_client_without_a_name_to_verify_is_misuse);
    tcase_add_test(tcase, without_verification_anybody_is_believed_and_the_verdict_is_kept);
    tcase_add_test(tcase, any_name_still_wants_a_good_chain);
    tcase_add_test(tcase, a_connection_may_differ_from_its_context);
    tcase_add_test(tcase, a_pin_wants_a_key_of_the_verified_chain);
    tcase_add_test(tcase, without_verification_a_pin_is_of_the_servers_own_key);
    tcase_add_test(tcase, the_callback_sees_each_certificate_once_from_the_anchor_down);
    tcase_add_test(tcase, the_callback_can_refuse_a_good_one);
    tcase_add_test(tcase, the_callback_can_accept_a_bad_one_but_each_fault_is_asked_about);
    tcase_add_test(tcase, a_failure_of_the_callbacks_own_reaches_the_caller);
    tcase_add_test(tcase, the_callback_cannot_overrule_a_pin);
    tcase_add_loop_test(tcase, a_demand_without_a_certificate_fails_on_both_sides, 0, 2);
    tcase_add_loop_test(tcase, a_request_without_a_demand_goes_on, 0, 2);
    tcase_add_loop_test(tcase, certificates_of_clients_are_verified, 0, 2);
    tcase_add_loop_test(tcase, a_certificate_is_shown_later_only_by_who_allows_it, 0, 2);
    tcase_add_test(tcase, the_verified_chain_ends_at_the_anchor);
}

int main(void)
{
    return thi_check_run("tls/verify", fill);
}
