/* SPDX-License-Identifier: MIT */

/*
 * Suspension points, for tests: a run counts how often its fibers wait, and cancels the one that
 * waits for the n-th time.
 */
#ifndef THI_RUNTIME_POINTS_H
#define THI_RUNTIME_POINTS_H

#include "runtime/worker.h"

/* Of workers that count: this fiber, the running one, is about to leave, mostly for its wait. */
void thi_points_pass(th_fiber *fiber);

/* What a program must not leave behind when it ends; counted before and after it. */
typedef struct thi_leftovers {
    int descriptors;
    int64_t allocations; /* of the library */
} thi_leftovers;

thi_leftovers thi_points_leftovers(void);

#endif
