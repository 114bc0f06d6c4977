/* SPDX-License-Identifier: MIT */

/* Tests of entity tags and conditional requests (RFC 9110, 8.8.3 and 13). */
#include "proto/http_condition.h"

#include "check_main.h"
#include "proto/http1_request.h"

#include <thrum/error.h>

#include <stdio.h>

#define DATE    "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER   "Sun, 06 Nov 1994 08:49:38 GMT"
#define STAMP   INT64_C(784111777)
#define NOW     INT64_C(1700000000)

static const thi_http_version strong = { { "\"a\"", 3 }, STAMP, true };
static const thi_http_version weak = { { "W/\"a\"", 5 }, STAMP, true };
static const thi_http_version absent = { { NULL, 0 }, -1, false };
static const thi_http_version undated = { { "\"a\"", 3 }, -1, true };
static const thi_http_version untagged = { { NULL, 0 }, STAMP, true };

static thi_http1_field field_store[8];
static char text_store[512];

/* A head with these field lines. */
static const thi_http1_head *head_of(const char *lines)
{
    static thi_http1_request req;
    thi_http1_error err;
    int n = snprintf(text_store, sizeof text_store, "GET / HTTP/1.1\r\n%s\r\n\r\n", lines);
    thi_http1_request_init(&req, field_store, 8, NULL);
    ck_assert_int_eq(thi_http1_request_parse(&req, text_store, (size_t)n, &err), n);
    return &req.head;
}

static int get(const char *lines, const thi_http_version *version)
{
    return thi_http_condition(head_of(lines), THI_HTTP_GET, version, NOW);
}

static int put(const char *lines, const thi_http_version *version)
{
    return thi_http_condition(head_of(lines), THI_HTTP_PUT, version, NOW);
}

static int match(const char *list, const thi_http_version *version, bool strongly)
{
    return thi_http_etag_match(th_str_of(list), version, strongly);
}

/* RFC 9110, 8.8.3.2: its table of comparisons. */
START_TEST(rfc9110_8_8_3_2_strong_and_weak_comparison)
{
    ck_assert_int_eq(match("\"a\"", &strong, true), 1);
    ck_assert_int_eq(match("W/\"a\"", &strong, true), 0);
    ck_assert_int_eq(match("\"a\"", &weak, true), 0);
    ck_assert_int_eq(match("W/\"a\"", &weak, true), 0);
    ck_assert_int_eq(match("W/\"a\"", &strong, false), 1);
    ck_assert_int_eq(match("\"a\"", &weak, false), 1);
    ck_assert_int_eq(match("W/\"a\"", &weak, false), 1);
    ck_assert_int_eq(match("\"b\"", &strong, false), 0);
    ck_assert_int_eq(match("\"A\"", &strong, false), 0);
    ck_assert_int_eq(match("\"a\"", &untagged, false), 0);
}
END_TEST

