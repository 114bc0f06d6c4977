/* SPDX-License-Identifier: MIT */

/*
 * One simulated world: all that a simulation's clock, chance and network know.
 *
 * A world belongs to a thread and is found by thi_sim_self, because system calls carry no context.
 * Each part of it is worked by the module named there.
 */
#ifndef THI_LOOP_SIM_WORLD_H
#define THI_LOOP_SIM_WORLD_H

#include "base/heap.h"
#include "base/list.h"
#include "base/random.h"

#include <thrum/sim.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lists of sockets by port: with a million of them, some hundred are in each. */
#define THI_SIM_PORT_LISTS 4096

typedef struct thi_sim thi_sim;
typedef struct thi_sim_desc thi_sim_desc;
typedef struct thi_sim_schedule thi_sim_schedule;
struct thi_loop;

struct thi_sim {
    th_sim_opts opts;     /* with the defaults filled in */
    th_sim_result result; /* sim_trace and sim_fault count in it */

    /* sim_choice */
    thi_random random;          /* what the world does */
    thi_random scenario;        /* what the user draws */
    thi_sim_schedule *schedule; /* choices that are given instead of drawn; NULL: none */

    /* sim_clock */
    int64_t now;         /* the monotonic clock */
    int64_t wall_offset; /* from it to the calendar clock */
    thi_heap events;     /* thi_sim_event by time */

    /* sim_fault */
    uint64_t chances[TH_SIM_FAULTS]; /* seen so far */
    int64_t fault_end;               /* time after which nothing fails; INT64_MAX: none */
    bool memory_armed;               /* an allocation is to fail */

    /* sim_desc */
    thi_sim_desc **descs; /* by descriptor number, less THI_SIM_FD_BASE */
    size_t desc_room;
    size_t desc_count;
    size_t desc_free; /* no place before this one is free */

    thi_list letters; /* sim_mail: datagrams under way */

    /* sim_connect, sim_name */
    thi_list bound;                       /* sockets that hold an address of their own */
    thi_list by_port[THI_SIM_PORT_LISTS]; /* the same, by what is left of their ports; 0: Unix */
    thi_list names;                       /* files of Unix sockets */
    uint16_t next_port;                   /* where the search for a free one begins */
    uint32_t next_name;                   /* likewise for names of Unix sockets that have none */
    uint64_t last_inode;
    uint64_t last_mail; /* id of the mailbox that was made last */

    /* sim_sys */
    bool outside;                 /* the present call was passed on to the real system */
    int call_fd;                  /* the simulated descriptor that it is about; 0: none */
    const struct thi_sys *former; /* the table that was in force before */

    /*
     * What a loop does that may wait: returns 0 when it is ready or the timeout is over, and
     * -errno when that will never be. By default time passes and nobody else runs.
     */
    int (*wait)(thi_sim *w, struct thi_loop *loop, int64_t timeout);
    /* Lets somebody else run for a while in the middle of a system call; NULL: there is nobody. */
    void (*pause)(thi_sim *w);
    int actor; /* who runs, for the trace: a worker's number, -1 for the world itself */
};

/* The world of the calling thread; NULL where nothing is simulated. */
extern _Thread_local thi_sim *thi_sim_self;

#endif
