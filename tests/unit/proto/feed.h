/* SPDX-License-Identifier: MIT */

/*
 * Feeds a byte stream to the HTTP/1.1 parsers as a server or a client would, cut in a chosen way,
 * and writes down everything that they report. Two ways of cutting the same stream must give the
 * same record, letter by letter: unit tests, fuzz targets and the differential test rely on it.
 *
 * Each call of a parser gets its bytes in a block of exactly their size at a new address, so that a
 * sanitizer sees the first byte read too many and no parser can rely on an old address.
 */
#ifndef THI_TEST_FEED_H
#define THI_TEST_FEED_H

#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum feed_cut { FEED_WHOLE, FEED_BYTES, FEED_RANDOM } feed_cut;

typedef struct feed {
    const char *data;
    size_t len;
    feed_cut cut;
    uint64_t seed;           /* of the random cuts */
    bool keep_trailers;      /* read trailer fields instead of dropping them */
    thi_http_method method;  /* of the requests that responses answer */
    thi_http1_limits limits; /* for heads */
    uint32_t capacity;       /* fields in a head, at most FEED_FIELDS; 0 for all of them */

    FILE *log;
    size_t start; /* first byte that is not consumed */
    size_t have;  /* bytes that have arrived */
    char *block;  /* copy of what the parser sees */
} feed;

#define FEED_FIELDS 128u

/* Lets more bytes arrive. Returns false when there are no more. */
static inline bool feed_more(feed *f)
{
    if (f->have == f->len)
        return false;
    size_t step = f->len - f->have;
    if (f->cut == FEED_BYTES)
        step = 1;
    if (f->cut == FEED_RANDOM) {
        f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
        size_t want = 1 + (size_t)(f->seed >> 60 ? f->seed >> 33 & 15 : f->seed >> 33 & 255);
        step = want < step ? want : step;
    }
    f->have += step;
    return true;
}

/* What has arrived and is not consumed, in a block of its own. */
static inline th_str feed_input(feed *f)
{
    size_t len = f->have - f->start;
    char *block = malloc(len ? len : 1);
    if (!block)
        abort();
    if (len)
        memcpy(block, f->data + f->start, len);
    free(f->block);
    f->block = block;
    return th_str_make(block, len);
}

static inline void feed_write(FILE *log, th_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '\\')
            fputc(c, log);
        else
            fprintf(log, "\\x%02x", c);
    }
}

static inline void feed_item(FILE *log, const char *label, th_str s)
{
    fprintf(log, " %s<", label);
    feed_write(log, s);
    fputc('>', log);
}

static inline void feed_refused(feed *f, ssize_t code, const thi_http1_error *err)
{
    fprintf(f->log, "refused %d at %zu, %zd: %s\n", err->status, f->start + err->offset, code,
            err->reason);
}

/* A span must lie within the head, of which the parser has consumed n bytes. */
static inline void feed_check(thi_span span, size_t n)
{
    if (span.at > n || span.len > n - span.at)
        abort();
}

static inline void feed_fields(FILE *log, const thi_http1_head *head, size_t n)
{
    for (uint32_t i = 0; i < head->count; i++) {
        feed_check(head->fields[i].name, n);
        feed_check(head->fields[i].value, n);
        fprintf(log, "field %d", (int)head->fields[i].id);
        feed_item(log, "", thi_http1_name(head, i));
        feed_item(log, "", thi_http1_value(head, i));
        fputc('\n', log);
    }
}

static inline void feed_meaning(FILE *log, const thi_http1_meaning *m)
{
    fprintf(log, "means framing %d length %llu%s%s%s%s host kind %d port %d", (int)m->framing,
            (unsigned long long)m->length, m->has_length ? " given" : "",
            m->keep_alive ? " keep-alive" : "", m->expect_continue ? " expect" : "",
            m->upgrade ? " upgrade" : "", (int)m->host.kind, (int)m->host.port);
    feed_item(log, "", m->host.host);
    fputc('\n', log);
}

