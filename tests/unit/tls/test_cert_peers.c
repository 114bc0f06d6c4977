/* SPDX-License-Identifier: MIT */

/*
 * Chains of many kinds, made by this library, judged by it and by openssl-verify(1): both have to
 * come to the same verdict, with the same code at the same depth.
 *
 * They share a library, but not the way there: purposes, names, lists, times, strength and trust
 * are each set by calls of ours here and by options there.
 */
#include "http/site_folder.h"

#include "base/util.h"

#include <thrum/cert.h>
#include <thrum/cert_issue.h>
#include <thrum/cert_store.h>
#include <thrum/crl.h>
#include <thrum/error.h>

#include <openssl/x509_vfy.h>
#include <time.h>

#define DAY ((int64_t)86400)

/* ---- making certificates ---- */

/* A certificate with its key. */
typedef struct party {
    th_cert *cert;
    th_key *key;
} party;

typedef struct cast {
    party root, sub, sub2, leaf, other, stranger;
} cast;

static void save(const char *name, th_str pem)
{
    write_bytes(name, pem.ptr, pem.len);
}

static void save_cert(const char *name, const th_cert *cert)
{
    th_arena arena;
    th_str pem;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_int_eq(th_cert_pem(cert, &arena, &pem), 0);
    save(name, pem);
    th_arena_deinit(&arena);
}

/* Made by an issuer, or by itself. */
static party make(const party *issuer, const char *name, th_cert_opts opts, const char *kind)
{
    party p;
    th_arena arena;
    char text[80];
    int err;
    th_arena_init(&arena, NULL, 0, 0);
    snprintf(text, sizeof text, "CN=%s", name);
    ck_assert_int_eq(th_cert_name_parse(th_str_of(text), &arena, &opts.subject), 0);
    ck_assert_int_eq(th_key_new(kind, &p.key), 0);
    if (issuer)
        err = th_cert_issue(issuer->cert, issuer->key, p.key, &opts, &p.cert);
    else
        err = th_cert_self_sign(p.key, &opts, &p.cert);
    ck_assert_msg(err == 0, "%s: %s", name, th_err_detail());
    save_cert(name, p.cert);
    th_arena_deinit(&arena);
    return p;
}

static void clear(party *p)
{
    th_cert_unref(p->cert);
    th_key_unref(p->key);
}

static const th_cert_alt host = { TH_ALT_DNS, { "db.example", 10 } };

#define AUTHORITY                                                                                  \
    (th_cert_opts)                                                                                 \
    {                                                                                              \
        .ca = 1                                                                                    \
    }
#define SERVER                                                                                     \
    (th_cert_opts)                                                                                 \
    {                                                                                              \
        .alts = &host, .alts_count = 1                                                             \
    }

/* root <- sub <- leaf; other is a second root, stranger's certificates are for nobody. */
static cast make_cast(void)
{
    cast c = { .root = make(NULL, "root", AUTHORITY, "ec") };
    c.sub = make(&c.root, "sub", AUTHORITY, "ec");
    c.sub2 = make(&c.sub, "sub2", AUTHORITY, "ec");
    c.leaf = make(&c.sub, "leaf", SERVER, "ec");
    c.other = make(NULL, "other", AUTHORITY, "ec");
    c.stranger = make(NULL, "stranger", SERVER, "ec");
    return c;
}

static void clear_cast(cast *c)
{
    clear(&c->root);
    clear(&c->sub);
    clear(&c->sub2);
    clear(&c->leaf);
    clear(&c->other);
    clear(&c->stranger);
}

/* ---- judging them ---- */

/* What openssl says: the code and the depth. */
static void ask_openssl(const char *options, int *code, int *depth)
{
    char command[1024];
    char line[512];
    snprintf(command, sizeof command, "cd %s && openssl verify -no-CAfile -no-CApath %s 2>&1",
             folder, options);
    FILE *out = popen(command, "re");
    ck_assert_ptr_nonnull(out);
    *code = -1;
    *depth = 0;
    bool said = false;
    while (fgets(line, sizeof line, out)) {
        int c;
        int d;
        if (!said && sscanf(line, "error %d at %d depth", &c, &d) == 2) {
            *code = c;
            *depth = d;
            said = true;
        } else if (!said && strstr(line, ": OK\n")) {
            *code = 0;
        }
    }
    pclose(out);
    ck_assert_msg(*code >= 0, "%s", command);
}

