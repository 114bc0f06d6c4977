/* SPDX-License-Identifier: MIT */

/*
 * Taking what arrives to the protocol.
 *
 * What was given back comes first, then what the carrier has. One look takes a few reads, then
 * others get their turn: an engine that tells edges only will not tell of the rest, so the look is
 * repeated by the deferred function. A read that comes back short has emptied the carrier, and
 * saves the one that would only find that; not when a hang-up was seen, because then no further
 * event would announce the end, nor where a read may stop for another reason.
 *
 * Whether the next bytes may be taken is asked before each step, as any function of the protocol
 * may pause, close, or hand over to another one of the other kind.
 */
#include "callback/transport.h"

#include "base/alloc.h"
#include "base/util.h"
#include "runtime/turn.h"

#include <string.h>

#define READS 4 /* of one look */

bool thi_transport_may_read(const th_transport *t)
{
    return t->made && !t->paused && !t->closing && !t->dead && !t->end_told && !t->upgrade;
}

static bool is_buffered(const th_transport *t)
{
    return t->protocol->get_buffer != NULL;
}

/* Asks for room; a failure, or none, ends the connection. */
static bool get_room(th_transport *t, struct iovec *room)
{
    *room = (struct iovec){ NULL, 0 };
    int err = t->protocol->get_buffer(t, t->self, room);
    if (err == 0 && (!room->iov_base || room->iov_len == 0))
        err = -ENOBUFS;
    thi_transport_judge(t, "get_buffer", err);
    return err >= 0 && thi_transport_may_read(t);
}

static void tell_filled(th_transport *t, size_t n)
{
    thi_transport_judge(t, "buffer_updated", t->protocol->buffer_updated(t, t->self, n));
}

static void tell_data(th_transport *t, const char *bytes, size_t n)
{
    th_str data = th_str_make(bytes, n);
    thi_transport_judge(t, "data_received", t->protocol->data_received(t, t->self, data));
}

/* ---- what was given back ---- */

/* Hands out what is left of a piece, which is out of the list meanwhile. */
static void reread_all(th_transport *t)
{
    thi_unread *u = t->unread;
    size_t at = u->at;
    t->unread = u->next;
    t->present = u;
    u->at = u->end;
    tell_data(t, u->bytes + at, u->end - at);
    if (t->present == u) /* else it was given back, and is in the list again */
        thi_free(u);
    t->present = NULL;
}

/* Puts as much of it as there is room for where the protocol says. */
static void reread_some(th_transport *t)
{
    struct iovec room;
    if (!get_room(t, &room) || !t->unread)
        return;
    thi_unread *u = t->unread;
    size_t part = thi_min(room.iov_len, u->end - u->at);
    memcpy(room.iov_base, u->bytes + u->at, part);
    u->at += part;
    if (u->at == u->end) {
        t->unread = u->next;
        thi_free(u);
    }
    tell_filled(t, part);
}

static void reread(th_transport *t)
{
    if (is_buffered(t))
        reread_some(t);
    else
        reread_all(t);
}

void thi_transport_drop_unread(th_transport *t)
{
    while (t->unread) {
        thi_unread *u = t->unread;
        t->unread = u->next;
        thi_free(u);
    }
}

/* The usual case: the end of what is being received for the second time. */
static bool put_back(th_transport *t, const char *bytes, size_t size)
{
    thi_unread *u = t->present;
    if (!u || u->at != u->end || size > u->end || bytes != u->bytes + u->end - size)
        return false;
    u->at = u->end - size;
    u->next = t->unread;
    t->unread = u;
    t->present = NULL;
    return true;
}

int th_transport_unread(th_transport *t, const void *buf, size_t size)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!t->reads || t->carrier->datagrams || (!buf && size > 0))
        return -EINVAL;
    if (size == 0 || t->closing || t->dead)
        return 0;
    if (TH_UNLIKELY(t->upgrade != NULL) && thi_transport_is_upgrading(t))
        return -EBUSY;
    thi_transport_later(t);
    if (put_back(t, buf, size))
        return 0;
    thi_unread *u = thi_alloc(sizeof *u + size);
    if (!u)
        return -ENOMEM;
    *u = (thi_unread){ .next = t->unread, .end = size };
    memcpy(u->bytes, buf, size);
    t->unread = u;
    return 0;
}

/* ---- what the carrier has ---- */

/* Before urgent bytes a read stops; and after the last one the kernel tells nothing more. */
static bool has_emptied(th_transport *t, size_t n, size_t size)
{
    if (n == size || (t->watch.ready & (THI_HUP | THI_PRI)))
        return false;
    return !t->carrier->may_have_more || !t->carrier->may_have_more(t);
}

/* What a read has brought; whether the carrier may have more. */
static bool receive(th_transport *t, ssize_t n, char *bytes, size_t size)
{
    bool buffered = is_buffered(t);
    if (n == -EAGAIN && TH_UNLIKELY(t->watch.ready & THI_PRI)) {
        t->watch.ready &= (uint8_t)~THI_PRI; /* it may have stopped there for a signal: once more */
        return true;
    }
    if (n == -EAGAIN) {
        thi_transport_want(t, THI_READ);
        return false;
    }
    if (n <= 0) {
        t->at_end = n == 0;
        if (n < 0)
            thi_transport_fail(t, (int)n);
        else
            thi_transport_later(t);
        return false;
    }
    t->received += (uint64_t)n;
    bool emptied = has_emptied(t, (size_t)n, size);
    if (emptied)
        thi_transport_want(t, THI_READ);
    if (t->dead)
        return false;
    if (buffered)
        tell_filled(t, (size_t)n);
    else
        tell_data(t, bytes, (size_t)n);
    return !emptied;
}

static bool read_once(th_transport *t)
{
    struct iovec room = { thi_worker_scratch(), THI_TRANSPORT_READ };
    if (is_buffered(t) && !get_room(t, &room))
        return false;
    ssize_t n = t->carrier->read(t, room.iov_base, room.iov_len);
    return receive(t, n, room.iov_base, room.iov_len);
}

static void read_stream(th_transport *t)
{
    for (int i = 0; i < READS; i++) {
        if (!thi_transport_may_read(t))
            return;
        if (t->unread) {
            reread(t);
        } else if (!t->reads || t->at_end || !(t->watch.ready & THI_READ)) {
            return;
        } else if (!read_once(t)) {
            if (!t->unread)
                return;
        }
    }
    if (thi_transport_may_read(t))
        thi_transport_later(t);
}

void thi_transport_read(th_transport *t)
{
    if (TH_UNLIKELY(t->carrier->datagrams))
        t->carrier->receive_datagrams(t);
    else
        read_stream(t);
}

int th_transport_pause_reading(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err == 0)
        t->paused = true;
    return err;
}

int th_transport_resume_reading(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err < 0 || !t->paused)
        return err;
    t->paused = false;
    thi_transport_later(t);
    return 0;
}
