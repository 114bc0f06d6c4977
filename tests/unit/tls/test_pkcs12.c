/* SPDX-License-Identifier: MIT */

/* PKCS#12: what goes in comes out; phrases; what others write and read. */
#include "authorities.h"
#include "starving.h"

#include "base/alloc.h"
#include "tls/pkcs12.h"

#include <thrum/pkcs12.h>
#include <thrum/runtime.h>

static const th_passphrase secret = { .text = { "secret", 6 } };
static const th_pkcs12_opts quick = { .iterations = 1000 };

/* A key with its certificate and two authorities above it. */
typedef struct identity {
    authority root, middle;
    th_pkcs12 p12;
} identity;

static identity new_identity(const char *key)
{
    identity id = { .root = new_authority("CN=Root") };
    id.middle = new_authority_below(&id.root, "CN=Middle");
    id.p12.key = new_key(key);
    id.p12.name = "my \xc3\xa4key";
    th_cert_opts opts = { .subject = name_of("CN=leaf") };
    ck_ok(th_cert_issue(id.middle.cert, id.middle.key, id.p12.key, &opts, &id.p12.cert));
    ck_ok(th_certs_add(&id.p12.chain, id.middle.cert));
    ck_ok(th_certs_add(&id.p12.chain, id.root.cert));
    return id;
}

static void drop_identity(identity *id)
{
    id->p12.name = NULL; /* it was ours */
    th_pkcs12_clear(&id->p12);
    drop_authority(&id->middle);
    drop_authority(&id->root);
}

static th_str write_with(const th_pkcs12 *p12, const th_passphrase *phrase)
{
    th_str der;
    ck_ok(th_pkcs12_write(p12, phrase, &quick, &arena, &der));
    return der;
}

/* Whether both have the same, each part or neither. */
static void ck_alike(const th_pkcs12 *a, const th_pkcs12 *b)
{
    ck_assert_int_eq(a->key != NULL, b->key != NULL);
    ck_assert(!a->key || th_key_equal(a->key, b->key));
    ck_assert_int_eq(a->cert != NULL, b->cert != NULL);
    ck_assert(!a->cert || th_cert_equal(a->cert, b->cert));
    ck_assert_uint_eq(a->chain.count, b->chain.count);
    for (size_t i = 0; i < a->chain.count; i++)
        ck_assert_int_eq(th_cert_equal(a->chain.at[i], b->chain.at[i]), 1);
    ck_assert_pstr_eq(a->name, b->name);
}

static void ck_comes_back(const th_pkcs12 *p12, const th_passphrase *phrase)
{
    th_pkcs12 again;
    ck_ok(th_pkcs12_parse(write_with(p12, phrase), phrase, &again));
    ck_alike(p12, &again);
    th_pkcs12_clear(&again);
    ck_assert_ptr_null(again.key);
    th_pkcs12_clear(&again);
}

START_TEST(all_parts_come_back_in_order)
{
    static const char *const keys[] = { "ec", "rsa:1024", "ed25519" };
    identity id = new_identity(keys[_i]);
    ck_comes_back(&id.p12, &secret);
    drop_identity(&id);
}
END_TEST

START_TEST(each_part_may_be_missing)
{
    identity id = new_identity("ec");
    for (int left_out = 1; left_out < 15; left_out++) {
        th_pkcs12 some = id.p12;
        if (left_out & 1)
            some.key = NULL;
        if (left_out & 2)
            some.cert = NULL;
        if (left_out & 4)
            some.chain = (th_certs){ 0 };
        if (left_out & 8)
            some.name = NULL;
        if (!some.key && !some.cert && some.chain.count == 0)
            continue;
        th_pkcs12 again;
        ck_ok(th_pkcs12_parse(write_with(&some, &secret), &secret, &again));
        if (some.cert && !some.key) { /* nothing tells it from the chain */
            ck_assert_ptr_null(again.cert);
            ck_assert_uint_eq(again.chain.count, some.chain.count + 1);
            ck_assert_int_eq(th_cert_equal(again.chain.at[0], some.cert), 1);
            ck_assert_pstr_eq(again.name, some.name);
        } else {
            if (!some.key)
                some.name = NULL; /* it belongs to a key or its certificate */
            ck_alike(&some, &again);
        }
        th_pkcs12_clear(&again);
    }
    drop_identity(&id);
}
END_TEST

