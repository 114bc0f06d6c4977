/* SPDX-License-Identifier: MIT */

/* The message that a fiber's stack has overflowed, where else there would be a bare signal. */
#ifndef THI_RUNTIME_OVERFLOW_H
#define THI_RUNTIME_OVERFLOW_H

#include "fiber/fiber.h"

/*
 * Gives the calling thread a stack for signal handlers and, once for the process, catches SIGSEGV
 * and SIGBUS. A fault in the guard of a fiber's stack is told on standard error with the fiber's
 * name, number and size; then, as with every other fault, the former action takes its course.
 * Returns the memory to hand to thi_overflow_unwatch(), NULL when there is none (the message is
 * then missing, nothing else).
 */
void *thi_overflow_watch(void);

/* Takes the calling thread's signal stack away. */
void thi_overflow_unwatch(void *memory);

/* For a fiber whose canary is gone: the same message, then the end of the process. */
TH_NORETURN void thi_overflow_found(const th_fiber *fiber);

#endif
