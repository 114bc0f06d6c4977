/* SPDX-License-Identifier: MIT */

/*
 * Receiving.
 *
 * A receive that comes back short has emptied the socket, so that the next event needs no look; not
 * after a hang-up, because then no event would announce the end, and a look has to.
 */
#include "callback/dispatch.h"

#include "base/error.h"
#include "base/metrics.h"
#include "net/addr.h"
#include "net/capture.h"
#include "sys/sys.h"

static void note_received(th_dispatcher *d, ssize_t n, size_t size)
{
    bool empty = n == -EAGAIN || (n > 0 && (size_t)n < size && !d->datagram);
    if (empty && !d->over) {
        d->sure &= (uint8_t)~THI_READ;
        d->maybe &= (uint8_t)~THI_READ;
        thi_dispatch_review(d);
    }
    if (n > 0)
        thi_metric_add(THI_M_BYTES_READ, n);
}

static ssize_t recv_step(th_dispatcher *d, void *buf, size_t size)
{
    int err = thi_dispatch_may_use(d);
    if (err < 0)
        return err;
    ssize_t n = d->socket ? thi_sys_recv(d->fd, buf, size, 0) : thi_sys_read(d->fd, buf, size);
    if (d->socket && !d->datagram && TH_UNLIKELY(thi_capture_is_on())) {
        struct iovec iov = { buf, size };
        thi_capture_received(&d->tap, d->fd, &iov, n);
    }
    note_received(d, n, size);
    if ((n == 0 && !d->datagram) || (n < 0 && thi_dispatch_is_broken(n))) {
        thi_dispatch_closed_in_call(d, n < 0);
        return 0;
    }
    return n;
}

ssize_t th_dispatcher_recv(th_dispatcher *d, void *buf, size_t size)
{
    return thi_err_plain(d && buf && size > 0 ? recv_step(d, buf, size) : -EINVAL);
}

static ssize_t recv_from(th_dispatcher *d, void *buf, size_t size, th_addr *from)
{
    thi_sockaddr sa = { .sa.sa_family = AF_UNSPEC };
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &sa, .msg_namelen = sizeof sa
    };
    int err = thi_dispatch_may_use(d);
    if (err < 0)
        return err;
    ssize_t n = thi_sys_recvmsg(d->fd, &msg, 0);
    note_received(d, n, size);
    if (n >= 0 && from)
        thi_addr_from_sockaddr(&sa, msg.msg_namelen, from);
    return n;
}

ssize_t th_dispatcher_recv_from(th_dispatcher *d, void *buf, size_t size, th_addr *from)
{
    return thi_err_plain(d && (buf || size == 0) ? recv_from(d, buf, size, from) : -EINVAL);
}
