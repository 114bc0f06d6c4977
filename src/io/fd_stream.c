/* SPDX-License-Identifier: MIT */

/*
 * Streams on descriptors of any kind, their own or shared with others.
 *
 * O_NONBLOCK belongs to the open file description, which a program shares with whoever gave it the
 * descriptor: a shell whose terminal has become non-blocking misbehaves, and to set the flag back
 * at the end is no cure, for a program may be killed, and two may do this at the same time. So a
 * shared descriptor keeps its flags, and there are these ways of using one, the first that applies:
 *
 *   SOCKET   recv and send can be told not to block, each time. The stream has a duplicate.
 *   FILE     a regular file, a block device: never has to be waited for, may block all the same.
 *            Reads that the page cache can serve are made at once (RWF_NOWAIT), all else by the
 *            pool "files", with a duplicate, because the offset is to be the common one.
 *   PLAIN    what no loop can wait for because it never blocks: /dev/null, /dev/zero.
 *   WATCHED  a pipe or a terminal is opened anew through /proc/self/fd, which makes a description
 *            of our own. Not so a terminal's master: that would be a new one.
 *   CAREFUL  where that is refused (no /proc, another user's terminal), each transfer is told not
 *            to block (RWF_NOWAIT; pipes know it since Linux 6.4), or else preceded by a look, and
 *            writes are so small that they fit wherever there is room at all.
 *
 * A descriptor that the stream owns is set to non-blocking once, and is WATCHED, or one of the
 * first three. What is watched is tried first and waited for after EAGAIN, by the rules of
 * net/socket.c: the scope is asked before each step, and others run now and then.
 *
 * A transfer on the pool cannot be broken off. If the stream is closed meanwhile, the descriptor is
 * closed when the last such transfer has ended, lest its number be another file's by then.
 */
#include "io/fd_stream.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "io/stream.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/addr.h>
#include <thrum/pool.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

/* Fits wherever a terminal says that there is room; a pipe says so only if PIPE_BUF bytes fit. */
#define TERMINAL_STEP 32

typedef enum way_kind { SOCKET, FILED, PLAIN, WATCHED, CAREFUL } way_kind;

typedef struct fd_stream {
    th_stream base;
    thi_watch watch; /* of SOCKET, WATCHED and CAREFUL */
    thi_worker *worker;
    thi_wait *reader; /* the wait of a fiber that reads */
    thi_wait *writer;
    int fd;
    way_kind way;
    bool terminal;   /* of CAREFUL */
    bool write_only; /* to shut down is to close */
    bool reading;    /* a transfer is on the pool */
    bool writing;    /* likewise */
    bool shut;       /* for writing */
    bool closed;
    bool fd_open;
} fd_stream;

static fd_stream *of(th_stream *stream)
{
    return thi_container_of(stream, fd_stream, base);
}

static bool is_watched(const fd_stream *s)
{
    return s->way == SOCKET || s->way == WATCHED || s->way == CAREFUL;
}

/* ---- waiting ---- */

static void on_event(thi_watch *watch, unsigned events)
{
    fd_stream *s = thi_container_of(watch, fd_stream, watch);
    if ((events & THI_WRITE) && s->writer)
        s->writer->abort(s->writer, 0);
    if ((events & THI_READ) && s->reader)
        s->reader->abort(s->reader, 0);
}

typedef struct fd_stream_wait {
    thi_wait wait;
    thi_wait **slot;
    th_fiber *fiber;
} fd_stream_wait;

static void wake(thi_wait *wait, int result)
{
    fd_stream_wait *w = thi_container_of(wait, fd_stream_wait, wait);
    *w->slot = NULL;
    thi_sched_ready(w->fiber, result);
}

static const thi_wait_kind waits_for[] = {
    { "read", THI_BY_DESCRIPTOR, offsetof(fd_stream, watch.fd) },
    { "write", THI_BY_DESCRIPTOR, offsetof(fd_stream, watch.fd) },
};

static int wait_for(fd_stream *s, unsigned dir)
{
    thi_wait **slot = dir == THI_READ ? &s->reader : &s->writer;
    int err = thi_sched_may_park();
    if (err == 0)
        err = thi_loop_want(&s->worker->loop, &s->watch, dir);
    if (err < 0)
        return err;
    fd_stream_wait w = {
        .wait = { .kind = &waits_for[dir == THI_WRITE], .object = s, .abort = wake },
        .slot = slot,
        .fiber = thi_sched_self()
    };
    *slot = &w.wait;
    return thi_sched_park(&w.wait);
}

