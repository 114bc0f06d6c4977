/* SPDX-License-Identifier: MIT */

/*
 * Trees of services.
 *
 * A start or a stop may suspend, and meanwhile somebody else may call: the states between say that
 * somebody is at it, and refuse. They hold for the tree as a whole, because who starts one passes
 * through STARTING before it touches those below, and nobody adds to or takes from one that is not
 * at rest.
 */
#include <thrum/service.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "runtime/sched.h"
#include "runtime/stop.h"

#include <thrum/scope.h>

#include <string.h>

#define GRACE (10 * TH_SECOND) /* of a runtime that was not told another one */

struct th_service {
    const th_service_ops *ops; /* or NULL */
    void *self;
    th_service *parent;
    thi_list link;     /* in parent->children */
    thi_list children; /* in order of adding */
    enum th_service_state state;
    char name[];
};

static th_service *item(thi_list *node)
{
    return thi_list_item(node, th_service, link);
}

static bool is_at_rest(const th_service *s)
{
    return s->state == TH_SERVICE_STOPPED || s->state == TH_SERVICE_RUNNING;
}

static int call(th_service *s, int (*fn)(th_service *, void *))
{
    return fn ? fn(s, s->self) : 0;
}

/* ---- stopping ---- */

static int stop(th_service *s);

/* Those before `end`, last ones first; the first failure. */
static int stop_children(th_service *s, thi_list *end)
{
    int result = 0;
    for (thi_list *node = end->prev; node != &s->children; node = node->prev) {
        int err = stop(item(node));
        if (result == 0)
            result = err;
    }
    return result;
}

static int stop_itself(th_service *s)
{
    int err = s->ops ? call(s, s->ops->stop) : 0;
    s->state = TH_SERVICE_STOPPED;
    if (err < 0)
        thi_log(TH_LOG_WARNING, "service %s: stop: %s", s->name, th_strerror(err));
    return err < 0 ? err : 0;
}

static int stop(th_service *s)
{
    if (s->state == TH_SERVICE_STOPPED)
        return 0;
    if (!is_at_rest(s))
        return -EBUSY;
    s->state = TH_SERVICE_STOPPING;
    int result = stop_children(s, &s->children);
    int err = stop_itself(s);
    return result < 0 ? result : err;
}

/* ---- starting ---- */

static int start(th_service *s)
{
    if (s->state == TH_SERVICE_RUNNING)
        return 0;
    if (!is_at_rest(s))
        return -EBUSY;
    s->state = TH_SERVICE_STARTING;
    int err = s->ops ? call(s, s->ops->start) : 0;
    if (err < 0) {
        s->state = TH_SERVICE_STOPPED;
        return err;
    }
    thi_list_each (node, &s->children) {
        err = start(item(node));
        if (err >= 0)
            continue;
        thi_log(TH_LOG_WARNING, "service %s: start of %s: %s", s->name, item(node)->name,
                th_strerror(err));
        (void)stop_children(s, node);
        (void)stop_itself(s);
        return err;
    }
    s->state = TH_SERVICE_RUNNING;
    return 0;
}

/* ---- calls ---- */

int th_service_new(const char *name, const th_service_ops *ops, void *self, th_service **service)
{
    if (!name || !service || (ops && ops->size > sizeof *ops))
        return -EINVAL;
    size_t size = strlen(name) + 1;
    th_service *s = thi_calloc(1, sizeof *s + size);
    if (!s)
        return -ENOMEM;
    memcpy(s->name, name, size);
    s->ops = ops;
    s->self = self;
    thi_list_init(&s->children);
    thi_list_init(&s->link);
    *service = s;
    return 0;
}

static bool is_above(const th_service *s, const th_service *other)
{
    for (; other; other = other->parent)
        if (other == s)
            return true;
    return false;
}

