/* SPDX-License-Identifier: MIT */

/*
 * Slabs of stacks.
 *
 * A slab is one mapping that holds many stacks of a class side by side, and an array with their
 * fiber objects. Each stack's lowest page is its guard. A light guard (MADV_GUARD_INSTALL, Linux
 * 6.13) lives in the page tables and leaves the mapping whole; mprotect() splits it, and a process
 * may have only some 65,000 pieces. So guards by mprotect() are bought from a budget, and stacks
 * beyond it carry a canary in their lowest word, which is looked at whenever a fiber ends. So do
 * all stacks where pages are so large that a guard would be too dear a part of a stack.
 *
 * That the advice is accepted proves no guard: a kernel that is emulated by another, or a sandbox
 * in front of it, may wave through what it does not know. So the process's first light guard is
 * tried, and if it does not hold, no other is put.
 *
 * Huge pages are refused: with them each touched stack would cost two megabytes.
 *
 * Objects on neighbouring stacks would share their cache sets, since all stacks are aligned alike.
 * So the first frame of each stack is moved down by a colour of its own.
 */
#include "fiber/pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/util.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define SLAB_BYTES   (UINT64_C(64) << 20)
#define SLAB_MIN     16
#define SPLIT_BUDGET 12000 /* guards by mprotect; each costs two of 65,530 mappings allowed */
#define COOL_MIN     64
#define COLOURS      8
#define COLOUR_STEP  128

/* Of the whole process, which has one kernel. */
enum { UNTRIED, PROVEN, ABSENT };
static atomic_int light_guards; /* one of these; only the first ever changes */
static atomic_int splits;

void thi_fiber_pool_init(thi_fiber_pool *pool, void (*entry)(void *fiber))
{
    *pool = (thi_fiber_pool){ .entry = entry };
}

int thi_stack_class(size_t size)
{
    if (size == 0)
        size = THI_STACK_DEFAULT;
    for (unsigned c = 0; c < THI_STACK_CLASSES; c++)
        if (size <= (size_t)1 << (THI_STACK_CLASS_MIN + c))
            return (int)c;
    return -EINVAL;
}

void thi_fiber_pool_deinit(thi_fiber_pool *pool)
{
    while (pool->slabs) {
        thi_fiber_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        for (unsigned i = 0; i < slab->used; i++) {
            th_fiber *fiber = &slab->fibers[i];
            TH_ASSERT(fiber->state == THI_FIBER_FREE);
            if (!fiber->stack_bare)
                thi_context_deinit(&fiber->context);
        }
        atomic_fetch_sub(&splits, slab->splits);
        thi_sys_munmap(slab->low, slab->stride * slab->count);
        thi_free(slab);
    }
}

/* Puts a guard from the budget below a stack. */
static bool install_split(thi_fiber_slab *slab, char *low)
{
    if (atomic_fetch_add(&splits, 1) < SPLIT_BUDGET &&
        thi_sys_mprotect(low, THI_STACK_GUARD, PROT_NONE) == 0) {
        slab->splits++;
        return true;
    }
    atomic_fetch_sub(&splits, 1);
    return false;
}

static void settle_light_guards(int found)
{
    atomic_store_explicit(&light_guards, found, memory_order_relaxed);
}

/*
 * Whether the light guard that was just put holds. To compare a futex word the kernel must read it:
 * in a guard that is EFAULT; in plain new memory the word is 0, not 1, which is EAGAIN. Neither
 * waits, signals, or needs a descriptor. Any other answer leaves it open, and this one guard is
 * not relied on.
 */
static bool light_guard_holds(char *low)
{
    if (atomic_load_explicit(&light_guards, memory_order_relaxed) == PROVEN)
        return true;
    int err = thi_sys_futex_wait((uint32_t *)(void *)low, 1, 0);
    if (err == -EFAULT)
        settle_light_guards(PROVEN);
    else if (err == -EAGAIN)
        settle_light_guards(ABSENT);
    return err == -EFAULT;
}

/* Puts the guard below a stack: the light one, or one from the budget, or none. */
static bool install_guard(thi_fiber_slab *slab, char *low)
{
    if (thi_machine_page_size() != THI_STACK_GUARD)
        return false;
    if (atomic_load_explicit(&light_guards, memory_order_relaxed) != ABSENT) {
        int err = thi_sys_madvise(low, THI_STACK_GUARD, MADV_GUARD_INSTALL);
        if (err == 0 && light_guard_holds(low))
            return true;
        if (err == -EINVAL) /* the kernel knows no such advice and never will */
            settle_light_guards(ABSENT);
    }
    return install_split(slab, low);
}

