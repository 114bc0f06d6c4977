/* SPDX-License-Identifier: MIT */

/* A runtime in somebody else's loop: what its descriptor says, what a turn does, how it ends. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <thrum/event.h>
#include <thrum/host.h>
#include <thrum/pool.h>
#include <thrum/wait_fd.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

/* Only these two can be waited for from outside. */
enum { HOSTABLE = 2 };

#define LONG_MS 8000

static th_host *open_host_on(unsigned workers, int engine, th_fiber_fn app, void *arg)
{
    th_run_opts opts = { .workers = workers,
                         .backend = engine_names[engine],
                         .watchdog = TH_NEVER };
    th_host *host = NULL;
    ck_assert_int_eq(th_host_open(app, arg, &opts, &host), 0);
    ck_assert_ptr_nonnull(host);
    return host;
}

static bool is_due(const th_host *host, int ms)
{
    struct pollfd one = { .fd = th_host_fd(host), .events = POLLIN };
    int n = poll(&one, 1, ms);
    ck_assert_int_ge(n, 0);
    return n == 1;
}

/* What every loop does; how many turns it took. */
static int drive(th_host *host)
{
    int turns = 1;
    for (;; turns++) {
        ck_assert(is_due(host, LONG_MS));
        int goes_on = th_host_turn(host);
        ck_assert_int_ge(goes_on, 0);
        if (!goes_on)
            return turns;
    }
}

/* Turns until nothing is due at once. */
static void settle(th_host *host)
{
    while (is_due(host, 0))
        ck_assert_int_eq(th_host_turn(host), 1);
}

/* ---- a life ---------------------------------------------------------------------------------- */

static int set_flag(void *arg)
{
    *(bool *)arg = true;
    return 7;
}

START_TEST(fibers_run_in_turns_alone)
{
    bool ran = false;
    th_host *host = open_host_on(1, _i, set_flag, &ran);
    ck_assert(is_due(host, 0));
    ck_assert(!ran);
    (void)drive(host);
    ck_assert(ran);
    ck_assert_int_eq(th_host_turn(host), 0);
    ck_assert_int_eq(th_host_due(host), TH_NEVER);
    ck_assert_int_eq(th_host_close(host), 7);
}
END_TEST

static int sleep_ten_times(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        int err = th_sleep(3 * TH_MILLISECOND);
        if (err < 0)
            return err;
    }
    return 0;
}

START_TEST(timers_make_it_due_and_nothing_else_does)
{
    th_host *host = open_host_on(1, _i, sleep_ten_times, NULL);
    ck_assert_int_eq(th_host_due(host), 0);
    int64_t began = th_now();
    int turns = drive(host);
    ck_assert_int_ge(th_now() - began, 30 * TH_MILLISECOND);
    /* A wheel of timers may be looked at once before the time, to move them to a finer ring. */
    ck_assert_int_ge(turns, 10);
    ck_assert_int_le(turns, 45);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

static int sleep_long(void *arg)
{
    (void)arg;
    return th_sleep(1000 * TH_SECOND);
}

START_TEST(the_next_turn_has_a_time)
{
    th_host *host = open_host_on(1, _i, sleep_long, NULL);
    settle(host);
    ck_assert_int_gt(th_host_due(host), th_now());
    ck_assert_int_le(th_host_due(host), th_after(1001 * TH_SECOND));
    ck_assert(!is_due(host, 0));
    ck_assert_int_eq(th_host_turn(host), 1); /* harmless */
    ck_assert(!is_due(host, 0));
    ck_assert_int_eq(th_host_close(host), -ECANCELED);
}
END_TEST

/* ---- what wakes it --------------------------------------------------------------------------- */

static int wait_for_pipe(void *arg)
{
    unsigned ready = 0;
    char byte = 0;
    int err = th_wait_fd(*(int *)arg, TH_FD_READ, &ready);
    if (err < 0 || !(ready & TH_FD_READ) || read(*(int *)arg, &byte, 1) != 1)
        return err < 0 ? err : -EPROTO;
    return byte;
}

START_TEST(a_descriptor_of_a_fiber_makes_it_due)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    th_host *host = open_host_on(1, _i, wait_for_pipe, &ends[0]);
    settle(host);
    ck_assert_int_eq(th_host_due(host), TH_NEVER);
    ck_assert_int_eq(write(ends[1], "w", 1), 1);
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 'w');
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static int wait_for_event(void *arg)
{
    return th_event_wait(arg);
}

