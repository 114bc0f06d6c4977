/* SPDX-License-Identifier: MIT */

/*
 * The orderly end: who asks for it, who is told, and what happens when it takes too long.
 *
 * The first stop tells every stopper, on its own worker, and starts the time of grace. Without
 * stoppers, when the time is up, and with the second stop, the root scope is cancelled.
 */
#include "runtime/stop.h"

#include "base/util.h"
#include "runtime/tree.h"

#include <errno.h>

#define GRACE_DEFAULT (10 * TH_SECOND)

static void tell(thi_stopper *stopper)
{
    if (stopper->told)
        return;
    stopper->told = true;
    stopper->fn(stopper);
}

/*
 * One who is added while a stop is asked for sees that here, or is counted there, or both: he is
 * never forgotten, and hears of it once.
 */
void thi_stopper_add(thi_stopper *stopper, void (*fn)(thi_stopper *stopper))
{
    thi_worker *worker = thi_worker_self;
    *stopper = (thi_stopper){ .fn = fn };
    thi_list_push_back(&worker->stoppers, &stopper->link);
    atomic_fetch_add(&worker->runtime->stoppers, 1);
    if (atomic_load(&worker->runtime->stopping))
        tell(stopper);
}

void thi_stopper_remove(thi_stopper *stopper)
{
    thi_list_remove(&stopper->link);
    atomic_fetch_sub(&thi_worker_self->runtime->stoppers, 1);
}

static void cancel_root(thi_runtime *rt)
{
    thi_scope *root = thi_scope_of(&rt->root);
    if (thi_scope_is_open(root))
        thi_scope_mark(root, -ECANCELED, -ECANCELED);
}

static void on_grace_over(thi_timer *timer)
{
    cancel_root(thi_container_of(timer, thi_runtime, grace));
}

/* On each worker. A stopper may remove itself, or others, when it is called. */
static void tell_stoppers(thi_msg *msg)
{
    thi_worker *worker = thi_container_of(msg, thi_worker, stop_msg);
    thi_list told;
    thi_list_init(&told);
    while (!thi_list_empty(&worker->stoppers)) {
        thi_list *node = thi_list_pop_front(&worker->stoppers);
        thi_list_push_back(&told, node);
        tell(thi_list_item(node, thi_stopper, link));
    }
    thi_list_splice_back(&worker->stoppers, &told);
}

/* On worker 0, whatever asked for the stop. */
void thi_stop_asked(thi_runtime *rt)
{
    bool again = rt->stops++ > 0;
    thi_raise(&rt->stopping);
    if (again || atomic_load(&rt->stoppers) == 0) {
        cancel_root(rt);
        return;
    }
    thi_loop *loop = &rt->workers[0].loop;
    int64_t grace = rt->opts.grace ? rt->opts.grace : GRACE_DEFAULT;
    thi_timer_init(&rt->grace, on_grace_over);
    thi_loop_timer(loop, &rt->grace, th_after(grace));
    for (unsigned i = 0; i < rt->count; i++) {
        rt->workers[i].stop_msg.fn = tell_stoppers;
        thi_loop_post(&rt->workers[i].loop, &rt->workers[i].stop_msg);
    }
}

static void on_ask(thi_msg *msg)
{
    thi_runtime *rt = thi_container_of(msg, thi_runtime, ask);
    for (int times = atomic_exchange(&rt->asked, 0); times > 0; times--)
        thi_stop_asked(rt);
}

void thi_stop_send(thi_runtime *rt)
{
    if (atomic_fetch_add(&rt->asked, 1) > 0)
        return;
    rt->ask.fn = on_ask;
    thi_worker_post(&rt->workers[0], &rt->ask);
}

int th_stop(void)
{
    thi_worker *worker = thi_worker_self;
    if (!worker)
        return -EPERM;
    thi_stop_send(worker->runtime);
    return 0;
}