int th_service_add(th_service *parent, th_service *s)
{
    if (!parent || !s || s->parent || is_above(s, parent))
        return -EINVAL;
    if (!is_at_rest(parent) || s->state != TH_SERVICE_STOPPED)
        return -EBUSY;
    bool running = parent->state == TH_SERVICE_RUNNING;
    if (running && !thi_sched_self())
        return -EPERM;
    s->parent = parent;
    thi_list_push_back(&parent->children, &s->link);
    return running ? start(s) : 0;
}

int th_service_remove(th_service *s)
{
    if (!s || !s->parent)
        return -EINVAL;
    if (!is_at_rest(s) || !is_at_rest(s->parent))
        return -EBUSY;
    if (s->state == TH_SERVICE_RUNNING && !thi_sched_self())
        return -EPERM;
    thi_list_remove(&s->link);
    s->parent = NULL;
    return stop(s);
}

int th_service_start(th_service *s)
{
    if (!s)
        return -EINVAL;
    return thi_sched_self() ? start(s) : -EPERM;
}

int th_service_stop(th_service *s)
{
    if (!s)
        return -EINVAL;
    return thi_sched_self() ? stop(s) : -EPERM;
}

int th_service_state(const th_service *s)
{
    return s ? (int)s->state : -EINVAL;
}

const char *th_service_name(const th_service *s)
{
    return s ? s->name : "";
}

th_service *th_service_find(const th_service *parent, const char *name)
{
    if (!parent || !name)
        return NULL;
    thi_list_each (node, &parent->children)
        if (strcmp(item(node)->name, name) == 0)
            return item(node);
    return NULL;
}

static void free_tree(th_service *s)
{
    while (!thi_list_empty(&s->children)) {
        th_service *last = item(s->children.prev);
        thi_list_remove(&last->link);
        free_tree(last);
    }
    if (s->ops && s->ops->free)
        s->ops->free(s->self);
    thi_free(s);
}

int th_service_free(th_service *s)
{
    if (!s)
        return 0;
    if (s->parent)
        return -EINVAL;
    if (s->state != TH_SERVICE_STOPPED)
        return -EBUSY;
    free_tree(s);
    return 0;
}

/* ---- running one ---- */

/* The wait of a fiber for an orderly stop. */
typedef struct stop_wait {
    thi_wait wait;
    thi_stopper stopper;
    th_fiber *fiber;
    bool parked;
    bool told;
} stop_wait;

static void on_stop(thi_stopper *stopper)
{
    stop_wait *w = thi_container_of(stopper, stop_wait, stopper);
    w->told = true;
    if (w->parked)
        w->wait.abort(&w->wait, 0);
}

static void wake(thi_wait *wait, int result)
{
    stop_wait *w = thi_container_of(wait, stop_wait, wait);
    w->parked = false;
    thi_sched_ready(w->fiber, result);
}

static const thi_wait_kind running = { "service", THI_BY_ANYBODY, 0 };

/* 0 after an orderly stop; what the scope says. */
static int wait_for_stop(th_service *s)
{
    stop_wait w = { .wait = { .kind = &running, .object = s, .abort = wake },
                    .fiber = thi_sched_self() };
    thi_stopper_add(&w.stopper, on_stop);
    int err = w.told ? 0 : thi_sched_may_park();
    if (!w.told && err == 0) {
        w.parked = true;
        err = thi_sched_park(&w.wait);
    }
    thi_stopper_remove(&w.stopper);
    return err;
}

static int stop_shielded(void *service)
{
    return stop(service);
}

int th_service_run(th_service *s, int64_t span)
{
    if (!s || span < 0)
        return -EINVAL;
    th_fiber *self = thi_sched_self();
    int err = th_service_start(s);
    if (err < 0)
        return err;
    int64_t grace = self->worker->runtime->opts.grace;
    int why = wait_for_stop(s);
    err = th_shielded(span ? span : grace ? grace : GRACE, stop_shielded, s);
    return err < 0 ? err : why;
}
