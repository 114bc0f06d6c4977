/* SPDX-License-Identifier: MIT */

/*
 * The steps of a socket stream: try, and wait when the kernel says that it is too early.
 *
 * watch.ready keeps what is known: a direction is tried at once while its bit is set, and the bit
 * is cleared by EAGAIN, or by a read that came back short. The latter saves the read that would
 * only find nothing; not when a hang-up was seen, because then no further event would announce the
 * end.
 *
 * A connection that always has something ready would never suspend; thi_sched_spend() sees to that.
 *
 * A step asks the scope before anything else, whatever is ready: what it returns must not depend on
 * bits that nobody sees. And a wait that the scope breaks off is followed by one more try, because
 * the bytes may be there and only their event not yet told.
 */
#include "net/socket.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "io/fileway.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <linux/sock_diag.h>

static thi_socket *of(th_stream *stream)
{
    return thi_container_of(stream, thi_socket, base);
}

static void on_event(thi_watch *watch, unsigned events)
{
    thi_socket *s = thi_container_of(watch, thi_socket, watch);
    if ((events & THI_WRITE) && s->writer)
        s->writer->abort(s->writer, 0);
    if (events & THI_READ) {
        if (s->reader)
            s->reader->abort(s->reader, 0);
        else if (s->arrived)
            s->arrived(s);
    }
}

/* A fiber's wait for one direction of a socket. */
typedef struct socket_wait {
    thi_wait wait;
    thi_wait **slot;
    th_fiber *fiber;
} socket_wait;

static void wake(thi_wait *wait, int result)
{
    socket_wait *w = thi_container_of(wait, socket_wait, wait);
    *w->slot = NULL;
    thi_sched_ready(w->fiber, result);
}

static const thi_wait_kind waits_for[] = {
    { "read", THI_BY_DESCRIPTOR, offsetof(thi_socket, watch.fd) },
    { "write", THI_BY_DESCRIPTOR, offsetof(thi_socket, watch.fd) },
};

int thi_socket_wait(thi_socket *s, unsigned dir)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    thi_wait **slot = dir == THI_READ ? &s->reader : &s->writer;
    if (*slot)
        return -EBUSY;
    err = thi_loop_want(&s->worker->loop, &s->watch, dir);
    if (err < 0)
        return err;
    socket_wait w = { .wait = { .kind = &waits_for[dir == THI_WRITE], .object = s, .abort = wake },
                      .slot = slot,
                      .fiber = thi_sched_self() };
    *slot = &w.wait;
    if (s->waits)
        s->waits(s);
    return thi_sched_park(&w.wait);
}

/* What every step asks first. The scope is obeyed even by steps that need not wait. */
static int may_step(thi_socket *s)
{
    th_fiber *self = thi_sched_self();
    if (TH_UNLIKELY(!self || self->worker != s->worker))
        return -EPERM;
    if (TH_UNLIKELY(s->closed))
        return -EBADF;
    thi_sched_spend(THI_COST_DESCRIPTOR);
    if (TH_UNLIKELY(s->closed)) /* by who ran meanwhile */
        return -ECANCELED;
    return thi_sched_may_park_as(self);
}

/*
 * After EAGAIN: waits, and says whether to try again. When the scope has broken off the wait, that
 * goes to *over and the next try is the last.
 */
static int wait_after_try(thi_socket *s, unsigned dir, int *over)
{
    if (*over < 0)
        return *over;
    s->watch.ready &= (uint8_t)~dir;
    int err = thi_socket_wait(s, dir);
    if (s->closed)
        return -ECANCELED;
    if (!thi_socket_broken_off(err))
        return err;
    *over = err;
    return 0;
}

static ssize_t read_step(thi_socket *s, void *buf, size_t size)
{
    int over = 0;
    ssize_t n = may_step(s);
    if (n < 0)
        return n;
    if (s->reader)
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & THI_READ) || over < 0) {
            n = thi_sys_recv(s->watch.fd, buf, size, 0);
            if (n > 0) {
                if ((size_t)n < size && !(s->watch.ready & THI_HUP))
                    s->watch.ready &= (uint8_t)~THI_READ;
                thi_metric_add(THI_M_BYTES_READ, n);
                return n;
            }
            if (n != -EAGAIN)
                return n == 0 ? TH_EOF : n;
        }
        n = wait_after_try(s, THI_READ, &over);
        if (n < 0)
            return n;
    }
}

static ssize_t socket_read(th_stream *stream, void *buf, size_t size)
{
    return thi_err_plain(read_step(of(stream), buf, size));
}

ssize_t thi_socket_send_now(thi_socket *s, const void *buf, size_t size)
{
    if (TH_UNLIKELY(s->closed))
        return -EBADF;
    if (!(s->watch.ready & THI_WRITE))
        return -EAGAIN;
    ssize_t n = thi_sys_send(s->watch.fd, buf, size, 0);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_WRITE;
    return n;
}