/* Reads a body of known length, or all that is left. Returns whether it was complete. */
static inline bool feed_plain_body(feed *f, uint64_t length)
{
    fprintf(f->log, "body ");
    for (;;) {
        size_t n = f->have - f->start;
        n = length < n ? (size_t)length : n;
        feed_write(f->log, th_str_make(f->data + f->start, n));
        f->start += n;
        length -= n;
        if (length == 0 || !feed_more(f))
            break;
    }
    fprintf(f->log, "\n%s", length ? "more\n" : "");
    return length == 0;
}

static inline bool feed_trailers(feed *f)
{
    thi_http1_field fields[FEED_FIELDS];
    thi_http1_head head;
    thi_http1_error err = { 0, 0, "" };
    ssize_t n;
    thi_http1_trailers_init(&head, fields, FEED_FIELDS, &f->limits);
    for (;;) {
        th_str in = feed_input(f);
        n = thi_http1_trailers_parse(&head, in.ptr, in.len, &err);
        if (n != 0 || !feed_more(f))
            break;
    }
    if (n <= 0) {
        if (n < 0)
            feed_refused(f, n, &err);
        else
            fprintf(f->log, "more\n");
        return false;
    }
    feed_fields(f->log, &head, (size_t)n);
    f->start += (size_t)n;
    return true;
}

static inline bool feed_chunked_body(feed *f)
{
    thi_http1_chunked decoder;
    thi_http1_error err = { 0, 0, "" };
    size_t first = f->start;
    thi_http1_chunked_init(&decoder, f->keep_trailers);
    fprintf(f->log, "chunks ");
    for (;;) {
        th_str in = feed_input(f);
        th_str data = { NULL, 0 };
        const char *from = in.ptr;
        int event = thi_http1_chunked_next(&decoder, &in, &data, &err);
        if (event >= 0)
            f->start += (size_t)(in.ptr - from);
        if (event == THI_HTTP1_CHUNK_DATA) {
            feed_write(f->log, data);
        } else if (event == THI_HTTP1_CHUNK_TRAILERS) {
            fprintf(f->log, "\n");
            return feed_trailers(f);
        } else if (event == THI_HTTP1_CHUNK_END) {
            fprintf(f->log, "\n");
            return true;
        } else if (event < 0) {
            fprintf(f->log, "\n");
            f->start = first;
            feed_refused(f, event, &err);
            return false;
        } else if (!feed_more(f)) {
            fprintf(f->log, "\nmore\n");
            return false;
        }
    }
}

static inline bool feed_body(feed *f, const thi_http1_meaning *m)
{
    switch (m->framing) {
    case THI_HTTP1_NO_BODY:
        return true;
    case THI_HTTP1_CHUNKED:
        return feed_chunked_body(f);
    case THI_HTTP1_LENGTH:
        return feed_plain_body(f, m->length);
    default:
        return feed_plain_body(f, UINT64_MAX);
    }
}

