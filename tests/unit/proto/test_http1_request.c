/* SPDX-License-Identifier: MIT */

/* Tests of request lines and field lines. Each stream is also fed byte by byte and cut at random.
 */
#include "proto/http1_request.h"

#include "check_main.h"
#include "record.h"

#include <thrum/error.h>

#include <errno.h>

/* A request with the given request line, or with the given field lines. */
#define LINE(line)     BYTES(line "\r\nHost: h\r\n\r\n")
#define FIELDS(fields) BYTES("GET / HTTP/1.1\r\nHost: h\r\n" fields "\r\n\r\n")

START_TEST(a_plain_request_is_taken_apart)
{
    th_str text =
        BYTES("GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nX-Own:\t two words \t\r\n\r\n");
    thi_http1_field fields[8];
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, 8, NULL);
    ck_assert_int_eq(thi_http1_request_parse(&req, text.ptr, text.len, &err), (ssize_t)text.len);
    ck_assert(th_str_eq(thi_http1_str(&req.head, req.method), TH_STR("GET")));
    ck_assert_int_eq(req.method_id, THI_HTTP_GET);
    ck_assert(th_str_eq(thi_http1_str(&req.head, req.target), TH_STR("/a/b?c=d")));
    ck_assert(th_str_eq(thi_http1_request_path(&req), TH_STR("/a/b")));
    ck_assert(th_str_eq(thi_http1_str(&req.head, req.query), TH_STR("c=d")));
    ck_assert_int_eq(req.form, THI_HTTP1_ORIGIN);
    ck_assert_uint_eq(req.head.minor, 1);
    ck_assert_uint_eq(req.head.count, 2);
    ck_assert(th_str_eq(thi_http1_name(&req.head, 1), TH_STR("X-Own")));
    ck_assert(th_str_eq(thi_http1_value(&req.head, 1), TH_STR("two words")));
}
END_TEST

START_TEST(fields_are_found_by_id_and_by_name)
{
    th_str text = BYTES("GET / HTTP/1.1\r\nhost: a\r\nX-A: 1\r\nCOOKIE: c\r\nx-a: 2\r\n\r\n");
    thi_http1_field fields[8];
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, 8, NULL);
    ck_assert_int_gt(thi_http1_request_parse(&req, text.ptr, text.len, &err), 0);
    const thi_http1_head *head = &req.head;
    ck_assert(thi_http1_has(head, THI_FIELD_COOKIE));
    ck_assert(!thi_http1_has(head, THI_FIELD_DATE));
    ck_assert_uint_eq(thi_http1_find(head, THI_FIELD_HOST, 0), 0);
    ck_assert_uint_eq(thi_http1_find(head, THI_FIELD_HOST, 1), 4);
    ck_assert_uint_eq(thi_http1_find(head, THI_FIELD_DATE, 0), 4);
    ck_assert_uint_eq(thi_http1_find(head, THI_FIELD_COOKIE, 0), 2);
    ck_assert_uint_eq(thi_http1_find_name(head, TH_STR("x-A"), 0), 1);
    ck_assert_uint_eq(thi_http1_find_name(head, TH_STR("x-A"), 2), 3);
    ck_assert_uint_eq(thi_http1_find_name(head, TH_STR("x-b"), 0), 4);
}
END_TEST

START_TEST(a_head_may_be_moved_after_parsing)
{
    char text[] = "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";
    thi_http1_field fields[2];
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, 2, NULL);
    ck_assert_int_gt(thi_http1_request_parse(&req, text, sizeof text - 1, &err), 0);
    char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    memset(text, 'x', sizeof text);
    thi_http1_head_moved(&req.head, copy);
    ck_assert(th_str_eq(thi_http1_request_path(&req), TH_STR("/p")));
    ck_assert(th_str_eq(thi_http1_value(&req.head, 0), TH_STR("a")));
}
END_TEST

/* Work stays linear however slowly a head arrives: what lies behind the parser may turn into
 * anything without its noticing. */
