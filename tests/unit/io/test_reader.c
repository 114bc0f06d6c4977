/* SPDX-License-Identifier: MIT */

/* Records from a stream that comes in any pieces: separators, limits, ends, what is never lost. */
#include "memory.h"

#include "base/alloc.h"

#include <thrum/reader.h>

#include <stdlib.h>

static th_reader *reader;

static void open_reader(size_t limit)
{
    open_ends(0);
    ck_assert_int_eq(th_reader_new(ends[0], &(th_reader_opts){ .limit = limit }, &reader), 0);
}

static void close_reader(void)
{
    th_reader_free(reader);
    close_ends();
}

static th_str until(const char *sep)
{
    th_str record = { 0 };
    ck_assert_int_eq(th_reader_until(reader, sep, strlen(sep), &record), 0);
    return record;
}

static th_str line(void)
{
    th_str line = { 0 };
    ck_assert_int_eq(th_reader_line(reader, &line), 0);
    return line;
}

static void expect_bytes(const char *text)
{
    char buf[64] = "";
    ck_assert_int_eq(th_reader_read_all(reader, buf, strlen(text), NULL), (ssize_t)strlen(text));
    ck_assert_str_eq(buf, text);
}

static void expect_end(void)
{
    char byte;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_reader_read(reader, &byte, 1), TH_EOF);
}

/* ---- separators ------------------------------------------------------------------------------ */

static int send_byte_by_byte(void *arg)
{
    for (const char *at = arg; *at; at++) {
        ck_assert_int_eq(th_stream_write(ends[1], at, 1), 1);
        ck_assert_int_eq(th_yield(), 0);
    }
    return 0;
}

FIBER_TEST(a_record_is_found_though_its_separator_comes_byte_by_byte)
{
    th_scope scope;
    open_reader(0);
    open_scope(&scope);
    spawn(&scope, send_byte_by_byte, (char *)(uintptr_t) "one\r\r\n\r\ntwo\r\n\r\n");
    ck_assert_str(until("\r\n\r\n"), "one\r\r\n\r\n");
    ck_assert_str(until("\r\n\r\n"), "two\r\n\r\n");
    close_scope(&scope);
    close_reader();
}

FIBER_TEST(records_of_one_piece_come_one_by_one)
{
    open_reader(0);
    send_text("a;bb;;ccc");
    ck_assert_str(until(";"), "a;");
    ck_assert_str(until(";"), "bb;");
    ck_assert_str(until(";"), ";");
    ck_assert_uint_eq(th_reader_buffered(reader), 3);
    send_text(";");
    ck_assert_str(until(";"), "ccc;");
    close_reader();
}

FIBER_TEST(a_record_may_be_as_long_as_the_limit_and_not_longer)
{
    th_str record;
    open_reader(8);
    send_text("12345678;");
    ck_assert_str(until(";"), "12345678;");
    send_text("123456789;ab;");
    ck_assert_int_eq(th_reader_until(reader, ";", 1, &record), TH_ELIMIT);
    ck_assert_int_eq(th_reader_until(reader, ";", 1, &record), TH_ELIMIT);
    expect_bytes("123456789;");
    ck_assert_str(until(";"), "ab;");
    close_reader();
}

FIBER_TEST(without_a_separator_the_limit_is_met_before_all_is_read)
{
    static char much[1024];
    th_str record;
    open_reader(100);
    memset(much, 'x', sizeof much);
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(th_stream_write(ends[1], much, sizeof much), sizeof much);
    ck_assert_int_eq(th_reader_until(reader, "\r\n", 2, &record), TH_ELIMIT);
    ck_assert_uint_ge(th_reader_buffered(reader), 102);
    ck_assert_uint_le(th_reader_buffered(reader), 200);
    close_reader();
}

/* A tail that may become the separator does not count. */
FIBER_TEST(a_half_separator_at_the_limit_is_no_failure)
{
    th_scope scope;
    th_str record;
    open_reader(4);
    send_text("1234\r");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_until(reader, "\r\n", 2, &record), -ETIMEDOUT);
    close_scope(&scope);
    send_text("\n");
    ck_assert_str(until("\r\n"), "1234\r\n");
    close_reader();
}

FIBER_TEST(a_separator_longer_than_the_limit_works)
{
    open_reader(1);
    send_text("x--boundary--y");
    ck_assert_str(until("--boundary--"), "x--boundary--");
    expect_bytes("y");
    close_reader();
}