/* What every step asks first. */
static int may_step(fd_stream *s, unsigned dir)
{
    th_fiber *self = thi_sched_self();
    if (!self || self->worker != s->worker)
        return -EPERM;
    if (s->closed)
        return -EBADF;
    thi_sched_spend(THI_COST_DESCRIPTOR);
    if (s->closed)
        return -ECANCELED;
    int err = thi_sched_may_park_as(self);
    if (err < 0)
        return err;
    bool busy = dir == THI_READ ? s->reader || s->reading : s->writer || s->writing;
    return busy ? -EBUSY : 0;
}

/* After EAGAIN: waits; what the scope says goes to *over, and then the next try is the last. */
static int wait_after_try(fd_stream *s, unsigned dir, int *over)
{
    if (*over < 0)
        return *over;
    s->watch.ready &= (uint8_t)~dir;
    int err = wait_for(s, dir);
    if (s->closed || (dir == THI_WRITE && s->shut))
        return -ECANCELED;
    if (err != -ECANCELED && err != -ETIMEDOUT)
        return err;
    *over = err;
    return 0;
}

/* ---- tries ---- */

static ssize_t look_then_read(fd_stream *s, const struct iovec *iov, int count)
{
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    int n = thi_sys_poll(&p, 1, 0);
    if (n <= 0)
        return n == 0 || n == -EINTR ? -EAGAIN : n;
    return thi_sys_readv(s->fd, iov, count);
}

static ssize_t look_then_write(fd_stream *s, const struct iovec *iov)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };
    int n = thi_sys_poll(&p, 1, 0);
    if (n <= 0)
        return n == 0 || n == -EINTR ? -EAGAIN : n;
    size_t step = s->terminal ? TERMINAL_STEP : PIPE_BUF;
    return thi_sys_write(s->fd, iov->iov_base, thi_min(iov->iov_len, step));
}

static ssize_t try_read(fd_stream *s, const struct iovec *iov, int count)
{
    ssize_t n;
    switch (s->way) {
    case SOCKET:
        return thi_sys_recv(s->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
    case CAREFUL:
        n = thi_sys_preadv2(s->fd, iov, count, -1, RWF_NOWAIT);
        return n == -EOPNOTSUPP ? look_then_read(s, iov, count) : n;
    default:
        return thi_sys_read(s->fd, iov->iov_base, iov->iov_len);
    }
}

static ssize_t try_write(fd_stream *s, const struct iovec *iov, int count)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    ssize_t n;
    switch (s->way) {
    case SOCKET:
        return thi_sys_sendmsg(s->fd, &msg, MSG_DONTWAIT);
    case CAREFUL:
        n = thi_sys_pwritev2(s->fd, iov, count, -1, RWF_NOWAIT);
        return n == -EOPNOTSUPP ? look_then_write(s, iov) : n;
    default:
        return thi_sys_writev(s->fd, iov, count);
    }
}

static ssize_t transfer(fd_stream *s, unsigned dir, const struct iovec *iov, int count)
{
    int over = 0;
    for (;;) {
        if (!is_watched(s) || (s->watch.ready & dir) || over < 0) {
            ssize_t n = dir == THI_READ ? try_read(s, iov, count) : try_write(s, iov, count);
            if (n != -EAGAIN || !is_watched(s))
                return n;
        }
        int err = wait_after_try(s, dir, &over);
        if (err < 0)
            return err;
    }
}

/* ---- files ---- */

typedef struct on_pool {
    int fd;
    unsigned dir;
    const struct iovec *iov;
    int count;
    ssize_t result;
} on_pool;

static int run_on_pool(void *arg)
{
    on_pool *t = arg;
    t->result = t->dir == THI_READ ? thi_sys_readv(t->fd, t->iov, t->count)
                                   : thi_sys_writev(t->fd, t->iov, t->count);
    return 0;
}

static void close_fd(fd_stream *s)
{
    if (!s->fd_open || s->reading || s->writing)
        return;
    s->fd_open = false;
    (void)thi_sys_close(s->fd); /* close(2) can only tell of writes long past */
}

