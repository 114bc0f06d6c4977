/* SPDX-License-Identifier: MIT */

/*
 * Nothing is popped from the stack singly, so a block that comes back in the meantime does no harm.
 * The count is of what is kept at most: it goes up before a block is pushed, and down after some
 * have been given out.
 */
#include "base/spares.h"

#include "base/alloc.h"

#define KEPT_MAX 1024
#define USED_MAX 32 /* given out before the count hears of it */

struct thi_spare {
    thi_spare *next;
};

/* With `taken` set by the caller. */
static thi_spare *take(thi_spares *spares)
{
    thi_spare *block = spares->hand;
    if (!block && atomic_load_explicit(&spares->freed, memory_order_relaxed))
        block = atomic_exchange_explicit(&spares->freed, NULL, memory_order_acquire);
    if (!block)
        return NULL;
    spares->hand = block->next;
    if (++spares->used == USED_MAX) {
        atomic_fetch_sub_explicit(&spares->count, USED_MAX, memory_order_relaxed);
        spares->used = 0;
    }
    return block;
}

void *thi_spares_alloc(thi_spares *spares)
{
    thi_spare *block = NULL;
    if (TH_LIKELY(thi_alloc_may_keep()) &&
        !atomic_exchange_explicit(&spares->taken, true, memory_order_acquire)) {
        block = take(spares);
        atomic_store_explicit(&spares->taken, false, memory_order_release);
    }
    return block ? block : thi_alloc(spares->size);
}

void thi_spares_free(thi_spares *spares, void *memory)
{
    thi_spare *block = memory;
    if (TH_UNLIKELY(!thi_alloc_may_keep())) {
        thi_free(memory);
        return;
    }
    if (atomic_fetch_add_explicit(&spares->count, 1, memory_order_relaxed) >= KEPT_MAX) {
        atomic_fetch_sub_explicit(&spares->count, 1, memory_order_relaxed);
        thi_free(memory);
        return;
    }
    block->next = atomic_load_explicit(&spares->freed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&spares->freed, &block->next, block,
                                                  memory_order_release, memory_order_relaxed))
        continue;
}
