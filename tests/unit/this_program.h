/* SPDX-License-Identifier: MIT */

/* How a test starts its own program again. */
#ifndef THI_TEST_THIS_PROGRAM_H
#define THI_TEST_THIS_PROGRAM_H

#include <stdbool.h>
#include <stdlib.h>

/*
 * Programs for another processor are run by a wrapper, which Meson names here, quoted for a shell.
 * The kernel does not know how to start such a program.
 */
static inline bool needs_wrapper(void)
{
    const char *wrapper = getenv("MESON_EXE_WRAPPER");
    return wrapper && *wrapper;
}

/* A script whose first argument is the program; the others are the program's. */
#define BY_WRAPPER "eval exec \"$MESON_EXE_WRAPPER\" '\"$0\" \"$@\"'"

#endif
