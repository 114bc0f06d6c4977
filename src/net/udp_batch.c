/* SPDX-License-Identifier: MIT */

/*
 * Receiving into a batch.
 *
 * A batch is one block: headers for recvmmsg(2), a place for each message, views of datagrams, and
 * the bytes. Where the socket coalesces, a message may hold many datagrams of one sender, all of
 * one size but the last; each gets a view, and nothing is copied. When there are more than views,
 * the rest is handed out by the next call, before the kernel is asked again.
 *
 * Such a message has up to 64 KiB, which nobody can know before. So when the batch is first used
 * for a socket that coalesces it gets a second block with that room for each message: of what is
 * never written the system makes no memory.
 */
#include "net/udp.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "net/udp_wire.h"
#include "sys/sys.h"

#include <string.h>

#define COUNT_MAX 1024
#define WIDE      ((size_t)64 * 1024) /* what the kernel coalesces is no larger */
#define VIEWS_MIN 256

/* From one message to the next: at multiples of 64 KiB all beginnings would share few cache lines.
 */
#define WIDE_STEP (WIDE + 4096 + 64)

/* Where a message is received to. */
typedef struct place {
    thi_sockaddr from;
    th_addr peer;
    th_addr local;
    struct iovec iov;
    thi_udp_told told;
} place;

struct th_udp_batch {
    size_t count; /* messages at most */
    size_t size;  /* room for each */
    size_t views;
    struct mmsghdr *msgs;
    place *places;
    th_dgram *dgrams;
    char *area;
    char *wide;   /* made for the first socket that coalesces */
    size_t used;  /* messages that the kernel has written to since they were made ready for it */
    bool is_wide; /* as what kind of socket's they are ready */
    bool is_told;
    /* What the last call of recvmmsg(2) gave. */
    const th_udp *owner; /* whose, while there is a rest */
    size_t received;     /* messages */
    size_t at;           /* the first one that is not handed out altogether */
    size_t offset;       /* what of it is */
    th_dgram first;      /* of its datagrams, for what they have in common */
    size_t segment;      /* their size; 0 before the message was looked at */
};

/* ---- making one ---- */

int th_udp_batch_new(size_t count, size_t size, th_udp_batch **batch)
{
    if (!batch || count < 1 || count > COUNT_MAX || size < 1 || size > WIDE)
        return thi_err_clear(-EINVAL);
    size_t views = thi_max(count, (size_t)VIEWS_MIN);
    th_udp_batch *b = thi_alloc(sizeof *b + count * (sizeof *b->msgs + sizeof *b->places + size) +
                                views * sizeof *b->dgrams);
    if (!b)
        return thi_err_clear(-ENOMEM);
    *b = (th_udp_batch){ .count = count, .size = size, .views = views, .used = count };
    b->places = (place *)(void *)(b + 1);
    b->msgs = (struct mmsghdr *)(void *)(b->places + count);
    b->dgrams = (th_dgram *)(void *)(b->msgs + count);
    b->area = (char *)(b->dgrams + views);
    *batch = b;
    return 0;
}

void th_udp_batch_free(th_udp_batch *batch)
{
    if (!batch)
        return;
    thi_free(batch->wide);
    thi_free(batch);
}

/* ---- receiving ---- */

/* Gets the messages ready for the kernel: all of them when the socket is of another kind than the
 * one before, else those in which something was received. */
static void prepare(th_udp_batch *b, bool wide, bool told)
{
    size_t count = b->is_wide == wide && b->is_told == told ? b->used : b->count;
    b->is_wide = wide;
    b->is_told = told;
    b->used = 0;
    for (size_t i = 0; i < count; i++) {
        place *p = &b->places[i];
        char *at = wide ? b->wide + i * WIDE_STEP : b->area + i * b->size;
        p->iov = (struct iovec){ .iov_base = at, .iov_len = wide ? WIDE : b->size };
        b->msgs[i].msg_hdr = (struct msghdr){ .msg_name = &p->from,
                                              .msg_namelen = sizeof p->from,
                                              .msg_iov = &p->iov,
                                              .msg_iovlen = 1,
                                              .msg_control = told ? &p->told : NULL,
                                              .msg_controllen = told ? sizeof p->told : 0 };
    }
}

/* Fewer than there was room for: there are no more, unless something else was in the way. */
static ssize_t receive(th_udp *u, void *call)
{
    th_udp_batch *b = call;
    if (u->returned_news)
        return thi_udp_next_returned(u, 0);
    prepare(b, u->coalesce, u->told);
    int n = thi_sys_recvmmsg(u->watch.fd, b->msgs, (unsigned)b->count, 0);
    if (n < 0)
        return thi_udp_next_returned(u, n);
    if ((size_t)n < b->count && !(u->watch.ready & THI_HUP))
        u->watch.ready &= (uint8_t)~THI_READ;
    b->owner = u;
    b->received = b->used = (size_t)n;
    b->at = b->offset = b->segment = 0;
    return n;
}

/* ---- views ---- */

/* What all datagrams of the message have in common. */
static void look_at(th_udp_batch *b, const th_udp *u)
{
    place *p = &b->places[b->at];
    struct msghdr *msg = &b->msgs[b->at].msg_hdr;
    size_t size = b->msgs[b->at].msg_len;
    b->first = (th_dgram){ .peer = &p->peer };
    b->segment = u->told ? thi_udp_read_told(msg, &b->first, &p->local) : 0;
    if (b->first.local)
        p->local.port = u->local.port;
    if (b->segment == 0)
        b->segment = thi_max(size, (size_t)1);
    if (msg->msg_flags & MSG_TRUNC)
        b->first.flags |= TH_DGRAM_CUT;
    thi_addr_from_sockaddr(&p->from, msg->msg_namelen, &p->peer);
    if (msg->msg_namelen == 0 && u->family == AF_UNIX)
        p->peer.kind = TH_ADDR_UNIX;
    thi_metric_add(THI_M_BYTES_READ, (int64_t)size);
}

/* The next datagram of what was received; of a message that was cut the last one is. */
static void take(th_udp_batch *b, th_dgram *d)
{
    size_t left = b->msgs[b->at].msg_len - b->offset;
    *d = b->first;
    d->data = (char *)b->places[b->at].iov.iov_base + b->offset;
    d->size = thi_min(left, b->segment);
    b->offset += d->size;
    if (left > d->size) {
        d->flags &= (uint16_t)~TH_DGRAM_CUT;
        return;
    }
    b->at++;
    b->offset = b->segment = 0;
}

static int hand_out(th_udp_batch *b, const th_udp *u)
{
    size_t n = 0;
    while (n < b->views && b->at < b->received) {
        if (b->segment == 0)
            look_at(b, u);
        take(b, &b->dgrams[n++]);
    }
    if (b->at == b->received)
        b->owner = NULL;
    return (int)n;
}

static int widen(th_udp_batch *b)
{
    if (!b->wide)
        b->wide = thi_alloc(b->count * WIDE_STEP);
    return b->wide ? 0 : -ENOMEM;
}

int th_udp_recv_batch(th_udp *u, th_udp_batch *batch, th_dgram **dgrams)
{
    if (!batch || !dgrams)
        return thi_err_clear(-EINVAL);
    if (batch->owner && batch->owner != u)
        return thi_err_clear(-EBUSY);
    if (u->coalesce && widen(batch) < 0)
        return thi_err_clear(-ENOMEM);
    ssize_t n = batch->owner ? 1 : thi_udp_step(u, THI_READ, receive, batch);
    if (n < 0)
        return thi_err_clear((int)n);
    *dgrams = batch->dgrams;
    return hand_out(batch, u);
}
