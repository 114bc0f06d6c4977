/* SPDX-License-Identifier: MIT */

/* The turn: waiting, timers, messages and wake-ups from other threads, on every back end. */
#include "engines_table.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define MS 1000000

static void turn(int64_t until)
{
    ck_assert_int_eq(thi_loop_turn(&loop, until) < 0, 0);
}

/* What happened, in order, as a string of letters. */
static char story[64];

static void tell(char what)
{
    size_t n = strlen(story);
    ck_assert_uint_lt(n, sizeof story - 1);
    story[n] = what;
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

START_TEST(loop_without_anything_waits_the_time_asked)
{
    open_loop(_i);
    for (int64_t span = 1; span <= 10 * MS; span *= 10) {
        int64_t until = thi_sys_clock() + span;
        do
            turn(until);
        while (loop.now < until);
    }
    ck_assert_uint_lt(loop.turns, 50);
}
END_TEST

START_TEST(time_zero_or_past_polls)
{
    open_loop(_i);
    uint64_t before = loop.slept;
    turn(0);
    turn(1);
    turn(-1);
    turn(INT64_MIN);
    turn(loop.now);
    ck_assert_uint_eq(loop.slept, before);
    turn(thi_sys_clock() + MS);
    ck_assert_uint_eq(loop.slept, before + 1);
}
END_TEST

START_TEST(opening_and_closing_leaves_nothing_behind)
{
    int before = count_descriptors();
    for (int i = 0; i < 50; i++) {
        open_loop(_i);
        turn(0);
        thi_loop_close(&loop);
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(loop_that_took_no_turn_can_be_used_and_closed)
{
    int before = count_descriptors();
    open_loop(_i);
    int fd = eventfd(0, EFD_NONBLOCK);
    thi_watch watch;
    ck_assert_int_eq(thi_loop_watch(&loop, &watch, fd, 0, NULL), 0);
    thi_loop_unwatch(&loop, &watch);
    ck_assert_int_eq(thi_loop_watch(&loop, &watch, fd, 0, NULL), 0);
    thi_loop_close(&loop);
    close(fd);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* ---- timers -------------------------------------------------------------------------------------
 */

#define TIMERS 40

static thi_timer timers[TIMERS];
static int fired;

static void never_early(thi_timer *timer)
{
    ck_assert_int_ge(thi_sys_clock(), timer->due);
    ck_assert_int_ge(loop.now, timer->due);
    fired++;
}

START_TEST(timers_fire_all_and_never_early)
{
    open_loop(_i);
    unsigned seed = 7;
    for (int i = 0; i < TIMERS; i++) {
        thi_timer_init(&timers[i], never_early);
        thi_loop_timer(&loop, &timers[i], thi_sys_clock() + rand_r(&seed) % (10 * MS));
    }
    turn_until(fired == TIMERS);
    ck_assert_uint_lt(loop.turns, 5 * TIMERS);
}
END_TEST

static void tell_letter(thi_timer *timer)
{
    tell((char)('a' + (timer - timers)));
}

START_TEST(timers_of_the_same_time_fire_in_the_order_of_setting)
{
    open_loop(_i);
    int64_t due = loop.now + 2 * MS;
    for (int i = 0; i < 6; i++)
        thi_timer_init(&timers[i], tell_letter);
    thi_loop_timer(&loop, &timers[1], due);
    thi_loop_timer(&loop, &timers[0], due);
    thi_loop_timer(&loop, &timers[3], due - 1);
    thi_loop_timer(&loop, &timers[2], due);
    thi_loop_timer(&loop, &timers[1], due); /* again: now the last */
    turn_until(strlen(story) == 4);
    ck_assert_str_eq(story, "dacb");
}
END_TEST

static void set_again(thi_timer *timer)
{
    fired++;
    thi_loop_timer(&loop, timer, 0);
}

START_TEST(timer_of_zero_set_in_its_own_call_fires_once_a_turn)
{
    open_loop(_i);
    thi_timer_init(&timers[0], set_again);
    thi_loop_timer(&loop, &timers[0], 0);
    for (int i = 1; i <= 5; i++) {
        turn(INT64_MAX);
        ck_assert_int_eq(fired, i);
    }
}
END_TEST

START_TEST(huge_time_does_not_come_early)
{
    open_loop(_i);
    thi_timer_init(&timers[0], never_early);
    thi_loop_timer(&loop, &timers[0], INT64_MAX);
    thi_timer_init(&timers[1], never_early);
    thi_loop_timer(&loop, &timers[1], loop.now + 2 * MS);
    turn_until(fired == 1);
    turn(thi_sys_clock() + MS);
    ck_assert_int_eq(fired, 1);
    ck_assert(thi_timer_active(&timers[0]));
}
END_TEST

/* ---- the order of things in a turn --------------------------------------------------------------
 */

static thi_watch watched;
static thi_msg messages[4];

static void on_event(thi_watch *watch, unsigned events)
{
    (void)watch;
    if (events & THI_READ)
        tell('e');
}

static void on_message(thi_msg *msg)
{
    (void)msg;
    tell('m');
}

static void on_timer(thi_timer *timer)
{
    (void)timer;
    tell('t');
}

START_TEST(turn_dispatches_events_then_messages_then_timers)
{
    open_loop(_i);
    ck_assert_int_eq(thi_loop_watch(&loop, &watched, eventfd(1, EFD_NONBLOCK), 0, on_event), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &watched, THI_READ), 0);
    thi_timer_init(&timers[0], on_timer);
    thi_loop_timer(&loop, &timers[0], 0);
    messages[0].fn = on_message;
    thi_loop_post(&loop, &messages[0]);
    ck_assert_str_eq(story, ""); /* nothing is called from inside a call */
    turn(INT64_MAX);
    ck_assert_str_eq(story, "emt");
}
END_TEST

static void put_off_timer(thi_watch *watch, unsigned events)
{
    on_event(watch, events);
    thi_loop_timer(&loop, &timers[0], thi_sys_clock() + 5 * MS);
}

START_TEST(timer_put_off_in_the_turn_it_was_due_does_not_fire)
{
    open_loop(_i);
    int fd = eventfd(1, EFD_NONBLOCK);
    thi_timer_init(&timers[0], on_timer);
    thi_loop_timer(&loop, &timers[0], 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &watched, fd, 0, put_off_timer), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &watched, THI_READ), 0);
    turn(0);
    ck_assert_str_eq(story, "e");
    turn_until(strlen(story) == 2);
    ck_assert_str_eq(story, "et");
}
END_TEST

static int64_t seen_now;

static void compare_now(thi_timer *timer)
{
    (void)timer;
    if (fired++ == 0)
        seen_now = loop.now;
    ck_assert_int_eq(loop.now, seen_now);
    int64_t at = thi_sys_clock();
    while (thi_sys_clock() == at)
        ;
}

START_TEST(time_stands_still_within_a_turn)
{
    open_loop(_i);
    for (int i = 0; i < 3; i++) {
        thi_timer_init(&timers[i], compare_now);
        thi_loop_timer(&loop, &timers[i], 0);
    }
    turn(0);
    ck_assert_int_eq(fired, 3);
    turn(0);
    ck_assert_int_gt(loop.now, seen_now);
}
END_TEST

static void note_now(thi_watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
    seen_now = loop.now;
}

START_TEST(an_event_after_a_long_wait_finds_the_present_time)
{
    open_loop(_i);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int64_t due = thi_sys_clock() + 20 * MS;
    struct itimerspec spec = { .it_value = { due / (1000 * MS), due % (1000 * MS) } };
    ck_assert_int_eq(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL), 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &watched, fd, 0, note_now), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &watched, THI_READ), 0);
    seen_now = 0;
    turn_until(seen_now != 0);
    ck_assert_int_ge(seen_now, due);
}
END_TEST

