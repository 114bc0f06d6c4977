/* SPDX-License-Identifier: MIT */

/* Beginning and ending a simulated world. */
#ifndef THI_LOOP_SIM_H
#define THI_LOOP_SIM_H

#include "loop/sim_world.h"

/*
 * Makes a world from options that are valid and puts it in force on the calling thread: clocks,
 * chance and sockets are its own from now on, and loops open on thi_engine_sim.
 */
void thi_sim_open(thi_sim *w, const th_sim_opts *opts);

/* Ends it: the real system is in force again. Descriptors that are still open are closed. */
void thi_sim_close(thi_sim *w);

#endif
