/* SPDX-License-Identifier: MIT */

/* Tests of the hash map, against plain arrays as the model. */
#include "base/map.h"

#include "base/alloc.h"
#include "base/random.h"

#include "check_main.h"

#include <errno.h>
#include <stdio.h>

static int one, two;

START_TEST(empty_map_has_nothing)
{
    thi_map map;
    thi_map_init(&map, 1);
    ck_assert_ptr_null(thi_map_get(&map, TH_STR("a")));
    ck_assert_ptr_null(thi_map_get_u64(&map, 0));
    ck_assert_ptr_null(thi_map_remove(&map, TH_STR("a")));
    ck_assert_ptr_null(thi_map_remove_u64(&map, 0));
    ck_assert_ptr_null(thi_map_next(&map, NULL));
    ck_assert_uint_eq(thi_map_count(&map), 0);
    thi_map_deinit(&map);
}
END_TEST

START_TEST(strings_are_found_by_their_bytes)
{
    thi_map map;
    thi_map_init(&map, 1);
    ck_assert_int_eq(thi_map_put(&map, TH_STR("a\0b"), &one), 0);
    ck_assert_int_eq(thi_map_put(&map, TH_STR(""), &two), 0);
    char key[3] = { 'a', '\0', 'b' };
    ck_assert_ptr_eq(thi_map_get(&map, th_str_make(key, 3)), &one);
    ck_assert_ptr_null(thi_map_get(&map, TH_STR("a\0c")));
    ck_assert_ptr_null(thi_map_get(&map, TH_STR("a")));
    ck_assert_ptr_eq(thi_map_get(&map, th_str_make(NULL, 0)), &two);
    ck_assert_ptr_eq(thi_map_remove(&map, th_str_make(key, 3)), &one);
    ck_assert_ptr_null(thi_map_get(&map, th_str_make(key, 3)));
    ck_assert_uint_eq(thi_map_count(&map), 1);
    thi_map_deinit(&map);
}
END_TEST

START_TEST(numbers_and_strings_do_not_meet)
{
    thi_map map;
    thi_map_init(&map, 1);
    ck_assert_int_eq(thi_map_put(&map, TH_STR("\1\0\0\0\0\0\0\0"), &one), 0);
    ck_assert_ptr_null(thi_map_get_u64(&map, 1));
    ck_assert_int_eq(thi_map_put_u64(&map, 1, &two), 0);
    ck_assert_uint_eq(thi_map_count(&map), 2);
    ck_assert_ptr_eq(thi_map_get(&map, TH_STR("\1\0\0\0\0\0\0\0")), &one);
    ck_assert_ptr_eq(thi_map_get_u64(&map, 1), &two);
    thi_map_deinit(&map);
}
END_TEST

START_TEST(put_replaces_value_and_key)
{
    thi_map map;
    thi_map_init(&map, 1);
    char old[] = "key", new[] = "key";
    ck_assert_int_eq(thi_map_put(&map, th_str_of(old), &one), 0);
    ck_assert_int_eq(thi_map_put(&map, th_str_of(new), &two), 0);
    old[0] = 'x'; /* nobody may look at it any more */
    ck_assert_uint_eq(thi_map_count(&map), 1);
    ck_assert_ptr_eq(thi_map_get(&map, TH_STR("key")), &two);
    thi_map_deinit(&map);
}
END_TEST

START_TEST(lack_of_memory_leaves_the_map_as_it_was)
{
    thi_map map;
    thi_map_init(&map, 1);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_map_put_u64(&map, 0, &one), -ENOMEM);
    ck_assert_uint_eq(thi_map_count(&map), 0);
    uint64_t n = 0;
    for (int failures = 0; failures < 8; n++) {
        thi_alloc_fail_at(1);
        if (thi_map_put_u64(&map, n, &one) == 0)
            continue;
        failures++;
        ck_assert_uint_eq(thi_map_count(&map), n);
        for (uint64_t key = 0; key < n; key++)
            ck_assert_ptr_eq(thi_map_get_u64(&map, key), &one);
        ck_assert_ptr_null(thi_map_get_u64(&map, n));
        thi_alloc_fail_at(0);
        ck_assert_int_eq(thi_map_put_u64(&map, n, &one), 0);
    }
    thi_alloc_fail_at(1);
    ck_assert_msg(thi_map_put_u64(&map, 0, &two) == 0, "replacing needs no memory");
    thi_map_deinit(&map);
}
END_TEST

