/* SPDX-License-Identifier: MIT */

/* A process pool from inside: its jobs, and what its callers and its manager share. */
#ifndef THI_POOL_PROCESS_POOL_H
#define THI_POOL_PROCESS_POOL_H

#include "base/list.h"
#include "pool/future.h"
#include "pool/process_wire.h"

#include <thrum/event.h>
#include <thrum/process_pool.h>
#include <thrum/sem.h>

#include <pthread.h>

/* A job; the last handle to its future frees it. The manager's while it is in no queue. */
struct th_procs_job {
    th_future future;
    th_procs *pool; /* used only while the job is queued */
    thi_list link;  /* in the queue */
    bool queued;    /* under the pool's lock */
    bool has_place; /* it counts for queue_max; likewise */
    unsigned tries_left;
    int64_t time; /* that it may take in a worker; 0: any */
    char name[64];
    void *in; /* NULL when it is in `in_fd` */
    size_t in_size;
    int in_fd; /* -1: none */
    thi_wire_packet output;
    char detail[THI_WIRE_TEXT_MAX + 1];
};

enum { THI_PROCS_RUNS, THI_PROCS_FINISHES, THI_PROCS_ABORTS };

struct th_procs {
    th_procs_opts opts; /* with the defaults filled in */
    char *command;      /* copies of opts.argv, in one block; NULL without */
    char **argv;
    int wake;     /* an eventfd, on which the manager sleeps */
    th_sem room;  /* places in the queue */
    th_event end; /* set when the manager has ended */
    pthread_t manager;
    pthread_mutex_t lock; /* of what follows */
    thi_list queue;
    int state; /* THI_PROCS_* */
    th_procs_stats stats;
};

/* The manager's thread; arg is the pool. */
void *thi_procs_manage(void *arg);

/* Has the manager look at the pool. */
void thi_procs_wake(th_procs *pool);

/* Completes a job, and gives back the pool's handle to it. */
void thi_procs_complete(th_procs_job *job, int result);

#endif