START_TEST(the_phrase_is_checked)
{
    identity id = new_identity("ec");
    th_str der = write_with(&id.p12, &secret);
    th_passphrase wrong = { .text = TH_STR("Secret") }, empty = { .text = TH_STR("") };
    th_pkcs12 out = { .name = "untouched" };
    ck_assert_int_eq(th_pkcs12_parse(der, &wrong, &out), -EACCES);
    ck_detail("wrong pass phrase");
    ck_assert_int_eq(th_pkcs12_parse(der, &empty, &out), -EACCES);
    ck_detail("wrong pass phrase");
    ck_assert_int_eq(th_pkcs12_parse(der, NULL, &out), -EACCES);
    ck_detail("needs a pass phrase");
    ck_assert_str_eq(out.name, "untouched");
    drop_identity(&id);
}
END_TEST

START_TEST(no_phrase_and_an_empty_one_are_both_tried)
{
    identity id = new_identity("ec");
    th_passphrase empty = { .text = TH_STR("") };
    th_pkcs12 again;
    th_str der = write_with(&id.p12, NULL);
    ck_ok(th_pkcs12_parse(der, NULL, &again));
    ck_alike(&id.p12, &again);
    th_pkcs12_clear(&again);
    ck_ok(th_pkcs12_parse(der, &empty, &again));
    th_pkcs12_clear(&again);
    if (has_openssl()) {
        th_str pem;
        ck_ok(th_key_pem(id.p12.key, NULL, &arena, &pem));
        write_file("key", pem);
        run_well("openssl pkcs12 -export -nocerts -inkey key -passout pass: -out p12");
        ck_ok(th_pkcs12_load(path_of("p12"), NULL, &again));
        ck_assert_int_eq(th_key_equal(again.key, id.p12.key), 1);
        th_pkcs12_clear(&again);
    }
    drop_identity(&id);
}
END_TEST

static ssize_t cannot_tell(void *arg, char *buf, size_t room)
{
    (void)arg, (void)buf, (void)room;
    return -EIO;
}

START_TEST(bad_wishes_are_refused)
{
    identity id = new_identity("ec");
    th_pkcs12 bad = id.p12, nothing = { 0 };
    th_key *other = new_key("ec"), *public_key;
    th_str der = { "x", 1 };
    th_pkcs12_opts opts = { .cipher = "strange" };
    th_passphrase nul = { .text = { "a\0b", 3 } }, asking = { .ask = cannot_tell };
    ck_ok(th_key_public(id.p12.key, &public_key));
    ck_assert_int_eq(th_pkcs12_write(&nothing, &secret, NULL, &arena, &der), -EINVAL);
    ck_detail("nothing to write");
    bad.key = other;
    ck_assert_int_eq(th_pkcs12_write(&bad, &secret, NULL, &arena, &der), -EINVAL);
    ck_detail("not the one of the certificate");
    bad.key = public_key;
    ck_assert_int_eq(th_pkcs12_write(&bad, &secret, NULL, &arena, &der), -EINVAL);
    ck_assert_int_eq(th_pkcs12_write(&id.p12, &secret, &opts, &arena, &der), -EINVAL);
    ck_detail("unknown cipher strange");
    opts = (th_pkcs12_opts){ .mac = "strange" };
    ck_assert_int_eq(th_pkcs12_write(&id.p12, &secret, &opts, &arena, &der), -EINVAL);
    ck_detail("unknown digest strange");
    opts = (th_pkcs12_opts){ .iterations = 10000001 };
    ck_assert_int_eq(th_pkcs12_write(&id.p12, &secret, &opts, &arena, &der), -EINVAL);
    ck_assert_int_eq(th_pkcs12_write(&id.p12, &nul, NULL, &arena, &der), -EINVAL);
    ck_assert_int_eq(th_pkcs12_write(&id.p12, &asking, NULL, &arena, &der), -EIO);
    ck_assert_uint_eq(der.len, 1);
    th_pkcs12 out;
    der = write_with(&id.p12, &secret);
    ck_assert_int_eq(th_pkcs12_parse(der, &nul, &out), -EINVAL);
    ck_assert_int_eq(th_pkcs12_parse(der, &asking, &out), -EIO);
    ck_assert_int_eq(th_pkcs12_parse(der, &secret, NULL), -EINVAL);
    th_key_unref(other);
    th_key_unref(public_key);
    drop_identity(&id);
}
END_TEST

