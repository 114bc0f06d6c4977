/* SPDX-License-Identifier: MIT */

/* Contexts: what they are built from, that they never change, and how one takes another's place. */
#include "links.h"
#include "starving.h"

#include "base/alloc.h"
#include "runtime/in_fiber.h"

#include <thrum/cert.h>

#include <pthread.h>

static issued ca, leaf, other_leaf;

static void make_issued(void)
{
    ca = issue(NULL, (wish){ .cn = "Root", .ca = true });
    leaf = issue(&ca, (wish){ .cn = "one", .alts = "DNS:one.test" });
    other_leaf = issue(&ca, (wish){ .cn = "two", .alts = "DNS:two.test,DNS:one.test" });
    make_folder();
}

static void drop_all(void)
{
    drop_issued(&ca);
    drop_issued(&leaf);
    drop_issued(&other_leaf);
    remove_folder();
}

/* The common name of the certificate that the client sees. */
static const char *seen_by(pair *p)
{
    static char title[64];
    X509 *cert = SSL_get0_peer_certificate(p->client.link.ssl);
    if (!cert)
        return "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, title, sizeof title);
    return title;
}

START_TEST(a_client_verifies_a_server_by_default)
{
    pair p;
    th_tls *server = new_server(&leaf, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, server, client, "one.test");
    EXPECT_DONE(&p);
    ck_assert_str_eq(seen_by(&p), "one");
    ck_assert_int_eq(SSL_get_verify_result(p.client.link.ssl), X509_V_OK);
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(client);
}
END_TEST

START_TEST(files_that_are_missing_or_broken_are_told_with_path_and_reason)
{
    char *good = write_file("leaf.pem", PEM_OF(leaf.cert));
    char *key = write_file("leaf.key", pem_of_key(leaf.key, NULL, 0));
    char *empty = write_file("empty.pem", "");
    char *text = write_file("text.pem", "hello\n");
    char *public_key = write_file("public.key", pem_of_public(leaf.key));
    EXPECT_REFUSED(-ENOENT, path_of("none.pem"), { .cert = path_of("none.pem"), .key = key });
    EXPECT_REFUSED(-ENOENT, path_of("none.key"), { .cert = good, .key = path_of("none.key") });
    EXPECT_REFUSED(TH_ETLS, empty, { .cert = empty, .key = key });
    EXPECT_REFUSED(TH_ETLS, "no certificate", { .cert = text, .key = key });
    EXPECT_REFUSED(TH_ETLS, text, { .cert = good, .key = text });
    EXPECT_REFUSED(TH_ETLS, "public key", { .cert = good, .key = public_key });
    EXPECT_REFUSED(TH_ETLS, good, { .cert = good });
    EXPECT_REFUSED(-EISDIR, folder, { .cert = folder, .key = key });
    th_tls_unref(new_tls((th_tls_opts){ .cert = good, .key = key }));
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
    char *cert = write_file("leaf.pem", PEM_OF(leaf.cert));
    char *key = write_file("other.key", pem_of_key(other_leaf.key, NULL, 0));
    issued rsa = issue(&ca, (wish){ .cn = "rsa", .key = "rsa" });
    char *rsa_key = write_file("rsa.key", pem_of_key(rsa.key, NULL, 0));
    EXPECT_REFUSED(TH_ETLS, "does not belong to the certificate", { .cert = cert, .key = key });
    EXPECT_REFUSED(TH_ETLS, "does not belong to the certificate", { .cert = cert, .key = rsa_key });
    drop_issued(&rsa);
}
END_TEST

START_TEST(a_key_that_is_too_small_is_refused_and_old_takes_it)
{
    issued weak = issue(&ca, (wish){ .cn = "weak", .key = "rsa1024" });
    th_tls_cert cert = cert_of(&weak);
    EXPECT_REFUSED(TH_ETLS, "its key is too weak for the profile",
                   { .certs = &cert, .certs_count = 1 });
    th_tls_unref(new_server(&weak, (th_tls_opts){ .profile = "old" }));
    drop_issued(&weak);
}
END_TEST

