/* SPDX-License-Identifier: MIT */

/*
 * Memory that is lent to the kernel while it sends from it.
 *
 * The kernel takes a reference to the pages instead of a copy, and tells in the socket's queue of
 * errors when it has let go of them, which is when the peer has acknowledged the bytes. Calls to
 * send are numbered; a note names the numbers that are done. So a write is over when as many have
 * been returned as were lent, and not before: its caller may do with the memory what it likes then.
 *
 * A step that could not send all leaves its memory lent, because the write goes on with the next
 * one. One that ends the write, or fails, waits for the notes.
 *
 * If the scope ends during that, there is no waiting on: the peer may take nothing for ever. But
 * what the caller writes to that memory from now on would be sent to the peer. So the connection is
 * broken off, which takes the bytes out of the kernel's queue.
 *
 * Where bytes are copied all the same, as on the way to an address of this machine, the notes say
 * so: then lending costs more than it saves, and the socket stops it.
 */
#include <thrum/socket.h>

#include "base/error.h"
#include "base/metrics.h"
#include "io/pieces.h"
#include "loop/engines.h"
#include "net/capture.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

typedef struct lending {
    const struct iovec *iov;
    int count;
    size_t size;
} lending;

static ssize_t try_send(thi_socket *s, void *arg)
{
    const lending *l = arg;
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)l->iov,
                          .msg_iovlen = (size_t)l->count };
    int flags = s->more ? MSG_MORE : 0;
    bool lend = l->size >= s->rare->lend_from;
    ssize_t n = thi_sys_sendmsg(s->watch.fd, &msg, lend ? flags | MSG_ZEROCOPY : flags);
    if (lend && n == -ENOBUFS) { /* more notes are outstanding than net.core.optmem_max allows */
        lend = false;
        n = thi_sys_sendmsg(s->watch.fd, &msg, flags);
    }
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_bytes(&s->tap, s->watch.fd, TH_CAPTURE_SENT, l->iov, l->count, (size_t)n);
    if (n > 0)
        thi_socket_count(s, THI_M_BYTES_WRITTEN, n);
    s->rare->lent += n > 0 && lend;
    return n;
}

/* What one note says. */
static void take_note(thi_socket_rare *rare, const struct cmsghdr *header)
{
    struct sock_extended_err note;
    bool of_ip = (header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVERR) ||
                 (header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVERR);
    if (!of_ip || header->cmsg_len < CMSG_LEN(sizeof note))
        return;
    memcpy(&note, CMSG_DATA(header), sizeof note);
    if (note.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
        return;
    rare->returned += note.ee_data - note.ee_info + 1;
    if (note.ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
        rare->lend_from = SIZE_MAX;
}

/* Reads the notes that are there. */
static int take_notes(thi_socket *s)
{
    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof control };
        ssize_t n = thi_sys_recvmsg(s->watch.fd, &msg, MSG_ERRQUEUE);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        for (struct cmsghdr *at = CMSG_FIRSTHDR(&msg); at; at = CMSG_NXTHDR(&msg, at))
            take_note(s->rare, at);
    }
}

/* Waits until nothing is lent; breaks the connection off when that cannot be waited for. */
static int settle(thi_socket *s)
{
    int err = 0;
    while (err == 0) {
        err = take_notes(s);
        if (err == 0 && s->rare->lent == s->rare->returned)
            return 0;
        if (err == 0)
            err = thi_socket_wait_for(s, THI_WRITE, THI_PRI);
        if (s->closed)
            return -ECANCELED;
    }
    thi_socket_drop_unsent(s);
    thi_socket_shut(s);
    return err;
}

static ssize_t lend_step(thi_socket *s, const struct iovec *iov, int count)
{
    lending l = { .iov = iov, .count = count, .size = (size_t)thi_pieces_size(iov, count) };
    ssize_t n = thi_socket_step(s, THI_WRITE, try_send, &l);
    if (n == -EBUSY || n == -EPERM || s->closed || s->rare->lent == s->rare->returned)
        return n;
    if (n >= 0 && (size_t)n < l.size) /* there will be another step */
        return n;
    int err = settle(s);
    return err < 0 && n >= 0 ? err : n;
}

static int set_zerocopy(thi_socket *s, size_t size)
{
    int on = size > 0;
    if (s->closed)
        return -EBADF;
    if (s->worker->loop.engine == &thi_engine_select) /* it cannot wait for notes alone */
        return -EOPNOTSUPP;
    int err = thi_sys_setsockopt(s->watch.fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
    if (err == 0)
        err = thi_socket_make_rare(s);
    if (err == 0) {
        s->rare->lend_from = size > 0 ? size : SIZE_MAX;
        s->rare->write = lend_step;
    }
    return err == -524 /* ENOTSUPP, which is not for users but comes */ ? -EOPNOTSUPP : err;
}

int th_stream_set_zerocopy(th_stream *stream, size_t size)
{
    thi_socket *s = thi_socket_of(stream);
    if (!stream)
        return thi_err_clear(-EINVAL);
    return (int)thi_err_plain(s ? set_zerocopy(s, size) : -EOPNOTSUPP);
}
