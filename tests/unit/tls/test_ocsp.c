/* SPDX-License-Identifier: MIT */

/* OCSP: what a response is worth, which one a server shows, and what a client does about it. */
#include "runtime/in_fiber.h"
#include "tls/ssl_pair.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/sys.h"
#include "tls/ocsp.h"
#include "tls/ocsp_client.h"
#include "tls/ocsp_file.h"
#include "tls/ocsp_server.h"

#include <thrum/error.h>
#include <thrum/log.h>
#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <limits.h>
#include <openssl/ocsp.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- responses ---- */

/* How one is made; all zero: good, by the authority, from a minute ago on for an hour. */
typedef struct recipe {
    int status; /* V_OCSP_CERTSTATUS_* */
    int reason;
    long since; /* seconds from now; 0: -60 */
    long until; /* seconds from now; 0: an hour; LONG_MAX: it does not say */
    X509 *signer;
    EVP_PKEY *signer_key;
    const EVP_MD *digest; /* of the certificate's id; NULL: SHA-1 */
} recipe;

typedef struct response {
    unsigned char *der;
    size_t size;
} response;

static void add_status(OCSP_BASICRESP *basic, X509 *cert, const recipe *r)
{
    ASN1_TIME *since = X509_gmtime_adj(NULL, r->since ? r->since : -60);
    ASN1_TIME *until =
        r->until == LONG_MAX ? NULL : X509_gmtime_adj(NULL, r->until ? r->until : 3600);
    ASN1_TIME *revoked = X509_gmtime_adj(NULL, -1000);
    OCSP_CERTID *id = OCSP_cert_to_id(r->digest, cert, authority);
    ck_assert_ptr_nonnull(OCSP_basic_add1_status(
        basic, id, r->status, r->reason, r->status == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL,
        since, until));
    OCSP_CERTID_free(id);
    ASN1_TIME_free(since);
    ASN1_TIME_free(until);
    ASN1_TIME_free(revoked);
}

static response make_response(X509 *cert, recipe r)
{
    response made = { NULL, 0 };
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    add_status(basic, cert, &r);
    ck_assert_int_eq(OCSP_basic_sign(basic, r.signer ? r.signer : authority,
                                     r.signer_key ? r.signer_key : authority_key, EVP_sha256(),
                                     NULL, r.signer ? 0 : OCSP_NOCERTS),
                     1);
    OCSP_RESPONSE *whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    made.size = (size_t)i2d_OCSP_RESPONSE(whole, &made.der);
    OCSP_RESPONSE_free(whole);
    OCSP_BASICRESP_free(basic);
    return made;
}

static void drop_response(response *r)
{
    OPENSSL_free(r->der);
    *r = (response){ NULL, 0 };
}

static th_str str_of(const response *r)
{
    return th_str_make((const char *)r->der, r->size);
}

/* ---- a certificate with its key, and a folder ---- */

static EVP_PKEY *key;
static X509 *cert;
static char folder[64];
static char path[96];

static void set_up_with(int nid, const char *value)
{
    make_authority();
    key = mint_key("ec");
    cert = make_cert(key, 4711, 24L * 3600, nid, value);
    snprintf(folder, sizeof folder, "/tmp/thrum-ocsp-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/response", folder);
}

static void set_up(void)
{
    set_up_with(0, NULL);
}

static void tear_down(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    drop_authority();
}

/* As whoever renews it should: a new file that takes the name. */
static void write_response(const response *r)
{
    char other[128];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *file = fopen(other, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(r->der, 1, r->size, file), r->size);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(rename(other, path), 0);
}

static void put_response(X509 *of, recipe r)
{
    response made = make_response(of, r);
    write_response(&made);
    drop_response(&made);
}

/* ---- judging ---- */

static thi_ocsp_findings judged(X509 *about, recipe r)
{
    thi_ocsp_findings f;
    response made = make_response(about, r);
    thi_ocsp_judge(str_of(&made), cert, authority, time(NULL), &f);
    drop_response(&made);
    return f;
}

START_TEST(a_good_response_is_good_whatever_the_digest_of_its_id)
{
    set_up();
    thi_ocsp_findings f = judged(cert, (recipe){ .since = 0 });
    ck_assert_int_eq(f.verdict, THI_OCSP_GOOD);
    ck_assert(!f.unsigned_);
    ck_assert_int_ge(f.until - f.since, 3650);
    ck_assert_int_le(f.until - f.since, 3670);
    f = judged(cert, (recipe){ .digest = EVP_sha256() });
    ck_assert_int_eq(f.verdict, THI_OCSP_GOOD);
    tear_down();
}
END_TEST

