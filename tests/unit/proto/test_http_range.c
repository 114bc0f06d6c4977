/* SPDX-License-Identifier: MIT */

/* Tests of byte ranges (RFC 9110, 14). */
#include "proto/http_range.h"

#include "check_main.h"

#include <thrum/error.h>

#include <errno.h>

#define MAX 4

static thi_http_range ranges[MAX];

static int parse(const char *value, uint64_t size)
{
    return thi_http_range_parse(th_str_of(value), size, ranges, MAX);
}

static void check_one(const char *value, uint64_t size, uint64_t first, uint64_t last)
{
    ck_assert_int_eq(parse(value, size), 1);
    ck_assert_uint_eq(ranges[0].first, first);
    ck_assert_uint_eq(ranges[0].last, last);
}

/* RFC 9110, 14.1.2. */
START_TEST(rfc9110_14_1_2_byte_ranges)
{
    check_one("bytes=0-499", 1000, 0, 499);
    check_one("bytes=500-", 1000, 500, 999);
    check_one("bytes=-100", 1000, 900, 999);
    check_one("bytes=-5000", 1000, 0, 999);
    check_one("bytes=990-5000", 1000, 990, 999);
    check_one("bytes=0-0", 1, 0, 0);
    check_one("BYTES= 0-9 ", 1000, 0, 9);
    check_one("bytes=0-99999999999999999999999", 1000, 0, 999);
    check_one("bytes=-99999999999999999999999", 1000, 0, 999);
    check_one("bytes=007-8", 1000, 7, 8);
}
END_TEST

START_TEST(rfc9110_14_1_2_several_ranges_keep_their_order)
{
    ck_assert_int_eq(parse("bytes=500-599, 0-9,,-1", 1000), 3);
    ck_assert_uint_eq(ranges[0].first, 500);
    ck_assert_uint_eq(ranges[1].last, 9);
    ck_assert_uint_eq(ranges[2].first, 999);
    ck_assert_int_eq(parse("bytes=0-9, 2000-", 1000), 1);
}
END_TEST

/* RFC 9110, 14.2: what is malformed, or of another unit, is ignored. */
START_TEST(rfc9110_14_2_malformed_is_ignored)
{
    static const char *const bad[] = { "",           "bytes",      "bytes=",      "bytes=,",
                                       "items=0-9",  "bytes 0-9",  "bytes=a-b",   "bytes=-",
                                       "bytes=9-0",  "bytes=0",    "bytes=0-9x",  "bytes=0-9-8",
                                       "bytes=--1",  "bytes=+0-9", "bytes=0-9,x", "bytes =0-9",
                                       "bytes=0 -9", "bytes=0x0-9" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(parse(bad[i], 1000) == 0, "%s", bad[i]);
}
END_TEST

/* RFC 9110, 15.5.17. */
START_TEST(rfc9110_15_5_17_ranges_that_do_not_exist)
{
    ck_assert_int_eq(parse("bytes=1000-", 1000), -ERANGE);
    ck_assert_int_eq(parse("bytes=1000-1001, 5000-", 1000), -ERANGE);
    ck_assert_int_eq(parse("bytes=-0", 1000), -ERANGE);
    ck_assert_int_eq(parse("bytes=0-", 0), -ERANGE);
    ck_assert_int_eq(parse("bytes=-0", 0), -ERANGE);
    check_one("bytes=999-", 1000, 999, 999);
}
END_TEST

/* RFC 9110, 14.1.2: a suffix that is longer than the whole means the whole, were it empty. */
START_TEST(rfc9110_14_1_2_the_end_of_nothing_is_all_of_it)
{
    ck_assert_int_eq(parse("bytes=-5", 0), 0);
    ck_assert_int_eq(parse("bytes=0-, -1", 0), 0);
}
END_TEST

START_TEST(rfc9110_14_2_too_many_ranges)
{
    ck_assert_int_eq(parse("bytes=0-0,2-2,4-4,6-6", 1000), 4);
    ck_assert_int_eq(parse("bytes=0-0,2-2,4-4,6-6,8-8", 1000), TH_ELIMIT);
    ck_assert_int_eq(parse("bytes=5000-,5000-,5000-,5000-,0-0", 1000), TH_ELIMIT);
}
END_TEST

START_TEST(rfc9110_14_2_too_many_overlaps)
{
    ck_assert_int_eq(parse("bytes=0-9,5-14,100-109,105-114", 1000), 4);
    ck_assert_int_eq(parse("bytes=0-9,5-14,9-9", 1000), TH_ELIMIT);
    ck_assert_int_eq(parse("bytes=0-,0-,0-,0-", 1000), TH_ELIMIT);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *cases = thi_check_case(suite, "ranges");
    tcase_add_test(cases, rfc9110_14_1_2_byte_ranges);
    tcase_add_test(cases, rfc9110_14_1_2_several_ranges_keep_their_order);
    tcase_add_test(cases, rfc9110_14_2_malformed_is_ignored);
    tcase_add_test(cases, rfc9110_15_5_17_ranges_that_do_not_exist);
    tcase_add_test(cases, rfc9110_14_1_2_the_end_of_nothing_is_all_of_it);
    tcase_add_test(cases, rfc9110_14_2_too_many_ranges);
    tcase_add_test(cases, rfc9110_14_2_too_many_overlaps);
}

int main(void)
{
    return thi_check_run("proto/http_range", fill);
}
