/* SPDX-License-Identifier: MIT */

/* Three linked lists and a count of patience. */
#include "pool/jobs.h"

void thi_jobs_push(thi_jobs *jobs, thi_job *job)
{
    unsigned rank = job->rank;
    job->state = THI_JOB_WAITING;
    job->next = NULL;
    job->prev = jobs->last[rank];
    if (jobs->first[rank])
        job->prev->next = job;
    else
        jobs->first[rank] = job;
    jobs->last[rank] = job;
    jobs->count++;
}

void thi_jobs_remove(thi_jobs *jobs, thi_job *job)
{
    unsigned rank = job->rank;
    job->state = THI_JOB_ELSEWHERE;
    if (job != jobs->first[rank])
        job->prev->next = job->next;
    else
        jobs->first[rank] = job->next;
    if (job->next)
        job->next->prev = job->prev;
    else
        jobs->last[rank] = job->prev;
    jobs->count--;
}

/* The least urgent of those whose patience has come to an end, else the most urgent. */
static unsigned next_rank(const thi_jobs *jobs)
{
    unsigned rank = THI_JOB_RANKS - 1;
    for (; rank > 0; rank--)
        if (jobs->first[rank] && jobs->passed[rank] >= THI_JOBS_PATIENCE)
            return rank;
    while (!jobs->first[rank])
        rank++;
    return rank;
}

thi_job *thi_jobs_pop(thi_jobs *jobs)
{
    if (jobs->count == 0)
        return NULL;
    unsigned taken = next_rank(jobs);
    thi_job *job = jobs->first[taken];
    for (unsigned rank = 0; rank < THI_JOB_RANKS; rank++)
        jobs->passed[rank] = rank != taken && jobs->first[rank] ? jobs->passed[rank] + 1 : 0;
    jobs->first[taken] = job->next; /* the next one is not touched: another thread's cache has it */
    jobs->count--;
    job->state = THI_JOB_ELSEWHERE;
    return job;
}

thi_job *thi_jobs_take_all(thi_jobs *jobs)
{
    thi_job *all = NULL;
    thi_job **end = &all;
    thi_job *job;
    while ((job = thi_jobs_pop(jobs))) {
        *end = job;
        end = &job->next;
    }
    *end = NULL;
    return all;
}
