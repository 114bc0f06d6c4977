/* SPDX-License-Identifier: MIT */

/*
 * The steps of a socket stream: try, and wait when the kernel says that it is too early.
 *
 * watch.ready keeps what is known: a direction is tried at once while its bit is set, and the bit
 * is cleared by EAGAIN, or by a read that came back short. The latter saves the read that would
 * only find nothing; not when a hang-up was seen, because then no further event would announce the
 * end.
 *
 * Urgent data of TCP leaves a mark in the stream at which a read stops short although there is more
 * behind it; so do bytes on a Unix socket that come with descriptors, which is told beside them. So
 * a read that comes back short clears nothing after such bytes, or while THI_PRI is in `ready`. The
 * loop sets that bit with the events (io_uring's only after it was wanted, so that there a peer who
 * sends urgent data unasked may have to send more before it is read); it is cleared when a read has
 * found nothing, and by nobody else: a mark that was passed over, or whose byte was taken out of
 * line, may be told in no other way.
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
#include "net/capture.h"
#include "net/control.h"
#include "sys/sys.h"

#include <linux/sock_diag.h>

static inline thi_socket *of(th_stream *stream)
{
    return thi_container_of(stream, thi_socket, base);
}

static void on_event(thi_watch *watch, unsigned events)
{
    thi_socket *s = thi_container_of(watch, thi_socket, watch);
    if ((events & THI_WRITE) && s->writer)
        s->writer->abort(s->writer, 0);
    if (TH_UNLIKELY((events & (THI_PRI | THI_HUP)) && s->rare && s->rare->urgent))
        s->rare->urgent->abort(s->rare->urgent, 0);
    if (events & THI_READ) {
        if (s->reader)
            s->reader->abort(s->reader, 0);
        else if (s->arrived)
            s->arrived(s);
    }
}

/* ---- for whoever captures: what a call has done, if it has ---- */

static void tap_received(thi_socket *s, void *buf, size_t size, ssize_t n)
{
    struct iovec iov = { buf, size };
    thi_capture_received(&s->tap, s->watch.fd, &iov, n);
}

/* What the kernel encrypts is inside of TLS; what goes over the wire nobody has seen. */
static void tap_sent(thi_socket *s, const struct iovec *iov, int count, size_t n)
{
    if (TH_LIKELY(!s->sealed)) {
        thi_capture_bytes(&s->tap, s->watch.fd, TH_CAPTURE_SENT, iov, count, n);
        return;
    }
    thi_capture_unseen(&s->tap, s->watch.fd, TH_CAPTURE_SENT, n);
    thi_capture_inside(s->tap, TH_CAPTURE_SENT, iov, count, n);
}

static void tap_file(thi_socket *s, int fd, int64_t offset, size_t n)
{
    if (TH_LIKELY(!s->sealed)) {
        thi_capture_file(&s->tap, s->watch.fd, fd, offset, n);
        return;
    }
    thi_capture_unseen(&s->tap, s->watch.fd, TH_CAPTURE_SENT, n);
    thi_capture_inside_file(s->tap, fd, offset, n);
}

/* What has gone through a pipe was never in memory. */
static void tap_piped(thi_socket *s, unsigned kind, ssize_t n)
{
    if (n > 0)
        thi_capture_unseen(&s->tap, s->watch.fd, kind, (size_t)n);
    else if (n == 0)
        thi_capture_end(&s->tap, s->watch.fd, TH_CAPTURE_ENDED);
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

static const thi_wait_kind to_read = { "read", THI_BY_DESCRIPTOR, offsetof(thi_socket, watch.fd) };
static const thi_wait_kind to_write = { "write", THI_BY_DESCRIPTOR,
                                        offsetof(thi_socket, watch.fd) };
static const thi_wait_kind for_urgent = { "urgent", THI_BY_DESCRIPTOR,
                                          offsetof(thi_socket, watch.fd) };

static inline thi_wait **slot_of(thi_socket *s, unsigned dir)
{
    if (dir == THI_READ)
        return &s->reader;
    return dir == THI_WRITE ? &s->writer : &s->rare->urgent;
}

static inline const thi_wait_kind *kind_of(unsigned dir)
{
    if (dir == THI_READ)
        return &to_read;
    return dir == THI_WRITE ? &to_write : &for_urgent;
}

int thi_socket_wait(thi_socket *s, unsigned dir)
{
    return thi_socket_wait_for(s, dir, dir);
}

int thi_socket_wait_for(thi_socket *s, unsigned dir, unsigned want)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    thi_wait **slot = slot_of(s, dir);
    if (*slot)
        return -EBUSY;
    err = thi_loop_want(&s->worker->loop, &s->watch, want);
    if (err < 0)
        return err;
    socket_wait w = { .wait = { .kind = kind_of(dir), .object = s, .abort = wake },
                      .slot = slot,
                      .fiber = thi_sched_self() };
    *slot = &w.wait;
    if (s->waits)
        s->waits(s);
    return thi_sched_park(&w.wait);
}

