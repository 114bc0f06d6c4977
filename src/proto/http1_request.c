/* SPDX-License-Identifier: MIT */

/*
 * The request line (RFC 9112, 3); http1_fields.c explains how the automaton works and goes on with
 * the field lines.
 *
 * Between its three parts stands exactly one SP. RFC 9112, 3 lets a recipient be generous with
 * white space there; whoever is generous in another way than the next server splits a line at
 * another place, so we are not.
 *
 * Percent-encoding is checked while the target is scanned. The query is found in the same pass,
 * since the scan stops at "?" anyway. What the target means is decided once the whole line is
 * there: a version that nobody speaks (505) is better news than a form that its method does not
 * have, and the preface of HTTP/2 has both.
 */
#include "proto/http1_request.h"

#include <thrum/error.h>

#include "proto/http1_fields.h"
#include "proto/http1_target.h"
#include "proto/scan.h"

#include <errno.h>

/* RFC 9112, 2.2: an empty line before the request line is skipped; old clients send one after a
 * body. More than one is no mistake of that kind. */
#define EMPTY_LINES_MAX 1

/* The version with its line end: "HTTP/1.1" CRLF. */
#define VERSION_LENGTH 10

void thi_http1_request_init(thi_http1_request *req, thi_http1_field *fields, uint32_t capacity,
                            const thi_http1_limits *limits)
{
    *req = (thi_http1_request){ .method_id = THI_HTTP_OTHER };
    thi_http1_head_init(&req->head, fields, capacity, limits);
    req->head.state = THI_HTTP1_AT_START;
}

/* Moves *p past an empty line. Returns 1 when a request begins there, 0 when it takes more bytes to
 * tell, or a refusal. */
static int skip_empty_lines(thi_http1_head *head, const char **p, const char *end,
                            thi_http1_error *err)
{
    for (; *p < end && **p == '\r'; *p += 2) {
        if (head->empty_lines == EMPTY_LINES_MAX)
            return thi_http1_refuse(head, *p, "empty line before the request", err);
        if (end - *p < 2)
            return 0;
        if ((*p)[1] != '\n')
            return thi_http1_refuse(head, *p, thi_http1_fault('\r'), err);
        head->empty_lines++;
    }
    return *p < end;
}

static int method_fault(const thi_http1_head *head, const char *start, const char *p,
                        thi_http1_error *err)
{
    if (p - start > THI_HTTP1_METHOD_MAX) {
        /* RFC 9112, 3: longer than any method that is implemented. */
        *err = (thi_http1_error){ 501, (size_t)(p - head->base), "method too long" };
        return TH_ELIMIT;
    }
    return thi_http1_refuse(head, p, p == start ? "empty method" : "invalid byte in the method",
                            err);
}

static int target_fault(const thi_http1_head *head, const char *start, const char *p,
                        thi_http1_error *err)
{
    const char *reason = "byte in the target that must be percent-encoded";
    if (*p == '%')
        reason = "invalid percent-encoding in the target";
    else if (*p == '#')
        reason = "fragment in the target";
    else if (*p == '\r' || *p == '\n')
        reason = "request line without a version";
    else if (p == start)
        reason = "empty target";
    return thi_http1_refuse(head, p, reason, err);
}

/* Whether "%" at p begins a percent-encoding: 1 yes, 0 not to be known before more comes, -1 no. */
static int percent_encoding(const char *p, const char *end)
{
    for (ptrdiff_t i = 1; i <= 2; i++) {
        if (end - p <= i)
            return 0;
        if (!thi_char_is(p[i], THI_CHAR_HEX))
            return -1;
    }
    return 1;
}

/*
 * Goes on with a target that began at start until the first byte that is none of it or cannot be
 * judged yet, and notes on the way where the query begins.
 */
static const char *scan_target(thi_http1_request *req, const char *start, const char *p,
                               const char *end)
{
    thi_http1_head *head = &req->head;
    for (;;) {
        p = thi_scan_target(head->base, p, end);
        if (p == end || *p == ' ')
            return p;
        if (*p == '%') {
            if (percent_encoding(p, end) <= 0)
                return p;
            p += 3;
        } else if (*p == '?') {
            if (head->state == THI_HTTP1_IN_TARGET)
                req->query.at = (uint32_t)(p + 1 - head->base);
            head->state = THI_HTTP1_IN_QUERY;
            p++;
        } else if (head->state == THI_HTTP1_IN_QUERY) {
            if (!head->limits.relaxed_query || !thi_char_is(*p, THI_CHAR_RELAXED))
                return p;
            p++;
        } else {
            /* An IPv6 address in the absolute or authority form; http1_target.c looks closer. */
            if ((*p != '[' && *p != ']') || *start == '/')
                return p;
            p++;
        }
    }
}

/* Notes the target [start, end) and, if scan_target() has seen one, its query. */
static void end_target(thi_http1_request *req, const char *start, const char *end)
{
    req->target = thi_http1_span(&req->head, start, end);
    req->has_query = req->head.state == THI_HTTP1_IN_QUERY;
    if (req->has_query)
        req->query.len = req->target.at + req->target.len - req->query.at;
}

/*
 * Reads the version at p with the line end after it. RFC 9112, 2.3: its letters are case-sensitive;
 * RFC 9110, 2.5: a higher minor version is treated as the highest that is known.
 */
