/* SPDX-License-Identifier: MIT */

/*
 * The inside of a transport: its state, and what its parts call of each other.
 *
 * transport.c is its life: who is told what, in which order, and when it is over. transport_read.c
 * takes what arrives to the protocol; transport_write.c sends, and keeps what cannot be sent yet;
 * transport_file.c sends files; transport_producer.c holds producers back; transport_tls.c begins
 * TLS in the middle. What carries the bytes is behind a table.
 *
 * All that a protocol is told happens in thi_transport's one deferred function and in the events of
 * its watch, both called by the loop. A call of the user changes the state and has the deferred
 * function look at it: so no function of a protocol runs inside such a call.
 */
#ifndef THI_CALLBACK_TRANSPORT_H
#define THI_CALLBACK_TRANSPORT_H

#include "callback/outqueue.h"
#include "net/origin.h"
#include "runtime/tree.h"
#include "runtime/worker.h"

#include <thrum/protocol.h>
#include <thrum/transport.h>

/* One read takes at most this much. */
#define THI_TRANSPORT_READ THI_SCRATCH_SIZE

/* What carries the bytes. All but `close` return -EAGAIN where they would have to wait. */
typedef struct thi_carrier {
    const char *name;
    bool datagrams;
    /* Whether a read that comes back short may have left something; NULL: it never does. */
    bool (*may_have_more)(th_transport *transport);
    /* Bytes read, 0 at the end, or an error. */
    ssize_t (*read)(th_transport *transport, void *buf, size_t size);
    /* Bytes of the pieces that were taken, at least 1, or an error. */
    ssize_t (*writev)(th_transport *transport, const struct iovec *iov, int count);
    /* Bytes of the file, 0 where it ends, or an error; NULL where it must be copied. */
    ssize_t (*sendfile)(th_transport *transport, int fd, int64_t at, size_t size);
    /* Ends the sending direction. */
    int (*shutdown)(th_transport *transport);
    /* An orderly close ends the sending direction first, for the peer is to know it by that. */
    bool says_end;
    /* Sends bytes of its own that wait, as the transport's `behind` says: 0, -EAGAIN or an error.
     * NULL: it never has any. */
    int (*flush)(th_transport *transport);
    /* Puts the detail of the failure that ended it in force; may be NULL. */
    void (*explain)(th_transport *transport);
    /* Asks for an event when a direction is ready. */
    int (*want)(th_transport *transport, unsigned dirs);
    /* Those of datagrams receive and send in their own way, and have none of the above. */
    void (*receive_datagrams)(th_transport *transport);
    void (*flush_datagrams)(th_transport *transport);
    void (*drop_datagrams)(th_transport *transport);
    /* Whether an event of one that is only written to says that nobody reads; may be NULL. */
    bool (*is_gone)(th_transport *transport, unsigned events);
    /* Ends both, and gives the carrier back. With `reset` the peer sees it broken off. */
    void (*close)(th_transport *transport, bool reset);
    int (*peer)(const th_transport *transport, th_addr *addr);
    int (*local)(const th_transport *transport, th_addr *addr);
} thi_carrier;

/* Bytes that are to be received once more, before others. */
typedef struct thi_unread {
    struct thi_unread *next;
    size_t at;
    size_t end;
    char bytes[];
} thi_unread;

struct th_transport {
    const thi_carrier *carrier;
    const th_protocol *protocol;
    void *self;
    int (*left)(th_transport *transport, void *self); /* told when it gets another one; or NULL */
    thi_worker *worker;
    thi_watch watch;     /* of a descriptor; of other carriers only `ready` is used */
    void *carried;       /* the carrier's own */
    uint8_t family;      /* of a socket, as far as anybody has asked; the carrier's */
    thi_origin *origin;  /* of an accepted connection; NULL: nothing is known */
    struct thi_tap *tap; /* of whoever captures; NULL: nobody has so far */

    thi_outqueue out; /* datagrams are only counted here, and wait elsewhere */
    size_t waiting;   /* datagrams that wait */
    size_t high;
    size_t low;
    thi_unread *unread;  /* first to be received first */
    thi_unread *present; /* the one of these that is being received; not in the list */
    uint64_t received;
    uint64_t sent;
    uint64_t dropped;

    thi_deferred later;
    thi_scope *scope; /* what it is a child of; NULL when it has ended */
    thi_far_child told;
    thi_list link;                          /* its maker's */
    void *maker;                            /* likewise */
    void (*ended)(th_transport *transport); /* called at the end; NULL: nobody wants to know */
    unsigned refs;
    int reason; /* why it is dead */

    const th_transport_producer *producer;
    void *producer_self;
    struct thi_sending *finished; /* files that have been sent, or not, and of which nobody has
                                     been told */
    bool file_busy;               /* a thread of the pool reads one */
    struct thi_upgrade *upgrade;  /* to TLS, asked for or under way; NULL: there is none */

    bool behind;   /* the carrier has bytes of its own that wait to be sent */
    bool lent;     /* its descriptor is not its own yet */
    bool made;     /* connection_made() has been called */
    bool paused;   /* by the user */
    bool reads;    /* the carrier has that direction */
    bool at_end;   /* the end has been read */
    bool end_told; /* and the protocol told */
    bool ends;     /* write_eof was asked for */
    bool end_sent; /* and has been done */
    bool end_sent_told;
    bool over; /* more than `high` have waited, and not yet fewer than `low` */
    bool over_told;
    bool promised;   /* a write has said that resuming will be told */
    bool held;       /* the producer was told to pause */
    bool primed;     /* the producer has been asked since something was last written */
    bool owes_stop;  /* one registered at the end holds a reference until it is told */
    bool closing;    /* in order */
    bool dead;       /* `reason` says why; nothing but the end is told any more */
    bool lost;       /* connection_lost() has been called */
    bool resets;     /* the peer is to see it broken off */
    bool stop_asked; /* the protocol is to be told of an orderly stop */
};

