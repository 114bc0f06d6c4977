/* SPDX-License-Identifier: MIT */

/* Tests of status lines; the fields behind them have their tests with requests. */
#include "proto/http1_response.h"

#include "check_main.h"
#include "record.h"

#include <errno.h>

static void expect(th_str bytes, const char *part)
{
    expect_response(bytes, THI_HTTP_HEAD, part);
}

#define LINE(line) BYTES(line "\r\nA: b\r\n\r\n")

/* RFC 9112, 4. */
START_TEST(rfc9112_4_status_lines)
{
    expect(LINE("HTTP/1.1 200 OK"), "response 200 1.1 reason<OK>\nfield 0 <A> <b>");
    expect(LINE("HTTP/1.0 404 Not Found"), "response 404 1.0 reason<Not Found>");
    expect(LINE("HTTP/1.9 999 "), "response 999 1.1 reason<>");
    expect(LINE("HTTP/1.1 200 \t\x80"), "reason<\\x09\\x80>");
    expect(BYTES("HTTP/1.1 204 No\r\n\r\n"), "response 204");
}
END_TEST

START_TEST(the_space_before_no_reason_may_be_missing)
{
    expect(LINE("HTTP/1.1 200"), "response 200 1.1 reason<>");
}
END_TEST

START_TEST(rfc9112_4_malformed_status_lines)
{
    static const char *const bad[] = {
        "http/1.1 200 OK",  "HTTP/2.0 200 OK",      "HTTP/1 200 OK",     "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK", "HTTP/1.1 20 OK",       "HTTP/1.1 2000 OK",  "HTTP/1.1 2x0 OK",
        "HTTP/1.1 099 OK",  "HTTP/1.1 -20 OK",      "HTTP/1.1 200\tOK",  "HTTP/1.1 200 O\x01K",
        "ICY 200 OK",       " HTTP/1.1 200 OK",     "\nHTTP/1.1 200 OK", "HTTP/1.1 200 OK\r ",
        "HTTP/1.1 200\rx",  "HTTP/1.1 200 OK\nA: b"
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        int n = snprintf(text, sizeof text, "%s\r\n\r\n", bad[i]);
        expect(th_str_make(text, (size_t)n), "refused 502");
    }
    expect(BYTES("\r\nHTTP/1.1 200 OK\r\n\r\n"), "refused 502");
}
END_TEST

START_TEST(every_prefix_of_a_response_is_incomplete)
{
    th_str text = BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for (size_t len = 1; len < text.len; len++) {
        feed f = { .data = text.ptr, .len = len, .method = THI_HTTP_GET };
        char *log = record(&f, feed_response);
        ck_assert_str_eq(log, "more\n");
        free(log);
    }
}
END_TEST

START_TEST(responses_follow_each_other)
{
    th_str two = BYTES("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    expect_response(two, THI_HTTP_GET, "response 103");
    expect_response(two, THI_HTTP_GET, "response 200");
    expect_response(two, THI_HTTP_GET, "body x\ndone\nend");
}
END_TEST

START_TEST(a_response_head_has_limits_too)
{
    th_str text = LINE("HTTP/1.1 200 OK");
    feed f = { .data = text.ptr, .len = text.len, .limits = { .head = (uint32_t)text.len } };
    char *log = record(&f, feed_response);
    record_has(log, "response 200");
    free(log);
    for (uint32_t less = 1; less < 20; less++) {
        f.limits.head = (uint32_t)text.len - less;
        log = record(&f, feed_response);
        record_has(log, "refused 502");
        free(log);
    }
}
END_TEST

START_TEST(misuse_is_einval_and_nothing_is_more)
{
    thi_http1_response res;
    thi_http1_error err;
    thi_http1_response_init(&res, NULL, 0, NULL);
    ck_assert_int_eq(thi_http1_response_parse(&res, NULL, 0, &err), 0);
    ck_assert_int_eq(thi_http1_response_parse(&res, "HTTP/1.1 200 ", 13, &err), 0);
    ck_assert_int_eq(thi_http1_response_parse(&res, "HTTP", 4, &err), -EINVAL);
    ck_assert_int_eq(thi_http1_response_parse(&res, "H", (size_t)UINT32_MAX + 1, &err), -EINVAL);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *line = thi_check_case(suite, "status line");
    tcase_add_test(line, rfc9112_4_status_lines);
    tcase_add_test(line, the_space_before_no_reason_may_be_missing);
    tcase_add_test(line, rfc9112_4_malformed_status_lines);
    TCase *stream = thi_check_case(suite, "stream");
    tcase_add_test(stream, every_prefix_of_a_response_is_incomplete);
    tcase_add_test(stream, responses_follow_each_other);
    tcase_add_test(stream, a_response_head_has_limits_too);
    tcase_add_test(stream, misuse_is_einval_and_nothing_is_more);
}

int main(void)
{
    return thi_check_run("proto/http1_response", fill);
}
