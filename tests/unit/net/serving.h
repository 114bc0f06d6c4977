/* SPDX-License-Identifier: MIT */

/* A server of the test's, run by a fiber of its own, and clients that are bare descriptors. */
#ifndef THI_TEST_NET_SERVING_H
#define THI_TEST_NET_SERVING_H

#include "runtime/in_fiber.h"

#include "net/addr.h"
#include "net/listener.h"

#include <thrum/serve.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct server {
    th_listen_opts how;
    const char *address; /* NULL: a free port of 127.0.0.1 */
    th_listener *listener;
    th_scope scope;
    th_serve_fn fn;
    th_serve_opts opts;
    int result;
} server;

/* Connections that were taken, are being served, and are over. */
static atomic_int taken_now;
static atomic_int serving_now;
static atomic_int over_now;

/* Lets the loop turn until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0)

static inline int run_server(void *arg)
{
    server *s = arg;
    s->result = th_serve_on(&s->listener, 1, s->fn, s, &s->opts);
    return 0;
}

static inline void start_server(server *s)
{
    int err = th_listen(s->address ? s->address : "127.0.0.1:0", &s->how, &s->listener);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    open_scope(&s->scope);
    s->result = 77;
    spawn(&s->scope, run_server, s);
}

/* Cancels the server and waits for it. */
static inline void cancel_server(server *s)
{
    ck_assert_int_eq(th_scope_cancel(&s->scope, 0), 0);
    (void)th_scope_close(&s->scope);
    th_listener_close(s->listener);
    ck_assert_int_eq(s->result, -ECANCELED);
}

/* A client from an address of its own: 127.0.0.`host`, or whatever the system takes with 0. -1 when
 * it was reset before connect(2) had returned. */
static inline int client_from(const server *s, unsigned host)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(&s->listener->addr, &sa);
    int fd = socket(sa.sa.sa_family, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    struct sockaddr_in own = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host) };
    if (host)
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    if (connect(fd, &sa.sa, len) == 0)
        return fd;
    ck_assert_int_eq(errno, ECONNRESET);
    close(fd);
    return -1;
}

static inline int client_of(const server *s)
{
    return client_from(s, 0);
}

/* What a client sees: 'o' open, nothing there; 'e' ended in order; 'r' reset. */
static inline char state_of(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 ? 'e' : n < 0 && errno == ECONNRESET ? 'r' : 'o';
}

/* Serves until the client ends, answering each byte. */
static inline int echo(th_stream *stream, void *arg)
{
    char byte;
    ssize_t n;
    (void)arg;
    atomic_fetch_add(&taken_now, 1);
    atomic_fetch_add(&serving_now, 1);
    while ((n = th_stream_read(stream, &byte, 1)) == 1)
        if ((n = th_stream_write(stream, &byte, 1)) < 0)
            break;
    atomic_fetch_sub(&serving_now, 1);
    atomic_fetch_add(&over_now, 1);
    return (int)n;
}

/* The client's byte comes back. */
static inline void echoes(int fd)
{
    char byte = 'e';
    ck_assert_int_eq(send(fd, &byte, 1, 0), 1);
    byte = 0;
    ssize_t n;
    wait_until((n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(byte, 'e');
}

#endif
