/* SPDX-License-Identifier: MIT */

/* The socket as a kind of descriptor. */
#include "loop/sim_socket.h"

#include "base/alloc.h"
#include "loop/sim_connect.h"
#include "loop/sim_dgram.h"
#include "loop/sim_fault.h"
#include "loop/sim_stream.h"

#include <errno.h>
#include <sys/stat.h>

static unsigned socket_level(thi_sim_desc *desc)
{
    const thi_sim_endpoint *ep = thi_sim_endpoint_of(desc);
    if (ep->mail)
        return thi_sim_dgram_level(ep);
    if (ep->state == THI_SIM_LISTENING)
        return thi_list_empty(&ep->queue) ? 0 : THI_READ;
    return thi_sim_stream_level(ep);
}

static ssize_t socket_read(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count,
                           int flags)
{
    thi_sim_endpoint *ep = thi_sim_endpoint_of(desc);
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    return ep->mail ? thi_sim_dgram_recvmsg(w, ep, &msg, flags)
                    : thi_sim_stream_read(w, ep, iov, count, flags);
}

static ssize_t socket_write(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count)
{
    thi_sim_endpoint *ep = thi_sim_endpoint_of(desc);
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    return ep->mail ? thi_sim_dgram_sendmsg(w, ep, &msg) : thi_sim_stream_write(w, ep, iov, count);
}

/* A listener that goes resets those who wait in its queue: they were never read. */
static void socket_close(thi_sim *w, thi_sim_desc *desc)
{
    thi_sim_endpoint *ep = thi_sim_endpoint_of(desc);
    thi_sim_unbind(w, ep);
    thi_sim_stream_leave(w, ep);
    thi_sim_dgram_leave(ep);
    thi_free(ep);
}

static const thi_sim_kind socket_kind = {
    .name = "socket",
    .mode = S_IFSOCK,
    .level = socket_level,
    .read = socket_read,
    .write = socket_write,
    .close = socket_close,
};

static thi_sim_endpoint *new_endpoint(int family)
{
    thi_sim_endpoint *ep = thi_calloc(1, sizeof *ep);
    if (ep)
        thi_sim_endpoint_init(ep, &socket_kind, family);
    return ep;
}

int thi_sim_socket(thi_sim *w, int domain, int type, int protocol)
{
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
        return -EAFNOSUPPORT;
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return domain == AF_UNIX ? -ESOCKTNOSUPPORT : -EPROTONOSUPPORT;
    int only = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    if (protocol != 0 && (domain == AF_UNIX || protocol != only))
        return -EPROTONOSUPPORT;
    if (thi_sim_fault(w, TH_SIM_NO_FILES))
        return -EMFILE;
    thi_sim_endpoint *ep = new_endpoint(domain);
    if (!ep)
        return -ENOMEM;
    int fd = type == SOCK_DGRAM ? thi_sim_dgram_init(w, ep) : 0;
    if (fd == 0)
        fd = thi_sim_desc_number(w, &ep->desc);
    if (fd < 0)
        thi_sim_desc_close(w, &ep->desc);
    return fd;
}

/* Links and numbers two endpoints. */
static int couple(thi_sim *w, thi_sim_endpoint *a, thi_sim_endpoint *b)
{
    int err = thi_sim_link_new(w, false, a, b);
    if (err < 0)
        return err;
    a->state = b->state = THI_SIM_CONNECTED;
    err = thi_sim_desc_number(w, &a->desc);
    return err < 0 ? err : thi_sim_desc_number(w, &b->desc);
}

int thi_sim_socketpair(thi_sim *w, int domain, int type, int fds[2])
{
    if (domain != AF_UNIX || (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
        return -EOPNOTSUPP;
    if (thi_sim_fault(w, TH_SIM_NO_FILES))
        return -EMFILE;
    thi_sim_endpoint *a = new_endpoint(AF_UNIX);
    thi_sim_endpoint *b = a ? new_endpoint(AF_UNIX) : NULL;
    int err = b ? couple(w, a, b) : -ENOMEM;
    if (err < 0) {
        if (b)
            thi_sim_desc_close(w, &b->desc);
        if (a)
            thi_sim_desc_close(w, &a->desc);
        return err;
    }
    fds[0] = a->desc.fd;
    fds[1] = b->desc.fd;
    return 0;
}

int thi_sim_socket_find(const thi_sim *w, int fd, thi_sim_endpoint **ep)
{
    thi_sim_desc *desc = thi_sim_desc_find(w, fd);
    if (!desc)
        return fd >= 0 && fd < THI_SIM_FD_BASE ? -ENOTSOCK : -EBADF;
    if (desc->kind != &socket_kind)
        return -ENOTSOCK;
    *ep = thi_sim_endpoint_of(desc);
    return 0;
}
