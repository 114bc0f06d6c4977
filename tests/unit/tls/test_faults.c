/* SPDX-License-Identifier: MIT */

/*
 * What peers may do wrong, in a table: certificates of every bad kind in both roles, and bytes that
 * have no business where they come, in every state of a handshake and behind it.
 *
 * Whatever comes, the connection fails with words, goes on failing with the same ones, and has no
 * more to send than an alert.
 */
#include "links.h"

#include <thrum/tls_engine.h>

static issued ca, stranger, middle, leaf;
static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

static void setup(void)
{
    ca = issue(NULL, (wish){ .cn = "Good Root", .ca = true });
    stranger = issue(NULL, (wish){ .cn = "Strange Root", .ca = true });
    middle = issue(&ca, (wish){ .cn = "Middle" });
    /* Its signatures all have one size: a handshake's records end where those of another do. */
    leaf = issue(&ca, (wish){ .cn = "db.test", .alts = "DNS:db.test", .key = "rsa" });
}

static void teardown(void)
{
    drop_issued(&ca);
    drop_issued(&stranger);
    drop_issued(&middle);
    drop_issued(&leaf);
}

/* ---- certificates ---- */

typedef struct fault {
    const char *what;
    wish w;
    const issued *by;  /* NULL: itself */
    bool sha1;         /* how it is signed where it is shown; no context takes that */
    const char *words; /* of who judges */
    const char *alert; /* what the other hears */
} fault;

#define NAMED .cn = "db.test", .alts = "DNS:db.test"

/* The same for servers and for clients. */
static const fault faults[] = {
    { "expired",
      { NAMED, .from = -7200, .to = -3600 },
      &ca,
      false,
      "certificate of db.test expired on 20",
      "certificate expired" },
    { "not yet valid",
      { NAMED, .from = 86400, .to = 172800 },
      &ca,
      false,
      "certificate of db.test is not valid before 20",
      "bad certificate" },
    { "signed by itself",
      { NAMED },
      NULL,
      false,
      "certificate of db.test is signed by itself and not among the trusted ones",
      "unknown ca" },
    { "of a stranger",
      { NAMED },
      &stranger,
      false,
      "certificate of db.test: unable to get local issuer certificate: its issuer is Strange Root",
      "unknown ca" },
    { "signed by who is no authority",
      { NAMED },
      &middle,
      false,
      "certificate of Middle: invalid CA certificate",
      "unknown ca" },
    { "for something else",
      { NAMED, .usage = "codeSigning" },
      &ca,
      false,
      "certificate of db.test: unsuitable certificate purpose",
      "unsupported certificate" },
    { "of a weak key",
      { NAMED, .key = "rsa1024" },
      &ca,
      false,
      "certificate of db.test: EE certificate key too weak",
      "bad certificate" },
    { "weakly signed",
      { NAMED },
      &ca,
      true,
      "certificate of db.test: CA signature digest algorithm too weak",
      "bad certificate" },
};

#define FAULTS (sizeof faults / sizeof faults[0])

/* With the authority in between, where it has one. Who is bad takes what it has: profile "old". */
static th_tls *who_has(const fault *f, const issued *made, th_tls_opts opts)
{
    X509 *between = f && f->by == &middle ? middle.cert : NULL;
    char *text = joined(PEM_OF(made->cert, between), pem_of_key(made->key, NULL, 0));
    th_tls_cert cert = { .cert_pem = th_str_of(text) };
    opts.certs = &cert;
    opts.certs_count = 1;
    opts.profile = f ? "old" : NULL;
    opts.trust.memory = th_str_of(PEM_OF(ca.cert));
    return new_tls(opts);
}

