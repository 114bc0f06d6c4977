/* SPDX-License-Identifier: MIT */

/* Tests of lists, parameters, quoted strings, weights and media types. */
#include "proto/http_list.h"

#include "check_main.h"

#include <thrum/error.h>

#include <stdio.h>

/* The members of a list, joined by "|". */
static void check_list(th_str list, const char *want)
{
    char got[256] = "";
    size_t len = 0;
    th_str member;
    while (thi_http_list_next(&list, &member))
        len += (size_t)snprintf(got + len, sizeof got - len, "%.*s|", TH_STR_ARG(member));
    ck_assert_str_eq(got, want);
}

/* RFC 9110, 5.6.1.2: empty members are passed over. */
START_TEST(rfc9110_5_6_1_lists)
{
    check_list(TH_STR("a"), "a|");
    check_list(TH_STR("a,b , c\t,\td"), "a|b|c|d|");
    check_list(TH_STR(""), "");
    check_list(TH_STR(" , ,, "), "");
    check_list(TH_STR(",a,,b,"), "a|b|");
    check_list(TH_STR("a b, c"), "a b|c|");
    check_list(TH_STR("\"a,b\", c;d=\"e,\\\",f\", g"), "\"a,b\"|c;d=\"e,\\\",f\"|g|");
    check_list(TH_STR("\"a,b"), "\"a,b|");
    check_list(TH_STR("a\\,b"), "a\\|b|");
    check_list((th_str){ NULL, 0 }, "");
}
END_TEST

START_TEST(a_token_is_found_in_any_case)
{
    ck_assert(thi_http_list_has(TH_STR("Keep-Alive, Upgrade"), TH_STR("upgrade")));
    ck_assert(!thi_http_list_has(TH_STR("upgraded, up"), TH_STR("upgrade")));
    ck_assert(!thi_http_list_has(TH_STR(""), TH_STR("upgrade")));
}
END_TEST

START_TEST(rfc9110_5_6_2_tokens)
{
    ck_assert(thi_http_is_token(TH_STR("a-Z0!~")));
    ck_assert(!thi_http_is_token(TH_STR("")));
    ck_assert(!thi_http_is_token(TH_STR("a b")));
    ck_assert(!thi_http_is_token(TH_STR("a/b")));
}
END_TEST

/* The parameters of a member as "first[name=value]…", with "!" at the end where malformed. */
static void check_params(th_str member, const char *want)
{
    char got[256];
    th_str params, name, value;
    th_str first = thi_http_param_start(member, &params);
    size_t len = (size_t)snprintf(got, sizeof got, "%.*s", TH_STR_ARG(first));
    int more;
    while ((more = thi_http_param_next(&params, &name, &value)) > 0)
        len += (size_t)snprintf(got + len, sizeof got - len, "[%.*s=%.*s]", TH_STR_ARG(name),
                                TH_STR_ARG(value));
    snprintf(got + len, sizeof got - len, more < 0 ? "!" : "");
    ck_assert_str_eq(got, want);
}

/* RFC 9110, 5.6.6. */
START_TEST(rfc9110_5_6_6_parameters)
{
    check_params(TH_STR("a"), "a");
    check_params(TH_STR("a;b=c"), "a[b=c]");
    check_params(TH_STR("a ; b=c;d=\"e;f\" ; g=h "), "a[b=c][d=\"e;f\"][g=h]");
    check_params(TH_STR("a;;b=c;"), "a[b=c]");
    check_params(TH_STR("a;b"), "a!");
    check_params(TH_STR("a;b="), "a!");
    check_params(TH_STR("a;=c"), "a!");
    check_params(TH_STR("a;b =c"), "a!");
    check_params(TH_STR("a;b= c"), "a!");
    check_params(TH_STR("a;b=c d"), "a!");
    check_params(TH_STR("a;b=\"c"), "a!");
    check_params(TH_STR("a;b=\"c\\\""), "a!");
    check_params(TH_STR("a;b=\"c\\"), "a!");
    check_params(TH_STR("a;b=\"\x01\""), "a!");
    check_params(TH_STR("a;b=\"\\\x01\""), "a!");
    check_params(TH_STR("\"x;y\";b=\"\""), "\"x;y\"[b=\"\"]");
}
END_TEST

