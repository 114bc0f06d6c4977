/* SPDX-License-Identifier: MIT */

/* Stores and the check of a chain: who is trusted, what is found out, in which words. */
#include "authorities.h"
#include "starving.h"

#include "base/alloc.h"

#include <thrum/cert_store.h>
#include <thrum/time.h>

#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <sys/stat.h>

/* Root, middle and leaf, each signed by the one before. */
typedef struct tree {
    authority root, middle;
    th_key *key;
    th_cert *leaf;
    th_certs chain; /* the middle */
} tree;

static th_cert *new_leaf(const authority *a, const th_key *key, th_cert_opts *opts)
{
    th_cert *leaf = NULL;
    ck_ok(th_cert_issue(a->cert, a->key, key, opts, &leaf));
    return leaf;
}

static tree new_tree(void)
{
    tree t = { .root = new_authority("CN=Root"), .key = new_key("ec") };
    t.middle = new_authority_below(&t.root, "CN=Middle");
    static const th_cert_alt alt = { TH_ALT_DNS, { "leaf.example", 12 } };
    th_cert_opts opts = {
        .subject = name_of("CN=leaf"), .alts = &alt, .alts_count = 1, .serial = "05"
    };
    t.leaf = new_leaf(&t.middle, t.key, &opts);
    ck_ok(th_certs_add(&t.chain, t.middle.cert));
    return t;
}

static void drop_tree(tree *t)
{
    th_certs_clear(&t->chain);
    th_cert_unref(t->leaf);
    th_key_unref(t->key);
    drop_authority(&t->middle);
    drop_authority(&t->root);
}

static th_cert_store *store_of(th_cert *a, th_cert *b)
{
    th_cert_store *store = NULL;
    ck_ok(th_cert_store_new(&store));
    if (a)
        ck_ok(th_cert_store_add(store, a));
    if (b)
        ck_ok(th_cert_store_add(store, b));
    return store;
}

/* Checks, and wants that code at that depth; 0: good. */
static void ck_check(th_cert_store *store, const th_cert *cert, const th_cert_check_opts *opts,
                     int code, int depth)
{
    th_cert_verdict verdict = { .code = -1 };
    int err = th_cert_check(store, cert, opts, &arena, &verdict);
    ck_assert_msg(verdict.code == code, "%d (%s) at %d: %s", verdict.code, verdict.name,
                  verdict.depth, th_err_detail());
    ck_assert_int_eq(err, code == 0 ? 0 : TH_ETLS);
    ck_assert_int_eq(verdict.depth, depth);
    if (code != 0)
        ck_assert_str_eq(verdict.words.ptr, th_err_detail());
    else
        ck_assert_uint_eq(verdict.words.len, 0);
    ck_assert_uint_ge(verdict.chain.count, 1);
    ck_assert_int_eq(th_cert_equal(verdict.chain.at[0], cert), 1);
    th_certs_clear(&verdict.chain);
    ck_assert_int_eq(th_cert_check(store, cert, opts, NULL, NULL), err);
}

/* ---- chains ---- */

