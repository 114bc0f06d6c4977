/* SPDX-License-Identifier: MIT */

/*
 * The parser of field lines.
 *
 * It is an automaton over bytes that leaps: each state but the first knows a class of bytes in
 * which it stays, and scan.h finds the end of the run. When the input ends inside an element, the
 * state, the element's start and the position go into the head, and the next call goes on from
 * there; what has been looked at is not looked at again. Every decision depends on the bytes up to
 * the one at which it falls, and the limits are counted in bytes too, so the outcome cannot depend
 * on how the input was cut, and a bad byte is refused when it arrives, not when its line is
 * complete.
 *
 * Nothing is accepted that RFC 9112 does not want accepted. Refused although it may be accepted: a
 * bare LF as line end (2.2), obs-fold in a response (5.2), and NUL or another control character in
 * a value, which could be made a space (RFC 9110, 5.5). Each of them has split one message into two
 * for somebody.
 */
#include "proto/http1_fields.h"

#include <thrum/error.h>

#include "proto/scan.h"

void thi_http1_head_init(thi_http1_head *head, thi_http1_field *fields, uint32_t capacity,
                         const thi_http1_limits *limits)
{
    *head = (thi_http1_head){ .fields = fields, .capacity = capacity };
    if (limits)
        head->limits = *limits;
    if (head->limits.head == 0)
        head->limits.head = THI_HTTP1_HEAD_DEFAULT;
    if (head->limits.target == 0)
        head->limits.target = THI_HTTP1_TARGET_DEFAULT;
}

ssize_t thi_http1_rest(thi_http1_head *head, const char *start, const char *p, size_t len,
                       thi_http1_error *err)
{
    head->start = (uint32_t)(start - head->base);
    head->pos = (uint32_t)(p - head->base);
    if (len < head->limits.head)
        return 0;
    bool in_target = head->state == THI_HTTP1_IN_TARGET || head->state == THI_HTTP1_IN_QUERY;
    *err = (thi_http1_error){ in_target ? 414 : 431, head->pos, "head too large" };
    return TH_ELIMIT;
}

int thi_http1_refuse(const thi_http1_head *head, const char *at, const char *reason,
                     thi_http1_error *err)
{
    *err = (thi_http1_error){ 400, (size_t)(at - head->base), reason };
    return TH_EPROTO;
}

const char *thi_http1_fault(char c)
{
    if (c == '\n')
        return "line feed without carriage return";
    if (c == '\r')
        return "carriage return without line feed";
    if (c == '\0')
        return "NUL byte";
    if ((unsigned char)c < 0x20 || c == 0x7f)
        return "control character";
    return "invalid byte";
}

/* Why a name that began at start may not be followed by the byte at p, where a colon belongs. */
static const char *name_fault(const char *start, const char *p)
{
    if (thi_char_is_space(*p))
        return p == start ? "line folding" : "white space in or after a field name";
    if (*p == ':')
        return "empty field name";
    if (*p == '\r')
        return "field line without a colon";
    return thi_http1_fault(*p);
}

/* Notes the field whose value, perhaps with white space after it, is [start, end). */
static inline void add_field(thi_http1_head *head, const char *start, const char *end)
{
    thi_http1_field *field = &head->fields[head->count++];
    while (end > start && thi_char_is_space(end[-1]))
        end--;
    field->value = thi_http1_span(head, start, end);
    field->id = thi_http_field_of(head->base + field->name.at, field->name.len);
    head->known |= UINT64_C(1) << field->id;
}

/* One loop for the whole automaton, since every piece of it needs all the local variables. */
ssize_t thi_http1_fields_parse(thi_http1_head *head, size_t len, thi_http1_error *err)
{
    const char *lo = head->base;
    const char *end = thi_http1_end(head, len);
    const char *start = lo + head->start;
    const char *p = lo + head->pos;

    for (;;) {
        switch (head->state) {
        case THI_HTTP1_AT_LINE:
            if (p == end)
                goto rest;
            if (*p == '\r') {
                if (end - p < 2)
                    goto rest;
                if (p[1] != '\n')
                    return thi_http1_refuse(head, p, thi_http1_fault('\r'), err);
                return p + 2 - lo;
            }
            if (TH_UNLIKELY(head->count == head->capacity)) {
                *err = (thi_http1_error){ 431, (size_t)(p - lo), "too many fields" };
                return TH_ELIMIT;
            }
            start = p;
            head->state = THI_HTTP1_IN_NAME;
            __attribute__((fallthrough));
        case THI_HTTP1_IN_NAME:
            p = thi_scan_token(lo, p, end);
            if (p == end)
                goto rest;
            if (TH_UNLIKELY(*p != ':' || p == start))
                return thi_http1_refuse(head, p, name_fault(start, p), err);
            head->fields[head->count].name = thi_http1_span(head, start, p++);
            head->state = THI_HTTP1_IN_SPACE;
            __attribute__((fallthrough));
        case THI_HTTP1_IN_SPACE:
            while (p < end && thi_char_is_space(*p))
                p++;
            start = p;
            if (p == end)
                goto rest;
            head->state = THI_HTTP1_IN_VALUE;
            __attribute__((fallthrough));
        default: /* THI_HTTP1_IN_VALUE */
            p = thi_scan_value(lo, p, end);
            if (end - p < 2 && (p == end || *p == '\r'))
                goto rest;
            if (TH_UNLIKELY(*p != '\r' || p[1] != '\n'))
                return thi_http1_refuse(head, p, thi_http1_fault(*p), err);
            add_field(head, start, p);
            p += 2;
            head->state = THI_HTTP1_AT_LINE;
        }
    }
rest:
    return thi_http1_rest(head, start, p, len, err);
}
