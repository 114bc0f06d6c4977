/* SPDX-License-Identifier: MIT */

/* Failures that are kept with their words. */
#include "base/error_kept.h"

#include "check_main.h"

#include <errno.h>

START_TEST(a_failure_is_told_again_with_the_words_of_then)
{
    thi_err_kept kept = { 0 };
    ck_assert_int_eq(thi_err_keep(&kept, thi_err_set(TH_EOF, "first")), TH_EOF);
    thi_err_set(-EINVAL, "another");
    ck_assert_int_eq(thi_err_again(&kept), TH_EOF);
    ck_assert_str_eq(th_err_detail(), "first");
    thi_err_set(-EINVAL, "second");
    ck_assert_int_eq(thi_err_keep(&kept, -EINVAL), TH_EOF);
    ck_assert_str_eq(th_err_detail(), "first");
    thi_err_kept_deinit(&kept);
}
END_TEST

START_TEST(one_without_words_has_none_later)
{
    thi_err_kept kept = { 0 };
    ck_assert_int_eq(thi_err_keep(&kept, thi_err_clear(-EPIPE)), -EPIPE);
    thi_err_set(-EINVAL, "another");
    ck_assert_int_eq(thi_err_again(&kept), -EPIPE);
    ck_assert_str_eq(th_err_detail(), "");
    thi_err_kept_deinit(&kept);
}
END_TEST

START_TEST(none_is_no_failure_and_leaves_the_detail)
{
    thi_err_kept kept = { 0 };
    thi_err_set(-EINVAL, "another");
    ck_assert_int_eq(thi_err_again(&kept), 0);
    ck_assert_str_eq(th_err_detail(), "another");
    thi_err_kept_deinit(&kept);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "kept");
    tcase_add_test(tcase, a_failure_is_told_again_with_the_words_of_then);
    tcase_add_test(tcase, one_without_words_has_none_later);
    tcase_add_test(tcase, none_is_no_failure_and_leaves_the_detail);
}

int main(void)
{
    return thi_check_run("base/error_kept", fill);
}