START_TEST(its_time_counts_with_five_minutes_for_clocks_that_differ)
{
    set_up();
    ck_assert_int_eq(judged(cert, (recipe){ .since = 290 }).verdict, THI_OCSP_GOOD);
    ck_assert_int_eq(judged(cert, (recipe){ .since = 330 }).verdict, THI_OCSP_EARLY);
    recipe over = { .since = -7200, .until = -290 };
    ck_assert_int_eq(judged(cert, over).verdict, THI_OCSP_GOOD);
    over.until = -330;
    ck_assert_int_eq(judged(cert, over).verdict, THI_OCSP_STALE);
    recipe endless = { .since = -23L * 3600, .until = LONG_MAX }; /* for a day */
    ck_assert_int_eq(judged(cert, endless).verdict, THI_OCSP_GOOD);
    endless.since = -25L * 3600;
    ck_assert_int_eq(judged(cert, endless).verdict, THI_OCSP_STALE);
    tear_down();
}
END_TEST

START_TEST(revoked_unknown_and_about_others)
{
    char words[160];
    set_up();
    recipe revoked = { .status = V_OCSP_CERTSTATUS_REVOKED,
                       .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE };
    thi_ocsp_findings f = judged(cert, revoked);
    ck_assert_int_eq(f.verdict, THI_OCSP_REVOKED);
    ck_assert_ptr_nonnull(strstr(thi_ocsp_words(&f, words, sizeof words), "keyCompromise"));
    revoked.since = -7200; /* what is revoked stays so */
    revoked.until = -3600;
    ck_assert_int_eq(judged(cert, revoked).verdict, THI_OCSP_REVOKED);
    ck_assert_int_eq(judged(cert, (recipe){ .status = V_OCSP_CERTSTATUS_UNKNOWN }).verdict,
                     THI_OCSP_UNKNOWN);
    X509 *other = make_cert(key, 4712, 3600, 0, NULL);
    ck_assert_int_eq(judged(other, (recipe){ .since = 0 }).verdict, THI_OCSP_OTHER);
    X509_free(other);
    tear_down();
}
END_TEST

/* A certificate of the authority's with an extended key usage, or none. */
static X509 *delegate(EVP_PKEY *its_key, const char *usage)
{
    return mint_cert(its_key, authority, authority_key,
                     (minting){ .cn = "responder", .usage = usage, .serial = 99 });
}

START_TEST(the_issuer_signs_or_whom_it_has_delegated)
{
    set_up();
    EVP_PKEY *other_key = mint_key("ec");
    X509 *good = delegate(other_key, "OCSPSigning");
    X509 *bad = delegate(other_key, "serverAuth");
    recipe r = { .signer = good, .signer_key = other_key };
    ck_assert_int_eq(judged(cert, r).verdict, THI_OCSP_GOOD);
    r.signer = bad;
    ck_assert_int_eq(judged(cert, r).verdict, THI_OCSP_UNTRUSTED);
    X509 *mine = authority;
    EVP_PKEY *mine_key = authority_key;
    authority = NULL;
    make_authority(); /* somebody of the same name */
    r.signer = authority;
    r.signer_key = authority_key;
    X509 *fake = authority;
    EVP_PKEY *fake_key = authority_key;
    authority = mine;
    authority_key = mine_key;
    ck_assert_int_eq(judged(cert, r).verdict, THI_OCSP_UNTRUSTED);
    X509_free(fake);
    EVP_PKEY_free(fake_key);
    X509_free(good);
    X509_free(bad);
    EVP_PKEY_free(other_key);
    tear_down();
}
END_TEST

