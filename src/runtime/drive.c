/* SPDX-License-Identifier: MIT */

/* The threads of a runtime, the calling one among them. */
#include "runtime/drive.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "runtime/deadlock.h"
#include "runtime/overflow.h"
#include "runtime/run.h"
#include "runtime/trace.h"
#include "runtime/turn.h"
#include "runtime/watchdog.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <errno.h>

_Thread_local bool thi_drive_here;

#define WORKERS_MAX 1024

/* A simulation leaves messages unlimited: what is told must not depend on what ran before it. */
static void limit_log(void)
{
    thi_log_clock = thi_sys_clock;
}

int thi_drive_prepare(thi_runtime *rt, th_fiber_fn app, void *arg, const th_run_opts *opts)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (thi_worker_self || thi_drive_here)
        return -EBUSY;
    if (!app ||
        (opts && (opts->size > sizeof *opts || opts->deadlock_after < 0 || opts->watchdog < 0)))
        return -EINVAL;
    *rt = (thi_runtime){ .app = app, .arg = arg };
    if (opts)
        rt->opts = *opts;
    if (rt->opts.workers > WORKERS_MAX)
        return thi_err_set(-EINVAL, "%u workers are more than the %d allowed", rt->opts.workers,
                           WORKERS_MAX);
    int err = thi_engine_choose(rt->opts.backend, &rt->engine);
    if (err < 0)
        return err;
    (void)pthread_once(&once, limit_log);
    rt->count = rt->opts.workers ? rt->opts.workers : thi_machine_cpus();
    int64_t limit = thi_watchdog_limit(rt);
    rt->patience = limit == TH_NEVER ? TH_NEVER : limit / 3;
    rt->counts = rt->opts.cancel_at || rt->opts.waits;
    return 0;
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
    thi_lookout_begin(start.worker);
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
    (void)sigdelset(&all, thi_watchdog_signal());
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

/* On the calling thread: the watchdog may ask it where it is. */
static void let_signal_through(sigset_t *former)
{
    sigset_t one;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, thi_watchdog_signal());
    (void)pthread_sigmask(SIG_UNBLOCK, &one, former);
}

/* The first failure ends the start; what has started stays for thi_drive_end(). */
static int start_threads(thi_drive *drive)
{
    thi_runtime *rt = drive->runtime;
    for (drive->started = 1; drive->started < rt->count; drive->started++) {
        int err = start_thread(&rt->workers[drive->started]);
        if (err < 0)
            return err;
    }
    rt->workers[0].thread = pthread_self();
    return thi_watchdog_start(rt);
}

int thi_drive_begin(thi_drive *drive, thi_runtime *rt)
{
    *drive = (thi_drive){ .runtime = rt };
    int err = thi_run_start(rt);
    if (err < 0)
        return err;
    drive->traces = thi_trace_by_environment();
    void (*began)(void) = atomic_load(&thi_run_began);
    if (began)
        began();
    thi_deadlock_open(rt);
    err = start_threads(drive);
    rt->workers[0].thread = pthread_self();
    if (err < 0) { /* the program's function is not called: its fiber finds that out first */
        rt->result = err;
        rt->app = NULL;
    }
    drive->signal_stack = thi_overflow_watch();
    let_signal_through(&drive->former);
    thi_lookout_begin(&rt->workers[0]);
    drive->held = thi_worker_begin(&rt->workers[0]);
    thi_drive_here = true;
    return 0;
}

void thi_drive_end(thi_drive *drive)
{
    thi_runtime *rt = drive->runtime;
    thi_worker_end(&rt->workers[0], drive->held);
    thi_watchdog *dog = atomic_load(&rt->watchdog);
    thi_watchdog_stop(dog);
    join_threads(rt, drive->started);
    thi_deadlock_close(rt);
    (void)pthread_sigmask(SIG_SETMASK, &drive->former, NULL);
    thi_overflow_unwatch(drive->signal_stack);
    atomic_store(&rt->watchdog, NULL);
    thi_watchdog_free(dog);
    thi_drive_here = false;
    if (drive->traces)
        thi_trace_by_environment_ends();
}
