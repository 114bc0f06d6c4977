/* SPDX-License-Identifier: MIT */

/* Futures gathered in the order in which they finish. */
#ifndef THI_POOL_GATHER_H
#define THI_POOL_GATHER_H

#include "pool/future.h"

typedef struct thi_gathered thi_gathered;

/* A place for one future; whose storage it is, its owner knows. */
struct thi_gathered {
    thi_future_watch watch;
    thi_list link; /* among those that are not done */
    thi_gathered *next;
    th_gather *gather;
    th_future *future;
};

struct th_gather {
    thi_waitq waiters;   /* those who wait for the next one; its lock guards the rest */
    thi_list pending;    /* in order of adding */
    thi_gathered *first; /* done, and not given out yet */
    thi_gathered **end;
};

#endif
