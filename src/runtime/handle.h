/* SPDX-License-Identifier: MIT */

/*
 * Handles: what th_spawn_with() gives out, to join and to cancel one fiber.
 *
 * A handle is an object of its own, because it lives longer than its fiber and, where the start has
 * to travel or to wait for its time, begins to live earlier. A fiber without one pays nothing for
 * them. A th_fiber pointer of the user is a handle, or the fiber itself (th_fiber_self()); both
 * begin with a word that tells which.
 *
 * Everybody may join and cancel, from any worker and any thread. The state is guarded by the lock
 * of `joiners`; the fiber itself is touched on its own worker only, to which a canceller elsewhere
 * sends a message. That message must find its loop, so a fiber that ends while one is under way is
 * not counted as ended in its scope before it has arrived.
 *
 * A fiber that is cancelled alone gets a scope of its own, put in between its home and all that it
 * has opened, and that is cancelled: so its calls find out as they always do, what it has started
 * is reached, and nobody has to look at a second flag.
 */
#ifndef THI_RUNTIME_HANDLE_H
#define THI_RUNTIME_HANDLE_H

#include "runtime/tree.h"
#include "runtime/waiter.h"

typedef struct thi_handle thi_handle;

/* WAITING: for room, or on the way to its worker; DELAYED: for its time; RUNNING; ENDED. */
enum { THI_HANDLE_WAITING, THI_HANDLE_DELAYED, THI_HANDLE_RUNNING, THI_HANDLE_ENDED };

struct thi_handle {
    uint32_t kind; /* THI_IS_HANDLE */
    atomic_uint refs;
    th_fiber *fiber;       /* the one it is for; NULL before its start and after its end */
    thi_follower follower; /* of the fiber */
    thi_timer *delay;      /* while DELAYED: when it runs out the delay is over */
    thi_worker *worker;    /* on which the fiber, or the delay, is; while there is one */
    uint64_t id;
    const char *name;
    const char *origin;
    thi_waitq joiners; /* its lock guards what follows, and `worker` */
    uint8_t state;
    bool telling; /* the message is under way */
    int reason;   /* for which it was cancelled; 0: it was not */
    int result;   /* once ended */
    atomic_bool ended;
    thi_msg msg; /* to the worker: it was cancelled */
    thi_scope
        *owing; /* where the end is still to be counted when the message arrives, and as what */
    int owed;
    thi_scope own; /* in use once its fiber is cancelled */
};

/* Makes one for a start, for the caller and for the start itself; NULL without memory. */
thi_handle *thi_handle_new(thi_worker *worker, const char *name, const char *origin, bool away);

/* Gives one back. */
void thi_handle_unref(thi_handle *handle);

/* On the worker where it shall run, before the fiber is made: false when it was cancelled. */
bool thi_handle_start(thi_handle *handle, thi_worker *worker);

/* Has a fiber that was made for it. */
void thi_handle_attach(thi_handle *handle, th_fiber *fiber);

/* On the worker of the delay: it begins; it is over: false when it was cancelled. */
void thi_handle_delay(thi_handle *handle, thi_worker *worker, thi_timer *delay);
bool thi_handle_undelay(thi_handle *handle);

/*
 * The end of the fiber, or of what should have become one: tells the joiners, counts the end in the
 * scope or sees to it that it will be, and gives the start's reference back.
 */
void thi_handle_end(thi_handle *handle, thi_scope *home, int result);
#endif
