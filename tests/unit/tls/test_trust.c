/* SPDX-License-Identifier: MIT */

/* Whom contexts believe: files, directories, memory, the system; and what has been revoked. */
#include "links.h"

#include "tls/trust.h"

#include <thrum/cert_store.h>

#include <sys/time.h>

static issued ca, other_ca, middle, leaf;
static th_tls *server;

static void setup(void)
{
    ca = issue(NULL, (wish){ .cn = "Root", .ca = true });
    other_ca = issue(NULL, (wish){ .cn = "Other Root", .ca = true });
    middle = issue(&ca, (wish){ .cn = "Middle", .ca = true });
    leaf = issue(&middle, (wish){ .cn = "leaf", .alts = "DNS:db.test" });
    make_folder();
}

static void teardown(void)
{
    drop_issued(&ca);
    drop_issued(&other_ca);
    drop_issued(&middle);
    drop_issued(&leaf);
    remove_folder();
}

/* In the process of the test: who reads a key may start threads, which no fork takes along. */
static void start(void)
{
    th_tls_cert cert = { .cert_pem = th_str_of(PEM_OF(leaf.cert, middle.cert)),
                         .key_pem = th_str_of(pem_of_key(leaf.key, NULL, 0)) };
    server = new_tls((th_tls_opts){ .certs = &cert, .certs_count = 1 });
}

static void end(void)
{
    th_tls_unref(server);
}

/* What a client with that trust says to the server; the client goes. */
static void meet(pair *p, th_tls_trust trust)
{
    th_tls *client = new_tls((th_tls_opts){ .trust = trust });
    try_pair(p, server, client, "db.test");
    close_pair(p);
    th_tls_unref(client);
}

/* A directory as `openssl rehash` makes it, with what is in the file. */
static char *make_dir(const char *name, const char *pem)
{
    char command[512];
    char *path = path_of(name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    char file[64];
    snprintf(file, sizeof file, "%s/cert.pem", name);
    write_file(file, pem);
    snprintf(command, sizeof command, "openssl rehash '%s'", path);
    ck_assert_int_eq(system(command), 0);
    return path;
}

START_TEST(files_several_files_directories_and_memory_are_believed)
{
    pair p;
    char *file = write_file("ca.pem", PEM_OF(ca.cert));
    char *other = write_file("other.pem", PEM_OF(other_ca.cert));
    char *dir = make_dir("hashed", PEM_OF(ca.cert));
    char *pem = joined("words before\n", joined(PEM_OF(other_ca.cert, ca.cert), "and behind\n"));
    unsigned char *der = NULL;
    int len = i2d_X509(ca.cert, &der);
    const char *const one[] = { file, NULL };
    const char *const two[] = { other, file, NULL };
    const char *const none[] = { other, NULL };
    const char *const dirs[] = { dir, NULL };
    meet(&p, (th_tls_trust){ .files = one });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .files = two });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .files = none });
    ck_assert_int_eq(p.client.result, TH_ETLS);
    meet(&p, (th_tls_trust){ .dirs = dirs });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .files = none, .dirs = dirs });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .memory = th_str_of(pem) });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .memory = th_str_make((char *)der, (size_t)len) });
    EXPECT_DONE(&p);
    OPENSSL_free(der);
}
END_TEST

/* A store is believed as it is when the context is built. */
START_TEST(a_store_is_believed)
{
    pair p;
    th_cert_store *store = NULL;
    ck_assert_int_eq(th_cert_store_new(&store), 0);
    ck_assert_int_eq(th_cert_store_add_text(store, th_str_of(PEM_OF(other_ca.cert))), 1);
    th_tls *before = new_tls((th_tls_opts){ .trust.store = store });
    ck_assert_int_eq(th_cert_store_add_text(store, th_str_of(PEM_OF(ca.cert))), 1);
    meet(&p, (th_tls_trust){ .store = store });
    EXPECT_DONE(&p);
    th_cert_store_unref(store);
    try_pair(&p, server, before, "db.test");
    ck_assert_int_eq(p.client.result, TH_ETLS);
    close_pair(&p);
    th_tls_unref(before);
}
END_TEST

static void digest_of(th_tls_trust opts, unsigned char digest[32])
{
    thi_tls_trust trust;
    ck_assert_int_eq(thi_tls_trust_load(&opts, &trust), 0);
    memcpy(digest, trust.digest, 32);
    thi_tls_trust_deinit(&trust);
}

