/* SPDX-License-Identifier: MIT */

/*
 * The storage of the event trace: a ring of records for each worker, written by its thread alone.
 *
 * Around whatever handles an event:
 *
 *     int64_t began = thi_trace_begin();
 *     watch->fn(watch, events);
 *     thi_trace_end(began, TH_TRACE_EVENT, (uint64_t)fd, events, (uintptr_t)fn);
 *
 * What is told is read before the call, which may end the object. Off, that is one load and two
 * branches that always go the same way. A thread that was not enlisted leaves no trace.
 */
#ifndef THI_BASE_TRACE_H
#define THI_BASE_TRACE_H

#include <thrum/trace.h>

#include <stdatomic.h>
#include <stdbool.h>

/* The clock that times are told by; NULL while the trace is off. */
extern int64_t (*_Atomic thi_trace_clock)(void);

/* The time; 0 while the trace is off. */
static inline int64_t thi_trace_begin(void)
{
    int64_t (*clock)(void) = atomic_load_explicit(&thi_trace_clock, memory_order_relaxed);
    return TH_UNLIKELY(clock != NULL) ? clock() : 0;
}

/* Records what began and ended then. */
void thi_trace_record_until(int64_t began, int64_t ended, unsigned kind, uint64_t object,
                            unsigned extra, uintptr_t function);

/* Records what began then and ends now; gives the time of the end, 0 when the trace is off. */
int64_t thi_trace_record(int64_t began, unsigned kind, uint64_t object, unsigned extra,
                         uintptr_t function);

static inline void thi_trace_end(int64_t began, unsigned kind, uint64_t object, unsigned extra,
                                 uintptr_t function)
{
    if (TH_UNLIKELY(began != 0))
        (void)thi_trace_record(began, kind, object, extra, function);
}

/* The calling thread is a worker from now on, until it is none any more. */
void thi_trace_enlist(unsigned worker, int thread);
void thi_trace_delist(void);
bool thi_trace_is_enlisted(void);

/* On, with a clock and so many events for each worker, a power of two; -EBUSY. Off; -EALREADY. */
TH_MUST int thi_trace_on(int64_t (*clock)(void), size_t events);
TH_MUST int thi_trace_off(void);

/* A copy of the events of one worker; from one allocation. */
typedef struct thi_trace_copy {
    struct thi_trace_copy *next;
    th_trace_ring ring;
    th_trace_record records[];
} thi_trace_copy;

/* Copies all that is kept, while the workers go on; -ENOMEM. Freed one by one with thi_free(). */
TH_MUST int thi_trace_take(thi_trace_copy **first);

#endif
