/* SPDX-License-Identifier: MIT */

/* A protocol that writes down what it is told, and the bare other end of its connection. */
#ifndef THI_TEST_CALLBACK_PROBE_H
#define THI_TEST_CALLBACK_PROBE_H

#include "runtime/in_fiber.h"

#include "runtime/worker.h"

#include <thrum/event.h>
#include <thrum/protocol.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct probe probe;

/* What a function is to do before it returns; its result is then the function's. */
typedef int (*probe_act)(probe *p, th_str data);

struct probe {
    th_transport *t; /* from the factory on; NULL when it is lost */
    char told[256];  /* m made, d data, e end, s end sent, p pause, r resume, q stopping, l lost */
    char *got;       /* what was received, */
    size_t len;      /* so many bytes */
    size_t room;
    int reason; /* of the loss */
    int peer;   /* bare descriptor, non-blocking; -1 */
    probe_act on_made;
    probe_act on_data;
    probe_act on_end;
    probe_act on_lost;
    const th_protocol *protocol; /* NULL: the usual one */
    void *more;                  /* the test's own */
};

static th_event news = TH_EVENT_AUTO_INIT; /* something was told to somebody */
static bool inside;                        /* a call on a transport */

/* Makes a call in which nothing may be told. */
#define CALL(expression)                                                                           \
    __extension__({                                                                                \
        inside = true;                                                                             \
        __auto_type call_result_ = (expression);                                                   \
        inside = false;                                                                            \
        call_result_;                                                                              \
    })

/* Waits for something told that makes it so. */
#define await(condition)                                                                           \
    while (!(condition))                                                                           \
    ck_assert_int_eq(th_event_wait(&news), 0)

static inline void tell(probe *p, char what)
{
    size_t len = strlen(p->told);
    ck_assert(!inside);
    ck_assert_ptr_null(thi_worker_self->current);
    if (len < sizeof p->told - 1 && !(what == 'd' && len > 0 && p->told[len - 1] == 'd'))
        p->told[len] = what;
    th_event_set(&news);
}

static inline void take(probe *p, const char *bytes, size_t n)
{
    if (p->len + n > p->room) {
        p->room = 2 * (p->len + n);
        p->got = realloc(p->got, p->room);
        ck_assert_ptr_nonnull(p->got);
    }
    memcpy(p->got + p->len, bytes, n);
    p->len += n;
}

static inline int probe_made(th_transport *t, void *self)
{
    probe *p = self;
    ck_assert_ptr_eq(p->t, t);
    tell(p, 'm');
    return p->on_made ? p->on_made(p, TH_STR("")) : 0;
}

static inline int probe_data(th_transport *t, void *self, th_str data)
{
    probe *p = self;
    ck_assert_ptr_eq(p->t, t);
    ck_assert_uint_gt(data.len, 0);
    tell(p, 'd');
    if (p->on_data)
        return p->on_data(p, data);
    take(p, data.ptr, data.len);
    return 0;
}

static inline int probe_eof(th_transport *t, void *self)
{
    probe *p = self;
    ck_assert_ptr_eq(p->t, t);
    tell(p, 'e');
    return p->on_end ? p->on_end(p, TH_STR("")) : 0;
}

static inline int probe_eof_sent(th_transport *t, void *self)
{
    (void)t;
    tell(self, 's');
    return 0;
}

static inline void probe_pause(th_transport *t, void *self)
{
    (void)t;
    tell(self, 'p');
}

static inline void probe_resume(th_transport *t, void *self)
{
    (void)t;
    tell(self, 'r');
}

static inline void probe_stopping(th_transport *t, void *self)
{
    (void)t;
    tell(self, 'q');
}

static inline void probe_lost(th_transport *t, void *self, int reason)
{
    probe *p = self;
    ck_assert_ptr_eq(p->t, t);
    p->reason = reason;
    tell(p, 'l');
    if (p->on_lost)
        p->on_lost(p, TH_STR(""));
    p->t = NULL;
}

