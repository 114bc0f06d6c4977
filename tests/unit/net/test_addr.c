/* SPDX-License-Identifier: MIT */

/* Addresses as text, as values, and as the kernel wants them. */
#include "check_main.h"

#include "base/util.h"
#include "net/addr.h"

#include <thrum/error.h>

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PATH_MOST 108

static th_addr parsed(const char *text)
{
    th_addr addr;
    int err = th_addr_parse(text, &addr);
    ck_assert_msg(err == 0, "%s: %s", text, th_err_detail());
    return addr;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct row {
    const char *text;
    const char *formatted;
} row;

START_TEST(texts_are_read_and_written_in_their_shortest_form)
{
    static const row rows[] = {
        { "127.0.0.1:80", "127.0.0.1:80" },
        { "tcp://127.0.0.1:80", "127.0.0.1:80" },
        { "255.255.255.255:65535", "255.255.255.255:65535" },
        { "0.0.0.0:0", "0.0.0.0:0" },
        { "localhost:8080", "127.0.0.1:8080" },
        { "tcp://localhost:1", "127.0.0.1:1" },
        { "*:443", "0.0.0.0:443" },
        { ":443", "0.0.0.0:443" },
        { "tcp://:443", "0.0.0.0:443" },
        { "[::1]:80", "[::1]:80" },
        { "tcp://[::1]:80", "[::1]:80" },
        { "[::]:0", "[::]:0" },
        { "[2001:DB8:0:0:0:0:0:1]:5", "[2001:db8::1]:5" },
        { "[::ffff:10.0.0.1]:5", "[::ffff:10.0.0.1]:5" },
        { "[fe80::1%7]:80", "[fe80::1%7]:80" },
        { "[fe80::1%4294967295]:80", "[fe80::1%4294967295]:80" },
        { "unix:/run/a.sock", "unix:/run/a.sock" },
        { "unix:///run/a.sock", "unix:/run/a.sock" },
        { "unix:a.sock", "unix:a.sock" },
        { "unix://a.sock", "unix:a.sock" },
        { "unix:/with:colon and blank", "unix:/with:colon and blank" },
        { "unix:@name", "unix:@name" },
        { "unix://@name", "unix:@name" },
        { "unix:////two/slashes", "unix:////two/slashes" },
    };
    for (size_t i = 0; i < thi_array_len(rows); i++) {
        th_addr addr = parsed(rows[i].text);
        char text[TH_ADDR_TEXT];
        ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), rows[i].formatted);
        th_addr again = parsed(text);
        ck_assert_int_eq(th_addr_equal(&addr, &again), 1);
    }
}
END_TEST

START_TEST(what_cannot_be_read_is_refused_with_a_detail)
{
    static const char *const texts[] = {
        "",
        "80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:18446744073709551616",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        "127.0.0.1:0x50",
        "127.0.0.1:http",
        "127.0.0.1:80/",
        "127.1:80",
        "2130706433:80",
        "0177.0.0.1:80",
        "127.0.0.01:80",
        "0x7f.0.0.1:80",
        "127.0.0.256:80",
        "127.0.0.1.1:80",
        " 127.0.0.1:80",
        "LOCALHOST.:80",
        "example.org:80",
        "**:80",
        "::1:80",
        "::1",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[:80",
        "]:80",
        "[127.0.0.1]:80",
        "[:::1]:80",
        "[fe80::1%]:80",
        "[fe80::1%0]:80",
        "[fe80::1%4294967296]:80",
        "[fe80::1%no-such-interface]:80",
        "http://127.0.0.1:80",
        "tcp:127.0.0.1:80",
        "unix:",
        "unix://",
    };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        th_addr addr = { .kind = 77 };
        int err = th_addr_parse(texts[i], &addr);
        ck_assert_msg(err == TH_EADDRESS, "'%s' gave %s", texts[i], th_errname(err));
        ck_assert_msg(strstr(th_err_detail(), texts[i]) != NULL, "'%s' is not in '%s'", texts[i],
                      th_err_detail());
        ck_assert_uint_eq(addr.kind, 77);
    }
}
END_TEST

START_TEST(a_url_is_told_as_such)
{
    static const char *const texts[] = { "https://127.0.0.1:443/", "http://h", "tcp://x://1:2" };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        th_addr addr;
        ck_assert_int_eq(th_addr_parse(texts[i], &addr), TH_EADDRESS);
        ck_assert_msg(strstr(th_err_detail(), ": no address begins with ") != NULL, "%s",
                      th_err_detail());
    }
}
END_TEST

START_TEST(null_is_refused)
{
    th_addr addr;
    ck_assert_int_eq(th_addr_parse(NULL, &addr), -EINVAL);
    ck_assert_int_eq(th_addr_parse("127.0.0.1:80", NULL), -EINVAL);
}
END_TEST

