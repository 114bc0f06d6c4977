/* SPDX-License-Identifier: MIT */

/* Checks of internal invariants: a broken one ends the process, because nothing after it is true.
 */
#ifndef THI_BASE_ASSERT_H
#define THI_BASE_ASSERT_H

#include <thrum/defs.h>

/* Writes "file:line: assertion failed: text" to standard error and aborts. Async-signal-safe. */
TH_NORETURN void thi_assert_fail(const char *file, int line, const char *text);

/*
 * Stays on in release builds: for checks that cost a compare of something that is at hand. Never
 * for what a caller of the public interface did (that is -EINVAL) nor for lack of memory.
 */
#define TH_ASSERT(cond) (TH_LIKELY(cond) ? (void)0 : thi_assert_fail(__FILE__, __LINE__, #cond))

/* Only where NDEBUG is not defined; elsewhere the condition is compiled but not evaluated. */
#ifdef NDEBUG
#define TH_DEBUG_ASSERT(cond) ((void)sizeof((cond) ? 1 : 0))
#else
#define TH_DEBUG_ASSERT(cond) TH_ASSERT(cond)
#endif

#endif
