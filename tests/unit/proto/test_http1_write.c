/* SPDX-License-Identifier: MIT */

/* Tests of status lines and numbers as they are sent. */
#include "proto/http1_write.h"

#include "check_main.h"

#include <inttypes.h>
#include <stdio.h>

START_TEST(reasons_and_status_lines_agree)
{
    int known = 0;
    for (int status = 0; status < 1000; status++) {
        char want[80];
        th_str reason = thi_http_reason(status);
        th_str line = thi_http1_status_line(status);
        snprintf(want, sizeof want, "HTTP/1.1 %03d %.*s\r\n", status, TH_STR_ARG(reason));
        ck_assert(th_str_eq(line, reason.len ? th_str_of(want) : TH_STR("")));
        known += reason.len > 0;
    }
    ck_assert_int_gt(known, 45);
    ck_assert(th_str_eq(thi_http_reason(200), TH_STR("OK")));
    ck_assert(th_str_eq(thi_http_reason(431), TH_STR("Request Header Fields Too Large")));
    ck_assert_uint_eq(thi_http_reason(299).len, 0);
}
END_TEST

static void check_decimal(uint64_t n)
{
    char got[THI_DECIMAL_MAX], want[32];
    size_t len = thi_write_decimal(got, n);
    snprintf(want, sizeof want, "%" PRIu64, n);
    ck_assert(th_str_eq(th_str_make(got, len), th_str_of(want)));
}

START_TEST(decimals_of_every_length)
{
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++) {
        check_decimal(power - 1);
        check_decimal(power);
        check_decimal(power + 1);
        power *= 10;
    }
    for (uint64_t n = 0; n < 2000; n++)
        check_decimal(n);
    check_decimal(UINT64_MAX);
}
END_TEST

static void check_chunk(uint64_t n)
{
    char got[THI_CHUNK_HEADER_MAX], want[32];
    size_t len = thi_http1_write_chunk_header(got, n);
    snprintf(want, sizeof want, "%" PRIx64 "\r\n", n);
    ck_assert(th_str_eq(th_str_make(got, len), th_str_of(want)));
}

/* RFC 9112, 7.1: 1*HEXDIG CRLF. */
START_TEST(rfc9112_7_1_chunk_headers_of_every_length)
{
    for (int bits = 0; bits < 64; bits++) {
        check_chunk(UINT64_C(1) << bits);
        check_chunk(UINT64_MAX >> bits);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *writers = thi_check_case(suite, "writers");
    tcase_add_test(writers, reasons_and_status_lines_agree);
    tcase_add_test(writers, decimals_of_every_length);
    tcase_add_test(writers, rfc9112_7_1_chunk_headers_of_every_length);
}

int main(void)
{
    return thi_check_run("proto/http1_write", fill);
}
