/* SPDX-License-Identifier: MIT */

/*
 * Where jobs are left for a crew that is at work, without its lock.
 *
 * It is a stack that submitters push onto by one compare-and-swap and that whoever holds the lock
 * of the pool takes as a whole. As long as it is shut nothing can be pushed: then somebody is to be
 * woken for the next job, or the pool is stopping, and the submitter goes by the lock. The flag is
 * a bit of the same word, so a job is either seen by whoever shuts the inbox, or not accepted; and
 * a submitter whose push has succeeded need not look at the pool again, which its job may have
 * brought to an end by now.
 *
 * Every job takes a credit, which stands for a place in the queue. Credits are granted under the
 * lock, some at a time, and taken back when the places are wanted by somebody else.
 */
#ifndef THI_POOL_INBOX_H
#define THI_POOL_INBOX_H

#include "base/util.h"
#include "pool/job.h"

#include <thrum/defs.h>

#include <stddef.h>

#define THI_INBOX_SHUT ((uintptr_t)1)

/* All zero is open, but without credits. */
typedef struct thi_inbox {
    char before[64];       /* what the lock guards is written by others all the time */
    atomic_uintptr_t head; /* the job that was pushed last, or THI_INBOX_SHUT */
    atomic_size_t credits;
    char behind[64];
} thi_inbox;

/* Whether there is something to be looked at: jobs, or that it is shut. Needs no lock. */
static inline bool thi_inbox_stirs(const thi_inbox *inbox)
{
    return atomic_load_explicit(&inbox->head, memory_order_relaxed) != 0;
}

static inline bool thi_inbox_take_credit_(thi_inbox *inbox)
{
    size_t credits = atomic_load_explicit(&inbox->credits, memory_order_relaxed);
    while (credits > 0)
        if (atomic_compare_exchange_weak_explicit(&inbox->credits, &credits, credits - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* Leaves a job; false, and nothing done, when it is shut or there is no credit. Needs no lock. */
TH_MUST static inline bool thi_inbox_push(thi_inbox *inbox, thi_job *job)
{
    uintptr_t head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    if (head == THI_INBOX_SHUT || !thi_inbox_take_credit_(inbox))
        return false;
    while (head != THI_INBOX_SHUT) {
        job->next = (thi_job *)head;
        if (atomic_compare_exchange_weak_explicit(&inbox->head, &head, (uintptr_t)job,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    }
    atomic_fetch_add_explicit(&inbox->credits, 1, memory_order_relaxed);
    return false;
}

/* ---- with the lock of the pool ---- */

/* Takes all jobs, the first that was pushed first, linked by `next`; leaves it shut or open. */
static inline thi_job *thi_inbox_take(thi_inbox *inbox, bool shut)
{
    uintptr_t after = shut ? THI_INBOX_SHUT : 0;
    uintptr_t head = atomic_exchange_explicit(&inbox->head, after, memory_order_acquire);
    thi_job *job = head == THI_INBOX_SHUT ? NULL : (thi_job *)head;
    thi_job *first = NULL;
    while (job) {
        thi_job *earlier = job->next;
        job->next = first;
        first = job;
        job = earlier;
    }
    return first;
}

/* Opens one that is shut. */
static inline void thi_inbox_open(thi_inbox *inbox)
{
    atomic_store_explicit(&inbox->head, 0, memory_order_release);
}

static inline void thi_inbox_grant(thi_inbox *inbox, size_t credits)
{
    atomic_fetch_add_explicit(&inbox->credits, credits, memory_order_relaxed);
}

/* Takes back what has not been used: how many. Some may just be in use, and not pushed yet. */
static inline size_t thi_inbox_revoke(thi_inbox *inbox)
{
    return atomic_exchange_explicit(&inbox->credits, 0, memory_order_relaxed);
}

#endif
