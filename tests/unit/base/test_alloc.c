/* SPDX-License-Identifier: MIT */

/* Tests of allocation: sizes at their limits, a replaced allocator, ordered failures, counting. */
#include "base/alloc.h"

#include "check_main.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* Sizes that the compiler must not see through, or it warns of what is being tested. */
static volatile size_t huge = SIZE_MAX;

START_TEST(size_zero_gives_a_block)
{
    void *one = thi_alloc(0), *two = thi_calloc(0, 8), *three = thi_realloc(NULL, 0);
    ck_assert_ptr_nonnull(one);
    ck_assert_ptr_nonnull(two);
    ck_assert_ptr_nonnull(three);
    three = thi_realloc(three, 0);
    ck_assert_ptr_nonnull(three);
    thi_free(one);
    thi_free(two);
    thi_free(three);
    thi_free(NULL);
}
END_TEST

START_TEST(calloc_zeroes_and_checks_the_product)
{
    unsigned char *zeroed = thi_calloc(3, 5);
    for (int i = 0; i < 15; i++)
        ck_assert_int_eq(zeroed[i], 0);
    thi_free(zeroed);
    ck_assert_ptr_null(thi_calloc(huge / 2, 3));
    ck_assert_ptr_null(thi_calloc(huge, huge));
    ck_assert_ptr_null(thi_realloc_array(NULL, huge / 4 + 1, 4));
}
END_TEST

START_TEST(realloc_keeps_content_and_failure_keeps_the_block)
{
    char *text = thi_strdup_n("abcdef", 3);
    ck_assert_str_eq(text, "abc");
    text = thi_realloc(text, 1000);
    ck_assert_str_eq(text, "abc");
    ck_assert_ptr_null(thi_realloc_array(text, huge, 2));
    ck_assert_str_eq(text, "abc");
    thi_free(text);
}
END_TEST

START_TEST(strdup_n_takes_empty_text_and_refuses_the_longest)
{
    char *text = thi_strdup_n(NULL, 0);
    ck_assert_str_eq(text, "");
    thi_free(text);
    ck_assert_ptr_null(thi_strdup_n("", huge));
}
END_TEST

START_TEST(ordered_allocation_fails_once)
{
    ck_assert_int_eq(thi_alloc_fail_at(2), 0);
    void *first = thi_alloc(1);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(thi_calloc(1, 1));
    void *third = thi_alloc(1);
    ck_assert_ptr_nonnull(third);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    thi_free(first);
    thi_free(third);
}
END_TEST

START_TEST(order_can_be_cancelled_and_tells_how_far_it_was)
{
    thi_alloc_fail_at(3);
    thi_free(thi_alloc(1));
    ck_assert_int_eq(thi_alloc_fail_at(0), 2);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    void *block = thi_alloc(1);
    ck_assert_ptr_nonnull(block);
    thi_free(block);
}
END_TEST

START_TEST(ordered_failure_of_realloc_keeps_the_block)
{
    char *text = thi_strdup_n("abc", 3);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_realloc(text, 100));
    ck_assert_str_eq(text, "abc");
    thi_free(text);
}
END_TEST

START_TEST(live_counts_blocks)
{
    int64_t before = thi_alloc_live();
    void *one = thi_alloc(1), *two = thi_realloc(NULL, 2);
    two = thi_realloc(two, 20);
    ck_assert_int_eq(thi_alloc_live() - before, 2);
    thi_free(one);
    thi_free(NULL);
    ck_assert_int_eq(thi_alloc_live() - before, 1);
    thi_free(two);
    ck_assert_int_eq(thi_alloc_live() - before, 0);
}
END_TEST

static void *allocate_and_free(void *arg)
{
    for (int i = 0; i < 10000; i++)
        thi_free(thi_alloc(16));
    return arg;
}

START_TEST(counting_is_right_with_threads)
{
    int64_t before = thi_alloc_live();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_and_free, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(thi_alloc_live(), before);
}
END_TEST

/* An allocator that counts its calls in ctx. */
struct calls {
    int malloc, realloc, free;
};

static void *count_malloc(void *ctx, size_t size)
{
    ((struct calls *)ctx)->malloc++;
    ck_assert_uint_ge(size, 1);
    return malloc(size);
}

static void *count_realloc(void *ctx, void *ptr, size_t size)
{
    ((struct calls *)ctx)->realloc++;
    ck_assert_ptr_nonnull(ptr);
    return realloc(ptr, size);
}

static void count_free(void *ctx, void *ptr)
{
    ((struct calls *)ctx)->free++;
    ck_assert_ptr_nonnull(ptr);
    free(ptr);
}

static th_allocator counting_allocator(struct calls *calls)
{
    return (th_allocator){
        .size = sizeof(th_allocator),
        .malloc = count_malloc,
        .realloc = count_realloc,
        .free = count_free,
        .ctx = calls,
    };
}

