/* SPDX-License-Identifier: MIT */

/*
 * The urgent byte of TCP, which overtakes those before it.
 *
 * The kernel keeps one, at a mark in the stream; a second one that arrives before the first was
 * read takes its place, and the first stays behind among ordinary bytes (RFC 6093 tells why nobody
 * should design a protocol with it). A byte that is announced but has not come yet is EAGAIN, none
 * at all EINVAL; both mean that there is to wait for an event.
 */
#include <thrum/socket.h>

#include "base/error.h"
#include "base/metrics.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <sys/ioctl.h>

/* The socket of a stream over TCP. */
static int tcp_of(th_stream *stream, thi_socket **socket)
{
    int family = 0;
    socklen_t len = sizeof family;
    thi_socket *s = thi_socket_of(stream);
    if (!stream)
        return -EINVAL;
    if (!s)
        return -EOPNOTSUPP;
    if (s->closed)
        return -EBADF;
    int err = thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    if (err < 0)
        return err;
    if (family != AF_INET && family != AF_INET6)
        return -EOPNOTSUPP;
    *socket = s;
    /* From now on reads have to know of marks. */
    return thi_loop_want(&s->worker->loop, &s->watch, THI_PRI);
}

static ssize_t try_write(thi_socket *s, void *arg)
{
    ssize_t n = thi_sys_send(s->watch.fd, arg, 1, MSG_OOB);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    return n;
}

int th_stream_write_urgent(th_stream *stream, unsigned char byte)
{
    thi_socket *s = NULL;
    ssize_t n = tcp_of(stream, &s);
    if (n == 0)
        n = thi_socket_step(s, THI_WRITE, try_write, &byte);
    return n < 0 ? thi_err_clear((int)n) : 0;
}

/* Whether the peer will send nothing any more. */
static bool is_over(const thi_socket *s)
{
    struct pollfd p = { .fd = s->watch.fd, .events = POLLRDHUP };
    return thi_sys_poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP));
}

static ssize_t read_step(thi_socket *s, unsigned char *byte)
{
    int over = 0;
    ssize_t n = thi_socket_may_step(s);
    if (n < 0)
        return n;
    if (s->rare->urgent)
        return -EBUSY;
    for (;;) {
        n = thi_sys_recv(s->watch.fd, byte, 1, MSG_OOB);
        if (n == 1) {
            s->watch.ready |= THI_PRI; /* a read may still stop short of where it was */
            thi_socket_count(s, THI_M_BYTES_READ, n);
        }
        if (n >= 0 || (n != -EAGAIN && n != -EINVAL))
            return n == 0 ? TH_EOF : n;
        if (is_over(s))
            return TH_EOF;
        if (over < 0)
            return over;
        over = thi_socket_wait(s, THI_PRI);
        if (s->closed)
            return -ECANCELED;
        if (over < 0 && !thi_socket_broken_off(over))
            return over;
    }
}

int th_stream_read_urgent(th_stream *stream, unsigned char *byte)
{
    thi_socket *s = NULL;
    if (!byte)
        return thi_err_clear(-EINVAL);
    ssize_t n = tcp_of(stream, &s);
    if (n == 0)
        n = thi_socket_make_rare(s);
    if (n == 0)
        n = s->rare->in_line ? -EINVAL : read_step(s, byte);
    return n < 0 ? thi_err_clear((int)n) : 0;
}

static int set_in_line(thi_socket *s, bool on)
{
    int value = on;
    int err = thi_socket_make_rare(s);
    if (err < 0)
        return err;
    if (s->rare->urgent)
        return -EBUSY;
    err = thi_sys_setsockopt(s->watch.fd, SOL_SOCKET, SO_OOBINLINE, &value, sizeof value);
    if (err == 0)
        s->rare->in_line = on;
    return err;
}

int th_stream_set_urgent_in_line(th_stream *stream, int on)
{
    thi_socket *s = NULL;
    int err = tcp_of(stream, &s);
    return (int)thi_err_plain(err < 0 ? err : set_in_line(s, on != 0));
}

int th_stream_at_urgent(th_stream *stream)
{
    thi_socket *s = NULL;
    int at = 0;
    int err = tcp_of(stream, &s);
    if (err == 0)
        err = thi_sys_ioctl(s->watch.fd, SIOCATMARK, &at);
    return (int)thi_err_plain(err < 0 ? err : at != 0);
}
