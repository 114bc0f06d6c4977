/* SPDX-License-Identifier: MIT */

/*
 * The chunked decoder.
 *
 * Data passes through as spans of the input, whatever its size; only framing is looked at byte by
 * byte, in an automaton with one state per place in the grammar (RFC 9112, 7.1):
 *
 *     chunk      = 1*HEXDIG chunk-ext CRLF data CRLF
 *     chunk-ext  = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
 *     last-chunk = 1*"0" chunk-ext CRLF
 *     then field lines and an empty line
 *
 * Extensions mean nothing to us, but they are checked all the same: a line that two servers end at
 * different places is how requests are smuggled through them.
 *
 * A sender can make framing out of all proportion to its data, by long extensions on tiny chunks.
 * Each chunk may therefore have 16 bytes of framing and as much again as it has data; what goes
 * beyond adds up over the body and is limited.
 */
#include "proto/http1_chunked.h"

#include <thrum/error.h>

#include "proto/chars.h"
#include "proto/http1_fields.h"

#include <errno.h>

#define FREE_FRAMING 16

enum state {
    SIZE_FIRST, /* the first digit of a chunk size */
    SIZE,       /* another digit, or what follows the size */
    EXT_SPACE,  /* white space that only ";" may follow */
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_NAME_SPACE, /* white space that "=" or ";" may follow */
    EXT_VALUE_FIRST,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,    /* after a backslash in a quoted string */
    EXT_QUOTED_END, /* after the closing quote */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS, /* the last chunk is through */
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    BAD /* no state to be in: the byte is refused */
};

void thi_http1_chunked_init(thi_http1_chunked *decoder, bool keep_trailers)
{
    *decoder = (thi_http1_chunked){ .state = SIZE_FIRST, .keep_trailers = keep_trailers };
}

/* What may follow a chunk size, an extension's name or its value: the end of the line and others.
 */
static enum state after_element(char c, enum state on_space)
{
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXT_NAME_FIRST;
    return thi_char_is_space(c) ? on_space : BAD;
}

/* Adds a digit to the chunk size, which must stay below 2^60: nobody can send more. */
static enum state size_digit(thi_http1_chunked *d, char c)
{
    if (d->left >> 56)
        return BAD;
    d->left = d->left << 4 | thi_char_hex(c);
    return SIZE;
}

/* The next state within a chunk-size line. */
static enum state size_line(thi_http1_chunked *d, char c)
{
    switch ((enum state)d->state) {
    case SIZE_FIRST:
        return thi_char_is(c, THI_CHAR_HEX) ? size_digit(d, c) : BAD;
    case SIZE:
        return thi_char_is(c, THI_CHAR_HEX) ? size_digit(d, c) : after_element(c, EXT_SPACE);
    case EXT_SPACE:
        if (thi_char_is_space(c))
            return EXT_SPACE;
        return c == ';' ? EXT_NAME_FIRST : BAD;
    case EXT_NAME_FIRST:
        if (thi_char_is_space(c))
            return EXT_NAME_FIRST;
        return thi_char_is(c, THI_CHAR_TOKEN) ? EXT_NAME : BAD;
    case EXT_NAME:
        if (c == '=')
            return EXT_VALUE_FIRST;
        return thi_char_is(c, THI_CHAR_TOKEN) ? EXT_NAME : after_element(c, EXT_NAME_SPACE);
    case EXT_NAME_SPACE:
        if (c == '=')
            return EXT_VALUE_FIRST;
        if (thi_char_is_space(c))
            return EXT_NAME_SPACE;
        return c == ';' ? EXT_NAME_FIRST : BAD;
    case EXT_VALUE_FIRST:
        if (thi_char_is_space(c))
            return EXT_VALUE_FIRST;
        if (c == '"')
            return EXT_QUOTED;
        return thi_char_is(c, THI_CHAR_TOKEN) ? EXT_TOKEN : BAD;
    case EXT_TOKEN:
        return thi_char_is(c, THI_CHAR_TOKEN) ? EXT_TOKEN : after_element(c, EXT_SPACE);
    case EXT_QUOTED:
        if (c == '"')
            return EXT_QUOTED_END;
        if (c == '\\')
            return EXT_ESCAPED;
        return thi_char_is(c, THI_CHAR_QUOTED) ? EXT_QUOTED : BAD;
    case EXT_ESCAPED:
        return thi_char_is(c, THI_CHAR_VALUE) ? EXT_QUOTED : BAD;
    case EXT_QUOTED_END:
        return after_element(c, EXT_SPACE);
    default: /* SIZE_LF */
        if (c != '\n')
            return BAD;
        return d->left > 0 ? DATA : TRAILERS;
    }
}

