/* SPDX-License-Identifier: MIT */

/*
 * Who does what, and who is woken for it.
 *
 * As long as jobs wait, at least one server exists. As long as jobs wait and somebody is idle (or
 * the crew may still grow), somebody is on the way to the queue: `waking` says so. A job that is
 * put therefore wakes one server only if nobody is on the way; whoever arrives and finds more work
 * than his own wakes the next. So a burst of jobs costs its submitter one system call, and the crew
 * grows at the cost of its own members, not of an event loop.
 *
 * A server that has finished a job first takes the next one, or lists itself as idle, and only then
 * tells those who waited: when they submit the next job they find it idle, and start nobody.
 *
 * While somebody is on the way, or all are at work and no more may be started, a submitter has
 * nothing to decide. Then the inbox is open, and a job of normal rank is left there without the
 * lock. Whoever holds the lock opens and shuts it by that rule (settle()), and takes what is in it
 * before anything else that is not more urgent, so that jobs keep their order. Places in the queue
 * are given to the inbox in advance, and taken back before a submitter is told that there is none.
 *
 * One who runs out of work lingers a moment before he sleeps: he counts as on the way, so that the
 * next job costs no system call. Only one of a pool does so at a time.
 *
 * The lock is held for a few instructions; nobody sleeps, allocates or calls a job's functions
 * under it. A future's lock may be held around it, never the other way round.
 */
#include "pool/crew.h"

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "loop/sim_world.h"
#include "sys/sys.h"

#include <errno.h>

#define CREDITS 64 /* places that the inbox is given at a time */
#define LINGER  32 /* looks at the inbox: about a microsecond */

_Thread_local th_pool *thi_pool_self;
_Thread_local thi_job *thi_job_self;

/* What is to be done once the lock is released. */
typedef struct steps {
    thi_server *wake; /* chain by next: off the list, asleep */
    bool start;       /* a server, which is counted already */
} steps;

static void lock(th_pool *pool)
{
    thi_waitq_lock(&pool->room);
}

static void unlock(th_pool *pool)
{
    thi_waitq_unlock(&pool->room);
}

/* ---- under the lock ---- */

static void list_idle(th_pool *pool, thi_server *server)
{
    __atomic_store_n(&server->word, 0, __ATOMIC_RELAXED);
    server->listed = true;
    server->prev = NULL;
    server->next = pool->idle;
    if (pool->idle)
        pool->idle->prev = server;
    pool->idle = server;
    pool->idle_count++;
}

static void delist_idle(th_pool *pool, thi_server *server)
{
    server->listed = false;
    if (server->prev)
        server->prev->next = server->next;
    else
        pool->idle = server->next;
    if (server->next)
        server->next->prev = server->prev;
    pool->idle_count--;
}

static thi_server *delist_all(th_pool *pool)
{
    thi_server *all = pool->idle;
    for (thi_server *server = all; server; server = server->next)
        server->listed = false;
    pool->idle = NULL;
    pool->idle_count = 0;
    return all;
}

/* Keeps the promise of the file's head: somebody is on the way if somebody can be. */
static steps plan(th_pool *pool)
{
    steps next = { 0 };
    if (pool->jobs.count == 0 || pool->waking)
        return next;
    if (pool->idle) {
        next.wake = pool->idle;
        delist_idle(pool, next.wake);
        next.wake->next = NULL;
    } else if (pool->servers < pool->servers_max) {
        pool->servers++;
        if (pool->servers > pool->stats.threads_peak)
            pool->stats.threads_peak = pool->servers;
        next.start = true;
    }
    pool->waking = next.wake || next.start;
    return next;
}

static void queue(th_pool *pool, thi_job *job)
{
    thi_jobs_push(&pool->jobs, job);
    pool->stats.submitted++;
    if (pool->jobs.count > pool->stats.queued_peak)
        pool->stats.queued_peak = pool->jobs.count;
}

