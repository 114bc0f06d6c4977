/* SPDX-License-Identifier: MIT */

/*
 * The life of a connection.
 *
 * An idle connection is an object in the loop: when something arrives it gets a work place and a
 * fiber, which serves requests as long as their bytes are at hand, sends what it gathered, and lets
 * go of both. So pipelined requests share one fiber and one system call for their answers, and a
 * million quiet connections cost their objects.
 *
 * Time limits: one timer, whose meaning is the connection's phase (conn.h).
 *
 * A connection ends with a lingering close where the client may still be sending: closing at once
 * would make the kernel answer that with a reset, which can overtake the reply on its way.
 */
#include "http/serve.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/util.h"
#include "http/body.h"
#include "http/reply.h"
#include "http/secure.h"
#include "proto/url.h"
#include "runtime/place.h"
#include "runtime/start.h"
#include "sys/sys.h"

#include <string.h>

#define LINGER_PAUSE (2 * TH_SECOND)  /* of a client that sends no more */
#define LINGER_TIME  (30 * TH_SECOND) /* of one that goes on and on */
#define LINGER_BYTES (64 * 1024 * 1024)
#define SEAL         256 /* what TLS adds to a small answer at most, bytes */

/* What became of an attempt to serve a request. */
enum { NEXT, IDLE, CLOSE, LINGER };

/* ---- time ---- */

static void end_idle(thi_http_conn *conn);

static void on_timer(thi_timer *timer)
{
    thi_http_conn *conn = thi_container_of(timer, thi_http_conn, timer);
    thi_socket *s = &conn->socket;
    switch (conn->phase) {
    case THI_CONN_IDLE:
        end_idle(conn);
        break;
    case THI_CONN_BUSY:
        if (conn->rated)
            thi_http_conn_check_rate(conn);
        break;
    default:
        conn->late = true;
        if (s->reader)
            s->reader->abort(s->reader, -ETIMEDOUT);
        if (s->writer)
            s->writer->abort(s->writer, -ETIMEDOUT);
    }
}

static void enter_phase(thi_http_conn *conn, uint8_t phase, int64_t span)
{
    thi_loop *loop = thi_http_loop(conn);
    conn->phase = phase;
    conn->late = false;
    thi_loop_timer(loop, &conn->timer, loop->now + span);
}

/* ---- the end of a connection ---- */

static void free_conn(thi_http_conn *conn)
{
    thi_server_part *part = conn->part;
    TH_ASSERT(!conn->posted);
    thi_timer_cancel(&part->worker->loop.timers, &conn->timer);
    thi_http_secure_free(conn);
    thi_socket_shut(&conn->socket);
    thi_list_remove(&conn->link);
    thi_worker_add_guests(part->worker, (size_t)-1);
    thi_free(conn);
    thi_server_conn_ended(part);
}

/*
 * Says that nothing more will come, and reads until the client has understood. Many clients send a
 * whole body before they look for an answer; a reset would make them miss it (RFC 9112, 9.6). One
 * that is slow has time as long as it keeps sending, unless the server is about to end.
 */
static void linger(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    size_t dropped = 0;
    if (th_stream_shutdown(&conn->socket.base) < 0)
        return;
    enter_phase(conn, THI_CONN_LINGER, LINGER_PAUSE);
    thi_loop *loop = thi_http_loop(conn);
    int64_t end = loop->now + LINGER_TIME;
    while (!conn->late && dropped < LINGER_BYTES) {
        ssize_t n = th_stream_read(&conn->socket.base, work->in, work->in_size);
        if (n < 0)
            return;
        dropped += (size_t)n;
        if (!conn->late && !conn->part->stopping)
            thi_loop_timer(loop, &conn->timer, thi_min(loop->now + LINGER_PAUSE, end));
    }
}

/*
 * Sends what was gathered and, over TLS, that it was all (RFC 9112, 9.8): else the client could not
 * tell the end from one that somebody else has made.
 */
static void finish(thi_http_conn *conn, bool lingers)
{
    if (thi_http_conn_flush(conn) < 0)
        return;
    if (conn->secure) {
        enter_phase(conn, THI_CONN_LINGER, conn->part->stopping ? LINGER_PAUSE : LINGER_TIME);
        thi_http_secure_end(conn);
    }
    if (lingers)
        linger(conn);
}

/* ---- one request ---- */

