/* SPDX-License-Identifier: MIT */

/* Select: one case completes, the others leave no trace, and none is always passed over. */
#include "sync/parties.h"

#include "base/alloc.h"
#include "sync/event.h"
#include "sync/queue.h"
#include "sync/sem.h"
#include "sys/fault.h"

#include <thrum/select.h>
#include <thrum/wait_fd.h>

#include <sys/socket.h>
#include <unistd.h>

static th_queue *queue, *other, *full;
static th_event event = TH_EVENT_INIT;
static th_event token = TH_EVENT_AUTO_INIT;
static th_sem sem = TH_SEM_INIT(0);
static int fds[2];

/* Items are numbers. */
static void *item_of(intptr_t number)
{
    return (void *)number;
}

static th_queue *make(size_t capacity)
{
    th_queue *q = NULL;
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .capacity = capacity }, &q), 0);
    return q;
}

/* What the tests select over: two empty queues, one that is full, and a pair of sockets. */
static void set_up(void)
{
    queue = make(0);
    other = make(0);
    full = make(1);
    ck_assert_int_eq(th_queue_put(full, item_of(99)), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static int waiters_left(void)
{
    return count_waiters(&queue->waiting) + count_waiters(&other->waiting) +
           count_waiters(&full->waiting) + count_waiters(&thi_event_of(&event)->queue) +
           count_waiters(&thi_event_of(&token)->queue) + count_waiters(&thi_sem_of(&sem)->queue);
}

static void tear_down(void)
{
    ck_assert_int_eq(waiters_left(), 0);
    th_queue_free(queue);
    th_queue_free(other);
    th_queue_free(full);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void put(th_queue *q, intptr_t number)
{
    ck_assert_int_eq(th_queue_put(q, item_of(number)), 0);
}

static void expect(th_queue *q, intptr_t number)
{
    void *item = NULL;
    ck_assert_int_eq(th_queue_tryget(q, &item), 0);
    ck_assert_int_eq((intptr_t)item, number);
}

static void expect_empty(th_queue *q)
{
    void *item;
    ck_assert_int_eq(th_queue_tryget(q, &item), -EAGAIN);
}

#define select_of(cases, flags) th_select(cases, thi_array_len(cases), flags)

/* One case of each kind, none of which can complete. */
#define ALL_KINDS                                                                                  \
    {                                                                                              \
        TH_CASE_GET(queue), TH_CASE_PUT(full, item_of(7)), TH_CASE_EVENT(&event),                  \
            TH_CASE_EVENT(&token), TH_CASE_SEM(&sem), TH_CASE_TIME(TH_NEVER),                      \
            TH_CASE_READABLE(fds[0]), { 0 }, TH_CASE_GET(other)                                    \
    }

enum { OF_QUEUE, OF_FULL, OF_EVENT, OF_TOKEN, OF_SEM, OF_TIME, OF_FD, OF_NONE, OF_OTHER };

/* ---- without waiting ---- */

FIBER_TEST(what_is_ready_completes_at_once)
{
    set_up();
    th_case cases[] = ALL_KINDS;
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(select_of(cases, 0), -ECANCELED);
    put(queue, 5);
    ck_assert_int_eq(select_of(cases, 0), OF_QUEUE);
    ck_assert_int_eq((intptr_t)cases[OF_QUEUE].item, 5);
    expect(full, 99);
    ck_assert_int_eq(select_of(cases, 0), OF_FULL);
    ck_assert_int_eq(th_event_set(&event), 0);
    ck_assert_int_eq(select_of(cases, 0), OF_EVENT);
    ck_assert_int_eq(th_event_is_set(&event), 1);
    ck_assert_int_eq(th_event_clear(&event), 0);
    ck_assert_int_eq(th_event_set(&token), 0);
    ck_assert_int_eq(select_of(cases, 0), OF_TOKEN);
    ck_assert_int_eq(th_event_is_set(&token), 0);
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    ck_assert_int_eq(select_of(cases, 0), OF_SEM);
    ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(select_of(cases, 0), OF_FD);
    ck_assert_int_eq(read(fds[0], &(char){ 0 }, 1), 1);
    cases[OF_TIME].time = th_now();
    (void)th_yield();
    cases[OF_TIME].time = thi_worker_self->loop.now;
    ck_assert_int_eq(select_of(cases, 0), OF_TIME);
    close_scope(&scope);
    expect(full, 7);
    tear_down();
}

FIBER_TEST(only_one_of_several_that_are_ready_is_taken)
{
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_SEM(&sem), TH_CASE_GET(other) };
    put(queue, 1);
    put(other, 2);
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    bool seen[3] = { false };
    for (int i = 0; i < 3; i++) {
        int index = select_of(cases, 0);
        ck_assert(index >= 0 && !seen[index]);
        seen[index] = true;
        ck_assert_uint_eq(th_queue_len(queue), !seen[0]);
        ck_assert_uint_eq(th_queue_len(other), !seen[2]);
    }
    ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN);
    tear_down();
}

FIBER_TEST(a_time_that_is_past_completes_only_if_nothing_else_does)
{
    set_up();
    th_case cases[] = { TH_CASE_TIME(0), TH_CASE_GET(queue) };
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(select_of(cases, 0), 0);
        put(queue, i);
        ck_assert_int_eq(select_of(cases, i % 2 ? TH_SELECT_IN_ORDER : 0), 1);
    }
    tear_down();
}