static ssize_t write_step(thi_socket *s, const struct iovec *iov, int count)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    int over = 0;
    ssize_t n = may_step(s);
    if (n < 0)
        return n;
    if (s->writer)
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & THI_WRITE) || over < 0) {
            int flags = s->more ? MSG_MORE : 0;
            n = count == 1 ? thi_sys_send(s->watch.fd, iov->iov_base, iov->iov_len, flags)
                           : thi_sys_sendmsg(s->watch.fd, &msg, flags);
            if (n > 0)
                thi_metric_add(THI_M_BYTES_WRITTEN, n);
            if (n != -EAGAIN)
                return n;
        }
        n = wait_after_try(s, THI_WRITE, &over);
        if (n < 0)
            return n;
    }
}

static ssize_t socket_writev(th_stream *stream, const struct iovec *iov, int count)
{
    return thi_err_plain(write_step(of(stream), iov, count));
}

/* One system call moves no more than this, so that a fast peer does not hold up the others. */
#define SENDFILE_STEP (1024 * 1024)

/* What is not in memory is fetched first, by others: sendfile(2) itself would wait for the disk. */
static ssize_t sendfile_step(thi_socket *s, int fd, int64_t offset, size_t size)
{
    int over = 0;
    ssize_t n = may_step(s);
    size = thi_min(size, (size_t)SENDFILE_STEP);
    if (n == 0)
        n = thi_fileway_warm(fd, offset, size);
    if (n < 0)
        return n;
    if (s->closed) /* meanwhile */
        return -ECANCELED;
    if (s->writer)
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & THI_WRITE) || over < 0) {
            off_t at = offset;
            n = thi_sys_sendfile(s->watch.fd, fd, &at, size);
            if (n > 0)
                thi_metric_add(THI_M_BYTES_WRITTEN, n);
            if (n != -EAGAIN)
                return n;
        }
        n = wait_after_try(s, THI_WRITE, &over);
        if (n < 0)
            return n;
    }
}

static ssize_t socket_sendfile(th_stream *stream, int fd, int64_t offset, size_t size)
{
    return thi_err_plain(sendfile_step(of(stream), fd, offset, size));
}

static int socket_shutdown(th_stream *stream)
{
    thi_socket *s = of(stream);
    return (int)thi_err_plain(s->closed ? -EBADF : thi_sys_shutdown(s->watch.fd, SHUT_WR));
}

void thi_socket_shut(thi_socket *s)
{
    if (s->closed)
        return;
    int fd = s->watch.fd;
    s->closed = true;
    thi_loop_unwatch(&s->worker->loop, &s->watch);
    (void)thi_sys_close(fd); /* close(2) can only tell of writes long past */
    thi_origin_free(s->origin);
    s->origin = NULL;
    if (s->reader)
        s->reader->abort(s->reader, -ECANCELED);
    if (s->writer)
        s->writer->abort(s->writer, -ECANCELED);
}

void thi_socket_drop_unsent(thi_socket *s)
{
    static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    if (!s->closed)
        (void)thi_sys_setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* A TCP socket keeps what is not acknowledged in a queue of its own, a Unix socket lends it out. */
size_t thi_socket_held(const thi_socket *s)
{
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t len = sizeof info;
    if (s->closed || thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
        return 0;
    return thi_max(info[SK_MEMINFO_WMEM_QUEUED], info[SK_MEMINFO_WMEM_ALLOC]);
}

static int socket_close(th_stream *stream)
{
    thi_socket *s = of(stream);
    if (s->closed)
        return thi_err_clear(-EBADF);
    thi_socket_shut(s);
    return 0;
}

static void socket_free(th_stream *stream)
{
    thi_socket *s = of(stream);
    thi_socket_shut(s);
    if (s->heap)
        thi_free(s);
}

static int socket_peer(th_stream *stream, th_addr *addr)
{
    thi_socket *s = of(stream);
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    const th_addr *client = thi_origin_source(s->origin);
    if (client) {
        *addr = *client;
        return 0;
    }
    int err = s->closed ? -EBADF : thi_sys_getpeername(s->watch.fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return (int)thi_err_plain(err);
}

static int socket_local(th_stream *stream, th_addr *addr)
{
    thi_socket *s = of(stream);
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = s->closed ? -EBADF : thi_sys_getsockname(s->watch.fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return (int)thi_err_plain(err);
}

static int socket_descriptor(th_stream *stream)
{
    thi_socket *s = of(stream);
    return s->closed ? -EBADF : s->watch.fd;
}

static int socket_origin(th_stream *stream, const thi_origin **origin)
{
    thi_socket *s = of(stream);
    if (s->closed)
        return -EBADF;
    *origin = s->origin;
    return 0;
}

static const thi_stream_ops socket_ops = {
    .name = "socket",
    .read = socket_read,
    .writev = socket_writev,
    .sendfile = socket_sendfile,
    .shutdown = socket_shutdown,
    .close = socket_close,
    .free = socket_free,
    .peer = socket_peer,
    .local = socket_local,
    .descriptor = socket_descriptor,
    .origin = socket_origin,
};

int thi_socket_init(thi_socket *s, int fd)
{
    *s = (thi_socket){ .base.ops = &socket_ops, .worker = thi_worker_self };
    return thi_loop_watch(&s->worker->loop, &s->watch, fd, 0, on_event);
}

int thi_socket_new(int fd, thi_socket **out)
{
    thi_socket *s = thi_alloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    int err = thi_socket_init(s, fd);
    if (err < 0) {
        thi_free(s);
        return err;
    }
    s->heap = true;
    *out = s;
    return 0;
}
