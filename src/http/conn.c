/* SPDX-License-Identifier: MIT */

/*
 * Moving the bytes of a connection.
 *
 * A peer that sends or takes one byte now and then must not hold a request's memory for ever. The
 * time that fibers wait for it is added up, over all reads and writes; whenever that makes a full
 * stretch, the peer must have moved enough bytes meanwhile, or the wait is broken off. What it took
 * is seen in the kernel's queue: that lets a writer go on only after a good part of it has gone,
 * which takes an honest but slow reader much longer than a stretch.
 *
 * The clock is read and a timer set only when a fiber does wait: a request whose bytes are there
 * and whose answer fits into the socket never touches them. Nor is the timer taken back: one that
 * comes too early is set anew, and one that finds nobody waiting does nothing.
 */
#include "http/conn.h"

#include "base/alloc.h"
#include "base/util.h"
#include "io/fileway.h"
#include "sys/sys.h"

#define RATE_STRETCH (5 * TH_SECOND)
#define WORK_KEPT    64
#define ARENA_BESIDE ((size_t)16 * 1024 * 1024) /* of a request's memory, beside its body */

static thi_http_part *part_of(const thi_http_conn *conn)
{
    return conn->part->user;
}

/* A body that comes in chunks takes up to twice its size when it is read as a whole; 0: no limit.
 */
static size_t arena_limit(const th_http_opts *opts)
{
    bool bounded = opts->body_size >= 0 && opts->body_size < INT64_MAX / 4;
    return bounded ? ARENA_BESIDE + 2 * (size_t)opts->body_size : 0;
}

static thi_http_work *new_work(const th_http_opts *opts)
{
    size_t in_size = opts->head_size + THI_HTTP_BODY_ROOM;
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
    th_arena_init(&work->request.arena, work->arena, sizeof work->arena, arena_limit(opts));
    return work;
}

static void free_work(thi_http_work *work)
{
    th_arena_deinit(&work->request.arena);
    thi_free(work->in);
    thi_free(work->fields);
    thi_free(work);
}

int thi_http_conn_take_work(thi_http_conn *conn)
{
    thi_http_part *part = part_of(conn);
    const th_http_opts *opts = &thi_http_service_of(conn)->opts;
    thi_http_work *work = part->free;
    if (work) {
        part->free = work->next;
        part->free_count--;
    } else {
        work = new_work(opts);
        if (!work)
            return -ENOMEM;
    }
    work->in_at = 0;
    work->in_end = 0;
    work->out_len = 0;
    work->request.conn = conn;
    work->reply.conn = conn;
    conn->work = work;
    return 0;
}