FIBER_TEST(misuse_is_refused_and_takes_nothing)
{
    set_up();
    put(queue, 1);
    th_case cases[] = { TH_CASE_GET(queue), { 0 } };
    static const th_case wrong[] = {
        TH_CASE_GET(NULL), TH_CASE_PUT(NULL, NULL), TH_CASE_EVENT(NULL),
        TH_CASE_SEM(NULL), { .kind = -1 },          { .kind = 8 },
    };
    for (size_t i = 0; i < thi_array_len(wrong); i++) {
        cases[1] = wrong[i];
        ck_assert_int_eq(select_of(cases, 0), -EINVAL);
    }
    cases[1] = (th_case)TH_CASE_READABLE(-1);
    ck_assert_int_eq(select_of(cases, 0), -EBADF);
    ck_assert_int_eq(select_of(cases, 0), -EBADF);
    cases[1] = (th_case)TH_CASE_TIME(0);
    ck_assert_int_eq(th_select(NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(select_of(cases, 2), -EINVAL);
    ck_assert_int_eq(th_select(cases, (size_t)INT32_MAX + 1, 0), -EINVAL);
    expect(queue, 1);
    tear_down();
}

FIBER_TEST(a_descriptor_that_is_not_open_is_told)
{
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_WRITABLE(fds[0]), TH_CASE_READABLE(fds[1]) };
    (void)close(fds[0]);
    ck_assert_int_eq(select_of(cases, TH_SELECT_IN_ORDER), -EBADF);
    ck_assert_int_eq(select_of(cases, TH_SELECT_IN_ORDER), -EBADF);
    tear_down();
}

FIBER_TEST(what_could_never_end_is_misuse)
{
    th_case cases[] = { { 0 }, TH_CASE_TIME(TH_NEVER) };
    th_scope scope;
    ck_assert_int_eq(th_select(NULL, 0, 0), -EINVAL);
    ck_assert_int_eq(select_of(cases, 0), -EINVAL);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_select(NULL, 0, 0), -ETIMEDOUT);
    ck_assert_int_eq(select_of(cases, 0), -ETIMEDOUT);
    close_scope(&scope);
}