static void expect_fault(const side *judge, const side *other, const fault *f, int version)
{
    char alert[80];
    const char *of = version == TH_TLS_1_3 ? "1.3" : "1.2";
    snprintf(alert, sizeof alert, "the peer sent the alert '%s'", f->alert);
    ck_assert_msg(judge->result == TH_ETLS && strstr(judge->words, f->words), "%s, %s: %s: %s",
                  f->what, of, th_errname(judge->result), judge->words);
    ck_assert_msg(other->result == TH_ETLS && strstr(other->words, alert), "%s, %s: %s: %s",
                  f->what, of, th_errname(other->result), other->words);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* Shows the certificate with a signature that Thrum would not show. */
static void sign_weakly(SSL *ssl, const fault *f, const issued *made)
{
    X509 *weak = X509_dup(made->cert);
    ck_assert_int_gt(X509_sign(weak, f->by->key, EVP_sha1()), 0);
    SSL_set_security_level(ssl, 0);
    ck_assert_int_eq(SSL_use_certificate(ssl, weak), 1);
    X509_free(weak);
}

/* One handshake, as try_pair(); the client asks for that name. */
static void meet(pair *p, th_tls *server, th_tls *client, const fault *f, const issued *made,
                 bool of_server)
{
    thi_tls_link_opts opts = { .name = "db.test" };
    char buf[16];
    open_pair(p, server, NULL, client, &opts);
    if (f && f->sha1)
        sign_weakly(of_server ? p->server.link.ssl : p->client.link.ssl, f, made);
    shake(p);
    if (p->client.result == 0)
        (void)!read_side(&p->client, buf, sizeof buf);
    close_pair(p);
    th_tls_unref(server);
    th_tls_unref(client);
}

START_TEST(a_servers_bad_certificate_is_told_in_words_on_both_sides)
{
    const fault *f = &faults[(size_t)_i / 2];
    pair p;
    issued made = issue(f->by, f->w);
    th_tls *server = who_has(f, &made, (th_tls_opts){ .max_version = versions[_i % 2] });
    meet(&p, server, new_client(&ca, (th_tls_opts){ 0 }), f, &made, true);
    expect_fault(&p.client, &p.server, f, versions[_i % 2]);
    drop_issued(&made);
}
END_TEST

/* What a server says to a client with that certificate, or to one without. */
static void be_asked(pair *p, const fault *f, const issued *made, int version)
{
    th_tls *server = who_has(
        NULL, &leaf,
        (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED, .max_version = version });
    th_tls *client =
        made ? who_has(f, made, (th_tls_opts){ 0 }) : new_client(&ca, (th_tls_opts){ 0 });
    meet(p, server, client, f, made, false);
}

START_TEST(a_clients_bad_certificate_is_told_in_words_on_both_sides)
{
    const fault *f = &faults[(size_t)_i / 2];
    pair p;
    issued made = issue(f->by, f->w);
    be_asked(&p, f, &made, versions[_i % 2]);
    expect_fault(&p.server, &p.client, f, versions[_i % 2]);
    drop_issued(&made);
}
END_TEST

START_TEST(an_absent_one_and_another_name_are_told_as_well)
{
    static const fault absent[] = {
        { .what = "absent",
          .words = "peer did not return a certificate",
          .alert = "handshake failure" },
        { .what = "absent",
          .words = "peer did not return a certificate",
          .alert = "certificate required" },
    };
    static const fault named = { .what = "of another",
                                 .words = "certificate is for db.test, not for other.test",
                                 .alert = "bad certificate" };
    pair p;
    be_asked(&p, NULL, NULL, versions[_i]);
    expect_fault(&p.server, &p.client, &absent[_i], versions[_i]);
    th_tls *server = who_has(NULL, &leaf, (th_tls_opts){ .max_version = versions[_i] });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, server, client, "other.test");
    expect_fault(&p.client, &p.server, &named, versions[_i]);
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(client);
}
END_TEST

/* ---- bytes, in every state ---- */

static th_tls *server_tls, *client_tls;

static void start(void)
{
    server_tls = new_server(&leaf, (th_tls_opts){ 0 });
    client_tls = new_client(&ca, (th_tls_opts){ 0 });
}

static void end(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
}

/* One engine that is attacked, and its honest peer. */
typedef struct scene {
    th_tls_engine *victim, *peer;
    th_tls *limited; /* the client's context, of one version */
} scene;

static void set_scene(scene *s, bool server, int version)
{
    th_tls_engine_opts named = { .connection.name = "db.test" };
    th_tls_engine *one, *other;
    s->limited = new_client(&ca, (th_tls_opts){ .max_version = version, .no_sessions = 1 });
    ck_assert_int_eq(th_tls_engine_new(server_tls, TH_TLS_SERVER, NULL, &one), 0);
    ck_assert_int_eq(th_tls_engine_new(s->limited, TH_TLS_CLIENT, &named, &other), 0);
    s->victim = server ? one : other;
    s->peer = server ? other : one;
}

static void clear_scene(scene *s)
{
    th_tls_engine_free(s->victim);
    th_tls_engine_free(s->peer);
    th_tls_unref(s->limited);
}

/* Carries so many bytes at most, and returns how many those were. */
static size_t carry(th_tls_engine *from, th_tls_engine *to, size_t most)
{
    static char buf[65536];
    ssize_t n = th_tls_engine_take(from, buf, sizeof buf);
    ck_assert_int_ge(n, 0);
    size_t some = (size_t)n < most ? (size_t)n : most;
    if (some > 0)
        ck_assert_int_eq(th_tls_engine_feed(to, buf, some), (ssize_t)some);
    return some;
}

