/* SPDX-License-Identifier: MIT */

/* What is spoken: profiles, versions, ciphers, suites, groups, and failures to agree. */
#include "links.h"

static issued ca, leaf, rsa;

static void setup(void)
{
    ca = issue(NULL, (wish){ .cn = "Root", .ca = true });
    leaf = issue(&ca, (wish){ .cn = "leaf", .alts = "DNS:db.test" });
    rsa = issue(&ca, (wish){ .cn = "rsa", .key = "rsa", .alts = "DNS:db.test" });
}

static void teardown(void)
{
    drop_issued(&ca);
    drop_issued(&leaf);
    drop_issued(&rsa);
}

static void meet(pair *p, th_tls_opts serving, th_tls_opts calling)
{
    th_tls *server = new_server(&leaf, serving);
    th_tls *client = new_client(&ca, calling);
    try_pair(p, server, client, "db.test");
    th_tls_unref(server);
    th_tls_unref(client);
}

static bool knows_cipher(const SSL_CTX *ctx, const char *name)
{
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
        if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)), name) == 0)
            return true;
    return false;
}

/* With a signer behind the key their handshakes would fail, whoever names them. */
START_TEST(a_private_key_never_decrypts)
{
    const char *ciphers = "AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256";
    th_tls *tls = new_server(&leaf, (th_tls_opts){ .ciphers = ciphers });
    thi_tls_config *config = thi_tls_config_of(tls);
    ck_assert(knows_cipher(config->server, "ECDHE-ECDSA-AES128-GCM-SHA256"));
    ck_assert(!knows_cipher(config->server, "AES128-GCM-SHA256"));
    thi_tls_config_unref(config);
    th_tls_unref(tls);
    EXPECT_REFUSED(TH_ETLS, "no cipher match", { .ciphers = "AES128-GCM-SHA256" });
}
END_TEST

START_TEST(ciphers_that_match_nothing_are_refused)
{
    EXPECT_REFUSED(TH_ETLS, "no cipher match", { .ciphers = "NONSENSE" });
    EXPECT_REFUSED(TH_ETLS, "no cipher match", { .ciphers = "" });
    EXPECT_REFUSED(TH_ETLS, "no cipher match", { .ciphers = "TLS_AES_128_GCM_SHA256" });
    EXPECT_REFUSED(TH_ETLS, "suites 'NONSENSE'", { .suites13 = "NONSENSE" });
    EXPECT_REFUSED(TH_ETLS, "groups 'NONSENSE'", { .groups = "NONSENSE" });
    EXPECT_REFUSED(TH_ECONFIG, "profile 'best'", { .profile = "best" });
    EXPECT_REFUSED(-EINVAL, "version", { .min_version = 0x0302 });
    EXPECT_REFUSED(-EINVAL, "version", { .max_version = 2 });
    EXPECT_REFUSED(-EINVAL, "below the minimum",
                   { .min_version = TH_TLS_1_3, .max_version = TH_TLS_1_2 });
    EXPECT_REFUSED(-EINVAL, "below the minimum",
                   { .profile = "modern", .max_version = TH_TLS_1_2 });
}
END_TEST

