/* SPDX-License-Identifier: MIT */

/*
 * The context switch on AArch64 (AAPCS64), inline, for the reason told in context_x86_64.h.
 *
 * A saved context is its stack pointer; at it lie, upwards: x29, the address to go on at, FPCR. All
 * other registers are declared clobbered, x18 too: on Linux it is one more that a call may change.
 */
#ifndef THI_FIBER_CONTEXT_AARCH64_H
#define THI_FIBER_CONTEXT_AARCH64_H

/* The hint is bti j: a landing pad where the processor asks for one. */
#define THI_CONTEXT_SWAP(fpcr_to_x10)                                                              \
    __asm__ volatile("sub  sp, sp, #32\n\t"                                                        \
                     "adr  x9, 1f\n\t" fpcr_to_x10 "stp  x29, x9, [sp]\n\t"                        \
                     "str  x10, [sp, #16]\n\t"                                                     \
                     "mov  x9, sp\n\t"                                                             \
                     "str  x9, [x0]\n\t"                                                           \
                     "mov  sp, x1\n\t"                                                             \
                     "ldp  x29, x9, [sp]\n\t"                                                      \
                     "ldr  x10, [sp, #16]\n\t"                                                     \
                     "msr  fpcr, x10\n\t"                                                          \
                     "add  sp, sp, #32\n\t"                                                        \
                     "br   x9\n"                                                                   \
                     "1:\n\t"                                                                      \
                     "hint #36"                                                                    \
                     : "+r"(x0), "+r"(x1)                                                          \
                     :                                                                             \
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", \
                       "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23",       \
                       "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4",     \
                       "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",     \
                       "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",       \
                       "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc")

/* Where a saved context has what an unwinder starts from, and how much lies between it and where
 * the stack pointer was; for whoever looks from outside. */
#define THI_CONTEXT_PC    8
#define THI_CONTEXT_FRAME 0
#define THI_CONTEXT_STEP  32

static inline __attribute__((always_inline)) void thi_context_swap(void **from, void *to)
{
    register void **x0 __asm__("x0") = from;
    register void *x1 __asm__("x1") = to;
    THI_CONTEXT_SWAP("mrs  x10, fpcr\n\t");
}

/* FPCR is zero in a new process. */
static inline __attribute__((always_inline)) void thi_context_swap_ended(void **from, void *to)
{
    register void **x0 __asm__("x0") = from;
    register void *x1 __asm__("x1") = to;
    THI_CONTEXT_SWAP("mov  x10, xzr\n\t");
}

/* Where a context that does not run goes on, and its frame: for those who walk its stack. */
static inline void thi_context_saved(const void *sp, const void **pc, const void **frame)
{
    const void *const *words = (const void *const *)sp;
    *frame = words[0];
    *pc = words[1];
}

#endif
