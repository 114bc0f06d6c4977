/* SPDX-License-Identifier: MIT */

/*
 * Workers and the runtime that owns them.
 *
 * A worker is one thread with its own loop, run queue and fibers. Workers share nothing but the
 * atomics marked here; whatever one wants of another it sends as a message to the other's loop.
 */
#ifndef THI_RUNTIME_WORKER_H
#define THI_RUNTIME_WORKER_H

#include "fiber/pool.h"
#include "loop/engines.h"
#include "loop/loop.h"
#include "runtime/lookout.h"
#include "runtime/marks.h"

#include <thrum/runtime.h>

#include <pthread.h>
#include <stdatomic.h>

typedef struct thi_worker thi_worker;
typedef struct thi_runtime thi_runtime;
typedef struct thi_stopper thi_stopper;
typedef struct thi_watchdog thi_watchdog;
typedef struct thi_annex thi_annex;

/* Ranks of fibers, and the number of them; most fibers are ordinary. */
enum { THI_RANK_NORMAL, THI_RANK_HIGH, THI_RANK_LOW, THI_RANKS };

typedef struct thi_run_queue {
    th_fiber *first;
    th_fiber *last; /* while there is a first one */
} thi_run_queue;

struct thi_worker {
    th_fiber *current;              /* the fiber that runs; NULL while the loop does */
    thi_run_queue ready[THI_RANKS]; /* those of the ordinary rank come first here */
    int budget;      /* switches from fiber to fiber left before the loop is looked at */
    int slice;       /* what budget starts from in the present turn */
    int aside;       /* of the budget, while others than ordinary fibers are ready */
    unsigned ranked; /* as many of these are */
    int traced;      /* what budget is while the trace is on: then each switch is recorded */
    int64_t began;   /* when the fiber that runs began to, for the trace; 0: it is off */
    int allowance;   /* operations that may yet succeed without suspending; see thi_sched_spend() */
    int *errno_at;   /* the thread's errno, of which each fiber sees its own */
    int stack_class;
    bool counts;           /* the waits of its fibers, or sees their locks, see points.c */
    thi_context scheduler; /* the thread's own stack, on which the loop runs */
    thi_fiber_pool fibers;
    uint64_t last_id;      /* of the fibers spawned here; counts up from the worker's own range */
    uint64_t published_id; /* what the metrics have of it */
    size_t guests;         /* of the load: connections that hold no fiber */
    size_t published_live;
    unsigned index;
    uint32_t choices; /* among several that are ready, made so far: whoever has to be fair counts */
    unsigned overdrawn; /* how often the allowance was used up */
    unsigned weights[THI_RANKS];
    unsigned shares[THI_RANKS]; /* starts left in the present round */
    bool stop;
    thi_runtime *runtime;
    thi_list stoppers;  /* who wants to hear of an orderly stop */
    thi_annex *annexes; /* what later layers keep here */
    pthread_t thread;
    int thread_id; /* the kernel's, for whoever looks from outside */
    thi_msg stop_msg;
    thi_msg end_msg;
    thi_timer cooling; /* set while more free stacks are kept warm than a quiet worker needs */
    /*
     * Takes a ready fiber out of the queue to run it next, or returns NULL to have the loop looked
     * at first. NULL: the first one is taken. A simulation picks by its seed.
     */
    th_fiber *(*pick)(thi_worker *worker);
    void *scratch;       /* see thi_worker_scratch(); NULL until somebody wanted it */
    thi_lookout lookout; /* for waits that nobody can end */
    thi_loop loop;
    /* Read by others to place new fibers and connections. */
    atomic_size_t load;                  /* those that live here; written by this worker alone */
    atomic_size_t coming;                /* those that are on their way here; written by all */
    thi_mark_slot marks[THI_MARK_SLOTS]; /* who is measured next; its own again */
};

/* Timers that somebody waits for: those that are not the worker's own. */
static inline size_t thi_worker_timers(const thi_worker *worker)
{
    return worker->loop.timers.count - thi_timer_active(&worker->lookout.timer) -
           thi_timer_active(&worker->cooling);
}

/* Somebody who ends in an orderly way when asked to: a server. Lives on the worker it was added on.
 */
struct thi_stopper {
    thi_list link;
    void (*fn)(thi_stopper *stopper);
    bool told; /* fn has been called */
};

struct thi_runtime {
    thi_runtime *next; /* in thi_runtimes */
    thi_worker *workers;
    unsigned count;
    thi_engine_choice engine;
    th_run_opts opts;
    th_scope outer; /* the main fiber's, around the root */
    th_scope root;
    th_fiber_fn app;
    void *arg;
    int result;
    bool counts;              /* the waits of its fibers */
    bool hosted;              /* the thread of worker 0 does other things between turns */
    _Atomic(uint64_t) points; /* how many there were */
    int stops;                /* stops asked for so far; on worker 0 */
    thi_timer grace;          /* on worker 0's loop */
    thi_inquiry inquiry;      /* of all workers, about waits that nobody can end */
    thi_msg ask;              /* th_stop()'s message to worker 0 */
    atomic_int asked;         /* calls of th_stop() that `ask` brings; the first sends it */
    atomic_uint turn;         /* for placement in turn */
    atomic_int stoppers;      /* in all workers */
    atomic_bool stopping;     /* a stop was asked for */
    int64_t patience; /* so long a worker may be busy with one turn before it gets nothing new */
    _Atomic(thi_watchdog *) watchdog; /* NULL: there is none */
    atomic_ullong away_ids;           /* numbers given to fibers before they are on a worker */
};

/* All runtimes of the process: <thrum/inspect.h> leads from here to every fiber there is. */
extern thi_runtime *thi_runtimes;

/* The worker of the calling thread; NULL where no runtime runs. */
extern _Thread_local thi_worker *thi_worker_self __attribute__((tls_model("initial-exec")));

/*
 * Sends a message to a worker that stays at least until it has arrived. Workers of one runtime end
 * together; for anybody else it may end while the call returns.
 */
static inline void thi_worker_post(thi_worker *worker, thi_msg *msg)
{
    if (thi_worker_self && thi_worker_self->runtime == worker->runtime)
        thi_loop_post(&worker->loop, msg);
    else
        thi_loop_post_as_guest(&worker->loop, msg);
}

/* Whether any of its fibers is ready. */
static inline bool thi_worker_has_ready(const thi_worker *worker)
{
    return worker->ready[THI_RANK_NORMAL].first || worker->ranked > 0;
}

#endif
