/* SPDX-License-Identifier: MIT */

/*
 * The fibers of one worker: stacks from large mappings, each with a guard below it, reused last in
 * first out.
 */
#ifndef THI_FIBER_POOL_H
#define THI_FIBER_POOL_H

#include "fiber/fiber.h"

#define THI_STACK_CLASSES   9  /* 16 KiB to 4 MiB in powers of two */
#define THI_STACK_CLASS_MIN 14 /* log2 of the smallest */
#define THI_STACK_DEFAULT   (64 * 1024)
#define THI_STACK_GUARD     4096 /* bytes at the low end that a guard takes */

typedef struct thi_fiber_slab thi_fiber_slab;

/* One mapping of stacks, and their fibers. It stays where it is as long as its pool. */
struct thi_fiber_slab {
    thi_fiber_slab *next;
    char *low;     /* the mapping */
    size_t stride; /* bytes per stack, guard included */
    unsigned count;
    unsigned used;   /* stacks handed out so far; they are used in order */
    unsigned splits; /* guards by mprotect() among them */
    th_fiber fibers[];
};

typedef struct thi_fiber_pool {
    th_fiber *hot[THI_STACK_CLASSES];  /* stacks in memory */
    th_fiber *cold[THI_STACK_CLASSES]; /* beyond what is worth keeping warm: to be stripped */
    th_fiber *bare[THI_STACK_CLASSES]; /* stacks whose memory was given back */
    thi_fiber_slab *slabs;
    size_t hot_count;
    size_t total;               /* fibers that exist, free ones included */
    size_t unguarded;           /* stacks that have only a canary */
    void (*entry)(void *fiber); /* what a fresh context runs */
} thi_fiber_pool;

/* Prepares an empty pool whose fibers start in entry(fiber). */
void thi_fiber_pool_init(thi_fiber_pool *pool, void (*entry)(void *fiber));

/* Unmaps everything. No fiber may be alive. */
void thi_fiber_pool_deinit(thi_fiber_pool *pool);

/* The class of stacks of at least `size` bytes (0: the default); -EINVAL above the largest. */
TH_MUST int thi_stack_class(size_t size);

/*
 * Makes room for one more fiber of a class; called when no free one is at hand. -ENOMEM, -EAGAIN
 * when the kernel gives no further mapping.
 */
TH_MUST int thi_fiber_pool_grow(thi_fiber_pool *pool, unsigned stack_class);

/* Makes a fiber whose stack is bare usable again. */
void thi_fiber_pool_dress(thi_fiber_pool *pool, th_fiber *fiber);

/* Gives the memory of up to `max` cold stacks back to the system; returns whether any is left. */
bool thi_fiber_pool_strip(thi_fiber_pool *pool, size_t max);

/*
 * Makes a quarter of the free stacks cold that are kept warm beyond `keep`, at least COOL_MIN of
 * them. Called from time to time it has a crowd's memory given back soon after the crowd has left,
 * and costs little where crowds come and go.
 */
void thi_fiber_pool_cool(thi_fiber_pool *pool, size_t keep);

/* Whether a faulting address lies in the guard of one of the pool's stacks; then whose. */
th_fiber *thi_fiber_pool_overflowed(const thi_fiber_pool *pool, const void *address);

/* Calls fn for each fiber that is not free. */
void thi_fiber_pool_each(const thi_fiber_pool *pool, void (*fn)(th_fiber *fiber, void *arg),
                         void *arg);

/* Free stacks that are kept warm. To ThreadSanitizer each is a thread, which is dear. */
#ifdef __SANITIZE_THREAD__
#define THI_POOL_HOT_MAX 512
#else
#define THI_POOL_HOT_MAX 4096
#endif

/* What a stack without a guard carries in its lowest word. */
#define THI_STACK_CANARY UINT64_C(0x7468726d5f656e64)

/* Whether nothing has run over the low end of the stack (a guard would have caught it at once). */
static inline bool thi_stack_intact(const th_fiber *fiber)
{
    return fiber->guarded || *(const uint64_t *)(const void *)fiber->stack_low == THI_STACK_CANARY;
}

/* Takes a free fiber; NULL when there is no memory. */
static inline th_fiber *thi_fiber_pool_get(thi_fiber_pool *pool, unsigned stack_class)
{
    th_fiber *fiber = pool->hot[stack_class];
    if (TH_LIKELY(fiber != NULL)) {
        pool->hot[stack_class] = fiber->next;
        pool->hot_count--;
        return fiber;
    }
    th_fiber **list = pool->cold[stack_class] ? pool->cold : pool->bare;
    if (!list[stack_class] && thi_fiber_pool_grow(pool, stack_class) < 0)
        return NULL;
    fiber = list[stack_class];
    list[stack_class] = fiber->next;
    if (fiber->stack_bare)
        thi_fiber_pool_dress(pool, fiber);
    return fiber;
}

/* Gives a fiber back whose body has ended; it may still be running the switch away. */
static inline void thi_fiber_pool_put(thi_fiber_pool *pool, th_fiber *fiber)
{
    fiber->state = THI_FIBER_FREE;
    th_fiber **list = pool->cold;
    if (TH_LIKELY(pool->hot_count < THI_POOL_HOT_MAX)) {
        pool->hot_count++;
        list = pool->hot;
    }
    fiber->next = list[fiber->stack_class];
    list[fiber->stack_class] = fiber;
}

#endif
