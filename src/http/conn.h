/* SPDX-License-Identifier: MIT */

/*
 * A connection of the server: what it keeps while idle, the work place it has while it serves, and
 * how bytes move, with a watch on how fast.
 */
#ifndef THI_HTTP_CONN_H
#define THI_HTTP_CONN_H

#include "http/message.h"
#include "http/outbox.h"
#include "net/server.h"
#include "net/socket.h"
#include "tls/doors.h"

#define THI_HTTP_OUT   (16 * 1024)
#define THI_HTTP_ARENA (4 * 1024)

/* Of the input, behind a head of full size. */
#define THI_HTTP_BODY_ROOM (4 * 1024)

typedef struct thi_http_conn thi_http_conn;
typedef struct thi_http_work thi_http_work;
typedef struct thi_http_part thi_http_part;
typedef struct thi_http_service thi_http_service;

/*
 * IDLE: waits for a request without a fiber. AWAKE: its fiber looks for the first byte. GREET: it
 * agrees on TLS. HEAD: a head has begun. BUSY: a request is served. LINGER: all is said, and what
 * the client still sends is thrown away.
 */
enum {
    THI_CONN_IDLE,
    THI_CONN_AWAKE,
    THI_CONN_GREET,
    THI_CONN_HEAD,
    THI_CONN_BUSY,
    THI_CONN_LINGER
};

struct thi_http_conn {
    thi_socket socket;
    th_stream *stream; /* that carries the messages: the socket's, or that of TLS over it, NULL as
                          long as it has to be agreed on */
    th_tls *tls;       /* how to agree on it, the service's; NULL: plain HTTP */
    thi_list link;     /* in part->conns */
    thi_server_part *part;
    thi_http_work *work; /* while it serves; NULL while IDLE */
    thi_timer timer;     /* of the phase; without meaning while BUSY and not `rated` */
    int64_t began;       /* when the present request's first byte was seen, loop time */
    int64_t waited;      /* for the peer, in the stretch over which its speed is measured */
    int64_t wait_since;  /* while `rated`: when the present wait began */
    uint64_t rate_moved; /* socket.moved when the stretch began, */
    size_t rate_held;    /* and what of it was held for the peer */
    int broken;          /* what the first send that failed said; later ones say it again */
    uint8_t phase;
    bool rated;   /* a fiber waits for the peer, against the clock */
    bool late;    /* the time of the phase has run out */
    bool posted;  /* idle, and its last answer is still in the outbox */
    bool secure;  /* the stream is that of TLS */
    bool sealed;  /* what was gathered is TLS already: it goes to the socket as it is */
    bool early;   /* what was read last came before the handshake was complete (RFC 8470) */
    bool leaving; /* it was idle too long, or the server ends: its fiber comes to say so */
};

/* What serving needs. Work places are kept by the part and reused. */
struct thi_http_work {
    thi_http_work *next; /* in the part's list of free ones */
    th_http_request request;
    th_http_reply reply;
    size_t in_at; /* input: bytes from here to in_end are not used yet */
    size_t in_end;
    size_t in_size;
    char *in;
    size_t out_len; /* output gathered and not sent */
    thi_http1_field *fields;
    char arena[THI_HTTP_ARENA];
    char out[THI_HTTP_OUT];
};

/* The service's share of one worker. */
struct thi_http_part {
    thi_http_work *free;
    unsigned free_count;
    int64_t date_until; /* loop time up to which the date below is right */
    uint32_t ok_len;
    char ok[64]; /* status line of 200 and the Date field, ready made: what most replies begin with
                  */
    thi_http_outbox outbox;
};

struct thi_http_service {
    thi_server server;
    th_http_handler handler;
    void *arg;
    th_http_opts opts;   /* with the defaults filled in */
    thi_tls_doors doors; /* the contexts of its listeners */
    size_t hsts_len;
    char hsts[64]; /* the field with its line end, for replies over TLS; empty: none */
};

static inline thi_http_service *thi_http_service_of(const thi_http_conn *conn)
{
    return conn->part->server->data;
}

/* The Date field within `ok`, with its line end. */
#define THI_HTTP_OK_LINE 17u

static inline thi_loop *thi_http_loop(const thi_http_conn *conn)
{
    return &conn->part->worker->loop;
}

/* Takes and gives back the work place; -ENOMEM. */
TH_MUST int thi_http_conn_take_work(thi_http_conn *conn);
void thi_http_conn_give_work(thi_http_conn *conn);

/* For thi_socket.waits: measures the peer's speed from now on, if the connection is BUSY. */
void thi_http_conn_waits(thi_socket *socket);

/* Frees the part's work places. */
void thi_http_part_clear(thi_http_part *part);

/* Input that has arrived and is not used yet. */
static inline size_t thi_http_conn_buffered(const thi_http_conn *conn)
{
    return conn->work->in_end - conn->work->in_at;
}

/*
 * Reads more into the input, behind what is there; there must be room. The bytes read, TH_EOF, or
 * an error. The caller has set the phase, and with it who looks at the clock.
 */
TH_MUST ssize_t thi_http_conn_fill(thi_http_conn *conn);

/* Reads a body's bytes to where the caller wants them, once what was gathered has been sent. */
TH_MUST ssize_t thi_http_conn_read(thi_http_conn *conn, void *buf, size_t size);

/*
 * Sends what was gathered. Once this, or one of those below, has failed, nothing is sent any more:
 * the client would take it for the bytes that are missing.
 */
TH_MUST int thi_http_conn_flush(thi_http_conn *conn);

/* Sends what was gathered and then these bytes. Nothing of them is kept. */
TH_MUST int thi_http_conn_send(thi_http_conn *conn, const struct iovec *iov, int count);

/* Sends what was gathered and then a stretch of a file; TH_ETRUNCATED when that is too short. */
TH_MUST int thi_http_conn_send_file(thi_http_conn *conn, int fd, int64_t offset, int64_t size);

/* Appends to the output; the caller knows that there is room. */
static inline void thi_http_conn_put(thi_http_conn *conn, const void *data, size_t size)
{
    thi_http_work *work = conn->work;
    __builtin_memcpy(work->out + work->out_len, data, size);
    work->out_len += size;
}

static inline size_t thi_http_conn_room(const thi_http_conn *conn)
{
    return THI_HTTP_OUT - conn->work->out_len;
}

/* Called by the timer while BUSY and `rated`: ends the waits of fibers whose peer is too slow. */
void thi_http_conn_check_rate(thi_http_conn *conn);

#endif
