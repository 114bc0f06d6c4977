/* SPDX-License-Identifier: MIT */

/* The course of a run: what is the same whether threads or a simulation drive the workers. */
#ifndef THI_RUNTIME_RUN_H
#define THI_RUNTIME_RUN_H

#include "runtime/worker.h"

/* Runs opened workers to their end. Calls thi_run_start() before anything runs. */
typedef int (*thi_drive_fn)(thi_runtime *runtime);

/*
 * Opens the workers; the caller has filled in app, arg, opts, engine and count, and zeroed the
 * rest. thi_run_close() closes them again, once they have ended.
 */
TH_MUST int thi_run_open(thi_runtime *runtime);
void thi_run_close(thi_runtime *runtime);

/*
 * Opens the workers, hands them to `drive` and closes them. The caller has filled in app, arg,
 * opts, engine and count, and zeroed the rest. What drive returned, or -errno without calling it.
 */
TH_MUST int thi_run(thi_runtime *runtime, thi_drive_fn drive);

/*
 * Told on the thread that ran it when a runtime is gone, and whether it was the last one. Set once
 * by a later layer that has something to put in order then; NULL until that.
 */
extern void (*_Atomic thi_run_ended)(bool last);

/* Told when a runtime on threads begins, on the thread that runs it; as the one above. */
extern void (*_Atomic thi_run_began)(void);

/* Makes the main fiber ready on worker 0; -ENOMEM. */
TH_MUST int thi_run_start(thi_runtime *runtime);

#endif
