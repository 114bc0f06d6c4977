/* SPDX-License-Identifier: MIT */

/*
 * A chunked body. However it is cut, and whether trailers are kept or dropped, the same data comes
 * out; the data put into chunks again comes out again.
 */
#include "../unit/proto/feed.h"

#include <thrum/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a body decodes to, and how it ends. */
typedef struct decoded {
    char *data;
    size_t len;
    size_t used; /* bytes of the body and its framing */
    int end;     /* an event or an error */
} decoded;

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* Decodes in pieces of `step` bytes. */
static decoded decode(const char *text, size_t size, size_t step, bool keep_trailers)
{
    decoded d = { malloc(size + 1), 0, 0, THI_HTTP1_CHUNK_MORE };
    thi_http1_chunked decoder;
    thi_http1_error err;
    expect(d.data != NULL);
    thi_http1_chunked_init(&decoder, keep_trailers);
    while (d.end == THI_HTTP1_CHUNK_MORE && d.used < size) {
        th_str in = th_str_make(text + d.used, size - d.used < step ? size - d.used : step);
        do {
            th_str piece;
            const char *from = in.ptr;
            d.end = thi_http1_chunked_next(&decoder, &in, &piece, &err);
            if (d.end == THI_HTTP1_CHUNK_DATA) {
                expect(piece.len > 0 && piece.ptr >= from && piece.ptr + piece.len == in.ptr);
                memcpy(d.data + d.len, piece.ptr, piece.len);
                d.len += piece.len;
            }
            d.used += (size_t)(in.ptr - from);
        } while (d.end == THI_HTTP1_CHUNK_DATA);
    }
    return d;
}

static void expect_same(const decoded *a, const decoded *b)
{
    expect(a->end == b->end && a->len == b->len && a->used == b->used);
    expect(memcmp(a->data, b->data, a->len) == 0);
}

/* With trailers kept: the same data, and the section read by the other parser says the same. */
static void check_trailers(const char *text, size_t size, const decoded *dropped)
{
    decoded kept = decode(text, size, size, true);
    if (kept.end == THI_HTTP1_CHUNK_TRAILERS) {
        thi_http1_field fields[FEED_FIELDS];
        thi_http1_head head;
        thi_http1_error err;
        thi_http1_trailers_init(&head, fields, FEED_FIELDS, NULL);
        ssize_t n = thi_http1_trailers_parse(&head, text + kept.used, size - kept.used, &err);
        if (n > 0 && dropped->end >= 0) {
            expect(dropped->end == THI_HTTP1_CHUNK_END);
            expect(dropped->used == kept.used + (size_t)n);
        }
        if (n == 0 && dropped->end >= 0)
            expect(dropped->end == THI_HTTP1_CHUNK_MORE);
        if (n == TH_EPROTO)
            expect(dropped->end == TH_EPROTO || dropped->end == TH_ELIMIT);
    } else {
        expect_same(&kept, dropped);
    }
    expect(kept.len == dropped->len && memcmp(kept.data, dropped->data, kept.len) == 0);
    free(kept.data);
}

/* Cuts the data into chunks whose sizes depend on it, and decodes them. */
static void check_encoded(const decoded *d)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    expect(out != NULL);
    for (size_t at = 0; at < d->len;) {
        char header[THI_CHUNK_HEADER_MAX];
        size_t n = 1 + (unsigned char)d->data[at];
        n = n < d->len - at ? n : d->len - at;
        fwrite(header, 1, thi_http1_write_chunk_header(header, n), out);
        fwrite(d->data + at, 1, n, out);
        fputs("\r\n", out);
        at += n;
    }
    fputs("0\r\n\r\n", out);
    fclose(out);
    decoded again = decode(text, size, 7, false);
    expect(again.end == THI_HTTP1_CHUNK_END && again.used == size && again.len == d->len);
    expect(memcmp(again.data, d->data, d->len) == 0);
    free(again.data);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    decoded whole = decode(text, size, size, false);
    static const size_t steps[] = { 1, 2, 3, 7, 16 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        decoded cut = decode(text, size, steps[i], false);
        expect_same(&cut, &whole);
        free(cut.data);
    }
    check_trailers(text, size, &whole);
    check_encoded(&whole);
    free(whole.data);
    return 0;
}
