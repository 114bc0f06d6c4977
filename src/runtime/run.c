/* SPDX-License-Identifier: MIT */

/*
 * The course of a run.
 *
 * The main fiber runs on worker 0. It opens the root scope, calls the program's function, cancels
 * what is left in the root scope and waits for it. Every other fiber lives in a scope below the
 * root, so once that is closed no fiber is left anywhere, and the workers can be told to end.
 */
#include "runtime/run.h"

#include "base/alloc.h"
#include "base/error.h"
#include "runtime/annex.h"
#include "runtime/sched.h"
#include "runtime/start.h"
#include "runtime/turn.h"

void (*_Atomic thi_run_ended)(bool last);
void (*_Atomic thi_run_began)(void);

static pthread_mutex_t runtimes_lock = PTHREAD_MUTEX_INITIALIZER;

static void enlist(thi_runtime *rt)
{
    pthread_mutex_lock(&runtimes_lock);
    rt->next = thi_runtimes;
    thi_runtimes = rt;
    pthread_mutex_unlock(&runtimes_lock);
}

/* Whether it was the last one. */
static bool delist(thi_runtime *rt)
{
    pthread_mutex_lock(&runtimes_lock);
    thi_runtime **link = &thi_runtimes;
    while (*link != rt)
        link = &(*link)->next;
    *link = rt->next;
    bool last = thi_runtimes == NULL;
    pthread_mutex_unlock(&runtimes_lock);
    return last;
}

/* Without memory the text of a failure goes nowhere: the thread's slot is not for fibers. */
static thi_err_slot *slot_of_fiber(bool make)
{
    static _Thread_local thi_err_slot lost;
    th_fiber *self = thi_sched_self();
    if (!self)
        return NULL;
    if (self->detail)
        return self->detail;
    if (!make)
        return &thi_err_empty;
    self->detail = thi_calloc(1, sizeof *self->detail);
    return self->detail ? self->detail : &lost;
}

static void give_slots_to_fibers(void)
{
    thi_err_slot_hook = slot_of_fiber;
}

static void on_end(thi_msg *msg)
{
    thi_worker *worker = thi_container_of(msg, thi_worker, end_msg);
    worker->stop = true;
}

static void end_workers(thi_runtime *rt)
{
    for (unsigned i = 0; i < rt->count; i++) {
        rt->workers[i].end_msg.fn = on_end;
        thi_loop_post(&rt->workers[i].loop, &rt->workers[i].end_msg);
    }
}

/* The main fiber. It lives in a scope of the runtime's own, around the root scope. */
static int run_app(void *arg)
{
    thi_runtime *rt = arg;
    int err = th_scope_open(&rt->root, NULL);
    TH_ASSERT(err == 0);
    if (rt->app)
        rt->result = rt->app(rt->arg);
    thi_scope_mark(thi_scope_of(&rt->root), -ECANCELED, -ECANCELED);
    (void)th_scope_close(&rt->root);
    thi_timer_cancel(&rt->workers[0].loop.timers, &rt->grace);
    return 0;
}

static void on_outer_emptied(thi_scope *outer)
{
    thi_runtime *rt = outer->worker->runtime;
    thi_scope_deinit(outer);
    end_workers(rt);
}

int thi_run_start(thi_runtime *rt)
{
    thi_scope *outer = thi_scope_of(&rt->outer);
    thi_worker_self = &rt->workers[0];
    thi_scope_init(outer, NULL, NULL);
    outer->emptied = on_outer_emptied;
    outer->live = 1;
    int err = thi_start_here(outer, &(thi_start){ .fn = run_app, .arg = rt, .name = "main" });
    if (err < 0) {
        outer->live = 0;
        thi_scope_deinit(outer);
    }
    thi_worker_self = NULL;
    return err;
}

static void close_worker(thi_worker *worker)
{
    thi_annex_close_all(worker);
    thi_worker_close(worker);
}

static void close_workers(thi_runtime *rt, unsigned opened)
{
    while (opened > 0)
        close_worker(&rt->workers[--opened]);
    bool last = delist(rt);
    thi_free(rt->workers);
    void (*ended)(bool last) = atomic_load(&thi_run_ended);
    if (ended)
        ended(last);
}

int thi_run_open(thi_runtime *rt)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    rt->workers = thi_calloc(rt->count, sizeof *rt->workers);
    if (!rt->workers)
        return -ENOMEM;
    (void)pthread_once(&once, give_slots_to_fibers);
    thi_timer_init(&rt->grace, NULL);
    enlist(rt);
    for (unsigned i = 0; i < rt->count; i++) {
        int err = thi_worker_open(&rt->workers[i], rt, i);
        if (err < 0) {
            close_workers(rt, i);
            return err;
        }
    }
    return 0;
}

void thi_run_close(thi_runtime *rt)
{
    close_workers(rt, rt->count);
}

int thi_run(thi_runtime *rt, thi_drive_fn drive)
{
    int err = thi_run_open(rt);
    if (err < 0)
        return err;
    err = drive(rt);
    thi_run_close(rt);
    return err;
}
