/* SPDX-License-Identifier: MIT */

/*
 * A stream of requests with their bodies. However it is cut, the record is the same; a head that is
 * accepted, written out again and read again says the same; nothing that reads fields stumbles.
 */
#include "../unit/proto/feed.h"

#include "proto/http_accept.h"
#include "proto/http_condition.h"
#include "proto/http_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct parsed {
    thi_http1_request req;
    thi_http1_field fields[FEED_FIELDS];
    thi_http1_meaning meaning;
    int means; /* result of the judgement */
} parsed;

static bool parse(const char *text, size_t len, parsed *out)
{
    thi_http1_error err;
    thi_http1_request_init(&out->req, out->fields, FEED_FIELDS, NULL);
    if (thi_http1_request_parse(&out->req, text, len, &err) <= 0)
        return false;
    out->means = thi_http1_request_meaning(&out->req, &out->meaning, &err);
    return true;
}

static void put(FILE *out, th_str s)
{
    fwrite(s.ptr, 1, s.len, out);
}

/* The head in its plainest form. */
static char *written(const parsed *p, size_t *len)
{
    char *text = NULL;
    const thi_http1_head *head = &p->req.head;
    FILE *out = open_memstream(&text, len);
    if (!out)
        abort();
    put(out, thi_http1_str(head, p->req.method));
    fputc(' ', out);
    put(out, thi_http1_str(head, p->req.target));
    fprintf(out, " HTTP/1.%d\r\n", head->minor);
    for (uint32_t i = 0; i < head->count; i++) {
        put(out, thi_http1_name(head, i));
        fputs(": ", out);
        put(out, thi_http1_value(head, i));
        fputs("\r\n", out);
    }
    fputs("\r\n", out);
    fclose(out);
    return text;
}

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void expect_same(const parsed *a, thi_span x, const parsed *b, thi_span y)
{
    expect(th_str_eq(thi_http1_str(&a->req.head, x), thi_http1_str(&b->req.head, y)));
}

static void check_rewritten(const parsed *a)
{
    parsed b;
    size_t len;
    char *text = written(a, &len);
    if (len <= THI_HTTP1_HEAD_DEFAULT) { /* a space is added after each colon */
        expect(parse(text, len, &b));
        expect_same(a, a->req.method, &b, b.req.method);
        expect_same(a, a->req.target, &b, b.req.target);
        expect_same(a, a->req.path, &b, b.req.path);
        expect_same(a, a->req.query, &b, b.req.query);
        expect_same(a, a->req.authority, &b, b.req.authority);
        expect(a->req.form == b.req.form && a->req.method_id == b.req.method_id);
        expect(a->req.head.count == b.req.head.count && a->req.head.known == b.req.head.known);
        for (uint32_t i = 0; i < b.req.head.count; i++) {
            expect_same(a, a->fields[i].name, &b, b.fields[i].name);
            expect_same(a, a->fields[i].value, &b, b.fields[i].value);
            expect(a->fields[i].id == b.fields[i].id);
        }
        expect(a->means == b.means);
        expect(a->means < 0 ||
               (a->meaning.framing == b.meaning.framing && a->meaning.length == b.meaning.length &&
                a->meaning.keep_alive == b.meaning.keep_alive));
    }
    free(text);
}

/* Reads what conditional and partial requests need. */
static void use_fields(const thi_http1_head *head)
{
    thi_http_version version = { TH_STR("\"a\""), 784111777, true };
    thi_http_codings codings = thi_http_accept_encoding(head);
    thi_http_range ranges[8];
    expect(thi_http_coding_choose(&codings, ~0u) < THI_CODING_COUNT);
    int status = thi_http_condition(head, THI_HTTP_GET, &version, 1700000000);
    expect(status == 0 || status == 304 || status == 412);
    (void)thi_http_if_range(head, &version, 1700000000);
    uint32_t i = thi_http1_find(head, THI_FIELD_RANGE, 0);
    if (i == head->count)
        return;
    int n = thi_http_range_parse(thi_http1_value(head, i), 1000, ranges, 8);
    for (int k = 0; k < n; k++)
        expect(ranges[k].first <= ranges[k].last && ranges[k].last < 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed f = { .data = (const char *)data, .len = size, .seed = size };
    for (int trailers = 0; trailers < 2; trailers++) {
        char *other;
        f.keep_trailers = trailers;
        free(feed_all(&f, feed_request, &other));
        expect(!other);
    }
    parsed p;
    if (parse(f.data, size, &p)) {
        check_rewritten(&p);
        use_fields(&p.req.head);
    }
    return 0;
}