/* Both come to this code, at the same depth. */
static void both_say(int expected, const char *options, th_cert_store *store, const th_cert *cert,
                     const th_cert_check_opts *opts)
{
    th_arena arena;
    th_cert_verdict verdict = { .code = -1 };
    int code;
    int depth;
    ask_openssl(options, &code, &depth);
    ck_assert_msg(code == expected, "openssl says %d, not %d: %s", code, expected, options);
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_cert_check(store, cert, opts, &arena, &verdict);
    ck_assert_msg(verdict.code == expected, "it says %d, not %d: %s", verdict.code, expected,
                  options);
    ck_assert_int_eq(err, expected == 0 ? 0 : TH_ETLS);
    if (expected != 0) {
        ck_assert_msg(verdict.depth == depth, "depth %d, not %d: %s", verdict.depth, depth,
                      options);
        ck_assert_str_eq(verdict.name, X509_verify_cert_error_string(code));
        ck_assert_uint_gt(verdict.words.len, 0);
    }
    th_certs_clear(&verdict.chain);
    th_arena_deinit(&arena);
}

static th_cert_store *store_of(th_cert *a, th_cert *b)
{
    th_cert_store *store;
    ck_assert_int_eq(th_cert_store_new(&store), 0);
    if (a)
        ck_assert_int_eq(th_cert_store_add(store, a), 0);
    if (b)
        ck_assert_int_eq(th_cert_store_add(store, b), 0);
    return store;
}

static bool there_is_openssl(void)
{
    return system("openssl version >/dev/null 2>&1") == 0;
}

#define PEER_TEST(name)                                                                            \
    static void name##_body(cast *c);                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        SKIP_UNLESS(there_is_openssl(), "there is no openssl(1)");                                 \
        make_folder();                                                                             \
        cast c = make_cast();                                                                      \
        name##_body(&c);                                                                           \
        clear_cast(&c);                                                                            \
        remove_folder();                                                                           \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(cast *c)

/* ---- row 98: who has signed what ---- */

PEER_TEST(missing_links_are_told_apart)
{
    th_certs chain = { &c->sub.cert, 1 };
    const th_cert_check_opts with_sub = { .chain = &chain };
    th_cert_store *none = store_of(NULL, NULL);
    th_cert_store *root = store_of(c->root.cert, NULL);
    th_cert_store *sub = store_of(c->sub.cert, NULL);
    both_say(0, "-CAfile root -untrusted sub leaf", root, c->leaf.cert, &with_sub);
    /* The intermediate one is missing; then the root is. */
    both_say(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "-CAfile root leaf", root, c->leaf.cert,
             NULL);
    both_say(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "-untrusted sub leaf", none,
             c->leaf.cert, &with_sub);
    both_say(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "-CAfile sub leaf", sub, c->leaf.cert, NULL);
    both_say(0, "-partial_chain -CAfile sub leaf", sub, c->leaf.cert,
             &(th_cert_check_opts){ .partial = 1 });
    both_say(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "-CAfile root stranger", root,
             c->stranger.cert, NULL);
    th_cert *both[] = { c->sub.cert, c->root.cert };
    th_certs all = { both, 2 };
    both_say(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
             "-CAfile other -untrusted sub -untrusted root leaf", none, c->leaf.cert,
             &(th_cert_check_opts){ .chain = &all });
    th_cert_store_unref(none);
    th_cert_store_unref(root);
    th_cert_store_unref(sub);
}

