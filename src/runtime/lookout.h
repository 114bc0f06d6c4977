/* SPDX-License-Identifier: MIT */

/* What workers and the runtime keep to find waits that nobody can end; deadlock.c tells how. */
#ifndef THI_RUNTIME_LOOKOUT_H
#define THI_RUNTIME_LOOKOUT_H

#include "loop/loop.h"
#include "runtime/tie.h"

/* What a worker saw among its own. */
typedef struct thi_look {
    thi_ties ties;
    uint64_t rounds; /* as they were */
    size_t in_vain;  /* parked fibers that wait for something to be done, if it is at rest */
    bool at_rest;    /* nothing will happen here unless a message comes */
    bool failed;     /* there was no memory for all of it */
} thi_look;

typedef struct thi_lookout {
    thi_list tied;    /* fibers in waits that name who can end them, in the order of parking */
    thi_timer timer;  /* set while something is to be looked at */
    int64_t span;     /* so long may a wait last before it is looked at */
    int64_t patience; /* until the next look, while only others' threads are at work */
    int64_t examined; /* waits since then or before have been looked at */
    uint64_t rounds;  /* turns in which fibers ran */
    uint64_t settled; /* `rounds` when rest was last looked at */
    size_t watches;   /* descriptors that the runtime itself watches here */
    bool awake;       /* it is on, and the timer is not set */
    bool on;
    bool forced;           /* look, even if no wait is new */
    thi_msg msg;           /* the question, and back as the answer */
    thi_look looks[2];     /* the answers; the asker's while he has them */
    struct thi_text *text; /* of fibers that wait for ever; the same */
    size_t lost;           /* of them, how many */
    size_t in_vain;        /* of these, who wait for somebody to do something */
} thi_lookout;

/* A wait in a circle, to be described. */
typedef struct thi_member {
    thi_tie tie;
    thi_tie next; /* of the party that it waits for */
    size_t circle;
    char *text;   /* by its worker; NULL when there was no memory */
    bool present; /* it waits still */
    bool fresh;   /* it has not been reported yet */
} thi_member;

/* One question at a time is asked of all workers of a runtime. */
typedef struct thi_inquiry {
    atomic_bool busy;
    struct thi_worker *asker; /* the rest is his; workers read it while they answer */
    unsigned waiting;         /* answers that are missing */
    unsigned phase;
    bool rest;        /* the asker was at rest: is everybody? */
    int64_t limit;    /* waits that began later are left out */
    int64_t examined; /* none that began before has to be looked at again */
    uint64_t rounds;  /* the asker's when he began */
    bool at_rest;     /* at the first look, everybody and everything was */
    bool lost;
    thi_ties threads[2];
    thi_member *members;
    size_t count;
    thi_list link;      /* in all of the process, while the workers run */
    thi_msg nudge;      /* from a thread that waits */
    atomic_bool nudged; /* it is under way */
} thi_inquiry;

#endif
