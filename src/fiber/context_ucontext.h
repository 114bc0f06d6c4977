/* SPDX-License-Identifier: MIT */

/* The context switch on any system with <ucontext.h>; how it works is told in the .c file. */
#ifndef THI_FIBER_CONTEXT_UCONTEXT_H
#define THI_FIBER_CONTEXT_UCONTEXT_H

void thi_context_swap(void **from, void *to);
void thi_context_swap_ended(void **from, void *to);

#endif
