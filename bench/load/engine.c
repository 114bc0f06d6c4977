/* SPDX-License-Identifier: MIT */

/*
 * The engine of the load client: one thread, one edge-triggered epoll, all connections.
 *
 * It has to be leaner than the servers it measures, else it measures itself. Therefore: requests
 * are formatted once and sent straight from there; one read per event unless it filled the buffer;
 * one clock reading per event; no allocation after the start. A measured run is normally made with
 * `spin`, where the client never sleeps: a server's send() then never has to wake the other CPU
 * by an interrupt, which in a virtual machine costs more than the request itself.
 *
 * Two schedules exist. In the closed loop each answer is followed at once by the next request;
 * this finds the highest rate, and its latencies say how the server behaves when saturated. In the
 * open loop (`rate` > 0) request i is due at start + i / rate, whatever happened to the ones
 * before; it is sent as soon as a connection is free, and its latency counts from when it was due.
 * A server that stalls for a second so shows up in all requests which were due in that second, not
 * in the one request per connection that happened to wait (coordinated omission). Requests still
 * unanswered after the end enter the histogram with the time they have waited, a lower bound.
 *
 * connect() blocks: on loopback it ends when the kernel has queued the connection. Connections are
 * closed with a reset, so that tens of thousands of them leave no ports in TIME_WAIT.
 */
#include "load/engine.h"

#include "load/account.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    READ_SIZE = 256 * 1024,
    DISCARD_HEAD_SIZE = 4096, /* with `discard`: read this much to see the head, drop the rest */
    ERRORS_MAX = 1000,        /* then the run is given up */
    CONNECT_SECONDS = 5,
};

static const int64_t second = 1000 * 1000 * 1000;

struct engine {
    const struct load_options *o;
    const struct load_protocol *p;
    struct load_result *r;
    struct load_conn *conns; /* o->connections of them */
    int64_t *starts;         /* the rings of all connections, in one piece */
    char *buffer;            /* LOAD_HEAD_MAX for what was carried over, then READ_SIZE */
    int epoll;
    int failure;      /* -errno that ends the run, or 0 */
    uint64_t errors;  /* all kinds together */
    uint64_t answers; /* since the start, counted or not */
    int64_t now;      /* latest clock reading */
    int64_t start;    /* open loop: when request 0 was due */
    int64_t begin;    /* measured time is [begin, end) */
    int64_t end;
    uint64_t sent;  /* open loop: requests sent, which is the number of the next one */
    unsigned *idle; /* open loop: ring of connections without a request, FIFO */
    unsigned idle_at;
    unsigned idle_count;
};

const char *const load_error_names[LOAD_ERRORS] = {
    [LOAD_CONNECT] = "connect",   [LOAD_IO] = "io",         [LOAD_CLOSED] = "closed",
    [LOAD_PROTOCOL] = "protocol", [LOAD_STATUS] = "status", [LOAD_LENGTH] = "length",
};

static bool open_loop(const struct engine *e)
{
    return e->o->rate > 0;
}

static int64_t due(const struct engine *e, uint64_t number)
{
    return e->start + (int64_t)((double)number * 1e9 / e->o->rate);
}

/* ---- connections ------------------------------------------------------------------------------
 */

static void conn_close(struct load_conn *c)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (c->fd < 0)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c->fd);
    c->fd = -1;
}

