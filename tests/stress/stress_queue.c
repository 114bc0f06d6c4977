/* SPDX-License-Identifier: MIT */

/*
 * A crowd at queues of each order and at select: every item is got exactly once, whoever puts it in
 * and however the wait for it ends.
 */
#include "crowd.h"

#include <thrum/error.h>
#include <thrum/event.h>
#include <thrum/queue.h>
#include <thrum/select.h>
#include <thrum/sem.h>

#define PUTTERS (CROWD / 2) /* the even ones: half of the fibers, half of the threads */
#define EACH    1000
#define ITEMS   (PUTTERS * EACH)
#define QUEUES  3

static th_queue *queues[QUEUES]; /* with select all, else the first */
static int content[ITEMS];       /* written before an item is put in, read when it is out */
static atomic_uchar seen[ITEMS];
static atomic_int put_done; /* putters that have put all */

static th_queue *make(size_t capacity, int order, th_queue_compare_fn *compare)
{
    th_queue *queue = NULL;
    th_queue_opts opts = { .capacity = capacity, .order = order, .compare = compare };
    surely(th_queue_new(&opts, &queue));
    return queue;
}

static void begin(void)
{
    memset(content, 0, sizeof content);
    for (int i = 0; i < ITEMS; i++)
        atomic_store(&seen[i], 0);
    atomic_store(&put_done, 0);
}

static void check_seen(void)
{
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(atomic_load(&seen[i]), 1);
}

static int *item_of(int me, int i)
{
    int number = me / 2 * EACH + i;
    content[number] = number + 1;
    return &content[number];
}

/* Gives the item's number. */
static int note_item(const void *item)
{
    const int *at = item;
    int number = (int)(at - content);
    ck_assert_int_eq(*at, number + 1);
    ck_assert_int_eq(atomic_fetch_add(&seen[number], 1), 0);
    return number;
}

static bool is_last_putter(void)
{
    return atomic_fetch_add(&put_done, 1) + 1 == PUTTERS;
}

/* ---- one queue ---- */

static int put_somehow(int *item, int how)
{
    if (how % 4 == 0)
        return th_queue_tryput(queues[0], item);
    if (how % 4 == 1)
        return briefly(20, th_queue_put(queues[0], item));
    return th_queue_put(queues[0], item);
}

static void put_own(int me)
{
    for (int i = 0; i < EACH; i++) {
        int *item = item_of(me, i);
        int how = i;
        int err;
        while ((err = put_somehow(item, how++)) != 0)
            ck_assert(err == -EAGAIN || err == -ETIMEDOUT);
    }
    if (is_last_putter())
        surely(th_queue_close(queues[0]));
}

static int get_somehow(void **item, int how)
{
    if (how % 3 == 0)
        return th_queue_tryget(queues[0], item);
    if (how % 3 == 1)
        return briefly(20, th_queue_get(queues[0], item));
    return th_queue_get(queues[0], item);
}

/* With order, items of each putter come in the order in which that one put them in. */
static void get_all(bool in_order)
{
    int last[PUTTERS];
    void *item;
    int err;
    memset(last, -1, sizeof last);
    for (int i = 0; (err = get_somehow(&item, i)) != TH_EOF; i++) {
        if (err != 0) {
            ck_assert(err == -EAGAIN || err == -ETIMEDOUT);
            continue;
        }
        int number = note_item(item);
        ck_assert(!in_order || number > last[number / EACH]);
        last[number / EACH] = number;
        surely(th_queue_task_done(queues[0]));
    }
}

static void pass_in_order(int me)
{
    if (me % 2 == 0)
        put_own(me);
    else
        get_all(true);
}

static void pass(int me)
{
    if (me % 2 == 0)
        put_own(me);
    else
        get_all(false);
}

static void check_one(void)
{
    check_seen();
    surely(th_queue_join(queues[0]));
    th_queue_free(queues[0]);
}

/* The hundreds decide, so that many are equal. */
static int by_hundreds(const void *a, const void *b, void *arg)
{
    (void)arg;
    return *(const int *)a / 100 - *(const int *)b / 100;
}

static void begin_unbounded(void)
{
    begin();
    queues[0] = make(0, TH_QUEUE_FIFO, NULL);
}

static void begin_single_place(void)
{
    begin();
    queues[0] = make(1, TH_QUEUE_FIFO, NULL);
}

static void begin_stack(void)
{
    begin();
    queues[0] = make(20, TH_QUEUE_LIFO, NULL);
}

static void begin_priority(void)
{
    begin();
    queues[0] = make(100, TH_QUEUE_PRIORITY, by_hundreds);
}

CROWD_TEST(every_item_is_got_once_from_an_unbounded_one, .begin = begin_unbounded,
           .act = pass_in_order, .check = check_one)

