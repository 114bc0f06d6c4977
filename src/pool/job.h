/* SPDX-License-Identifier: MIT */

/*
 * What a pool runs, seen from the pool: links, a state, and three functions.
 *
 * A job is its submitter's storage. From the moment it is put until `finish` or `drop` is called it
 * belongs to the pool, and exactly one of these two is called, unless the job was taken out.
 */
#ifndef THI_POOL_JOB_H
#define THI_POOL_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct thi_job thi_job;

typedef struct thi_job_ops {
    /* Does the work, on a thread of the pool. */
    void (*run)(thi_job *job);
    /* Called after run, once the pool has forgotten the job: tells those who wait, frees it. */
    void (*finish)(thi_job *job);
    /* Called in place of both when the job will never run; `why` is a negative code. */
    void (*drop)(thi_job *job, int why);
} thi_job_ops;

/* Where a job is; under the pool's lock. */
enum { THI_JOB_ELSEWHERE, THI_JOB_WAITING, THI_JOB_RUNNING };

/* Ranks: the lower number goes first. */
enum { THI_JOB_HIGH, THI_JOB_NORMAL, THI_JOB_LOW, THI_JOB_RANKS };

struct thi_job {
    thi_job *next; /* in the inbox or the queue */
    thi_job *prev; /* in the queue; of the first one undefined */
    const thi_job_ops *ops;
    uint8_t state;
    uint8_t rank;
    atomic_bool unwanted; /* th_work_cancelled() says so: nobody wants its result any more */
};

#endif
