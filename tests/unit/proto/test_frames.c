/* SPDX-License-Identifier: MIT */

/* Lines, netstrings and prefixed frames: cut at every byte, at their limits, and broken. */
#include "check_main.h"

#include "proto/line.h"
#include "proto/netstring.h"
#include "proto/prefix.h"

#include <thrum/error.h>

/* A parser with its settings, shown longer and longer beginnings. */
typedef struct parser {
    ssize_t (*next)(struct parser *p, th_str bytes, th_str *frame);
    thi_line line;
    size_t limit;
    unsigned width;
} parser;

static ssize_t next_line(parser *p, th_str bytes, th_str *frame)
{
    return thi_line_next(&p->line, bytes, frame);
}

static ssize_t next_netstring(parser *p, th_str bytes, th_str *frame)
{
    return thi_netstring_next(p->limit, bytes, frame);
}

static ssize_t next_prefixed(parser *p, th_str bytes, th_str *frame)
{
    return thi_prefix_next(p->width, p->limit, bytes, frame);
}

static parser lines(const char *delimiter, size_t limit)
{
    parser p = { .next = next_line,
                 .line = { .delimiter_len = strlen(delimiter), .limit = limit } };
    memcpy(p.line.delimiter, delimiter, strlen(delimiter));
    return p;
}

static parser netstrings(size_t limit)
{
    return (parser){ .next = next_netstring, .limit = limit };
}

static parser prefixed(unsigned width, size_t limit)
{
    return (parser){ .next = next_prefixed, .width = width, .limit = limit };
}

/*
 * All frames of a text whose bytes come in chunks of `step`, each with a bar behind it; then the
 * error, if there is one. The bytes lie at the end of a block of their own, so that a sanitizer
 * sees a look beyond them.
 */
static void cut(parser p, const char *text, size_t len, size_t step, char *out, size_t size)
{
    size_t begin = 0;
    size_t at = 0;
    for (size_t end = 0; end < len;) {
        end = end + step < len ? end + step : len;
        ssize_t n = 1;
        while (n > 0 && begin < end) {
            char *copy = malloc(end - begin);
            th_str frame;
            memcpy(copy, text + begin, end - begin);
            n = p.next(&p, th_str_make(copy, end - begin), &frame);
            ck_assert_int_le(n, (ssize_t)(end - begin));
            if (n > 0) {
                at += (size_t)snprintf(out + at, size - at, "%.*s|", TH_STR_ARG(frame));
                begin += (size_t)n;
            }
            free(copy);
        }
        if (n < 0) {
            snprintf(out + at, size - at, "!%s", th_errname((int)n));
            return;
        }
    }
}

#define gives(p, text, wanted)                                                                     \
    do {                                                                                           \
        for (size_t step_ = 1; step_ <= sizeof(text); step_++) {                                   \
            char out_[512] = "";                                                                   \
            cut(p, text, sizeof(text) - 1, step_, out_, sizeof out_);                              \
            ck_assert_str_eq(out_, wanted);                                                        \
        }                                                                                          \
    } while (0)

/* ---- lines ----------------------------------------------------------------------------------- */

START_TEST(lines_are_found_wherever_they_are_cut)
{
    gives(lines("\r\n", 20), "warp\r\n\r\nweft\r\nmore", "warp||weft|");
    gives(lines("\n", 20), "warp\n\nweft\r\n", "warp||weft\r|");
    gives(lines("\r\n", 20), "a\rb\nc\r\r\n\n\r\n", "a\rb\nc\r|\n|");
    gives(lines("aab", 20), "aaab--aab", "a|--|");
    gives(lines("END-OF-MESSAGE..", 20), "helloEND-OF-MESSAGE..", "hello|");
}
END_TEST

START_TEST(a_line_at_the_limit_passes_and_one_byte_more_does_not)
{
    gives(lines("\r\n", 4), "warp\r\nweft\r\n", "warp|weft|");
    gives(lines("\r\n", 3), "war\r\nwarp\r\nx\r\n", "war|!TH_ELIMIT");
    gives(lines("\n", 0), "\n\nx\n", "||!TH_ELIMIT");
}
END_TEST

START_TEST(an_unfinished_line_is_too_long_when_no_delimiter_can_save_it)
{
    th_str frame;
    parser p = lines("\r\n", 4);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warp"), &frame), 0);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warp\r"), &frame), 0);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warp\r\n"), &frame), 6);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warp\r"), &frame), 0);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warp\rx"), &frame), TH_ELIMIT);
    p = lines("\r\n", 4);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warpx"), &frame), 0);
    ck_assert_int_eq(thi_line_next(&p.line, TH_STR("warpxy"), &frame), TH_ELIMIT);
}
END_TEST

/* If each look began at the front again, this would take minutes. */
START_TEST(a_long_line_that_comes_byte_by_byte_is_looked_at_once)
{
    enum { SIZE = 2000000 };
    char *text = malloc(SIZE);
    th_str frame;
    parser p = lines("\r\n", SIZE);
    memset(text, '\r', SIZE);
    text[SIZE - 1] = '\n';
    for (size_t len = 1; len < SIZE; len++)
        ck_assert_int_eq(thi_line_next(&p.line, th_str_make(text, len), &frame), 0);
    ck_assert_int_eq(thi_line_next(&p.line, th_str_make(text, SIZE), &frame), SIZE);
    ck_assert_uint_eq(frame.len, SIZE - 2);
    free(text);
}
END_TEST

/* ---- netstrings ------------------------------------------------------------------------------ */

