/* SPDX-License-Identifier: MIT */

/*
 * What Unix sockets can do besides: tell who is at the other end, and carry descriptors.
 *
 * Descriptors travel with the first byte of a write and arrive with it: a read that asks for them
 * ends before the next byte that carries some. The room for what the kernel says beside the bytes
 * is always that for the largest number there can be, so that it cuts nothing off unless the
 * process may have no more descriptors. Whatever has arrived belongs to this process; what the
 * caller has no room for is closed here, or it would be lost and stay open.
 */
#include <thrum/unix.h>

#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "net/capture.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <limits.h>
#include <string.h>

/* A socket of AF_UNIX. */
static int unix_of(th_stream *stream, thi_socket **socket)
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
    *socket = s;
    return family == AF_UNIX ? 0 : -EOPNOTSUPP;
}

int th_stream_peer_cred(th_stream *stream, th_cred *cred)
{
    struct ucred is = { 0 };
    socklen_t len = sizeof is;
    thi_socket *s = NULL;
    if (!cred)
        return thi_err_clear(-EINVAL);
    int err = unix_of(stream, &s);
    if (err == 0)
        err = thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_PEERCRED, &is, &len);
    if (err < 0)
        return thi_err_clear(err);
    *cred = (th_cred){ .pid = is.pid, .uid = is.uid, .gid = is.gid };
    return 0;
}

/* Bytes, and room for what comes with them. */
typedef struct parcel {
    struct iovec iov;
    const int *fds; /* to send */
    size_t count;
    int flags; /* of what was received */
    size_t used;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(TH_FDS_MAX * sizeof(int))];
} parcel;

static ssize_t try_send(thi_socket *s, void *arg)
{
    parcel *p = arg;
    struct msghdr msg = { .msg_iov = &p->iov, .msg_iovlen = 1 };
    if (p->count > 0) {
        msg.msg_control = p->control;
        msg.msg_controllen = CMSG_SPACE(p->count * sizeof(int));
        memset(p->control, 0, msg.msg_controllen);
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(p->count * sizeof(int));
        memcpy(CMSG_DATA(header), p->fds, p->count * sizeof(int));
    }
    ssize_t n = thi_sys_sendmsg(s->watch.fd, &msg, 0);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_bytes(&s->tap, s->watch.fd, TH_CAPTURE_SENT, &p->iov, 1, (size_t)n);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    return n;
}

ssize_t th_stream_send_fds(th_stream *stream, const void *buf, size_t size, const int *fds,
                           size_t count)
{
    thi_socket *s = NULL;
    if (!buf || size == 0 || size > SSIZE_MAX || (!fds && count > 0) || count > TH_FDS_MAX)
        return thi_err_clear(-EINVAL);
    ssize_t n = unix_of(stream, &s);
    if (n < 0)
        return thi_err_clear((int)n);
    parcel p = { .iov = { (void *)(uintptr_t)buf, size }, .fds = fds, .count = count };
    n = thi_socket_step(s, THI_WRITE, try_send, &p);
    if (n < 0 || (size_t)n == size)
        return thi_err_plain(n);
    ssize_t rest = th_stream_write(stream, (const char *)buf + n, size - (size_t)n);
    if (rest < 0)
        return thi_err_set((int)rest, "%zd bytes or more were written before", n);
    return (ssize_t)size;
}

static ssize_t try_receive(thi_socket *s, void *arg)
{
    parcel *p = arg;
    struct msghdr msg = { .msg_iov = &p->iov,
                          .msg_iovlen = 1,
                          .msg_control = p->control,
                          .msg_controllen = sizeof p->control };
    ssize_t n = thi_sys_recvmsg(s->watch.fd, &msg, 0);
    if (n < 0)
        return n;
    p->flags = msg.msg_flags;
    p->used = msg.msg_controllen;
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_bytes(&s->tap, s->watch.fd, TH_CAPTURE_RECEIVED, &p->iov, 1, (size_t)n);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_READ, n);
    return n == 0 ? TH_EOF : n;
}

/*
 * The descriptors of a parcel, one after the other: fn is called with each. What is said of its own
 * size is believed only as far as the room goes, and a part of a number is none.
 */
static size_t each_descriptor(const parcel *p, void (*fn)(int fd, size_t at, int *out), int *out)
{
    const char *at = p->control;
    size_t left = thi_min(p->used, sizeof p->control);
    size_t count = 0;
    while (left >= CMSG_LEN(0)) {
        struct cmsghdr header;
        memcpy(&header, at, sizeof header);
        size_t len = thi_min((size_t)header.cmsg_len, left);
        if (len < CMSG_LEN(0))
            break;
        bool rights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
        for (size_t i = CMSG_LEN(0); rights && i + sizeof(int) <= len; i += sizeof(int)) {
            int fd;
            memcpy(&fd, at + i, sizeof fd);
            fn(fd, count++, out);
        }
        size_t step = thi_min((size_t)CMSG_ALIGN(len), left);
        at += step;
        left -= step;
    }
    return count;
}

static void count_it(int fd, size_t at, int *out)
{
    (void)fd;
    (void)at;
    (void)out;
}

static void keep_it(int fd, size_t at, int *out)
{
    if (out)
        out[at] = fd;
}

static void close_it(int fd, size_t at, int *out)
{
    (void)at;
    (void)out;
    (void)thi_sys_close(fd);
}

ssize_t th_stream_recv_fds(th_stream *stream, void *buf, size_t size, th_fds *fds)
{
    thi_socket *s = NULL;
    if (!buf || size == 0 || size > SSIZE_MAX || !fds || (!fds->fds && fds->room > 0))
        return thi_err_clear(-EINVAL);
    ssize_t n = unix_of(stream, &s);
    if (n < 0)
        return thi_err_clear((int)n);
    parcel p;
    p.iov = (struct iovec){ buf, size };
    n = thi_socket_step(s, THI_READ, try_receive, &p);
    if (n < 0)
        return thi_err_clear((int)n);
    size_t count = each_descriptor(&p, count_it, NULL);
    if (count <= fds->room && !(p.flags & MSG_CTRUNC)) {
        fds->count = each_descriptor(&p, keep_it, fds->fds);
        return n;
    }
    (void)each_descriptor(&p, close_it, NULL);
    if (p.flags & MSG_CTRUNC)
        return thi_err_set(-EMFILE, "%zd bytes came with descriptors for which there was no number",
                           n);
    return thi_err_set(TH_ELIMIT, "%zd bytes came with %zu descriptors, more than %zu", n, count,
                       fds->room);
}
