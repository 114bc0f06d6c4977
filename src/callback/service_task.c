/* SPDX-License-Identifier: MIT */

/* Services that are fibers: children of the root scope, with a handle by which they are stopped. */
#include <thrum/service.h>

#include "base/alloc.h"
#include "base/error.h"

#include <thrum/scope.h>

#include <errno.h>
#include <string.h>

typedef struct task {
    th_fiber_fn fn;
    void *arg;
    th_fiber *fiber; /* its handle while it runs */
    char *name;
} task;

static int start_task(th_service *service, void *self)
{
    task *t = self;
    (void)service;
    th_spawn_opts opts = { .name = t->name };
    return th_spawn_with(th_scope_root(), t->fn, t->arg, &opts, &t->fiber);
}

/* The end that it was asked for is none to tell of. */
static int stop_task(th_service *service, void *self)
{
    task *t = self;
    int result = 0;
    (void)service;
    (void)th_fiber_cancel(t->fiber, 0);
    int err = th_join(t->fiber, &result);
    th_fiber_unref(t->fiber);
    t->fiber = NULL;
    if (err < 0)
        return err;
    return result == -ECANCELED ? 0 : result;
}

static void free_task(void *self)
{
    task *t = self;
    thi_free(t->name);
    thi_free(t);
}

static const th_service_ops task_ops = { .start = start_task,
                                         .stop = stop_task,
                                         .free = free_task };

int th_service_task(const char *name, th_fiber_fn fn, void *arg, th_service **service)
{
    if (!name || !fn || !service)
        return -EINVAL;
    task *t = thi_calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->fn = fn;
    t->arg = arg;
    t->name = thi_strdup_n(name, strlen(name));
    int err = t->name ? th_service_new(name, &task_ops, t, service) : -ENOMEM;
    if (err < 0)
        free_task(t);
    return err;
}
