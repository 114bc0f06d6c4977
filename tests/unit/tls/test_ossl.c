/* SPDX-License-Identifier: MIT */

/* OpenSSL's errors as details: the first reason, nothing left behind, nothing made up. */
#include "check_main.h"

#include "tls/ossl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>

START_TEST(the_reason_is_behind_the_text)
{
    thi_ossl_begin();
    ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
    ERR_raise(ERR_LIB_PEM, PEM_R_BAD_DECRYPT);
    ck_assert_int_eq(thi_ossl_fail(TH_ETLS, "certificate %s", "a.pem"), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "certificate a.pem: no start line");
    ck_assert_uint_eq(thi_ossl_peek(), 0);
}
END_TEST

START_TEST(an_empty_queue_adds_nothing)
{
    thi_ossl_begin();
    ck_assert_int_eq(thi_ossl_fail(TH_ETLS, "no key"), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "no key");
}
END_TEST

START_TEST(an_unknown_reason_adds_nothing)
{
    char text[64] = "x";
    thi_ossl_begin();
    ERR_raise(200, 4000);
    ck_assert_str_eq(thi_ossl_reason(text, sizeof text), "");
    ck_assert_uint_eq(thi_ossl_peek(), 0);
}
END_TEST

START_TEST(an_error_of_the_system_keeps_its_text)
{
    char text[64];
    thi_ossl_begin();
    ERR_raise(ERR_LIB_SYS, ENOENT);
    ck_assert_str_eq(thi_ossl_reason(text, sizeof text), th_strerror(-ENOENT));
}
END_TEST

START_TEST(lack_of_memory_is_told_as_such)
{
    thi_ossl_begin();
    ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
    ck_assert_int_eq(thi_ossl_fail(TH_ETLS, "a store"), -ENOMEM);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "errors");
    tcase_add_test(tcase, the_reason_is_behind_the_text);
    tcase_add_test(tcase, an_empty_queue_adds_nothing);
    tcase_add_test(tcase, an_unknown_reason_adds_nothing);
    tcase_add_test(tcase, an_error_of_the_system_keeps_its_text);
    tcase_add_test(tcase, lack_of_memory_is_told_as_such);
}

int main(void)
{
    return thi_check_run("tls/ossl", fill);
}