/* By it one context knows whether another would have let in the peer of a session. */
START_TEST(the_digest_is_that_of_those_who_are_believed)
{
    unsigned char a[32], b[32], both[32], file[32];
    const char *const files[] = { write_file("digest.pem", PEM_OF(ca.cert)), NULL };
    digest_of((th_tls_trust){ .memory = th_str_of(PEM_OF(ca.cert)) }, a);
    digest_of((th_tls_trust){ .memory = th_str_of(PEM_OF(other_ca.cert)) }, b);
    digest_of((th_tls_trust){ .memory = th_str_of(PEM_OF(ca.cert, other_ca.cert)) }, both);
    digest_of((th_tls_trust){ .files = files }, file);
    ck_assert_mem_ne(a, b, 32);
    ck_assert_mem_ne(a, both, 32);
    ck_assert_mem_eq(a, file, 32);
}
END_TEST

/* A certificate that comes into the directory later is found when it is needed. */
START_TEST(directories_are_read_when_needed)
{
    pair p;
    char *dir = path_of("late");
    const char *const dirs[] = { dir, NULL };
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    th_tls *client = new_tls((th_tls_opts){ .trust.dirs = dirs });
    try_pair(&p, server, client, "db.test");
    EXPECT_WORDS(&p.client, "unable to get local issuer certificate");
    close_pair(&p);
    ck_assert_int_eq(rmdir(dir), 0);
    make_dir("late", PEM_OF(ca.cert));
    try_pair(&p, server, client, "db.test");
    EXPECT_DONE(&p);
    close_pair(&p);
    th_tls_unref(client);
}
END_TEST

START_TEST(what_is_missing_or_no_certificate_is_refused_as_a_whole)
{
    char *good = write_file("good.pem", PEM_OF(ca.cert));
    char *text = write_file("text.pem", "-----BEGIN NONSENSE-----\n");
    char *broken = write_file("broken.pem", joined(PEM_OF(ca.cert), "-----BEGIN CERTIFICATE-----\n"
                                                                    "AAAA\n"
                                                                    "-----END CERTIFICATE-----\n"));
    const char *const missing[] = { good, path_of("none.pem"), NULL };
    const char *const words[] = { text, NULL };
    const char *const half[] = { broken, NULL };
    const char *const no_dir[] = { path_of("none"), NULL };
    const char *const file_as_dir[] = { good, NULL };
    unsigned char *der = NULL;
    int len = i2d_X509(ca.cert, &der);
    char *tail = malloc((size_t)len + 1);
    memcpy(tail, der, (size_t)len);
    tail[len] = 'A';
    EXPECT_REFUSED(-ENOENT, "none.pem", { .trust.files = missing });
    EXPECT_REFUSED(TH_ETLS, text, { .trust.files = words });
    EXPECT_REFUSED(TH_ETLS, broken, { .trust.files = half });
    EXPECT_REFUSED(-ENOENT, "none", { .trust.dirs = no_dir });
    EXPECT_REFUSED(-ENOTDIR, good, { .trust.dirs = file_as_dir });
    EXPECT_REFUSED(TH_ETLS, "in memory", { .trust.memory = TH_STR("broken") });
    EXPECT_REFUSED(TH_ETLS, "in memory", { .trust.memory = th_str_make(tail, (size_t)len + 1) });
    EXPECT_REFUSED(TH_ETLS, "in memory", { .trust.memory = th_str_make(tail, (size_t)len - 1) });
    OPENSSL_free(der);
    free(tail);
}
END_TEST

START_TEST(a_certificate_that_is_there_twice_does_no_harm)
{
    pair p;
    meet(&p, (th_tls_trust){ .memory = th_str_of(PEM_OF(ca.cert, ca.cert)) });
    EXPECT_DONE(&p);
}
END_TEST

/* An intermediate is an anchor only where that is asked for. */
START_TEST(partial_chains_are_good_only_on_request)
{
    pair p;
    char *pem = PEM_OF(middle.cert);
    meet(&p, (th_tls_trust){ .memory = th_str_of(pem) });
    EXPECT_WORDS(&p.client, "unable to get issuer certificate");
    meet(&p, (th_tls_trust){ .memory = th_str_of(pem), .partial = 1 });
    EXPECT_DONE(&p);
}
END_TEST

/* ---- the system ---- */

