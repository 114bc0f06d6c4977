/* SPDX-License-Identifier: MIT */

/* The search for waits that nobody can end: circles of them, and fibers that were lost. */
#ifndef THI_RUNTIME_DEADLOCK_H
#define THI_RUNTIME_DEADLOCK_H

#include "runtime/worker.h"

/* Prepares a worker's lookout, which is off; and gives back what it holds. */
void thi_lookout_init(thi_worker *worker);
void thi_lookout_deinit(thi_worker *worker);

/* On the worker, before its first turn: what its loop watches now is the runtime's own. */
void thi_lookout_begin(thi_worker *worker);

/* Lets the threads of the process reach a runtime whose workers are about to run, until they have
 * ended. */
void thi_deadlock_open(thi_runtime *runtime);
void thi_deadlock_close(thi_runtime *runtime);

void thi_lookout_set_(thi_worker *worker);

/* A fiber is about to be tied. */
static inline void thi_lookout_wake(thi_worker *worker)
{
    if (TH_UNLIKELY(worker->lookout.awake))
        thi_lookout_set_(worker);
}

/* The worker is about to sleep, perhaps for ever. */
static inline void thi_lookout_rest(thi_worker *worker)
{
    const thi_lookout *l = &worker->lookout;
    if (TH_UNLIKELY(l->awake && l->settled != l->rounds && worker->loop.timers.count == 0 &&
                    worker->loop.watches == l->watches))
        thi_lookout_set_(worker);
}

/* On a worker: a fiber that has waited before is tied now. Look, even if no wait is new. */
static inline void thi_lookout_suspect(thi_worker *worker)
{
    worker->lookout.forced = worker->lookout.on;
    thi_lookout_wake(worker);
}

/* The same for a plain thread, whose own wait it is: told to all runtimes of the process. */
void thi_deadlock_suspect(void);

/*
 * For a simulation, between steps: reports the circles that are new. At its end, if nothing can
 * happen any more, also all other fibers that wait.
 */
void thi_deadlock_look(thi_runtime *runtime, int64_t now, bool ended);

#endif