FIBER_TEST(the_end_of_a_closed_queue_completes_its_case)
{
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_PUT(queue, item_of(2)) };
    put(queue, 1);
    ck_assert_int_eq(th_queue_close(queue), 0);
    ck_assert_int_eq(select_of(cases, TH_SELECT_IN_ORDER), 0);
    ck_assert_int_eq(cases[0].result, 0);
    ck_assert_int_eq((intptr_t)cases[0].item, 1);
    ck_assert_int_eq(select_of(cases, TH_SELECT_IN_ORDER), 0);
    ck_assert_int_eq(cases[0].result, TH_EOF);
    ck_assert_int_eq(th_select(&cases[1], 1, 0), 0);
    ck_assert_int_eq(cases[1].result, TH_ECLOSED);
    tear_down();
}

/* ---- fairness ---- */

FIBER_TEST(each_of_two_that_are_always_ready_has_its_share)
{
    int taken[2] = { 0, 0 };
    ck_assert_int_eq(th_event_set(&event), 0);
    ck_assert_int_eq(th_sem_release(&sem, 20000), 0);
    th_case cases[] = { TH_CASE_EVENT(&event), TH_CASE_SEM(&sem) };
    for (int i = 0; i < 10000; i++)
        taken[select_of(cases, 0)]++;
    ck_assert_int_gt(taken[0], 10000 / 3);
    ck_assert_int_gt(taken[1], 10000 / 3);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(select_of(cases, TH_SELECT_IN_ORDER), 0);
}

/* Two fibers that take turns must not each get the same one all the time. */
static int count_choices(void *arg)
{
    int *taken = arg;
    th_case cases[] = { TH_CASE_EVENT(&event), TH_CASE_EVENT(&event), TH_CASE_EVENT(&event) };
    for (int i = 0; i < 9000; i++) {
        taken[select_of(cases, 0)]++;
        th_yield();
    }
    return 0;
}

FIBER_TEST(shares_are_even_whatever_others_select)
{
    int taken[5][3] = { { 0 } };
    ck_assert_int_eq(th_event_set(&event), 0);
    for (int fibers = 1; fibers <= 5; fibers++) {
        th_scope scope;
        memset(taken, 0, sizeof taken);
        open_scope(&scope);
        for (int i = 0; i < fibers; i++)
            spawn(&scope, count_choices, taken[i]);
        close_scope(&scope);
        for (int i = 0; i < fibers; i++)
            for (int c = 0; c < 3; c++)
                ck_assert_int_gt(taken[i][c], 2500);
    }
}

/* ---- waiting ---- */

static th_case shared[9]; /* of the fiber that waits, for others to look at */
static int completed;

static int select_shared(void *arg)
{
    (void)arg;
    completed = select_of(shared, 0);
    note('.');
    return 0;
}

/* Starts a fiber that selects over all kinds, and lets it wait. */
static void start_selecting(th_scope *scope)
{
    th_case cases[] = ALL_KINDS;
    memcpy(shared, cases, sizeof shared);
    open_scope(scope);
    spawn(scope, select_shared, NULL);
    th_yield();
    ck_assert_int_eq(waiters_left(), 6);
}

static void expect_completed(th_scope *scope, int index)
{
    close_scope(scope);
    ck_assert_int_eq(completed, index);
    ck_assert_int_eq(waiters_left(), 0);
}

FIBER_TEST(it_waits_for_any_kind)
{
    th_scope scope;
    set_up();
    start_selecting(&scope);
    put(queue, 5);
    expect_completed(&scope, OF_QUEUE);
    ck_assert_int_eq((intptr_t)shared[OF_QUEUE].item, 5);
    start_selecting(&scope);
    expect(full, 99);
    expect_completed(&scope, OF_FULL);
    ck_assert_uint_eq(th_queue_len(full), 1);
    start_selecting(&scope);
    ck_assert_int_eq(th_event_set(&event), 0);
    expect_completed(&scope, OF_EVENT);
    ck_assert_int_eq(th_event_clear(&event), 0);
    start_selecting(&scope);
    ck_assert_int_eq(th_event_set(&token), 0);
    expect_completed(&scope, OF_TOKEN);
    ck_assert_int_eq(th_event_is_set(&token), 0);
    start_selecting(&scope);
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    expect_completed(&scope, OF_SEM);
    ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN);
    start_selecting(&scope);
    ck_assert_int_eq(th_queue_close(other), 0);
    expect_completed(&scope, OF_OTHER);
    ck_assert_int_eq(shared[OF_OTHER].result, TH_EOF);
    expect(full, 7);
    tear_down();
}

