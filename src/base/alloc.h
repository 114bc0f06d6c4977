/* SPDX-License-Identifier: MIT */

/*
 * The one way to heap memory: every allocation of the library goes through here, so that a user can
 * replace the allocator (th_allocator_set) and a test can make the n-th allocation fail.
 */
#ifndef THI_BASE_ALLOC_H
#define THI_BASE_ALLOC_H

#include <thrum/mem.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All return memory aligned for any type, or NULL when there is none. A size of 0 counts as 1. */
TH_MUST __attribute__((malloc, alloc_size(1))) void *thi_alloc(size_t size);

/* n objects of the given size, zeroed; NULL also when n * size overflows. */
TH_MUST __attribute__((malloc, alloc_size(1, 2))) void *thi_calloc(size_t n, size_t size);

/* ptr may be NULL. On failure the old block stays valid and NULL is returned. */
TH_MUST __attribute__((alloc_size(2))) void *thi_realloc(void *ptr, size_t size);

/* Grows or shrinks an array to n objects of the given size; checks n * size. */
TH_MUST __attribute__((alloc_size(2, 3))) void *thi_realloc_array(void *ptr, size_t n, size_t size);

/* NULL is a no-op. */
void thi_free(void *ptr);

/* A copy of len bytes with a NUL after them. */
TH_MUST __attribute__((malloc)) char *thi_strdup_n(const char *text, size_t len);

/*
 * For tests. Switches counting on (for the rest of the process) and makes the n-th allocation from
 * now, of any thread, fail once; n = 0 cancels the order. Returns how many allocations the previous
 * order still had to see: 0 when it struck or there was none. A torture loop therefore is
 *
 *     for (n = 1;; n++) {
 *         thi_alloc_fail_at(n);
 *         scenario();
 *         if (thi_alloc_fail_at(0) > 0)
 *             break;                           <- got through untouched
 *     }
 */
int64_t thi_alloc_fail_at(int64_t n);

/*
 * For tests. Live allocations since counting was switched on (by this or by the call above): only a
 * difference of two readings means something, because blocks from before are counted when freed.
 */
int64_t thi_alloc_live(void);

/* Set in builds where a sanitizer watches single heap blocks. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THI_ALLOC_SANITIZED 1
#elif defined(__has_feature)
#define THI_ALLOC_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define THI_ALLOC_SANITIZED 0
#endif

/*
 * Whether caches and arenas shall make each object a heap block of its own, because memory that
 * they reuse hides a use after free from the tools that look for it: true in a sanitizer build and
 * when the environment says THRUM_SLAB=malloc (for valgrind). Asked once, then remembered.
 */
bool thi_alloc_plain(void);

/*
 * Whether a cache that the whole process shares may keep freed blocks: nobody counts them or has
 * brought an allocator, and thi_alloc_plain() does not ask for the contrary.
 */
bool thi_alloc_may_keep(void);

#endif
