/* SPDX-License-Identifier: MIT */

/* Saved contexts and frame pointers. The library keeps frame pointers; what it calls may not. */
#include "inspect_stack.h"

#include <string.h>

static bool word_at(const unsigned char *copy, size_t size, uint64_t at, uint64_t *word)
{
    if (at > size || size - at < sizeof *word)
        return false;
    memcpy(word, copy + at, sizeof *word);
    return true;
}

bool stacks_context(const fiber_view *f, const unsigned char *copy, size_t size,
                    saved_context *context)
{
    const th_inspect *l = f->worker->layout;
    *context = (saved_context){ .stack = f->context };
    if (l->context_pc == TH_INSPECT_NONE || !word_at(copy, size, l->context_pc, &context->pc) ||
        !word_at(copy, size, l->context_frame, &context->frame))
        return false;
    if (l->context_stack != TH_INSPECT_NONE &&
        !word_at(copy, size, l->context_stack, &context->stack))
        return false;
    context->stack += l->context_step;
    return context->pc != 0;
}

void stacks_follow_frames(const fiber_view *f, const unsigned char *copy, size_t size,
                          const saved_context *context, stack_view *stack)
{
    uint64_t frame = context->frame;
    uint64_t next;
    uint64_t back;
    stack->at[0] = context->pc;
    stack->count = 1;
    while (stack->count < FRAMES_MAX && frame >= f->context && frame % sizeof frame == 0 &&
           word_at(copy, size, frame - f->context, &next) &&
           word_at(copy, size, frame - f->context + 8, &back) && back != 0) {
        stack->at[stack->count++] = back;
        if (next <= frame) /* frames go up; the first one has none before it */
            break;
        frame = next;
    }
}
