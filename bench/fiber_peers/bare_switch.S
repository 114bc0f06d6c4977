/* SPDX-License-Identifier: MIT */

/*
 * The cheapest honest context switch on x86-64.
 *
 * It keeps what the System V ABI says a call keeps: six registers, the stack pointer, and the
 * control words of SSE and x87. It leaves by an indirect jump, not by `ret`: the address on the
 * other stack is never the one that the return predictor expects, so every `ret` would be
 * mispredicted.
 *
 * void bare_switch(void **save, void *to)
 */
        .text
        .globl  bare_switch
        .type   bare_switch, @function
        .p2align 4
bare_switch:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        subq    $8, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        popq    %rcx
        jmp     *%rcx
        .size   bare_switch, . - bare_switch

        .section .note.GNU-stack, "", @progbits
