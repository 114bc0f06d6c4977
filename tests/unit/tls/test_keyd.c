/* SPDX-License-Identifier: MIT */

/* The key process and those who ask it: messages, what it signs, handshakes, its end and return. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/ssl_pair.h"

#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/keyd_check.h"
#include "tls/keyd_client.h"
#include "tls/keyd_wire.h"
#include "tls/ossl.h"

#include <thrum/dial.h>
#include <thrum/keyd.h>
#include <thrum/stream.h>
#include <thrum/unix.h>

#include <openssl/pem.h>

#include <sys/stat.h>
#include <unistd.h>

/* ---- messages -------------------------------------------------------------------------------- */

static const uint8_t some_data[] = "something to sign";

static thi_keyd_request a_request(void)
{
    thi_keyd_request r = { .kind = THI_KEYD_SIGN,
                           .name = "web",
                           .name_len = 3,
                           .op = THI_SIGN_ECDSA,
                           .data = some_data,
                           .len = sizeof some_data };
    memset(r.id, 7, sizeof r.id);
    return r;
}

START_TEST(a_request_is_read_as_it_was_written)
{
    uint8_t buf[THI_KEYD_MAX];
    thi_keyd_request in = a_request();
    thi_keyd_request out;
    size_t len = thi_keyd_put_request(buf, &in);
    ck_assert_int_eq(thi_keyd_body(buf), (int)(len - THI_KEYD_HEAD));
    ck_assert_int_eq(thi_keyd_get_request(buf + THI_KEYD_HEAD, len - THI_KEYD_HEAD, &out), 0);
    ck_assert_int_eq(out.kind, THI_KEYD_SIGN);
    ck_assert_uint_eq(out.name_len, 3);
    ck_assert_mem_eq(out.name, "web", 3);
    ck_assert_mem_eq(out.id, in.id, sizeof in.id);
    ck_assert_int_eq(out.op, THI_SIGN_ECDSA);
    ck_assert_uint_eq(out.len, sizeof some_data);
    ck_assert_mem_eq(out.data, some_data, sizeof some_data);
}
END_TEST

START_TEST(a_request_that_is_cut_anywhere_is_refused)
{
    uint8_t buf[THI_KEYD_MAX];
    thi_keyd_request in = a_request();
    thi_keyd_request out;
    size_t len = thi_keyd_put_request(buf, &in) - THI_KEYD_HEAD;
    size_t least = len - sizeof some_data + 1; /* one byte to sign is enough */
    for (size_t cut = 0; cut < least; cut++)
        ck_assert_int_eq(thi_keyd_get_request(buf + THI_KEYD_HEAD, cut, &out), TH_EPROTO);
    ck_assert_int_eq(thi_keyd_get_request(buf + THI_KEYD_HEAD, least, &out), 0);
}
END_TEST

START_TEST(sizes_have_bounds)
{
    uint8_t buf[THI_KEYD_MAX];
    static const uint8_t much[THI_KEYD_DATA_MAX + 1];
    thi_keyd_request in = a_request();
    thi_keyd_request out;
    in.data = much;
    in.len = THI_KEYD_DATA_MAX;
    size_t len = thi_keyd_put_request(buf, &in) - THI_KEYD_HEAD;
    ck_assert_int_eq(thi_keyd_get_request(buf + THI_KEYD_HEAD, len, &out), 0);
    in.len++;
    len = thi_keyd_put_request(buf, &in) - THI_KEYD_HEAD;
    ck_assert_int_eq(thi_keyd_get_request(buf + THI_KEYD_HEAD, len, &out), TH_EPROTO);
    const uint8_t heads[][4] = { { 0, 0, 0, 1 }, { 0, 0, 0x20, 1 }, { 0xff, 0xff, 0xff, 0xff } };
    for (size_t i = 0; i < thi_array_len(heads); i++)
        ck_assert_int_eq(thi_keyd_body(heads[i]), TH_EPROTO);
    const uint8_t most[4] = { 0, 0, 0x20, 0 };
    const uint8_t least[4] = { 0, 0, 0, 2 };
    ck_assert_int_eq(thi_keyd_body(most), THI_KEYD_BODY_MAX);
    ck_assert_int_eq(thi_keyd_body(least), 2);
}
END_TEST

