/* SPDX-License-Identifier: MIT */

/*
 * Producers: who writes to a transport and is held back by it.
 *
 * A push producer is told to pause when more waits than the high mark says, and to go on when all
 * has left; not at the low mark, so that it works in long stretches. A pull producer is asked each
 * time nothing waits. Both are told by the loop, where nobody else is in the middle of a write.
 */
#include "callback/transport.h"

#define PULLS 16 /* in a row, while the carrier takes all; then others get their turn */

static void pull(th_transport *t)
{
    for (int i = 0; i < PULLS; i++) {
        const th_transport_producer *p = t->producer;
        if (!p || t->dead || !thi_outqueue_empty(&t->out))
            return;
        if (t->primed) /* it wrote nothing when it was asked: it will when it has something */
            return;
        t->primed = true;
        uint64_t before = t->sent;
        p->produce(t, t->producer_self);
        if (t->sent != before || !thi_outqueue_empty(&t->out))
            t->primed = false;
    }
    thi_transport_later(t);
}

static void push(th_transport *t)
{
    const th_transport_producer *p = t->producer;
    if (t->over && !t->held) {
        t->held = true;
        if (p->pause)
            p->pause(t, t->producer_self);
    } else if (t->held && thi_outqueue_empty(&t->out)) {
        t->held = false;
        p->produce(t, t->producer_self);
    }
}

void thi_transport_stop_producer(th_transport *t)
{
    const th_transport_producer *p = t->producer;
    if (!p)
        return;
    t->producer = NULL;
    if (p->stop)
        p->stop(t, t->producer_self);
    if (t->owes_stop) {
        t->owes_stop = false;
        th_transport_unref(t);
    }
}

void thi_transport_tell_producer(th_transport *t)
{
    if (!t->producer)
        return;
    if (t->dead)
        thi_transport_stop_producer(t);
    else if (t->producer->pull)
        pull(t);
    else
        push(t);
}

int th_transport_set_producer(th_transport *t, const th_transport_producer *producer, void *self)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!producer || producer->size > sizeof *producer || !producer->produce ||
        t->carrier->datagrams)
        return -EINVAL;
    if (t->producer || t->upgrade)
        return -EBUSY;
    t->producer = producer;
    t->producer_self = self;
    t->held = t->primed = false;
    if (t->lost) { /* who registers it may let go of the transport at once */
        t->owes_stop = true;
        t->refs++;
    }
    thi_transport_later(t);
    return 0;
}

int th_transport_end_producer(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!t->producer)
        return -ENOENT;
    t->producer = NULL;
    thi_transport_later(t);
    if (t->owes_stop) {
        t->owes_stop = false;
        t->refs--; /* the caller has one */
    }
    return 0;
}
