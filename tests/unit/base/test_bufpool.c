/* SPDX-License-Identifier: MIT */

/* Tests of the cache of segments. */
#include "base/bufpool.h"

#include "base/alloc.h"

#include "check_main.h"

#include <stdint.h>

static volatile size_t huge = SIZE_MAX;

static size_t room(const thi_seg *seg)
{
    return (size_t)(seg->limit - seg->base);
}

START_TEST(segment_has_the_room_that_was_asked_for)
{
    static const struct {
        size_t wanted;
        size_t given;
        thi_seg_kind kind;
    } rows[] = {
        { 0, THI_SEG_SMALL_ROOM, THI_SEG_SMALL },
        { THI_SEG_SMALL_ROOM, THI_SEG_SMALL_ROOM, THI_SEG_SMALL },
        { THI_SEG_SMALL_ROOM + 1, THI_SEG_LARGE_ROOM, THI_SEG_LARGE },
        { THI_SEG_LARGE_ROOM, THI_SEG_LARGE_ROOM, THI_SEG_LARGE },
        { THI_SEG_LARGE_ROOM + 1, THI_SEG_LARGE_ROOM + 1, THI_SEG_SINGLE },
        { 1000000, 1000000, THI_SEG_SINGLE },
    };
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        thi_seg *seg = thi_bufpool_get(&pool, rows[i].wanted);
        ck_assert_uint_eq(room(seg), rows[i].given);
        ck_assert_int_eq(seg->kind, rows[i].kind);
        ck_assert_ptr_eq(seg->start, seg->base);
        ck_assert_ptr_eq(seg->end, seg->base);
        ck_assert_ptr_null(seg->next);
        seg->limit[-1] = 'x';
        ck_assert_uint_gt(pool.used_bytes, rows[i].given);
        thi_bufpool_put(&pool, seg);
        ck_assert_uint_eq(pool.used_bytes, 0);
    }
    thi_bufpool_deinit(&pool);
}
END_TEST

START_TEST(segment_put_last_is_got_first)
{
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    if (pool.plain)
        return;
    thi_seg *one = thi_bufpool_get(&pool, 1), *two = thi_bufpool_get(&pool, 1);
    thi_bufpool_put(&pool, one);
    thi_bufpool_put(&pool, two);
    ck_assert_uint_eq(pool.free_bytes, 2 * 4096);
    ck_assert_ptr_eq(thi_bufpool_get(&pool, 1), two);
    ck_assert_ptr_eq(thi_bufpool_get(&pool, 1), one);
    ck_assert_uint_eq(pool.free_bytes, 0);
    thi_bufpool_put(&pool, one);
    thi_bufpool_put(&pool, two);
    thi_bufpool_deinit(&pool);
}
END_TEST

START_TEST(pool_keeps_no_more_than_its_bound)
{
    enum { N = 300 };
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    int64_t before = thi_alloc_live();
    thi_seg *segs[N];
    for (int i = 0; i < N; i++)
        segs[i] = thi_bufpool_get(&pool, 1);
    for (int i = 0; i < N; i++)
        thi_bufpool_put(&pool, segs[i]);
    size_t kept = pool.plain ? 0 : THI_BUFPOOL_KEEP;
    ck_assert_uint_eq(pool.free_bytes, kept);
    ck_assert_int_eq(thi_alloc_live() - before, (int64_t)(kept / 4096));
    thi_bufpool_deinit(&pool);
    ck_assert_int_eq(thi_alloc_live(), before);
}
END_TEST

START_TEST(trim_frees_down_to_the_bound_given)
{
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    if (pool.plain)
        return;
    thi_seg *segs[] = { thi_bufpool_get(&pool, 1), thi_bufpool_get(&pool, 5000),
                        thi_bufpool_get(&pool, 1) };
    for (int i = 0; i < 3; i++)
        thi_bufpool_put(&pool, segs[i]);
    ck_assert_uint_eq(thi_bufpool_trim(&pool, 24 * 1024), 0);
    ck_assert_uint_eq(thi_bufpool_trim(&pool, 24 * 1024 - 1), 16 * 1024);
    ck_assert_uint_eq(thi_bufpool_trim(&pool, 4096), 4096);
    ck_assert_uint_eq(thi_bufpool_trim(&pool, 0), 4096);
    ck_assert_uint_eq(pool.free_bytes, 0);
    thi_bufpool_deinit(&pool);
}
END_TEST

START_TEST(plain_pool_keeps_nothing)
{
    setenv("THRUM_SLAB", "malloc", 1);
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    thi_bufpool_put(&pool, thi_bufpool_get(&pool, 1));
    ck_assert_uint_eq(pool.free_bytes, 0);
    thi_bufpool_deinit(&pool);
}
END_TEST

START_TEST(lack_of_memory_is_null)
{
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_bufpool_get(&pool, 1));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_bufpool_get(&pool, 100000));
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_bufpool_borrow(&pool, "x", 1));
    thi_alloc_fail_at(0);
    ck_assert_ptr_null(thi_bufpool_get(&pool, huge));
    ck_assert_uint_eq(pool.used_bytes, 0);
    thi_bufpool_deinit(&pool);
}
END_TEST

static void count(void *ctx)
{
    ++*(int *)ctx;
}

START_TEST(borrowed_bytes_are_released_when_put_back)
{
    thi_bufpool pool;
    thi_bufpool_init(&pool);
    int released = 0;
    thi_seg *seg = thi_bufpool_borrow(&pool, "abc", 3);
    seg->release = count;
    seg->ctx = &released;
    ck_assert_uint_eq(room(seg), 3);
    ck_assert_int_eq(released, 0);
    thi_bufpool_put(&pool, seg);
    ck_assert_int_eq(released, 1);
    thi_bufpool_put(&pool, thi_bufpool_borrow(&pool, "abc", 3));
    ck_assert_uint_eq(pool.used_bytes, 0);
    thi_bufpool_deinit(&pool);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *pool = thi_check_case(suite, "pool");
    tcase_add_test(pool, segment_has_the_room_that_was_asked_for);
    tcase_add_test(pool, segment_put_last_is_got_first);
    tcase_add_test(pool, pool_keeps_no_more_than_its_bound);
    tcase_add_test(pool, trim_frees_down_to_the_bound_given);
    tcase_add_test(pool, plain_pool_keeps_nothing);
    tcase_add_test(pool, lack_of_memory_is_null);
    tcase_add_test(pool, borrowed_bytes_are_released_when_put_back);
}

int main(void)
{
    return thi_check_run("base/bufpool", fill);
}
