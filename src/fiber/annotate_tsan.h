/* SPDX-License-Identifier: MIT */

/* Switches as ThreadSanitizer must see them: each stack is a thread of its own to it. */
#ifndef THI_FIBER_ANNOTATE_TSAN_H
#define THI_FIBER_ANNOTATE_TSAN_H

#include <sanitizer/tsan_interface.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thi_annotation {
    void *fiber;
    int is_thread;
} thi_annotation;

static inline void thi_annotate_stack(thi_annotation *note, void *low, size_t size)
{
    (void)low;
    (void)size;
    *note = (thi_annotation){ .fiber = __tsan_create_fiber(0) };
}

static inline void thi_annotate_thread(thi_annotation *note)
{
    *note = (thi_annotation){ .fiber = __tsan_get_current_fiber(), .is_thread = 1 };
}

static inline void thi_annotate_gone(thi_annotation *note)
{
    if (!note->is_thread && note->fiber)
        __tsan_destroy_fiber(note->fiber);
    note->fiber = NULL;
}

static inline void thi_annotate_leaving(thi_annotation *from, thi_annotation *to)
{
    (void)from;
    __tsan_switch_to_fiber(to->fiber, 0);
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
    return false;
}

#endif
