/* SPDX-License-Identifier: MIT */

/* Fibers that nobody can wake: that they are told, and only they; and to whom findings go. */
#include "runtime/findings.h"

/* ---- the lost -------------------------------------------------------------------------------- */

START_TEST(fibers_that_nobody_can_wake_are_told_by_place)
{
    const unsigned workers[] = { 1, 2, 4 };
    int n = 1000;
    stop_when_found = true;
    ck_assert_int_eq(run_with(workers[_i], SPAN, lose, &n), 0);
    ck_assert_int_eq(atomic_load(&lost), 1);
    ck_assert_int_eq(atomic_load(&circles), 0);
    expect_text("lost: 1001 fibers wait, and nothing is left that could end that\n");
    expect_text("fiber 'main' #1 on worker 0, which runs run_app, has waited for ");
    expect_text(": scope\n    ");
    expect_text(" more like it: the first has waited for ");
    expect_text(": event\n    ");
    expect_text("\n    wait_for_event+0x");
}
END_TEST

START_TEST(lost_fibers_are_told_on_every_engine)
{
    int n = 1;
    stop_when_found = true;
    allow_tools();
    th_run_opts opts = {
        .workers = 2, .backend = engine_names[_i], .deadlock_after = SPAN, .on_deadlock = found
    };
    ck_assert_int_eq(th_run(lose, &n, &opts), 0);
    ck_assert_int_eq(atomic_load(&lost), 1);
    expect_text(
        "lost: 2 fibers wait, and nothing is left that could end that but a signal to stop");
}
END_TEST

/* A default pool has threads, which are at rest. */
static int lose_after_offload(void *arg)
{
    ck_assert_int_eq(th_offload(NULL, do_nothing, NULL), 0);
    return lose(arg);
}

START_TEST(idle_threads_of_pools_do_not_count)
{
    int n = 1;
    stop_when_found = true;
    ck_assert_int_eq(run_with(1, SPAN, lose_after_offload, &n), 0);
    ck_assert_int_eq(atomic_load(&lost), 1);
}
END_TEST

/* The fiber that waits for the end of those in the circle is not lost for a reason of its own. */
START_TEST(who_is_told_in_a_circle_is_not_told_as_lost)
{
    stop_when_found = true;
    ck_assert_int_eq(run_with(2, SPAN, in_circle_for_ever, NULL), 0);
    ck_assert_int_eq(atomic_load(&circles), 1);
    ck_assert_int_eq(atomic_load(&sizes[2]), 1);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

static void *set_later(void *arg)
{
    wait_for_look();
    th_event_set(arg);
    return NULL;
}

static int wait_for_thread(void *arg)
{
    pthread_t thread;
    th_event event = { 0 };
    (void)arg;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_later, &event), 0);
    ck_assert_int_eq(th_event_wait(&event), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return 0;
}

START_TEST(thread_that_is_about_to_act_is_an_end)
{
    const unsigned workers[] = { 1, 2, 4 };
    ck_assert_int_eq(run_with(workers[_i], SPAN, wait_for_thread, NULL), 0);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

/* A look comes to see it, since a child is waited for. */
static int wait_for_sleeper(void *arg)
{
    th_event event = { 0 };
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    spawn(&scope, wait_for_event, &event);
    have_looks(); /* it sleeps now and then */
    th_event_set(&event);
    close_scope(&scope);
    return 0;
}

START_TEST(timer_is_an_end)
{
    ck_assert_int_eq(run_with(2, SPAN, wait_for_sleeper, NULL), 0);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

static void *end_later(void *arg)
{
    (void)arg;
    wait_for_look();
    return NULL;
}

static int lose_after_thread(void *arg)
{
    pthread_t thread;
    (void)arg;
    int n = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, end_later, NULL), 0);
    ck_assert_int_eq(lose(&n), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return 0;
}

START_TEST(thread_that_ends_without_a_word_is_noticed)
{
    stop_when_found = true;
    ck_assert_int_eq(run_with(2, SPAN, lose_after_thread, NULL), 0);
    ck_assert_int_eq(atomic_load(&lost), 1);
}
END_TEST

static int wait_for_pipe(void *arg)
{
    th_case cases[] = { TH_CASE_READABLE(*(int *)arg) };
    ck_assert_int_eq(th_select(cases, 1, 0), 0);
    return 0;
}

START_TEST(descriptor_is_an_end)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        usleep(10 * SPAN / TH_MICROSECOND); /* time enough for a false alarm */
        _exit(write(fds[1], "x", 1) == 1 ? 0 : 1);
    }
    ck_assert_int_eq(run_with(2, SPAN, wait_for_pipe, &fds[0]), 0);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

static int sleep_till_stopped(void *arg)
{
    (void)arg;
    have_looks();
    return th_sleep(TH_NEVER) == -ECANCELED ? 0 : -EPROTO;
}

/* To sleep until a signal comes is a way to wait for the signal. */
START_TEST(who_sleeps_for_ever_is_not_lost)
{
    th_run_opts opts = { .workers = 1, .deadlock_after = SPAN, .on_deadlock = found };
    pid_t parent = getpid();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        usleep(30 * SPAN / TH_MICROSECOND);
        _exit(kill(parent, SIGTERM));
    }
    ck_assert_int_eq(th_run(sleep_till_stopped, NULL, &opts), 0);
    ck_assert_int_eq(atomic_load(&lost), 0);
}
END_TEST

