/* SPDX-License-Identifier: MIT */

/* Simulated pipes. */
#ifndef THI_LOOP_SIM_PIPE_H
#define THI_LOOP_SIM_PIPE_H

#include "loop/sim_world.h"

/* As pipe(2): fds[0] is read from. */
TH_MUST int thi_sim_pipe(thi_sim *w, int fds[2]);

#endif
