/* SPDX-License-Identifier: MIT */

/* Tests of the inbox: order, the word "was empty", and several producers at once. */
#include "base/mpsc.h"

#include "check_main.h"

#include <pthread.h>
#include <sched.h>

struct item {
    int producer;
    int number;
    thi_qnode node;
};

START_TEST(drain_takes_all_in_order_of_pushing)
{
    thi_mpsc inbox;
    thi_mpsc_init(&inbox);
    struct item items[5];
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        ck_assert_int_eq(thi_mpsc_push(&inbox, &items[i].node), i == 0);
    }
    ck_assert(!thi_mpsc_empty(&inbox));
    thi_queue queue;
    thi_queue_init(&queue);
    thi_mpsc_drain(&inbox, &queue);
    ck_assert(thi_mpsc_empty(&inbox));
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_eq(thi_queue_pop(&queue), &items[i].node);
    ck_assert(thi_queue_empty(&queue));
    ck_assert(thi_mpsc_push(&inbox, &items[0].node));
}
END_TEST

START_TEST(drain_appends_to_what_is_there)
{
    thi_mpsc inbox;
    thi_mpsc_init(&inbox);
    struct item items[2];
    thi_queue queue;
    thi_queue_init(&queue);
    thi_queue_push(&queue, &items[0].node);
    thi_mpsc_drain(&inbox, &queue);
    thi_mpsc_push(&inbox, &items[1].node);
    thi_mpsc_drain(&inbox, &queue);
    ck_assert_ptr_eq(thi_queue_pop(&queue), &items[0].node);
    ck_assert_ptr_eq(thi_queue_pop(&queue), &items[1].node);
}
END_TEST

enum { PRODUCERS = 4, EACH = 5000 };

static thi_mpsc shared;
static atomic_int found_empty;

static void *produce(void *arg)
{
    struct item *items = arg;
    for (int i = 0; i < EACH; i++)
        if (thi_mpsc_push(&shared, &items[i].node))
            atomic_fetch_add(&found_empty, 1);
    return NULL;
}

/* Takes what is there and asserts that each producer's items come in order; returns how many. */
static int consume(thi_queue *queue, int *next)
{
    int taken = 0;
    thi_mpsc_drain(&shared, queue);
    for (thi_qnode *node; (node = thi_queue_pop(queue)); taken++) {
        struct item *item = thi_queue_item(node, struct item, node);
        ck_assert_int_eq(item->number, next[item->producer]++);
    }
    return taken;
}

START_TEST(producers_at_once_lose_nothing_and_keep_their_order)
{
    static struct item items[PRODUCERS][EACH];
    pthread_t threads[PRODUCERS];
    thi_mpsc_init(&shared);
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < EACH; i++)
            items[p][i] = (struct item){ .producer = p, .number = i };
        ck_assert_int_eq(pthread_create(&threads[p], NULL, produce, items[p]), 0);
    }
    int next[PRODUCERS] = { 0 }, batches = 0, total = 0;
    thi_queue queue;
    thi_queue_init(&queue);
    while (total < PRODUCERS * EACH) {
        int taken = consume(&queue, next);
        batches += taken > 0;
        total += taken;
        if (taken == 0)
            sched_yield();
    }
    for (int p = 0; p < PRODUCERS; p++)
        pthread_join(threads[p], NULL);
    ck_assert_int_eq(total, PRODUCERS * EACH);
    ck_assert_msg(atomic_load(&found_empty) == batches, "each batch is announced exactly once");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *inbox = thi_check_case(suite, "inbox");
    tcase_add_test(inbox, drain_takes_all_in_order_of_pushing);
    tcase_add_test(inbox, drain_appends_to_what_is_there);
    tcase_add_test(inbox, producers_at_once_lose_nothing_and_keep_their_order);
}

int main(void)
{
    return thi_check_run("base/mpsc", fill);
}
