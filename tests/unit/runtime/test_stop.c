/* SPDX-License-Identifier: MIT */

/* The orderly end: signals, th_stop(), those who want to hear of it, the time of grace. */
#include "in_fiber.h"

#include "runtime/sched.h"
#include "runtime/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Runs the function with the runtime's hand on SIGTERM and SIGINT. */
static void run_with_signals(unsigned workers, int engine, int64_t grace, th_fiber_fn fn)
{
    th_run_opts opts = { .workers = workers, .backend = engine_names[engine], .grace = grace };
    ck_assert_int_eq(th_run(fn, NULL, &opts), 0);
}

static void send_signal(int signo)
{
    ck_assert_int_eq(kill(getpid(), signo), 0);
}

/* ---- without a server ------------------------------------------------------------------------ */

static int wait_after_sigterm(void *arg)
{
    (void)arg;
    send_signal(SIGTERM);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(th_scope_root()), -ECANCELED);
    return 0;
}

START_TEST(a_signal_cancels_the_root_scope)
{
    run_with_signals(1, _i, 0, wait_after_sigterm);
}
END_TEST

static int wait_after_sigint(void *arg)
{
    (void)arg;
    spawn_on(th_scope_root(), 1, wait_for_cancel, NULL);
    send_signal(SIGINT);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    return 0;
}

START_TEST(a_signal_reaches_all_workers)
{
    run_with_signals(2, _i, 0, wait_after_sigint);
}
END_TEST

static int wait_after_stop(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    return 0;
}

START_TEST(stop_cancels_the_root_scope)
{
    run_with_signals(1, _i, 0, wait_after_stop);
}
END_TEST

static int call_stop(void *arg)
{
    (void)arg;
    return th_stop();
}

static int wait_after_stop_elsewhere(void *arg)
{
    (void)arg;
    spawn_on(th_scope_root(), 1, call_stop, NULL);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    return 0;
}

START_TEST(stop_may_be_called_on_any_worker)
{
    run_with_signals(2, _i, 0, wait_after_stop_elsewhere);
}
END_TEST

static int return_after_stop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_stop(), 0);
    return 0;
}

START_TEST(stop_right_before_the_end_does_no_harm)
{
    run_with_signals(2, 0, 0, return_after_stop);
}
END_TEST

START_TEST(outside_a_worker_nothing_can_be_stopped)
{
    ck_assert_int_eq(th_stop(), -EPERM);
}
END_TEST

/* ---- what becomes of the signals ------------------------------------------------------------- */

static void on_usr(int signo)
{
    (void)signo;
}

static int compare_action(void *arg)
{
    struct sigaction now;
    ck_assert_int_eq(sigaction(SIGTERM, NULL, &now), 0);
    return now.sa_handler == (arg ? on_usr : SIG_DFL) ? 0 : 1;
}

START_TEST(afterwards_the_former_actions_are_back)
{
    struct sigaction mine = { .sa_handler = on_usr };
    ck_assert_int_eq(sigaction(SIGTERM, &mine, NULL), 0);
    ck_assert_int_eq(th_run(compare_action, "mine", &(th_run_opts){ .workers = 1 }), 1);
    ck_assert_int_eq(compare_action("mine"), 0);
}
END_TEST

START_TEST(signals_are_left_alone_when_asked)
{
    struct sigaction mine = { .sa_handler = on_usr };
    ck_assert_int_eq(sigaction(SIGTERM, &mine, NULL), 0);
    th_run_opts opts = { .workers = 1, .no_signals = 1 };
    ck_assert_int_eq(th_run(compare_action, "mine", &opts), 0);
}
END_TEST

/* ---- with servers ---------------------------------------------------------------------------- */

/* A server in miniature: hears of the stop, and ends some time later or never. */
typedef struct server {
    thi_stopper stopper;
    atomic_int told;
    bool leaves; /* takes itself off the list when it hears of it */
} server;

static void on_stop(thi_stopper *stopper)
{
    server *s = thi_container_of(stopper, server, stopper);
    atomic_fetch_add(&s->told, 1);
    if (s->leaves)
        thi_stopper_remove(stopper);
}

static void wait_until_told(server *s)
{
    while (atomic_load(&s->told) == 0)
        ck_assert_int_eq(th_sleep(50 * TH_MICROSECOND), 0);
}

static int serve_until_the_second_signal(void *arg)
{
    server s = { .told = 0 };
    (void)arg;
    thi_stopper_add(&s.stopper, on_stop);
    send_signal(SIGTERM);
    wait_until_told(&s);
    ck_assert_int_eq(th_scope_reason(th_scope_root()), 0);
    send_signal(SIGTERM);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    thi_stopper_remove(&s.stopper);
    ck_assert_int_eq(s.told, 1);
    return 0;
}