static void count_status(int status)
{
    if (status >= 500)
        thi_metric_add(THI_M_HTTP_REQUESTS_5XX, 1);
    else if (status >= 400)
        thi_metric_add(THI_M_HTTP_REQUESTS_4XX, 1);
    else if (status >= 300)
        thi_metric_add(THI_M_HTTP_REQUESTS_3XX, 1);
    else if (status >= 200)
        thi_metric_add(THI_M_HTTP_REQUESTS_2XX, 1);
}

static th_str field(const th_http_request *q, thi_http_field id)
{
    const thi_http1_head *head = &q->head.head;
    if (!thi_http1_has(head, id))
        return TH_STR("");
    return thi_http1_value(head, thi_http1_find(head, id, 0));
}

static void tell_log(thi_http_conn *conn, bool readable, int64_t duration)
{
    const th_http_opts *opts = &thi_http_service_of(conn)->opts;
    const th_http_request *q = &conn->work->request;
    th_addr peer = { .kind = TH_ADDR_NONE };
    (void)th_stream_peer(&conn->socket.base, &peer);
    th_http_record record = { .status = conn->work->reply.status,
                              .body_bytes = conn->work->reply.sent,
                              .duration = duration,
                              .wall = thi_sys_wall() - duration,
                              .peer = &peer };
    if (readable) {
        record.method = th_http_request_method(q);
        record.target = th_http_request_target(q);
        record.version = 10 + (q->head.head.minor > 0);
        record.host = th_http_request_host(q);
        record.referer = field(q, THI_FIELD_REFERER);
        record.user_agent = field(q, THI_FIELD_USER_AGENT);
        record.request = q;
    }
    if (conn->secure)
        thi_http_secure_tell(conn, &record);
    opts->log(&record, opts->log_arg);
}

static void account(thi_http_conn *conn, bool readable)
{
    int64_t duration = thi_sys_clock() - conn->began;
    count_status(conn->work->reply.status);
    thi_metric_observe(THI_H_HTTP_REQUEST, duration);
    if (thi_http_service_of(conn)->opts.log)
        tell_log(conn, readable, duration);
}

/*
 * Refuses what the client sent, tells it why, and ends the connection. The method counts as soon as
 * it has been read, whatever came behind it: HEAD has no content (RFC 9110, 9.3.2).
 */
static int refuse(thi_http_conn *conn, int status, const char *reason, bool readable)
{
    thi_http_work *work = conn->work;
    work->request.meaning = (thi_http1_meaning){ .keep_alive = false };
    work->request.continued = true;
    thi_metric_add(status == 408                                     ? THI_M_HTTP_ERRORS_TIMEOUT
                   : status == 413 || status == 414 || status == 431 ? THI_M_HTTP_ERRORS_TOO_LARGE
                                                                     : THI_M_HTTP_ERRORS_MALFORMED,
                   1);
    thi_http_reply_prepare(&work->reply);
    conn->phase = THI_CONN_BUSY;
    int err = thi_http_reply_error(&work->reply, status, reason, true);
    account(conn, readable);
    return err < 0 ? CLOSE : LINGER;
}

/* Moves unused input to the front when there is little room behind it. */
static void make_room(thi_http_work *work)
{
    if (work->in_at == 0 || work->in_end < work->in_size)
        return;
    memmove(work->in, work->in + work->in_at, work->in_end - work->in_at);
    work->in_end -= work->in_at;
    work->in_at = 0;
}

static thi_http_outbox *outbox_of(const thi_http_conn *conn)
{
    thi_http_part *part = conn->part->user;
    return &part->outbox;
}

/*
 * Whether what was gathered can leave with the answers of others, once the connection is idle. An
 * answer that came while events are dispatched, by a fiber that never waited, can; for later ones
 * the end of the events may be far away. A simulation runs no fiber from an event.
 */
static bool may_post(thi_http_conn *conn)
{
    const thi_worker *worker = conn->part->worker;
    size_t size = conn->work->out_len;
    if (!worker->loop.dispatching && !worker->pick)
        return false;
    if (TH_LIKELY(!conn->secure))
        return thi_http_outbox_takes(outbox_of(conn), size);
    return !conn->sealed && size > 0 && size <= THI_HTTP_SEALED - SEAL &&
           thi_http_outbox_takes(outbox_of(conn), THI_HTTP_SEALED) && thi_http_secure_seal(conn);
}

