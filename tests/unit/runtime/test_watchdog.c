/* SPDX-License-Identifier: MIT */

/* Workers that are held up: what is told of them, how often, and that they get nothing new. */
#include "in_fiber.h"

#include "base/metrics.h"
#include "runtime/place.h"
#include "sys/sys.h"

#include <thrum/log.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define LIMIT (20 * TH_MILLISECOND)

/* What was told, of fibers by the name that the tests give; others may be late by themselves. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int told;
static char stack[2048];
static char place[64];
static unsigned worker;
static int64_t span;

static void on_stall(const th_stall *stall, void *arg)
{
    if (strcmp(stall->name, arg) != 0)
        return;
    (void)pthread_mutex_lock(&lock);
    snprintf(stack, sizeof stack, "%s", stall->stack);
    snprintf(place, sizeof place, "%s", stall->place);
    worker = stall->worker;
    span = stall->span;
    (void)pthread_mutex_unlock(&lock);
    atomic_fetch_add(&told, 1);
}

static char said[2048];

static void on_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    if (level == TH_LOG_WARNING && memmem(text.ptr, text.len, "spinner", 7)) {
        (void)pthread_mutex_lock(&lock);
        snprintf(said, sizeof said, "%.*s", (int)text.len, text.ptr);
        (void)pthread_mutex_unlock(&lock);
    }
}

static void watch(unsigned workers, int64_t limit, th_fiber_fn app)
{
    static char name[] = "spinner";
    th_run_opts opts = { .workers = workers,
                         .no_signals = 1,
                         .watchdog = limit,
                         .on_stall = on_stall,
                         .stall_arg = name };
    ck_assert_int_eq(th_log_set_sink(on_log, NULL, TH_LOG_WARNING), 0);
    ck_assert_int_eq(th_run(app, NULL, &opts), 0);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_OFF), 0);
}

/* Holds its thread until it has been told of, or for long enough to be. */
static __attribute__((noinline)) int hold_the_thread(int reports, int64_t longest)
{
    int64_t end = th_now() + longest;
    while (atomic_load(&told) < reports && th_now() < end)
        __asm__ volatile("");
    return 0;
}

static int spin(void *arg)
{
    (void)arg;
    int err = hold_the_thread(1, 30 * TH_SECOND);
    return err + hold_the_thread(2, 10 * LIMIT); /* once is enough */
}

static int spawn_spinner(int where)
{
    th_scope scope;
    th_spawn_opts opts = { .name = "spinner", .place = where };
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, spin, NULL, &opts, NULL), 0);
    close_scope(&scope);
    return 0;
}

static int spin_here(void *arg)
{
    (void)arg;
    return spawn_spinner(1);
}

static int spin_elsewhere(void *arg)
{
    (void)arg;
    return spawn_spinner(2);
}

static void expect_report(unsigned on_worker)
{
    ck_assert_int_eq(atomic_load(&told), 1);
    ck_assert_uint_eq(worker, on_worker);
    ck_assert_int_gt(span, LIMIT);
    ck_assert_int_eq(strncmp(place, "test_watchdog.c:", 16), 0);
#ifndef __SANITIZE_THREAD__ /* it calls handlers later, when the stack is another */
    ck_assert_ptr_nonnull(strstr(stack, "hold_the_thread"));
    ck_assert_ptr_nonnull(strstr(stack, "spin+"));
    ck_assert_ptr_nonnull(strstr(said, "hold_the_thread"));
#endif
    ck_assert_ptr_null(strstr(stack, "on_signal"));
    ck_assert_ptr_nonnull(strstr(said, "is held up for "));
    ck_assert_ptr_nonnull(strstr(said, ", spawned at test_watchdog.c:"));
}

START_TEST(a_fiber_that_spins_is_told_of_once_and_with_its_stack)
{
    int64_t before = thi_metric_read(THI_M_STALLS);
    watch(1, LIMIT, spin_here);
    expect_report(0);
    ck_assert_int_ge(thi_metric_read(THI_M_STALLS), before + 1);
}
END_TEST

START_TEST(so_is_one_on_another_thread)
{
    watch(2, LIMIT, spin_elsewhere);
    expect_report(1);
}
END_TEST

