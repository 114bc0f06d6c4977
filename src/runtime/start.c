/* SPDX-License-Identifier: MIT */

/* Starting a fiber as a thi_start describes it. */
#include "runtime/start.h"

#include "runtime/handle.h"

/* Makes the fiber that is described; who starts it lets it run. */
static inline int make(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    thi_worker *worker = scope->worker;
    int stack_class = start->stack_size ? thi_stack_class(start->stack_size) : worker->stack_class;
    if (stack_class < 0)
        return stack_class;
    if (TH_UNLIKELY(start->handle != NULL) && !thi_handle_start(start->handle, worker))
        return -ECANCELED;
    th_fiber *fiber =
        thi_start_make(scope, start->fn, start->arg, start->origin, (unsigned)stack_class);
    if (!fiber)
        return -ENOMEM;
    fiber->name = start->name;
    fiber->rank = start->rank;
    if (TH_UNLIKELY(start->handle != NULL))
        thi_handle_attach(start->handle, fiber);
    *out = fiber;
    return 0;
}

int thi_start_here(thi_scope *scope, const thi_start *start)
{
    th_fiber *fiber;
    int err = make(scope, start, &fiber);
    if (err == 0)
        thi_sched_enqueue(scope->worker, fiber);
    return err;
}

int thi_start_at_once(thi_scope *scope, const thi_start *start)
{
    th_fiber *fiber;
    int err = make(scope, start, &fiber);
    if (err == 0)
        thi_sched_run_first(scope->worker, fiber);
    return err;
}

void thi_start_lost(thi_scope *scope, const thi_start *start, int err)
{
    if (start->handle)
        thi_handle_end(start->handle, scope, err);
    else
        thi_scope_child_ended(scope, err);
}
