/* SPDX-License-Identifier: MIT */

/*
 * What becomes known of stacks.
 *
 * Measuring a fiber takes as long as spawning several dozen, so few are: of each place the first
 * ones, then every second, every fourth, and so on, SAME_PACE of each pace, down to one in
 * 4,096, and fewer of larger stacks. Each stands for those that were passed over since the last
 * one. So who was counted is never off by more than a quarter, and most places show at once what
 * they are like. Who is next is counted by each worker for itself, in a slot that the place falls
 * on; two places may share one, and then share its pace.
 *
 * The table is the process's: it outlasts the runtime, so that a program can ask at its end, and is
 * so seldom written to that one lock does. It has room for MARKS places and allocates nothing.
 * Fibers of further places are counted together. Texts are copied, since the object that they lie
 * in may be unloaded. The same text may stand at several addresses, one for each file that includes
 * a header which spawns: these are one place, to which several keys lead.
 */
#include "runtime/marks.h"

#include "base/util.h"
#include "fiber/depth.h"
#include "fiber/pool.h"

#include <thrum/marks.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SAME_PACE  4  /* samples until the pace halves */
#define PACE_LOG   12 /* of the slowest, for stacks of the default size */
#define PACE_MAX   15
#define MARKS      1024
#define KEYS       2048 /* a power of two */
#define KEYS_USED  1536
#define PLACE_SIZE 96
#define OVERHEAD   (THI_STACK_GUARD + 2048) /* guard, colour and first frames of a stack */

typedef struct mark {
    char place[PLACE_SIZE];
    uint64_t fibers;
    uint64_t sampled;
    size_t peak;
    uint8_t stack_class;
} mark;

typedef struct key {
    uintptr_t of; /* 0: free */
    uint16_t mark;
    uint8_t stack_class;
} key;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mark marks[MARKS + 1]; /* the last one is of all that have none of their own */
static size_t count;          /* without that */
static key keys[KEYS];
static size_t keys_used;

void thi_marks_chosen(thi_mark_slot *slot, th_fiber *fiber)
{
    if (!thi_depth_is_told())
        return;
    int slowest = PACE_LOG + thi_max(fiber->stack_class - 2, 0);
    int pace = thi_min(slot->samples / SAME_PACE, slowest);
    pace = thi_min(pace, PACE_MAX);
    fiber->stands_for = slot->weight ? slot->weight : 1;
    slot->weight = (uint16_t)(1U << pace);
    slot->left = (uint16_t)(slot->weight - 1);
    if (slot->samples < UINT16_MAX)
        slot->samples++;
}

/* ---- the table, under its lock ---- */

static size_t find_text(const char *place, uint8_t stack_class)
{
    for (size_t i = 0; i < count; i++)
        if (marks[i].stack_class == stack_class && strcmp(marks[i].place, place) == 0)
            return i;
    if (count == MARKS)
        return MARKS;
    (void)snprintf(marks[count].place, PLACE_SIZE, "%s", place);
    marks[count].stack_class = stack_class;
    return count++;
}

static mark *find(const th_fiber *fiber)
{
    uintptr_t of = thi_mark_key(fiber);
    size_t at = (size_t)(of * UINT64_C(0x9e3779b97f4a7c15) >> 32) + fiber->stack_class;
    for (;; at++) {
        key *k = &keys[at % KEYS];
        if (k->of == of && k->stack_class == fiber->stack_class)
            return &marks[k->mark];
        if (k->of != 0)
            continue;
        if (keys_used == KEYS_USED)
            return &marks[MARKS];
        char place[PLACE_SIZE];
        const char *text = fiber->origin ? fiber->origin : thi_fiber_text(fiber->name, NULL);
        (void)snprintf(place, sizeof place, "%s", text);
        k->mark = (uint16_t)find_text(place, fiber->stack_class);
        k->of = of;
        k->stack_class = fiber->stack_class;
        keys_used++;
        return &marks[k->mark];
    }
}

void thi_marks_ended(th_fiber *fiber, const char *from, const void *frame)
{
    size_t peak = (size_t)((const char *)frame - thi_depth_reached(fiber, from));
    pthread_mutex_lock(&lock);
    mark *m = find(fiber);
    m->fibers += fiber->stands_for;
    m->sampled++;
    m->peak = thi_max(m->peak, peak);
    if (m->stack_class < fiber->stack_class) /* of the last one */
        m->stack_class = fiber->stack_class;
    pthread_mutex_unlock(&lock);
    fiber->stands_for = 0;
}

/* ---- what is told ---- */

/* The smallest size that leaves half of it free; 0 if none does. */
static size_t advise(size_t peak)
{
    int stack_class = thi_stack_class(2 * peak + OVERHEAD);
    return stack_class < 0 ? 0 : (size_t)1 << (THI_STACK_CLASS_MIN + stack_class);
}

static th_stack_mark describe(size_t i)
{
    const mark *m = &marks[i];
    return (th_stack_mark){ .place = i == MARKS ? "other places" : m->place,
                            .fibers = m->fibers,
                            .sampled = m->sampled,
                            .peak = m->peak,
                            .stack_size = (size_t)1 << (THI_STACK_CLASS_MIN + m->stack_class),
                            .advice = advise(m->peak) };
}

size_t th_stack_marks(th_stack_mark *out, size_t max)
{
    pthread_mutex_lock(&lock);
    size_t all = count;
    for (size_t i = 0; i < thi_min(count, max); i++)
        out[i] = describe(i);
    if (marks[MARKS].sampled > 0 && all++ < max)
        out[all - 1] = describe(MARKS);
    pthread_mutex_unlock(&lock);
    return all;
}

/* Text that is cut where the buffer ends, and its length without that. */
typedef struct advice {
    char *at;
    size_t size;
    size_t len;
} advice;

static TH_PRINTF(2, 3) void add(advice *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t used = thi_min(a->len, a->size);
    int n = vsnprintf(a->size > 0 ? a->at + used : NULL, a->size - used, format, args);
    va_end(args);
    a->len += n > 0 ? (size_t)n : 0;
}

static void add_mark(advice *a, const th_stack_mark *m)
{
    size_t tenths = (m->peak * 10 + 1023) / 1024;
    add(a, "peak %zu.%zu KiB of %zu KiB, %s (%llu fiber%s, %llu measured): ", tenths / 10,
        tenths % 10, m->stack_size / 1024, m->place, (unsigned long long)m->fibers,
        m->fibers == 1 ? "" : "s", (unsigned long long)m->sampled);
    if (m->advice == m->stack_size)
        add(a, "it fits\n");
    else if (m->advice == 0)
        add(a, "no stack_size leaves a margin\n");
    else
        add(a, "stack_size = %zu would %s\n", m->advice,
            m->advice < m->stack_size ? "do" : "be safer");
}

size_t th_stack_advice(char *buf, size_t size)
{
    advice a = { .at = buf, .size = size };
    if (size > 0)
        buf[0] = '\0';
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i <= MARKS; i++) {
        th_stack_mark m = describe(i);
        if (m.sampled > 0)
            add_mark(&a, &m);
    }
    pthread_mutex_unlock(&lock);
    return a.len;
}
