/* SPDX-License-Identifier: MIT */

/*
 * Dispatchers and their maps, as the files of this folder see them.
 *
 * A dispatcher has a watch on the worker's loop from when it has something to wait for. What the
 * loop tells is noted in two masks of directions:
 *
 *   sure   an event has come since, and nobody has used it up
 *   maybe  it was ready once, and whether it still is only a look with poll(2) can say
 *
 * A direction that is in neither is not ready, and the loop will tell when it becomes so. One that
 * a handler is called for moves from sure to maybe; a receive that came back short, or EAGAIN, then
 * takes it out. So a message that is read and answered costs no call beyond these two, and an event
 * whose cause is still there comes again, as if each turn had asked the kernel anew.
 *
 * Of these, `interest` is what the dispatcher wants to hear now. Whoever has some of its interest
 * in a mask is in map->ready; that list is what wakes the loop's fiber.
 *
 * Handlers may close and open their own dispatcher and every other. A dispatcher whose handlers are
 * being called is kept by a reference, and `serial` tells that it is another descriptor's by then.
 */
#ifndef THI_CALLBACK_DISPATCH_H
#define THI_CALLBACK_DISPATCH_H

#include "callback/dispatch_out.h"
#include "runtime/annex.h"
#include "runtime/sched.h"

#include <thrum/dispatcher.h>

#include <errno.h>
#include <poll.h>

/* All that a dispatcher can be told. */
#define THI_DISPATCH_ALL (THI_READ | THI_WRITE | THI_PRI | THI_HUP)

/* What all chats of a map read into, one after the other. */
#define THI_DISPATCH_IN_SIZE (64 * 1024)

struct th_dispatcher {
    thi_watch watch;     /* fd: -1 while the loop knows nothing of it */
    int fd;              /* -1: not open */
    struct thi_tap *tap; /* of whoever captures; NULL: nobody has so far */
    uint32_t serial;     /* of the descriptor: counts the openings and closings */
    uint8_t sure;
    uint8_t maybe;
    uint8_t told;  /* events that nobody handles, or that come once: not waited for any more */
    uint8_t quiet; /* of these, what no descriptor of it is told */
    uint8_t gates; /* THI_READ, THI_WRITE: as last asked */
    uint8_t state; /* TH_DISPATCHER_* */
    bool socket;   /* recv and send can be used */
    bool datagram; /* an empty one is no end */
    bool always;   /* a regular file: nothing tells when it is ready, it always is */
    bool over;     /* a hang-up was seen: no further event announces the end */
    bool gated;    /* it has gates of its own */
    bool ended;    /* `close` has been called */
    bool rests;    /* it listens, and lacks something: no client is accepted for a while */
    bool owing;    /* `drained` is to be called */
    bool held;     /* the map has a reference */
    uint32_t refs; /* the map's, the program's, and one while handlers run */
    thi_list link; /* in map->fresh before it was ever opened, map->open, closed, kept */
    thi_list ready_link;
    thi_list gated_link;
    th_dispatch_map *map; /* NULL: it is gone */
    const th_dispatcher_ops *ops;
    void *arg;
    const char *name;
    void (*closed)(th_dispatcher *d); /* of what is built on dispatchers; may be NULL */
    void (*end)(th_dispatcher *d);    /* frees it; likewise */
    thi_out out;
    th_addr addr;
};

struct th_dispatch_map {
    thi_worker *worker;
    thi_annex annex; /* of the worker's default map */
    thi_list fresh;  /* dispatchers that were never open */
    thi_list open;
    thi_list closed; /* those to be released at the end of the turn */
    thi_list kept;   /* those that were, but that the program still refers to */
    thi_list ready;  /* those with an interest that may be met */
    thi_list gated;  /* open ones with gates of their own */
    size_t count;    /* open ones */
    size_t push_high;
    bool running;
    bool is_default;
    bool woken;          /* a turn is to be taken in any case */
    bool late;           /* the turn's time is up */
    int leave;           /* what a handler returned that was called by a call of ours */
    int accepted;        /* the descriptor that `accepted` is being told of; -1: none, or taken */
    th_addr peer;        /* of that */
    int shown;           /* some descriptor, for whoever asks what the loop waits for */
    thi_wait *sleeper;   /* the loop's fiber, asleep */
    thi_timer timer;     /* of the turn */
    thi_timer rest;      /* of listeners that lack something */
    struct pollfd *look; /* what is looked at together */
    size_t look_room;
    char *in; /* THI_DISPATCH_IN_SIZE bytes; NULL until a chat reads */
};

