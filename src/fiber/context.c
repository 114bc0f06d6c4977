/* SPDX-License-Identifier: MIT */

/* Making and unmaking contexts on top of the platform's first frame and swap. */
#include "fiber/context.h"

#include <stdint.h>

void thi_context_init(thi_context *context, void *low, size_t size, void (*entry)(void *arg),
                      void *arg)
{
    uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
    thi_annotate_stack(&context->note, low, size);
    context->sp = thi_context_frame((char *)low + (top - (uintptr_t)low), entry, arg);
}

void thi_context_init_thread(thi_context *context)
{
    context->sp = NULL;
    thi_annotate_thread(&context->note);
}

void thi_context_deinit(thi_context *context)
{
    thi_annotate_gone(&context->note);
    context->sp = NULL;
}
