/* SPDX-License-Identifier: MIT */

/* Starting a fiber as a thi_start describes it. */
#include "runtime/start.h"

int thi_start_here(thi_scope *scope, const thi_start *start, th_fiber **out)
{
    thi_worker *worker = scope->worker;
    int stack_class = start->stack_size ? thi_stack_class(start->stack_size) : worker->stack_class;
    if (stack_class < 0)
        return stack_class;
    th_fiber *fiber =
        thi_start_fiber(scope, start->fn, start->arg, (unsigned)stack_class, out ? 2 : 1);
    if (!fiber)
        return -ENOMEM;
    fiber->name = start->name;
    if (out)
        *out = fiber;
    return 0;
}