/* Queues what was left in the inbox, which is shut or open afterwards. */
static void empty_inbox(th_pool *pool, bool shut)
{
    thi_job *next;
    for (thi_job *job = thi_inbox_take(&pool->inbox, shut); job; job = next) {
        next = job->next;
        pool->granted--;
        queue(pool, job);
    }
    pool->shut = shut;
}

static void look_into_inbox(th_pool *pool)
{
    if (!pool->shut && thi_inbox_stirs(&pool->inbox))
        empty_inbox(pool, false);
}

/* Whether somebody must be woken or started for the next job. */
static bool wants_waking(const th_pool *pool)
{
    return !pool->waking && (pool->idle || pool->servers < pool->servers_max);
}

/* Whether jobs are to come by the lock: also when the one who lingers by the inbox is to look here.
 */
static bool must_be_shut(const th_pool *pool)
{
    return wants_waking(pool) || (pool->lingering && pool->jobs.count > 0);
}

/* Gives the inbox places of the queue that nobody else waits for. */
static void grant(th_pool *pool)
{
    if (pool->shut || pool->room.first || pool->jobs.count >= pool->queue_max)
        return;
    size_t credits = thi_min((size_t)CREDITS, pool->queue_max - pool->jobs.count);
    if (pool->granted > 0 && pool->granted + CREDITS / 2 > credits)
        return;
    thi_inbox_grant(&pool->inbox, credits - pool->granted);
    pool->granted = credits;
}

/* What is to be done before the lock is given back. */
static steps settle(th_pool *pool)
{
    steps next = plan(pool);
    if (TH_UNLIKELY(pool->stopping != THI_CREW_OPEN))
        return next;
    if (!pool->shut && must_be_shut(pool)) {
        bool planned = pool->waking; /* then there is no more to be planned */
        empty_inbox(pool, true);
        if (!planned)
            next = plan(pool);
    }
    if (pool->shut && !must_be_shut(pool)) {
        thi_inbox_open(&pool->inbox);
        pool->shut = false;
    }
    grant(pool);
    return next;
}

/* Whether no place is left for a job, after taking back those that are not used. */
static bool is_full(th_pool *pool)
{
    if (TH_LIKELY(pool->jobs.count + pool->granted < pool->queue_max))
        return false;
    pool->granted -= thi_inbox_revoke(&pool->inbox);
    return pool->jobs.count + pool->granted >= pool->queue_max;
}

/* A place has become free: the job of the submitter that waits longest takes it. */
static thi_waiter *admit(th_pool *pool)
{
    thi_waiter *w = NULL;
    if (TH_UNLIKELY(pool->room.first != NULL) && !is_full(pool)) {
        w = thi_waitq_pop(&pool->room);
        queue(pool, (thi_job *)w->request);
    }
    return w;
}

static void begin(th_pool *pool, thi_job *job)
{
    job->state = THI_JOB_RUNNING;
    pool->stats.running++;
}

static void end(th_pool *pool, thi_job *job)
{
    job->state = THI_JOB_ELSEWHERE;
    pool->stats.running--;
    pool->stats.done++;
}

static thi_waiter *take_all(thi_waitq *queue)
{
    thi_waiter *all = queue->first;
    for (thi_waiter *w = all; w; w = w->next)
        w->queued = false;
    queue->first = queue->last = NULL;
    return all;
}

/* One server fewer. Those who waited for the last one are returned, to be woken. */
static thi_waiter *one_less(th_pool *pool)
{
    thi_waiter *joiners = NULL;
    pool->servers--;
    if (pool->watched)
        (void)thi_sys_futex_wake(&pool->servers, 1);
    if (pool->servers == 0 && pool->stopping != THI_CREW_OPEN) {
        thi_waitq_lock(&pool->ended);
        joiners = take_all(&pool->ended);
        thi_waitq_unlock(&pool->ended);
    }
    return joiners;
}

