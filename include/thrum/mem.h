/* SPDX-License-Identifier: MIT */

/* Memory: the allocator that Thrum uses, and arenas, which free many things at once. */
#ifndef THRUM_MEM_H
#define THRUM_MEM_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stdarg.h>
#include <stddef.h>

TH_BEGIN_DECLS

/*
 * Where Thrum gets its memory. The functions are called by any thread, several at once, with a size
 * of at least 1; they must not call back into Thrum. Blocks are aligned as malloc's are.
 */
typedef struct th_allocator {
    size_t size;                                         /* sizeof(th_allocator) */
    void *(*malloc)(void *ctx, size_t size);             /* NULL when there is none */
    void *(*realloc)(void *ctx, void *ptr, size_t size); /* ptr is never NULL; as realloc(3) */
    void (*free)(void *ctx, void *ptr);                  /* ptr is never NULL */
    void *ctx;                                           /* handed to the three */
} th_allocator;

/**
 * Replaces the allocator, before Thrum has allocated anything.
 *
 * Stacks of fibers, and what the libraries under Thrum allocate for themselves, do not come from
 * it.
 *
 * @param allocator  in, borrowed for the call: all three functions set, size filled in; ctx must
 *                   stay valid to the end of the process
 * @return 0
 * @return -EINVAL  allocator is NULL, its size is unknown or a function is missing
 * @return -EBUSY   something was allocated already, or an allocator was set before
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_allocator_set(const th_allocator *allocator);

/*
 * An arena: memory that is handed out piece by piece and given back all at once. It is caller's
 * storage; the fields are private and visible only so that th_arena_alloc() can be inline. One
 * thread, or one fiber and those it passes the arena to, uses it at a time.
 */
typedef struct th_arena {
    char *pos_;                      /* next free byte of the current chunk, aligned */
    char *end_;                      /* end of what may be handed out of it */
    char *start_;                    /* where the current chunk began to be handed out */
    struct th_arena_chunk_ *chunks_; /* heap chunks; the current one is first */
    char *storage_;                  /* the caller's first chunk, aligned, or NULL */
    size_t storage_size_;            /* its usable bytes */
    size_t closed_;                  /* bytes handed out of other chunks than the current one */
    size_t limit_;                   /* most bytes to hand out */
} th_arena;

/* Alignment of all that an arena hands out, and the unit in which it counts. */
#define TH_ARENA_ALIGN 16

/**
 * Makes an empty arena. Allocates nothing.
 *
 * @param arena         out: caller's storage
 * @param storage       in, borrowed until th_arena_deinit(): memory to hand out first; may be NULL
 * @param storage_size  in: its size in bytes; 0 when NULL
 * @param limit         in: most bytes to hand out, each piece rounded up to TH_ARENA_ALIGN; 0 means
 *                      no limit
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_arena_init(th_arena *arena, void *storage, size_t storage_size, size_t limit);

/**
 * Frees all that the arena handed out, and its memory.
 *
 * @param arena  in: an initialised arena; may be initialised again afterwards. NULL is a no-op
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_arena_deinit(th_arena *arena);

/**
 * Frees all that the arena handed out, to begin again.
 *
 * It keeps its first chunk (the caller's storage, if given) for what comes next.
 *
 * @param arena  in: an initialised arena
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_arena_reset(th_arena *arena);

/**
 * Tells how much the arena has handed out.
 *
 * @param arena  in: an initialised arena
 * @return bytes since it was initialised or reset, each piece rounded up to TH_ARENA_ALIGN
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline size_t th_arena_used(const th_arena *arena)
{
    return arena->closed_ + (size_t)(arena->pos_ - arena->start_);
}

/* What th_arena_alloc() does when the current chunk is too small. Not to be called directly. */
TH_API TH_MUST void *th_arena_alloc_more_(th_arena *arena, size_t size);

/**
 * Hands out memory.
 *
 * @param arena  in: an initialised arena
 * @param size   in: bytes; 0 counts as 1
 * @return memory aligned to TH_ARENA_ALIGN, with undefined content, valid until the arena is reset
 *         or deinitialised; NULL when the limit is reached or there is no memory
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_MUST static inline void *th_arena_alloc(th_arena *arena, size_t size)
{
    size_t need = (size + (TH_ARENA_ALIGN - 1)) & ~(size_t)(TH_ARENA_ALIGN - 1);
    char *pos = arena->pos_;
    /* need is 0 for size 0 and for a size that overflows: both wrap around here and take the slow
     * way */
    if (TH_LIKELY(need - 1 < (size_t)(arena->end_ - pos))) {
        arena->pos_ = pos + need;
        return pos;
    }
    return th_arena_alloc_more_(arena, size);
}

/**
 * Hands out zeroed memory for an array.
 *
 * @param arena  in: an initialised arena
 * @param n      in: number of elements
 * @param size   in: bytes of each
 * @return as th_arena_alloc(), zeroed; NULL also when n * size overflows
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST void *th_arena_calloc(th_arena *arena, size_t n, size_t size);

/**
 * Copies a byte string into the arena and puts a NUL after it.
 *
 * @param arena  in: an initialised arena
 * @param text   in, borrowed for the call
 * @return the copy, valid until the arena is reset or deinitialised; NULL when the limit is reached
 *         or there is no memory
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST char *th_arena_strdup(th_arena *arena, th_str text);

/**
 * Formats into the arena, as sprintf(3).
 *
 * @param arena   in: an initialised arena
 * @param format  in, borrowed for the call: a printf format, followed by its arguments
 * @return the NUL-terminated text, valid until the arena is reset or deinitialised; NULL when the
 *         limit is reached, there is no memory, or the format is wrong
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST char *th_arena_printf(th_arena *arena, const char *format, ...) TH_PRINTF(2, 3);

/**
 * Formats into the arena, as vsprintf(3).
 *
 * @param arena   in: an initialised arena
 * @param format  in, borrowed for the call: a printf format
 * @param args    in: its arguments; undefined after the call
 * @return as th_arena_printf()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST char *th_arena_vprintf(th_arena *arena, const char *format, va_list args)
    TH_PRINTF(2, 0);

TH_END_DECLS

#endif
