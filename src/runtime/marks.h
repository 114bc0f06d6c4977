/* SPDX-License-Identifier: MIT */

/*
 * How much of their stacks the fibers of each place use: which of them are measured, and the table
 * of what was found.
 */
#ifndef THI_RUNTIME_MARKS_H
#define THI_RUNTIME_MARKS_H

#include "fiber/fiber.h"

#include <thrum/defs.h>

#include <stdint.h>

#define THI_MARK_SLOTS_LOG 9
#define THI_MARK_SLOTS     (1 << THI_MARK_SLOTS_LOG)

/* Of a worker, for places that fall on it; zeroed is new. */
typedef struct thi_mark_slot {
    uint16_t left;    /* fibers that are not measured before the next one is */
    uint16_t weight;  /* for how many that one stands */
    uint16_t samples; /* so far; stops at its highest value */
} thi_mark_slot;

/* What fibers of one place have in common: the text of the place; without one, their function. */
static inline uintptr_t thi_mark_key(const th_fiber *fiber)
{
    return fiber->origin ? (uintptr_t)fiber->origin : (uintptr_t)fiber->fn;
}

/* The slow half of thi_marks_choose(): this one is measured. */
void thi_marks_chosen(thi_mark_slot *slot, th_fiber *fiber);

/* Decides of a new fiber whether its depth is measured. Inline for the sake of th_spawn(). */
static inline void thi_marks_choose(thi_mark_slot *slots, th_fiber *fiber)
{
    uint64_t mixed = thi_mark_key(fiber) * UINT64_C(0x9e3779b97f4a7c15);
    thi_mark_slot *slot = &slots[mixed >> (64 - THI_MARK_SLOTS_LOG)];
    if (TH_UNLIKELY(slot->left == 0))
        thi_marks_chosen(slot, fiber);
    else
        slot->left--;
}

/*
 * On a fiber that is measured, when its body has returned: where clearing began, and the frame that
 * called the body.
 */
void thi_marks_ended(th_fiber *fiber, const char *from, const void *frame);

#endif