static ssize_t parse_version(thi_http1_head *head, const char *p, size_t len, thi_http1_error *err)
{
    static const char pattern[] = "HTTP/1.1\r\n";
    const char *end = thi_http1_end(head, len);
    /* Eight bytes and two: a comparison of ten would be a call. */
    if (TH_LIKELY(end - p >= VERSION_LENGTH && memcmp(p, pattern, 8) == 0 &&
                  memcmp(p + 8, pattern + 8, 2) == 0)) {
        head->minor = 1;
        return p + VERSION_LENGTH - head->base;
    }
    for (int i = 0; i < VERSION_LENGTH; i++) {
        if (p + i == end)
            return thi_http1_rest(head, p, p, len, err);
        bool digit = i == 5 || i == 7;
        if (digit ? !thi_char_is(p[i], THI_CHAR_DIGIT) : p[i] != pattern[i])
            return thi_http1_refuse(head, p + i, "malformed request line after the target", err);
    }
    if (p[5] != '1') {
        *err = (thi_http1_error){ 505, (size_t)(p - head->base), "HTTP version not supported" };
        return TH_EPROTO;
    }
    head->minor = p[7] != '0';
    return p + VERSION_LENGTH - head->base;
}

/*
 * These two go on at *p with an element that began at start. They return 1 with *p after the SP
 * that ends it, 0 when it takes more bytes to tell, or a refusal.
 */

static int parse_method(thi_http1_request *req, const char *start, const char **p, const char *end,
                        thi_http1_error *err)
{
    thi_http1_head *head = &req->head;
    /* Most requests are GETs: one comparison stands for a scan and a look-up. */
    if (TH_LIKELY(end - start >= 4 && memcmp(start, "GET ", 4) == 0)) {
        req->method = thi_http1_span(head, start, start + 3);
        req->method_id = THI_HTTP_GET;
        *p = start + 4;
        return 1;
    }
    const char *stop = end - start > THI_HTTP1_METHOD_MAX ? start + THI_HTTP1_METHOD_MAX + 1 : end;
    *p = thi_scan_table(*p, stop, THI_CHAR_TOKEN);
    if (*p == end && *p - start <= THI_HTTP1_METHOD_MAX)
        return 0;
    if (*p == stop || **p != ' ' || *p == start)
        return method_fault(head, start, *p, err);
    req->method = thi_http1_span(head, start, *p);
    req->method_id = thi_http_method_of(thi_http1_str(head, req->method));
    *p += 1;
    return 1;
}

static int parse_target(thi_http1_request *req, const char *start, const char **p, const char *end,
                        thi_http1_error *err)
{
    thi_http1_head *head = &req->head;
    size_t limit = head->limits.target;
    const char *stop = (size_t)(end - start) > limit ? start + limit + 1 : end;
    *p = scan_target(req, start, *p, stop);
    if (*p == stop || (**p == '%' && percent_encoding(*p, stop) == 0)) {
        if ((size_t)(stop - start) <= limit)
            return 0;
        *err = (thi_http1_error){ 414, (size_t)(*p - head->base), "target too long" };
        return TH_ELIMIT;
    }
    if (**p != ' ' || *p == start)
        return target_fault(head, start, *p, err);
    end_target(req, start, *p);
    *p += 1;
    return 1;
}

/* The request line, with what may stand before it; results as thi_http1_request_parse(). */
static ssize_t parse_line(thi_http1_request *req, size_t len, thi_http1_error *err)
{
    thi_http1_head *head = &req->head;
    const char *end = thi_http1_end(head, len);
    const char *start = head->base + head->start;
    const char *p = head->base + head->pos;
    ssize_t done = 0;

    switch (head->state) {
    case THI_HTTP1_AT_START:
        done = skip_empty_lines(head, &p, end, err);
        start = p;
        if (done <= 0)
            break;
        head->state = THI_HTTP1_IN_METHOD;
        __attribute__((fallthrough));
    case THI_HTTP1_IN_METHOD:
        done = parse_method(req, start, &p, end, err);
        if (done <= 0)
            break;
        start = p;
        head->state = THI_HTTP1_IN_TARGET;
        __attribute__((fallthrough));
    case THI_HTTP1_IN_TARGET:
    case THI_HTTP1_IN_QUERY:
        done = parse_target(req, start, &p, end, err);
        if (done <= 0)
            break;
        start = p;
        head->state = THI_HTTP1_IN_VERSION;
        __attribute__((fallthrough));
    default: /* THI_HTTP1_IN_VERSION */
        done = parse_version(head, start, len, err);
        if (done <= 0)
            return done;
        const char *reason = thi_http1_target_split(req);
        if (reason)
            return thi_http1_refuse(head, head->base + req->target.at, reason, err);
        head->state = THI_HTTP1_AT_LINE;
        head->start = head->pos = (uint32_t)done;
        return done;
    }
    return done < 0 ? done : thi_http1_rest(head, start, p, len, err);
}

ssize_t thi_http1_request_parse(thi_http1_request *req, const char *buf, size_t len,
                                thi_http1_error *err)
{
    thi_http1_head *head = &req->head;
    if (len > UINT32_MAX || len < head->pos)
        return -EINVAL;
    if (len == 0)
        return 0;
    head->base = buf;
    if (head->state >= THI_HTTP1_AT_START) {
        ssize_t done = parse_line(req, len, err);
        if (done <= 0)
            return done;
    }
    return thi_http1_fields_parse(head, len, err);
}

th_str thi_http1_request_path(const thi_http1_request *req)
{
    return req->path.len > 0 ? thi_http1_str(&req->head, req->path) : TH_STR("/");
}
