/* SPDX-License-Identifier: MIT */

/* A queue from inside: for select, which waits for several things at once. */
#ifndef THI_SYNC_QUEUE_H
#define THI_SYNC_QUEUE_H

#include "sync/store.h"
#include "runtime/waiter.h"

#include <thrum/queue.h>

struct th_queue {
    thi_waitq waiting; /* for an item while it is empty, for a place while it is full */
    thi_store items;
    size_t capacity; /* SIZE_MAX: no bound */
    uint64_t undone; /* items put in that nobody has called done */
    bool closed;
    bool freed; /* guarded by the lock of joiners */
    thi_waitq joiners;
    atomic_size_t holders; /* the owner, and those who wait while it is closed or freed */
};

/*
 * Puts an item in or takes one out, for a waiter that then need not be queued. 0, TH_ECLOSED,
 * TH_EOF, -ENOMEM; otherwise THI_QUEUED, or -EAGAIN without a waiter; THI_LOST. A waiter that is
 * woken with 0 has the item in `request`.
 */
TH_MUST int thi_sync_queue_put(th_queue *queue, void *item, thi_waiter *waiter);
TH_MUST int thi_sync_queue_get(th_queue *queue, void **item, thi_waiter *waiter);

/* Takes out a waiter of a party that was woken through another. */
void thi_sync_queue_leave(th_queue *queue, thi_waiter *waiter);

/* The end of a wait, however it came: gives its result back. Afterwards the queue may be gone. */
int thi_sync_queue_waited(th_queue *queue, const thi_waiter *waiter, int result);

#endif
