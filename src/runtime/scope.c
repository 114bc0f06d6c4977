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
 * below is marked in the same way.
 *
 * A status of -ECANCELED takes the place of -ETIMEDOUT, never the other way round: who cancels
 * knows more than the clock.
 */
#include "runtime/scope.h"

#include "base/assert.h"
#include "runtime/remote.h"
#include "runtime/sched.h"
#include "runtime/spawn.h"
#include "sys/sys.h"

static void on_deadline(thi_timer *timer)
{
    thi_scope *scope = thi_container_of(timer, thi_scope, timer);
    thi_scope_mark(scope, -ETIMEDOUT, -ETIMEDOUT);
}

void thi_scope_init(thi_scope *scope, thi_scope *parent, const th_scope_opts *opts)
{
    *scope = (thi_scope){ .parent = parent, .worker = thi_worker_self, .deadline = TH_NEVER };
    scope->limit = opts && opts->limit ? opts->limit : UINT32_MAX;
    scope->shield = opts && opts->shield;
    scope->cancel_rest = opts && opts->cancel_rest;
    thi_list_init(&scope->scopes);
    thi_list_init(&scope->fibers);
    thi_list_init(&scope->remotes);
    thi_list_init(&scope->spawners);
    thi_queue_init(&scope->pending);
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
    if (opts && opts->deadline != 0 && opts->deadline < scope->deadline) {
        scope->deadline = opts->deadline;
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

void thi_scope_mark(thi_scope *top, int status, int reason)
{
    for (thi_scope *scope = top; scope; scope = walk(top, scope, true)) {
        if (scope->status == status || scope->status == -ECANCELED)
            continue;
        if (scope->status == 0)
            scope->reason = reason;
        scope->status = status;
        wake_members(scope);
        thi_remote_cancel_all(scope);
    }
}

/* Hands the place of a child that has ended to whoever has waited longest for one. */
static void hand_over_place(thi_scope *scope)
{
    thi_list *node = thi_list_pop_front(&scope->spawners);
    if (node) {
        scope->live++;
        thi_spawner_admit(node);
    } else if (!thi_queue_empty(&scope->pending)) {
        thi_spawn_pending(scope);
    }
}

void thi_scope_child_ended(thi_scope *scope, int result)
{
    scope->live--;
    if (TH_UNLIKELY(result < 0) && scope->first_error == 0) {
        scope->first_error = result;
        if (scope->cancel_rest)
            thi_scope_mark(scope, -ECANCELED, result);
    }
    if (TH_UNLIKELY(scope->limit != UINT32_MAX) && scope->live < scope->limit)
        hand_over_place(scope);
    if (scope->live == 0) {
        if (scope->closer)
            scope->closer->abort(scope->closer, 0);
        else if (scope->emptied)
            scope->emptied(scope);
    }
}

/* The wait of a host for its last child. */
typedef struct closer {
    thi_wait wait;
    thi_scope *scope;
    th_fiber *fiber;
} closer;

static void closer_wake(thi_wait *wait, int result)
{
    closer *c = thi_container_of(wait, closer, wait);
    c->scope->closer = NULL;
    thi_sched_ready(c->fiber, result);
}

static bool is_busy(const thi_scope *scope)
{
    return scope->live > 0 || atomic_load(&scope->inflight) > 0;
}

/*
 * The host stays a member of the scope while it closes it; the canceller must not cut its wait
 * short, so the fiber shows a wait that cannot be broken off, while `closer` has the one that
 * wakes.
 */
void thi_scope_drain(thi_scope *scope)
{
    while (is_busy(scope)) {
        closer c = { .wait = { .what = "scope", .object = scope, .abort = closer_wake },
                     .scope = scope,
                     .fiber = thi_sched_self() };
        thi_wait shown = { .what = "scope", .object = scope };
        scope->closer = &c.wait;
        (void)thi_sched_park(&shown);
    }
}

int th_scope_open(th_scope *storage, const th_scope_opts *opts)
{
    th_fiber *self = thi_sched_self();
    if (!storage || (opts && opts->size > sizeof *opts))
        return -EINVAL;
    if (!self)
        return -EPERM;
    thi_scope *scope = thi_scope_of(storage);
    thi_scope_init(scope, self->scope, opts);
    scope->host = self;
    thi_scope_leave(self);
    thi_scope_enter(scope, self);
    return 0;
}

int th_scope_close(th_scope *storage)
{
    th_fiber *self = thi_sched_self();
    thi_scope *scope = thi_scope_of(storage);
    if (!self)
        return -EPERM;
    if (!thi_scope_is_open(scope) || self->scope != scope || scope->host != self)
        return -EINVAL;
    thi_scope_drain(scope);
    thi_scope_leave(self);
    thi_scope_enter(scope->parent, self);
    thi_scope_deinit(scope);
    return scope->first_error;
}

int th_scope_wait(th_scope *storage)
{
    th_fiber *self = thi_sched_self();
    thi_scope *scope = thi_scope_of(storage);
    if (!self)
        return -EPERM;
    if (!thi_scope_is_open(scope) || scope->host != self)
        return -EINVAL;
    if (scope->closer)
        return -EBUSY;
    while (is_busy(scope)) {
        int err = thi_sched_may_park();
        if (err < 0)
            return err;
        closer c = { .wait = { .what = "scope", .object = scope, .abort = closer_wake },
                     .scope = scope,
                     .fiber = self };
        scope->closer = &c.wait;
        err = thi_sched_park(&c.wait);
        if (err < 0)
            return err;
    }
    return 0;
}

int th_scope_cancel(th_scope *storage, int reason)
{
    thi_scope *scope = thi_scope_of(storage);
    if (!scope || reason > 0 || !thi_scope_is_open(scope))
        return -EINVAL;
    if (reason == 0)
        reason = -ECANCELED;
    if (scope->worker != thi_worker_self)
        return thi_remote_send_cancel(scope, reason);
    thi_scope_mark(scope, -ECANCELED, reason);
    return 0;
}

int th_scope_reason(const th_scope *scope)
{
    const thi_scope *s = (const thi_scope *)(const void *)scope;
    return thi_scope_is_open(s) ? s->reason : 0;
}

int64_t th_scope_deadline(const th_scope *scope)
{
    const thi_scope *s = (const thi_scope *)(const void *)scope;
    return thi_scope_is_open(s) ? s->deadline : TH_NEVER;
}

size_t th_scope_children(const th_scope *scope)
{
    const thi_scope *s = (const thi_scope *)(const void *)scope;
    return thi_scope_is_open(s) ? s->live : 0;
}