START_TEST(certificates_and_keys_may_be_objects)
{
    pair p;
    th_key *key, *public_key;
    th_certs certs = { 0 };
    ck_assert_int_eq(th_key_parse(th_str_of(pem_of_key(leaf.key, NULL, 0)), NULL, &key), 0);
    ck_assert_int_eq(th_key_public(key, &public_key), 0);
    ck_assert_int_ge(th_certs_parse(th_str_of(PEM_OF(leaf.cert, ca.cert)), &certs), 0);
    th_tls_cert cert = { .cert_object = &certs, .key_object = key };
    th_tls *server = new_tls((th_tls_opts){ .certs = &cert, .certs_count = 1 });
    cert.key_object = public_key;
    EXPECT_REFUSED(TH_ETLS, "public key", { .certs = &cert, .certs_count = 1 });
    cert.key_object = NULL;
    EXPECT_REFUSED(-EINVAL, "needs its key", { .certs = &cert, .certs_count = 1 });
    th_certs_clear(&certs); /* the context has its own references */
    th_key_unref(key);
    th_key_unref(public_key);
    cert.key_object = key;
    EXPECT_REFUSED(-EINVAL, "empty list", { .certs = &cert, .certs_count = 1 });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, server, client, "one.test");
    EXPECT_DONE(&p);
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(client);
}
END_TEST

/* A path is bytes: nothing here interprets them. */
START_TEST(paths_may_have_any_bytes)
{
    char *cert = write_file("\xfc\xe4 '\"\xe2\x82\xac.pem", PEM_OF(leaf.cert));
    char *key = write_file("\xff key", pem_of_key(leaf.key, NULL, 0));
    th_tls_unref(new_tls((th_tls_opts){ .cert = cert, .key = key }));
}
END_TEST

/* ---- chains ---- */

static void expect_chain(th_tls *server)
{
    pair p;
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    try_pair(&p, server, client, "deep.test");
    EXPECT_DONE(&p);
    ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(p.client.link.ssl)), 3);
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(client);
}

START_TEST(the_chain_behind_the_certificate_is_sent_in_order)
{
    issued middle = issue(&ca, (wish){ .cn = "middle", .ca = true });
    issued lower = issue(&middle, (wish){ .cn = "lower", .ca = true });
    issued deep = issue(&lower, (wish){ .cn = "deep", .alts = "DNS:deep.test" });
    char *key = write_file("deep.key", pem_of_key(deep.key, NULL, 0));
    char *all = write_file("all.pem", PEM_OF(deep.cert, lower.cert, middle.cert));
    char *alone = write_file("alone.pem", PEM_OF(deep.cert));
    char *rest[] = { write_file("lower.pem", PEM_OF(lower.cert)),
                     write_file("middle.pem", PEM_OF(middle.cert)), NULL };
    th_tls_cert pieces = { .cert = alone, .key = key, .chain = (const char *const *)rest };
    expect_chain(new_tls((th_tls_opts){ .cert = all, .key = key }));
    expect_chain(new_tls((th_tls_opts){ .certs = &pieces, .certs_count = 1 }));
    drop_issued(&middle);
    drop_issued(&lower);
    drop_issued(&deep);
}
END_TEST

/* ---- pass phrases ---- */

static int asked;
static ssize_t answer; /* the phrase's length, or a failure */
static const char *answer_text;

static ssize_t tell_phrase(void *arg, char *buf, size_t room)
{
    ck_assert_ptr_eq(arg, &asked);
    ck_assert_uint_ge(room, TH_PASSPHRASE_MAX);
    asked++;
    if (answer > 0 && (size_t)answer <= room)
        memcpy(buf, answer_text, (size_t)answer);
    return answer;
}

