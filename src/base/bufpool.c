/* SPDX-License-Identifier: MIT */

/*
 * The cache of segments: two LIFO lists, so that the segment used next is the one still in cache.
 *
 * What is kept is bounded in bytes; beyond that segments go back to the heap at once.
 */
#include "base/bufpool.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdint.h>

static const size_t rooms[] = {
    [THI_SEG_SMALL] = THI_SEG_SMALL_ROOM,
    [THI_SEG_LARGE] = THI_SEG_LARGE_ROOM,
};

void thi_bufpool_init(thi_bufpool *pool)
{
    bool plain = thi_alloc_plain();
    *pool = (thi_bufpool){ .keep = plain ? 0 : THI_BUFPOOL_KEEP, .plain = plain };
}

static size_t seg_bytes(const thi_seg *seg)
{
    size_t room = seg->kind == THI_SEG_BORROWED ? 0 : (size_t)(seg->limit - seg->base);
    return sizeof *seg + room;
}

size_t thi_bufpool_trim(thi_bufpool *pool, size_t keep)
{
    size_t before = pool->free_bytes;
    for (int kind = THI_SEG_LARGE; kind >= THI_SEG_SMALL; kind--) {
        while (pool->free[kind] && pool->free_bytes > keep) {
            thi_seg *seg = pool->free[kind];
            pool->free[kind] = seg->next;
            pool->free_bytes -= seg_bytes(seg);
            thi_free(seg);
        }
    }
    return before - pool->free_bytes;
}

void thi_bufpool_deinit(thi_bufpool *pool)
{
    TH_ASSERT(pool->used_bytes == 0);
    thi_bufpool_trim(pool, 0);
}

static thi_seg_kind kind_for(size_t n)
{
    if (n <= THI_SEG_SMALL_ROOM)
        return THI_SEG_SMALL;
    return n <= THI_SEG_LARGE_ROOM ? THI_SEG_LARGE : THI_SEG_SINGLE;
}

/* Makes a segment of a kind with exactly that room. */
static thi_seg *make(thi_seg_kind kind, size_t room)
{
    thi_seg *seg = room <= SIZE_MAX - sizeof *seg ? thi_alloc(sizeof *seg + room) : NULL;
    if (!seg)
        return NULL;
    *seg = (thi_seg){ .kind = kind, .base = (char *)(seg + 1) };
    seg->limit = seg->base + room;
    return seg;
}

thi_seg *thi_bufpool_get(thi_bufpool *pool, size_t n)
{
    thi_seg_kind kind = kind_for(n);
    thi_seg *seg = kind == THI_SEG_SINGLE ? NULL : pool->free[kind];
    if (seg) {
        pool->free[kind] = seg->next;
        pool->free_bytes -= seg_bytes(seg);
    } else {
        seg = make(kind, kind == THI_SEG_SINGLE ? n : rooms[kind]);
        if (!seg)
            return NULL;
    }
    seg->next = NULL;
    seg->start = seg->base;
    seg->end = seg->base;
    pool->used_bytes += seg_bytes(seg);
    return seg;
}

thi_seg *thi_bufpool_borrow(thi_bufpool *pool, const char *data, size_t n)
{
    thi_seg *seg = thi_alloc(sizeof *seg);
    if (!seg)
        return NULL;
    char *base = (char *)(uintptr_t)data; /* read only, by the rule for BORROWED */
    *seg = (thi_seg){
        .start = base,
        .end = base + n,
        .base = base,
        .limit = base + n,
        .kind = THI_SEG_BORROWED,
    };
    pool->used_bytes += seg_bytes(seg);
    return seg;
}

void thi_bufpool_put(thi_bufpool *pool, thi_seg *seg)
{
    size_t bytes = seg_bytes(seg);
    pool->used_bytes -= bytes;
    if (seg->kind == THI_SEG_BORROWED && seg->release)
        seg->release(seg->ctx);
    bool cached = seg->kind == THI_SEG_SMALL || seg->kind == THI_SEG_LARGE;
    if (!cached || bytes > pool->keep || pool->free_bytes > pool->keep - bytes) {
        thi_free(seg);
        return;
    }
    seg->next = pool->free[seg->kind];
    pool->free[seg->kind] = seg;
    pool->free_bytes += bytes;
}