static int new_slab(thi_fiber_pool *pool, unsigned stack_class)
{
    size_t stride = (size_t)1 << (THI_STACK_CLASS_MIN + stack_class);
    unsigned count = (unsigned)thi_max((size_t)(SLAB_BYTES / stride), (size_t)SLAB_MIN);
    thi_fiber_slab *slab = thi_calloc(1, sizeof *slab + count * sizeof slab->fibers[0]);
    if (!slab)
        return -ENOMEM;
    void *low = NULL;
    int err = thi_sys_mmap(&low, stride * count, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (err < 0) {
        thi_free(slab);
        return err;
    }
    (void)thi_sys_madvise(low, stride * count,
                          MADV_NOHUGEPAGE); /* no such pages: nothing to refuse */
    slab->low = low;
    slab->stride = stride;
    slab->count = count;
    slab->next = pool->slabs;
    pool->slabs = slab;
    return 0;
}

static thi_fiber_slab *slab_with_room(const thi_fiber_pool *pool, unsigned stack_class)
{
    size_t stride = (size_t)1 << (THI_STACK_CLASS_MIN + stack_class);
    for (thi_fiber_slab *slab = pool->slabs; slab; slab = slab->next)
        if (slab->stride == stride)
            return slab->used < slab->count ? slab : NULL; /* only the newest can have room */
    return NULL;
}

int thi_fiber_pool_grow(thi_fiber_pool *pool, unsigned stack_class)
{
    thi_fiber_slab *slab = slab_with_room(pool, stack_class);
    if (!slab) {
        int err = new_slab(pool, stack_class);
        if (err < 0)
            return err;
        slab = pool->slabs;
    }
    char *low = slab->low + slab->used * slab->stride;
    th_fiber *fiber = &slab->fibers[slab->used++];
    fiber->stack_class = (uint8_t)stack_class;
    fiber->guarded = install_guard(slab, low);
    fiber->stack_low = fiber->guarded ? low + THI_STACK_GUARD : low;
    fiber->stack_size = slab->stride - (size_t)(fiber->stack_low - low);
    fiber->stack_bare = true;
    fiber->next = pool->bare[stack_class];
    pool->bare[stack_class] = fiber;
    pool->total++;
    pool->unguarded += !fiber->guarded;
    return 0;
}

void thi_fiber_pool_dress(thi_fiber_pool *pool, th_fiber *fiber)
{
    size_t colour = ((uintptr_t)fiber->stack_low >> (THI_STACK_CLASS_MIN + fiber->stack_class)) %
                    COLOURS * COLOUR_STEP;
    thi_context_init(&fiber->context, fiber->stack_low, fiber->stack_size - colour, pool->entry,
                     fiber);
    if (!fiber->guarded)
        *(uint64_t *)(void *)fiber->stack_low = THI_STACK_CANARY;
    fiber->stack_bare = false;
}

static size_t strip_class(thi_fiber_pool *pool, unsigned stack_class, size_t max)
{
    size_t done = 0;
    for (; done < max && pool->cold[stack_class]; done++) {
        th_fiber *fiber = pool->cold[stack_class];
        pool->cold[stack_class] = fiber->next;
        thi_context_deinit(&fiber->context);
        (void)thi_sys_madvise(fiber->stack_low, fiber->stack_size, MADV_DONTNEED);
        fiber->stack_bare = true;
        fiber->next = pool->bare[stack_class];
        pool->bare[stack_class] = fiber;
    }
    return done;
}

bool thi_fiber_pool_strip(thi_fiber_pool *pool, size_t max)
{
    bool left = false;
    for (unsigned c = 0; c < THI_STACK_CLASSES; c++) {
        max -= strip_class(pool, c, max);
        left |= pool->cold[c] != NULL;
    }
    return left;
}

void thi_fiber_pool_cool(thi_fiber_pool *pool, size_t keep)
{
    size_t excess = pool->hot_count > keep ? pool->hot_count - keep : 0;
    size_t left = thi_min(excess, thi_max(excess / 4, (size_t)COOL_MIN));
    for (unsigned c = THI_STACK_CLASSES; c-- > 0;) {
        for (; left > 0 && pool->hot[c]; left--, pool->hot_count--) {
            th_fiber *fiber = pool->hot[c];
            pool->hot[c] = fiber->next;
            fiber->next = pool->cold[c];
            pool->cold[c] = fiber;
        }
    }
}

th_fiber *thi_fiber_pool_overflowed(const thi_fiber_pool *pool, const void *address)
{
    const char *at = address;
    for (thi_fiber_slab *slab = pool->slabs; slab; slab = slab->next) {
        if (at < slab->low || at >= slab->low + slab->stride * slab->count)
            continue;
        th_fiber *fiber = &slab->fibers[(size_t)(at - slab->low) / slab->stride];
        return at < fiber->stack_low ? fiber : NULL;
    }
    return NULL;
}

void thi_fiber_pool_each(const thi_fiber_pool *pool, void (*fn)(th_fiber *fiber, void *arg),
                         void *arg)
{
    for (thi_fiber_slab *slab = pool->slabs; slab; slab = slab->next)
        for (unsigned i = 0; i < slab->used; i++)
            if (slab->fibers[i].state != THI_FIBER_FREE)
                fn(&slab->fibers[i], arg);
}