FIBER_TEST(it_ends_with_its_scope_and_leaves_no_trace)
{
    th_scope scope;
    set_up();
    start_selecting(&scope);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    expect_completed(&scope, -ECANCELED);
    th_case cases[] = ALL_KINDS;
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(select_of(cases, 0), -ETIMEDOUT);
    ck_assert_int_eq(select_of(cases, 0), -ETIMEDOUT); /* and does not wait again */
    close_scope(&scope);
    put(queue, 1);
    ck_assert_int_eq(th_event_set(&token), 0);
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    expect(queue, 1);
    ck_assert_int_eq(th_event_wait(&token), 0);
    ck_assert_int_eq(th_sem_tryacquire(&sem), 0);
    expect(full, 99);
    expect_empty(full);
    tear_down();
}

FIBER_TEST(what_comes_second_is_not_taken)
{
    th_scope scope;
    set_up();
    start_selecting(&scope);
    put(queue, 1);
    put(queue, 2);
    put(other, 3); /* all of them before the fiber has run */
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    ck_assert_int_eq(th_event_set(&token), 0);
    expect(full, 99);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    expect_completed(&scope, OF_QUEUE);
    ck_assert_int_eq((intptr_t)shared[OF_QUEUE].item, 1);
    expect(queue, 2);
    expect(other, 3);
    expect_empty(full);
    ck_assert_int_eq(th_sem_tryacquire(&sem), 0);
    ck_assert_int_eq(th_event_is_set(&token), 1);
    tear_down();
}

static int get_and_note(void *arg)
{
    void *item;
    (void)arg;
    ck_assert_int_eq(th_queue_get(queue, &item), 0);
    note((char)(intptr_t)item);
    return 0;
}

static void expect_nothing_to_wait_for(void)
{
    th_case cases[] = { TH_CASE_TIME(0), TH_CASE_GET(queue) };
    ck_assert_int_eq(select_of(cases, 0), 0);
}

FIBER_TEST(a_waiter_that_is_won_elsewhere_is_passed_over)
{
    th_scope scope;
    set_up();
    start_selecting(&scope);
    spawn(&scope, get_and_note, NULL);
    spawn(&scope, get_and_note, NULL);
    th_yield();
    ck_assert_int_eq(th_sem_release(&sem, 1), 0);
    put(queue, 'a');
    put(queue, 'b');
    expect_nothing_to_wait_for();
    expect_completed(&scope, OF_SEM);
    ck_assert_str_eq(trace, ".ab");
    tear_down();
}

FIBER_TEST(one_that_leaves_the_middle_of_a_queue_keeps_the_others_in_order)
{
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, get_and_note, NULL);
    th_yield();
    th_case cases[] = ALL_KINDS;
    memcpy(shared, cases, sizeof shared);
    spawn(&scope, select_shared, NULL);
    th_yield();
    spawn(&scope, get_and_note, NULL);
    th_yield();
    ck_assert_int_eq(th_event_set(&event), 0);
    th_yield();
    th_yield();
    put(queue, 'a');
    put(queue, 'b');
    expect_completed(&scope, OF_EVENT);
    ck_assert_str_eq(trace, ".ab");
    tear_down();
}

FIBER_TEST(a_hundred_thousand_leave_nothing_in_what_was_idle)
{
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_SEM(&sem), TH_CASE_EVENT(&event),
                        TH_CASE_TIME(0) };
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(select_of(cases, 0), 3);
    for (int i = 0; i < 1000; i++) {
        cases[3].time = 1 + thi_worker_self->loop.now;
        ck_assert_int_eq(select_of(cases, 0), 3);
    }
    ck_assert_int_eq(waiters_left(), 0);
    put(queue, 1);
    expect(queue, 1);
    tear_down();
}

