/* SPDX-License-Identifier: MIT */

/* Streams of sockets that are connected already: of others, and two ends of a pair. */
#include <thrum/socket.h>

#include "base/error.h"
#include "net/addr.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <fcntl.h>

static int ask(int fd, int option, int *value)
{
    socklen_t len = sizeof *value;
    return thi_sys_getsockopt(fd, SOL_SOCKET, option, value, &len);
}

/* Whether it is a socket that a stream can be made of; -ENOTSOCK and -EBADF are the kernel's. */
static int examine(int fd)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int type = 0;
    int listens = 0;
    int err = ask(fd, SO_TYPE, &type);
    if (err == 0 && type != SOCK_STREAM)
        err = -EPROTOTYPE;
    if (err == 0)
        err = ask(fd, SO_ACCEPTCONN, &listens);
    if (err == 0 && listens)
        err = -EINVAL;
    return err < 0 ? err : thi_sys_getpeername(fd, &sa.sa, &len);
}

static int adopt(int fd, th_stream **stream)
{
    thi_socket *s = NULL;
    int err = fd < 0 ? -EBADF : examine(fd);
    int flags = err < 0 ? err : thi_sys_fcntl(fd, F_GETFL, 0);
    if (flags < 0)
        return flags;
    err = flags & O_NONBLOCK ? 0 : thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (err < 0)
        return err;
    err = thi_socket_new(fd, &s);
    if (err == 0)
        *stream = &s->base;
    else if (!(flags & O_NONBLOCK))
        (void)thi_sys_fcntl(fd, F_SETFL, flags);
    return err;
}

int th_stream_from_socket(int fd, th_stream **stream)
{
    if (!stream)
        return thi_err_clear(-EINVAL);
    return (int)thi_err_plain(thi_sched_self() ? adopt(fd, stream) : -EPERM);
}

static int make_pair(th_stream *ends[2])
{
    thi_socket *made[2] = { NULL, NULL };
    int fds[2];
    int err = thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (err < 0)
        return err;
    err = thi_socket_new(fds[0], &made[0]);
    if (err < 0)
        (void)thi_sys_close(fds[0]);
    else
        err = thi_socket_new(fds[1], &made[1]);
    if (err < 0) {
        (void)thi_sys_close(fds[1]);
        if (made[0])
            th_stream_free(&made[0]->base);
        return err;
    }
    ends[0] = &made[0]->base;
    ends[1] = &made[1]->base;
    return 0;
}

int th_stream_pair(th_stream *ends[2])
{
    if (!ends)
        return thi_err_clear(-EINVAL);
    return (int)thi_err_plain(thi_sched_self() ? make_pair(ends) : -EPERM);
}
