/* SPDX-License-Identifier: MIT */

/*
 * A child process with streams: from the options to its start, and from the handle to its end.
 *
 * The child is an object of its own with a count of references (sys/child.h): the handle has one,
 * and where a scope owns the child, the fiber that watches over it there has another. That fiber
 * waits for the end like anybody else; what breaks off its wait is the scope, and then it ends the
 * child inside a shield. So a scope that is cancelled closes when its processes are gone.
 *
 * The ends of pipes that the child gets block, as programs expect; ours do not.
 */
#include "io/process.h"

#include "base/alloc.h"
#include "base/error.h"
#include "io/fd_stream.h"
#include "io/process_plan.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/fiber.h>
#include <thrum/wait_fd.h>

#include <errno.h>
#include <sys/ioctl.h>

#define GRACE_DEFAULT (5 * TH_SECOND)

/* ---- the end ---- */

static int64_t ns_of(struct timeval t)
{
    return (int64_t)t.tv_sec * TH_SECOND + t.tv_usec * TH_MICROSECOND;
}

void thi_process_tell(const thi_child_end *from, th_process_end *end)
{
    if (!end)
        return;
    *end = (th_process_end){ .how = (int)from->how, .code = from->code, .core = from->core };
    end->user_time = ns_of(from->usage.ru_utime);
    end->system_time = ns_of(from->usage.ru_stime);
    end->memory_peak = (uint64_t)from->usage.ru_maxrss * 1024;
}

int thi_process_await(thi_child *child, thi_child_end *end)
{
    while (!thi_child_ended(child, end)) {
        int err = th_wait_fd(thi_child_fd(child), TH_FD_READ, NULL);
        if (err < 0)
            return thi_child_ended(child, end) ? 0 : err;
    }
    return 0;
}

/* Whether it ends by itself in a span of time; without a scope of its own it cannot tell. */
static bool ends_within(thi_child *child, int64_t span)
{
    th_scope shield;
    th_scope_opts opts = { .shield = 1, .deadline = span == TH_NEVER ? 0 : th_after(span) };
    if (th_scope_open(&shield, &opts) < 0)
        return thi_child_ended(child, NULL);
    int err = thi_process_await(child, NULL);
    (void)th_scope_close(&shield);
    return err == 0;
}

/* A stopped child does not hear of SIGTERM before it goes on. */
void thi_process_terminate(thi_child *child, int64_t grace)
{
    if (thi_child_ended(child, NULL))
        return;
    (void)thi_child_signal(child, SIGTERM, true);
    (void)thi_child_signal(child, SIGCONT, true);
    if (ends_within(child, grace))
        return;
    (void)thi_child_signal(child, SIGKILL, true);
    (void)ends_within(child, TH_NEVER);
}

/* ---- the scope's hand on it ---- */

typedef struct guard {
    thi_child *child;
    int64_t grace;
} guard;

/* What ends the wait other than the child's end is the scope, or that nothing can be waited for. */
static int watch_over(void *arg)
{
    guard g = *(guard *)arg;
    thi_free(arg);
    if (thi_process_await(g.child, NULL) < 0)
        thi_process_terminate(g.child, g.grace);
    thi_child_unref(g.child);
    return 0;
}

static int give_to_scope(th_process *p, th_scope *scope)
{
    guard *g = thi_alloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    *g = (guard){ .child = thi_child_ref(p->child), .grace = p->grace };
    int err = th_spawn(scope, watch_over, g);
    if (err < 0) {
        thi_child_unref(g->child);
        thi_free(g);
    }
    return err;
}

/* ---- the start ---- */

static void free_streams(th_process *p)
{
    th_stream_free(p->in);
    if (p->out != p->in)
        th_stream_free(p->out);
    if (p->err != p->in && p->err != p->out)
        th_stream_free(p->err);
    p->in = p->out = p->err = NULL;
}

/* Makes the stream of one of our ends, which is not the plan's any more then. */
static int adopt(thi_process_plan *plan, int i, th_stream **stream)
{
    if (plan->ours[i] < 0)
        return 0;
    int err = thi_fd_stream_new(plan->ours[i], stream);
    if (err == 0)
        plan->ours[i] = -1;
    return err;
}

