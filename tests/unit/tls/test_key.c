/* SPDX-License-Identifier: MIT */

/* Keys: making, reading and writing them, pass phrases, what is refused. */
#include "texts.h"
#include "starving.h"

#include "base/alloc.h"

#include <thrum/runtime.h>
#include <thrum/scope.h>

/* ---- making ---- */

static const struct kind {
    const char *what;
    int kind, bits, security;
    const char *name;
} kinds[] = {
    { NULL, TH_KEY_EC, 256, 128, "P-256" },
    { "ec", TH_KEY_EC, 256, 128, "P-256" },
    { "ec:P-384", TH_KEY_EC, 384, 192, "P-384" },
    { "ec:secp521r1", TH_KEY_EC, 521, 256, "P-521" },
    { "ed25519", TH_KEY_ED25519, 256, 128, "Ed25519" },
    { "ed448", TH_KEY_ED448, 456, 224, "Ed448" },
    { "rsa:1024", TH_KEY_RSA, 1024, 80, "RSA" },
    { "RSA:2048", TH_KEY_RSA, 2048, 112, "RSA" },
};

START_TEST(keys_of_each_kind_are_made_and_told)
{
    const struct kind *k = &kinds[_i];
    th_key *key = new_key(k->what);
    th_key_info info;
    ck_ok(th_key_get_info(key, &info));
    ck_assert_int_eq(info.kind, k->kind);
    ck_assert_int_eq(info.is_private, 1);
    ck_assert_int_eq(info.bits, k->bits);
    ck_assert_int_eq(info.security_bits, k->security);
    ck_assert_str_eq(info.name, k->name);
    ck_ok(th_key_check(key));
    th_key_unref(key);
}
END_TEST

START_TEST(two_new_keys_differ)
{
    th_key *a = new_key("ec"), *b = new_key("ec");
    ck_assert_int_eq(th_key_equal(a, b), 0);
    ck_assert_int_eq(th_key_equal(a, a), 1);
    ck_assert_int_eq(th_key_equal(a, NULL), 0);
    th_key_unref(a);
    th_key_unref(b);
}
END_TEST

START_TEST(sizes_out_of_range_are_refused)
{
    static const char *const bad[] = { "rsa:0",
                                       "rsa:-1",
                                       "rsa:-2048",
                                       "rsa:",
                                       "rsa:1023",
                                       "rsa:16385",
                                       "rsa:99999999999999999999",
                                       "rsa:2048x" };
    th_key *key = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(th_key_new(bad[i], &key), -EINVAL);
        ck_detail("1024 to 16384");
        ck_assert_ptr_null(key);
    }
}
END_TEST

START_TEST(unknown_kinds_and_curves_are_refused)
{
    th_key *key = NULL;
    ck_assert_int_eq(th_key_new("dsa", &key), -EINVAL);
    ck_detail("dsa");
    ck_assert_int_eq(th_key_new("ed25519:1", &key), -EINVAL);
    ck_assert_int_eq(th_key_new("", &key), -EINVAL);
    ck_assert_int_eq(th_key_new("ec:P-257", &key), -EINVAL);
    ck_detail("P-257");
    ck_assert_int_eq(th_key_new("ec:", &key), -EINVAL);
    ck_assert_int_eq(th_key_new("ec", NULL), -EINVAL);
    ck_assert_ptr_null(key);
}
END_TEST

START_TEST(curves_have_names_and_each_makes_a_key)
{
    size_t count = 0;
    for (const char *name; (name = th_key_curve(count)) != NULL; count++) {
        th_key_info info;
        th_key *key = new_key(th_arena_printf(&arena, "ec:%s", name));
        ck_ok(th_key_get_info(key, &info));
        ck_assert_str_eq(info.name, name);
        th_key_unref(key);
    }
    ck_assert_uint_ge(count, 3);
    ck_assert_ptr_null(th_key_curve(SIZE_MAX));
}
END_TEST

/* ---- in and out ---- */

static th_str pem_of(const th_key *key, const th_key_write_opts *opts)
{
    th_str pem;
    ck_ok(th_key_pem(key, opts, &arena, &pem));
    ck_assert_int_eq(pem.ptr[pem.len], '\0');
    return pem;
}

