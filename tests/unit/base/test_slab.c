/* SPDX-License-Identifier: MIT */

/* Tests of the object cache, both with shared blocks and with a heap block per object. */
#include "base/slab.h"

#include "base/alloc.h"
#include "base/random.h"

#include "check_main.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* The loop index of a test: 0 shares blocks, 1 makes each object a block. */
static void choose(int plain)
{
    setenv("THRUM_SLAB", plain ? "malloc" : "", 1);
}

START_TEST(objects_are_aligned_distinct_and_whole)
{
    choose(_i);
    thi_slab slab;
    thi_slab_init(&slab, 100);
    unsigned char *objects[1000];
    for (int i = 0; i < 1000; i++) {
        objects[i] = thi_slab_alloc(&slab);
        ck_assert_ptr_nonnull(objects[i]);
        ck_assert_uint_eq((uintptr_t)objects[i] % 16, 0);
        memset(objects[i], i & 255, 100);
    }
    ck_assert_uint_eq(thi_slab_live(&slab), 1000);
    for (int i = 0; i < 1000; i++) {
        unsigned char expected[100];
        memset(expected, i & 255, sizeof expected);
        ck_assert_mem_eq(objects[i], expected, sizeof expected);
        thi_slab_free(&slab, objects[i]);
    }
    ck_assert_uint_eq(thi_slab_live(&slab), 0);
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(any_size_works)
{
    choose(_i);
    static const size_t sizes[] = { 1, 15, 16, 17, 4096, 100000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        thi_slab slab;
        thi_slab_init(&slab, sizes[i]);
        char *one = thi_slab_alloc(&slab), *two = thi_slab_alloc(&slab);
        memset(one, 1, sizes[i]);
        memset(two, 2, sizes[i]);
        ck_assert_int_eq(one[sizes[i] - 1], 1);
        thi_slab_free(&slab, one);
        thi_slab_free(&slab, two);
        thi_slab_deinit(&slab);
    }
}
END_TEST

START_TEST(null_is_no_object)
{
    choose(_i);
    thi_slab slab;
    thi_slab_init(&slab, 8);
    thi_slab_free(&slab, NULL);
    ck_assert_ptr_null(thi_slab_next(&slab, NULL));
    ck_assert_uint_eq(thi_slab_trim(&slab), 0);
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(last_freed_is_first_reused)
{
    choose(0);
    thi_slab slab;
    thi_slab_init(&slab, 64);
    void *one = thi_slab_alloc(&slab), *two = thi_slab_alloc(&slab);
    thi_slab_free(&slab, one);
    thi_slab_free(&slab, two);
    if (!slab.plain) {
        ck_assert_ptr_eq(thi_slab_alloc(&slab), two);
        ck_assert_ptr_eq(thi_slab_alloc(&slab), one);
        thi_slab_free(&slab, one);
        thi_slab_free(&slab, two);
    }
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(lack_of_memory_is_null_and_passes)
{
    choose(_i);
    thi_slab slab;
    thi_slab_init(&slab, 64);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_slab_alloc(&slab));
    ck_assert_uint_eq(thi_slab_live(&slab), 0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_slab_grow(&slab), -ENOMEM);
    void *object = thi_slab_alloc(&slab);
    ck_assert_ptr_nonnull(object);
    thi_slab_free(&slab, object);
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(trim_gives_back_what_nobody_uses)
{
    choose(0);
    enum { N = 1000 };
    thi_slab slab;
    thi_slab_init(&slab, 64);
    int64_t before = thi_alloc_live();
    void *objects[N];
    for (int i = 0; i < N; i++)
        objects[i] = thi_slab_alloc(&slab);
    ck_assert_msg(thi_slab_trim(&slab) == 0, "every block is in use");
    for (int i = 1; i < N; i++)
        thi_slab_free(&slab, objects[i]);
    size_t spare = thi_slab_spare(&slab);
    size_t trimmed = thi_slab_trim(&slab);
    ck_assert_uint_eq(thi_slab_spare(&slab), spare - trimmed);
    ck_assert_int_eq(thi_alloc_live() - before, 1);
    ck_assert_ptr_eq(thi_slab_next(&slab, NULL), objects[0]);
    for (int i = 1; i < N; i++)
        objects[i] = thi_slab_alloc(&slab);
    for (int i = 0; i < N; i++)
        thi_slab_free(&slab, objects[i]);
    thi_slab_trim(&slab);
    ck_assert_uint_eq(thi_slab_spare(&slab), 0);
    ck_assert_int_eq(thi_alloc_live(), before);
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(current_object_may_be_freed_during_a_walk)
{
    choose(_i);
    thi_slab slab;
    thi_slab_init(&slab, 24);
    for (int i = 0; i < 500; i++)
        ck_assert_ptr_nonnull(thi_slab_alloc(&slab));
    int seen = 0;
    for (void *object = thi_slab_next(&slab, NULL), *next; object; object = next, seen++) {
        next = thi_slab_next(&slab, object);
        thi_slab_free(&slab, object);
    }
    ck_assert_int_eq(seen, 500);
    thi_slab_deinit(&slab);
}
END_TEST

enum { OBJECTS = 200 };

/* Asserts that a walk shows each live object once, and no other. */
static void expect_walk(const thi_slab *slab, int **objects)
{
    bool seen[OBJECTS] = { false };
    size_t count = 0, wrong = 0;
    for (int *object = thi_slab_next(slab, NULL); object; object = thi_slab_next(slab, object)) {
        wrong += objects[*object] != object || seen[*object];
        seen[*object] = true;
        count++;
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(count, thi_slab_live(slab));
}

START_TEST(walk_shows_exactly_the_live_objects)
{
    choose(_i);
    thi_random random;
    thi_random_seed(&random, 3);
    thi_slab slab;
    thi_slab_init(&slab, 1000);
    int *objects[OBJECTS] = { NULL };
    for (int step = 0; step < 2000; step++) {
        int i = (int)thi_random_below(&random, OBJECTS);
        if (objects[i]) {
            thi_slab_free(&slab, objects[i]);
            objects[i] = NULL;
        } else {
            objects[i] = thi_slab_alloc(&slab);
            *objects[i] = i;
        }
        if (step % 50 == 0)
            thi_slab_trim(&slab);
        expect_walk(&slab, objects);
    }
    for (int i = 0; i < OBJECTS; i++)
        thi_slab_free(&slab, objects[i]);
    thi_slab_deinit(&slab);
}
END_TEST

START_TEST(second_free_is_found_out)
{
    choose(0);
    thi_slab slab;
    thi_slab_init(&slab, 64);
    void *object = thi_slab_alloc(&slab);
    if (slab.plain)
        abort(); /* the sanitizer would find it */
    close(STDERR_FILENO);
    thi_slab_free(&slab, object);
    thi_slab_free(&slab, object);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *both = thi_check_case(suite, "shared and plain");
    tcase_add_loop_test(both, objects_are_aligned_distinct_and_whole, 0, 2);
    tcase_add_loop_test(both, any_size_works, 0, 2);
    tcase_add_loop_test(both, null_is_no_object, 0, 2);
    tcase_add_loop_test(both, lack_of_memory_is_null_and_passes, 0, 2);
    tcase_add_loop_test(both, current_object_may_be_freed_during_a_walk, 0, 2);
    tcase_add_loop_test(both, walk_shows_exactly_the_live_objects, 0, 2);
    TCase *shared = thi_check_case(suite, "shared");
    tcase_add_test(shared, last_freed_is_first_reused);
    tcase_add_test(shared, trim_gives_back_what_nobody_uses);
    tcase_add_test_raise_signal(shared, second_free_is_found_out, SIGABRT);
}

int main(void)
{
    return thi_check_run("base/slab", fill);
}
