/* SPDX-License-Identifier: MIT */

/*
 * The context switch on x86-64 (System V ABI), inline.
 *
 * A saved context is its stack pointer; at it lie, upwards: mxcsr and x87 control word, rbp, the
 * address to go on at. All other registers are declared clobbered, so the compiler saves those that
 * are alive and no others.
 *
 * It is inline, without a call, for the sake of the processor's record of calls and returns: a call
 * that never returns here, but as a jump elsewhere, shifts that record by one, and every return
 * after the switch is predicted wrongly. For the same reason it leaves by a jump and not by ret. So
 * the returns that follow are predicted from the fiber before, which has usually come the same way.
 * Measured by `make bench`: this halves the cost of a hand-over.
 *
 * The control words are saved always: comparing first costs more than it saves, and a fiber that
 * changes the rounding must not change it for all. A context that has nothing to keep leaves with
 * the words of a new process instead, which costs half as much as a switch: reading mxcsr is slow.
 *
 * The compiler keeps frames by rbp, so unwinders find their way from any point in here. The step
 * over 128 bytes leaves the red zone of the function around untouched.
 */
#ifndef THI_FIBER_CONTEXT_X86_64_H
#define THI_FIBER_CONTEXT_X86_64_H

#if defined(__AVX512F__)
#define THI_CONTEXT_VECTORS_HIGH                                                                   \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define THI_CONTEXT_VECTORS_HIGH
#endif

/* At a new process' start: mxcsr in the low half, the x87 control word above. */
#define THI_CONTEXT_WORDS "0x37f00001f80"

#define THI_CONTEXT_SWAP(save_words)                                                               \
    __asm__ volatile("leaq    -128(%%rsp), %%rsp\n\t"                                              \
                     "leaq    1f(%%rip), %%rax\n\t"                                                \
                     "pushq   %%rax\n\t"                                                           \
                     "pushq   %%rbp\n\t"                                                           \
                     "subq    $8, %%rsp\n\t" save_words "movq    %%rsp, (%0)\n\t"                  \
                     "movq    %1, %%rsp\n\t"                                                       \
                     "ldmxcsr (%%rsp)\n\t"                                                         \
                     "fldcw   4(%%rsp)\n\t"                                                        \
                     "movq    8(%%rsp), %%rbp\n\t"                                                 \
                     "movq    16(%%rsp), %%rcx\n\t"                                                \
                     "leaq    152(%%rsp), %%rsp\n\t"                                               \
                     "jmpq    *%%rcx\n"                                                            \
                     "1:"                                                                          \
                     : "+D"(from), "+S"(to)                                                        \
                     :                                                                             \
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",  \
                       "r15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", \
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",     \
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",                        \
                       "xmm15" THI_CONTEXT_VECTORS_HIGH, "memory", "cc")

/* Where a saved context has what an unwinder starts from, and how much lies between it and where
 * the stack pointer was; for whoever looks from outside. */
#define THI_CONTEXT_PC    16
#define THI_CONTEXT_FRAME 8
#define THI_CONTEXT_STEP  152

static inline __attribute__((always_inline)) void thi_context_swap(void **from, void *to)
{
    THI_CONTEXT_SWAP("stmxcsr (%%rsp)\n\tfnstcw  4(%%rsp)\n\t");
}

static inline __attribute__((always_inline)) void thi_context_swap_ended(void **from, void *to)
{
    THI_CONTEXT_SWAP("movabsq $" THI_CONTEXT_WORDS ", %%rax\n\tmovq    %%rax, (%%rsp)\n\t");
}

/* Where a context that does not run goes on, and its frame: for those who walk its stack. */
static inline void thi_context_saved(const void *sp, const void **pc, const void **frame)
{
    const void *const *words = (const void *const *)sp;
    *frame = words[1];
    *pc = words[2];
}

#endif
