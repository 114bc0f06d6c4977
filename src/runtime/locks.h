/* SPDX-License-Identifier: MIT */

/* Locks of threads that fibers hold while they are suspended: a fault of theirs, which is told. */
#ifndef THI_RUNTIME_LOCKS_H
#define THI_RUNTIME_LOCKS_H

#include "fiber/fiber.h"

#include <stdbool.h>

/* Whether somebody remembers who holds what: libthrum-debug-locks.so is loaded. */
bool thi_locks_are_seen(void);

/* If they are: this fiber, the running one, is about to leave, or has ended. Keeps errno. */
void thi_locks_pass(const th_fiber *fiber);

#endif
