/* SPDX-License-Identifier: MIT */

/*
 * Futures: the result of work that is done elsewhere, on a pool's thread or by whoever promised it.
 *
 * A future is pending, then perhaps running, then done; from then on its result stays. Any number
 * of fibers of any worker and of plain threads may wait for the same one. A wait obeys the scope of
 * the fiber; the work itself knows no scope and goes on when nobody waits any more. Handles are
 * counted: whoever got one gives it back with th_future_unref(), at any time, and the memory goes
 * with the last handle, of which the work holds one until it has ended.
 */
#ifndef THRUM_FUTURE_H
#define THRUM_FUTURE_H

#include <stddef.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_future th_future;
typedef struct th_promise th_promise;
typedef struct th_gather th_gather;

/* Told of a result: the future, its result, and what was registered. */
typedef void (*th_future_fn)(th_future *future, int result, void *arg);

/* The states of a future, in order. */
enum {
    TH_FUTURE_PENDING, /* not begun; a promise stays so until it is kept */
    TH_FUTURE_RUNNING, /* the work runs */
    TH_FUTURE_DONE     /* the result is there, be it that of a cancellation */
};

/**
 * Waits until a future is done, and gives its result.
 *
 * What the work returned is told apart from what the caller's own scope says: the one is the
 * result, the other what this call returns. A thread of a pool that waits for work which that same
 * pool has not begun does it itself.
 *
 * @param future  a handle
 * @param result  out: what the work returned, or -ECANCELED when it never began; may be NULL
 * @return 0; -ECANCELED or -ETIMEDOUT when the future is not done and the caller's scope says so;
 *         -EPERM when it is not done and the caller is a worker's loop, not a fiber; -EINVAL for
 *         NULL
 *
 * Suspends: yes, unless it is done
 * Thread: any
 * On cancel: nothing done; the work goes on and may be waited for again
 * Since: 0.1
 */
TH_API TH_MUST int th_future_wait(th_future *future, int *result);

/**
 * Gives the result of a future if it is done.
 *
 * @param future  a handle
 * @param result  out: as for th_future_wait(); may be NULL
 * @return 0; -EAGAIN when it is not done; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_future_peek(const th_future *future, int *result);

/**
 * Tells how far a future is.
 *
 * @param future  a handle
 * @return TH_FUTURE_PENDING, TH_FUTURE_RUNNING or TH_FUTURE_DONE; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_future_state(const th_future *future);

/**
 * Waits until several futures are done.
 *
 * @param futures  handles; one may be there several times
 * @param n        their number; 0 is allowed
 * @return 0 when all are done, whatever their results; -ECANCELED or -ETIMEDOUT when the caller's
 *         scope says so before; -EPERM as th_future_wait(); -EINVAL for NULL among them
 *
 * Suspends: yes, unless all are done
 * Thread: any
 * On cancel: nothing done; th_future_peek() tells which are done
 * Since: 0.1
 */
TH_API TH_MUST int th_future_wait_all(th_future *const *futures, size_t n);

/**
 * Waits until one of several futures is done.
 *
 * A thread of a pool does such work itself as th_future_wait() says.
 *
 * @param futures  handles; one may be there several times
 * @param n        their number
 * @param index    out: which is done; of those that are done already, the first in the order given;
 *                 else the one that was done first. May be NULL.
 * @return 0; -ENOENT for none at all; -ECANCELED or -ETIMEDOUT when the caller's scope says so
 *         before; -EPERM as th_future_wait(); -EINVAL for NULL among them; -ENOMEM, with more than
 *         eight of them
 *
 * Suspends: yes, unless one is done
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_future_wait_any(th_future *const *futures, size_t n, size_t *index);

/**
 * Has a function called once a future is done.
 *
 * It is called by whoever completes the future, on that one's thread: a pool's thread, the caller
 * of th_promise_set() or of th_future_cancel(); here and now if the future is done already.
 * Functions of one future are called in order of registration, before those who wait are woken. The
 * function should be short, for it holds up the completing thread, and must not expect a fiber
 * around it; to be told on a worker, start a fiber that waits.
 *
 * @param future  a handle; during the call fn may use it without one of its own
 * @param fn      what to call
 * @param arg     handed to fn
 * @return 0; -EINVAL for NULL; -ENOMEM, with nothing registered
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_future_then(th_future *future, th_future_fn fn, void *arg);

/**
 * Cancels work that has not begun, or tells work that runs to stop.
 *
 * Work that has not begun never will, and -ECANCELED is its result, for all who wait. Work that
 * runs is told by th_work_cancelled() and has the result that it returns. A promise gets the result
 * -ECANCELED, which th_promise_set() then tells the one who promised.
 *
 * @param future  a handle
 * @return 0 when the work was cancelled, by this call or an earlier one; -EBUSY when it runs;
 *         -EALREADY when it is done otherwise; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_future_cancel(th_future *future);

/**
 * Lets go of work at once: th_future_cancel(), then th_future_unref().
 *
 * Everything is freed when the work, if it runs, has ended. What the work uses must last that long.
 *
 * @param future  a handle, which is given back; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_future_abandon(th_future *future);

/**
 * Takes one more handle to a future.
 *
 * @param future  a handle; NULL is allowed
 * @return the same
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_future *th_future_ref(th_future *future);

/**
 * Gives a handle back. The work goes on.
 *
 * @param future  a handle; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_future_unref(th_future *future);

/**
 * Makes a future that the program itself completes.
 *
 * @param promise  out: the end that gives the result, for th_promise_free()
 * @param future   out: the end that gets it, for th_future_unref()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_promise_new(th_promise **promise, th_future **future);

/**
 * Keeps a promise: gives its future the result and wakes all who wait.
 *
 * @param promise  a promise
 * @param result   any number
 * @return 0; -EALREADY when it has a result or its future was cancelled, with nothing changed;
 *         -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_promise_set(th_promise *promise, int result);

/**
 * Frees a promise. One that was not kept is broken: -ECANCELED is the result of its future.
 *
 * @param promise  a promise; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_promise_free(th_promise *promise);

/**
 * Makes a place where futures are gathered in the order in which they are done.
 *
 * @param gather  out: for th_gather_free()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_gather_new(th_gather **gather);

/**
 * Adds a future, done or not. It may be added several times, and then comes as often.
 *
 * @param gather  where to
 * @param future  a handle, which stays the caller's; the gather takes one of its own
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_gather_add(th_gather *gather, th_future *future);

/**
 * Gives the next future that is done, and waits for it if need be. Several may wait.
 *
 * Unlike th_future_wait() it does no work itself: a pool all of whose threads wait here for that
 * same pool waits for ever.
 *
 * @param gather  where from
 * @param future  out: a handle, to be given back with th_future_unref(); it is done
 * @return 0; -ENOENT when all that were added have been given out; -ECANCELED or -ETIMEDOUT when
 * none is done and the caller's scope says so; -EPERM as th_future_wait(); -EINVAL for NULL
 *
 * Suspends: yes, unless one is done
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_gather_next(th_gather *gather, th_future **future);

/**
 * Frees a gather. The work of futures that are not done goes on.
 *
 * @param gather  nobody waits at it any more; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_gather_free(th_gather *gather);

TH_END_DECLS

#endif
