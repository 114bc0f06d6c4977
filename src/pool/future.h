/* SPDX-License-Identifier: MIT */

/* Futures from inside: how they are completed, watched, and made by those who do the work. */
#ifndef THI_POOL_FUTURE_H
#define THI_POOL_FUTURE_H

#include "base/list.h"
#include "runtime/waiter.h"

#include <thrum/future.h>

typedef struct thi_future_watch thi_future_watch;
typedef struct thi_future_then thi_future_then;

/* Called once under the future's lock when it is done; may add waiters to be woken to *woken. */
struct thi_future_watch {
    thi_list link;
    bool set; /* in the future's list; under its lock */
    void (*fn)(thi_future_watch *watch, thi_waiter **woken);
};

/* What is known of the work; each may be called only while the future is not done. */
typedef struct thi_future_ops {
    /* Under the future's lock: true if the work will never begin now. May add to *woken. */
    bool (*revoke)(th_future *future, thi_waiter **woken);
    /* Does the work on the calling thread if that would else wait for itself. May be NULL. */
    void (*help)(th_future *future);
} thi_future_ops;

struct th_future {
    thi_waitq waiters; /* its lock guards all but state and refs */
    thi_list watches;
    thi_future_then *thens; /* in order of registration */
    thi_future_then **thens_end;
    const thi_future_ops *ops;       /* NULL: a promise */
    void (*free)(th_future *future); /* the last handle was given back */
    atomic_uint refs;
    atomic_int state; /* TH_FUTURE_*; DONE under the lock */
    int result;       /* written before DONE, not changed after */
    bool cancelled;   /* result is the -ECANCELED of th_future_cancel() */
};

void thi_future_init(th_future *future, const thi_future_ops *ops, unsigned refs,
                     void (*free)(th_future *future));

static inline bool thi_future_is_done(const th_future *future)
{
    return atomic_load_explicit(&future->state, memory_order_acquire) == TH_FUTURE_DONE;
}

/* Says that the work has begun. */
static inline void thi_future_begin(th_future *future)
{
    atomic_store_explicit(&future->state, TH_FUTURE_RUNNING, memory_order_relaxed);
}

/*
 * Completes a future and runs what was registered with th_future_then(). Those who wait are taken
 * out, for the caller to wake with thi_waiter_wake_all(). -EALREADY when it is done already.
 */
int thi_future_complete(th_future *future, int result, thi_waiter **woken);

/* Sets a watch; on a future that is done it is called at once. */
void thi_future_watch_set(th_future *future, thi_future_watch *watch);

/* Takes a watch back. When this returns it has been called, or never will be. */
void thi_future_watch_unset(th_future *future, thi_future_watch *watch);

#endif
