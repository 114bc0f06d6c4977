/* SPDX-License-Identifier: MIT */

/* The table of system calls of a simulation. */
#ifndef THI_LOOP_SIM_SYS_H
#define THI_LOOP_SIM_SYS_H

#include "sys/sys.h"

/*
 * To be put in force (thi_sys_table) on a thread whose thi_sim_self is set. Clocks, chance,
 * sockets, pipes and eventfds are simulated; files, real descriptors and memory are the system's.
 * Nothing waits: thi_engine_sim does.
 */
extern const thi_sys thi_sim_sys;

#endif
