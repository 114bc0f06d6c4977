/* SPDX-License-Identifier: MIT */

/* Seeding of the pseudo-random generator. */
#include "base/random.h"

/*
 * SplitMix64 spreads the seed over the state, as the authors of xoshiro advise: near seeds give
 * unrelated sequences, and four successive outputs are never all zero.
 */
void thi_random_seed(thi_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        random->state[i] = z ^ (z >> 31);
    }
}
