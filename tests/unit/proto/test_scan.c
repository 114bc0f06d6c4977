/* SPDX-License-Identifier: MIT */

/* Tests of the vector scans: each must stop where the loop over the table stops. */
#include "proto/scan.h"

#include "check_main.h"

#define LENGTH_MAX 70

typedef const char *scan_fn(const char *lo, const char *p, const char *end);

/* Compares scan and table from every start in a block of exactly `len` bytes. */
static void compare(scan_fn *scan, unsigned classes, const char *text, size_t len)
{
    char *block = malloc(len + 1);
    memcpy(block, text, len);
    for (size_t from = 0; from <= len; from++) {
        const char *want = thi_scan_table(block + from, block + len, classes);
        ck_assert_ptr_eq(scan(block, block + from, block + len), want);
    }
    free(block);
}

/* Puts every byte value at every position of texts of every length that are otherwise `fill`. */
static void sweep(scan_fn *scan, unsigned classes, char fill)
{
    char text[LENGTH_MAX];
    for (size_t len = 0; len <= LENGTH_MAX; len++) {
        memset(text, fill, sizeof text);
        compare(scan, classes, text, len);
        for (size_t at = 0; at<len; at += len> 40 ? 5 : 1) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                const char *want = thi_scan_table(text, text + len, classes);
                ck_assert_ptr_eq(scan(text, text, text + len), want);
                ck_assert_ptr_eq(scan(text, text + at, text + len),
                                 thi_scan_table(text + at, text + len, classes));
            }
            compare(scan, classes, text, len);
            text[at] = fill;
        }
    }
}

START_TEST(values_stop_at_control_characters)
{
    sweep(thi_scan_value, THI_CHAR_VALUE, 'v');
}
END_TEST

START_TEST(targets_stop_at_what_is_not_pchar)
{
    sweep(thi_scan_target, THI_CHAR_TARGET, 't');
}
END_TEST

START_TEST(tokens_stop_at_what_is_not_tchar)
{
    sweep(thi_scan_token, THI_CHAR_TOKEN, 'T');
    sweep(thi_scan_token, THI_CHAR_TOKEN, '_');
}
END_TEST

START_TEST(random_bytes_stop_at_the_same_place)
{
    static const struct {
        scan_fn *scan;
        unsigned classes;
    } scans[] = { { thi_scan_value, THI_CHAR_VALUE },
                  { thi_scan_target, THI_CHAR_TARGET },
                  { thi_scan_token, THI_CHAR_TOKEN } };
    uint64_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char text[LENGTH_MAX];
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(seed >> 40);
        }
        for (size_t i = 0; i < 3; i++)
            compare(scans[i].scan, scans[i].classes, text, (size_t)(seed >> 58));
    }
}
END_TEST

/* RFC 9110, 5.6.2, 5.5 and RFC 3986, 3.3, spelt out anew. */
START_TEST(classes_are_those_of_the_grammar)
{
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool is_alnum = c && strchr(alnum, c);
        bool printable = i >= 0x20 && i != 0x7f;
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_TOKEN),
                         is_alnum || (c && strchr("!#$%&'*+-.^_`|~", c)));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_VALUE), printable || c == '\t');
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_TARGET),
                         is_alnum || (c && strchr("-._~!$&'()*+,;=:@/", c)));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_REGNAME),
                         is_alnum || (c && strchr("-._~!$&'()*+,;=", c)));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_HEX), c && strchr("0123456789abcdefABCDEF", c));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_DIGIT), c && strchr("0123456789", c));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_RELAXED), c && strchr("[\\]^`{|}", c));
        ck_assert_int_eq(thi_char_is(c, THI_CHAR_QUOTED),
                         (printable && c != '"' && c != '\\') || c == '\t');
    }
    for (const char *hex = "0123456789abcdef"; *hex; hex++)
        ck_assert_uint_eq(thi_char_hex(*hex), (unsigned)strtoul((char[]){ *hex, 0 }, NULL, 16));
    ck_assert_uint_eq(thi_char_hex('A'), 10);
    ck_assert_uint_eq(thi_char_hex('F'), 15);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *scans = thi_check_case(suite, "scans");
    tcase_add_test(scans, values_stop_at_control_characters);
    tcase_add_test(scans, targets_stop_at_what_is_not_pchar);
    tcase_add_test(scans, tokens_stop_at_what_is_not_tchar);
    tcase_add_test(scans, random_bytes_stop_at_the_same_place);
    TCase *classes = thi_check_case(suite, "classes");
    tcase_add_test(classes, classes_are_those_of_the_grammar);
}

int main(void)
{
    return thi_check_run("proto/scan", fill);
}