/* Whether something may have arrived that nobody has read, when no input is left. */
static inline bool has_arrival(thi_http_conn *conn)
{
    return TH_UNLIKELY(conn->secure) ? thi_http_secure_has_arrival(conn)
                                     : thi_socket_has_arrival(&conn->socket);
}

/*
 * Gets more of a head. A connection that has sent nothing of it yet goes idle instead of waiting;
 * whatever was gathered for it leaves first, or by the outbox.
 */
static int more_of_head(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    bool started = thi_http_conn_buffered(conn) > 0;
    bool idle = !started && !has_arrival(conn);
    if (idle && may_post(conn))
        return IDLE;
    if (thi_http_conn_flush(conn) < 0 || (conn->secure && thi_http_secure_flush(conn) < 0))
        return CLOSE;
    if (idle && !(thi_socket_has_arrival(&conn->socket) && has_arrival(conn)))
        return IDLE;
    const th_http_opts *opts = &thi_http_service_of(conn)->opts;
    bool here = !started && thi_http_conn_buffered(conn) > 0; /* by has_arrival(), over TLS */
    if (!started) {
        if (TH_LIKELY(!here))
            work->in_at = work->in_end = 0;
        conn->began = thi_http_loop(conn)->now;
        /* A connection that was woken still has the timer of its idle time. */
        if (conn->phase != THI_CONN_AWAKE)
            enter_phase(conn, THI_CONN_AWAKE, opts->idle_time);
    } else if (conn->phase != THI_CONN_HEAD) {
        enter_phase(conn, THI_CONN_HEAD, opts->head_time);
    }
    if (TH_UNLIKELY(here))
        return NEXT;
    make_room(work);
    ssize_t n = thi_http_conn_fill(conn);
    if (TH_UNLIKELY(conn->secure))
        thi_http_secure_note_read(conn);
    /* The time may run out in the very turn in which a byte comes: nobody waits then to be told. */
    if (conn->late && started)
        return refuse(conn, 408, "the request's head did not come in time", false);
    return n > 0 ? NEXT : CLOSE;
}

/*
 * Sees to it that there is room for a body behind the head, whose `size` bytes end where the unused
 * input begins: it may lie far back in the input, after others. Nothing but the head's own record
 * points there yet.
 */
static void make_body_room(thi_http_work *work, size_t size)
{
    size_t start = work->in_at - size;
    if (start == 0 || work->in_size - work->in_at >= THI_HTTP_BODY_ROOM)
        return;
    memmove(work->in, work->in + start, work->in_end - start);
    work->in_at -= start;
    work->in_end -= start;
    thi_http1_head_moved(&work->request.head.head, work->in);
}

/* Reads up to the end of a head: NEXT when it is there. */
static int read_head(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    const th_http_opts *opts = &thi_http_service_of(conn)->opts;
    thi_http1_limits limits = { .head = opts->head_size,
                                .target = opts->target_size,
                                .relaxed_query = true };
    thi_http1_request *head = &work->request.head;
    thi_http1_request_init(head, work->fields, opts->head_count, &limits);
    conn->began = thi_http_loop(conn)->now;
    for (;;) {
        size_t len = thi_http_conn_buffered(conn);
        thi_http1_error err;
        ssize_t n = len == 0 ? 0 : thi_http1_request_parse(head, work->in + work->in_at, len, &err);
        if (n > 0) {
            work->in_at += (size_t)n;
            make_body_room(work, (size_t)n);
            return NEXT;
        }
        if (n < 0)
            return refuse(conn, err.status, err.reason, false);
        int result = more_of_head(conn);
        if (result != NEXT)
            return result;
    }
}

/* The path as handlers see it; *refusal is set when there is none. */
static int resolve_path(th_http_request *q, const char **refusal)
{
    if (q->head.form == THI_HTTP1_ASTERISK || q->head.form == THI_HTTP1_AUTHORITY) {
        q->path = th_http_request_target(q);
        return 0;
    }
    th_str raw = thi_http1_request_path(&q->head);
    if (TH_LIKELY(thi_url_path_is_resolved(raw))) {
        q->path = raw;
        return 0;
    }
    char *path = th_arena_alloc(&q->arena, raw.len + 1);
    if (!path)
        return -ENOMEM;
    ssize_t n = thi_url_path_resolve(raw, path);
    if (n < 0)
        *refusal = "the path leads outside or has bytes that no path may have";
    q->path = (th_str){ path, n < 0 ? 0 : (size_t)n };
    return 0;
}

