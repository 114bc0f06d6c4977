/* SPDX-License-Identifier: MIT */

/* What a wait says about who can end it. */
#ifndef THI_RUNTIME_WAITS_H
#define THI_RUNTIME_WAITS_H

#include "runtime/tie.h"

/* Fills in who can end a wait; false when the wait names nobody. What it waits in must exist. */
bool thi_tie_of(const thi_wait *wait, const void *party, thi_tie *tie);

#endif