FIBER_TEST(the_same_object_twice_completes_one_case)
{
    th_scope scope;
    set_up();
    th_case cases[] = { TH_CASE_GET(queue),
                        TH_CASE_GET(queue),
                        TH_CASE_SEM(&sem),
                        TH_CASE_SEM(&sem),
                        { 0 },
                        { 0 },
                        { 0 },
                        { 0 },
                        { 0 } };
    memcpy(shared, cases, sizeof shared);
    open_scope(&scope);
    spawn(&scope, select_shared, NULL);
    th_yield();
    ck_assert_int_eq(waiters_left(), 4);
    put(queue, 1);
    put(queue, 2);
    close_scope(&scope);
    ck_assert(completed == 0 || completed == 1);
    ck_assert_int_eq((intptr_t)shared[completed].item, 1);
    expect(queue, 2);
    tear_down();
}

FIBER_TEST(put_and_get_of_one_queue_do_not_meet)
{
    set_up();
    th_case cases[] = { TH_CASE_GET(full), TH_CASE_PUT(full, item_of(8)) };
    ck_assert_int_eq(select_of(cases, 0), 0);
    ck_assert_int_eq((intptr_t)cases[0].item, 99);
    ck_assert_int_eq(select_of(cases, 0), 1);
    ck_assert_int_eq(select_of(cases, 0), 0);
    ck_assert_int_eq((intptr_t)cases[0].item, 8);
    tear_down();
}

static int put_by_select(void *arg)
{
    th_case cases[] = { TH_CASE_PUT(full, arg), TH_CASE_EVENT(&event) };
    ck_assert_int_eq(select_of(cases, 0), 0);
    ck_assert_int_eq(cases[0].result, 0);
    return 0;
}

FIBER_TEST(select_meets_select)
{
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, put_by_select, item_of(1));
    spawn(&scope, put_by_select, item_of(2));
    th_yield();
    th_case cases[] = { TH_CASE_GET(full), TH_CASE_SEM(&sem) };
    static const intptr_t expected[] = { 99, 1, 2 };
    for (size_t i = 0; i < thi_array_len(expected); i++) {
        ck_assert_int_eq(select_of(cases, 0), 0);
        ck_assert_int_eq((intptr_t)cases[0].item, expected[i]);
    }
    close_scope(&scope);
    tear_down();
}

FIBER_TEST(the_earliest_time_completes_and_not_early)
{
    set_up();
    int64_t now = th_now();
    th_case cases[] = { TH_CASE_TIME(now + 50 * TH_MILLISECOND), TH_CASE_GET(queue),
                        TH_CASE_TIME(now + TH_MILLISECOND), TH_CASE_TIME(TH_NEVER) };
    ck_assert_int_eq(select_of(cases, 0), 2);
    ck_assert_int_ge(th_now(), now + TH_MILLISECOND);
    tear_down();
}

FIBER_TEST_ON(2, a_queue_may_be_freed_while_a_select_is_on_its_way_out)
{
    for (int i = 0; i < 500; i++) {
        th_scope scope;
        set_up();
        th_case cases[] = ALL_KINDS;
        cases[OF_FD].kind = TH_CASE_NONE;
        memcpy(shared, cases, sizeof shared);
        open_scope(&scope);
        spawn_on(&scope, 1, select_shared, NULL);
        wait_until(count_waiters(&queue->waiting) == 1 && count_waiters(&other->waiting) == 1);
        if (i % 2)
            put(queue, 1);
        th_queue_free(other);
        th_queue_free(queue);
        close_scope(&scope);
        ck_assert_int_eq(completed, i % 2 ? OF_QUEUE : OF_OTHER);
        queue = make(0);
        other = make(0);
        trace[0] = '\0';
        tear_down();
    }
}

