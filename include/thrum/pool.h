/* SPDX-License-Identifier: MIT */

/*
 * Thread pools: for work that blocks or computes for long, which no event loop should.
 *
 * th_offload() runs a function on a pool's thread and gives its result, while the calling fiber is
 * parked and its worker runs others. th_pool_submit() starts work to be waited for later, or by
 * others, or not at all.
 *
 * The pools "default", "files", "names" and "crypto" are there without being made; each has its own
 * threads and queue, so that a name server that is dead holds up no file. Their threads start with
 * the first work and end when they have been idle for ten seconds. When the last runtime ends, idle
 * threads end; when the process ends, work that has not begun is dropped with -ECANCELED, and work
 * that runs is told by th_work_cancelled() and waited for at most a second.
 *
 * In a simulation a pool has virtual threads: work runs in one piece, at a moment that the seed
 * draws, and must not wait for others (such calls return -EPERM). A pool belongs to where it was
 * made, to one simulation or to the world outside, and is to be freed there.
 */
#ifndef THRUM_POOL_H
#define THRUM_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/future.h>

TH_BEGIN_DECLS

typedef struct th_pool th_pool;

/* Work: any result is good, a negative one is a failure by custom. */
typedef int (*th_work_fn)(void *arg);

/*
 * How urgent work is. More urgent work goes first, in order of submission among its like; but of
 * 17 jobs that are begun, one is of each lower priority that has work, so none waits for ever.
 */
enum { TH_POOL_LOW = -1, TH_POOL_NORMAL = 0, TH_POOL_HIGH = 1 };

/* What a full queue does to whoever submits. */
enum {
    TH_POOL_WAIT,    /* waits for room; a thread of the pool itself runs the work in place */
    TH_POOL_REFUSE,  /* gets -EAGAIN */
    TH_POOL_RUN_HERE /* runs the work in place; in a fiber that holds up its worker */
};

/* How to stop a pool. */
enum {
    TH_POOL_FINISH = 0, /* all that was submitted is still done */
    TH_POOL_ABORT = 1,  /* what has not begun is dropped, what runs is told */
    TH_POOL_NO_WAIT = 2 /* added to either: do not wait for the end */
};

/* How a pool is; all zero is the default. */
typedef struct th_pool_opts {
    size_t size;          /* sizeof(th_pool_opts), or 0 for the present one */
    const char *name;     /* of pool and threads, cut to 15 bytes; copied; NULL: "pool" */
    unsigned threads_min; /* that stay when there is no work; they start with the first work */
    unsigned threads_max; /* up to 1024; 0: one per CPU and four more, at most 32 */
    int64_t idle_time;    /* after which a thread beyond threads_min ends, ns; 0: 10 s */
    size_t queue_max;     /* jobs that may wait for a thread; 0: 1024; SIZE_MAX: no bound */
    int when_full;        /* TH_POOL_WAIT, TH_POOL_REFUSE, TH_POOL_RUN_HERE */
    unsigned gives_way; /* how much nicer its threads are, 0 to 19, setpriority(2); in real time, if
                           not 0, they let others run after each job, sched_yield(2) */
    size_t stack_size;  /* of a thread, PTHREAD_STACK_MIN to 1 GiB; 0: the system's default */
} th_pool_opts;

/* What a pool is at and has done. */
typedef struct th_pool_stats {
    uint64_t threads;      /* at present, those about to start included */
    uint64_t threads_peak; /* most at a time */
    uint64_t idle;         /* threads without work */
    uint64_t queued;       /* jobs that wait for a thread */
    uint64_t queued_peak;  /* most at a time */
    uint64_t running;      /* jobs that run */
    uint64_t submitted;    /* jobs that were ever queued */
    uint64_t done;         /* jobs that were run to their end */
    uint64_t cancelled;    /* jobs that never began */
    uint64_t refused;      /* jobs that were not accepted */
    uint64_t waited;       /* jobs whose submitter had to wait for room */
    uint64_t run_here;     /* jobs that a submitter, or one who waited for it, ran in place */
} th_pool_stats;