static thi_waiter *leave(th_pool *pool, thi_server *server)
{
    server->left = true;
    if (server->threaded) {
        server->joins = pool->has_left;
        server->earlier = pool->last_left;
        pool->has_left = true;
        pool->last_left = server->thread;
    }
    return one_less(pool);
}

/* ---- after the lock ---- */

static void wake_all_with(thi_waiter *first, int result)
{
    while (first) {
        thi_waiter *w = first;
        first = w->next;
        thi_waiter_wake(w, result);
    }
}

/* As thi_waiter_wake() says of threads: the word may be gone once it is written. */
static void wake_servers(thi_server *first)
{
    while (first) {
        uint32_t *word = &first->word;
        first = first->next;
        __atomic_store_n(word, 1, __ATOMIC_RELEASE);
        (void)thi_sys_futex_wake(word, 1);
    }
}

static void drop_all(thi_job *first, int why)
{
    int64_t count = 0;
    for (; first; count++) {
        thi_job *job = first;
        first = job->next;
        job->ops->drop(job, why);
    }
    thi_metric_add(THI_M_POOL_JOBS_CANCELLED, count);
    thi_metric_add(THI_M_POOL_JOBS_WAITING, -count);
}

/*
 * Nobody could be started. If others serve the queue that does not matter; else nobody will, and
 * all that was put in the meantime fails: `job` by the error returned, others by their result.
 */
static int start_failed(th_pool *pool, thi_job *job, int err)
{
    thi_job *lost = NULL;
    thi_waiter *refused = NULL;
    bool own = false;
    lock(pool);
    pool->waking = false;
    thi_waiter *joiners = one_less(pool);
    empty_inbox(pool, true);
    if (pool->servers == 0) {
        own = job && job->state == THI_JOB_WAITING;
        if (own) {
            thi_jobs_remove(&pool->jobs, job);
            pool->stats.submitted--;
        }
        lost = thi_jobs_take_all(&pool->jobs);
        refused = take_all(&pool->room);
    }
    unlock(pool);
    if (own)
        thi_metric_add(THI_M_POOL_JOBS_WAITING, -1);
    drop_all(lost, err);
    wake_all_with(refused, err);
    wake_all_with(joiners, 0);
    thi_log(TH_LOG_WARNING, "pool %s: no thread could be started: %s", pool->name,
            th_strerror(err));
    return own ? err : 0;
}

/* `job` is the one that the caller has just put, or NULL. */
static int carry_out(th_pool *pool, steps next, thi_job *job)
{
    wake_servers(next.wake);
    if (TH_LIKELY(!next.start))
        return 0;
    int err = pool->start(pool);
    return err < 0 ? start_failed(pool, job, err) : 0;
}

/* ---- running jobs ---- */

void thi_crew_run(th_pool *pool, thi_job *job)
{
    th_pool *outer_pool = thi_pool_self;
    thi_job *outer_job = thi_job_self;
    thi_pool_self = pool;
    thi_job_self = job;
    job->ops->run(job);
    thi_pool_self = outer_pool;
    thi_job_self = outer_job;
}

/* In a fiber the work may suspend, and what is the thread's would then be seen by others: there it
 * runs as part of the fiber. */
static void run_here(th_pool *pool, thi_job *job)
{
    lock(pool);
    pool->stats.run_here++;
    begin(pool, job);
    unlock(pool);
    thi_metric_add(THI_M_POOL_JOBS_WAITING, -1);
    if (thi_sched_self())
        job->ops->run(job);
    else
        thi_crew_run(pool, job);
    lock(pool);
    end(pool, job);
    unlock(pool);
    job->ops->finish(job);
    thi_metric_add(THI_M_POOL_JOBS_DONE, 1);
}

/* ---- putting jobs ---- */

