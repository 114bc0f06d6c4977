/* SPDX-License-Identifier: MIT */

/* Running a worker: opening it, its rounds, closing it. */
#ifndef THI_RUNTIME_TURN_H
#define THI_RUNTIME_TURN_H

#include "runtime/worker.h"

/* Opens a worker's loop and queues on the calling thread, which need not be the one that runs it.
 */
TH_MUST int thi_worker_open(thi_worker *worker, thi_runtime *runtime, unsigned index);
void thi_worker_close(thi_worker *worker);

/* Runs the worker on the calling thread until its `stop` is set. */
void thi_worker_run(thi_worker *worker);

/* The two ends of that: makes the calling thread the worker's, which thi_worker_end() is told of.
 */
TH_MUST bool thi_worker_begin(thi_worker *worker);
void thi_worker_end(thi_worker *worker, bool held);

/* The rounds of that alone, where somebody else has prepared the stack they run on. */
void thi_worker_rounds(thi_worker *worker);

/* Bytes of a worker's scratch memory. */
#define THI_SCRATCH_SIZE ((size_t)64 * 1024)

/*
 * Memory of the running worker, THI_SCRATCH_SIZE bytes, for whoever fills and empties it before
 * anybody else runs: to read into it and to hand that to a function, on the loop. NULL: there is
 * none; once it was there it stays.
 */
TH_MUST void *thi_worker_scratch(void);

/*
 * One round: ready fibers, then one turn of the loop, which may sleep until the given time. Whether
 * there was more to do at once than the round did.
 */
bool thi_worker_turn(thi_worker *worker, int64_t until);

#endif