static int try_phrase(const char *key, th_passphrase phrase)
{
    th_tls *tls = NULL;
    char *cert = PEM_OF(leaf.cert);
    th_tls_cert one = { .cert_pem = th_str_of(cert), .key_pem = th_str_of(key), .phrase = &phrase };
    th_tls_opts opts = { .certs = &one, .certs_count = 1 };
    int err = th_tls_new(&opts, &tls);
    th_tls_unref(tls);
    return err;
}

static int try_asking(const char *key, const char *text, ssize_t len)
{
    asked = 0;
    answer_text = text;
    answer = len;
    return try_phrase(key, (th_passphrase){ .ask = tell_phrase, .arg = &asked });
}

START_TEST(an_encrypted_key_opens_by_value_and_by_callback_asked_once)
{
    char *key = pem_of_key(leaf.key, "right", 5);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ .text = TH_STR("right") }), 0);
    ck_assert_int_eq(try_asking(key, "right", 5), 0);
    ck_assert_int_eq(asked, 1);
    ck_assert_int_eq(try_asking(pem_of_key(leaf.key, NULL, 0), "right", 5), 0);
    ck_assert_int_eq(asked, 0); /* it was not encrypted */
}
END_TEST

START_TEST(a_wrong_phrase_and_none_are_errors_and_nobody_is_asked)
{
    char *key = pem_of_key(leaf.key, "right", 5);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ .text = TH_STR("wrong") }), -EACCES);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "pass phrase"));
    ck_assert_int_lt(try_asking(key, "", 0), 0);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ 0 }), -EACCES);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no pass phrase"));
}
END_TEST

START_TEST(a_phrase_counts_whole_and_is_never_shortened)
{
    static char longest[TH_PASSPHRASE_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    char *key = pem_of_key(leaf.key, "a\0b", 3);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ .text = TH_STR("a\0b") }), 0);
    ck_assert_int_lt(try_phrase(key, (th_passphrase){ .text = TH_STR("a") }), 0);
    ck_assert_int_lt(try_phrase(key, (th_passphrase){ .text = TH_STR("a\0c") }), 0);
    key = pem_of_key(leaf.key, longest, TH_PASSPHRASE_MAX);
    th_str just = th_str_make(longest, TH_PASSPHRASE_MAX);
    th_str more = th_str_make(longest, TH_PASSPHRASE_MAX + 1);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ .text = just }), 0);
    ck_assert_int_eq(try_phrase(key, (th_passphrase){ .text = more }), -EINVAL);
    ck_assert_int_eq(try_asking(key, longest, TH_PASSPHRASE_MAX), 0);
    ck_assert_int_lt(try_asking(key, longest, TH_PASSPHRASE_MAX + 1), 0);
}
END_TEST

START_TEST(a_failure_of_the_phrases_callback_is_the_result)
{
    char *key = pem_of_key(leaf.key, "right", 5);
    ck_assert_int_eq(try_asking(key, "", -ENOKEY), -ENOKEY);
    ck_assert_int_eq(asked, 1);
}
END_TEST

/* ---- options ---- */

