/* SPDX-License-Identifier: MIT */

/* Certificates and requests: made, read, told, compared, refused. */
#include "authorities.h"
#include "starving.h"

#include "base/alloc.h"

#include <thrum/mem.h>
#include <thrum/time.h>

#include <stdatomic.h>

/* ---- making and telling ---- */

START_TEST(a_certificate_for_a_server_needs_nothing_but_a_name)
{
    th_cert_alt alt = { .kind = TH_ALT_DNS, .value = TH_STR("example.org") };
    th_cert_opts opts = { .alts = &alt, .alts_count = 1 };
    th_key *key = new_key("ec");
    th_cert *cert = NULL;
    int64_t before = th_wall() / TH_SECOND;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_int_eq(info.version, 3);
    ck_assert_uint_eq(info.subject.count, 0);
    ck_assert_str_eq(info.subject_text.ptr, "");
    ck_assert_int_eq(info.self_issued, 1);
    ck_assert_int_ge(info.not_before, before);
    ck_assert_int_le(info.not_before, th_wall() / TH_SECOND);
    ck_assert_int_eq(info.not_after, info.not_before + 90 * 86400);
    ck_assert_str_eq(info.signature, "ecdsa-with-SHA256");
    ck_assert_str_eq(info.digest, "SHA256");
    ck_assert_int_eq(info.key.kind, TH_KEY_EC);
    ck_assert_int_eq(info.key.is_private, 0);
    ck_assert_int_eq(info.ca, 0);
    ck_assert_int_eq(info.path_max, -1);
    ck_assert_int_eq(info.usage, TH_USAGE_DIGITAL_SIGNATURE);
    ck_assert_uint_eq(info.extended_usages_count, 1);
    ck_assert_str_eq(info.extended_usages[0], "serverAuth");
    ck_assert_uint_eq(info.alts_count, 1);
    ck_assert_int_eq(info.alts[0].kind, TH_ALT_DNS);
    ck_assert_str_eq(info.alts[0].value.ptr, "example.org");
    ck_assert_uint_eq(info.subject_key_id.len, 20);
    ck_assert_uint_eq(info.authority_key_id.len, 0);
    ck_assert_uint_le(info.serial.len, 40);
    ck_assert_uint_ge(info.serial.len, 30);
    ck_assert(ext_of(&info, "subjectAltName")->critical); /* there is no subject */
    ck_assert_int_eq(th_cert_has_key(cert, key), 1);
    ck_ok(th_cert_verify(cert, key));
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(an_authority_signs_for_others)
{
    authority root = new_authority("CN=Root");
    th_key *key = new_key("rsa:1024"), *other = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=leaf"),
                          .crl_url = "http://a.example/crl?x=1,2",
                          .ocsp_url = "http://a.example/ocsp",
                          .issuer_url = "http://a.example/ca",
                          .policies = "1.3.6.1.4.1.1,2.23.140.1.2.1" };
    th_cert *leaf = NULL;
    ck_ok(th_cert_issue(root.cert, root.key, key, &opts, &leaf));
    th_cert_info ca = info_of(root.cert), info = info_of(leaf);
    ck_assert_int_eq(ca.ca, 1);
    ck_assert_int_eq(ca.path_max, -1);
    ck_assert_int_eq(ca.usage, TH_USAGE_CERT_SIGN | TH_USAGE_CRL_SIGN);
    ck_assert_uint_eq(ca.extended_usages_count, 0);
    ck_assert(ext_of(&ca, "basicConstraints")->critical);
    ck_assert_str_eq(info.issuer_text.ptr, "CN=Root");
    ck_assert_int_eq(info.self_issued, 0);
    ck_same(info.authority_key_id, ca.subject_key_id);
    ck_assert_int_eq(info.usage, TH_USAGE_DIGITAL_SIGNATURE | TH_USAGE_KEY_ENCIPHERMENT);
    ck_assert_uint_eq(info.crl_urls_count, 1);
    ck_assert_str_eq(info.crl_urls[0].ptr, "http://a.example/crl?x=1,2");
    ck_assert_uint_eq(info.ocsp_urls_count, 1);
    ck_assert_str_eq(info.ocsp_urls[0].ptr, "http://a.example/ocsp");
    ck_assert_uint_eq(info.issuer_urls_count, 1);
    ck_assert_str_eq(info.issuer_urls[0].ptr, "http://a.example/ca");
    ck_assert_uint_eq(info.policies_count, 2);
    ck_assert_str_eq(info.policies[0], "1.3.6.1.4.1.1");
    ck_assert_str_eq(info.policies[1], "2.23.140.1.2.1");
    ck_ok(th_cert_verify(leaf, root.key));
    ck_assert_int_eq(th_cert_verify(leaf, other), TH_ETLS);
    ck_detail("not signed by this key");
    ck_assert_int_eq(th_cert_has_key(leaf, key), 1);
    ck_assert_int_eq(th_cert_has_key(leaf, other), 0);
    th_cert *made = NULL;
    ck_assert_int_eq(th_cert_issue(root.cert, other, key, &opts, &made), -EINVAL);
    ck_detail("not the one of its certificate");
    ck_assert_int_eq(th_cert_issue(leaf, key, other, &opts, &made), -EINVAL);
    ck_detail("not one of an authority");
    ck_assert_ptr_null(made);
    th_cert_unref(leaf);
    th_key_unref(key);
    th_key_unref(other);
    drop_authority(&root);
}
END_TEST

START_TEST(the_bounds_of_an_authority_are_told)
{
    th_key *key = new_key("ec");
    for (int limit = 1; limit < 4; limit++) {
        th_cert_opts opts = { .subject = name_of("CN=a"), .ca = 1, .path_limit = limit };
        th_cert *cert = NULL;
        ck_ok(th_cert_self_sign(key, &opts, &cert));
        ck_assert_int_eq(info_of(cert).path_max, limit - 1);
        th_cert_unref(cert);
    }
    th_cert_opts bad = { .subject = name_of("CN=a"), .path_limit = 1 };
    th_cert *cert = NULL;
    ck_assert_int_eq(th_cert_self_sign(key, &bad, &cert), -EINVAL);
    th_key_unref(key);
}
END_TEST

