/* SPDX-License-Identifier: MIT */

/*
 * Stacks of fibers, and names for the addresses on them.
 *
 * inspect_stack_dw.c does it with libdw, by the unwind tables and debug information of the files
 * that are mapped; inspect_stack_plain.c stands in where that library is missing. It has frame
 * pointers only, and no names.
 */
#ifndef THRUM_PROGRAM_INSPECT_STACK_H
#define THRUM_PROGRAM_INSPECT_STACK_H

#include "inspect_fibers.h"

#define FRAMES_MAX 128

typedef struct stacks stacks;

/* The addresses of a stack, innermost first. All but the first are where a call returns to. */
typedef struct stack_view {
    size_t count;
    uint64_t at[FRAMES_MAX];
} stack_view;

/* A function that an address lies in: the innermost of those that were inlined there, or one around
 * it. What is not known is NULL, or 0. The texts live as long as the stacks they came from. */
typedef struct place_view {
    const char *function;
    const char *file;
    int line;
    bool inlined;       /* into the next place */
    const char *module; /* the file that is mapped there */
    uint64_t offset;    /* of the address in it */
} place_view;

/* NULL without memory. */
stacks *stacks_open(target *t);
void stacks_close(stacks *k);

/*
 * Walks the stack of a fiber that waits, is ready, or, in a core, runs. One that has gone on since
 * the snapshot is read again. False when that cannot be done: it runs, has ended, or does not rest.
 */
bool stacks_walk(stacks *k, snapshot *s, fiber_view *f, stack_view *stack);

/* The places at an address; `call`: it is where a call returns to. At least one. */
size_t stacks_places(stacks *k, uint64_t at, bool call, const place_view **places);

/* The name of the function or the data at an address, and how far into it that is; NULL when there
 * is none. */
const char *stacks_name(stacks *k, uint64_t at, uint64_t *offset);

/* Whether a fiber has a saved context that says where it goes on; then what it says. */
typedef struct saved_context {
    uint64_t pc;
    uint64_t frame;
    uint64_t stack;
} saved_context;

bool stacks_context(const fiber_view *f, const unsigned char *copy, size_t size,
                    saved_context *context);

/* Follows the frame pointers in a copy of a stack, which begins at f->context. */
void stacks_follow_frames(const fiber_view *f, const unsigned char *copy, size_t size,
                          const saved_context *context, stack_view *stack);

#endif
