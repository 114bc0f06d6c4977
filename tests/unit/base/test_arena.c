/* SPDX-License-Identifier: MIT */

/* Tests of arenas, both with shared chunks and with a heap block for each piece. */
#include <thrum/mem.h>

#include "base/alloc.h"

#include "check_main.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

static volatile size_t huge = SIZE_MAX;

/* The loop index of a test: 0 shares chunks, 1 makes each piece a block. */
static void choose(int plain)
{
    setenv("THRUM_SLAB", plain ? "malloc" : "", 1);
}

START_TEST(pieces_are_aligned_and_do_not_overlap)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    unsigned char *pieces[500];
    for (size_t i = 0; i < 500; i++) {
        size_t size = i * 7 % 300;
        pieces[i] = th_arena_alloc(&arena, size);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % TH_ARENA_ALIGN, 0);
        memset(pieces[i], (int)(i & 255), size);
    }
    for (size_t i = 0; i < 500; i++) {
        unsigned char expected[300];
        memset(expected, (int)(i & 255), sizeof expected);
        ck_assert_int_eq(memcmp(pieces[i], expected, i * 7 % 300), 0);
    }
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(used_counts_rounded_pieces)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 0));
    ck_assert_uint_eq(th_arena_used(&arena), 16);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 17));
    ck_assert_uint_eq(th_arena_used(&arena), 48);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 100000));
    ck_assert_uint_eq(th_arena_used(&arena), 48 + 100000);
    th_arena_reset(&arena);
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(limit_holds_at_the_byte)
{
    choose(_i);
    static const size_t limits[] = { 16, 4096, 100000 };
    for (size_t i = 0; i < 3; i++) {
        th_arena arena;
        th_arena_init(&arena, NULL, 0, limits[i]);
        ck_assert_ptr_null(th_arena_alloc(&arena, limits[i] + 1));
        ck_assert_uint_eq(th_arena_used(&arena), 0);
        ck_assert_ptr_nonnull(th_arena_alloc(&arena, limits[i]));
        ck_assert_ptr_null(th_arena_alloc(&arena, 1));
        th_arena_reset(&arena);
        for (size_t piece = 0; piece < limits[i] / 16; piece++)
            ck_assert_ptr_nonnull(th_arena_alloc(&arena, 16));
        ck_assert_ptr_null(th_arena_alloc(&arena, 1));
        th_arena_deinit(&arena);
    }
}
END_TEST

START_TEST(limit_holds_for_small_pieces_after_a_large_one)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 10016);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 16));
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 9984));
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 16));
    ck_assert_ptr_null(th_arena_alloc(&arena, 1));
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(limit_may_be_anything)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 15);
    ck_assert_ptr_null(th_arena_alloc(&arena, 1));
    th_arena_deinit(&arena);
    th_arena_init(&arena, NULL, 0, 40);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 32));
    ck_assert_ptr_null(th_arena_alloc(&arena, 1));
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(absurd_sizes_are_refused)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_ptr_null(th_arena_alloc(&arena, huge));
    ck_assert_ptr_null(th_arena_alloc(&arena, huge - 14));
    ck_assert_ptr_null(th_arena_alloc(&arena, huge - 15));
    ck_assert_ptr_null(th_arena_calloc(&arena, huge / 2, 3));
    ck_assert_ptr_null(th_arena_strdup(&arena, th_str_make("", huge)));
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(storage_is_used_first_and_kept_by_reset)
{
    choose(0);
    char storage[256 + 16];
    th_arena arena;
    th_arena_init(&arena, storage + 1, 256, 0);
    int64_t before = thi_alloc_live();
    char *first = th_arena_alloc(&arena, 200);
    bool inside = first >= storage && first < storage + sizeof storage;
    ck_assert_int_eq(inside, !thi_alloc_plain());
    ck_assert_uint_eq((uintptr_t)first % TH_ARENA_ALIGN, 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 200));
    th_arena_reset(&arena);
    ck_assert_int_eq(thi_alloc_live(), before);
    if (inside)
        ck_assert_ptr_eq(th_arena_alloc(&arena, 1), first);
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(useless_storage_is_ignored)
{
    choose(_i);
    _Alignas(16) char storage[32];
    th_arena arena;
    th_arena_init(&arena, storage + 1, 15, 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 1));
    th_arena_deinit(&arena);
    th_arena_init(&arena, storage, 0, 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 1));
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(reset_keeps_one_chunk)
{
    choose(0);
    th_arena arena;
    int64_t before = thi_alloc_live();
    th_arena_init(&arena, NULL, 0, 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(th_arena_alloc(&arena, 100));
    th_arena_reset(&arena);
    if (!thi_alloc_plain()) {
        ck_assert_int_eq(thi_alloc_live(), before + 1);
        ck_assert_ptr_nonnull(th_arena_alloc(&arena, 1000));
        ck_assert_int_eq(thi_alloc_live(), before + 1);
    }
    th_arena_deinit(&arena);
    ck_assert_int_eq(thi_alloc_live(), before);
}
END_TEST

START_TEST(deinit_leaves_a_usable_arena_and_takes_null)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 10));
    th_arena_deinit(&arena);
    th_arena_deinit(&arena);
    th_arena_deinit(NULL);
    ck_assert_uint_eq(th_arena_used(&arena), 0);
}
END_TEST