static ssize_t transfer_file(fd_stream *s, unsigned dir, const struct iovec *iov, int count)
{
    if (dir == THI_READ) {
        ssize_t n = thi_sys_preadv2(s->fd, iov, count, -1, RWF_NOWAIT);
        if (n != -EAGAIN && n != -EOPNOTSUPP)
            return n;
    }
    on_pool t = { .fd = s->fd, .dir = dir, .iov = iov, .count = count };
    bool *busy = dir == THI_READ ? &s->reading : &s->writing;
    *busy = true;
    int err = th_offload(th_pool_default("files"), run_on_pool, &t);
    *busy = false;
    if (s->closed)
        close_fd(s);
    return err < 0 ? err : t.result;
}

/* ---- the stream ---- */

static ssize_t read_step(fd_stream *s, void *buf, size_t size)
{
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    int err = may_step(s, THI_READ);
    if (err < 0)
        return err;
    ssize_t n =
        s->way == FILED ? transfer_file(s, THI_READ, &iov, 1) : transfer(s, THI_READ, &iov, 1);
    /* A terminal whose other end is gone: pty(7) knows no better word for the end. */
    if (n == -EIO && s->terminal)
        n = 0;
    if (n > 0)
        thi_metric_add(THI_M_BYTES_READ, n);
    return n == 0 ? TH_EOF : n;
}

static ssize_t fd_stream_read(th_stream *stream, void *buf, size_t size)
{
    return thi_err_plain(read_step(of(stream), buf, size));
}

static ssize_t write_step(fd_stream *s, const struct iovec *iov, int count)
{
    int err = may_step(s, THI_WRITE);
    if (err < 0)
        return err;
    if (s->shut)
        return -EPIPE;
    ssize_t n = s->way == FILED ? transfer_file(s, THI_WRITE, iov, count)
                                : transfer(s, THI_WRITE, iov, count);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return n;
}

static ssize_t fd_stream_writev(th_stream *stream, const struct iovec *iov, int count)
{
    return thi_err_plain(write_step(of(stream), iov, count));
}

/* ---- without waiting, and through pipes ---- */

/* Why a call that does not wait must not be made. */
static int may_try(const fd_stream *s, unsigned dir)
{
    if (!thi_sched_self() || thi_worker_self != s->worker)
        return -EPERM;
    if (s->closed)
        return -EBADF;
    if (s->way == FILED)
        return -EOPNOTSUPP;
    return (dir == THI_READ ? s->reader : s->writer) ? -EBUSY : 0;
}

static ssize_t fd_stream_try_read(th_stream *stream, void *buf, size_t size)
{
    fd_stream *s = of(stream);
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    ssize_t n = may_try(s, THI_READ);
    if (n < 0)
        return thi_err_clear((int)n);
    n = try_read(s, &iov, 1);
    if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_READ;
    if (n == -EIO && s->terminal)
        n = 0;
    if (n > 0)
        thi_metric_add(THI_M_BYTES_READ, n);
    return n == 0 ? thi_err_clear(TH_EOF) : thi_err_plain(n);
}

static ssize_t fd_stream_try_writev(th_stream *stream, const struct iovec *iov, int count)
{
    fd_stream *s = of(stream);
    ssize_t n = may_try(s, THI_WRITE);
    if (n == 0)
        n = s->shut ? -EPIPE : try_write(s, iov, count);
    if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_WRITE;
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return thi_err_plain(n);
}

static bool is_readable(const fd_stream *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    return thi_sys_poll(&p, 1, 0) != 0; /* a failure is for the read to find */
}

/* If the scope ends meanwhile, the read that follows will say so. */
static int fd_stream_wait_readable(th_stream *stream)
{
    fd_stream *s = of(stream);
    int over = 0;
    int err = may_step(s, THI_READ);
    while (err == 0 && over == 0 && is_watched(s) && !is_readable(s))
        err = wait_after_try(s, THI_READ, &over);
    return (int)thi_err_plain(err);
}

