/* SPDX-License-Identifier: MIT */

/* The context switch on any system with <ucontext.h>; how it works is told in the .c file. */
#ifndef THI_FIBER_CONTEXT_UCONTEXT_H
#define THI_FIBER_CONTEXT_UCONTEXT_H

#include <stddef.h>
#include <ucontext.h>

/* Where a saved context has what an unwinder starts from, and where the stack pointer; for whoever
 * looks from outside. */
#if defined(__x86_64__)
#define THI_CONTEXT_PC    offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])
#define THI_CONTEXT_FRAME offsetof(ucontext_t, uc_mcontext.gregs[REG_RBP])
#define THI_CONTEXT_STACK offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP])
#elif defined(__aarch64__)
#define THI_CONTEXT_PC    offsetof(ucontext_t, uc_mcontext.pc)
#define THI_CONTEXT_FRAME offsetof(ucontext_t, uc_mcontext.regs[29])
#define THI_CONTEXT_STACK offsetof(ucontext_t, uc_mcontext.sp)
#endif

void thi_context_swap(void **from, void *to);
void thi_context_swap_ended(void **from, void *to);

/* Where a context that does not run goes on, and its frame; both NULL on processors where it is not
 * known how they are saved. */
void thi_context_saved(const void *sp, const void **pc, const void **frame);

#endif