/*
 * Judges a target that is more than a path. RFC 9110, 7.4: an https resource must not be had over a
 * connection that is not secured. Nor is an http one over one that is: they are different ones.
 */
static int judge_form(thi_http_conn *conn)
{
    const thi_http1_request *head = &conn->work->request.head;
    if (head->form == THI_HTTP1_AUTHORITY)
        return refuse(conn, 501, "this server is no proxy", true);
    if (head->form != THI_HTTP1_ABSOLUTE)
        return NEXT;
    bool https = head->scheme.len == sizeof "https" - 1;
    if (https && !conn->secure)
        return refuse(conn, 421, "https needs a secured connection", true);
    if (!https && conn->secure)
        return refuse(conn, 421, "this connection is for https", true);
    return NEXT;
}

/*
 * Judges a request that somebody may have recorded and sent again (RFC 8470): here, or at a proxy
 * that says so. What is safe may happen twice. Else the end of the handshake shows that the client
 * itself is there; of a proxy's client only the proxy can wait for that.
 */
static int judge_early(thi_http_conn *conn)
{
    const thi_http1_head *head = &conn->work->request.head.head;
    int method = (int)conn->work->request.head.method_id;
    if (method == THI_HTTP_GET || method == THI_HTTP_HEAD || method == THI_HTTP_OPTIONS)
        return NEXT;
    if (conn->early) {
        enter_phase(conn, THI_CONN_GREET, thi_http_service_of(conn)->opts.head_time);
        if (thi_http_secure_complete(conn) < 0)
            return CLOSE;
        conn->phase = THI_CONN_BUSY;
    }
    return thi_http1_has(head, THI_FIELD_EARLY_DATA)
               ? refuse(conn, 425, "only what is safe may come early", true)
               : NEXT;
}

/* What is rare in a head. */
static int judge_more(thi_http_conn *conn)
{
    int result = judge_form(conn);
    bool early = conn->early || thi_http1_has(&conn->work->request.head.head, THI_FIELD_EARLY_DATA);
    return result == NEXT && early ? judge_early(conn) : result;
}

/* What can be refused before a handler is asked: NEXT when nothing is. */
static int judge(thi_http_conn *conn)
{
    th_http_request *q = &conn->work->request;
    int64_t limit = thi_http_service_of(conn)->opts.body_size;
    thi_http1_error err;
    const char *refusal = NULL;
    q->param_count = 0;
    if (thi_http1_request_meaning(&q->head, &q->meaning, &err) < 0)
        return refuse(conn, err.status, err.reason, true);
    if (q->meaning.framing == THI_HTTP1_LENGTH && limit >= 0 && q->meaning.length > (uint64_t)limit)
        return refuse(conn, 413, "the body is too large", true);
    if (resolve_path(q, &refusal) < 0)
        return refuse(conn, 503, "out of memory", true);
    if (refusal)
        return refuse(conn, 400, refusal, true);
    bool usual = q->head.form == THI_HTTP1_ORIGIN && !conn->early &&
                 !thi_http1_has(&q->head.head, THI_FIELD_EARLY_DATA);
    return TH_LIKELY(usual) ? NEXT : judge_more(conn);
}

/* Calls the handler and completes its reply; whether the connection can go on. */
static bool answer(thi_http_conn *conn)
{
    const thi_http_service *service = thi_http_service_of(conn);
    th_http_request *q = &conn->work->request;
    th_http_reply *r = &conn->work->reply;
    int err = service->handler(q, r, service->arg);
    if (conn->broken < 0)
        return false; /* mostly the client has gone, which is no failure of the handler */
    if (r->status == 0) {
        if (err < 0 && q->refusal == 0 && q->failed < 0)
            return false; /* the client has gone */
        if (err >= 0)
            thi_log(TH_LOG_ERROR, "a handler returned without a reply");
        else if (q->refusal == 0)
            thi_log(TH_LOG_ERROR, "a handler failed: %s", th_strerror(err));
        err = thi_http_reply_error(r, q->refusal ? q->refusal : 500, NULL, true);
    }
    if (err >= 0)
        err = thi_http_reply_end(r);
    return err >= 0;
}