START_TEST(rfc9110_8_8_3_lists_of_tags)
{
    ck_assert_int_eq(match("*", &strong, true), 1);
    ck_assert_int_eq(match(" * ", &strong, true), 1);
    ck_assert_int_eq(match("*", &absent, true), 0);
    ck_assert_int_eq(match("\"x\", \"a\"", &strong, true), 1);
    ck_assert_int_eq(match(",\"x\",,W/\"a\" ,", &strong, false), 1);
    ck_assert_int_eq(match("", &strong, true), 0);
    ck_assert_int_eq(match("\"x,\\\", \"a\"", &strong, true), 1);
    ck_assert_int_eq(match("\"\"", &strong, true), 0);
    static const char *const bad[] = { "a",       "\"a",    "\"a\" \"b\"", "w/\"a\"",  "W/a",
                                       "\"a b\"", "\"a\"x", "*, \"a\"",    "\"a\", *", "W/",
                                       "W",       "'a'",    "Wa",          "\"a\x01\"" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(match(bad[i], &strong, true) == TH_EPROTO, "%s", bad[i]);
}
END_TEST

START_TEST(rfc9110_13_1_1_if_match)
{
    ck_assert_int_eq(put("If-Match: \"a\"", &strong), 0);
    ck_assert_int_eq(put("If-Match: \"b\"", &strong), 412);
    ck_assert_int_eq(put("If-Match: \"b\"\r\nIf-Match: \"a\"", &strong), 0);
    ck_assert_int_eq(put("If-Match: \"a\"", &weak), 412);
    ck_assert_int_eq(put("If-Match: *", &strong), 0);
    ck_assert_int_eq(put("If-Match: *", &absent), 412);
    ck_assert_int_eq(put("If-Match: \"a\"", &absent), 412);
    ck_assert_int_eq(put("If-Match: junk", &strong), 412);
    ck_assert_int_eq(get("If-Match: \"b\"", &strong), 412);
}
END_TEST

START_TEST(rfc9110_13_1_2_if_none_match)
{
    ck_assert_int_eq(get("If-None-Match: \"a\"", &strong), 304);
    ck_assert_int_eq(get("If-None-Match: W/\"a\"", &strong), 304);
    ck_assert_int_eq(get("If-None-Match: \"b\"", &strong), 0);
    ck_assert_int_eq(get("If-None-Match: \"b\"\r\nIf-None-Match: \"a\"", &strong), 304);
    ck_assert_int_eq(get("If-None-Match: *", &strong), 304);
    ck_assert_int_eq(get("If-None-Match: *", &absent), 0);
    ck_assert_int_eq(put("If-None-Match: *", &strong), 412);
    const thi_http1_head *head = head_of("If-None-Match: *");
    ck_assert_int_eq(thi_http_condition(head, THI_HTTP_HEAD, &strong, NOW), 304);
    ck_assert_int_eq(put("If-None-Match: *", &absent), 0);
    ck_assert_int_eq(get("If-None-Match: junk", &strong), 0);
    ck_assert_int_eq(get("If-None-Match: *, \"b\"", &strong), 0);
    ck_assert_int_eq(get("If-None-Match: *\r\nIf-None-Match: \"b\"", &strong), 0);
}
END_TEST

START_TEST(rfc9110_13_1_3_if_modified_since)
{
    ck_assert_int_eq(get("If-Modified-Since: " DATE, &strong), 304);
    ck_assert_int_eq(get("If-Modified-Since: " LATER, &strong), 304);
    ck_assert_int_eq(get("If-Modified-Since: " EARLIER, &strong), 0);
    ck_assert_int_eq(put("If-Modified-Since: " DATE, &strong), 0);
    ck_assert_int_eq(get("If-Modified-Since: " DATE, &undated), 0);
    ck_assert_int_eq(get("If-Modified-Since: yesterday", &strong), 0);
    ck_assert_int_eq(get("If-Modified-Since: " DATE ", " DATE, &strong), 0);
    ck_assert_int_eq(get("If-Modified-Since: " DATE "\r\nIf-Modified-Since: " DATE, &strong), 0);
    /* It is ignored beside If-None-Match, whatever that says. */
    ck_assert_int_eq(get("If-None-Match: \"b\"\r\nIf-Modified-Since: " DATE, &strong), 0);
    ck_assert_int_eq(get("If-None-Match: junk\r\nIf-Modified-Since: " DATE, &strong), 0);
}
END_TEST

START_TEST(rfc9110_13_1_4_if_unmodified_since)
{
    ck_assert_int_eq(put("If-Unmodified-Since: " DATE, &strong), 0);
    ck_assert_int_eq(put("If-Unmodified-Since: " EARLIER, &strong), 412);
    ck_assert_int_eq(put("If-Unmodified-Since: junk", &strong), 0);
    ck_assert_int_eq(put("If-Unmodified-Since: " EARLIER "\r\nIf-Unmodified-Since: " DATE, &strong),
                     0);
    ck_assert_int_eq(put("If-Unmodified-Since: " EARLIER, &undated), 0);
    ck_assert_int_eq(put("If-Match: \"a\"\r\nIf-Unmodified-Since: " EARLIER, &strong), 0);
}
END_TEST

/* RFC 9110, 13.2.2: what guards a change comes before what saves a transfer. */
START_TEST(rfc9110_13_2_2_precedence)
{
    ck_assert_int_eq(get("If-None-Match: \"a\"\r\nIf-Match: \"b\"", &strong), 412);
    ck_assert_int_eq(get("If-None-Match: \"a\"\r\nIf-Match: \"a\"", &strong), 304);
    ck_assert_int_eq(get("If-Modified-Since: " DATE "\r\nIf-Unmodified-Since: " EARLIER, &strong),
                     412);
    ck_assert_int_eq(get("X: y", &strong), 0);
}
END_TEST

static bool if_range(const char *lines, const thi_http_version *version)
{
    return thi_http_if_range(head_of(lines), version, NOW);
}

START_TEST(rfc9110_13_1_5_if_range)
{
    ck_assert(if_range("X: y", &strong));
    ck_assert(if_range("If-Range: \"a\"", &strong));
    ck_assert(!if_range("If-Range: \"b\"", &strong));
    ck_assert(!if_range("If-Range: W/\"a\"", &strong));
    ck_assert(!if_range("If-Range: \"a\"", &weak));
    ck_assert(if_range("If-Range: " DATE, &strong));
    ck_assert(!if_range("If-Range: " LATER, &strong));
    ck_assert(!if_range("If-Range: " EARLIER, &strong));
    ck_assert(!if_range("If-Range: " DATE, &undated));
    ck_assert(!if_range("If-Range:", &strong));
    ck_assert(!if_range("If-Range: junk", &strong));
    ck_assert(!if_range("If-Range: \"a\"\r\nIf-Range: \"a\"", &strong));
    ck_assert(!if_range("If-Range: " DATE "\r\nIf-Range: " DATE, &strong));
}
END_TEST

/* RFC 9110, 8.8.2.2: a date is a strong validator only once its second is over. */
START_TEST(rfc9110_13_1_5_if_range_with_the_present_second)
{
    const thi_http1_head *head = head_of("If-Range: " DATE);
    ck_assert(!thi_http_if_range(head, &strong, STAMP));
    ck_assert(thi_http_if_range(head, &strong, STAMP + 1));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tags = thi_check_case(suite, "entity tags");
    tcase_add_test(tags, rfc9110_8_8_3_2_strong_and_weak_comparison);
    tcase_add_test(tags, rfc9110_8_8_3_lists_of_tags);
    TCase *conditions = thi_check_case(suite, "conditions");
    tcase_add_test(conditions, rfc9110_13_1_1_if_match);
    tcase_add_test(conditions, rfc9110_13_1_2_if_none_match);
    tcase_add_test(conditions, rfc9110_13_1_3_if_modified_since);
    tcase_add_test(conditions, rfc9110_13_1_4_if_unmodified_since);
    tcase_add_test(conditions, rfc9110_13_2_2_precedence);
    tcase_add_test(conditions, rfc9110_13_1_5_if_range);
    tcase_add_test(conditions, rfc9110_13_1_5_if_range_with_the_present_second);
}

int main(void)
{
    return thi_check_run("proto/http_condition", fill);
}
