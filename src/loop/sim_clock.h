/* SPDX-License-Identifier: MIT */

/* Virtual time, and what is to happen at points in it. */
#ifndef THI_LOOP_SIM_CLOCK_H
#define THI_LOOP_SIM_CLOCK_H

#include "loop/sim_world.h"

typedef struct thi_sim_event thi_sim_event;

/* Something that happens at its time; its owner's storage. Zeroed is idle. */
struct thi_sim_event {
    thi_heap_node node; /* by time */
    void (*fn)(thi_sim *w, thi_sim_event *event);
};

/* The monotonic clock when a world begins: not 0, so that nobody takes it for "never". */
#define THI_SIM_EPOCH INT64_C(1000000000000)

/* 2030-01-01 00:00 UTC, where the calendar clock begins. */
#define THI_SIM_WALL INT64_C(1893456000000000000)

static inline bool thi_sim_event_pending(const thi_sim_event *event)
{
    return thi_heap_linked(&event->node);
}

/* Has fn called when it is `at`, which may be past; replaces an earlier setting. */
void thi_sim_event_set(thi_sim *w, thi_sim_event *event, int64_t at,
                       void (*fn)(thi_sim *w, thi_sim_event *event));

/* No-op when nothing is set. */
void thi_sim_event_cancel(thi_sim *w, thi_sim_event *event);

/* When the next event is; INT64_MAX when there is none. */
int64_t thi_sim_next_event(const thi_sim *w);

/* Lets time pass until `to`; what is due on the way happens in order. */
void thi_sim_pass(thi_sim *w, int64_t to);

/* The calendar clock, which a fault may set at any reading. */
int64_t thi_sim_wall(thi_sim *w);

#endif
