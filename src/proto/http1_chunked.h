/* SPDX-License-Identifier: MIT */

/* Decoder of the chunked transfer coding (RFC 9112, 7.1): body bytes as spans of the input. */
#ifndef THI_PROTO_HTTP1_CHUNKED_H
#define THI_PROTO_HTTP1_CHUNKED_H

#include "proto/http1_head.h"

/* Bytes of one chunk-size line, and of the whole trailer section. */
#define THI_HTTP1_CHUNK_LINE_MAX 1024u
#define THI_HTTP1_TRAILER_MAX    8192u

/* Framing bytes that a body may have beyond 16 a chunk and one for each byte of data. */
#define THI_HTTP1_CHUNK_EXCESS_MAX 16384u

typedef struct thi_http1_chunked {
    uint64_t left;      /* data bytes of the current chunk that are still to come */
    uint64_t offset;    /* bytes consumed since _init */
    int64_t excess;     /* framing bytes not paid for by data */
    uint32_t line;      /* bytes of the current line or of the trailer section so far */
    uint8_t state;      /* the automaton's */
    bool keep_trailers; /* as given to _init */
} thi_http1_chunked;

typedef enum thi_http1_chunk_event {
    THI_HTTP1_CHUNK_MORE,     /* the input is used up */
    THI_HTTP1_CHUNK_DATA,     /* *data is the next piece of the body, at least one byte */
    THI_HTTP1_CHUNK_TRAILERS, /* the last chunk is through: read the trailer section now with
                                 thi_http1_trailers_parse() (only with keep_trailers) */
    THI_HTTP1_CHUNK_END /* the body is complete; the rest of the input is the next message's */
} thi_http1_chunk_event;

/* keep_trailers: the caller wants the trailer fields; otherwise they are checked and dropped. */
void thi_http1_chunked_init(thi_http1_chunked *decoder, bool keep_trailers);

/*
 * Consumes from the front of *in, which it shortens, up to the next event. Cut the input where you
 * like: the data put together, the events and the refusals are the same. Returns an event, or
 * TH_EPROTO or TH_ELIMIT with *err filled (status 400; 431 for too large a trailer section).
 */
TH_MUST int thi_http1_chunked_next(thi_http1_chunked *decoder, th_str *in, th_str *data,
                                   thi_http1_error *err);

/* Makes a head ready for a trailer section: like thi_http1_request_init(). */
void thi_http1_trailers_init(thi_http1_head *head, thi_http1_field *fields, uint32_t capacity,
                             const thi_http1_limits *limits);

/* Reads a trailer section with the empty line at its end; results as thi_http1_request_parse(). */
TH_MUST ssize_t thi_http1_trailers_parse(thi_http1_head *head, const char *buf, size_t len,
                                         thi_http1_error *err);

#endif
