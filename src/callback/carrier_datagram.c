/* SPDX-License-Identifier: MIT */

/*
 * Sockets of datagrams as carriers.
 *
 * What the kernel has no room for waits as a packet with its own address, and what is sent later
 * waits behind it. One that then fails is told and does not keep the others.
 *
 * A connected socket hands out the news that an earlier datagram came back as the failure of some
 * later call. A call to send that meets it has not sent: the news is told as what it is, and the
 * call is made again, once.
 *
 * When the queue of a Unix socket that is not connected is full, the kernel cannot tell when there
 * is room again, for it does not know whose queue is meant. There the loop tries again by the
 * clock.
 */
#include "callback/carrier.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "net/addr.h"
#include "runtime/turn.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <string.h>

#define BATCH       16 /* of one look; then others get their turn */
#define RETRY_AFTER (10 * TH_MILLISECOND)

/* A datagram that waits. */
typedef struct packet {
    struct packet *next;
    th_addr to; /* TH_ADDR_NONE: the peer that it is connected to */
    size_t size;
    char bytes[];
} packet;

/* transport->carried. */
typedef struct datagrams {
    packet *first;
    packet *last; /* while there is a first one */
    bool connected;
    bool is_unix;
    int news; /* an error that is to be told; 0: none */
    thi_timer retry;
    th_transport *transport;
} datagrams;

static datagrams *of(const th_transport *t)
{
    return t->carried;
}

/* ---- receiving ---- */

static void tell_error(th_transport *t, int error, const th_addr *to)
{
    if (t->protocol->error_received)
        t->protocol->error_received(t, t->self, error, to);
}

/* One datagram, or an error; whether there may be more. */
static bool receive_one(th_transport *t)
{
    thi_sockaddr sa;
    struct iovec iov = { thi_worker_scratch(), THI_TRANSPORT_READ };
    struct msghdr msg = {
        .msg_name = &sa, .msg_namelen = sizeof sa, .msg_iov = &iov, .msg_iovlen = 1
    };
    ssize_t n = thi_sys_recvmsg(t->watch.fd, &msg, 0);
    if (n == -EAGAIN) {
        thi_transport_want(t, THI_READ);
        return false;
    }
    if (n < 0) {
        tell_error(t, (int)n, NULL);
        return true;
    }
    if (msg.msg_flags & MSG_TRUNC) { /* over a Unix socket, which knows no limit */
        tell_error(t, -EMSGSIZE, NULL);
        return true;
    }
    th_addr from = { .kind = TH_ADDR_NONE };
    thi_addr_from_sockaddr(&sa, msg.msg_namelen, &from);
    if (msg.msg_namelen == 0 && of(t)->is_unix)
        from.kind = TH_ADDR_UNIX;
    t->received += (uint64_t)n;
    thi_metric_add(THI_M_BYTES_READ, n);
    th_str data = th_str_make(iov.iov_base, (size_t)n);
    thi_transport_judge(t, "datagram_received",
                        t->protocol->datagram_received(t, t->self, data, &from));
    return true;
}

static void receive_datagrams(th_transport *t)
{
    if (of(t)->news < 0 && thi_transport_may_read(t)) {
        int news = of(t)->news;
        of(t)->news = 0;
        tell_error(t, news, NULL);
    }
    for (int i = 0; i < BATCH; i++)
        if (!thi_transport_may_read(t) || !(t->watch.ready & THI_READ) || !receive_one(t))
            return;
    thi_transport_later(t);
}

/* ---- sending ---- */

/* Whether an error may be that of a datagram sent before: those that ICMP brings, ip(7). */
static bool is_of_before(int error)
{
    return error == -ECONNREFUSED || error == -EHOSTUNREACH || error == -ENETUNREACH ||
           error == -EHOSTDOWN || error == -EPROTO;
}

