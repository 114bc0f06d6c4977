/* SPDX-License-Identifier: MIT */

/*
 * Moves bytes between an engine and the stream below it, and makes fibers wait where they have to.
 *
 * Every call here is made on a fiber of the worker.
 */
#ifndef THI_TLS_PUMP_H
#define THI_TLS_PUMP_H

#include "base/list.h"
#include "io/stream.h"
#include "runtime/sched.h"
#include "tls/engine.h"
#include "tls/pool.h"

typedef struct thi_tls_pump {
    thi_tls_engine engine;
    th_stream *below;
    thi_worker *worker;
    thi_list waiters;            /* fibers that wait for a turn */
    int64_t handshake_time;      /* ns; TH_NEVER: no limit */
    int64_t handshake_end;       /* by the clock, once it has begun */
    struct th_scope *rest_scope; /* of the fiber that sends what is left, while it is in it */
    bool shaking;                /* a fiber makes the handshake */
    bool flushing;               /* a fiber is in a step of the stream below that sends */
    bool rest_fiber;             /* a fiber of our own sends what is left in wire.out */
    bool keep_below; /* the stream below is somebody else's, who may free it at any time */
    bool closed;
    bool lingering; /* closed for the user, open below until that fiber has sent what is left */
    bool abandoned; /* freed while that fiber was still there */
    thi_tls_orphan orphan; /* in the worker's list then; `never` is set from the start */
} thi_tls_pump;

/* Says that something has changed for those who wait for a turn. */
void thi_tls_pump_turn(thi_tls_pump *pump);

/* Waits until the engine is not busy: 0; -ECANCELED when it is closed meanwhile, or the scope's. */
TH_MUST int thi_tls_pump_enter(thi_tls_pump *pump);

/* Waits for bytes of the peer, and feeds them to the engine: 0, also for the end, or an error. */
TH_MUST int thi_tls_pump_pull(thi_tls_pump *pump);

/* The same without a wait: -EAGAIN when there are none. */
TH_MUST int thi_tls_pump_try_pull(thi_tls_pump *pump);

/* Sends all there is in wire.out: 0 or an error. */
TH_MUST int thi_tls_pump_flush(thi_tls_pump *pump);

/* The same as far as it goes without a wait: 0 also when something is left. */
int thi_tls_pump_push(thi_tls_pump *pump);

/*
 * Steps of a writer where the kernel makes the records (wire.kernel.sends): the user's bytes go to
 * the stream below as they are, behind what is in wire.out. As the calls of a stream. Before the
 * one that tries, wire.out has to be empty.
 */
TH_MUST ssize_t thi_tls_pump_plain_writev(thi_tls_pump *pump, const struct iovec *iov, int count);
TH_MUST ssize_t thi_tls_pump_plain_sendfile(thi_tls_pump *pump, int fd, int64_t offset,
                                            size_t size);
TH_MUST ssize_t thi_tls_pump_plain_try_writev(thi_tls_pump *pump, const struct iovec *iov,
                                              int count);

/* Sees to it that what is left in wire.out is sent though nobody waits for that. */
void thi_tls_pump_send_rest(thi_tls_pump *pump);

/* Closes: what is left is sent first, by a fiber of our own, if `linger` allows; then the stream
 * below is closed. What the close below says, if that is now. */
int thi_tls_pump_close(thi_tls_pump *pump, bool linger);

/* Waits until the fiber that does has ended. */
TH_MUST int thi_tls_pump_await_rest(thi_tls_pump *pump);

/* Makes the handshake, or waits until the fiber that does has made it. */
TH_MUST int thi_tls_pump_handshake(thi_tls_pump *pump);

#endif