START_TEST(custom_allocator_gets_every_call)
{
    struct calls calls = { 0, 0, 0 };
    th_allocator custom = counting_allocator(&calls);
    ck_assert_int_eq(th_allocator_set(&custom), 0);
    thi_free(thi_alloc(0));
    unsigned char *zeroed = thi_calloc(10, 10);
    ck_assert_int_eq(zeroed[99], 0);
    zeroed = thi_realloc(zeroed, 200);
    thi_free(zeroed);
    thi_free(thi_realloc(NULL, 7));
    ck_assert_ptr_null(thi_calloc(huge, 2));
    ck_assert_int_eq(calls.malloc, 3);
    ck_assert_int_eq(calls.realloc, 1);
    ck_assert_int_eq(calls.free, 3);
}
END_TEST

START_TEST(custom_allocator_can_be_counted_and_made_to_fail)
{
    struct calls calls = { 0, 0, 0 };
    th_allocator custom = counting_allocator(&calls);
    ck_assert_int_eq(th_allocator_set(&custom), 0);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_alloc(1));
    ck_assert_int_eq(calls.malloc, 0);
    void *block = thi_alloc(1);
    ck_assert_int_eq(calls.malloc, 1);
    thi_free(block);
}
END_TEST

START_TEST(custom_allocator_is_refused_after_the_first_allocation)
{
    struct calls calls = { 0, 0, 0 };
    th_allocator custom = counting_allocator(&calls);
    thi_free(thi_alloc(1));
    ck_assert_int_eq(th_allocator_set(&custom), -EBUSY);
    thi_free(thi_alloc(1));
    ck_assert_int_eq(calls.malloc + calls.free, 0);
}
END_TEST

START_TEST(custom_allocator_is_refused_a_second_time)
{
    struct calls calls = { 0, 0, 0 };
    th_allocator custom = counting_allocator(&calls);
    ck_assert_int_eq(th_allocator_set(&custom), 0);
    ck_assert_int_eq(th_allocator_set(&custom), -EBUSY);
}
END_TEST

START_TEST(incomplete_allocator_is_misuse_and_changes_nothing)
{
    struct calls calls = { 0, 0, 0 };
    th_allocator good = counting_allocator(&calls), bad = good;
    ck_assert_int_eq(th_allocator_set(NULL), -EINVAL);
    bad.size = 1;
    ck_assert_int_eq(th_allocator_set(&bad), -EINVAL);
    bad = good;
    bad.malloc = NULL;
    ck_assert_int_eq(th_allocator_set(&bad), -EINVAL);
    bad = good;
    bad.realloc = NULL;
    ck_assert_int_eq(th_allocator_set(&bad), -EINVAL);
    bad = good;
    bad.free = NULL;
    ck_assert_int_eq(th_allocator_set(&bad), -EINVAL);
    ck_assert_int_eq(th_allocator_set(&good), 0);
}
END_TEST

START_TEST(plain_blocks_are_chosen_by_environment_or_sanitizer)
{
    setenv("THRUM_SLAB", "malloc", 1);
    ck_assert(thi_alloc_plain());
    unsetenv("THRUM_SLAB");
    ck_assert_msg(thi_alloc_plain(), "the answer must not change");
}
END_TEST

START_TEST(blocks_are_shared_by_default)
{
    setenv("THRUM_SLAB", "other", 1);
    ck_assert_int_eq(thi_alloc_plain(), THI_ALLOC_SANITIZED);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *sizes = thi_check_case(suite, "sizes");
    tcase_add_test(sizes, size_zero_gives_a_block);
    tcase_add_test(sizes, calloc_zeroes_and_checks_the_product);
    tcase_add_test(sizes, realloc_keeps_content_and_failure_keeps_the_block);
    tcase_add_test(sizes, strdup_n_takes_empty_text_and_refuses_the_longest);
    TCase *testing = thi_check_case(suite, "testing");
    tcase_add_test(testing, ordered_allocation_fails_once);
    tcase_add_test(testing, order_can_be_cancelled_and_tells_how_far_it_was);
    tcase_add_test(testing, ordered_failure_of_realloc_keeps_the_block);
    tcase_add_test(testing, live_counts_blocks);
    tcase_add_test(testing, counting_is_right_with_threads);
    TCase *custom = thi_check_case(suite, "custom");
    tcase_add_test(custom, custom_allocator_gets_every_call);
    tcase_add_test(custom, custom_allocator_can_be_counted_and_made_to_fail);
    tcase_add_test(custom, custom_allocator_is_refused_after_the_first_allocation);
    tcase_add_test(custom, custom_allocator_is_refused_a_second_time);
    tcase_add_test(custom, incomplete_allocator_is_misuse_and_changes_nothing);
    TCase *plain = thi_check_case(suite, "plain");
    tcase_add_test(plain, plain_blocks_are_chosen_by_environment_or_sanitizer);
    tcase_add_test(plain, blocks_are_shared_by_default);
}

int main(void)
{
    return thi_check_run("base/alloc", fill);
}
