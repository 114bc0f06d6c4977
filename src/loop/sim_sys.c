/* SPDX-License-Identifier: MIT */

/*
 * From system calls to simulated objects, by descriptor number.
 *
 * Each call on descriptors may first let somebody else run, as a kernel may: that is how workers
 * overtake each other in the middle of a fiber's step. Each is then traced with its result, unless
 * the real system answered: its descriptor numbers and sizes are not the seed's.
 */
#include "loop/sim_sys.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_clock.h"
#include "loop/sim_connect.h"
#include "loop/sim_dgram.h"
#include "loop/sim_eventfd.h"
#include "loop/sim_fault.h"
#include "loop/sim_flow.h"
#include "loop/sim_name.h"
#include "loop/sim_pipe.h"
#include "loop/sim_socket.h"
#include "loop/sim_sockopt.h"
#include "loop/sim_stream.h"
#include "loop/sim_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>

/* ---- clock and randomness ---- */

static int64_t sim_clock(void)
{
    return thi_sim_self->now;
}

static int64_t sim_wall(void)
{
    return thi_sim_wall(thi_sim_self);
}

static int sim_random(void *buf, size_t n)
{
    unsigned char *at = buf;
    for (size_t i = 0; i < n; i++)
        at[i] = (unsigned char)thi_sim_draw(thi_sim_self, 0, 255);
    return 0;
}

/* ---- sockets ---- */

/* The socket of a number; NULL with the reason in *err. */
static thi_sim_endpoint *find_socket(int fd, int *err)
{
    thi_sim_endpoint *ep = NULL;
    *err = thi_sim_socket_find(thi_sim_self, fd, &ep);
    thi_sim_self->call_fd = *err == 0 ? fd : 0;
    return ep;
}

static int do_socket(int domain, int type, int protocol)
{
    return thi_sim_socket(thi_sim_self, domain, type, protocol);
}

static int do_socketpair(int domain, int type, int fds[2])
{
    return thi_sim_socketpair(thi_sim_self, domain, type, fds);
}

static int do_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    return ep ? thi_sim_bind(thi_sim_self, ep, sa, n) : err;
}

/* The same for what only streams can. */
static thi_sim_endpoint *find_stream(int fd, int *err)
{
    thi_sim_endpoint *ep = find_socket(fd, err);
    if (!ep || !ep->mail)
        return ep;
    *err = -EOPNOTSUPP;
    return NULL;
}

static int do_listen(int fd, int backlog)
{
    int err;
    thi_sim_endpoint *ep = find_stream(fd, &err);
    return ep ? thi_sim_listen(thi_sim_self, ep, backlog) : err;
}

static int do_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    int err;
    thi_sim_endpoint *ep = find_stream(fd, &err);
    thi_sim_endpoint *accepted;
    if (ep)
        err = thi_sim_accept(thi_sim_self, ep, &accepted);
    if (ep && err >= 0 && n)
        thi_sim_addr_write(&accepted->peer, accepted->family, sa, n);
    return err;
}

static int do_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    if (ep && ep->mail)
        return thi_sim_dgram_connect(thi_sim_self, ep, sa, n);
    return ep ? thi_sim_connect(thi_sim_self, ep, sa, n) : err;
}

static int do_getsockname(int fd, struct sockaddr *sa, socklen_t *n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    if (ep)
        thi_sim_addr_write(&ep->local, ep->family, sa, n);
    return err;
}

static int do_getpeername(int fd, struct sockaddr *sa, socklen_t *n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    if (!ep)
        return err;
    if (ep->state != THI_SIM_CONNECTED || (ep->dead && ep->family != AF_UNIX))
        return -ENOTCONN;
    thi_sim_addr_write(&ep->peer, ep->family, sa, n);
    return 0;
}

static int do_setsockopt(int fd, int level, int name, const void *val, socklen_t n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    return ep ? thi_sim_sockopt_set(ep, level, name, val, n) : err;
}

static int do_getsockopt(int fd, int level, int name, void *val, socklen_t *n)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    return ep ? thi_sim_sockopt_get(ep, level, name, val, n) : err;
}

static int do_shutdown(int fd, int how)
{
    int err;
    thi_sim_endpoint *ep = find_stream(fd, &err);
    return ep ? thi_sim_stream_shutdown(thi_sim_self, ep, how) : err;
}

/* ---- transfers: nothing is urgent here ---- */

static ssize_t read_pieces(thi_sim_desc *desc, const struct iovec *iov, int count, int flags)
{
    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    if (thi_sim_iov_size(iov, count) == 0)
        return 0;
    return desc->kind->read(thi_sim_self, desc, iov, count, flags);
}

