/* SPDX-License-Identifier: MIT */

/* Running a simulation under a given schedule. */
#ifndef THI_RUNTIME_SIM_H
#define THI_RUNTIME_SIM_H

#include "loop/sim_choice.h"

#include <thrum/sim.h>

/*
 * What th_sim_run() does; choices come from `schedule` if there is one, and opts->schedule is then
 * not looked at. The result is filled in unless app was not called.
 */
TH_MUST int thi_sim_run(int (*app)(void *arg), void *arg, const th_sim_opts *opts,
                        thi_sim_schedule *schedule, th_sim_result *result);

#endif
