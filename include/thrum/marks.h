/* SPDX-License-Identifier: MIT */

/*
 * How much of their stacks fibers use, by the place that spawns them, and which size would do.
 *
 * Of each place the first fibers are measured, then ever fewer, down to one in 4,096; the rest pay
 * a few instructions. What is found is kept for the process, beyond the end of a runtime. A fiber
 * counts when it has ended. Under AddressSanitizer and Valgrind nothing is measured.
 */
#ifndef THRUM_MARKS_H
#define THRUM_MARKS_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* What is known of the fibers of one place with stacks of one size. */
typedef struct th_stack_mark {
    const char *place; /* "fn at file.c:12", static; where that is not known, the fibers' name; all
                          beyond 1,024 places are "other places" */
    uint64_t fibers;   /* that have ended, to within a quarter */
    uint64_t sampled;  /* of them, how many were measured */
    size_t peak;       /* the most that one of these used, bytes */
    size_t stack_size; /* that they have, bytes */
    size_t advice;     /* the smallest stack_size that is twice the peak and what the library needs
                          itself, bytes; 0: there is none so large */
} th_stack_mark;

/**
 * Lists how much of their stacks fibers have used.
 *
 * @param marks  out: the places, in the order in which they became known; may be NULL if max is 0
 * @param max    how many there is room for
 * @return how many places are known, which may be more than max
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_stack_marks(th_stack_mark *marks, size_t max);

/**
 * Says the same for people, one line for each place.
 *
 * Such as "peak 3.1 KiB of 64 KiB, work at worker.c:12 (1204 fibers, 42 measured): stack_size =
 * 16384 would do".
 *
 * @param buf   out: the text, cut to fit, with its NUL; may be NULL if size is 0
 * @param size  of buf, bytes
 * @return the length of the whole text, which may be size or more
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_stack_advice(char *buf, size_t size);

TH_END_DECLS

#endif