static ssize_t write_pieces(thi_sim_desc *desc, const struct iovec *iov, int count)
{
    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    if (thi_sim_iov_size(iov, count) == 0)
        return 0;
    return desc->kind->write(thi_sim_self, desc, iov, count);
}

static struct iovec one_piece(const void *buf, size_t n)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)buf, .iov_len = n };
}

static ssize_t do_recv(int fd, void *buf, size_t n, int flags)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    struct iovec iov = one_piece(buf, n);
    if (ep && (flags & MSG_OOB))
        return -EOPNOTSUPP;
    if (ep && ep->mail)
        return ep->desc.kind->read(thi_sim_self, &ep->desc, &iov, 1, flags);
    return ep ? read_pieces(&ep->desc, &iov, 1, flags) : err;
}

static ssize_t do_send(int fd, const void *buf, size_t n, int flags)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    struct iovec iov = one_piece(buf, n);
    if (ep && (flags & MSG_OOB))
        return -EOPNOTSUPP;
    if (ep && ep->mail)
        return ep->desc.kind->write(thi_sim_self, &ep->desc, &iov, 1);
    return ep ? write_pieces(&ep->desc, &iov, 1) : err;
}

/* Descriptors do not travel between simulated processes: there is only one. */
static ssize_t do_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    if (!ep)
        return err;
    if (ep->mail)
        return thi_sim_dgram_sendmsg(thi_sim_self, ep, msg);
    if (msg->msg_controllen > 0 || (flags & MSG_OOB))
        return -EOPNOTSUPP;
    return write_pieces(&ep->desc, msg->msg_iov, (int)thi_min(msg->msg_iovlen, (size_t)INT_MAX));
}

static ssize_t do_recvmsg(int fd, struct msghdr *msg, int flags)
{
    int err;
    thi_sim_endpoint *ep = find_socket(fd, &err);
    if (!ep)
        return err;
    if (ep->mail)
        return thi_sim_dgram_recvmsg(thi_sim_self, ep, msg, flags);
    int count = (int)thi_min(msg->msg_iovlen, (size_t)INT_MAX);
    ssize_t n = read_pieces(&ep->desc, msg->msg_iov, count, flags);
    if (n >= 0) {
        msg->msg_namelen = 0;
        msg->msg_controllen = 0;
        msg->msg_flags = 0;
    }
    return n;
}

/* Several at once are one after the other: an error is told if it strikes the first. */
static int do_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int done = 0;
    while ((unsigned)done < count) {
        ssize_t n = do_sendmsg(fd, &msgs[done].msg_hdr, flags);
        if (n < 0)
            return done > 0 ? done : (int)n;
        msgs[done++].msg_len = (unsigned)n;
    }
    return done;
}

static int do_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int done = 0;
    while ((unsigned)done < count) {
        ssize_t n = do_recvmsg(fd, &msgs[done].msg_hdr, flags);
        if (n < 0)
            return done > 0 ? done : (int)n;
        msgs[done++].msg_len = (unsigned)n;
    }
    return done;
}

/* ---- descriptors and files ---- */

/* The real system's table, for what is not simulated. */
static const thi_sys *real(void)
{
    thi_sim_self->outside = true;
    return &thi_sys_real;
}

/*
 * The simulated descriptor of a number; NULL for others, which are the real system's matter: it
 * says EBADF to a simulated one that is closed.
 */
static thi_sim_desc *find_desc(int fd)
{
    thi_sim_desc *desc = thi_sim_desc_find(thi_sim_self, fd);
    thi_sim_self->call_fd = desc ? fd : 0;
    return desc;
}

static int do_close(int fd)
{
    thi_sim_desc *desc = find_desc(fd);
    if (!desc)
        return real()->close(fd);
    thi_sim_desc_close(thi_sim_self, desc);
    return 0;
}

static int do_pipe(int fds[2])
{
    return thi_sim_pipe(thi_sim_self, fds);
}

static int do_eventfd(void)
{
    return thi_sim_eventfd(thi_sim_self);
}

static ssize_t do_read(int fd, void *buf, size_t n)
{
    thi_sim_desc *desc = find_desc(fd);
    struct iovec iov = one_piece(buf, n);
    return desc ? read_pieces(desc, &iov, 1, 0) : real()->read(fd, buf, n);
}

