/* SPDX-License-Identifier: MIT */

/*
 * The slow half of the object cache: growing, visiting, trimming.
 *
 * Objects are carved from blocks of about BLOCK_SIZE. One list over all blocks holds the free
 * slots, so reuse is LIFO across blocks; a slot knows its block, and a block its number of live
 * objects, so that trimming finds the blocks that nobody uses. A live slot points at itself, which
 * tells it from a free one when all objects are visited, and makes a second free fail an assertion.
 *
 * A plain cache is one whose blocks hold a single object and are dropped when it is freed.
 */
#include "base/slab.h"

#include "base/alloc.h"

#include <errno.h>

enum {
    BLOCK_SIZE = 16 * 1024,
    BLOCK_HEADER =
        (sizeof(thi_slab_block) + alignof(thi_slab_slot) - 1) & ~(alignof(thi_slab_slot) - 1),
    FEWEST = 8, /* objects in a block, however large they are */
};

void thi_slab_init(thi_slab *slab, size_t size)
{
    bool plain = thi_alloc_plain();
    size_t stride = sizeof(thi_slab_slot) + thi_align_up(size, alignof(thi_slab_slot));
    *slab = (thi_slab){
        .object_size = size,
        .stride = stride,
        .per_block = plain ? 1 : thi_max((BLOCK_SIZE - BLOCK_HEADER) / stride, (size_t)FEWEST),
        .plain = plain,
    };
    thi_list_init(&slab->blocks);
}

static thi_slab_block *block_of(thi_list *link)
{
    return thi_list_item(link, thi_slab_block, link);
}

static thi_slab_slot *slot_at(const thi_slab *slab, thi_slab_block *block, size_t index)
{
    return (thi_slab_slot *)(void *)((char *)block + BLOCK_HEADER + index * slab->stride);
}

int thi_slab_grow(thi_slab *slab)
{
    /* The last object is not padded, so that tools see an overrun of a block's only one. */
    size_t used = (slab->per_block - 1) * slab->stride + sizeof(thi_slab_slot) + slab->object_size;
    thi_slab_block *block = thi_alloc(BLOCK_HEADER + used);
    if (!block)
        return -ENOMEM;
    block->live = 0;
    thi_list_push_back(&slab->blocks, &block->link);
    for (size_t i = slab->per_block; i-- > 0;) {
        thi_slab_slot *slot = slot_at(slab, block, i);
        slot->block = block;
        slot->next = slab->free;
        slab->free = slot;
    }
    slab->total += slab->per_block;
    return 0;
}

void thi_slab_drop_block(thi_slab *slab, thi_slab_block *block)
{
    thi_list_remove(&block->link);
    slab->total -= slab->per_block;
    thi_free(block);
}

void thi_slab_deinit(thi_slab *slab)
{
    TH_ASSERT(slab->live == 0);
    thi_list_each_safe (link, &slab->blocks)
        thi_slab_drop_block(slab, block_of(link));
    slab->free = NULL;
}

void *thi_slab_next(const thi_slab *slab, const void *object)
{
    const thi_slab_slot *from = object ? (const thi_slab_slot *)object - 1 : NULL;
    thi_list *link = from ? &from->block->link : slab->blocks.next;
    size_t index = from
                       ? ((size_t)((const char *)from - (const char *)from->block) - BLOCK_HEADER) /
                                 slab->stride +
                             1
                       : 0;
    for (; link != &slab->blocks; link = link->next, index = 0) {
        for (; index < slab->per_block; index++) {
            thi_slab_slot *slot = slot_at(slab, block_of(link), index);
            if (slot->next == slot)
                return slot + 1;
        }
    }
    return NULL;
}

/* Takes the slots of unused blocks out of the free list; the others keep their order. */
static void forget_unused_slots(thi_slab *slab)
{
    thi_slab_slot **link = &slab->free;
    for (thi_slab_slot *slot = slab->free; slot; slot = slot->next) {
        if (slot->block->live > 0) {
            *link = slot;
            link = &slot->next;
        }
    }
    *link = NULL;
}

size_t thi_slab_trim(thi_slab *slab)
{
    size_t before = slab->total;
    forget_unused_slots(slab);
    thi_list_each_safe (link, &slab->blocks)
        if (block_of(link)->live == 0)
            thi_slab_drop_block(slab, block_of(link));
    return before - slab->total;
}