/* What every step asks first. The scope is obeyed even by steps that need not wait. */
static inline int may_step(thi_socket *s)
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

int thi_socket_may_step(thi_socket *s)
{
    return may_step(s);
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

ssize_t thi_socket_step(thi_socket *s, unsigned dir, thi_socket_try *try, void *arg)
{
    int over = 0;
    ssize_t n = may_step(s);
    if (n < 0)
        return n;
    if (*slot_of(s, dir))
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & dir) || over < 0) {
            n = try(s, arg);
            if (n != -EAGAIN)
                return n;
        }
        n = wait_after_try(s, dir, &over);
        if (n < 0)
            return n;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * There was nothing, so no mark of urgent data lies ahead any more; but if one did, the kernel may
 * have stopped at it for a signal that was pending: that calls for one more try.
 */
static inline bool passed_mark(thi_socket *s)
{
    bool marked = s->watch.ready & THI_PRI;
    s->watch.ready &= (uint8_t)~THI_PRI;
    return TH_UNLIKELY(marked);
}

/* Not every engine lets who waits for an urgent byte hear of the end. */
static ssize_t end_of_reading(thi_socket *s, ssize_t n)
{
    if (TH_UNLIKELY(s->rare && s->rare->urgent))
        s->rare->urgent->abort(s->rare->urgent, 0);
    return n == 0 ? TH_EOF : n;
}

/* A Unix socket, or one of which nobody has asked yet. */
static ssize_t receive_unix(thi_socket *s, void *buf, size_t size, bool *stopped)
{
    int family = AF_UNIX;
    socklen_t len = sizeof family;
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (s->family == THI_SOCKET_UNKNOWN) {
        int err = thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
        s->family = err == 0 && family != AF_UNIX ? THI_SOCKET_INTERNET : THI_SOCKET_UNIX;
    }
    if (s->family == THI_SOCKET_INTERNET)
        return thi_sys_recv(s->watch.fd, buf, size, 0);
    ssize_t n = thi_sys_recvmsg(s->watch.fd, &msg, 0);
    *stopped = msg.msg_flags & MSG_CTRUNC; /* by descriptors, which the kernel has closed */
    return n;
}

static inline ssize_t receive(thi_socket *s, void *buf, size_t size, bool *stopped)
{
    ssize_t n = TH_LIKELY(s->family == THI_SOCKET_INTERNET)
                    ? thi_sys_recv(s->watch.fd, buf, size, 0)
                    : receive_unix(s, buf, size, stopped);
    if (TH_UNLIKELY(thi_capture_is_on()))
        tap_received(s, buf, size, n);
    return n;
}

static inline void note_read(thi_socket *s, ssize_t n, size_t size, bool stopped)
{
    if ((size_t)n < size && !stopped && !(s->watch.ready & (THI_HUP | THI_PRI)))
        s->watch.ready &= (uint8_t)~THI_READ;
    thi_socket_count(s, THI_M_BYTES_READ, n);
}