FIBER_TEST(an_end_in_the_middle_gives_what_there_was_and_empties_the_reader)
{
    th_str record = { 0 };
    open_reader(0);
    send_text("half");
    send_end();
    ck_assert_int_eq(th_reader_until(reader, ";", 1, &record), TH_ETRUNCATED);
    ck_assert_str(record, "half");
    ck_assert_int_eq(th_reader_until(reader, ";", 1, &record), TH_EOF);
    expect_end();
    close_reader();
}

/* ---- lines ----------------------------------------------------------------------------------- */

FIBER_TEST(lines_come_with_their_end_and_the_last_one_without)
{
    th_str last;
    open_reader(0);
    send_text("one\n\ntwo\r\nlast");
    send_end();
    ck_assert_str(line(), "one\n");
    ck_assert_str(line(), "\n");
    ck_assert_str(line(), "two\r\n");
    ck_assert_str(line(), "last");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_reader_line(reader, &last), TH_EOF);
    close_reader();
}

FIBER_TEST(a_line_too_long_is_dropped_with_its_end)
{
    th_str l;
    open_reader(4);
    send_text("12345\nok\n1234\n");
    ck_assert_int_eq(th_reader_line(reader, &l), TH_ELIMIT);
    ck_assert_str(line(), "ok\n");
    ck_assert_str(line(), "1234\n");
    close_reader();
}

/* Its failure is told before its end has come; what comes of it later is no line of its own. */
FIBER_TEST(a_line_too_long_is_dropped_though_its_end_comes_later)
{
    th_str l;
    th_scope scope;
    open_reader(4);
    send_text("123456789");
    ck_assert_int_eq(th_reader_line(reader, &l), TH_ELIMIT);
    send_text("still the same");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_line(reader, &l), -ETIMEDOUT);
    close_scope(&scope);
    send_text("end\nnext\n");
    ck_assert_str(line(), "next\n");
    send_text("123456789");
    ck_assert_int_eq(th_reader_line(reader, &l), TH_ELIMIT);
    send_end();
    ck_assert_int_eq(th_reader_line(reader, &l), TH_EOF);
    close_reader();
}

/* ---- bytes ----------------------------------------------------------------------------------- */

FIBER_TEST(exactly_so_many_bytes_even_beyond_the_limit)
{
    static char in[20000];
    static char out[sizeof in];
    open_reader(16);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 7);
    ck_assert_int_eq(th_stream_write(ends[1], in, sizeof in), sizeof in);
    ck_assert_int_eq(th_reader_read_all(reader, out, 3, NULL), 3);
    ck_assert_int_eq(th_reader_read_all(reader, out + 3, sizeof out - 3, NULL), sizeof out - 3);
    ck_assert_mem_eq(in, out, sizeof in);
    ck_assert_int_eq(th_reader_read_all(reader, NULL, 0, NULL), 0);
    close_reader();
}

FIBER_TEST(an_early_end_tells_how_many_bytes_there_were)
{
    char buf[8] = "";
    size_t got = 0;
    open_reader(0);
    send_text("abc");
    send_end();
    ck_assert_int_eq(th_reader_read_all(reader, buf, sizeof buf, &got), TH_ETRUNCATED);
    ck_assert_uint_eq(got, 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_reader_read_all(reader, buf, sizeof buf, &got), TH_EOF);
    close_reader();
}

/* What a deadline interrupts is all there for the next call, in whatever form. */
FIBER_TEST(a_deadline_in_the_middle_loses_nothing)
{
    static char big[70000];
    char buf[16];
    th_str s;
    th_scope scope;
    open_reader(0);
    send_text("abc");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_read_all(reader, buf, 6, NULL), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_peek(reader, 6, &s), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_line(reader, &s), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_rest(reader, &s), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_reader_read_all(reader, big, sizeof big, NULL), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_reader_read_all(reader, big, sizeof big, NULL), -ECANCELED);
    ck_assert_int_eq(th_reader_read(reader, buf, 2), 2); /* it need not ask the stream */
    close_scope(&scope);
    send_text("def\n");
    ck_assert_str(line(), "cdef\n");
    close_reader();
}

FIBER_TEST(a_read_gives_what_is_there)
{
    char buf[8192];
    open_reader(0);
    ck_assert_int_eq(th_reader_read(reader, buf, 0), 0);
    send_text("abcdef");
    ck_assert_int_eq(th_reader_read(reader, buf, 2), 2);
    ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), 4);
    send_text("abcdef");
    ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), 6);
    send_end();
    expect_end();
    close_reader();
}