START_TEST(what_is_no_pkcs12_is_refused)
{
    identity id = new_identity("ec");
    th_str der = write_with(&id.p12, &secret), cert;
    th_pkcs12 out;
    ck_ok(th_cert_der(id.p12.cert, &arena, &cert));
    ck_assert_int_eq(th_pkcs12_parse(cert, &secret, &out), TH_ETLS);
    ck_detail("this is no PKCS#12 file");
    ck_assert_int_eq(th_pkcs12_parse(TH_STR(""), &secret, &out), TH_ETLS);
    ck_assert_int_eq(th_pkcs12_parse(joined(der, TH_STR("x")), &secret, &out), TH_ETLS);
    char *broken = (char *)(uintptr_t)joined(der, TH_STR("")).ptr;
    broken[der.len / 2] ^= 1;
    int err = th_pkcs12_parse(th_str_make(broken, der.len), &secret, &out);
    ck_assert(err == -EACCES || err == TH_ETLS); /* the MAC tells, whatever it was */
    ck_assert_int_eq(th_pkcs12_load(path_of("none"), &secret, &out), -ENOENT);
    drop_identity(&id);
}
END_TEST

START_TEST(openssl_reads_it_and_finds_modern_algorithms)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    identity id = new_identity("ec");
    th_str der;
    ck_ok(th_pkcs12_write(&id.p12, &secret, NULL, &arena, &der));
    write_file("p12", der);
    th_str out = run_well("openssl pkcs12 -in p12 -passin pass:secret -info -noenc");
    ck_assert(has_text(out, "MAC: sha256, Iteration 600000"));
    ck_assert(has_text(out, "PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256"));
    ck_assert(has_text(out, "BEGIN PRIVATE KEY"));
    drop_identity(&id);
}
END_TEST

START_TEST(what_openssl_writes_is_read)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    identity id = new_identity("rsa:1024");
    th_str pem;
    th_pkcs12 again;
    ck_ok(th_key_pem(id.p12.key, NULL, &arena, &pem));
    write_file("key", pem);
    ck_ok(th_cert_pem(id.p12.cert, &arena, &pem));
    write_file("cert", pem);
    ck_ok(th_certs_pem(&id.p12.chain, &arena, &pem));
    write_file("chain", pem);
    run_well("openssl pkcs12 -export -inkey key -in cert -certfile chain -name 'my \xc3\xa4key' "
             "-passout pass:secret -out p12");
    ck_ok(th_pkcs12_load(path_of("p12"), &secret, &again));
    ck_alike(&id.p12, &again);
    th_pkcs12_clear(&again);
    run_well("openssl pkcs12 -export -nomac -inkey key -in cert -passout pass:secret -out nomac");
    ck_assert_int_eq(th_pkcs12_load(path_of("nomac"), &secret, &again), TH_ETLS);
    ck_detail("no MAC");
    run_well("openssl pkcs12 -export -iter 10000001 -nomaciter -inkey key -nocerts "
             "-passout pass:secret -out slow");
    ck_assert_int_eq(th_pkcs12_load(path_of("slow"), &secret, &again), TH_ELIMIT);
    ck_detail("10000000 times");
    drop_identity(&id);
}
END_TEST