/* The reason why a job cannot be queued now: 0, -ESHUTDOWN, or -EAGAIN as it is full. */
static int obstacle(th_pool *pool)
{
    if (TH_UNLIKELY(pool->stopping != THI_CREW_OPEN))
        return -ESHUTDOWN;
    look_into_inbox(pool);
    return is_full(pool) ? -EAGAIN : 0;
}

static const thi_wait_kind room = { "room in a pool", THI_BY_POOL, offsetof(th_pool, name) };

static int wait_for_room(th_pool *pool, thi_job *job)
{
    thi_waiter w;
    steps next = { 0 };
    int err = thi_waiter_init(&w, &pool->room, &room, pool);
    if (err < 0)
        return err;
    lock(pool);
    err = obstacle(pool);
    if (err == -EAGAIN) {
        w.request = (uintptr_t)job;
        thi_waitq_push(&pool->room, &w);
        pool->stats.waited++;
    } else if (err == 0) {
        queue(pool, job);
        next = settle(pool);
    }
    unlock(pool);
    if (err == -EAGAIN)
        return thi_waiter_sleep(&w); /* whoever made room has queued the job */
    return err == 0 ? carry_out(pool, next, job) : err;
}

static int put_in_full(th_pool *pool, thi_job *job)
{
    if (pool->when_full == TH_POOL_REFUSE)
        return -EAGAIN;
    /* One of its own that waited for room might wait for itself. */
    if (pool->when_full == TH_POOL_RUN_HERE || thi_pool_self == pool) {
        thi_metric_add(THI_M_POOL_JOBS_WAITING, 1);
        run_here(pool, job);
        return 0;
    }
    int err = wait_for_room(pool, job);
    if (err == 0)
        thi_metric_add(THI_M_POOL_JOBS_WAITING, 1);
    return err;
}

static int refuse(th_pool *pool, int err)
{
    lock(pool);
    pool->stats.refused++;
    unlock(pool);
    thi_metric_add(THI_M_POOL_JOBS_REFUSED, 1);
    return err;
}

static int put_by_lock(th_pool *pool, thi_job *job)
{
    steps next = { 0 };
    lock(pool);
    int err = obstacle(pool);
    if (TH_LIKELY(err == 0)) {
        queue(pool, job);
        next = settle(pool);
    }
    unlock(pool);
    if (TH_LIKELY(err == 0)) {
        thi_metric_add(THI_M_POOL_JOBS_WAITING, 1);
        err = carry_out(pool, next, job);
    } else if (err == -EAGAIN) {
        err = put_in_full(pool, job);
    }
    return TH_LIKELY(err == 0) ? 0 : refuse(pool, err);
}

/* Other ranks have a say in who is next, and must not be left in the inbox for that. */
int thi_crew_put(th_pool *pool, thi_job *job)
{
    if (TH_UNLIKELY(pool->simulated != (thi_sim_self != NULL)))
        return thi_err_set(-EINVAL, "pool %s is %s a simulation", pool->name,
                           pool->simulated ? "of" : "not of");
    if (TH_UNLIKELY(job->rank != THI_JOB_NORMAL || !thi_inbox_push(&pool->inbox, job)))
        return put_by_lock(pool, job);
    thi_metric_add(THI_M_POOL_JOBS_WAITING, 1);
    return 0;
}

/* Takes a job out of the queue if it is there. */
static bool take_out(th_pool *pool, thi_job *job, bool cancelled, thi_waiter **admitted)
{
    lock(pool);
    look_into_inbox(pool);
    bool waits = job->state == THI_JOB_WAITING;
    *admitted = NULL;
    if (waits) {
        thi_jobs_remove(&pool->jobs, job);
        pool->stats.cancelled += cancelled;
        *admitted = admit(pool);
        if (*admitted)
            (*admitted)->next = NULL;
    }
    unlock(pool);
    return waits;
}

