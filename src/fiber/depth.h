/* SPDX-License-Identifier: MIT */

/* How deep a body uses its stack. */
#ifndef THI_FIBER_DEPTH_H
#define THI_FIBER_DEPTH_H

#include "fiber/fiber.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether it can be told: not where a tool forbids touching what lies below the running frame. */
bool thi_depth_is_told(void);

/*
 * On the fiber itself, before its body: clears what lies below, and returns where that begins. What
 * was never touched stays so: it costs no memory.
 */
const char *thi_depth_clear(const th_fiber *fiber);

/* After the body, from the same frame: the lowest word below `from` that is not clear any more. */
const char *thi_depth_reached(const th_fiber *fiber, const char *from);

#endif