START_TEST(another_version_and_another_kind_are_told)
{
    thi_keyd_request out;
    int status;
    const uint8_t *data;
    size_t len;
    const uint8_t newer[] = { 2, THI_KEYD_STATUS };
    const uint8_t unknown[] = { THI_KEYD_VERSION, 9 };
    const uint8_t longer[] = { THI_KEYD_VERSION, THI_KEYD_STATUS, 0 };
    ck_assert_int_eq(thi_keyd_get_request(newer, 2, &out), TH_EPROTO);
    ck_assert_str_eq(th_err_detail(), "the key process's protocol has version 1 here, 2 there");
    ck_assert_int_eq(thi_keyd_get_reply(newer, 2, &status, &data, &len), TH_EPROTO);
    ck_assert_int_eq(thi_keyd_get_request(unknown, 2, &out), TH_EPROTO);
    ck_assert_int_eq(thi_keyd_get_request(longer, 3, &out), TH_EPROTO);
}
END_TEST

/* ---- what is signed -------------------------------------------------------------------------- */

/* A padded block as TLS 1.3 has it made: the salt is as long as the hash. */
static void check_pss(RSA *rsa, const EVP_MD *md, int salt, bool allowed)
{
    uint8_t digest[EVP_MAX_MD_SIZE] = { 1, 2, 3 };
    uint8_t em[THI_SIGN_MAX];
    ck_assert_int_eq(RSA_padding_add_PKCS1_PSS_mgf1(rsa, em, digest, md, md, salt), 1);
    bool may =
        thi_keyd_may_sign(THI_SIGN_RSA_RAW, em, (size_t)RSA_size(rsa), (unsigned)RSA_bits(rsa));
    ck_assert_int_eq(may, allowed);
    em[0] ^= 1; /* another bit and it is nothing */
    ck_assert(
        !thi_keyd_may_sign(THI_SIGN_RSA_RAW, em, (size_t)RSA_size(rsa), (unsigned)RSA_bits(rsa)));
}

/* What somebody might try as well. */
enum { DECRYPT_PKCS1 = 4, DECRYPT_RAW = 5 };

START_TEST(padded_blocks_are_signed_if_they_are_those_of_tls)
{
    const size_t sizes[] = { 2048, 2049, 2050, 2055 };
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        EVP_PKEY *key = EVP_RSA_gen(sizes[i]);
        RSA *rsa = EVP_PKEY_get1_RSA(key);
        check_pss(rsa, EVP_sha256(), 32, true);
        check_pss(rsa, EVP_sha384(), 48, true);
        check_pss(rsa, EVP_sha512(), 64, true);
        check_pss(rsa, EVP_sha1(), 20, false);
        check_pss(rsa, EVP_sha256(), 20, false);
        RSA_free(rsa);
        EVP_PKEY_free(key);
    }
}
END_TEST

START_TEST(what_is_to_be_decrypted_is_not_signed)
{
    uint8_t secret[256];
    EVP_PKEY *key = mint_key("rsa");
    RSA *rsa = EVP_PKEY_get1_RSA(key);
    ck_assert_int_eq(
        RSA_public_encrypt(sizeof some_data, some_data, secret, rsa, RSA_PKCS1_PADDING), 256);
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_RAW, secret, 256, 2048));
    ck_assert(!thi_keyd_may_sign(DECRYPT_RAW, secret, 256, 2048));
    ck_assert(!thi_keyd_may_sign(DECRYPT_PKCS1, secret, 256, 2048));
    memset(secret, 0, sizeof secret);
    secret[255] = 0xbc;
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_RAW, secret, 256, 2048));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_RAW, secret, 0, 2048));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_RAW, secret, 255, 2048));
    RSA_free(rsa);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(digests_are_signed_if_they_say_which)
{
    uint8_t info[19 + 64] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                              0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
    ck_assert(thi_keyd_may_sign(THI_SIGN_RSA_PKCS1, info, 51, 2048));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_PKCS1, info, 50, 2048));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_PKCS1, info, 52, 2048));
    info[14] = 4; /* SHA-224 */
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_PKCS1, info, 51, 2048));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_RSA_PKCS1, some_data, sizeof some_data, 2048));
    ck_assert(thi_keyd_may_sign(THI_SIGN_ECDSA, info, 32, 256));
    ck_assert(thi_keyd_may_sign(THI_SIGN_ECDSA, info, 64, 256));
    ck_assert(!thi_keyd_may_sign(THI_SIGN_ECDSA, info, 20, 256));
    ck_assert(!thi_keyd_may_sign(0, info, 32, 256));
}
END_TEST

