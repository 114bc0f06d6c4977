/* SPDX-License-Identifier: MIT */

/*
 * The event loop of one worker: descriptors to watch, timers, messages from other threads.
 *
 * It knows no fibers. One thread owns a loop and makes all calls on it, except thi_loop_post...()
 * and thi_loop_wake(), which any thread may make. The owner is the thread that takes the first
 * turn; another one may open the loop for it, and close it once the owner has ended.
 *
 * Back ends are engines behind one small table, and all of them give the same promise:
 *
 *   After thi_loop_want(watch, dirs) the watch's function is called once the descriptor is ready in
 *   one of these directions, and then not again before it is wanted again. An edge-triggered engine
 *   needs no telling and may call without being asked: whoever reads the event looks at `ready`.
 *   PRI has to be wanted once on any of them, and may come with other events while it lasts.
 *
 * So the owner of a watch tries first; when the kernel says EAGAIN it clears the direction in
 * `ready`, wants it, and waits for the call. Events are never delivered to a watch after
 * thi_loop_unwatch(), even if they belong to the batch that is being dispatched.
 *
 * Some engines can also make calls on files by themselves: an operation is submitted, and its
 * function is called once, from the loop, when the call is done.
 */
#ifndef THI_LOOP_LOOP_H
#define THI_LOOP_LOOP_H

#include "base/mpsc.h"
#include "base/trace.h"
#include "loop/timer.h"
#include "sys/filecall.h"

#include <thrum/defs.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Directions and conditions. HUP: the peer will send no more, or an error is pending. PRI, which is
 * a direction as well: something exceptional is there to be read, urgent data of TCP above all.
 */
enum { THI_READ = 1, THI_WRITE = 2, THI_HUP = 4, THI_PRI = 8 };

/* The descriptor is watched by several loops: wake one of them, and again while it is readable. */
enum { THI_WATCH_SHARED = 1 };

typedef struct thi_loop thi_loop;
typedef struct thi_watch thi_watch;
typedef struct thi_engine thi_engine;
typedef struct thi_msg thi_msg;
typedef struct thi_deferred thi_deferred;
typedef struct thi_op thi_op;

/* One watched descriptor; the owner's storage, from thi_loop_watch to thi_loop_unwatch. */
struct thi_watch {
    int fd;
    uint8_t ready;  /* directions that may be tried; set by the loop, cleared by the owner */
    uint8_t wanted; /* directions asked for and not yet reported (engines that need telling) */
    uint8_t flags;  /* THI_WATCH_* */
    uint32_t slot;  /* the engine's own */
    void (*fn)(thi_watch *watch, unsigned events);
};

/* A message to a loop; the sender's storage until its function has been called by the receiver. */
struct thi_msg {
    thi_qnode node;
    void (*fn)(thi_msg *msg);
};

/* Something to do once the events of a turn have been dispatched; its owner's storage. */
struct thi_deferred {
    thi_list link;
    bool set;
    void (*fn)(thi_deferred *deferred);
};

/* A call that the engine makes; its owner's storage until fn has been called. */
struct thi_op {
    thi_list link; /* the engine's own, as is `doubted` */
    bool doubted;
    int32_t result; /* of the call, once fn is called; -EIO also when the kernel has lost it */
    const thi_filecall *call;
    void (*fn)(thi_op *op);
};

struct thi_loop {
    const thi_engine *engine;
    void *state;      /* the engine's own */
    int64_t now;      /* the clock as of this turn's events; others read it too */
    bool stale;       /* `now` is from before the engine waited; others read it too */
    bool restless;    /* what was deferred has made work for others: do not sleep in this turn */
    bool dispatching; /* the engine waits, or hands out events */
    uint64_t turns;   /* turns taken */
    uint64_t events;  /* events dispatched */
    uint64_t slept;   /* turns that were allowed to sleep */
    size_t watches;   /* descriptors watched, the loop's own included */
    thi_list deferred;
    thi_timers timers;
    thi_watch waker; /* on an eventfd */
    /* Written by other threads: kept a cache line away from what the loop writes all the time. */
    char apart[THI_CACHE_LINE];
    thi_mpsc inbox;
    atomic_bool
        sleeping;       /* the loop is, or is about to be, in the kernel without a look at inbox */
    atomic_uint guests; /* threads inside thi_loop_post_as_guest() */
};