/* RFC 9110, 5.6.4. */
START_TEST(rfc9110_5_6_4_quoted_strings)
{
    char out[32];
    ck_assert_uint_eq(thi_http_unquote(TH_STR("x"), out), 1);
    ck_assert_uint_eq(thi_http_unquote(TH_STR("\"a\\\""), out), 2);
    ck_assert_uint_eq(thi_http_unquote(TH_STR("token"), out), 5);
    ck_assert_int_eq(memcmp(out, "token", 5), 0);
    ck_assert_uint_eq(thi_http_unquote(TH_STR("\"a\\\"b\\\\\""), out), 4);
    ck_assert_int_eq(memcmp(out, "a\"b\\", 4), 0);
    ck_assert_uint_eq(thi_http_unquote(TH_STR("\"\""), out), 0);
    char in_place[] = "\"x\\yz\"";
    ck_assert_uint_eq(thi_http_unquote(th_str_make(in_place, 6), in_place), 3);
    ck_assert_int_eq(memcmp(in_place, "xyz", 3), 0);
}
END_TEST

/* RFC 9110, 12.4.2: "0" and up to three decimals, or "1" and up to three zeros. */
START_TEST(rfc9110_12_4_2_weights)
{
    ck_assert_int_eq(thi_http_weight(TH_STR("0")), 0);
    ck_assert_int_eq(thi_http_weight(TH_STR("1")), 1000);
    ck_assert_int_eq(thi_http_weight(TH_STR("0.")), 0);
    ck_assert_int_eq(thi_http_weight(TH_STR("0.5")), 500);
    ck_assert_int_eq(thi_http_weight(TH_STR("0.25")), 250);
    ck_assert_int_eq(thi_http_weight(TH_STR("0.001")), 1);
    ck_assert_int_eq(thi_http_weight(TH_STR("1.000")), 1000);
    static const char *const bad[] = { "",    "2",  "1.001", "0.0001", ".5",
                                       "0,5", "-1", "00",    "0.5x",   "0.x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(thi_http_weight(th_str_of(bad[i])), -1);
}
END_TEST

/* RFC 9110, 8.3.1. */
START_TEST(rfc9110_8_3_1_media_types)
{
    thi_http_media media;
    th_str name, value;
    ck_assert_int_eq(thi_http_media_parse(TH_STR("text/html; charset=\"utf-8\""), &media), 0);
    ck_assert(th_str_eq(media.type, TH_STR("text")));
    ck_assert(th_str_eq(media.subtype, TH_STR("html")));
    ck_assert_int_eq(thi_http_param_next(&media.params, &name, &value), 1);
    ck_assert(th_str_eq(name, TH_STR("charset")));
    ck_assert(th_str_eq(value, TH_STR("\"utf-8\"")));
    ck_assert_int_eq(thi_http_param_next(&media.params, &name, &value), 0);
    static const char *const bad[] = { "",       "text",       "/html",        "text/",
                                       "a/b/c",  "text /html", "text/html; x", "text/html;x=\"",
                                       "te xt/h" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(thi_http_media_parse(th_str_of(bad[i]), &media), TH_EPROTO);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *lists = thi_check_case(suite, "lists");
    tcase_add_test(lists, rfc9110_5_6_1_lists);
    tcase_add_test(lists, a_token_is_found_in_any_case);
    tcase_add_test(lists, rfc9110_5_6_2_tokens);
    TCase *params = thi_check_case(suite, "parameters");
    tcase_add_test(params, rfc9110_5_6_6_parameters);
    tcase_add_test(params, rfc9110_5_6_4_quoted_strings);
    tcase_add_test(params, rfc9110_12_4_2_weights);
    tcase_add_test(params, rfc9110_8_3_1_media_types);
}

int main(void)
{
    return thi_check_run("proto/http_list", fill);
}