/* ---- a key process in a fiber ---------------------------------------------------------------- */

static char folder[] = "/tmp/keyd-XXXXXX";
static char address[64];
static char files[2][64];
static EVP_PKEY *keys[2]; /* RSA, P-256 */

static void write_key(const char *path, EVP_PKEY *key, const char *phrase)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    int len = phrase ? (int)strlen(phrase) : 0;
    ck_assert_int_eq(PEM_write_PKCS8PrivateKey(f, key, phrase ? EVP_aes_256_cbc() : NULL, phrase,
                                               len, NULL, NULL),
                     1);
    fclose(f);
}

static void make_files(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/keyd", folder);
    keys[0] = mint_key("rsa");
    keys[1] = mint_key("P-256");
    snprintf(files[0], sizeof files[0], "%s/web.pem", folder);
    snprintf(files[1], sizeof files[1], "%s/mail.pem", folder);
    write_key(files[0], keys[0], NULL);
    write_key(files[1], keys[1], NULL);
}

static void remove_files(void)
{
    for (int i = 0; i < 2; i++) {
        (void)unlink(files[i]);
        EVP_PKEY_free(keys[i]);
    }
    (void)rmdir(folder);
}

static th_keyd_key both[2];
static th_keyd_opts how;
static bool listens;

static void on_listening(const th_addr *addr, void *arg)
{
    ck_assert_int_eq(addr->kind, TH_ADDR_UNIX);
    *(bool *)arg = true;
}

static int run_keyd(void *arg)
{
    (void)arg;
    int err = th_keyd_serve(address, &how);
    listens = false;
    return err == -ECANCELED ? 0 : err;
}

/* Starts it in a scope of its own, and returns when it listens. */
static void start_keyd(th_scope *scope)
{
    both[0] = (th_keyd_key){ .file = files[0] };
    both[1] = (th_keyd_key){ .file = files[1], .name = "post" };
    how.keys = both;
    how.count = 2;
    how.listening = on_listening;
    how.arg = &listens;
    open_scope(scope);
    spawn(scope, run_keyd, NULL);
    while (!listens)
        th_yield();
}

static void stop_keyd(th_scope *scope)
{
    (void)th_scope_cancel(scope, 0);
    (void)th_scope_close(scope);
    ck_assert(!listens);
}

/* A handshake with a key there: 0, or as a stream would tell it. */
static int shake_with(const char *which, int key, int version)
{
    char spec[256];
    EVP_PKEY *remote = NULL;
    snprintf(spec, sizeof spec, "keyd:%s%s", address, which);
    int err = thi_keyd_key(spec, keys[key], &remote);
    if (err < 0)
        return err;
    SSL_CTX *server = new_server_ctx(keys[key], remote);
    SSL_CTX *client = new_client_ctx(version);
    ssl_pair p = tie(server, client);
    if (shake_hands(&p) < 0)
        err = thi_ossl_fail(TH_ETLS, "handshake");
    untie(&p);
    EVP_PKEY_free(remote);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return err;
}

/* Runs a body with the files and a key process; the body may stop it. */
#define KEYD_TEST(name)                                                                            \
    static void name##_with(th_scope *scope);                                                      \
    FIBER_TEST(name)                                                                               \
    {                                                                                              \
        th_scope scope;                                                                            \
        make_files();                                                                              \
        start_keyd(&scope);                                                                        \
        name##_with(&scope);                                                                       \
        if (listens)                                                                               \
            stop_keyd(&scope);                                                                     \
        remove_files();                                                                            \
    }                                                                                              \
    static void name##_with(th_scope *scope)