START_TEST(misuse_is_told_and_builds_nothing)
{
    const char *const none[] = { NULL };
    th_tls *tls = NULL;
    th_tls_cert cert = cert_of(&leaf);
    th_tls_cert twice = cert;
    th_tls_opts later = { .size = sizeof later + 8 };
    twice.cert = "x.pem";
    ck_assert_int_eq(th_tls_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_tls_new(&later, &tls), -EINVAL);
    EXPECT_REFUSED(-EINVAL, "given twice", { .certs = &twice, .certs_count = 1 });
    EXPECT_REFUSED(-EINVAL, "missing", { .certs = &(th_tls_cert){ 0 }, .certs_count = 1 });
    EXPECT_REFUSED(-EINVAL, "certs_count", { .certs = &cert });
    EXPECT_REFUSED(-EINVAL, "without a certificate", { .key = "x.key" });
    EXPECT_REFUSED(-EINVAL, "empty list", { .trust.files = none });
    EXPECT_REFUSED(-EINVAL, "empty list", { .trust.dirs = none });
    EXPECT_REFUSED(-EINVAL, "names no authority", { .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED });
    EXPECT_REFUSED(-EINVAL, "client_auth", { .client_auth = 3 });
    EXPECT_REFUSED(-EINVAL, "tickets", { .tickets = -2 });
    EXPECT_REFUSED(-EINVAL, "tickets", { .tickets = 17 });
    EXPECT_REFUSED(-EINVAL, "session_id", { .session_id = "" });
    EXPECT_REFUSED(-EINVAL, "session_id", { .session_id = "123456789012345678901234567890123" });
    EXPECT_REFUSED(-EINVAL, "session_time", { .session_time = 1 });
    EXPECT_REFUSED(-EINVAL, "record_max", { .record_max = 511 });
    EXPECT_REFUSED(-EINVAL, "record_max", { .record_max = 16385 });
    EXPECT_REFUSED(-EINVAL, "handshake_time", { .handshake_time = -1 });
    EXPECT_REFUSED(-EINVAL, "verify_depth", { .verify_depth = 101 });
    EXPECT_REFUSED(-EINVAL, "names no lists", { .trust.crl_check = TH_TLS_CRL_LEAF });
}
END_TEST

