/* SPDX-License-Identifier: MIT */

/* Whether something fails now: by probability, at the n-th chance, and not after the end of faults.
 */
#ifndef THI_LOOP_SIM_FAULT_H
#define THI_LOOP_SIM_FAULT_H

#include "loop/sim_world.h"

/* To be asked at each chance for a fault of the kind; counts and traces those that strike. */
bool thi_sim_fault(thi_sim *w, enum th_sim_fault kind);

/* Whether faults may still strike. */
static inline bool thi_sim_faults_on(const thi_sim *w)
{
    return w->now < w->fault_end;
}

/*
 * Faults of memory, which thi_alloc() makes and not the simulation. `begin` orders the n-th
 * allocation to fail, `step` is a chance to order one of the next ones, `end` withdraws the order.
 */
void thi_sim_memory_begin(thi_sim *w);
void thi_sim_memory_step(thi_sim *w);
void thi_sim_memory_end(thi_sim *w);

/* How long something takes on its way over the network, spikes included. */
int64_t thi_sim_latency(thi_sim *w);

#endif