static ssize_t send_once(th_transport *t, const void *buf, size_t size, const th_addr *to)
{
    thi_sockaddr sa;
    struct iovec iov = { (void *)(uintptr_t)buf, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (to && to->kind != TH_ADDR_NONE) {
        msg.msg_name = &sa;
        msg.msg_namelen = thi_addr_to_sockaddr(to, &sa);
    }
    return thi_sys_sendmsg(t->watch.fd, &msg, 0);
}

static void on_retry(thi_timer *timer)
{
    th_transport *t = thi_container_of(timer, datagrams, retry)->transport;
    t->watch.ready |= THI_WRITE;
    thi_transport_later(t);
}

static void wait_for_room(th_transport *t)
{
    if (!of(t)->is_unix || of(t)->connected) {
        thi_transport_want(t, THI_WRITE);
        return;
    }
    t->watch.ready &= (uint8_t)~THI_WRITE;
    thi_loop_timer(&t->worker->loop, &of(t)->retry, th_after(RETRY_AFTER));
}

/* 0 when it has left, or an error; -EAGAIN: the kernel has no room. */
static int send_now(th_transport *t, const void *buf, size_t size, const th_addr *to)
{
    if (!(t->watch.ready & THI_WRITE))
        return -EAGAIN;
    ssize_t n = send_once(t, buf, size, to);
    if (n < 0 && of(t)->connected && is_of_before((int)n)) {
        of(t)->news = (int)n;
        thi_transport_later(t);
        n = send_once(t, buf, size, to);
    }
    if (n == -EAGAIN)
        wait_for_room(t);
    if (n < 0)
        return (int)n;
    t->sent += (uint64_t)n;
    thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return 0;
}

/* Keeps one that waits. */
static int keep(th_transport *t, const void *buf, size_t size, const th_addr *to)
{
    datagrams *d = of(t);
    packet *p = thi_alloc(sizeof *p + size);
    if (!p)
        return -ENOMEM;
    *p = (packet){ .size = size };
    if (to)
        p->to = *to;
    if (size > 0)
        memcpy(p->bytes, buf, size);
    if (d->first)
        d->last->next = p;
    else
        d->first = p;
    d->last = p;
    t->waiting++;
    t->out.bytes += size;
    return 0;
}

static packet *take_first(th_transport *t)
{
    packet *p = of(t)->first;
    of(t)->first = p->next;
    t->waiting--;
    t->out.bytes -= p->size;
    return p;
}

/* What fails is out of the queue when it is told, and no memory is held on to. */
static void flush_datagrams(th_transport *t)
{
    bool any = false;
    for (int i = 0; i < BATCH && !t->dead && of(t)->first; i++) {
        packet *p = of(t)->first;
        int err = send_now(t, p->bytes, p->size, &p->to);
        if (err == -EAGAIN)
            break;
        any = true;
        (void)take_first(t);
        th_addr to = p->to;
        thi_free(p);
        if (err < 0)
            tell_error(t, err, &to);
    }
    if (any && of(t)->first && (t->watch.ready & THI_WRITE))
        thi_transport_later(t);
    if (any)
        thi_transport_settle(t);
}

static void drop_datagrams(th_transport *t)
{
    while (of(t)->first)
        thi_free(take_first(t));
}

int th_transport_send_to(th_transport *t, const void *buf, size_t size, const th_addr *to)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!t->carrier->datagrams || (!buf && size > 0))
        return -EINVAL;
    if (t->closing || t->dead) {
        thi_transport_count_drop(t);
        return 0;
    }
    bool named = to && to->kind != TH_ADDR_NONE;
    if (named == of(t)->connected)
        return named ? -EISCONN : -EDESTADDRREQ;
    err = of(t)->first ? -EAGAIN : send_now(t, buf, size, to);
    if (err != -EAGAIN)
        return err;
    err = keep(t, buf, size, to);
    if (err < 0)
        return err;
    thi_transport_settle(t);
    t->promised = t->over;
    return t->over;
}

/* ---- making one ---- */

static void datagram_close(th_transport *t, bool reset)
{
    drop_datagrams(t);
    thi_timer_cancel(&t->worker->loop.timers, &of(t)->retry);
    thi_free(t->carried);
    t->carried = NULL;
    thi_carrier_fd_close(t, reset);
}

static const thi_carrier datagram_carrier = {
    .name = "datagrams",
    .datagrams = true,
    .want = thi_carrier_fd_want,
    .receive_datagrams = receive_datagrams,
    .flush_datagrams = flush_datagrams,
    .drop_datagrams = drop_datagrams,
    .close = datagram_close,
    .peer = thi_carrier_fd_peer,
    .local = thi_carrier_fd_local,
};

static void attach(th_transport *t, datagrams *d)
{
    t->carried = d;
    d->transport = t;
}

int thi_carrier_datagram(int fd, th_transport **out)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    datagrams *d = thi_calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->connected = thi_sys_getpeername(fd, &sa.sa, &len) == 0;
    len = sizeof sa;
    d->is_unix = thi_sys_getsockname(fd, &sa.sa, &len) == 0 && sa.sa.sa_family == AF_UNIX;
    thi_timer_init(&d->retry, on_retry);
    int err = thi_carrier_fd_make(&datagram_carrier, fd, true, out);
    if (err < 0)
        thi_free(d);
    else
        attach(*out, d);
    return err;
}
