/* SPDX-License-Identifier: MIT */

/*
 * The context switch on any system with <ucontext.h>: slow (it saves the signal mask by a system
 * call) but right, for processors that have no assembly of ours.
 *
 * A saved context is the address of a ucontext_t. A first frame keeps its own at the top of its
 * stack; a running context that is left keeps it in the frame of thi_context_swap().
 */
#include "fiber/context.h"

#include <fenv.h>
#include <stdint.h>
#include <ucontext.h>

typedef struct first_frame {
    ucontext_t context;
    void (*entry)(void *arg);
    void *arg;
} first_frame;

/* makecontext passes ints: a pointer travels in two halves. */
static void start(unsigned high, unsigned low)
{
    first_frame *frame = (void *)((uintptr_t)high << 32 | low);
    (void)fesetenv(FE_DFL_ENV);
    frame->entry(frame->arg);
    __builtin_trap();
}

void *thi_context_frame(void *top, void (*entry)(void *arg), void *arg)
{
    first_frame *frame = (void *)((char *)top - (sizeof(first_frame) + 15) / 16 * 16);
    frame->entry = entry;
    frame->arg = arg;
    (void)getcontext(&frame->context);
    /* Only the high end is known here. It is all that makecontext(3) uses where stacks grow down.
     */
    frame->context.uc_stack.ss_sp = (char *)frame - 4096;
    frame->context.uc_stack.ss_size = 4096;
    frame->context.uc_link = NULL;
    uint64_t address = (uintptr_t)frame;
    makecontext(&frame->context, (void (*)(void))start, 2, (unsigned)(address >> 32),
                (unsigned)address);
    return &frame->context;
}

void thi_context_swap(void **from, void *to)
{
    ucontext_t here;
    *from = &here;
    (void)swapcontext(&here, to);
}

void thi_context_swap_ended(void **from, void *to)
{
    thi_context_swap(from, to);
    (void)fesetenv(FE_DFL_ENV);
}

void thi_context_saved(const void *sp, const void **pc, const void **frame)
{
    const ucontext_t *context = sp;
    *pc = *frame = NULL;
#if defined(__x86_64__)
    *pc = (const void *)context->uc_mcontext.gregs[REG_RIP];
    *frame = (const void *)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    *pc = (const void *)context->uc_mcontext.pc;
    *frame = (const void *)context->uc_mcontext.regs[29];
#else
    (void)context;
#endif
}
