/* SPDX-License-Identifier: MIT */

/* Small things of general use: from member to object, lengths, bounds, powers of two, flags. */
#ifndef THI_BASE_UTIL_H
#define THI_BASE_UTIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The object of which *ptr is the given member. The conditional is never taken; it makes the
 * compiler compare the type of ptr with that of the member.
 */
#define thi_container_of(ptr, type, member)                                                        \
    ((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

/* The number of elements of an array; not for pointers. */
#define thi_array_len(array) (sizeof(array) / sizeof((array)[0]))

/* Both evaluate each argument exactly once and want both of the same type. */
#define thi_min(a, b)                                                                              \
    __extension__({                                                                                \
        __auto_type thi_min_a_ = (a);                                                              \
        __typeof__(thi_min_a_) thi_min_b_ = (b);                                                   \
        thi_min_a_ < thi_min_b_ ? thi_min_a_ : thi_min_b_;                                         \
    })
#define thi_max(a, b)                                                                              \
    __extension__({                                                                                \
        __auto_type thi_max_a_ = (a);                                                              \
        __typeof__(thi_max_a_) thi_max_b_ = (b);                                                   \
        thi_max_a_ > thi_max_b_ ? thi_max_a_ : thi_max_b_;                                         \
    })

/* Cache line size that hot per-thread data is aligned to, so that no two threads share a line. */
#define THI_CACHE_LINE 64

/* Tells the processor that the caller waits in a loop. */
static inline void thi_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether n is a power of two; 0 is none. */
static inline bool thi_is_pow2(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* Rounds n up to a multiple of align, a power of two. The caller rules out overflow. */
static inline size_t thi_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/*
 * Raises a flag for somebody who first changes something and then looks at the flag, while the
 * caller looks for such a change next: one of the two sees the other.
 *
 * A sequentially consistent store would do by the book. But where the processor is emulated on one
 * that reorders more than it (Arm by qemu on x86), the look passes the store; a change that both
 * reads and writes is a full barrier there, too. It is the same instruction on x86, and a flag like
 * this is raised where a thread is about to sleep.
 */
static inline void thi_raise(atomic_bool *flag)
{
    (void)atomic_exchange(flag, true);
}

#endif
