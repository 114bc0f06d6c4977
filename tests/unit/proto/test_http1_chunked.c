/* SPDX-License-Identifier: MIT */

/* Tests of the chunked decoder, with trailers dropped and with trailers kept. */
#include "proto/http1_chunked.h"

#include "check_main.h"
#include "record.h"

#include <thrum/error.h>

#include <errno.h>

/* Feeds a chunked body, in all cuts, and looks for part in the record. */
static void expect(th_str body, bool keep_trailers, const char *part)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t head_len = sizeof head - 1;
    char *text = malloc(head_len + body.len);
    memcpy(text, head, head_len);
    memcpy(text + head_len, body.ptr, body.len);
    feed f = { .data = text, .len = head_len + body.len, .keep_trailers = keep_trailers };
    char *log = record(&f, feed_request);
    record_has(log, part);
    free(log);
    free(text);
}

/* The body decodes to this data, in both modes, and the message is complete. */
static void decodes(th_str body, const char *data)
{
    char part[256];
    snprintf(part, sizeof part, "chunks %s\ndone\nend\n", data);
    expect(body, false, part);
    snprintf(part, sizeof part, "chunks %s\n", data);
    expect(body, true, part);
}

static void refused(th_str body, int status)
{
    char part[32];
    snprintf(part, sizeof part, "\nrefused %d ", status);
    expect(body, false, part);
    expect(body, true, part);
}

#define END "0\r\n\r\n"

/* RFC 9112, 7.1. */
START_TEST(rfc9112_7_1_chunks_are_joined)
{
    decodes(BYTES(END), "");
    decodes(BYTES("3\r\nabc\r\n" END), "abc");
    decodes(BYTES("3\r\nabc\r\n2\r\nde\r\n" END), "abcde");
    decodes(BYTES("a\r\n0123456789\r\nA\r\n0123456789\r\n" END), "01234567890123456789");
    decodes(BYTES("4\r\n\r\n\r\n\r\n" END), "\\x0d\\x0a\\x0d\\x0a");
    decodes(BYTES("0003\r\nabc\r\n000\r\n\r\n"), "abc");
}
END_TEST

START_TEST(rfc9112_7_1_every_prefix_is_incomplete)
{
    th_str body = BYTES("3;a=\"b\"\r\nabc\r\n0\r\nA: b\r\n\r\n");
    for (size_t len = 0; len < body.len; len++) {
        expect(th_str_make(body.ptr, len), false, "\nmore\n");
        expect(th_str_make(body.ptr, len), true, "more\n");
    }
}
END_TEST

START_TEST(rfc9112_7_1_chunk_size_is_hexadecimal)
{
    refused(BYTES("\r\nabc\r\n" END), 400);
    refused(BYTES(" 3\r\nabc\r\n" END), 400);
    refused(BYTES("3 \r\nabc\r\n" END), 400);
    refused(BYTES("3\t\r\nabc\r\n" END), 400);
    refused(BYTES("+3\r\nabc\r\n" END), 400);
    refused(BYTES("-3\r\nabc\r\n" END), 400);
    refused(BYTES("0x3\r\nabc\r\n" END), 400);
    refused(BYTES("3h\r\nabc\r\n" END), 400);
    refused(BYTES("3_0\r\nabc\r\n" END), 400);
    refused(BYTES("g\r\nabc\r\n" END), 400);
    refused(BYTES("3,3\r\nabc\r\n" END), 400);
    refused(BYTES("\0"
                  "3\r\nabc\r\n" END),
            400);
}
END_TEST

START_TEST(rfc9112_7_1_chunk_size_does_not_overflow)
{
    expect(BYTES("fffffffffffffff\r\n"), false, "more");
    refused(BYTES("1000000000000000\r\n"), 400);
    refused(BYTES("10000000000000003\r\nabc\r\n" END), 400);
    refused(BYTES("fffffffffffffffffffff\r\n"), 400);
    expect(BYTES("0000000000000000000000003\r\nabc\r\n" END), false, "chunks abc\ndone\nend");
}
END_TEST