START_TEST(bytes_are_looked_at_once)
{
    th_str parts[] = {
        BYTES("GET /"), BYTES("abc"), BYTES("def?"),    BYTES("ghi"), BYTES(" HTTP/1.1\r\nA: "),
        BYTES("bcd"),   BYTES("efg"), BYTES("\r\n\r\n")
    };
    bool spoil[] = { false, true, true, true, false, true, true, false };
    char text[64];
    size_t len = 0;
    thi_http1_field field;
    thi_http1_request req;
    thi_http1_error err;
    ssize_t n = 0;
    thi_http1_request_init(&req, &field, 1, NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(text + len, parts[i].ptr, parts[i].len);
        n = thi_http1_request_parse(&req, text, len + parts[i].len, &err);
        ck_assert_int_ge(n, 0);
        if (spoil[i])
            memset(text + len, '\0', parts[i].len);
        len += parts[i].len;
    }
    ck_assert_int_eq(n, (ssize_t)len);
    ck_assert_uint_eq(thi_http1_value(&req.head, 0).len, 6);
    ck_assert_uint_eq(req.query.len, 3);
}
END_TEST

START_TEST(what_follows_the_head_is_left_alone)
{
    th_str text = BYTES("GET / HTTP/1.1\r\n\r\n\0\n\r garbage");
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, NULL, 0, NULL);
    ck_assert_int_eq(thi_http1_request_parse(&req, text.ptr, text.len, &err), 18);
}
END_TEST

START_TEST(misuse_is_einval_and_nothing_is_more)
{
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, NULL, 0, NULL);
    ck_assert_int_eq(thi_http1_request_parse(&req, NULL, 0, &err), 0);
    ck_assert_int_eq(thi_http1_request_parse(&req, "GET ", 4, &err), 0);
    ck_assert_int_eq(thi_http1_request_parse(&req, "GE", 2, &err), -EINVAL);
    ck_assert_int_eq(thi_http1_request_parse(&req, "GET ", (size_t)UINT32_MAX + 1, &err), -EINVAL);
    ck_assert_int_eq(thi_http1_request_parse(&req, "GET /", 5, &err), 0);
}
END_TEST

START_TEST(every_prefix_of_a_request_is_incomplete)
{
    th_str text = BYTES("\r\nPOST /a%20b?c HTTP/1.1\r\nHost: h\r\nA:b\r\n\r\n");
    for (size_t len = 0; len < text.len; len++) {
        feed f = { .data = text.ptr, .len = len };
        char *log = record(&f, feed_request);
        ck_assert_str_eq(log, len ? "more\n" : "end\n");
        free(log);
    }
}
END_TEST