static ssize_t do_write(int fd, const void *buf, size_t n)
{
    thi_sim_desc *desc = find_desc(fd);
    struct iovec iov = one_piece(buf, n);
    return desc ? write_pieces(desc, &iov, 1) : real()->write(fd, buf, n);
}

static ssize_t do_readv(int fd, const struct iovec *iov, int count)
{
    thi_sim_desc *desc = find_desc(fd);
    return desc ? read_pieces(desc, iov, count, 0) : real()->readv(fd, iov, count);
}

static ssize_t do_writev(int fd, const struct iovec *iov, int count)
{
    thi_sim_desc *desc = find_desc(fd);
    return desc ? write_pieces(desc, iov, count) : real()->writev(fd, iov, count);
}

/* Whether a transfer is to be cut short: then its first piece is, to *first. */
static bool is_cut(const struct iovec *iov, int count, enum th_sim_fault fault, struct iovec *first)
{
    if (count < 1 || iov->iov_len < 2 || !thi_sim_fault(thi_sim_self, fault))
        return false;
    *first = *iov;
    first->iov_len = (size_t)thi_sim_draw(thi_sim_self, 1, (int64_t)iov->iov_len - 1);
    return true;
}

static bool is_file(int fd)
{
    struct stat st;
    return thi_sys_real.fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/*
 * Files are the real ones, but what is short and what is cached is the seed's choice: a read that
 * must not wait for a disk finds its bytes in memory every other time.
 */
static ssize_t do_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    struct iovec first = { 0 };
    if (find_desc(fd))
        return -ESPIPE;
    if (!is_file(fd))
        return real()->preadv2(fd, iov, count, at, flags);
    if ((flags & RWF_NOWAIT) && thi_sim_draw(thi_sim_self, 0, 1) == 0)
        return -EAGAIN;
    if (is_cut(iov, count, TH_SIM_SHORT_READ, &first))
        return real()->preadv2(fd, &first, 1, at, flags & ~RWF_NOWAIT);
    return real()->preadv2(fd, iov, count, at, flags & ~RWF_NOWAIT);
}

static ssize_t do_pwritev2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    struct iovec first = { 0 };
    if (find_desc(fd))
        return -ESPIPE;
    if (!is_file(fd))
        return real()->pwritev2(fd, iov, count, at, flags);
    if (thi_sim_fault(thi_sim_self, TH_SIM_NO_SPACE))
        return -ENOSPC;
    if (is_cut(iov, count, TH_SIM_SHORT_WRITE, &first))
        return real()->pwritev2(fd, &first, 1, at, flags);
    return real()->pwritev2(fd, iov, count, at, flags);
}

#define SENDFILE_STEP (16 * 1024)

/* Reads a piece of the real file and writes it; the position moves by what was taken. */
static ssize_t do_sendfile(int out, int in, off_t *at, size_t n)
{
    thi_sim_desc *desc = find_desc(out);
    if (!desc)
        return real()->sendfile(out, in, at, n);
    if (!at || in >= THI_SIM_FD_BASE)
        return -EINVAL;
    char *piece = thi_alloc(SENDFILE_STEP);
    if (!piece)
        return -ENOMEM;
    struct iovec iov = one_piece(piece, thi_min(n, (size_t)SENDFILE_STEP));
    ssize_t got = thi_sys_real.preadv2(in, &iov, 1, *at, 0);
    if (got > 0) {
        iov.iov_len = (size_t)got;
        got = write_pieces(desc, &iov, 1);
    }
    thi_free(piece);
    if (got > 0)
        *at += got;
    return got;
}

/* As of descriptors that cannot be spliced: bytes take the way through the program. */
static ssize_t do_splice(int in, int out, size_t n)
{
    if (find_desc(in) || find_desc(out))
        return -EINVAL;
    return real()->splice(in, out, n);
}

static int do_openat(int dir, const char *path, int flags, mode_t mode)
{
    return real()->openat(dir, path, flags, mode);
}

/* Whether a name can be resolved without waiting is the seed's choice, too. */
static int do_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    if ((resolve & RESOLVE_CACHED) && thi_sim_draw(thi_sim_self, 0, 1) == 0)
        return -EAGAIN;
    resolve &= ~(uint64_t)RESOLVE_CACHED;
    return real()->openat2(dir, path, flags, resolve);
}

static int do_fstat(int fd, struct stat *st)
{
    thi_sim_desc *desc = find_desc(fd);
    if (!desc)
        return real()->fstat(fd, st);
    *st = (struct stat){ .st_mode = desc->kind->mode | 0600, .st_nlink = 1 };
    return 0;
}

