/* SPDX-License-Identifier: MIT */

/*
 * A cache of objects of one size, for one thread: what was freed last is handed out first, while it
 * is still warm. All live objects can be visited, for introspection.
 */
#ifndef THI_BASE_SLAB_H
#define THI_BASE_SLAB_H

#include "base/assert.h"
#include "base/list.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thi_slab thi_slab;
typedef struct thi_slab_block thi_slab_block;
typedef struct thi_slab_slot thi_slab_slot;

/* What stands in front of every object. */
struct thi_slab_slot {
    alignas(16) thi_slab_block *block; /* where it was carved from */
    thi_slab_slot *next;               /* next free one; the slot itself while it is live */
};

/* Memory for several objects: the header, then slot and object by turns. */
struct thi_slab_block {
    thi_list link; /* in thi_slab.blocks */
    size_t live;   /* objects that are in use */
};

/* All fields are private, and here only for the inline functions. */
struct thi_slab {
    thi_slab_slot *free; /* last freed first */
    thi_list blocks;
    size_t object_size;
    size_t stride;    /* from one slot to the next */
    size_t per_block; /* slots */
    size_t live;      /* objects in use */
    size_t total;     /* objects in use and free */
    bool plain;       /* a heap block per object, freed at once: see thi_alloc_plain() */
};

/* Makes an empty cache of objects of size bytes (at least 1); aligned to 16. Allocates nothing. */
void thi_slab_init(thi_slab *slab, size_t size);

/* Frees everything; no object may be live. */
void thi_slab_deinit(thi_slab *slab);

/* Makes sure that there is a free slot: 0 or -ENOMEM. For thi_slab_alloc(). */
TH_MUST int thi_slab_grow(thi_slab *slab);

/* An object with undefined content, or NULL when there is no memory. */
TH_MUST static inline void *thi_slab_alloc(thi_slab *slab)
{
    if (TH_UNLIKELY(!slab->free) && thi_slab_grow(slab) < 0)
        return NULL;
    thi_slab_slot *slot = slab->free;
    slab->free = slot->next;
    slot->next = slot;
    slot->block->live++;
    slab->live++;
    return slot + 1;
}

/* Gives a freed object's block back to the heap. For thi_slab_free() of a plain cache. */
void thi_slab_drop_block(thi_slab *slab, thi_slab_block *block);

/* Takes back an object of this cache; NULL is a no-op. Freeing it twice is found out. */
static inline void thi_slab_free(thi_slab *slab, void *object)
{
    if (!object)
        return;
    thi_slab_slot *slot = (thi_slab_slot *)object - 1;
    TH_ASSERT(slot->next == slot);
    slot->block->live--;
    slab->live--;
    if (TH_UNLIKELY(slab->plain)) {
        thi_slab_drop_block(slab, slot->block);
        return;
    }
    slot->next = slab->free;
    slab->free = slot;
}

/* Number of objects in use. */
static inline size_t thi_slab_live(const thi_slab *slab)
{
    return slab->live;
}

/* Number of objects that could be handed out without asking the heap. */
static inline size_t thi_slab_spare(const thi_slab *slab)
{
    return slab->total - slab->live;
}

/*
 * The live object after the given one, the first for NULL; NULL after the last. In no particular
 * order; allocating meanwhile may or may not show the new object. To free the current object, ask
 * for the next one before.
 */
void *thi_slab_next(const thi_slab *slab, const void *object);

/* Gives blocks without live objects back to the heap; returns the number of objects they held. */
size_t thi_slab_trim(thi_slab *slab);

#endif
