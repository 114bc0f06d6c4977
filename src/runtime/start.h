/* SPDX-License-Identifier: MIT */

/* Making a fiber on the worker of its scope. */
#ifndef THI_RUNTIME_START_H
#define THI_RUNTIME_START_H

#include "runtime/place.h"
#include "runtime/sched.h"
#include "runtime/tree.h"

#include <thrum/fiber.h>

/* What to start; copied when it travels. */
typedef struct thi_start {
    th_fiber_fn fn;
    void *arg;
    const char *name;
    const char *origin;
    size_t stack_size;
    int place;
    uint8_t rank;
    int64_t at;                /* when; 0: now */
    struct thi_handle *handle; /* or NULL */
} thi_start;

/*
 * Makes a fiber of the scope's worker; NULL when there is no memory. A context is entered once and
 * then stays in a loop that serves one spawn after the other, so nothing is built on its stack.
 */
static inline th_fiber *thi_start_make(thi_scope *scope, th_fiber_fn fn, void *arg,
                                       const char *origin, unsigned stack_class)
{
    thi_worker *worker = scope->worker;
    th_fiber *fiber = thi_fiber_pool_get(&worker->fibers, stack_class);
    if (TH_UNLIKELY(!fiber))
        return NULL;
    fiber->worker = worker;
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->name = NULL;
    fiber->origin = origin;
    fiber->rank = THI_RANK_NORMAL;
    fiber->id = ++worker->last_id;
    fiber->home = scope;
    thi_marks_choose(worker->marks, fiber);
    thi_scope_enter(scope, fiber);
    thi_worker_add_load(worker, 1);
    return fiber;
}

/* Makes a fiber and puts it at the end of the run queue. Inline for the sake of th_spawn(). */
static inline th_fiber *thi_start_fiber(thi_scope *scope, th_fiber_fn fn, void *arg,
                                        const char *origin, unsigned stack_class)
{
    th_fiber *fiber = thi_start_make(scope, fn, arg, origin, stack_class);
    if (TH_LIKELY(fiber != NULL))
        thi_sched_enqueue(scope->worker, fiber);
    return fiber;
}

/*
 * Starts a fiber in a scope of this worker whose place is already counted in scope->live. On
 * failure, -ENOMEM or -ECANCELED by its handle, the place is still the caller's to give back.
 */
TH_MUST int thi_start_here(thi_scope *scope, const thi_start *start);

/* Gives the place of a start back that came to nothing, and tells its handle why. */
void thi_start_lost(thi_scope *scope, const thi_start *start, int err);

/*
 * The same from a function that the loop calls; the fiber runs before this returns, up to its first
 * wait or its end. Events that each start a short fiber then use one stack after the other, the
 * same one, which stays in the processor's nearest cache.
 */
TH_MUST int thi_start_at_once(thi_scope *scope, const thi_start *start);

#endif
