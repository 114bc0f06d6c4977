/* SPDX-License-Identifier: MIT */

/* Tests of the priority queue, against a sorted array as the model. */
#include "base/heap.h"

#include "base/random.h"

#include "check_main.h"

#include <string.h>

struct item {
    int value;
    thi_heap_node node;
};

static struct item *pop_item(thi_heap *heap)
{
    thi_heap_node *node = thi_heap_pop(heap);
    return node ? thi_heap_item(node, struct item, node) : NULL;
}

START_TEST(empty_heap_has_no_first)
{
    thi_heap heap;
    thi_heap_init(&heap);
    ck_assert_ptr_null(thi_heap_first(&heap));
    ck_assert_ptr_null(thi_heap_pop(&heap));
    ck_assert_uint_eq(thi_heap_count(&heap), 0);
}
END_TEST

START_TEST(nodes_leave_by_ascending_key)
{
    static const int64_t keys[] = { 5, INT64_MAX, -3, 0, INT64_MIN, 5, 1 };
    static const int64_t sorted[] = { INT64_MIN, -3, 0, 1, 5, 5, INT64_MAX };
    struct item items[7];
    memset(items, 0, sizeof items);
    thi_heap heap;
    thi_heap_init(&heap);
    for (int i = 0; i < 7; i++)
        thi_heap_push(&heap, &items[i].node, keys[i]);
    ck_assert_uint_eq(thi_heap_count(&heap), 7);
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(thi_heap_first(&heap)->key, sorted[i]);
        ck_assert_int_eq(pop_item(&heap)->node.key, sorted[i]);
    }
    ck_assert_uint_eq(thi_heap_count(&heap), 0);
}
END_TEST

START_TEST(equal_keys_leave_in_order_of_insertion)
{
    enum { N = 100 };
    struct item items[N];
    memset(items, 0, sizeof items);
    thi_heap heap;
    thi_heap_init(&heap);
    for (int i = 0; i < N; i++) {
        items[i].value = i;
        thi_heap_push(&heap, &items[i].node, 7);
    }
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(pop_item(&heap)->value, i);
}
END_TEST

START_TEST(removing_an_unlinked_node_does_nothing)
{
    thi_heap heap;
    thi_heap_init(&heap);
    struct item one, other;
    thi_heap_node_init(&one.node);
    thi_heap_node_init(&other.node);
    thi_heap_push(&heap, &one.node, 1);
    thi_heap_remove(&heap, &other.node);
    ck_assert_uint_eq(thi_heap_count(&heap), 1);
    ck_assert(thi_heap_linked(&one.node));
    thi_heap_remove(&heap, &one.node);
    ck_assert(!thi_heap_linked(&one.node));
    thi_heap_remove(&heap, &one.node);
    ck_assert_uint_eq(thi_heap_count(&heap), 0);
}
END_TEST

START_TEST(long_chain_needs_no_stack)
{
    /* Falling keys make a path as deep as the heap is large. */
    enum { N = 200000 };
    static struct item items[N];
    thi_heap heap;
    thi_heap_init(&heap);
    for (int i = 0; i < N; i++)
        thi_heap_push(&heap, &items[i].node, N - i);
    int wrong = 0;
    for (int i = 1; i <= N; i++)
        wrong += thi_heap_pop(&heap)->key != i;
    ck_assert_int_eq(wrong, 0);
}
END_TEST

enum { ITEMS = 200 };

/* The model: items by ascending key and, among equal keys, in order of insertion. */
struct model {
    struct item *sorted[ITEMS];
    size_t n;
};

static void model_push(struct model *model, struct item *item, int64_t key)
{
    size_t at = model->n++;
    for (; at > 0 && model->sorted[at - 1]->node.key > key; at--)
        model->sorted[at] = model->sorted[at - 1];
    model->sorted[at] = item;
}

static void model_remove(struct model *model, const struct item *item)
{
    size_t at = 0;
    while (model->sorted[at] != item)
        at++;
    model->n--;
    memmove(&model->sorted[at], &model->sorted[at + 1], (model->n - at) * sizeof model->sorted[0]);
}

static void random_step(thi_random *random, thi_heap *heap, struct model *model, struct item *items)
{
    struct item *item = &items[thi_random_below(random, ITEMS)];
    if (thi_random_below(random, 4) == 0 && model->n > 0) {
        struct item *expected = model->sorted[0];
        ck_assert_ptr_eq(pop_item(heap), expected);
        model_remove(model, expected);
    } else if (thi_heap_linked(&item->node)) {
        thi_heap_remove(heap, &item->node);
        model_remove(model, item);
    } else {
        int64_t key = (int64_t)thi_random_below(random, 20);
        thi_heap_push(heap, &item->node, key);
        model_push(model, item, key);
    }
}

START_TEST(random_operations_agree_with_a_sorted_array)
{
    thi_random random;
    thi_random_seed(&random, (uint64_t)_i);
    struct item items[ITEMS];
    memset(items, 0, sizeof items);
    struct model model = { .n = 0 };
    thi_heap heap;
    thi_heap_init(&heap);
    for (int step = 0; step < 10000; step++) {
        random_step(&random, &heap, &model, items);
        thi_heap_node *expected = model.n ? &model.sorted[0]->node : NULL;
        ck_assert(thi_heap_first(&heap) == expected && thi_heap_count(&heap) == model.n);
    }
    for (size_t i = 0; i < model.n; i++)
        ck_assert_ptr_eq(pop_item(&heap), model.sorted[i]);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *heap = thi_check_case(suite, "heap");
    tcase_add_test(heap, empty_heap_has_no_first);
    tcase_add_test(heap, nodes_leave_by_ascending_key);
    tcase_add_test(heap, equal_keys_leave_in_order_of_insertion);
    tcase_add_test(heap, removing_an_unlinked_node_does_nothing);
    tcase_add_test(heap, long_chain_needs_no_stack);
    tcase_add_loop_test(heap, random_operations_agree_with_a_sorted_array, 0, 5);
}

int main(void)
{
    return thi_check_run("base/heap", fill);
}
