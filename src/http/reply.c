/* SPDX-License-Identifier: MIT */

/*
 * Building replies.
 *
 * The head is written straight into the connection's output when the reply begins, and small bodies
 * behind it, so that an answer, or several to pipelined requests, leave in one system call. The
 * framing follows RFC 9112, 6: a length if it is known, else chunks, else the end of the
 * connection.
 */
#include "http/reply.h"

#include "base/error.h"
#include "base/util.h"
#include "http/body.h"
#include "proto/chars.h"
#include "proto/http_date.h"
#include "proto/http_list.h"
#include "sys/sys.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What a handler adds; with the rest of a head it fits into the output. */
#define FIELDS_MAX    (8 * 1024)
#define TYPE_MAX      256
#define OWN_FIELDS    512        /* room for what the server itself writes */
#define COPY_MAX      (8 * 1024) /* bodies up to this are copied behind the head */
#define CHUNK_TRAILER 2

void thi_http_reply_prepare(th_http_reply *r)
{
    thi_http_conn *conn = r->conn;
    *r = (th_http_reply){ .conn = conn, .left = -1 };
}

/* ---- fields ---- */

static bool is_servers_own(thi_http_field id)
{
    return id == THI_FIELD_DATE || id == THI_FIELD_CONTENT_LENGTH ||
           id == THI_FIELD_TRANSFER_ENCODING || id == THI_FIELD_CONNECTION ||
           id == THI_FIELD_KEEP_ALIVE;
}

static bool is_field_value(th_str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!thi_char_is(value.ptr[i], THI_CHAR_VALUE))
            return false;
    return true;
}

/* Room for `more` bytes of fields, in the request's arena. */
static int grow_fields(th_http_reply *r, size_t more)
{
    if (r->fields_len + more > FIELDS_MAX)
        return TH_ELIMIT;
    if (r->fields_len + more <= r->fields_room)
        return 0;
    size_t room = thi_max(r->fields_room * 2, r->fields_len + more + 256);
    char *fields = th_arena_alloc(&r->conn->work->request.arena, room);
    if (!fields)
        return -ENOMEM;
    if (r->fields_len > 0)
        memcpy(fields, r->fields, r->fields_len);
    r->fields = fields;
    r->fields_room = room;
    return 0;
}

static void add_text(th_http_reply *r, const void *text, size_t len)
{
    memcpy(r->fields + r->fields_len, text, len);
    r->fields_len += len;
}

int th_http_reply_header(th_http_reply *r, const char *name, const char *value)
{
    if (!r || !name || !value || r->status != 0)
        return -EINVAL;
    th_str n = { name, strlen(name) };
    th_str v = { value, strlen(value) };
    if (!thi_http_is_token(n) || !is_field_value(v))
        return -EINVAL;
    thi_http_field id = thi_http_field_of(n.ptr, n.len);
    if (is_servers_own(id))
        return -EINVAL;
    int err = grow_fields(r, n.len + v.len + 4);
    if (err < 0)
        return err;
    r->has_type |= id == THI_FIELD_CONTENT_TYPE;
    add_text(r, n.ptr, n.len);
    add_text(r, ": ", 2);
    add_text(r, v.ptr, v.len);
    add_text(r, "\r\n", 2);
    r->field_count++;
    return 0;
}

/* ---- the head ---- */

/*
 * These write at `at`, where begin() has seen to it that there is room, and return where they
 * stopped.
 */

#define PUT(at, text) put(at, text, sizeof(text) - 1)

static inline char *put(char *at, const void *data, size_t size)
{
    return (char *)memcpy(at, data, size) + size;
}

static char *put_status_line(char *at, int status)
{
    th_str line = thi_http1_status_line(status);
    if (line.len > 0)
        return put(at, line.ptr, line.len);
    at = PUT(at, "HTTP/1.1 ");
    at += thi_write_decimal(at, (uint64_t)status);
    return PUT(at, " \r\n");
}

/* The date has a resolution of seconds: it is made once for each, with the status line before it.
 */
static void refresh_date(thi_http_part *part, int64_t now)
{
    static const char start[] = "HTTP/1.1 200 OK\r\nDate: ";
    int64_t wall = thi_sys_wall();
    char *date = part->ok + sizeof start - 1;
    memcpy(part->ok, start, sizeof start - 1);
    part->date_until = now + TH_SECOND - wall % TH_SECOND;
    part->ok_len = THI_HTTP_OK_LINE;
    if (thi_http_date_write(date, wall / TH_SECOND) < 0)
        return; /* the clock shows a year that a date cannot: then without (RFC 9110, 6.6.1) */
    memcpy(date + THI_HTTP_DATE_LEN, "\r\n", 2);
    part->ok_len = sizeof start - 1 + THI_HTTP_DATE_LEN + 2;
}

