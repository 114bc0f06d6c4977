/* SPDX-License-Identifier: MIT */

/* Queues: orders, bounds, closing, tasks, and waits that are broken off. */
#include "sync/parties.h"

#include "base/alloc.h"
#include "sync/queue.h"

#include <stdatomic.h>

static th_queue *queue;

/* Items are numbers. */
static void *item_of(intptr_t number)
{
    return (void *)number;
}

static th_queue *make(size_t capacity, int order, th_queue_compare_fn *compare)
{
    th_queue *q = NULL;
    th_queue_opts opts = { .capacity = capacity, .order = order, .compare = compare };
    ck_assert_int_eq(th_queue_new(&opts, &q), 0);
    return q;
}

static void put(intptr_t number)
{
    ck_assert_int_eq(th_queue_put(queue, item_of(number)), 0);
}

static intptr_t get(void)
{
    void *item = NULL;
    ck_assert_int_eq(th_queue_get(queue, &item), 0);
    return (intptr_t)item;
}

static void expect(intptr_t number)
{
    ck_assert_int_eq(get(), number);
}

/* Wants a call to fail so, with its output untouched. */
#define expect_nothing(call, result)                                                               \
    do {                                                                                           \
        void *item = item_of(4711);                                                                \
        ck_assert_int_eq(call(queue, &item), result);                                              \
        ck_assert_int_eq((intptr_t)item, 4711);                                                    \
    } while (0)

static int by_tens(const void *a, const void *b, void *arg)
{
    (void)arg;
    return (int)((intptr_t)a / 10 - (intptr_t)b / 10);
}

/* ---- without waiting ---- */

FIBER_TEST(items_leave_in_the_order_in_which_they_came)
{
    queue = make(0, TH_QUEUE_FIFO, NULL);
    for (int i = 1; i <= 100; i++)
        put(i);
    ck_assert_uint_eq(th_queue_len(queue), 100);
    for (int i = 1; i <= 100; i++)
        expect(i);
    ck_assert_uint_eq(th_queue_len(queue), 0);
    th_queue_free(queue);
}

FIBER_TEST(items_leave_in_the_opposite_order)
{
    queue = make(0, TH_QUEUE_LIFO, NULL);
    for (int i = 1; i <= 3; i++)
        put(i);
    expect(3);
    put(4);
    expect(4);
    expect(2);
    expect(1);
    th_queue_free(queue);
}

FIBER_TEST(items_leave_by_priority_and_equal_ones_as_they_came)
{
    static const int put_first[] = { 31, 22, 12, 32, 11, 21 };
    static const int got[] = { 12, 11, 22, 21, 31, 32 };
    queue = make(0, TH_QUEUE_PRIORITY, by_tens);
    for (size_t i = 0; i < thi_array_len(put_first); i++)
        put(put_first[i]);
    for (size_t i = 0; i < thi_array_len(got); i++)
        expect(got[i]);
    th_queue_free(queue);
}

FIBER_TEST(nothing_is_an_item_too)
{
    queue = make(1, TH_QUEUE_FIFO, NULL);
    put(0);
    ck_assert_uint_eq(th_queue_len(queue), 1);
    expect(0);
    th_queue_free(queue);
}

