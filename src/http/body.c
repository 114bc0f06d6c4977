/* SPDX-License-Identifier: MIT */

/*
 * Reading the body of a request.
 *
 * The head lies at the front of the input buffer and stays there until the handler has returned;
 * the body is read behind it, or, when the handler's buffer is large, straight into that. The
 * decoder of chunks gives stretches of the input, of which `pending` holds what the handler has not
 * taken yet.
 */
#include "http/body.h"

#include "base/error.h"
#include "base/util.h"

#include <string.h>

#define DIRECT_MIN  (4 * 1024)
#define DISCARD_MAX (256 * 1024)

void thi_http_body_begin(th_http_request *q)
{
    q->body_left = q->meaning.framing == THI_HTTP1_LENGTH ? q->meaning.length : 0;
    q->body_read = 0;
    q->body_done = q->meaning.framing == THI_HTTP1_NO_BODY;
    q->body_at = q->conn->work->in_at;
    q->pending = (th_str){ NULL, 0 };
    q->continued = !q->meaning.expect_continue || q->body_done;
    q->failed = 0;
    q->refusal = 0;
    if (q->meaning.framing == THI_HTTP1_CHUNKED)
        thi_http1_chunked_init(&q->chunked, false);
}

static ssize_t fail(th_http_request *q, int err, int refusal)
{
    q->failed = err;
    q->refusal = refusal;
    return err;
}

/* What a failed read of the connection means for the body. */
static ssize_t fail_read(th_http_request *q, ssize_t err)
{
    if (err == TH_EOF || err == -ECONNRESET || err == -EPIPE)
        return fail(q, TH_ETRUNCATED, 0);
    return fail(q, (int)err, err == TH_ESLOW ? 408 : 0);
}

/* The client waits for leave to send its body (RFC 9110, 10.1.1), unless it has begun already. */
static int say_continue(th_http_request *q)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    q->continued = true;
    if (q->conn->work->reply.status != 0 || thi_http_conn_buffered(q->conn) > 0)
        return 0;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = sizeof text - 1 };
    return thi_http_conn_send(q->conn, &iov, 1);
}

/* Gets more input behind the head. */
static ssize_t more_input(th_http_request *q)
{
    thi_http_work *work = q->conn->work;
    if (work->in_at == work->in_end)
        work->in_at = work->in_end = q->body_at;
    ssize_t n = thi_http_conn_read(q->conn, work->in + work->in_end, work->in_size - work->in_end);
    if (n > 0)
        work->in_end += (size_t)n;
    return n;
}

static ssize_t read_length(th_http_request *q, void *buf, size_t size)
{
    thi_http_work *work = q->conn->work;
    size_t wanted = (size_t)thi_min((uint64_t)size, q->body_left);
    ssize_t n;
    if (thi_http_conn_buffered(q->conn) == 0 && wanted >= DIRECT_MIN) {
        n = thi_http_conn_read(q->conn, buf, wanted);
    } else {
        n = thi_http_conn_buffered(q->conn) > 0 ? 1 : more_input(q);
        if (n > 0) {
            n = (ssize_t)thi_min(wanted, thi_http_conn_buffered(q->conn));
            memcpy(buf, work->in + work->in_at, (size_t)n);
            work->in_at += (size_t)n;
        }
    }
    if (n < 0)
        return fail_read(q, n);
    q->body_left -= (uint64_t)n;
    q->body_done = q->body_left == 0;
    return n;
}

/* Decodes up to the next stretch of data: 1 with `pending` filled, 0 at the end, or a failure. */
static ssize_t next_chunk_data(th_http_request *q)
{
    thi_http_work *work = q->conn->work;
    for (;;) {
        th_str in = { work->in + work->in_at, work->in_end - work->in_at };
        thi_http1_error err;
        int event = thi_http1_chunked_next(&q->chunked, &in, &q->pending, &err);
        if (event < 0)
            return fail(q, TH_EPROTO, err.status);
        work->in_at = work->in_end - in.len;
        if (event == THI_HTTP1_CHUNK_DATA)
            return 1;
        if (event == THI_HTTP1_CHUNK_END) {
            q->body_done = true;
            return 0;
        }
        ssize_t n = more_input(q);
        if (n < 0)
            return fail_read(q, n);
    }
}