START_TEST(a_server_hears_of_the_first_signal_and_the_second_cancels)
{
    run_with_signals(1, _i, TH_HOUR, serve_until_the_second_signal);
}
END_TEST

static int serve_until_the_second_stop(void *arg)
{
    server s = { .told = 0 };
    (void)arg;
    thi_stopper_add(&s.stopper, on_stop);
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_stop(), 0); /* both are counted, though one message brings them */
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    thi_stopper_remove(&s.stopper);
    return 0;
}

START_TEST(two_stops_at_once_are_two)
{
    run_with_signals(1, 0, TH_HOUR, serve_until_the_second_stop);
}
END_TEST

static int serve_until_grace_is_over(void *arg)
{
    server s = { .told = 0 };
    (void)arg;
    thi_stopper_add(&s.stopper, on_stop);
    int64_t begin = th_now();
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_ge(th_now() - begin, 5 * TH_MILLISECOND);
    thi_stopper_remove(&s.stopper);
    return 0;
}

START_TEST(after_the_time_of_grace_the_root_scope_is_cancelled)
{
    run_with_signals(1, _i, 5 * TH_MILLISECOND, serve_until_grace_is_over);
}
END_TEST

static int end_within_grace(void *arg)
{
    server s = { .told = 0 };
    (void)arg;
    thi_stopper_add(&s.stopper, on_stop);
    ck_assert_int_eq(th_stop(), 0);
    wait_until_told(&s);
    thi_stopper_remove(&s.stopper);
    return 0;
}

START_TEST(a_server_that_ends_in_time_ends_the_program)
{
    int64_t begin = th_now();
    run_with_signals(1, 0, TH_HOUR, end_within_grace);
    ck_assert_int_lt(th_now() - begin, TH_MINUTE);
}
END_TEST

static int serve_elsewhere(void *arg)
{
    server *s = arg;
    thi_stopper_add(&s->stopper, on_stop);
    wait_until_told(s);
    if (!s->leaves)
        thi_stopper_remove(&s->stopper);
    return 0;
}

static int serve_on_each_worker(void *arg)
{
    static server servers[6];
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    for (unsigned i = 0; i < 6; i++) {
        servers[i].leaves = i % 2;
        spawn_on(&scope, i % 3, serve_elsewhere, &servers[i]);
    }
    while (atomic_load(&thi_worker_self->runtime->stoppers) < 6)
        ck_assert_int_eq(th_sleep(50 * TH_MICROSECOND), 0);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&scope);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_int_eq(servers[i].told, 1);
    return 0;
}

START_TEST(all_servers_hear_of_it_each_once_on_its_worker)
{
    run_with_signals(3, _i, TH_HOUR, serve_on_each_worker);
}
END_TEST

static int come_too_late(void *arg)
{
    server early = { .told = 0 };
    server late = { .told = 0 };
    (void)arg;
    thi_stopper_add(&early.stopper, on_stop);
    ck_assert_int_eq(th_stop(), 0);
    while (!atomic_load(&thi_worker_self->runtime->stopping))
        ck_assert_int_eq(th_yield(), 0);
    thi_stopper_add(&late.stopper, on_stop);
    ck_assert_int_eq(late.told, 1);
    wait_until_told(&early);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(early.told, 1);
    ck_assert_int_eq(late.told, 1);
    thi_stopper_remove(&late.stopper);
    thi_stopper_remove(&early.stopper);
    return 0;
}

START_TEST(a_server_that_starts_during_the_stop_is_told_at_once)
{
    run_with_signals(1, 0, TH_HOUR, come_too_late);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *alone = thi_check_case(suite, "no server");
    add_on_engines(alone, a_signal_cancels_the_root_scope);
    add_on_engines(alone, a_signal_reaches_all_workers);
    add_on_engines(alone, stop_cancels_the_root_scope);
    add_on_engines(alone, stop_may_be_called_on_any_worker);
    tcase_add_test(alone, stop_right_before_the_end_does_no_harm);
    tcase_add_test(alone, outside_a_worker_nothing_can_be_stopped);

    TCase *actions = thi_check_case(suite, "actions");
    tcase_add_test(actions, afterwards_the_former_actions_are_back);
    tcase_add_test(actions, signals_are_left_alone_when_asked);

    TCase *servers = thi_check_case(suite, "servers");
    add_on_engines(servers, a_server_hears_of_the_first_signal_and_the_second_cancels);
    tcase_add_test(servers, two_stops_at_once_are_two);
    add_on_engines(servers, after_the_time_of_grace_the_root_scope_is_cancelled);
    tcase_add_test(servers, a_server_that_ends_in_time_ends_the_program);
    add_on_engines(servers, all_servers_hear_of_it_each_once_on_its_worker);
    tcase_add_test(servers, a_server_that_starts_during_the_stop_is_told_at_once);
}

int main(void)
{
    return thi_check_run("runtime/stop", fill);
}