FIBER_TEST(a_bounded_one_holds_so_many_and_not_one_more)
{
    for (size_t capacity = 1; capacity <= 40; capacity++) {
        queue = make(capacity, TH_QUEUE_FIFO, NULL);
        expect_nothing(th_queue_tryget, -EAGAIN);
        for (size_t i = 0; i < capacity; i++)
            ck_assert_int_eq(th_queue_tryput(queue, item_of((intptr_t)i)), 0);
        ck_assert_int_eq(th_queue_tryput(queue, NULL), -EAGAIN);
        ck_assert_uint_eq(th_queue_len(queue), capacity);
        expect(0);
        ck_assert_int_eq(th_queue_tryput(queue, item_of((intptr_t)capacity)), 0);
        ck_assert_int_eq(th_queue_tryput(queue, NULL), -EAGAIN);
        for (size_t i = 1; i <= capacity; i++)
            expect((intptr_t)i);
        th_queue_free(queue);
    }
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    void *item;
    th_queue *none = NULL;
    ck_assert_int_eq(th_queue_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .size = 999 }, &none), -EINVAL);
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .order = -1 }, &none), -EINVAL);
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .order = 3 }, &none), -EINVAL);
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .order = TH_QUEUE_PRIORITY }, &none), -EINVAL);
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .compare = by_tens }, &none), -EINVAL);
    ck_assert_ptr_null(none);
    th_queue_free(NULL);
    queue = make(0, TH_QUEUE_FIFO, NULL);
    ck_assert_int_eq(th_queue_put(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_queue_tryput(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_queue_get(NULL, &item), -EINVAL);
    ck_assert_int_eq(th_queue_get(queue, NULL), -EINVAL);
    ck_assert_int_eq(th_queue_tryget(NULL, &item), -EINVAL);
    ck_assert_int_eq(th_queue_tryget(queue, NULL), -EINVAL);
    ck_assert_int_eq(th_queue_close(NULL), -EINVAL);
    ck_assert_int_eq(th_queue_task_done(NULL), -EINVAL);
    ck_assert_int_eq(th_queue_join(NULL), -EINVAL);
    ck_assert_uint_eq(th_queue_len(NULL), 0);
    th_queue_free(queue);
}

FIBER_TEST(what_need_not_wait_is_done_even_in_a_cancelled_scope)
{
    th_scope scope;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    open_cancelled_scope(&scope);
    expect_nothing(th_queue_get, -ECANCELED);
    put(1);
    ck_assert_int_eq(th_queue_put(queue, NULL), -ECANCELED);
    expect(1);
    ck_assert_int_eq(th_queue_join(queue), -ECANCELED);
    ck_assert_int_eq(th_queue_task_done(queue), 0);
    ck_assert_int_eq(th_queue_join(queue), 0);
    ck_assert_int_eq(th_queue_close(queue), 0);
    expect_nothing(th_queue_get, TH_EOF);
    close_scope(&scope);
    th_queue_free(queue);
}

FIBER_TEST(a_closed_one_gives_what_is_left_and_takes_nothing)
{
    queue = make(0, TH_QUEUE_FIFO, NULL);
    put(1);
    put(2);
    ck_assert_int_eq(th_queue_close(queue), 0);
    ck_assert_int_eq(th_queue_close(queue), TH_ECLOSED);
    ck_assert_int_eq(th_queue_put(queue, NULL), TH_ECLOSED);
    ck_assert_int_eq(th_queue_tryput(queue, NULL), TH_ECLOSED);
    expect(1);
    expect(2);
    for (int i = 0; i < 2; i++) {
        expect_nothing(th_queue_get, TH_EOF);
        expect_nothing(th_queue_tryget, TH_EOF);
    }
    ck_assert_int_eq(th_queue_put(queue, NULL), TH_ECLOSED);
    ck_assert_str_eq(th_errname(TH_ECLOSED), "TH_ECLOSED");
    th_queue_free(queue);
}

FIBER_TEST(what_is_left_in_one_that_is_freed_is_forgotten)
{
    queue = make(0, TH_QUEUE_PRIORITY, by_tens);
    for (int i = 0; i < 100; i++)
        put(i);
    th_queue_free(queue);
}

FIBER_TEST(room_comes_and_goes_with_the_items)
{
    queue = make(0, TH_QUEUE_FIFO, NULL);
    ck_assert_uint_eq(queue->items.size, 0);
    for (int i = 0; i < 5000; i++)
        put(i);
    ck_assert_uint_eq(queue->items.size, 8192);
    for (int i = 0; i < 5000; i++)
        expect(i);
    ck_assert_uint_eq(queue->items.size, THI_STORE_MIN);
    th_queue_free(queue);
}

/* ---- lack of memory ---- */

START_TEST(without_memory_there_is_no_queue)
{
    th_queue *q = NULL;
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_queue_new(NULL, &q), -ENOMEM);
    ck_assert_ptr_null(q);
}
END_TEST

/* Puts so many as there is room for, without memory for more; gives how many. */
static intptr_t put_without_memory(intptr_t first)
{
    thi_alloc_fail_at(1);
    intptr_t next = first;
    while (th_queue_put(queue, item_of(next)) == 0)
        next++;
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    return next;
}

FIBER_TEST(lack_of_memory_leaves_it_as_it_was)
{
    intptr_t next = 0;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    for (int round = 0; round < 8; round++) {
        intptr_t end = put_without_memory(next);
        ck_assert_uint_eq(th_queue_len(queue), (size_t)end);
        next = end;
        put(next++);
    }
    thi_alloc_fail_at(1); /* to make the room smaller fails, and that is no harm */
    for (intptr_t i = 0; i < next; i++)
        expect(i);
    thi_alloc_fail_at(0);
    expect_nothing(th_queue_tryget, -EAGAIN);
    th_queue_free(queue);
}