bool thi_crew_revoke(th_pool *pool, thi_job *job, thi_waiter **admitted)
{
    if (!take_out(pool, job, true, admitted)) {
        atomic_store_explicit(&job->unwanted, true, memory_order_relaxed);
        return false;
    }
    thi_metric_add(THI_M_POOL_JOBS_CANCELLED, 1);
    thi_metric_add(THI_M_POOL_JOBS_WAITING, -1);
    return true;
}

void thi_crew_help(th_pool *pool, thi_job *job)
{
    thi_waiter *admitted;
    if (!take_out(pool, job, false, &admitted))
        return;
    if (admitted)
        thi_waiter_wake(admitted, 0);
    run_here(pool, job);
}

/* ---- serving ---- */

/* The next job; before one of low rank, or none, the inbox is looked at. */
static thi_job *take_next(th_pool *pool)
{
    if (!pool->jobs.first[THI_JOB_HIGH] && !pool->jobs.first[THI_JOB_NORMAL])
        look_into_inbox(pool);
    return thi_jobs_pop(&pool->jobs);
}

/* Lets a server without a job linger if nobody else does, or lists it as idle. */
static void have_no_job(th_pool *pool, thi_server *server)
{
    server->lingers = pool->may_linger && !server->tired && !pool->waking;
    if (server->lingers)
        pool->waking = pool->lingering = true;
    else
        list_idle(pool, server);
}

/* A server has come to the queue. */
static void arrive(th_pool *pool, thi_server *server)
{
    server->fresh = false;
    pool->waking = false;
    if (server->lingers)
        server->lingers = pool->lingering = false;
}

thi_job *thi_crew_next(th_pool *pool, thi_server *server, thi_job *done)
{
    thi_waiter *joiners = NULL;
    lock(pool);
    if (server->fresh)
        arrive(pool, server);
    if (done)
        end(pool, done);
    thi_job *job = take_next(pool);
    thi_waiter *admitted = job ? admit(pool) : NULL;
    if (job) {
        server->stays = server->threaded;
        server->tired = false;
        begin(pool, job);
    } else if (server->stays && pool->stopping == THI_CREW_OPEN && !pool->watched) {
        have_no_job(pool, server);
    } else {
        joiners = leave(pool, server);
    }
    steps next = settle(pool);
    atomic_store_explicit(&server->telling, done != NULL, memory_order_relaxed);
    unlock(pool);
    /* The pool may be gone from here on if this server has left: then there is nothing to do. */
    if (done) {
        done->ops->finish(done);
        thi_metric_add(THI_M_POOL_JOBS_DONE, 1);
    }
    atomic_store_explicit(&server->telling, false, memory_order_release);
    if (job)
        thi_metric_add(THI_M_POOL_JOBS_WAITING, -1);
    if (admitted)
        thi_waiter_wake(admitted, 0);
    (void)!carry_out(pool, next, NULL);
    wake_all_with(joiners, 0);
    return job;
}

/* A server has been idle for its time: true if the pool can do without it. */
static bool dispensable(th_pool *pool, thi_server *server)
{
    lock(pool);
    bool leaves = server->listed && pool->servers > pool->servers_min;
    if (leaves) {
        delist_idle(pool, server);
        server->stays = false; /* and ends as soon as there is no job for it */
    }
    unlock(pool);
    return leaves;
}

static bool linger(const th_pool *pool)
{
    unsigned looks = 0;
    while (looks < LINGER && !thi_inbox_stirs(&pool->inbox)) {
        thi_relax();
        looks++;
    }
    return looks < LINGER;
}

void thi_crew_sleep(th_pool *pool, thi_server *server)
{
    int64_t time = pool->idle_time;
    if (server->lingers) {
        server->tired = !linger(pool);
        server->fresh = true;
        return;
    }
    while (__atomic_load_n(&server->word, __ATOMIC_ACQUIRE) == 0) {
        if (thi_sys_futex_wait(&server->word, 0, time) != -ETIMEDOUT)
            continue;
        if (dispensable(pool, server))
            return;
        time = -1;
    }
    server->fresh = true;
}