START_TEST(what_is_cut_changed_or_too_long_is_broken)
{
    thi_ocsp_findings f;
    set_up();
    response made = make_response(cert, (recipe){ .since = 0 });
    thi_ocsp_judge(th_str_make("", 0), cert, authority, time(NULL), &f);
    ck_assert_int_eq(f.verdict, THI_OCSP_NONE);
    for (size_t i = 1; i < made.size; i++) {
        thi_ocsp_judge(th_str_make((const char *)made.der, i), cert, authority, time(NULL), &f);
        ck_assert_int_eq(f.verdict, THI_OCSP_BROKEN);
    }
    int harmless = 0;
    for (size_t i = 0; i < made.size; i++) {
        made.der[i] ^= 0x01;
        thi_ocsp_judge(str_of(&made), cert, authority, time(NULL), &f);
        harmless += f.verdict == THI_OCSP_GOOD;
        made.der[i] ^= 0x01;
    }
    ck_assert_int_le(harmless, 1); /* how many bits of the signature's last byte do not count */
    thi_ocsp_judge(str_of(&made), cert, authority, time(NULL), &f);
    ck_assert_int_eq(f.verdict, THI_OCSP_GOOD);
    drop_response(&made);
    OCSP_RESPONSE *failed = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
    made.size = (size_t)i2d_OCSP_RESPONSE(failed, &made.der);
    thi_ocsp_judge(str_of(&made), cert, authority, time(NULL), &f);
    ck_assert_int_eq(f.verdict, THI_OCSP_BROKEN);
    OCSP_RESPONSE_free(failed);
    drop_response(&made);
    tear_down();
}
END_TEST

START_TEST(must_staple_is_seen)
{
    set_up_with(NID_tlsfeature, "status_request");
    ck_assert(thi_ocsp_is_demanded(cert));
    ck_assert(!thi_ocsp_is_demanded(authority));
    tear_down();
}
END_TEST

/* ---- a file ---- */

static char said[1024];
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx, (void)level;
    pthread_mutex_lock(&said_lock);
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%.*s\n", (int)text.len, text.ptr);
    pthread_mutex_unlock(&said_lock);
}

static bool has_said(const char *words)
{
    pthread_mutex_lock(&said_lock);
    bool has = strstr(said, words) != NULL;
    pthread_mutex_unlock(&said_lock);
    return has;
}

static void listen_to_log(void)
{
    ck_assert_int_eq(th_log_set_sink(on_log, NULL, TH_LOG_WARNING), 0);
}

static thi_ocsp_file *open_file(X509 *issuer)
{
    thi_ocsp_file *file = NULL;
    int err = thi_ocsp_file_new(path, cert, issuer, &file);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return file;
}

static size_t size_shown(thi_ocsp_file *file)
{
    size_t size = 0;
    OPENSSL_free(thi_ocsp_file_copy(file, &size));
    return size;
}

START_TEST(a_file_for_the_certificate_is_shown_and_others_are_refused)
{
    thi_ocsp_file *file = NULL;
    set_up();
    put_response(cert, (recipe){ .since = 0 });
    file = open_file(authority);
    ck_assert_uint_gt(size_shown(file), 100);
    thi_ocsp_file_unref(file);
    X509 *other = make_cert(key, 4712, 3600, 0, NULL);
    put_response(other, (recipe){ .since = 0 });
    ck_assert_int_eq(thi_ocsp_file_new(path, cert, authority, &file), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "is about another certificate"));
    ck_assert_ptr_nonnull(strstr(th_err_detail(), path));
    write_response(&(response){ (unsigned char *)(uintptr_t) "nonsense", 8 });
    ck_assert_int_eq(thi_ocsp_file_new(path, cert, authority, &file), TH_ETLS);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(thi_ocsp_file_new(path, cert, authority, &file), -ENOENT);
    X509_free(other);
    thi_ocsp_file_unref(NULL);
    ck_assert_ptr_null(thi_ocsp_file_ref(NULL));
    tear_down();
}
END_TEST

START_TEST(one_whose_time_is_up_is_told_and_not_shown)
{
    set_up();
    listen_to_log();
    put_response(cert, (recipe){ .since = -7200, .until = -1 });
    thi_ocsp_file *file = open_file(authority);
    ck_assert_uint_eq(size_shown(file), 0);
    thi_ocsp_file_unref(file);
    put_response(cert, (recipe){ .since = -7200, .until = -3600 });
    file = open_file(authority);
    ck_assert(has_said("is no longer valid"));
    ck_assert_uint_eq(size_shown(file), 0);
    thi_ocsp_file_unref(file);
    put_response(cert, (recipe){ .since = 3600, .until = 7200 });
    file = open_file(authority);
    ck_assert(has_said("is not valid yet"));
    ck_assert_uint_eq(size_shown(file), 0);
    thi_ocsp_file_unref(file);
    put_response(cert, (recipe){ .status = V_OCSP_CERTSTATUS_REVOKED,
                                 .reason = OCSP_REVOKED_STATUS_NOSTATUS });
    file = open_file(authority);
    ck_assert(has_said("was revoked"));
    ck_assert_uint_gt(size_shown(file), 0); /* clients have a right to know */
    thi_ocsp_file_unref(file);
    tear_down();
}
END_TEST