START_TEST(keys_of_each_kind_sign)
{
    static const struct {
        const char *key, *digest, *signature, *told;
    } kinds[] = {
        { "ec", NULL, "ecdsa-with-SHA256", "SHA256" },
        { "ec:P-384", NULL, "ecdsa-with-SHA384", "SHA384" },
        { "ec:P-521", NULL, "ecdsa-with-SHA512", "SHA512" },
        { "ec", "sha512", "ecdsa-with-SHA512", "SHA512" },
        { "rsa:1024", NULL, "sha256WithRSAEncryption", "SHA256" },
        { "rsa:1024", "sha384", "sha384WithRSAEncryption", "SHA384" },
        { "ed25519", NULL, "ED25519", "" },
        { "ed448", NULL, "ED448", "" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        th_key *key = new_key(kinds[i].key);
        th_cert_opts opts = { .subject = name_of("CN=a"), .digest = kinds[i].digest };
        th_cert *cert = NULL;
        ck_ok(th_cert_self_sign(key, &opts, &cert));
        ck_assert_str_eq(info_of(cert).signature, kinds[i].signature);
        ck_assert_str_eq(info_of(cert).digest, kinds[i].told);
        ck_ok(th_cert_verify(cert, key));
        th_cert_unref(cert);
        th_key_unref(key);
    }
}
END_TEST

START_TEST(who_cannot_sign_is_refused)
{
    th_key *key = new_key("ec"), *public_key, *ed = new_key("ed25519");
    th_cert_opts opts = { .subject = name_of("CN=a") };
    th_cert *cert = NULL;
    th_cert_request *request = NULL;
    ck_ok(th_key_public(key, &public_key));
    ck_assert_int_eq(th_cert_self_sign(public_key, &opts, &cert), -EINVAL);
    ck_detail("only the public part");
    ck_assert_int_eq(th_cert_request_new(public_key, &opts, &request), -EINVAL);
    opts.digest = "strange";
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_detail("unknown digest strange");
    ck_assert_int_eq(th_cert_request_new(key, &opts, &request), -EINVAL);
    opts.digest = "sha256";
    ck_assert_int_eq(th_cert_self_sign(ed, &opts, &cert), -EINVAL);
    ck_detail("no digest to choose");
    ck_assert_int_eq(th_cert_self_sign(NULL, &opts, &cert), -EINVAL);
    ck_assert_int_eq(th_cert_self_sign(key, NULL, &cert), -EINVAL);
    opts = (th_cert_opts){ 0 };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_detail("neither a subject nor alternative names");
    opts = (th_cert_opts){ .size = sizeof opts + 1 };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_assert_ptr_null(cert);
    ck_assert_ptr_null(request);
    th_key_unref(public_key);
    th_key_unref(key);
    th_key_unref(ed);
}
END_TEST

START_TEST(serial_numbers_of_any_size_are_kept)
{
    static const char *const serials[][2] = {
        { "0", "00" },
        { "1", "01" },
        { "100000001", "0100000001" },
        { "10000000000000001", "010000000000000001" },
        { "100000000000000000000000000000001", "0100000000000000000000000000000001" },
        { "ab:CD:ef", "ABCDEF" },
        { "00ff", "FF" },
    };
    th_key *key = new_key("ec");
    for (size_t i = 0; i < sizeof serials / sizeof *serials; i++) {
        th_cert_opts opts = { .subject = name_of("CN=a"), .serial = serials[i][0] };
        th_cert *cert = NULL;
        ck_ok(th_cert_self_sign(key, &opts, &cert));
        ck_assert_str_eq(info_of(cert).serial.ptr, serials[i][1]);
        th_cert_unref(cert);
    }
    char digits[258];
    memset(digits, 'f', sizeof digits);
    digits[256] = '\0';
    th_cert_opts opts = { .subject = name_of("CN=a"), .serial = digits };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    ck_assert_uint_eq(info_of(cert).serial.len, 256);
    th_cert_unref(cert);
    cert = NULL;
    memset(digits, 'f', sizeof digits);
    digits[257] = '\0';
    static const char *const bad[] = { "", "xyz", "-1", "1 2", ":1" };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        opts.serial = bad[i];
        ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
        ck_detail("hexadecimal");
    }
    ck_assert_ptr_null(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(times_of_validity_are_kept)
{
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=a"),
                          .not_before = -86400,
                          .not_after = INT64_C(253402300799) };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_int_eq(info.not_before, -86400);
    ck_assert_str_eq(info.not_before_text.ptr, "19691231000000Z"); /* stored with two digits */
    ck_assert_int_eq(info.not_after, INT64_C(253402300799));
    ck_assert_str_eq(info.not_after_text.ptr, "99991231235959Z");
    th_cert_unref(cert);
    cert = NULL;
    opts = (th_cert_opts){ .subject = name_of("CN=a"), .not_before = 1000, .valid_for = 5 };
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    ck_assert_int_eq(info_of(cert).not_after, 1005);
    th_cert_unref(cert);
    cert = NULL;
    opts = (th_cert_opts){ .subject = name_of("CN=a"), .not_before = 1000, .not_after = 999 };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_detail("expire before");
    opts.not_after = INT64_C(253402300800);
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    opts = (th_cert_opts){ .subject = name_of("CN=a"), .valid_for = -1 };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    opts.valid_for = INT64_MAX;
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_assert_ptr_null(cert);
    th_key_unref(key);
}
END_TEST

/* ---- names ---- */

START_TEST(parts_of_a_subject_keep_order_repeats_and_every_byte)
{
    const th_cert_name_part parts[] = {
        { "C", TH_STR("DE"), 0 },
        { "organizationName",
          TH_STR("Stra\xc3\x9f"
                 "e"),
          0 },
        { "OU", TH_STR("one"), 0 },
        { "OU", TH_STR("two"), 0 },
        { "2.5.4.3", { "a\0b", 3 }, 0 },
        { "1.2.3.4.5", TH_STR("x"), 0 },
        { "UID", TH_STR("u"), 1 },
    };
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = { parts, 7 } };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    static const char *const types[] = { "C", "O", "OU", "OU", "CN", NULL, NULL };
    ck_assert_uint_eq(info.subject.count, 7);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(info.subject.parts[i].type, types[i]);
        ck_same(info.subject.parts[i].value, parts[i].value);
        ck_assert_int_eq(info.subject.parts[i].joined, 0);
    }
    ck_assert_int_eq(info.subject.parts[5].joined + info.subject.parts[6].joined, 1);
    ck_assert(has_text(info.subject_text, "C=DE, O=Stra\xc3\x9f"
                                          "e, OU=one, OU=two, CN=a\\00b, "));
    th_str value;
    ck_assert_int_eq(th_cert_name_find(&info.subject, "OU", 1, &value), 1);
    ck_assert_str_eq(value.ptr, "two");
    ck_assert_int_eq(th_cert_name_find(&info.subject, "organizationalUnitName", 0, &value), 1);
    ck_assert_str_eq(value.ptr, "one");
    ck_assert_int_eq(th_cert_name_find(&info.subject, "2.5.4.11", 2, &value), 0);
    ck_assert_int_eq(th_cert_name_find(&info.subject, "1.2.3.4.5", 0, &value), 1);
    ck_assert_str_eq(value.ptr, "x");
    ck_assert_int_eq(th_cert_name_find(&info.subject, "nonsense", 0, &value), -EINVAL);
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(bad_parts_of_a_name_are_refused)
{
    static const th_cert_name_part bad[] = {
        { "nonsense", TH_STR("x"), 0 },
        { "C", TH_STR("Germany"), 0 },
        { "C", TH_STR("D"), 0 },
        { "CN", TH_STR(""), 0 },
        { NULL, TH_STR("x"), 0 },
        { "CN", { NULL, 3 }, 0 },
        { "CN", TH_STR("\xff\xfe"), 0 },
        { "C",
          TH_STR("\xc3\x84"
                 "E"),
          0 },
    };
    th_key *key = new_key("ec");
    th_cert *cert = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        th_cert_opts opts = { .subject = { &bad[i], 1 } };
        int err = th_cert_self_sign(key, &opts, &cert);
        ck_assert_msg(err == -EINVAL, "%zu: %s", i, th_errname(err));
        ck_assert_uint_gt(strlen(th_err_detail()), 0);
    }
    ck_assert_ptr_null(cert);
    th_key_unref(key);
}
END_TEST