KEYD_TEST(handshakes_are_signed_elsewhere)
{
    (void)scope;
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0);
    ck_assert_int_eq(shake_with("", 0, TLS1_2_VERSION), 0);
    ck_assert_int_eq(shake_with("", 1, TLS1_3_VERSION), 0);
    ck_assert_int_eq(shake_with("#web", 0, TLS1_3_VERSION), 0);
    ck_assert_int_eq(shake_with("#post", 1, TLS1_2_VERSION), 0);
}

static int shake_one(void *arg)
{
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0);
    ++*(int *)arg;
    return 0;
}

KEYD_TEST(many_fibers_ask_at_once)
{
    (void)scope;
    int done = 0;
    th_scope crowd;
    open_scope(&crowd);
    for (int i = 0; i < 40; i++) /* more than the connections that are kept */
        spawn(&crowd, shake_one, &done);
    close_scope(&crowd);
    ck_assert_int_eq(done, 40);
}

KEYD_TEST(another_name_and_another_key_are_refused)
{
    (void)scope;
    ck_assert_int_eq(shake_with("#mail", 1, TLS1_3_VERSION), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no key for this certificate by that name"));
    EVP_PKEY *own = keys[0];
    keys[0] = mint_key("rsa");
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no key for this certificate"));
    EVP_PKEY_free(keys[0]);
    keys[0] = own;
}

KEYD_TEST(a_fingerprint_must_be_that_of_the_certificate)
{
    (void)scope;
    uint8_t id[THI_KEYD_ID_SIZE];
    char which[2 * THI_KEYD_ID_SIZE + 2] = "#";
    ck_assert_int_eq(thi_keyd_id(keys[0], id), 0);
    thi_keyd_id_text(id, which + 1);
    ck_assert_int_eq(shake_with(which, 0, TLS1_3_VERSION), 0);
    which[1] = which[1] == '0' ? '1' : '0';
    ck_assert_int_eq(shake_with(which, 0, TLS1_3_VERSION), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "is not that of the certificate"));
}

KEYD_TEST(it_is_gone_and_comes_back)
{
    th_scope again;
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0);
    stop_keyd(scope);
    int err = shake_with("", 0, TLS1_3_VERSION); /* by the connection that was kept */
    ck_assert(err == -ENOENT || err == -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "is not there"));
    do /* until one comes within the pause, which grows, and is not even tried */
        ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), err);
    while (!strstr(th_err_detail(), "asked again in a moment"));
    start_keyd(&again);
    int64_t began = th_now();
    while ((err = shake_with("", 0, TLS1_3_VERSION)) < 0) {
        ck_assert_int_lt(th_now() - began, 5 * TH_SECOND);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0); /* the pause passes */
    }
    stop_keyd(&again);
}

KEYD_TEST(it_was_restarted_between_two_requests)
{
    th_scope again;
    ck_assert_int_eq(shake_with("", 1, TLS1_3_VERSION), 0);
    stop_keyd(scope);
    start_keyd(&again);
    ck_assert_int_eq(shake_with("", 1, TLS1_3_VERSION), 0); /* at once, on a new connection */
    stop_keyd(&again);
}

FIBER_TEST(the_rate_has_a_bound)
{
    th_scope scope;
    int done = 0;
    int err = 0;
    make_files();
    how.rate = 5;
    start_keyd(&scope);
    while (done < 20 && (err = shake_with("", 1, TLS1_3_VERSION)) == 0)
        done++;
    ck_assert_int_eq(err, TH_ELIMIT);
    ck_assert_int_ge(done, 5);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "more signatures are wanted"));
    stop_keyd(&scope);
    remove_files();
}

