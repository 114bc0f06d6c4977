/* SPDX-License-Identifier: MIT */

/*
 * A runtime whose worker 0 takes its rounds when somebody else's loop says so.
 *
 * What that loop waits for is an epoll descriptor with three others in it: that of the worker's
 * engine, which is readable while it has something to dispatch, the loop's waker, and a timer. (The
 * engine watches the waker too. But io_uring, told of an eventfd while that is being written to,
 * passes it on to another one only after a while, so that messages would come late.) The timer is
 * set to the next of the worker's timers when a turn ends, and to the past when something is left
 * to do at once. Both are level-triggered, so a host that looks late misses nothing.
 *
 * Between turns the loop counts as asleep: whoever posts a message writes to the waker. It counts
 * as resting for the watchdog too, for what the host does with its thread is not the fibers' fault.
 * And nobody is ever found to be lost, because the host may wake whom it likes.
 */
#include <thrum/host.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "runtime/drive.h"
#include "runtime/run.h"
#include "runtime/stop.h"
#include "runtime/tree.h"
#include "runtime/turn.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>

/* Rounds in a turn: events make fibers ready in the first one, which run in the second. */
#define ROUNDS 2

struct th_host {
    thi_runtime runtime;
    thi_drive drive;
    int fd;        /* what the host waits for */
    int alarm;     /* a timerfd in it */
    int64_t armed; /* what it is set to */
    bool begun;    /* the main fiber has had a turn */
    bool over;
    bool turning;
};

static thi_worker *worker_of(th_host *host)
{
    return &host->runtime.workers[0];
}

/* ---- the descriptor -------------------------------------------------------------------------- */

static int add(th_host *host, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    return thi_sys_epoll_ctl(host->fd, EPOLL_CTL_ADD, fd, &event);
}

/* Makes the descriptors that do not depend on the runtime. */
static int open_descriptors(th_host *host)
{
    host->fd = thi_sys_epoll_create();
    if (host->fd < 0)
        return host->fd;
    host->alarm = thi_sys_timerfd();
    int err = host->alarm < 0 ? host->alarm : add(host, host->alarm);
    if (err < 0) {
        if (host->alarm >= 0)
            thi_sys_close(host->alarm);
        thi_sys_close(host->fd);
    }
    return err;
}

static void close_descriptors(th_host *host)
{
    thi_sys_close(host->alarm);
    thi_sys_close(host->fd);
}

/* One that is past stays readable until it is set anew, so it is enough to do so on a change. */
static void arm(th_host *host, int64_t due)
{
    if (due == host->armed)
        return;
    if (thi_sys_timerfd_set(host->alarm, due) < 0) /* rather a turn too many than none any more */
        return;
    host->armed = due;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

static void enter(th_host *host)
{
    thi_worker_self = worker_of(host);
    thi_loop_return(&worker_of(host)->loop);
    host->turning = true;
}

static void leave(th_host *host, bool more)
{
    thi_worker *worker = worker_of(host);
    int64_t due = TH_NEVER;
    if (!host->over) {
        due = thi_loop_leave(&worker->loop);
        if (more || thi_worker_has_ready(worker))
            due = 0;
    }
    arm(host, due);
    thi_worker_self = NULL;
    host->turning = false;
}

int th_host_turn(th_host *host)
{
    if (!host)
        return -EINVAL;
    if (host->turning || thi_worker_self)
        return -EBUSY;
    if (host->over)
        return 0;
    thi_worker *worker = worker_of(host);
    bool more = false;
    enter(host);
    host->begun = true;
    for (int i = 0; i < ROUNDS && !worker->stop && (i == 0 || thi_worker_has_ready(worker)); i++)
        more = thi_worker_turn(worker, 0);
    host->over = worker->stop;
    leave(host, more);
    return !host->over;
}

/* ---- from open to close ---------------------------------------------------------------------- */

static void end(th_host *host)
{
    thi_worker_self = worker_of(host);
    thi_loop_return(&worker_of(host)->loop);
    thi_worker_rounds(worker_of(host));
    thi_drive_end(&host->drive);
    thi_run_close(&host->runtime);
}

/* Starts the opened runtime. One that could not start all of its threads comes to its end here. */
static int start(th_host *host)
{
    thi_worker *worker = worker_of(host);
    int fd = worker->loop.engine->descriptor(&worker->loop);
    int err = fd < 0 ? fd : add(host, fd);
    if (err == 0)
        err = add(host, worker->loop.waker.fd);
    if (err == 0)
        err = thi_drive_begin(&host->drive, &host->runtime);
    if (err < 0) {
        thi_run_close(&host->runtime);
        return err;
    }
    if (!host->runtime.app) {
        end(host);
        return host->runtime.result;
    }
    host->armed = TH_NEVER;
    leave(host, true);
    if (host->armed == 0)
        return 0;
    /* Without its alarm nobody would ever take a turn. */
    host->runtime.app = NULL;
    end(host);
    return thi_err_set(-EIO, "the timer cannot be set");
}

static int prepare(th_host *host, th_fiber_fn app, void *arg, const th_run_opts *opts)
{
    int err = thi_drive_prepare(&host->runtime, app, arg, opts);
    if (err < 0)
        return err;
    const thi_engine *engine = host->runtime.engine.engine;
    if (!engine->descriptor)
        return thi_err_set(-EOPNOTSUPP,
                           "the back end %s cannot be waited for from outside; epoll and uring can",
                           engine->name);
    if (!host->runtime.opts.workers)
        host->runtime.count = 1;
    host->runtime.hosted = true;
    return 0;
}

static int open_host(th_host *host)
{
    int err = open_descriptors(host);
    if (err < 0)
        return err;
    err = thi_run_open(&host->runtime);
    if (err == 0)
        err = start(host);
    if (err < 0)
        close_descriptors(host);
    return err;
}

int th_host_open(th_fiber_fn app, void *arg, const th_run_opts *opts, th_host **out)
{
    if (!out)
        return thi_err_clear(-EINVAL);
    th_host *host = thi_calloc(1, sizeof *host);
    if (!host)
        return thi_err_clear(-ENOMEM);
    int err = prepare(host, app, arg, opts);
    if (err == 0)
        err = open_host(host);
    if (err < 0) {
        thi_free(host);
        return err;
    }
    *out = host;
    return 0;
}

int th_host_fd(const th_host *host)
{
    return host ? host->fd : -EINVAL;
}

int64_t th_host_due(const th_host *host)
{
    return host ? host->armed : TH_NEVER;
}

int th_host_stop(th_host *host)
{
    if (!host)
        return -EINVAL;
    thi_stop_send(&host->runtime);
    return 0;
}

/* A second stop cancels the root scope at once. */
static void cancel_all(th_host *host)
{
    thi_worker_self = worker_of(host);
    if (!host->begun)
        host->runtime.app = NULL;
    while (host->runtime.stops < 2)
        thi_stop_asked(&host->runtime);
    thi_worker_self = NULL;
}

int th_host_close(th_host *host)
{
    if (!host)
        return 0;
    if (host->turning || thi_worker_self)
        return -EBUSY;
    bool ran = host->begun;
    if (!host->over)
        cancel_all(host);
    end(host);
    if (host->runtime.opts.waits)
        *host->runtime.opts.waits = atomic_load(&host->runtime.points);
    int result = ran ? host->runtime.result : -ECANCELED;
    close_descriptors(host);
    thi_free(host);
    return result;
}
