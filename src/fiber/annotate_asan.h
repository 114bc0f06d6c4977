/* SPDX-License-Identifier: MIT */

/*
 * Switches as AddressSanitizer must see them: which stack is in use, and whose fake frames. Between
 * two fibers a stack is poisoned, so that a pointer into it from the first is found out.
 */
#ifndef THI_FIBER_ANNOTATE_ASAN_H
#define THI_FIBER_ANNOTATE_ASAN_H

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thi_annotation {
    void *fake; /* the sanitizer's frames of a context that does not run */
    const void *low;
    size_t size;
} thi_annotation;

static inline void thi_annotate_stack(thi_annotation *note, void *low, size_t size)
{
    *note = (thi_annotation){ .low = low, .size = size };
}

static inline void thi_annotate_thread(thi_annotation *note)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &low, &size);
        (void)pthread_attr_destroy(&attr);
    }
    thi_annotate_stack(note, low, size);
}

static inline void thi_annotate_gone(thi_annotation *note)
{
    __asan_unpoison_memory_region(note->low, note->size);
}

static inline void thi_annotate_leaving(thi_annotation *from, thi_annotation *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to->low, to->size);
}

static inline void thi_annotate_arrived(thi_annotation *self)
{
    __sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
}

static inline void thi_annotate_ended(thi_annotation *self, const void *below)
{
    __asan_poison_memory_region(self->low, (size_t)((const char *)below - (const char *)self->low));
}

static inline void thi_annotate_reused(thi_annotation *self)
{
    __asan_unpoison_memory_region(self->low, self->size);
}

/* It may be poisoned, and frames may lie elsewhere. */
static inline bool thi_annotate_forbids_below(void)
{
    return true;
}

#endif
