/* SPDX-License-Identifier: MIT */

/* Keys, certificates and contexts without memory: ours, and OpenSSL's. */
#include "starving.h"
#include "authorities.h"

#include <thrum/cert_store.h>
#include <thrum/crl.h>
#include <thrum/pkcs12.h>
#include <thrum/tls.h>

/* What the bodies work with; made with memory. */
static authority root;
static th_key *key;
static th_cert *cert;
static th_str key_pem, sealed_pem, cert_pem, public_pem;
static const th_passphrase phrase = { .text = { "secret", 6 } };
static const th_key_write_opts cheap = { .phrase = &phrase, .iterations = 1000 };

static void prepare(void)
{
    setup();
    root = new_authority("CN=Root");
    /* Of a kind that is not measured: a thread of the pool would come and go meanwhile. */
    key = new_key("ed25519");
    th_cert_alt alt = { TH_ALT_DNS, TH_STR("a.test") };
    th_cert_opts opts = { .alts = &alt, .alts_count = 1 };
    ck_ok(th_cert_issue(root.cert, root.key, key, &opts, &cert));
    ck_ok(th_key_pem(key, NULL, &arena, &key_pem));
    ck_ok(th_key_pem(key, &cheap, &arena, &sealed_pem));
    ck_ok(th_key_public_pem(key, &arena, &public_pem));
    ck_ok(th_cert_pem(cert, &arena, &cert_pem));
}

static void finish(void)
{
    th_cert_unref(cert);
    th_key_unref(key);
    drop_authority(&root);
    teardown();
}

static int read_key(void *text)
{
    th_key *read = NULL;
    int err = th_key_parse(*(th_str *)text, &phrase, &read);
    th_key_unref(read);
    /* What OpenSSL could not parse for lack of memory looks to it like what a wrong phrase gives.
     */
    return err == -EACCES ? TH_ETLS : err;
}

static int make_key(void *what)
{
    th_key *made = NULL;
    int err = th_key_new(what, &made);
    th_key_unref(made);
    return err;
}

static int write_key(void *arg)
{
    th_arena own;
    th_str text;
    th_key *public_key = NULL;
    (void)arg;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_key_pem(key, &cheap, &own, &text);
    if (err == 0)
        err = th_key_der(key, NULL, &own, &text);
    if (err == 0)
        err = th_key_fingerprint(key, "sha384", &own, &text);
    if (err == 0)
        err = th_key_public(key, &public_key);
    if (err == 0)
        err = th_key_check(key);
    th_key_unref(public_key);
    th_arena_deinit(&own);
    return err;
}

static int issue(void *arg)
{
    th_arena own;
    th_cert *made = NULL;
    th_cert_info info;
    th_str text;
    th_cert_alt alts[] = { { TH_ALT_DNS, TH_STR("b.test") }, { TH_ALT_IP, TH_STR("::1") } };
    th_cert_opts opts = { .alts = alts,
                          .alts_count = 2,
                          .crl_url = "http://a.test/crl",
                          .ocsp_url = "http://a.test/ocsp",
                          .policies = "1.2.3.4" };
    (void)arg;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_cert_issue(root.cert, root.key, key, &opts, &made);
    if (err == 0)
        err = th_cert_get_info(made, &own, &info);
    if (err == 0)
        err = th_cert_text(made, &own, &text);
    th_cert_unref(made);
    th_arena_deinit(&own);
    return err;
}

static int request(void *arg)
{
    th_cert_request *made = NULL;
    th_cert *granted = NULL;
    th_cert_alt alt = { TH_ALT_DNS, TH_STR("c.test") };
    th_cert_opts opts = { .alts = &alt, .alts_count = 1 };
    (void)arg;
    int err = th_cert_request_new(key, &opts, &made);
    if (err == 0)
        err = th_cert_issue_request(root.cert, root.key, made, NULL, &granted);
    th_cert_unref(granted);
    th_cert_request_unref(made);
    return err;
}

