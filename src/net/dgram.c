/* SPDX-License-Identifier: MIT */

/*
 * Sending at once while the queue is empty, and from the loop when the kernel has room again.
 *
 * What must be told but must not be told inside of a call is kept and told by a message to itself:
 * failures of what was sent at once, room, the end. The end comes last, and nothing touches the
 * object after it.
 */
#include "net/dgram.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "sys/sys.h"

#include <thrum/time.h>
#include <thrum/udp.h>

#include <string.h>

#define ROOM        65536 /* for one datagram */
#define BATCH       32    /* received in a row, before others have their turn */
#define RETRY_AFTER TH_MILLISECOND

/* A datagram that waits to be sent, or of which a failure is to be told. */
typedef struct parcel {
    thi_list link;
    int err;
    bool has_target;
    th_addr to;
    size_t size;
    char data[];
} parcel;

static parcel *parcel_of(thi_list *node)
{
    return thi_list_item(node, parcel, link);
}

static parcel *parcel_new(const void *data, size_t size, const th_addr *to)
{
    parcel *p = thi_alloc(sizeof *p + size);
    if (!p)
        return NULL;
    *p = (parcel){ .size = size, .has_target = to != NULL };
    if (to)
        p->to = *to;
    if (size > 0)
        memcpy(p->data, data, size);
    return p;
}

static void free_parcels(thi_list *list)
{
    while (!thi_list_empty(list))
        thi_free(parcel_of(thi_list_pop_front(list)));
}

/*
 * A message, and not a deferred function: whoever is called may make fibers ready, and the loop
 * must not sleep then.
 */
static void call_later(thi_dgram *d)
{
    if (d->posted)
        return;
    d->posted = true;
    thi_loop_post(d->loop, &d->later);
}

/* ---- the end ---- */

static void shut(thi_dgram *d, int why)
{
    if (d->closed)
        return;
    d->closed = true;
    d->why = why;
    free_parcels(&d->queue);
    d->queued = d->count = 0;
    thi_timer_cancel(&d->loop->timers, &d->retry);
    int fd = d->watch.fd;
    thi_loop_unwatch(d->loop, &d->watch);
    (void)thi_sys_close(fd); /* close(2) has nothing to tell of datagrams */
    call_later(d);
}

/* ---- sending ---- */

static int try_to_send(thi_dgram *d, const void *data, size_t size, const th_addr *to)
{
    thi_sockaddr sa;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (to) {
        msg.msg_name = &sa;
        msg.msg_namelen = thi_addr_to_sockaddr(to, &sa);
    }
    ssize_t n = thi_sys_sendmsg(d->watch.fd, &msg, 0);
    if (n < 0)
        return (int)n;
    thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return 0;
}

/* Of an unconnected Unix socket the kernel cannot say when its target has room. */
static int wait_for_room(thi_dgram *d)
{
    if (d->family == AF_UNIX && !d->connected) {
        thi_loop_timer(d->loop, &d->retry, th_after(RETRY_AFTER));
        return 0;
    }
    d->watch.ready &= (uint8_t)~THI_WRITE;
    return thi_loop_want(d->loop, &d->watch, THI_WRITE);
}

static void keep_failure(thi_dgram *d, parcel *p, int err)
{
    p->err = err;
    thi_list_push_back(&d->failed, &p->link);
    call_later(d);
}

static void unqueue(thi_dgram *d, parcel *p)
{
    thi_list_remove(&p->link);
    d->queued -= p->size;
    d->count--;
}

/* What cannot be waited for is lost like what cannot be sent. */
static void flush(thi_dgram *d)
{
    while (!thi_list_empty(&d->queue)) {
        parcel *p = parcel_of(thi_list_first(&d->queue));
        int err = try_to_send(d, p->data, p->size, p->has_target ? &p->to : NULL);
        if (err == -EAGAIN) {
            err = wait_for_room(d);
            if (err == 0)
                break;
        }
        unqueue(d, p);
        if (err < 0)
            keep_failure(d, p, err);
        else
            thi_free(p);
    }
    if ((d->full && d->queued <= d->low) || (d->closing && d->count == 0))
        call_later(d);
}

static int queue_up(thi_dgram *d, parcel *p)
{
    int err = d->count == 0 ? wait_for_room(d) : 0;
    if (err < 0)
        return err;
    thi_list_push_back(&d->queue, &p->link);
    d->queued += p->size;
    d->count++;
    d->full = d->full || (d->high > 0 && d->queued >= d->high);
    return 0;
}