static int do_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    int err = thi_sim_name_stat(thi_sim_self, path, st);
    return err == -ENOENT ? real()->fstatat(dir, path, st, flags) : err;
}

static int do_chmod(const char *path, mode_t mode)
{
    int err = thi_sim_name_chmod(thi_sim_self, path, mode);
    return err == -ENOENT ? real()->chmod(path, mode) : err;
}

static int do_unlink(const char *path)
{
    int err = thi_sim_name_unlink(thi_sim_self, path);
    return err == -ENOENT ? real()->unlink(path) : err;
}

static int do_fcntl(int fd, int command, long arg)
{
    thi_sim_desc *desc = find_desc(fd);
    if (!desc)
        return real()->fcntl(fd, command, arg);
    switch (command) {
    case F_GETFD:
        return FD_CLOEXEC;
    case F_GETFL:
        return O_RDWR | O_NONBLOCK;
    case F_SETFD:
    case F_SETFL:
        return 0;
    default:
        return -EINVAL;
    }
}

#define SIM_OUTSIDE(ret, name, params, args)                                                       \
    static ret do_##name params                                                                    \
    {                                                                                              \
        return real()->name args;                                                                  \
    }
THI_SYS_LIST_NAME(SIM_OUTSIDE)
#undef SIM_OUTSIDE

/* ---- a look at descriptors ---- */

static short look(thi_sim_desc *desc, short events)
{
    unsigned level = desc->kind->level(desc);
    unsigned seen = 0;
    if (level & (THI_READ | THI_SIM_RDHUP))
        seen |= (unsigned)events & POLLIN;
    if (level & THI_WRITE)
        seen |= (unsigned)events & POLLOUT;
    if (level & THI_SIM_RDHUP)
        seen |= (unsigned)events & POLLRDHUP;
    if (level & THI_HUP)
        seen |= POLLHUP;
    return (short)seen;
}

/* Only a look: the engine waits. */
static int do_poll(struct pollfd *fds, size_t n, int64_t timeout)
{
    int count = 0;
    if (timeout != 0)
        return -ENOSYS;
    for (size_t i = 0; i < n; i++) {
        thi_sim_desc *desc = find_desc(fds[i].fd);
        if (desc)
            fds[i].revents = look(desc, fds[i].events);
        else if (real()->poll(&fds[i], 1, 0) < 0)
            fds[i].revents = 0;
        count += fds[i].revents != 0;
    }
    return count;
}

/* ---- the table ---- */

/* Somebody else may run first, seldom enough that a call mostly follows the one before. */
static void interrupt(void)
{
    thi_sim *w = thi_sim_self;
    if (w->pause)
        w->pause(w);
    w->outside = false;
    w->call_fd = 0;
}

static void trace(const char *name, int64_t result)
{
    thi_sim *w = thi_sim_self;
    thi_sim_trace(w, name, w->call_fd, w->outside && result > 0 ? 0 : result);
}

#define SIM_CALL(ret, name, params, args)                                                          \
    static ret sim_##name params                                                                   \
    {                                                                                              \
        interrupt();                                                                               \
        ret result = do_##name args;                                                               \
        trace(#name, result);                                                                      \
        return result;                                                                             \
    }
THI_SYS_LIST_SOCKET(SIM_CALL)
THI_SYS_LIST_FILE(SIM_CALL)
THI_SYS_LIST_NAME(SIM_CALL)
THI_SYS_LIST_POLL(SIM_CALL)
#undef SIM_CALL

/* The engine waits, not the kernel; and there are no terminals and no other processes. */
#define SIM_NO_CALL(ret, name, params, args)                                                       \
    static ret sim_##name params                                                                   \
    {                                                                                              \
        (void)sizeof(thi_sys_real.name args);                                                      \
        return -ENOSYS;                                                                            \
    }
THI_SYS_LIST_WAIT(SIM_NO_CALL)
THI_SYS_LIST_PROCESS(SIM_NO_CALL)
#undef SIM_NO_CALL

#define SIM_REAL_CALL(ret, name, params, args)                                                     \
    static ret sim_##name params                                                                   \
    {                                                                                              \
        return thi_sys_real.name args;                                                             \
    }
THI_SYS_LIST_MEMORY(SIM_REAL_CALL)
THI_SYS_LIST_THREAD(SIM_REAL_CALL)
#undef SIM_REAL_CALL

const thi_sys thi_sim_sys = { .name = "sim",
#define SIM_MEMBER(ret, name, params, args) .name = sim_##name,
                              THI_SYS_LIST(SIM_MEMBER)
#undef SIM_MEMBER
};