/* ---- dispatch_map.c ---- */

/* The map that the caller means, NULL standing for the default: 0, -EPERM, -ENOMEM. */
TH_MUST int thi_dispatch_map_of(th_dispatch_map *map, th_dispatch_map **meant);

/* Has the loop's fiber take a turn. */
void thi_dispatch_wake(th_dispatch_map *map);

/* ---- dispatch_turn.c ---- */

/* One turn until a point in time at the latest: 0, what a handler returned to leave, or a failure.
 */
TH_MUST int thi_dispatch_turn(th_dispatch_map *map, int64_t until);

/* Releases what was closed and not opened again. */
void thi_dispatch_release_closed(th_dispatch_map *map);

/* ---- dispatch_event.c ---- */

/* Calls the handlers for the directions that are sure and wanted: 0, to leave, or a failure. */
TH_MUST int thi_dispatch_serve(th_dispatcher *d);

/* The event `close`: 0, or to leave. */
TH_MUST int thi_dispatch_handle_close(th_dispatcher *d);

/* What is done where the program has no handler `error`: 0, or to leave. */
TH_MUST int thi_dispatch_fail(th_dispatcher *d, int err);

/* The same for a connection that cannot be written to any more: nothing is tried after it. */
TH_MUST int thi_dispatch_handle_broken(th_dispatcher *d);

/* These from a call of ours within a handler: what the handler says is kept for the loop. */
void thi_dispatch_closed_in_call(th_dispatcher *d, bool broken);

/* The connection that was begun is there, or has failed. */
TH_MUST int thi_dispatch_handle_connect(th_dispatcher *d);

/* Whether an error means that a connection is broken. */
bool thi_dispatch_is_broken(ssize_t err);

/* ---- dispatch_send.c ---- */

/* Sends what is to be sent as far as it goes: 0, to leave, or a failure. */
TH_MUST int thi_dispatch_flush(th_dispatcher *d);

/* ---- dispatch_accept.c ---- */

/* A client waits: what a handler returns. */
TH_MUST int thi_dispatch_handle_client(th_dispatcher *d);

/* The listeners of a map may accept again. */
void thi_dispatch_on_rested(thi_timer *timer);

/* ---- dispatcher.c ---- */

/* What the dispatcher wants to hear now. */
unsigned thi_dispatch_interest(const th_dispatcher *d);

/* After anything has changed: asks the loop for what is missing, and makes the dispatcher ready. */
void thi_dispatch_review(th_dispatcher *d);

/* The gates are as said from now on. */
void thi_dispatch_set_gates(th_dispatcher *d, bool readable, bool writable);

/* Begins to watch, if that has not been done. */
TH_MUST int thi_dispatch_watch(th_dispatcher *d);

/* Readies storage of at least a dispatcher's size; 0 or an error as of th_dispatcher_new(). */
TH_MUST int thi_dispatcher_init(th_dispatcher *d, const th_dispatcher_ops *ops, void *arg,
                                th_dispatch_map *map);

/* Whether the calling thread may use it, and it is open: 0, -EPERM, -EBADF. */
TH_MUST static inline int thi_dispatch_may_use(const th_dispatcher *d)
{
    if (TH_UNLIKELY(d->map && d->map->worker != thi_worker_self))
        return -EPERM;
    return TH_LIKELY(d->fd >= 0) ? 0 : -EBADF;
}

/* ---- dispatch_text.c ---- */

/* Logs a message about a dispatcher. */
void thi_dispatch_log(th_dispatcher *d, th_log_level level, const char *format, ...)
    TH_PRINTF(3, 4);

#endif