static int conn_connect(const struct engine *e, struct load_conn *c)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(e->o->port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const struct timeval limit = { .tv_sec = CONNECT_SECONDS };
    const int on = 1;

    if (setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        connect(c->fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    return 0;
}

/* Opens a connection and registers it once for everything; the caller closes it on failure. */
static int conn_open(const struct engine *e, struct load_conn *c)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = c };

    c->generation++;
    c->in_flight = c->position = c->carry_size = c->next_start = c->next_answer = 0;
    c->unsent = c->body_left = 0;
    c->shape = (struct load_shape){ 0 };
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    int rc = conn_connect(e, c);
    if (rc < 0)
        return rc;
    return epoll_ctl(e->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0 ? 0 : -errno;
}

static void idle_push(struct engine *e, const struct load_conn *c)
{
    e->idle[(e->idle_at + e->idle_count++) % e->o->connections] = (unsigned)(c - e->conns);
}

static void conn_start(struct engine *e, struct load_conn *c, unsigned count, int64_t since);

/*
 * Counts the error and replaces the connection. In the closed loop its requests start again; in
 * the open loop it returns to the idle ring, unless it is there already.
 */
static void conn_fail(struct engine *e, struct load_conn *c, enum load_error error)
{
    bool busy = c->in_flight > 0;

    e->r->errors[error]++;
    if (++e->errors > ERRORS_MAX)
        e->failure = -EPROTO;
    conn_close(c);
    if (e->failure != 0)
        return;
    int rc = conn_open(e, c);
    if (rc < 0) {
        e->r->errors[LOAD_CONNECT]++;
        e->failure = rc;
    } else if (!open_loop(e)) {
        conn_start(e, c, e->o->pipeline, e->now);
    } else if (busy) {
        idle_push(e, c);
    }
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/*
 * Sends what is due. All requests are alike, so that the number of bytes left says where in a
 * request the stream is.
 */
static void conn_flush(struct engine *e, struct load_conn *c)
{
    const size_t size = e->p->request_size;

    while (c->unsent > 0) {
        size_t at = (size - c->unsent % size) % size;
        size_t all = size * e->o->pipeline - at;
        ssize_t n = send(c->fd, e->p->requests + at, c->unsent < all ? c->unsent : all,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno != EAGAIN)
                conn_fail(e, c, errno == EPIPE || errno == ECONNRESET ? LOAD_CLOSED : LOAD_IO);
            return;
        }
        c->unsent -= (uint64_t)n;
    }
}

/* Starts `count` requests whose latency counts from `since`. */
static void conn_start(struct engine *e, struct load_conn *c, unsigned count, int64_t since)
{
    for (unsigned i = 0; i < count; i++) {
        c->starts[c->next_start] = since;
        c->next_start = c->next_start + 1 == e->o->pipeline ? 0 : c->next_start + 1;
    }
    c->in_flight += count;
    c->unsent += (uint64_t)count * e->p->request_size;
    conn_flush(e, c);
}

static void send_due(struct engine *e)
{
    while (e->idle_count > 0 && e->failure == 0) {
        int64_t when = due(e, e->sent);
        if (when > e->now || when >= e->end)
            return;
        struct load_conn *c = &e->conns[e->idle[e->idle_at]];
        e->idle_at = (e->idle_at + 1) % e->o->connections;
        e->idle_count--;
        e->sent++;
        conn_start(e, c, 1, when);
    }
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* An answer counts if it came, or in the open loop was due, in the measured time. */
static bool counts(const struct engine *e, int64_t since)
{
    int64_t when = open_loop(e) ? since : e->now;

    return when >= e->begin && when < e->end;
}

static void conn_answered(struct engine *e, struct load_conn *c, unsigned count)
{
    if (count > c->in_flight) {
        conn_fail(e, c, LOAD_PROTOCOL);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t since = c->starts[c->next_answer];
        c->next_answer = c->next_answer + 1 == e->o->pipeline ? 0 : c->next_answer + 1;
        if (counts(e, since)) {
            histogram_record(&e->r->latency, (uint64_t)(e->now - since));
            e->r->answers++;
        }
    }
    c->in_flight -= count;
    e->answers += count;
    if (e->now >= e->end)
        return;
    if (!open_loop(e))
        conn_start(e, c, count, e->now);
    else if (c->in_flight == 0)
        idle_push(e, c);
}

static int conn_keep_tail(struct load_conn *c, const char *tail, size_t size)
{
    if (c->carry == NULL && (c->carry = malloc(LOAD_HEAD_MAX)) == NULL)
        return -ENOMEM;
    memcpy(c->carry, tail, size);
    c->carry_size = (uint32_t)size;
    return 0;
}

/* Gives `size` bytes at e->buffer to the protocol. False when the connection was replaced. */
static bool conn_consume(struct engine *e, struct load_conn *c, size_t size)
{
    unsigned answers = 0;
    ssize_t left = e->p->consume(e->p, c, e->buffer, size, &answers);

    if (left < 0) {
        conn_fail(e, c, (enum load_error)(-1 - left));
        return false;
    }
    c->carry_size = 0;
    if (left > 0) {
        int rc = conn_keep_tail(c, e->buffer + size - (size_t)left, (size_t)left);
        if (rc < 0)
            e->failure = rc;
    }
    unsigned generation = c->generation;
    if (answers > 0)
        conn_answered(e, c, answers);
    return c->generation == generation && e->failure == 0;
}

/*
 * One recv(). Returns its result and sets *full when there may be more to read at once. With
 * `discard` the rest of a body is dropped by the kernel without a copy.
 */
static ssize_t conn_receive(struct engine *e, struct load_conn *c, bool *dropped, bool *full)
{
    size_t want = e->o->discard ? DISCARD_HEAD_SIZE : READ_SIZE;

    *dropped = e->o->discard && c->body_left > 0;
    if (*dropped)
        want = c->body_left;
    else
        memcpy(e->buffer, c->carry, c->carry_size);
    ssize_t n = *dropped ? recv(c->fd, NULL, want, MSG_TRUNC | MSG_DONTWAIT)
                         : recv(c->fd, e->buffer + c->carry_size, want, MSG_DONTWAIT);
    *full = n > 0 && (size_t)n == want;
    return n;
}

static void conn_read(struct engine *e, struct load_conn *c, bool to_the_end)
{
    bool dropped;
    bool full = true;

    while (full || to_the_end) {
        ssize_t n = conn_receive(e, c, &dropped, &full);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            conn_fail(e, c, n == 0 || errno == ECONNRESET ? LOAD_CLOSED : LOAD_IO);
            return;
        }
        e->now = load_clock_ns(CLOCK_MONOTONIC);
        if (e->now >= e->begin && e->now < e->end)
            e->r->bytes += (uint64_t)n;
        if (!dropped) {
            if (!conn_consume(e, c, c->carry_size + (size_t)n))
                return;
        } else if ((c->body_left -= (uint64_t)n) == 0) {
            unsigned generation = c->generation;
            conn_answered(e, c, 1);
            if (c->generation != generation || e->failure != 0)
                return;
        }
    }
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

/* How long to sleep: until `limit`, or in the open loop until a request is due and can be sent. */
static struct timespec sleep_until(const struct engine *e, int64_t limit)
{
    if (e->o->spin)
        return (struct timespec){ 0 };
    if (open_loop(e) && e->idle_count > 0 && due(e, e->sent) < limit)
        limit = due(e, e->sent);
    int64_t left = limit > e->now ? limit - e->now : 0;
    return (struct timespec){ .tv_sec = left / second, .tv_nsec = left % second };
}

/* Waits at most until `limit` and handles what happened. */
static void step(struct engine *e, int64_t limit)
{
    struct epoll_event events[EVENTS];
    struct timespec left = sleep_until(e, limit);
    int64_t before = load_clock_ns(CLOCK_MONOTONIC);
    int n = epoll_pwait2(e->epoll, events, EVENTS, &left, NULL);

    if (n == 0 || !e->o->spin) {
        e->now = load_clock_ns(CLOCK_MONOTONIC);
        e->r->client_idle_ns += e->now - before;
    }
    if (n < 0 && errno != EINTR)
        e->failure = -errno;
    for (int i = 0; i < n && e->failure == 0; i++) {
        struct load_conn *c = events[i].data.ptr;
        uint32_t what = events[i].events;
        if (c->unsent > 0 && (what & EPOLLOUT))
            conn_flush(e, c);
        if (e->failure == 0 && (what & ~(uint32_t)EPOLLOUT))
            conn_read(e, c, (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
    if (open_loop(e) && e->failure == 0)
        send_due(e);
}

static void run_until(struct engine *e, int64_t limit)
{
    while (e->now < limit && e->failure == 0)
        step(e, limit);
}

/* Open loop: waits up to a second for the last answers and accounts for the missing ones. */
static void settle(struct engine *e)
{
    int64_t limit = e->now + second;
    unsigned busy = 1;

    while (busy > 0 && e->now < limit && e->failure == 0) {
        step(e, limit);
        busy = 0;
        for (unsigned i = 0; i < e->o->connections; i++)
            busy += e->conns[i].in_flight > 0;
    }
    for (unsigned i = 0; i < e->o->connections; i++) {
        const struct load_conn *c = &e->conns[i];
        if (c->in_flight > 0 && counts(e, c->starts[c->next_answer])) {
            histogram_record(&e->r->latency, (uint64_t)(e->now - c->starts[c->next_answer]));
            e->r->unanswered++;
        }
    }
    for (; due(e, e->sent) < e->end; e->sent++) {
        if (!counts(e, due(e, e->sent)))
            continue;
        histogram_record(&e->r->latency, (uint64_t)(e->now - due(e, e->sent)));
        e->r->unanswered++;
    }
}

static void measure(struct engine *e)
{
    load_account_begin(e->o, e->r);
    run_until(e, e->end);
    load_account_end(e->o, e->r);
    if (open_loop(e))
        settle(e);
}

/* ---- start and end ----------------------------------------------------------------------------
 */

static void engine_deinit(struct engine *e)
{
    for (unsigned i = 0; e->conns != NULL && i < e->o->connections; i++) {
        conn_close(&e->conns[i]);
        free(e->conns[i].carry);
    }
    free(e->conns);
    free(e->starts);
    free(e->buffer);
    free(e->idle);
    if (e->epoll >= 0)
        close(e->epoll);
}

static int engine_init(struct engine *e, const struct load_options *o,
                       const struct load_protocol *p, struct load_result *r)
{
    *e = (struct engine){ .o = o, .p = p, .r = r, .begin = INT64_MAX, .end = INT64_MAX };
    *r = (struct load_result){ 0 };
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->conns = calloc(o->connections, sizeof *e->conns);
    e->starts = calloc((size_t)o->connections * o->pipeline, sizeof *e->starts);
    e->idle = calloc(o->connections, sizeof *e->idle);
    e->buffer = malloc(LOAD_HEAD_MAX + READ_SIZE);
    if (e->conns == NULL || e->starts == NULL || e->idle == NULL || e->buffer == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < o->connections; i++) {
        e->conns[i].fd = -1;
        e->conns[i].starts = e->starts + (size_t)i * o->pipeline;
    }
    return e->epoll >= 0 ? 0 : -errno;
}

static int open_all(struct engine *e)
{
    for (unsigned i = 0; i < e->o->connections; i++) {
        int rc = conn_open(e, &e->conns[i]);
        if (rc < 0) {
            e->r->errors[LOAD_CONNECT]++;
            return rc;
        }
    }
    return 0;
}

/* The first requests: all at once in the closed loop, by the clock in the open one. */
static void start_all(struct engine *e)
{
    for (unsigned i = 0; i < e->o->connections && e->failure == 0; i++) {
        if (open_loop(e))
            idle_push(e, &e->conns[i]);
        else
            conn_start(e, &e->conns[i], e->o->pipeline, e->now);
    }
}

int load_run(const struct load_options *o, const struct load_protocol *p, struct load_result *r)
{
    struct engine e;
    int rc = engine_init(&e, o, p, r);

    if (rc == 0)
        rc = open_all(&e);
    if (rc == 0) {
        e.now = e.start = load_clock_ns(CLOCK_MONOTONIC);
        e.begin = e.start + o->warmup_ns;
        e.end = e.begin + o->duration_ns;
        start_all(&e);
        run_until(&e, e.begin);
        measure(&e);
        rc = e.failure;
    }
    engine_deinit(&e);
    return rc;
}

/* Connections that the server has not closed. */
static unsigned still_open(const struct engine *e)
{
    unsigned open = 0;

    for (unsigned i = 0; i < e->o->connections; i++) {
        char byte;
        ssize_t n = recv(e->conns[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        open += n > 0 || (n < 0 && errno == EAGAIN);
    }
    return open;
}

/* One request on each connection, sent when it opens, so that the server sees no burst of 15,000.
 */
static int open_and_ask_all(struct engine *e)
{
    for (unsigned i = 0; i < e->o->connections && e->failure == 0; i++) {
        int rc = conn_open(e, &e->conns[i]);
        if (rc < 0) {
            e->r->errors[LOAD_CONNECT]++;
            return rc;
        }
        conn_start(e, &e->conns[i], 1, e->now);
        step(e, e->now);
    }
    return e->failure;
}

int load_hold(const struct load_options *o, const struct load_protocol *p, struct load_result *r,
              unsigned *held)
{
    struct engine e;
    int rc = engine_init(&e, o, p, r);

    if (rc == 0) {
        e.now = load_clock_ns(CLOCK_MONOTONIC);
        e.begin = e.end =
            e.now; /* each connection asks once: nothing counts, nothing is repeated */
        rc = open_and_ask_all(&e);
    }
    int64_t limit = e.now + CONNECT_SECONDS * second;
    while (rc == 0 && e.answers < o->connections) {
        step(&e, limit);
        rc = e.now >= limit ? -ETIMEDOUT : e.failure;
    }
    if (rc == 0) {
        puts("ready");
        fflush(stdout);
        while (getchar() > '\n')
            ;
        *held = still_open(&e);
    }
    engine_deinit(&e);
    return rc;
}