/* Serves the request whose head was read. */
static int serve_request(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    conn->phase = THI_CONN_BUSY;
    int result = judge(conn);
    if (result != NEXT)
        return result;
    thi_metric_add(THI_M_HTTP_IN_FLIGHT, 1);
    thi_http_body_begin(&work->request);
    thi_http_reply_prepare(&work->reply);
    bool good = answer(conn);
    account(conn, true);
    thi_metric_add(THI_M_HTTP_IN_FLIGHT, -1);
    if (!good)
        return CLOSE;
    bool at_end =
        work->request.body_done || (!work->reply.close && thi_http_body_discard(&work->request));
    th_arena_reset(&work->request.arena);
    if (at_end && !work->reply.close)
        return NEXT;
    /* A client of TLS says its own end, and that alone would be answered with a reset. */
    return at_end && thi_http_conn_buffered(conn) == 0 && !conn->secure ? CLOSE : LINGER;
}

/* ---- the fiber ---- */

static int serve(void *arg);

/* Gives an idle connection its fiber; one that cannot have it ends here. */
static void wake_up(thi_http_conn *conn)
{
    thi_scope *scope = thi_scope_of(&conn->part->scope);
    thi_start start = { .fn = serve,
                        .arg = conn,
                        .name = "http request",
                        .stack_size = thi_http_service_of(conn)->opts.stack_size };
    thi_metric_add(THI_M_HTTP_CONNS_IDLE, -1);
    conn->socket.arrived = NULL;
    if (!conn->socket.closed) {
        conn->phase = THI_CONN_AWAKE; /* the timer may be due in the same turn */
        scope->live++;
        /* Who ends connections may be a fiber, in which no other can begin. */
        int err = conn->leaving ? thi_start_here(scope, &start) : thi_start_at_once(scope, &start);
        if (err == 0)
            return;
        scope->live--;
        if (!conn->leaving)
            thi_log(TH_LOG_WARNING, "a connection was closed: no memory for a fiber");
    }
    if (conn->work)
        thi_http_conn_give_work(conn);
    free_conn(conn);
}

/* Ends an idle connection; over TLS the client is told so, for which a fiber comes. */
static void end_idle(thi_http_conn *conn)
{
    if (conn->secure)
        conn->leaving = true;
    else
        thi_socket_shut(&conn->socket);
    wake_up(conn);
}

/* On the loop: something has arrived at an idle connection, or its time is over. */
static void on_arrived(thi_socket *socket)
{
    wake_up(thi_container_of(socket, thi_http_conn, socket));
}

/* An answer has left the outbox; what the kernel did not take of it at once, a fiber sends. */
static void on_posted(thi_socket *socket, th_str rest)
{
    thi_http_conn *conn = thi_container_of(socket, thi_http_conn, socket);
    conn->posted = false;
    if (TH_LIKELY(rest.len == 0))
        return;
    conn->sealed = conn->secure;
    bool idle = !conn->work; /* else its fiber is there, and has just begun */
    if (idle && thi_http_conn_take_work(conn) < 0)
        thi_socket_shut(socket);
    else
        thi_http_conn_put(conn, rest.ptr, rest.len);
    if (idle)
        wake_up(conn);
}

/* Lets the connection wait without a fiber; false when it cannot. */
static bool go_idle(thi_http_conn *conn)
{
    if (conn->part->stopping ||
        thi_loop_want(thi_http_loop(conn), &conn->socket.watch, THI_READ) < 0)
        return false;
    enter_phase(conn, THI_CONN_IDLE, thi_http_service_of(conn)->opts.idle_time);
    conn->socket.arrived = on_arrived;
    thi_metric_add(THI_M_HTTP_CONNS_IDLE, 1);
    return true;
}

/* Of a connection that is idle now: what may_post() has left. */
static void post(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    if (work->out_len == 0)
        return;
    thi_http_outbox_put(outbox_of(conn), &conn->socket, work->out, work->out_len);
    conn->posted = true;
    conn->sealed = false;
}

