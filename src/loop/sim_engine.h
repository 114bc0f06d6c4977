/* SPDX-License-Identifier: MIT */

/* The back end of the loop in a simulation. */
#ifndef THI_LOOP_SIM_ENGINE_H
#define THI_LOOP_SIM_ENGINE_H

#include "loop/loop.h"
#include "loop/sim_world.h"

/* Opens only where thi_sim_self is set; every loop on it stays in that world. */
extern const thi_engine thi_engine_sim;

/* Whether a loop on this engine has something to tell its watches. */
bool thi_sim_loop_ready(const thi_loop *loop);

/*
 * Waits with nobody else around: time passes up to the event or the end of the timeout. -EDEADLK
 * when the wait is for ever. What a world does until it is told otherwise.
 */
TH_MUST int thi_sim_wait_alone(thi_sim *w, thi_loop *loop, int64_t timeout);

#endif
