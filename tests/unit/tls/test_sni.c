/* SPDX-License-Identifier: MIT */

/* Server names: what can be one, and which certificate is for it. */
#include "check_main.h"

#include "base/alloc.h"
#include "tls/sni.h"

#include <thrum/error.h>
#include <thrum/tls.h>

#include <errno.h>

static SSL_CTX *const one = (SSL_CTX *)8, *const two = (SSL_CTX *)16; /* never looked into */

static int add(thi_tls_sni *sni, const char *name, SSL_CTX *ctx)
{
    return thi_tls_sni_add(sni, name, strlen(name), ctx);
}

static SSL_CTX *find(const thi_tls_sni *sni, const char *name)
{
    return thi_tls_sni_find(sni, name, strlen(name));
}

START_TEST(exact_names_come_before_wildcards_of_one_label)
{
    thi_tls_sni sni;
    thi_tls_sni_init(&sni, TH_TLS_UNKNOWN_DEFAULT);
    ck_assert_int_eq(add(&sni, "*.a.test", one), 0);
    ck_assert_int_eq(add(&sni, "X.a.test", two), 0);
    ck_assert_ptr_eq(find(&sni, "b.a.test"), one);
    ck_assert_ptr_eq(find(&sni, "x.A.test."), two);
    ck_assert_ptr_null(find(&sni, "a.test"));
    ck_assert_ptr_null(find(&sni, "c.b.a.test"));
    ck_assert_ptr_null(find(&sni, "test"));
    ck_assert_ptr_null(find(&sni, ""));
    ck_assert_ptr_null(find(&sni, "*.a.test")); /* nobody is called so */
    ck_assert_uint_eq(thi_tls_sni_count(&sni), 2);
    thi_tls_sni_deinit(&sni);
}
END_TEST

START_TEST(the_first_certificate_for_a_name_stays)
{
    thi_tls_sni sni;
    thi_tls_sni_init(&sni, TH_TLS_UNKNOWN_DEFAULT);
    ck_assert_int_eq(add(&sni, "a.test", one), 0);
    ck_assert_int_eq(add(&sni, "A.test.", two), 0);
    ck_assert_ptr_eq(find(&sni, "a.test"), one);
    ck_assert_uint_eq(thi_tls_sni_count(&sni), 1);
    thi_tls_sni_deinit(&sni);
}
END_TEST

static const char *const bad[] = {
    "",      ".",     "a..b",  ".a",    "a b",           "a/b",  "*",   "*.",
    "a.*.b", "*.*.a", "a:443", "[::1]", "\xc3\xa4.test", "a\tb", "**.a"
};

START_TEST(what_cannot_be_a_name_is_refused)
{
    thi_tls_sni sni;
    thi_tls_sni_init(&sni, TH_TLS_UNKNOWN_DEFAULT);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(add(&sni, bad[i], one) == TH_ECONFIG, "'%s'", bad[i]);
    ck_assert_int_eq(thi_tls_sni_add(&sni, "a\0b", 3, one), TH_ECONFIG);
    ck_assert_uint_eq(thi_tls_sni_count(&sni), 0);
    thi_tls_sni_deinit(&sni);
}
END_TEST

/* At the limits of RFC 1035, and one above. */
START_TEST(labels_have_63_bytes_and_names_253)
{
    char lower[THI_TLS_NAME_MAX + 1];
    char name[256];
    memset(name, 'a', sizeof name);
    ck_assert_int_eq(thi_tls_name_read(name, 63, lower), 63);
    ck_assert_int_eq(thi_tls_name_read(name, 64, lower), -EINVAL);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    ck_assert_int_eq(thi_tls_name_read(name, 253, lower), 253);
    ck_assert_int_eq(thi_tls_name_read(name, 254, lower), -EINVAL);
    name[253] = '.'; /* the root's does not count */
    ck_assert_int_eq(thi_tls_name_read(name, 254, lower), 253);
}
END_TEST

START_TEST(without_memory_a_name_is_not_added)
{
    thi_tls_sni sni;
    thi_tls_sni_init(&sni, TH_TLS_UNKNOWN_DEFAULT);
    (void)thi_alloc_fail_at(0);
    int64_t before = thi_alloc_live();
    int failures = 0;
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = add(&sni, "*.a.test", one);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_uint_eq(thi_tls_sni_count(&sni), 0);
        failures++;
    }
    ck_assert_int_eq(failures, 2); /* the name, and the table */
    thi_tls_sni_deinit(&sni);
    ck_assert_int_eq(thi_alloc_live(), before);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "names");
    tcase_add_test(tcase, exact_names_come_before_wildcards_of_one_label);
    tcase_add_test(tcase, the_first_certificate_for_a_name_stays);
    tcase_add_test(tcase, what_cannot_be_a_name_is_refused);
    tcase_add_test(tcase, labels_have_63_bytes_and_names_253);
    tcase_add_test(tcase, without_memory_a_name_is_not_added);
}

int main(void)
{
    return thi_check_run("tls/sni", fill);
}
