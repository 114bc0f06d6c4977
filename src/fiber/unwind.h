/* SPDX-License-Identifier: MIT */

/* The stack of a fiber that does not run, as addresses of code. */
#ifndef THI_FIBER_UNWIND_H
#define THI_FIBER_UNWIND_H

#include "fiber/fiber.h"

/*
 * Writes where the fiber goes on and where it was called from, innermost first, up to `max`
 * addresses; returns how many. All but the first are return addresses. The fiber must not run, and
 * the caller is its worker, or the only thread there is.
 */
size_t thi_unwind(const th_fiber *fiber, const void **pcs, size_t max);

#endif