/* An engine: what a back end implements. All calls come from the loop's own thread. */
struct thi_engine {
    const char *name;
    int (*open)(thi_loop *loop);
    void (*close)(thi_loop *loop);
    int (*add)(thi_loop *loop, thi_watch *watch);
    void (*remove)(thi_loop *loop, thi_watch *watch);
    /* NULL where events come without being asked for. */
    int (*want)(thi_loop *loop, thi_watch *watch, unsigned dirs);
    /* Waits at most timeout ns (negative: for ever) and dispatches; events seen or -errno. */
    int (*wait)(thi_loop *loop, int64_t timeout);
    /* Both NULL where the engine makes no calls. */
    int (*submit)(thi_loop *loop, thi_op *op);
    void (*cancel)(thi_loop *loop, thi_op *op);
    /*
     * Both NULL where the loop cannot be waited for from outside. The descriptor, or -errno, is
     * readable while there is something to dispatch; before somebody else waits for it the loop is
     * settled, so that nothing is left that only the next wait would hand to the kernel. An error
     * of that says that there is.
     */
    int (*descriptor)(thi_loop *loop);
    int (*settle)(thi_loop *loop);
};

/* Opens a loop on an engine; -errno of whatever it could not get. */
TH_MUST int thi_loop_open(thi_loop *loop, const thi_engine *engine);

/*
 * Gives everything back, once no guest is left. Whoever still has watches or timers on it must not
 * use them any more.
 */
void thi_loop_close(thi_loop *loop);

/*
 * Starts watching fd, in no direction yet. Reading and writing count as ready until the owner
 * has found out otherwise. -EPERM for a regular file or a directory, whatever the engine; -EEXIST
 * when this loop watches it already; -EBADF; -ENFILE when the engine can hold no more. A shared
 * watch needs no want(): it is called in each turn while there is something to read, until it is
 * hung up.
 */
TH_MUST int thi_loop_watch(thi_loop *loop, thi_watch *watch, int fd, unsigned flags,
                           void (*fn)(thi_watch *watch, unsigned events));

/* Stops watching. Call it before closing the descriptor. */
void thi_loop_unwatch(thi_loop *loop, thi_watch *watch);

/* Asks for a call when one of the directions is ready. */
TH_MUST static inline int thi_loop_want(thi_loop *loop, thi_watch *watch, unsigned dirs)
{
    return loop->engine->want ? loop->engine->want(loop, watch, dirs) : 0;
}

/*
 * Has the engine make op->call. 0: it will be made, and op->fn called, by no means before this
 * returns. -EOPNOTSUPP when the engine cannot make such a call, -EAGAIN when it can make none now.
 */
TH_MUST static inline int thi_loop_submit(thi_loop *loop, thi_op *op)
{
    return loop->engine->submit ? loop->engine->submit(loop, op) : -EOPNOTSUPP;
}

/*
 * Asks for the end of a call that was submitted. Its function is called all the same, with
 * -ECANCELED (or -EINTR) for a call that came to nothing, or what it has done.
 */
static inline void thi_loop_cancel(thi_loop *loop, thi_op *op)
{
    loop->engine->cancel(loop, op);
}

/* Takes a message from any thread and wakes the loop if it sleeps. Messages keep their order. */
void thi_loop_post(thi_loop *loop, thi_msg *msg);

/* The same for a thread that does not know that the loop stays open until it returns: the message
 * itself may be what the loop's owner waits for before it closes it. */
void thi_loop_post_as_guest(thi_loop *loop, thi_msg *msg);

/* Makes a sleeping loop return from its turn. Any thread, and signal handlers. */
void thi_loop_wake(thi_loop *loop);