static const th_protocol probe_protocol = {
    .connection_made = probe_made,
    .data_received = probe_data,
    .eof_received = probe_eof,
    .eof_sent = probe_eof_sent,
    .pause_writing = probe_pause,
    .resume_writing = probe_resume,
    .stopping = probe_stopping,
    .connection_lost = probe_lost,
};

/* The factory. */
static inline int use_probe(th_transport *t, void *arg)
{
    probe *p = arg;
    p->t = t;
    return th_transport_set_protocol(t, p->protocol ? p->protocol : &probe_protocol, p);
}

static inline void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* Two connected sockets, the second for the test. */
static inline void tcp_pair(int fds[2])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&in, len), 0);
    fds[0] = accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
}

static inline void open_probe_on(probe *p, int fd, int peer)
{
    p->peer = peer;
    set_nonblocking(peer);
    ck_assert_int_eq(CALL(th_protocol_open(fd, use_probe, p, NULL)), 0);
    ck_assert_str_eq(p->told, "");
}

/* Over a Unix socket; made only when the loop has run. */
static inline void open_probe(probe *p)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    open_probe_on(p, fds[0], fds[1]);
}

static inline void open_tcp_probe(probe *p)
{
    int fds[2];
    tcp_pair(fds);
    open_probe_on(p, fds[0], fds[1]);
}

static inline bool is_lost(const probe *p)
{
    return strchr(p->told, 'l') != NULL;
}

static inline bool was_told(const probe *p, const char *letters)
{
    return strcmp(p->told, letters) == 0;
}

/* Ends it if it has not ended, and everything of it. */
static inline void close_probe(probe *p)
{
    if (!is_lost(p))
        (void)th_transport_abort(p->t, 0);
    await(is_lost(p));
    ck_assert_ptr_eq(strrchr(p->told, 'l'), p->told + strlen(p->told) - 1);
    ck_assert_ptr_eq(strchr(p->told, 'l'), strrchr(p->told, 'l'));
    ck_assert_int_eq(p->told[0], 'm');
    ck_assert_ptr_eq(strrchr(p->told, 'm'), p->told);
    if (p->peer >= 0)
        close(p->peer);
    free(p->got);
}

/* Until the loop has looked at its events some times. */
static inline void let_loop_run(void)
{
    for (uint64_t end = thi_worker_self->loop.turns + 4; thi_worker_self->loop.turns < end;)
        ck_assert_int_eq(th_yield(), 0);
}

/* ---- the other end ---- */

static inline void peer_sends(probe *p, const char *text)
{
    ck_assert_int_eq(write(p->peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* What the other end can read now: bytes, 0 at the end, or -errno. */
static inline ssize_t peer_reads(probe *p, char *buf, size_t size)
{
    ssize_t n = read(p->peer, buf, size);
    return n < 0 ? -errno : n;
}

/* Reads up to the end, or so many bytes, letting others run meanwhile. */
static inline size_t peer_takes(probe *p, char *buf, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = peer_reads(p, buf + len, size - len);
        if (n == 0)
            break;
        if (n == -EAGAIN) {
            ck_assert_int_eq(th_yield(), 0);
            continue;
        }
        ck_assert_int_gt(n, 0);
        len += (size_t)n;
    }
    return len;
}

static inline void peer_gets(probe *p, const char *text)
{
    char got[256] = "";
    ck_assert_uint_lt(strlen(text), sizeof got);
    ck_assert_uint_eq(peer_takes(p, got, strlen(text)), strlen(text));
    ck_assert_str_eq(got, text);
}

static inline void peer_sees_the_end(probe *p)
{
    char byte;
    ck_assert_uint_eq(peer_takes(p, &byte, 1), 0);
}

static inline void close_peer(probe *p)
{
    close(p->peer);
    p->peer = -1;
}

static inline void got_is(const probe *p, const char *text)
{
    ck_assert_uint_eq(p->len, strlen(text));
    ck_assert_mem_eq(p->got, text, p->len);
}

static inline th_transport_info info_of(const th_transport *t)
{
    th_transport_info info;
    ck_assert_int_eq(th_transport_get_info(t, &info), 0);
    return info;
}

/* Bytes that are told apart by their place. */
static inline char *pattern(size_t size)
{
    char *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return bytes;
}

#endif
