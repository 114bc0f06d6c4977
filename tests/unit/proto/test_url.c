/* SPDX-License-Identifier: MIT */

/* Tests of URLs, percent-encoding, safe paths and queries. */
#include "proto/url.h"

#include "check_main.h"

#include <thrum/error.h>

#include <stdio.h>
#include <string.h>

static void check_decode(th_str in, bool form, th_str want)
{
    char out[64];
    ssize_t n = thi_url_decode(in, form, out);
    ck_assert_int_ge(n, 0);
    ck_assert(th_str_eq(th_str_make(out, (size_t)n), want));
    memcpy(out, in.ptr, in.len);
    n = thi_url_decode(th_str_make(out, in.len), form, out);
    ck_assert(th_str_eq(th_str_make(out, (size_t)n), want));
}

START_TEST(rfc3986_2_1_percent_decoding)
{
    check_decode(TH_STR("a%20b%2Fc%2fd"), false, TH_STR("a b/c/d"));
    check_decode(TH_STR("%00%ff%FF"), false, TH_STR("\0\xff\xff"));
    check_decode(TH_STR("a+b"), false, TH_STR("a+b"));
    check_decode(TH_STR("a+b%2B"), true, TH_STR("a b+"));
    check_decode(TH_STR("%2541"), false, TH_STR("%41"));
    check_decode(TH_STR("x"), false, TH_STR("x"));
    char out[8];
    ck_assert_int_eq(thi_url_decode(TH_STR(""), false, out), 0);
    ck_assert_int_eq(thi_url_decode(TH_STR("%"), false, out), TH_EPROTO);
    ck_assert_int_eq(thi_url_decode(TH_STR("%4"), false, out), TH_EPROTO);
    ck_assert_int_eq(thi_url_decode(TH_STR("%4g"), false, out), TH_EPROTO);
    ck_assert_int_eq(thi_url_decode(TH_STR("%g4"), false, out), TH_EPROTO);
}
END_TEST

START_TEST(rfc3986_2_1_percent_encoding)
{
    char out[3 * 256], in[256];
    size_t n = thi_url_encode_path(TH_STR("/a b/%?#\xff.txt"), out);
    ck_assert(th_str_eq(th_str_make(out, n), TH_STR("/a%20b/%25%3F%23%FF.txt")));
    for (int i = 0; i < 256; i++)
        in[i] = (char)i;
    n = thi_url_encode_path(th_str_make(in, 256), out);
    ck_assert_int_eq(thi_url_decode(th_str_make(out, n), false, out), 256);
    ck_assert_int_eq(memcmp(in, out, 256), 0);
}
END_TEST

/* Resolves into other memory and in place. */
static void check_path(th_str path, th_str want)
{
    char out[64], own[64];
    ssize_t n = thi_url_path_resolve(path, out);
    ck_assert_msg(n >= 0, "%.*s", TH_STR_ARG(path));
    ck_assert_msg(th_str_eq(th_str_make(out, (size_t)n), want), "%.*s -> %.*s", TH_STR_ARG(path),
                  (int)n, out);
    if (path.len > 0) {
        memcpy(own, path.ptr, path.len);
        n = thi_url_path_resolve(th_str_make(own, path.len), own);
        ck_assert(th_str_eq(th_str_make(own, (size_t)n), want));
    }
}

static void refused_path(th_str path)
{
    char out[64];
    ck_assert_msg(thi_url_path_resolve(path, out) == TH_EPROTO, "%.*s", TH_STR_ARG(path));
}

/* RFC 3986, 5.2.4. */
START_TEST(rfc3986_5_2_4_dot_segments)
{
    check_path(TH_STR("/"), TH_STR("/"));
    check_path(TH_STR(""), TH_STR("/"));
    check_path(TH_STR("/a/b"), TH_STR("/a/b"));
    check_path(TH_STR("/a/b/"), TH_STR("/a/b/"));
    check_path(TH_STR("/a/./b/."), TH_STR("/a/b/"));
    check_path(TH_STR("/a/../b"), TH_STR("/b"));
    check_path(TH_STR("/a/b/.."), TH_STR("/a/"));
    check_path(TH_STR("/a/b/../"), TH_STR("/a/"));
    check_path(TH_STR("/a/.."), TH_STR("/"));
    check_path(TH_STR("/a/b/../../c"), TH_STR("/c"));
    check_path(TH_STR("//a///b//"), TH_STR("/a/b/"));
    check_path(TH_STR("/a//../b"), TH_STR("/b"));
    check_path(TH_STR("/..."), TH_STR("/..."));
    check_path(TH_STR("/.a/..b"), TH_STR("/.a/..b"));
    check_path(TH_STR("/%2e/a/%2E%2e/b"), TH_STR("/b"));
    check_path(TH_STR("/%61%20b"), TH_STR("/a b"));
    check_path(TH_STR("/%c3%a4"), TH_STR("/\xc3\xa4"));
    check_path(TH_STR("/%252e%252e/a"), TH_STR("/%2e%2e/a"));
}
END_TEST