static void ck_reads_as(th_str text, const th_passphrase *phrase, const th_key *key)
{
    th_key *again = NULL;
    th_key_info info;
    ck_ok(th_key_parse(text, phrase, &again));
    ck_assert_int_eq(th_key_equal(again, key), 1);
    ck_ok(th_key_get_info(again, &info));
    ck_assert_int_eq(info.is_private, 1);
    ck_ok(th_key_check(again));
    th_key_unref(again);
}

START_TEST(keys_go_out_and_come_in)
{
    th_key *key = new_key(kinds[_i].what);
    th_str der, again_der;
    th_key *again;
    th_str pem = pem_of(key, NULL);
    ck_assert(has_text(pem, "-----BEGIN PRIVATE KEY-----\n"));
    ck_reads_as(pem, NULL, key);
    ck_ok(th_key_der(key, NULL, &arena, &der));
    ck_reads_as(der, NULL, key);
    ck_ok(th_key_parse(pem, NULL, &again));
    ck_ok(th_key_der(again, NULL, &arena, &again_der));
    ck_same(der, again_der);
    th_key_unref(again);
    th_key_unref(key);
}
END_TEST

START_TEST(the_public_part_goes_out_and_comes_in)
{
    th_key *key = new_key(kinds[_i].what), *public_key, *again;
    th_key_info info;
    th_str pem, der, print_a, print_b;
    ck_ok(th_key_public(key, &public_key));
    ck_ok(th_key_get_info(public_key, &info));
    ck_assert_int_eq(info.is_private, 0);
    ck_assert_int_eq(info.bits, kinds[_i].bits);
    ck_assert_int_eq(th_key_equal(key, public_key), 1);
    ck_ok(th_key_public_pem(key, &arena, &pem));
    ck_assert(has_text(pem, "-----BEGIN PUBLIC KEY-----\n"));
    ck_ok(th_key_public_der(public_key, &arena, &der));
    ck_ok(th_key_parse(pem, NULL, &again));
    ck_assert_int_eq(th_key_equal(key, again), 1);
    th_key_unref(again);
    ck_ok(th_key_parse(der, NULL, &again));
    ck_assert_int_eq(th_key_equal(key, again), 1);
    ck_ok(th_key_fingerprint(key, NULL, &arena, &print_a));
    ck_ok(th_key_fingerprint(again, "SHA256", &arena, &print_b));
    ck_same(print_a, print_b);
    ck_assert_uint_eq(print_a.len, 95);
    th_key_unref(again);
    th_key_unref(public_key);
    th_key_unref(key);
}
END_TEST

START_TEST(a_public_key_cannot_be_checked_or_written_as_private)
{
    th_key *key = new_key("ec"), *public_key;
    th_str out = { "x", 1 };
    ck_ok(th_key_public(key, &public_key));
    ck_assert_int_eq(th_key_check(public_key), -EINVAL);
    ck_detail("only the public part");
    ck_assert_int_eq(th_key_pem(public_key, NULL, &arena, &out), -EINVAL);
    ck_assert_int_eq(th_key_der(public_key, NULL, &arena, &out), -EINVAL);
    ck_assert_uint_eq(out.len, 1);
    th_key_unref(public_key);
    th_key_unref(key);
}
END_TEST

