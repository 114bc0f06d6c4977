/* SPDX-License-Identifier: MIT */

/*
 * The parsers built without vectors must record the same events as the library's.
 *
 * The sources are compiled into this test a second time, under other names, with the scans reduced
 * to their loop over the table.
 */
#define THI_SCAN_PLAIN

#define thi_http1_fault          plain_fault
#define thi_http1_fields_parse   plain_fields_parse
#define thi_http1_head_init      plain_head_init
#define thi_http1_refuse         plain_refuse
#define thi_http1_rest           plain_rest
#define thi_http1_request_init   plain_request_init
#define thi_http1_request_parse  plain_request_parse
#define thi_http1_request_path   plain_request_path
#define thi_http1_response_init  plain_response_init
#define thi_http1_response_parse plain_response_parse

#include "proto/http1_fields.c"
#include "proto/http1_request.c"
#define parse_line parse_status_line
#include "proto/http1_response.c"

#define feed_request  plain_feed_request
#define feed_response plain_feed_response
#include "feed.h"

#include "check_main.h"

/* In the file test_http1_vectors.c: the same with the library's parsers. */
char *vector_record(const char *data, size_t len, bool response);

static char *plain_record(const char *data, size_t len, bool response)
{
    feed f = { .data = data, .len = len, .method = THI_HTTP_GET };
    return feed_run(&f, response ? feed_response : feed_request);
}

static void compare(const char *data, size_t len)
{
    for (int response = 0; response < 2; response++) {
        char *plain = plain_record(data, len, response);
        char *vector = vector_record(data, len, response);
        ck_assert_str_eq(plain, vector);
        free(plain);
        free(vector);
    }
}

static const char *const seeds[] = {
    "GET /a/b%20c?d=e&f HTTP/1.1\r\nHost: example.com\r\nUser-Agent: some thing/1.0 (x; y)\r\n"
    "Accept-Encoding: gzip, br\r\nCookie: a=b; c=d; e=ffffffffffffffffffffffffffffffff\r\n\r\n",
    "POST http://h/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
    "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 Very Well Indeed\r\nContent-Length: 3\r\nX-A-Long-Name-With_Rare.Bytes: v\r\n"
    "\r\nabc",
};

START_TEST(streams_as_they_are)
{
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        compare(seeds[i], strlen(seeds[i]));
}
END_TEST

/* One or two bytes of a stream changed at random. */
START_TEST(streams_with_mistakes)
{
    uint64_t seed = 3;
    for (int round = 0; round < 4000; round++) {
        char text[512];
        const char *from = seeds[round % 3];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (int change = round % 2; change >= 0; change--) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[(seed >> 33) % len] = (char)(seed >> 56);
        }
        compare(text, len);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *cases = thi_check_case(suite, "plain");
    tcase_add_test(cases, streams_as_they_are);
    tcase_add_test(cases, streams_with_mistakes);
}

int main(void)
{
    return thi_check_run("proto/http1_plain", fill);
}
