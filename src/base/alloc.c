/* SPDX-License-Identifier: MIT */

/*
 * The heap: libc's by default, a user's when one was set, and a counting one under test.
 *
 * One word, `mode`, decides. In the usual case it is DIRECT and an allocation costs one load and
 * one well predicted branch more than libc's own. The first allocation settles the choice: from
 * then on th_allocator_set() is refused, because a block must go back to where it came from.
 *
 *     FRESH     nothing was allocated yet: take the gate and settle
 *     DIRECT    call libc
 *     INDIRECT  call through `allocator`, and count if `counting`
 *
 * Counting is off until a test asks for it, and then uses shared atomics: their cost does not
 * matter there, and per-thread counters would have to be paid for by everybody else.
 */
#include "base/alloc.h"

#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum mode { FRESH, DIRECT, INDIRECT };

static void *libc_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void *libc_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return realloc(ptr, size);
}

static void libc_free(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held to change what follows */
static _Atomic(enum mode) mode = FRESH;
static th_allocator allocator = {
    .size = sizeof(th_allocator),
    .malloc = libc_malloc,
    .realloc = libc_realloc,
    .free = libc_free,
};
static atomic_bool counting;
static atomic_llong live;
static atomic_llong countdown; /* allocations until the one that fails; <= 0: none will */

static bool is_direct(void)
{
    return TH_LIKELY(atomic_load_explicit(&mode, memory_order_relaxed) == DIRECT);
}

/* Makes sure that the choice of allocator is made and visible to this thread. */
static void settle(void)
{
    if (atomic_load_explicit(&mode, memory_order_acquire) != FRESH)
        return;
    pthread_mutex_lock(&gate);
    if (atomic_load_explicit(&mode, memory_order_relaxed) == FRESH)
        atomic_store_explicit(&mode, DIRECT, memory_order_release);
    pthread_mutex_unlock(&gate);
}

int th_allocator_set(const th_allocator *custom)
{
    if (!custom || custom->size != sizeof *custom || !custom->malloc || !custom->realloc ||
        !custom->free)
        return -EINVAL;
    pthread_mutex_lock(&gate);
    bool fresh = atomic_load_explicit(&mode, memory_order_relaxed) == FRESH;
    if (fresh) {
        allocator = *custom;
        atomic_store_explicit(&mode, INDIRECT, memory_order_release);
    }
    pthread_mutex_unlock(&gate);
    return fresh ? 0 : -EBUSY;
}

/* Whether this is the allocation that a test ordered to fail. */
static bool must_fail(void)
{
    return atomic_load(&countdown) > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

/* Counts a block that was handed out (or not, when ptr is NULL). */
static void *counted(void *ptr)
{
    if (ptr && atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add(&live, 1);
    return ptr;
}

static void *alloc_indirect(size_t size)
{
    settle();
    return must_fail() ? NULL : counted(allocator.malloc(allocator.ctx, size));
}

void *thi_alloc(size_t size)
{
    size = thi_max(size, (size_t)1);
    return is_direct() ? malloc(size) : alloc_indirect(size);
}

void *thi_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    bytes = thi_max(bytes, (size_t)1);
    if (is_direct())
        return calloc(bytes, 1);
    void *ptr = alloc_indirect(bytes);
    return ptr ? memset(ptr, 0, bytes) : NULL;
}

void *thi_realloc(void *ptr, size_t size)
{
    size = thi_max(size, (size_t)1);
    if (is_direct())
        return realloc(ptr, size);
    if (!ptr)
        return alloc_indirect(size);
    return must_fail() ? NULL : allocator.realloc(allocator.ctx, ptr, size);
}

void *thi_realloc_array(void *ptr, size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : thi_realloc(ptr, bytes);
}

void thi_free(void *ptr)
{
    if (is_direct()) {
        free(ptr);
        return;
    }
    if (!ptr)
        return;
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_sub(&live, 1);
    allocator.free(allocator.ctx, ptr);
}

char *thi_strdup_n(const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? thi_alloc(len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static void count_from_now(void)
{
    pthread_mutex_lock(&gate);
    atomic_store(&counting, true);
    atomic_store_explicit(&mode, INDIRECT, memory_order_release);
    pthread_mutex_unlock(&gate);
}

int64_t thi_alloc_fail_at(int64_t n)
{
    count_from_now();
    return thi_max(atomic_exchange(&countdown, n), 0LL);
}

int64_t thi_alloc_live(void)
{
    count_from_now();
    return atomic_load(&live);
}

bool thi_alloc_plain(void)
{
#if THI_ALLOC_SANITIZED
    return true;
#else
    enum { UNKNOWN, NO, YES };
    static atomic_int answer = UNKNOWN;
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == UNKNOWN) {
        const char *choice = getenv("THRUM_SLAB");
        known = choice && strcmp(choice, "malloc") == 0 ? YES : NO;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == YES;
#endif
}

bool thi_alloc_may_keep(void)
{
    return is_direct() && !thi_alloc_plain();
}