bool thi_crew_at_rest(thi_helpers *helpers, unsigned *threads)
{
    th_pool *pool = thi_container_of(helpers, th_pool, helpers);
    lock(pool);
    bool at_rest = pool->idle_count == pool->servers && pool->jobs.count == 0 && !pool->waking &&
                   (pool->shut || !thi_inbox_stirs(&pool->inbox));
    for (const thi_server *server = pool->idle; server; server = server->next)
        at_rest &= !atomic_load_explicit(&server->telling, memory_order_acquire);
    *threads = pool->servers;
    unlock(pool);
    return at_rest;
}

void thi_crew_stats(th_pool *pool, th_pool_stats *stats)
{
    lock(pool);
    look_into_inbox(pool);
    *stats = pool->stats;
    stats->threads = pool->servers;
    stats->idle = pool->idle_count + pool->lingering;
    stats->queued = pool->jobs.count;
    unlock(pool);
}

/* ---- the end ---- */

void thi_crew_stop(th_pool *pool, int how)
{
    thi_job *lost = NULL;
    lock(pool);
    if (pool->stopping < how)
        pool->stopping = (uint8_t)how;
    empty_inbox(pool, true);
    thi_server *idle = delist_all(pool);
    thi_waiter *refused = take_all(&pool->room);
    if (pool->stopping == THI_CREW_ABORTS) {
        pool->stats.cancelled += pool->jobs.count;
        lost = thi_jobs_take_all(&pool->jobs);
        atomic_store_explicit(&pool->aborted, true, memory_order_relaxed);
    }
    unlock(pool);
    wake_servers(idle);
    wake_all_with(refused, -ESHUTDOWN);
    drop_all(lost, -ECANCELED);
}

/* What the last thread to leave has left behind: itself. */
static void join_last(th_pool *pool)
{
    lock(pool);
    bool joins = pool->has_left;
    pthread_t thread = pool->last_left;
    pool->has_left = false;
    unlock(pool);
    if (joins)
        (void)pthread_join(thread, NULL);
}

/* Enters the queue of those who wait for the end, unless it has come. */
static bool has_ended(th_pool *pool, thi_waiter *w)
{
    lock(pool);
    thi_waitq_lock(&pool->ended);
    bool ended = pool->servers == 0;
    if (!ended && w)
        thi_waitq_push(&pool->ended, w);
    thi_waitq_unlock(&pool->ended);
    unlock(pool);
    return ended;
}

static const thi_wait_kind the_end = { "end of a pool", THI_BY_POOL, offsetof(th_pool, name) };

int thi_crew_wait(th_pool *pool, bool obey)
{
    thi_waiter w;
    if (!has_ended(pool, NULL)) {
        int err = 0;
        if (obey)
            err = thi_waiter_init(&w, &pool->ended, &the_end, pool);
        else
            thi_waiter_init_on(&w, &pool->ended, &the_end, pool);
        if (err == 0 && !has_ended(pool, &w))
            err = thi_waiter_sleep(&w);
        if (err < 0)
            return err;
    }
    join_last(pool);
    return 0;
}

void thi_crew_drain(th_pool *pool, bool all, int64_t patience)
{
    int64_t end = thi_sys_clock() + patience;
    lock(pool);
    pool->watched = true;
    thi_server *idle = delist_all(pool);
    for (thi_server *server = idle; server; server = server->next)
        server->stays = false;
    unlock(pool);
    wake_servers(idle);
    for (;;) {
        lock(pool);
        uint32_t left = pool->servers;
        bool ended = left <= (all ? 0 : pool->stats.running);
        pool->watched = !ended;
        unlock(pool);
        int64_t time = end - thi_sys_clock();
        if (ended || time <= 0)
            break;
        (void)thi_sys_futex_wait(&pool->servers, left, time);
    }
    join_last(pool);
}
