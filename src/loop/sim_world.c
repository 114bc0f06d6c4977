/* SPDX-License-Identifier: MIT */

/* Which world the calling thread is in. */
#include "loop/sim_world.h"

_Thread_local thi_sim *thi_sim_self;
