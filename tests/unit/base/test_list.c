/* SPDX-License-Identifier: MIT */

/* Tests of the doubly linked list, against an array as the model. */
#include "base/list.h"

#include "base/random.h"

#include "check_main.h"

#include <string.h>

struct item {
    int value;
    thi_list link;
};

static int value_at(thi_list *node)
{
    return thi_list_item(node, struct item, link)->value;
}

/* Whether the list holds exactly these values, read in both directions. */
static bool holds(const thi_list *list, const int *values, size_t n)
{
    size_t i = 0;
    thi_list_each (node, list)
        if (i >= n || value_at(node) != values[i++])
            return false;
    if (i != n)
        return false;
    for (thi_list *node = list->prev; node != list; node = node->prev)
        if (i == 0 || value_at(node) != values[--i])
            return false;
    return i == 0;
}

/* One assertion for the whole list: each costs check a system call. */
static void expect(const thi_list *list, const int *values, size_t n)
{
    ck_assert(holds(list, values, n));
}

START_TEST(new_list_is_empty)
{
    thi_list list, *none = NULL;
    thi_list_init(&list);
    static thi_list fixed = THI_LIST_INIT(fixed);
    ck_assert(thi_list_empty(&list));
    ck_assert(thi_list_empty(&fixed));
    ck_assert_ptr_eq(thi_list_first(&list), none);
    ck_assert_ptr_eq(thi_list_last(&list), none);
    ck_assert_ptr_eq(thi_list_pop_front(&list), none);
    ck_assert_ptr_eq(thi_list_pop_back(&list), none);
}
END_TEST

START_TEST(both_ends_push_and_pop)
{
    thi_list list;
    thi_list_init(&list);
    struct item a = { .value = 1 }, b = { .value = 2 }, c = { .value = 3 };
    thi_list_push_back(&list, &b.link);
    thi_list_push_back(&list, &c.link);
    thi_list_push_front(&list, &a.link);
    expect(&list, (int[]){ 1, 2, 3 }, 3);
    ck_assert_ptr_eq(thi_list_first(&list), &a.link);
    ck_assert_ptr_eq(thi_list_last(&list), &c.link);
    ck_assert_ptr_eq(thi_list_pop_back(&list), &c.link);
    ck_assert_ptr_eq(thi_list_pop_front(&list), &a.link);
    expect(&list, (int[]){ 2 }, 1);
}
END_TEST

START_TEST(removed_node_is_unlinked_and_can_be_removed_again)
{
    thi_list list;
    thi_list_init(&list);
    struct item a = { .value = 1 };
    thi_list_init(&a.link);
    ck_assert(!thi_list_linked(&a.link));
    thi_list_push_back(&list, &a.link);
    ck_assert(thi_list_linked(&a.link));
    thi_list_remove(&a.link);
    ck_assert(!thi_list_linked(&a.link));
    thi_list_remove(&a.link);
    ck_assert(thi_list_empty(&list));
}
END_TEST

START_TEST(current_node_may_go_during_a_safe_walk)
{
    thi_list list;
    thi_list_init(&list);
    struct item items[6];
    for (int i = 0; i < 6; i++) {
        items[i].value = i;
        thi_list_push_back(&list, &items[i].link);
    }
    thi_list_each_safe (node, &list) {
        struct item *item = thi_list_item(node, struct item, link);
        if (item->value % 2 == 0) {
            thi_list_remove(node);
            memset(item, 0xff, sizeof *item);
        }
    }
    expect(&list, (int[]){ 1, 3, 5 }, 3);
}
END_TEST

START_TEST(splice_moves_all_in_order)
{
    thi_list list, other;
    thi_list_init(&list);
    thi_list_init(&other);
    struct item items[4];
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        thi_list_push_back(i < 2 ? &list : &other, &items[i].link);
    }
    thi_list_splice_back(&list, &other);
    expect(&list, (int[]){ 0, 1, 2, 3 }, 4);
    ck_assert(thi_list_empty(&other));
    thi_list_splice_back(&list, &other);
    expect(&list, (int[]){ 0, 1, 2, 3 }, 4);
    thi_list_splice_back(&other, &list);
    expect(&other, (int[]){ 0, 1, 2, 3 }, 4);
    ck_assert(thi_list_empty(&list));
}
END_TEST

enum { ITEMS = 64 };

static void model_insert(int *model, size_t n, size_t at, int value)
{
    memmove(model + at + 1, model + at, (n - at) * sizeof *model);
    model[at] = value;
}

static size_t model_find(const int *model, int value)
{
    size_t at = 0;
    while (model[at] != value)
        at++;
    return at;
}

START_TEST(random_operations_agree_with_an_array)
{
    thi_random random;
    thi_random_seed(&random, (uint64_t)_i);
    thi_list list;
    thi_list_init(&list);
    struct item items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        items[i].value = i;
        thi_list_init(&items[i].link);
    }
    int model[ITEMS];
    size_t n = 0;
    for (int step = 0; step < 5000; step++) {
        struct item *item = &items[thi_random_below(&random, ITEMS)];
        if (thi_list_linked(&item->link)) {
            size_t at = model_find(model, item->value);
            thi_list_remove(&item->link);
            memmove(model + at, model + at + 1, (--n - at) * sizeof *model);
        } else {
            size_t at = thi_random_below(&random, n + 1);
            thi_list_insert_before(at < n ? &items[model[at]].link : &list, &item->link);
            model_insert(model, n++, at, item->value);
        }
        expect(&list, model, n);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *list = thi_check_case(suite, "list");
    tcase_add_test(list, new_list_is_empty);
    tcase_add_test(list, both_ends_push_and_pop);
    tcase_add_test(list, removed_node_is_unlinked_and_can_be_removed_again);
    tcase_add_test(list, current_node_may_go_during_a_safe_walk);
    tcase_add_test(list, splice_moves_all_in_order);
    tcase_add_loop_test(list, random_operations_agree_with_an_array, 0, 3);
}

int main(void)
{
    return thi_check_run("base/list", fill);
}