/* Prepares something to do later; it is not set. */
static inline void thi_deferred_init(thi_deferred *deferred, void (*fn)(thi_deferred *deferred))
{
    deferred->set = false;
    deferred->fn = fn;
}

/* Has it done when the events of this turn, or of the next one, have been dispatched, before the
 * loop sleeps. No-op when it is set. */
static inline void thi_loop_defer(thi_loop *loop, thi_deferred *deferred)
{
    if (deferred->set)
        return;
    deferred->set = true;
    thi_list_push_back(&loop->deferred, &deferred->link);
}

/* For what is deferred: somebody who is no part of the loop has got something to do by it. */
static inline void thi_loop_stay_awake(thi_loop *loop)
{
    loop->restless = true;
}

/* Takes it back; no-op when it is not set. */
static inline void thi_loop_undefer(thi_deferred *deferred)
{
    if (deferred->set)
        thi_list_remove(&deferred->link);
    deferred->set = false;
}

/*
 * One turn: waits for events until the given time at the latest (0: does not wait; INT64_MAX: as
 * long as it takes) or the next timer, then dispatches events, what was deferred, messages, timers,
 * in this order.
 * How many events the engine saw, or -errno; being interrupted is no error.
 */
TH_MUST int thi_loop_turn(thi_loop *loop, int64_t until);

/*
 * For an owner who leaves the loop alone until its engine's descriptor is readable: from now on
 * whoever posts makes it so, as if the loop slept. Returns the time at which a turn is due at the
 * latest, 0 for at once; thi_loop_return() comes before that turn.
 */
TH_MUST int64_t thi_loop_leave(thi_loop *loop);
void thi_loop_return(thi_loop *loop);

/*
 * Any thread: for how long the owner has been busy with what it found when it last came from
 * waiting; 0 while it waits, and before its first turn.
 */
static inline int64_t thi_loop_busy_for(const thi_loop *loop, int64_t now)
{
    if (__atomic_load_n(&loop->stale, __ATOMIC_ACQUIRE))
        return 0;
    return now - __atomic_load_n(&loop->now, __ATOMIC_RELAXED);
}

/* Whether the loop rests, as others see it. */
static inline void thi_loop_set_stale(thi_loop *loop, bool stale)
{
    __atomic_store_n(&loop->stale, stale, __ATOMIC_RELEASE);
}

/* Looks at the clock after waiting. */
void thi_loop_look_at_clock(thi_loop *loop);

/*
 * For engines: tells a watch what was seen. An error or a hang-up makes both directions ready. The
 * wait may have been long: the first event finds the clock read anew, as the messages and timers
 * do.
 */
static inline void thi_loop_deliver(thi_loop *loop, thi_watch *watch, unsigned events)
{
    if (loop->stale)
        thi_loop_look_at_clock(loop);
    if (events & THI_HUP)
        events |= THI_READ | THI_WRITE;
    watch->ready |= (uint8_t)events;
    loop->events++;
    int64_t began = thi_trace_begin();
    uint64_t fd = (uint64_t)watch->fd;
    uintptr_t fn = (uintptr_t)watch->fn;
    watch->fn(watch, events);
    thi_trace_end(began, TH_TRACE_EVENT, fd, events, fn);
}

/* For engines: a call is done. */
static inline void thi_loop_complete(thi_loop *loop, thi_op *op, int32_t result)
{
    if (loop->stale)
        thi_loop_look_at_clock(loop);
    loop->events++;
    op->result = result;
    int64_t began = thi_trace_begin();
    uintptr_t fn = (uintptr_t)op->fn;
    op->fn(op);
    thi_trace_end(began, TH_TRACE_CALL, (uintptr_t)op, result < 0, fn);
}

/* Sets a timer, or another due time for one that is set. */
static inline void thi_loop_timer(thi_loop *loop, thi_timer *timer, int64_t due)
{
    if (TH_LIKELY(thi_timer_put_off(&loop->timers, timer, due)))
        return;
    thi_timer_set(&loop->timers, timer, due, loop->now);
}

#endif