START_TEST(settings_are_read_back_and_defaults_are_as_documented)
{
    th_tls_facts f;
    th_tls *plain = new_tls((th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_tell(plain, sizeof f, &f), 0);
    ck_assert_str_eq(f.profile, "intermediate");
    ck_assert_int_eq(f.min_version, TH_TLS_1_2);
    ck_assert_int_eq(f.max_version, TH_TLS_1_3);
    ck_assert_int_eq(f.verifies_servers, 1);
    ck_assert_uint_eq(f.verify_depth, 10);
    ck_assert_int_eq(f.handshake_time, 10 * TH_SECOND);
    ck_assert_uint_eq(f.chain_max, 102400);
    ck_assert_uint_eq(f.record_max, 16384);
    ck_assert_int_eq(f.tickets, 2);
    ck_assert_int_eq(f.session_time, 12 * 3600 * TH_SECOND);
    ck_assert_uint_eq(f.certs, 0);
    ck_assert_int_eq(f.not_after, INT64_MAX);
    ck_assert_uint_eq(f.generation, 1);
    th_tls_unref(plain);
    th_tls *set = new_server(&other_leaf, (th_tls_opts){ .profile = "modern",
                                                         .verify_depth = 3,
                                                         .handshake_time = TH_NEVER,
                                                         .chain_max = 5000,
                                                         .record_max = 512,
                                                         .tickets = TH_TLS_NO_TICKETS,
                                                         .session_time = TH_SECOND,
                                                         .insecure_no_verification = 1 });
    ck_assert_int_eq(th_tls_tell(set, sizeof f, &f), 0);
    ck_assert_int_eq(f.min_version, TH_TLS_1_3);
    ck_assert_int_eq(f.verifies_servers, 0);
    ck_assert_uint_eq(f.verify_depth, 3);
    ck_assert_int_eq(f.handshake_time, TH_NEVER);
    ck_assert_uint_eq(f.chain_max, 5000);
    ck_assert_uint_eq(f.record_max, 512);
    ck_assert_int_eq(f.tickets, TH_TLS_NO_TICKETS);
    ck_assert_int_eq(f.session_time, TH_SECOND);
    ck_assert_uint_eq(f.certs, 1);
    ck_assert_uint_eq(f.names, 2);
    ck_assert_int_lt(f.not_after, (int64_t)time(NULL) + 24 * 3600 + 1);
    ck_assert_int_gt(f.not_after, (int64_t)time(NULL) + 23 * 3600);
    ck_assert_int_eq(th_tls_tell(set, 0, &f), -EINVAL);
    ck_assert_int_eq(th_tls_tell(set, sizeof f + 1, &f), -EINVAL);
    ck_assert_int_eq(th_tls_tell(NULL, sizeof f, &f), -EINVAL);
    th_tls_unref(set);
}
END_TEST

/* Modes and options of OpenSSL that hold in every context, whatever the machine's openssl.cnf says.
 */
START_TEST(fixed_rules_hold_for_both_roles)
{
    th_tls *tls = new_server(&leaf, (th_tls_opts){ 0 });
    thi_tls_config *config = thi_tls_config_of(tls);
    SSL_CTX *roles[] = { config->server, config->client };
    for (int i = 0; i < 2; i++) {
        uint64_t options = SSL_CTX_get_options(roles[i]);
        long mode = SSL_CTX_get_mode(roles[i]);
        ck_assert(options & SSL_OP_NO_RENEGOTIATION);
        ck_assert(options & SSL_OP_NO_COMPRESSION);
        ck_assert(!(options & SSL_OP_IGNORE_UNEXPECTED_EOF));
        ck_assert(!(options & SSL_OP_LEGACY_SERVER_CONNECT));
        ck_assert(mode & SSL_MODE_RELEASE_BUFFERS);
        ck_assert(mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        ck_assert(mode & SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    ck_assert_int_eq(SSL_CTX_get_session_cache_mode(config->server), SSL_SESS_CACHE_OFF);
    ck_assert_int_eq(SSL_CTX_get_security_level(config->server), 2);
    thi_tls_config_unref(config);
    th_tls_unref(tls);
}
END_TEST

/* ---- replacing ---- */

START_TEST(connections_that_live_keep_theirs_and_new_ones_have_the_new)
{
    pair before, after;
    thi_tls_link_opts named = { .name = "one.test" };
    th_tls_facts f;
    th_tls *server = new_server(&leaf, (th_tls_opts){ 0 });
    th_tls *newer = new_server(&other_leaf, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    open_pair(&before, server, NULL, client, &named); /* not a byte has been said yet */
    ck_assert_int_eq(th_tls_replace(server, newer), 0);
    th_tls_unref(newer);
    try_pair(&after, server, client, "one.test");
    EXPECT_DONE(&after);
    ck_assert_str_eq(seen_by(&after), "two");
    shake(&before);
    EXPECT_DONE(&before);
    ck_assert_str_eq(seen_by(&before), "one");
    ck_assert_int_eq(th_tls_tell(server, sizeof f, &f), 0);
    ck_assert_uint_eq(f.generation, 2);
    ck_assert_uint_eq(f.names, 2);
    ck_assert_int_eq(th_tls_replace(server, server), 0); /* of no effect, and of no harm */
    ck_assert_int_eq(th_tls_replace(NULL, server), -EINVAL);
    ck_assert_int_eq(th_tls_replace(server, NULL), -EINVAL);
    th_tls_unref(server); /* the connections need it no more */
    th_tls_unref(client);
    close_pair(&before);
    close_pair(&after);
}
END_TEST

START_TEST(references_are_counted_and_null_is_nothing)
{
    th_tls *tls = new_tls((th_tls_opts){ 0 });
    ck_assert_ptr_eq(th_tls_ref(tls), tls);
    th_tls_unref(tls);
    th_tls_unref(tls);
    ck_assert_ptr_null(th_tls_ref(NULL));
    th_tls_unref(NULL);
}
END_TEST

START_TEST(the_default_of_clients_is_one_for_all)
{
    th_tls *a, *b;
    ck_assert_int_eq(th_tls_client_default(&a), 0);
    ck_assert_int_eq(th_tls_client_default(&b), 0);
    ck_assert_ptr_eq(a, b);
    th_tls_unref(a);
    th_tls_unref(b);
    ck_assert_int_eq(th_tls_client_default(NULL), -EINVAL);
}
END_TEST

START_TEST(a_server_needs_a_certificate)
{
    thi_tls_link link;
    th_tls *tls = new_tls((th_tls_opts){ 0 });
    thi_tls_config *config = thi_tls_config_of(tls);
    ck_assert_int_eq(thi_tls_link_open(&link, config, true, &(thi_tls_link_opts){ 0 }), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no certificate"));
    thi_tls_config_unref(config);
    th_tls_unref(tls);
}
END_TEST

/* What notes the hellos with early data is large, and there may be thousands of certificates. */
START_TEST(certificates_share_what_guards_early_data)
{
    th_tls_cert certs[] = { cert_of(&leaf), cert_of(&other_leaf) };
    th_tls_opts opts = { .certs = certs, .certs_count = 2 };
    int64_t live[2];
    th_tls_unref(new_tls(opts)); /* what is made once per process */
    for (int i = 0; i < 2; i++) {
        opts.early_data_max = i == 0 ? 0 : 1000;
        (void)thi_alloc_fail_at(0);
        int64_t before = thi_alloc_live();
        th_tls *tls = new_tls(opts);
        thi_tls_config *config = thi_tls_config_of(tls);
        ck_assert_uint_eq(config->others_count, 1);
        thi_tls_config_unref(config);
        live[i] = thi_alloc_live() - before;
        th_tls_unref(tls);
    }
    ck_assert_int_eq(live[1] - live[0], 1);
}
END_TEST

/* ---- without memory ---- */

static int build_context(void *opts)
{
    th_tls *tls = NULL;
    int err = th_tls_new(opts, &tls);
    ck_assert(err == 0 || !tls);
    th_tls_unref(tls);
    return err;
}

START_TEST(without_memory_nothing_is_built_and_nothing_left)
{
    const char *const protocols[] = { "h2", "http/1.1", NULL };
    const char *const pins[] = { "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", NULL };
    char *trust = PEM_OF(ca.cert);
    th_tls_cert certs[] = { cert_of(&leaf), cert_of(&other_leaf) };
    th_tls_opts opts = { .certs = certs,
                         .certs_count = 2,
                         .alpn = protocols,
                         .trust = { .memory = th_str_of(trust), .pins = pins } };
    ck_assert_int_gt(starve(thi_alloc_fail_at, build_context, &opts), 10);
}
END_TEST

static int open_link(void *config)
{
    thi_tls_link link;
    const char *const protocols[] = { "h2", NULL };
    thi_tls_link_opts opts = { .name = "one.test", .alpn = protocols };
    int err = thi_tls_link_open(&link, config, false, &opts);
    if (err == 0)
        thi_tls_link_close(&link);
    return err;
}

START_TEST(without_memory_no_connection_is_opened)
{
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    thi_tls_config *config = thi_tls_config_of(client);
    ck_assert_int_gt(starve(thi_alloc_fail_at, open_link, config), 2);
    thi_tls_config_unref(config);
    th_tls_unref(client);
}
END_TEST

/* ---- on fibers and threads ---- */

FIBER_TEST(a_fiber_builds_a_context_off_the_loop)
{
    char *cert = write_file("leaf.pem", PEM_OF(leaf.cert));
    char *key = write_file("leaf.key", pem_of_key(leaf.key, NULL, 0));
    th_tls_unref(new_tls((th_tls_opts){ .cert = cert, .key = key }));
    EXPECT_REFUSED(-ENOENT, "none.pem", { .cert = path_of("none.pem"), .key = key });
    EXPECT_REFUSED(TH_ETLS, "no cipher match", { .cert = cert, .key = key, .ciphers = "nonsense" });
}

FIBER_TEST(who_is_cancelled_builds_nothing)
{
    th_scope scope;
    th_tls *tls = NULL;
    char *cert = write_file("leaf.pem", PEM_OF(leaf.cert));
    char *key = write_file("leaf.key", pem_of_key(leaf.key, NULL, 0));
    th_tls_opts opts = { .cert = cert, .key = key };
    open_scope(&scope);
    th_scope_cancel(&scope, -ECANCELED);
    ck_assert_int_eq(th_tls_new(&opts, &tls), -ECANCELED);
    ck_assert_ptr_null(tls);
    (void)!th_scope_close(&scope);
}

/* Row of the behaviours: 1,000 handshakes on 4 threads, and meanwhile the context is replaced. */
enum { THREADS = 4, EACH = 250 };

typedef struct crowd {
    th_tls *server, *client;
    atomic_int good;
} crowd;

static void *shake_often(void *arg)
{
    crowd *c = arg;
    pair p;
    for (int i = 0; i < EACH; i++) {
        thi_tls_link_opts opts = { .name = "one.test" };
        open_pair(&p, c->server, NULL, c->client, &opts);
        shake(&p);
        if (p.client.result == 0 && p.server.result == 0)
            atomic_fetch_add(&c->good, 1);
        close_pair(&p);
    }
    return NULL;
}

START_TEST(many_threads_use_one_context_without_a_lock)
{
    crowd c = { .server = new_server(&leaf, (th_tls_opts){ 0 }),
                .client = new_client(&ca, (th_tls_opts){ 0 }) };
    th_tls *newer = new_server(&other_leaf, (th_tls_opts){ 0 });
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, shake_often, &c), 0);
    while (atomic_load(&c.good) < THREADS * EACH / 2)
        ck_assert_int_eq(th_tls_replace(c.server, newer), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(atomic_load(&c.good), THREADS * EACH);
    th_tls_unref(newer);
    th_tls_unref(c.server);
    th_tls_unref(c.client);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "contexts");
    tcase_add_unchecked_fixture(tcase, make_issued, drop_all);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_client_verifies_a_server_by_default);
    tcase_add_test(tcase, files_that_are_missing_or_broken_are_told_with_path_and_reason);
    tcase_add_test(tcase, a_key_of_another_certificate_is_refused);
    tcase_add_test(tcase, a_key_that_is_too_small_is_refused_and_old_takes_it);
    tcase_add_test(tcase, certificates_and_keys_may_be_objects);
    tcase_add_test(tcase, paths_may_have_any_bytes);
    tcase_add_test(tcase, the_chain_behind_the_certificate_is_sent_in_order);
    tcase_add_test(tcase, an_encrypted_key_opens_by_value_and_by_callback_asked_once);
    tcase_add_test(tcase, a_wrong_phrase_and_none_are_errors_and_nobody_is_asked);
    tcase_add_test(tcase, a_phrase_counts_whole_and_is_never_shortened);
    tcase_add_test(tcase, a_failure_of_the_phrases_callback_is_the_result);
    tcase_add_test(tcase, misuse_is_told_and_builds_nothing);
    tcase_add_test(tcase, settings_are_read_back_and_defaults_are_as_documented);
    tcase_add_test(tcase, fixed_rules_hold_for_both_roles);
    tcase_add_test(tcase, connections_that_live_keep_theirs_and_new_ones_have_the_new);
    tcase_add_test(tcase, references_are_counted_and_null_is_nothing);
    tcase_add_test(tcase, the_default_of_clients_is_one_for_all);
    tcase_add_test(tcase, a_server_needs_a_certificate);
    tcase_add_test(tcase, certificates_share_what_guards_early_data);
    tcase_add_test(tcase, without_memory_nothing_is_built_and_nothing_left);
    tcase_add_test(tcase, without_memory_no_connection_is_opened);
    tcase_add_test(tcase, a_fiber_builds_a_context_off_the_loop);
    tcase_add_test(tcase, who_is_cancelled_builds_nothing);
    tcase_add_test(tcase, many_threads_use_one_context_without_a_lock);
}

int main(void)
{
    return thi_check_run("tls/context", fill);
}
