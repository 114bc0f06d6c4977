/* SPDX-License-Identifier: MIT */

/* A stream on a socket, whose other end the test holds as a bare descriptor. */
#ifndef THI_TEST_NET_PAIR_H
#define THI_TEST_NET_PAIR_H

#include "runtime/in_fiber.h"

#include "net/socket.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A stream, and the bare descriptor at its other end, which is blocking. */
typedef struct pair {
    thi_socket *socket;
    th_stream *stream;
    int peer;
} pair;

static inline pair pair_of(int fds[2])
{
    pair p = { .peer = fds[1] };
    ck_assert_int_eq(thi_socket_new(fds[0], &p.socket), 0);
    p.stream = &p.socket->base;
    return p;
}

static inline pair open_pair(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_ge(thi_sys_fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    return pair_of(fds);
}

/* The same over TCP. */
static inline pair open_tcp_pair(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fds[2];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&in, len), 0);
    fds[0] = thi_sys_accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
    return pair_of(fds);
}

static inline void close_pair(pair *p)
{
    th_stream_free(p->stream);
    if (p->peer >= 0)
        close(p->peer);
}

static inline void close_peer(pair *p)
{
    close(p->peer);
    p->peer = -1;
}

/* Makes the peer's end break off instead of ending in order. */
static inline void reset_peer(pair *p)
{
    struct linger now = { .l_onoff = 1 };
    ck_assert_int_eq(setsockopt(p->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close_peer(p);
}

static inline void peer_sends(pair *p, const char *text)
{
    ck_assert_int_eq(send(p->peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

static inline void peer_receives(pair *p, const char *text)
{
    char got[256] = "";
    ck_assert_int_eq(recv(p->peer, got, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
}

/* Lets the fibers that are ready run, those included that wait for the kernel's word. */
static inline void let_others_run(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_yield(), 0);
}

#endif