/* ---- messages -----------------------------------------------------------------------------------
 */

static void post_again(thi_msg *msg)
{
    tell('m');
    if (strlen(story) < 3)
        thi_loop_post(&loop, msg);
}

START_TEST(message_posted_by_a_message_waits_for_the_next_turn)
{
    open_loop(_i);
    messages[0].fn = post_again;
    thi_loop_post(&loop, &messages[0]);
    turn(INT64_MAX);
    ck_assert_str_eq(story, "m");
    turn(INT64_MAX);
    ck_assert_str_eq(story, "mm");
    turn(INT64_MAX);
    ck_assert_str_eq(story, "mmm");
}
END_TEST

#define SENDERS 4
#define EACH    25000

typedef struct numbered {
    thi_msg msg;
    int sender;
    int number;
} numbered;

static numbered numbers[SENDERS][EACH];
static int received[SENDERS];

static void check_order(thi_msg *msg)
{
    numbered *n = thi_container_of(msg, numbered, msg);
    ck_assert_int_eq(n->number, received[n->sender]);
    received[n->sender]++;
}

static void *send_numbers(void *arg)
{
    numbered *own = arg;
    for (int i = 0; i < EACH; i++) {
        own[i].msg.fn = check_order;
        own[i].number = i;
        thi_loop_post(&loop, &own[i].msg);
        if (i % 97 == 0)
            sched_yield(); /* let the loop fall asleep now and then */
    }
    return NULL;
}

