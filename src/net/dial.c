/* SPDX-License-Identifier: MIT */

/* Connecting: a non-blocking connect(2), a wait for writability, and the verdict in SO_ERROR. */
#include <thrum/dial.h>

#include "base/error.h"
#include "net/addr.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* The unspecified address as a target means this machine: made explicit, since systems differ. */
static void aim_at_loopback(th_addr *addr)
{
    static const uint8_t zero[16];
    if (addr->kind == TH_ADDR_IP4 && memcmp(addr->ip, zero, 4) == 0) {
        addr->ip[0] = 127;
        addr->ip[3] = 1;
    } else if (addr->kind == TH_ADDR_IP6 && memcmp(addr->ip, zero, 16) == 0) {
        addr->ip[15] = 1;
    }
}

/*
 * What became of a connection: 0 when it is made, -EINPROGRESS while it is not. A TCP socket on a
 * free local port may meet itself by simultaneous open; nobody listens there.
 */
static int outcome(thi_socket *s)
{
    int verdict = 0;
    socklen_t size = sizeof verdict;
    th_addr here;
    th_addr there = { .kind = TH_ADDR_NONE };
    int err = thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &verdict, &size);
    if (err == 0)
        err = -verdict;
    if (err == 0)
        err = th_stream_peer(&s->base, &there);
    if (err < 0)
        return err == -ENOTCONN ? -EINPROGRESS : err;
    bool itself = there.kind != TH_ADDR_UNIX && th_stream_local(&s->base, &here) == 0 &&
                  th_addr_equal(&here, &there);
    return itself ? -ECONNREFUSED : 0;
}

static int connect_socket(thi_socket *s, const thi_sockaddr *sa, socklen_t len)
{
    int over = 0; /* the scope's word, after which there is one last look */
    int err = thi_sys_connect(s->watch.fd, &sa->sa, len);
    if (err == 0)
        err = outcome(s);
    while (err == -EINPROGRESS) {
        if (over < 0)
            return over;
        s->watch.ready = 0;
        int woken = thi_socket_wait(s, THI_WRITE);
        if (woken < 0 && !thi_socket_broken_off(woken))
            return woken;
        over = woken;
        err = outcome(s);
    }
    return err;
}

static int dial(const th_addr *addr, thi_socket **socket)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int fd = thi_sys_socket(sa.sa.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    if (addr->kind != TH_ADDR_UNIX) {
        int one = 1;
        (void)thi_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    int err = thi_socket_new(fd, socket);
    if (err < 0) {
        thi_sys_close(fd);
        return err;
    }
    err = connect_socket(*socket, &sa, len);
    if (err < 0)
        th_stream_free(&(*socket)->base);
    return err;
}

int th_dial(const char *address, th_stream **stream)
{
    if (!address || !stream)
        return thi_err_clear(-EINVAL);
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    th_addr addr;
    thi_socket *socket = NULL;
    int err = th_addr_parse(address, &addr);
    if (err < 0)
        return err;
    aim_at_loopback(&addr);
    err = thi_sched_may_park();
    if (err == 0)
        err = dial(&addr, &socket);
    if (err < 0)
        return thi_err_set(err, "cannot connect to %.100s", address);
    *stream = &socket->base;
    return 0;
}
