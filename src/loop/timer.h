/* SPDX-License-Identifier: MIT */

/*
 * Timers of one loop: a wheel for what is far away, a heap for what is near.
 *
 * A timer is its owner's storage. Moving its due time further away, the common case of an idle
 * time-out, is one store. Timers fire in the order of their due times, equal ones in the order in
 * which they were set, and never early.
 */
#ifndef THI_LOOP_TIMER_H
#define THI_LOOP_TIMER_H

#include "base/heap.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define THI_WHEEL_LEVELS 4
#define THI_WHEEL_SLOTS  256

typedef struct thi_timer thi_timer;
typedef struct thi_timers thi_timers;

struct thi_timer {
    union {
        thi_list link;      /* in a slot of the wheel */
        thi_heap_node heap; /* among the near ones */
    } at;
    int64_t due;  /* when it shall fire, ns of the monotonic clock */
    uint64_t seq; /* order of setting, decides between equal due times */
    void (*fn)(thi_timer *timer);
    uint16_t slot; /* level * 256 + index while in the wheel */
    uint8_t where; /* one of THI_TIMER_* */
};

enum { THI_TIMER_IDLE, THI_TIMER_WHEEL, THI_TIMER_HEAP };

struct thi_timers {
    uint64_t base; /* the wheel's first tick; everything before it is in the heap */
    uint64_t seq;  /* the last number given to a timer */
    thi_heap near;
    size_t count;                                          /* timers set */
    uint64_t used[THI_WHEEL_LEVELS][THI_WHEEL_SLOTS / 64]; /* slots that are not empty */
    thi_list slots[THI_WHEEL_LEVELS][THI_WHEEL_SLOTS];
};

/* Prepares an empty set at time `now`. */
void thi_timers_init(thi_timers *timers, int64_t now);

/* Prepares an idle timer that will call fn. Needs no counterpart. */
static inline void thi_timer_init(thi_timer *timer, void (*fn)(thi_timer *timer))
{
    timer->fn = fn;
    timer->where = THI_TIMER_IDLE;
}

static inline bool thi_timer_active(const thi_timer *timer)
{
    return timer->where != THI_TIMER_IDLE;
}

/*
 * Sets the timer, replacing an earlier setting. A due time in the past counts as `now`, the loop's
 * present time, and fires in the loop's next turn, not in this one.
 */
void thi_timer_set(thi_timers *timers, thi_timer *timer, int64_t due, int64_t now);

/*
 * Moves a timer that is set in the wheel to a later time: it stays in its slot until that comes up.
 * False, with nothing done, where that is not possible.
 */
static inline bool thi_timer_put_off(thi_timers *timers, thi_timer *timer, int64_t due)
{
    if (timer->where != THI_TIMER_WHEEL || due < timer->due)
        return false;
    timer->due = due;
    timer->seq = ++timers->seq;
    return true;
}

/* Makes the timer idle; no-op when it is. After this its memory may go. */
void thi_timer_cancel(thi_timers *timers, thi_timer *timer);

/*
 * When the loop has to wake up for timers at the latest; INT64_MAX with none set. May be earlier
 * than the first due time when far timers have to be sorted in before it.
 */
int64_t thi_timers_next(thi_timers *timers);

/*
 * Fires what is due at `now`; returns how many. Timers are idle when their function is called,
 * which may set them again, or set, cancel and free any other.
 */
size_t thi_timers_run(thi_timers *timers, int64_t now);

#endif
