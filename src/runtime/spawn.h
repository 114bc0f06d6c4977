/* SPDX-License-Identifier: MIT */

/* Starting fibers on the scope's own worker, within the scope's limit. */
#ifndef THI_RUNTIME_SPAWN_H
#define THI_RUNTIME_SPAWN_H

#include "base/list.h"
#include "base/queue.h"

#include <thrum/fiber.h>

struct thi_scope;

/* A start that was asked for from outside, or that waits for room. Heap object. */
typedef struct thi_start {
    thi_qnode node; /* in scope->pending */
    th_fiber_fn fn;
    void *arg;
    const char *name;
    size_t stack_size;
    int place;
} thi_start;

/* Accounts for the end of a fiber's body, which is the last that the fiber does before it leaves.
 */
void thi_fiber_end(th_fiber *fiber, int result);

/*
 * Starts a fiber in a scope of this worker whose place is already counted in scope->live. On
 * failure the place is still the caller's to give back.
 */
TH_MUST int thi_spawn_here(struct thi_scope *scope, const thi_start *start, th_fiber **out);

/* Starts it here or elsewhere, as start->place says; the place is already counted. */
TH_MUST int thi_spawn_placed(struct thi_scope *scope, const thi_start *start);

/* Wakes a fiber that waits for room in a scope, which now has it. */
void thi_spawner_admit(thi_list *node);

/* Starts the first pending start of a scope that has room. */
void thi_spawn_pending(struct thi_scope *scope);

#endif