static int block(void *arg)
{
    (void)arg;
    /* It may be interrupted by the question; then it goes on. */
    for (int i = 0; i < 300 && atomic_load(&told) == 0; i++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 100 * TH_MILLISECOND }, NULL);
    return 0;
}

static int block_here(void *arg)
{
    th_scope scope;
    th_spawn_opts opts = { .name = "spinner" };
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, block, arg, &opts, NULL), 0);
    close_scope(&scope);
    return 0;
}

START_TEST(so_is_one_that_blocks_in_the_kernel)
{
    watch(1, LIMIT, block_here);
    ck_assert_int_eq(atomic_load(&told), 1);
    ck_assert_ptr_nonnull(strstr(stack, "block"));
}
END_TEST

static int behave(void *arg)
{
    th_scope scope;
    (void)arg;
    int64_t end = th_now() + 5 * LIMIT;
    open_scope(&scope);
    while (th_now() < end) {
        spawn(&scope, do_nothing, NULL);
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    }
    close_scope(&scope);
    return th_sleep(5 * LIMIT); /* who rests is well too */
}

static int spawn_behaving(void *arg)
{
    th_scope scope;
    th_spawn_opts opts = { .name = "spinner" };
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, behave, arg, &opts, NULL), 0);
    close_scope(&scope);
    return 0;
}

START_TEST(who_suspends_is_left_alone)
{
    watch(2, TH_SECOND, spawn_behaving);
    ck_assert_int_eq(atomic_load(&told), 0);
}
END_TEST

static int spin_for_a_while(void *arg)
{
    (void)arg;
    ck_assert_ptr_null(atomic_load(&thi_worker_self->runtime->watchdog));
    return 0;
}

START_TEST(it_can_be_switched_off)
{
    watch(1, TH_NEVER, spin_for_a_while);
    ck_assert_int_eq(th_run(do_nothing, NULL, &(th_run_opts){ .watchdog = -1 }), -EINVAL);
}
END_TEST

static atomic_bool holds;
static atomic_bool let_go;
static atomic_int arrived[2];

static int hold_until_told(void *arg)
{
    (void)arg;
    atomic_store(&holds, true);
    while (!atomic_load(&let_go))
        __asm__ volatile("");
    return 0;
}

static int arrive(void *arg)
{
    (void)arg;
    atomic_fetch_add(&arrived[thi_worker_self->index], 1);
    return 0;
}

static int place_while_one_is_held_up(void *arg)
{
    (void)arg;
    static const int places[] = { TH_PLACE_ROUND, TH_PLACE_LEAST };
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, hold_until_told, NULL);
    while (!atomic_load(&holds))
        th_yield();
    const thi_worker *other = &thi_worker_self->runtime->workers[1];
    while (!thi_worker_is_held_up(other, thi_worker_self->loop.now))
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    for (int i = 0; i < 20; i++) {
        th_spawn_opts opts = { .place = places[i % 2] };
        ck_assert_int_eq(th_spawn_with(&scope, arrive, NULL, &opts, NULL), 0);
        th_yield();
    }
    while (th_scope_children(&scope) > 1)
        th_yield();
    ck_assert_int_eq(atomic_load(&arrived[0]), 20);
    atomic_store(&let_go, true);
    close_scope(&scope);
    /* It is well again, and so are its prospects. */
    while (thi_worker_is_held_up(other, th_now()))
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    return 0;
}

START_TEST(a_worker_that_is_held_up_gets_no_new_fibers)
{
    th_run_opts opts = { .workers = 2, .no_signals = 1 };
    ck_assert_int_eq(th_run(place_while_one_is_held_up, NULL, &opts), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "watchdog");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_fiber_that_spins_is_told_of_once_and_with_its_stack);
    tcase_add_test(tcase, so_is_one_on_another_thread);
    tcase_add_test(tcase, so_is_one_that_blocks_in_the_kernel);
    tcase_add_test(tcase, who_suspends_is_left_alone);
    tcase_add_test(tcase, it_can_be_switched_off);
    tcase_add_test(tcase, a_worker_that_is_held_up_gets_no_new_fibers);
}

int main(void)
{
    return thi_check_run("runtime/watchdog", fill);
}
