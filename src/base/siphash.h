/* SPDX-License-Identifier: MIT */

/* SipHash-1-3: a keyed hash, so that who does not know the seed cannot choose keys that collide. */
#ifndef THI_BASE_SIPHASH_H
#define THI_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* The 128-bit key. */
typedef struct thi_siphash_key {
    uint64_t k0, k1;
} thi_siphash_key;

/* The hash of len bytes. data may be NULL when len is 0. */
uint64_t thi_siphash(thi_siphash_key key, const void *data, size_t len);

/* The hash of the eight bytes of a number, least significant first. */
uint64_t thi_siphash_u64(thi_siphash_key key, uint64_t number);

#endif
