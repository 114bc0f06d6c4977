/* SPDX-License-Identifier: MIT */

/* Tests of byte strings. */
#include <thrum/str.h>

#include "check_main.h"

#include <errno.h>
#include <stdio.h>

static const th_str null = { NULL, 0 };

START_TEST(views_are_made)
{
    ck_assert_uint_eq(TH_STR("a\0b").len, 3);
    ck_assert_uint_eq(TH_STR("").len, 0);
    ck_assert_uint_eq(th_str_of("abc").len, 3);
    ck_assert_uint_eq(th_str_of(NULL).len, 0);
    char text[16];
    snprintf(text, sizeof text, "<%.*s>", TH_STR_ARG(th_str_make("abcd", 2)));
    ck_assert_str_eq(text, "<ab>");
}
END_TEST

START_TEST(equality_is_of_bytes)
{
    ck_assert(th_str_eq(TH_STR("abc"), TH_STR("abc")));
    ck_assert(!th_str_eq(TH_STR("abc"), TH_STR("abC")));
    ck_assert(!th_str_eq(TH_STR("abc"), TH_STR("ab")));
    ck_assert(!th_str_eq(TH_STR("a\0b"), TH_STR("a\0c")));
    ck_assert(th_str_eq(null, TH_STR("")));
}
END_TEST

START_TEST(case_is_ignored_for_ascii_letters_only)
{
    int wrong = 0;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char left = (char)a, right = (char)b;
            int lower_a = a >= 'A' && a <= 'Z' ? a + 32 : a;
            int lower_b = b >= 'A' && b <= 'Z' ? b + 32 : b;
            wrong += th_str_eq_nocase(th_str_make(&left, 1), th_str_make(&right, 1)) !=
                     (lower_a == lower_b);
        }
    }
    ck_assert_int_eq(wrong, 0);
    ck_assert(th_str_eq_nocase(TH_STR("Content-LENGTH"), TH_STR("content-length")));
    ck_assert(!th_str_eq_nocase(TH_STR("abc"), TH_STR("abcd")));
    ck_assert(th_str_eq_nocase(null, TH_STR("")));
}
END_TEST

START_TEST(order_is_unsigned_and_prefix_comes_first)
{
    ck_assert_int_lt(th_str_cmp(TH_STR("a"), TH_STR("b")), 0);
    ck_assert_int_gt(th_str_cmp(TH_STR("\xff"), TH_STR("b")), 0);
    ck_assert_int_lt(th_str_cmp(TH_STR("a"), TH_STR("ab")), 0);
    ck_assert_int_gt(th_str_cmp(TH_STR("ab"), null), 0);
    ck_assert_int_eq(th_str_cmp(TH_STR("ab"), TH_STR("ab")), 0);
    ck_assert_int_eq(th_str_cmp(null, null), 0);
}
END_TEST

START_TEST(prefix_and_suffix)
{
    ck_assert(th_str_has_prefix(TH_STR("abc"), TH_STR("ab")));
    ck_assert(th_str_has_prefix(TH_STR("abc"), TH_STR("abc")));
    ck_assert(!th_str_has_prefix(TH_STR("abc"), TH_STR("abcd")));
    ck_assert(!th_str_has_prefix(TH_STR("abc"), TH_STR("b")));
    ck_assert(th_str_has_prefix(null, null));
    ck_assert(th_str_has_suffix(TH_STR("abc"), TH_STR("bc")));
    ck_assert(!th_str_has_suffix(TH_STR("abc"), TH_STR("zabc")));
    ck_assert(!th_str_has_suffix(TH_STR("abc"), TH_STR("b")));
    ck_assert(th_str_has_suffix(null, TH_STR("")));
}
END_TEST

START_TEST(trim_drops_white_space_at_both_ends)
{
    ck_assert(th_str_eq(th_str_trim(TH_STR(" \t\r\n\v\fa b\n")), TH_STR("a b")));
    ck_assert_uint_eq(th_str_trim(TH_STR(" \n ")).len, 0);
    ck_assert_uint_eq(th_str_trim(null).len, 0);
    ck_assert(th_str_eq(th_str_trim(TH_STR("\x08z\x0e")), TH_STR("\x08z\x0e")));
    ck_assert(th_str_eq(th_str_trim_ows(TH_STR(" \t\ra\r \t")), TH_STR("\ra\r")));
    ck_assert_uint_eq(th_str_trim_ows(TH_STR("\t")).len, 0);
}
END_TEST

START_TEST(split_cuts_at_the_first_separator)
{
    th_str before, after;
    ck_assert(th_str_split_once(TH_STR("a=b=c"), '=', &before, &after));
    ck_assert(th_str_eq(before, TH_STR("a")));
    ck_assert(th_str_eq(after, TH_STR("b=c")));
    ck_assert(th_str_split_once(TH_STR("="), '=', &before, &after));
    ck_assert_uint_eq(before.len + after.len, 0);
}
END_TEST

