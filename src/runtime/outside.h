/* SPDX-License-Identifier: MIT */

/*
 * What happens outside of the workers, as far as it can end a wait of a fiber: plain threads that
 * wait for an owner, and threads of the library's own that act for nobody while they are idle.
 */
#ifndef THI_RUNTIME_OUTSIDE_H
#define THI_RUNTIME_OUTSIDE_H

#include "base/list.h"
#include "runtime/tie.h"

#include <pthread.h>

/* A plain thread that waits for an owner or for the end of a fiber; on its own stack. */
typedef struct thi_outsider {
    thi_list link;
    const void *mark; /* of the thread, as owners are told apart */
    const thi_wait *wait;
    pthread_t thread;
    int64_t since;
    uint64_t id; /* of this wait, never used twice */
} thi_outsider;

/* Lists the calling thread. What it waits in exists until it has left the list again. */
void thi_outsider_enter(thi_outsider *outsider, const void *mark, const thi_wait *wait);
void thi_outsider_leave(thi_outsider *outsider);

/* Adds the ties of those who wait since before `limit`; -ENOMEM. */
TH_MUST int thi_outsiders_look(int64_t limit, thi_ties *ties);

/* Writes a name for a thread that waits, "thread 'name'", if it still does so. */
void thi_outsider_describe(const void *mark, char *text, size_t size);

/* Some of the library's own threads, which do only what they are given. */
typedef struct thi_helpers {
    thi_list link;
    /* Whether all of them are at rest, with nothing to do left for them; then how many. Takes no
     * lock under which thi_helpers_add() is called. */
    bool (*at_rest)(struct thi_helpers *helpers, unsigned *threads);
} thi_helpers;

/*
 * For tests: threads of a tool that watches this process, and act for nobody. ThreadSanitizer has
 * one or two, which cannot be told from others; so no fiber is found to be lost in such a build.
 */
extern unsigned thi_outside_tools;

void thi_helpers_add(thi_helpers *helpers);
void thi_helpers_remove(thi_helpers *helpers);

/* In the child after fork(2), which has the calling thread alone: forgets all of them. */
void thi_outside_forked(void);

/* Whether there is no thread in the process but these `workers` and helpers at rest. */
bool thi_outside_at_rest(unsigned workers);

#endif
