/* SPDX-License-Identifier: MIT */

/*
 * The callers' side of a process pool: jobs go into a queue, and a thread, the manager, does the
 * rest (process_manager.c). It is a thread and no fiber because a pool belongs to no runtime: jobs
 * come from all of them and from plain threads, and go on when those are busy. It costs a job two
 * changes of threads, which beside those of processes does not matter.
 *
 * A job is a future. Its lock comes before the pool's. Whoever takes a job out of the queue, to run
 * it or to drop it, owns it from then on, and gives back its place in the queue, of which a
 * semaphore has as many units as there may be.
 */
#include "pool/process_pool.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "loop/sim_world.h"
#include "runtime/sched.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/scope.h>

#include <errno.h>
#include <string.h>

#define WORKERS_MAX     256
#define QUEUE_DEFAULT   1024
#define QUEUE_MAX       (1u << 30)
#define IDLE_DEFAULT    (10 * TH_SECOND)
#define STOPPED_DEFAULT (5 * TH_SECOND)
#define OUTPUT_DEFAULT  ((size_t)1 << 30)

/* ---- jobs ---- */

static th_procs_job *of_future(th_future *future)
{
    return thi_container_of(future, th_procs_job, future);
}

static void free_job(th_future *future)
{
    th_procs_job *job = of_future(future);
    if (job->in_fd >= 0)
        (void)thi_sys_close(job->in_fd);
    thi_wire_free(&job->output);
    thi_free(job->in);
    thi_free(job);
}

/* Under the pool's lock. */
static bool leave_queue(th_procs_job *job)
{
    if (!job->queued)
        return false;
    thi_list_remove(&job->link);
    job->queued = false;
    job->pool->stats.queued--;
    return true;
}

/* Under the future's lock: the pool is still there, because the job is not done. */
static bool revoke_job(th_future *future, thi_waiter **woken)
{
    th_procs_job *job = of_future(future);
    th_procs *pool = job->pool;
    (void)woken;
    pthread_mutex_lock(&pool->lock);
    bool revoked = leave_queue(job);
    bool had_place = revoked && job->has_place;
    if (revoked)
        pool->stats.cancelled++;
    pthread_mutex_unlock(&pool->lock);
    if (had_place)
        (void)th_sem_release(&pool->room, 1);
    return revoked;
}

static const thi_future_ops job_ops = { .revoke = revoke_job };

void thi_procs_complete(th_procs_job *job, int result)
{
    thi_waiter *woken = NULL;
    (void)thi_future_complete(&job->future, result, &woken);
    thi_waiter_wake_all(woken);
    th_future_unref(&job->future);
}

static int keep_input(th_procs_job *job, const void *in, size_t size, size_t shared_min)
{
    job->in_size = size;
    if (size >= shared_min) {
        job->in_fd = thi_wire_share(in, size);
        return job->in_fd < 0 ? job->in_fd : 0;
    }
    job->in = thi_alloc(size + 1);
    if (!job->in)
        return -ENOMEM;
    if (size > 0)
        memcpy(job->in, in, size);
    return 0;
}

static int make_job(th_procs *pool, const char *name, const void *in, size_t size,
                    th_procs_job **out)
{
    th_procs_job *job = thi_calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    thi_future_init(&job->future, &job_ops, 1, free_job);
    job->pool = pool;
    job->in_fd = job->output.fd = -1;
    memcpy(job->name, name, strlen(name) + 1);
    int err = keep_input(job, in, size, pool->opts.shared_min);
    if (err < 0)
        th_future_unref(&job->future);
    else
        *out = job;
    return err;
}

