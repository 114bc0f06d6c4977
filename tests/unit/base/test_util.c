/* SPDX-License-Identifier: MIT */

/* Tests of the small macros. */
#include "base/util.h"

#include "check_main.h"

struct item {
    int before;
    int member;
};

START_TEST(container_of_leads_from_member_to_object)
{
    struct item item = { .before = 1, .member = 2 };
    ck_assert_ptr_eq(thi_container_of(&item.member, struct item, member), &item);
}
END_TEST

START_TEST(array_len_counts_elements)
{
    int three[3];
    ck_assert_uint_eq(thi_array_len(three), 3);
}
END_TEST

START_TEST(min_and_max_evaluate_once_and_pick)
{
    int calls = 0;
    ck_assert_int_eq(thi_min(++calls, 5), 1);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(thi_max(3, calls++), 3);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(thi_max(-1, thi_min(7, 4)), 4);
}
END_TEST

START_TEST(powers_of_two_are_recognised)
{
    ck_assert(!thi_is_pow2(0));
    ck_assert(thi_is_pow2(1));
    ck_assert(thi_is_pow2(2));
    ck_assert(!thi_is_pow2(3));
    ck_assert(thi_is_pow2(SIZE_MAX / 2 + 1));
    ck_assert(!thi_is_pow2(SIZE_MAX));
}
END_TEST

START_TEST(align_up_reaches_the_next_multiple)
{
    ck_assert_uint_eq(thi_align_up(0, 16), 0);
    ck_assert_uint_eq(thi_align_up(1, 16), 16);
    ck_assert_uint_eq(thi_align_up(16, 16), 16);
    ck_assert_uint_eq(thi_align_up(17, 16), 32);
    ck_assert_uint_eq(thi_align_up(17, 1), 17);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *macros = thi_check_case(suite, "macros");
    tcase_add_test(macros, container_of_leads_from_member_to_object);
    tcase_add_test(macros, array_len_counts_elements);
    tcase_add_test(macros, min_and_max_evaluate_once_and_pick);
    tcase_add_test(macros, powers_of_two_are_recognised);
    tcase_add_test(macros, align_up_reaches_the_next_multiple);
}

int main(void)
{
    return thi_check_run("base/util", fill);
}