/* ---- descriptors ---- */

static int write_a_byte(void *arg)
{
    (void)arg;
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    return 0;
}

FIBER_TEST(it_waits_for_a_descriptor_to_be_readable)
{
    th_scope scope;
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_READABLE(fds[0]) };
    for (int i = 0; i < 3; i++) {
        open_scope(&scope);
        spawn(&scope, write_a_byte, NULL);
        ck_assert_int_eq(select_of(cases, 0), 1);
        ck_assert_int_eq(select_of(cases, 0), 1); /* is readable still */
        ck_assert_int_eq(read(fds[0], &(char){ 0 }, 1), 1);
        close_scope(&scope);
    }
    (void)close(fds[1]);
    ck_assert_int_eq(select_of(cases, 0), 1); /* the end can be read */
    tear_down();
}

static int close_the_other_end(void *arg)
{
    (void)arg;
    (void)close(fds[1]);
    return 0;
}

FIBER_TEST(the_end_of_the_peer_completes_it)
{
    th_scope scope;
    set_up();
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_READABLE(fds[0]) };
    open_scope(&scope);
    spawn(&scope, close_the_other_end, NULL);
    ck_assert_int_eq(select_of(cases, 0), 1);
    close_scope(&scope);
    tear_down();
}

static void fill_socket(int fd)
{
    char block[4096] = { 0 };
    while (write(fd, block, sizeof block) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
}

static int empty_socket(void *arg)
{
    static char block[65536];
    (void)arg;
    while (read(fds[1], block, sizeof block) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
    return 0;
}

FIBER_TEST(it_waits_for_both_directions_of_one_descriptor)
{
    th_scope scope;
    set_up();
    th_case cases[] = { TH_CASE_READABLE(fds[0]), TH_CASE_GET(queue), TH_CASE_WRITABLE(fds[0]),
                        TH_CASE_READABLE(fds[0]) };
    ck_assert_int_eq(select_of(cases, 0), 2);
    fill_socket(fds[0]);
    for (int i = 0; i < 8; i++) {
        open_scope(&scope);
        spawn(&scope, i % 2 ? write_a_byte : empty_socket, NULL);
        int index = select_of(cases, 0);
        if (i % 2)
            ck_assert(index == 0 || index == 3);
        else
            ck_assert_int_eq(index, 2);
        close_scope(&scope);
        if (i % 2)
            ck_assert_int_eq(read(fds[0], &(char){ 0 }, 1), 1);
        else
            fill_socket(fds[0]);
    }
    tear_down();
}

static int select_readable(void *arg)
{
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_READABLE(fds[0]) };
    ck_assert_int_eq(select_of(cases, 0), *(int *)arg);
    return 0;
}

FIBER_TEST(several_wait_for_the_same_descriptor)
{
    static int fine = 1;
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, select_readable, &fine);
    spawn(&scope, select_readable, &fine);
    spawn(&scope, write_a_byte, NULL);
    th_case cases[] = { TH_CASE_SEM(&sem), TH_CASE_READABLE(fds[0]) };
    ck_assert_int_eq(select_of(cases, 0), 1);
    ck_assert_int_eq(cases[1].result, 0);
    close_scope(&scope);
    tear_down();
}

static int say_that_it_closes(void *arg)
{
    (void)arg;
    return th_fd_closing(fds[0]);
}

FIBER_TEST(a_descriptor_that_is_about_to_be_closed_completes_it)
{
    th_scope scope;
    set_up();
    open_scope(&scope);
    spawn(&scope, say_that_it_closes, NULL);
    th_case cases[] = { TH_CASE_SEM(&sem), TH_CASE_READABLE(fds[0]) };
    ck_assert_int_eq(select_of(cases, 0), 1);
    ck_assert_int_eq(cases[1].result, -ECANCELED);
    close_scope(&scope);
    tear_down();
}

static void watched(thi_watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
}