START_TEST(a_zone_may_be_the_name_of_an_interface)
{
    char name[IF_NAMESIZE];
    char text[80];
    if (!if_indextoname(1, name))
        return;
    (void)snprintf(text, sizeof text, "[fe80::1%%%s]:80", name);
    ck_assert_uint_eq(parsed(text).scope, 1);
}
END_TEST

static const char *long_path(const char *start, size_t len)
{
    static char text[PATH_MOST + 20];
    size_t scheme = strlen("unix:");
    memset(text, 'p', sizeof text);
    memcpy(text, "unix:", scheme);
    memcpy(text + scheme, start, strlen(start));
    text[scheme + len] = '\0';
    return text;
}

START_TEST(a_path_has_108_bytes_at_most)
{
    static const char *const starts[] = { "/", "@" };
    for (size_t i = 0; i < thi_array_len(starts); i++) {
        th_addr addr;
        ck_assert_int_eq(th_addr_parse(long_path(starts[i], PATH_MOST + 1), &addr), TH_EADDRESS);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), "109"));
        ck_assert_int_eq(th_addr_parse(long_path(starts[i], PATH_MOST), &addr), 0);
    }
    th_addr addr = parsed(long_path("/", PATH_MOST));
    char text[TH_ADDR_TEXT];
    ck_assert_uint_eq(addr.path_len, PATH_MOST);
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), long_path("/", PATH_MOST));
}
END_TEST

START_TEST(an_overlong_host_is_refused)
{
    char text[300];
    memset(text, '1', sizeof text);
    memcpy(text + 200, ":80", 4);
    th_addr addr;
    ck_assert_int_eq(th_addr_parse(text, &addr), TH_EADDRESS);
}
END_TEST

/* ---- writing --------------------------------------------------------------------------------- */

START_TEST(none_and_unnamed_have_texts_of_their_own)
{
    char text[TH_ADDR_TEXT];
    th_addr addr = { .kind = TH_ADDR_NONE };
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), "-");
    addr.kind = TH_ADDR_UNIX;
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), "unix:");
}
END_TEST

START_TEST(a_text_is_cut_where_there_is_no_room)
{
    th_addr addr = parsed("127.0.0.1:8080");
    char text[16] = "untouched";
    ck_assert_ptr_eq(th_addr_format(&addr, text, 0), text);
    ck_assert_str_eq(text, "untouched");
    ck_assert_str_eq(th_addr_format(&addr, text, 1), "");
    ck_assert_str_eq(th_addr_format(&addr, text, 14), "127.0.0.1:808");
    ck_assert_str_eq(th_addr_format(&addr, text, 15), "127.0.0.1:8080");
}
END_TEST

START_TEST(the_longest_addresses_fit_into_the_room_for_texts)
{
    char text[TH_ADDR_TEXT];
    th_addr ip6 = { .kind = TH_ADDR_IP6, .port = 65535, .scope = UINT32_MAX };
    memset(ip6.ip, 0xff, sizeof ip6.ip);
    th_addr_format(&ip6, text, sizeof text);
    ck_assert_str_eq(text, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
    th_addr path = { .kind = TH_ADDR_UNIX, .path_len = PATH_MOST };
    memset(path.path, '/', PATH_MOST);
    th_addr_format(&path, text, sizeof text);
    th_addr again = parsed(text);
    ck_assert_int_eq(th_addr_equal(&path, &again), 1);
}
END_TEST

/* ---- comparing ------------------------------------------------------------------------------- */

START_TEST(addresses_are_equal_when_every_part_is)
{
    static const char *const all_different[] = {
        "127.0.0.1:80",   "127.0.0.1:81",
        "127.0.0.2:80",   "[::1]:80",
        "[::1]:81",       "[::2]:80",
        "[fe80::1%1]:80", "[fe80::1%2]:80",
        "unix:/a",        "unix:/b",
        "unix:/aa",       "unix:@/a",
        "unix:@a",        "[::ffff:127.0.0.1]:80",
    };
    for (size_t i = 0; i < thi_array_len(all_different); i++)
        for (size_t j = 0; j < thi_array_len(all_different); j++) {
            th_addr a = parsed(all_different[i]);
            th_addr b = parsed(all_different[j]);
            ck_assert_int_eq(th_addr_equal(&a, &b), i == j);
        }
}
END_TEST

START_TEST(none_equals_only_none)
{
    th_addr none = { .kind = TH_ADDR_NONE };
    th_addr other = { .kind = TH_ADDR_NONE, .port = 5 };
    th_addr some = parsed("127.0.0.1:80");
    ck_assert_int_eq(th_addr_equal(&none, &other), 1);
    ck_assert_int_eq(th_addr_equal(&none, &some), 0);
}
END_TEST

/* ---- the kernel's form ----------------------------------------------------------------------- */

START_TEST(an_address_survives_the_way_through_the_kernels_form)
{
    const char *texts[] = { "127.0.0.1:80", "[2001:db8::1]:443", "[fe80::1%3]:1",
                            "unix:/a/b",    "unix:@name",        long_path("/", PATH_MOST) };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        th_addr addr = parsed(texts[i]);
        th_addr again;
        thi_sockaddr sa;
        socklen_t len = thi_addr_to_sockaddr(&addr, &sa);
        ck_assert_uint_gt(len, 0);
        ck_assert_uint_le(len, sizeof sa);
        ck_assert_int_eq(sa.sa.sa_family, thi_addr_family(&addr));
        thi_addr_from_sockaddr(&sa, len, &again);
        ck_assert_int_eq(th_addr_equal(&addr, &again), 1);
    }
}
END_TEST

