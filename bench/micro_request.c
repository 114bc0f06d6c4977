/* SPDX-License-Identifier: MIT */

/*
 * Nanoseconds per request above the kernel: all that the server does between two system calls.
 *
 * The server runs unchanged on a table of system calls in which 64 connections are always ready,
 * a read always brings requests, and a write always takes everything. So what is left is the work
 * of this program alone: engine, fiber, parser, handler, reply. The time of one turn of the loop
 * over all connections is taken many times; the best is shown, since noise only ever adds, and the
 * median beside it.
 */
#include "sys/sys.h"

#include <thrum/http.h>
#include <thrum/error.h>
#include <thrum/runtime.h>
#include <thrum/str.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNS     64
#define FIRST_FD  100000 /* of connections, which are numbers and nothing else */
#define TURNS     4000
#define MOST_DEEP 16

static const char one[] = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static struct {
    char input[MOST_DEEP * sizeof one];
    size_t input_len;
    int depth;
    int accepted;
    epoll_data_t listener;
    epoll_data_t data[CONNS];
    bool arrived[CONNS];
    int turns;
    int64_t began; /* the turn in progress; 0 before the first */
    int64_t spans[TURNS];
} world;

static int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static bool is_conn(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + CONNS;
}

static int fake_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    (void)fd;
    (void)sa;
    (void)n;
    return world.accepted < CONNS ? FIRST_FD + world.accepted++ : -EAGAIN;
}

static int fake_setsockopt(int fd, int level, int name, const void *val, socklen_t n)
{
    return is_conn(fd) ? 0 : thi_sys_real.setsockopt(fd, level, name, val, n);
}

static int fake_getsockopt(int fd, int level, int name, void *val, socklen_t *n)
{
    static const int family = AF_INET;
    if (!is_conn(fd) || name != SO_DOMAIN)
        return thi_sys_real.getsockopt(fd, level, name, val, n);
    memcpy(val, &family, sizeof family);
    return 0;
}

static int fake_close(int fd)
{
    return is_conn(fd) ? 0 : thi_sys_real.close(fd);
}

static ssize_t fake_recv(int fd, void *buf, size_t n, int flags)
{
    (void)flags;
    bool *arrived = &world.arrived[fd - FIRST_FD];
    if (!*arrived || n < world.input_len)
        return -EAGAIN;
    *arrived = false;
    memcpy(buf, world.input, world.input_len);
    return (ssize_t)world.input_len;
}

static ssize_t fake_send(int fd, const void *buf, size_t n, int flags)
{
    (void)fd;
    (void)buf;
    (void)flags;
    return (ssize_t)n;
}

static int fake_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    if (!is_conn(fd)) {
        if (op == EPOLL_CTL_ADD)
            world.listener = ev->data; /* the last one added before connections come */
        return thi_sys_real.epoll_ctl(ep, op, fd, ev);
    }
    if (op == EPOLL_CTL_ADD)
        world.data[fd - FIRST_FD] = ev->data;
    return 0;
}

static int fake_epoll_wait(int ep, struct epoll_event *ev, int max, int64_t timeout)
{
    if (world.began != 0 && world.turns < TURNS)
        world.spans[world.turns++] = clock_now() - world.began;
    if (world.turns == TURNS) {
        th_stop();
        return thi_sys_real.epoll_wait(ep, ev, max, timeout);
    }
    if (world.accepted < CONNS) {
        ev[0] = (struct epoll_event){ .events = EPOLLIN, .data = world.listener };
        return 1;
    }
    for (int i = 0; i < CONNS && i < max; i++) {
        ev[i] = (struct epoll_event){ .events = EPOLLIN | EPOLLOUT, .data = world.data[i] };
        world.arrived[i] = true;
    }
    world.began = clock_now();
    return CONNS;
}

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    if (!th_str_eq(th_http_request_path(request), th_str_of("/hello")))
        return th_http_reply_text(reply, 404, "not here\n");
    return th_http_reply_text(reply, 200, "hello, world\n");
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return th_http_serve("http://127.0.0.1:0", hello, NULL, NULL);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure(int depth)
{
    memset(&world, 0, sizeof world);
    world.depth = depth;
    for (int i = 0; i < depth; i++) {
        memcpy(world.input + world.input_len, one, sizeof one - 1);
        world.input_len += sizeof one - 1;
    }
    static char name[] = "micro_request";
    char *argv[] = { name, NULL };
    int err = th_main(app, 1, argv, &(th_run_opts){ .workers = 1, .backend = "epoll" });
    if (err != 0 || world.turns < TURNS) {
        fprintf(stderr, "micro_request: %s, %d turns\n", th_strerror(err), world.turns);
        exit(1);
    }
    qsort(world.spans, TURNS, sizeof *world.spans, by_size);
    double requests = (double)CONNS * depth;
    printf("%d at once: best %.0f ns a request, median %.0f\n", depth,
           (double)world.spans[0] / requests, (double)world.spans[TURNS / 2] / requests);
}

int main(void)
{
    thi_sys table = thi_sys_real;
    table.accept = fake_accept;
    table.setsockopt = fake_setsockopt;
    table.getsockopt = fake_getsockopt;
    table.close = fake_close;
    table.recv = fake_recv;
    table.send = fake_send;
    table.epoll_ctl = fake_epoll_ctl;
    table.epoll_wait = fake_epoll_wait;
    thi_sys_table = &table;
    measure(1);
    measure(MOST_DEEP);
    return 0;
}
