/* SPDX-License-Identifier: MIT */

/*
 * The head of an HTTP/1.1 message (RFC 9112, 2.1): the record that the parsers fill, its fields,
 * its limits, and what they say when they refuse.
 *
 * A head is read from one contiguous buffer that the caller owns. Positions are kept as offsets, so
 * the buffer may grow, move or be copied elsewhere, also between two calls of a parser: tell the
 * new address (the parse calls do it, thi_http1_head_moved() does it afterwards) and every span is
 * good again.
 */
#ifndef THI_PROTO_HTTP1_HEAD_H
#define THI_PROTO_HTTP1_HEAD_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include "proto/http_names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A range of bytes of the head, counted from its base. */
typedef struct thi_span {
    uint32_t at;
    uint32_t len;
} thi_span;

typedef struct thi_http1_field {
    thi_span name;     /* a token, at least one byte */
    thi_span value;    /* without the white space around it; may be empty */
    thi_http_field id; /* THI_FIELD_OTHER for a name that is not in the list */
} thi_http1_field;

/* Why a message is refused. The connection cannot be used for another message afterwards. */
typedef struct thi_http1_error {
    int status;    /* the HTTP status to answer with; 502 where a response was read */
    size_t offset; /* of the offending byte from the start of the head or of the chunked body */
    const char *reason; /* static, English, no full stop */
} thi_http1_error;

/* What a peer may send; zero in any field means the default. */
typedef struct thi_http1_limits {
    uint32_t head;      /* bytes of the head with the empty line at its end; 32 KiB; else 431 */
    uint32_t target;    /* bytes of the request target; 8 KiB; else 414 */
    bool relaxed_query; /* let a query contain the bytes [ \ ] ^ ` { | }, which browsers leave as
                           they are, although RFC 3986 wants them percent-encoded; they do encode
                           " < > */
} thi_http1_limits;

#define THI_HTTP1_HEAD_DEFAULT   (32u * 1024)
#define THI_HTTP1_TARGET_DEFAULT (8u * 1024)

/* What requests and responses have in common. Filled by the parser; read through the calls below.
 */
typedef struct thi_http1_head {
    const char *base;        /* first byte of the buffer in which the head lies; borrowed */
    thi_http1_field *fields; /* caller's array, in order of arrival */
    uint32_t capacity;       /* of the array; one field more is refused with 431 */
    uint32_t count;          /* of fields found so far; all of them once the parser is through */
    uint64_t known;          /* bit i is set when a field with the id i occurs */
    uint8_t minor;           /* of the version: 0, or 1 for 1.1 and everything above it */

    /* The parser's own memory between two calls. */
    uint8_t state;           /* what it is in the middle of */
    uint8_t empty_lines;     /* seen before the start line */
    uint32_t start;          /* offset of the element that it is in the middle of */
    uint32_t pos;            /* everything before this offset has been looked at */
    thi_http1_limits limits; /* with the defaults filled in */
} thi_http1_head;

/* The bytes of a span. Valid as long as the buffer is. */
static inline th_str thi_http1_str(const thi_http1_head *head, thi_span span)
{
    return (th_str){ head->base + span.at, span.len };
}

static inline th_str thi_http1_name(const thi_http1_head *head, uint32_t i)
{
    return thi_http1_str(head, head->fields[i].name);
}

static inline th_str thi_http1_value(const thi_http1_head *head, uint32_t i)
{
    return thi_http1_str(head, head->fields[i].value);
}

/* Says whether a field of this id occurs at all, at the cost of one test of a bit. */
static inline bool thi_http1_has(const thi_http1_head *head, thi_http_field id)
{
    return (head->known >> id) & 1;
}

/*
 * Index of the first field with this id at or after `from`, or head->count when there is none.
 * Loop: for (i = thi_http1_find(h, id, 0); i < h->count; i = thi_http1_find(h, id, i + 1))
 */
uint32_t thi_http1_find(const thi_http1_head *head, thi_http_field id, uint32_t from);

/* The same for any name, compared without regard to case. */
uint32_t thi_http1_find_name(const thi_http1_head *head, th_str name, uint32_t from);

/* The bytes of the head now live at base (the same bytes: only the address is new). */
static inline void thi_http1_head_moved(thi_http1_head *head, const char *base)
{
    head->base = base;
}

#endif
