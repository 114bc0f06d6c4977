/* SPDX-License-Identifier: MIT */

/*
 * The timer wheel and its heap of near timers.
 *
 * Most timers of a server are time-outs that never fire: they are set, pushed back and cancelled.
 * The wheel does each of these in constant time. It is coarse (a tick is 2^20 ns, about 1 ms), so
 * the few timers that really come due pass through a heap on their way out, which fires them in
 * exact order and to the nanosecond.
 *
 * The wheel has four levels of 256 slots. A timer whose tick differs from `base` first in digit L
 * (base 256) lives on level L. So all timers of a slot of level L >= 1 share the digits above L
 * with `base`, and a slot is cascaded to lower levels when `base` reaches its start.
 *
 * Invariants:
 *  - every timer in the wheel was filed for a tick >= base, every other active one is in the heap;
 *  - no slot that is not empty starts before base;
 *  - a timer may sit in a slot earlier than its due time (it was pushed back since): it is filed
 *    anew when the slot is emptied.
 */
#include "loop/timer.h"

#include "base/assert.h"
#include "base/trace.h"

#define TICK_SHIFT  20
#define LEVEL_BITS  8
#define LEVEL_MASK  (THI_WHEEL_SLOTS - 1)
#define WHEEL_REACH ((UINT64_C(1) << (LEVEL_BITS * THI_WHEEL_LEVELS)) - 1)

static uint64_t tick_of(int64_t time)
{
    return time <= 0 ? 0 : (uint64_t)time >> TICK_SHIFT;
}

static int64_t time_of(uint64_t tick)
{
    return tick > (uint64_t)INT64_MAX >> TICK_SHIFT ? INT64_MAX : (int64_t)(tick << TICK_SHIFT);
}

void thi_timers_init(thi_timers *timers, int64_t now)
{
    *timers = (thi_timers){ .base = tick_of(now) };
    thi_heap_init(&timers->near);
    for (size_t level = 0; level < THI_WHEEL_LEVELS; level++)
        for (size_t i = 0; i < THI_WHEEL_SLOTS; i++)
            thi_list_init(&timers->slots[level][i]);
}

/* The level on which a tick differs from base: the highest differing digit. */
static unsigned level_of(uint64_t tick, uint64_t base)
{
    uint64_t differ = (tick ^ base) | LEVEL_MASK;
    return (unsigned)(63 - __builtin_clzll(differ)) / LEVEL_BITS;
}

/* Puts an active timer where its due time belongs. */
static void file(thi_timers *timers, thi_timer *timer)
{
    uint64_t tick = tick_of(timer->due);
    if (tick < timers->base) {
        timer->where = THI_TIMER_HEAP;
        thi_heap_node_init(&timer->at.heap); /* shares its memory with the link */
        thi_heap_push_ranked(&timers->near, &timer->at.heap, timer->due, timer->seq);
        return;
    }
    unsigned level = level_of(tick, timers->base);
    if (level >= THI_WHEEL_LEVELS) { /* beyond the wheel: to its very last tick, then filed anew */
        tick = timers->base | WHEEL_REACH;
        level = level_of(tick, timers->base);
    }
    unsigned index = (tick >> (level * LEVEL_BITS)) & LEVEL_MASK;
    timer->where = THI_TIMER_WHEEL;
    timer->slot = (uint16_t)(level * THI_WHEEL_SLOTS + index);
    timers->used[level][index / 64] |= UINT64_C(1) << (index % 64);
    thi_list_push_back(&timers->slots[level][index], &timer->at.link);
}

static void unfile(thi_timers *timers, thi_timer *timer)
{
    if (timer->where == THI_TIMER_HEAP) {
        thi_heap_remove(&timers->near, &timer->at.heap);
        return;
    }
    unsigned level = timer->slot / THI_WHEEL_SLOTS;
    unsigned index = timer->slot % THI_WHEEL_SLOTS;
    thi_list_remove(&timer->at.link);
    if (thi_list_empty(&timers->slots[level][index]))
        timers->used[level][index / 64] &= ~(UINT64_C(1) << (index % 64));
}

void thi_timer_set(thi_timers *timers, thi_timer *timer, int64_t due, int64_t now)
{
    if (due < now)
        due = now;
    if (thi_timer_put_off(timers, timer, due))
        return;
    if (timer->where != THI_TIMER_IDLE)
        unfile(timers, timer);
    else
        timers->count++;
    timer->due = due;
    timer->seq = ++timers->seq;
    file(timers, timer);
}

