/* SPDX-License-Identifier: MIT */

/*
 * A start that has a time.
 *
 * Until then the child is a timer on the worker of its scope; it has no fiber and no stack. It
 * hangs in the scope's list of those to be told of a cancellation. What it is told makes the timer
 * run out at once, so that there is one end only, in which nobody walks that list.
 */
#include "runtime/delay.h"

#include "base/alloc.h"
#include "runtime/handle.h"

typedef struct delay {
    thi_timer timer;
    thi_far_child told; /* in scope->far */
    thi_scope *scope;
    thi_start start;
    int (*then)(thi_scope *scope, const thi_start *start);
} delay;

static void hurry(delay *d)
{
    thi_loop *loop = &d->scope->worker->loop;
    thi_loop_timer(loop, &d->timer, loop->now);
}

static void on_status(thi_far_child *child)
{
    hurry(thi_container_of(child, delay, told));
}

static void on_due(thi_timer *timer)
{
    delay *d = thi_container_of(timer, delay, timer);
    thi_scope *scope = d->scope;
    thi_start start = d->start;
    int (*then)(thi_scope * scope, const thi_start *start) = d->then;
    thi_list_remove(&d->told.link);
    thi_free(d);
    start.at = 0;
    int err = start.handle && !thi_handle_undelay(start.handle) ? -ECANCELED : scope->status;
    if (err == 0)
        err = then(scope, &start);
    if (err < 0)
        thi_start_lost(scope, &start, err);
}

int thi_delay_start(thi_scope *scope, const thi_start *start,
                    int (*then)(thi_scope *scope, const thi_start *start))
{
    delay *d = thi_calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->scope = scope;
    d->start = *start;
    d->then = then;
    d->told.tell = on_status;
    thi_timer_init(&d->timer, on_due);
    thi_list_push_back(&scope->far, &d->told.link);
    thi_loop_timer(&scope->worker->loop, &d->timer, start->at);
    if (start->handle)
        thi_handle_delay(start->handle, scope->worker, &d->timer);
    if (scope->status < 0) /* a start that has come from elsewhere may be late */
        hurry(d);
    return 0;
}