static ssize_t read_step(thi_socket *s, void *buf, size_t size)
{
    int over = 0;
    bool stopped = false;
    ssize_t n = may_step(s);
    if (n < 0)
        return n;
    if (s->reader)
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & THI_READ) || over < 0) {
            n = receive(s, buf, size, &stopped);
            if (n > 0) {
                note_read(s, n, size, stopped);
                return n;
            }
            if (n != -EAGAIN)
                return end_of_reading(s, n);
            if (passed_mark(s))
                continue;
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

static ssize_t try_peek(thi_socket *s, void *arg)
{
    struct iovec *iov = arg;
    ssize_t n = thi_sys_recv(s->watch.fd, iov->iov_base, iov->iov_len, MSG_PEEK);
    if (n == -EAGAIN && passed_mark(s))
        n = thi_sys_recv(s->watch.fd, iov->iov_base, iov->iov_len, MSG_PEEK);
    return n == 0 ? TH_EOF : n;
}

static ssize_t socket_peek(th_stream *stream, void *buf, size_t size)
{
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    return thi_err_plain(thi_socket_step(of(stream), THI_READ, try_peek, &iov));
}

/* Why a call that does not wait must not be made. */
static int may_try(const thi_socket *s)
{
    if (thi_worker_self != s->worker || !thi_sched_self())
        return -EPERM;
    return s->closed ? -EBADF : 0;
}

static ssize_t try_read_step(thi_socket *s, void *buf, size_t size)
{
    bool stopped = false;
    int err = may_try(s);
    if (err < 0)
        return err;
    if (s->reader)
        return -EBUSY;
    ssize_t n = receive(s, buf, size, &stopped);
    if (n == -EAGAIN && passed_mark(s))
        n = receive(s, buf, size, &stopped);
    if (n > 0)
        note_read(s, n, size, stopped);
    else if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_READ;
    return n > 0 || n == -EAGAIN ? n : end_of_reading(s, n);
}

static ssize_t socket_try_read(th_stream *stream, void *buf, size_t size)
{
    return thi_err_plain(try_read_step(of(stream), buf, size));
}

/* After a wait that was broken off the kernel is asked, so that the wait's result is not lost. */
static ssize_t try_nothing(thi_socket *s, void *arg)
{
    char byte;
    (void)arg;
    if (s->watch.ready & THI_READ)
        return 0;
    return thi_sys_recv(s->watch.fd, &byte, 1, MSG_PEEK) == -EAGAIN ? -EAGAIN : 0;
}

static int socket_wait_readable(th_stream *stream)
{
    return (int)thi_err_plain(thi_socket_step(of(stream), THI_READ, try_nothing, NULL));
}

/* ---- writing --------------------------------------------------------------------------------- */

static inline ssize_t send_pieces(thi_socket *s, const struct iovec *iov, int count, int flags)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    ssize_t n = count == 1 ? thi_sys_send(s->watch.fd, iov->iov_base, iov->iov_len, flags)
                           : thi_sys_sendmsg(s->watch.fd, &msg, flags);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        tap_sent(s, iov, count, (size_t)n);
    return n;
}

ssize_t thi_socket_send_now(thi_socket *s, const void *buf, size_t size)
{
    if (TH_UNLIKELY(s->closed))
        return -EBADF;
    if (!(s->watch.ready & THI_WRITE))
        return -EAGAIN;
    struct iovec iov = { (void *)(uintptr_t)buf, size };
    ssize_t n = send_pieces(s, &iov, 1, 0);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_WRITE;
    return n;
}

