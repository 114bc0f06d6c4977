/* SPDX-License-Identifier: MIT */

/* Simulated eventfds. */
#ifndef THI_LOOP_SIM_EVENTFD_H
#define THI_LOOP_SIM_EVENTFD_H

#include "loop/sim_world.h"

/* As eventfd(2) with a count of 0. */
TH_MUST int thi_sim_eventfd(thi_sim *w);

#endif