START_TEST(the_lists_of_1_2_and_1_3_do_not_touch_each_other)
{
    pair p;
    th_tls_opts calling = { .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305",
                            .suites13 = "TLS_CHACHA20_POLY1305_SHA256" };
    meet(&p, (th_tls_opts){ 0 }, (th_tls_opts){ .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" });
    EXPECT_DONE(&p);
    ck_assert_str_eq(SSL_get_version(p.client.link.ssl), "TLSv1.3");
    close_pair(&p);
    meet(&p, (th_tls_opts){ 0 }, calling);
    ck_assert_str_eq(SSL_get_cipher_name(p.client.link.ssl), "TLS_CHACHA20_POLY1305_SHA256");
    close_pair(&p);
    meet(&p, (th_tls_opts){ .max_version = TH_TLS_1_2 }, calling);
    ck_assert_str_eq(SSL_get_cipher_name(p.server.link.ssl), "ECDHE-ECDSA-CHACHA20-POLY1305");
    close_pair(&p);
}
END_TEST

/* By 1.2 and 1.3, whatever the client would like best; but for one that is poor at AES. */
START_TEST(a_server_takes_its_own_best_cipher)
{
    static const struct {
        int version;
        const char *has, *suites, *taken;
    } cases[] = {
        { TH_TLS_1_3, NULL,
          "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"
          "TLS_AES_128_GCM_SHA256",
          "TLS_AES_128_GCM_SHA256" },
        { TH_TLS_1_3, NULL, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
          "TLS_CHACHA20_POLY1305_SHA256" },
        { TH_TLS_1_2,
          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
          "ECDHE-ECDSA-AES128-GCM-SHA256",
          NULL, "ECDHE-ECDSA-AES128-GCM-SHA256" },
        { TH_TLS_1_2, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", NULL,
          "ECDHE-ECDSA-CHACHA20-POLY1305" },
        { TH_TLS_1_2, "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384", NULL,
          "ECDHE-ECDSA-AES256-GCM-SHA384" },
    };
    pair p;
    meet(&p, (th_tls_opts){ .profile = "old" },
         (th_tls_opts){ .profile = "old",
                        .max_version = cases[_i].version,
                        .ciphers = cases[_i].has,
                        .suites13 = cases[_i].suites });
    EXPECT_DONE(&p);
    ck_assert_str_eq(SSL_get_cipher_name(p.client.link.ssl), cases[_i].taken);
    close_pair(&p);
}
END_TEST

START_TEST(versions_that_do_not_meet_fail_on_both_sides)
{
    pair p;
    meet(&p, (th_tls_opts){ .min_version = TH_TLS_1_3 },
         (th_tls_opts){ .max_version = TH_TLS_1_2 });
    ck_assert_int_eq(p.server.result, TH_ETLS);
    EXPECT_WORDS(&p.server, "unsupported protocol");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'protocol version'");
    close_pair(&p);
    meet(&p, (th_tls_opts){ .profile = "modern" }, (th_tls_opts){ .max_version = TH_TLS_1_2 });
    EXPECT_WORDS(&p.client, "'protocol version'");
    close_pair(&p);
}
END_TEST

START_TEST(without_a_common_cipher_or_group_both_sides_fail)
{
    pair p;
    th_tls_opts twelve = { .max_version = TH_TLS_1_2, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256" };
    meet(&p, (th_tls_opts){ 0 }, twelve); /* the server has an EC key */
    EXPECT_WORDS(&p.server, "no shared cipher");
    EXPECT_WORDS(&p.client, "the peer sent the alert 'handshake failure'");
    close_pair(&p);
    meet(&p, (th_tls_opts){ .groups = "P-384" }, (th_tls_opts){ .groups = "X25519" });
    ck_assert_int_eq(p.server.result, TH_ETLS);
    ck_assert_int_eq(p.client.result, TH_ETLS);
    close_pair(&p);
}
END_TEST

static const char *const profiles[] = { "intermediate", "modern", "old" };

/* Whatever is asked for: nothing without forward secrecy, nothing below 1.2. */
START_TEST(every_profile_has_forward_secrecy_only)
{
    th_tls *tls = new_server(&rsa, (th_tls_opts){ .profile = profiles[_i] });
    thi_tls_config *config = thi_tls_config_of(tls);
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(config->server);
    ck_assert_int_gt(sk_SSL_CIPHER_num(ciphers), 8);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
        int exchange = SSL_CIPHER_get_kx_nid(cipher);
        ck_assert(exchange == NID_kx_ecdhe || exchange == NID_kx_any);
        ck_assert(_i == 2 || SSL_CIPHER_is_aead(cipher));
        ck_assert_int_ge(SSL_CIPHER_get_bits(cipher, NULL), 128);
    }
    ck_assert_int_ge(SSL_CTX_get_min_proto_version(config->server), TLS1_2_VERSION);
    ck_assert_int_ge(SSL_CTX_get_min_proto_version(config->client), TLS1_2_VERSION);
    thi_tls_config_unref(config);
    th_tls_unref(tls);
}
END_TEST

START_TEST(old_takes_what_intermediate_refuses)
{
    pair p;
    th_tls_opts cbc = { .profile = "old",
                        .max_version = TH_TLS_1_2,
                        .ciphers = "ECDHE-ECDSA-AES128-SHA" };
    meet(&p, (th_tls_opts){ 0 }, cbc);
    EXPECT_WORDS(&p.server, "no shared cipher");
    close_pair(&p);
    meet(&p, (th_tls_opts){ .profile = "old" }, cbc);
    EXPECT_DONE(&p);
    close_pair(&p);
}
END_TEST

START_TEST(a_chain_that_is_too_long_in_bytes_or_depth_is_refused)
{
    pair p;
    meet(&p, (th_tls_opts){ 0 }, (th_tls_opts){ .chain_max = 100 });
    ck_assert_int_eq(p.client.result, TH_ETLS);
    EXPECT_WORDS(&p.client, "excessive message size");
    close_pair(&p);
    issued a = issue(&ca, (wish){ .cn = "a", .ca = true });
    issued b = issue(&a, (wish){ .cn = "b", .ca = true });
    issued deep = issue(&b, (wish){ .cn = "deep", .alts = "DNS:db.test" });
    th_tls_cert cert = { .cert_pem = th_str_of(PEM_OF(deep.cert, b.cert, a.cert)),
                         .key_pem = th_str_of(pem_of_key(deep.key, NULL, 0)) };
    th_tls *server = new_tls((th_tls_opts){ .certs = &cert, .certs_count = 1 });
    th_tls *two = new_client(&ca, (th_tls_opts){ .verify_depth = 2 });
    th_tls *one = new_client(&ca, (th_tls_opts){ .verify_depth = 1 });
    try_pair(&p, server, two, "db.test");
    EXPECT_DONE(&p);
    close_pair(&p);
    try_pair(&p, server, one, "db.test");
    EXPECT_WORDS(&p.client, "certificate chain too long");
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(one);
    th_tls_unref(two);
    drop_issued(&a);
    drop_issued(&b);
    drop_issued(&deep);
}
END_TEST

START_TEST(plain_text_to_a_server_and_from_one_is_told)
{
    pair p;
    char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    th_tls *server = new_server(&leaf, (th_tls_opts){ 0 });
    th_tls *client = new_client(&ca, (th_tls_opts){ 0 });
    thi_tls_link_opts opts = { .name = "db.test" };
    open_pair(&p, server, NULL, client, &opts);
    ck_assert_int_gt(BIO_write(SSL_get_wbio(p.client.link.ssl), text, (int)strlen(text)), 0);
    step(&p.server);
    EXPECT_WORDS(&p.server, "the peer speaks HTTP, not TLS");
    close_pair(&p);
    open_pair(&p, server, NULL, client, &opts);
    ck_assert_int_gt(BIO_write(SSL_get_wbio(p.server.link.ssl), answer, (int)strlen(answer)), 0);
    step(&p.client);
    EXPECT_WORDS(&p.client, "what the peer sends is not TLS");
    close_pair(&p);
    th_tls_unref(server);
    th_tls_unref(client);
}
END_TEST

START_TEST(alerts_have_names)
{
    ck_assert_str_eq(thi_tls_alert_name(48), "unknown ca");
    ck_assert_str_eq(thi_tls_alert_name(0), "close notify");
    ck_assert_str_eq(thi_tls_alert_name(250), "of an unknown kind");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "policy");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_private_key_never_decrypts);
    tcase_add_test(tcase, ciphers_that_match_nothing_are_refused);
    tcase_add_loop_test(tcase, a_server_takes_its_own_best_cipher, 0, 5);
    tcase_add_test(tcase, the_lists_of_1_2_and_1_3_do_not_touch_each_other);
    tcase_add_test(tcase, versions_that_do_not_meet_fail_on_both_sides);
    tcase_add_test(tcase, without_a_common_cipher_or_group_both_sides_fail);
    tcase_add_loop_test(tcase, every_profile_has_forward_secrecy_only, 0, 3);
    tcase_add_test(tcase, old_takes_what_intermediate_refuses);
    tcase_add_test(tcase, a_chain_that_is_too_long_in_bytes_or_depth_is_refused);
    tcase_add_test(tcase, plain_text_to_a_server_and_from_one_is_told);
    tcase_add_test(tcase, alerts_have_names);
}

int main(void)
{
    return thi_check_run("tls/policy", fill);
}