/* Sends bytes that are no message, and gives the status of the reply. */
static int send_raw(const void *bytes, size_t len)
{
    th_stream *stream;
    uint8_t reply[THI_KEYD_MAX];
    ck_assert_int_eq(th_dial(address, NULL, &stream), 0);
    ck_assert_int_eq(th_stream_write(stream, bytes, len), (ssize_t)len);
    ck_assert_int_eq(th_stream_read_all(stream, reply, THI_KEYD_HEAD), THI_KEYD_HEAD);
    int n = thi_keyd_body(reply);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(th_stream_read_all(stream, reply, (size_t)n), n);
    ssize_t end = th_stream_read(stream, reply + n, 1);
    ck_assert(end == TH_EOF || end == -ECONNRESET);
    th_stream_free(stream);
    return reply[1];
}

KEYD_TEST(what_is_no_message_ends_the_connection)
{
    (void)scope;
    const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1, 1 };
    const uint8_t other[] = { 0, 0, 0, 2, 7, 1 };
    ck_assert_int_eq(send_raw(huge, sizeof huge), THI_KEYD_MALFORMED);
    ck_assert_int_eq(send_raw(other, sizeof other), THI_KEYD_MALFORMED);
    ck_assert_int_eq(send_raw("GET / HTTP/1.1\r\n\r\n", 18), THI_KEYD_MALFORMED);
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0); /* others are served */
}

KEYD_TEST(it_does_not_decrypt)
{
    (void)scope;
    uint8_t secret[256];
    uint8_t reply[THI_KEYD_MAX];
    const uint8_t *data;
    size_t len;
    th_stream *stream;
    RSA *rsa = EVP_PKEY_get1_RSA(keys[0]);
    ck_assert_int_eq(
        RSA_public_encrypt(sizeof some_data, some_data, secret, rsa, RSA_PKCS1_PADDING), 256);
    RSA_free(rsa);
    ck_assert_int_eq(th_dial(address, NULL, &stream), 0);
    for (int op = 0; op <= DECRYPT_RAW; op++) {
        thi_keyd_request r = {
            .kind = THI_KEYD_SIGN, .name = "", .op = op, .data = secret, .len = sizeof secret
        };
        ck_assert_int_eq(thi_keyd_id(keys[0], r.id), 0);
        ck_assert_int_eq(thi_keyd_exchange(stream, &r, reply, &data, &len), THI_KEYD_REFUSED);
    }
    th_stream_free(stream);
}

KEYD_TEST(it_tells_what_it_holds_and_has_done)
{
    (void)scope;
    th_arena arena;
    th_str text;
    char line[128];
    char id_text[2 * THI_KEYD_ID_SIZE + 1];
    uint8_t id[THI_KEYD_ID_SIZE];
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0);
    ck_assert_int_eq(shake_with("#x", 0, TLS1_3_VERSION), TH_ETLS);
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    ck_assert_int_eq(th_keyd_status(address, &arena, &text), 0);
    ck_assert_ptr_nonnull(strstr(text.ptr, "signed 1\nrefused 1\nlimited 0\nfailed 0\n"));
    ck_assert_int_eq(thi_keyd_id(keys[0], id), 0);
    snprintf(line, sizeof line, "key web RSA-2048 %s\n", thi_keyd_id_text(id, id_text));
    ck_assert_ptr_nonnull(strstr(text.ptr, line));
    ck_assert_ptr_nonnull(strstr(text.ptr, "key post P-256 "));
    th_arena_deinit(&arena);
}

KEYD_TEST(its_socket_is_its_users_alone)
{
    (void)scope;
    struct stat st;
    ck_assert_int_eq(stat(address + 5, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}

KEYD_TEST(a_cancelled_request_leaves_nothing_behind)
{
    (void)scope;
    for (int i = 0; i < 20; i++) {
        th_scope inner;
        open_scope_for(&inner, i * 50 * TH_MICROSECOND);
        int err = shake_with("", 0, TLS1_3_VERSION);
        ck_assert(err == 0 || err == -ETIMEDOUT);
        close_scope(&inner);
    }
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), 0);
}

/* ---- what cannot be held --------------------------------------------------------------------- */