START_TEST(the_first_key_of_a_text_is_taken_and_the_rest_passed_over)
{
    th_key *a = new_key("ec"), *b = new_key("ec");
    th_str noise = TH_STR("a word before\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                          "-----END EC PARAMETERS-----\n");
    th_str text = joined(noise, joined(pem_of(a, NULL), pem_of(b, NULL)));
    ck_reads_as(text, NULL, a);
    th_key_unref(a);
    th_key_unref(b);
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    static const th_str bad[] = {
        { "", 0 },
        { NULL, 0 },
        { "hello", 5 },
        { "0\x82", 2 },
        { "0\x03\x02\x01\x05", 5 },
        { "0\x80\0\0", 4 },
        { "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 58 },
        { "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", 58 },
        { "-----BEGIN PRIVATE KEY-----\nAAAA\n", 33 },
        { "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", 66 },
        { "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 58 },
    };
    th_key *key = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = th_key_parse(bad[i], NULL, &key);
        ck_assert_msg(err == TH_ETLS, "%zu: %s", i, th_errname(err));
        ck_assert_uint_gt(strlen(th_err_detail()), 0);
        ck_assert_ptr_null(key);
    }
    ck_assert_int_eq(th_key_parse(th_str_make(NULL, 5), NULL, &key), -EINVAL);
    ck_assert_int_eq(th_key_parse(TH_STR("x"), NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(input_is_limited)
{
    size_t most = (size_t)1 << 20;
    char *text = malloc(most + 1);
    th_key *key = new_key("ec"), *again = NULL;
    th_str pem = pem_of(key, NULL);
    memset(text, '\n', most + 1);
    memcpy(text, pem.ptr, pem.len);
    ck_ok(th_key_parse(th_str_make(text, most), NULL, &again));
    th_key_unref(again);
    ck_assert_int_eq(th_key_parse(th_str_make(text, most + 1), NULL, &again), TH_ELIMIT);
    free(text);
    th_key_unref(key);
}
END_TEST

START_TEST(rubbish_behind_a_der_key_is_refused)
{
    th_key *key = new_key("ec"), *again = NULL;
    th_str der;
    ck_ok(th_key_der(key, NULL, &arena, &der));
    ck_assert_int_eq(th_key_parse(joined(der, TH_STR("x")), NULL, &again), TH_ETLS);
    ck_assert_int_eq(th_key_parse(th_str_make(der.ptr, der.len - 1), NULL, &again), TH_ETLS);
    ck_ok(th_key_public_der(key, &arena, &der));
    ck_assert_int_eq(th_key_parse(joined(der, TH_STR("x")), NULL, &again), TH_ETLS);
    ck_assert_ptr_null(again);
    th_key_unref(key);
}
END_TEST

/* A 512-bit RSA key of which p is no prime: made by hand from 15 * q. */
START_TEST(a_broken_key_is_refused_by_the_check)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    run_well("openssl genrsa -traditional -out good.pem 1024 && openssl asn1parse -in good.pem "
             "-noout -out good.der");
    int fd = open(path_of("good.der"), O_RDONLY | O_CLOEXEC);
    char der[2048];
    ssize_t len = read(fd, der, sizeof der);
    close(fd);
    ck_assert_int_gt(len, 400);
    th_key *key = NULL;
    ck_ok(th_key_parse(th_str_make(der, (size_t)len), NULL, &key));
    ck_ok(th_key_check(key));
    th_key_unref(key);
    der[len - 1] ^= 2; /* the last number: q's inverse */
    ck_ok(th_key_parse(th_str_make(der, (size_t)len), NULL, &key));
    der[len - 1] ^= 2;
    th_key_unref(key);
    der[300] ^= 2; /* within the private exponent or the first prime */
    int err = th_key_parse(th_str_make(der, (size_t)len), NULL, &key);
    if (err == 0) {
        ck_assert_int_eq(th_key_check(key), TH_ETLS);
        ck_detail("the RSA key is broken");
        th_key_unref(key);
    } else {
        ck_assert_int_eq(err, TH_ETLS);
    }
}
END_TEST

/* ---- pass phrases ---- */

/* Quick to hash: what is tested is not how long it takes. */
static const th_passphrase secret = { .text = { "secret", 6 } };
static const th_key_write_opts sealed = { .phrase = &secret, .iterations = 1000 };

START_TEST(an_encrypted_key_needs_its_phrase)
{
    th_key *key = new_key(kinds[_i].what), *again = NULL;
    th_passphrase wrong = { .text = TH_STR("Secret") };
    th_passphrase empty = { .text = TH_STR("") };
    th_str der, pem = pem_of(key, &sealed);
    ck_assert(has_text(pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    ck_reads_as(pem, &secret, key);
    ck_assert_int_eq(th_key_parse(pem, &wrong, &again), -EACCES);
    ck_detail("wrong pass phrase");
    ck_assert_int_eq(th_key_parse(pem, &empty, &again), -EACCES);
    ck_detail("wrong pass phrase");
    ck_assert_int_eq(th_key_parse(pem, NULL, &again), -EACCES);
    ck_detail("there is no pass phrase");
    ck_ok(th_key_der(key, &sealed, &arena, &der));
    ck_reads_as(der, &secret, key);
    ck_assert_int_eq(th_key_parse(der, &wrong, &again), -EACCES);
    ck_assert_int_eq(th_key_parse(der, NULL, &again), -EACCES);
    ck_assert_ptr_null(again);
    th_key_unref(key);
}
END_TEST

/* Answers of somebody who is asked. */
typedef struct answer {
    const char *text;
    ssize_t len; /* what is returned */
    int calls;
    size_t room;
} answer;

static ssize_t give(void *arg, char *buf, size_t room)
{
    answer *a = arg;
    a->calls++;
    a->room = room;
    if (a->text)
        memcpy(buf, a->text, (size_t)a->len);
    return a->len;
}

START_TEST(the_phrase_is_asked_for_once)
{
    th_key *key = new_key("ec"), *again = NULL;
    answer right = { .text = "secret", .len = 6 };
    th_passphrase ask = { .ask = give, .arg = &right };
    ck_reads_as(pem_of(key, &sealed), &ask, key);
    ck_assert_int_eq(right.calls, 1);
    ck_assert_uint_eq(right.room, TH_PASSPHRASE_MAX);
    ck_reads_as(pem_of(key, NULL), &ask, key); /* not encrypted: not asked */
    ck_assert_int_eq(right.calls, 1);
    answer wrong = { .text = "wrong!", .len = 6 };
    ask.arg = &wrong;
    ck_assert_int_eq(th_key_parse(pem_of(key, &sealed), &ask, &again), -EACCES);
    ck_assert_int_eq(wrong.calls, 1);
    answer none = { .text = "", .len = 0 };
    ask.arg = &none;
    ck_assert_int_eq(th_key_parse(pem_of(key, &sealed), &ask, &again), -EACCES);
    th_key_unref(key);
}
END_TEST

START_TEST(a_failure_of_the_one_who_is_asked_is_the_result)
{
    th_key *key = new_key("ec"), *again = NULL;
    answer gone = { .len = -ECANCELED };
    th_passphrase ask = { .ask = give, .arg = &gone };
    ck_assert_int_eq(th_key_parse(pem_of(key, &sealed), &ask, &again), -ECANCELED);
    gone.len = -EIO;
    ck_assert_int_eq(th_key_parse(pem_of(key, &sealed), &ask, &again), -EIO);
    th_key_write_opts opts = { .phrase = &ask };
    th_str out = { "x", 1 };
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EIO);
    ck_assert_uint_eq(out.len, 1);
    th_key_unref(key);
}
END_TEST

START_TEST(a_phrase_may_have_1024_bytes_and_not_one_more)
{
    char text[TH_PASSPHRASE_MAX + 1];
    memset(text, 'a', sizeof text);
    th_key *key = new_key("ec"), *again = NULL;
    th_passphrase phrase = { .text = { text, TH_PASSPHRASE_MAX } };
    th_key_write_opts opts = { .phrase = &phrase, .iterations = 1000 };
    th_str pem = pem_of(key, &opts), out;
    ck_reads_as(pem, &phrase, key);
    phrase.text.len--; /* nobody shortened it */
    ck_assert_int_eq(th_key_parse(pem, &phrase, &again), -EACCES);
    phrase.text.len = TH_PASSPHRASE_MAX + 1;
    ck_assert_int_eq(th_key_parse(pem, &phrase, &again), -EINVAL);
    ck_detail("longer than 1024 bytes");
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    answer longer = { .len = TH_PASSPHRASE_MAX + 1 };
    th_passphrase ask = { .ask = give, .arg = &longer };
    ck_assert_int_eq(th_key_parse(pem, &ask, &again), -EINVAL);
    ck_detail("longer than 1024 bytes");
    th_key_unref(key);
}
END_TEST

START_TEST(nul_bytes_in_a_phrase_count)
{
    th_key *key = new_key("ec"), *again = NULL;
    th_passphrase whole = { .text = { "sec\0ret", 7 } };
    th_passphrase cut = { .text = { "sec", 3 } };
    th_key_write_opts opts = { .phrase = &whole, .iterations = 1000 };
    th_str pem = pem_of(key, &opts);
    ck_reads_as(pem, &whole, key);
    ck_assert_int_eq(th_key_parse(pem, &cut, &again), -EACCES);
    th_key_unref(key);
}
END_TEST

START_TEST(a_phrase_without_use_is_misuse)
{
    th_key *key = new_key("ec"), *again = NULL;
    th_str der, out = { "x", 1 };
    ck_ok(th_key_der(key, NULL, &arena, &der));
    ck_assert_int_eq(th_key_parse(der, &secret, &again), -EINVAL);
    ck_detail("not encrypted");
    th_key_write_opts opts = { .cipher = "aes-256-cbc" };
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    ck_detail("no pass phrase");
    opts = (th_key_write_opts){ .phrase = &secret, .cipher = "zippers" };
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    ck_detail("unknown cipher zippers");
    opts.cipher = "aes-256-gcm";
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    opts = (th_key_write_opts){ .phrase = &secret, .iterations = 999 };
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    opts = (th_key_write_opts){ .size = sizeof opts + 1 };
    ck_assert_int_eq(th_key_pem(key, &opts, &arena, &out), -EINVAL);
    ck_assert_uint_eq(out.len, 1);
    th_key_unref(key);
}
END_TEST

START_TEST(other_ciphers_can_be_chosen)
{
    th_key *key = new_key("ec");
    th_key_write_opts opts = { .phrase = &secret, .cipher = "AES-128-CBC", .iterations = 1000 };
    ck_reads_as(pem_of(key, &opts), &secret, key);
    opts.cipher = "camellia-256-cbc";
    ck_reads_as(pem_of(key, &opts), &secret, key);
    th_key_unref(key);
}
END_TEST

/* ---- files, and other programs ---- */

START_TEST(keys_are_loaded_from_files)
{
    th_key *key = new_key("ec"), *again = NULL;
    const char *path = write_file("a \xff\xfe key.pem", pem_of(key, &sealed));
    ck_ok(th_key_load(path, &secret, &again));
    ck_assert_int_eq(th_key_equal(key, again), 1);
    th_key_unref(again);
    again = NULL;
    ck_assert_int_eq(th_key_load(path, NULL, &again), -EACCES);
    ck_detail("key.pem: ");
    ck_assert_int_eq(th_key_load(path_of("none"), NULL, &again), -ENOENT);
    ck_detail("/none");
    path = write_file("empty", TH_STR(""));
    ck_assert_int_eq(th_key_load(path, NULL, &again), TH_ETLS);
    ck_detail("/empty: ");
    ck_assert_int_eq(th_key_load(folder, NULL, &again), -EISDIR);
    ck_assert_int_eq(th_key_load(NULL, NULL, &again), -EINVAL);
    ck_assert_ptr_null(again);
    th_key_unref(key);
}
END_TEST

START_TEST(what_openssl_writes_is_read)
{
    static const char *const files[] = { "rsa8", "rsa1", "rsaenc1", "ec1", "ecenc1",
                                         "ed",   "enc8", "scrypt",  "v1" };
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    run_well("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa8 && "
             "openssl rsa -in rsa8 -traditional -out rsa1 && "
             "openssl rsa -in rsa8 -traditional -aes128 -passout pass:secret -out rsaenc1 && "
             "openssl ecparam -name prime256v1 -genkey -out ec1 && "
             "openssl ec -in ec1 -aes256 -passout pass:secret -out ecenc1 && "
             "openssl genpkey -algorithm ed25519 -out ed && "
             "openssl pkcs8 -topk8 -in rsa8 -passout pass:secret -out enc8 && "
             "openssl pkcs8 -topk8 -scrypt -in ed -passout pass:secret -out scrypt && "
             "openssl pkcs8 -topk8 -in ec1 -v1 PBE-SHA1-3DES -passout pass:secret -out v1");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        th_key *key = NULL;
        int err = th_key_load(path_of(files[i]), &secret, &key);
        ck_assert_msg(err == 0, "%s: %s", files[i], th_err_detail());
        ck_ok(th_key_check(key));
        th_key_unref(key);
    }
    th_passphrase wrong = { .text = TH_STR("wrong") };
    th_key *key = NULL;
    ck_assert_int_eq(th_key_load(path_of("rsaenc1"), &wrong, &key), -EACCES);
    ck_assert_int_eq(th_key_load(path_of("v1"), &wrong, &key), -EACCES);
    ck_assert_int_eq(th_key_load(path_of("scrypt"), &wrong, &key), -EACCES);
    ck_assert_int_eq(th_key_load(path_of("ecenc1"), NULL, &key), -EACCES);
}
END_TEST

START_TEST(openssl_reads_what_is_written)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    th_key *key = new_key(kinds[_i].what);
    th_key_write_opts slow = { .phrase = &secret, .iterations = _i == 0 ? 0 : 1000 };
    th_str print;
    write_file("plain", pem_of(key, NULL));
    write_file("sealed", pem_of(key, &slow));
    run_well("openssl pkey -in plain -noout -check");
    run_well("openssl pkey -in sealed -passin pass:secret -noout -check");
    th_str out = run_well("openssl pkey -in plain -pubout -outform DER | openssl sha256 -c");
    ck_ok(th_key_fingerprint(key, NULL, &arena, &print));
    out = th_str_trim(out);
    ck_assert(th_str_eq_nocase(th_str_make(out.ptr + out.len - print.len, print.len), print));
    out = run_well("openssl asn1parse -in sealed");
    ck_assert(has_text(out, "hmacWithSHA256"));
    ck_assert(has_text(out, "aes-256-cbc"));
    ck_assert(has_text(out, _i == 0 ? ":0927C0" : ":03E8")); /* 600,000 times by itself */
    th_key_unref(key);
}
END_TEST

START_TEST(a_key_that_would_be_hashed_for_ever_is_refused)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    run_well(
        "openssl genpkey -algorithm ed25519 -out ed && "
        "openssl pkcs8 -topk8 -in ed -iter 10000001 -passout pass:secret -outform DER -out a & "
        "wait");
    th_key *key = NULL;
    ck_assert_int_eq(th_key_load(path_of("a"), &secret, &key), TH_ELIMIT);
    ck_detail("10000000 times");
}
END_TEST

/* ---- on fibers; without memory ---- */

static int make_and_read(void *arg)
{
    (void)arg;
    th_key *key = NULL, *again = NULL;
    th_str pem;
    ck_ok(th_key_new("rsa:2048", &key));
    ck_ok(th_key_pem(key, &sealed, &arena, &pem));
    ck_ok(th_key_parse(pem, &secret, &again));
    ck_ok(th_key_check(again));
    ck_assert_int_eq(th_key_equal(key, again), 1);
    th_key_unref(again);
    again = NULL;
    th_passphrase wrong = { .text = TH_STR("wrong") };
    ck_assert_int_eq(th_key_parse(pem, &wrong, &again), -EACCES);
    ck_detail("wrong pass phrase"); /* although another thread has said it */
    th_key_unref(key);
    return 0;
}

START_TEST(fibers_make_and_read_keys)
{
    ck_ok(th_run(make_and_read, NULL, NULL));
}
END_TEST

/* In a scope that has ended nothing is begun, and nothing is left behind. */
static int make_and_read_too_late(void *arg)
{
    const char *path = arg;
    th_key *key = NULL;
    th_scope scope;
    th_str pem;
    th_key *good = new_key("ec");
    ck_ok(th_key_pem(good, &sealed, &arena, &pem));
    ck_ok(th_scope_open(&scope, NULL));
    th_scope_cancel(&scope, -ECANCELED);
    ck_assert_int_eq(th_key_new("?", &key), -EINVAL); /* room for details is made once */
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(th_key_new("rsa:2048", &key), -ECANCELED);
    ck_assert_int_eq(th_key_parse(pem, &secret, &key), -ECANCELED);
    ck_assert_int_eq(th_key_load(path, NULL, &key), -ECANCELED);
    ck_assert_int_eq(th_key_pem(good, &sealed, &arena, &pem), -ECANCELED);
    ck_assert_int_eq(th_key_check(good), -ECANCELED);
    ck_assert_ptr_null(key);
    ck_assert_int_eq(thi_alloc_live(), live);
    (void)th_scope_close(&scope);
    th_key_unref(good);
    return 0;
}

START_TEST(a_scope_that_has_ended_is_obeyed)
{
    th_key *key = new_key("ec");
    thi_alloc_fail_at(0); /* from now on allocations are counted */
    ck_ok(th_run(make_and_read_too_late, (void *)(uintptr_t)write_file("key", pem_of(key, NULL)),
                 NULL));
    th_key_unref(key);
}
END_TEST

static int read_and_write(void *arg)
{
    th_arena own;
    th_key *made = NULL, *public_key = NULL;
    th_str out;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_key_parse(*(const th_str *)arg, &secret, &made);
    if (err == 0)
        err = th_key_public(made, &public_key);
    if (err == 0)
        err = th_key_pem(made, &sealed, &own, &out);
    if (err == 0)
        err = th_key_fingerprint(public_key, NULL, &own, &out);
    th_key_unref(made);
    th_key_unref(public_key);
    th_arena_deinit(&own);
    return err;
}

START_TEST(no_call_leaks_or_lies_without_memory)
{
    th_key *key = new_key("ec");
    th_str pem = pem_of(key, &sealed);
    ck_assert_int_gt(starve(thi_alloc_fail_at, read_and_write, &pem), 1);
    th_key_unref(key);
}
END_TEST

static void add_for_kinds(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, (int)(sizeof kinds / sizeof *kinds));
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "making");
    tcase_add_checked_fixture(tcase, setup, teardown);
    add_for_kinds(tcase, keys_of_each_kind_are_made_and_told);
    tcase_add_test(tcase, two_new_keys_differ);
    tcase_add_test(tcase, sizes_out_of_range_are_refused);
    tcase_add_test(tcase, unknown_kinds_and_curves_are_refused);
    tcase_add_test(tcase, curves_have_names_and_each_makes_a_key);
    tcase = thi_check_case(suite, "in and out");
    tcase_add_checked_fixture(tcase, setup, teardown);
    add_for_kinds(tcase, keys_go_out_and_come_in);
    add_for_kinds(tcase, the_public_part_goes_out_and_comes_in);
    tcase_add_test(tcase, a_public_key_cannot_be_checked_or_written_as_private);
    tcase_add_test(tcase, the_first_key_of_a_text_is_taken_and_the_rest_passed_over);
    tcase_add_test(tcase, what_is_no_key_is_refused);
    tcase_add_test(tcase, input_is_limited);
    tcase_add_test(tcase, rubbish_behind_a_der_key_is_refused);
    tcase_add_test(tcase, a_broken_key_is_refused_by_the_check);
    tcase = thi_check_case(suite, "pass phrases");
    tcase_add_checked_fixture(tcase, setup, teardown);
    add_for_kinds(tcase, an_encrypted_key_needs_its_phrase);
    tcase_add_test(tcase, the_phrase_is_asked_for_once);
    tcase_add_test(tcase, a_failure_of_the_one_who_is_asked_is_the_result);
    tcase_add_test(tcase, a_phrase_may_have_1024_bytes_and_not_one_more);
    tcase_add_test(tcase, nul_bytes_in_a_phrase_count);
    tcase_add_test(tcase, a_phrase_without_use_is_misuse);
    tcase_add_test(tcase, other_ciphers_can_be_chosen);
    tcase = thi_check_case(suite, "files");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, keys_are_loaded_from_files);
    tcase_add_test(tcase, what_openssl_writes_is_read);
    add_for_kinds(tcase, openssl_reads_what_is_written);
    tcase_add_test(tcase, a_key_that_would_be_hashed_for_ever_is_refused);
    tcase = thi_check_case(suite, "surroundings");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, fibers_make_and_read_keys);
    tcase_add_test(tcase, a_scope_that_has_ended_is_obeyed);
    tcase_add_test(tcase, no_call_leaks_or_lies_without_memory);
}

int main(void)
{
    return thi_check_run("tls/key", fill);
}
