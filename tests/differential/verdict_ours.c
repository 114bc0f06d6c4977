/* SPDX-License-Identifier: MIT */

/* The verdict of Thrum's parsers. */
#include "verdict.h"

#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>

#define FIELDS 256

static verdict refused(const thi_http1_error *err, size_t start)
{
    return (verdict){ .kind = VERDICT_REFUSED,
                      .code = err->status,
                      .offset = start + err->offset,
                      .reason = err->reason };
}

static void put(FILE *out, th_str s)
{
    fwrite(s.ptr, 1, s.len, out);
}

/* Writes the body and moves *at behind it. Returns false when *v is the verdict already. */
static bool read_body(th_str in, const thi_http1_meaning *m, size_t *at, FILE *out, verdict *v)
{
    size_t left = in.len - *at;
    *v = (verdict){ .kind = VERDICT_INCOMPLETE };
    if (m->framing == THI_HTTP1_LENGTH) {
        if (left < m->length)
            return false;
        put(out, th_str_make(in.ptr + *at, (size_t)m->length));
        *at += (size_t)m->length;
    } else if (m->framing == THI_HTTP1_CHUNKED) {
        thi_http1_chunked decoder;
        thi_http1_error err;
        th_str rest = th_str_make(in.ptr + *at, left), data;
        thi_http1_chunked_init(&decoder, false);
        int event;
        while ((event = thi_http1_chunked_next(&decoder, &rest, &data, &err)) ==
               THI_HTTP1_CHUNK_DATA)
            put(out, data);
        if (event < 0)
            *v = refused(&err, *at);
        if (event != THI_HTTP1_CHUNK_END)
            return false;
        *at = (size_t)(rest.ptr - in.ptr);
    }
    return true;
}

static verdict read_message(th_str in, const thi_http1_request *req, size_t at, FILE *out)
{
    const thi_http1_head *head = &req->head;
    thi_http1_meaning m;
    thi_http1_error err;
    verdict v;
    if (thi_http1_request_meaning(req, &m, &err) < 0)
        return refused(&err, 0);
    bool switched = m.upgrade || req->method_id == THI_HTTP_CONNECT;
    put(out, thi_http1_str(head, req->method));
    fputc(' ', out);
    put(out, thi_http1_str(head, req->target));
    fprintf(out, " 1.%d %s\n", head->minor, m.keep_alive ? "keep-alive" : "close");
    for (uint32_t i = 0; i < head->count; i++) {
        put(out, thi_http1_name(head, i));
        fputs(": ", out);
        put(out, thi_http1_value(head, i));
        fputc('\n', out);
    }
    /* What follows a switch is not read here: the other parser does not read it either. */
    if (!switched && !read_body(in, &m, &at, out, &v))
        return v;
    return (verdict){
        .kind = VERDICT_COMPLETE, .consumed = at, .keep_alive = m.keep_alive, .switched = switched
    };
}

verdict verdict_ours(const char *data, size_t len)
{
    thi_http1_field fields[FIELDS];
    thi_http1_request req;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, FIELDS, NULL);
    ssize_t n = thi_http1_request_parse(&req, data, len, &err);
    if (n < 0)
        return refused(&err, 0);
    if (n == 0)
        return (verdict){ .kind = VERDICT_INCOMPLETE };

    char *text = NULL;
    size_t text_len = 0;
    FILE *out = open_memstream(&text, &text_len);
    if (!out)
        abort();
    verdict v = read_message(th_str_make(data, len), &req, (size_t)n, out);
    fclose(out);
    v.text = text;
    v.text_len = text_len;
    return v;
}

void verdict_free(verdict *v)
{
    free(v->text);
}