FIBER_TEST(a_descriptor_that_a_stream_has_is_refused)
{
    thi_watch watch;
    set_up();
    ck_assert_int_eq(thi_loop_watch(&thi_worker_self->loop, &watch, fds[0], 0, watched), 0);
    th_case cases[] = { TH_CASE_SEM(&sem), TH_CASE_READABLE(fds[0]) };
    ck_assert_int_eq(select_of(cases, 0), -EEXIST);
    ck_assert_int_eq(select_of(cases, 0), -EEXIST);
    thi_loop_unwatch(&thi_worker_self->loop, &watch);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(select_of(cases, 0), 1);
    tear_down();
}

FIBER_TEST(it_waits_for_a_time_beside_a_descriptor)
{
    set_up();
    int64_t due = th_after(TH_MILLISECOND);
    th_case cases[] = { TH_CASE_READABLE(fds[0]), TH_CASE_TIME(due) };
    ck_assert_int_eq(select_of(cases, 0), 1);
    ck_assert_int_ge(th_now(), due);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(select_of(cases, 0), 0);
    tear_down();
}

/* ---- lack of memory and of descriptors ---- */

FIBER_TEST(without_memory_for_an_item_nothing_is_done)
{
    set_up();
    th_case cases[] = { TH_CASE_SEM(&sem), TH_CASE_PUT(queue, item_of(1)), TH_CASE_GET(other) };
    thi_alloc_fail_at(1);
    ck_assert_int_eq(select_of(cases, 0), -ENOMEM);
    ck_assert_int_eq(waiters_left(), 0);
    ck_assert_uint_eq(th_queue_len(queue), 0);
    ck_assert_int_eq(select_of(cases, 0), 1);
    expect(queue, 1);
    tear_down();
}

/* Waits in vain for a descriptor among others, with one thing refused. */
static int wait_with_a_refusal(void)
{
    th_scope scope;
    th_case cases[] = ALL_KINDS;
    open_scope_for(&scope, 10 * TH_MICROSECOND);
    int result = select_of(cases, 0);
    close_scope(&scope);
    return result;
}

