/* SPDX-License-Identifier: MIT */

/* Lines of an access log: both formats, escaping, bounds. */
#include "check_main.h"

#include "base/util.h"
#include "observe/access_line.h"

#include <thrum/time.h>

#include <string.h>

static th_addr peer;
static th_http_record record;

static void begin(void)
{
    ck_assert_int_eq(th_addr_parse("192.0.2.7:50000", &peer), 0);
    record = (th_http_record){ .method = TH_STR("GET"),
                               .target = TH_STR("/a?b=c"),
                               .version = 11,
                               .host = TH_STR("example.org"),
                               .referer = TH_STR("http://there/"),
                               .user_agent = TH_STR("curl/8"),
                               .status = 200,
                               .body_bytes = 1234,
                               .wall = 951782399 * TH_SECOND + 7 * TH_MILLISECOND,
                               .duration = 1500 * TH_MICROSECOND,
                               .peer = &peer };
}

static const char *line_in(th_access_log_format format)
{
    static char line[THI_ACCESS_LINE_MAX + 1];
    size_t len = thi_access_line(&record, format, line);
    ck_assert_uint_gt(len, 0);
    ck_assert_uint_le(len, THI_ACCESS_LINE_MAX);
    ck_assert_ptr_eq(memchr(line, '\n', len), line + len - 1);
    line[len - 1] = '\0';
    return line;
}

static th_str text_of(const char *text)
{
    return (th_str){ text, strlen(text) };
}

/* ---- whole lines ----------------------------------------------------------------------------- */

START_TEST(a_common_line)
{
    ck_assert_str_eq(line_in(TH_ACCESS_LOG_COMMON),
                     "192.0.2.7 - - [28/Feb/2000:23:59:59 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234");
    record.wall += TH_SECOND;
    record.version = 10;
    record.body_bytes = 0;
    ck_assert_str_eq(line_in(TH_ACCESS_LOG_COMMON),
                     "192.0.2.7 - - [29/Feb/2000:00:00:00 +0000] \"GET /a?b=c HTTP/1.0\" 200 -");
}
END_TEST

START_TEST(a_json_line)
{
    ck_assert_str_eq(line_in(TH_ACCESS_LOG_JSON),
                     "{\"time\":\"2000-02-28T23:59:59.007Z\",\"peer\":\"192.0.2.7:50000\","
                     "\"method\":\"GET\",\"target\":\"/a?b=c\",\"version\":\"1.1\","
                     "\"host\":\"example.org\",\"status\":200,\"bytes\":1234,\"duration_us\":1500,"
                     "\"referer\":\"http://there/\",\"user_agent\":\"curl/8\"}");
}
END_TEST

START_TEST(a_head_that_could_not_be_read_leaves_dashes_or_empty_texts)
{
    record = (th_http_record){ .wall = record.wall, .version = 11, .status = 400, .peer = &peer };
    ck_assert_str_eq(line_in(TH_ACCESS_LOG_COMMON),
                     "192.0.2.7 - - [28/Feb/2000:23:59:59 +0000] \"-\" 400 -");
    ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_JSON), "\"method\":\"\",\"target\":\"\""));
    record.status = 0;
    ck_assert_str_eq(line_in(TH_ACCESS_LOG_COMMON),
                     "192.0.2.7 - - [28/Feb/2000:23:59:59 +0000] \"-\" - -");
}
END_TEST

START_TEST(peers_of_every_kind_have_a_name)
{
    static const char *const rows[][3] = {
        { "[2001:db8::1]:80", "2001:db8::1 - -", "\"peer\":\"[2001:db8::1]:80\"" },
        { "unix:/a/socket", "unix - -", "\"peer\":\"unix:/a/socket\"" },
        { "unix:@name", "unix - -", "\"peer\":\"unix:@name\"" },
    };
    for (size_t i = 0; i < thi_array_len(rows); i++) {
        ck_assert_int_eq(th_addr_parse(rows[i][0], &peer), 0);
        ck_assert_ptr_eq(strstr(line_in(TH_ACCESS_LOG_COMMON), rows[i][1]),
                         line_in(TH_ACCESS_LOG_COMMON));
        ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_JSON), rows[i][2]));
    }
}
END_TEST

