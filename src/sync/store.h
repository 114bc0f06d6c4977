/* SPDX-License-Identifier: MIT */

/*
 * The items of a queue, in the order in which they leave. Whoever uses it locks it.
 *
 * Putting in and taking out do not allocate: whoever finds no room, or too much of it, makes other
 * room outside of his lock and then moves the items over.
 */
#ifndef THI_SYNC_STORE_H
#define THI_SYNC_STORE_H

#include <thrum/queue.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero but the order is an empty one without room. */
typedef struct thi_store {
    int order;                    /* TH_QUEUE_* */
    th_queue_compare_fn *compare; /* of TH_QUEUE_PRIORITY */
    void *compare_arg;
    void *room;          /* an array of slots */
    size_t size;         /* how many: a power of two, or 0 */
    size_t first;        /* the slot of the item that has been here longest, if not by priority */
    uint64_t arrivals;   /* items put in so far, if by priority */
    atomic_size_t count; /* items; others may read it as a hint */
} thi_store;

static inline size_t thi_store_count(const thi_store *store)
{
    return atomic_load_explicit(&store->count, memory_order_relaxed);
}

static inline void thi_store_set_count_(thi_store *store, size_t count)
{
    atomic_store_explicit(&store->count, count, memory_order_relaxed);
}

static inline bool thi_store_has_room(const thi_store *store)
{
    return thi_store_count(store) < store->size;
}

void thi_store_push_by_priority_(thi_store *store, void *item);
void *thi_store_pop_by_priority_(thi_store *store);

/* Puts an item in; there is room. */
static inline void thi_store_push(thi_store *store, void *item)
{
    size_t count = thi_store_count(store);
    if (TH_UNLIKELY(store->order == TH_QUEUE_PRIORITY)) {
        thi_store_push_by_priority_(store, item);
        return;
    }
    ((void **)store->room)[(store->first + count) & (store->size - 1)] = item;
    thi_store_set_count_(store, count + 1);
}

/* Takes out the item whose turn it is; there is one. */
static inline void *thi_store_pop(thi_store *store)
{
    size_t count = thi_store_count(store);
    size_t at = store->first;
    if (TH_UNLIKELY(store->order == TH_QUEUE_PRIORITY))
        return thi_store_pop_by_priority_(store);
    if (store->order == TH_QUEUE_LIFO)
        at += count - 1;
    else
        store->first++;
    thi_store_set_count_(store, count - 1);
    return ((void **)store->room)[at & (store->size - 1)];
}

#define THI_STORE_MIN 16 /* slots: never less once there are any */

/* How many slots suit the items that are there and one more, with room to grow. */
static inline size_t thi_store_larger(const thi_store *store)
{
    return store->size ? store->size * 2 : THI_STORE_MIN;
}

/* How many slots would do where most are empty; 0 when that is not so. */
static inline size_t thi_store_smaller(const thi_store *store)
{
    if (TH_LIKELY(store->size <= THI_STORE_MIN || thi_store_count(store) > store->size / 8))
        return 0;
    return store->size / 4 > THI_STORE_MIN ? store->size / 4 : THI_STORE_MIN;
}

/* Room for so many slots, to be freed by thi_free(); NULL without memory. Needs no lock. */
TH_MUST void *thi_store_make_room(const thi_store *store, size_t size);

/* Moves the items to other room, which is large enough; returns the old one. */
TH_MUST void *thi_store_move(thi_store *store, void *room, size_t size);

#endif