static int by_number(const void *a, const void *b, void *arg)
{
    (void)arg;
    return (int)((intptr_t)a - (intptr_t)b);
}

static int put_many(void *arg)
{
    intptr_t *put_in_all = arg;
    for (intptr_t i = 0; i < 200; i++) {
        int err = th_queue_put(queue, item_of(i));
        ck_assert(err == 0 || err == -ENOMEM);
        *put_in_all += err == 0;
    }
    ck_assert_int_eq(th_queue_close(queue), 0);
    return 0;
}

/* Puts and gets beside each other, so that room grows, shrinks, and is handed over. */
static void put_and_get_beside_each_other(size_t capacity)
{
    intptr_t put_in_all = 0;
    intptr_t got = 0;
    void *item;
    th_scope scope;
    open_scope(&scope);
    if (th_spawn(&scope, put_many, &put_in_all) != 0)
        ck_assert_int_eq(th_queue_close(queue), 0);
    for (; th_queue_get(queue, &item) == 0; got++)
        if (got % 7 == 0 && capacity == 0)
            th_yield();
    close_scope(&scope);
    ck_assert_int_eq(got, put_in_all);
}

FIBER_TEST(each_allocation_may_fail_and_no_item_is_lost)
{
    static const size_t capacities[] = { 0, 1, 30 };
    queue = make(0, TH_QUEUE_FIFO, NULL);
    put_and_get_beside_each_other(0); /* what is allocated once is there now */
    th_queue_free(queue);
    for (size_t c = 0; c < thi_array_len(capacities); c++) {
        int64_t live = thi_alloc_live();
        bool untouched = false;
        for (int64_t n = 1; !untouched; n++) {
            thi_alloc_fail_at(n);
            th_queue_opts opts = { .capacity = capacities[c],
                                   .order = TH_QUEUE_PRIORITY,
                                   .compare = by_number };
            int err = th_queue_new(&opts, &queue);
            ck_assert(err == 0 || err == -ENOMEM);
            if (err == 0) {
                put_and_get_beside_each_other(capacities[c]);
                th_queue_free(queue);
            }
            untouched = thi_alloc_fail_at(0) > 0;
            ck_assert_int_eq(thi_alloc_live(), live);
            ck_assert_int_lt(n, 100);
        }
    }
}

/* ---- waiting for an item ---- */

static int get_and_note(void *arg)
{
    (void)arg;
    note((char)get());
    return 0;
}

static void spawn_getters(th_scope *scope, int count)
{
    for (int i = 0; i < count; i++)
        spawn(scope, get_and_note, NULL);
    th_yield(); /* all of them wait now */
}

static void test_order_of_getters(int order, th_queue_compare_fn *compare)
{
    th_scope scope;
    memset(trace, 0, sizeof trace);
    queue = make(0, order, compare);
    open_scope(&scope);
    spawn_getters(&scope, 3);
    put('x');
    put('b');
    put('a');
    expect_nothing(th_queue_tryget, -EAGAIN); /* nobody gets in between */
    ck_assert_uint_eq(th_queue_len(queue), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "xba");
    ck_assert_uint_eq(queue->items.size, 0); /* handed over, never stored */
    th_queue_free(queue);
}

FIBER_TEST(an_item_goes_to_the_one_that_has_waited_longest)
{
    test_order_of_getters(TH_QUEUE_FIFO, NULL);
    test_order_of_getters(TH_QUEUE_LIFO, NULL);
    test_order_of_getters(TH_QUEUE_PRIORITY, by_tens);
}

FIBER_TEST(waiting_for_an_item_ends_at_the_deadline)
{
    th_scope scope;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    int64_t end = th_after(TH_MILLISECOND);
    open_scope_for(&scope, TH_MILLISECOND);
    expect_nothing(th_queue_get, -ETIMEDOUT);
    ck_assert_int_ge(th_now(), end);
    expect_nothing(th_queue_get, -ETIMEDOUT); /* and does not wait again */
    close_scope(&scope);
    put(1);
    expect(1);
    th_queue_free(queue);
}

static int expect_cancelled_get(void *arg)
{
    (void)arg;
    expect_nothing(th_queue_get, -ECANCELED);
    return 0;
}

