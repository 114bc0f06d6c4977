/* SPDX-License-Identifier: MIT */

/*
 * Switches without a sanitizer: only Valgrind wants to know where stacks are. Its client requests
 * are a handful of instructions that do nothing on a real processor, made once a stack.
 */
#ifndef THI_FIBER_ANNOTATE_NONE_H
#define THI_FIBER_ANNOTATE_NONE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct thi_annotation {
    unsigned valgrind_id;
} thi_annotation;

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

static inline void thi_annotate_stack(thi_annotation *note, void *low, size_t size)
{
#ifdef VALGRIND_STACK_REGISTER
    note->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(low, (char *)low + size);
#else
    (void)low;
    (void)size;
    note->valgrind_id = 0;
#endif
}

static inline void thi_annotate_thread(thi_annotation *note)
{
    note->valgrind_id = 0;
}

static inline void thi_annotate_gone(thi_annotation *note)
{
#ifdef VALGRIND_STACK_DEREGISTER
    VALGRIND_STACK_DEREGISTER(note->valgrind_id);
#else
    (void)note;
#endif
}

static inline void thi_annotate_leaving(thi_annotation *from, thi_annotation *to)
{
    (void)from;
    (void)to;
}

static inline void thi_annotate_arrived(thi_annotation *self)
{
    (void)self;
}

static inline void thi_annotate_ended(thi_annotation *self, const void *below)
{
    (void)self;
    (void)below;
}

static inline void thi_annotate_reused(thi_annotation *self)
{
    (void)self;
}

static inline bool thi_annotate_forbids_below(void)
{
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND > 0;
#else
    return false;
#endif
}

#endif
