/* SPDX-License-Identifier: MIT */

/*
 * Workers that take turns on one thread, in virtual time.
 *
 * Each virtual worker is a stack on which the rounds of a real one run, unchanged: fibers,
 * messages, timers, the flag that says it sleeps. Where the real one would enter the kernel to
 * wait, this one switches back to the driver, which picks at random who goes on among those that
 * can: whose wait is over, whose loop has something to tell, or who was interrupted in the middle
 * of a system call. When nobody can, time jumps to the next event. When there is none either, every
 * fiber waits for something that will never come; that is told, and the root scope is cancelled so
 * that what was started unwinds.
 *
 * Only one stack runs at a time, so nothing here needs a lock. What is thread-local in reality is
 * switched with the worker: who it is, and errno.
 */
#include "runtime/sim.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "loop/sim.h"
#include "loop/sim_clock.h"
#include "loop/sim_engine.h"
#include "loop/sim_fault.h"
#include "loop/sim_trace.h"
#include "runtime/deadlock.h"
#include "runtime/overflow.h"
#include "runtime/run.h"
#include "runtime/sched.h"
#include "runtime/stop.h"
#include "runtime/turn.h"
#include "sys/signals.h"
#include "sys/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define WORKERS_MAX 64
#define STACK_SIZE  (256 * 1024) /* of a virtual worker, its guard included */
#define GUARD_SIZE  4096

/* A turn takes so long: code costs time, or a loop that polls would wait for ever. */
#define STEP_MIN 200
#define STEP_MAX (3 * TH_MICROSECOND)

#define STALL_MIN TH_MILLISECOND
#define STALL_MAX (200 * TH_MILLISECOND)

#define INTERRUPT_ODDS 16 /* one system call in so many is interrupted */

/* So many fibers run at most before the loop is looked at, busy as they may keep each other. */
#define SLICE_MIN 16
#define SLICE_MAX 64

/* What a run that is broken off may still take to unwind. */
#define UNWIND_STEPS 1000000
#define UNWIND_TIME  TH_HOUR

typedef struct player {
    thi_worker *worker;
    void *stack;         /* mapped */
    int64_t until;       /* when its wait ends; in the past: it can go on at once */
    int64_t stands_till; /* a fault holds it until then */
    int64_t slice;       /* fibers that may yet run in this turn */
    int saved_errno;
    bool waits; /* in its loop, not in the middle of something */
    bool ended;
} player;

typedef struct simulation {
    thi_sim world;
    thi_runtime runtime;
    thi_context driver; /* the thread's own stack */
    player players[WORKERS_MAX];
    unsigned count;
    player *running;   /* NULL while the driver does */
    int64_t fault_end; /* of the world, once the main fiber starts */
    uint64_t step_end; /* steps and time after which the run is broken off */
    int64_t time_end;
    char detail[THI_ERR_DETAIL_SIZE]; /* why it was */
} simulation;

static simulation *simulation_of(thi_sim *w)
{
    return thi_container_of(w, simulation, world);
}

/* ---- switching between the driver and a worker ---- */

/* Leaves the running worker, on a fiber's stack or its own, until the driver resumes it. */
static void leave(simulation *sim)
{
    player *self = sim->running;
    thi_worker *worker = self->worker;
    self->saved_errno = errno;
    thi_context *here = worker->current ? &worker->current->context : &worker->scheduler;
    thi_context_switch(here, &sim->driver);
    errno = self->saved_errno;
}

static void resume(simulation *sim, player *next)
{
    thi_worker *worker = next->worker;
    sim->running = next;
    sim->world.actor = (int)worker->index;
    thi_worker_self = worker;
    thi_context *there = worker->current ? &worker->current->context : &worker->scheduler;
    thi_context_switch(&sim->driver, there);
    thi_worker_self = NULL;
    sim->world.actor = -1;
    sim->running = NULL;
}

/* What runs on a virtual worker's own stack. */
static void play(void *arg)
{
    player *self = arg;
    thi_worker *worker = self->worker;
    thi_context_entered(&worker->scheduler);
    worker->errno_at = &errno;
    thi_worker_rounds(worker);
    self->ended = true;
    leave(simulation_of(thi_sim_self));
}