/* One request with its body. Returns whether another may follow. */
static inline bool feed_request(feed *f)
{
    thi_http1_field fields[FEED_FIELDS];
    thi_http1_request req;
    thi_http1_meaning meaning;
    thi_http1_error err = { 0, 0, "" };
    ssize_t n;
    thi_http1_request_init(&req, fields, f->capacity ? f->capacity : FEED_FIELDS, &f->limits);
    for (;;) {
        th_str in = feed_input(f);
        n = thi_http1_request_parse(&req, in.ptr, in.len, &err);
        if (n != 0 || !feed_more(f))
            break;
    }
    if (n == 0)
        fprintf(f->log, f->start == f->have ? "end\n" : "more\n");
    else if (n < 0)
        feed_refused(f, n, &err);
    if (n <= 0)
        return false;

    const thi_http1_head *head = &req.head;
    const thi_span parts[] = { req.method,    req.target, req.scheme,
                               req.authority, req.path,   req.query };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        feed_check(parts[i], (size_t)n);
    fprintf(f->log, "request %d 1.%d form %d%s", (int)req.method_id, head->minor, (int)req.form,
            req.has_query ? " with query" : "");
    feed_item(f->log, "method", thi_http1_str(head, req.method));
    feed_item(f->log, "target", thi_http1_str(head, req.target));
    feed_item(f->log, "scheme", thi_http1_str(head, req.scheme));
    feed_item(f->log, "authority", thi_http1_str(head, req.authority));
    feed_item(f->log, "path", thi_http1_request_path(&req));
    feed_item(f->log, "query", thi_http1_str(head, req.query));
    fputc('\n', f->log);
    feed_fields(f->log, head, (size_t)n);
    int result = thi_http1_request_meaning(&req, &meaning, &err);
    if (result < 0) {
        feed_refused(f, result, &err);
        return false;
    }
    feed_meaning(f->log, &meaning);
    f->start += (size_t)n;
    if (!feed_body(f, &meaning))
        return false;
    fprintf(f->log, "done\n");
    return meaning.keep_alive && !meaning.upgrade && req.method_id != THI_HTTP_CONNECT;
}

static inline bool feed_response(feed *f)
{
    thi_http1_field fields[FEED_FIELDS];
    thi_http1_response res;
    thi_http1_meaning meaning;
    thi_http1_error err = { 0, 0, "" };
    ssize_t n;
    thi_http1_response_init(&res, fields, f->capacity ? f->capacity : FEED_FIELDS, &f->limits);
    for (;;) {
        th_str in = feed_input(f);
        n = thi_http1_response_parse(&res, in.ptr, in.len, &err);
        if (n != 0 || !feed_more(f))
            break;
    }
    if (n == 0)
        fprintf(f->log, f->start == f->have ? "end\n" : "more\n");
    else if (n < 0)
        feed_refused(f, n, &err);
    if (n <= 0)
        return false;

    fprintf(f->log, "response %d 1.%d", res.status, res.head.minor);
    feed_item(f->log, "reason", thi_http1_str(&res.head, res.reason));
    fputc('\n', f->log);
    feed_fields(f->log, &res.head, (size_t)n);
    int result = thi_http1_response_meaning(&res, f->method, &meaning, &err);
    if (result < 0) {
        feed_refused(f, result, &err);
        return false;
    }
    feed_meaning(f->log, &meaning);
    f->start += (size_t)n;
    if (!feed_body(f, &meaning))
        return false;
    fprintf(f->log, "done\n");
    return meaning.keep_alive && !meaning.upgrade;
}

/* Runs the stream through message after message. Returns the record; the caller frees it. */
static inline char *feed_run(const feed *how, bool (*message)(feed *f))
{
    char *text = NULL;
    size_t size = 0;
    feed f = *how;
    f.log = open_memstream(&text, &size);
    if (!f.log)
        abort();
    f.start = f.have = 0;
    f.block = NULL;
    feed_more(&f);
    while (message(&f))
        ;
    free(f.block);
    fclose(f.log);
    return text;
}

/*
 * Runs the stream cut in every way. Returns the record of the whole one; *other is NULL if all are
 * equal, else the record that differs. The caller frees both.
 */
static inline char *feed_all(const feed *how, bool (*message)(feed *f), char **other)
{
    feed f = *how;
    f.cut = FEED_WHOLE;
    char *whole = feed_run(&f, message);
    *other = NULL;
    for (uint64_t seed = 0; seed < 5 && !*other; seed++) {
        f.cut = seed == 0 ? FEED_BYTES : FEED_RANDOM;
        f.seed = how->seed + seed;
        char *cut = feed_run(&f, message);
        if (strcmp(cut, whole) == 0)
            free(cut);
        else
            *other = cut;
    }
    return whole;
}

#endif
