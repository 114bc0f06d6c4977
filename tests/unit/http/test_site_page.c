/* SPDX-License-Identifier: MIT */

/* Tests of sizes for people; the page as a whole is tested with real clients. */
#include "http/site_page.h"

#include "check_main.h"

static void check_size(int64_t bytes, const char *want)
{
    char text[THI_SITE_SIZE_MAX];
    size_t len = thi_site_page_size(bytes, text);
    ck_assert_uint_lt(len, sizeof text);
    ck_assert_msg(th_str_eq(th_str_make(text, len), th_str_of(want)), "%s", text);
}

START_TEST(sizes_have_the_largest_unit_that_leaves_a_whole_number)
{
    check_size(0, "0 B");
    check_size(1, "1 B");
    check_size(1023, "1023 B");
    check_size(1024, "1.0 KiB");
    check_size(1536, "1.5 KiB");
    check_size(1024 * 1024 - 1, "1023.9 KiB");
    check_size(1024 * 1024, "1.0 MiB");
    check_size(INT64_C(5) << 30, "5.0 GiB");
    check_size((INT64_C(1) << 40) + (INT64_C(1) << 39), "1.5 TiB");
    check_size(INT64_C(1) << 50, "1.0 PiB");
    check_size(INT64_MAX, "7.9 EiB");
    check_size(-1, "0 B");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *sizes = thi_check_case(suite, "sizes");
    tcase_add_test(sizes, sizes_have_the_largest_unit_that_leaves_a_whole_number);
}

int main(void)
{
    return thi_check_run("http/site_page", fill);
}
