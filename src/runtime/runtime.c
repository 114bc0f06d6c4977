/* SPDX-License-Identifier: MIT */

/*
 * A runtime on threads.
 *
 * The calling thread becomes worker 0 and runs the main fiber; the others get threads of their own.
 */
#include "loop/signals.h"
#include "runtime/drive.h"
#include "runtime/run.h"
#include "runtime/stop.h"
#include "runtime/turn.h"

#include <errno.h>
#include <signal.h>

static void on_stop_signal(void *arg, int signo)
{
    (void)signo;
    thi_stop_asked(arg);
}

/* Runs the opened workers to their end. */
static int run_workers(thi_runtime *rt)
{
    thi_drive drive;
    int err = thi_drive_begin(&drive, rt);
    if (err < 0)
        return err;
    thi_worker_rounds(&rt->workers[0]);
    thi_drive_end(&drive);
    return rt->result;
}

static int run_with_signals(thi_runtime *rt)
{
    static const int stop_signals[] = { SIGTERM, SIGINT, 0 };
    if (rt->opts.no_signals)
        return run_workers(rt);
    thi_signals *signals = NULL;
    int err =
        thi_signals_open_fallback(&rt->workers[0].loop, stop_signals, on_stop_signal, rt, &signals);
    if (err < 0)
        return err;
    err = run_workers(rt);
    thi_signals_close(signals);
    return err;
}

int th_run(th_fiber_fn app, void *arg, const th_run_opts *opts)
{
    thi_runtime rt;
    int err = thi_drive_prepare(&rt, app, arg, opts);
    if (err < 0)
        return err;
    err = thi_run(&rt, run_with_signals);
    if (rt.opts.waits)
        *rt.opts.waits = atomic_load(&rt.points);
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
