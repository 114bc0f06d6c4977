/* SPDX-License-Identifier: MIT */

/*
 * The tree of scopes.
 *
 * Below a scope hang the scopes opened inside it, by its host or by its children, and the fibers
 * whose innermost scope it is. Cancelling walks that tree once: it gives each scope a status, which
 * is all that a suspending call looks at, and breaks off the waits of the members. Since the status
 * stays, a call that did not look is caught by the next one.
 *
 * Deadlines need no walk when a scope is opened: it takes over the earlier of its own and its
 * parent's. Only a scope whose own deadline is the earliest sets a timer; when that fires, the tree
 * below is marked in the same way. When a deadline is moved, what is below is walked as well.
 *
 * A status of -ECANCELED takes the place of -ETIMEDOUT, never the other way round: who cancels
 * knows more than the clock.
 */
#include "runtime/tree.h"

#include "base/assert.h"
#include "base/util.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <errno.h>

static void on_deadline(thi_timer *timer)
{
    thi_scope *scope = thi_container_of(timer, thi_scope, timer);
    thi_scope_mark(scope, -ETIMEDOUT, -ETIMEDOUT);
}

void thi_scope_init(thi_scope *scope, thi_scope *parent, const th_scope_opts *opts)
{
    *scope = (thi_scope){
        .parent = parent, .worker = thi_worker_self, .deadline = TH_NEVER, .own = TH_NEVER
    };
    scope->limit = opts && opts->limit ? opts->limit : UINT32_MAX;
    scope->shield = opts && opts->shield;
    scope->cancel_rest = opts && opts->cancel_rest;
    thi_list_init(&scope->scopes);
    thi_list_init(&scope->fibers);
    thi_list_init(&scope->far);
    thi_list_init(&scope->waiting);
    thi_timer_init(&scope->timer, on_deadline);
    if (parent) {
        thi_list_push_back(&parent->scopes, &scope->sibling);
        if (!scope->shield) {
            scope->deadline = parent->deadline;
            scope->status = parent->status;
            scope->reason = parent->reason;
        }
    }
    scope->magic = THI_SCOPE_MAGIC;
    if (opts && opts->deadline != 0)
        scope->own = opts->deadline;
    if (scope->own < scope->deadline) {
        scope->deadline = scope->own;
        if (scope->status == 0 && scope->deadline <= thi_sys_clock())
            scope->status = scope->reason = -ETIMEDOUT;
        else if (scope->status == 0)
            thi_loop_timer(&scope->worker->loop, &scope->timer, scope->deadline);
    }
}

void thi_scope_deinit(thi_scope *scope)
{
    TH_DEBUG_ASSERT(thi_list_empty(&scope->scopes) && scope->live == 0);
    thi_timer_cancel(&scope->worker->loop.timers, &scope->timer);
    if (scope->parent)
        thi_list_remove(&scope->sibling);
    scope->magic = 0;
}

/* The next scope of a walk over everything below `top`, shields left out; NULL at the end. */
static thi_scope *walk(thi_scope *top, thi_scope *at, bool into)
{
    thi_list *next = into ? at->scopes.next : NULL;
    thi_scope *parent = at;
    for (;;) {
        if (next && next != &parent->scopes) {
            thi_scope *found = thi_list_item(next, thi_scope, sibling);
            if (!found->shield)
                return found;
            next = next->next;
        } else if (parent == top) {
            return NULL;
        } else {
            next = parent->sibling.next;
            parent = parent->parent;
        }
    }
}

static void wake_members(thi_scope *scope)
{
    thi_list_each (node, &scope->fibers) {
        th_fiber *fiber = thi_list_item(node, th_fiber, member);
        if (fiber->state == THI_FIBER_PARKED && fiber->waits->abort)
            fiber->waits->abort(fiber->waits, scope->status);
    }
}

static void tell_far_children(thi_scope *scope)
{
    thi_list_each (node, &scope->far) {
        thi_far_child *child = thi_list_item(node, thi_far_child, link);
        child->tell(child);
    }
}

void thi_scope_mark(thi_scope *top, int status, int reason)
{
    for (thi_scope *scope = top; scope; scope = walk(top, scope, true)) {
        if (scope->status == status || scope->status == -ECANCELED)
            continue;
        if (scope->status == 0)
            scope->reason = reason;
        scope->status = status;
        wake_members(scope);
        tell_far_children(scope);
    }
}

/* From its own deadline and that around it, which is settled already. */
static void settle_deadline(thi_scope *scope)
{
    int64_t around = scope->parent && !scope->shield ? scope->parent->deadline : TH_NEVER;
    thi_timer_cancel(&scope->worker->loop.timers, &scope->timer);
    scope->deadline = thi_min(scope->own, around);
    if (scope->status == 0 && scope->own < around)
        thi_loop_timer(&scope->worker->loop, &scope->timer, scope->own);
}

void thi_scope_move_deadline(thi_scope *top, int64_t deadline)
{
    top->own = deadline;
    for (thi_scope *scope = top; scope; scope = walk(top, scope, true)) {
        settle_deadline(scope);
        tell_far_children(scope);
    }
}

/* A shield has the deadline of nobody else, so the way up ends there. */
void thi_scope_expire(thi_scope *scope, int64_t now)
{
    while (!scope->shield && scope->parent && scope->parent->deadline <= now)
        scope = scope->parent;
    thi_scope_mark(scope, -ETIMEDOUT, -ETIMEDOUT);
}

/*
 * Keeps the first failure. A child that gives up because of the scope's status repeats it; that is
 * an echo and no failure of its own, so one that really failed takes its place.
 */
static void note_failure(thi_scope *scope, int result)
{
    bool echo = result == scope->status;
    if (scope->first_error == 0 || (scope->echoed && !echo)) {
        scope->first_error = result;
        scope->echoed = echo;
    }
    if (scope->cancel_rest && scope->status == 0)
        thi_scope_mark(scope, -ECANCELED, result);
}

void thi_scope_admit(thi_scope *scope)
{
    thi_list *node;
    while (scope->live < scope->limit && (node = thi_list_pop_front(&scope->waiting))) {
        thi_place_wait *wait = thi_list_item(node, thi_place_wait, link);
        scope->live++;
        int err = wait->admit(wait);
        if (err < 0) {
            scope->live--;
            note_failure(scope, err);
        }
    }
}

void thi_scope_child_ended(thi_scope *scope, int result)
{
    scope->live--;
    if (TH_UNLIKELY(result < 0))
        note_failure(scope, result);
    if (TH_UNLIKELY(scope->limit != UINT32_MAX))
        thi_scope_admit(scope);
    if (scope->live == 0) {
        if (scope->closer)
            scope->closer->abort(scope->closer, 0);
        else if (scope->emptied)
            scope->emptied(scope);
    }
}
