/* SPDX-License-Identifier: MIT */

/* Tests of HTTP dates, against the C library's calendar where that is possible. */
#include "proto/http_date.h"

#include "check_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXAMPLE INT64_C(784111777)  /* the RFC's example: 6 November 1994, 08:49:37 */
#define NOW     INT64_C(1700000000) /* November 2023 */

static void check_parse(const char *text, int64_t want)
{
    int64_t got = -1;
    ck_assert_msg(thi_http_date_parse(th_str_of(text), NOW, &got) == 0, "%s", text);
    ck_assert_int_eq(got, want);
}

static void check_refused(const char *text)
{
    int64_t got = 42;
    ck_assert_msg(thi_http_date_parse(th_str_of(text), NOW, &got) == -EINVAL, "%s", text);
    ck_assert_int_eq(got, 42);
}

/* RFC 9110, 5.6.7: the three forms of its example. */
START_TEST(rfc9110_5_6_7_all_forms_are_read)
{
    check_parse("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE);
    check_parse("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE);
    check_parse("Sun Nov  6 08:49:37 1994", EXAMPLE);
    check_parse("Wed Nov 16 08:49:37 1994", EXAMPLE + 10 * 86400);
    check_parse("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    check_parse("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    check_parse("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
    check_parse("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
}
END_TEST

/* RFC 9110, 5.6.7: a two-digit year more than 50 years ahead lies in the past. */
START_TEST(rfc9110_5_6_7_two_digit_years)
{
    check_parse("Sunday, 01-Jan-73 00:00:00 GMT", 3250454400);  /* 2073: 50 years ahead */
    check_parse("Tuesday, 01-Jan-74 00:00:00 GMT", 126230400);  /* 1974 */
    check_parse("Friday, 01-Jan-99 00:00:00 GMT", 915148800);   /* 1999 */
    check_parse("Saturday, 01-Jan-00 00:00:00 GMT", 946684800); /* 2000 */
    check_parse("Wednesday, 01-Jan-25 00:00:00 GMT", 1735689600);
    int64_t got;
    int64_t in_2080 = 3471292800;
    th_str text = TH_STR("Wednesday, 01-Jan-10 00:00:00 GMT");
    ck_assert_int_eq(thi_http_date_parse(text, in_2080, &got), 0);
    ck_assert_int_eq(got, 4417977600); /* 2110, nearer than 2010 */
}
END_TEST

START_TEST(rfc9110_5_6_7_everything_else_is_refused)
{
    static const char *const bad[] = {
        "",
        "0",
        "GMT",
        "Mon GMT",
        "Sun Nov ",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 1995 08:49:37 GMT",
        "Thu, 29 Feb 1900 00:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0000 GMT",
        "Sun, 06 Nov 19x4 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Someday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994 GMT",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37",
        "Sun Foo  6 08:49:37 1994",
        "Sun Nov  x 08:49:37 1994",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(bad[i]);
}
END_TEST

START_TEST(written_dates_are_those_of_the_calendar)
{
    int64_t step = 86400 * 7 + 3600 * 5 + 60 * 3 + 1;
    for (int64_t t = -62167219200; t < 253402300800; t += step * 37) {
        char got[THI_HTTP_DATE_LEN], want[64];
        time_t clock = (time_t)t;
        struct tm tm;
        ck_assert(gmtime_r(&clock, &tm));
        /* strftime() pads years below 1000 differently from one C library to the next. */
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        snprintf(want, sizeof want, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        ck_assert_int_eq(thi_http_date_write(got, t), 0);
        ck_assert_msg(memcmp(got, want, THI_HTTP_DATE_LEN) == 0, "%s", want);
        int64_t back;
        ck_assert_int_eq(thi_http_date_parse(th_str_make(got, sizeof got), NOW, &back), 0);
        ck_assert_int_eq(back, t);
    }
}
END_TEST

START_TEST(years_of_more_than_four_digits_are_not_written)
{
    char text[THI_HTTP_DATE_LEN];
    ck_assert_int_eq(thi_http_date_write(text, INT64_C(253402300799)), 0);
    ck_assert(memcmp(text, "Fri, 31 Dec 9999 23:59:59 GMT", sizeof text) == 0);
    ck_assert_int_eq(thi_http_date_write(text, INT64_C(253402300800)), -ERANGE);
    ck_assert_int_eq(thi_http_date_write(text, INT64_C(-62167219200)), 0);
    ck_assert(memcmp(text, "Sat, 01 Jan 0000 00:00:00 GMT", sizeof text) == 0);
    ck_assert_int_eq(thi_http_date_write(text, INT64_C(-62167219201)), -ERANGE);
    ck_assert_int_eq(thi_http_date_write(text, INT64_MAX), -ERANGE);
    ck_assert_int_eq(thi_http_date_write(text, INT64_MIN), -ERANGE);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *dates = thi_check_case(suite, "dates");
    tcase_add_test(dates, rfc9110_5_6_7_all_forms_are_read);
    tcase_add_test(dates, rfc9110_5_6_7_two_digit_years);
    tcase_add_test(dates, rfc9110_5_6_7_everything_else_is_refused);
    tcase_add_test(dates, written_dates_are_those_of_the_calendar);
    tcase_add_test(dates, years_of_more_than_four_digits_are_not_written);
}

int main(void)
{
    return thi_check_run("proto/http_date", fill);
}
