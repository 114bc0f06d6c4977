/* SPDX-License-Identifier: MIT */

/* Children that wait for the time of their start. */
#ifndef THI_RUNTIME_DELAY_H
#define THI_RUNTIME_DELAY_H

#include "runtime/start.h"

/*
 * Has a child of the scope, whose place is already counted, started by `then` at start->at, or
 * never when the scope is cancelled before. -ENOMEM: then the place is still the caller's to give
 * back.
 */
TH_MUST int thi_delay_start(thi_scope *scope, const thi_start *start,
                            int (*then)(thi_scope *scope, const thi_start *start));

#endif
