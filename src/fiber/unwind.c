/* SPDX-License-Identifier: MIT */

/*
 * Walking a stack by its frame pointers.
 *
 * Both processors keep a frame in the same way: the frame pointer leads to the caller's, and beside
 * that lies the return address. Code that keeps no frame pointer is stepped over, except the
 * function that called one that does; if it uses the register for something else, the walk ends. So
 * a walk may be incomplete, and a step that does not lead up the stack is its end. It reads nothing
 * but this fiber's stack, whatever it finds there.
 */
#include "fiber/unwind.h"

/* On AArch64 the upper bits of a return address may hold a signature. */
#if defined(__aarch64__)
#define ADDRESS_MASK UINT64_C(0x0000ffffffffffff)
#else
#define ADDRESS_MASK UINTPTR_MAX
#endif

#if defined(__has_attribute)
#if __has_attribute(no_sanitize)
#define PLAIN_READS __attribute__((no_sanitize("address")))
#endif
#endif
#ifndef PLAIN_READS
#define PLAIN_READS
#endif

/* What lies at a frame pointer. */
typedef struct frame {
    const struct frame *caller;
    uintptr_t goes_on; /* after the return */
} frame;

static bool lies_on(const th_fiber *fiber, const void *at)
{
    uintptr_t offset = (uintptr_t)at - (uintptr_t)fiber->stack_low;
    return offset < fiber->stack_size && fiber->stack_size - offset >= sizeof(frame) &&
           (uintptr_t)at % sizeof(void *) == 0;
}

PLAIN_READS size_t thi_unwind(const th_fiber *fiber, const void **pcs, size_t max)
{
    const void *pc = NULL;
    const void *at = NULL;
    if (max == 0 || fiber->stack_bare)
        return 0;
    thi_context_saved(fiber->context.sp, &pc, &at);
    if (!pc)
        return 0;
    size_t n = 0;
    pcs[n++] = pc;
    while (n < max && lies_on(fiber, at)) {
        const frame *f = at;
        if (f->goes_on == 0)
            break;
        pcs[n++] = (const void *)(f->goes_on & ADDRESS_MASK);
        if ((uintptr_t)f->caller <= (uintptr_t)f)
            break;
        at = f->caller;
    }
    return n;
}
