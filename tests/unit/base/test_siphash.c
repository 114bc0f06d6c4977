/* SPDX-License-Identifier: MIT */

/* Tests of SipHash-1-3 against numbers from other implementations. */
#include "base/siphash.h"

#include "check_main.h"

#include <stddef.h>

static void fill_ascending(unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)i;
}

START_TEST(hash_agrees_with_cpython)
{
    /* PYTHONHASHSEED=0 python3.11 -c 'print(hex(hash(bytes(range(N))) % 2**64))' */
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {
        { 1, 0x68a914128e01e473 },  { 2, 0x010bac45c41e3669 },  { 7, 0x2f098ab0c751325a },
        { 8, 0xead411e67ebe2eea },  { 9, 0x75927f9d95124362 },  { 15, 0xf30eb725bb91c9ea },
        { 16, 0x8972188433a5c5b7 }, { 17, 0x4883c49a2c009c1d }, { 63, 0x385d3e39e5f37359 },
        { 64, 0x75e05fd5bbc870c6 },
    };
    unsigned char bytes[64];
    fill_ascending(bytes, sizeof bytes);
    thi_siphash_key zero = { 0, 0 };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_uint_eq(thi_siphash(zero, bytes, rows[i].len), rows[i].hash);
}
END_TEST

START_TEST(hash_depends_on_the_whole_key)
{
    /* The first vector of Rust's SipHasher13: no bytes, the key 00 01 … 0f. */
    thi_siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
    ck_assert_uint_eq(thi_siphash(key, NULL, 0), 0xabac0158050fc4dc);
    thi_siphash_key other = key;
    other.k1 ^= 1;
    ck_assert_uint_ne(thi_siphash(other, NULL, 0), 0xabac0158050fc4dc);
}
END_TEST

START_TEST(number_hashes_like_its_eight_bytes)
{
    unsigned char bytes[8];
    fill_ascending(bytes, sizeof bytes);
    thi_siphash_key key = { 1, 2 };
    ck_assert_uint_eq(thi_siphash_u64(key, 0x0706050403020100), thi_siphash(key, bytes, 8));
}
END_TEST

START_TEST(alignment_does_not_matter)
{
    unsigned char bytes[40];
    fill_ascending(bytes, 32);
    thi_siphash_key key = { 3, 4 };
    uint64_t expected = thi_siphash(key, bytes, 32);
    fill_ascending(bytes + 1, 32);
    ck_assert_uint_eq(thi_siphash(key, bytes + 1, 32), expected);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *hash = thi_check_case(suite, "hash");
    tcase_add_test(hash, hash_agrees_with_cpython);
    tcase_add_test(hash, hash_depends_on_the_whole_key);
    tcase_add_test(hash, number_hashes_like_its_eight_bytes);
    tcase_add_test(hash, alignment_does_not_matter);
}

int main(void)
{
    return thi_check_run("base/siphash", fill);
}
