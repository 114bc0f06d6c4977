/* SPDX-License-Identifier: MIT */

/*
 * What every parser of a head is made of: the states it can rest in, how it rests and how it
 * refuses, and the parser of the field lines up to the empty line (RFC 9112, 5), which requests,
 * responses and trailer sections share.
 */
#ifndef THI_PROTO_HTTP1_FIELDS_H
#define THI_PROTO_HTTP1_FIELDS_H

#include "proto/http1_head.h"

/* head->state: what the next byte belongs to. */
enum {
    THI_HTTP1_AT_LINE,    /* a field line, or the empty line at the end */
    THI_HTTP1_IN_NAME,    /* a field name */
    THI_HTTP1_IN_SPACE,   /* the white space before a value */
    THI_HTTP1_IN_VALUE,   /* a value with the CRLF after it */
    THI_HTTP1_AT_START,   /* the start line, or an empty line before it */
    THI_HTTP1_IN_METHOD,  /* the method */
    THI_HTTP1_IN_TARGET,  /* the target up to its question mark */
    THI_HTTP1_IN_QUERY,   /* the target after its question mark */
    THI_HTTP1_IN_VERSION, /* the version with the CRLF after it, or of a response the SP */
    THI_HTTP1_IN_STATUS,  /* the status code with the SP after it */
    THI_HTTP1_IN_REASON   /* the reason phrase with the CRLF after it */
};

/* Sets everything but the array's contents; see thi_http1_request_init(). */
void thi_http1_head_init(thi_http1_head *head, thi_http1_field *fields, uint32_t capacity,
                         const thi_http1_limits *limits);

/* Goes on at head->pos in head->state, one of the first four; results as the parse calls. */
ssize_t thi_http1_fields_parse(thi_http1_head *head, size_t len, thi_http1_error *err);

/* End of the bytes that may be looked at: the head's limit counts as much as the input's length. */
static inline const char *thi_http1_end(const thi_http1_head *head, size_t len)
{
    return head->base + (len < head->limits.head ? len : head->limits.head);
}

static inline thi_span thi_http1_span(const thi_http1_head *head, const char *from, const char *to)
{
    return (thi_span){ (uint32_t)(from - head->base), (uint32_t)(to - from) };
}

/*
 * Rests before p, in the middle of an element that began at start. Returns 0: more bytes are
 * needed; or TH_ELIMIT when the input of the given length has already filled what the head may
 * have.
 */
ssize_t thi_http1_rest(thi_http1_head *head, const char *start, const char *p, size_t len,
                       thi_http1_error *err);

/* Fills *err with 400 and returns TH_EPROTO. */
int thi_http1_refuse(const thi_http1_head *head, const char *at, const char *reason,
                     thi_http1_error *err);

/* What is wrong with this byte where only printable ones, SP and HTAB may stand. Static. */
const char *thi_http1_fault(char c);

#endif
