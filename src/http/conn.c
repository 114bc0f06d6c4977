/* SPDX-License-Identifier: MIT */

/*
 * Moving the bytes of a connection.
 *
 * A peer that sends or takes one byte now and then must not hold a request's memory for ever. While
 * a fiber waits for the peer, a timer measures how many bytes moved in the last stretch of time,
 * and breaks the wait off when that is less than the minimum rate. The timer is set only when there
 * is something to wait for: a request whose bytes are there and whose answer fits into the socket
 * never touches it. Nor is it taken back: a timer that finds nothing to measure does nothing.
 */
#include "http/conn.h"

#include "base/alloc.h"
#include "base/util.h"

#define RATE_STRETCH (5 * TH_SECOND)
#define WORK_KEPT    64
#define BODY_ROOM    (4 * 1024) /* of the input behind a head of full size */
#define ARENA_LIMIT  (16 * 1024 * 1024)

static thi_http_part *part_of(const thi_http_conn *conn)
{
    return conn->part->user;
}

static thi_http_work *new_work(const th_http_opts *opts)
{
    size_t in_size = opts->head_size + BODY_ROOM;
    thi_http_work *work = thi_alloc(sizeof *work);
    if (!work)
        return NULL;
    work->in = thi_alloc(in_size);
    work->fields = thi_alloc(opts->head_count * sizeof *work->fields);
    if (!work->in || !work->fields) {
        thi_free(work->in);
        thi_free(work->fields);
        thi_free(work);
        return NULL;
    }
    work->in_size = in_size;
    return work;
}

static void free_work(thi_http_work *work)
{
    thi_free(work->in);
    thi_free(work->fields);
    thi_free(work);
}

int thi_http_conn_take_work(thi_http_conn *conn)
{
    thi_http_part *part = part_of(conn);
    thi_http_work *work = part->free;
    if (work) {
        part->free = work->next;
        part->free_count--;
    } else {
        work = new_work(&thi_http_service_of(conn)->opts);
        if (!work)
            return -ENOMEM;
    }
    work->in_at = 0;
    work->in_end = 0;
    work->out_len = 0;
    work->request.conn = conn;
    work->reply.conn = conn;
    th_arena_init(&work->request.arena, work->arena, sizeof work->arena, ARENA_LIMIT);
    conn->work = work;
    return 0;
}

void thi_http_conn_give_work(thi_http_conn *conn)
{
    thi_http_part *part = part_of(conn);
    thi_http_work *work = conn->work;
    conn->work = NULL;
    th_arena_deinit(&work->request.arena);
    if (part->free_count >= WORK_KEPT) {
        free_work(work);
        return;
    }
    work->next = part->free;
    part->free = work;
    part->free_count++;
}

void thi_http_part_clear(thi_http_part *part)
{
    while (part->free) {
        thi_http_work *work = part->free;
        part->free = work->next;
        free_work(work);
    }
    part->free_count = 0;
}

/* ---- the peer's speed ---- */

static void start_rate(thi_http_conn *conn)
{
    thi_loop *loop = thi_http_loop(conn);
    conn->rate_since = loop->now;
    conn->rate_bytes = conn->moved;
    thi_loop_timer(loop, &conn->timer, loop->now + RATE_STRETCH);
}

/* About to wait for the peer, perhaps: have somebody look at the clock. */
static void watch_rate(thi_http_conn *conn)
{
    if (conn->phase == THI_CONN_BUSY && !conn->rated) {
        conn->rated = true;
        start_rate(conn);
    }
}

void thi_http_conn_check_rate(thi_http_conn *conn)
{
    thi_socket *s = &conn->socket;
    int64_t seconds = (thi_http_loop(conn)->now - conn->rate_since) / TH_SECOND;
    uint64_t wanted = (uint64_t)seconds * thi_http_service_of(conn)->opts.min_rate;
    bool slow = conn->moved - conn->rate_bytes < wanted;
    start_rate(conn);
    if (slow && s->reader)
        s->reader->abort(s->reader, TH_ESLOW);
    if (slow && s->writer)
        s->writer->abort(s->writer, TH_ESLOW);
}

/* ---- in ---- */

ssize_t thi_http_conn_fill(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    ssize_t n =
        th_stream_read(&conn->socket.base, work->in + work->in_end, work->in_size - work->in_end);
    if (n > 0) {
        work->in_end += (size_t)n;
        conn->moved += (uint64_t)n;
    }
    return n;
}

ssize_t thi_http_conn_read(thi_http_conn *conn, void *buf, size_t size)
{
    if (!thi_socket_has_arrival(&conn->socket))
        watch_rate(conn);
    ssize_t n = th_stream_read(&conn->socket.base, buf, size);
    if (n > 0)
        conn->moved += (uint64_t)n;
    conn->rated = false;
    return n;
}

/* ---- out ---- */

#define PIECES 8

static int drop_sent(struct iovec *iov, int count, size_t sent)
{
    int left = 0;
    for (int i = 0; i < count; i++) {
        size_t gone = thi_min(sent, iov[i].iov_len);
        sent -= gone;
        if (gone < iov[i].iov_len) {
            iov[left].iov_base = (char *)iov[i].iov_base + gone;
            iov[left++].iov_len = iov[i].iov_len - gone;
        }
    }
    return left;
}

/* Step by step, so that the bytes that move are counted while the rest waits. */
static int send_steps(thi_http_conn *conn, struct iovec *iov, int count)
{
    th_stream *stream = &conn->socket.base;
    int err = 0;
    if (!(conn->socket.watch.ready & THI_WRITE))
        watch_rate(conn);
    while (count > 0) {
        ssize_t n = stream->ops->writev(stream, iov, count);
        if (n < 0) {
            err = (int)n;
            break;
        }
        conn->moved += (uint64_t)n;
        count = drop_sent(iov, count, (size_t)n);
        if (count > 0)
            watch_rate(conn);
    }
    conn->rated = false;
    return err;
}

int thi_http_conn_flush(thi_http_conn *conn)
{
    return thi_http_conn_send(conn, NULL, 0);
}

int thi_http_conn_send(thi_http_conn *conn, const struct iovec *iov, int count)
{
    struct iovec all[PIECES];
    int n = 0;
    TH_ASSERT(count < PIECES);
    if (conn->work->out_len > 0)
        all[n++] = (struct iovec){ conn->work->out, conn->work->out_len };
    for (int i = 0; i < count; i++)
        if (iov[i].iov_len > 0)
            all[n++] = iov[i];
    conn->work->out_len = 0;
    return n > 0 ? send_steps(conn, all, n) : 0;
}

int thi_http_conn_send_file(thi_http_conn *conn, int fd, int64_t offset, int64_t size)
{
    th_stream *stream = &conn->socket.base;
    conn->socket.more = size > 0;
    int err = thi_http_conn_flush(conn);
    conn->socket.more = false;
    while (err == 0 && size > 0) {
        watch_rate(conn);
        ssize_t n = stream->ops->sendfile(stream, fd, offset, (size_t)size);
        if (n <= 0) {
            err = n == 0 ? TH_ETRUNCATED : (int)n;
            break;
        }
        conn->moved += (uint64_t)n;
        offset += n;
        size -= n;
    }
    conn->rated = false;
    return err;
}
