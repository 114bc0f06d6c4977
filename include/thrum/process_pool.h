/* SPDX-License-Identifier: MIT */

/*
 * Process pools: work in other processes, for what may crash, leak, or is not safe with threads.
 *
 * A worker is a program that registers functions by name and calls th_worker_main(); mostly it is
 * the same program, started again:
 *
 *     if (th_worker_is_one())
 *         return th_worker_main(functions);
 *     ...
 *     err = th_procs_new(NULL, &pool);
 *     err = th_procs_submit(pool, "resize", image, size, NULL, &job);
 *     err = th_procs_wait(job, &result);
 *
 * A job is bytes in, and bytes and a number out. Small ones travel through a socket, large ones in
 * shared memory. A worker that dies, whatever it was doing, takes nothing with it but its own job,
 * which is tried again or fails with TH_EWORKER, by choice; another worker takes its place. What a
 * worker sends is checked like what comes from a stranger.
 *
 * The calls are for fibers of any worker and for plain threads. In a simulation there are no
 * processes (-ENOSYS).
 */
#ifndef THRUM_PROCESS_POOL_H
#define THRUM_PROCESS_POOL_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/future.h>
#include <thrum/pool.h>

TH_BEGIN_DECLS

typedef struct th_procs th_procs;
typedef struct th_procs_job th_procs_job;
typedef struct th_worker_reply th_worker_reply;

/* How a process pool is; all zero is the default. */
typedef struct th_procs_opts {
    size_t size;             /* sizeof(th_procs_opts), or 0 for the present one */
    const char *const *argv; /* what to start as a worker, NULL after the last; a name without a
                                slash is looked for in PATH. NULL: this program, without arguments
                                */
    unsigned workers_min;    /* that stay when there is no work; they start with the first job */
    unsigned workers_max;    /* up to 256; 0: one per CPU */
    int64_t idle_time;       /* after which a worker beyond workers_min ends, ns; 0: 10 s */
    size_t queue_max;        /* jobs that may wait for a worker; 0: 1024 */
    int when_full;           /* TH_POOL_WAIT or TH_POOL_REFUSE */
    unsigned retries;        /* of a job whose worker died */
    int64_t job_time;        /* that a job may take in a worker, ns; 0: any */
    int64_t stopped_time;    /* that a worker with a job may be stopped, by SIGSTOP for instance,
                                before it is taken for dead, ns; 0: 5 s */
    unsigned jobs_max;       /* that a worker does before it is replaced; 0: any */
    int64_t age_max;         /* after which an idle worker is replaced, ns; 0: any */
    size_t memory_max;       /* resident bytes of a worker after a job, above which it is replaced;
                                0: any */
    size_t shared_min;       /* bytes from which on data travels in shared memory; 0: 64 KiB, the
                                most */
    size_t output_max;       /* bytes that a job may give; 0: 1 GiB */
} th_procs_opts;

/* What a pool is at and has done. */
typedef struct th_procs_stats {
    uint64_t workers;   /* at present */
    uint64_t idle;      /* of these, without a job */
    uint64_t queued;    /* jobs that wait for a worker */
    uint64_t running;   /* jobs that have one */
    uint64_t started;   /* workers, ever */
    uint64_t died;      /* workers that ended otherwise than told to */
    uint64_t recycled;  /* workers that were replaced for their jobs, age or memory */
    uint64_t done;      /* jobs that gave a result */
    uint64_t retried;   /* times that a job was tried again */
    uint64_t failed;    /* jobs that have failed with their workers */
    uint64_t timed_out; /* jobs that took too long */
    uint64_t cancelled; /* jobs that never had a result for the pool was stopped or they were
                           cancelled */
} th_procs_stats;

/* What is different for one job; all zero is as the pool's. */
typedef struct th_procs_job_opts {
    size_t size;      /* sizeof(th_procs_job_opts), or 0 for the present one */
    int64_t job_time; /* ns; 0: the pool's */
    int retries;      /* 0: the pool's; negative: none */
} th_procs_job_opts;

/* A function of a worker: its input, and where its output goes; any result is good. */
typedef int (*th_worker_fn)(const void *in, size_t size, th_worker_reply *reply);

typedef struct th_worker_entry {
    const char *name; /* up to 63 bytes; NULL ends the table */
    th_worker_fn fn;
} th_worker_entry;

/**
 * Makes a process pool. Workers start when there is work.
 *
 * @param opts  options, or NULL for the defaults; read during the call only
 * @param pool  out: the pool, for th_procs_free()
 * @return 0; -EINVAL for NULL or wrong options; -ENOSYS in a simulation; -EAGAIN, -EMFILE or
 *         -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_procs_new(const th_procs_opts *opts, th_procs **pool);

/**
 * Gives a job to a pool.
 *
 * @param pool  the pool
 * @param name  of the worker's function, up to 63 bytes
 * @param in    its input; copied. May be NULL for size 0
 * @param size  bytes at in
 * @param opts  options, or NULL for the pool's; read during the call only
 * @param job   out: a handle, for th_procs_job_free()
 * @return 0; -EAGAIN when the queue is full and the pool refuses then; -ECANCELED or -ETIMEDOUT
 *         when the caller's scope says so while it waits for room; TH_ECLOSED when the pool was
 *         stopped; -EPERM on a worker outside of a fiber when it would have to wait; -EINVAL for
 *         NULL or a wrong name; -EMFILE or -ENOMEM
 *
 * Suspends: yes, while the queue is full
 * Thread: any
 * On cancel: nothing submitted
 * Since: 0.1
 */
