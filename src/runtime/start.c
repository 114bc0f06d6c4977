/* SPDX-License-Identifier: MIT */

/* Starting a fiber as a thi_start describes it. */
#include "runtime/start.h"

/* Makes the fiber that is described; who starts it lets it run. */
static inline int make(thi_scope *scope, const thi_start *start, uint32_t refs, th_fiber **out)
{
    thi_worker *worker = scope->worker;
    int stack_class = start->stack_size ? thi_stack_class(start->stack_size) : worker->stack_class;
    if (stack_class < 0)
        return stack_class;
    *out = thi_start_make(scope, start->fn, start->arg, start->origin, (unsigned)stack_class, refs);
    if (!*out)
        return -ENOMEM;
    (*out)->name = start->name;
    return 0;
}

int thi_start_here(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    th_fiber *fiber;
    int err = make(scope, start, out ? 2 : 1, &fiber);
    if (err < 0)
        return err;
    thi_sched_enqueue(scope->worker, fiber);
    if (out)
        *out = fiber;
    return 0;
}

int thi_start_at_once(thi_scope *scope, const thi_start *start)
{
    th_fiber *fiber;
    int err = make(scope, start, 1, &fiber);
    if (err == 0)
        thi_sched_run_first(scope->worker, fiber);
    return err;
}
