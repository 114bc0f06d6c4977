/* SPDX-License-Identifier: MIT */

/*
 * The queue of a pool: three ranks, and the rule which job is next.
 *
 * The highest rank that has jobs goes first, but who has been passed over THI_JOBS_PATIENCE times
 * in a row is served before the others: even under an endless stream of urgent work one job in so
 * many is a low one. The rule counts instead of looking at a clock, so it is the same in each run.
 */
#ifndef THI_POOL_JOBS_H
#define THI_POOL_JOBS_H

#include "pool/job.h"

#include <stddef.h>

#define THI_JOBS_PATIENCE 16

/* All zero is empty. Its owner locks it. */
typedef struct thi_jobs {
    thi_job *first[THI_JOB_RANKS];
    thi_job *last[THI_JOB_RANKS];
    unsigned passed[THI_JOB_RANKS]; /* jobs of other ranks taken while this one had some */
    size_t count;
} thi_jobs;

/* Appends a job to its rank. */
void thi_jobs_push(thi_jobs *jobs, thi_job *job);

/* Takes out one that is in the queue. */
void thi_jobs_remove(thi_jobs *jobs, thi_job *job);

/* Takes the next one; NULL when there is none. */
thi_job *thi_jobs_pop(thi_jobs *jobs);

/* Takes all, in order, linked by `next`. */
thi_job *thi_jobs_take_all(thi_jobs *jobs);

#endif
