/* SPDX-License-Identifier: MIT */

/*
 * SipHash (Aumasson and Bernstein, 2012) with one round per word and three at the end: the variant
 * that languages use for their hash tables. It keeps an attacker from aiming at a table; it is not
 * a message authentication code.
 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static void mix(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static struct state start(thi_siphash_key key)
{
    return (struct state){
        .v0 = key.k0 ^ 0x736f6d6570736575,
        .v1 = key.k1 ^ 0x646f72616e646f6d,
        .v2 = key.k0 ^ 0x6c7967656e657261,
        .v3 = key.k1 ^ 0x7465646279746573,
    };
}

static void add_word(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s);
    s->v0 ^= word;
}

static uint64_t finish(struct state *s)
{
    s->v2 ^= 0xff;
    mix(s);
    mix(s);
    mix(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Up to eight bytes as a number, the first the least significant, whatever the machine's order. */
static uint64_t read_word(const unsigned char *bytes, size_t n)
{
    uint64_t word = 0;
    if (n > 0)
        memcpy(&word, bytes, n);
    return le64toh(word);
}

uint64_t thi_siphash(thi_siphash_key key, const void *data, size_t len)
{
    struct state s = start(key);
    const unsigned char *bytes = data;
    size_t rest = len;
    for (; rest >= 8; rest -= 8, bytes += 8)
        add_word(&s, read_word(bytes, 8));
    add_word(&s, (uint64_t)len << 56 | read_word(bytes, rest));
    return finish(&s);
}

uint64_t thi_siphash_u64(thi_siphash_key key, uint64_t number)
{
    struct state s = start(key);
    add_word(&s, number);
    add_word(&s, (uint64_t)8 << 56);
    return finish(&s);
}