/* ---- what the world asks of whoever drives it ---- */

static int wait_in_turn(thi_sim *w, thi_loop *loop, int64_t timeout)
{
    simulation *sim = simulation_of(w);
    (void)loop;
    if (!sim->running) /* opening and closing do not wait */
        return 0;
    sim->running->waits = true;
    sim->running->until = timeout < 0 ? INT64_MAX : w->now + timeout;
    leave(sim);
    sim->running->waits = false;
    sim->running->slice = thi_sim_draw(w, SLICE_MIN, SLICE_MAX);
    return 0;
}

/* In the middle of a system call: somebody else may run first. */
static void interrupt(thi_sim *w)
{
    simulation *sim = simulation_of(w);
    if (!sim->running || sim->count == 1)
        return;
    if (w->schedule ? thi_sim_choose(w, "interrupt", 2) == 0
                    : thi_sim_draw(w, 0, INTERRUPT_ODDS - 1) != 0)
        return;
    sim->running->until = w->now;
    leave(sim);
}

/* Whether the worker's loop has something to do besides its fibers. */
static bool loop_has_work(thi_worker *worker)
{
    return thi_sim_loop_ready(&worker->loop) || !thi_mpsc_empty(&worker->loop.inbox) ||
           thi_timers_next(&worker->loop.timers) <= thi_sim_self->now;
}

static th_fiber *unlink_nth(thi_run_queue *queue, unsigned n)
{
    th_fiber *before = NULL;
    th_fiber *fiber = queue->first;
    for (; n > 0; n--) {
        before = fiber;
        fiber = fiber->next;
    }
    if (before)
        before->next = fiber->next;
    else
        queue->first = fiber->next;
    if (queue->last == fiber)
        queue->last = before;
    return fiber;
}

/*
 * Any of the ready fibers of the rank whose turn it is; the loop instead if it has work, and when
 * the slice is used up.
 */
static th_fiber *pick_fiber(thi_worker *worker)
{
    player *self = simulation_of(thi_sim_self)->running;
    unsigned ready = 0;
    if (self->slice-- <= 0)
        return NULL;
    unsigned rank = worker->ranked > 0 ? thi_rank_choose(worker) : THI_RANK_NORMAL;
    thi_run_queue *queue = &worker->ready[rank];
    for (const th_fiber *fiber = queue->first; fiber; fiber = fiber->next)
        ready++;
    unsigned choice =
        thi_sim_choose(thi_sim_self, "fiber", ready + (loop_has_work(worker) ? 1 : 0));
    if (choice == ready)
        return NULL;
    th_fiber *fiber = unlink_nth(queue, choice);
    thi_rank_taken(worker, rank);
    thi_sim_trace(thi_sim_self, "run", (int64_t)fiber->id, 0);
    return fiber;
}

/* ---- the end that should not be ---- */

typedef struct listing {
    char *text;
    size_t size;
    size_t len;
} listing;

static void add(listing *list, const char *text)
{
    int n = snprintf(list->text + list->len, list->size - list->len, "%s", text);
    list->len = thi_min(list->len + (size_t)n, list->size - 1);
}

static void list_parked(th_fiber *fiber, void *arg)
{
    if (fiber->state != THI_FIBER_PARKED)
        return;
    char text[128];
    snprintf(text, sizeof text, "%s%s #%llu on worker %u: %s",
             ((listing *)arg)->len > 0 ? "; " : "", th_fiber_name(fiber),
             (unsigned long long)(fiber->id & 0xffffffffffff), fiber->worker->index,
             fiber->waits->kind->what);
    add(arg, text);
    thi_sim_trace(thi_sim_self, fiber->waits->kind->what, (int64_t)fiber->id, 0);
}

/* Fibers that wait for ever, and what for. */
static void describe_parked(simulation *sim)
{
    listing list = { .text = sim->detail, .size = sizeof sim->detail };
    for (unsigned i = 0; i < sim->count; i++)
        thi_fiber_pool_each(&sim->players[i].worker->fibers, list_parked, &list);
    if (list.len == 0)
        add(&list, "no fiber waits, but a worker was never told to end");
}