START_TEST(a_whole_chain_is_good_and_ends_at_the_trusted_one)
{
    tree t = new_tree();
    th_cert_store *store = store_of(t.root.cert, NULL);
    th_cert_check_opts opts = { .chain = &t.chain, .purpose = "server" };
    th_cert_verdict verdict;
    ck_ok(th_cert_check(store, t.leaf, &opts, &arena, &verdict));
    ck_assert_int_eq(verdict.code, 0);
    ck_assert_uint_eq(verdict.chain.count, 3);
    ck_assert_int_eq(th_cert_equal(verdict.chain.at[0], t.leaf), 1);
    ck_assert_int_eq(th_cert_equal(verdict.chain.at[1], t.middle.cert), 1);
    ck_assert_int_eq(th_cert_equal(verdict.chain.at[2], t.root.cert), 1);
    th_certs_clear(&verdict.chain);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(a_missing_link_is_told_where_it_is_missing)
{
    tree t = new_tree();
    th_cert_store *nobody = store_of(NULL, NULL), *root = store_of(t.root.cert, NULL);
    th_cert_check_opts with = { .chain = &t.chain }, without = { 0 };
    /* OpenSSL 3 calls a missing root "issuer" only where its certificate is trusted itself. */
    ck_check(nobody, t.leaf, &with, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
    ck_detail("Middle");
    ck_check(root, t.leaf, &without, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0);
    ck_detail("leaf");
    th_cert_store *middle = store_of(t.middle.cert, NULL);
    ck_check(middle, t.leaf, &without, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, 1);
    th_cert_check_opts partial = { .partial = 1 };
    ck_check(middle, t.leaf, &partial, 0, 0);
    th_cert_store_unref(nobody);
    th_cert_store_unref(root);
    th_cert_store_unref(middle);
    drop_tree(&t);
}
END_TEST

START_TEST(one_that_signed_itself_has_a_code_of_its_own)
{
    authority a = new_authority("CN=Self"), b = new_authority("CN=Root");
    th_cert_store *store = store_of(b.cert, NULL);
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=x") };
    th_cert *leaf = new_leaf(&a, key, &opts);
    th_certs chain = { 0 };
    ck_ok(th_certs_add(&chain, a.cert));
    th_cert_check_opts with = { .chain = &chain };
    ck_check(store, a.cert, NULL, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 0);
    ck_check(store, leaf, &with, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 1);
    ck_ok(th_cert_store_add(store, a.cert));
    ck_check(store, a.cert, NULL, 0, 0);
    ck_check(store, leaf, &with, 0, 0);
    th_certs_clear(&chain);
    th_cert_unref(leaf);
    th_key_unref(key);
    th_cert_store_unref(store);
    drop_authority(&a);
    drop_authority(&b);
}
END_TEST

START_TEST(a_store_that_was_changed_is_seen_by_the_next_check)
{
    tree t = new_tree();
    th_cert_store *store = store_of(NULL, NULL);
    th_cert_check_opts opts = { .chain = &t.chain };
    for (int i = 0; i < 2; i++)
        ck_check(store, t.leaf, &opts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
    ck_ok(th_cert_store_add(store, t.root.cert));
    for (int i = 0; i < 3; i++) { /* and what was given for the way stays as it was */
        ck_check(store, t.leaf, &opts, 0, 0);
        ck_assert_uint_eq(t.chain.count, 1);
        ck_assert_int_eq(th_cert_equal(t.chain.at[0], t.middle.cert), 1);
    }
    ck_ok(th_cert_store_add(store, t.root.cert)); /* once more does no harm */
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(time_is_checked_to_the_second)
{
    authority root = new_authority("CN=Root");
    th_key *key = new_key("ec");
    int64_t now = th_wall() / TH_SECOND;
    th_cert_opts opts = { .subject = name_of("CN=x"),
                          .not_before = now + 100,
                          .not_after = now + 200 };
    th_cert *leaf = new_leaf(&root, key, &opts);
    th_cert_store *store = store_of(root.cert, NULL);
    static const struct {
        int64_t after;
        int code;
    } times[] = { { 99, X509_V_ERR_CERT_NOT_YET_VALID },
                  { 100, 0 },
                  { 199, 0 },
                  { 200, X509_V_ERR_CERT_HAS_EXPIRED },
                  { 201, X509_V_ERR_CERT_HAS_EXPIRED } };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        th_cert_check_opts at = { .when = now + times[i].after };
        ck_check(store, leaf, &at, times[i].code, 0);
    }
    ck_detail("expired on");
    ck_check(store, leaf, NULL, X509_V_ERR_CERT_NOT_YET_VALID, 0);
    th_cert_unref(leaf);
    th_key_unref(key);
    th_cert_store_unref(store);
    drop_authority(&root);
}
END_TEST

START_TEST(names_purposes_depth_and_strength_are_checked)
{
    tree t = new_tree();
    th_cert_store *store = store_of(t.root.cert, NULL);
    th_cert_check_opts opts = { .chain = &t.chain, .host = TH_STR("leaf.example") };
    ck_check(store, t.leaf, &opts, 0, 0);
    opts.host = TH_STR("other.example");
    ck_check(store, t.leaf, &opts, X509_V_ERR_HOSTNAME_MISMATCH, 0);
    ck_detail("certificate is for leaf.example, not for other.example");
    opts.host = TH_STR("192.0.2.1");
    ck_check(store, t.leaf, &opts, X509_V_ERR_IP_ADDRESS_MISMATCH, 0);
    opts = (th_cert_check_opts){ .chain = &t.chain, .purpose = "client" };
    ck_check(store, t.leaf, &opts, X509_V_ERR_INVALID_PURPOSE, 0);
    opts = (th_cert_check_opts){ .chain = &t.chain, .depth_max = 1 };
    ck_check(store, t.leaf, &opts, 0, 0);
    opts.depth_max = -1;
    ck_check(store, t.leaf, &opts, X509_V_ERR_CERT_CHAIN_TOO_LONG, 1);
    th_key *weak = new_key("rsa:1024");
    th_cert_opts weak_opts = { .subject = name_of("CN=weak") };
    th_cert *leaf = new_leaf(&t.root, weak, &weak_opts);
    ck_check(store, leaf, NULL, X509_V_ERR_EE_KEY_TOO_SMALL, 0);
    opts = (th_cert_check_opts){ .security_level = -1 };
    ck_check(store, leaf, &opts, 0, 0);
    th_cert_unref(leaf);
    th_key_unref(weak);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(an_authority_may_not_exceed_its_bounds)
{
    authority root = { .key = new_key("ec") };
    th_cert_opts opts = { .subject = name_of("CN=Root"), .ca = 1, .path_limit = 1 };
    ck_ok(th_cert_self_sign(root.key, &opts, &root.cert));
    authority middle = new_authority_below(&root, "CN=Middle");
    th_key *key = new_key("ec");
    th_cert_opts leaf_opts = { .subject = name_of("CN=leaf") };
    th_cert *good = new_leaf(&root, key, &leaf_opts), *bad = new_leaf(&middle, key, &leaf_opts);
    th_cert_store *store = store_of(root.cert, NULL);
    th_certs chain = { 0 };
    ck_ok(th_certs_add(&chain, middle.cert));
    th_cert_check_opts with = { .chain = &chain };
    ck_check(store, good, NULL, 0, 0);
    ck_check(store, bad, &with, X509_V_ERR_PATH_LENGTH_EXCEEDED, 2);
    th_certs_clear(&chain);
    th_cert_unref(good);
    th_cert_unref(bad);
    th_key_unref(key);
    th_cert_store_unref(store);
    drop_authority(&middle);
    drop_authority(&root);
}
END_TEST

/* ---- revocation ---- */

static th_crl *list_of(const authority *a, const char *serial, int64_t next)
{
    th_crl_entry entry = { serial, 1, "keyCompromise" };
    th_crl_opts opts = { .entries = &entry,
                         .entries_count = serial != NULL,
                         .last_update = next ? next - 1 : 0,
                         .next_update = next };
    th_crl *crl = NULL;
    ck_ok(th_crl_new(a->cert, a->key, &opts, &crl));
    return crl;
}

START_TEST(what_is_revoked_is_refused_and_so_is_a_missing_list)
{
    tree t = new_tree();
    th_cert_store *store = store_of(t.root.cert, NULL);
    th_cert_check_opts leaf = { .chain = &t.chain, .crl = TH_CRL_LEAF };
    th_cert_check_opts all = { .chain = &t.chain, .crl = TH_CRL_ALL };
    th_crl *empty = list_of(&t.middle, NULL, 0), *root = list_of(&t.root, NULL, 0);
    th_crl *revoking = list_of(&t.middle, "05", 0);
    ck_check(store, t.leaf, &leaf, X509_V_ERR_UNABLE_TO_GET_CRL, 0);
    ck_detail("leaf");
    ck_ok(th_cert_store_add_crl(store, empty));
    ck_check(store, t.leaf, &leaf, 0, 0);
    ck_check(store, t.leaf, &all, X509_V_ERR_UNABLE_TO_GET_CRL, 1);
    ck_detail("Middle");
    ck_ok(th_cert_store_add_crl(store, root));
    ck_check(store, t.leaf, &all, 0, 0);
    th_cert_store *other = store_of(t.root.cert, NULL);
    ck_ok(th_cert_store_add_crl(other, revoking));
    ck_check(other, t.leaf, &leaf, X509_V_ERR_CERT_REVOKED, 0);
    ck_detail("leaf: certificate revoked");
    th_cert_check_opts none = { .chain = &t.chain };
    ck_check(other, t.leaf, &none, 0, 0);
    th_crl_unref(empty);
    th_crl_unref(root);
    th_crl_unref(revoking);
    th_cert_store_unref(store);
    th_cert_store_unref(other);
    drop_tree(&t);
}
END_TEST

START_TEST(a_list_that_is_too_old_does_not_count)
{
    tree t = new_tree();
    th_cert_store *store = store_of(t.root.cert, NULL);
    th_cert_check_opts opts = { .chain = &t.chain, .crl = TH_CRL_LEAF };
    th_crl *old = list_of(&t.middle, NULL, th_wall() / TH_SECOND - 10);
    ck_ok(th_cert_store_add_crl(store, old));
    ck_check(store, t.leaf, &opts, X509_V_ERR_CRL_HAS_EXPIRED, 0);
    th_crl_unref(old);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(a_list_that_is_looked_into_keeps_its_order)
{
    tree t = new_tree();
    static const th_crl_entry entries[] = { { "09", 1, NULL }, { "01", 1, NULL } };
    th_crl_opts opts = { .entries = entries, .entries_count = 2 };
    th_crl *crl = NULL;
    th_crl_info info;
    ck_ok(th_crl_new(t.middle.cert, t.middle.key, &opts, &crl));
    th_cert_store *store = store_of(t.root.cert, NULL);
    ck_ok(th_cert_store_add_crl(store, crl));
    th_cert_check_opts check = { .chain = &t.chain, .crl = TH_CRL_LEAF };
    ck_check(store, t.leaf, &check, 0, 0);
    ck_ok(th_crl_get_info(crl, &arena, &info));
    ck_assert_str_eq(info.entries[0].serial, "09");
    ck_assert_str_eq(info.entries[1].serial, "01");
    th_crl_unref(crl);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

/* ---- where from ---- */

static th_str pem_of(const th_cert *cert)
{
    th_str pem;
    ck_ok(th_cert_pem(cert, &arena, &pem));
    return pem;
}

START_TEST(trust_comes_from_texts_files_and_directories)
{
    tree t = new_tree();
    th_cert_check_opts opts = { .chain = &t.chain, .crl = TH_CRL_LEAF };
    th_crl *crl = list_of(&t.middle, NULL, 0);
    th_cert_store *store = store_of(NULL, NULL);
    th_str list, der;
    ck_ok(th_crl_pem(crl, &arena, &list));
    ck_ok(th_cert_der(t.root.cert, &arena, &der));
    ck_assert_int_eq(th_cert_store_add_text(store, joined(pem_of(t.root.cert), list)), 2);
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    store = store_of(NULL, NULL);
    ck_assert_int_eq(th_cert_store_add_text(store, der), 1);
    ck_assert_int_eq(th_cert_store_add_text(store, list), 1);
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    opts.crl = TH_CRL_NONE;
    store = store_of(NULL, NULL);
    ck_ok(th_cert_store_add_path(store, write_file("root", pem_of(t.root.cert)), NULL));
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    th_crl_unref(crl);
    drop_tree(&t);
}
END_TEST

START_TEST(a_directory_is_read_when_it_is_needed)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    tree t = new_tree();
    th_cert_check_opts opts = { .chain = &t.chain };
    th_cert_store *store = store_of(NULL, NULL);
    ck_assert_int_eq(mkdir(path_of("empty"), 0700), 0);
    ck_assert_int_eq(mkdir(path_of("dir"), 0700), 0);
    ck_ok(th_cert_store_add_path(store, NULL, path_of("empty")));
    ck_check(store, t.leaf, &opts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
    ck_ok(th_cert_store_add_path(store, NULL, path_of("dir")));
    ck_check(store, t.leaf, &opts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
    write_file("dir/root.pem", pem_of(t.root.cert));
    run_well("openssl rehash dir");
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(bad_sources_are_refused_and_add_nothing)
{
    tree t = new_tree();
    th_cert_store *store = store_of(NULL, NULL);
    th_cert_check_opts opts = { .chain = &t.chain };
    th_str good = pem_of(t.root.cert), der, key;
    ck_ok(th_cert_der(t.root.cert, &arena, &der));
    ck_ok(th_key_pem(t.key, NULL, &arena, &key));
    ck_assert_int_eq(th_cert_store_add_text(store, TH_STR("")), TH_ETLS);
    ck_assert_int_eq(th_cert_store_add_text(store, key), TH_ETLS);
    ck_detail("there is no certificate");
    ck_assert_int_eq(th_cert_store_add_text(store, joined(der, TH_STR("x"))), TH_ETLS);
    th_str broken = TH_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    ck_assert_int_eq(th_cert_store_add_text(store, joined(good, broken)), TH_ETLS);
    broken = TH_STR("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    ck_assert_int_eq(th_cert_store_add_text(store, joined(good, broken)), TH_ETLS);
    const char *file = write_file("good", good);
    ck_assert_int_eq(th_cert_store_add_path(store, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_cert_store_add_path(store, path_of("none"), NULL), -ENOENT);
    ck_detail("/none");
    ck_assert_int_eq(th_cert_store_add_path(store, file, path_of("none")), -ENOENT);
    ck_assert_int_eq(th_cert_store_add_path(store, file, file), -ENOTDIR);
    ck_assert_int_eq(th_cert_store_add_path(store, write_file("key", key), NULL), TH_ETLS);
    ck_detail("/key: ");
    ck_assert_int_eq(th_cert_store_add(store, NULL), -EINVAL);
    ck_assert_int_eq(th_cert_store_add_crl(NULL, NULL), -EINVAL);
    ck_check(store, t.leaf, &opts, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(the_system_is_found_where_the_environment_says)
{
    tree t = new_tree();
    th_cert_check_opts opts = { .chain = &t.chain };
    th_cert_store *store = store_of(NULL, NULL);
    setenv("SSL_CERT_FILE", write_file("root", pem_of(t.root.cert)), 1);
    setenv("SSL_CERT_DIR", path_of("none"), 1);
    ck_ok(th_cert_store_add_system(store));
    ck_check(store, t.leaf, &opts, 0, 0);
    th_cert_store_unref(store);
    store = store_of(NULL, NULL);
    setenv("SSL_CERT_FILE", path_of("none"), 1);
    ck_assert_int_eq(th_cert_store_add_system(store), -ENOENT);
    ck_detail("SSL_CERT_FILE");
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

START_TEST(the_system_is_found)
{
    SKIP_UNLESS(access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0, "no authorities here");
    th_cert_store *store = store_of(NULL, NULL);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    ck_ok(th_cert_store_add_system(store));
    th_certs all = { 0 };
    ck_assert_int_gt(th_certs_load("/etc/ssl/certs/ca-certificates.crt", &all), 10);
    int good = 0;
    for (size_t i = 0; i < all.count; i++)
        good += th_cert_check(store, all.at[i], NULL, NULL, NULL) == 0;
    ck_assert_int_gt(good, 10);
    th_certs_clear(&all);
    th_cert_store_unref(store);
}
END_TEST

START_TEST(bad_wishes_are_misuse)
{
    tree t = new_tree();
    th_cert_store *store = store_of(t.root.cert, NULL);
    static const th_cert_check_opts bad[] = {
        { .size = sizeof(th_cert_check_opts) + 1 },
        { .purpose = "fun" },
        { .host = { "a\0b", 3 } },
        { .host = { NULL, 1 } },
        { .host = { ".example", 8 } },
        { .crl = 3 },
        { .crl = -1 },
        { .depth_max = 101 },
        { .depth_max = -2 },
        { .security_level = 6 },
        { .security_level = -2 },
    };
    th_cert_verdict verdict = { .code = 77 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(th_cert_check(store, t.leaf, &bad[i], &arena, &verdict), -EINVAL);
    ck_assert_int_eq(th_cert_check(store, t.leaf, NULL, NULL, &verdict), -EINVAL);
    ck_assert_int_eq(th_cert_check(store, NULL, NULL, &arena, &verdict), -EINVAL);
    ck_assert_int_eq(th_cert_check(NULL, t.leaf, NULL, &arena, &verdict), -EINVAL);
    ck_assert_int_eq(verdict.code, 77);
    th_cert_store_unref(store);
    drop_tree(&t);
}
END_TEST

/* ---- threads; without memory ---- */

#define THREADS 4
#define ROUNDS  100

typedef struct crowd {
    tree t;
    th_cert_store *store;
    th_crl *crl;
    int wrong[THREADS];
} crowd;

static crowd *all_of_them;

static void *check_often(void *arg)
{
    int *wrong = arg;
    crowd *c = all_of_them;
    th_cert_check_opts opts = { .chain = &c->t.chain, .crl = TH_CRL_LEAF };
    for (int i = 0; i < ROUNDS; i++) {
        th_cert_info info;
        th_arena own;
        th_str pem;
        th_cert *again = NULL;
        th_arena_init(&own, NULL, 0, 0);
        *wrong += th_cert_check(c->store, c->t.leaf, &opts, NULL, NULL) != 0;
        *wrong += th_cert_get_info(c->t.leaf, &own, &info) != 0;
        *wrong += th_cert_has_key(c->t.leaf, c->t.key) != 1;
        *wrong += th_cert_verify(c->t.leaf, c->t.middle.key) != 0;
        *wrong += th_cert_pem(c->t.leaf, &own, &pem) != 0 || th_cert_parse(pem, &again) != 0;
        *wrong += th_crl_revokes(c->crl, c->t.leaf) != 0;
        if (i % 10 == 0)
            *wrong += th_cert_store_add(c->store, again) != 0;
        th_cert_unref(again);
        th_key_unref(th_key_ref(c->t.key));
        th_arena_deinit(&own);
    }
    return NULL;
}

START_TEST(threads_share_everything_without_a_lock)
{
    crowd c = { .t = new_tree() };
    pthread_t threads[THREADS];
    c.store = store_of(c.t.root.cert, NULL);
    c.crl = list_of(&c.t.middle, NULL, 0);
    ck_ok(th_cert_store_add_crl(c.store, c.crl));
    all_of_them = &c;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, check_often, &c.wrong[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(c.wrong[i], 0);
    }
    th_crl_unref(c.crl);
    th_cert_store_unref(c.store);
    drop_tree(&c.t);
}
END_TEST

/* What is checked, and against what. */
typedef struct case_ {
    tree t;
    th_str text;
    th_crl *crl;
} case_;

static int fill_and_check(void *arg)
{
    const case_ *c = arg;
    th_cert_check_opts opts = { .chain = &c->t.chain, .crl = TH_CRL_LEAF };
    th_arena own;
    th_cert_store *store = NULL;
    th_cert_verdict verdict = { 0 };
    th_arena_init(&own, NULL, 0, 0);
    int err = th_cert_store_new(&store);
    if (err == 0)
        err = th_cert_store_add_text(store, c->text);
    if (err >= 0)
        err = th_cert_store_add_crl(store, c->crl);
    if (err == 0)
        err = th_cert_check(store, c->t.leaf, &opts, &own, &verdict);
    th_certs_clear(&verdict.chain);
    th_cert_store_unref(store);
    th_arena_deinit(&own);
    return err;
}

START_TEST(no_call_leaks_or_lies_without_memory)
{
    case_ c = { .t = new_tree() };
    c.text = pem_of(c.t.root.cert);
    c.crl = list_of(&c.t.middle, NULL, 0);
    ck_assert_int_gt(starve(thi_alloc_fail_at, fill_and_check, &c), 5);
    th_crl_unref(c.crl);
    drop_tree(&c.t);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "chains");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_whole_chain_is_good_and_ends_at_the_trusted_one);
    tcase_add_test(tcase, a_missing_link_is_told_where_it_is_missing);
    tcase_add_test(tcase, one_that_signed_itself_has_a_code_of_its_own);
    tcase_add_test(tcase, a_store_that_was_changed_is_seen_by_the_next_check);
    tcase_add_test(tcase, time_is_checked_to_the_second);
    tcase_add_test(tcase, names_purposes_depth_and_strength_are_checked);
    tcase_add_test(tcase, an_authority_may_not_exceed_its_bounds);
    tcase = thi_check_case(suite, "revocation");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_revoked_is_refused_and_so_is_a_missing_list);
    tcase_add_test(tcase, a_list_that_is_too_old_does_not_count);
    tcase_add_test(tcase, a_list_that_is_looked_into_keeps_its_order);
    tcase = thi_check_case(suite, "sources");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, trust_comes_from_texts_files_and_directories);
    tcase_add_test(tcase, a_directory_is_read_when_it_is_needed);
    tcase_add_test(tcase, bad_sources_are_refused_and_add_nothing);
    tcase_add_test(tcase, the_system_is_found_where_the_environment_says);
    tcase_add_test(tcase, the_system_is_found);
    tcase_add_test(tcase, bad_wishes_are_misuse);
    tcase = thi_check_case(suite, "surroundings");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, threads_share_everything_without_a_lock);
    tcase_add_test(tcase, no_call_leaks_or_lies_without_memory);
}

int main(void)
{
    return thi_check_run("tls/cert_store", fill);
}
