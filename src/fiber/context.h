/* SPDX-License-Identifier: MIT */

/*
 * Execution contexts: a saved stack pointer, and the switch from one to another.
 *
 * The switch keeps what the ABI calls callee-saved, the floating-point control words included, and
 * nothing else; the signal mask belongs to the thread. Sanitizers and Valgrind are told about every
 * switch, at no cost in builds without them.
 */
#ifndef THI_FIBER_CONTEXT_H
#define THI_FIBER_CONTEXT_H

#include "fiber/annotate.h"

/*
 * The platform's thi_context_swap(from, to) saves the running context's stack pointer in *from and
 * goes on at `to`, which an earlier swap or thi_context_frame() made. thi_context_swap_ended() does
 * the same where a fiber's body has ended: what runs there next begins with the floating-point
 * environment of a new process, whatever this one has done to its own.
 */
#include THI_CONTEXT_HEADER

#include <stddef.h>

typedef struct thi_context {
    void *sp; /* valid while the context does not run */
    thi_annotation note;
} thi_context;

/*
 * Builds the first frame of a context at the high end of a stack: the first swap to the result
 * calls entry(arg) there, which must not return. `top` is aligned to 16.
 */
void *thi_context_frame(void *top, void (*entry)(void *arg), void *arg);

/* Makes a context that starts in entry(arg) on the stack [low, low + size). */
void thi_context_init(thi_context *context, void *low, size_t size, void (*entry)(void *arg),
                      void *arg);

/* Makes the context that stands for the calling thread's own stack. */
void thi_context_init_thread(thi_context *context);

/* Gives back what the tools hold about a context that does not run and never will again. */
void thi_context_deinit(thi_context *context);

/* To be called first thing by an entry function. */
static inline void thi_context_entered(thi_context *self)
{
    thi_annotate_arrived(&self->note);
}

static inline void thi_context_switch(thi_context *from, thi_context *to)
{
    thi_annotate_leaving(&from->note, &to->note);
    thi_context_swap(&from->sp, to->sp);
    thi_annotate_arrived(&from->note);
}

/* The same from a context whose body has ended. */
static inline void thi_context_leave(thi_context *from, thi_context *to)
{
    thi_annotate_leaving(&from->note, &to->note);
    thi_context_swap_ended(&from->sp, to->sp);
    thi_annotate_arrived(&from->note);
}

#endif
