/* SPDX-License-Identifier: MIT */

/*
 * From datagrams to messages.
 *
 * A run of datagrams with the same target, the same wishes and the same size, of which only the
 * last may be shorter, becomes one message that the kernel splits (UDP_SEGMENT): it goes the long
 * way to the device once. Bytes are not copied, each datagram is a piece of its message.
 *
 * What the kernel can is found by use. It must know of UDP_SEGMENT at all, for otherwise it would
 * ignore the wish and send one large datagram; so it is asked for the option once. Then a message
 * may still be refused: the device cannot compute checksums (EIO), or a piece is too large for its
 * packets (EINVAL, EMSGSIZE). The same datagrams are then sent one by one, and no larger ones are
 * packed again.
 */
#include "net/udp_outbox.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "net/udp_wire.h"
#include "sys/sys.h"

#include <errno.h>
#include <netinet/udp.h>

#define MESSAGES     32
#define PIECES       256
#define SEGMENTS_MAX 64    /* UDP_MAX_SEGMENTS in the kernel; 128 since 6.9 */
#define SPAN_MAX     65000 /* bytes of a message; IPv4 has room for 65,507 */

/* Which datagrams a message consists of. */
typedef struct run {
    size_t count;
    size_t bytes;
} run;

struct thi_udp_outbox {
    int family;
    size_t segment_max; /* the largest datagram that may be packed; 0: none */
    struct mmsghdr msgs[MESSAGES];
    run runs[MESSAGES];
    thi_sockaddr targets[MESSAGES];
    thi_udp_wish wishes[MESSAGES];
    struct iovec pieces[PIECES];
};

int thi_udp_outbox_new(int fd, int family, thi_udp_outbox **outbox)
{
    int value = 0;
    socklen_t len = sizeof value;
    thi_udp_outbox *o = thi_alloc(sizeof *o);
    if (!o)
        return -ENOMEM;
    o->family = family;
    o->segment_max = 0;
    if (family != AF_UNIX && thi_sys_getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &len) == 0)
        o->segment_max = SPAN_MAX / 2;
    *outbox = o;
    return 0;
}

void thi_udp_outbox_free(thi_udp_outbox *outbox)
{
    thi_free(outbox);
}

/* ---- packing ---- */

static bool same_address(const th_addr *a, const th_addr *b)
{
    return a == b || (a && b && th_addr_equal(a, b));
}

/* Whether `next` goes the same way as the first of a run. */
static bool same_way(const th_dgram *first, const th_dgram *next)
{
    return same_address(first->peer, next->peer) && same_address(first->local, next->local) &&
           first->interface == next->interface;
}

/* How many of the datagrams make up the first message; at most `most`. */
static run measure(const thi_udp_outbox *o, const th_dgram *d, size_t most)
{
    run r = { .count = 1, .bytes = d->size };
    if (d->size == 0 || d->size > o->segment_max)
        return r;
    most = thi_min(most, (size_t)SEGMENTS_MAX);
    while (r.count < most && d[r.count - 1].size == d->size && d[r.count].size > 0 &&
           d[r.count].size <= d->size && r.bytes + d[r.count].size <= SPAN_MAX &&
           same_way(d, &d[r.count]))
        r.bytes += d[r.count++].size;
    return r;
}

static void write_message(thi_udp_outbox *o, size_t at, const th_dgram *d, struct iovec *pieces)
{
    struct msghdr *msg = &o->msgs[at].msg_hdr;
    size_t count = o->runs[at].count;
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct iovec){ .iov_base = d[i].data, .iov_len = d[i].size };
    *msg = (struct msghdr){ .msg_iov = pieces, .msg_iovlen = count };
    if (d->peer) {
        msg->msg_name = &o->targets[at];
        msg->msg_namelen = thi_addr_to_sockaddr(d->peer, &o->targets[at]);
    }
    thi_udp_write_wish(msg, &o->wishes[at], d, o->family, count > 1 ? (uint16_t)d->size : 0);
}

/* Packs as many as there is room for; returns the number of messages. */
static size_t pack(thi_udp_outbox *o, const th_dgram *d, size_t count)
{
    size_t n = 0;
    size_t done = 0;
    size_t used = 0;
    while (n < MESSAGES && done < count && used < PIECES) {
        o->runs[n] = measure(o, d + done, thi_min(count - done, PIECES - used));
        write_message(o, n, d + done, o->pieces + used);
        done += o->runs[n].count;
        used += o->runs[n].count;
        n++;
    }
    return n;
}

/* ---- sending ---- */

/* Whether the kernel may have refused a message because of its being packed: then none such again.
 */
static bool was_too_much(thi_udp_outbox *o, int err, size_t segment)
{
    if (o->runs[0].count < 2)
        return false;
    if (err == -EINVAL || err == -EMSGSIZE)
        o->segment_max = segment - 1;
    else if (err == -EIO || err == -EOPNOTSUPP)
        o->segment_max = 0;
    else
        return false;
    return true;
}

static size_t note_sent(const thi_udp_outbox *o, th_dgram *d, size_t messages)
{
    size_t done = 0;
    for (size_t i = 0; i < messages; i++) {
        for (size_t k = 0; k < o->runs[i].count; k++)
            d[done++].error = 0;
        thi_metric_add(THI_M_BYTES_WRITTEN, (int64_t)o->runs[i].bytes);
    }
    return done;
}

ssize_t thi_udp_outbox_send(thi_udp_outbox *o, int fd, th_dgram *d, size_t count, bool again)
{
    for (;;) {
        size_t packed = pack(o, d, count);
        int n = thi_sys_sendmmsg(fd, o->msgs, (unsigned)packed, 0);
        if (n > 0)
            return (ssize_t)note_sent(o, d, (size_t)n);
        if (n == -EAGAIN)
            return n;
        if (was_too_much(o, n, d->size))
            continue;
        if (again) {
            again = false;
            continue;
        }
        d->error = n;
        return 1;
    }
}
