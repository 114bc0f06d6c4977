/* SPDX-License-Identifier: MIT */

/* How a signal asks for the orderly end; who wants to be told is in worker.h. */
#ifndef THI_RUNTIME_STOP_H
#define THI_RUNTIME_STOP_H

#include "runtime/worker.h"

/* Asks for the orderly end, or for the quick one when it was asked for before. On worker 0. */
void thi_stop_asked(thi_runtime *runtime);

#endif
