/* SPDX-License-Identifier: MIT */

/* Tests of the singly linked FIFO. */
#include "base/queue.h"

#include "check_main.h"

struct item {
    int value;
    thi_qnode node;
};

/* Pops everything and asserts that it is first, first + 1, … last. */
static void expect_run(thi_queue *queue, int first, int last)
{
    for (int value = first; value <= last; value++) {
        thi_qnode *node = thi_queue_pop(queue);
        ck_assert_ptr_nonnull(node);
        ck_assert_int_eq(thi_queue_item(node, struct item, node)->value, value);
    }
    ck_assert(thi_queue_empty(queue));
    ck_assert_ptr_null(thi_queue_pop(queue));
}

static void push_run(thi_queue *queue, struct item *items, int first, int last)
{
    for (int value = first; value <= last; value++) {
        items[value].value = value;
        thi_queue_push(queue, &items[value].node);
    }
}

START_TEST(first_in_is_first_out)
{
    struct item items[10];
    thi_queue queue;
    thi_queue_init(&queue);
    expect_run(&queue, 0, -1);
    push_run(&queue, items, 0, 9);
    ck_assert(!thi_queue_empty(&queue));
    expect_run(&queue, 0, 9);
    push_run(&queue, items, 3, 4);
    expect_run(&queue, 3, 4);
}
END_TEST

START_TEST(front_push_comes_before_all)
{
    struct item items[10];
    thi_queue queue;
    thi_queue_init(&queue);
    items[1].value = 1;
    thi_queue_push_front(&queue, &items[1].node);
    push_run(&queue, items, 2, 3);
    items[0].value = 0;
    thi_queue_push_front(&queue, &items[0].node);
    expect_run(&queue, 0, 3);
}
END_TEST

START_TEST(concat_keeps_order_and_empties_the_source)
{
    struct item items[10];
    thi_queue queue, from;
    thi_queue_init(&queue);
    thi_queue_init(&from);
    thi_queue_concat(&queue, &from);
    expect_run(&queue, 0, -1);

    push_run(&from, items, 0, 2);
    thi_queue_concat(&queue, &from);
    ck_assert(thi_queue_empty(&from));
    push_run(&from, items, 3, 5);
    thi_queue_concat(&queue, &from);
    push_run(&queue, items, 6, 7);
    thi_queue_concat(&queue, &from);
    expect_run(&queue, 0, 7);
    push_run(&from, items, 8, 8);
    expect_run(&from, 8, 8);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *queue = thi_check_case(suite, "queue");
    tcase_add_test(queue, first_in_is_first_out);
    tcase_add_test(queue, front_push_comes_before_all);
    tcase_add_test(queue, concat_keeps_order_and_empties_the_source);
}

int main(void)
{
    return thi_check_run("base/queue", fill);
}
