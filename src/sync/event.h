/* SPDX-License-Identifier: MIT */

/* An event from inside: for select, which waits for several things at once. */
#ifndef THI_SYNC_EVENT_H
#define THI_SYNC_EVENT_H

#include "runtime/waiter.h"

#include <thrum/event.h>

typedef struct thi_event {
    uint64_t automatic;
    atomic_uint word; /* THI_EVENT_* */
    thi_waitq queue;
} thi_event;

#define THI_EVENT_SET   1u
#define THI_EVENT_QUEUE 2u /* the word changes under the queue's lock only */

_Static_assert(sizeof(thi_event) <= sizeof(th_event), "th_event has no room for a thi_event");

static inline thi_event *thi_event_of(th_event *event)
{
    return (thi_event *)(void *)event;
}

/* Passes an event that is set. */
bool thi_event_take(thi_event *event);

/* Passes an event, or enters its queue: THI_TAKEN, THI_QUEUED, THI_LOST. */
int thi_event_enter(thi_event *event, thi_waiter *waiter);

#endif