START_TEST(rfc9112_2_2_chunk_lines_end_with_crlf)
{
    refused(BYTES("3\nabc\r\n" END), 400);
    refused(BYTES("3\rabc\r\n" END), 400);
    refused(BYTES("3\r\rabc\r\n" END), 400);
    refused(BYTES("3\r\nabc\n" END), 400);
    refused(BYTES("3\r\nabc\r" END), 400);
    refused(BYTES("3\r\nabc" END), 400);
    refused(BYTES("3\r\nabcd\r\n" END), 400);
    refused(BYTES("3\r\nab\r\n" END), 400);
    refused(BYTES("0\n\r\n"), 400);
    refused(BYTES("0\r\n\n"), 400);
    refused(BYTES("0\r\n\rX"), 400);
    refused(BYTES("0\r\r\n"), 400);
}
END_TEST

/* RFC 9112, 7.1.1. */
START_TEST(rfc9112_7_1_1_extensions_are_skipped)
{
    decodes(BYTES("3;a\r\nabc\r\n" END), "abc");
    decodes(BYTES("3;a=bc\r\nabc\r\n" END), "abc");
    decodes(BYTES("3 \t ;a\r\nabc\r\n" END), "abc");
    decodes(BYTES("3;a=b;c;d=\"e;\\\" \t\\\t\x80\";f\r\nabc\r\n" END), "abc");
    decodes(BYTES("3 ;\ta =\t b ; c \t= \"d\" ;e ;f\r\nabc\r\n" END), "abc");
    decodes(BYTES("3\r\nabc\r\n0;a=b\r\n\r\n"), "abc");
}
END_TEST

START_TEST(rfc9112_7_1_1_malformed_extensions)
{
    refused(BYTES("3;\r\nabc\r\n" END), 400);
    refused(BYTES("3; \r\nabc\r\n" END), 400);
    refused(BYTES("3;;a\r\nabc\r\n" END), 400);
    refused(BYTES("3;=b\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=;b\r\nabc\r\n" END), 400);
    refused(BYTES("3;a b\r\nabc\r\n" END), 400);
    refused(BYTES("3;a \r\nabc\r\n" END), 400);
    refused(BYTES("3;a=b \r\nabc\r\n" END), 400);
    refused(BYTES("3;a=b c\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\"b\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\"b\\\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\"b\"c\r\nabc\r\n" END), 400);
    refused(BYTES("3;a\nabc\r\n" END), 400);
    refused(BYTES("3;a\rX\nabc\r\n" END), 400);
    refused(BYTES("3;a\0\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\"\x01\"\r\nabc\r\n" END), 400);
    refused(BYTES("3;a=\"\n\"\r\nabc\r\n" END), 400);
    refused(BYTES("3;\x80\r\nabc\r\n" END), 400);
    refused(BYTES("3 a\r\nabc\r\n" END), 400);
    refused(BYTES("3 =a\r\nabc\r\n" END), 400);
}
END_TEST

/* RFC 9112, 7.1.2: field lines, checked like those of a head. */
START_TEST(rfc9112_7_1_2_trailers)
{
    decodes(BYTES("0\r\nA: b\r\nC:\r\n\r\n"), "");
    expect(BYTES("0\r\nA: b \r\nDate:c\r\n\r\n"), true, "<A> <b>\nfield 17 <Date> <c>\ndone\nend");
    refused(BYTES("0\r\nA : b\r\n\r\n"), 400);
    refused(BYTES("0\r\n: b\r\n\r\n"), 400);
    refused(BYTES("0\r\nA\r\n\r\n"), 400);
    refused(BYTES("0\r\n A: b\r\n\r\n"), 400);
    refused(BYTES("0\r\nA: b\r\n c\r\n\r\n"), 400);
    refused(BYTES("0\r\nA: b\n\r\n"), 400);
    refused(BYTES("0\r\nA: b\rc\r\n\r\n"), 400);
    refused(BYTES("0\r\nA: \0\r\n\r\n"), 400);
    refused(BYTES("0\r\nA: \x7f\r\n\r\n"), 400);
    refused(BYTES("0\r\nGET / HTTP/1.1\r\n\r\n"), 400);
}
END_TEST

