/* SPDX-License-Identifier: MIT */

/*
 * From a free context to a ready fiber.
 *
 * A context is entered once and then stays in a loop that serves one spawn after the other, so
 * nothing has to be built on its stack here.
 */
#include "runtime/start.h"

#include "runtime/place.h"
#include "runtime/sched.h"

int thi_start_here(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    thi_worker *worker = scope->worker;
    int stack_class = start->stack_size ? thi_stack_class(start->stack_size) : worker->stack_class;
    if (stack_class < 0)
        return stack_class;
    th_fiber *fiber = thi_fiber_pool_get(&worker->fibers, (unsigned)stack_class);
    if (!fiber)
        return -ENOMEM;
    fiber->worker = worker;
    fiber->fn = start->fn;
    fiber->arg = start->arg;
    fiber->name = start->name;
    fiber->refs = out ? 2 : 1;
    fiber->id = (uint64_t)worker->index << 48 | ++worker->last_id;
    fiber->home = scope;
    thi_list_init(&fiber->joiners);
    thi_scope_enter(scope, fiber);
    thi_worker_add_load(worker, 1);
    thi_sched_enqueue(worker, fiber);
    if (out)
        *out = fiber;
    return 0;
}