START_TEST(without_the_issuer_the_serial_number_has_to_do)
{
    thi_ocsp_file *file = NULL;
    set_up();
    listen_to_log();
    put_response(cert, (recipe){ .since = 0 });
    file = open_file(NULL);
    ck_assert(has_said("is not verified"));
    ck_assert_uint_gt(size_shown(file), 0);
    thi_ocsp_file_unref(file);
    X509 *other = make_cert(key, 4712, 3600, 0, NULL);
    put_response(other, (recipe){ .since = 0 });
    ck_assert_int_eq(thi_ocsp_file_new(path, cert, NULL, &file), TH_ETLS);
    X509_free(other);
    tear_down();
}
END_TEST

static void use_until_said(thi_ocsp_file *file, const char *words)
{
    while (!has_said(words)) {
        ck_assert_uint_gt(size_shown(file), 0);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    }
}

FIBER_TEST(a_new_file_is_shown_and_a_bad_one_leaves_the_old)
{
    set_up();
    listen_to_log();
    thi_ocsp_file_look_after = TH_MILLISECOND;
    put_response(cert, (recipe){ .since = 0 });
    thi_ocsp_file *file = open_file(authority);
    size_t first = size_shown(file);
    put_response(cert, (recipe){ .since = 0, .digest = EVP_sha256() }); /* a longer one */
    while (size_shown(file) == first)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    size_t second = size_shown(file);
    ck_assert_uint_gt(second, first);
    write_response(&(response){ (unsigned char *)(uintptr_t) "nonsense", 8 });
    use_until_said(file, "stays as it is");
    ck_assert_uint_eq(size_shown(file), second);
    put_response(cert, (recipe){ .since = -3600, .until = 600 });
    use_until_said(file, "more minutes only");
    thi_ocsp_file_unref(file);
    tear_down();
}

/* ---- both ends ---- */

typedef struct ends {
    SSL_CTX *server;
    SSL_CTX *client;
    th_str to_staple; /* what the server's callback gives */
    int staple_result;
    int check_result;
    int asked;   /* times the server's callback was called */
    int checked; /* and the client's */
    th_str seen;
    SSL *ssl; /* that the client's was called with */
    int failed;
    char detail[256];
} ends;

static int staple(SSL *ssl, th_str *out, void *arg)
{
    ends *e = arg;
    (void)ssl;
    e->asked++;
    *out = e->to_staple;
    return e->staple_result;
}

static int check(SSL *ssl, th_str der, void *arg)
{
    static char copy[8192];
    ends *e = arg;
    e->checked++;
    e->ssl = ssl;
    memcpy(copy, der.ptr, der.len);
    e->seen = th_str_make(copy, der.len);
    return e->check_result;
}

static void on_failed(SSL *ssl, int code, void *arg)
{
    ends *e = arg;
    (void)ssl;
    e->failed = code;
    snprintf(e->detail, sizeof e->detail, "%s", th_err_detail());
}

static void open_ends(ends *e, int version)
{
    *e = (ends){ .server = server_with(cert, key, version), .client = make_client() };
    e->to_staple = th_str_make("", 0);
}

static void close_ends(ends *e)
{
    SSL_CTX_free(e->server);
    SSL_CTX_free(e->client);
}

static void serve(ends *e, thi_ocsp_file *file)
{
    thi_ocsp_server server = { .files = { file }, .staple = staple, .failed = on_failed, .arg = e };
    ck_assert_int_eq(thi_ocsp_server_attach(e->server, &server), 0);
}

static void ask(ends *e, bool required)
{
    thi_ocsp_client client = {
        .required = required, .check = check, .failed = on_failed, .arg = e
    };
    ck_assert_int_eq(thi_ocsp_client_attach(e->client, &client), 0);
}

