/* SPDX-License-Identifier: MIT */

/* Vectors for scan.h on aarch64. */
#ifndef THI_PROTO_SCAN_NEON_H
#define THI_PROTO_SCAN_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define THI_VEC_LEN 16

typedef uint8_t thi_vec __attribute__((vector_size(THI_VEC_LEN)));

static inline thi_vec thi_vec_load(const char *p)
{
    thi_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/*
 * Four bits a lane, the first lane lowest. NEON has no movemask; a shift by four that narrows
 * 16-bit pairs to bytes keeps a nibble of each lane and costs one instruction.
 */
static inline uint64_t thi_vec_mask(thi_vec v)
{
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8((uint8x16_t)v), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0);
}

/* The first lane that is set in a mask other than 0. */
static inline unsigned thi_vec_first(uint64_t mask)
{
    return (unsigned)__builtin_ctzll(mask) / 4;
}

/* The mask without its first n lanes; n is at most THI_VEC_LEN. */
static inline uint64_t thi_vec_skip(uint64_t mask, unsigned n)
{
    return n < THI_VEC_LEN ? mask >> (4 * n) : 0;
}

#endif
