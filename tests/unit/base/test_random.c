/* SPDX-License-Identifier: MIT */

/* Tests of the pseudo-random generator. */
#include "base/random.h"

#include "check_main.h"

START_TEST(sequence_is_that_of_the_published_algorithm)
{
    /* state { 1, 2, 3, 4 }: the test vector that other implementations of xoshiro256** use */
    thi_random random = { .state = { 1, 2, 3, 4 } };
    static const uint64_t expected[] = {
        11520, 0, 1509978240, 1215971899390074240, 1216172134540287360, 607988272756665600,
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        ck_assert_uint_eq(thi_random_next(&random), expected[i]);
}
END_TEST

START_TEST(seed_is_spread_by_splitmix)
{
    thi_random random;
    thi_random_seed(&random, 1234567);
    ck_assert_uint_eq(random.state[0], 6457827717110365317u);
    ck_assert_uint_eq(random.state[1], 3203168211198807973u);
    ck_assert_uint_eq(random.state[2], 9817491932198370423u);
    ck_assert_uint_eq(random.state[3], 4593380528125082431u);
}
END_TEST

START_TEST(seed_decides_the_sequence)
{
    thi_random one, same, other;
    thi_random_seed(&one, 0);
    thi_random_seed(&same, 0);
    thi_random_seed(&other, 1);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = thi_random_next(&one);
        ck_assert_uint_eq(value, thi_random_next(&same));
        equal += value == thi_random_next(&other);
    }
    ck_assert_int_eq(equal, 0);
}
END_TEST

START_TEST(below_stays_below)
{
    thi_random random;
    thi_random_seed(&random, 7);
    static const uint64_t bounds[] = { 1, 2, 3, 10, 1u << 31, (1ull << 63) + 1, UINT64_MAX };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        for (int k = 0; k < 1000; k++)
            ck_assert_uint_lt(thi_random_below(&random, bounds[i]), bounds[i]);
    ck_assert_uint_eq(thi_random_below(&random, 0), 0);
}
END_TEST

START_TEST(below_has_no_bias)
{
    /* Of 3 * 2^62 values a mere modulo would give the first third twice as often. */
    thi_random random;
    thi_random_seed(&random, 11);
    const uint64_t third = 1ull << 62;
    int hits[3] = { 0 };
    for (int i = 0; i < 30000; i++)
        hits[thi_random_below(&random, 3 * third) / third]++;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_gt(hits[i], 9500);
        ck_assert_int_lt(hits[i], 10500);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *sequence = thi_check_case(suite, "sequence");
    tcase_add_test(sequence, sequence_is_that_of_the_published_algorithm);
    tcase_add_test(sequence, seed_is_spread_by_splitmix);
    tcase_add_test(sequence, seed_decides_the_sequence);
    TCase *below = thi_check_case(suite, "below");
    tcase_add_test(below, below_stays_below);
    tcase_add_test(below, below_has_no_bias);
}

int main(void)
{
    return thi_check_run("base/random", fill);
}