static void write_public(const char *path, EVP_PKEY *key)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(PEM_write_PUBKEY(f, key), 1);
    ck_assert_int_eq(fclose(f), 0);
}

static int try_keys(const th_keyd_key *list, size_t count)
{
    return th_keyd_serve(address, &(th_keyd_opts){ .keys = list, .count = count });
}

FIBER_TEST(what_cannot_be_held_is_told)
{
    char other[80];
    make_files();
    EVP_PKEY *ed = mint_key("ED25519");
    snprintf(other, sizeof other, "%s/other", folder);
    write_key(other, ed, NULL);
    const th_keyd_key a[] = { { .file = other } };
    ck_assert_int_eq(try_keys(a, 1), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "of a kind that cannot be held: ED25519"));
    write_key(other, keys[0], "secret");
    ck_assert_int_eq(try_keys(a, 1), -EACCES);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "there is no pass phrase for it"));
    const th_keyd_key wrong[] = { { .file = other, .phrase = "guess" } };
    ck_assert_int_eq(try_keys(wrong, 1), -EACCES);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "wrong pass phrase"));
    write_public(other, keys[0]);
    ck_assert_int_eq(try_keys(a, 1), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "is a public one"));
    const th_keyd_key twice[] = { { .file = files[0] }, { .file = files[1], .name = "web" } };
    ck_assert_int_eq(try_keys(twice, 2), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "two keys are called web");
    const th_keyd_key missing[] = { { .file = "/nowhere/key.pem" } };
    ck_assert_int_eq(try_keys(missing, 1), -ENOENT);
    const th_keyd_key blank[] = { { .file = files[0], .name = "a b" } };
    ck_assert_int_eq(try_keys(blank, 1), -EINVAL);
    const th_keyd_key none[] = { { .name = "a" } };
    ck_assert_int_eq(try_keys(none, 1), -EINVAL);
    ck_assert_int_eq(try_keys(a, 0), -EINVAL);
    ck_assert_int_eq(th_keyd_serve(NULL, &how), -EINVAL);
    ck_assert_int_eq(th_keyd_serve(address, NULL), -EINVAL);
    const th_keyd_key good[] = { { .file = files[0] } };
    ck_assert_int_eq(th_keyd_serve("127.0.0.1:0", &(th_keyd_opts){ .keys = good, .count = 1 }),
                     TH_EADDRESS);
    (void)unlink(other);
    EVP_PKEY_free(ed);
    remove_files();
}

FIBER_TEST(a_key_with_a_pass_phrase_can_be_held)
{
    th_scope scope;
    make_files();
    write_key(files[0], keys[0], "secret");
    both[0] = (th_keyd_key){ .file = files[0], .phrase = "secret" };
    how = (th_keyd_opts){ .keys = both, .count = 1, .listening = on_listening, .arg = &listens };
    open_scope(&scope);
    spawn(&scope, run_keyd, NULL);
    while (!listens)
        th_yield();
    ck_assert_int_eq(shake_with("#web", 0, TLS1_3_VERSION), 0);
    stop_keyd(&scope);
    remove_files();
}

START_TEST(addresses_of_keys_are_checked)
{
    EVP_PKEY *key = mint_key("P-256");
    EVP_PKEY *ed = mint_key("ED25519");
    EVP_PKEY *remote = NULL;
    ck_assert(thi_keyd_is_spec("keyd:unix:/a"));
    ck_assert(!thi_keyd_is_spec("/etc/key.pem"));
    ck_assert_int_eq(thi_keyd_key("/etc/key.pem", key, &remote), TH_EADDRESS);
    ck_assert_int_eq(thi_keyd_key("keyd:127.0.0.1:1", key, &remote), TH_EADDRESS);
    ck_assert_int_eq(thi_keyd_key("keyd:", key, &remote), TH_EADDRESS);
    ck_assert_int_eq(thi_keyd_key("keyd:unix:/a", ed, &remote), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "only RSA and EC keys can be used elsewhere, not ED25519");
    ck_assert_ptr_null(remote);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ed);
}
END_TEST