PEER_TEST(who_is_no_authority_signs_nothing)
{
    party no_ca = make(&c->root, "no_ca", SERVER, "ec");
    th_cert_store *root = store_of(c->root.cert, NULL);
    /* The library would not issue it: the certificate of an authority with the same name does. */
    party ca = { NULL, th_key_ref(no_ca.key) };
    const th_cert_name_part part = { .type = "CN", .value = TH_STR("no_ca") };
    th_cert_opts opts = AUTHORITY;
    opts.subject = (th_cert_name){ &part, 1 };
    ck_assert_int_eq(th_cert_issue(c->root.cert, c->root.key, ca.key, &opts, &ca.cert), 0);
    party leaf = make(&ca, "bad", SERVER, "ec");
    th_certs chain = { &no_ca.cert, 1 };
    both_say(X509_V_ERR_INVALID_CA, "-CAfile root -untrusted no_ca bad", root, leaf.cert,
             &(th_cert_check_opts){ .chain = &chain });
    clear(&leaf);
    clear(&ca);
    clear(&no_ca);
    th_cert_store_unref(root);
}

PEER_TEST(paths_have_a_length)
{
    th_cert_opts opts = AUTHORITY;
    opts.path_limit = 1;
    party top = make(&c->root, "top", opts, "ec");
    party deep = make(&top, "deep", AUTHORITY, "ec");
    party leaf = make(&deep, "low", SERVER, "ec");
    th_cert *both[] = { deep.cert, top.cert };
    th_certs chain = { both, 2 };
    th_cert_store *root = store_of(c->root.cert, NULL);
    both_say(X509_V_ERR_PATH_LENGTH_EXCEEDED, "-CAfile root -untrusted deep -untrusted top low",
             root, leaf.cert, &(th_cert_check_opts){ .chain = &chain });
    th_cert *subs[] = { c->sub.cert, c->sub2.cert };
    th_certs long_chain = { subs, 2 };
    party far = make(&c->sub2, "far", SERVER, "ec");
    both_say(0, "-CAfile root -untrusted sub -untrusted sub2 far", root, far.cert,
             &(th_cert_check_opts){ .chain = &long_chain });
    both_say(0, "-verify_depth 2 -CAfile root -untrusted sub -untrusted sub2 far", root, far.cert,
             &(th_cert_check_opts){ .chain = &long_chain, .depth_max = 2 });
    ck_assert_int_eq(th_cert_check(root, far.cert,
                                   &(th_cert_check_opts){ .chain = &long_chain, .depth_max = 1 },
                                   NULL, NULL),
                     TH_ETLS);
    clear(&far);
    clear(&leaf);
    clear(&deep);
    clear(&top);
    th_cert_store_unref(root);
}

PEER_TEST(a_broken_signature_is_none)
{
    th_arena arena;
    th_str der;
    th_cert *bad;
    th_cert_store *root = store_of(c->root.cert, NULL);
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_int_eq(th_cert_der(c->sub.cert, &arena, &der), 0);
    char *copy = th_arena_alloc(&arena, der.len);
    memcpy(copy, der.ptr, der.len);
    copy[der.len - 1] ^= 1;
    ck_assert_int_eq(th_cert_parse(th_str_make(copy, der.len), &bad), 0);
    save_cert("broken", bad);
    both_say(X509_V_ERR_CERT_SIGNATURE_FAILURE, "-CAfile root broken", root, bad, NULL);
    th_cert_unref(bad);
    th_arena_deinit(&arena);
    th_cert_store_unref(root);
}

/* ---- what it is for, and when ---- */

PEER_TEST(times_are_looked_at)
{
    th_cert_opts opts = SERVER;
    const int64_t now = (int64_t)time(NULL);
    th_cert_store *root = store_of(c->root.cert, NULL);
    opts.not_before = now - 10 * DAY;
    opts.not_after = now - 5 * DAY;
    party old = make(&c->root, "old", opts, "ec");
    opts.not_before = now + 5 * DAY;
    opts.not_after = now + 10 * DAY;
    party young = make(&c->root, "young", opts, "ec");
    both_say(X509_V_ERR_CERT_HAS_EXPIRED, "-CAfile root old", root, old.cert, NULL);
    both_say(X509_V_ERR_CERT_NOT_YET_VALID, "-CAfile root young", root, young.cert, NULL);
    /* At exactly "not after", and around it; the root is older than that. */
    for (int past = -1; past <= 1; past++) {
        char options[100];
        int64_t when = now + 10 * DAY + past;
        snprintf(options, sizeof options, "-attime %lld -CAfile root young", (long long)when);
        int expected = past > 0 ? X509_V_ERR_CERT_HAS_EXPIRED : 0;
        int code;
        int depth;
        ask_openssl(options, &code, &depth);
        both_say(code, options, root, young.cert, &(th_cert_check_opts){ .when = when });
        if (past != 0) /* a certificate is valid through its last second or not: ask openssl */
            ck_assert_int_eq(code, expected);
    }
    clear(&old);
    clear(&young);
    th_cert_store_unref(root);
}

