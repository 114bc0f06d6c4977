/* SPDX-License-Identifier: MIT */

/*
 * Starting and ending a runtime.
 *
 * The calling thread becomes worker 0 and runs the main fiber; the others get threads of their own.
 * The main fiber opens the root scope, calls the program's function, cancels what is left in the
 * root scope and waits for it. Every other fiber lives in a scope below the root, so once that is
 * closed no fiber is left anywhere, and the workers can be told to end.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "loop/signals.h"
#include "runtime/overflow.h"
#include "runtime/sched.h"
#include "runtime/start.h"
#include "runtime/stop.h"
#include "runtime/turn.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <signal.h>

thi_runtime *thi_runtimes;

static pthread_mutex_t runtimes_lock = PTHREAD_MUTEX_INITIALIZER;

static void enlist(thi_runtime *rt)
{
    pthread_mutex_lock(&runtimes_lock);
    rt->next = thi_runtimes;
    thi_runtimes = rt;
    pthread_mutex_unlock(&runtimes_lock);
}

static void delist(thi_runtime *rt)
{
    pthread_mutex_lock(&runtimes_lock);
    thi_runtime **link = &thi_runtimes;
    while (*link != rt)
        link = &(*link)->next;
    *link = rt->next;
    pthread_mutex_unlock(&runtimes_lock);
}

static thi_err_slot *slot_of_fiber(void)
{
    th_fiber *self = thi_sched_self();
    if (!self)
        return NULL;
    if (!self->detail)
        self->detail = thi_calloc(1, sizeof *self->detail);
    return self->detail;
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

static void on_stop_signal(void *arg, int signo)
{
    (void)signo;
    thi_stop_asked(arg);
}

/* What a thread needs to run a worker besides the worker. */
typedef struct thread_start {
    thi_worker *worker;
    const thi_sys *sys;
} thread_start;

static void *worker_thread(void *arg)
{
    thread_start start = *(thread_start *)arg;
    thi_free(arg);
    thi_sys_table = start.sys;
    void *signal_stack = thi_overflow_watch();
    thi_worker_run(start.worker);
    thi_overflow_unwatch(signal_stack);
    return NULL;
}

/* Signals belong to worker 0's thread, so that nobody else's system calls are interrupted. */
static int start_thread(thi_worker *worker)
{
    thread_start *start = thi_alloc(sizeof *start);
    if (!start)
        return -ENOMEM;
    *start = (thread_start){ .worker = worker, .sys = thi_sys_table };
    sigset_t all;
    sigset_t former;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGBUS);
    (void)pthread_sigmask(SIG_SETMASK, &all, &former);
    int err = pthread_create(&worker->thread, NULL, worker_thread, start);
    (void)pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (err != 0)
        thi_free(start);
    return -err;
}

static void join_threads(thi_runtime *rt, unsigned started)
{
    for (unsigned i = 1; i < started; i++)
        (void)pthread_join(rt->workers[i].thread, NULL);
}

static int start_main_fiber(thi_runtime *rt, thi_scope *outer)
{
    thi_worker_self = &rt->workers[0];
    thi_scope_init(outer, NULL, NULL);
    outer->emptied = on_outer_emptied;
    outer->live = 1;
    int err = thi_start_here(outer, &(thi_start){ .fn = run_app, .arg = rt, .name = "main" }, NULL);
    if (err < 0) {
        outer->live = 0;
        thi_scope_deinit(outer);
    }
    thi_worker_self = NULL;
    return err;
}

/* Runs the opened workers to their end. */
static int run_workers(thi_runtime *rt)
{
    thi_scope outer;
    int err = start_main_fiber(rt, &outer);
    if (err < 0)
        return err;
    unsigned started = 1;
    for (; err == 0 && started < rt->count; started++)
        err = start_thread(&rt->workers[started]);
    if (err < 0) { /* the program's function is not called: its fiber finds that out first */
        rt->result = err;
        rt->app = NULL;
        started--;
    }
    void *signal_stack = thi_overflow_watch();
    thi_worker_run(&rt->workers[0]);
    thi_overflow_unwatch(signal_stack);
    join_threads(rt, started);
    return rt->result;
}

static int run_with_signals(thi_runtime *rt)
{
    static const int stop_signals[] = { SIGTERM, SIGINT, 0 };
    if (rt->opts.no_signals)
        return run_workers(rt);
    thi_signals *signals = NULL;
    int err = thi_signals_open(&rt->workers[0].loop, stop_signals, on_stop_signal, rt, &signals);
    if (err < 0)
        return err;
    err = run_workers(rt);
    thi_signals_close(signals);
    return err;
}

static int run_opened(thi_runtime *rt)
{
    unsigned opened = 0;
    int err = 0;
    for (; err == 0 && opened < rt->count; opened++)
        err = thi_worker_open(&rt->workers[opened], rt, opened);
    if (err < 0)
        opened--;
    else
        err = run_with_signals(rt);
    while (opened > 0)
        thi_worker_close(&rt->workers[--opened]);
    return err;
}

#define WORKERS_MAX 1024

int th_run(th_fiber_fn app, void *arg, const th_run_opts *opts)
{
    if (thi_worker_self)
        return -EBUSY;
    if (!app || (opts && opts->size > sizeof *opts))
        return -EINVAL;
    thi_runtime rt = { .app = app, .arg = arg };
    if (opts)
        rt.opts = *opts;
    if (rt.opts.workers > WORKERS_MAX)
        return thi_err_set(-EINVAL, "%u workers are more than the %d allowed", rt.opts.workers,
                           WORKERS_MAX);
    int err = thi_engine_choose(rt.opts.backend, &rt.engine);
    if (err < 0)
        return err;
    rt.count = rt.opts.workers ? rt.opts.workers : thi_machine_cpus();
    rt.workers = thi_calloc(rt.count, sizeof *rt.workers);
    if (!rt.workers)
        return -ENOMEM;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, give_slots_to_fibers);
    thi_timer_init(&rt.grace, NULL);
    enlist(&rt);
    err = run_opened(&rt);
    delist(&rt);
    thi_free(rt.workers);
    return err;
}

int th_run_get_info(th_run_info *info)
{
    if (!info)
        return -EINVAL;
    if (!thi_worker_self)
        return -EPERM;
    const thi_runtime *rt = thi_worker_self->runtime;
    *info = (th_run_info){ .workers = rt->count,
                           .backend = rt->engine.engine->name,
                           .backend_why = rt->engine.why };
    return 0;
}

th_scope *th_scope_root(void)
{
    return thi_worker_self ? &thi_worker_self->runtime->root : NULL;
}
