/* SPDX-License-Identifier: MIT */

/* Vectors for scan.h on x86-64: 16 bytes with SSE2, 32 where the compiler may use AVX2. */
#ifndef THI_PROTO_SCAN_X86_H
#define THI_PROTO_SCAN_X86_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#define THI_VEC_LEN 32
#else
#define THI_VEC_LEN 16
#endif

typedef uint8_t thi_vec __attribute__((vector_size(THI_VEC_LEN)));

static inline thi_vec thi_vec_load(const char *p)
{
    thi_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* One bit a lane, the first lane lowest; each lane is all ones or all zeros. */
#if defined(__AVX2__)
static inline uint64_t thi_vec_mask(thi_vec v)
{
    return (uint32_t)_mm256_movemask_epi8((__m256i)v);
}
#else
static inline uint64_t thi_vec_mask(thi_vec v)
{
    return (uint32_t)_mm_movemask_epi8((__m128i)v);
}
#endif

/* The first lane that is set in a mask other than 0. */
static inline unsigned thi_vec_first(uint64_t mask)
{
    return (unsigned)__builtin_ctzll(mask);
}

/* The mask without its first n lanes; n is at most THI_VEC_LEN. */
static inline uint64_t thi_vec_skip(uint64_t mask, unsigned n)
{
    return mask >> n;
}

#endif