TH_API TH_MUST int th_procs_submit(th_procs *pool, const char *name, const void *in, size_t size,
                                   const th_procs_job_opts *opts, th_procs_job **job);

/**
 * Gives the future of a job, to be waited for beside others or to be cancelled.
 *
 * Its result is what the worker's function returned; -ENOENT when the worker has no function of
 * that name; TH_EWORKER when the worker died, as often as the job was tried; -ETIMEDOUT when it
 * took too long; TH_ELIMIT when it gave too much; -ECANCELED when it was cancelled before it began,
 * or the pool was stopped; -errno when no worker could be started. A job that runs cannot be
 * cancelled.
 *
 * @param job  a job
 * @return the future, borrowed from the job; NULL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_future *th_procs_future(th_procs_job *job);

/**
 * Waits until a job is done, and gives its result.
 *
 * @param job     a job
 * @param result  out: as of th_procs_future(); of a negative one th_err_detail() tells what the
 *                worker said, or how it died. May be NULL
 * @return 0; -ECANCELED or -ETIMEDOUT when the job is not done and the caller's scope says so;
 *         -EPERM, -EINVAL as th_future_wait()
 *
 * Suspends: yes, unless it is done
 * Thread: any
 * On cancel: nothing done; the job goes on and may be waited for again
 * Since: 0.1
 */
TH_API TH_MUST int th_procs_wait(th_procs_job *job, int *result);

/**
 * Gives the output of a job that is done.
 *
 * @param job   a job
 * @param size  out: its bytes; may be NULL
 * @return the bytes, without a NUL behind them, which last as long as the job; never NULL for a job
 *         that is done, NULL for one that is not
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const void *th_procs_output(const th_procs_job *job, size_t *size);

/**
 * Frees a job's handle. A job that has not begun is cancelled, one that runs goes on for nobody.
 *
 * @param job  a job; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_procs_job_free(th_procs_job *job);

/**
 * Tells what a pool is at and has done.
 *
 * @param pool   the pool
 * @param stats  out
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_procs_get_stats(th_procs *pool, th_procs_stats *stats);

/**
 * Stops a pool: it takes no more jobs, and its workers end.
 *
 * @param pool  the pool
 * @param how   TH_POOL_FINISH: all that was submitted is still done; TH_POOL_ABORT: what has not
 *              begun, and what runs, is done with -ECANCELED, and workers that are at it are
 *              killed. TH_POOL_NO_WAIT may be added. The second call may be harsher than the first.
 * @return 0 when the workers are gone, or with TH_POOL_NO_WAIT; -ECANCELED or -ETIMEDOUT when the
 *         caller's scope says so before, and then the pool stops all the same; -EINVAL; -EPERM on a
 *         worker outside of a fiber
 *
 * Suspends: yes, without TH_POOL_NO_WAIT
 * Thread: any
 * On cancel: the pool goes on stopping
 * Since: 0.1
 */
TH_API int th_procs_stop(th_procs *pool, int how);

/**
 * Stops a pool with TH_POOL_ABORT and frees it. Handles of jobs stay good.
 *
 * @param pool  the pool, which nobody else uses; NULL is allowed and does nothing
 *
 * Suspends: yes, until the workers are gone, which takes moments
 * Thread: any
 * On cancel: goes on
 * Since: 0.1
 */
TH_API void th_procs_free(th_procs *pool);

/**
 * Tells whether this process was started as a worker of a process pool.
 *
 * @return 1 or 0
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_worker_is_one(void);

/**
 * Does jobs until the pool has no more for this worker; for the end of main().
 *
 * @param table  the functions; a name of NULL ends it
 * @return the exit status: 0; 1 when the process is no worker or the pool spoke nonsense
 *
 * Suspends: no
 * Thread: any that runs no fibers; functions may run a runtime of their own
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_worker_main(const th_worker_entry *table);

/**
 * Sets the output of the job at hand.
 *
 * @param reply  what the function was given
 * @param out    the bytes; copied. May be NULL for size 0
 * @param size   how many
 * @return 0; -EINVAL for NULL; -ENOMEM or -EMFILE, with the former output in force
 *
 * Suspends: no
 * Thread: any, during the function's call
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_worker_reply_set(th_worker_reply *reply, const void *out, size_t size);

/**
 * Says why a job has failed, for the end of a function.
 *
 * As in `return th_worker_fail(reply, -EPROTO, "line %d is odd", n);`.
 *
 * @param reply   what the function was given
 * @param result  to be returned
 * @param format  printf's; the text is cut at 200 bytes
 * @return result
 *
 * Suspends: no
 * Thread: any, during the function's call
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_worker_fail(th_worker_reply *reply, int result, const char *format, ...)
    TH_PRINTF(3, 4);

TH_END_DECLS

#endif