START_TEST(split_without_separator_leaves_outputs_untouched)
{
    th_str before = TH_STR("x"), after = TH_STR("y");
    ck_assert(!th_str_split_once(TH_STR("abc"), '=', &before, &after));
    ck_assert(!th_str_split_once(null, '=', &before, &after));
    ck_assert(th_str_eq(before, TH_STR("x")));
    ck_assert(th_str_eq(after, TH_STR("y")));
}
END_TEST

START_TEST(split_may_write_over_its_input)
{
    th_str s = TH_STR("k:v"), key;
    ck_assert(th_str_split_once(s, ':', &key, &s));
    ck_assert(th_str_eq(s, TH_STR("v")));
}
END_TEST

START_TEST(decimal_is_strict)
{
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } rows[] = {
        { "0", 0, 0 },
        { "007", 0, 7 },
        { "18446744073709551615", 0, UINT64_MAX },
        { "18446744073709551616", -ERANGE, 42 },
        { "99999999999999999999999", -ERANGE, 42 },
        { "99999999999999999999999x", -EINVAL, 42 },
        { "", -EINVAL, 42 },
        { "+1", -EINVAL, 42 },
        { "-1", -EINVAL, 42 },
        { " 1", -EINVAL, 42 },
        { "1 ", -EINVAL, 42 },
        { "1a", -EINVAL, 42 },
        { "0x1", -EINVAL, 42 },
        { "1,", -EINVAL, 42 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 42;
        ck_assert_int_eq(th_str_to_u64(th_str_of(rows[i].text), &value), rows[i].result);
        ck_assert_uint_eq(value, rows[i].value);
    }
}
END_TEST

START_TEST(hexadecimal_is_strict)
{
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } rows[] = {
        { "0", 0, 0 },
        { "aF", 0, 0xaf },
        { "ffffffffffffffff", 0, UINT64_MAX },
        { "0000ffffffffffffffff", 0, UINT64_MAX },
        { "10000000000000000", -ERANGE, 42 },
        { "", -EINVAL, 42 },
        { "0x1", -EINVAL, 42 },
        { "g", -EINVAL, 42 },
        { "@", -EINVAL, 42 },
        { "`", -EINVAL, 42 },
        { "1;", -EINVAL, 42 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 42;
        ck_assert_int_eq(th_str_hex_to_u64(th_str_of(rows[i].text), &value), rows[i].result);
        ck_assert_uint_eq(value, rows[i].value);
    }
}
END_TEST

START_TEST(hex_of_every_byte_comes_back)
{
    char bytes[256], digits[512], back[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    th_str_hex_encode(th_str_make(bytes, 256), digits);
    ck_assert_mem_eq(digits + 2 * 0xab, "ab", 2);
    ck_assert_int_eq(th_str_hex_decode(th_str_make(digits, 512), back), 0);
    ck_assert_mem_eq(back, bytes, 256);
    ck_assert_int_eq(th_str_hex_decode(th_str_make(digits, 512), digits), 0);
    ck_assert_mem_eq(digits, bytes, 256);
}
END_TEST

START_TEST(bad_hex_leaves_output_untouched)
{
    char out[4] = "zzz";
    ck_assert_int_eq(th_str_hex_decode(TH_STR("abc"), out), -EINVAL);
    ck_assert_int_eq(th_str_hex_decode(TH_STR("abcx"), out), -EINVAL);
    ck_assert_str_eq(out, "zzz");
    ck_assert_int_eq(th_str_hex_decode(null, out), 0);
    ck_assert_str_eq(out, "zzz");
    ck_assert_int_eq(th_str_hex_decode(TH_STR("4A"), out), 0);
    ck_assert_str_eq(out, "Jzz");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *views = thi_check_case(suite, "views");
    tcase_add_test(views, views_are_made);
    tcase_add_test(views, equality_is_of_bytes);
    tcase_add_test(views, case_is_ignored_for_ascii_letters_only);
    tcase_add_test(views, order_is_unsigned_and_prefix_comes_first);
    tcase_add_test(views, prefix_and_suffix);
    TCase *cutting = thi_check_case(suite, "cutting");
    tcase_add_test(cutting, trim_drops_white_space_at_both_ends);
    tcase_add_test(cutting, split_cuts_at_the_first_separator);
    tcase_add_test(cutting, split_without_separator_leaves_outputs_untouched);
    tcase_add_test(cutting, split_may_write_over_its_input);
    TCase *numbers = thi_check_case(suite, "numbers");
    tcase_add_test(numbers, decimal_is_strict);
    tcase_add_test(numbers, hexadecimal_is_strict);
    tcase_add_test(numbers, hex_of_every_byte_comes_back);
    tcase_add_test(numbers, bad_hex_leaves_output_untouched);
}

int main(void)
{
    return thi_check_run("base/str", fill);
}