static char *put_start(char *at, thi_http_conn *conn, int status)
{
    thi_http_part *part = conn->part->user;
    int64_t now = thi_http_loop(conn)->now;
    if (TH_UNLIKELY(now >= part->date_until))
        refresh_date(part, now);
    if (TH_LIKELY(status == 200)) {
        memcpy(at, part->ok, sizeof part->ok); /* all of it: a size that is known is a few moves */
        return at + part->ok_len;
    }
    at = put_status_line(at, status);
    return put(at, part->ok + THI_HTTP_OK_LINE, part->ok_len - THI_HTTP_OK_LINE);
}

/* Whether the client said keep-alive in so many words. */
static bool asked_to_keep(const th_http_request *q)
{
    const thi_http1_head *head = &q->head.head;
    uint32_t i = thi_http1_find(head, THI_FIELD_CONNECTION, 0);
    for (; i < head->count; i = thi_http1_find(head, THI_FIELD_CONNECTION, i + 1))
        if (thi_http_list_has(thi_http1_value(head, i), TH_STR("keep-alive")))
            return true;
    return false;
}

static char *put_connection(char *at, const th_http_reply *r)
{
    const thi_http_conn *conn = r->conn;
    const th_http_request *q = &conn->work->request;
    if (r->close)
        return PUT(at, "Connection: close\r\n");
    if (!thi_http1_has(&q->head.head, THI_FIELD_CONNECTION) || !asked_to_keep(q))
        return at;
    at = PUT(at, "Connection: keep-alive\r\nKeep-Alive: timeout=");
    at += thi_write_decimal(at, (uint64_t)(thi_http_service_of(conn)->opts.idle_time / TH_SECOND));
    return PUT(at, "\r\n");
}

/* RFC 9110, 15.3.5, 15.3.6, 15.4.5: these have no content, whatever a handler wants to send. */
static bool is_without_body(int status)
{
    return status == 204 || status == 205 || status == 304;
}

/* The framing of a body of `length` bytes, -1 for unknown. */
static char *put_framing(char *at, const th_http_reply *r, int64_t length)
{
    if (is_without_body(r->status)) /* RFC 9112, 6.3: of 205 a client must still be told so */
        return r->status == 205 ? PUT(at, "Content-Length: 0\r\n") : at;
    if (length < 0)
        return r->chunked ? PUT(at, "Transfer-Encoding: chunked\r\n") : at;
    at = PUT(at, "Content-Length: ");
    at += thi_write_decimal(at, (uint64_t)length);
    return PUT(at, "\r\n");
}

/* The connection cannot go on after a body that the client may or may not send. */
static bool must_close(const th_http_reply *r)
{
    const th_http_request *q = &r->conn->work->request;
    return !q->meaning.keep_alive || r->conn->part->stopping || !q->continued || q->failed < 0;
}

static char *put_head(char *at, const th_http_reply *r, th_str type, int64_t length)
{
    at = put_start(at, r->conn, r->status);
    if (TH_UNLIKELY(r->conn->secure)) { /* RFC 6797, 7.2: not over plain HTTP */
        const thi_http_service *service = thi_http_service_of(r->conn);
        at = put(at, service->hsts, service->hsts_len);
    }
    if (type.len > 0 && !r->has_type) {
        at = PUT(at, "Content-Type: ");
        at = put(at, type.ptr, type.len);
        at = PUT(at, "\r\n");
    }
    if (r->fields_len > 0)
        at = put(at, r->fields, r->fields_len);
    at = put_framing(at, r, length);
    at = put_connection(at, r);
    return PUT(at, "\r\n");
}

static int begin(th_http_reply *r, int status, th_str type, int64_t length)
{
    thi_http_conn *conn = r->conn;
    thi_http_work *work = conn->work;
    const th_http_request *q = &work->request;
    if (r->status != 0 || status < 200 || status > 599)
        return -EINVAL;
    if (thi_http_conn_room(conn) < r->fields_len + type.len + OWN_FIELDS) {
        int err = thi_http_conn_flush(conn);
        if (err < 0)
            return err;
    }
    r->status = status;
    r->head_only = q->head.method_id == THI_HTTP_HEAD || is_without_body(status);
    r->chunked = length < 0 && q->head.head.minor >= 1 && !is_without_body(status);
    r->close |= must_close(r);
    r->close |= length < 0 && !r->chunked && !r->head_only; /* only the end can tell the length */
    r->left = length;
    work->out_len = (size_t)(put_head(work->out + work->out_len, r, type, length) - work->out);
    return 0;
}

/* ---- bodies that are at hand ---- */

/*
 * RFC 9112, 9.6: a close is announced. Most handlers that answer with all they have are done with
 * the request, so what they have not read of it is dropped, or else the connection ends.
 */