/* ---- escaping -------------------------------------------------------------------------------- */

START_TEST(what_could_forge_a_line_is_escaped)
{
    static const char *const rows[][3] = {
        { "a\nb\r", "a\\x0ab\\x0d", "a\\u000ab\\u000d" },
        { "\x1b[31m\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\\u007f" },
        { "\"quoted\"", "\\x22quoted\\x22", "\\u0022quoted\\u0022" },
        { "back\\slash", "back\\x5cslash", "back\\u005cslash" },
        { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9d" },
        { "\x80\xbf", "\\x80\\xbf", "\\u0080\\u00bf" }, /* no start */
        { "\xc0\xaf", "\\xc0\\xaf", "\\u00c0\\u00af" }, /* longer than need be */
        { "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\u00e0\\u0080\\u00af" },
        { "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\u00ed\\u00a0\\u0080" }, /* a surrogate */
        { "\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80", "\\u00f0\\u0080\\u0080\\u0080" },
        { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\u00f4\\u0090\\u0080\\u0080" },
        { "\xf5\xff", "\\xf5\\xff", "\\u00f5\\u00ff" },
        { "\xe2\x82", "\\xe2\\x82", "\\u00e2\\u0082" }, /* cut off */
        { "\xe2\x82x", "\\xe2\\x82x", "\\u00e2\\u0082x" },
    };
    for (size_t i = 0; i < thi_array_len(rows); i++) {
        record.target = text_of(rows[i][0]);
        ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_COMMON), rows[i][1]));
        ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_JSON), rows[i][2]));
    }
}
END_TEST

START_TEST(a_nul_byte_is_escaped)
{
    record.target = (th_str){ "a\0b", 3 };
    ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_COMMON), "a\\x00b"));
    ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_JSON), "a\\u0000b"));
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

static char many[1000];

START_TEST(texts_are_cut_at_their_bound)
{
    char expected[400];
    memset(many, 'a', sizeof many);
    memset(expected, 'a', sizeof expected);
    record.target = (th_str){ many, 300 };
    ck_assert_ptr_null(strstr(line_in(TH_ACCESS_LOG_COMMON), "..."));
    record.target.len = 301;
    memcpy(expected, "GET ", 4);
    memcpy(expected + 304, "... HTTP", 9);
    ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_COMMON), expected));
    record.target.len = 1;
    record.user_agent = (th_str){ many, 80 };
    ck_assert_ptr_null(strstr(line_in(TH_ACCESS_LOG_JSON), "..."));
    record.user_agent.len = 81;
    ck_assert_ptr_nonnull(strstr(line_in(TH_ACCESS_LOG_JSON), "aaa...\"}"));
}
END_TEST

/* All texts as long as can be, of bytes that are escaped, the peer's name too. */
START_TEST(the_longest_line_is_whole)
{
    th_str text = { many, sizeof many };
    memset(many, 1, sizeof many);
    peer = (th_addr){ .kind = TH_ADDR_UNIX, .path_len = 108 };
    memset(peer.path, 1, 108);
    record.method = record.target = record.host = record.referer = record.user_agent = text;
    record.body_bytes = UINT64_MAX;
    record.duration = INT64_MAX;
    const char *line = line_in(TH_ACCESS_LOG_JSON);
    ck_assert_str_eq(line + strlen(line) - 11, "\\u0001...\"}");
    line = line_in(TH_ACCESS_LOG_COMMON);
    ck_assert_ptr_nonnull(strstr(line, "... HTTP/1.1\" 200 18446744073709551615"));
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "access_line");
    tcase_add_checked_fixture(tcase, begin, NULL);
    tcase_add_test(tcase, a_common_line);
    tcase_add_test(tcase, a_json_line);
    tcase_add_test(tcase, a_head_that_could_not_be_read_leaves_dashes_or_empty_texts);
    tcase_add_test(tcase, peers_of_every_kind_have_a_name);
    tcase_add_test(tcase, what_could_forge_a_line_is_escaped);
    tcase_add_test(tcase, a_nul_byte_is_escaped);
    tcase_add_test(tcase, texts_are_cut_at_their_bound);
    tcase_add_test(tcase, the_longest_line_is_whole);
}

int main(void)
{
    return thi_check_run("observe/access_line", fill_suite);
}
