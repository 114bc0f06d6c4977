/* SPDX-License-Identifier: MIT */

/*
 * Pseudo-random numbers: fast, repeatable from a seed, not for secrets.
 *
 * The generator is xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", 2021). Where the seed comes from is the caller's matter: the system's entropy in
 * production, a given number in a simulation.
 */
#ifndef THI_BASE_RANDOM_H
#define THI_BASE_RANDOM_H

#include <stdint.h>

/* Caller's storage; one thread at a time. */
typedef struct thi_random {
    uint64_t state[4]; /* never all zero */
} thi_random;

/* Starts the sequence that belongs to the seed; every seed is good. */
void thi_random_seed(thi_random *random, uint64_t seed);

static inline uint64_t thi_random_rotate_(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

/* The next 64 bits. */
static inline uint64_t thi_random_next(thi_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = thi_random_rotate_(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = thi_random_rotate_(s[3], 45);
    return result;
}

/* A number from 0 to n - 1, each equally likely; n of 0 gives 0. */
static inline uint64_t thi_random_below(thi_random *random, uint64_t n)
{
    /*
     * Lemire, "Fast Random Integer Generation in an Interval", 2019: the high half of a 128-bit
     * product. Low halves under 2^64 mod n would be one too many for some results: draw again.
     */
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)thi_random_next(random) * n;
    if ((uint64_t)product < n)
        for (uint64_t least = -n % n; (uint64_t)product < least;)
            product = (wide)thi_random_next(random) * n;
    return (uint64_t)(product >> 64);
}

#endif