START_TEST(lack_of_memory_changes_nothing)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(th_arena_alloc(&arena, 10));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(th_arena_alloc(&arena, 100000));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(th_arena_strdup(&arena, TH_STR("abc")));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(th_arena_printf(&arena, "%d", 1));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(th_arena_calloc(&arena, 3, 3));
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    ck_assert_ptr_nonnull(th_arena_alloc(&arena, 10));
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(calloc_zeroes_reused_memory)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    char *dirty = th_arena_alloc(&arena, 64);
    memset(dirty, 1, 64);
    th_arena_reset(&arena);
    char *clean = th_arena_calloc(&arena, 8, 8);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(clean[i], 0);
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(strdup_terminates)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_str_eq(th_arena_strdup(&arena, th_str_make("abcdef", 3)), "abc");
    ck_assert_str_eq(th_arena_strdup(&arena, th_str_of(NULL)), "");
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(printf_fits_in_place_or_finds_a_place)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    char *texts[300];
    for (int i = 0; i < 300; i++)
        texts[i] = th_arena_printf(&arena, "%d-%*d", i, i, 7);
    for (int i = 0; i < 300; i++) {
        char expected[400];
        snprintf(expected, sizeof expected, "%d-%*d", i, i, 7);
        ck_assert_str_eq(texts[i], expected);
    }
    ck_assert_str_eq(th_arena_printf(&arena, "%s", ""), "");
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(printf_obeys_the_limit)
{
    choose(_i);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 16);
    ck_assert_ptr_null(th_arena_printf(&arena, "%s", "0123456789abcdef"));
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    ck_assert_str_eq(th_arena_printf(&arena, "%s", "0123456789abcde"), "0123456789abcde");
    th_arena_deinit(&arena);
}
END_TEST

START_TEST(printf_that_cannot_format_is_null)
{
    choose(_i);
    static const wchar_t not_in_the_locale[] = { 0x100, 0 };
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    ck_assert_ptr_null(th_arena_printf(&arena, "%ls", not_in_the_locale));
    ck_assert_uint_eq(th_arena_used(&arena), 0);
    th_arena_deinit(&arena);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *both = thi_check_case(suite, "shared and plain");
    tcase_add_loop_test(both, pieces_are_aligned_and_do_not_overlap, 0, 2);
    tcase_add_loop_test(both, used_counts_rounded_pieces, 0, 2);
    tcase_add_loop_test(both, limit_holds_at_the_byte, 0, 2);
    tcase_add_loop_test(both, limit_holds_for_small_pieces_after_a_large_one, 0, 2);
    tcase_add_loop_test(both, limit_may_be_anything, 0, 2);
    tcase_add_loop_test(both, absurd_sizes_are_refused, 0, 2);
    tcase_add_loop_test(both, useless_storage_is_ignored, 0, 2);
    tcase_add_loop_test(both, deinit_leaves_a_usable_arena_and_takes_null, 0, 2);
    tcase_add_loop_test(both, lack_of_memory_changes_nothing, 0, 2);
    tcase_add_loop_test(both, calloc_zeroes_reused_memory, 0, 2);
    tcase_add_loop_test(both, strdup_terminates, 0, 2);
    tcase_add_loop_test(both, printf_fits_in_place_or_finds_a_place, 0, 2);
    tcase_add_loop_test(both, printf_obeys_the_limit, 0, 2);
    tcase_add_loop_test(both, printf_that_cannot_format_is_null, 0, 2);
    TCase *shared = thi_check_case(suite, "shared");
    tcase_add_test(shared, storage_is_used_first_and_kept_by_reset);
    tcase_add_test(shared, reset_keeps_one_chunk);
}

int main(void)
{
    return thi_check_run("base/arena", fill);
}
