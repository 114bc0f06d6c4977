/* SPDX-License-Identifier: MIT */

/*
 * A runtime inside of somebody else's event loop: GLib's, libuv's, libevent's, Qt's, your own.
 *
 * The whole runtime is behind one descriptor. The loop that has the thread waits until it is
 * readable, and calls th_host_turn(), which does what there is to do and returns:
 *
 *     th_host *host;
 *     int err = th_host_open(app, NULL, NULL, &host);
 *     ... have the loop watch th_host_fd(host) for reading, and call this: ...
 *     if (th_host_turn(host) == 0) {
 *         ... it is over: have it watched no more ...
 *         result = th_host_close(host);
 *     }
 *
 * The descriptor is readable when something has arrived for a fiber of this thread, when a timer is
 * due, when fibers are ready, and when another thread or a callback of the loop itself has woken
 * one. Fibers of this thread run inside th_host_turn() and at no other time; those of other workers
 * run on their own threads, as ever.
 *
 * Between turns the thread is a plain one for the library: its callbacks may set events, put into
 * queues, complete futures and start fibers in a scope. What they must not do is wait for a fiber
 * of this very thread, for that runs only when they have returned.
 */
#ifndef THRUM_HOST_H
#define THRUM_HOST_H

#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/runtime.h>

TH_BEGIN_DECLS

/* A runtime that is hosted by the loop of a thread. */
typedef struct th_host th_host;

/**
 * Opens a runtime that somebody else's loop drives.
 *
 * The function runs as the main fiber from the first turn on. What th_run() says of it and of the
 * options is true here, with these differences: 0 workers mean one, the calling thread, and each
 * one more has a thread of its own; SIGTERM and SIGINT are left to the host; the back ends are
 * epoll and uring. Until th_host_close() SIGPIPE is blocked on the thread, and a thread hosts one
 * runtime at a time and runs no other.
 *
 * @param app   the main fiber's function
 * @param arg   handed to app
 * @param opts  options, or NULL for the defaults; read during the call only
 * @param host  out: the runtime; th_host_close() ends it
 * @return 0; -EINVAL for wrong options; -EBUSY when the thread has a runtime already; -EOPNOTSUPP
 *         for a back end that cannot be waited for from outside (poll, select), with the detail;
 *         -errno of whatever could not be had; on failure app is not called
 *
 * Suspends: no
 * Thread: any that runs no fibers; the other calls but th_host_stop() are for the same one
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_host_open(th_fiber_fn app, void *arg, const th_run_opts *opts,
                                th_host **host);

/**
 * Tells which descriptor to wait for.
 *
 * It belongs to the host, and is to be watched for reading, level-triggered as loops usually do. It
 * is an epoll descriptor, so it may be watched with epoll, poll, select or another runtime's
 * th_wait_fd().
 *
 * @param host  the runtime
 * @return the descriptor, the same for as long as the host is open; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_host_fd(const th_host *host);

/**
 * Tells when the next turn is due if nothing happens, for loops that would rather set a timer.
 *
 * The descriptor becomes readable at that time in any case. What other threads do later may make a
 * turn due earlier; then the descriptor tells.
 *
 * @param host  the runtime
 * @return a point in time as th_now() gives it; 0: at once; TH_NEVER: no timer is set, or it is
 *         over
 *
 * Suspends: no
 * Thread: any that opened the host
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_host_due(const th_host *host);

/**
 * Does what there is to do, without waiting: events, timers, messages, ready fibers.
 *
 * A turn is bounded: fibers that keep each other busy are interrupted, and the descriptor stays
 * readable. A turn with nothing to do is harmless.
 *
 * @param host  the runtime
 * @return 1 while it goes on; 0 once the main fiber and all that it started have ended, and from
 *         then on; -EINVAL for NULL; -EBUSY from inside of a turn
 *
 * Suspends: no
 * Thread: any that opened the host, outside of fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_host_turn(th_host *host);

/**
 * Asks for an orderly stop, as th_stop() does from inside: for the host's own end, or a signal.
 *
 * Takes turns as everything else: watch the descriptor until th_host_turn() returns 0.
 *
 * @param host  the runtime, not closed before the call returns
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_host_stop(th_host *host);

/**
 * Ends a hosted runtime and gives everything back.
 *
 * One that is not over is ended: everything is cancelled, and the call waits for the fibers to have
 * cleaned up. A main fiber that has not had its first turn is not run at all.
 *
 * @param host  the runtime, or NULL; used no more unless -EBUSY is returned
 * @return the main fiber's result; -ECANCELED when it never ran; 0 for NULL; -EBUSY from inside of
 *         a turn
 *
 * Suspends: no (it blocks the thread while something is left to end)
 * Thread: any that opened the host, outside of fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_host_close(th_host *host);

TH_END_DECLS

#endif