START_TEST(the_hosts_own_callbacks_wake_fibers)
{
    th_event event = TH_EVENT_INIT;
    th_host *host = open_host_on(1, _i, wait_for_event, &event);
    settle(host);
    th_event_set(&event);
    ck_assert(is_due(host, 0));
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

static void *set_event(void *arg)
{
    th_event_set(arg);
    return NULL;
}

START_TEST(other_threads_wake_fibers)
{
    th_event event = TH_EVENT_INIT;
    pthread_t thread;
    th_host *host = open_host_on(1, _i, wait_for_event, &event);
    settle(host);
    ck_assert_int_eq(pthread_create(&thread, NULL, set_event, &event), 0);
    (void)drive(host);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

#define ROUNDS 3000

static th_event ball[2] = { TH_EVENT_AUTO_INIT, TH_EVENT_AUTO_INIT };

static int play(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int err = th_event_wait(&ball[0]);
        if (err < 0)
            return err;
        th_event_set(&ball[1]);
    }
    return 0;
}

static void *play_back(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        th_event_set(&ball[0]);
        if (th_event_wait(&ball[1]) < 0)
            return &ball;
    }
    return NULL;
}

START_TEST(no_wake_is_lost_however_it_meets_the_end_of_a_turn)
{
    void *failed = NULL;
    pthread_t thread;
    th_host *host = open_host_on(1, _i, play, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, play_back, NULL), 0);
    (void)drive(host);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

static pthread_t hosting;

static int add_thread(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, pthread_equal(pthread_self(), hosting) ? 1 : 100);
    return 0;
}

static int spread(void *arg)
{
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 50; i++)
        spawn_on(&scope, i % 2, add_thread, arg);
    return th_scope_close(&scope);
}

START_TEST(other_workers_have_their_own_threads)
{
    atomic_int sum = 0;
    hosting = pthread_self();
    th_host *host = open_host_on(2, _i, spread, &sum);
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
    ck_assert_int_eq(atomic_load(&sum), 25 + 25 * 100);
}
END_TEST

static int seventeen(void *arg)
{
    (void)arg;
    return 17;
}

static int off_load(void *arg)
{
    (void)arg;
    return th_offload(NULL, seventeen, NULL);
}

START_TEST(pools_answer)
{
    th_host *host = open_host_on(1, _i, off_load, NULL);
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 17);
}
END_TEST

/* ---- fairness -------------------------------------------------------------------------------- */

static int yield_until(void *arg)
{
    while (!*(volatile bool *)arg) {
        int err = th_yield();
        if (err < 0)
            return err;
    }
    return 0;
}

static int yield_in_two(void *arg)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, yield_until, arg);
    spawn(&scope, yield_until, arg);
    return th_scope_close(&scope);
}

START_TEST(a_turn_ends_though_fibers_are_always_ready)
{
    bool enough = false;
    th_host *host = open_host_on(1, _i, yield_in_two, &enough);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(th_host_turn(host), 1);
        ck_assert(is_due(host, 0));
    }
    enough = true;
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

/* ---- in loops of all kinds ------------------------------------------------------------------- */

static bool due_by_epoll(int fd, int ms)
{
    int ep = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN };
    ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), 0);
    int n = epoll_wait(ep, &event, 1, ms);
    close(ep);
    return n == 1;
}

static bool due_by_select(int fd, int ms)
{
    fd_set set;
    struct timeval span = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &span) == 1;
}

START_TEST(any_way_of_waiting_sees_it)
{
    th_event event = TH_EVENT_INIT;
    th_host *host = open_host_on(1, _i, wait_for_event, &event);
    ck_assert(due_by_epoll(th_host_fd(host), 0));
    ck_assert(due_by_select(th_host_fd(host), 0));
    settle(host);
    ck_assert(!due_by_epoll(th_host_fd(host), 0));
    ck_assert(!due_by_select(th_host_fd(host), 0));
    th_event_set(&event);
    ck_assert(due_by_epoll(th_host_fd(host), LONG_MS));
    ck_assert(due_by_select(th_host_fd(host), LONG_MS));
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

/* A thread whose runtime has a fiber that drives another runtime, hosted by a thread of its own. */
static int watch_host(void *arg)
{
    unsigned ready = 0;
    int err = th_wait_fd(th_host_fd(arg), TH_FD_READ, &ready);
    return err < 0 ? err : ready & TH_FD_READ ? 0 : -EPROTO;
}

static void *run_watcher(void *arg)
{
    th_run_opts opts = { .workers = 1, .no_signals = 1, .watchdog = TH_NEVER };
    return th_run(watch_host, arg, &opts) == 0 ? NULL : arg;
}

START_TEST(a_fiber_of_another_runtime_sees_it)
{
    th_event event = TH_EVENT_INIT;
    void *failed = &event;
    pthread_t thread;
    th_host *host = open_host_on(1, _i, wait_for_event, &event);
    settle(host);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_watcher, host), 0);
    th_event_set(&event);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(one_that_had_no_turn_never_runs)
{
    bool ran = false;
    th_host *host = open_host_on(1, _i, set_flag, &ran);
    ck_assert_int_eq(th_host_close(host), -ECANCELED);
    ck_assert(!ran);
}
END_TEST