void thi_timer_cancel(thi_timers *timers, thi_timer *timer)
{
    if (timer->where == THI_TIMER_IDLE)
        return;
    unfile(timers, timer);
    timer->where = THI_TIMER_IDLE;
    timers->count--;
}

/* The first slot in use on a level from `from` on, THI_WHEEL_SLOTS if none. */
static unsigned first_used(const uint64_t used[THI_WHEEL_SLOTS / 64], unsigned from)
{
    unsigned word = from / 64;
    uint64_t bits = used[word] & (~UINT64_C(0) << (from % 64));
    while (bits == 0) {
        if (++word == THI_WHEEL_SLOTS / 64)
            return THI_WHEEL_SLOTS;
        bits = used[word];
    }
    return word * 64 + (unsigned)__builtin_ctzll(bits);
}

typedef struct next_slot {
    uint64_t start; /* its first tick, UINT64_MAX when the wheel is empty */
    unsigned level;
    unsigned index;
} next_slot;

/*
 * The slot that comes up first. Of two that start together the higher level wins, for it may hold
 * what belongs into the lower one.
 */
static next_slot find_next(const thi_timers *timers)
{
    next_slot next = { .start = UINT64_MAX };
    for (unsigned level = 0; level < THI_WHEEL_LEVELS; level++) {
        unsigned shift = level * LEVEL_BITS;
        unsigned digit = (timers->base >> shift) & LEVEL_MASK;
        unsigned index = first_used(timers->used[level], digit);
        if (index == THI_WHEEL_SLOTS)
            continue;
        uint64_t block = timers->base >> shift & ~(uint64_t)LEVEL_MASK;
        uint64_t start = (block | index) << shift;
        if (start <= next.start)
            next = (next_slot){ .start = start, .level = level, .index = index };
    }
    return next;
}

/* Empties a slot that comes first: level 0 into the heap, the others into lower levels. */
static void promote(thi_timers *timers, next_slot next)
{
    thi_list moving;
    thi_list_init(&moving);
    thi_list_splice_back(&moving, &timers->slots[next.level][next.index]);
    timers->used[next.level][next.index / 64] &= ~(UINT64_C(1) << (next.index % 64));
    TH_ASSERT(next.start >= timers->base);
    timers->base = next.level == 0 ? next.start + 1 : next.start;
    thi_list *node;
    while ((node = thi_list_pop_front(&moving)))
        file(timers, thi_list_item(node, thi_timer, at.link));
}

static int64_t near_due(const thi_timers *timers)
{
    const thi_heap_node *first = thi_heap_first(&timers->near);
    return first ? first->key : INT64_MAX;
}

/*
 * A slot of level 0 that comes first is promoted ahead of time, so that a loop with nothing else to
 * do sleeps right to the due time instead of waking at the tick before. Higher levels are not: that
 * would send every timer set meanwhile through the heap.
 */
int64_t thi_timers_next(thi_timers *timers)
{
    for (;;) {
        int64_t due = near_due(timers);
        next_slot next = find_next(timers);
        if (next.start == UINT64_MAX || due <= time_of(next.start))
            return due;
        if (next.level > 0)
            return time_of(next.start);
        promote(timers, next);
    }
}

size_t thi_timers_run(thi_timers *timers, int64_t now)
{
    uint64_t now_tick = tick_of(now);
    for (next_slot next = find_next(timers); next.start <= now_tick; next = find_next(timers))
        promote(timers, next);
    if (timers->base < now_tick)
        timers->base = now_tick;

    /* What is set from here on waits for the next turn: a timer of 0 cannot hold up the loop. */
    uint64_t last = timers->seq;
    size_t fired = 0;
    thi_heap_node *first;
    while ((first = thi_heap_first(&timers->near))) {
        thi_timer *timer = thi_container_of(first, thi_timer, at.heap);
        if (timer->due > now || timer->seq > last)
            break;
        thi_timer_cancel(timers, timer);
        fired++;
        int64_t began = thi_trace_begin();
        uint64_t due = (uint64_t)timer->due;
        uintptr_t fn = (uintptr_t)timer->fn;
        timer->fn(timer);
        thi_trace_end(began, TH_TRACE_TIMER, due, 0, fn);
    }
    return fired;
}
