/* SPDX-License-Identifier: MIT */

/*
 * Where fibers begin, on AArch64. The switch itself is in context_aarch64.h, which says what a saved
 * context looks like.
 */
        .text

/*
 * The bottom of every fiber: on the stack lie the argument and the entry function; x29 is zero.
 * Unwinders end here, since the caller's address is undefined.
 */
        .type   context_start, %function
        .p2align 4
        .cfi_startproc
        .cfi_undefined x30
        nop
context_start:
        hint    #36                     /* bti j */
        ldp     x0, x9, [sp]
        blr     x9
        brk     #1
        .cfi_endproc
        .size   context_start, . - context_start

        .globl  thi_context_frame
        .hidden thi_context_frame
        .type   thi_context_frame, %function
        .p2align 4
thi_context_frame:                      /* x0: top, x1: entry, x2: arg */
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x2, x1, [x0, #-16]
        sub     x0, x0, #48
        adr     x9, context_start
        stp     xzr, x9, [x0]           /* x29: the end of the chain of frames */
        str     xzr, [x0, #16]          /* FPCR of a new process */
        ret
        .cfi_endproc
        .size   thi_context_frame, . - thi_context_frame

        .section .note.GNU-stack, "", %progbits