static int clean_up_slowly(void *arg)
{
    int result = th_sleep(TH_NEVER);
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_sleep(2 * TH_MILLISECOND), 0);
    close_scope(&shield);
    *(bool *)arg = true;
    return result == -ECANCELED ? 5 : result;
}

START_TEST(closing_cancels_and_waits_for_the_clean_up)
{
    bool cleaned = false;
    th_host *host = open_host_on(1, _i, clean_up_slowly, &cleaned);
    settle(host);
    ck_assert_int_eq(th_host_close(host), 5);
    ck_assert(cleaned);
}
END_TEST

START_TEST(stopping_takes_turns)
{
    bool cleaned = false;
    th_host *host = open_host_on(2, _i, clean_up_slowly, &cleaned);
    settle(host);
    ck_assert_int_eq(th_host_stop(host), 0);
    ck_assert(!cleaned);
    (void)drive(host);
    ck_assert(cleaned);
    ck_assert_int_eq(th_host_close(host), 5);
}
END_TEST

START_TEST(a_stop_before_the_first_turn_is_heard_at_the_first_wait)
{
    bool cleaned = false;
    th_host *host = open_host_on(1, _i, clean_up_slowly, &cleaned);
    ck_assert_int_eq(th_host_stop(host), 0);
    (void)drive(host);
    ck_assert(cleaned);
    ck_assert_int_eq(th_host_close(host), 5);
}
END_TEST

START_TEST(a_thread_hosts_one_after_the_other)
{
    for (int i = 0; i < 20; i++) {
        bool ran = false;
        th_host *host = open_host_on(1, _i, set_flag, &ran);
        (void)drive(host);
        ck_assert_int_eq(th_host_close(host), 7);
    }
    run_in_fiber(1, 0, do_nothing, NULL);
}
END_TEST

/* ---- misuse ---------------------------------------------------------------------------------- */

static int misuse_from_inside(void *arg)
{
    th_host *host = *(th_host **)arg;
    th_host *other = NULL;
    ck_assert_int_eq(th_host_turn(host), -EBUSY);
    ck_assert_int_eq(th_host_close(host), -EBUSY);
    ck_assert_int_eq(th_host_open(do_nothing, NULL, NULL, &other), -EBUSY);
    ck_assert_ptr_null(other);
    return 0;
}

START_TEST(misuse_is_refused)
{
    th_host *host = NULL;
    th_host *other = NULL;
    ck_assert_int_eq(th_host_open(NULL, NULL, NULL, &host), -EINVAL);
    ck_assert_int_eq(th_host_open(do_nothing, NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_host_open(do_nothing, NULL, &(th_run_opts){ .backend = "poll" }, &host),
                     -EOPNOTSUPP);
    ck_assert_str_eq(th_err_detail(),
                     "the back end poll cannot be waited for from outside; epoll and uring can");
    ck_assert_int_eq(th_host_open(do_nothing, NULL, &(th_run_opts){ .backend = "select" }, &host),
                     -EOPNOTSUPP);
    ck_assert_int_eq(th_host_open(do_nothing, NULL, &(th_run_opts){ .size = 10000 }, &host),
                     -EINVAL);
    ck_assert_ptr_null(host);
    ck_assert_int_eq(th_host_turn(NULL), -EINVAL);
    ck_assert_int_eq(th_host_stop(NULL), -EINVAL);
    ck_assert_int_eq(th_host_fd(NULL), -EINVAL);
    ck_assert_int_eq(th_host_due(NULL), TH_NEVER);
    ck_assert_int_eq(th_host_close(NULL), 0);
    host = open_host_on(1, 0, misuse_from_inside, &host);
    ck_assert_int_eq(th_host_open(do_nothing, NULL, NULL, &other), -EBUSY);
    ck_assert_int_eq(th_run(do_nothing, NULL, NULL), -EBUSY);
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 0);
}
END_TEST

