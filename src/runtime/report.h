/* SPDX-License-Identifier: MIT */

/* Waits without an end, as text: who, what for, since when, and the stack. */
#ifndef THI_RUNTIME_REPORT_H
#define THI_RUNTIME_REPORT_H

#include "runtime/lookout.h"
#include "runtime/worker.h"

/* Text that grows; when there is no memory it stays as it is. */
typedef struct thi_text {
    char *at; /* with a NUL; NULL while it is empty */
    size_t len;
    size_t room;
} thi_text;

void thi_text_add(thi_text *text, const char *format, ...) TH_PRINTF(2, 3);
/* Adds a text of any length; NULL is none. */
void thi_text_add_all(thi_text *text, const char *more);

void thi_text_deinit(thi_text *text);

/* On the worker of a member, if it still waits: describes it, and notes that this was done. */
void thi_report_member(thi_member *member);

/* Adds the fibers of this worker that are parked and have not been reported, those in the same
 * place as one entry. Returns how many they are; *in_vain: of them those who wait for somebody to
 * do something. */
size_t thi_report_parked(thi_worker *worker, thi_text *text, size_t *in_vain);

/* Whether a parked fiber waits for somebody to do something, rather than for time or for others to
 * be done. */
static inline bool thi_waits_in_vain(const th_fiber *fiber)
{
    unsigned ends = thi_wait_kind_of(fiber->waits)->ends;
    return ends == THI_BY_ANYBODY || ends == THI_BY_OWNER;
}

/*
 * Passes on a report: to whom the options of the runtime say, or else to the log. Each entry begins
 * a line; the lines of its stack are indented. `text` may be NULL for want of memory.
 */
void thi_report_deliver(const thi_runtime *runtime, int kind, size_t fibers, const thi_text *text);

#endif
