/* SPDX-License-Identifier: MIT */

/* Tests of the small macros. */
#include "base/util.h"

#include "check_main.h"

#include <pthread.h>
#include <sched.h>

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

/* ---- flags ---- */

enum { ROUNDS = 20000 };

static atomic_bool raised[2];
static bool unseen[2]; /* whether each found that the other one's was down */
static atomic_int begun, done;

static void raise_and_look(int me)
{
    thi_raise(&raised[me]);
    unseen[me] = !atomic_load(&raised[!me]);
}

static void *raise_second(void *arg)
{
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&begun) < round)
            sched_yield();
        for (volatile int i = 0; i < round % 7; i++)
            ;
        raise_and_look(1);
        atomic_store(&done, round);
    }
    return arg;
}

START_TEST(of_two_who_raise_flags_and_look_one_sees_the_other)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, raise_second, NULL), 0);
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_store(&raised[0], false);
        atomic_store(&raised[1], false);
        atomic_store(&begun, round);
        for (volatile int i = 0; i < round % 5; i++)
            ;
        raise_and_look(0);
        while (atomic_load(&done) < round)
            sched_yield();
        ck_assert(!unseen[0] || !unseen[1]);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
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
    tcase_add_test(macros, of_two_who_raise_flags_and_look_one_sees_the_other);
}

int main(void)
{
    return thi_check_run("base/util", fill);
}
