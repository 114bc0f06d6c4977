/* SPDX-License-Identifier: MIT */

/* Descriptors as carriers: sockets by their own calls, others by read and write. */
#include "callback/carrier.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "net/addr.h"
#include "net/capture.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <fcntl.h>

static void on_event(thi_watch *watch, unsigned events)
{
    thi_transport_event(thi_container_of(watch, th_transport, watch), events);
}

int thi_carrier_fd_want(th_transport *t, unsigned dirs)
{
    return thi_loop_want(&t->worker->loop, &t->watch, dirs);
}

void thi_carrier_fd_close(th_transport *t, bool reset)
{
    int fd = t->watch.fd;
    (void)reset;
    thi_capture_closed(&t->tap);
    thi_loop_unwatch(&t->worker->loop, &t->watch);
    if (!t->lent)
        (void)thi_sys_close(fd);
}

/* ---- sockets ---- */

enum { FAMILY_UNKNOWN, FAMILY_INTERNET, FAMILY_UNIX };

/* Over a Unix socket a read stops at descriptors that were passed, which the kernel then closes. */
static bool socket_may_have_more(th_transport *t)
{
    int family = AF_UNIX;
    socklen_t len = sizeof family;
    if (t->family == FAMILY_UNKNOWN) {
        int err = thi_sys_getsockopt(t->watch.fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
        t->family = err == 0 && family != AF_UNIX ? FAMILY_INTERNET : FAMILY_UNIX;
    }
    return t->family == FAMILY_UNIX;
}

ssize_t thi_carrier_socket_read(th_transport *t, void *buf, size_t size)
{
    ssize_t n = thi_sys_recv(t->watch.fd, buf, size, 0);
    if (TH_UNLIKELY(thi_capture_is_on())) {
        struct iovec iov = { buf, size };
        thi_capture_received(&t->tap, t->watch.fd, &iov, n);
    }
    if (n > 0)
        thi_metric_add(THI_M_BYTES_READ, n);
    return n;
}

ssize_t thi_carrier_socket_writev(th_transport *t, const struct iovec *iov, int count)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    ssize_t n = count == 1 ? thi_sys_send(t->watch.fd, iov->iov_base, iov->iov_len, 0)
                           : thi_sys_sendmsg(t->watch.fd, &msg, 0);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_bytes(&t->tap, t->watch.fd, TH_CAPTURE_SENT, iov, count, (size_t)n);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return n;
}

static ssize_t socket_sendfile(th_transport *t, int fd, int64_t at, size_t size)
{
    off_t from = at;
    ssize_t n = thi_sys_sendfile(t->watch.fd, fd, &from, size);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_file(&t->tap, t->watch.fd, fd, at, (size_t)n);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return n;
}

static int socket_shutdown(th_transport *t)
{
    int err = thi_sys_shutdown(t->watch.fd, SHUT_WR);
    if (err == 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_end(&t->tap, t->watch.fd, TH_CAPTURE_SHUT);
    return err;
}

void thi_carrier_socket_close(th_transport *t, bool reset)
{
    static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    if (reset && !t->lent)
        (void)thi_sys_setsockopt(t->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    thi_carrier_fd_close(t, reset);
}

int thi_carrier_fd_peer(const th_transport *t, th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = thi_sys_getpeername(t->watch.fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return err;
}

int thi_carrier_fd_local(const th_transport *t, th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = thi_sys_getsockname(t->watch.fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return err;
}

static const thi_carrier socket_carrier = {
    .name = "socket",
    .may_have_more = socket_may_have_more,
    .read = thi_carrier_socket_read,
    .writev = thi_carrier_socket_writev,
    .sendfile = socket_sendfile,
    .shutdown = socket_shutdown,
    .want = thi_carrier_fd_want,
    .close = thi_carrier_socket_close,
    .peer = thi_carrier_fd_peer,
    .local = thi_carrier_fd_local,
};

bool thi_carrier_is_socket(const th_transport *t)
{
    return t->carrier == &socket_carrier;
}

/* ---- others ---- */

static ssize_t plain_read(th_transport *t, void *buf, size_t size)
{
    ssize_t n = thi_sys_read(t->watch.fd, buf, size);
    return n == -EIO ? 0 : n; /* a terminal's master when nobody has the other side any more */
}

static ssize_t plain_writev(th_transport *t, const struct iovec *iov, int count)
{
    return thi_sys_writev(t->watch.fd, iov, count);
}

/* A pipe ends by being closed: there is no half of it left. */
static int plain_shutdown(th_transport *t)
{
    if (!t->reads)
        t->closing = true;
    return 0;
}

/* An engine may call the error of a pipe that nobody reads readable, and nothing more: select. */
static bool plain_is_gone(th_transport *t, unsigned events)
{
    struct pollfd look = { .fd = t->watch.fd };
    if (events & THI_HUP)
        return true;
    return (events & THI_READ) && thi_sys_poll(&look, 1, 0) > 0;
}

static const thi_carrier plain_carrier = {
    .name = "descriptor",
    .read = plain_read,
    .writev = plain_writev,
    .shutdown = plain_shutdown,
    .want = thi_carrier_fd_want,
    .is_gone = plain_is_gone,
    .close = thi_carrier_fd_close,
};

/* ---- making one ---- */

int thi_carrier_fd_make(const thi_carrier *carrier, int fd, bool reads, th_transport **out)
{
    th_transport *t = thi_transport_new(carrier);
    if (!t)
        return -ENOMEM;
    t->reads = reads;
    int err = thi_loop_watch(&t->worker->loop, &t->watch, fd, 0, on_event);
    if (err < 0) {
        thi_free(t);
        return err == -EPERM ? -ENOTSUP : err;
    }
    *out = t;
    return 0;
}

int thi_carrier_fd_rewatch(th_transport *t, int fd)
{
    return thi_loop_watch(&t->worker->loop, &t->watch, fd, 0, on_event);
}

static int type_of(int fd)
{
    int type = SOCK_STREAM;
    socklen_t len = sizeof type;
    (void)thi_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    return type;
}

int thi_carrier_socket(int fd, th_transport **out)
{
    return thi_carrier_fd_make(&socket_carrier, fd, true, out);
}

int thi_carrier_descriptor(int fd, th_transport **out)
{
    struct stat st;
    int err = fd < 0 ? -EBADF : thi_sys_fstat(fd, &st);
    int flags = err < 0 ? err : thi_sys_fcntl(fd, F_GETFL, 0);
    if (flags < 0)
        return flags;
    err = flags & O_NONBLOCK ? 0 : thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (err < 0)
        return err;
    bool reads = (flags & O_ACCMODE) != O_WRONLY;
    int type = S_ISSOCK(st.st_mode) ? type_of(fd) : -1;
    if (type == SOCK_DGRAM)
        err = thi_carrier_datagram(fd, out);
    else
        err = thi_carrier_fd_make(type < 0 ? &plain_carrier : &socket_carrier, fd, reads, out);
    if (err < 0 && !(flags & O_NONBLOCK))
        (void)thi_sys_fcntl(fd, F_SETFL, flags);
    return err;
}