FIBER_TEST(cancelled_getters_leave_the_queue_in_order)
{
    th_scope outer, inner;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    open_scope(&outer);
    open_scope(&inner);
    for (int i = 0; i < 10; i++) {
        spawn(&inner, expect_cancelled_get, NULL);
        th_yield();
        spawn_getters(&outer, 1);
    }
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(th_queue_tryput(queue, item_of('a' + i)), 0);
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, "abcdefghij");
    put(1); /* stays for the next one, though others waited once */
    expect(1);
    th_queue_free(queue);
}

FIBER_TEST(an_item_that_was_handed_over_is_not_lost_by_a_cancellation)
{
    th_scope scope;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    open_scope(&scope);
    spawn_getters(&scope, 1);
    put('a');
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "a");
    th_queue_free(queue);
}

/* ---- waiting for a place ---- */

static int put_and_note(void *arg)
{
    put(*(char *)arg);
    note(*(char *)arg);
    return 0;
}

static void spawn_putters(th_scope *scope, int count)
{
    static char names[] = "abcdefghij";
    for (int i = 0; i < count; i++)
        spawn(scope, put_and_note, &names[i]);
    th_yield(); /* all of them wait now */
}

FIBER_TEST(a_place_goes_to_the_one_that_has_waited_longest)
{
    th_scope scope;
    queue = make(2, TH_QUEUE_FIFO, NULL);
    put('x');
    put('y');
    open_scope(&scope);
    spawn_putters(&scope, 3);
    ck_assert_uint_eq(th_queue_len(queue), 2);
    expect('x');
    ck_assert_int_eq(th_queue_tryput(queue, NULL), -EAGAIN); /* nobody gets in between */
    th_yield();
    ck_assert_str_eq(trace, "a");
    expect('y');
    expect('a');
    expect('b');
    expect('c');
    expect_nothing(th_queue_tryget, -EAGAIN);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
    th_queue_free(queue);
}

static int put_ten(void *arg)
{
    (void)arg;
    put(10);
    return 0;
}

FIBER_TEST(the_item_of_one_who_waits_for_a_place_is_not_in_the_queue_yet)
{
    th_scope scope;
    queue = make(2, TH_QUEUE_PRIORITY, by_tens);
    put(50);
    put(40);
    open_scope(&scope);
    spawn(&scope, put_ten, NULL);
    th_yield();
    expect(40);
    expect(10);
    expect(50);
    close_scope(&scope);
    th_queue_free(queue);
}

FIBER_TEST(waiting_for_a_place_ends_at_the_deadline)
{
    th_scope scope;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    put(1);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_queue_put(queue, item_of(2)), -ETIMEDOUT);
    ck_assert_int_eq(th_queue_put(queue, item_of(3)), -ETIMEDOUT);
    close_scope(&scope);
    expect(1);
    expect_nothing(th_queue_tryget, -EAGAIN); /* neither item appears */
    put(4);
    expect(4);
    th_queue_free(queue);
}

static int expect_cancelled_put(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_queue_put(queue, item_of('!')), -ECANCELED);
    return 0;
}

FIBER_TEST(cancelled_putters_leave_the_queue_in_order)
{
    static char names[] = "abcdefghij";
    th_scope outer, inner;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    put('x');
    open_scope(&outer);
    open_scope(&inner);
    for (int i = 0; i < 10; i++) {
        spawn(&inner, expect_cancelled_put, NULL);
        spawn(&outer, put_and_note, &names[i]);
        th_yield();
    }
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    expect('x');
    for (int i = 0; i < 10; i++)
        expect(names[i]);
    expect_nothing(th_queue_tryget, -EAGAIN);
    close_scope(&inner);
    close_scope(&outer);
    ck_assert_str_eq(trace, names);
    th_queue_free(queue);
}

FIBER_TEST(an_item_that_was_taken_counts_as_put_in_though_its_putter_is_cancelled)
{
    th_scope scope;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    put('x');
    open_scope(&scope);
    spawn_putters(&scope, 1);
    expect('x');
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "a");
    expect('a');
    th_queue_free(queue);
}

static int put_numbers(void *arg)
{
    (void)arg;
    for (intptr_t i = 0; i < 1000; i++)
        put(i);
    return th_queue_close(queue);
}

FIBER_TEST(with_one_place_producer_and_consumer_go_in_step)
{
    th_scope scope;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    open_scope(&scope);
    spawn(&scope, put_numbers, NULL);
    for (intptr_t i = 0; i < 1000; i++)
        expect(i);
    expect_nothing(th_queue_get, TH_EOF);
    close_scope(&scope);
    th_queue_free(queue);
}

/* ---- closing ---- */

