/* SPDX-License-Identifier: MIT */

/*
 * The calls on scopes: opening, waiting, closing, cancelling.
 *
 * A fiber that waits for its children shows the scheduler one wait and leaves another in the scope:
 * the last child wakes the second, a canceller may break off the first only where the call allows
 * it.
 */
#include <thrum/scope.h>

#include "runtime/remote.h"
#include "runtime/sched.h"
#include "sys/sys.h"

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

static const thi_wait_kind children = { "scope", THI_BY_CHILDREN, 0 };

static bool is_busy(const thi_scope *scope)
{
    return scope->live > 0 || atomic_load(&scope->inflight) > 0;
}

/*
 * The host stays a member of the scope while it closes it; the canceller must not cut its wait
 * short, so the fiber shows a wait that cannot be broken off, while `closer` has the one that
 * wakes.
 */
static void drain(thi_scope *scope)
{
    while (is_busy(scope)) {
        closer c = { .wait = { .kind = &children, .object = scope, .abort = closer_wake },
                     .scope = scope,
                     .fiber = thi_sched_self() };
        thi_wait shown = { .kind = &children, .object = scope };
        scope->closer = &c.wait;
        (void)thi_sched_park_tied(&shown);
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
    drain(scope);
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
    while (is_busy(scope)) {
        int err = thi_sched_may_park_as(self);
        if (err < 0)
            return err;
        closer c = { .wait = { .kind = &children, .object = scope, .abort = closer_wake },
                     .scope = scope,
                     .fiber = self };
        scope->closer = &c.wait;
        err = thi_sched_park_tied(&c.wait);
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
    if (scope->worker == thi_worker_self)
        thi_scope_mark(scope, -ECANCELED, reason);
    else
        thi_remote_send_cancel(scope, reason);
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

static bool is_ours(const thi_scope *scope)
{
    return thi_scope_is_open(scope) && scope->worker == thi_worker_self;
}

int th_scope_set_deadline(th_scope *storage, int64_t deadline)
{
    thi_scope *scope = thi_scope_of(storage);
    if (!is_ours(scope))
        return -EINVAL;
    int64_t now = scope->worker->loop.now;
    if (scope->status == 0 && scope->deadline <= now)
        thi_scope_expire(scope, now);
    if (scope->status < 0)
        return scope->status;
    thi_scope_move_deadline(scope, deadline);
    now = thi_sys_clock();
    if (scope->deadline <= now)
        thi_scope_expire(scope, now);
    return 0;
}

int th_scope_set_limit(th_scope *storage, uint32_t limit)
{
    thi_scope *scope = thi_scope_of(storage);
    if (!is_ours(scope))
        return -EINVAL;
    scope->limit = limit ? limit : UINT32_MAX;
    thi_scope_admit(scope);
    return 0;
}

int th_shielded(int64_t span, int (*fn)(void *arg), void *arg)
{
    th_scope shield;
    if (!fn || span <= 0)
        return -EINVAL;
    int err = th_scope_open(&shield, &(th_scope_opts){ .shield = 1, .deadline = th_after(span) });
    if (err < 0)
        return err;
    int result = fn(arg);
    (void)th_scope_close(&shield); /* without children: it has nothing to say */
    return result;
}

size_t th_scope_children(const th_scope *scope)
{
    const thi_scope *s = (const thi_scope *)(const void *)scope;
    return thi_scope_is_open(s) ? s->live : 0;
}