static int enqueue(th_procs *pool, th_procs_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool open = pool->state == THI_PROCS_RUNS;
    if (open) {
        th_future_ref(&job->future); /* the pool's */
        job->queued = job->has_place = true;
        thi_list_push_back(&pool->queue, &job->link);
        pool->stats.queued++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (open)
        thi_procs_wake(pool);
    return open ? 0 : TH_ECLOSED;
}

static int find_room(th_procs *pool)
{
    int err = th_sem_tryacquire(&pool->room);
    if (err != -EAGAIN || pool->opts.when_full == TH_POOL_REFUSE)
        return err;
    return th_sem_acquire(&pool->room);
}

int th_procs_submit(th_procs *pool, const char *name, const void *in, size_t size,
                    const th_procs_job_opts *opts, th_procs_job **out)
{
    th_procs_job *job;
    th_procs_job_opts o = opts ? *opts : (th_procs_job_opts){ 0 };
    if (!pool || !name || !out || (!in && size > 0) || o.size > sizeof o || o.job_time < 0 ||
        !*name || strlen(name) >= sizeof job->name)
        return -EINVAL;
    int err = make_job(pool, name, in, size, &job);
    if (err < 0)
        return err;
    job->time = o.job_time ? o.job_time : pool->opts.job_time;
    job->tries_left = o.retries ? (unsigned)thi_max(o.retries, 0) : pool->opts.retries;
    err = find_room(pool);
    if (err == 0) {
        err = enqueue(pool, job);
        if (err < 0)
            (void)th_sem_release(&pool->room, 1);
    }
    if (err < 0)
        th_future_unref(&job->future);
    else
        *out = job;
    return err;
}

th_future *th_procs_future(th_procs_job *job)
{
    return job ? &job->future : NULL;
}

int th_procs_wait(th_procs_job *job, int *result)
{
    int got = 0;
    int err = job ? th_future_wait(&job->future, &got) : -EINVAL;
    if (err < 0)
        return err;
    if (got < 0)
        (void)thi_err_set(got, "%s", job->detail);
    if (result)
        *result = got;
    return 0;
}

const void *th_procs_output(const th_procs_job *job, size_t *size)
{
    if (!job || !thi_future_is_done(&job->future))
        return NULL;
    if (size)
        *size = job->output.head.size;
    return job->output.data ? job->output.data : "";
}

void th_procs_job_free(th_procs_job *job)
{
    if (job)
        th_future_abandon(&job->future);
}

/* ---- the pool ---- */

void thi_procs_wake(th_procs *pool)
{
    uint64_t one = 1;
    (void)thi_sys_real.write(pool->wake, &one, sizeof one);
}

static bool are_good(const th_procs_opts *o)
{
    return o->size <= sizeof *o && o->workers_max <= WORKERS_MAX &&
           (o->workers_max == 0 || o->workers_min <= o->workers_max) &&
           (o->when_full == TH_POOL_WAIT || o->when_full == TH_POOL_REFUSE) &&
           o->queue_max <= QUEUE_MAX && o->shared_min <= THI_WIRE_INLINE_MAX && o->idle_time >= 0 &&
           o->job_time >= 0 && o->stopped_time >= 0 && o->age_max >= 0 && (!o->argv || o->argv[0]);
}

static void fill_in(th_procs_opts *o)
{
    unsigned cpus = (unsigned)thi_min(thi_machine_cpus(), (unsigned)WORKERS_MAX);
    if (o->workers_max == 0)
        o->workers_max = thi_max(cpus, o->workers_min);
    o->queue_max = o->queue_max ? o->queue_max : QUEUE_DEFAULT;
    o->idle_time = o->idle_time ? o->idle_time : IDLE_DEFAULT;
    o->stopped_time = o->stopped_time ? o->stopped_time : STOPPED_DEFAULT;
    o->output_max = o->output_max ? o->output_max : OUTPUT_DEFAULT;
    o->shared_min = o->shared_min ? o->shared_min : THI_WIRE_INLINE_MAX;
}

/* Copies of the words, behind the array of them. */
static int copy_command(th_procs *pool, const char *const *argv)
{
    static const char *const this_program[] = { "/proc/self/exe", NULL };
    size_t count = 0;
    size_t text = 0;
    argv = argv ? argv : this_program;
    for (; argv[count]; count++)
        text += strlen(argv[count]) + 1;
    pool->argv = thi_alloc((count + 1) * sizeof *pool->argv + text);
    if (!pool->argv)
        return -ENOMEM;
    char *at = (char *)(pool->argv + count + 1);
    for (size_t i = 0; i < count; i++) {
        pool->argv[i] = at;
        at = stpcpy(at, argv[i]) + 1;
    }
    pool->argv[count] = NULL;
    return 0;
}

static void free_pool(th_procs *pool)
{
    if (pool->wake >= 0)
        (void)thi_sys_close(pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    thi_free(pool->argv);
    thi_free(pool);
}

static int open_pool(th_procs *pool)
{
    int err = copy_command(pool, pool->opts.argv);
    if (err < 0)
        return err;
    pool->wake = thi_sys_eventfd();
    if (pool->wake < 0)
        return pool->wake;
    return thi_sys_thread(&pool->manager, 0, thi_procs_manage, pool);
}

int th_procs_new(const th_procs_opts *opts, th_procs **out)
{
    th_procs_opts o = opts ? *opts : (th_procs_opts){ 0 };
    if (!out || !are_good(&o))
        return -EINVAL;
    if (thi_sim_self)
        return -ENOSYS;
    th_procs *pool = thi_calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    fill_in(&o);
    pool->opts = o;
    pool->wake = -1;
    pool->room = (th_sem)TH_SEM_INIT((uint32_t)o.queue_max);
    pool->end = (th_event)TH_EVENT_INIT;
    thi_list_init(&pool->queue);
    (void)pthread_mutex_init(&pool->lock, NULL);
    int err = open_pool(pool);
    if (err < 0)
        free_pool(pool);
    else
        *out = pool;
    return err;
}

int th_procs_get_stats(th_procs *pool, th_procs_stats *stats)
{
    if (!pool || !stats)
        return -EINVAL;
    pthread_mutex_lock(&pool->lock);
    *stats = pool->stats;
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

/* Those who wait for room find that there is plenty, and that the pool is closed. */
static void begin_stop(th_procs *pool, int state)
{
    pthread_mutex_lock(&pool->lock);
    bool first = pool->state == THI_PROCS_RUNS;
    pool->state = thi_max(pool->state, state);
    pthread_mutex_unlock(&pool->lock);
    if (first)
        (void)th_sem_release(&pool->room, QUEUE_MAX);
    thi_procs_wake(pool);
}

int th_procs_stop(th_procs *pool, int how)
{
    if (!pool || (how & ~(TH_POOL_ABORT | TH_POOL_NO_WAIT)))
        return -EINVAL;
    begin_stop(pool, how & TH_POOL_ABORT ? THI_PROCS_ABORTS : THI_PROCS_FINISHES);
    return how & TH_POOL_NO_WAIT ? 0 : th_event_wait(&pool->end);
}

/* Whatever the scope says; on a worker outside of a fiber its thread is held up for a moment. */
static void await_end(th_procs *pool)
{
    th_scope shield;
    if (th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }) == 0) {
        (void)!th_event_wait(&pool->end);
        (void)th_scope_close(&shield);
    }
    (void)pthread_join(pool->manager, NULL);
}

void th_procs_free(th_procs *pool)
{
    if (!pool)
        return;
    begin_stop(pool, THI_PROCS_ABORTS);
    await_end(pool);
    free_pool(pool);
}