static ssize_t read_chunked(th_http_request *q, void *buf, size_t size)
{
    if (q->pending.len == 0) {
        ssize_t got = next_chunk_data(q);
        if (got <= 0)
            return got < 0 ? got : TH_EOF;
    }
    size_t n = thi_min(size, q->pending.len);
    memcpy(buf, q->pending.ptr, n);
    q->pending.ptr += n;
    q->pending.len -= n;
    return (ssize_t)n;
}

ssize_t th_http_request_read(th_http_request *q, void *buf, size_t size)
{
    if (!q || (!buf && size > 0))
        return -EINVAL;
    if (q->failed < 0)
        return q->failed;
    if (size == 0)
        return 0;
    if (q->body_done)
        return TH_EOF;
    if (!q->continued) {
        int err = say_continue(q);
        if (err < 0)
            return fail(q, err, 0);
    }
    ssize_t n = q->meaning.framing == THI_HTTP1_LENGTH ? read_length(q, buf, size)
                                                       : read_chunked(q, buf, size);
    if (n < 0)
        return n;
    int64_t limit = thi_http_service_of(q->conn)->opts.body_size;
    q->body_read += (uint64_t)n;
    if (limit >= 0 && q->body_read > (uint64_t)limit)
        return fail(q, TH_ELIMIT, 413);
    return n;
}

int th_http_request_read_all(th_http_request *q, size_t limit, th_str *body)
{
    if (!q || !body)
        return -EINVAL;
    int64_t length = th_http_request_length(q);
    if (length > 0 && (uint64_t)length > limit)
        return (int)fail(q, TH_ELIMIT, 413);
    size_t room = length >= 0 ? (size_t)length : thi_min(limit, (size_t)4096);
    size_t len = 0;
    char *at = th_arena_alloc(&q->arena, room + 1);
    while (at) {
        /* One byte more than the limit is asked for, to tell the end from too much. */
        ssize_t n = th_http_request_read(q, at + len, room + 1 - len);
        if (n == TH_EOF) {
            *body = (th_str){ at, len };
            return 0;
        }
        if (n < 0)
            return (int)n;
        len += (size_t)n;
        if (len > limit)
            return (int)fail(q, TH_ELIMIT, 413);
        if (len <= room)
            continue;
        room = thi_min(limit, room * 2);
        char *larger = th_arena_alloc(&q->arena, room + 1);
        if (larger)
            memcpy(larger, at, len);
        at = larger;
    }
    return -ENOMEM;
}

bool thi_http_body_discard(th_http_request *q)
{
    char scratch[512];
    size_t dropped = 0;
    if (q->body_done)
        return true;
    if (q->failed < 0 || !q->continued || q->body_left > DISCARD_MAX)
        return false;
    while (dropped <= DISCARD_MAX) {
        ssize_t n = th_http_request_read(q, scratch, sizeof scratch);
        if (n < 0)
            return n == TH_EOF;
        dropped += (size_t)n;
    }
    return false;
}

/* Looks through the chunks that have arrived. The decoder is a copy: nothing is taken. */
static bool chunks_discardable(const thi_http_work *work, thi_http1_chunked decoder)
{
    th_str in = { work->in + work->in_at, work->in_end - work->in_at };
    th_str data;
    thi_http1_error err;
    int event;
    do
        event = thi_http1_chunked_next(&decoder, &in, &data, &err);
    while (event == THI_HTTP1_CHUNK_DATA);
    return event >= 0 && decoder.left <= DISCARD_MAX;
}

bool thi_http_body_discardable(const th_http_request *q)
{
    if (q->body_done)
        return true;
    if (q->failed < 0 || !q->continued || q->body_left > DISCARD_MAX)
        return false;
    return q->meaning.framing != THI_HTTP1_CHUNKED || chunks_discardable(q->conn->work, q->chunked);
}

int thi_http_body_skip(th_http_request *q, th_http_reply *r)
{
    if (TH_LIKELY(q->body_done) || thi_http_body_discard(q))
        return 0;
    r->close = true;
    return q->failed;
}