FIBER_TEST(each_allocation_may_fail)
{
    set_up();
    ck_assert_int_eq(wait_with_a_refusal(), -ETIMEDOUT); /* what is allocated once is there now */
    int64_t live = thi_alloc_live();
    bool untouched = false;
    for (int64_t n = 1; !untouched; n++) {
        thi_alloc_fail_at(n);
        int result = wait_with_a_refusal();
        untouched = thi_alloc_fail_at(0) > 0;
        ck_assert(result == -ETIMEDOUT || result == -ENOMEM);
        ck_assert_int_eq(waiters_left(), 0);
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    tear_down();
}

/* The descriptors are new ones each time: one that the kernel would not forget is closed. */
FIBER_TEST(each_system_call_may_fail)
{
    const char *hit = "";
    for (unsigned long n = 1; hit; n++) {
        set_up();
        thi_fault_begin(n, ENOSPC);
        int result = wait_with_a_refusal();
        hit = thi_fault_hit();
        thi_fault_end();
        ck_assert_msg(result == -ETIMEDOUT || result == -ENOSPC, "%s: %s", hit, th_errname(result));
        tear_down();
        ck_assert_uint_lt(n, 1000);
    }
    set_up();
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(wait_with_a_refusal(), OF_FD);
    tear_down();
}

/* ---- threads ---- */

static void *select_as_thread(void *arg)
{
    th_case cases[] = ALL_KINDS;
    ck_assert_int_eq(select_of(cases, 0), -EPERM);
    cases[OF_FD].kind = TH_CASE_NONE;
    int *result = arg;
    *result = select_of(cases, 0);
    shared[0] = cases[0];
    return NULL;
}

FIBER_TEST(a_thread_selects_without_descriptors)
{
    int result;
    set_up();
    for (int i = 0; i < 50; i++) {
        pthread_t thread = start_thread(select_as_thread, &result);
        wait_until(waiters_left() == 6);
        put(queue, i);
        join_thread(thread);
        ck_assert_int_eq(result, OF_QUEUE);
        ck_assert_int_eq((intptr_t)shared[0].item, i);
        ck_assert_int_eq(waiters_left(), 0);
    }
    tear_down();
}

static void *select_time_as_thread(void *arg)
{
    int64_t due = th_after(TH_MILLISECOND);
    th_case cases[] = { TH_CASE_GET(queue), TH_CASE_TIME(due), TH_CASE_TIME(0) };
    ck_assert_int_eq(select_of(cases, 0), 2);
    cases[2].kind = TH_CASE_NONE;
    ck_assert_int_eq(select_of(cases, 0), 1);
    ck_assert_int_ge(th_now(), due);
    ck_assert_int_eq(th_select(&cases[2], 1, 0), -EINVAL);
    return arg;
}

FIBER_TEST(a_thread_waits_for_a_time)
{
    set_up();
    join_thread(start_thread(select_time_as_thread, NULL));
    tear_down();
}

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "alone");
    tcase_add_test(alone, what_is_ready_completes_at_once);
    tcase_add_test(alone, only_one_of_several_that_are_ready_is_taken);
    tcase_add_test(alone, a_time_that_is_past_completes_only_if_nothing_else_does);
    tcase_add_test(alone, misuse_is_refused_and_takes_nothing);
    tcase_add_test(alone, a_descriptor_that_is_not_open_is_told);
    tcase_add_test(alone, what_could_never_end_is_misuse);
    tcase_add_test(alone, the_end_of_a_closed_queue_completes_its_case);
    tcase_add_test(alone, each_of_two_that_are_always_ready_has_its_share);
    tcase_add_test(alone, shares_are_even_whatever_others_select);

    TCase *waits = thi_check_case(suite, "waits");
    tcase_add_test(waits, it_waits_for_any_kind);
    tcase_add_test(waits, it_ends_with_its_scope_and_leaves_no_trace);
    tcase_add_test(waits, what_comes_second_is_not_taken);
    tcase_add_test(waits, a_waiter_that_is_won_elsewhere_is_passed_over);
    tcase_add_test(waits, one_that_leaves_the_middle_of_a_queue_keeps_the_others_in_order);
    tcase_add_test(waits, a_hundred_thousand_leave_nothing_in_what_was_idle);
    tcase_add_test(waits, the_same_object_twice_completes_one_case);
    tcase_add_test(waits, put_and_get_of_one_queue_do_not_meet);
    tcase_add_test(waits, select_meets_select);
    tcase_add_test(waits, the_earliest_time_completes_and_not_early);
    tcase_add_test(waits, a_queue_may_be_freed_while_a_select_is_on_its_way_out);

    TCase *descriptors = thi_check_case(suite, "descriptors");
    add_on_engines(descriptors, it_waits_for_a_descriptor_to_be_readable);
    add_on_engines(descriptors, the_end_of_the_peer_completes_it);
    add_on_engines(descriptors, it_waits_for_both_directions_of_one_descriptor);
    add_on_engines(descriptors, several_wait_for_the_same_descriptor);
    add_on_engines(descriptors, a_descriptor_that_is_about_to_be_closed_completes_it);
    add_on_engines(descriptors, a_descriptor_that_a_stream_has_is_refused);
    add_on_engines(descriptors, it_waits_for_a_time_beside_a_descriptor);

    TCase *refusals = thi_check_case(suite, "refusals");
    tcase_add_test(refusals, without_memory_for_an_item_nothing_is_done);
    add_on_engines(refusals, each_allocation_may_fail);
    add_on_engines(refusals, each_system_call_may_fail);

    TCase *threads = thi_check_case(suite, "threads");
    tcase_add_test(threads, a_thread_selects_without_descriptors);
    tcase_add_test(threads, a_thread_waits_for_a_time);
}

int main(void)
{
    return thi_check_run("sync/select", fill);
}