static bool connect_ends(ends *e)
{
    e->asked = e->checked = e->failed = 0;
    e->detail[0] = '\0';
    ssl_pair p = tie(e->server, e->client);
    bool done = shake(&p);
    if (e->checked)
        ck_assert_ptr_eq(e->ssl, p.client);
    untie(&p);
    return done;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

START_TEST(who_is_not_asked_is_not_called)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    serve(&e, NULL);
    ck_assert(connect_ends(&e));
    ck_assert_int_eq(e.asked, 0);
    ck_assert_int_eq(e.checked, 0);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(without_a_response_the_client_decides)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, false);
    ck_assert(connect_ends(&e)); /* a server that knows nothing of it */
    ck_assert_int_eq(e.checked, 1);
    ck_assert_uint_eq(e.seen.len, 0);
    serve(&e, NULL);
    ck_assert(connect_ends(&e)); /* one that has none */
    ck_assert_int_eq(e.asked, 1);
    ck_assert_int_eq(e.checked, 1);
    ck_assert_uint_eq(e.seen.len, 0);
    e.check_result = -EPERM;
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, -EPERM);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(where_one_is_required_its_lack_is_a_failure)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, true);
    serve(&e, NULL);
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, TH_ETLS);
    ck_assert_str_eq(e.detail, "the OCSP response of the server is missing");
    ck_assert_int_eq(e.checked, 0);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(where_the_certificate_demands_one_its_lack_is_a_failure)
{
    ends e;
    set_up_with(NID_tlsfeature, "status_request");
    open_ends(&e, versions[_i]);
    ask(&e, false);
    serve(&e, NULL);
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, TH_ETLS);
    response made = make_response(cert, (recipe){ .since = 0 });
    e.to_staple = str_of(&made);
    ck_assert(connect_ends(&e));
    drop_response(&made);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(the_bytes_of_the_server_reach_the_client_unchanged)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, false);
    put_response(cert, (recipe){ .since = 0 });
    thi_ocsp_file *file = open_file(authority);
    serve(&e, file);
    thi_ocsp_file_unref(file); /* the context has it */
    response made = make_response(cert, (recipe){ .since = 0, .digest = EVP_sha256() });
    e.to_staple = str_of(&made); /* before the file */
    ck_assert(connect_ends(&e));
    ck_assert(th_str_eq(e.seen, e.to_staple));
    e.to_staple = th_str_make("", 0); /* now the file */
    ck_assert(connect_ends(&e));
    ck_assert_uint_gt(e.seen.len, 100);
    ck_assert(!th_str_eq(e.seen, str_of(&made)));
    ck_assert_int_eq(e.checked, 1);
    drop_response(&made);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(a_bad_response_ends_the_handshake_with_its_reason)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, false);
    serve(&e, NULL);
    response made = make_response(cert, (recipe){ .status = V_OCSP_CERTSTATUS_REVOKED,
                                                  .reason = OCSP_REVOKED_STATUS_SUPERSEDED });
    e.to_staple = str_of(&made);
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, TH_ETLS);
    ck_assert_ptr_nonnull(strstr(e.detail, "was revoked on"));
    ck_assert_ptr_nonnull(strstr(e.detail, "(superseded)"));
    ck_assert_int_eq(e.checked, 0);
    e.to_staple = th_str_make("nonsense", 8);
    ck_assert(!connect_ends(&e));
    ck_assert_ptr_nonnull(strstr(e.detail, "cannot be read"));
    drop_response(&made);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(a_callback_that_fails_ends_the_handshake_with_its_own_error)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, false);
    serve(&e, NULL);
    e.staple_result = -ENOLINK;
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, -ENOLINK);
    response made = make_response(cert, (recipe){ .since = 0 });
    e.staple_result = 0;
    e.to_staple = str_of(&made);
    ck_assert(connect_ends(&e));
    e.check_result = -EBADMSG;
    ck_assert(!connect_ends(&e));
    ck_assert_int_eq(e.failed, -EBADMSG);
    drop_response(&made);
    close_ends(&e);
    tear_down();
}
END_TEST

/* Who trusts the certificate itself may not know its issuer, and nobody else can have signed. */
static void meet_trusted_leaf(int version, bool required, bool sent)
{
    ends e;
    set_up();
    open_ends(&e, version);
    X509_STORE *store = X509_STORE_new();
    ck_assert_int_eq(X509_STORE_add_cert(store, cert), 1);
    ck_assert_int_eq(X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN), 1);
    SSL_CTX_set_cert_store(e.client, store);
    ask(&e, required);
    serve(&e, NULL);
    response good = make_response(cert, (recipe){ .since = 0 });
    response bad = make_response(cert, (recipe){ .status = V_OCSP_CERTSTATUS_REVOKED });
    if (sent)
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(e.server, authority), 1);
    e.to_staple = str_of(&good);
    ck_assert_int_eq(connect_ends(&e), sent || !required);
    ck_assert_int_eq(e.checked, sent || !required);
    e.to_staple = str_of(&bad);
    ck_assert_int_eq(connect_ends(&e), !sent && !required);
    if (sent)
        ck_assert_ptr_nonnull(strstr(e.detail, "was revoked on"));
    else if (required)
        ck_assert_ptr_nonnull(strstr(e.detail, "the issuer of its certificate was not sent"));
    drop_response(&good);
    drop_response(&bad);
    close_ends(&e);
    tear_down();
}

