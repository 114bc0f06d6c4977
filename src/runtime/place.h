/* SPDX-License-Identifier: MIT */

/* Where new fibers and connections go. */
#ifndef THI_RUNTIME_PLACE_H
#define THI_RUNTIME_PLACE_H

#include "runtime/worker.h"

#include <thrum/time.h>

/* The worker that a TH_PLACE_ value means for somebody on the worker `here`. */
thi_worker *thi_worker_place(thi_worker *here, int place);

/* The load of a worker, what is on its way there included; approximate when another one asks. */
static inline size_t thi_worker_load(const thi_worker *worker)
{
    return atomic_load_explicit(&worker->load, memory_order_relaxed) +
           atomic_load_explicit(&worker->coming, memory_order_relaxed);
}

/* Whether another worker does not get round to what is new: one of its fibers does not let go. */
static inline bool thi_worker_is_held_up(const thi_worker *worker, int64_t now)
{
    return thi_loop_busy_for(&worker->loop, now) > worker->runtime->patience;
}

/* Changes the load of the calling thread's own worker, which alone writes it. */
static inline void thi_worker_add_load(thi_worker *worker, size_t by)
{
    size_t load = atomic_load_explicit(&worker->load, memory_order_relaxed);
    atomic_store_explicit(&worker->load, load + by, memory_order_relaxed);
}

/* The same for what is no fiber, and must not be counted as one. */
static inline void thi_worker_add_guests(thi_worker *worker, size_t by)
{
    worker->guests += by;
    thi_worker_add_load(worker, by);
}

#endif