static int get_nothing(void *arg)
{
    (void)arg;
    expect_nothing(th_queue_get, TH_EOF);
    return 0;
}

static int expect_end(void *arg)
{
    (void)get_nothing(arg);
    note('e');
    return 0;
}

static int put_nothing(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_queue_put(queue, item_of('!')), TH_ECLOSED);
    return 0;
}

static int expect_closed(void *arg)
{
    (void)put_nothing(arg);
    note('c');
    return 0;
}

FIBER_TEST(closing_wakes_all_who_wait_for_an_item)
{
    th_scope scope;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, expect_end, NULL);
    th_yield();
    ck_assert_int_eq(th_queue_close(queue), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "eee");
    th_queue_free(queue);
}

FIBER_TEST(closing_wakes_all_who_wait_for_a_place_and_their_items_stay_with_them)
{
    th_scope scope;
    queue = make(1, TH_QUEUE_FIFO, NULL);
    put(1);
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, expect_closed, NULL);
    th_yield();
    ck_assert_int_eq(th_queue_close(queue), 0);
    expect(1);
    expect_nothing(th_queue_tryget, TH_EOF);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ccc");
    th_queue_free(queue);
}

static int expect_freed_while_joining(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_queue_join(queue), TH_ECLOSED);
    return 0;
}

FIBER_TEST_ON(2, freeing_wakes_all_before_the_memory_goes)
{
    th_scope scope;
    for (unsigned i = 0; i < 200; i++) {
        queue = make(1, TH_QUEUE_FIFO, NULL);
        open_scope(&scope);
        if (i % 2)
            put(1);
        spawn_on(&scope, i / 2 % 2, i % 2 ? put_nothing : get_nothing, NULL);
        if (i % 2)
            spawn_on(&scope, i / 4 % 2, expect_freed_while_joining, NULL);
        wait_until(count_waiters(&queue->waiting) == 1 &&
                   count_waiters(&queue->joiners) == (int)(i % 2));
        th_queue_free(queue);
        close_scope(&scope);
    }
}

/* ---- tasks ---- */

FIBER_TEST(every_item_that_was_put_in_is_to_be_done_once)
{
    queue = make(0, TH_QUEUE_FIFO, NULL);
    ck_assert_int_eq(th_queue_join(queue), 0);
    ck_assert_int_eq(th_queue_task_done(queue), -EINVAL);
    put(1);
    put(2);
    expect(1);
    ck_assert_int_eq(th_queue_task_done(queue), 0);
    ck_assert_int_eq(th_queue_task_done(queue), 0);
    ck_assert_int_eq(th_queue_task_done(queue), -EINVAL);
    ck_assert_int_eq(th_queue_join(queue), 0);
    th_queue_free(queue);
}

static int work(void *arg)
{
    void *item;
    intptr_t *sum = arg;
    int err;
    while ((err = th_queue_get(queue, &item)) == 0) {
        th_yield(); /* takes its time */
        *sum += (intptr_t)item;
        ck_assert_int_eq(th_queue_task_done(queue), 0);
    }
    return err == TH_EOF ? 0 : err;
}

FIBER_TEST(joining_waits_until_all_is_done_and_again)
{
    intptr_t sum = 0;
    th_scope scope;
    queue = make(2, TH_QUEUE_FIFO, NULL);
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, work, &sum);
    for (int round = 1; round <= 2; round++) {
        for (int i = 1; i <= 100; i++)
            put(i);
        ck_assert_int_eq(th_queue_join(queue), 0);
        ck_assert_int_eq(sum, round * 5050);
    }
    for (int i = 1; i <= 2; i++)
        put(i);
    ck_assert_int_eq(th_queue_close(queue), 0);
    ck_assert_int_eq(th_queue_join(queue), 0); /* what was put in before is still done */
    ck_assert_int_eq(sum, 2 * 5050 + 3);
    close_scope(&scope);
    th_queue_free(queue);
}

static int join_and_note(void *arg)
{
    int result = th_queue_join(queue);
    ck_assert_int_eq(result, *(int *)arg);
    note('.');
    return 0;
}