START_TEST(without_its_issuer_a_trusted_leaf_has_no_response)
{
    for (int i = 0; i < 4; i++)
        meet_trusted_leaf(versions[_i], (i & 1) != 0, (i & 2) != 0);
}
END_TEST

/* There is no certificate in a resumed handshake, and nothing to say about one. */
START_TEST(a_resumed_session_is_not_asked_about)
{
    ends e;
    set_up();
    open_ends(&e, versions[_i]);
    ask(&e, true);
    serve(&e, NULL);
    response made = make_response(cert, (recipe){ .since = 0 });
    e.to_staple = str_of(&made);
    ssl_pair p = tie(e.server, e.client);
    ck_assert(shake(&p));
    SSL_SESSION *session = SSL_SESSION_dup(SSL_get0_session(p.client));
    untie(&p);
    e.checked = 0;
    p = tie(e.server, e.client);
    ck_assert_int_eq(SSL_set_session(p.client, session), 1);
    ck_assert(shake(&p));
    ck_assert(SSL_session_reused(p.client));
    ck_assert_int_eq(e.checked, 0);
    untie(&p);
    SSL_SESSION_free(session);
    drop_response(&made);
    close_ends(&e);
    tear_down();
}
END_TEST

START_TEST(without_memory_nothing_is_attached)
{
    thi_ocsp_file *file = NULL;
    ends e;
    set_up();
    open_ends(&e, 0);
    put_response(cert, (recipe){ .since = 0 });
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = thi_ocsp_file_new(path, cert, authority, &file);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_ocsp_server_attach(e.server, &(thi_ocsp_server){ .files = { file } }),
                     -ENOMEM);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_ocsp_client_attach(e.client, &(thi_ocsp_client){ .required = true }),
                     -ENOMEM);
    thi_ocsp_file_unref(file);
    ck_assert_int_eq(thi_alloc_live(), live);
    close_ends(&e);
    tear_down();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "judging");
    tcase_add_test(tcase, a_good_response_is_good_whatever_the_digest_of_its_id);
    tcase_add_test(tcase, its_time_counts_with_five_minutes_for_clocks_that_differ);
    tcase_add_test(tcase, revoked_unknown_and_about_others);
    tcase_add_test(tcase, the_issuer_signs_or_whom_it_has_delegated);
    tcase_add_test(tcase, what_is_cut_changed_or_too_long_is_broken);
    tcase_add_test(tcase, must_staple_is_seen);
    tcase = thi_check_case(suite, "a file");
    tcase_add_test(tcase, a_file_for_the_certificate_is_shown_and_others_are_refused);
    tcase_add_test(tcase, one_whose_time_is_up_is_told_and_not_shown);
    tcase_add_test(tcase, without_the_issuer_the_serial_number_has_to_do);
    tcase_add_test(tcase, a_new_file_is_shown_and_a_bad_one_leaves_the_old);
    tcase_add_test(tcase, without_memory_nothing_is_attached);
    tcase = thi_check_case(suite, "both ends");
    tcase_add_loop_test(tcase, who_is_not_asked_is_not_called, 0, 2);
    tcase_add_loop_test(tcase, without_a_response_the_client_decides, 0, 2);
    tcase_add_loop_test(tcase, where_one_is_required_its_lack_is_a_failure, 0, 2);
    tcase_add_loop_test(tcase, where_the_certificate_demands_one_its_lack_is_a_failure, 0, 2);
    tcase_add_loop_test(tcase, the_bytes_of_the_server_reach_the_client_unchanged, 0, 2);
    tcase_add_loop_test(tcase, a_bad_response_ends_the_handshake_with_its_reason, 0, 2);
    tcase_add_loop_test(tcase, a_callback_that_fails_ends_the_handshake_with_its_own_error, 0, 2);
    tcase_add_loop_test(tcase, without_its_issuer_a_trusted_leaf_has_no_response, 0, 2);
    tcase_add_loop_test(tcase, a_resumed_session_is_not_asked_about, 0, 2);
}

int main(void)
{
    return thi_check_run("tls/ocsp", fill);
}
