/* SPDX-License-Identifier: MIT */

/* Tests of the errno table for libcs without one; built in, whatever the library itself uses. */
#include "base/error.h"

#include "check_main.h"

#include <errno.h>
#include <string.h>

START_TEST(names_and_texts_agree_with_libc)
{
    int known = 0;
    for (int number = 1; number < 200; number++) {
        if (!thi_errno_name(number)) {
            ck_assert_ptr_null(thi_errno_text(number));
            continue;
        }
        known++;
        ck_assert_str_eq(thi_errno_text(number), strerror(number));
    }
    ck_assert_int_ge(known, 70);
    ck_assert_str_eq(thi_errno_name(EPIPE), "EPIPE");
    ck_assert_str_eq(thi_errno_name(EXDEV), "EXDEV");
}
END_TEST

START_TEST(other_numbers_are_unknown)
{
    ck_assert_ptr_null(thi_errno_name(0));
    ck_assert_ptr_null(thi_errno_text(-1));
    ck_assert_ptr_null(thi_errno_name(100000));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *table = thi_check_case(suite, "table");
    tcase_add_test(table, names_and_texts_agree_with_libc);
    tcase_add_test(table, other_numbers_are_unknown);
}

int main(void)
{
    return thi_check_run("base/errno_list", fill);
}