START_TEST(outside_of_a_fiber_nobody_can_wait_for_it)
{
    make_files();
    ck_assert_int_eq(shake_with("", 0, TLS1_3_VERSION), -EPERM);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "in fibers only"));
    remove_files();
}
END_TEST

START_TEST(without_memory_there_is_no_key_and_no_leak)
{
    EVP_PKEY *key = mint_key("P-256");
    EVP_PKEY *remote = NULL;
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = thi_keyd_key("keyd:unix:/a#b", key, &remote);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_ptr_null(remote);
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    EVP_PKEY_free(remote);
    EVP_PKEY_free(key);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

FIBER_TEST(without_memory_it_does_not_start)
{
    th_scope scope;
    int err;
    make_files();
    both[0] = (th_keyd_key){ .file = files[0], .phrase = "not needed" };
    both[1] = (th_keyd_key){ .file = files[1] };
    how = (th_keyd_opts){ .keys = both, .count = 2 };
    open_cancelled_scope(&scope); /* in which nobody is served */
    (void)!th_keyd_serve(address, &how);
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        err = th_keyd_serve(address, &how);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_msg(err == -ENOMEM, "%d: %s", (int)n, th_errname(err));
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    ck_assert_int_eq(err, -ECANCELED);
    (void)th_scope_close(&scope);
    remove_files();
}

/* In the middle of a handshake, on both sides: it fails, and the next one does not. */
KEYD_TEST(without_memory_a_request_fails)
{
    (void)scope;
    for (int64_t n = 1; n < 40; n++) {
        thi_alloc_fail_at(n);
        int err = shake_with("", 1, TLS1_3_VERSION);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_lt(err, 1);
    }
    int64_t began = th_now();
    while (shake_with("", 1, TLS1_3_VERSION) < 0) {
        ck_assert_int_lt(th_now() - began, 5 * TH_SECOND);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0); /* after a pause */
    }
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "messages");
    tcase_add_test(tcase, a_request_is_read_as_it_was_written);
    tcase_add_test(tcase, a_request_that_is_cut_anywhere_is_refused);
    tcase_add_test(tcase, sizes_have_bounds);
    tcase_add_test(tcase, another_version_and_another_kind_are_told);
    tcase = thi_check_case(suite, "what is signed");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, padded_blocks_are_signed_if_they_are_those_of_tls);
    tcase_add_test(tcase, what_is_to_be_decrypted_is_not_signed);
    tcase_add_test(tcase, digests_are_signed_if_they_say_which);
    tcase = thi_check_case(suite, "handshakes");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, handshakes_are_signed_elsewhere);
    tcase_add_test(tcase, many_fibers_ask_at_once);
    tcase_add_test(tcase, another_name_and_another_key_are_refused);
    tcase_add_test(tcase, a_fingerprint_must_be_that_of_the_certificate);
    tcase_add_test(tcase, it_is_gone_and_comes_back);
    tcase_add_test(tcase, it_was_restarted_between_two_requests);
    tcase_add_test(tcase, the_rate_has_a_bound);
    tcase_add_test(tcase, a_cancelled_request_leaves_nothing_behind);
    tcase = thi_check_case(suite, "strangers");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_no_message_ends_the_connection);
    tcase_add_test(tcase, it_does_not_decrypt);
    tcase_add_test(tcase, it_tells_what_it_holds_and_has_done);
    tcase_add_test(tcase, its_socket_is_its_users_alone);
    tcase = thi_check_case(suite, "keys");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_cannot_be_held_is_told);
    tcase_add_test(tcase, a_key_with_a_pass_phrase_can_be_held);
    tcase_add_test(tcase, addresses_of_keys_are_checked);
    tcase_add_test(tcase, outside_of_a_fiber_nobody_can_wait_for_it);
    tcase_add_test(tcase, without_memory_there_is_no_key_and_no_leak);
    tcase_add_test(tcase, without_memory_it_does_not_start);
    tcase_add_test(tcase, without_memory_a_request_fails);
}

int main(void)
{
    return thi_check_run("tls/keyd", fill);
}