START_TEST(a_path_cannot_leave_its_root)
{
    refused_path(TH_STR("/.."));
    refused_path(TH_STR("/../"));
    refused_path(TH_STR("/../a"));
    refused_path(TH_STR("/a/../.."));
    refused_path(TH_STR("/a/../../b"));
    refused_path(TH_STR("//.."));
    refused_path(TH_STR("/./.."));
    refused_path(TH_STR("/%2e%2e/a"));
    refused_path(TH_STR("/.%2e/a"));
    refused_path(TH_STR("/a/..%2fb"));
    refused_path(TH_STR("/a%2f..%2f..%2fb"));
    refused_path(TH_STR("/a/%2e%2e/%2e%2e/b"));
}
END_TEST

START_TEST(bytes_with_a_meaning_to_a_file_system_are_refused)
{
    refused_path(TH_STR("/a%2Fb"));
    refused_path(TH_STR("/a%00b"));
    refused_path(TH_STR("/a%00"));
    refused_path(TH_STR("/a\\b"));
    refused_path(TH_STR("/a%5Cb"));
    refused_path(TH_STR("/a%0ab"));
    refused_path(TH_STR("/a%7f"));
    refused_path(TH_STR("/a\0b"));
    refused_path(TH_STR("a"));
    refused_path(TH_STR("../a"));
    refused_path(TH_STR("*"));
    refused_path(TH_STR("/%"));
    refused_path(TH_STR("/%4"));
    refused_path(TH_STR("/%zz"));
}
END_TEST

/* The pairs of a query as "name=value;". */
static void check_query(th_str query, const char *want)
{
    char got[128] = "";
    size_t len = 0;
    th_str name, value;
    while (thi_url_query_next(&query, &name, &value))
        len += (size_t)snprintf(got + len, sizeof got - len, "%.*s=%.*s;", TH_STR_ARG(name),
                                TH_STR_ARG(value));
    ck_assert_str_eq(got, want);
}

START_TEST(queries_are_pairs)
{
    check_query(TH_STR("a=b&c=d"), "a=b;c=d;");
    check_query(TH_STR("a&b=&=c&a=b=c"), "a=;b=;=c;a=b=c;");
    check_query(TH_STR("&&a=b&&"), "a=b;");
    check_query(TH_STR(""), "");
    check_query(TH_STR("a=%26%3d;b"), "a=%26%3d;b;");
}
END_TEST

START_TEST(rfc3986_3_urls_are_taken_apart)
{
    thi_url u;
    ck_assert_int_eq(thi_url_parse(TH_STR("https://example.com:8443/a/b?c=d?/e#f?/g"), &u), 0);
    ck_assert(th_str_eq(u.scheme, TH_STR("https")));
    ck_assert(th_str_eq(u.authority.host, TH_STR("example.com")));
    ck_assert_int_eq(u.authority.port, 8443);
    ck_assert(th_str_eq(u.path, TH_STR("/a/b")));
    ck_assert(u.has_query);
    ck_assert(th_str_eq(u.query, TH_STR("c=d?/e")));
    ck_assert(th_str_eq(u.fragment, TH_STR("f?/g")));

    ck_assert_int_eq(thi_url_parse(TH_STR("h+2.-x://[::1]"), &u), 0);
    ck_assert(th_str_eq(u.authority.host, TH_STR("::1")));
    ck_assert_int_eq(u.authority.kind, THI_HOST_IPV6);
    ck_assert_uint_eq(u.path.len, 0);
    ck_assert(!u.has_query);
    ck_assert_int_eq(thi_url_parse(TH_STR("http://a?"), &u), 0);
    ck_assert(u.has_query);
    ck_assert_int_eq(thi_url_parse(TH_STR("http://a/%20?%41#%42"), &u), 0);
}
END_TEST

START_TEST(rfc3986_3_what_is_no_url)
{
    static const char *const bad[] = { "",
                                       "a",
                                       "/a",
                                       "http:",
                                       "http:/a",
                                       "http://",
                                       "http:///a",
                                       "http://:80/",
                                       "://a",
                                       "1http://a",
                                       "ht_tp://a",
                                       "ht~tp://a",
                                       "http://u@a/",
                                       "http://u:p@a/",
                                       "http://a b/",
                                       "http://a/ b",
                                       "http://a/%",
                                       "http://a/%4",
                                       "http://a/?a b",
                                       "http://a/?%zz",
                                       "http://a/#a#b",
                                       "http://a/[b]",
                                       "http://a/\x80",
                                       "http://a:99999/",
                                       "http://[::1/",
                                       "mailto:a@b" };
    thi_url u;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(thi_url_parse(th_str_of(bad[i]), &u) == TH_EADDRESS, "%s", bad[i]);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *coding = thi_check_case(suite, "percent-encoding");
    tcase_add_test(coding, rfc3986_2_1_percent_decoding);
    tcase_add_test(coding, rfc3986_2_1_percent_encoding);
    TCase *paths = thi_check_case(suite, "paths");
    tcase_add_test(paths, rfc3986_5_2_4_dot_segments);
    tcase_add_test(paths, a_path_cannot_leave_its_root);
    tcase_add_test(paths, bytes_with_a_meaning_to_a_file_system_are_refused);
    TCase *urls = thi_check_case(suite, "urls");
    tcase_add_test(urls, queries_are_pairs);
    tcase_add_test(urls, rfc3986_3_urls_are_taken_apart);
    tcase_add_test(urls, rfc3986_3_what_is_no_url);
}

int main(void)
{
    return thi_check_run("proto/url", fill);
}
