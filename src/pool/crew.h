/* SPDX-License-Identifier: MIT */

/*
 * The crew of a pool: its queue, those who serve it, and who is woken when.
 *
 * It knows no threads: a server is whoever takes jobs by thi_crew_next(), and `start` makes one
 * more. threads.c makes servers of threads, simulated.c makes them of timers.
 */
#ifndef THI_POOL_CREW_H
#define THI_POOL_CREW_H

#include "base/list.h"
#include "pool/inbox.h"
#include "pool/jobs.h"
#include "runtime/outside.h"
#include "runtime/waiter.h"

#include <thrum/pool.h>

#include <pthread.h>

typedef struct thi_server thi_server;

/* One who serves a pool; on its own stack. */
struct thi_server {
    thi_server *next; /* among the idle; under the lock */
    thi_server *prev;
    bool threaded;       /* is a thread, which is joined by the one that leaves after it */
    bool stays;          /* waits for work when there is none */
    bool fresh;          /* was started or woken, and has not looked at the queue since */
    bool lingers;        /* looks at the inbox for a moment before it sleeps */
    bool tired;          /* has done so in vain since its last job */
    bool listed;         /* is among the idle; under the lock */
    bool left;           /* belongs to the pool no more */
    atomic_bool telling; /* that the last job is done: the waiters do not know it yet */
    bool joins;          /* when it left: a thread that left earlier is to be joined */
    pthread_t thread;
    pthread_t earlier; /* the one to be joined */
    uint32_t word;     /* what it sleeps on; 1: woken */
};

enum { THI_CREW_OPEN, THI_CREW_FINISHES, THI_CREW_ABORTS };

/* What changes with every job comes first and close together: each server has to fetch it. */
struct th_pool {
    thi_waitq room;   /* submitters that wait for room; its lock guards all the rest */
    uint8_t stopping; /* THI_CREW_* */
    bool waking;      /* somebody was started or woken and has not come to the queue yet */
    bool lingering;   /* and that is because he looks at the inbox */
    bool shut;        /* the inbox is */
    bool watched;     /* somebody drains it: who has no work leaves, and tells by `servers` */
    bool may_linger;  /* on one CPU a server would keep others from what it waits for */
    uint8_t when_full;
    uint32_t servers; /* those about to start included; a futex for thi_crew_drain() */
    unsigned idle_count;
    thi_server *idle; /* the one that fell idle last comes first: its cache is warm */
    size_t granted;   /* places in the queue that are credits of the inbox, or jobs in it */
    thi_jobs jobs;
    th_pool_stats stats; /* what is not counted elsewhere here */
    unsigned servers_min;
    unsigned servers_max;
    unsigned numbers;    /* given to servers so far, for their names */
    atomic_bool aborted; /* nobody wants what runs any more */
    bool simulated;
    bool lasting; /* a default pool: it is not the user's to end */
    bool has_left;
    size_t queue_max;
    int (*start)(th_pool *pool);
    thi_waitq ended; /* those who wait for the last server to leave; locked within the lock */
    int64_t idle_time;
    size_t stack_size;
    unsigned gives_way;       /* steps of niceness of its threads */
    pthread_t last_left;      /* a thread that is to be joined, if has_left */
    thi_helpers helpers;      /* tells whether they are at rest; of one that is not simulated */
    thi_list virtual_threads; /* of a simulated one */
    char name[16];
    thi_inbox inbox; /* for jobs of normal rank, while nobody is to be woken for them */
};

/* What the calling thread does for a pool; both NULL when it runs no work. */
extern _Thread_local th_pool *thi_pool_self __attribute__((tls_model("initial-exec")));
extern _Thread_local thi_job *thi_job_self __attribute__((tls_model("initial-exec")));

static inline void thi_job_init(thi_job *job, const thi_job_ops *ops, uint8_t rank)
{
    job->ops = ops;
    job->state = THI_JOB_ELSEWHERE;
    job->rank = rank;
    atomic_init(&job->unwanted, false);
}

/*
 * Hands a job to the pool, which has it when this returns 0. Where the pool is full it does what
 * its options say: waits, refuses, or runs the job here; a server of the pool itself never waits.
 * -ESHUTDOWN once the pool is being stopped; -EAGAIN when it is full; the caller's scope; an error
 * of `start` when there is no server at all and none can be made.
 */
TH_MUST int thi_crew_put(th_pool *pool, thi_job *job);

/*
 * Takes a job out again, or tells it that it is unwanted if it runs: whether it was taken out. Then
 * somebody may be in *admitted, to be woken with 0 by the caller once he holds no lock.
 */
bool thi_crew_revoke(th_pool *pool, thi_job *job, thi_waiter **admitted);

/* For one of the pool's own servers, who is about to wait for a job: runs it, if it still waits. */
void thi_crew_help(th_pool *pool, thi_job *job);

/* Executes a job that thi_crew_next() gave. */
void thi_crew_run(th_pool *pool, thi_job *job);

/*
 * For servers: accounts for a job that was run (NULL: none) and gives the next one. NULL when there
 * is none: then the server is idle (thi_crew_sleep() follows), or it has left.
 */
thi_job *thi_crew_next(th_pool *pool, thi_server *server, thi_job *done);

/* For one that is idle: waits for work a moment, or sleeps until it is woken, and takes it from the
 * pool when that was long. */
void thi_crew_sleep(th_pool *pool, thi_server *server);

/* What the crew is and has done. */
void thi_crew_stats(th_pool *pool, th_pool_stats *stats);

/* For those who look for fibers that nobody can wake: no job waits or runs; how many serve. */
bool thi_crew_at_rest(thi_helpers *helpers, unsigned *threads);

/* Begins the end: THI_CREW_FINISHES or THI_CREW_ABORTS. No job is accepted from now on. */
void thi_crew_stop(th_pool *pool, int how);

/* Waits until a stopped crew is gone; what its scope says (obey), or until it is so. */
TH_MUST int thi_crew_wait(th_pool *pool, bool obey);

/*
 * Sends those home who are idle, and waits on the calling thread until no more than those who are
 * at work (all: nobody) are left, but no longer than `patience` nanoseconds.
 */
void thi_crew_drain(th_pool *pool, bool all, int64_t patience);

#endif