/* The next state after data, or within the trailer section. */
static enum state other_line(enum state state, char c)
{
    switch (state) {
    case DATA_CR:
        return c == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        return c == '\n' ? SIZE_FIRST : BAD;
    case TRAILER_FIRST:
        if (c == '\r')
            return END_LF;
        return thi_char_is(c, THI_CHAR_TOKEN) ? TRAILER_NAME : BAD;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return thi_char_is(c, THI_CHAR_TOKEN) ? TRAILER_NAME : BAD;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return thi_char_is(c, THI_CHAR_VALUE) ? TRAILER_VALUE : BAD;
    case TRAILER_LF:
        return c == '\n' ? TRAILER_FIRST : BAD;
    default: /* END_LF */
        return c == '\n' ? END : BAD;
    }
}

static int refuse(const thi_http1_chunked *d, int code, int status, const char *reason,
                  thi_http1_error *err)
{
    *err = (thi_http1_error){ status, (size_t)d->offset, reason };
    return code;
}

static const char *fault(enum state state, char c)
{
    if (state <= SIZE && thi_char_is(c, THI_CHAR_HEX))
        return "chunk too large";
    if (state == DATA_CR || state == DATA_LF)
        return "chunk data longer than its size";
    if (c == '\n')
        return thi_http1_fault(c);
    if (state == SIZE_LF || state == TRAILER_LF || state == END_LF)
        return thi_http1_fault('\r');
    if (state <= SIZE)
        return "invalid chunk size";
    return state < DATA ? "invalid chunk extension" : "invalid trailer field";
}

/* Judges one byte of framing. Returns 0, or a refusal. */
static int step(thi_http1_chunked *d, char c, thi_http1_error *err)
{
    enum state state = (enum state)d->state;
    enum state next = state < DATA ? size_line(d, c) : other_line(state, c);
    if (next == BAD)
        return refuse(d, TH_EPROTO, 400, fault(state, c), err);

    bool in_trailers = state >= TRAILER_FIRST;
    if (++d->line > (in_trailers ? THI_HTTP1_TRAILER_MAX : THI_HTTP1_CHUNK_LINE_MAX))
        return in_trailers ? refuse(d, TH_ELIMIT, 431, "trailer section too large", err)
                           : refuse(d, TH_ELIMIT, 400, "chunk extension too long", err);
    if (!in_trailers && ++d->excess > THI_HTTP1_CHUNK_EXCESS_MAX)
        return refuse(d, TH_ELIMIT, 400, "too much chunk framing for the data", err);
    if (state == SIZE_LF) {
        d->line = 0;
        d->excess -= FREE_FRAMING;
        d->excess = d->excess > 0 ? d->excess : 0;
    }
    d->offset++;
    d->state = (uint8_t)next;
    return 0;
}

/* Hands out as much of the current chunk's data as the input has. */
static void take_data(thi_http1_chunked *d, th_str *in, th_str *data)
{
    size_t n = in->len < d->left ? in->len : (size_t)d->left;
    *data = th_str_make(in->ptr, n);
    *in = th_str_make(in->ptr + n, in->len - n);
    d->left -= n;
    d->offset += n;
    d->excess = d->excess > (int64_t)n ? d->excess - (int64_t)n : 0;
    if (d->left == 0)
        d->state = DATA_CR;
}

int thi_http1_chunked_next(thi_http1_chunked *decoder, th_str *in, th_str *data,
                           thi_http1_error *err)
{
    for (;;) {
        if (decoder->state == TRAILERS) {
            decoder->state = decoder->keep_trailers ? END : TRAILER_FIRST;
            if (decoder->keep_trailers)
                return THI_HTTP1_CHUNK_TRAILERS;
        }
        if (decoder->state == END)
            return THI_HTTP1_CHUNK_END;
        if (in->len == 0)
            return THI_HTTP1_CHUNK_MORE;
        if (decoder->state == DATA) {
            take_data(decoder, in, data);
            return THI_HTTP1_CHUNK_DATA;
        }
        int refused = step(decoder, *in->ptr, err);
        if (refused < 0)
            return refused;
        *in = th_str_make(in->ptr + 1, in->len - 1);
    }
}

void thi_http1_trailers_init(thi_http1_head *head, thi_http1_field *fields, uint32_t capacity,
                             const thi_http1_limits *limits)
{
    thi_http1_head_init(head, fields, capacity, limits);
}

ssize_t thi_http1_trailers_parse(thi_http1_head *head, const char *buf, size_t len,
                                 thi_http1_error *err)
{
    if (len > UINT32_MAX || len < head->pos)
        return -EINVAL;
    if (len == 0)
        return 0;
    head->base = buf;
    return thi_http1_fields_parse(head, len, err);
}