START_TEST(the_next_message_begins_after_the_trailers)
{
    th_str next = BYTES("1\r\na\r\n0\r\nA: b\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(next, false, "target</next>");
    expect(next, true, "target</next>");
}
END_TEST

/* Feeds `len` bytes, of which the decoder may see all at once, and returns the last result. */
static int run(const char *text, size_t len, thi_http1_error *err)
{
    thi_http1_chunked decoder;
    th_str in = th_str_make(text, len), data;
    int event;
    thi_http1_chunked_init(&decoder, false);
    do {
        event = thi_http1_chunked_next(&decoder, &in, &data, err);
    } while (event == THI_HTTP1_CHUNK_DATA);
    return event;
}

/* A chunk-size line of exactly `len` bytes, extension and CRLF included. */
START_TEST(a_chunk_line_has_a_limit)
{
    char text[THI_HTTP1_CHUNK_LINE_MAX + 16];
    thi_http1_error err;
    for (size_t len = THI_HTTP1_CHUNK_LINE_MAX; len <= THI_HTTP1_CHUNK_LINE_MAX + 1; len++) {
        memset(text, 'x', sizeof text);
        memcpy(text, "0;", 2);
        memcpy(text + len - 2, "\r\n\r\n", 4);
        int result = run(text, len + 2, &err);
        if (len == THI_HTTP1_CHUNK_LINE_MAX) {
            ck_assert_int_eq(result, THI_HTTP1_CHUNK_END);
        } else {
            ck_assert_int_eq(result, TH_ELIMIT);
            ck_assert_int_eq(err.status, 400);
            ck_assert_uint_eq(err.offset, THI_HTTP1_CHUNK_LINE_MAX);
        }
    }
}
END_TEST

START_TEST(a_trailer_section_has_a_limit)
{
    char text[THI_HTTP1_TRAILER_MAX + 16];
    thi_http1_error err;
    for (size_t len = THI_HTTP1_TRAILER_MAX; len <= THI_HTTP1_TRAILER_MAX + 1; len++) {
        memset(text, 'x', sizeof text);
        memcpy(text, "0\r\nA:", 5);
        memcpy(text + 3 + len - 4, "\r\n\r\n", 4);
        int result = run(text, len + 3, &err);
        ck_assert_int_eq(result, len == THI_HTTP1_TRAILER_MAX ? THI_HTTP1_CHUNK_END : TH_ELIMIT);
        if (result < 0)
            ck_assert_int_eq(err.status, 431);
    }
}
END_TEST

/* One byte of data in each chunk, with a line of `line` bytes; counts the chunks that pass. */
static int tiny_chunks(size_t line)
{
    thi_http1_chunked decoder;
    thi_http1_error err;
    char text[256];
    memset(text, 'x', sizeof text);
    memcpy(text, "1;", 2);
    memcpy(text + line - 2, "\r\n.\r\n", 5);
    thi_http1_chunked_init(&decoder, false);
    for (int n = 0; n < 100000; n++) {
        th_str in = th_str_make(text, line + 3), data;
        while (in.len > 0) {
            if (thi_http1_chunked_next(&decoder, &in, &data, &err) < 0)
                return n;
        }
    }
    return 100000;
}

/* RFC 9112, 7.1.1: a recipient ought to limit the total length of extensions. */
START_TEST(rfc9112_7_1_1_framing_out_of_proportion_is_refused)
{
    ck_assert_int_eq(tiny_chunks(15), 100000); /* 17 bytes of framing for 16 and one of data */
    int chunks = tiny_chunks(115);             /* 100 more each */
    ck_assert_int_gt(chunks, 150);
    ck_assert_int_lt(chunks, 180);
}
END_TEST

START_TEST(data_comes_in_pieces_as_it_arrives)
{
    thi_http1_chunked decoder;
    thi_http1_error err;
    th_str in = BYTES("5\r\nabc"), data;
    thi_http1_chunked_init(&decoder, false);
    ck_assert_int_eq(thi_http1_chunked_next(&decoder, &in, &data, &err), THI_HTTP1_CHUNK_DATA);
    ck_assert(th_str_eq(data, TH_STR("abc")));
    ck_assert_uint_eq(in.len, 0);
    ck_assert_int_eq(thi_http1_chunked_next(&decoder, &in, &data, &err), THI_HTTP1_CHUNK_MORE);
    in = BYTES("de\r\n0\r\n\r\nrest");
    ck_assert_int_eq(thi_http1_chunked_next(&decoder, &in, &data, &err), THI_HTTP1_CHUNK_DATA);
    ck_assert(th_str_eq(data, TH_STR("de")));
    ck_assert_int_eq(thi_http1_chunked_next(&decoder, &in, &data, &err), THI_HTTP1_CHUNK_END);
    ck_assert(th_str_eq(in, TH_STR("rest")));
    ck_assert_int_eq(thi_http1_chunked_next(&decoder, &in, &data, &err), THI_HTTP1_CHUNK_END);
}
END_TEST

START_TEST(trailer_parser_misuse_is_einval)
{
    thi_http1_head head;
    thi_http1_field field;
    thi_http1_error err;
    thi_http1_trailers_init(&head, &field, 1, NULL);
    ck_assert_int_eq(thi_http1_trailers_parse(&head, NULL, 0, &err), 0);
    ck_assert_int_eq(thi_http1_trailers_parse(&head, "A: b", 4, &err), 0);
    ck_assert_int_eq(thi_http1_trailers_parse(&head, "A:", 2, &err), -EINVAL);
    ck_assert_int_eq(thi_http1_trailers_parse(&head, "A", (size_t)UINT32_MAX + 1, &err), -EINVAL);
    ck_assert_int_eq(thi_http1_trailers_parse(&head, "A: b\r\nC", 7, &err), TH_ELIMIT);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *chunks = thi_check_case(suite, "chunks");
    tcase_add_test(chunks, rfc9112_7_1_chunks_are_joined);
    tcase_add_test(chunks, rfc9112_7_1_every_prefix_is_incomplete);
    tcase_add_test(chunks, rfc9112_7_1_chunk_size_is_hexadecimal);
    tcase_add_test(chunks, rfc9112_7_1_chunk_size_does_not_overflow);
    tcase_add_test(chunks, rfc9112_2_2_chunk_lines_end_with_crlf);
    tcase_add_test(chunks, data_comes_in_pieces_as_it_arrives);
    TCase *extensions = thi_check_case(suite, "extensions");
    tcase_add_test(extensions, rfc9112_7_1_1_extensions_are_skipped);
    tcase_add_test(extensions, rfc9112_7_1_1_malformed_extensions);
    tcase_add_test(extensions, rfc9112_7_1_1_framing_out_of_proportion_is_refused);
    tcase_add_test(extensions, a_chunk_line_has_a_limit);
    TCase *trailers = thi_check_case(suite, "trailers");
    tcase_add_test(trailers, rfc9112_7_1_2_trailers);
    tcase_add_test(trailers, the_next_message_begins_after_the_trailers);
    tcase_add_test(trailers, a_trailer_section_has_a_limit);
    tcase_add_test(trailers, trailer_parser_misuse_is_einval);
}

int main(void)
{
    return thi_check_run("proto/http1_chunked", fill);
}