/**
 * Makes a pool. Threads start when there is work.
 *
 * @param opts  options, or NULL for the defaults; read during the call only
 * @param pool  out: the pool, for th_pool_free()
 * @return 0; -EINVAL for NULL or wrong options, with a detail; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_pool_new(const th_pool_opts *opts, th_pool **pool);

/**
 * Gives one of the pools that are there without being made.
 *
 * They are not the program's to stop or to free. In the child of a fork() they begin anew.
 *
 * @param name  "default", "files", "names" or "crypto"
 * @return the pool of the process, or of the simulation that the caller is in; NULL for another
 *         name
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_pool *th_pool_default(const char *name);

/**
 * Gives a pool work to do.
 *
 * If no thread can be started the work waits for those that there are. Without any it fails, here;
 * or by its result, when the failed start was the one that another submission had counted on.
 *
 * @param pool      a pool; NULL: "default"
 * @param fn        what to run, on a thread of the pool
 * @param arg       handed to fn; if this call fails it still belongs to the caller
 * @param priority  TH_POOL_LOW, TH_POOL_NORMAL or TH_POOL_HIGH
 * @param future    out: a handle to the result, to be given back with th_future_unref(); NULL if
 *                  nobody wants to know
 * @return 0; -EAGAIN when the queue is full and the pool refuses, or no thread could be started;
 *         -ESHUTDOWN once the pool is being stopped; -ECANCELED or -ETIMEDOUT when the caller would
 *         have to wait for room and its scope says so; -EPERM when it would have to wait and is a
 *         worker's loop, not a fiber; -EINVAL for a NULL fn, another priority, or a pool that is
 * not of the caller's simulation; -ENOMEM
 *
 * Suspends: yes, while the queue is full and the pool says so
 * Thread: any
 * On cancel: nothing submitted
 * Since: 0.1
 */
TH_API TH_MUST int th_pool_submit(th_pool *pool, th_work_fn fn, void *arg, int priority,
                                  th_future **future);

/**
 * Runs a function on a thread of a pool and gives its result.
 *
 * The caller waits: a fiber parked, a plain thread asleep. Nothing is allocated. A thread of the
 * same pool runs the function itself. What th_err_detail() says of a failure in fn it says to the
 * caller, too.
 *
 * Once the function runs, a cancellation does not end the wait, for the function may use what is on
 * the caller's stack: it is told by th_work_cancelled(), and what it returns is the result. Whoever
 * must be able to let go at once submits the work and abandons its future.
 *
 * @param pool  a pool; NULL: "default"
 * @param fn    what to run
 * @param arg   handed to fn
 * @return what fn returned; without running it: -ECANCELED or -ETIMEDOUT when the caller's scope
 *         says so before it has begun, -ECANCELED when the pool was aborted, -EPERM for a worker's
 *         loop, and all else that th_pool_submit() returns, but for -ENOMEM
 *
 * Suspends: yes
 * Thread: any
 * On cancel: fn is not run, or is told and waited for
 * Since: 0.1
 */
TH_API int th_offload(th_pool *pool, th_work_fn fn, void *arg);

/**
 * Asks, from within work, whether its result is still wanted.
 *
 * @return 0 to go on; -ECANCELED when its future was cancelled or abandoned, the fiber that waits
 *         for it was cancelled, or the pool is being aborted; in work that a fiber runs in place,
 *         and elsewhere in a fiber, what th_check() says; -EPERM outside of both
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_work_cancelled(void);

/**
 * Stops a pool: from now on it accepts nothing. Waits until its threads have ended.
 *
 * It may be called again, to wait once more, or to abort what was to be finished.
 *
 * @param pool  a pool that the program made
 * @param how   TH_POOL_FINISH or TH_POOL_ABORT, and perhaps | TH_POOL_NO_WAIT
 * @return 0; -EDEADLK when a job of the pool would wait for its own end; -ECANCELED or -ETIMEDOUT
 *         when the caller's scope says so before the threads have ended; -EPERM for a default pool,
 * or on a worker's loop; -EINVAL for NULL or another way
 *
 * Suspends: yes, while work runs, unless it is told not to
 * Thread: any
 * On cancel: the pool goes on stopping
 * Since: 0.1
 */
TH_API int th_pool_stop(th_pool *pool, int how);

/**
 * Frees a pool, after finishing all that was submitted unless it was stopped otherwise before.
 *
 * Futures of the pool stay valid. Nobody may use the pool any more.
 *
 * @param pool  a pool that the program made; NULL is allowed and does nothing
 * @return 0; -EDEADLK from a job of the pool; -EPERM for a default pool, or on a worker's loop:
 * then it is not freed
 *
 * Suspends: yes, while work runs
 * Thread: any
 * On cancel: waits on
 * Since: 0.1
 */
TH_API int th_pool_free(th_pool *pool);

/**
 * Tells what a pool is at and has done.
 *
 * @param pool   a pool
 * @param stats  out: figures of one moment
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_pool_get_stats(th_pool *pool, th_pool_stats *stats);

/**
 * Gives the name of a pool.
 *
 * @param pool  a pool
 * @return its name, valid as long as the pool; empty for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_pool_name(const th_pool *pool);

TH_END_DECLS

#endif
