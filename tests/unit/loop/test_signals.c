/* SPDX-License-Identifier: MIT */

/* Signals of the process as calls on the loop, on every back end. */
#include "engines_table.h"

#include "base/alloc.h"
#include "loop/signals.h"
#include "sys/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* What came, in order: one letter per call, of who was called. */
static char story[64];
static int last_signo;

static void tell(void *arg, int signo)
{
    size_t n = strlen(story);
    ck_assert_uint_lt(n, sizeof story - 1);
    story[n] = *(const char *)arg;
    last_signo = signo;
}

static thi_signals *open_for(const int *signals, const char *name)
{
    thi_signals *opened = NULL;
    ck_assert_int_eq(thi_signals_open(&loop, signals, tell, (void *)(uintptr_t)name, &opened), 0);
    return opened;
}

static const int usr1[] = { SIGUSR1, 0 };
static const int usr2[] = { SIGUSR2, 0 };
static const int both[] = { SIGUSR1, SIGUSR2, 0 };

START_TEST(signal_is_told_on_the_loop_and_not_before_its_turn)
{
    open_loop(_i);
    thi_signals *a = open_for(usr1, "a");
    raise(SIGUSR1);
    ck_assert_str_eq(story, "");
    turn_until(*story);
    ck_assert_str_eq(story, "a");
    ck_assert_int_eq(last_signo, SIGUSR1);
    settle();
    ck_assert_str_eq(story, "a");
    thi_signals_close(a);
}
END_TEST

static void *send_signal(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
    return NULL;
}

START_TEST(signal_from_elsewhere_wakes_a_loop_that_waits)
{
    open_loop(_i);
    thi_signals *a = open_for(usr1, "a");
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_signal, NULL), 0);
    turn_until(*story);
    pthread_join(thread, NULL);
    thi_signals_close(a);
}
END_TEST

START_TEST(same_signal_merges_and_different_ones_are_all_told)
{
    open_loop(_i);
    thi_signals *a = open_for(usr1, "a"), *b = open_for(usr2, "b"), *c = open_for(both, "c");
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR1);
        raise(SIGUSR2);
    }
    settle();
    ck_assert_uint_eq(strlen(story), 4);
    ck_assert_ptr_nonnull(strchr(story, 'a'));
    ck_assert_ptr_nonnull(strchr(story, 'b'));
    ck_assert_ptr_nonnull(strstr(story, "cc"));
    thi_signals_close(a);
    thi_signals_close(b);
    thi_signals_close(c);
}
END_TEST

START_TEST(every_watcher_on_every_loop_is_told)
{
    open_loop(_i);
    static thi_loop other;
    ck_assert_int_eq(thi_loop_open(&other, every_engine[_i]), 0);
    thi_signals *a = open_for(usr1, "a"), *b = open_for(usr1, "b"), *c = NULL;
    static char name[] = "c";
    ck_assert_int_eq(thi_signals_open(&other, usr1, tell, name, &c), 0);
    raise(SIGUSR1);
    settle();
    ck_assert_uint_eq(strlen(story), 2);
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(thi_loop_turn(&other, 0), 0);
    ck_assert_uint_eq(strlen(story), 3);
    ck_assert_int_eq(story[2], 'c');

    memset(story, 0, sizeof story);
    thi_signals_close(a); /* the others go on */
    raise(SIGUSR1);
    settle();
    ck_assert_str_eq(story, "b");
    thi_signals_close(b);
    thi_signals_close(c);
    thi_loop_close(&other);
}
END_TEST

START_TEST(signal_that_came_before_the_close_is_not_told)
{
    open_loop(_i);
    thi_signals *a = open_for(usr1, "a"), *b = open_for(usr1, "b");
    raise(SIGUSR1);
    thi_signals_close(a);
    settle();
    ck_assert_str_eq(story, "b");
    thi_signals_close(b);
}
END_TEST

static thi_signals *once;

static void tell_once(void *arg, int signo)
{
    tell(arg, signo);
    thi_signals_close(once);
    once = NULL;
}

START_TEST(watcher_may_close_itself_when_called)
{
    open_loop(_i);
    static char name[] = "o";
    ck_assert_int_eq(thi_signals_open(&loop, both, tell_once, name, &once), 0);
    thi_signals *a = open_for(usr1, "a");
    raise(SIGUSR1);
    raise(SIGUSR2);
    settle();
    ck_assert_ptr_nonnull(strchr(story, 'o'));
    ck_assert_ptr_nonnull(strchr(story, 'a'));
    ck_assert_uint_eq(strlen(story), 2);
    raise(SIGUSR1);
    settle();
    ck_assert_uint_eq(strlen(story), 3);
    thi_signals_close(a);
}
END_TEST

START_TEST(closing_nothing_is_fine)
{
    thi_signals_close(NULL);
}
END_TEST

static int open_and_close(void)
{
    thi_signals *opened = NULL;
    static char name[] = "x";
    int err = thi_signals_open(&loop, both, tell, name, &opened);
    ck_assert((err == 0) == (opened != NULL));
    thi_signals_close(opened);
    return err;
}

START_TEST(each_step_of_opening_may_fail)
{
    open_loop(_i);
    settle();
    (void)open_and_close(); /* whatever grows on first use has grown */
    int before = count_descriptors();
    int64_t live = thi_alloc_live();
    const char *hit;
    unsigned long n = 0;
    do {
        thi_fault_begin(++n, EMFILE);
        int err = open_and_close();
        hit = thi_fault_hit();
        thi_fault_end();
        ck_assert(err == 0 || err == -EMFILE);
        ck_assert_int_eq(count_descriptors(), before);
        ck_assert_int_eq(thi_alloc_live(), live);
    } while (hit);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(open_and_close(), -ENOMEM);
    ck_assert_int_eq(thi_alloc_live(), live);
    static const int kill_it[] = { SIGKILL, 0 };
    thi_signals *opened = NULL;
    ck_assert_int_eq(thi_signals_open(&loop, kill_it, tell, NULL, &opened), -EINVAL);
    ck_assert_ptr_null(opened);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "told");
    add_for_engines(tcase, signal_is_told_on_the_loop_and_not_before_its_turn);
    add_concurrent_for_engines(tcase, signal_from_elsewhere_wakes_a_loop_that_waits);
    add_for_engines(tcase, same_signal_merges_and_different_ones_are_all_told);
    add_for_engines(tcase, every_watcher_on_every_loop_is_told);

    tcase = thi_check_case(suite, "end");
    add_for_engines(tcase, signal_that_came_before_the_close_is_not_told);
    add_for_engines(tcase, watcher_may_close_itself_when_called);
    tcase_add_test(tcase, closing_nothing_is_fine);
    add_for_engines(tcase, each_step_of_opening_may_fail);
}

int main(void)
{
    return thi_check_run("loop/signals", fill_suite);
}