static ssize_t write_step(thi_socket *s, const struct iovec *iov, int count)
{
    int over = 0;
    if (TH_UNLIKELY(s->rare != NULL) && s->rare->write)
        return s->rare->write(s, iov, count);
    ssize_t n = may_step(s);
    if (n < 0)
        return n;
    if (s->writer)
        return -EBUSY;
    for (;;) {
        if ((s->watch.ready & THI_WRITE) || over < 0) {
            int flags = s->more ? MSG_MORE : 0;
            n = send_pieces(s, iov, count, flags);
            if (n > 0)
                thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
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

static ssize_t socket_try_writev(th_stream *stream, const struct iovec *iov, int count)
{
    thi_socket *s = of(stream);
    ssize_t n = may_try(s);
    if (n == 0)
        n = s->writer ? -EBUSY : send_pieces(s, iov, count, 0);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    else if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_WRITE;
    return thi_err_plain(n);
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
            if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
                tap_file(s, fd, offset, (size_t)n);
            if (n > 0)
                thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
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

/* ---- through pipes --------------------------------------------------------------------------- */

typedef struct through_pipe {
    int pipe;
    size_t size;
    bool tried; /* once, and then waited */
} through_pipe;

/*
 * splice(2) does not get past urgent data, and says EAGAIN for ever, though the socket is readable
 * for whoever reads it. So when it says so right after a wait, bytes have to be read this time.
 */
static ssize_t try_splice_in(thi_socket *s, void *arg)
{
    through_pipe *t = arg;
    ssize_t n = thi_sys_splice(s->watch.fd, t->pipe, t->size);
    if (TH_UNLIKELY(thi_capture_is_on()))
        tap_piped(s, TH_CAPTURE_RECEIVED, n);
    if (n == -EINVAL || (n == -EAGAIN && t->tried))
        return -EOPNOTSUPP;
    t->tried = true;
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_READ, n);
    return n == 0 ? TH_EOF : n;
}

static ssize_t socket_splice_in(th_stream *stream, int pipe, size_t size)
{
    through_pipe t = { .pipe = pipe, .size = size };
    return thi_err_plain(thi_socket_step(of(stream), THI_READ, try_splice_in, &t));
}

static ssize_t try_splice_out(thi_socket *s, void *arg)
{
    through_pipe *t = arg;
    ssize_t n = thi_sys_splice(t->pipe, s->watch.fd, t->size);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        tap_piped(s, TH_CAPTURE_SENT, n);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    return n == -EINVAL ? -EOPNOTSUPP : n;
}

static ssize_t socket_splice_out(th_stream *stream, int pipe, size_t size)
{
    through_pipe t = { .pipe = pipe, .size = size };
    return thi_err_plain(thi_socket_step(of(stream), THI_WRITE, try_splice_out, &t));
}

/* ---- the end --------------------------------------------------------------------------------- */

static int socket_shutdown(th_stream *stream)
{
    thi_socket *s = of(stream);
    int err = s->closed ? -EBADF : thi_sys_shutdown(s->watch.fd, SHUT_WR);
    if (err == 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_end(&s->tap, s->watch.fd, TH_CAPTURE_SHUT);
    return (int)thi_err_plain(err);
}

/* Takes the descriptor out of the loop and tells whoever waits; the descriptor is the caller's. */
static int let_go(thi_socket *s)
{
    int fd = s->watch.fd;
    s->closed = true;
    if (TH_UNLIKELY(s->tap != NULL))
        thi_capture_closed(&s->tap);
    thi_loop_unwatch(&s->worker->loop, &s->watch);
    thi_origin_free(s->origin);
    s->origin = NULL;
    if (s->reader)
        s->reader->abort(s->reader, -ECANCELED);
    if (s->writer)
        s->writer->abort(s->writer, -ECANCELED);
    if (s->rare && s->rare->urgent)
        s->rare->urgent->abort(s->rare->urgent, -ECANCELED);
    thi_free(s->rare);
    s->rare = NULL;
    return fd;
}

int thi_socket_shut(thi_socket *s)
{
    return s->closed ? 0 : thi_sys_close(let_go(s));
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
    return (int)thi_err_plain(thi_socket_shut(s));
}

static int socket_reset(th_stream *stream)
{
    thi_socket_drop_unsent(of(stream));
    return socket_close(stream);
}

static int socket_detach(th_stream *stream)
{
    thi_socket *s = of(stream);
    return s->closed ? thi_err_clear(-EBADF) : let_go(s);
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

static struct thi_tap **socket_tap(th_stream *stream, int *fd)
{
    thi_socket *s = of(stream);
    *fd = s->watch.fd;
    return s->closed ? NULL : &s->tap;
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
    .peek = socket_peek,
    .try_read = socket_try_read,
    .try_writev = socket_try_writev,
    .wait = socket_wait_readable,
    .splice_in = socket_splice_in,
    .splice_out = socket_splice_out,
    .reset = socket_reset,
    .detach = socket_detach,
    .tap = socket_tap,
};

thi_socket *thi_socket_of(th_stream *stream)
{
    return stream && stream->ops == &socket_ops ? of(stream) : NULL;
}

int thi_socket_make_rare(thi_socket *s)
{
    if (s->rare)
        return 0;
    s->rare = thi_calloc(1, sizeof *s->rare);
    if (!s->rare)
        return -ENOMEM;
    s->rare->lend_from = SIZE_MAX;
    return 0;
}

int thi_socket_init(thi_socket *s, int fd)
{
    *s = (thi_socket){ .base.ops = &socket_ops, .worker = thi_worker_self };
    thi_control_is_there();
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
