/* SPDX-License-Identifier: MIT */

/*
 * The status line (RFC 9112, 4); http1_fields.c explains how the automaton works and goes on with
 * the field lines.
 *
 * One leniency, because servers of all kinds need it: the SP between the status code and an empty
 * reason phrase may be missing.
 */
#include "proto/http1_response.h"

#include <thrum/error.h>

#include "proto/http1_fields.h"
#include "proto/scan.h"

#include <errno.h>

/* "HTTP/1.1 200": everything in the status line that has a fixed place. */
#define FIXED_LENGTH 12

void thi_http1_response_init(thi_http1_response *res, thi_http1_field *fields, uint32_t capacity,
                             const thi_http1_limits *limits)
{
    *res = (thi_http1_response){ .status = 0 };
    thi_http1_head_init(&res->head, fields, capacity, limits);
    res->head.state = THI_HTTP1_IN_VERSION;
}

/* Reads version and status code. Returns the offset after them, 0 or a refusal. */
static ssize_t parse_fixed(thi_http1_response *res, size_t len, thi_http1_error *err)
{
    static const char pattern[] = "HTTP/1.d ddd";
    thi_http1_head *head = &res->head;
    const char *p = head->base;
    const char *end = thi_http1_end(head, len);
    for (int i = 0; i < FIXED_LENGTH; i++) {
        if (p + i == end)
            return thi_http1_rest(head, p, p, len, err);
        if (pattern[i] == 'd' ? !thi_char_is(p[i], THI_CHAR_DIGIT) : p[i] != pattern[i])
            return thi_http1_refuse(head, p + i, "not an HTTP/1 status line", err);
    }
    if (p[9] == '0')
        return thi_http1_refuse(head, p + 9, "status code below 100", err);
    head->minor = p[7] != '0';
    res->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    return FIXED_LENGTH;
}

/* The status line; results as thi_http1_response_parse(). */
static ssize_t parse_line(thi_http1_response *res, size_t len, thi_http1_error *err)
{
    thi_http1_head *head = &res->head;
    const char *lo = head->base;
    const char *end = thi_http1_end(head, len);
    const char *start = lo + head->start;
    const char *p = lo + head->pos;
    ssize_t done;

    switch (head->state) {
    case THI_HTTP1_IN_VERSION:
        done = parse_fixed(res, len, err);
        if (done <= 0)
            return done;
        start = p = lo + done;
        head->state = THI_HTTP1_IN_STATUS;
        __attribute__((fallthrough));
    case THI_HTTP1_IN_STATUS:
        if (p == end)
            break;
        if (*p != ' ' && *p != '\r')
            return thi_http1_refuse(head, p, "malformed status code", err);
        if (*p == ' ')
            p++;
        start = p;
        head->state = THI_HTTP1_IN_REASON;
        __attribute__((fallthrough));
    default: /* THI_HTTP1_IN_REASON */
        p = thi_scan_value(lo, p, end);
        if (end - p < 2 && (p == end || *p == '\r'))
            break;
        if (*p != '\r' || p[1] != '\n')
            return thi_http1_refuse(head, p, thi_http1_fault(*p), err);
        res->reason = thi_http1_span(head, start, p);
        head->state = THI_HTTP1_AT_LINE;
        head->start = head->pos = (uint32_t)(p + 2 - lo);
        return p + 2 - lo;
    }
    return thi_http1_rest(head, start, p, len, err);
}

ssize_t thi_http1_response_parse(thi_http1_response *res, const char *buf, size_t len,
                                 thi_http1_error *err)
{
    thi_http1_head *head = &res->head;
    if (len > UINT32_MAX || len < head->pos)
        return -EINVAL;
    if (len == 0)
        return 0;
    head->base = buf;
    ssize_t done = 1;
    if (head->state > THI_HTTP1_AT_START)
        done = parse_line(res, len, err);
    if (done > 0)
        done = thi_http1_fields_parse(head, len, err);
    if (done < 0)
        err->status = 502;
    return done;
}