FIBER_TEST(joining_ends_with_its_scope)
{
    static int fine = 0, cancelled = -ECANCELED;
    th_scope outer, inner;
    queue = make(0, TH_QUEUE_FIFO, NULL);
    put(1);
    open_scope(&outer);
    spawn(&outer, join_and_note, &fine);
    open_scope(&inner);
    spawn(&inner, join_and_note, &cancelled);
    spawn(&outer, join_and_note, &fine);
    th_yield();
    ck_assert_int_eq(th_scope_cancel(&inner, 0), 0);
    close_scope(&inner);
    ck_assert_str_eq(trace, ".");
    ck_assert_int_eq(th_queue_task_done(queue), 0);
    put(2); /* those who were woken have seen it done */
    close_scope(&outer);
    ck_assert_str_eq(trace, "...");
    th_queue_free(queue);
}

/* ---- freeing ---- */

static atomic_int returned;

static int get_for_a_moment(void *arg)
{
    void *item;
    th_scope scope;
    open_scope_for(&scope, 50 * TH_MICROSECOND);
    int err = th_queue_get(*(th_queue **)arg, &item);
    ck_assert(err == TH_EOF || err == -ETIMEDOUT);
    atomic_fetch_add(&returned, 1);
    close_scope(&scope);
    return 0;
}

/* The address sanitizer sees those who come too late to a queue that is gone. */
FIBER_TEST_ON(4, one_may_be_freed_while_others_are_on_their_way_out)
{
    for (int i = 0; i < 500; i++) {
        th_scope scope;
        th_queue *q = make(0, TH_QUEUE_FIFO, NULL);
        atomic_store(&returned, 0);
        open_scope(&scope);
        for (unsigned w = 0; w < 4; w++)
            spawn_on(&scope, w, get_for_a_moment, &q);
        while (atomic_load(&returned) + count_waiters(&q->waiting) < 4)
            th_yield();
        th_queue_free(q);
        close_scope(&scope);
    }
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, items_leave_in_the_order_in_which_they_came);
    tcase_add_test(alone, items_leave_in_the_opposite_order);
    tcase_add_test(alone, items_leave_by_priority_and_equal_ones_as_they_came);
    tcase_add_test(alone, nothing_is_an_item_too);
    tcase_add_test(alone, a_bounded_one_holds_so_many_and_not_one_more);
    tcase_add_test(alone, misuse_is_refused_and_changes_nothing);
    tcase_add_test(alone, what_need_not_wait_is_done_even_in_a_cancelled_scope);
    tcase_add_test(alone, a_closed_one_gives_what_is_left_and_takes_nothing);
    tcase_add_test(alone, what_is_left_in_one_that_is_freed_is_forgotten);
    tcase_add_test(alone, room_comes_and_goes_with_the_items);

    TCase *memory = thi_check_case(suite, "memory");
    tcase_add_test(memory, without_memory_there_is_no_queue);
    tcase_add_test(memory, lack_of_memory_leaves_it_as_it_was);
    tcase_add_test(memory, each_allocation_may_fail_and_no_item_is_lost);

    TCase *items = thi_check_case(suite, "items");
    tcase_add_test(items, an_item_goes_to_the_one_that_has_waited_longest);
    tcase_add_test(items, waiting_for_an_item_ends_at_the_deadline);
    tcase_add_test(items, cancelled_getters_leave_the_queue_in_order);
    tcase_add_test(items, an_item_that_was_handed_over_is_not_lost_by_a_cancellation);

    TCase *places = thi_check_case(suite, "places");
    tcase_add_test(places, a_place_goes_to_the_one_that_has_waited_longest);
    tcase_add_test(places, the_item_of_one_who_waits_for_a_place_is_not_in_the_queue_yet);
    tcase_add_test(places, waiting_for_a_place_ends_at_the_deadline);
    tcase_add_test(places, cancelled_putters_leave_the_queue_in_order);
    tcase_add_test(places, an_item_that_was_taken_counts_as_put_in_though_its_putter_is_cancelled);
    tcase_add_test(places, with_one_place_producer_and_consumer_go_in_step);

    TCase *closing = thi_check_case(suite, "closing");
    tcase_add_test(closing, closing_wakes_all_who_wait_for_an_item);
    tcase_add_test(closing, closing_wakes_all_who_wait_for_a_place_and_their_items_stay_with_them);
    tcase_add_test(closing, freeing_wakes_all_before_the_memory_goes);
    tcase_add_test(closing, one_may_be_freed_while_others_are_on_their_way_out);

    TCase *tasks = thi_check_case(suite, "tasks");
    tcase_add_test(tasks, every_item_that_was_put_in_is_to_be_done_once);
    tcase_add_test(tasks, joining_waits_until_all_is_done_and_again);
    tcase_add_test(tasks, joining_ends_with_its_scope);
}

int main(void)
{
    return thi_check_run("sync/queue", fill);
}
