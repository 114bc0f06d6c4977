/* SPDX-License-Identifier: MIT */

/*
 * Two transports that are connected in memory.
 *
 * Each end keeps what has come for it, up to a bound; there it stays until its protocol takes it,
 * so back-pressure works as it does before a socket. Nobody's function is called from within the
 * other's call: an end that has news has its loop look at it.
 */
#include "callback/carrier.h"

#include "base/alloc.h"
#include "base/util.h"

#define ROOM ((size_t)64 * 1024) /* of each end, bytes */

typedef struct memory_end {
    thi_outqueue in;
    th_transport *peer; /* NULL when it is gone */
    bool ended;         /* nothing more will come */
    bool reset;         /* it was broken off */
} memory_end;

static memory_end *of(const th_transport *t)
{
    return t->carried;
}

static void tell(th_transport *t, unsigned dirs)
{
    t->watch.ready |= (uint8_t)dirs;
    thi_transport_later(t);
}

static ssize_t memory_read(th_transport *t, void *buf, size_t size)
{
    memory_end *end = of(t);
    if (end->reset)
        return -ECONNRESET;
    size_t n = thi_outqueue_read(&end->in, buf, size);
    if (n == 0)
        return end->ended ? 0 : -EAGAIN;
    if (end->peer)
        tell(end->peer, THI_WRITE);
    return (ssize_t)n;
}

static ssize_t memory_writev(th_transport *t, const struct iovec *iov, int count)
{
    th_transport *peer = of(t)->peer;
    size_t done = 0;
    if (!peer)
        return of(t)->reset ? -ECONNRESET : -EPIPE;
    thi_outqueue *in = &of(peer)->in;
    if (in->bytes >= ROOM)
        return -EAGAIN;
    for (int i = 0; i < count && in->bytes < ROOM; i++) {
        struct iovec part = { iov[i].iov_base, thi_min(iov[i].iov_len, ROOM - in->bytes) };
        if (thi_outqueue_add(in, &part, 1, 0) < 0)
            break;
        done += part.iov_len;
    }
    if (done == 0)
        return -ENOMEM;
    tell(peer, THI_READ);
    return (ssize_t)done;
}

static int memory_shutdown(th_transport *t)
{
    th_transport *peer = of(t)->peer;
    if (peer) {
        of(peer)->ended = true;
        tell(peer, THI_READ | THI_HUP);
    }
    return 0;
}

/* Nobody else needs to be asked: the peer tells by itself. */
static int memory_want(th_transport *t, unsigned dirs)
{
    (void)t;
    (void)dirs;
    return 0;
}

static void memory_close(th_transport *t, bool reset)
{
    memory_end *end = of(t);
    th_transport *peer = end->peer;
    if (peer) {
        of(peer)->peer = NULL;
        of(peer)->ended = true;
        of(peer)->reset = reset || !thi_outqueue_empty(&end->in);
        tell(peer, THI_READ | THI_WRITE | THI_HUP);
    }
    (void)thi_outqueue_clear(&end->in);
    thi_free(end);
    t->carried = NULL;
}

static const thi_carrier memory_carrier = {
    .name = "memory",
    .read = memory_read,
    .writev = memory_writev,
    .shutdown = memory_shutdown,
    .want = memory_want,
    .close = memory_close,
};

static th_transport *new_end(void)
{
    memory_end *end = thi_calloc(1, sizeof *end);
    th_transport *t = end ? thi_transport_new(&memory_carrier) : NULL;
    if (!t) {
        thi_free(end);
        return NULL;
    }
    t->carried = end;
    t->watch.ready = THI_READ | THI_WRITE;
    return t;
}

int thi_carrier_memory(th_transport *transports[2])
{
    th_transport *a = new_end();
    th_transport *b = a ? new_end() : NULL;
    if (!b) {
        if (a)
            thi_transport_discard(a);
        return -ENOMEM;
    }
    of(a)->peer = b;
    of(b)->peer = a;
    transports[0] = a;
    transports[1] = b;
    return 0;
}