/* Until the victim has got so many bytes, or all there are; whether it could have had more. */
static bool go_on_until(scene *s, size_t bytes)
{
    for (int i = 0; i < 8; i++) {
        (void)!th_tls_engine_handshake(s->peer);
        size_t got = carry(s->peer, s->victim, bytes);
        bytes -= got;
        (void)!th_tls_engine_handshake(s->victim);
        carry(s->victim, s->peer, SIZE_MAX);
        if (bytes == 0)
            return true;
    }
    return false;
}

/* What it says now, whatever it is doing. */
static int result_of(th_tls_engine *engine)
{
    char byte;
    int err = th_tls_engine_handshake(engine);
    return err == 0 ? (int)th_tls_engine_read(engine, &byte, 1) : err;
}

static void expect_end(scene *s, int code, const char *what, size_t at)
{
    char words[300];
    int err = result_of(s->victim);
    snprintf(words, sizeof words, "%s", th_err_detail());
    ck_assert_msg(err == code && words[0], "%s at %zu: %s: '%s'", what, at, th_errname(err), words);
    ck_assert_int_eq(result_of(s->victim), code);
    ck_assert_msg(strcmp(th_err_detail(), words) == 0, "%s at %zu: '%s', then '%s'", what, at,
                  words, th_err_detail());
    ck_assert_uint_le(th_tls_engine_to_take(s->victim), 64);
    ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* Bit 0 of a test's number is the version, bit 1 the role of who is attacked. */
#define SCENES   4
#define VERSION_ versions[_i % 2]
#define SERVER_  (_i / 2 == 1)

START_TEST(a_peer_that_is_cut_at_any_byte_is_told_from_one_that_ends)
{
    size_t at = 0;
    for (bool more = true; more; at += 5) {
        scene s;
        set_scene(&s, SERVER_, VERSION_);
        more = go_on_until(&s, at);
        ck_assert_int_eq(th_tls_engine_feed_end(s.victim), 0);
        expect_end(&s, TH_ETRUNCATED, "cut", at);
        clear_scene(&s);
    }
    ck_assert_uint_gt(at, SERVER_ ? 200 : 700); /* a client says less */
}
END_TEST

/* Records that are wrong anywhere, but for the first, which a complete record must precede. */
static const struct wrong {
    const char *what;
    unsigned char bytes[12];
    size_t size, filled; /* what is written here, and how many zeros follow */
} wrongs[] = {
    { "an oversized record", { 22, 3, 3, 0x48, 0x01 }, 5, 0x4801 },
    { "an oversized record of data", { 23, 3, 3, 0xff, 0xff }, 5, 0xffff },
    { "a message of 16 MiB", { 22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff }, 9, 0 },
    { "a message of no known type", { 22, 3, 3, 0, 4, 99, 0, 0, 0 }, 9, 0 },
    { "Finished", { 22, 3, 3, 0, 4, 20, 0, 0, 0 }, 9, 0 },
    { "data", { 23, 3, 3, 0, 5 }, 5, 5 },
    { "a record of no known type", { 99, 3, 3, 0, 5 }, 5, 5 },
    { "another version", { 22, 9, 9, 0, 4, 1, 0, 0, 0 }, 9, 0 },
    { "half an alert", { 21, 3, 3, 0, 1, 2 }, 6, 0 },
    { "an alert of no level", { 21, 3, 3, 0, 2, 7, 40 }, 7, 0 },
    { "change of ciphers, wrong", { 20, 3, 3, 0, 2, 1, 1 }, 7, 0 },
    { "noise", { 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef }, 12, 0 },
};

static void attack(th_tls_engine *victim, const struct wrong *w)
{
    static const unsigned char zeros[0x10000];
    ck_assert_int_eq(th_tls_engine_feed(victim, w->bytes, w->size), (ssize_t)w->size);
    for (size_t left = w->filled; left > 0;) {
        ssize_t n = th_tls_engine_feed(victim, zeros, left);
        if (n == -ENOBUFS) /* it takes no more before this was looked at */
            return;
        ck_assert_int_gt(n, 0);
        left -= (size_t)n;
    }
}

/* The ends of the records that a victim gets in an honest handshake: its states. */
static size_t records(bool server, int version, size_t *ends, size_t most)
{
    scene s;
    size_t count = 0, at = 0;
    ends[count++] = 0;
    set_scene(&s, server, version);
    for (int i = 0; i < 4; i++) {
        static unsigned char buf[65536];
        (void)!th_tls_engine_handshake(s.peer);
        ssize_t n = th_tls_engine_take(s.peer, buf, sizeof buf);
        ck_assert_int_ge(n, 0);
        for (size_t one = 0; one + 5 <= (size_t)n; one += 5 + buf[one + 3] * 256U + buf[one + 4]) {
            ck_assert_uint_lt(count, most);
            ends[count++] = at + one + 5 + buf[one + 3] * 256U + buf[one + 4];
        }
        at += (size_t)n;
        if (n > 0)
            ck_assert_int_eq(th_tls_engine_feed(s.victim, buf, (size_t)n), n);
        (void)!th_tls_engine_handshake(s.victim);
        carry(s.victim, s.peer, SIZE_MAX);
    }
    clear_scene(&s);
    return count;
}

START_TEST(records_that_are_wrong_fail_in_every_state)
{
    size_t ends[16], count = records(SERVER_, VERSION_, ends, 16);
    ck_assert_uint_ge(count, 3);
    for (size_t i = 0; i < count; i++)
        for (size_t w = 0; w < sizeof wrongs / sizeof wrongs[0]; w++) {
            scene s;
            set_scene(&s, SERVER_, VERSION_);
            (void)go_on_until(&s, ends[i]);
            attack(s.victim, &wrongs[w]);
            expect_end(&s, TH_ETLS, wrongs[w].what, ends[i]);
            clear_scene(&s);
        }
}
END_TEST

static void feed_alert(th_tls_engine *victim, int level, int number)
{
    unsigned char alert[] = { 21, 3, 3, 0, 2, (unsigned char)level, (unsigned char)number };
    ck_assert_int_eq(th_tls_engine_feed(victim, alert, sizeof alert), sizeof alert);
}

/* Before anything is encrypted an alert is taken at its word; later on it must be encrypted. That
 * the user has given up (90) is a warning whatever level it has (RFC 8446 6.1). */
START_TEST(alerts_end_the_connection_in_every_state)
{
    static const int numbers[] = { 10, 20, 22, 40, 42, 43,  44,  45,  46,  47,  48,  49, 50,
                                   51, 70, 71, 80, 86, 109, 110, 112, 113, 116, 120, 200 };
    size_t ends[16], count = records(SERVER_, VERSION_, ends, 16);
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
            scene s;
            set_scene(&s, SERVER_, VERSION_);
            (void)go_on_until(&s, ends[i]);
            feed_alert(s.victim, 2, numbers[n]);
            expect_end(&s, TH_ETLS, "an alert", ends[i]);
            if (i == 0 && !SERVER_) /* a server wants a greeting first */
                ck_assert_msg(strstr(th_err_detail(), "the peer sent the alert '") != NULL, "%s",
                              th_err_detail());
            clear_scene(&s);
        }
}
END_TEST