static void ck_name(const char *text, const char *again)
{
    th_cert_name name;
    th_str out;
    int err = th_cert_name_parse(th_str_of(text), &arena, &name);
    ck_assert_msg(err == 0, "%s: %s", text, th_err_detail());
    ck_ok(th_cert_name_text(&name, &arena, &out));
    ck_assert_str_eq(out.ptr, again);
    if (strcmp(text, again) != 0)
        ck_name(again, again);
}

START_TEST(names_are_read_and_written_as_text)
{
    static const struct {
        const char *text, *again;
    } names[] = {
        { "", "" },
        { "CN=a", "CN=a" },
        { "  CN = a b ,O=  c  ", "CN=a b, O=c" },
        { "/C=DE/O=a, b/CN=x=y", "C=DE, O=a\\, b, CN=x=y" },
        { "CN=a\\,b\\+c\\\\d", "CN=a\\,b\\+c\\\\d" },
        { "CN=a+UID=b,O=c", "CN=a+UID=b, O=c" },
        { "CN=\\20a\\00\\0A\\  ", "CN=\\20a\\00\\0A\\20" },
        { "CN=\\C3\\9F\\FF", "CN=\xc3\x9f\\FF" },
        { "CN=", "CN=" },
        { "CN=\\c2\\85\\ED\\A0\\80", "CN=\\C2\\85\\ED\\A0\\80" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_name(names[i].text, names[i].again);
    static const char *const bad[] = { "CN",     "=a", "CN=a,",   "CN=a,,O=b", "nonsense=a",
                                       "CN=a\\", "/",  "/CN=a/O", ",",         "CN=a+" };
    th_cert_name name = { 0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = th_cert_name_parse(th_str_of(bad[i]), &arena, &name);
        ck_assert_msg(err == -EINVAL, "%s: %s", bad[i], th_errname(err));
    }
    ck_assert_uint_eq(name.count, 0);
}
END_TEST

/* ---- alternative names ---- */

/* An allocator that counts bytes. */
static atomic_size_t bytes_allocated;

static void *counting_malloc(void *ctx, size_t size)
{
    (void)ctx;
    atomic_fetch_add(&bytes_allocated, size);
    return malloc(size);
}

static void *counting_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    atomic_fetch_add(&bytes_allocated, size);
    return realloc(ptr, size);
}

static void counting_free(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

/* Writing takes memory by the length of the name, not by its square. */
START_TEST(a_name_of_very_many_parts_is_written)
{
    enum { PARTS = 20000 };
    static th_cert_name_part parts[PARTS];
    th_cert_name name = { parts, PARTS };
    th_str text = { 0 };
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = (th_cert_name_part){ .type = "OU", .value = TH_STR("x"), .joined = i % 2 == 1 };
    size_t before = atomic_load(&bytes_allocated);
    ck_ok(th_cert_name_text(&name, &arena, &text));
    ck_assert_uint_lt(atomic_load(&bytes_allocated) - before, 4 << 20);
    ck_assert_uint_eq(text.len, PARTS * strlen("OU=x") + PARTS / 2 * strlen("+") +
                                    (PARTS / 2 - 1) * strlen(", "));
    ck_assert_int_eq(memcmp(text.ptr, "OU=x+OU=x, OU=x+", 16), 0);
}
END_TEST

START_TEST(alternative_names_of_each_kind_are_kept)
{
    static const char *const texts[] = { "example.org",   "*.example.org",    "192.0.2.1",
                                         "2001:db8::1",   "mail@example.org", "https://a/b?c,d",
                                         "DNS:localhost", "email:x@y",        "URI:urn:a:b",
                                         "ip:127.0.0.1" };
    static const int kinds[] = { TH_ALT_DNS, TH_ALT_DNS, TH_ALT_IP,    TH_ALT_IP,  TH_ALT_EMAIL,
                                 TH_ALT_URI, TH_ALT_DNS, TH_ALT_EMAIL, TH_ALT_URI, TH_ALT_IP };
    th_cert_alt alts[10];
    for (size_t i = 0; i < 10; i++) {
        ck_ok(th_cert_alt_of(texts[i], &alts[i]));
        ck_assert_int_eq(alts[i].kind, kinds[i]);
    }
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=a"), .alts = alts, .alts_count = 10 };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_uint_eq(info.alts_count, 10);
    for (size_t i = 0; i < 10; i++) {
        ck_assert_int_eq(info.alts[i].kind, kinds[i]);
        ck_same(info.alts[i].value, alts[i].value);
    }
    ck_assert_str_eq(ext_of(&info, "subjectAltName")->value.ptr,
                     "DNS:example.org, DNS:*.example.org, IP:192.0.2.1, IP:2001:db8::1, "
                     "email:mail@example.org, URI:https://a/b?c,d, DNS:localhost, email:x@y, "
                     "URI:urn:a:b, IP:127.0.0.1");
    ck_assert_int_eq(ext_of(&info, "subjectAltName")->critical, 0);
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(bad_alternative_names_are_refused)
{
    static const th_cert_alt bad[] = {
        { TH_ALT_DNS, TH_STR("") },
        { TH_ALT_DNS, { "a\0b", 3 } },
        { TH_ALT_DNS, TH_STR("a,DNS:b") },
        { TH_ALT_DNS, TH_STR("stra\xc3\x9f"
                             "e.de") },
        { TH_ALT_DNS, TH_STR(".a") },
        { TH_ALT_DNS, TH_STR("a b") },
        { TH_ALT_IP, TH_STR("1.2.3") },
        { TH_ALT_IP, TH_STR("1.2.3.4/8") },
        { TH_ALT_IP, TH_STR("::1%lo") },
        { TH_ALT_EMAIL, TH_STR("nobody") },
        { TH_ALT_EMAIL, TH_STR("a@b\n") },
        { TH_ALT_URI, TH_STR("here") },
        { TH_ALT_URI, { "a:\0", 3 } },
        { TH_ALT_OTHER, TH_STR("x") },
        { 77, TH_STR("x") },
        { -1, TH_STR("x") },
    };
    th_key *key = new_key("ec");
    th_cert *cert = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        th_cert_opts opts = { .subject = name_of("CN=a"), .alts = &bad[i], .alts_count = 1 };
        int err = th_cert_self_sign(key, &opts, &cert);
        ck_assert_msg(err == -EINVAL, "%zu: %s", i, th_errname(err));
    }
    th_cert_alt alt = { .kind = 99 };
    ck_assert_int_eq(th_cert_alt_of("", &alt), -EINVAL);
    ck_assert_int_eq(th_cert_alt_of("IP:localhost", &alt), -EINVAL);
    ck_assert_int_eq(th_cert_alt_of("a b", &alt), -EINVAL);
    ck_assert_int_eq(th_cert_alt_of(NULL, &alt), -EINVAL);
    ck_assert_int_eq(alt.kind, 99);
    ck_assert_ptr_null(cert);
    th_key_unref(key);
}
END_TEST

/* "DNS:good.example\0.evil.example", which only an extension by its bytes can have. */
START_TEST(nul_bytes_in_alternative_names_are_told_and_never_match_a_prefix)
{
    static const char der[] = "DER:30:1c:82:1a:"
                              "67:6f:6f:64:2e:65:78:61:6d:70:6c:65:00:"
                              "2e:65:76:69:6c:2e:65:78:61:6d:70:6c:65";
    th_cert_ext ext = { .name = "subjectAltName", .value = th_str_of(der) };
    th_cert_opts opts = { .subject = name_of("CN=a"), .exts = &ext, .exts_count = 1 };
    th_key *key = new_key("ec");
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    th_str whole = { "good.example\0.evil.example", 26 };
    ck_assert_uint_eq(info.alts_count, 1);
    ck_same(info.alts[0].value, whole);
    ck_same(ext_of(&info, "subjectAltName")->value, joined(TH_STR("DNS:"), whole));
    ck_assert_int_eq(th_cert_is_for(cert, TH_STR("good.example")), 0);
    ck_assert_int_eq(th_cert_is_for(cert, whole), -EINVAL);
    th_str text;
    ck_ok(th_cert_text(cert, &arena, &text));
    ck_assert(has_text(text, "good.example\\00.evil.example"));
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

static th_cert *cert_for(const th_key *key, const char *cn, const char *const *names)
{
    th_cert_alt alts[8];
    size_t count = 0;
    for (; names && names[count]; count++)
        ck_ok(th_cert_alt_of(names[count], &alts[count]));
    th_cert_opts opts = { .subject = name_of(cn), .alts = alts, .alts_count = count };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    return cert;
}

START_TEST(a_certificate_is_for_its_names_and_no_others)
{
    static const char *const names[] = { "example.org", "*.wild.org",  "f*.part.org",
                                         "192.0.2.1",   "2001:db8::1", NULL };
    static const struct {
        const char *host;
        int is;
    } hosts[] = {
        { "example.org", 1 },    { "EXAMPLE.org", 1 },   { "www.example.org", 0 },
        { "cn.org", 0 },         { "a.wild.org", 1 },    { "a.b.wild.org", 0 },
        { "wild.org", 0 },       { "foo.part.org", 0 },  { "192.0.2.1", 1 },
        { "192.0.2.2", 0 },      { "2001:DB8:0::1", 1 }, { "::1", 0 },
        { "xn--a.wild.org", 1 }, { ".wild.org", 0 },
    };
    th_key *key = new_key("ec");
    th_cert *cert = cert_for(key, "CN=cn.org", names);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        int is = th_cert_is_for(cert, th_str_of(hosts[i].host));
        ck_assert_msg(is == hosts[i].is, "%s: %d", hosts[i].host, is);
    }
    char longest[300];
    memset(longest, 'a', sizeof longest);
    ck_assert_int_eq(th_cert_is_for(cert, th_str_make(longest, 254)), 0);
    ck_assert_int_eq(th_cert_is_for(cert, TH_STR("")), -EINVAL);
    th_cert_unref(cert);
    cert = cert_for(key, "CN=cn.org", NULL);
    ck_assert_int_eq(th_cert_is_for(cert, TH_STR("cn.org")), 1);
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

/* ---- extensions ---- */

START_TEST(extensions_by_name_and_text)
{
    const th_cert_ext exts[] = {
        { "nsComment", TH_STR("hello"), 1 },
        { "1.2.3.4", TH_STR("DER:04:02:AB:CD"), 0 },
        { "TLS Feature", TH_STR("status_request"), 0 },
        { "keyUsage", TH_STR("keyAgreement, dataEncipherment"), 1 },
        { "2.5.29.37", TH_STR("critical,clientAuth,1.2.3.5"), 0 },
        { "subjectKeyIdentifier", TH_STR("0102"), 0 },
    };
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=a"), .exts = exts, .exts_count = 6 };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_int_eq(ext_of(&info, "nsComment")->critical, 1);
    ck_assert_str_eq(ext_of(&info, "nsComment")->value.ptr, "hello");
    ck_assert_str_eq(ext_of(&info, "1.2.3.4")->value.ptr, "DER:04:02:AB:CD");
    ck_assert_int_eq(ext_of(&info, "1.2.3.4")->critical, 0);
    ck_assert_str_eq(ext_of(&info, "tlsfeature")->value.ptr, "status_request");
    ck_assert_int_eq(info.usage, TH_USAGE_KEY_AGREEMENT | TH_USAGE_DATA_ENCIPHERMENT);
    ck_assert_int_eq(ext_of(&info, "extendedKeyUsage")->critical, 1);
    ck_assert_uint_eq(info.extended_usages_count, 2);
    ck_assert_str_eq(info.extended_usages[0], "clientAuth");
    ck_assert_str_eq(info.extended_usages[1], "1.2.3.5");
    ck_assert_uint_eq(info.subject_key_id.len, 2);
    ck_assert_uint_eq(info.exts_count, 6 + 1); /* and basicConstraints */
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(bad_extensions_are_refused)
{
    static const th_cert_ext bad[] = {
        { "nonsense", TH_STR("x"), 0 },
        { "keyUsage", TH_STR("flying"), 0 },
        { "basicConstraints", TH_STR("CA:perhaps"), 0 },
        { "subjectAltName", TH_STR("IP:nowhere"), 0 },
        { "subjectAltName", TH_STR("@section"), 0 },
        { "certificatePolicies", TH_STR("@section"), 0 },
        { "1.2.3.4", TH_STR("text"), 0 },
        { "1.2.3.4", TH_STR("DER:xy"), 0 },
        { "nsComment", { "a\0b", 3 }, 0 },
        { NULL, TH_STR("x"), 0 },
        { "keyUsage", { NULL, 1 }, 0 },
    };
    th_key *key = new_key("ec");
    th_cert *cert = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        th_cert_opts opts = { .subject = name_of("CN=a"), .exts = &bad[i], .exts_count = 1 };
        int err = th_cert_self_sign(key, &opts, &cert);
        ck_assert_msg(err == -EINVAL, "%zu: %s, %s", i, th_errname(err), th_err_detail());
    }
    th_cert_opts opts = { .subject = name_of("CN=a"), .usage = "flying" };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_detail("keyUsage");
    opts = (th_cert_opts){ .subject = name_of("CN=a"), .crl_url = "no url" };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    opts = (th_cert_opts){ .subject = name_of("CN=a"), .policies = "x.y" };
    ck_assert_int_eq(th_cert_self_sign(key, &opts, &cert), -EINVAL);
    ck_assert_ptr_null(cert);
    th_key_unref(key);
}
END_TEST

START_TEST(an_identifier_without_its_owner_is_refused)
{
    static const th_cert_ext aki = { "authorityKeyIdentifier", TH_STR("keyid:always"), 0 };
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=a"), .exts = &aki, .exts_count = 1 };
    th_cert_request *request = NULL;
    ck_assert_int_eq(th_cert_request_new(key, &opts, &request), -EINVAL);
    ck_detail("authorityKeyIdentifier");
    ck_assert_ptr_null(request);
    th_key_unref(key);
}
END_TEST

START_TEST(what_is_empty_is_left_out)
{
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=a"), .usage = "", .extended_usage = "" };
    th_cert *cert = NULL;
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_int_eq(info.usage, -1);
    ck_assert_uint_eq(info.extended_usages_count, 0);
    th_cert_unref(cert);
    th_key_unref(key);
}
END_TEST

/* ---- in and out ---- */

START_TEST(certificates_go_out_and_come_in)
{
    authority root = new_authority("CN=Root");
    th_str pem, der, again_pem, again_der, text;
    th_cert *again = NULL;
    ck_ok(th_cert_pem(root.cert, &arena, &pem));
    ck_ok(th_cert_der(root.cert, &arena, &der));
    ck_ok(th_cert_parse(pem, &again));
    ck_assert_int_eq(th_cert_equal(again, root.cert), 1);
    ck_ok(th_cert_der(again, &arena, &again_der));
    ck_same(der, again_der);
    th_cert_unref(again);
    ck_ok(th_cert_parse(der, &again));
    ck_ok(th_cert_pem(again, &arena, &again_pem));
    ck_same(pem, again_pem);
    ck_ok(th_cert_text(again, &arena, &text));
    ck_assert(has_text(text, "Subject:           CN=Root\n"));
    th_cert_unref(again);
    drop_authority(&root);
}
END_TEST

START_TEST(several_certificates_are_read_in_order)
{
    authority a = new_authority("CN=A"), b = new_authority("CN=B");
    th_certs certs = { 0 }, again = { 0 };
    th_str pem, key, der;
    ck_ok(th_certs_add(&certs, a.cert));
    ck_ok(th_certs_add(&certs, b.cert));
    ck_ok(th_certs_add(&certs, a.cert));
    ck_ok(th_certs_pem(&certs, &arena, &pem));
    ck_ok(th_key_pem(a.key, NULL, &arena, &key));
    pem = joined(TH_STR("# a comment\n"), joined(key, pem));
    ck_assert_int_eq(th_certs_parse(pem, &again), 3);
    ck_assert_uint_eq(again.count, 3);
    ck_assert_int_eq(th_cert_equal(again.at[0], a.cert), 1);
    ck_assert_int_eq(th_cert_equal(again.at[1], b.cert), 1);
    ck_assert_int_eq(th_cert_equal(again.at[2], a.cert), 1);
    ck_ok(th_cert_der(b.cert, &arena, &der));
    ck_assert_int_eq(th_certs_parse(der, &again), 1);
    ck_assert_uint_eq(again.count, 4);
    th_str broken = joined(pem, TH_STR("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                       "-----END CERTIFICATE-----\n"));
    ck_assert_int_eq(th_certs_parse(broken, &again), TH_ETLS);
    ck_assert_uint_eq(again.count, 4); /* nothing half */
    ck_assert_int_eq(th_certs_load(write_file("pem", pem), &again), 3);
    ck_assert_uint_eq(again.count, 7);
    ck_assert_int_eq(th_certs_load(path_of("none"), &again), -ENOENT);
    ck_detail("/none");
    th_certs_clear(&again);
    ck_assert_uint_eq(again.count, 0);
    th_certs_clear(&again);
    th_certs_clear(&certs);
    drop_authority(&a);
    drop_authority(&b);
}
END_TEST

START_TEST(what_is_no_certificate_is_refused)
{
    authority root = new_authority("CN=A");
    th_str key, der;
    th_cert *cert = NULL;
    ck_ok(th_key_pem(root.key, NULL, &arena, &key));
    ck_assert_int_eq(th_cert_parse(key, &cert), TH_ETLS);
    ck_detail("there is no certificate in it, but: PRIVATE KEY");
    ck_assert_int_eq(th_cert_parse(TH_STR(""), &cert), TH_ETLS);
    ck_assert_int_eq(th_cert_parse(TH_STR("hello"), &cert), TH_ETLS);
    ck_detail("neither PEM nor DER");
    ck_assert_int_eq(th_cert_parse(TH_STR("-----BEGIN "), &cert), TH_ETLS);
    ck_ok(th_key_der(root.key, NULL, &arena, &der));
    ck_assert_int_eq(th_cert_parse(der, &cert), TH_ETLS);
    ck_ok(th_cert_der(root.cert, &arena, &der));
    ck_assert_int_eq(th_cert_parse(joined(der, TH_STR("x")), &cert), TH_ETLS);
    ck_detail("something stands behind");
    ck_assert_int_eq(th_cert_parse(th_str_make(der.ptr, der.len - 1), &cert), TH_ETLS);
    ck_assert_int_eq(th_cert_load(write_file("key", key), &cert), TH_ETLS);
    ck_detail("/key: there is no certificate");
    ck_assert_int_eq(th_cert_parse(th_str_make(NULL, 1), &cert), -EINVAL);
    ck_assert_int_eq(th_cert_parse(der, NULL), -EINVAL);
    ck_assert_ptr_null(cert);
    drop_authority(&root);
}
END_TEST

/* Limits are looked at before any of the bytes is. */
START_TEST(input_is_limited)
{
    const char *text = "x";
    size_t mib = (size_t)1 << 20;
    th_certs certs = { 0 };
    th_cert *cert = NULL;
    th_cert_request *request = NULL;
    ck_assert_int_eq(th_cert_parse(th_str_make(text, mib + 1), &cert), TH_ELIMIT);
    ck_detail("more than 1048576 bytes");
    ck_assert_int_eq(th_cert_request_parse(th_str_make(text, mib + 1), &request), TH_ELIMIT);
    ck_assert_int_eq(th_certs_parse(th_str_make(text, 16 * mib + 1), &certs), TH_ELIMIT);
    authority root = new_authority("CN=A");
    th_str pem;
    ck_ok(th_cert_pem(root.cert, &arena, &pem));
    char *most = malloc(mib);
    memset(most, '\n', mib);
    memcpy(most + mib - pem.len, pem.ptr, pem.len);
    ck_ok(th_cert_parse(th_str_make(most, mib), &cert));
    ck_assert_int_eq(th_cert_equal(cert, root.cert), 1);
    free(most);
    th_cert_unref(cert);
    drop_authority(&root);
}
END_TEST

START_TEST(fingerprints_are_told)
{
    authority root = new_authority("CN=A");
    th_str print, again;
    ck_ok(th_cert_fingerprint(root.cert, NULL, &arena, &print));
    ck_assert_uint_eq(print.len, 95);
    for (size_t i = 0; i < print.len; i++)
        ck_assert(i % 3 == 2 ? print.ptr[i] == ':'
                             : strchr("0123456789ABCDEF", print.ptr[i]) != NULL);
    ck_ok(th_cert_fingerprint(root.cert, "SHA-1", &arena, &again));
    ck_assert_uint_eq(again.len, 59);
    ck_assert_int_eq(th_cert_fingerprint(root.cert, "strange", &arena, &again), -EINVAL);
    ck_detail("unknown digest strange");
    ck_assert_int_eq(th_cert_fingerprint(root.cert, "shake128", &arena, &again), -EINVAL);
    ck_assert_uint_eq(again.len, 59);
    if (has_openssl()) {
        th_str pem;
        ck_ok(th_cert_pem(root.cert, &arena, &pem));
        write_file("a", pem);
        ck_assert(has_text(run_well("openssl x509 -in a -noout -fingerprint -sha256"), print.ptr));
    }
    drop_authority(&root);
}
END_TEST

START_TEST(the_text_says_everything_in_words)
{
    authority root = new_authority("CN=Root, O=\\1B[31mred");
    th_key *key = new_key("rsa:1024");
    th_cert_alt alts[2];
    ck_ok(th_cert_alt_of("example.org", &alts[0]));
    ck_ok(th_cert_alt_of("192.0.2.1", &alts[1]));
    th_cert_ext ext = { "nsComment", TH_STR("hello"), 1 };
    th_cert_opts opts = { .subject = name_of("CN=leaf"),
                          .alts = alts,
                          .alts_count = 2,
                          .serial = "1234",
                          .not_before = 1,
                          .not_after = 86400,
                          .exts = &ext,
                          .exts_count = 1,
                          .ocsp_url = "http://ocsp/" };
    th_cert *cert = NULL;
    th_str text;
    ck_ok(th_cert_issue(root.cert, root.key, key, &opts, &cert));
    ck_ok(th_cert_text(cert, &arena, &text));
    static const char *const lines[] = {
        "Certificate, version 3\n",
        "  Subject:           CN=leaf\n",
        "  Names:             example.org\n                     IP 192.0.2.1\n",
        "  Issuer:            CN=Root, O=\\1B[31mred\n",
        "  Valid:             1970-01-01 00:00:01 UTC to 1970-01-02 00:00:00 UTC\n",
        "  Serial number:     1234\n",
        "  Key:               RSA, 1024 bits\n",
        "  Signed with:       ecdsa-with-SHA256\n",
        "  Signs others:      no\n",
        "  Key usage:         digitalSignature, keyEncipherment\n",
        "  Extended usage:    serverAuth\n",
        "  OCSP:              http://ocsp/\n",
        "  Extension:         nsComment (critical): hello\n",
        "  SHA-256:           ",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(has_text(text, lines[i]), "%s in\n%s", lines[i], text.ptr);
    ck_assert_ptr_null(memchr(text.ptr, '\x1b', text.len));
    th_cert_unref(cert);
    th_key_unref(key);
    drop_authority(&root);
}
END_TEST

/* ---- requests ---- */

START_TEST(a_request_says_what_it_asks_for)
{
    th_key *key = new_key("ec"), *other = new_key("ec"), *own;
    th_cert_alt alt = { TH_ALT_DNS, TH_STR("a.example") };
    th_cert_ext ext = { "nsComment", TH_STR("please"), 1 };
    th_cert_opts opts = { .subject = name_of("C=DE, CN=a"),
                          .alts = &alt,
                          .alts_count = 1,
                          .usage = "digitalSignature",
                          .exts = &ext,
                          .exts_count = 1 };
    th_cert_request *request = NULL, *again = NULL;
    th_cert_request_info info;
    th_str pem, der, again_der, text;
    ck_ok(th_cert_request_new(key, &opts, &request));
    ck_ok(th_cert_request_pem(request, &arena, &pem));
    ck_assert(has_text(pem, "-----BEGIN CERTIFICATE REQUEST-----\n"));
    ck_ok(th_cert_request_parse(pem, &again));
    ck_ok(th_cert_request_der(request, &arena, &der));
    ck_ok(th_cert_request_der(again, &arena, &again_der));
    ck_same(der, again_der);
    ck_ok(th_cert_request_get_info(again, &arena, &info));
    ck_assert_str_eq(info.subject_text.ptr, "C=DE, CN=a");
    ck_assert_uint_eq(info.alts_count, 1);
    ck_assert_str_eq(info.alts[0].value.ptr, "a.example");
    ck_assert_uint_eq(info.exts_count, 3);
    ck_assert_str_eq(info.exts[2].name, "nsComment");
    ck_assert_int_eq(info.exts[2].critical, 1);
    ck_assert_str_eq(info.signature, "ecdsa-with-SHA256");
    ck_assert_str_eq(info.key.name, "P-256");
    ck_ok(th_cert_request_key(again, &own));
    ck_assert_int_eq(th_key_equal(own, key), 1);
    ck_ok(th_cert_request_verify(again, NULL));
    ck_ok(th_cert_request_verify(again, key));
    ck_assert_int_eq(th_cert_request_verify(again, other), TH_ETLS);
    ck_ok(th_cert_request_text(again, &arena, &text));
    ck_assert(has_text(text, "CN=a\n"));
    ck_assert(has_text(text, "nsComment (critical): please\n"));
    th_key_unref(own);
    th_cert_request_unref(th_cert_request_ref(again));
    th_cert_request_unref(again);
    th_cert_request_unref(request);
    request = NULL;
    ck_ok(th_cert_request_load(write_file("req", der), &request));
    th_cert_request_unref(request);
    th_key_unref(key);
    th_key_unref(other);
}
END_TEST

START_TEST(a_request_may_be_empty_and_has_no_time)
{
    th_key *key = new_key("ec");
    th_cert_opts opts = { 0 };
    th_cert_request *request = NULL;
    th_cert_request_info info;
    ck_ok(th_cert_request_new(key, &opts, &request));
    ck_ok(th_cert_request_get_info(request, &arena, &info));
    ck_assert_uint_eq(info.exts_count, 0);
    ck_assert_uint_eq(info.subject.count, 0);
    th_cert_request_unref(request);
    request = NULL;
    opts.valid_for = 1;
    ck_assert_int_eq(th_cert_request_new(key, &opts, &request), -EINVAL);
    opts = (th_cert_opts){ .serial = "1" };
    ck_assert_int_eq(th_cert_request_new(key, &opts, &request), -EINVAL);
    ck_assert_ptr_null(request);
    th_key_unref(key);
}
END_TEST

START_TEST(what_a_request_asks_for_is_for_the_authority_to_grant)
{
    authority root = new_authority("CN=Root");
    th_key *key = new_key("ec");
    th_cert_alt alts[2] = { { TH_ALT_DNS, TH_STR("a.example") }, { TH_ALT_IP, TH_STR("::1") } };
    th_cert_opts wish = { .subject = name_of("CN=a"), .alts = alts, .alts_count = 2, .ca = 1 };
    th_cert_request *request = NULL;
    th_cert *cert = NULL;
    ck_ok(th_cert_request_new(key, &wish, &request));
    ck_ok(th_cert_issue_request(root.cert, root.key, request, NULL, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_str_eq(info.subject_text.ptr, "CN=a");
    ck_assert_uint_eq(info.alts_count, 2);
    ck_assert_str_eq(info.alts[1].value.ptr, "::1");
    ck_assert_int_eq(info.ca, 0); /* not for the asking */
    ck_assert_int_eq(th_cert_has_key(cert, key), 1);
    ck_ok(th_cert_verify(cert, root.key));
    th_cert_unref(cert);
    th_cert_opts other = { .subject = name_of("CN=b"), .alts = alts, .alts_count = 1 };
    ck_ok(th_cert_issue_request(root.cert, root.key, request, &other, &cert));
    info = info_of(cert);
    ck_assert_str_eq(info.subject_text.ptr, "CN=b");
    ck_assert_uint_eq(info.alts_count, 1);
    th_cert_unref(cert);
    th_cert_request_unref(request);
    th_key_unref(key);
    drop_authority(&root);
}
END_TEST

/* A name of a kind that nothing is known of is not granted, and stands in nobody's way. */
START_TEST(names_of_other_kinds_in_a_request_are_left_out)
{
    authority root = new_authority("CN=Root");
    th_key *key = new_key("ec");
    th_cert_ext names = { "subjectAltName",
                          TH_STR("otherName:1.2.3.4;UTF8:x,DNS:a.example,RID:1.2.3"), 0 };
    th_cert_opts wish = { .exts = &names, .exts_count = 1 };
    th_cert_request *request = NULL;
    th_cert_request_info asked;
    th_cert *cert = NULL;
    ck_ok(th_cert_request_new(key, &wish, &request));
    ck_ok(th_cert_request_get_info(request, &arena, &asked));
    ck_assert_uint_eq(asked.alts_count, 3);
    ck_assert_int_eq(asked.alts[0].kind, TH_ALT_OTHER);
    ck_ok(th_cert_issue_request(root.cert, root.key, request, NULL, &cert));
    th_cert_info info = info_of(cert);
    ck_assert_uint_eq(info.alts_count, 1);
    ck_same(info.alts[0].value, TH_STR("a.example"));
    th_cert_unref(cert);
    th_cert_request_unref(request);
    names.value = TH_STR("otherName:1.2.3.4;UTF8:x");
    ck_ok(th_cert_request_new(key, &wish, &request));
    ck_assert_int_eq(th_cert_issue_request(root.cert, root.key, request, NULL, &cert), -EINVAL);
    ck_detail("neither a subject nor alternative names");
    th_cert_request_unref(request);
    th_key_unref(key);
    drop_authority(&root);
}
END_TEST

START_TEST(a_forged_request_is_refused)
{
    authority root = new_authority("CN=Root");
    th_key *key = new_key("ec");
    th_cert_opts opts = { .subject = name_of("CN=good") };
    th_cert_request *request = NULL;
    th_cert *cert = NULL;
    th_str der;
    ck_ok(th_cert_request_new(key, &opts, &request));
    ck_ok(th_cert_request_der(request, &arena, &der));
    char *forged = (char *)memmem(der.ptr, der.len, "good", 4);
    ck_assert_ptr_nonnull(forged);
    memcpy(forged, "evil", 4);
    th_cert_request_unref(request);
    request = NULL;
    ck_ok(th_cert_request_parse(der, &request));
    ck_assert_int_eq(th_cert_issue_request(root.cert, root.key, request, NULL, &cert), TH_ETLS);
    ck_detail("its own key");
    ck_assert_ptr_null(cert);
    th_cert_request_unref(request);
    th_key_unref(key);
    drop_authority(&root);
}
END_TEST

/* ---- times ---- */

START_TEST(times_are_read_and_written_in_utc)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } times[] = {
        { "19700101000000Z", 0 },
        { "20260102030405Z", 1767323045 },
        { "260102030405Z", 1767323045 },
        { "2026-01-02T03:04:05Z", 1767323045 },
        { "20260102083405+0530", 1767323045 },
        { "20260102014905-0115", 1767323045 },
        { "491231235959Z", 2524607999 },
        { "500101000000Z", -631152000 },
        { "20000229000000Z", 951782400 },
        { "99991231235959Z", 253402300799 },
        { "00000101000000Z", -62167219200 },
    };
    setenv("TZ", "Asia/Kolkata", 1);
    setenv("LC_ALL", "tr_TR.UTF-8", 1);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t seconds = -1;
        ck_ok(th_cert_time_parse(th_str_of(times[i].text), &seconds));
        ck_assert_int_eq(seconds, times[i].seconds);
        char text[TH_CERT_TIME_TEXT];
        int64_t again;
        ck_ok(th_cert_time_text(seconds, text));
        ck_assert_uint_eq(strlen(text), 15);
        ck_ok(th_cert_time_parse(th_str_of(text), &again));
        ck_assert_int_eq(again, seconds);
    }
    static const char *const bad[] = { "",
                                       "now",
                                       "20260102030405",
                                       "20260132030405Z",
                                       "20261302030405Z",
                                       "20260102240405Z",
                                       "20260102036005Z",
                                       "20260102030460Z",
                                       "20250229000000Z",
                                       "19000229000000Z",
                                       "20260102030405z",
                                       "20260102030405+05",
                                       "20260102030405+0560",
                                       "20260102030405Zx",
                                       "2026010203040Z",
                                       "20260102030405.5Z",
                                       "2026-01-02 03:04:05Z",
                                       "20260100030405Z",
                                       " 20260102030405Z",
                                       "-0260102030405Z" };
    int64_t seconds = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int err = th_cert_time_parse(th_str_of(bad[i]), &seconds);
        ck_assert_msg(err == -EINVAL, "%s", bad[i]);
    }
    ck_assert_int_eq(seconds, -1);
    char text[TH_CERT_TIME_TEXT];
    ck_assert_int_eq(th_cert_time_text(INT64_C(253402300800), text), -ERANGE);
    ck_assert_int_eq(th_cert_time_text(INT64_C(-62167219201), text), -ERANGE);
    ck_assert_int_eq(th_cert_time_text(INT64_MAX, text), -ERANGE);
    ck_assert_int_eq(th_cert_time_text(0, NULL), -EINVAL);
}
END_TEST

START_TEST(each_day_of_four_centuries_is_itself)
{
    int64_t start = -62167219200;
    char before[TH_CERT_TIME_TEXT] = "";
    for (int64_t day = 0; day < 2 * 146097; day++) {
        char text[TH_CERT_TIME_TEXT];
        int64_t again;
        ck_ok(th_cert_time_text(start + day * 86400, text));
        ck_assert_int_gt(strcmp(text, before), 0);
        ck_ok(th_cert_time_parse(th_str_of(text), &again));
        ck_assert_int_eq(again, start + day * 86400);
        memcpy(before, text, sizeof before);
    }
}
END_TEST

/* ---- others; without memory ---- */

START_TEST(openssl_agrees_with_what_is_written)
{
    SKIP_UNLESS(has_openssl(), "no openssl(1)");
    authority root = new_authority("CN=Root, O=Test");
    th_key *key = new_key("ec");
    th_cert_alt alt = { TH_ALT_DNS, TH_STR("a.example") };
    th_cert_opts opts = { .subject = name_of("CN=leaf, O=\\C3\\84"),
                          .alts = &alt,
                          .alts_count = 1 };
    th_cert *cert = NULL;
    th_cert_request *request = NULL;
    th_str pem;
    ck_ok(th_cert_issue(root.cert, root.key, key, &opts, &cert));
    ck_ok(th_cert_pem(root.cert, &arena, &pem));
    write_file("root", pem);
    ck_ok(th_cert_pem(cert, &arena, &pem));
    write_file("leaf", pem);
    ck_ok(th_cert_request_new(key, &opts, &request));
    ck_ok(th_cert_request_pem(request, &arena, &pem));
    write_file("req", pem);
    run_well("openssl verify -x509_strict -CAfile root -purpose sslserver "
             "-verify_hostname a.example leaf");
    run_well("openssl req -in req -noout -verify");
    th_str out = run_well("openssl x509 -in leaf -noout -subject -nameopt utf8");
    ck_assert(has_text(out, "CN"));
    ck_assert(has_text(out, "\xc3\x84"));
    out = run_well("openssl x509 -in leaf -noout -ext subjectAltName,basicConstraints");
    ck_assert(has_text(out, "DNS:a.example"));
    ck_assert(has_text(out, "CA:FALSE"));
    th_cert_request_unref(request);
    th_cert_unref(cert);
    th_key_unref(key);
    drop_authority(&root);
}
END_TEST

/* What is granted, and for whom. */
typedef struct grant {
    authority root;
    th_cert_request *request;
    th_str chain;
} grant;

static int issue_and_tell(void *arg)
{
    const grant *g = arg;
    th_arena own;
    th_cert *cert = NULL;
    th_cert_info info;
    th_certs certs = { 0 };
    th_str out;
    th_arena_init(&own, NULL, 0, 0);
    int err = th_cert_issue_request(g->root.cert, g->root.key, g->request, NULL, &cert);
    if (err == 0)
        err = th_cert_get_info(cert, &own, &info);
    if (err == 0)
        err = th_cert_text(cert, &own, &out);
    if (err == 0)
        err = th_certs_parse(g->chain, &certs);
    if (err >= 0)
        err = th_certs_pem(&certs, &own, &out);
    th_certs_clear(&certs);
    th_cert_unref(cert);
    th_arena_deinit(&own);
    return err;
}

START_TEST(no_call_leaks_or_lies_without_memory)
{
    grant g = { .root = new_authority("CN=Root") };
    th_key *key = new_key("ec");
    th_cert_alt alt = { TH_ALT_DNS, TH_STR("a.example") };
    th_cert_opts opts = { .subject = name_of("CN=leaf"), .alts = &alt, .alts_count = 1 };
    ck_ok(th_cert_request_new(key, &opts, &g.request));
    ck_ok(th_cert_pem(g.root.cert, &arena, &g.chain));
    g.chain = joined(g.chain, g.chain);
    ck_assert_int_gt(starve(thi_alloc_fail_at, issue_and_tell, &g), 5);
    th_cert_request_unref(g.request);
    th_key_unref(key);
    drop_authority(&g.root);
}
END_TEST

static void add_reading(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "in and out");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, certificates_go_out_and_come_in);
    tcase_add_test(tcase, several_certificates_are_read_in_order);
    tcase_add_test(tcase, what_is_no_certificate_is_refused);
    tcase_add_test(tcase, input_is_limited);
    tcase_add_test(tcase, fingerprints_are_told);
    tcase_add_test(tcase, the_text_says_everything_in_words);
    tcase = thi_check_case(suite, "requests");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_request_says_what_it_asks_for);
    tcase_add_test(tcase, a_request_may_be_empty_and_has_no_time);
    tcase_add_test(tcase, what_a_request_asks_for_is_for_the_authority_to_grant);
    tcase_add_test(tcase, names_of_other_kinds_in_a_request_are_left_out);
    tcase_add_test(tcase, a_forged_request_is_refused);
    tcase = thi_check_case(suite, "times");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, times_are_read_and_written_in_utc);
    tcase_add_test(tcase, each_day_of_four_centuries_is_itself);
    tcase = thi_check_case(suite, "surroundings");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, openssl_agrees_with_what_is_written);
    tcase_add_test(tcase, no_call_leaks_or_lies_without_memory);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "making");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_certificate_for_a_server_needs_nothing_but_a_name);
    tcase_add_test(tcase, an_authority_signs_for_others);
    tcase_add_test(tcase, the_bounds_of_an_authority_are_told);
    tcase_add_test(tcase, keys_of_each_kind_sign);
    tcase_add_test(tcase, who_cannot_sign_is_refused);
    tcase_add_test(tcase, serial_numbers_of_any_size_are_kept);
    tcase_add_test(tcase, times_of_validity_are_kept);
    tcase = thi_check_case(suite, "names");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, parts_of_a_subject_keep_order_repeats_and_every_byte);
    tcase_add_test(tcase, bad_parts_of_a_name_are_refused);
    tcase_add_test(tcase, names_are_read_and_written_as_text);
    tcase_add_test(tcase, a_name_of_very_many_parts_is_written);
    tcase_add_test(tcase, alternative_names_of_each_kind_are_kept);
    tcase_add_test(tcase, bad_alternative_names_are_refused);
    tcase_add_test(tcase, nul_bytes_in_alternative_names_are_told_and_never_match_a_prefix);
    tcase_add_test(tcase, a_certificate_is_for_its_names_and_no_others);
    tcase = thi_check_case(suite, "extensions");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, extensions_by_name_and_text);
    tcase_add_test(tcase, bad_extensions_are_refused);
    tcase_add_test(tcase, an_identifier_without_its_owner_is_refused);
    tcase_add_test(tcase, what_is_empty_is_left_out);
    add_reading(suite);
}

int main(void)
{
    const th_allocator counting = { .size = sizeof counting,
                                    .malloc = counting_malloc,
                                    .realloc = counting_realloc,
                                    .free = counting_free };
    return th_allocator_set(&counting) < 0 ? 1 : thi_check_run("tls/cert", fill);
}