/* ---- to the log ------------------------------------------------------------------------------ */

static char logged[8192];

static void note_log(void *ctx, th_log_level level, th_str message)
{
    (void)ctx;
    size_t len = strlen(logged);
    snprintf(logged + len, sizeof logged - len, "%d: %.*s\n", (int)level, (int)message.len,
             message.ptr);
    if (strstr(logged, "take_two") || strstr(logged, "lost"))
        (void)th_stop();
}

START_TEST(without_a_hook_the_log_has_it)
{
    th_run_opts opts = { .workers = 1, .no_signals = 1, .deadlock_after = SPAN };
    int n = 3;
    allow_tools();
    ck_assert_int_eq(th_log_set_sink(note_log, NULL, TH_LOG_INFO), 0);
    ck_assert_int_eq(th_run(in_circle_for_ever, NULL, &opts), 0);
    ck_assert_msg(strstr(logged, "1: deadlock: 2 wait for each other in a circle\n") != NULL, "%s",
                  logged);
    ck_assert_ptr_nonnull(strstr(logged, "\n1: fiber 'taker' #"));
    ck_assert_ptr_nonnull(strstr(logged, " < take_two+0x"));
    ck_assert_int_eq(thi_metric_read(THI_M_DEADLOCK_CIRCLES), 1);
    *logged = '\0';
    ck_assert_int_eq(th_run(lose, &n, &opts), 0);
    ck_assert_ptr_nonnull(strstr(logged, "2: lost: 4 fibers wait"));
    ck_assert_int_eq(thi_metric_read(THI_M_DEADLOCK_LOST), 1);
}
END_TEST

/* ---- simulation ------------------------------------------------------------------------------ */

static int64_t found_at;

static void found_in_sim(void *arg, const th_deadlock *d)
{
    found(arg, d);
    found_at = th_now();
}

static int circle_then_sleep(void *arg)
{
    ring r = { .size = 0 };
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    start_ring(&scope, &r, 4);
    ck_assert_int_eq(th_sleep(TH_SECOND), 0);
    ck_assert_int_eq(atomic_load(&circles), 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_cancelled(&scope);
    return 0;
}

START_TEST(simulation_finds_a_circle_as_soon_as_it_is_there)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        th_sim_opts opts = { .seed = seed, .workers = 3, .on_deadlock = found_in_sim };
        th_sim_result first, second;
        atomic_store(&circles, 0);
        ck_assert_int_eq(th_sim_run(circle_then_sleep, NULL, &opts, &first), 0);
        int64_t at = found_at;
        char start[64];
        snprintf(start, sizeof start, "simulation with seed %d: deadlock: 4 wait", (int)seed);
        ck_assert_int_eq(strncmp(text, start, strlen(start)), 0);
        ck_assert_int_eq(first.live_allocations, 0);
        atomic_store(&circles, 0);
        ck_assert_int_eq(th_sim_run(circle_then_sleep, NULL, &opts, &second), 0);
        ck_assert_int_eq(at, found_at);
        ck_assert_uint_eq(first.hash, second.hash);
    }
}
END_TEST

START_TEST(simulation_tells_the_lost)
{
    int n = 5;
    th_sim_opts opts = { .seed = 7, .workers = 2, .on_deadlock = found };
    th_sim_result r;
    ck_assert_int_eq(th_sim_run(lose, &n, &opts, &r), -EDEADLK);
    ck_assert_int_eq(atomic_load(&lost), 1);
    expect_text("simulation with seed 7: lost: 6 fibers wait, and nothing is left");
    expect_text("\n    wait_for_event+0x");
}
END_TEST

static void add_lost(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "lost");
    tcase_add_loop_test(tcase, fibers_that_nobody_can_wake_are_told_by_place, 0, 3);
    add_on_engines(tcase, lost_fibers_are_told_on_every_engine);
    tcase_add_test(tcase, idle_threads_of_pools_do_not_count);
    tcase_add_test(tcase, who_is_told_in_a_circle_is_not_told_as_lost);
    tcase_add_loop_test(tcase, thread_that_is_about_to_act_is_an_end, 0, 3);
    tcase_add_test(tcase, thread_that_ends_without_a_word_is_noticed);
    tcase_add_test(tcase, timer_is_an_end);
    tcase_add_test(tcase, descriptor_is_an_end);
    tcase_add_test(tcase, who_sleeps_for_ever_is_not_lost);
}

static void fill(Suite *suite)
{
    add_lost(suite);
    TCase *tcase = thi_check_case(suite, "log");
    tcase_add_test(tcase, without_a_hook_the_log_has_it);
    tcase = thi_check_case(suite, "simulation");
    tcase_add_test(tcase, simulation_finds_a_circle_as_soon_as_it_is_there);
    tcase_add_test(tcase, simulation_tells_the_lost);
}

int main(void)
{
    return thi_check_run("runtime/lost", fill);
}