/* Warnings and empty records may mean nothing, but not without end. */
START_TEST(what_means_nothing_is_not_taken_for_ever)
{
    static const unsigned char empty[] = { 22, 3, 3, 0, 0 };
    size_t ends[16], count = records(SERVER_, VERSION_, ends, 16);
    for (size_t i = 0; i < count; i++)
        for (int kind = 0; kind < 2; kind++) {
            scene s;
            int err = -EAGAIN;
            set_scene(&s, SERVER_, VERSION_);
            (void)go_on_until(&s, ends[i]);
            for (int n = 0; n < 100 && err == -EAGAIN; n++) {
                if (kind == 0)
                    feed_alert(s.victim, 1, 90);
                else
                    ck_assert_int_eq(th_tls_engine_feed(s.victim, empty, sizeof empty), 5);
                err = result_of(s.victim);
            }
            expect_end(&s, TH_ETLS, kind == 0 ? "warnings" : "empty records", ends[i]);
            clear_scene(&s);
        }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *certs = thi_check_case(suite, "certificates");
    TCase *bytes = thi_check_case(suite, "bytes");
    tcase_add_unchecked_fixture(certs, setup, teardown);
    tcase_add_loop_test(certs, a_servers_bad_certificate_is_told_in_words_on_both_sides, 0,
                        2 * FAULTS);
    tcase_add_loop_test(certs, a_clients_bad_certificate_is_told_in_words_on_both_sides, 0,
                        2 * FAULTS);
    tcase_add_loop_test(certs, an_absent_one_and_another_name_are_told_as_well, 0, 2);
    tcase_add_unchecked_fixture(bytes, setup, teardown);
    tcase_add_checked_fixture(bytes, start, end);
    tcase_add_loop_test(bytes, a_peer_that_is_cut_at_any_byte_is_told_from_one_that_ends, 0,
                        SCENES);
    tcase_add_loop_test(bytes, records_that_are_wrong_fail_in_every_state, 0, SCENES);
    tcase_add_loop_test(bytes, alerts_end_the_connection_in_every_state, 0, SCENES);
    tcase_add_loop_test(bytes, what_means_nothing_is_not_taken_for_ever, 0, SCENES);
}

int main(void)
{
    return thi_check_run("tls/faults", fill);
}
