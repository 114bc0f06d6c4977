/* SPDX-License-Identifier: MIT */

/* Spare blocks: used again, not without end, and never by two at once. */
#include "base/spares.h"

#include "base/alloc.h"
#include "check_main.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>

enum { SIZE = 64, THREADS = 3, ROUNDS = 20000, KEPT_AT_MOST = 1024 + 32, MANY = 4000 };

static thi_spares spares = { .size = SIZE };

/* In builds where each block is to be the heap's own, nothing is kept. */
START_TEST(a_freed_block_comes_back_where_blocks_may_be_kept)
{
    void *first = thi_spares_alloc(&spares);
    ck_assert_ptr_nonnull(first);
    uintptr_t where = (uintptr_t)first;
    thi_spares_free(&spares, first);
    ck_assert_uint_eq(atomic_load(&spares.count), thi_alloc_may_keep() ? 1 : 0);
    void *second = thi_spares_alloc(&spares);
    ck_assert(!thi_alloc_may_keep() || (uintptr_t)second == where);
    thi_spares_free(&spares, second);
}
END_TEST

START_TEST(no_more_are_kept_than_the_bound)
{
    static void *blocks[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++)
            ck_assert_ptr_nonnull(blocks[i] = thi_spares_alloc(&spares));
        for (int i = 0; i < MANY; i++)
            thi_spares_free(&spares, blocks[i]);
        ck_assert_uint_le(atomic_load(&spares.count), KEPT_AT_MOST);
    }
}
END_TEST

START_TEST(under_a_counting_heap_nothing_is_kept)
{
    int64_t before = thi_alloc_live();
    void *block = thi_spares_alloc(&spares);
    ck_assert_int_eq(thi_alloc_live() - before, 1);
    thi_spares_free(&spares, block);
    ck_assert_int_eq(thi_alloc_live() - before, 0);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_spares_alloc(&spares));
}
END_TEST

/* Allocates on one thread what others free; a block in use by two would lose its mark. */
static _Atomic(uint64_t *) desk[THREADS];
static atomic_int wrong;

static void *free_what_comes(void *arg)
{
    _Atomic(uint64_t *) *mine = arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t *block;
        while (!(block = atomic_exchange(mine, NULL)))
            sched_yield();
        if (block[1] != (uint64_t)(uintptr_t)mine)
            atomic_fetch_add(&wrong, 1);
        block[1] = 0;
        thi_spares_free(&spares, block);
    }
    return NULL;
}

static void *allocate_for(void *arg)
{
    _Atomic(uint64_t *) *other = arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t *block = thi_spares_alloc(&spares);
        if (!block)
            abort();
        block[1] = (uint64_t)(uintptr_t)other;
        while (atomic_load(other))
            sched_yield();
        atomic_store(other, block);
    }
    return NULL;
}

START_TEST(a_block_has_one_user_at_a_time)
{
    pthread_t threads[2 * THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, free_what_comes, &desk[i]), 0);
        ck_assert_int_eq(pthread_create(&threads[THREADS + i], NULL, allocate_for, &desk[i]), 0);
    }
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(atomic_load(&wrong), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "spares");
    tcase_add_test(tcase, a_freed_block_comes_back_where_blocks_may_be_kept);
    tcase_add_test(tcase, no_more_are_kept_than_the_bound);
    tcase_add_test(tcase, under_a_counting_heap_nothing_is_kept);
    tcase_add_test(tcase, a_block_has_one_user_at_a_time);
}

int main(void)
{
    return thi_check_run("base/spares", fill);
}