/*
 * Cancels the root scope from outside, as if worker 0 had done it at the end of its turn. False
 * when that has been tried already, or when there is no root to cancel.
 */
static bool break_off(simulation *sim, int verdict)
{
    thi_sim *w = &sim->world;
    thi_scope *root = thi_scope_of(&sim->runtime.root);
    bool first = w->result.verdict == 0;
    if (first) {
        w->result.verdict = verdict;
        thi_sim_trace(w, "broken-off", verdict, 0);
    }
    if (!first || !thi_scope_is_open(root))
        return false;
    sim->step_end = w->result.steps + UNWIND_STEPS;
    sim->time_end = w->now + UNWIND_TIME;
    thi_worker_self = sim->players[0].worker;
    thi_scope_mark(root, -ECANCELED, -ECANCELED);
    thi_worker_self = NULL;
    sim->players[0].until = w->now;
    return true;
}

static void abandon_fiber(th_fiber *fiber, void *arg)
{
    (void)arg;
    thi_free(fiber->detail);
    fiber->state = THI_FIBER_FREE;
}

/* What did not even end when it was cancelled is left where it is; what it holds is lost. */
static void abandon(simulation *sim)
{
    for (unsigned i = 0; i < sim->count; i++)
        thi_fiber_pool_each(&sim->players[i].worker->fibers, abandon_fiber, NULL);
    thi_sim_trace(&sim->world, "abandoned", 0, 0);
}

/* ---- the driver ---- */

static bool is_due(const simulation *sim, const player *p)
{
    return p->until <= sim->world.now || (p->waits && thi_sim_loop_ready(&p->worker->loop));
}

/* When a worker can go on if nothing new happens; INT64_MAX for never. */
static int64_t due_time(const simulation *sim, const player *p)
{
    if (p->ended)
        return INT64_MAX;
    return thi_max(is_due(sim, p) ? sim->world.now : p->until, p->stands_till);
}

/* One of those that can go on now; NULL when there is none. */
static player *pick_player(simulation *sim)
{
    player *can[WORKERS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < sim->count; i++)
        if (due_time(sim, &sim->players[i]) <= sim->world.now)
            can[count++] = &sim->players[i];
    return count > 0 ? can[thi_sim_choose(&sim->world, "worker", count)] : NULL;
}

/* The search is no part of what is simulated: it has memory, and its allocations do not count. */
static void look_for_deadlock(simulation *sim, bool ended)
{
    int64_t ordered = thi_alloc_fail_at(0);
    thi_deadlock_look(&sim->runtime, sim->world.now, ended);
    if (ordered > 0)
        (void)thi_alloc_fail_at(ordered);
}

/* Lets time pass to the next thing that happens; false when nothing ever will. */
static bool pass_time(simulation *sim)
{
    int64_t next = thi_sim_next_event(&sim->world);
    for (unsigned i = 0; i < sim->count; i++)
        next = thi_min(next, due_time(sim, &sim->players[i]));
    if (next == INT64_MAX)
        return false;
    look_for_deadlock(sim, false);
    thi_sim_pass(&sim->world, next);
    return true;
}

static bool all_ended(const simulation *sim)
{
    for (unsigned i = 0; i < sim->count; i++)
        if (!sim->players[i].ended)
            return false;
    return true;
}

static void step(simulation *sim, player *p)
{
    thi_sim *w = &sim->world;
    w->result.steps++;
    thi_sim_pass(w, w->now + thi_sim_draw(w, STEP_MIN, STEP_MAX));
    thi_sim_memory_step(w);
    if (thi_sim_fault(w, TH_SIM_STALL))
        p->stands_till = w->now + thi_sim_draw(w, STALL_MIN, STALL_MAX);
    else
        resume(sim, p);
}

