/* SPDX-License-Identifier: MIT */

/*
 * Where fibers begin, on x86-64. The switch itself is in context_x86_64.h, which says what a saved
 * context looks like.
 *
 * No shadow-stack property is noted, so that loaders keep user shadow stacks off for this process.
 */
        .text

/*
 * The bottom of every fiber: on the stack lie the argument and the entry function; rbp is zero.
 * Unwinders end here, since the caller's address is undefined. They look at the instruction before
 * a return address, which the nop makes part of this procedure for a fiber that has not run yet.
 */
        .type   context_start, @function
        .p2align 4
        .cfi_startproc
        .cfi_undefined %rip
        nop
context_start:
        movq    (%rsp), %rdi
        callq   *8(%rsp)
        ud2
        .cfi_endproc
        .size   context_start, . - context_start

        .globl  thi_context_frame
        .hidden thi_context_frame
        .type   thi_context_frame, @function
        .p2align 4
thi_context_frame:                      /* rdi: top, rsi: entry, rdx: arg */
        .cfi_startproc
        movq    %rsi, -8(%rdi)
        movq    %rdx, -16(%rdi)         /* after the first switch rsp is here: aligned for the call */
        leaq    -168(%rdi), %rax        /* 16 + 128 of red zone + 24 */
        leaq    context_start(%rip), %rcx
        movq    %rcx, 16(%rax)
        movq    $0, 8(%rax)             /* rbp: the end of the chain of frames */
        movabsq $0x37f00001f80, %rcx    /* the control words of a new process */
        movq    %rcx, (%rax)
        retq
        .cfi_endproc
        .size   thi_context_frame, . - thi_context_frame

        .section .note.GNU-stack, "", @progbits