START_TEST(pipelined_requests_follow_each_other)
{
    th_str two = BYTES("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_request(two, "target</1>");
    expect_request(two, "target</2>");
    expect_accepted(two);
}
END_TEST

/* RFC 9112, 2.2: at least one empty line before the request line is skipped; here exactly one. */
START_TEST(rfc9112_2_2_one_empty_line_may_come_first)
{
    expect_accepted(LINE("\r\nGET / HTTP/1.1"));
    expect_refused(LINE("\r\n\r\nGET / HTTP/1.1"), 400);
    expect_refused(LINE("\nGET / HTTP/1.1"), 400);
    expect_refused(LINE("\rGET / HTTP/1.1"), 400);
    expect_refused(LINE("\r\rGET / HTTP/1.1"), 400);
}
END_TEST

/* RFC 9112, 2.2: a bare CR is never part of an element; a bare LF ends no line here. */
START_TEST(rfc9112_2_2_lines_end_with_crlf_only)
{
    expect_refused(BYTES("GET / HTTP/1.1\nHost: h\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\n\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\rHost: h\r\r"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: h\r\n\rX"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\r\n"), 400);
    expect_refused(FIELDS("A: b\rc"), 400);
    expect_refused(FIELDS("A: b\nc: d"), 400);
}
END_TEST

/* RFC 9112, 2.2: no white space between the start line and the first field. */
START_TEST(rfc9112_2_2_no_white_space_before_the_first_field)
{
    expect_refused(BYTES("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400);
    expect_refused(BYTES("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n"), 400);
}
END_TEST

/* RFC 9112, 2.3: HTTP-version is case-sensitive and has exactly two digits. */
START_TEST(rfc9112_2_3_version_is_spelt_exactly)
{
    expect_refused(LINE("GET / http/1.1"), 400);
    expect_refused(LINE("GET / HTTP/1"), 400);
    expect_refused(LINE("GET / HTTP/1."), 400);
    expect_refused(LINE("GET / HTTP/.1"), 400);
    expect_refused(LINE("GET / HTTP/1.10"), 400);
    expect_refused(LINE("GET / HTTP/01.1"), 400);
    expect_refused(LINE("GET / HTTP/1,1"), 400);
    expect_refused(LINE("GET / HTTP /1.1"), 400);
    expect_refused(LINE("GET / HTTP/ 1.1"), 400);
    expect_refused(LINE("GET / HTTPS/1.1"), 400);
    expect_refused(LINE("GET / HTTP/1.1x"), 400);
    expect_refused(LINE("GET / HTTP/a.b"), 400);
    expect_refused(LINE("GET / XTTP/1.1"), 400);
    expect_refused(LINE("GET /"), 400);
    expect_request(BYTES("GET /\n"), "refused 400 at 5,");
    expect_refused(LINE("GET / "), 400);
}
END_TEST

/* RFC 9110, 2.5 and 15.6.6: another major version is 505, a higher minor one is 1.1. */
START_TEST(rfc9110_2_5_versions_that_are_not_spoken)
{
    expect_refused(LINE("GET / HTTP/0.9"), 505);
    expect_refused(LINE("GET / HTTP/2.0"), 505);
    expect_refused(LINE("GET / HTTP/3.0"), 505);
    expect_refused(LINE("GET / HTTP/9.9"), 505);
    expect_refused(BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    expect_request(LINE("GET / HTTP/1.0"), "request 1 1.0");
    expect_request(LINE("GET / HTTP/1.2"), "request 1 1.1");
    expect_request(LINE("GET / HTTP/1.9"), "request 1 1.1");
}
END_TEST

/* RFC 9112, 3: exactly one SP between the three parts, none around them. */
START_TEST(rfc9112_3_single_spaces)
{
    expect_refused(LINE(" GET / HTTP/1.1"), 400);
    expect_refused(LINE("GET  / HTTP/1.1"), 400);
    expect_refused(LINE("GET /  HTTP/1.1"), 400);
    expect_refused(LINE("GET / HTTP/1.1 "), 400);
    expect_refused(LINE("GET / HTTP/1.1\t"), 400);
    expect_refused(LINE("GET\t/ HTTP/1.1"), 400);
    expect_refused(LINE("GET /\tHTTP/1.1"), 400);
    expect_refused(LINE("GET\x0b/ HTTP/1.1"), 400);
    expect_refused(LINE("GET /a b HTTP/1.1"), 400);
    expect_refused(LINE("GET HTTP/1.1"), 400);
    expect_refused(LINE("GET"), 400);
    expect_refused(LINE("GET/ HTTP/1.1"), 400);
}
END_TEST

/* RFC 9110, 9.1: a method is a token. RFC 9112, 3: 501 for one that is too long. */
START_TEST(rfc9110_9_1_method_is_a_token)
{
    expect_refused(LINE("(GET) / HTTP/1.1"), 400);
    expect_refused(LINE("G\"T / HTTP/1.1"), 400);
    expect_refused(BYTES("G\0T / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    expect_refused(BYTES("\x16\x03\x01\x02\x00\x01"), 400);
    expect_refused(LINE("G\xc3\x89T / HTTP/1.1"), 400);
    expect_request(LINE("get / HTTP/1.1"), "request 0 1.1");
    expect_request(LINE("M-SEARCH / HTTP/1.1"), "method<M-SEARCH>");
    expect_request(LINE("!#$%&'*+.^_`|~ / HTTP/1.1"), "method<!#$%&'*+.^_`|~>");
}
END_TEST

START_TEST(a_method_of_32_bytes_is_read_and_one_of_33_is_501)
{
    expect_request(LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1"), "request 0");
    expect_refused(LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1"), 501);
    expect_refused(BYTES("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"), 501);
    expect_request(BYTES("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"), "more");
}
END_TEST

/* RFC 9112, 3.2.1: a path and perhaps a query, of the characters of RFC 3986, 3.3 and 3.4. */
START_TEST(rfc9112_3_2_1_origin_form)
{
    expect_request(LINE("GET /?a?/b HTTP/1.1"), "path</> query<a?/b>");
    expect_request(LINE("GET /? HTTP/1.1"), "with query");
    expect_request(LINE("GET //x//y/ HTTP/1.1"), "path<//x//y/>");
    expect_request(LINE("GET /:@!$&'()*+,;=-._~ HTTP/1.1"), "path</:@!$&'()*+,;=-._~>");
    expect_refused(LINE("GET x HTTP/1.1"), 400);
    expect_refused(LINE("GET ?a HTTP/1.1"), 400);
    expect_refused(LINE("GET \\x HTTP/1.1"), 400);
}
END_TEST

/* RFC 3986, 2: everything else must be percent-encoded. */
START_TEST(rfc3986_2_raw_bytes_are_refused)
{
    static const char bad[] = "\"#<>[\\]^`{|}\x01\x7f\x80\xff\t\v";
    for (const char *c = bad; *c; c++) {
        char text[] = "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n";
        text[6] = *c;
        expect_refused(th_str_make(text, sizeof text - 1), 400);
        char query[] = "GET /?ax HTTP/1.1\r\nHost: h\r\n\r\n";
        query[7] = *c;
        expect_refused(th_str_make(query, sizeof query - 1), 400);
    }
    expect_refused(BYTES("GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}
END_TEST

/* RFC 3986, 2.1. */
START_TEST(rfc3986_2_1_percent_encoding)
{
    expect_request(LINE("GET /%00%fF HTTP/1.1"), "path</%00%fF>");
    expect_request(LINE("GET /?%41 HTTP/1.1"), "query<%41>");
    expect_refused(LINE("GET /% HTTP/1.1"), 400);
    expect_refused(LINE("GET /%4 HTTP/1.1"), 400);
    expect_refused(LINE("GET /%4g HTTP/1.1"), 400);
    expect_refused(LINE("GET /%g4 HTTP/1.1"), 400);
    expect_refused(LINE("GET /%%41 HTTP/1.1"), 400);
    expect_refused(LINE("GET /?%u0041 HTTP/1.1"), 400);
    expect_request(BYTES("GET /%"), "more");
    expect_request(BYTES("GET /%4"), "more");
    expect_refused(BYTES("GET /%x"), 400);
}
END_TEST

START_TEST(a_relaxed_query_may_contain_what_browsers_send)
{
    th_str text = LINE("GET /a?b[]=\\^`{|} HTTP/1.1");
    feed f = { .data = text.ptr, .len = text.len, .limits = { .relaxed_query = true } };
    char *log = record(&f, feed_request);
    record_has(log, "query<b[]=\\x5c^`{|}>");
    free(log);
    const th_str refused[] = { LINE("GET /a|b HTTP/1.1"), LINE("GET /a?b#c HTTP/1.1"),
                               LINE("GET /a?\" HTTP/1.1"), LINE("GET /a?< HTTP/1.1"),
                               LINE("GET /a?> HTTP/1.1") };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        f.data = refused[i].ptr;
        f.len = refused[i].len;
        log = record(&f, feed_request);
        record_has(log, "refused 400");
        free(log);
    }
}
END_TEST

/* RFC 9112, 3.2.2: a server must accept the absolute form. */
START_TEST(rfc9112_3_2_2_absolute_form)
{
    expect_request(LINE("GET http://example.com:81/a?b HTTP/1.1"),
                   "form 1 with query method<GET> target<http://example.com:81/a?b> scheme<http> "
                   "authority<example.com:81> path</a> query<b>");
    expect_request(LINE("GET HTTPS://e HTTP/1.1"), "scheme<HTTPS> authority<e> path</> query<>");
    expect_request(LINE("GET http://e?q HTTP/1.1"), "authority<e> path</> query<q>");
    expect_request(LINE("GET http://[::1]:8/x HTTP/1.1"), "authority<[::1]:8> path</x>");
    expect_refused(LINE("GET http:///a HTTP/1.1"), 400);
    expect_refused(LINE("GET http://:80/a HTTP/1.1"), 400);
    expect_refused(LINE("GET http://u:p@e/ HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e:99999/ HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e:x/ HTTP/1.1"), 400);
    expect_refused(LINE("GET http:/e HTTP/1.1"), 400);
    expect_refused(LINE("GET ftp://e/ HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e/[x] HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e/x] HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e/?[x] HTTP/1.1"), 400);
    expect_refused(LINE("GET http://e/#f HTTP/1.1"), 400);
    expect_refused(LINE("GET http://[::1/ HTTP/1.1"), 400);
    expect_refused(LINE("GET e.com HTTP/1.1"), 400);
}
END_TEST

/* RFC 9112, 3.2.3: the authority form is for CONNECT, and CONNECT has no other. 9110, 9.3.6: port.
 */
START_TEST(rfc9112_3_2_3_authority_form)
{
    expect_request(LINE("CONNECT e.com:443 HTTP/1.1"), "form 2 method<CONNECT>");
    expect_request(LINE("CONNECT [::1]:443 HTTP/1.1"), "authority<[::1]:443>");
    expect_refused(LINE("CONNECT e.com HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT e.com: HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT e.com:0 HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT e.com:65536 HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT :443 HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT / HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT http://e.com/ HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT e.com:443?a HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT e.com:443/ HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT u@e.com:443 HTTP/1.1"), 400);
    expect_refused(LINE("CONNECT * HTTP/1.1"), 400);
    expect_refused(LINE("GET e.com:443 HTTP/1.1"), 400);
}
END_TEST

/* RFC 9112, 3.2.4: the asterisk form is for OPTIONS. */
START_TEST(rfc9112_3_2_4_asterisk_form)
{
    expect_request(LINE("OPTIONS * HTTP/1.1"), "form 3");
    expect_request(LINE("OPTIONS / HTTP/1.1"), "form 0");
    expect_refused(LINE("GET * HTTP/1.1"), 400);
    expect_refused(LINE("OPTIONS ** HTTP/1.1"), 400);
    expect_refused(LINE("OPTIONS *?a HTTP/1.1"), 400);
}
END_TEST

/* RFC 9112, 5.1 and RFC 9110, 5.6.2: a name is a token, directly before its colon. */
START_TEST(rfc9112_5_1_field_names)
{
    expect_refused(FIELDS("Name : v"), 400);
    expect_refused(FIELDS("Name\t: v"), 400);
    expect_refused(FIELDS("Na me: v"), 400);
    expect_refused(FIELDS(": v"), 400);
    expect_refused(FIELDS("Name"), 400);
    expect_refused(FIELDS("N\xc3\xa4me: v"), 400);
    expect_refused(FIELDS("Na(me): v"), 400);
    expect_refused(FIELDS("Na\x7fme: v"), 400);
    expect_refused(FIELDS("Na\x01me: v"), 400);
    expect_refused(FIELDS("Na\0me: v"), 400);
    expect_refused(FIELDS("\"Name\": v"), 400);
    expect_refused(FIELDS("Name\r\n: v"), 400);
    expect_request(FIELDS("!#$%&'*+-.^_`|~09azAZ: v"), "<!#$%&'*+-.^_`|~09azAZ> <v>");
    expect_request(FIELDS("a-name-of-more-than-thirty-two-bytes-with_underscores: v"), "<v>");
}
END_TEST

/* RFC 9112, 5.2: obs-fold is refused. */
START_TEST(rfc9112_5_2_line_folding)
{
    expect_refused(FIELDS("A: b\r\n c"), 400);
    expect_refused(FIELDS("A: b\r\n\tc"), 400);
    expect_refused(FIELDS("A:\r\n b"), 400);
    expect_refused(FIELDS("A: b\r\n "), 400);
}
END_TEST

/* RFC 9110, 5.5: visible characters, spaces, tabs, obs-text; no control character. */
START_TEST(rfc9110_5_5_field_values)
{
    expect_request(FIELDS("A:"), "<A> <>");
    expect_request(FIELDS("A: \t "), "<A> <>");
    expect_request(FIELDS("A:b"), "<A> <b>");
    expect_request(FIELDS("A: \t b \t c \t"), "<A> <b \\x09 c>");
    expect_request(FIELDS("A: \x80\xff\"\\"), "<A> <\\x80\\xff\"\\x5c>");
    expect_request(FIELDS("A: b: c"), "<A> <b: c>");
    for (int c = 0; c < 0x20; c++) {
        char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: bxc, and more to scan\r\n\r\n";
        text[28] = (char)c;
        if (c != '\t')
            expect_refused(th_str_make(text, sizeof text - 1), 400);
    }
    expect_refused(FIELDS("A: b\x7f"), 400);
}
END_TEST

START_TEST(every_refusal_points_at_the_byte)
{
    expect_request(BYTES("GE\x01"), "refused 400 at 2,");
    expect_request(LINE("GET /a#b HTTP/1.1"), "refused 400 at 6,");
    expect_request(LINE("GET / HTTP/1.x"), "refused 400 at 13,");
    expect_request(BYTES("GET / HTTP/1.1\r\nA : b"), "refused 400 at 17,");
    expect_request(BYTES("GET / HTTP/1.1\r\nA: b\nc"), "refused 400 at 20,");
}
END_TEST

/* The status and the cause of a refusal that one limit, and one byte less, brings about. */
static void check_limit(th_str text, thi_http1_limits limits, uint32_t capacity, int status)
{
    feed f = { .data = text.ptr, .len = text.len, .limits = limits, .capacity = capacity };
    char *log = record(&f, feed_request);
    char part[64];
    snprintf(part, sizeof part, "refused %d at", status);
    if (status)
        record_has(log, part);
    else if (strstr(log, "refused") || strstr(log, "more"))
        ck_abort_msg("refused at its limit:\n%s", log);
    free(log);
}

/* RFC 9110, 15.5.15: URI Too Long. */
START_TEST(rfc9110_15_5_15_a_target_has_a_limit)
{
    th_str text = LINE("GET /123456789?123456789 HTTP/1.1");
    check_limit(text, (thi_http1_limits){ .target = 20 }, 0, 0);
    check_limit(text, (thi_http1_limits){ .target = 19 }, 0, 414);
    check_limit(text, (thi_http1_limits){ .target = 5 }, 0, 414);
    check_limit(BYTES("GET /123456"), (thi_http1_limits){ .target = 6 }, 0, 414);
    text = LINE("GET /%41%41 HTTP/1.1");
    check_limit(text, (thi_http1_limits){ .target = 7 }, 0, 0);
    check_limit(text, (thi_http1_limits){ .target = 6 }, 0, 414);
    check_limit(text, (thi_http1_limits){ .target = 5 }, 0, 414);
    check_limit(text, (thi_http1_limits){ .target = 4 }, 0, 414);
}
END_TEST

/* RFC 6585, 5: Request Header Fields Too Large. */
START_TEST(rfc6585_5_a_head_has_a_limit)
{
    th_str text = LINE("GET / HTTP/1.1");
    uint32_t len = (uint32_t)text.len;
    check_limit(text, (thi_http1_limits){ .head = len }, 0, 0);
    for (uint32_t less = 1; less < 16; less++)
        check_limit(text, (thi_http1_limits){ .head = len - less }, 0, 431);
    check_limit(text, (thi_http1_limits){ .head = 5 }, 0, 414);
    check_limit(text, (thi_http1_limits){ .head = 3 }, 0, 431);
    check_limit(LINE("GET /?a HTTP/1.1"), (thi_http1_limits){ .head = 7 }, 0, 414);
}
END_TEST

START_TEST(rfc6585_5_fields_have_a_limit)
{
    th_str text = FIELDS("A: b\r\nC: d");
    check_limit(text, (thi_http1_limits){ 0 }, 3, 0);
    check_limit(text, (thi_http1_limits){ 0 }, 2, 431);
}
END_TEST

START_TEST(the_default_limits_hold)
{
    size_t len = THI_HTTP1_HEAD_DEFAULT + 64;
    char *text = malloc(len);
    memset(text, 'a', len);
    memcpy(text, "GET /", 5);
    feed f = { .data = text, .len = THI_HTTP1_TARGET_DEFAULT + 4 };
    f.cut = FEED_WHOLE;
    char *log = feed_run(&f, feed_request);
    ck_assert_str_eq(log, "more\n");
    free(log);
    f.len++;
    log = feed_run(&f, feed_request);
    record_has(log, "refused 414");
    free(log);
    memcpy(text, "GET / HTTP/1.1\r\nA:", 18);
    f.len = THI_HTTP1_HEAD_DEFAULT - 1;
    log = feed_run(&f, feed_request);
    ck_assert_str_eq(log, "more\n");
    free(log);
    f.len++;
    log = feed_run(&f, feed_request);
    record_has(log, "refused 431");
    free(log);
    free(text);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *basics = thi_check_case(suite, "basics");
    tcase_add_test(basics, a_plain_request_is_taken_apart);
    tcase_add_test(basics, fields_are_found_by_id_and_by_name);
    tcase_add_test(basics, a_head_may_be_moved_after_parsing);
    tcase_add_test(basics, what_follows_the_head_is_left_alone);
    tcase_add_test(basics, bytes_are_looked_at_once);
    tcase_add_test(basics, misuse_is_einval_and_nothing_is_more);
    tcase_add_test(basics, every_prefix_of_a_request_is_incomplete);
    tcase_add_test(basics, pipelined_requests_follow_each_other);
    tcase_add_test(basics, every_refusal_points_at_the_byte);
    TCase *line = thi_check_case(suite, "request line");
    tcase_add_test(line, rfc9112_2_2_one_empty_line_may_come_first);
    tcase_add_test(line, rfc9112_2_2_lines_end_with_crlf_only);
    tcase_add_test(line, rfc9112_2_3_version_is_spelt_exactly);
    tcase_add_test(line, rfc9110_2_5_versions_that_are_not_spoken);
    tcase_add_test(line, rfc9112_3_single_spaces);
    tcase_add_test(line, rfc9110_9_1_method_is_a_token);
    tcase_add_test(line, a_method_of_32_bytes_is_read_and_one_of_33_is_501);
    TCase *target = thi_check_case(suite, "target");
    tcase_add_test(target, rfc9112_3_2_1_origin_form);
    tcase_add_test(target, rfc3986_2_raw_bytes_are_refused);
    tcase_add_test(target, rfc3986_2_1_percent_encoding);
    tcase_add_test(target, a_relaxed_query_may_contain_what_browsers_send);
    tcase_add_test(target, rfc9112_3_2_2_absolute_form);
    tcase_add_test(target, rfc9112_3_2_3_authority_form);
    tcase_add_test(target, rfc9112_3_2_4_asterisk_form);
    TCase *fields = thi_check_case(suite, "fields");
    tcase_add_test(fields, rfc9112_2_2_no_white_space_before_the_first_field);
    tcase_add_test(fields, rfc9112_5_1_field_names);
    tcase_add_test(fields, rfc9112_5_2_line_folding);
    tcase_add_test(fields, rfc9110_5_5_field_values);
    TCase *limits = thi_check_case(suite, "limits");
    tcase_add_test(limits, rfc9110_15_5_15_a_target_has_a_limit);
    tcase_add_test(limits, rfc6585_5_a_head_has_a_limit);
    tcase_add_test(limits, rfc6585_5_fields_have_a_limit);
    tcase_add_test(limits, the_default_limits_hold);
}

int main(void)
{
    return thi_check_run("proto/http1_request", fill);
}
