/* SPDX-License-Identifier: MIT */

/* The runtime: workers, the main fiber, and the orderly end of a program. */
#ifndef THRUM_RUNTIME_H
#define THRUM_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/fiber.h>

TH_BEGIN_DECLS

/* What was found about waits that do not end by themselves. */
enum th_deadlock_kind {
    TH_DEADLOCK_CIRCLE = 1, /* parties that wait for each other: nobody of them goes on */
    TH_DEADLOCK_LOST = 2    /* nothing is left in the process that could end these waits; at most a
                               signal does, by a stop */
};

/* A finding; valid during the call that it is handed to. */
typedef struct th_deadlock {
    int kind;         /* enum th_deadlock_kind */
    size_t fibers;    /* that wait, in the circle or as lost; a plain thread counts as one */
    const char *text; /* all of it: a headline, then a line for each, with its stack below */
} th_deadlock;

/* A worker that is held up: its events wait while one fiber, mostly, does not suspend. */
typedef struct th_stall {
    unsigned worker;   /* its number */
    uint64_t fiber;    /* the number of the fiber that runs there; 0: none, or it is not known */
    const char *name;  /* its name, */
    const char *place; /* and where it was spawned; "" when that is not known */
    int64_t span;      /* for how long the worker has been held up so far, ns */
    const char *stack; /* where it is: "function+0x12 (file)", a line for each call, the innermost
                          first; "" when that is not known */
} th_stall;

/* How to run; all zero is the default. */
typedef struct th_run_opts {
    size_t size;         /* sizeof(th_run_opts), or 0 for the present one */
    unsigned workers;    /* threads that run fibers; 0: one per CPU this process may use */
    const char *backend; /* "epoll", "uring", "poll", "select"; NULL or "auto": THRUM_BACKEND, else
                            by itself */
    size_t stack_size;   /* of a fiber, bytes; 0: 64 KiB */
    int64_t grace;       /* time that servers have to drain once a stop is asked for, ns; 0: 10 s */
    int no_signals;      /* 1: leave SIGTERM and SIGINT alone */
    unsigned weight_high;   /* starts that fibers of TH_PRIO_HIGH have in a round; 0: 16 */
    unsigned weight_normal; /* those of TH_PRIO_NORMAL; 0: 4 */
    unsigned weight_low;    /* those of TH_PRIO_LOW; 0: 1 */
    uint64_t cancel_at;     /* for tests: which wait is cancelled, counted from 1; 0: none */
    uint64_t *waits; /* out: how often fibers have waited, set before th_run() returns; or NULL */
    int64_t deadlock_after; /* so long may fibers wait for each other before that is looked at, ns;
                               0: 250 ms; TH_NEVER: it is not looked at */
    void (*on_deadlock)(void *arg, const th_deadlock *found); /* told of each once, on some worker,
                               outside of a fiber; NULL: it goes to the log */
    void *deadlock_arg;
    int64_t watchdog; /* workers that are held up for longer are reported, ns, and get nothing new
                         from a third of that on; 0: 100 ms; TH_NEVER: none are and all do */
    /* Told once of each, besides the log, by a thread of its own, which must not be kept for long;
     * what it is shown is valid during the call. */
    void (*on_stall)(const th_stall *stall, void *arg);
    void *stall_arg;
} th_run_opts;

/* What is in force, for start-up messages. */
typedef struct th_run_info {
    unsigned workers;
    const char *backend;     /* name of the back end */
    const char *backend_why; /* why this one; valid while the runtime runs */
} th_run_info;

/**
 * Runs a function as the main fiber of a program, with its command line; for the end of main().
 *
 * For tests the environment variable THRUM_CANCEL_AT=N does what th_run_opts.cancel_at does, and
 * one line on standard error tells how often fibers have waited and what was left behind: "PROGRAM:
 * cancelled at wait N of M; left: D descriptors, A allocations", or "PROGRAM: M waits, not
 * cancelled; left: ..." when N is 0 or more than M.
 *
 * @param app   the main fiber's function; a negative result is a failure
 * @param argc  the number of arguments
 * @param argv  the arguments; borrowed
 * @param opts  options, or NULL for the defaults
 * @return an exit status: app's result when it is 0 to 255, 255 when it is more; 1 after a
 *         failure of app or of the start, told in one line on standard error
 *
 * Suspends: no (the calling thread becomes the first worker until the program ends)
 * Thread: any that runs no fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_main(int (*app)(int argc, char **argv), int argc, char **argv,
                   const th_run_opts *opts);

/**
 * Runs a function as the main fiber of a runtime.
 *
 * With cancel_at, the n-th time that a fiber of the runtime leaves to wait for something, its
 * innermost scope that is no shield is cancelled. A test that runs a program for n = 1, 2, ...
 * until n is more than `waits` has cancelled it at every point at which it suspends.
 *
 * Returns when it has returned and everything started in the root scope has ended. SIGTERM and
 * SIGINT ask for an orderly stop (th_stop()); a second one cancels the root scope at once. Until it
 * returns SIGPIPE is blocked on the calling thread, as it is on the other workers: writing to a
 * pipe or socket that nobody reads fails with EPIPE and does nothing else.
 *
 * @param app   the main fiber's function
 * @param arg   handed to app
 * @param opts  options, or NULL for the defaults; read during the call only
 * @return app's result; -EINVAL for wrong options; -EBUSY when the thread runs a runtime already;
 *         -errno of whatever could not be had at the start (app was then not called)
 *
 * Suspends: no (the calling thread becomes the first worker)
 * Thread: any that runs no fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_run(th_fiber_fn app, void *arg, const th_run_opts *opts);

/**
 * Asks the runtime for an orderly stop, as SIGTERM does.
 *
 * Servers stop accepting, finish what is in progress and return; after the time of grace, or at
 * once when no server runs, the root scope is cancelled. A second call cancels it at once.
 *
 * @return 0; -EPERM outside a worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_stop(void);

/**
 * Tells what the runtime runs on.
 *
 * @param info  out: what is in force
 * @return 0; -EPERM outside a worker; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_run_get_info(th_run_info *info);

TH_END_DECLS

#endif