/* Only what is non-blocking itself can be spliced without a risk to wait in the kernel. */
static ssize_t splice_step(fd_stream *s, unsigned dir, int pipe, size_t size)
{
    int over = 0;
    ssize_t n = may_step(s, dir);
    if (n == 0 && (s->way != WATCHED || s->terminal))
        n = -EOPNOTSUPP;
    if (n == 0 && dir == THI_WRITE && s->shut)
        n = -EPIPE;
    while (n == 0) {
        if ((s->watch.ready & dir) || over < 0) {
            n = dir == THI_READ ? thi_sys_splice(s->fd, pipe, size)
                                : thi_sys_splice(pipe, s->fd, size);
            if (n != -EAGAIN)
                return n == 0 ? TH_EOF : n == -EINVAL ? -EOPNOTSUPP : n;
        }
        n = wait_after_try(s, dir, &over);
    }
    return n;
}

static ssize_t fd_stream_splice_in(th_stream *stream, int pipe, size_t size)
{
    ssize_t n = splice_step(of(stream), THI_READ, pipe, size);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_READ, n);
    return thi_err_plain(n);
}

static ssize_t fd_stream_splice_out(th_stream *stream, int pipe, size_t size)
{
    ssize_t n = splice_step(of(stream), THI_WRITE, pipe, size);
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return thi_err_plain(n);
}

/* ---- the end ---- */

/* Takes the descriptor out of the loop; whoever waits is told. */
static void leave_loop(fd_stream *s)
{
    if (s->watch.fd >= 0 && is_watched(s))
        thi_loop_unwatch(&s->worker->loop, &s->watch);
    if (s->reader)
        s->reader->abort(s->reader, -ECANCELED);
    if (s->writer)
        s->writer->abort(s->writer, -ECANCELED);
}

static void let_go(fd_stream *s)
{
    leave_loop(s);
    close_fd(s);
}

static int shutdown_step(fd_stream *s)
{
    if (s->closed)
        return -EBADF;
    if (s->way == SOCKET)
        return thi_sys_shutdown(s->fd, SHUT_WR);
    if (!s->write_only)
        return -EOPNOTSUPP;
    s->shut = true;
    let_go(s);
    return 0;
}

static int fd_stream_shutdown(th_stream *stream)
{
    return (int)thi_err_plain(shutdown_step(of(stream)));
}

static int fd_stream_close(th_stream *stream)
{
    fd_stream *s = of(stream);
    if (s->closed)
        return thi_err_clear(-EBADF);
    s->closed = true;
    let_go(s);
    return 0;
}

static int fd_stream_detach(th_stream *stream)
{
    fd_stream *s = of(stream);
    if (s->closed || !s->fd_open)
        return thi_err_clear(-EBADF);
    if (s->reading || s->writing)
        return thi_err_clear(-EBUSY);
    s->closed = true;
    s->fd_open = false;
    leave_loop(s);
    return s->fd;
}

static void fd_stream_free(th_stream *stream)
{
    fd_stream *s = of(stream);
    if (!s->closed)
        (void)fd_stream_close(stream);
    thi_free(s);
}

static int fd_stream_address(th_stream *stream, th_addr *addr)
{
    if (of(stream)->closed)
        return thi_err_clear(-EBADF);
    *addr = (th_addr){ .kind = TH_ADDR_NONE };
    return 0;
}

static const thi_stream_ops fd_stream_ops = {
    .name = "descriptor",
    .read = fd_stream_read,
    .writev = fd_stream_writev,
    .shutdown = fd_stream_shutdown,
    .close = fd_stream_close,
    .free = fd_stream_free,
    .peer = fd_stream_address,
    .local = fd_stream_address,
    .try_read = fd_stream_try_read,
    .try_writev = fd_stream_try_writev,
    .wait = fd_stream_wait_readable,
    .splice_in = fd_stream_splice_in,
    .splice_out = fd_stream_splice_out,
    .detach = fd_stream_detach,
};

/* ---- making one ---- */

/* With a descriptor that is its own; that is the caller's again when this fails. */
static int make(int fd, way_kind way, const fd_stream *like, th_stream **out)
{
    fd_stream *s = thi_alloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = *like;
    s->base.ops = &fd_stream_ops;
    s->worker = thi_worker_self;
    s->way = way;
    s->fd = fd;
    s->fd_open = true;
    s->watch.fd = -1;
    int err = is_watched(s) ? thi_loop_watch(&s->worker->loop, &s->watch, fd, 0, on_event) : 0;
    if (err == -EPERM) { /* it never blocks */
        s->way = PLAIN;
        err = 0;
    }
    if (err < 0)
        thi_free(s);
    else
        *out = &s->base;
    return err;
}