/* The MAC, the box of certificates and the key, hashed a thousand times each. */
START_TEST(all_parts_of_a_file_share_one_bound)
{
    identity id = new_identity("ec");
    th_str der = write_with(&id.p12, &secret);
    th_pkcs12 out = { .name = "untouched" };
    uint64_t usual = thi_pkcs12_hashes;
    for (uint64_t hashes = 0; hashes < 3000; hashes += 2999) {
        thi_pkcs12_hashes = hashes;
        ck_assert_int_eq(th_pkcs12_parse(der, &secret, &out), TH_ELIMIT);
        ck_detail("all in all the pass phrase would have to be hashed too often");
        ck_assert_str_eq(out.name, "untouched");
    }
    thi_pkcs12_hashes = 3000;
    ck_ok(th_pkcs12_parse(der, &secret, &out));
    ck_alike(&id.p12, &out);
    th_pkcs12_clear(&out);
    thi_pkcs12_hashes = usual;
    drop_identity(&id);
}
END_TEST

START_TEST(old_ciphers_are_named_when_they_are_missing)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    identity id = new_identity("ec");
    th_str pem;
    th_pkcs12 again;
    int status;
    ck_ok(th_key_pem(id.p12.key, NULL, &arena, &pem));
    write_file("key", pem);
    ck_ok(th_cert_pem(id.p12.cert, &arena, &pem));
    write_file("cert", pem);
    run("openssl pkcs12 -export -legacy -inkey key -in cert -passout pass:secret -out old",
        &status);
    SKIP_UNLESS(status == 0, "openssl(1) has no legacy provider");
    ck_assert_int_eq(th_pkcs12_load(path_of("old"), &secret, &again), TH_ETLS);
    ck_detail("\"legacy\" provider");
    drop_identity(&id);
}
END_TEST

static int in_fiber(void *arg)
{
    identity id = new_identity("ec");
    (void)arg;
    ck_comes_back(&id.p12, &secret);
    th_pkcs12 out;
    th_passphrase wrong = { .text = TH_STR("wrong") };
    ck_assert_int_eq(th_pkcs12_parse(write_with(&id.p12, &secret), &wrong, &out), -EACCES);
    ck_detail("wrong pass phrase");
    drop_identity(&id);
    return 0;
}

START_TEST(fibers_write_and_read_it)
{
    ck_ok(th_run(in_fiber, NULL, NULL));
}
END_TEST

static int read_and_write(void *arg)
{
    th_arena own;
    th_pkcs12 again = { 0 };
    th_str out;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_pkcs12_parse(*(const th_str *)arg, &secret, &again);
    if (err == 0)
        err = th_pkcs12_write(&again, &secret, &quick, &own, &out);
    th_pkcs12_clear(&again);
    th_arena_deinit(&own);
    return err;
}

START_TEST(no_call_leaks_or_lies_without_memory)
{
    identity id = new_identity("ec");
    th_str der = write_with(&id.p12, &secret);
    ck_assert_int_gt(starve(thi_alloc_fail_at, read_and_write, &der), 3);
    drop_identity(&id);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "pkcs12");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, all_parts_come_back_in_order, 0, 3);
    tcase_add_test(tcase, each_part_may_be_missing);
    tcase_add_test(tcase, the_phrase_is_checked);
    tcase_add_test(tcase, no_phrase_and_an_empty_one_are_both_tried);
    tcase_add_test(tcase, bad_wishes_are_refused);
    tcase_add_test(tcase, what_is_no_pkcs12_is_refused);
    tcase_add_test(tcase, openssl_reads_it_and_finds_modern_algorithms);
    tcase_add_test(tcase, what_openssl_writes_is_read);
    tcase_add_test(tcase, all_parts_of_a_file_share_one_bound);
    tcase_add_test(tcase, old_ciphers_are_named_when_they_are_missing);
    tcase_add_test(tcase, fibers_write_and_read_it);
    tcase_add_test(tcase, no_call_leaks_or_lies_without_memory);
}

int main(void)
{
    return thi_check_run("tls/pkcs12", fill);
}
