/* SPDX-License-Identifier: MIT */

/* The trace of a simulation: every choice and event, as a running hash and, if wanted, as text. */
#ifndef THI_LOOP_SIM_TRACE_H
#define THI_LOOP_SIM_TRACE_H

#include "loop/sim_world.h"

/*
 * Notes an event. What is told must be the same in every run of a seed: no addresses, no numbers
 * that the real system handed out.
 */
void thi_sim_trace(thi_sim *w, const char *what, int64_t a, int64_t b);

/* Notes a number that was drawn, in the hash only: what it leads to is told as an event. */
void thi_sim_trace_number(thi_sim *w, uint64_t number);

#endif
