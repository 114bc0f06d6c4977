/* SPDX-License-Identifier: MIT */

/* The PROXY protocol: both versions, read in pieces, refused where they are wrong, and written. */
#include "proto/proxy_protocol.h"

#include "check_main.h"

#include "base/util.h"

#include <thrum/error.h>

#include <string.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static thi_proxy_header h;

/* Parses all of it, and every shorter piece, which must ask for more. */
static void parses(th_str text, size_t want)
{
    const char *reason = NULL;
    for (size_t i = 0; i < want; i++) {
        char *piece = malloc(i + 1);
        memcpy(piece, text.ptr, i);
        ssize_t n = thi_proxy_parse(piece, i, &h, &reason);
        free(piece);
        ck_assert_msg(n == 0, "%zu bytes: %zd %s", i, n, reason ? reason : "");
    }
    ssize_t n = thi_proxy_parse(text.ptr, text.len, &h, &reason);
    ck_assert_msg(n == (ssize_t)want, "%zd, %s", n, reason ? reason : "no reason");
}

/* It is refused, at the latest when all of it is there, and never taken for a part of a header
 * after that. */
static void is_refused(th_str text, ssize_t code, const char *word)
{
    const char *reason = NULL;
    thi_proxy_header untouched;
    memset(&h, 0x5a, sizeof h);
    memcpy(&untouched, &h, sizeof h);
    bool refused = false;
    for (size_t i = 0; i <= text.len; i++) {
        ssize_t n = thi_proxy_parse(text.ptr, i, &h, &reason);
        ck_assert_msg(n == (refused ? code : 0) || (!refused && n == code), "%zu bytes: %zd", i, n);
        refused = n < 0;
    }
    ck_assert_msg(refused, "'%.*s' is not refused", TH_STR_ARG(text));
    ck_assert_msg(strstr(reason, word) != NULL, "%s", reason);
    ck_assert_mem_eq(&untouched, &h, sizeof h);
}

static bool is_ip4(const thi_proxy_end *end, unsigned a, unsigned b, unsigned c, unsigned d,
                   unsigned port)
{
    return end->ip[0] == a && end->ip[1] == b && end->ip[2] == c && end->ip[3] == d &&
           end->port == port;
}

/* ---- version 1 ---- */

START_TEST(a_line_of_ip4_is_read)
{
    parses(TH_STR("PROXY TCP4 192.0.2.7 198.51.100.9 56324 443\r\nGET / "), 45);
    ck_assert_uint_eq(h.version, 1);
    ck_assert_uint_eq(h.kind, THI_PROXY_IP4);
    ck_assert(!h.local);
    ck_assert(is_ip4(&h.source, 192, 0, 2, 7, 56324));
    ck_assert(is_ip4(&h.destination, 198, 51, 100, 9, 443));
    ck_assert_uint_eq(h.tlvs.len, 0);
}
END_TEST