static bool all_received(void)
{
    for (int i = 0; i < SENDERS; i++)
        if (received[i] < EACH)
            return false;
    return true;
}

START_TEST(messages_of_many_threads_all_arrive_in_each_ones_order)
{
    open_loop(_i);
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        for (int k = 0; k < EACH; k++)
            numbers[i][k].sender = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_numbers, numbers[i]), 0);
    }
    turn_until(all_received());
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

#define ROUNDS 3000

static atomic_int answered;

static void answer(thi_msg *msg)
{
    (void)msg;
    atomic_fetch_add(&answered, 1);
}

/* Each message is sent when the one before was answered: the loop is on its way to sleep. */
static void *ask_and_wait(void *arg)
{
    thi_msg *msg = arg;
    for (int i = 0; i < ROUNDS; i++) {
        thi_loop_post(&loop, msg);
        while (atomic_load(&answered) <= i)
            sched_yield();
    }
    return NULL;
}

START_TEST(no_wake_up_is_lost_on_the_way_to_sleep)
{
    open_loop(_i);
    pthread_t thread;
    messages[0].fn = answer;
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_and_wait, &messages[0]), 0);
    turn_until(atomic_load(&answered) == ROUNDS);
    pthread_join(thread, NULL);
    ck_assert_uint_le(loop.turns, 2 * ROUNDS + 10);
}
END_TEST

/* ---- wake-ups -----------------------------------------------------------------------------------
 */

START_TEST(wakes_before_a_turn_merge_into_one)
{
    open_loop(_i);
    for (int i = 0; i < 10; i++)
        thi_loop_wake(&loop);
    turn(INT64_MAX);
    settle();
    int64_t until = thi_sys_clock() + 2 * MS;
    turn(until);
    ck_assert_int_ge(loop.now, until);
}
END_TEST

static void *wake_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        thi_loop_wake(&loop);
        if (i % 10 == 0)
            sched_yield();
    }
    thi_loop_post(&loop, &messages[0]);
    return NULL;
}

START_TEST(wakes_from_another_thread_end_the_wait)
{
    open_loop(_i);
    pthread_t thread;
    messages[0].fn = answer;
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_often, NULL), 0);
    turn_until(atomic_load(&answered) == 1);
    pthread_join(thread, NULL);
}
END_TEST

static void *run_elsewhere(void *arg)
{
    (void)arg;
    turn_until(atomic_load(&answered) == 1);
    return NULL;
}

START_TEST(loop_opened_here_can_run_in_another_thread)
{
    int before = count_descriptors();
    open_loop(_i);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, NULL), 0);
    messages[0].fn = answer;
    thi_loop_post(&loop, &messages[0]);
    pthread_join(thread, NULL);
    thi_loop_close(&loop);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* ---- signals that interrupt ---------------------------------------------------------------------
 */

static volatile sig_atomic_t ticks;

static void on_tick(int signo)
{
    (void)signo;
    ticks++;
}

static void start_ticking(void)
{
    struct sigaction action = { .sa_handler = on_tick }; /* without SA_RESTART */
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval every_ms = { { 0, 1000 }, { 0, 1000 } };
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every_ms, NULL), 0);
}