FIBER_TEST(a_look_ahead_leaves_all_there_and_may_be_skipped)
{
    th_str s = { 0 };
    open_reader(6);
    send_text("abcdef");
    ck_assert_int_eq(th_reader_peek(reader, 3, &s), 0);
    ck_assert_str(s, "abc");
    ck_assert_int_eq(th_reader_skip(reader, 7), -EINVAL);
    ck_assert_int_eq(th_reader_skip(reader, 4), 0);
    ck_assert_int_eq(th_reader_peek(reader, 7, &s), TH_ELIMIT);
    send_end();
    ck_assert_int_eq(th_reader_peek(reader, 6, &s), 0);
    ck_assert_str(s, "ef");
    ck_assert_int_eq(th_reader_skip(reader, 2), 0);
    ck_assert_int_eq(th_reader_peek(reader, 1, &s), TH_EOF);
    close_reader();
}

FIBER_TEST(what_is_put_back_comes_first)
{
    static char big[10000];
    open_reader(0);
    ck_assert_int_eq(th_reader_unread(reader, "head\n", 5), 0);
    ck_assert_str(line(), "head\n");
    send_text("abc\ndef\n");
    ck_assert_str(line(), "abc\n");
    ck_assert_int_eq(th_reader_unread(reader, "x", 1), 0);
    ck_assert_str(line(), "xdef\n");
    send_text("tail\n");
    expect_bytes("ta");
    memset(big, 'y', sizeof big);
    big[sizeof big - 1] = '\n';
    ck_assert_int_eq(th_reader_unread(reader, big, sizeof big), 0);
    ck_assert_uint_eq(line().len, sizeof big);
    ck_assert_str(line(), "il\n");
    ck_assert_int_eq(th_reader_unread(reader, NULL, 0), 0);
    close_reader();
}

FIBER_TEST(the_rest_is_all_up_to_the_end)
{
    th_str rest = { 0 };
    open_reader(8);
    send_text("12345678");
    send_end();
    expect_bytes("12");
    ck_assert_int_eq(th_reader_rest(reader, &rest), 0);
    ck_assert_str(rest, "345678");
    ck_assert_int_eq(th_reader_rest(reader, &rest), 0);
    ck_assert_uint_eq(rest.len, 0);
    close_reader();
    open_reader(8);
    send_text("123456789");
    send_end();
    ck_assert_int_eq(th_reader_rest(reader, &rest), TH_ELIMIT);
    expect_bytes("123456789");
    close_reader();
}

/* ---- the stream's word ----------------------------------------------------------------------- */

FIBER_TEST(bytes_come_before_the_failure_which_stays)
{
    char buf[8];
    th_str s;
    open_reader(0);
    send_text("abc");
    ck_assert_int_eq(th_reader_peek(reader, 2, &s), 0);
    ck_assert_int_eq(th_stream_reset(ends[1]), 0);
    ck_assert_int_eq(th_reader_line(reader, &s), -ECONNRESET);
    ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), -ECONNRESET);
    ck_assert_int_eq(th_reader_rest(reader, &s), -ECONNRESET);
    close_reader();
}

static int read_line(void *arg)
{
    th_str *l = arg;
    return th_reader_line(reader, l);
}

FIBER_TEST(while_one_waits_another_is_refused)
{
    char buf[8];
    th_str s;
    th_str l = { 0 };
    th_scope scope;
    open_reader(0);
    open_scope(&scope);
    spawn(&scope, read_line, &l);
    let_others_run();
    ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), -EBUSY);
    ck_assert_int_eq(th_reader_read_all(reader, buf, sizeof buf, NULL), -EBUSY);
    ck_assert_int_eq(th_reader_line(reader, &s), -EBUSY);
    ck_assert_int_eq(th_reader_until(reader, ";", 1, &s), -EBUSY);
    ck_assert_int_eq(th_reader_peek(reader, 1, &s), -EBUSY);
    ck_assert_int_eq(th_reader_rest(reader, &s), -EBUSY);
    ck_assert_int_eq(th_reader_skip(reader, 0), -EBUSY);
    ck_assert_int_eq(th_reader_unread(reader, "x", 1), -EBUSY);
    send_text("mine\n");
    close_scope(&scope);
    ck_assert_str(l, "mine\n");
    close_reader();
}

/* The bytes that nobody asks for stay with the sender, whose writes then wait. */
FIBER_TEST(a_sender_is_not_read_ahead_of)
{
    static char much[256 * 1024];
    th_str l;
    th_scope scope;
    open_reader(1024);
    memset(much, 'x', sizeof much);
    much[10] = '\n';
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_write(ends[1], much, sizeof much), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_reader_line(reader, &l), 0);
    ck_assert_uint_eq(l.len, 11);
    ck_assert_uint_le(th_reader_buffered(reader), 4096);
    ck_assert_int_eq(th_reader_line(reader, &l), TH_ELIMIT);
    close_reader();
}