START_TEST(a_line_of_ip6_is_read)
{
    static const uint8_t one[16] = { [15] = 1 };
    parses(TH_STR("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), 36);
    ck_assert_uint_eq(h.kind, THI_PROXY_IP6);
    ck_assert_uint_eq(h.source.ip[1], 1);
    ck_assert_mem_eq(h.destination.ip, one, 16);
    ck_assert_uint_eq(h.source.port, 0);
    ck_assert_uint_eq(h.destination.port, 65535);
}
END_TEST

START_TEST(the_longest_lines_of_the_specification_are_read)
{
    parses(TH_STR("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), 56);
    parses(TH_STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
           104);
    parses(TH_STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
           107);
    is_refused(TH_STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655355\r\n"),
               TH_EPROTO, "too long");
}
END_TEST

START_TEST(unknown_says_nothing_of_the_client)
{
    parses(TH_STR("PROXY UNKNOWN\r\nx"), 15);
    ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
    parses(TH_STR("PROXY UNKNOWN what ever \0\xff\r\n"), 28);
    ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
}
END_TEST

START_TEST(a_line_that_is_not_exact_is_refused)
{
    static const char *const lines[] = {
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 ::g 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 123456789\r\n",
        "PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n",
    };
    for (size_t i = 0; i < thi_array_len(lines); i++)
        is_refused(th_str_of(lines[i]), TH_EPROTO, "malformed");
    is_refused(TH_STR("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"), TH_EPROTO, "malformed");
    is_refused(TH_STR("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), TH_EPROTO, "CR LF");
    is_refused(TH_STR("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx"), TH_EPROTO, "CR LF");
}
END_TEST

START_TEST(what_begins_otherwise_is_refused_with_its_first_wrong_byte)
{
    static const char *const texts[] = { "GET / HTTP/1.1", "PROXX",  "proxy",
                                         " PROXY",         "PRI * ", "PROXYTCP4",
                                         "\r\n\r\n\1",     "\r\r",   "\x16\x03\x01" };
    static const size_t at[] = { 1, 5, 1, 1, 3, 6, 5, 2, 1 };
    const char *reason;
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        ck_assert_int_eq(thi_proxy_parse(texts[i], at[i] - 1, &h, &reason), 0);
        ck_assert_int_eq(thi_proxy_parse(texts[i], at[i], &h, &reason), TH_EPROTO);
        ck_assert_ptr_nonnull(strstr(reason, "no PROXY header"));
    }
}
END_TEST

/* ---- version 2 ---- */

START_TEST(a_binary_header_of_ip4_is_read)
{
    parses(TH_STR(SIG "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\x09\xdc\x04\x01\xbbGET"), 28);
    ck_assert_uint_eq(h.version, 2);
    ck_assert_uint_eq(h.kind, THI_PROXY_IP4);
    ck_assert(!h.local && !h.datagrams && !h.checksum);
    ck_assert(is_ip4(&h.source, 192, 0, 2, 7, 56324));
    ck_assert(is_ip4(&h.destination, 198, 51, 100, 9, 443));
}
END_TEST

START_TEST(a_binary_header_of_ip6_is_read)
{
    parses(TH_STR(SIG "\x21\x22\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2"),
           52);
    ck_assert_uint_eq(h.kind, THI_PROXY_IP6);
    ck_assert(h.datagrams);
    ck_assert_uint_eq(h.source.ip[0], 0x20);
    ck_assert_uint_eq(h.source.ip[15], 1);
    ck_assert_uint_eq(h.destination.ip[15], 2);
    ck_assert_uint_eq(h.source.port, 1);
    ck_assert_uint_eq(h.destination.port, 2);
}
END_TEST

START_TEST(a_binary_header_of_unix_sockets_is_read)
{
    char text[16 + 216] = SIG "\x21\x31\0\xd8"
                              "/run/client";
    memcpy(text + 16 + 108, "\0abstract\0name", 14);
    parses(th_str_make(text, sizeof text), sizeof text);
    ck_assert_uint_eq(h.kind, THI_PROXY_UNIX);
    ck_assert(th_str_eq(h.source.path, TH_STR("/run/client")));
    ck_assert(th_str_eq(h.destination.path, TH_STR("\0abstract\0name")));
    memset(text + 16, 'p', 216);
    parses(th_str_make(text, sizeof text), sizeof text);
    ck_assert_uint_eq(h.source.path.len, 108);
}
END_TEST

START_TEST(a_proxy_that_speaks_for_itself_names_nobody)
{
    parses(TH_STR(SIG "\x20\0\0\0x"), 16);
    ck_assert(h.local);
    ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
    parses(TH_STR(SIG "\x20\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\x09\xdc\x04\x01\xbb"), 28);
    ck_assert(h.local);
    ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
    parses(TH_STR(SIG "\x20\x11\0\2??"), 18); /* what it holds is to be ignored */
    parses(TH_STR(SIG "\x21\0\0\3\x04\0\0"), 19);
    ck_assert(!h.local);
    ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
    ck_assert_uint_eq(h.tlvs.len, 3);
}
END_TEST

START_TEST(tlvs_are_found_one_after_the_other)
{
    parses(TH_STR(SIG "\x21\x11\0\x17\1\2\3\4\5\6\7\x08\0\1\0\2\1\0\2h2\x04\0\0\xe0\0\0"), 39);
    th_str rest = h.tlvs;
    th_str value;
    uint8_t type;
    ck_assert(thi_proxy_tlv_next(&rest, &type, &value));
    ck_assert_uint_eq(type, THI_PROXY_TLV_ALPN);
    ck_assert(th_str_eq(value, TH_STR("h2")));
    ck_assert(thi_proxy_tlv_next(&rest, &type, &value));
    ck_assert_uint_eq(type, THI_PROXY_TLV_NOOP);
    ck_assert(thi_proxy_tlv_next(&rest, &type, &value));
    ck_assert_uint_eq(type, 0xe0);
    ck_assert_uint_eq(value.len, 0);
    ck_assert(!thi_proxy_tlv_next(&rest, &type, &value));
}
END_TEST

START_TEST(a_binary_header_that_is_not_exact_is_refused)
{
    is_refused(TH_STR(SIG "\x11\x11\0\x0c"), TH_EPROTO, "version or command");
    is_refused(TH_STR(SIG "\x22\x11\0\x0c"), TH_EPROTO, "version or command");
    is_refused(TH_STR(SIG "\x21\x41\0\x0c"), TH_EPROTO, "family");
    is_refused(TH_STR(SIG "\x21\x13\0\x0c"), TH_EPROTO, "family");
    is_refused(TH_STR(SIG "\x21\x10\0\x0c"), TH_EPROTO, "family");
    is_refused(TH_STR(SIG "\x21\x01\0\x0c"), TH_EPROTO, "family");
    is_refused(TH_STR(SIG "\x21\x11\0\x0b"), TH_EPROTO, "too short");
    is_refused(TH_STR(SIG "\x21\x21\0\x23"), TH_EPROTO, "too short");
    is_refused(TH_STR(SIG "\x21\x31\0\xd7"), TH_EPROTO, "too short");
    is_refused(TH_STR(SIG "\x21\x11\0\x0d\1\2\3\4\5\6\7\x08\0\1\0\2\1"), TH_EPROTO, "within a TLV");
    is_refused(TH_STR(SIG "\x21\x11\0\x10\1\2\3\4\5\6\7\x08\0\1\0\2\1\0\2h"), TH_EPROTO,
               "within a TLV");
}
END_TEST

/* 4096 bytes with everything is the longest that is read; one more is refused at once. */
START_TEST(a_binary_header_has_a_limit)
{
    static char text[THI_PROXY_V2_MAX] = SIG "\x21\0\x0f\xf0\x04\x0f\xed";
    const char *reason;
    ck_assert_int_eq(thi_proxy_parse(text, sizeof text - 1, &h, &reason), 0);
    ck_assert_int_eq(thi_proxy_parse(text, sizeof text, &h, &reason), THI_PROXY_V2_MAX);
    text[15] = (char)0xf1;
    ck_assert_int_eq(thi_proxy_parse(text, 15, &h, &reason), 0);
    ck_assert_int_eq(thi_proxy_parse(text, 16, &h, &reason), TH_ELIMIT);
    text[12] = 0x20; /* also of one that is ignored */
    ck_assert_int_eq(thi_proxy_parse(text, 16, &h, &reason), TH_ELIMIT);
}
END_TEST

/* ---- the checksum, and writing ---- */

static thi_proxy_header full(unsigned version)
{
    thi_proxy_header w = { .version = (uint8_t)version,
                           .kind = THI_PROXY_IP4,
                           .source = { { 192, 0, 2, 7 }, 56324, { NULL, 0 } },
                           .destination = { { 198, 51, 100, 9 }, 443, { NULL, 0 } } };
    return w;
}

START_TEST(a_checksum_is_written_and_checked)
{
    char buf[64];
    const char *reason;
    thi_proxy_header w = full(2);
    w.checksum = true;
    w.tlvs = TH_STR("\1\0\2h2");
    size_t len = thi_proxy_write(&w, buf, sizeof buf);
    ck_assert_uint_eq(len, 16 + 12 + 5 + 7);
    parses(th_str_make(buf, len), len);
    ck_assert(h.checksum);
    for (size_t bit = 8 * 16; bit < 8 * len; bit++) { /* none that is changed goes unseen */
        buf[bit / 8] = (char)(buf[bit / 8] ^ 1 << bit % 8);
        ssize_t n = thi_proxy_parse(buf, len, &h, &reason);
        ck_assert(n < 0 || (n > 0 && !h.checksum)); /* a TLV of another type is no checksum */
        buf[bit / 8] = (char)(buf[bit / 8] ^ 1 << bit % 8);
    }
}
END_TEST

/* "123456789" gives E3069283: shown by a header whose bytes around it are known. */
START_TEST(the_checksum_is_crc32c)
{
    is_refused(TH_STR(SIG "\x21\0\0\7\3\0\4\0\0\0\0"), TH_EPROTO, "checksum is wrong");
    is_refused(TH_STR(SIG "\x21\0\0\6\3\0\3\0\0\0"), TH_EPROTO, "checksum is malformed");
    char buf[32];
    thi_proxy_header w = { .version = 2, .checksum = true };
    size_t len = thi_proxy_write(&w, buf, sizeof buf);
    ck_assert_uint_eq(len, 23);
    uint32_t crc = UINT32_MAX; /* by table, as others do it */
    static const char digits[] = "123456789";
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ UINT32_C(0x82f63b78) : table[i] >> 1;
    }
    for (int i = 0; i < 9; i++)
        crc = crc >> 8 ^ table[(crc ^ (uint8_t)digits[i]) & 0xff];
    ck_assert_uint_eq(~crc, UINT32_C(0xe3069283));
    crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[(crc ^ (i < 19 ? (uint8_t)buf[i] : 0u)) & 0xff];
    crc = ~crc;
    const uint8_t *own = (const uint8_t *)buf + 19;
    ck_assert_uint_eq(
        (uint32_t)own[0] << 24 | (uint32_t)own[1] << 16 | (uint32_t)own[2] << 8 | own[3], crc);
}
END_TEST

START_TEST(what_is_written_is_read_as_the_same)
{
    char buf[THI_PROXY_V2_MAX];
    for (unsigned version = 1; version <= 2; version++) {
        thi_proxy_header w = full(version);
        size_t len = thi_proxy_write(&w, buf, sizeof buf);
        ck_assert_uint_eq(len, version == 1 ? 45u : 28u);
        parses(th_str_make(buf, len), len);
        ck_assert_uint_eq(h.version, version);
        ck_assert(is_ip4(&h.source, 192, 0, 2, 7, 56324));
        ck_assert(is_ip4(&h.destination, 198, 51, 100, 9, 443));
        ck_assert_uint_eq(thi_proxy_write(&w, buf, len), len);
        ck_assert_uint_eq(thi_proxy_write(&w, buf, len - 1), 0);
        w.local = true;
        len = thi_proxy_write(&w, buf, sizeof buf);
        parses(th_str_make(buf, len), len);
        ck_assert_uint_eq(h.kind, THI_PROXY_NONE);
    }
}
END_TEST

START_TEST(unix_sockets_are_written_in_version_2_only)
{
    char buf[300];
    thi_proxy_header w = { .version = 2, .kind = THI_PROXY_UNIX };
    w.source.path = TH_STR("/client");
    size_t len = thi_proxy_write(&w, buf, sizeof buf);
    parses(th_str_make(buf, len), 232);
    ck_assert(th_str_eq(h.source.path, TH_STR("/client")));
    ck_assert_uint_eq(h.destination.path.len, 0);
    w.version = 1;
    len = thi_proxy_write(&w, buf, sizeof buf);
    ck_assert(th_str_eq(th_str_make(buf, len), TH_STR("PROXY UNKNOWN\r\n")));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "version 1");
    tcase_add_test(tcase, a_line_of_ip4_is_read);
    tcase_add_test(tcase, a_line_of_ip6_is_read);
    tcase_add_test(tcase, the_longest_lines_of_the_specification_are_read);
    tcase_add_test(tcase, unknown_says_nothing_of_the_client);
    tcase_add_test(tcase, a_line_that_is_not_exact_is_refused);
    tcase_add_test(tcase, what_begins_otherwise_is_refused_with_its_first_wrong_byte);
    tcase = thi_check_case(suite, "version 2");
    tcase_add_test(tcase, a_binary_header_of_ip4_is_read);
    tcase_add_test(tcase, a_binary_header_of_ip6_is_read);
    tcase_add_test(tcase, a_binary_header_of_unix_sockets_is_read);
    tcase_add_test(tcase, a_proxy_that_speaks_for_itself_names_nobody);
    tcase_add_test(tcase, tlvs_are_found_one_after_the_other);
    tcase_add_test(tcase, a_binary_header_that_is_not_exact_is_refused);
    tcase_add_test(tcase, a_binary_header_has_a_limit);
    tcase = thi_check_case(suite, "writing");
    tcase_add_test(tcase, a_checksum_is_written_and_checked);
    tcase_add_test(tcase, the_checksum_is_crc32c);
    tcase_add_test(tcase, what_is_written_is_read_as_the_same);
    tcase_add_test(tcase, unix_sockets_are_written_in_version_2_only);
}

int main(void)
{
    return thi_check_run("proto/proxy_protocol", fill);
}