START_TEST(the_environment_says_where_the_systems_authorities_are)
{
    pair p;
    char *file = write_file("system.pem", PEM_OF(ca.cert));
    char *dir = make_dir("system", PEM_OF(ca.cert));
    setenv("SSL_CERT_FILE", file, 1);
    setenv("SSL_CERT_DIR", path_of("none"), 1);
    meet(&p, (th_tls_trust){ 0 });
    EXPECT_DONE(&p);
    setenv("SSL_CERT_FILE", path_of("none.pem"), 1);
    meet(&p, (th_tls_trust){ 0 }); /* what is not there is passed over */
    EXPECT_WORDS(&p.client, "unable to get");
    setenv("SSL_CERT_DIR", dir, 1);
    meet(&p, (th_tls_trust){ 0 });
    EXPECT_DONE(&p);
    char several[300];
    snprintf(several, sizeof several, "%s:%s:", path_of("none"), dir);
    setenv("SSL_CERT_DIR", several, 1);
    meet(&p, (th_tls_trust){ 0 });
    EXPECT_DONE(&p);
    meet(&p, (th_tls_trust){ .memory = th_str_of(PEM_OF(other_ca.cert)) });
    EXPECT_WORDS(&p.client, "unable to get"); /* not those of the system besides */
    meet(&p, (th_tls_trust){ .memory = th_str_of(PEM_OF(other_ca.cert)), .system = 1 });
    EXPECT_DONE(&p);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
}
END_TEST

START_TEST(the_systems_store_is_one_until_it_changes)
{
    X509_STORE *a, *b, *c;
    char *file = write_file("bundle.pem", PEM_OF(ca.cert));
    struct timeval times[2] = { { 1000, 0 }, { 1000, 0 } };
    setenv("SSL_CERT_FILE", file, 1);
    setenv("SSL_CERT_DIR", path_of("none"), 1);
    ck_assert_int_eq(thi_tls_trust_system(&a), 0);
    ck_assert_int_eq(thi_tls_trust_system(&b), 0);
    ck_assert_ptr_eq(a, b);
    ck_assert_int_eq(utimes(file, times), 0);
    ck_assert_int_eq(thi_tls_trust_system(&c), 0);
    ck_assert_ptr_ne(a, c);
    X509_STORE_free(a);
    X509_STORE_free(b);
    X509_STORE_free(c);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
}
END_TEST

START_TEST(the_systems_own_authorities_are_found)
{
    X509_STORE *store;
    SKIP_UNLESS(access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0, "no ca-certificates");
    ck_assert_int_eq(thi_tls_trust_system(&store), 0);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    BIO *bio = BIO_new_file("/etc/ssl/certs/ca-certificates.crt", "r");
    X509 *first = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    ck_assert_int_eq(X509_STORE_CTX_init(ctx, store, first, NULL), 1);
    ck_assert_int_eq(X509_verify_cert(ctx), 1);
    X509_free(first);
    BIO_free(bio);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
}
END_TEST

/* ---- revocation ---- */

static issued issued_leaf(const char *name)
{
    return issue(&ca, (wish){ .cn = name, .alts = "DNS:db.test" });
}

static void meet_revoked(pair *p, const issued *shown, th_tls_trust trust)
{
    th_tls *with = new_server(shown, (th_tls_opts){ 0 });
    trust.memory = th_str_of(PEM_OF(ca.cert));
    th_tls *client = new_tls((th_tls_opts){ .trust = trust });
    try_pair(p, with, client, "db.test");
    close_pair(p);
    th_tls_unref(with);
    th_tls_unref(client);
}

START_TEST(what_a_list_revokes_is_refused_and_the_rest_is_not)
{
    pair p;
    issued bad = issued_leaf("bad");
    issued good = issued_leaf("good");
    char *text = pem_of_crl(issue_crl(&ca, &bad));
    char *file = write_file("list.crl", text);
    const char *const files[] = { file, NULL };
    meet_revoked(&p, &bad, (th_tls_trust){ .crl_memory = th_str_of(text) });
    EXPECT_WORDS(&p.client, "certificate of bad: certificate revoked");
    EXPECT_WORDS(&p.server, "the peer sent the alert 'certificate revoked'");
    meet_revoked(&p, &good, (th_tls_trust){ .crl_memory = th_str_of(text) });
    EXPECT_DONE(&p);
    meet_revoked(&p, &bad, (th_tls_trust){ .crl_files = files });
    EXPECT_WORDS(&p.client, "certificate revoked");
    drop_issued(&bad);
    drop_issued(&good);
}
END_TEST

START_TEST(a_missing_list_fails_where_one_is_wanted)
{
    pair p;
    issued good = issued_leaf("good");
    char *of_other = pem_of_crl(issue_crl(&other_ca, NULL));
    meet_revoked(&p, &good, (th_tls_trust){ .crl_memory = th_str_of(of_other) });
    EXPECT_WORDS(&p.client, "certificate of good: unable to get certificate CRL: its issuer is "
                            "Root");
    drop_issued(&good);
}
END_TEST

