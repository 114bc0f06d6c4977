/* SPDX-License-Identifier: MIT */

/*
 * Sending: at once what the kernel takes, later what it does not.
 *
 * Whoever sends tries the call, whatever is known about the socket. After EAGAIN the direction is
 * not ready; after a send that was taken whole it is taken for ready without a look, because the
 * worst that can happen is one more EAGAIN; after one that was cut a look decides.
 */
#include "callback/dispatch.h"

#include "base/error.h"
#include "base/metrics.h"
#include "net/addr.h"
#include "net/capture.h"
#include "sys/sys.h"

#include <thrum/error.h>

#define PIECES 16

/* What one dispatcher may send before the others have their turn. */
#define BUDGET (256 * 1024)

static void note_sent(th_dispatcher *d, ssize_t n, size_t size)
{
    if (n == -EAGAIN) {
        d->sure &= (uint8_t)~THI_WRITE;
        d->maybe &= (uint8_t)~THI_WRITE;
    } else if (n >= 0 && (size_t)n < size) {
        d->sure &= (uint8_t)~THI_WRITE;
        d->maybe |= THI_WRITE;
    } else if (n >= 0) {
        d->sure |= THI_WRITE & d->maybe;
    }
    if (n > 0)
        thi_metric_add(THI_M_BYTES_WRITTEN, n);
}

static void tap_sent(th_dispatcher *d, const struct iovec *iov, int count, ssize_t n)
{
    if (n > 0 && d->socket && !d->datagram && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_bytes(&d->tap, d->fd, TH_CAPTURE_SENT, iov, count, (size_t)n);
}

static ssize_t send_now(th_dispatcher *d, const void *data, size_t size)
{
    ssize_t n = d->socket ? thi_sys_send(d->fd, data, size, 0) : thi_sys_write(d->fd, data, size);
    struct iovec iov = { (void *)(uintptr_t)data, size };
    tap_sent(d, &iov, 1, n);
    note_sent(d, n, size);
    return n;
}

/* ---- what the program sends itself ---- */

static ssize_t send_step(th_dispatcher *d, const void *data, size_t size)
{
    int err = thi_dispatch_may_use(d);
    if (err < 0)
        return err;
    ssize_t n = send_now(d, data, size);
    if (n == -EAGAIN) {
        thi_dispatch_review(d);
        return 0;
    }
    if (n < 0 && thi_dispatch_is_broken(n)) {
        thi_dispatch_closed_in_call(d, n < 0);
        return 0;
    }
    return n;
}

ssize_t th_dispatcher_send(th_dispatcher *d, const void *data, size_t size)
{
    return thi_err_plain(d && (data || size == 0) ? send_step(d, data, size) : -EINVAL);
}

static ssize_t send_to(th_dispatcher *d, const void *data, size_t size, const th_addr *to)
{
    thi_sockaddr sa;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    int err = thi_dispatch_may_use(d);
    if (err < 0)
        return err;
    if (to) {
        msg.msg_namelen = thi_addr_to_sockaddr(to, &sa);
        msg.msg_name = &sa;
    }
    ssize_t n = thi_sys_sendmsg(d->fd, &msg, 0);
    note_sent(d, n, size);
    if (n == -EAGAIN)
        thi_dispatch_review(d);
    return n;
}

ssize_t th_dispatcher_send_to(th_dispatcher *d, const void *data, size_t size, const th_addr *to)
{
    return thi_err_plain(d && (data || size == 0) ? send_to(d, data, size, to) : -EINVAL);
}

/* ---- what is kept ---- */

static ssize_t send_pieces(th_dispatcher *d)
{
    struct iovec iov[PIECES];
    int count = thi_out_iov(&d->out, iov, PIECES);
    if (count == 1)
        return send_now(d, iov->iov_base, iov->iov_len);
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    ssize_t n = d->socket ? thi_sys_sendmsg(d->fd, &msg, 0) : thi_sys_writev(d->fd, iov, count);
    tap_sent(d, iov, count, n);
    note_sent(d, n, size);
    return n;
}

/* Sends one helping: bytes sent, -EAGAIN when there is no room, or a failure. A send that was cut
 * is followed by another only after a look. */
static ssize_t send_some(th_dispatcher *d, bool *cut)
{
    ssize_t n = send_pieces(d);
    if (n > 0)
        thi_out_drop(&d->out, (size_t)n);
    *cut = n >= 0 && !(d->sure & THI_WRITE);
    return n;
}

static int empty_now(th_dispatcher *d)
{
    if (!d->owing)
        return 0;
    d->owing = false;
    return d->ops->drained ? d->ops->drained(d, d->arg) : 0;
}

/* "Close when done", also when the peer's end has been told before and let pass. */
static int end_of_all(th_dispatcher *d)
{
    thi_out_drop_end(&d->out);
    if (!d->ended)
        return thi_dispatch_handle_close(d);
    (void)th_dispatcher_close(d);
    return 0;
}

int thi_dispatch_flush(th_dispatcher *d)
{
    uint32_t serial = d->serial;
    ssize_t n = 0;
    bool cut = false;
    d->maybe |= THI_WRITE;
    for (size_t sent = 0; sent < BUDGET && !cut && d->serial == serial; sent += (size_t)n) {
        switch (thi_out_next(&d->out)) {
        case THI_OUT_EMPTY:
            return empty_now(d);
        case THI_OUT_END:
            return end_of_all(d);
        case THI_OUT_PRODUCER:
            n = thi_out_busy(&d->out) ? -EAGAIN : thi_out_produce(&d->out);
            break;
        case THI_OUT_BYTES:
            n = send_some(d, &cut);
            break;
        }
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
    }
    return 0;
}

/* Sends what can be sent at once: how much, or a failure. */
static ssize_t push_now(th_dispatcher *d, const void *data, size_t size)
{
    if (d->out.first || !(d->state & TH_DISPATCHER_CONNECTED))
        return 0;
    ssize_t n = send_now(d, data, size);
    if (n < 0 && thi_dispatch_is_broken(n))
        thi_dispatch_closed_in_call(d, n < 0);
    return n == -EAGAIN ? 0 : n;
}

static int push(th_dispatcher *d, const void *data, size_t size)
{
    int err = thi_dispatch_may_use(d);
    if (err < 0 || size == 0)
        return err;
    if (d->out.bytes >= d->map->push_high)
        return thi_err_set(TH_ELIMIT, "%zu bytes wait to be sent", d->out.bytes);
    ssize_t n = push_now(d, data, size);
    if (n < 0)
        return thi_err_clear((int)n);
    if ((size_t)n == size)
        return 0;
    err = thi_out_add(&d->out, (const char *)data + n, size - (size_t)n);
    if (err < 0)
        return thi_err_clear(err);
    d->owing = true;
    thi_dispatch_review(d);
    return 0;
}

int th_dispatcher_close_when_done(th_dispatcher *d)
{
    int err = d ? thi_dispatch_may_use(d) : -EINVAL;
    if (err == 0)
        err = thi_out_add_end(&d->out);
    if (err < 0)
        return thi_err_clear(err);
    thi_dispatch_review(d);
    return 0;
}

int th_dispatcher_push(th_dispatcher *d, const void *data, size_t size)
{
    if (!d || (!data && size > 0) || d->datagram)
        return thi_err_clear(-EINVAL);
    return push(d, data, size);
}