/* A limit that is reached: its verdict, and the detail for it; 0 while there is none. */
static int limit_reached(simulation *sim)
{
    const thi_sim *w = &sim->world;
    if (w->result.steps < sim->step_end && w->now < sim->time_end)
        return 0;
    if (w->result.verdict == 0)
        snprintf(sim->detail, sizeof sim->detail,
                 "after %llu steps and %lld ms the run had not ended",
                 (unsigned long long)w->result.steps,
                 (long long)((w->now - THI_SIM_EPOCH) / TH_MILLISECOND));
    return TH_ELIMIT;
}

/* Lets the workers play until all have ended; false when some had to be abandoned. */
static bool play_all(simulation *sim)
{
    while (!all_ended(sim)) {
        int verdict = limit_reached(sim);
        player *next = verdict == 0 ? pick_player(sim) : NULL;
        if (next) {
            step(sim, next);
        } else if (verdict != 0 || !pass_time(sim)) {
            if (verdict == 0 && sim->world.result.verdict == 0)
                describe_parked(sim);
            look_for_deadlock(sim, verdict == 0);
            if (!break_off(sim, verdict == 0 ? -EDEADLK : verdict))
                return false;
        }
    }
    return true;
}

static int open_player(player *p, thi_worker *worker)
{
    *p = (player){ .worker = worker, .slice = SLICE_MIN };
    int err = thi_sys_mmap(&p->stack, STACK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (err < 0)
        return err;
    (void)thi_sys_mprotect(p->stack, GUARD_SIZE, PROT_NONE);
    thi_context_init(&worker->scheduler, (char *)p->stack + GUARD_SIZE, STACK_SIZE - GUARD_SIZE,
                     play, p);
    worker->pick = pick_fiber;
    return 0;
}

static void close_players(simulation *sim)
{
    for (unsigned i = 0; i < sim->count; i++) {
        thi_context_deinit(&sim->players[i].worker->scheduler);
        thi_sys_munmap(sim->players[i].stack, STACK_SIZE);
    }
}

static int open_players(simulation *sim)
{
    int err = 0;
    for (; err == 0 && sim->count < sim->runtime.count; sim->count++)
        err = open_player(&sim->players[sim->count], &sim->runtime.workers[sim->count]);
    if (err < 0)
        sim->count--;
    return err;
}

/* Runs the opened workers; what thi_run() calls instead of starting threads. */
static int drive(thi_runtime *runtime)
{
    simulation *sim = thi_container_of(runtime, simulation, runtime);
    int err = open_players(sim);
    if (err == 0)
        err = thi_run_start(runtime);
    if (err < 0) {
        close_players(sim);
        return err;
    }
    sim->world.wait = wait_in_turn;
    sim->world.pause = interrupt;
    void *signal_stack = thi_overflow_watch();
    thi_context_init_thread(&sim->driver);
    sim->world.fault_end = sim->fault_end;
    thi_sim_memory_begin(&sim->world);
    if (!play_all(sim))
        abandon(sim);
    thi_sim_memory_end(&sim->world);
    sim->world.fault_end = INT64_MIN;
    thi_context_deinit(&sim->driver);
    thi_overflow_unwatch(signal_stack);
    close_players(sim);
    return runtime->result;
}

/* ---- the run ---- */

static int check_opts(const th_sim_opts *opts)
{
    if (!opts)
        return 0;
    if (opts->size > sizeof *opts || opts->latency_min < 0 ||
        opts->latency_max < opts->latency_min || opts->time_limit < 0 || opts->fault_until < 0 ||
        thi_stack_class(opts->stack_size) < 0)
        return -EINVAL;
    if (opts->workers > WORKERS_MAX)
        return thi_err_set(-EINVAL, "%u workers are more than the %d allowed", opts->workers,
                           WORKERS_MAX);
    return 0;
}

static int run_in_world(simulation *sim)
{
    thi_sim *w = &sim->world;
    thi_runtime *rt = &sim->runtime;
    rt->opts.stack_size = w->opts.stack_size;
    rt->opts.grace = w->opts.grace;
    rt->opts.cancel_at = w->opts.cancel_at;
    rt->counts = true;
    rt->patience = TH_NEVER;
    rt->opts.on_deadlock = w->opts.on_deadlock;
    rt->opts.deadlock_arg = w->opts.deadlock_arg;
    rt->count = w->opts.workers;
    rt->engine.engine = &thi_engine_sim;
    snprintf(rt->engine.why, sizeof rt->engine.why, "simulation with seed %llu",
             (unsigned long long)w->opts.seed);
    sim->step_end = w->opts.step_limit;
    sim->time_end = w->now + w->opts.time_limit;
    sim->fault_end = w->fault_end;
    w->fault_end = INT64_MIN; /* what opens and closes the runtime itself is spared */
    int err = thi_run(rt, drive);
    w->result.time = w->now - THI_SIM_EPOCH;
    w->result.waits = atomic_load(&rt->points);
    w->result.open_descriptors = w->desc_count;
    return err;
}

int thi_sim_run(int (*app)(void *arg), void *arg, const th_sim_opts *opts,
                thi_sim_schedule *schedule, th_sim_result *result)
{
    int64_t live = thi_alloc_live();
    bool attached = !thi_metrics_own && thi_metrics_attach() == 0;
    simulation *sim = thi_calloc(1, sizeof *sim);
    int err = -ENOMEM;
    th_sim_result seen = { 0 };
    char detail[THI_ERR_DETAIL_SIZE] = "";
    if (sim) {
        thi_sim_open(&sim->world, opts);
        sim->world.schedule = schedule;
        sim->runtime.app = app;
        sim->runtime.arg = arg;
        err = run_in_world(sim);
        thi_sim_close(&sim->world);
        seen = sim->world.result;
        memcpy(detail, sim->detail, sizeof detail);
        thi_free(sim);
    }
    if (attached)
        thi_metrics_detach();
    seen.live_allocations = thi_alloc_live() - live;
    if (result)
        *result = seen;
    return seen.verdict < 0 ? thi_err_set(seen.verdict, "%s", detail) : err;
}

/* Choices as text, "0.2.1". */
static int parse_schedule(const char *text, thi_sim_schedule *schedule)
{
    size_t room = strlen(text) / 2 + 1;
    *schedule = (thi_sim_schedule){ .chosen = thi_calloc(room, sizeof *schedule->chosen),
                                    .of = thi_calloc(room, sizeof *schedule->of),
                                    .room = room };
    if (!schedule->chosen || !schedule->of)
        return -ENOMEM;
    for (const char *at = text; *at; at += *at == '.') {
        unsigned long choice = 0;
        const char *first = at;
        for (; *at >= '0' && *at <= '9' && choice < UINT16_MAX; at++)
            choice = choice * 10 + (unsigned long)(*at - '0');
        if (at == first || (*at && *at != '.') || choice > UINT16_MAX)
            return thi_err_set(-EINVAL, "'%.40s' is no schedule", text);
        schedule->chosen[schedule->given++] = (uint16_t)choice;
    }
    return 0;
}

int th_sim_run(int (*app)(void *arg), void *arg, const th_sim_opts *opts, th_sim_result *result)
{
    if (thi_worker_self || thi_sim_self)
        return -EBUSY;
    int err = app ? check_opts(opts) : -EINVAL;
    if (err < 0 || !opts || !opts->schedule)
        return err < 0 ? err : thi_sim_run(app, arg, opts, NULL, result);
    thi_sim_schedule schedule;
    err = parse_schedule(opts->schedule, &schedule);
    if (err == 0)
        err = thi_sim_run(app, arg, opts, &schedule, result);
    thi_free(schedule.chosen);
    thi_free(schedule.of);
    return err;
}

int th_sim_signal(int signo)
{
    bool instead = false;
    if (!thi_sim_self)
        return -EPERM;
    if (signo < 1 || signo > 64)
        return -EINVAL;
    thi_siginfo info = { .signo = signo, .known = true };
    int heard = thi_sigsink_raise(thi_sim_self, &info, &instead);
    if ((signo == SIGTERM || signo == SIGINT) && !instead)
        return th_stop();
    return heard > 0 ? 0 : -EINVAL;
}