PEER_TEST(purposes_names_and_constraints_are_looked_at)
{
    th_cert_opts opts = SERVER;
    th_cert_store *root = store_of(c->root.cert, NULL);
    opts.extended_usage = "clientAuth";
    party client = make(&c->root, "client", opts, "ec");
    both_say(0, "-purpose sslclient -CAfile root client", root, client.cert,
             &(th_cert_check_opts){ .purpose = "client" });
    both_say(X509_V_ERR_INVALID_PURPOSE, "-purpose sslserver -CAfile root client", root,
             client.cert, &(th_cert_check_opts){ .purpose = "server" });
    both_say(0, "-verify_hostname DB.example -CAfile root client", root, client.cert,
             &(th_cert_check_opts){ .host = TH_STR("DB.example") });
    both_say(X509_V_ERR_HOSTNAME_MISMATCH, "-verify_hostname a.db.example -CAfile root client",
             root, client.cert, &(th_cert_check_opts){ .host = TH_STR("a.db.example") });
    both_say(X509_V_ERR_IP_ADDRESS_MISMATCH, "-verify_ip 10.0.0.1 -CAfile root client", root,
             client.cert, &(th_cert_check_opts){ .host = TH_STR("10.0.0.1") });
    const th_cert_ext only = { "nameConstraints", TH_STR("permitted;DNS:test"), 1 };
    opts = AUTHORITY;
    opts.exts = &only;
    opts.exts_count = 1;
    party held = make(&c->root, "held", opts, "ec");
    party leaf = make(&held, "leaf2", SERVER, "ec");
    th_certs chain = { &held.cert, 1 };
    both_say(X509_V_ERR_PERMITTED_VIOLATION, "-CAfile root -untrusted held leaf2", root, leaf.cert,
             &(th_cert_check_opts){ .chain = &chain });
    clear(&leaf);
    clear(&held);
    clear(&client);
    th_cert_store_unref(root);
}

PEER_TEST(weak_keys_are_looked_at)
{
    party weak = make(&c->root, "weak", SERVER, "rsa:1024");
    th_cert_store *root = store_of(c->root.cert, NULL);
    both_say(X509_V_ERR_EE_KEY_TOO_SMALL, "-auth_level 2 -CAfile root weak", root, weak.cert, NULL);
    both_say(0, "-auth_level 0 -CAfile root weak", root, weak.cert,
             &(th_cert_check_opts){ .security_level = -1 });
    clear(&weak);
    th_cert_store_unref(root);
}

/* ---- row 99: a store that changes ---- */

PEER_TEST(the_same_store_sees_what_is_added)
{
    th_certs chain = { &c->sub.cert, 1 };
    const th_cert_check_opts opts = { .chain = &chain };
    th_cert_store *store = store_of(c->other.cert, c->other.cert); /* twice does no harm */
    for (int i = 0; i < 2; i++)
        both_say(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "-CAfile other -untrusted sub leaf",
                 store, c->leaf.cert, &opts);
    ck_assert_int_eq(th_cert_store_add(store, c->root.cert), 0);
    for (int i = 0; i < 2; i++)
        both_say(0, "-CAfile root -untrusted sub leaf", store, c->leaf.cert, &opts);
    th_cert_store_unref(store);
}

/* ---- row 100: lists ---- */