START_TEST(deinit_leaves_an_empty_map)
{
    thi_map map;
    thi_map_init(&map, 1);
    ck_assert_int_eq(thi_map_put_u64(&map, 5, &one), 0);
    thi_map_deinit(&map);
    ck_assert_uint_eq(thi_map_count(&map), 0);
    ck_assert_ptr_null(thi_map_get_u64(&map, 5));
    ck_assert_int_eq(thi_map_put_u64(&map, 5, &two), 0);
    thi_map_deinit(&map);
}
END_TEST

START_TEST(seeds_give_different_orders)
{
    thi_map maps[2];
    for (uint64_t i = 0; i < 2; i++) {
        thi_map_init(&maps[i], i);
        for (uint64_t key = 0; key < 50; key++)
            ck_assert_int_eq(thi_map_put_u64(&maps[i], key, &one), 0);
    }
    const thi_map_entry *a = thi_map_next(&maps[0], NULL), *b = thi_map_next(&maps[1], NULL);
    int differ = 0;
    for (; a && b; a = thi_map_next(&maps[0], a), b = thi_map_next(&maps[1], b))
        differ += a->key.number != b->key.number;
    ck_assert_int_gt(differ, 0);
    thi_map_deinit(&maps[0]);
    thi_map_deinit(&maps[1]);
}
END_TEST

enum { KEYS = 300 };

/* For each possible key its text, and the value that the map should have. */
struct model {
    char texts[KEYS][16];
    void *by_text[KEYS];
    void *by_number[KEYS];
    size_t count;
};

/* Asserts little, because each assertion costs check a system call. */
static void expect_equal(const thi_map *map, const struct model *model)
{
    size_t wrong = 0, walked = 0;
    for (size_t i = 0; i < KEYS; i++) {
        wrong += thi_map_get(map, th_str_of(model->texts[i])) != model->by_text[i];
        wrong += thi_map_get_u64(map, i) != model->by_number[i];
    }
    for (const thi_map_entry *entry = NULL; (entry = thi_map_next(map, entry));)
        walked++;
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(walked, model->count);
    ck_assert_uint_eq(thi_map_count(map), model->count);
}

static void random_step(thi_random *random, thi_map *map, struct model *model, uint64_t put_odds)
{
    size_t i = thi_random_below(random, KEYS);
    bool text = thi_random_below(random, 2);
    void **cell = text ? &model->by_text[i] : &model->by_number[i];
    th_str key = th_str_of(model->texts[i]);
    if (thi_random_below(random, 10) < put_odds) {
        void *value = thi_random_below(random, 2) ? &one : &two;
        ck_assert_int_eq(text ? thi_map_put(map, key, value) : thi_map_put_u64(map, i, value), 0);
        model->count += *cell == NULL;
        *cell = value;
    } else {
        void *value = text ? thi_map_remove(map, key) : thi_map_remove_u64(map, i);
        ck_assert_ptr_eq(value, *cell);
        model->count -= *cell != NULL;
        *cell = NULL;
    }
}

START_TEST(random_operations_agree_with_arrays)
{
    thi_random random;
    thi_random_seed(&random, (uint64_t)_i);
    static struct model model;
    for (int i = 0; i < KEYS; i++)
        snprintf(model.texts[i], sizeof model.texts[i], "k%d", i);
    thi_map map;
    thi_map_init(&map, thi_random_next(&random));
    for (int step = 0; step < 6000; step++) {
        random_step(&random, &map, &model, step / 1000 % 2 ? 2 : 7); /* grow, shrink, grow … */
        if (step % 10 == 0)
            expect_equal(&map, &model);
    }
    thi_map_deinit(&map);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *map = thi_check_case(suite, "map");
    tcase_add_test(map, empty_map_has_nothing);
    tcase_add_test(map, strings_are_found_by_their_bytes);
    tcase_add_test(map, numbers_and_strings_do_not_meet);
    tcase_add_test(map, put_replaces_value_and_key);
    tcase_add_test(map, lack_of_memory_leaves_the_map_as_it_was);
    tcase_add_test(map, deinit_leaves_an_empty_map);
    tcase_add_test(map, seeds_give_different_orders);
    tcase_add_loop_test(map, random_operations_agree_with_arrays, 0, 5);
}

int main(void)
{
    return thi_check_run("base/map", fill);
}