/* ---- lack of everything ---------------------------------------------------------------------- */

static int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* One life, in which something may be missing; the error of the opening. */
static int live(int engine)
{
    bool ran = false;
    th_host *host = NULL;
    th_run_opts opts = { .workers = 2, .backend = engine_names[engine], .watchdog = TH_NEVER };
    int err = th_host_open(set_flag, &ran, &opts, &host);
    if (err < 0) {
        ck_assert_ptr_null(host);
        ck_assert(!ran);
        return err;
    }
    (void)drive(host);
    ck_assert_int_eq(th_host_close(host), 7);
    return 0;
}

static const int errors[] = { EMFILE, ENOMEM };

START_TEST(each_call_of_the_opening_may_fail)
{
    ck_assert_int_eq(live(_i), 0);
    int before = count_open();
    for (size_t e = 0; e < thi_array_len(errors); e++) {
        unsigned long n = 0;
        const char *hit;
        do {
            thi_fault_begin(0, 0);
            thi_fault_order("epoll_create epoll_ctl timerfd timerfd_set eventfd uring_setup", ++n,
                            errors[e]);
            int err = live(_i);
            hit = thi_fault_hit();
            (void)thi_fault_end();
            /* Where only uring was refused, epoll takes its place. */
            ck_assert_msg(err == 0 || hit, "%s at call %lu", th_errname(err), n);
            ck_assert_msg(count_open() == before, "%s at call %lu leaves a descriptor",
                          hit ? hit : "nothing", n);
        } while (hit);
        ck_assert_uint_gt(n, 4);
    }
}
END_TEST

START_TEST(each_allocation_of_a_life_may_fail)
{
    ck_assert_int_eq(live(_i), 0);
    for (int64_t n = 1;; n++) {
        int64_t before = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = live(_i);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_msg(err == 0 || err == -ENOMEM, "%s at allocation %d", th_errname(err), (int)n);
        ck_assert_msg(thi_alloc_live() == before, "allocation %d: memory is left", (int)n);
        if (untouched)
            break;
        ck_assert_int_lt(n, 1000);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "life");
    tcase_add_loop_test(tcase, fibers_run_in_turns_alone, 0, HOSTABLE);
    tcase_add_loop_test(tcase, timers_make_it_due_and_nothing_else_does, 0, HOSTABLE);
    tcase_add_loop_test(tcase, the_next_turn_has_a_time, 0, HOSTABLE);

    tcase = thi_check_case(suite, "wake");
    tcase_add_loop_test(tcase, a_descriptor_of_a_fiber_makes_it_due, 0, HOSTABLE);
    tcase_add_loop_test(tcase, the_hosts_own_callbacks_wake_fibers, 0, HOSTABLE);
    tcase_add_loop_test(tcase, other_threads_wake_fibers, 0, HOSTABLE);
    tcase_add_loop_test(tcase, no_wake_is_lost_however_it_meets_the_end_of_a_turn, 0, HOSTABLE);
    tcase_add_loop_test(tcase, other_workers_have_their_own_threads, 0, HOSTABLE);
    tcase_add_loop_test(tcase, pools_answer, 0, HOSTABLE);
    tcase_add_loop_test(tcase, a_turn_ends_though_fibers_are_always_ready, 0, HOSTABLE);
    tcase_add_loop_test(tcase, any_way_of_waiting_sees_it, 0, HOSTABLE);
    tcase_add_loop_test(tcase, a_fiber_of_another_runtime_sees_it, 0, HOSTABLE);

    tcase = thi_check_case(suite, "end");
    tcase_add_loop_test(tcase, one_that_had_no_turn_never_runs, 0, HOSTABLE);
    tcase_add_loop_test(tcase, closing_cancels_and_waits_for_the_clean_up, 0, HOSTABLE);
    tcase_add_loop_test(tcase, stopping_takes_turns, 0, HOSTABLE);
    tcase_add_loop_test(tcase, a_stop_before_the_first_turn_is_heard_at_the_first_wait, 0,
                        HOSTABLE);
    tcase_add_loop_test(tcase, a_thread_hosts_one_after_the_other, 0, HOSTABLE);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_loop_test(tcase, each_call_of_the_opening_may_fail, 0, HOSTABLE);
    tcase_add_loop_test(tcase, each_allocation_of_a_life_may_fail, 0, HOSTABLE);
}

int main(void)
{
    return thi_check_run("runtime/host", fill_suite);
}