START_TEST(lists_of_the_whole_chain_are_wanted_on_request)
{
    pair p;
    char *of_middle = pem_of_crl(issue_crl(&middle, NULL));
    char *of_root = pem_of_crl(issue_crl(&ca, &middle));
    th_tls_trust trust = { .memory = th_str_of(PEM_OF(ca.cert)),
                           .crl_memory = th_str_of(of_middle) };
    meet(&p, trust);
    EXPECT_DONE(&p);
    trust.crl_check = TH_TLS_CRL_CHAIN;
    meet(&p, trust);
    EXPECT_WORDS(&p.client, "certificate of Middle: unable to get certificate CRL");
    trust.crl_memory = th_str_of(joined(of_middle, of_root));
    meet(&p, trust);
    EXPECT_WORDS(&p.client, "certificate of Middle: certificate revoked");
}
END_TEST

START_TEST(lists_that_cannot_be_read_are_refused)
{
    char *cert = PEM_OF(ca.cert);
    const char *const missing[] = { path_of("none.crl"), NULL };
    EXPECT_REFUSED(TH_ETLS, "revocation list",
                   { .trust.memory = th_str_of(cert), .trust.crl_memory = th_str_of(cert) });
    EXPECT_REFUSED(-ENOENT, "none.crl",
                   { .trust.memory = th_str_of(cert), .trust.crl_files = missing });
}
END_TEST

/* ---- names told to clients ---- */

static int names_seen(th_tls_opts opts)
{
    pair p;
    opts.client_auth = TH_TLS_CLIENT_AUTH_OPTIONAL;
    th_tls *with = new_server(&leaf, opts);
    th_tls *client = new_tls((th_tls_opts){ .insecure_no_verification = 1 });
    try_pair(&p, with, client, NULL);
    EXPECT_DONE(&p);
    int count = sk_X509_NAME_num(SSL_get_client_CA_list(p.client.link.ssl));
    close_pair(&p);
    th_tls_unref(with);
    th_tls_unref(client);
    return count;
}

START_TEST(clients_are_told_whose_certificates_are_good)
{
    const char *const empty[] = { NULL };
    const char *const files[] = { write_file("names.pem", PEM_OF(ca.cert)), NULL };
    const char *const missing[] = { path_of("none.pem"), NULL };
    th_tls_opts opts = { .trust.memory = th_str_of(PEM_OF(ca.cert, other_ca.cert)) };
    ck_assert_int_eq(names_seen(opts), 2);
    th_cert_store *store = NULL;
    ck_assert_int_eq(th_cert_store_new(&store), 0);
    ck_assert_int_eq(th_cert_store_add_text(store, th_str_of(PEM_OF(ca.cert, other_ca.cert))), 2);
    ck_assert_int_eq(names_seen((th_tls_opts){ .trust.store = store }), 2);
    th_cert_store_unref(store);
    opts.client_ca_files = files;
    ck_assert_int_eq(names_seen(opts), 1);
    opts.client_ca_files = empty;
    ck_assert_int_le(names_seen(opts), 0); /* none told, all believed */
    opts.client_ca_files = missing;
    EXPECT_REFUSED(-ENOENT, "none.pem", { .client_ca_files = missing });
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "trust");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_checked_fixture(tcase, start, end);
    tcase_add_test(tcase, files_several_files_directories_and_memory_are_believed);
    tcase_add_test(tcase, a_store_is_believed);
    tcase_add_test(tcase, the_digest_is_that_of_those_who_are_believed);
    tcase_add_test(tcase, directories_are_read_when_needed);
    tcase_add_test(tcase, what_is_missing_or_no_certificate_is_refused_as_a_whole);
    tcase_add_test(tcase, a_certificate_that_is_there_twice_does_no_harm);
    tcase_add_test(tcase, partial_chains_are_good_only_on_request);
    tcase_add_test(tcase, the_environment_says_where_the_systems_authorities_are);
    tcase_add_test(tcase, the_systems_store_is_one_until_it_changes);
    tcase_add_test(tcase, the_systems_own_authorities_are_found);
    tcase_add_test(tcase, what_a_list_revokes_is_refused_and_the_rest_is_not);
    tcase_add_test(tcase, a_missing_list_fails_where_one_is_wanted);
    tcase_add_test(tcase, lists_of_the_whole_chain_are_wanted_on_request);
    tcase_add_test(tcase, lists_that_cannot_be_read_are_refused);
    tcase_add_test(tcase, clients_are_told_whose_certificates_are_good);
}

int main(void)
{
    return thi_check_run("tls/trust", fill);
}
