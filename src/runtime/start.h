/* SPDX-License-Identifier: MIT */

/* Making a fiber on the worker of its scope. */
#ifndef THI_RUNTIME_START_H
#define THI_RUNTIME_START_H

#include "runtime/tree.h"

#include <thrum/fiber.h>

/* What to start; copied when it travels. */
typedef struct thi_start {
    th_fiber_fn fn;
    void *arg;
    const char *name;
    size_t stack_size;
    int place;
} thi_start;

/*
 * Starts a fiber in a scope of this worker whose place is already counted in scope->live. On
 * failure the place is still the caller's to give back.
 */
TH_MUST int thi_start_here(thi_scope *scope, const thi_start *start, th_fiber **out);

#endif
