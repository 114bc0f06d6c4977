/* SPDX-License-Identifier: MIT */

/* Servers of a pool in a simulation, where there are no threads. */
#ifndef THI_POOL_SIMULATED_H
#define THI_POOL_SIMULATED_H

#include "pool/crew.h"

/* Starts a virtual thread that serves the pool; -ENOMEM. */
TH_MUST int thi_simulated_start(th_pool *pool);

/*
 * Ends them when the simulation has: jobs that they were at are dropped with -ECANCELED, or, where
 * fibers were abandoned and nothing can be told to anybody, forgotten.
 */
void thi_simulated_end(th_pool *pool, bool forget);

#endif
