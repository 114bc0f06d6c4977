/* SPDX-License-Identifier: MIT */

/* Sending batches: stretch by stretch, and each datagram with a verdict of its own. */
#include "net/udp.h"

#include "base/error.h"

#include <limits.h>

/* Datagrams whose targets fit the socket. */
typedef struct stretch {
    th_dgram *dgrams;
    size_t count;
} stretch;

static ssize_t send_some(th_udp *u, void *call)
{
    stretch *s = call;
    return thi_udp_outbox_send(u->outbox, u->watch.fd, s->dgrams, s->count, u->errors);
}

/* How many of the datagrams, from the first one on, may be sent on the socket. */
static size_t count_fit(const th_udp *u, const th_dgram *d, size_t count)
{
    size_t n = 0;
    while (n < count && thi_udp_check_target(u, d[n].peer) == 0)
        n++;
    return n;
}

/* Deals with the first of the datagrams: how many, or why it goes no further. */
static ssize_t send_next(th_udp *u, th_dgram *d, size_t count)
{
    stretch s = { .dgrams = d, .count = count_fit(u, d, count) };
    if (s.count > 0)
        return thi_udp_step(u, THI_WRITE, send_some, &s);
    d->error = thi_udp_check_target(u, d->peer);
    return 1;
}

static ssize_t prepare(th_udp *u)
{
    if (u->closed)
        return -EBADF;
    return u->outbox ? 0 : thi_udp_outbox_new(u->watch.fd, u->family, &u->outbox);
}

int th_udp_send_batch(th_udp *u, th_dgram *dgrams, size_t count)
{
    size_t done = 0;
    int sent = 0;
    if ((!dgrams && count > 0) || count > INT_MAX)
        return thi_err_clear(-EINVAL);
    ssize_t n = prepare(u);
    while (n >= 0 && done < count) {
        n = send_next(u, dgrams + done, count - done);
        for (ssize_t i = 0; i < n; i++)
            sent += dgrams[done++].error == 0;
    }
    for (size_t i = done; i < count; i++)
        dgrams[i].error = (int32_t)n;
    if (sent > 0 || (count == 0 && n >= 0))
        return sent;
    return thi_err_clear(count > 0 ? dgrams[0].error : (int)n);
}
