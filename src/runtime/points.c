/* SPDX-License-Identifier: MIT */

/*
 * Suspension points.
 *
 * A cancellation may come while any fiber waits for anything. Run a program again and again, cancel
 * it at its first wait, at its second one, and so on until there are no more, and every path that
 * clean-up can take was taken. Only waits count: a call that need not wait is no moment at which
 * the program could be told anything.
 */
#include "runtime/points.h"

#include "base/alloc.h"
#include "runtime/locks.h"
#include "runtime/tree.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>

/*
 * The fiber is parked already, so cancelling makes it ready like any other. A shield keeps what
 * happens around it from reaching inside, here as well.
 */
void thi_points_pass(th_fiber *fiber)
{
    thi_runtime *rt = fiber->worker->runtime;
    thi_locks_pass(fiber);
    if (!rt->counts || fiber->state != THI_FIBER_PARKED)
        return;
    if (atomic_fetch_add(&rt->points, 1) + 1 != rt->opts.cancel_at)
        return;
    thi_scope *scope = fiber->scope;
    while (scope->shield && scope->parent)
        scope = scope->parent;
    thi_scope_mark(scope, -ECANCELED, -ECANCELED);
}

#define DESCRIPTORS 1024 /* that are looked at */

thi_leftovers thi_points_leftovers(void)
{
    thi_leftovers seen = { .allocations = thi_alloc_live() };
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        seen.descriptors += thi_sys_fcntl(fd, F_GETFD, 0) >= 0;
    return seen;
}