static int list_revoked(void *arg)
{
    th_arena own;
    th_str text;
    th_crl *list = NULL, *read = NULL;
    th_crl_entry entry = { .serial = "0102", .reason = "keyCompromise" };
    th_crl_opts opts = { .entries = &entry, .entries_count = 1, .number = "07" };
    (void)arg;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_crl_new(root.cert, root.key, &opts, &list);
    if (err == 0)
        err = th_crl_pem(list, &own, &text);
    if (err == 0)
        err = th_crl_parse(text, &read);
    if (err == 0)
        err = th_crl_text(read, &own, &text);
    th_crl_unref(list);
    th_crl_unref(read);
    th_arena_deinit(&own);
    return err;
}

static int check(void *arg)
{
    th_arena own;
    th_cert_verdict verdict = { 0 };
    th_cert_store *store = NULL;
    th_cert_check_opts opts = { .purpose = "server", .host = TH_STR("a.test") };
    (void)arg;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_cert_store_new(&store);
    if (err == 0)
        err = th_cert_store_add(store, root.cert);
    if (err == 0)
        err = th_cert_check(store, cert, &opts, &own, &verdict);
    th_certs_clear(&verdict.chain);
    th_cert_store_unref(store);
    th_arena_deinit(&own);
    return err;
}

static int pack(void *arg)
{
    th_arena own;
    th_str der;
    th_pkcs12 from = { .key = key, .cert = cert, .name = "one" };
    th_pkcs12 read = { 0 };
    (void)arg;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_pkcs12_write(&from, &phrase, &(th_pkcs12_opts){ .iterations = 1000 }, &own, &der);
    if (err == 0)
        err = th_pkcs12_parse(der, &phrase, &read);
    th_pkcs12_clear(&read);
    th_arena_deinit(&own);
    return err;
}

static int build(void *arg)
{
    th_tls *tls = NULL;
    th_tls_cert own = { .cert_pem = cert_pem, .key_pem = key_pem };
    th_tls_opts opts = { .certs = &own, .certs_count = 1, .dtls = 1, .early_data_max = 100 };
    (void)arg;
    opts.trust.memory = cert_pem;
    opts.client_auth = TH_TLS_CLIENT_AUTH_OPTIONAL;
    int err = th_tls_new(&opts, &tls);
    th_tls_unref(tls);
    return err;
}

static const struct {
    const char *name;
    starving_body *body;
    void *arg;
} bodies[] = {
    { "a key in the clear", read_key, &key_pem },
    { "an encrypted key", read_key, &sealed_pem },
    { "a public key", read_key, &public_pem },
    { "a new EC key", make_key, "ec" },
    { "a new Ed25519 key", make_key, "ed25519" },
    { "writing keys", write_key, NULL },
    { "issuing", issue, NULL },
    { "a request", request, NULL },
    { "a revocation list", list_revoked, NULL },
    { "a check", check, NULL },
    { "PKCS#12", pack, NULL },
    { "a context", build, NULL },
};

#define BODIES (int)(sizeof bodies / sizeof *bodies)

START_TEST(without_memory_of_ours)
{
    int64_t failed = starve(thi_alloc_fail_at, bodies[_i].body, bodies[_i].arg);
    ck_assert_msg(failed > 0, "%s", bodies[_i].name);
}
END_TEST

START_TEST(without_memory_of_openssl)
{
    int64_t failed = starve(openssl_fail_at, bodies[_i].body, bodies[_i].arg);
    ck_assert_msg(failed > 10, "%s", bodies[_i].name);
}
END_TEST

/* What is made once in a process is made at the next use when there was no memory at the first. */
START_TEST(a_lack_at_the_first_use_does_not_last)
{
    int err = -ENOMEM;
    for (int64_t n = 1; n < 5000 && err < 0; n++) {
        (void)openssl_fail_at(n);
        err = build(NULL);
        (void)openssl_fail_at(0);
    }
    ck_ok(build(NULL));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "memory");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, prepare, finish);
    tcase_add_loop_test(tcase, without_memory_of_ours, 0, BODIES);
    tcase_add_loop_test(tcase, without_memory_of_openssl, 0, BODIES);
    tcase_add_test(tcase, a_lack_at_the_first_use_does_not_last);
}

int main(void)
{
    if (!starve_openssl())
        return 1;
    return thi_check_run("tls/memory", fill);
}
