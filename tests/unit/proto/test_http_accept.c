/* SPDX-License-Identifier: MIT */

/* Tests of Accept-Encoding (RFC 9110, 12.5.3). */
#include "proto/http_accept.h"

#include "check_main.h"
#include "proto/http1_request.h"

#include <stdio.h>

#define ALL  ((1u << THI_CODING_COUNT) - 1)
#define GZIP (1u << THI_CODING_GZIP)
#define BR   (1u << THI_CODING_BROTLI)
#define ZSTD (1u << THI_CODING_ZSTD)

static thi_http_codings codings_of(const char *lines)
{
    char text[512];
    thi_http1_field fields[8];
    thi_http1_request req;
    thi_http1_error err;
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n\r\n", lines);
    thi_http1_request_init(&req, fields, 8, NULL);
    ck_assert_int_eq(thi_http1_request_parse(&req, text, (size_t)n, &err), n);
    return thi_http_accept_encoding(&req.head);
}

static int choose(const char *value, unsigned offered)
{
    char line[256];
    snprintf(line, sizeof line, "Accept-Encoding: %s", value);
    thi_http_codings codings = codings_of(line);
    return thi_http_coding_choose(&codings, offered);
}

START_TEST(rfc9110_12_5_3_weights)
{
    thi_http_codings c = codings_of("Accept-Encoding: gzip;q=0.5, BR , zstd;q=0.125, x;q=1");
    ck_assert_int_eq(c.weight[THI_CODING_GZIP], 500);
    ck_assert_int_eq(c.weight[THI_CODING_BROTLI], 1000);
    ck_assert_int_eq(c.weight[THI_CODING_ZSTD], 125);
    ck_assert_int_eq(c.weight[THI_CODING_DEFLATE], 0);
    ck_assert_int_eq(c.weight[THI_CODING_IDENTITY], 1);
}
END_TEST

START_TEST(several_fields_are_one_list)
{
    thi_http_codings c = codings_of("Accept-Encoding: x-gzip\r\nAccept-Encoding: br;q=0.1");
    ck_assert_int_eq(c.weight[THI_CODING_GZIP], 1000);
    ck_assert_int_eq(c.weight[THI_CODING_BROTLI], 100);
}
END_TEST

START_TEST(without_the_field_nothing_is_encoded)
{
    thi_http_codings c = codings_of("X: y");
    ck_assert_int_eq(thi_http_coding_choose(&c, ALL), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("", ALL), THI_CODING_IDENTITY);
}
END_TEST

START_TEST(the_weightiest_offered_coding_is_chosen)
{
    ck_assert_int_eq(choose("gzip, deflate, br, zstd", GZIP | BR | ZSTD), THI_CODING_ZSTD);
    ck_assert_int_eq(choose("gzip, deflate, br, zstd", GZIP | BR), THI_CODING_BROTLI);
    ck_assert_int_eq(choose("gzip, br;q=0.9", GZIP | BR), THI_CODING_GZIP);
    ck_assert_int_eq(choose("gzip;q=0", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("gzip;q=0.001", GZIP), THI_CODING_GZIP);
    ck_assert_int_eq(choose("br", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("identity;q=0.5, gzip;q=0.4", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("identity, gzip", GZIP), THI_CODING_GZIP);
}
END_TEST

START_TEST(rfc9110_12_5_3_the_asterisk_stands_for_the_rest)
{
    ck_assert_int_eq(choose("*", GZIP), THI_CODING_GZIP);
    ck_assert_int_eq(choose("*;q=0.5, br;q=0", BR), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("gzip;q=0, *;q=0", GZIP), -1);
    ck_assert_int_eq(choose("identity;q=0", BR), -1);
    ck_assert_int_eq(choose("*;q=0", BR), -1);
    ck_assert_int_eq(choose("identity;q=0, gzip", GZIP), THI_CODING_GZIP);
    ck_assert_int_eq(choose("*;q=0, identity", GZIP), THI_CODING_IDENTITY);
}
END_TEST

START_TEST(malformed_members_do_not_count)
{
    ck_assert_int_eq(choose("gzip;q=2", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("gzip;q", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("gzip;x=1", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("gz ip", GZIP), THI_CODING_IDENTITY);
    ck_assert_int_eq(choose("*;q=x, gzip", GZIP), THI_CODING_GZIP);
}
END_TEST

START_TEST(codings_have_names)
{
    ck_assert(th_str_eq(thi_http_coding_name(THI_CODING_BROTLI), TH_STR("br")));
    ck_assert_uint_eq(thi_http_coding_name(THI_CODING_IDENTITY).len, 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *cases = thi_check_case(suite, "accept-encoding");
    tcase_add_test(cases, rfc9110_12_5_3_weights);
    tcase_add_test(cases, several_fields_are_one_list);
    tcase_add_test(cases, without_the_field_nothing_is_encoded);
    tcase_add_test(cases, the_weightiest_offered_coding_is_chosen);
    tcase_add_test(cases, rfc9110_12_5_3_the_asterisk_stands_for_the_rest);
    tcase_add_test(cases, malformed_members_do_not_count);
    tcase_add_test(cases, codings_have_names);
}

int main(void)
{
    return thi_check_run("proto/http_accept", fill);
}
