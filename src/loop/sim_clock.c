/* SPDX-License-Identifier: MIT */

/* The clock and its events, a heap by time. */
#include "loop/sim_clock.h"

#include "loop/sim_choice.h"
#include "loop/sim_fault.h"
#include "loop/sim_trace.h"

#include <thrum/time.h>

void thi_sim_event_set(thi_sim *w, thi_sim_event *event, int64_t at,
                       void (*fn)(thi_sim *w, thi_sim_event *event))
{
    thi_heap_remove(&w->events, &event->node);
    event->fn = fn;
    thi_heap_push(&w->events, &event->node, at);
}

void thi_sim_event_cancel(thi_sim *w, thi_sim_event *event)
{
    thi_heap_remove(&w->events, &event->node);
}

int64_t thi_sim_next_event(const thi_sim *w)
{
    const thi_heap_node *first = thi_heap_first(&w->events);
    return first ? first->key : INT64_MAX;
}

void thi_sim_pass(thi_sim *w, int64_t to)
{
    while (thi_sim_next_event(w) <= to) {
        thi_heap_node *node = thi_heap_pop(&w->events);
        thi_sim_event *event = thi_heap_item(node, thi_sim_event, node);
        if (node->key > w->now)
            w->now = node->key;
        event->fn(w, event);
    }
    if (to > w->now)
        w->now = to;
}

int64_t thi_sim_wall(thi_sim *w)
{
    if (thi_sim_fault(w, TH_SIM_WALL_JUMP)) {
        w->wall_offset += thi_sim_draw(w, 0, 2 * TH_HOUR) - TH_HOUR;
        thi_sim_trace(w, "wall", w->wall_offset, 0);
    }
    return w->now + w->wall_offset;
}
