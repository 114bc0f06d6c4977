/* SPDX-License-Identifier: MIT */

/*
 * High-water marks on stacks.
 *
 * Stacks are reused, so what lies below the first frame of a body is what others have left there.
 * It is cleared, the body runs, and the lowest word that is not zero is as deep as it went: every
 * call leaves a return address, so what is missed of the deepest frame is what that wrote as zeros.
 *
 * New memory is zero by itself. So a word is written only if it is not zero yet, and the pages that
 * nobody has used are only read: the kernel shows its page of zeros there, and they stay free. No
 * system call tells more cheaply which they are: mincore(2) takes longer than reading them.
 *
 * Both functions are leaves, and keep SLACK off their own frames.
 */
#include "fiber/depth.h"

#include "base/util.h"

#include <stdint.h>

#define SLACK 256 /* below a frame here: its locals, the red zone */
#define BLOCK 64  /* bytes looked at together */

typedef uint64_t __attribute__((may_alias)) word;

#define NOBODY_WATCHES                                                                             \
    __attribute__((noinline, no_sanitize_address, no_sanitize_thread, no_sanitize("undefined")))

bool thi_depth_is_told(void)
{
    return !thi_annotate_forbids_below();
}

/* The lowest block of a stack: above the canary where there is one. */
static inline const char *bottom(const th_fiber *fiber)
{
    return fiber->stack_low + (fiber->guarded ? 0 : BLOCK);
}

static inline __attribute__((always_inline)) bool is_clear(const char *block)
{
    const word *w = (const word *)(const void *)block;
    return (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) == 0;
}

NOBODY_WATCHES const char *thi_depth_clear(const th_fiber *fiber)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0) - SLACK;
    const char *low = bottom(fiber);
    const char *from = low + (frame - (uintptr_t)low) / BLOCK * BLOCK;
    for (const char *block = low; block < from; block += BLOCK) {
        if (is_clear(block))
            continue;
        volatile word *w = (volatile word *)(uintptr_t)block;
        for (size_t i = 0; i < BLOCK / sizeof *w; i++)
            w[i] = 0;
    }
    return from;
}

NOBODY_WATCHES const char *thi_depth_reached(const th_fiber *fiber, const char *from)
{
    const char *block = bottom(fiber);
    while (block < from && is_clear(block))
        block += BLOCK;
    while (block < from && *(const word *)(const void *)block == 0)
        block += sizeof(word);
    return block;
}
