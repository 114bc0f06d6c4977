/* SPDX-License-Identifier: MIT */

/*
 * Arenas: a chain of chunks, handed out from front to back and freed together.
 *
 * pos_ and end_ bound the free part of the current chunk; th_arena_alloc() needs nothing else. The
 * first chunk is the caller's storage, if given. Chunks grow with what was handed out so far, from
 * CHUNK_MIN to CHUNK_MAX, so that the number of chunks stays small and the waste is bounded.
 *
 * A piece that would take a large part of a new chunk gets a chunk of its own, and the current one
 * stays current: a large body between small headers wastes no tail.
 *
 * The limit costs nothing on the fast path: end_ is drawn in to what the limit still allows.
 *
 *     handed out = closed_ + (pos_ - start_)  <=  limit_        always
 *     end_ - pos_                             <=  limit_ - handed out
 *
 * Where memory shall be visible to tools (thi_alloc_plain), there never is a current chunk: pos_
 * and end_ are NULL, every piece takes the slow way and gets a chunk of exactly its size.
 */
#include <thrum/mem.h>

#include "base/alloc.h"
#include "base/util.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct th_arena_chunk_ chunk;

struct th_arena_chunk_ {
    chunk *next; /* in no particular order */
    size_t size; /* of data */
    alignas(TH_ARENA_ALIGN) char data[];
};

/* Data sizes; with the header and malloc's own, a smallest chunk is just under a page. */
enum { CHUNK_MIN = 4096 - sizeof(chunk) - 16, CHUNK_MAX = 16 * CHUNK_MIN };

/* Hands out of `size` bytes at `start` from now on; what was current is closed. */
static void open_chunk(th_arena *arena, char *start, size_t size)
{
    arena->closed_ = th_arena_used(arena);
    arena->start_ = start;
    arena->pos_ = start;
    arena->end_ = start ? start + thi_min(size, arena->limit_ - arena->closed_) : NULL;
}

/* Takes up the caller's storage, or nothing, with nothing handed out. */
static void open_first(th_arena *arena)
{
    arena->closed_ = 0;
    arena->start_ = NULL;
    arena->pos_ = NULL;
    open_chunk(arena, arena->storage_, arena->storage_size_);
}

void th_arena_init(th_arena *arena, void *storage, size_t storage_size, size_t limit)
{
    uintptr_t at = (uintptr_t)storage;
    size_t skip = thi_align_up(at, TH_ARENA_ALIGN) - at;
    bool usable = storage && storage_size > skip && !thi_alloc_plain();
    *arena = (th_arena){
        .storage_ = usable ? (char *)storage + skip : NULL,
        .storage_size_ = usable ? storage_size - skip : 0,
        .limit_ = limit ? limit : SIZE_MAX,
    };
    open_first(arena);
}

static void free_chunks(chunk *list)
{
    while (list) {
        chunk *next = list->next;
        thi_free(list);
        list = next;
    }
}

void th_arena_deinit(th_arena *arena)
{
    if (!arena)
        return;
    free_chunks(arena->chunks_);
    arena->chunks_ = NULL;
    open_first(arena);
}

/* Takes a chunk of the smallest size out of the list, to be kept. NULL when there is none. */
static chunk *take_smallest(chunk **list)
{
    for (chunk **at = list; *at; at = &(*at)->next) {
        chunk *found = *at;
        if (found->size == CHUNK_MIN) {
            *at = found->next;
            found->next = NULL;
            return found;
        }
    }
    return NULL;
}

void th_arena_reset(th_arena *arena)
{
    if (!arena->chunks_) { /* all of it came from the caller's storage, and closed_ is 0 */
        arena->pos_ = arena->start_;
        return;
    }
    bool keep = !arena->storage_ && !thi_alloc_plain();
    chunk *kept = keep ? take_smallest(&arena->chunks_) : NULL;
    free_chunks(arena->chunks_);
    arena->chunks_ = kept;
    open_first(arena);
    if (kept)
        open_chunk(arena, kept->data, kept->size);
}

static chunk *add_chunk(th_arena *arena, size_t size)
{
    chunk *added = size <= SIZE_MAX - sizeof *added ? thi_alloc(sizeof *added + size) : NULL;
    if (!added)
        return NULL;
    added->next = arena->chunks_;
    added->size = size;
    arena->chunks_ = added;
    return added;
}

/* A piece in a chunk of its own of `size` bytes, of which `need` count. */
static void *alloc_alone(th_arena *arena, size_t size, size_t need)
{
    chunk *own = add_chunk(arena, size);
    if (!own)
        return NULL;
    arena->closed_ += need;
    size_t room = arena->limit_ - th_arena_used(arena);
    if ((size_t)(arena->end_ - arena->pos_) > room)
        arena->end_ = arena->pos_ + room;
    return own->data;
}

void *th_arena_alloc_more_(th_arena *arena, size_t size)
{
    size = thi_max(size, (size_t)1);
    size_t need = thi_align_up(size, TH_ARENA_ALIGN);
    size_t used = th_arena_used(arena);
    if (need < size || need > arena->limit_ - used)
        return NULL;
    if (thi_alloc_plain())
        return alloc_alone(arena, size, need);
    if (need <= (size_t)(arena->end_ - arena->pos_)) /* a size of 0 comes here, too */
        return th_arena_alloc(arena, size);
    size_t next_size = thi_min(thi_max(used, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX);
    if (need > next_size / 4)
        return alloc_alone(arena, need, need);
    chunk *next = add_chunk(arena, next_size);
    if (!next)
        return NULL;
    open_chunk(arena, next->data, next->size);
    return th_arena_alloc(arena, size);
}

void *th_arena_calloc(th_arena *arena, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *ptr = th_arena_alloc(arena, bytes);
    return ptr ? memset(ptr, 0, bytes) : NULL;
}

char *th_arena_strdup(th_arena *arena, th_str text)
{
    char *copy = text.len < SIZE_MAX ? th_arena_alloc(arena, text.len + 1) : NULL;
    if (!copy)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

char *th_arena_vprintf(th_arena *arena, const char *format, va_list args)
{
    /* Into the free part first: it mostly fits, and then the very same bytes are handed out. */
    va_list again;
    va_copy(again, args);
    size_t room = (size_t)(arena->end_ - arena->pos_);
    int len = vsnprintf(arena->pos_, room, format, args);
    char *text = len < 0 ? NULL : th_arena_alloc(arena, (size_t)len + 1);
    if (text && (size_t)len >= room && vsnprintf(text, (size_t)len + 1, format, again) != len)
        text = NULL;
    va_end(again);
    return text;
}

char *th_arena_printf(th_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = th_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
