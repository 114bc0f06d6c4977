/* SPDX-License-Identifier: MIT */

/*
 * A datagram socket on a loop, without a fiber: functions are called with what arrives, and what
 * cannot be sent at once is queued.
 *
 * All functions are called from the loop, never inside of one of the calls below. A failure of one
 * datagram, sent or received, is told and changes nothing else: the next one is sent, receiving
 * goes on. The queue keeps its order, and each datagram its own target.
 */
#ifndef THI_NET_DGRAM_H
#define THI_NET_DGRAM_H

#include "loop/loop.h"
#include "net/addr.h"

#include <sys/types.h>

typedef struct thi_dgram thi_dgram;
typedef struct thi_dgram_ops thi_dgram_ops;

struct thi_dgram_ops {
    /* Something arrived, perhaps nothing but an address; flags as TH_DGRAM_CUT. The bytes are lent
     * for the call. */
    void (*received)(thi_dgram *d, const void *data, size_t size, const th_addr *peer,
                     unsigned flags);
    /* A datagram could not be sent, or one came back (to NULL: it is not known which). */
    void (*failed)(thi_dgram *d, int err, const th_addr *to);
    /* The queue had reached `high` and is at `low` or below again. May be NULL. */
    void (*room)(thi_dgram *d);
    /* It is over, the last call; the object is its owner's again. 0, or why it was aborted. */
    void (*closed)(thi_dgram *d, int err);
};

/* The owner's storage, from thi_dgram_open() to ops->closed. */
struct thi_dgram {
    const thi_dgram_ops *ops;
    thi_loop *loop;
    thi_watch watch;
    int family;
    bool connected;
    bool receiving;
    bool closing; /* closes once the queue is empty */
    bool closed;
    bool full;       /* `high` was reached and not `low` since */
    int why;         /* closed: what to tell */
    thi_list queue;  /* what is to be sent */
    thi_list failed; /* what could not be, until that is told */
    size_t queued;   /* bytes in the queue */
    size_t count;    /* datagrams in it */
    size_t high;     /* bytes; 0: no marks */
    size_t low;
    char *buf;       /* what is received */
    thi_msg later;   /* to itself: what must be told from the loop */
    bool posted;     /* it is on its way */
    thi_timer retry; /* of a Unix socket, whose peer's queue nobody watches */
};

/*
 * Starts on a descriptor of a datagram socket, which it owns on success. Nothing is received before
 * thi_dgram_receive(). -ENOMEM, and as thi_loop_watch().
 */
TH_MUST int thi_dgram_open(thi_dgram *d, thi_loop *loop, int fd, int family,
                           const thi_dgram_ops *ops);

/* Whether it has a peer; sending without a target is for one that has. At first it has none. */
static inline void thi_dgram_set_connected(thi_dgram *d, bool connected)
{
    d->connected = connected;
}

/* When the queue is full, in bytes, and when there is room again. */
static inline void thi_dgram_set_marks(thi_dgram *d, size_t high, size_t low)
{
    d->high = high;
    d->low = low;
}

/* Receives, or pauses. What arrives meanwhile the kernel keeps, as much as it has room for. */
void thi_dgram_receive(thi_dgram *d, bool on);

/*
 * Sends a datagram, at once or later; the bytes are copied if need be. 0, whatever becomes of it;
 * -EISCONN, -EDESTADDRREQ for a target that does not fit; -EBADF once closing has begun; -ENOMEM.
 */
TH_MUST int thi_dgram_send(thi_dgram *d, const void *data, size_t size, const th_addr *to);

/* Sends what is queued, then closes. */
void thi_dgram_close(thi_dgram *d);

/* Closes now; what is queued is lost. `err` is handed to ops->closed. */
void thi_dgram_abort(thi_dgram *d, int err);

#endif