static th_crl *list_of(const party *issuer, const char *name, const th_cert *revoked, int64_t age)
{
    th_arena arena;
    th_cert_info info;
    th_crl *crl;
    th_str pem;
    th_crl_entry entry = { .reason = "keyCompromise" };
    th_arena_init(&arena, NULL, 0, 0);
    th_crl_opts opts = { .last_update = (int64_t)time(NULL) - age };
    opts.next_update = opts.last_update + DAY;
    if (revoked) {
        ck_assert_int_eq(th_cert_get_info(revoked, &arena, &info), 0);
        entry.serial = info.serial.ptr;
        opts.entries = &entry;
        opts.entries_count = 1;
    }
    ck_assert_int_eq(th_crl_new(issuer->cert, issuer->key, &opts, &crl), 0);
    ck_assert_int_eq(th_crl_pem(crl, &arena, &pem), 0);
    save(name, pem);
    th_arena_deinit(&arena);
    return crl;
}

PEER_TEST(lists_are_looked_at)
{
    th_certs chain = { &c->sub.cert, 1 };
    const th_cert_check_opts leaf = { .chain = &chain, .crl = TH_CRL_LEAF };
    const th_cert_check_opts all = { .chain = &chain, .crl = TH_CRL_ALL };
#define LEAF "-CAfile root -untrusted sub -crl_check "
#define ALL  "-CAfile root -untrusted sub -crl_check -crl_check_all "
    th_crl *empty = list_of(&c->sub, "empty.crl", NULL, 0);
    th_crl *full = list_of(&c->sub, "full.crl", c->leaf.cert, 0);
    th_crl *old = list_of(&c->sub, "old.crl", NULL, 2 * DAY);
    th_crl *top = list_of(&c->root, "top.crl", c->sub.cert, 0);
    th_cert_store *store = store_of(c->root.cert, NULL);
    both_say(X509_V_ERR_UNABLE_TO_GET_CRL, LEAF "leaf", store, c->leaf.cert, &leaf);
    ck_assert_int_eq(th_cert_store_add_crl(store, empty), 0);
    both_say(0, LEAF "-CRLfile empty.crl leaf", store, c->leaf.cert, &leaf);
    both_say(X509_V_ERR_UNABLE_TO_GET_CRL, ALL "-CRLfile empty.crl leaf", store, c->leaf.cert,
             &all);
    ck_assert_int_eq(th_cert_store_add_crl(store, top), 0);
    both_say(X509_V_ERR_CERT_REVOKED, ALL "-CRLfile empty.crl -CRLfile top.crl leaf", store,
             c->leaf.cert, &all);
    th_cert_store_unref(store);
    store = store_of(c->root.cert, NULL);
    ck_assert_int_eq(th_cert_store_add_crl(store, full), 0);
    both_say(X509_V_ERR_CERT_REVOKED, LEAF "-CRLfile full.crl leaf", store, c->leaf.cert, &leaf);
    th_cert_store_unref(store);
    store = store_of(c->root.cert, NULL);
    ck_assert_int_eq(th_cert_store_add_crl(store, old), 0);
    both_say(X509_V_ERR_CRL_HAS_EXPIRED, LEAF "-CRLfile old.crl leaf", store, c->leaf.cert, &leaf);
    th_cert_store_unref(store);
    th_crl_unref(empty);
    th_crl_unref(full);
    th_crl_unref(old);
    th_crl_unref(top);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "peers");
    tcase_add_test(tcase, missing_links_are_told_apart);
    tcase_add_test(tcase, who_is_no_authority_signs_nothing);
    tcase_add_test(tcase, paths_have_a_length);
    tcase_add_test(tcase, a_broken_signature_is_none);
    tcase_add_test(tcase, times_are_looked_at);
    tcase_add_test(tcase, purposes_names_and_constraints_are_looked_at);
    tcase_add_test(tcase, weak_keys_are_looked_at);
    tcase_add_test(tcase, the_same_store_sees_what_is_added);
    tcase_add_test(tcase, lists_are_looked_at);
}

int main(void)
{
    return thi_check_run("tls/cert_peers", fill);
}
