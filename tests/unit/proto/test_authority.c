/* SPDX-License-Identifier: MIT */

/* Tests of host and port (RFC 3986, 3.2). */
#include "proto/authority.h"

#include "check_main.h"

#include <thrum/error.h>

#include <arpa/inet.h>
#include <stdio.h>

static void check(const char *text, thi_host_kind kind, const char *host, int port)
{
    thi_authority a;
    ck_assert_msg(thi_authority_parse(th_str_of(text), &a) == 0, "%s", text);
    ck_assert_int_eq(a.kind, kind);
    ck_assert_msg(th_str_eq(a.host, th_str_of(host)), "%s", text);
    ck_assert_int_eq(a.port, port);
}

static void refused(const char *text)
{
    thi_authority a = { .port = 4711 };
    ck_assert_msg(thi_authority_parse(th_str_of(text), &a) == TH_EADDRESS, "%s", text);
    ck_assert_int_eq(a.port, 4711);
}

START_TEST(rfc3986_3_2_2_names)
{
    check("example.com", THI_HOST_NAME, "example.com", -1);
    check("a-b_c~d!$&'()*+,;=", THI_HOST_NAME, "a-b_c~d!$&'()*+,;=", -1);
    check("a%20b", THI_HOST_NAME, "a%20b", -1);
    check("", THI_HOST_NAME, "", -1);
    refused("a b");
    refused("a@b");
    refused("a/b");
    refused("a%2");
    refused("a%2g");
    refused("a%");
    refused("\xc3\xa4");
}
END_TEST

START_TEST(rfc3986_3_2_3_ports)
{
    check("a:80", THI_HOST_NAME, "a", 80);
    check("a:", THI_HOST_NAME, "a", -1);
    check("a:0", THI_HOST_NAME, "a", 0);
    check("a:65535", THI_HOST_NAME, "a", 65535);
    check("a:0000000000000080", THI_HOST_NAME, "a", 80);
    check(":80", THI_HOST_NAME, "", 80);
    refused("a:65536");
    refused("a:99999999999999999999");
    refused("a:8x");
    refused("a:-1");
    refused("a: 80");
    refused("a:80:80");
    refused("a::80");
}
END_TEST

START_TEST(rfc3986_3_2_2_ipv4)
{
    static const char *const yes[] = { "127.0.0.1", "255.255.255.255", "0.0.0.0" };
    static const char *const no[] = { "256.0.0.1", "1.2.3",  "1.2.3.",     "1.2.3.4000", "1.2.3.4.",
                                      "1.2.3.4.5", "1.2..4", "1.2.3.0004", "01.2.3.4",   "" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        ck_assert(thi_host_is_ipv4(th_str_of(yes[i])));
        check(yes[i], THI_HOST_NAME, yes[i], -1);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        ck_assert(!thi_host_is_ipv4(th_str_of(no[i])));
        check(no[i], THI_HOST_NAME, no[i], -1); /* a name all the same */
    }
}
END_TEST

START_TEST(rfc3986_3_2_2_ip_literals)
{
    check("[::1]", THI_HOST_IPV6, "::1", -1);
    check("[::1]:8080", THI_HOST_IPV6, "::1", 8080);
    check("[::1]:", THI_HOST_IPV6, "::1", -1);
    check("[v1.a:b]", THI_HOST_IPVFUTURE, "v1.a:b", -1);
    check("[VfF.~]:1", THI_HOST_IPVFUTURE, "VfF.~", 1);
    refused("[");
    refused("[]");
    refused("[::1");
    refused("[::1]x");
    refused("[::1]80");
    refused("x[::1]");
    refused("[::1%25eth0]");
    refused("[::1%eth0]");
    refused("[v1.]");
    refused("[v.a]");
    refused("[v1a]");
    refused("[v1g.a]");
    refused("[v1.a/]");
    refused("[127.0.0.1]");
    refused("[example.com]");
}
END_TEST

/* inet_pton() knows the same addresses, so each of many likely and unlikely texts goes to both. */
START_TEST(ipv6_addresses_are_those_of_inet_pton)
{
    static const char *const pieces[] = { "",  "0", ":",     "::", "1",       "abcd",
                                          "f", ".", "12345", "g",  "1.2.3.4", "ffff:" };
    uint64_t seed = 7;
    int good = 0;
    for (int round = 0; round < 50000; round++) {
        char text[128] = "[", address[16];
        size_t len = 1;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = seed >> 8;
        for (unsigned count = 1 + (unsigned)(seed >> 59) % 17; count > 0; count--) {
            /* Every other piece is a colon, so that addresses come out now and then. */
            const char *piece = count % 2 ? pieces[bits % 12] : ":";
            bits = bits / 12 ^ seed << count;
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", piece);
        }
        bool known = inet_pton(AF_INET6, text + 1, address) == 1;
        text[len++] = ']';
        thi_authority a;
        int result = thi_authority_parse(th_str_make(text, len), &a);
        ck_assert_msg((result == 0) == known, "%.*s", (int)len, text);
        good += known;
    }
    ck_assert_int_gt(good, 100);
}
END_TEST

START_TEST(ipv6_has_eight_groups_and_one_gap)
{
    check("[1:2:3:4:5:6:7:8]", THI_HOST_IPV6, "1:2:3:4:5:6:7:8", -1);
    check("[1:2:3:4:5:6:7::]", THI_HOST_IPV6, "1:2:3:4:5:6:7::", -1);
    check("[::2:3:4:5:6:7:8]", THI_HOST_IPV6, "::2:3:4:5:6:7:8", -1);
    check("[::ffff:1.2.3.4]", THI_HOST_IPV6, "::ffff:1.2.3.4", -1);
    check("[1:2:3:4:5:6:1.2.3.4]", THI_HOST_IPV6, "1:2:3:4:5:6:1.2.3.4", -1);
    check("[::]", THI_HOST_IPV6, "::", -1);
    refused("[1:2:3:4:5:6:7]");
    refused("[1:2:3:4:5:6:7:8:9]");
    refused("[1:2:3:4:5:6:7:8::]");
    refused("[1:2:3:4::5:6:7:8]");
    refused("[1::2::3]");
    refused("[:1]");
    refused("[1:]");
    refused("[:::]");
    refused("[12345::]");
    refused("[g::]");
    refused("[1.2.3.4::]");
    refused("[::1.2.3]");
    refused("[::256.1.1.1]");
    refused("[1:2:3:4:5:6:7:1.2.3.4]");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *cases = thi_check_case(suite, "authority");
    tcase_add_test(cases, rfc3986_3_2_2_names);
    tcase_add_test(cases, rfc3986_3_2_3_ports);
    tcase_add_test(cases, rfc3986_3_2_2_ipv4);
    tcase_add_test(cases, rfc3986_3_2_2_ip_literals);
    tcase_add_test(cases, ipv6_addresses_are_those_of_inet_pton);
    tcase_add_test(cases, ipv6_has_eight_groups_and_one_gap);
}

int main(void)
{
    return thi_check_run("proto/authority", fill);
}