CROWD_TEST(every_item_is_got_once_from_one_with_a_single_place, .begin = begin_single_place,
           .act = pass_in_order, .check = check_one)

CROWD_TEST(every_item_is_got_once_from_a_bounded_stack, .begin = begin_stack, .act = pass,
           .check = check_one)

CROWD_TEST(every_item_is_got_once_by_priority, .begin = begin_priority, .act = pass,
           .check = check_one)

/* ---- select over several queues ---- */

static th_sem sem;
static th_event token;

static void begin_several(void)
{
    begin();
    sem = (th_sem)TH_SEM_INIT(0);
    queues[0] = make(1, TH_QUEUE_FIFO, NULL);
    queues[1] = make(3, TH_QUEUE_LIFO, NULL);
    queues[2] = make(20, TH_QUEUE_PRIORITY, by_hundreds);
}

/* A put that may lose to a unit of the semaphore, and is made again then. */
static void put_own_anywhere(int me)
{
    for (int i = 0; i < EACH;) {
        void *item = item_of(me, i);
        th_case cases[] = { TH_CASE_PUT(queues[0], item), TH_CASE_PUT(queues[1], item),
                            TH_CASE_PUT(queues[2], item), TH_CASE_SEM(&sem) };
        int index = th_select(cases, QUEUES + 1, 0);
        ck_assert_int_ge(index, 0);
        ck_assert_int_eq(cases[index].result, 0);
        i += index < QUEUES;
        if (index < QUEUES && i % 5 == 0)
            surely(th_sem_release(&sem, 1));
    }
    if (is_last_putter())
        for (int q = 0; q < QUEUES; q++)
            surely(th_queue_close(queues[q]));
}

/* A fiber's select may be broken off, a thread's may find that its time is over. */
static int select_for_a_moment(th_case *cases)
{
    cases[QUEUES].time = th_fiber_self() ? TH_NEVER : th_after(20 * TH_MICROSECOND);
    return briefly(20, th_select(cases, QUEUES + 1, 0));
}

static void get_from_all(void)
{
    th_case cases[] = { TH_CASE_GET(queues[0]), TH_CASE_GET(queues[1]), TH_CASE_GET(queues[2]),
                        TH_CASE_TIME(0) };
    for (int open = QUEUES; open > 0;) {
        int index = select_for_a_moment(cases);
        if (index < 0 || index == QUEUES) {
            ck_assert(index == QUEUES || index == -ETIMEDOUT);
        } else if (cases[index].result == TH_EOF) {
            cases[index].kind = TH_CASE_NONE;
            open--;
        } else {
            surely(cases[index].result);
            (void)note_item(cases[index].item);
        }
    }
}

static void pass_anywhere(int me)
{
    if (me % 2 == 0)
        put_own_anywhere(me);
    else
        get_from_all();
}

static void check_several(void)
{
    check_seen();
    for (int q = 0; q < QUEUES; q++)
        th_queue_free(queues[q]);
}

CROWD_TEST(every_item_is_got_once_by_select, .begin = begin_several, .act = pass_anywhere,
           .check = check_several)

/* ---- select over an event and a semaphore ---- */

static void begin_tokens(void)
{
    token = (th_event)TH_EVENT_AUTO_INIT;
    sem = (th_sem)TH_SEM_INIT(1);
    surely(th_event_set(&token));
}

/* Two tokens go round; whoever selects either passes on the same kind. */
static void pass_tokens(int me)
{
    (void)me;
    for (int i = 0; i < EACH; i++) {
        th_case cases[] = { TH_CASE_EVENT(&token), TH_CASE_SEM(&sem) };
        int index = briefly(30, th_select(cases, 2, 0));
        if (index == 0)
            surely(th_event_set(&token));
        else if (index == 1)
            surely(th_sem_release(&sem, 1));
        else
            ck_assert_int_eq(index, -ETIMEDOUT);
    }
}

static void check_tokens(void)
{
    surely(th_event_wait(&token));
    ck_assert_int_eq(th_event_is_set(&token), 0);
    surely(th_sem_tryacquire(&sem));
    ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN);
}

CROWD_TEST(tokens_are_never_lost_or_doubled, .begin = begin_tokens, .act = pass_tokens,
           .check = check_tokens)

static void fill(Suite *suite)
{
    TCase *one = crowd_case(suite, "queue");
    tcase_add_test(one, every_item_is_got_once_from_an_unbounded_one);
    tcase_add_test(one, every_item_is_got_once_from_one_with_a_single_place);
    tcase_add_test(one, every_item_is_got_once_from_a_bounded_stack);
    tcase_add_test(one, every_item_is_got_once_by_priority);
    TCase *several = crowd_case(suite, "select");
    tcase_add_test(several, every_item_is_got_once_by_select);
    tcase_add_test(several, tokens_are_never_lost_or_doubled);
}

int main(void)
{
    return thi_check_run("stress/queue", fill);
}
