/* SPDX-License-Identifier: MIT */

/* What a queue holds: orders, and room that grows and shrinks under them. */
#include "sync/store.h"

#include "base/alloc.h"
#include "base/random.h"
#include "base/util.h"
#include "check_main.h"

#include <string.h>

/* Items are numbers; by priority the tens decide. */
static int by_tens(const void *a, const void *b, void *arg)
{
    intptr_t x = (intptr_t)a / 10;
    intptr_t y = (intptr_t)b / 10;
    ck_assert_ptr_eq(arg, by_tens);
    return x < y ? -1 : x > y;
}

static thi_store make(int order)
{
    return (thi_store){ .order = order, .compare = by_tens, .compare_arg = (void *)by_tens };
}

static void change_size(thi_store *store, size_t size)
{
    void *room = thi_store_make_room(store, size);
    ck_assert_ptr_nonnull(room);
    thi_free(thi_store_move(store, room, size));
    ck_assert_uint_eq(store->size, size);
}

static void push(thi_store *store, intptr_t item)
{
    if (!thi_store_has_room(store))
        change_size(store, thi_store_larger(store));
    thi_store_push(store, (void *)item);
}

static intptr_t pop(thi_store *store)
{
    intptr_t item = (intptr_t)thi_store_pop(store);
    size_t smaller = thi_store_smaller(store);
    if (smaller > 0)
        change_size(store, smaller);
    return item;
}

static void expect_order(int order, const int *items)
{
    static const int pushed[] = { 21, 13, 32, 11, 24, 12 };
    thi_store store = make(order);
    for (size_t i = 0; i < thi_array_len(pushed); i++)
        push(&store, pushed[i]);
    for (size_t i = 0; i < thi_array_len(pushed); i++)
        ck_assert_int_eq(pop(&store), items[i]);
    ck_assert_uint_eq(thi_store_count(&store), 0);
    thi_free(store.room);
}

START_TEST(items_leave_in_their_order)
{
    expect_order(TH_QUEUE_FIFO, (int[]){ 21, 13, 32, 11, 24, 12 });
    expect_order(TH_QUEUE_LIFO, (int[]){ 12, 24, 11, 32, 13, 21 });
    expect_order(TH_QUEUE_PRIORITY, (int[]){ 13, 11, 12, 21, 24, 32 });
}
END_TEST

START_TEST(room_grows_by_doubling_and_shrinks_when_most_of_it_is_empty)
{
    thi_store store = make(_i);
    ck_assert(!thi_store_has_room(&store));
    for (intptr_t i = 0; i < 1000; i++)
        push(&store, i);
    ck_assert_uint_eq(store.size, 1024);
    while (thi_store_count(&store) > 129)
        (void)pop(&store);
    ck_assert_uint_eq(store.size, 1024);
    (void)pop(&store);
    ck_assert_uint_eq(store.size, 256);
    while (thi_store_count(&store) > 0)
        (void)pop(&store);
    ck_assert_uint_eq(store.size, THI_STORE_MIN);
    thi_free(store.room);
}
END_TEST

START_TEST(room_of_an_impossible_size_is_refused)
{
    thi_store store = make(TH_QUEUE_PRIORITY);
    ck_assert_ptr_null(thi_store_make_room(&store, SIZE_MAX / 8));
    ck_assert_ptr_null(thi_store_make_room(&store, SIZE_MAX));
}
END_TEST

/* The slow and simple way. */
typedef struct model {
    intptr_t items[256];
    size_t count;
} model;

static intptr_t model_pop(model *m, int order)
{
    size_t at = order == TH_QUEUE_LIFO ? m->count - 1 : 0;
    for (size_t i = 1; order == TH_QUEUE_PRIORITY && i < m->count; i++)
        if (m->items[i] / 10 < m->items[at] / 10)
            at = i;
    intptr_t item = m->items[at];
    m->count--;
    memmove(&m->items[at], &m->items[at + 1], (m->count - at) * sizeof m->items[0]);
    return item;
}

START_TEST(it_does_what_a_simple_list_does)
{
    thi_random random;
    model m = { .count = 0 };
    thi_store store = make(_i);
    thi_random_seed(&random, 4711);
    for (int step = 0; step < 200000; step++) {
        /* Fuller and emptier in turn, so that the ring's seam and its size move about. */
        bool wants_more = thi_random_below(&random, 100) < (step / 1000 % 2 ? 35 : 65);
        if (m.count == 0 || (wants_more && m.count < thi_array_len(m.items))) {
            intptr_t item = (intptr_t)thi_random_below(&random, 100);
            m.items[m.count++] = item;
            push(&store, item);
        } else {
            ck_assert_int_eq(pop(&store), model_pop(&m, _i));
        }
        ck_assert_uint_eq(thi_store_count(&store), m.count);
    }
    thi_free(store.room);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "store");
    tcase_add_test(tcase, items_leave_in_their_order);
    tcase_add_loop_test(tcase, room_grows_by_doubling_and_shrinks_when_most_of_it_is_empty,
                        TH_QUEUE_FIFO, TH_QUEUE_PRIORITY + 1);
    tcase_add_test(tcase, room_of_an_impossible_size_is_refused);
    tcase_add_loop_test(tcase, it_does_what_a_simple_list_does, TH_QUEUE_FIFO,
                        TH_QUEUE_PRIORITY + 1);
}

int main(void)
{
    return thi_check_run("sync/store", fill);
}
