/* SPDX-License-Identifier: MIT */

/*
 * What runs the workers of a runtime: the calling thread as worker 0, and threads for the others.
 *
 * Between thi_drive_begin() and thi_drive_end() the calling thread takes worker 0's rounds, all of
 * them in a row or one now and then, until the worker's `stop` is set.
 */
#ifndef THI_RUNTIME_DRIVE_H
#define THI_RUNTIME_DRIVE_H

#include "runtime/worker.h"

#include <signal.h>

typedef struct thi_drive {
    thi_runtime *runtime;
    unsigned started; /* workers that have a thread, the calling one included */
    bool held;        /* of thi_worker_begin() */
    bool traces;      /* the trace was switched on here */
    sigset_t former;  /* the calling thread's mask */
    void *signal_stack;
} thi_drive;

/* Whether this thread is between the two. */
extern _Thread_local bool thi_drive_here;

/*
 * Fills in a runtime from the options of a user; the engine is chosen here. -EINVAL, -EBUSY on a
 * thread that runs one already.
 */
TH_MUST int thi_drive_prepare(thi_runtime *runtime, th_fiber_fn app, void *arg,
                              const th_run_opts *opts);

/*
 * Starts the threads of opened workers, and makes the main fiber ready. -errno with nothing done.
 * Without all threads the main fiber still has to come to its end, which it does at once: `app` is
 * then NULL, and `result` says why.
 */
TH_MUST int thi_drive_begin(thi_drive *drive, thi_runtime *runtime);

/* Waits for the other threads, once worker 0 has been told to stop. */
void thi_drive_end(thi_drive *drive);

#endif