FIBER_TEST(without_memory_nothing_is_lost_but_told)
{
    char buf[8];
    th_str l = { 0 };
    int64_t live = thi_alloc_live();
    open_ends(0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_reader_new(ends[0], NULL, &reader), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert_int_eq(th_reader_new(ends[0], NULL, &reader), 0);
    send_text("abc\n");
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_reader_line(reader, &l), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(1), 0); /* it has been met */
    ck_assert_int_eq(th_reader_unread(reader, "x", 1), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(1), 0); /* it has been met */
    ck_assert_int_eq(th_reader_read(reader, buf, sizeof buf), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert_str(line(), "abc\n");
    close_reader();
    ck_assert_int_eq(thi_alloc_live(), live);
}

FIBER_TEST(misuse_is_refused)
{
    char buf[8];
    th_str s;
    open_ends(0);
    ck_assert_int_eq(th_reader_new(NULL, NULL, &reader), -EINVAL);
    ck_assert_int_eq(th_reader_new(ends[0], NULL, NULL), -EINVAL);
    th_reader_opts newer = { .size = sizeof newer + 1 };
    ck_assert_int_eq(th_reader_new(ends[0], &newer, &reader), -EINVAL);
    ck_assert_int_eq(th_reader_new(ends[0], &(th_reader_opts){ .limit = SIZE_MAX }, &reader),
                     -EINVAL);
    ck_assert_int_eq(th_reader_new(ends[0], NULL, &reader), 0);
    ck_assert_int_eq(th_reader_until(reader, "", 0, &s), -EINVAL);
    ck_assert_int_eq(th_reader_until(reader, NULL, 1, &s), -EINVAL);
    ck_assert_int_eq(th_reader_until(reader, ";", 1, NULL), -EINVAL);
    ck_assert_int_eq(th_reader_line(reader, NULL), -EINVAL);
    ck_assert_int_eq(th_reader_line(NULL, &s), -EINVAL);
    ck_assert_int_eq(th_reader_peek(reader, 0, &s), -EINVAL);
    ck_assert_int_eq(th_reader_read(reader, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_reader_read_all(reader, NULL, 1, NULL), -EINVAL);
    ck_assert_int_eq(th_reader_read_all(reader, buf, SIZE_MAX, NULL), -EINVAL);
    ck_assert_int_eq(th_reader_unread(reader, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_reader_rest(reader, NULL), -EINVAL);
    ck_assert_uint_eq(th_reader_buffered(NULL), 0);
    th_reader_free(NULL);
    close_reader();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "records");
    tcase_add_test(tcase, a_record_is_found_though_its_separator_comes_byte_by_byte);
    tcase_add_test(tcase, records_of_one_piece_come_one_by_one);
    tcase_add_test(tcase, a_record_may_be_as_long_as_the_limit_and_not_longer);
    tcase_add_test(tcase, without_a_separator_the_limit_is_met_before_all_is_read);
    tcase_add_test(tcase, a_half_separator_at_the_limit_is_no_failure);
    tcase_add_test(tcase, a_separator_longer_than_the_limit_works);
    tcase_add_test(tcase, an_end_in_the_middle_gives_what_there_was_and_empties_the_reader);
    tcase_add_test(tcase, lines_come_with_their_end_and_the_last_one_without);
    tcase_add_test(tcase, a_line_too_long_is_dropped_with_its_end);
    tcase_add_test(tcase, a_line_too_long_is_dropped_though_its_end_comes_later);
    tcase = thi_check_case(suite, "bytes");
    tcase_add_test(tcase, exactly_so_many_bytes_even_beyond_the_limit);
    tcase_add_test(tcase, an_early_end_tells_how_many_bytes_there_were);
    tcase_add_test(tcase, a_deadline_in_the_middle_loses_nothing);
    tcase_add_test(tcase, a_read_gives_what_is_there);
    tcase_add_test(tcase, a_look_ahead_leaves_all_there_and_may_be_skipped);
    tcase_add_test(tcase, what_is_put_back_comes_first);
    tcase_add_test(tcase, the_rest_is_all_up_to_the_end);
    tcase = thi_check_case(suite, "stream");
    tcase_add_test(tcase, bytes_come_before_the_failure_which_stays);
    tcase_add_test(tcase, while_one_waits_another_is_refused);
    tcase_add_test(tcase, a_sender_is_not_read_ahead_of);
    tcase_add_test(tcase, without_memory_nothing_is_lost_but_told);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("io/reader", fill);
}
