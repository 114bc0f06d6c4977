/* SPDX-License-Identifier: MIT */

/* Tests of framing, persistence, expectations, upgrades and the host. */
#include "proto/http1_semantics.h"

#include "check_main.h"
#include "record.h"

#include <thrum/error.h>

/* A request with these field lines after a valid Host, in HTTP/1.1 or in HTTP/1.0. */
#define POST(fields)   BYTES("POST / HTTP/1.1\r\nHost: h\r\n" fields "\r\n\r\n")
#define POST10(fields) BYTES("POST / HTTP/1.0\r\n" fields "\r\n\r\n")
#define HOST(value)    BYTES("GET / HTTP/1.1\r\nHost: " value "\r\n\r\n")

#define NO_BODY  "means framing 0 "
#define LENGTH   "means framing 1 "
#define CHUNKED  "means framing 2 "
#define TO_CLOSE "means framing 3 "

/* RFC 9112, 3.2: exactly one valid Host in HTTP/1.1, in HTTP/1.0 at most one. */
START_TEST(rfc9112_3_2_host)
{
    expect_refused(BYTES("GET / HTTP/1.1\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: b\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), 400);
    expect_accepted(BYTES("GET / HTTP/1.0\r\n\r\n"));
    expect_accepted(BYTES("GET / HTTP/1.0\r\nHost:\r\n\r\n"));
    expect_request(HOST("Example.com"), "host kind 0 port -1 <Example.com>");
    expect_request(HOST("example.com:8080"), "host kind 0 port 8080 <example.com>");
    expect_request(HOST("example.com:"), "port -1 <example.com>");
    expect_request(HOST("127.0.0.1:80"), "host kind 0 port 80 <127.0.0.1>");
    expect_request(HOST("[::1]:80"), "host kind 1 port 80 <::1>");
    expect_request(HOST("[v1.x]"), "host kind 2 port -1 <v1.x>");
}
END_TEST

/* RFC 9110, 7.2: Host = uri-host [ ":" port ], and nothing else. */
START_TEST(rfc9110_7_2_host_values)
{
    expect_refused(HOST(""), 400);
    expect_refused(HOST(":80"), 400);
    expect_refused(HOST("a b"), 400);
    expect_refused(HOST("a,b"), 400);
    expect_refused(HOST("a, b"), 400);
    expect_refused(HOST("a/b"), 400);
    expect_refused(HOST("a?b"), 400);
    expect_refused(HOST("a#b"), 400);
    expect_refused(HOST("u@a"), 400);
    expect_refused(HOST("http://a"), 400);
    expect_refused(HOST("a:b"), 400);
    expect_refused(HOST("a:80:80"), 400);
    expect_refused(HOST("a:65536"), 400);
    expect_refused(HOST("a:-1"), 400);
    expect_refused(HOST("a:+1"), 400);
    expect_refused(HOST("[::1"), 400);
    expect_refused(HOST("::1"), 400);
    expect_refused(HOST("[::1]x"), 400);
    expect_refused(HOST("[::1]80"), 400);
    expect_refused(HOST("a%"), 400);
    expect_refused(HOST("a%zz"), 400);
    expect_refused(HOST("a\\b"), 400);
    expect_refused(HOST("\xc3\xa4.de"), 400);
    expect_refused(HOST("\"a\""), 400);
    expect_refused(HOST("<a>"), 400);
    expect_refused(HOST("a|b"), 400);
}
END_TEST

/* RFC 9112, 3.2.2: the target's authority wins, and Host must be there and valid nevertheless. */
START_TEST(rfc9112_3_2_2_absolute_form_overrides_host)
{
    expect_request(BYTES("GET http://a:1/ HTTP/1.1\r\nHost: b:2\r\n\r\n"), "port 1 <a>");
    expect_request(BYTES("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n"), "port -1 <a>");
    expect_request(BYTES("GET http://a/ HTTP/1.0\r\n\r\n"), "port -1 <a>");
    expect_refused(BYTES("GET http://a/ HTTP/1.1\r\n\r\n"), 400);
    expect_refused(BYTES("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), 400);
    expect_refused(BYTES("GET http://a/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n"), 400);
    expect_request(BYTES("CONNECT a:1 HTTP/1.1\r\nHost: b:2\r\n\r\n"), "port 1 <a>");
}
END_TEST

START_TEST(a_head_that_was_changed_is_judged_as_it_is)
{
    char text[] = "GET http://a.b/ HTTP/1.1\r\nHost: h\r\n\r\n";
    thi_http1_field fields[2];
    thi_http1_request req;
    thi_http1_meaning meaning;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, 2, NULL);
    ck_assert_int_gt(thi_http1_request_parse(&req, text, sizeof text - 1, &err), 0);
    ck_assert_int_eq(thi_http1_request_meaning(&req, &meaning, &err), 0);
    text[12] = ' ';
    ck_assert_int_eq(thi_http1_request_meaning(&req, &meaning, &err), TH_EPROTO);
    ck_assert_int_eq(err.status, 400);
}
END_TEST

/* RFC 9112, 6.3 rule 7: neither field, no body. */
START_TEST(rfc9112_6_3_no_fields_no_body)
{
    expect_request(POST("A: b"), NO_BODY "length 0 keep-alive");
    expect_request(POST10("A: b"), NO_BODY);
}
END_TEST

/* RFC 9110, 8.6: Content-Length = 1*DIGIT. */
START_TEST(rfc9110_8_6_content_length)
{
    expect_request(BYTES("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
                   LENGTH "length 3 given");
    expect_request(BYTES("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"), "body abc");
    expect_request(POST("Content-Length: 0"), NO_BODY "length 0 given");
    expect_request(BYTES("GET / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"), "body ab");
    expect_request(POST("Content-Length: 0000000000000000000000005"), "length 5 given");
    expect_request(POST("Content-Length: 9223372036854775807"), "length 9223372036854775807");
    expect_refused(POST("Content-Length: 9223372036854775808"), 400);
    expect_refused(POST("Content-Length: 18446744073709551616"), 400);
    expect_refused(POST("Content-Length: 18446744073709551621"), 400);
    expect_refused(POST("Content-Length: 99999999999999999999999999999999999999999"), 400);
    expect_refused(POST("Content-Length:"), 400);
    expect_refused(POST("Content-Length: +5"), 400);
    expect_refused(POST("Content-Length: -5"), 400);
    expect_refused(POST("Content-Length: -0"), 400);
    expect_refused(POST("Content-Length: 0x5"), 400);
    expect_refused(POST("Content-Length: 5 5"), 400);
    expect_refused(POST("Content-Length: 5_0"), 400);
    expect_refused(POST("Content-Length: 5.0"), 400);
    expect_refused(POST("Content-Length: 5e0"), 400);
    expect_refused(POST("Content-Length: \"5\""), 400);
    expect_refused(POST("Content-Length: five"), 400);
    expect_refused(POST("Content-Length: 5;x"), 400);
    expect_refused(POST("Content-Length: \xb2"), 400);
}
END_TEST

/* RFC 9110, 8.6: a repeated or listed length may be refused even when all are equal. */
START_TEST(rfc9110_8_6_one_content_length)
{
    expect_refused(POST("Content-Length: 5\r\nContent-Length: 6"), 400);
    expect_refused(POST("Content-Length: 5\r\nContent-Length: 5"), 400);
    expect_refused(POST("Content-Length: 5\r\ncontent-length:"), 400);
    expect_refused(POST("Content-Length: 5, 5"), 400);
    expect_refused(POST("Content-Length: 5,"), 400);
    expect_refused(POST("Content-Length: ,5"), 400);
}
END_TEST

/* RFC 9112, 6.1 and 6.3 rule 4: chunked, the only and last coding. */
START_TEST(rfc9112_6_1_transfer_encoding)
{
    expect_request(BYTES("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n0\r\n\r\n"),
                   "chunks abc");
    expect_request(POST("Transfer-Encoding: chunked"), CHUNKED);
    expect_request(POST("Transfer-Encoding: CHUNKED"), CHUNKED);
    expect_request(POST("transfer-encoding:\t chunked \t"), CHUNKED);
    expect_refused(POST("Transfer-Encoding: gzip"), 501);
    expect_refused(POST("Transfer-Encoding: identity"), 501);
    expect_refused(POST("Transfer-Encoding: gzip, chunked"), 501);
    expect_refused(POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 501);
    expect_refused(POST("Transfer-Encoding: xchunked"), 501);
    expect_refused(POST("Transfer-Encoding: chunked-x"), 501);
    expect_refused(POST("Transfer-Encoding: chunked, gzip"), 400);
    expect_refused(POST("Transfer-Encoding: chunked, identity"), 400);
    expect_refused(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"), 400);
    expect_refused(POST("Transfer-Encoding: chunked, chunked"), 400);
    expect_refused(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400);
    expect_refused(POST("Transfer-Encoding: chunked;a=b"), 400);
    expect_refused(POST("Transfer-Encoding: chunked;"), 400);
    expect_refused(POST("Transfer-Encoding: chunked,"), 400);
    expect_refused(POST("Transfer-Encoding: , chunked"), 400);
    expect_refused(POST("Transfer-Encoding: "), 400);
    expect_refused(POST("Transfer-Encoding: ,"), 400);
    expect_refused(POST("Transfer-Encoding: \"chunked\""), 400);
    expect_refused(POST("Transfer-Encoding: chunked foo"), 400);
    expect_refused(POST("Transfer-Encoding: \xa0"
                        "chunked"),
                   400);
    expect_refused(POST("Transfer-Encoding: x\r\nTransfer-Encoding: \"chunked\""), 400);
}
END_TEST

/* RFC 9112, 6.1: Transfer-Encoding beside a length, or in HTTP/1.0, is an attack or a mistake. */
START_TEST(rfc9112_6_1_ambiguous_framing)
{
    expect_refused(POST("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400);
    expect_refused(POST("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400);
    expect_refused(POST("Content-Length: x\r\nTransfer-Encoding: gzip"), 400);
    expect_refused(POST10("Transfer-Encoding: chunked"), 400);
    expect_refused(POST10("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400);
    expect_refused(POST10("Transfer-Encoding: gzip"), 400);
}
END_TEST

/* RFC 9112, 9.3. */
START_TEST(rfc9112_9_3_persistence)
{
    expect_request(POST("A: b"), " keep-alive");
    expect_request(POST("Connection: close"), NO_BODY "length 0 host");
    expect_request(POST("Connection: CLOSE"), NO_BODY "length 0 host");
    expect_request(POST("Connection: keep-alive, close"), NO_BODY "length 0 host");
    expect_request(POST("Connection: keep-alive\r\nConnection: close"), NO_BODY "length 0 host");
    expect_request(POST("Connection: ,, x , close ,"), NO_BODY "length 0 host");
    expect_request(POST("Connection: \", close"), NO_BODY "length 0 host");
    expect_request(POST("Connection: closed"), " keep-alive");
    expect_request(POST10("A: b"), NO_BODY "length 0 host");
    expect_request(POST10("Connection: Keep-Alive"), " keep-alive");
    expect_request(POST10("Connection: keep-alive, close"), NO_BODY "length 0 host");
    expect_request(POST10("Proxy-Connection: keep-alive"), NO_BODY "length 0 host");
}
END_TEST

/* RFC 9110, 10.1.1. */
START_TEST(rfc9110_10_1_1_expect)
{
    expect_request(POST("Expect: 100-continue\r\nContent-Length: 1"), " expect");
    expect_request(POST("Expect: 100-Continue\r\nTransfer-Encoding: chunked"), " expect");
    expect_request(POST("Expect: 100-continue"), "keep-alive host");
    expect_request(POST("Expect: 100-continue\r\nContent-Length: 0"), "keep-alive host");
    expect_request(POST("Expect:"), "keep-alive host");
    expect_refused(POST("Expect: 200-ok"), 417);
    expect_refused(POST("Expect: 100-continue, x"), 417);
    expect_refused(POST("Expect: 100-continue\r\nExpect: x"), 417);
    expect_refused(POST("Expect: 100-continue;a"), 417);
    expect_request(BYTES("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
                   "length 1 given host");
    expect_request(POST10("Expect: x"), NO_BODY);
}
END_TEST

/* RFC 9110, 7.8: Upgrade counts with its connection option and not in HTTP/1.0. */
START_TEST(rfc9110_7_8_upgrade)
{
    expect_request(POST("Connection: Upgrade\r\nUpgrade: websocket"), " upgrade");
    expect_request(POST("Connection: keep-alive, upgrade\r\nUpgrade: h2c"), " upgrade");
    expect_request(POST("Upgrade: websocket"), "keep-alive host");
    expect_request(POST("Connection: upgrade"), "keep-alive host");
    expect_request(POST10("Connection: keep-alive, upgrade\r\nUpgrade: websocket"),
                   "keep-alive host");
}
END_TEST

#define STATUS(line, fields) BYTES("HTTP/1.1 " line "\r\n" fields "\r\n")

/* RFC 9112, 6.3 rules 1 and 2. */
START_TEST(rfc9112_6_3_responses_without_a_body)
{
    th_str chunked = STATUS("200 OK", "Transfer-Encoding: chunked\r\n");
    th_str length = STATUS("200 OK", "Content-Length: 5\r\n");
    expect_response(chunked, THI_HTTP_HEAD, NO_BODY);
    expect_response(length, THI_HTTP_HEAD, NO_BODY "length 5 given");
    expect_response(STATUS("204 No", "Content-Length: 5\r\n"), THI_HTTP_GET, NO_BODY);
    expect_response(STATUS("304 No", "Content-Length: 5\r\n"), THI_HTTP_GET, NO_BODY);
    expect_response(STATUS("100 Go", "Content-Length: 5\r\n"), THI_HTTP_GET, NO_BODY);
    expect_response(STATUS("101 Go", ""), THI_HTTP_GET, " upgrade");
    expect_response(STATUS("200 OK", ""), THI_HTTP_CONNECT, " upgrade");
    expect_response(STATUS("200 OK", "Content-Length: x\r\nTransfer-Encoding: x\r\n"),
                    THI_HTTP_CONNECT, NO_BODY);
    expect_response(STATUS("100 Go", ""), THI_HTTP_CONNECT, "keep-alive host");
    expect_response(STATUS("407 No", "Content-Length: 0\r\n"), THI_HTTP_CONNECT, "keep-alive host");
}
END_TEST

/* RFC 9112, 6.3 rules 3 to 8. */
START_TEST(rfc9112_6_3_responses_with_a_body)
{
    expect_response(STATUS("200 OK", "Content-Length: 2\r\n\r\nab"), THI_HTTP_GET, "body ab");
    expect_response(STATUS("200 OK", "Content-Length: 0\r\n"), THI_HTTP_GET, NO_BODY);
    expect_response(STATUS("200 OK", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"),
                    THI_HTTP_GET, "chunks a");
    expect_response(STATUS("200 OK", "\r\nabc"), THI_HTTP_GET, TO_CLOSE "length 0 host");
    expect_response(STATUS("200 OK", "\r\nabc"), THI_HTTP_GET, "body abc\\x0d\\x0a\nmore");
    expect_response(STATUS("200 OK", "Content-Length: x\r\n"), THI_HTTP_GET, "refused 502");
    expect_response(STATUS("200 OK", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
                    THI_HTTP_GET, "refused 502");
    expect_response(STATUS("200 OK", "Transfer-Encoding: gzip\r\n"), THI_HTTP_GET, "refused 502");
    expect_response(BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), THI_HTTP_GET,
                    "refused 502");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *host = thi_check_case(suite, "host");
    tcase_add_test(host, rfc9112_3_2_host);
    tcase_add_test(host, rfc9110_7_2_host_values);
    tcase_add_test(host, rfc9112_3_2_2_absolute_form_overrides_host);
    tcase_add_test(host, a_head_that_was_changed_is_judged_as_it_is);
    TCase *framing = thi_check_case(suite, "framing");
    tcase_add_test(framing, rfc9112_6_3_no_fields_no_body);
    tcase_add_test(framing, rfc9110_8_6_content_length);
    tcase_add_test(framing, rfc9110_8_6_one_content_length);
    tcase_add_test(framing, rfc9112_6_1_transfer_encoding);
    tcase_add_test(framing, rfc9112_6_1_ambiguous_framing);
    TCase *connection = thi_check_case(suite, "connection");
    tcase_add_test(connection, rfc9112_9_3_persistence);
    tcase_add_test(connection, rfc9110_10_1_1_expect);
    tcase_add_test(connection, rfc9110_7_8_upgrade);
    TCase *response = thi_check_case(suite, "response");
    tcase_add_test(response, rfc9112_6_3_responses_without_a_body);
    tcase_add_test(response, rfc9112_6_3_responses_with_a_body);
}

int main(void)
{
    return thi_check_run("proto/http1_semantics", fill);
}