int thi_fd_stream_new(int fd, th_stream **out)
{
    struct termios unused;
    fd_stream like = { .write_only = (thi_sys_fcntl(fd, F_GETFL, 0) & O_ACCMODE) == O_WRONLY,
                       .terminal = thi_sys_ioctl(fd, TCGETS, &unused) == 0 };
    return make(fd, WATCHED, &like, out);
}

static bool is_master(int fd)
{
    unsigned number;
    return thi_sys_ioctl(fd, TIOCGPTN, &number) == 0;
}

/* A description of our own for what a shared descriptor refers to; or an error. */
static int open_anew(int fd, mode_t mode, bool terminal, int flags)
{
    char path[32];
    if (!S_ISFIFO(mode) && !(terminal && !is_master(fd)))
        return -EOPNOTSUPP;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return thi_sys_openat(AT_FDCWD, path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY, 0);
}

static way_kind way_of(mode_t mode)
{
    if (S_ISSOCK(mode))
        return SOCKET;
    return S_ISREG(mode) || S_ISBLK(mode) || S_ISDIR(mode) ? FILED : WATCHED;
}

static int share(int fd, mode_t mode, int flags, const fd_stream *like, th_stream **out)
{
    way_kind way = way_of(mode);
    int own = way == WATCHED ? open_anew(fd, mode, like->terminal, flags) : -EOPNOTSUPP;
    if (own < 0) {
        way = way == WATCHED ? CAREFUL : way;
        own = thi_sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    if (own < 0)
        return own;
    int err = make(own, way, like, out);
    if (err < 0)
        (void)thi_sys_close(own);
    return err;
}

static int take_over(int fd, mode_t mode, int flags, const fd_stream *like, th_stream **out)
{
    bool change = way_of(mode) == WATCHED && !(flags & O_NONBLOCK);
    int err = change ? thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK) : 0;
    if (err < 0)
        return err;
    err = make(fd, way_of(mode), like, out);
    if (err < 0 && change)
        (void)thi_sys_fcntl(fd, F_SETFL, flags);
    return err;
}

int th_stream_from_fd(int fd, unsigned flags, th_stream **stream)
{
    struct stat st;
    struct termios unused;
    if (!stream || (flags & ~TH_STREAM_SHARED))
        return thi_err_clear(-EINVAL);
    if (!thi_worker_self)
        return thi_err_clear(-EPERM);
    int err = fd < 0 ? -EBADF : thi_sys_fstat(fd, &st);
    int file_flags = err < 0 ? err : thi_sys_fcntl(fd, F_GETFL, 0);
    if (file_flags < 0)
        return thi_err_clear(file_flags);
    fd_stream like = { .write_only = (file_flags & O_ACCMODE) == O_WRONLY,
                       .terminal = S_ISCHR(st.st_mode) && thi_sys_ioctl(fd, TCGETS, &unused) == 0 };
    err = flags & TH_STREAM_SHARED ? share(fd, st.st_mode, file_flags, &like, stream)
                                   : take_over(fd, st.st_mode, file_flags, &like, stream);
    return (int)thi_err_plain(err);
}

int th_pipe(th_stream **reader, th_stream **writer)
{
    int fds[2];
    fd_stream end_to_write = { .write_only = true };
    th_stream *read_end = NULL;
    if (!reader || !writer)
        return thi_err_clear(-EINVAL);
    if (!thi_worker_self)
        return thi_err_clear(-EPERM);
    int err = thi_sys_pipe(fds);
    if (err < 0)
        return thi_err_clear(err);
    err = make(fds[0], WATCHED, &(fd_stream){ 0 }, &read_end);
    if (err < 0)
        (void)thi_sys_close(fds[0]);
    else
        err = make(fds[1], WATCHED, &end_to_write, writer);
    if (err < 0) {
        (void)thi_sys_close(fds[1]);
        th_stream_free(read_end);
        return thi_err_clear(err);
    }
    *reader = read_end;
    return 0;
}

int th_stdin(th_stream **stream)
{
    return th_stream_from_fd(0, TH_STREAM_SHARED, stream);
}

int th_stdout(th_stream **stream)
{
    return th_stream_from_fd(1, TH_STREAM_SHARED, stream);
}

int th_stderr(th_stream **stream)
{
    return th_stream_from_fd(2, TH_STREAM_SHARED, stream);
}
