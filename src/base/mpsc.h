/* SPDX-License-Identifier: MIT */

/*
 * Intrusive lock-free inbox: any thread pushes, one thread takes everything at once.
 *
 * The inbox is a stack that producers push onto with a compare-and-swap and that the consumer
 * empties with one exchange; since nothing is ever popped singly, there is no ABA problem. The
 * consumer then reverses what it took, which gives the order of insertion: per producer the order
 * of its pushes, and over all producers the order in which their pushes took effect.
 *
 * A push that finds the inbox empty says so: only then may the consumer be asleep and in need of a
 * wake-up, so that a burst of pushes costs one. For the sleeping side a consumer sets its flag,
 * then looks at thi_mpsc_empty() once more; both are sequentially consistent, and so is the push.
 */
#ifndef THI_BASE_MPSC_H
#define THI_BASE_MPSC_H

#include "base/queue.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Keep it on a cache line that the owner does not write in passing. */
typedef struct thi_mpsc {
    _Atomic(thi_qnode *) newest; /* NULL when empty; each node's next is the one pushed before */
} thi_mpsc;

static inline void thi_mpsc_init(thi_mpsc *inbox)
{
    atomic_init(&inbox->newest, NULL);
}

/* Any thread. Returns whether the inbox was empty. The node belongs to the consumer at once. */
static inline bool thi_mpsc_push(thi_mpsc *inbox, thi_qnode *node)
{
    thi_qnode *before = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    do
        node->next = before;
    while (!atomic_compare_exchange_weak(&inbox->newest, &before, node));
    return before == NULL;
}

/* Any thread; the answer may be out of date unless the consumer asks and finds something. */
static inline bool thi_mpsc_empty(const thi_mpsc *inbox)
{
    return atomic_load(&inbox->newest) == NULL;
}

/* The consumer only. Appends all that was pushed to `queue`, oldest first. */
static inline void thi_mpsc_drain(thi_mpsc *inbox, thi_queue *queue)
{
    if (!atomic_load_explicit(&inbox->newest, memory_order_relaxed))
        return;
    thi_qnode *node = atomic_exchange(&inbox->newest, NULL);
    thi_queue taken;
    thi_queue_init(&taken);
    while (node) {
        thi_qnode *older = node->next;
        thi_queue_push_front(&taken, node);
        node = older;
    }
    thi_queue_concat(queue, &taken);
}

#endif