static int adopt_all(th_process *p, thi_process_plan *plan, const th_process_opts *opts)
{
    th_stream *terminal = NULL;
    int master = plan->ours[THI_PROCESS_MASTER];
    int err = adopt(plan, THI_PROCESS_MASTER, &terminal);
    if (err < 0)
        return err;
    p->terminal = terminal ? master : -1;
    p->in = opts->in.kind == TH_PROCESS_TERMINAL ? terminal : NULL;
    p->out = opts->out.kind == TH_PROCESS_TERMINAL ? terminal : NULL;
    p->err = opts->err.kind == TH_PROCESS_TERMINAL && !p->out ? terminal : NULL;
    err = adopt(plan, 0, &p->in);
    if (err == 0)
        err = adopt(plan, 1, &p->out);
    return err == 0 ? adopt(plan, 2, &p->err) : err;
}

/* With all that may fail before the child is there, so that there is none if it does. */
static int start(th_process *p, thi_process_plan *plan, const th_process_opts *opts)
{
    thi_spawn_step step;
    int err = adopt_all(p, plan, opts);
    if (err < 0)
        return thi_err_clear(err);
    err = thi_child_start(&plan->spawn, &p->child, &step);
    if (err < 0)
        return thi_err_set(err, "cannot start '%s': %s", plan->name, thi_spawn_step_name(step));
    if (!opts->scope)
        return 0;
    err = give_to_scope(p, opts->scope);
    if (err < 0)
        (void)thi_child_signal(p->child, SIGKILL, true);
    return thi_err_clear(err);
}

static bool needs_fiber(const th_process_opts *o)
{
    const th_process_stdio all[] = { o->in, o->out, o->err };
    for (size_t i = 0; i < 3; i++)
        if (all[i].kind == TH_PROCESS_PIPE || all[i].kind == TH_PROCESS_TERMINAL)
            return true;
    return o->scope != NULL;
}

int th_process_spawn(const th_process_opts *opts, th_process **process)
{
    thi_process_plan plan;
    if (!process || !opts || opts->size > sizeof *opts || opts->grace < 0)
        return thi_err_clear(-EINVAL);
    if (needs_fiber(opts) && !thi_sched_self())
        return thi_err_clear(-EPERM);
    th_process *p = thi_calloc(1, sizeof *p);
    if (!p)
        return thi_err_clear(-ENOMEM);
    p->terminal = -1;
    p->grace = opts->grace ? opts->grace : GRACE_DEFAULT;
    p->detached = opts->detached;
    int err = thi_process_plan_make(&plan, opts);
    if (err == 0)
        err = start(p, &plan, opts);
    thi_process_plan_free(&plan);
    if (err < 0) {
        free_streams(p);
        thi_child_unref(p->child);
        thi_free(p);
    } else {
        *process = p;
    }
    return err;
}

/* ---- the handle ---- */

th_stream *th_process_stdin(th_process *process)
{
    return process ? process->in : NULL;
}

th_stream *th_process_stdout(th_process *process)
{
    return process ? process->out : NULL;
}

th_stream *th_process_stderr(th_process *process)
{
    return process ? process->err : NULL;
}

int th_process_wait(th_process *process, th_process_end *end)
{
    thi_child_end how;
    if (!process)
        return thi_err_clear(-EINVAL);
    int err = thi_process_await(process->child, &how);
    if (err == 0)
        thi_process_tell(&how, end);
    return err;
}

int th_process_peek(th_process *process, th_process_end *end)
{
    thi_child_end how;
    if (!process)
        return -EINVAL;
    if (!thi_child_ended(process->child, &how))
        return -EAGAIN;
    thi_process_tell(&how, end);
    return 0;
}

int th_process_fd_of_end(const th_process *process)
{
    return process ? thi_child_fd(process->child) : -EINVAL;
}

int th_process_kill(th_process *process, int signo)
{
    return process ? thi_child_signal(process->child, signo, true) : -EINVAL;
}

pid_t th_process_pid(const th_process *process)
{
    return process ? thi_child_pid(process->child) : -EINVAL;
}

int th_process_resize(th_process *process, unsigned rows, unsigned columns)
{
    struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    if (!process)
        return -EINVAL;
    return process->terminal < 0 ? -ENOTTY : thi_sys_ioctl(process->terminal, TIOCSWINSZ, &size);
}

void th_process_close(th_process *process, th_process_end *end)
{
    thi_child_end how;
    if (!process)
        return;
    free_streams(process);
    if (!process->detached)
        thi_process_terminate(process->child, process->grace);
    if (thi_child_ended(process->child, &how))
        thi_process_tell(&how, end);
    th_process_free(process);
}

void th_process_free(th_process *process)
{
    if (!process)
        return;
    free_streams(process);
    if (!process->detached)
        (void)thi_child_signal(process->child, SIGKILL, true);
    thi_child_unref(process->child);
    thi_free(process);
}