START_TEST(interruption_by_signals_fails_nothing)
{
    open_loop(_i);
    start_ticking();
    for (int round = 0; ticks < 60; round++) {
        int64_t until = thi_sys_clock() + 3 * MS + round;
        thi_timer_init(&timers[0], never_early);
        thi_loop_timer(&loop, &timers[0], until);
        turn_until(!thi_timer_active(&timers[0]));
        ck_assert_int_ge(thi_sys_clock(), until);
    }
}
END_TEST

/* ---- what is deferred ---------------------------------------------------------------------------
 */

static thi_deferred first, second;

static void defer_second(thi_deferred *deferred)
{
    (void)deferred;
    tell('1');
    thi_loop_defer(&loop, &second);
}

static void tell_second(thi_deferred *deferred)
{
    (void)deferred;
    tell('2');
}

static void stay_awake(thi_deferred *deferred)
{
    (void)deferred;
    tell('a');
    thi_loop_stay_awake(&loop);
}

/* Each turn might sleep for an hour. */
START_TEST(what_is_deferred_by_what_was_deferred_is_done_before_the_loop_sleeps)
{
    open_loop(_i);
    thi_deferred_init(&first, defer_second);
    thi_deferred_init(&second, tell_second);
    thi_loop_defer(&loop, &first);
    thi_loop_defer(&loop, &first);
    turn(thi_sys_clock() + 3600 * (int64_t)1000 * MS);
    ck_assert_str_eq(story, "12");
    thi_loop_defer(&loop, &second);
    thi_loop_undefer(&second);
    turn(0);
    ck_assert_str_eq(story, "12");
}
END_TEST

START_TEST(what_is_deferred_keeps_the_loop_awake_if_it_says_so)
{
    open_loop(_i);
    thi_deferred_init(&first, stay_awake);
    thi_loop_defer(&loop, &first);
    turn(thi_sys_clock() + 3600 * (int64_t)1000 * MS);
    ck_assert_str_eq(story, "a");
    uint64_t before = loop.slept;
    turn(thi_sys_clock() + MS);
    ck_assert_uint_eq(loop.slept, before + 1);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "wait");
    add_for_engines(tcase, loop_without_anything_waits_the_time_asked);
    add_for_engines(tcase, time_zero_or_past_polls);
    add_for_engines(tcase, opening_and_closing_leaves_nothing_behind);
    add_for_engines(tcase, loop_that_took_no_turn_can_be_used_and_closed);
    add_concurrent_for_engines(tcase, interruption_by_signals_fails_nothing);

    tcase = thi_check_case(suite, "timers");
    add_for_engines(tcase, timers_fire_all_and_never_early);
    add_for_engines(tcase, timers_of_the_same_time_fire_in_the_order_of_setting);
    add_for_engines(tcase, timer_of_zero_set_in_its_own_call_fires_once_a_turn);
    add_for_engines(tcase, huge_time_does_not_come_early);

    tcase = thi_check_case(suite, "order");
    add_for_engines(tcase, turn_dispatches_events_then_messages_then_timers);
    add_for_engines(tcase, timer_put_off_in_the_turn_it_was_due_does_not_fire);
    add_for_engines(tcase, time_stands_still_within_a_turn);
    add_for_engines(tcase, an_event_after_a_long_wait_finds_the_present_time);

    add_for_engines(tcase, what_is_deferred_by_what_was_deferred_is_done_before_the_loop_sleeps);
    add_for_engines(tcase, what_is_deferred_keeps_the_loop_awake_if_it_says_so);

    tcase = thi_check_case(suite, "threads");
    tcase_set_timeout(tcase, 30);
    add_for_engines(tcase, message_posted_by_a_message_waits_for_the_next_turn);
    add_concurrent_for_engines(tcase, messages_of_many_threads_all_arrive_in_each_ones_order);
    add_concurrent_for_engines(tcase, no_wake_up_is_lost_on_the_way_to_sleep);
    add_for_engines(tcase, wakes_before_a_turn_merge_into_one);
    add_concurrent_for_engines(tcase, wakes_from_another_thread_end_the_wait);
    add_concurrent_for_engines(tcase, loop_opened_here_can_run_in_another_thread);
}

int main(void)
{
    return thi_check_run("loop/loop", fill_suite);
}