void thi_http_conn_give_work(thi_http_conn *conn)
{
    thi_http_part *part = part_of(conn);
    thi_http_work *work = conn->work;
    conn->work = NULL;
    th_arena_reset(&work->request.arena);
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

/* Has somebody look at the clock when the stretch will be full. */
static void set_timer(thi_http_conn *conn)
{
    thi_loop_timer(thi_http_loop(conn), &conn->timer,
                   conn->wait_since + RATE_STRETCH - conn->waited);
}

void thi_http_conn_waits(thi_socket *socket)
{
    thi_http_conn *conn = thi_container_of(socket, thi_http_conn, socket);
    if (conn->phase != THI_CONN_BUSY || conn->rated)
        return;
    conn->rated = true;
    conn->wait_since = thi_sys_clock(); /* not loop time: the handler may have computed for long */
    set_timer(conn);
}

/* Adds up the time waited, when nobody waits any more. */
static void end_wait(thi_http_conn *conn)
{
    if (!conn->rated || conn->socket.reader || conn->socket.writer)
        return;
    conn->rated = false;
    conn->waited += thi_http_loop(conn)->now - conn->wait_since;
}

/* Bytes that the peer sent or took in the present stretch; begins a new one. */
static int64_t end_stretch(thi_http_conn *conn, int64_t now)
{
    size_t held = thi_socket_held(&conn->socket);
    int64_t moved =
        (int64_t)(conn->socket.moved - conn->rate_moved) + (int64_t)conn->rate_held - (int64_t)held;
    conn->waited = 0;
    conn->wait_since = now;
    conn->rate_moved = conn->socket.moved;
    conn->rate_held = held;
    return moved;
}

void thi_http_conn_check_rate(thi_http_conn *conn)
{
    thi_socket *s = &conn->socket;
    int64_t now = thi_http_loop(conn)->now;
    int64_t span = conn->waited + now - conn->wait_since;
    if (span < RATE_STRETCH) {
        set_timer(conn);
        return;
    }
    int64_t wanted = span / TH_SECOND * thi_http_service_of(conn)->opts.min_rate;
    bool slow = end_stretch(conn, now) < wanted;
    set_timer(conn);
    if (slow && s->reader)
        s->reader->abort(s->reader, TH_ESLOW);
    if (slow && s->writer) {
        thi_socket_drop_unsent(s);
        s->writer->abort(s->writer, TH_ESLOW);
    }
}

/* ---- in ---- */

ssize_t thi_http_conn_fill(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    th_stream *stream = conn->stream;
    ssize_t n = stream->ops->read(stream, work->in + work->in_end, work->in_size - work->in_end);
    if (n > 0)
        work->in_end += (size_t)n;
    return n;
}

ssize_t thi_http_conn_read(thi_http_conn *conn, void *buf, size_t size)
{
    /* A client may wait for an answer before it sends more. */
    ssize_t n = thi_http_conn_flush(conn);
    if (n < 0)
        return n;
    n = th_stream_read(conn->stream, buf, size);
    end_wait(conn);
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

/* Step by step, and none behind one that has failed. */
static int send_steps(thi_http_conn *conn, struct iovec *iov, int count)
{
    th_stream *stream = TH_UNLIKELY(conn->sealed) ? &conn->socket.base : conn->stream;
    while (count > 0 && conn->broken == 0) {
        ssize_t n = stream->ops->writev(stream, iov, count);
        if (n < 0) {
            conn->broken = (int)n;
            break;
        }
        if (count == 1 && (size_t)n == iov->iov_len)
            break;
        count = drop_sent(iov, count, (size_t)n);
    }
    end_wait(conn);
    conn->sealed = false;
    return conn->broken;
}

int thi_http_conn_flush(thi_http_conn *conn)
{
    struct iovec gathered = { conn->work->out, conn->work->out_len };
    conn->work->out_len = 0;
    return gathered.iov_len > 0 ? send_steps(conn, &gathered, 1) : conn->broken;
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
    return n > 0 ? send_steps(conn, all, n) : conn->broken;
}

/*
 * Where the kernel cannot take the bytes from the file: through the output, behind what was
 * gathered, so that the head and the first bytes leave together. What does not fill the output is
 * left in it.
 */
static int copy_file(thi_http_conn *conn, int fd, int64_t offset, int64_t size)
{
    thi_http_work *work = conn->work;
    thi_filefacts facts = { 0 };
    int err = conn->broken;
    while (err == 0 && size > 0) {
        size_t room = (size_t)thi_min((int64_t)thi_http_conn_room(conn), size);
        ssize_t n = thi_fileway_pread(fd, work->out + work->out_len, room, offset, &facts);
        if (n > 0) {
            work->out_len += (size_t)n;
            offset += n;
            size -= n;
        }
        if (n <= 0)
            err = n == 0 ? TH_ETRUNCATED : (int)n;
        else if (thi_http_conn_room(conn) == 0)
            err = thi_http_conn_flush(conn);
    }
    return err;
}

/* The kernel takes them from the file. */
static int send_file(thi_http_conn *conn, int fd, int64_t offset, int64_t size)
{
    th_stream *stream = conn->stream;
    conn->socket.more = size > 0;
    int err = thi_http_conn_flush(conn);
    conn->socket.more = false;
    while (err == 0 && size > 0) {
        ssize_t n = stream->ops->sendfile(stream, fd, offset, (size_t)size);
        if (n <= 0) {
            err = n == 0 ? TH_ETRUNCATED : (int)n;
            break;
        }
        offset += n;
        size -= n;
        /* Others get their turn, and the peer time to take what it has: a sender that always finds
         * room is never woken, which costs more than going round. */
        if (size > 0)
            thi_sched_give_way();
    }
    end_wait(conn);
    return err;
}

int thi_http_conn_send_file(thi_http_conn *conn, int fd, int64_t offset, int64_t size)
{
    conn->broken = conn->stream->ops->sendfile ? send_file(conn, fd, offset, size)
                                               : copy_file(conn, fd, offset, size);
    return conn->broken;
}