int thi_dgram_send(thi_dgram *d, const void *data, size_t size, const th_addr *to)
{
    if (d->closed || d->closing)
        return -EBADF;
    if (to && d->connected)
        return -EISCONN;
    if (!to && !d->connected)
        return -EDESTADDRREQ;
    int err = d->count == 0 ? try_to_send(d, data, size, to) : -EAGAIN;
    if (err == 0)
        return 0;
    parcel *p = err == -EAGAIN ? parcel_new(data, size, to) : parcel_new(NULL, 0, to);
    if (!p)
        return -ENOMEM;
    if (err == -EAGAIN)
        err = queue_up(d, p);
    if (err < 0)
        keep_failure(d, p, err);
    return 0;
}

static void on_retry(thi_timer *timer)
{
    flush(thi_container_of(timer, thi_dgram, retry));
}

/* ---- receiving ---- */

/* Receives one; whether there may be more. */
static bool receive_one(thi_dgram *d)
{
    thi_sockaddr sa;
    th_addr peer;
    struct iovec iov = { .iov_base = d->buf, .iov_len = ROOM };
    struct msghdr msg = {
        .msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = &iov, .msg_iovlen = 1
    };
    ssize_t n = thi_sys_recvmsg(d->watch.fd, &msg, 0);
    if (n == -EAGAIN)
        return false;
    if (n < 0) {
        d->ops->failed(d, (int)n, NULL);
        return true;
    }
    thi_metric_add(THI_M_BYTES_READ, n);
    thi_addr_from_sockaddr(&sa, msg.msg_namelen, &peer);
    if (msg.msg_namelen == 0 && d->family == AF_UNIX)
        peer.kind = TH_ADDR_UNIX;
    d->ops->received(d, d->buf, (size_t)n, &peer, msg.msg_flags & MSG_TRUNC ? TH_DGRAM_CUT : 0);
    return true;
}

/* After a batch the rest is for later, whatever the engine: nothing would tell of it again. */
static void receive(thi_dgram *d)
{
    for (int i = 0; i < BATCH; i++) {
        if (d->closed || !d->receiving)
            return;
        if (receive_one(d))
            continue;
        d->watch.ready &= (uint8_t) ~(THI_READ | THI_HUP);
        int err = thi_loop_want(d->loop, &d->watch, THI_READ);
        if (err < 0)
            d->ops->failed(d, err, NULL);
        return;
    }
    call_later(d);
}

void thi_dgram_receive(thi_dgram *d, bool on)
{
    if (d->closed || d->receiving == on)
        return;
    d->receiving = on;
    if (on)
        call_later(d);
}

/* ---- from the loop ---- */

static void tell_failures(thi_dgram *d)
{
    while (!thi_list_empty(&d->failed)) {
        parcel *p = parcel_of(thi_list_pop_front(&d->failed));
        if (!d->closed)
            d->ops->failed(d, p->err, p->has_target ? &p->to : NULL);
        thi_free(p);
    }
}

static void on_later(thi_msg *later)
{
    thi_dgram *d = thi_container_of(later, thi_dgram, later);
    d->posted = false;
    tell_failures(d);
    if (!d->closed && d->full && d->queued <= d->low) {
        d->full = false;
        if (d->ops->room)
            d->ops->room(d);
    }
    if (!d->closed && d->receiving && (d->watch.ready & THI_READ))
        receive(d);
    if (!d->closed && d->closing && d->count == 0 && thi_list_empty(&d->failed))
        shut(d, 0);
    if (!d->closed || d->posted) /* then it is told by what is on its way */
        return;
    thi_free(d->buf);
    d->ops->closed(d, d->why);
}

static void on_event(thi_watch *watch, unsigned events)
{
    thi_dgram *d = thi_container_of(watch, thi_dgram, watch);
    if ((events & THI_WRITE) && d->count > 0)
        flush(d);
    if ((events & THI_READ) && d->receiving)
        receive(d);
}

/* ---- opening and closing ---- */

int thi_dgram_open(thi_dgram *d, thi_loop *loop, int fd, int family, const thi_dgram_ops *ops)
{
    *d = (thi_dgram){ .ops = ops, .loop = loop, .family = family };
    thi_list_init(&d->queue);
    thi_list_init(&d->failed);
    d->later.fn = on_later;
    thi_timer_init(&d->retry, on_retry);
    d->buf = thi_alloc(ROOM);
    if (!d->buf)
        return -ENOMEM;
    int err = thi_loop_watch(loop, &d->watch, fd, 0, on_event);
    if (err < 0)
        thi_free(d->buf);
    return err;
}

void thi_dgram_close(thi_dgram *d)
{
    if (d->closed || d->closing)
        return;
    d->closing = true;
    d->receiving = false;
    if (d->count == 0)
        call_later(d);
}

void thi_dgram_abort(thi_dgram *d, int err)
{
    shut(d, err);
}