START_TEST(netstrings_are_found_wherever_they_are_cut)
{
    gives(netstrings(99), "0:,", "|");
    gives(netstrings(99), "4:warp,4:weft,", "warp|weft|");
    gives(netstrings(99), "12:4:warp,7,1:,,10:0123456789,3:", "4:warp,7,1:,|0123456789|");
}
END_TEST

START_TEST(what_is_no_netstring_is_refused)
{
    gives(netstrings(99), "04:warp,", "!TH_EPROTO");
    gives(netstrings(99), "00:,", "!TH_EPROTO");
    gives(netstrings(99), ":,", "!TH_EPROTO");
    gives(netstrings(99), "4warp,", "!TH_EPROTO");
    gives(netstrings(99), " 4:warp,", "!TH_EPROTO");
    gives(netstrings(99), "-4:warp,", "!TH_EPROTO");
    gives(netstrings(99), "4:warpx", "!TH_EPROTO");
    gives(netstrings(99), "4:warp,4:weft;4:weft,", "warp|!TH_EPROTO");
}
END_TEST

START_TEST(a_netstring_is_refused_by_its_digits_alone)
{
    th_str payload;
    gives(netstrings(4), "4:warp,", "warp|");
    gives(netstrings(3), "4:warp,", "!TH_ELIMIT");
    ck_assert_int_eq(thi_netstring_next(99999, TH_STR("99999"), &payload), 0);
    ck_assert_int_eq(thi_netstring_next(99999, TH_STR("100000"), &payload), TH_ELIMIT);
    ck_assert_int_eq(thi_netstring_next(99999, TH_STR("9999999"), &payload), TH_ELIMIT);
    gives(netstrings(SIZE_MAX), "99999999999999999999999999", "!TH_ELIMIT");
}
END_TEST

START_TEST(the_head_of_a_netstring_is_read_back)
{
    char head[THI_NETSTRING_HEAD];
    ck_assert_uint_eq(thi_netstring_head(0, head), 2);
    ck_assert_mem_eq(head, "0:", 2);
    ck_assert_uint_eq(thi_netstring_head(99999, head), 6);
    ck_assert_mem_eq(head, "99999:", 6);
    ck_assert_uint_eq(thi_netstring_head(SIZE_MAX, head), 21);
}
END_TEST

/* ---- prefixes -------------------------------------------------------------------------------- */

START_TEST(prefixed_frames_are_found_wherever_they_are_cut)
{
    gives(prefixed(1, 255), "\x04warp\0\x04weft\x09", "warp||weft|");
    gives(prefixed(2, 255), "\0\x04warp\0\0\0\x04weft\x09", "warp||weft|");
    gives(prefixed(4, 255), "\0\0\0\x04warp\0\0\0\0\0\0\0\x04weft\x09", "warp||weft|");
}
END_TEST

START_TEST(a_prefix_above_the_limit_is_refused_and_told)
{
    th_str payload;
    gives(prefixed(1, 4), "\x04warp\x05weft!", "warp|!TH_ELIMIT");
    gives(prefixed(2, 4), "\0\x04warp\0\x05weft!", "warp|!TH_ELIMIT");
    gives(prefixed(4, 4), "\0\0\0\x04warp\x01\0\0\x04weft", "warp|!TH_ELIMIT");
    ck_assert_int_eq(thi_prefix_next(4, 4, TH_STR("\xff\xff\xff"), &payload), 0);
    ck_assert_int_eq(thi_prefix_next(4, 4, TH_STR("\xff\xfe\xfd\xfc"), &payload), TH_ELIMIT);
    ck_assert_uint_eq(payload.len, 0xfffefdfc);
}
END_TEST

START_TEST(a_length_that_does_not_fit_has_no_prefix)
{
    unsigned char head[THI_PREFIX_MAX];
    ck_assert(thi_prefix_head(1, 255, head));
    ck_assert_uint_eq(head[0], 255);
    ck_assert(!thi_prefix_head(1, 256, head));
    ck_assert(thi_prefix_head(2, 65535, head));
    ck_assert(!thi_prefix_head(2, 65536, head));
    ck_assert(thi_prefix_head(4, 0xfedcba98, head));
    ck_assert_mem_eq(head, "\xfe\xdc\xba\x98", 4);
    ck_assert(!thi_prefix_head(4, (size_t)1 << 32, head));
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "lines");
    tcase_add_test(tcase, lines_are_found_wherever_they_are_cut);
    tcase_add_test(tcase, a_line_at_the_limit_passes_and_one_byte_more_does_not);
    tcase_add_test(tcase, an_unfinished_line_is_too_long_when_no_delimiter_can_save_it);
    tcase_add_test(tcase, a_long_line_that_comes_byte_by_byte_is_looked_at_once);
    tcase = thi_check_case(suite, "netstrings");
    tcase_add_test(tcase, netstrings_are_found_wherever_they_are_cut);
    tcase_add_test(tcase, what_is_no_netstring_is_refused);
    tcase_add_test(tcase, a_netstring_is_refused_by_its_digits_alone);
    tcase_add_test(tcase, the_head_of_a_netstring_is_read_back);
    tcase = thi_check_case(suite, "prefixes");
    tcase_add_test(tcase, prefixed_frames_are_found_wherever_they_are_cut);
    tcase_add_test(tcase, a_prefix_above_the_limit_is_refused_and_told);
    tcase_add_test(tcase, a_length_that_does_not_fit_has_no_prefix);
}

int main(void)
{
    return thi_check_run("proto/frames", fill_suite);
}
