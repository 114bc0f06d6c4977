/* SPDX-License-Identifier: MIT */

/* The trace of a run that is asked for by the environment. */
#ifndef THI_RUNTIME_TRACE_H
#define THI_RUNTIME_TRACE_H

#include <stdbool.h>

/* Switches the trace on if THRUM_TRACE names a file; whether that was done. */
bool thi_trace_by_environment(void);

/* Switches it off and saves it there. */
void thi_trace_by_environment_ends(void);

#endif