static void foresee_close(th_http_reply *r)
{
    const th_http_request *q = &r->conn->work->request;
    if (r->close) /* a refusal perhaps, before anything is known of a body */
        return;
    if (TH_UNLIKELY(!q->body_done) && r->status == 0)
        r->close = !thi_http_body_discardable(q);
}

static int reply_bytes(th_http_reply *r, int status, th_str type, const void *data, size_t size)
{
    foresee_close(r);
    int err = begin(r, status, type, (int64_t)size);
    if (err < 0)
        return err;
    r->left = 0;
    if (r->head_only || size == 0)
        return 0;
    r->sent = size;
    if (size <= COPY_MAX && size <= thi_http_conn_room(r->conn)) {
        thi_http_conn_put(r->conn, data, size);
        return 0;
    }
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    return thi_http_conn_send(r->conn, &iov, 1);
}

int th_http_reply_bytes(th_http_reply *r, int status, const char *type, const void *data,
                        size_t size)
{
    th_str t = th_str_of(type);
    if (!r || (!data && size > 0) || size > SSIZE_MAX || t.len > TYPE_MAX || !is_field_value(t))
        return -EINVAL;
    return reply_bytes(r, status, t, data, size);
}

int th_http_reply_text(th_http_reply *r, int status, const char *text)
{
    if (!r || !text)
        return -EINVAL;
    return reply_bytes(r, status, TH_STR("text/plain; charset=utf-8"), text, strlen(text));
}

int th_http_reply_file(th_http_reply *r, int status, int fd, int64_t offset, int64_t size)
{
    if (!r || fd < 0 || offset < 0 || size < 0)
        return -EINVAL;
    foresee_close(r);
    int err = begin(r, status, TH_STR(""), size);
    if (err < 0)
        return err;
    r->left = 0;
    if (r->head_only)
        return 0;
    r->sent = (uint64_t)size;
    return thi_http_conn_send_file(r->conn, fd, offset, size);
}

/* ---- bodies piece by piece ---- */

int th_http_reply_begin(th_http_reply *r, int status, int64_t length)
{
    return r && length >= -1 ? begin(r, status, TH_STR(""), length) : -EINVAL;
}

/* A piece with its frame: gathered when it is small, sent at once when it is not. */
static int send_piece(th_http_reply *r, const void *data, size_t size)
{
    thi_http_conn *conn = r->conn;
    char header[THI_CHUNK_HEADER_MAX];
    size_t header_len = r->chunked ? thi_http1_write_chunk_header(header, size) : 0;
    size_t trailer_len = r->chunked ? CHUNK_TRAILER : 0;
    if (header_len + size + trailer_len <= thi_http_conn_room(conn)) {
        thi_http_conn_put(conn, header, header_len);
        thi_http_conn_put(conn, data, size);
        thi_http_conn_put(conn, "\r\n", trailer_len);
        return 0;
    }
    struct iovec iov[] = { { header, header_len },
                           { (void *)(uintptr_t)data, size },
                           { (void *)(uintptr_t) "\r\n", trailer_len } };
    return thi_http_conn_send(conn, iov, 3);
}

int th_http_reply_write(th_http_reply *r, const void *data, size_t size)
{
    if (!r || (!data && size > 0) || size > SSIZE_MAX || r->status == 0 || r->ended)
        return -EINVAL;
    if (size == 0)
        return 0;
    if (r->left >= 0) {
        if ((uint64_t)r->left < size)
            return is_without_body(r->status) ? 0 : TH_ELIMIT;
        r->left -= (int64_t)size;
    }
    if (r->head_only)
        return 0;
    r->sent += size;
    return send_piece(r, data, size);
}

int th_http_reply_flush(th_http_reply *r)
{
    if (!r || r->status == 0)
        return -EINVAL;
    return thi_http_conn_flush(r->conn);
}

int th_http_reply_status(const th_http_reply *r)
{
    return r ? r->status : 0;
}

int thi_http_reply_end(th_http_reply *r)
{
    if (r->ended)
        return 0;
    r->ended = true;
    if (r->left > 0 && !r->head_only)
        return TH_ETRUNCATED;
    if (!r->chunked || r->head_only)
        return 0;
    if (thi_http_conn_room(r->conn) < 5) {
        int err = thi_http_conn_flush(r->conn);
        if (err < 0)
            return err;
    }
    thi_http_conn_put(r->conn, "0\r\n\r\n", 5);
    return 0;
}

int thi_http_reply_error(th_http_reply *r, int status, const char *reason, bool close)
{
    char text[256];
    th_str standard = thi_http_reason(status);
    r->fields_len = 0; /* what a handler added was meant for its own answer */
    r->has_type = false;
    r->close |= close;
    (void)snprintf(text, sizeof text, "%d %.*s%s%s\n", status, (int)standard.len, standard.ptr,
                   reason ? ": " : "", reason ? reason : "");
    return th_http_reply_text(r, status, text);
}