/* RFC 9110, 4.2.2 knows no plain HTTP here; but who speaks it had better be told in it. */
static int refuse_plain(thi_http_conn *conn)
{
    thi_http1_limits limits = { 0 };
    conn->stream = &conn->socket.base;
    if (thi_http_conn_take_work(conn) < 0)
        return CLOSE;
    thi_http1_request_init(&conn->work->request.head, conn->work->fields, 0, &limits);
    conn->began = thi_http_loop(conn)->now;
    return refuse(conn, 400, "this port speaks TLS: the address begins with https://", false);
}

/* The beginning over TLS: NEXT when messages can come. */
static int greet(thi_http_conn *conn)
{
    enter_phase(conn, THI_CONN_GREET, thi_http_service_of(conn)->opts.head_time);
    int found = thi_http_secure_look(conn);
    if (found == 0)
        return refuse_plain(conn);
    int err = found < 0 ? found : thi_http_secure_begin(conn);
    if (err == TH_ETLS)
        return LINGER; /* it was told why, and may have more to say than it has read */
    return err == 0 ? NEXT : CLOSE;
}

/* A request that has come in the very last moment is served. */
static int leave(thi_http_conn *conn)
{
    conn->leaving = false;
    return thi_http_secure_look_again(conn) ? NEXT : CLOSE;
}

static int serve(void *arg)
{
    thi_http_conn *conn = arg;
    int result = NEXT;
    if (TH_UNLIKELY(!conn->stream))
        result = greet(conn);
    if (conn->work || thi_http_conn_take_work(conn) == 0) {
        if (TH_UNLIKELY(conn->posted))
            thi_http_outbox_send(outbox_of(conn));
        if (TH_UNLIKELY(conn->sealed) && thi_http_conn_flush(conn) < 0)
            result = CLOSE;
        if (TH_UNLIKELY(conn->leaving) && result == NEXT)
            result = leave(conn);
        while (result == NEXT) {
            result = read_head(conn);
            if (result == NEXT)
                result = serve_request(conn);
        }
        if (result == IDLE && !go_idle(conn))
            result = CLOSE;
        if (result == IDLE)
            post(conn);
        else
            finish(conn, result == LINGER);
        thi_http_conn_give_work(conn);
    }
    if (result != IDLE)
        free_conn(conn);
    return 0;
}

/* ---- from the server's parts ---- */

void thi_http_serve_begin(thi_http_part *part)
{
    thi_http_outbox_init(&part->outbox, on_posted);
}

int thi_http_serve_new(thi_server_part *part, const thi_arrival *arrival)
{
    thi_http_conn *conn = thi_alloc(sizeof *conn);
    if (!conn)
        return -ENOMEM;
    *conn = (thi_http_conn){ .part = part };
    int err = thi_socket_init(&conn->socket, arrival->fd);
    if (err < 0) {
        thi_free(conn);
        return err;
    }
    conn->tls = thi_tls_doors_at(&thi_http_service_of(conn)->doors, arrival->listener);
    conn->stream = conn->tls ? NULL : &conn->socket.base;
    conn->socket.waits = thi_http_conn_waits;
    thi_timer_init(&conn->timer, on_timer);
    if (!go_idle(conn)) {
        thi_loop_unwatch(&part->worker->loop, &conn->socket.watch);
        thi_free(conn);
        return -ESHUTDOWN;
    }
    conn->socket.origin = arrival->origin;
    thi_list_push_back(&part->conns, &conn->link);
    thi_worker_add_guests(part->worker, 1);
    return 0;
}

/* Of a connection whose fiber looks for the first byte of a request. */
static void stop_looking(thi_http_conn *conn)
{
    if (conn->secure)
        conn->socket.reader->abort(conn->socket.reader, -ECANCELED);
    else
        thi_socket_shut(&conn->socket);
}

void thi_http_serve_close_idle(thi_server_part *part)
{
    thi_http_part *own = part->user;
    thi_http_outbox_send(&own->outbox);
    thi_list_each_safe (node, &part->conns) {
        thi_http_conn *conn = thi_list_item(node, thi_http_conn, link);
        if (conn->phase == THI_CONN_IDLE)
            end_idle(conn);
        else if (conn->phase == THI_CONN_AWAKE && conn->socket.reader)
            stop_looking(conn);
    }
}

void thi_http_serve_close_all(thi_server_part *part)
{
    thi_http_serve_close_idle(part);
    thi_list_each (node, &part->conns) {
        thi_http_conn *conn = thi_list_item(node, thi_http_conn, link);
        thi_socket_shut(&conn->socket);
    }
}