/* ---- transport.c ---- */

/*
 * A transport of the calling worker, with no protocol and no scope yet; the carrier fills in its
 * own and what can be read. -ENOMEM gives NULL.
 */
TH_MUST th_transport *thi_transport_new(const thi_carrier *carrier);

/* Frees one that was never started, and closes its carrier. */
void thi_transport_discard(th_transport *transport);

/*
 * Takes a place in a scope of this worker for what is not there yet: 0, or the scope's status,
 * -EAGAIN, -EINVAL. thi_scope_child_ended() gives it back.
 */
TH_MUST int thi_transport_take_place(thi_scope *scope);

/* The scope that options name, or that a caller is in; -EINVAL, -EPERM. */
TH_MUST int thi_transport_find_scope(const th_protocol_opts *opts, thi_scope **scope);

/*
 * Has the factory name a protocol, and makes the transport a child of the scope, in the place that
 * was taken for it. On failure both are the caller's to give back.
 */
TH_MUST int thi_transport_start(th_transport *transport, thi_scope *scope,
                                th_protocol_factory factory, void *arg);

/* The same with a descriptor that, if it fails, is the caller's again; the transport is then gone,
 * the place is not. */
TH_MUST int thi_transport_start_lent(th_transport *transport, thi_scope *scope,
                                     th_protocol_factory factory, void *arg);

/* Has the loop look at the state. */
static inline void thi_transport_later(th_transport *transport)
{
    thi_loop_defer(&transport->worker->loop, &transport->later);
}

/* Ends it with that reason, unless it has one. */
void thi_transport_fail(th_transport *transport, int reason);

/* What a watch of the carrier, or the carrier itself, has seen; by the loop. */
void thi_transport_event(th_transport *transport, unsigned events);

/* A function of the protocol has failed: that ends the connection. */
void thi_transport_condemn(th_transport *transport, const char *what, int result);

/* What a function of the protocol has returned. */
static inline void thi_transport_judge(th_transport *transport, const char *what, int result)
{
    if (TH_UNLIKELY(result < 0))
        thi_transport_condemn(transport, what, result);
}

/* Whether the user may call: 0, -EINVAL, -EPERM. */
static inline int thi_transport_check(const th_transport *transport)
{
    if (TH_UNLIKELY(!transport))
        return -EINVAL;
    return TH_LIKELY(thi_worker_self == transport->worker) ? 0 : -EPERM;
}

/* After EAGAIN, or a short read: an event will tell when there is more. */
static inline void thi_transport_want(th_transport *transport, unsigned dir)
{
    transport->watch.ready &= (uint8_t)~dir;
    int err = transport->carrier->want(transport, dir);
    if (TH_UNLIKELY(err < 0))
        thi_transport_fail(transport, err);
}

/* ---- transport_read.c ---- */

/* Takes what there is to the protocol, some of it; by the loop. */
void thi_transport_read(th_transport *transport);

/* Whether the protocol may be handed something. */
bool thi_transport_may_read(const th_transport *transport);

/* Drops what was given back. */
void thi_transport_drop_unread(th_transport *transport);

/* ---- transport_write.c ---- */

/* Whether nothing waits to be sent. */
static inline bool thi_transport_is_idle(const th_transport *transport)
{
    return thi_outqueue_empty(&transport->out) && transport->waiting == 0 && !transport->behind;
}

/* Sends what waits, as far as that goes; by the loop, or before it knows. */
void thi_transport_flush(th_transport *transport);

/* Compares what waits with the marks, and sees what follows when nothing waits. */
void thi_transport_settle(th_transport *transport);

/* Counts a write that came after the end. */
void thi_transport_count_drop(th_transport *transport);

/* Drops what waits; files go to `finished`. */
void thi_transport_drop_waiting(th_transport *transport);

/* ---- transport_file.c ---- */

/* One step of the file that is first: bytes that moved, -EAGAIN, -EINPROGRESS while the pool reads
 * it, or an error. */
ssize_t thi_transport_file_step(th_transport *transport, thi_outfile *file);

/* Tells who sent files of their ends; by the loop. */
void thi_transport_tell_files(th_transport *transport);

/* Moves a file that is out of the queue to those to be told of. */
void thi_transport_file_done(th_transport *transport, thi_outfile *file, int result);

/* ---- transport_tls.c ---- */

typedef struct thi_upgrade thi_upgrade;

/* Begins the upgrade there is, if it can begin now; by the loop. */
void thi_transport_begin_upgrade(th_transport *transport);

/* Whether it has begun. */
bool thi_transport_is_upgrading(const th_transport *transport);

/* Gives it up; no-op where there is none. */
void thi_transport_drop_upgrade(th_transport *transport);

/* ---- transport_producer.c ---- */

/* Tells the producer what it has to know; by the loop. */
void thi_transport_tell_producer(th_transport *transport);

/* Tells it of the end, if there is one. */
void thi_transport_stop_producer(th_transport *transport);

#endif