START_TEST(ports_and_numbers_are_in_network_order_for_the_kernel)
{
    th_addr addr = parsed("1.2.3.4:258");
    thi_sockaddr sa;
    ck_assert_uint_eq(thi_addr_to_sockaddr(&addr, &sa), sizeof(struct sockaddr_in));
    struct sockaddr_in in;
    memcpy(&in, &sa, sizeof in);
    ck_assert_uint_eq(in.sin_port, htons(258));
    ck_assert_uint_eq(in.sin_addr.s_addr, htonl(0x01020304));
}
END_TEST

START_TEST(a_path_has_a_nul_and_an_abstract_name_its_length)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    thi_sockaddr sa;
    th_addr addr = parsed("unix:/ab");
    ck_assert_uint_eq(thi_addr_to_sockaddr(&addr, &sa), head + 4);
    addr = parsed("unix:@ab");
    ck_assert_uint_eq(thi_addr_to_sockaddr(&addr, &sa), head + 3);
    addr = parsed(long_path("/", PATH_MOST));
    ck_assert_uint_eq(thi_addr_to_sockaddr(&addr, &sa), head + PATH_MOST);
}
END_TEST

START_TEST(what_the_kernel_does_not_tell_is_none)
{
    thi_sockaddr sa;
    th_addr addr = { .kind = 77 };
    memset(&sa, 0xff, sizeof sa);
    thi_addr_from_sockaddr(&sa, 0, &addr);
    ck_assert_uint_eq(addr.kind, TH_ADDR_NONE);
    sa.sa.sa_family = AF_NETLINK;
    thi_addr_from_sockaddr(&sa, sizeof sa, &addr);
    ck_assert_uint_eq(addr.kind, TH_ADDR_NONE);
    sa.sa.sa_family = AF_UNIX;
    thi_addr_from_sockaddr(&sa, sizeof(sa_family_t), &addr);
    ck_assert_uint_eq(addr.kind, TH_ADDR_UNIX);
    ck_assert_uint_eq(addr.path_len, 0);
    ck_assert_uint_eq(thi_addr_to_sockaddr(&(th_addr){ .kind = TH_ADDR_NONE }, &sa), 0);
    ck_assert_int_eq(thi_addr_family(&(th_addr){ .kind = TH_ADDR_NONE }), AF_UNSPEC);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "reading");
    tcase_add_test(tcase, texts_are_read_and_written_in_their_shortest_form);
    tcase_add_test(tcase, what_cannot_be_read_is_refused_with_a_detail);
    tcase_add_test(tcase, a_url_is_told_as_such);
    tcase_add_test(tcase, null_is_refused);
    tcase_add_test(tcase, a_zone_may_be_the_name_of_an_interface);
    tcase_add_test(tcase, a_path_has_108_bytes_at_most);
    tcase_add_test(tcase, an_overlong_host_is_refused);
    tcase = thi_check_case(suite, "writing");
    tcase_add_test(tcase, none_and_unnamed_have_texts_of_their_own);
    tcase_add_test(tcase, a_text_is_cut_where_there_is_no_room);
    tcase_add_test(tcase, the_longest_addresses_fit_into_the_room_for_texts);
    tcase = thi_check_case(suite, "comparing");
    tcase_add_test(tcase, addresses_are_equal_when_every_part_is);
    tcase_add_test(tcase, none_equals_only_none);
    tcase = thi_check_case(suite, "kernel");
    tcase_add_test(tcase, an_address_survives_the_way_through_the_kernels_form);
    tcase_add_test(tcase, ports_and_numbers_are_in_network_order_for_the_kernel);
    tcase_add_test(tcase, a_path_has_a_nul_and_an_abstract_name_its_length);
    tcase_add_test(tcase, what_the_kernel_does_not_tell_is_none);
}

int main(void)
{
    return thi_check_run("net/addr", fill_suite);
}
