/* SPDX-License-Identifier: MIT */

/* Waiting for foreign descriptors: who is woken, with what, and that nothing is left behind. */
#include "sync/parties.h"

#include "base/alloc.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <thrum/select.h>
#include <thrum/sim.h>
#include <thrum/wait_fd.h>

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int fds[2];

/* A pair of sockets; fds[0] is the one that is waited for. */
static void set_up(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void tear_down(void)
{
    (void)close(fds[0]);
    (void)close(fds[1]);
    ck_assert_uint_eq(thi_worker_self->loop.watches, 1); /* its own */
}

static void fill(int fd)
{
    char block[4096] = { 0 };
    while (write(fd, block, sizeof block) > 0)
        ;
}

static void drain(int fd)
{
    char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
}

/* One who waits, and what he was told. */
typedef struct waiting {
    int fd;
    unsigned dirs;
    unsigned ready;
    int result;
    atomic_bool done;
} waiting;

static int wait_for(void *arg)
{
    waiting *w = arg;
    w->result = th_wait_fd(w->fd, w->dirs, &w->ready);
    atomic_store(&w->done, true);
    return 0;
}

static void *wait_in_thread(void *arg)
{
    (void)wait_for(arg);
    return NULL;
}

static int write_byte(void *arg)
{
    ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
    return 0;
}

/* ---- at once ---- */

FIBER_TEST(what_is_ready_is_told_at_once)
{
    unsigned ready = 0;
    set_up();
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, &ready), 0);
    ck_assert_uint_eq(ready, TH_FD_WRITE);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ | TH_FD_WRITE, &ready), 0);
    ck_assert_uint_eq(ready, TH_FD_WRITE);
    (void)write_byte(&fds[1]);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ | TH_FD_WRITE, &ready), 0);
    ck_assert_uint_eq(ready, TH_FD_READ | TH_FD_WRITE);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), 0);
    tear_down();
}

FIBER_TEST(a_bad_descriptor_is_told_at_once_and_again)
{
    unsigned ready = 99;
    set_up();
    (void)close(fds[0]);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_wait_fd(-1, TH_FD_READ, &ready), -EBADF);
        ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, &ready), -EBADF);
        ck_assert_int_eq(th_wait_fd(INT32_MAX, TH_FD_READ, &ready), -EBADF);
    }
    ck_assert_int_eq(th_wait_fd(fds[1], 0, &ready), -EINVAL);
    ck_assert_int_eq(th_wait_fd(fds[1], TH_FD_READ | TH_FD_HANGUP, &ready), -EINVAL);
    ck_assert_int_eq(th_wait_fd(fds[1], 8, &ready), -EINVAL);
    ck_assert_uint_eq(ready, 99);
    tear_down();
}

FIBER_TEST(what_never_waits_is_ready_at_once)
{
    static const char *const paths[] = { "/dev/null", "/etc/passwd", "/etc" };
    set_up();
    for (size_t i = 0; i < thi_array_len(paths); i++) {
        unsigned ready = 0;
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(th_wait_fd(fd, TH_FD_READ, &ready), 0);
        ck_assert_uint_eq(ready, TH_FD_READ);
        (void)close(fd);
    }
    tear_down();
}

FIBER_TEST(the_scope_is_asked_first)
{
    th_scope scope;
    set_up();
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, NULL), -ECANCELED);
    close_scope(&scope);
    tear_down();
}

static int set_flag(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

FIBER_TEST(a_descriptor_that_is_always_ready_lets_others_run)
{
    th_scope scope;
    bool ran = false;
    set_up();
    open_scope(&scope);
    spawn(&scope, set_flag, &ran);
    for (int i = 0; i < 1000 && !ran; i++)
        ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, NULL), 0);
    ck_assert(ran);
    close_scope(&scope);
    tear_down();
}

/* ---- waiting ---- */

FIBER_TEST(it_waits_until_the_descriptor_is_readable)
{
    th_scope scope;
    set_up();
    for (int i = 0; i < 3; i++) {
        unsigned ready = 0;
        open_scope(&scope);
        spawn(&scope, write_byte, &fds[1]);
        ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, &ready), 0);
        ck_assert_uint_eq(ready, TH_FD_READ);
        ck_assert_int_eq(read(fds[0], &(char){ 0 }, 1), 1);
        close_scope(&scope);
    }
    tear_down();
}

static int drain_other(void *arg)
{
    drain(*(int *)arg);
    return 0;
}

FIBER_TEST(it_waits_until_the_descriptor_is_writable)
{
    th_scope scope;
    unsigned ready = 0;
    set_up();
    fill(fds[0]);
    open_scope(&scope);
    spawn(&scope, drain_other, &fds[1]);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, &ready), 0);
    ck_assert_uint_eq(ready, TH_FD_WRITE);
    close_scope(&scope);
    tear_down();
}

static int hang_up(void *arg)
{
    (void)close(*(int *)arg);
    return 0;
}

FIBER_TEST(the_end_of_the_peer_is_readable_and_a_hangup)
{
    th_scope scope;
    unsigned ready = 0;
    set_up();
    open_scope(&scope);
    spawn(&scope, hang_up, &fds[1]);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, &ready), 0);
    ck_assert_uint_eq(ready, TH_FD_READ | TH_FD_HANGUP);
    close_scope(&scope);
    tear_down();
}

/* A peer that sends no more is no reason to wake who waits for room. */
FIBER_TEST(half_a_hangup_does_not_wake_a_writer)
{
    th_scope scope;
    set_up();
    fill(fds[0]);
    waiting writer = { .fd = fds[0], .dirs = TH_FD_WRITE };
    waiting reader = { .fd = fds[0], .dirs = TH_FD_READ };
    open_scope(&scope);
    spawn(&scope, wait_for, &writer);
    spawn(&scope, wait_for, &reader);
    (void)th_yield();
    ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
    wait_until(reader.done);
    ck_assert(!writer.done);
    drain(fds[1]);
    wait_until(writer.done);
    ck_assert_int_eq(writer.result, 0);
    close_scope(&scope);
    tear_down();
}

FIBER_TEST(a_reader_and_a_writer_wait_for_one_descriptor)
{
    th_scope scope;
    set_up();
    fill(fds[0]);
    waiting reader = { .fd = fds[0], .dirs = TH_FD_READ };
    waiting writer = { .fd = fds[0], .dirs = TH_FD_WRITE };
    open_scope(&scope);
    spawn(&scope, wait_for, &reader);
    spawn(&scope, wait_for, &writer);
    (void)th_yield();
    ck_assert_uint_eq(thi_worker_self->loop.watches, 2);
    (void)write_byte(&fds[1]);
    wait_until(reader.done);
    ck_assert(!writer.done);
    drain(fds[1]);
    wait_until(writer.done);
    ck_assert_uint_eq(reader.ready, TH_FD_READ);
    ck_assert_uint_eq(writer.ready, TH_FD_WRITE);
    close_scope(&scope);
    tear_down();
}

enum { MANY = 50 };

FIBER_TEST(any_number_may_wait_and_all_are_woken)
{
    th_scope scope;
    waiting many[MANY];
    set_up();
    open_scope(&scope);
    for (int i = 0; i < MANY; i++) {
        many[i] = (waiting){ .fd = fds[0], .dirs = TH_FD_READ };
        spawn(&scope, wait_for, &many[i]);
    }
    (void)th_yield();
    ck_assert_uint_eq(thi_worker_self->loop.watches, 2);
    (void)write_byte(&fds[1]);
    close_scope(&scope);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(many[i].result, 0);
    tear_down();
}

FIBER_TEST(after_a_wait_that_timed_out_nothing_is_watched)
{
    th_scope scope;
    set_up();
    for (int i = 0; i < 2; i++) {
        open_scope_for(&scope, TH_MILLISECOND);
        ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), -ETIMEDOUT);
        ck_assert_uint_eq(thi_worker_self->loop.watches, 1);
        close_scope(&scope);
    }
    (void)write_byte(&fds[1]); /* wakes nobody */
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), 0);
    tear_down();
}

FIBER_TEST(one_who_gives_up_leaves_the_others_waiting)
{
    th_scope scope;
    th_scope short_one;
    set_up();
    waiting patient = { .fd = fds[0], .dirs = TH_FD_READ };
    open_scope(&scope);
    spawn(&scope, wait_for, &patient);
    open_scope_for(&short_one, TH_MILLISECOND);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), -ETIMEDOUT);
    close_scope(&short_one);
    ck_assert(!patient.done);
    (void)write_byte(&fds[1]);
    close_scope(&scope);
    ck_assert_int_eq(patient.result, 0);
    tear_down();
}

FIBER_TEST(an_event_beats_the_end_of_the_scope)
{
    th_scope scope;
    set_up();
    waiting w = { .fd = fds[0], .dirs = TH_FD_READ };
    open_scope(&scope);
    spawn(&scope, wait_for, &w);
    (void)th_yield();
    (void)write_byte(&fds[1]); /* the loop has not told of it */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(w.result, 0);
    ck_assert_uint_eq(w.ready, TH_FD_READ);
    tear_down();
}

/* Between its end and the next wait the number may belong to another file. */
FIBER_TEST(a_number_that_is_used_again_is_waited_for_anew)
{
    th_scope scope;
    set_up();
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), -ETIMEDOUT);
    close_scope(&scope);
    int former = fds[0];
    (void)close(fds[0]);
    (void)close(fds[1]);
    set_up();
    ck_assert_int_eq(fds[0], former);
    open_scope(&scope);
    spawn(&scope, write_byte, &fds[1]);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), 0);
    close_scope(&scope);
    tear_down();
}

FIBER_TEST(closed_behind_its_back_a_wait_neither_crashes_nor_spins)
{
    th_scope scope;
    set_up();
    waiting w = { .fd = fds[0], .dirs = TH_FD_READ };
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    spawn(&scope, wait_for, &w);
    (void)th_yield();
    uint64_t turns = thi_worker_self->loop.turns;
    (void)close(fds[0]);
    (void)th_scope_close(&scope);
    ck_assert(w.result == -ETIMEDOUT || w.result == -EBADF);
    ck_assert_uint_lt(thi_worker_self->loop.turns - turns, 50);
    tear_down();
}

/* Of another loop, for instance. */
FIBER_TEST(an_epoll_descriptor_can_be_waited_for)
{
    th_scope scope;
    set_up();
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN };
    ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev), 0);
    open_scope(&scope);
    spawn(&scope, write_byte, &fds[1]);
    ck_assert_int_eq(th_wait_fd(ep, TH_FD_READ, NULL), 0);
    close_scope(&scope);
    (void)close(ep);
    tear_down();
}

/* ---- about to be closed ---- */

FIBER_TEST(whoever_waits_for_a_descriptor_that_closes_is_told)
{
    th_scope scope;
    set_up();
    fill(fds[0]);
    waiting reader = { .fd = fds[0], .dirs = TH_FD_READ };
    waiting writer = { .fd = fds[0], .dirs = TH_FD_WRITE };
    open_scope(&scope);
    spawn(&scope, wait_for, &reader);
    spawn(&scope, wait_for, &writer);
    (void)th_yield();
    ck_assert_int_eq(th_fd_closing(fds[0]), 0);
    ck_assert_uint_eq(thi_worker_self->loop.watches, 1);
    (void)close(fds[0]);
    close_scope(&scope);
    ck_assert_int_eq(reader.result, -ECANCELED);
    ck_assert_int_eq(writer.result, -ECANCELED);
    ck_assert_int_eq(th_fd_closing(fds[0]), 0);
    ck_assert_int_eq(th_fd_closing(-1), -EBADF);
    tear_down();
}

FIBER_TEST_ON(4, waits_on_other_workers_and_threads_have_ended_when_closing_returns)
{
    enum { EACH = 4, FIBERS = 4 * EACH, THREADS = 3 };
    for (int round = 0; round < 20; round++) {
        th_scope scope;
        pthread_t threads[THREADS];
        waiting w[FIBERS + THREADS];
        set_up();
        open_scope(&scope);
        for (int i = 0; i < FIBERS + THREADS; i++)
            w[i] = (waiting){ .fd = fds[0], .dirs = TH_FD_READ };
        for (int i = 0; i < FIBERS; i++)
            spawn_on(&scope, (unsigned)i / EACH, wait_for, &w[i]);
        for (int i = 0; i < THREADS; i++)
            threads[i] = start_thread(wait_in_thread, &w[FIBERS + i]);
        if (round % 2) /* otherwise some of them have not even begun */
            ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
        ck_assert_int_eq(th_fd_closing(fds[0]), 0);
        (void)write_byte(&fds[1]); /* for those who came later */
        close_scope(&scope);
        for (int i = 0; i < THREADS; i++)
            join_thread(threads[i]);
        for (int i = 0; i < FIBERS + THREADS; i++)
            ck_assert(w[i].result == 0 || w[i].result == -ECANCELED);
        tear_down();
    }
}

static int close_it(void *arg)
{
    return th_fd_closing(*(int *)arg);
}

FIBER_TEST_ON(4, several_may_say_that_it_closes)
{
    for (int round = 0; round < 50; round++) {
        th_scope scope;
        waiting w[8];
        set_up();
        open_scope(&scope);
        for (unsigned i = 0; i < 8; i++) {
            w[i] = (waiting){ .fd = fds[0], .dirs = TH_FD_READ };
            spawn_on(&scope, i % 4, wait_for, &w[i]);
        }
        for (unsigned i = 0; i < 4; i++)
            spawn_on(&scope, i, close_it, &fds[0]);
        ck_assert_int_eq(th_fd_closing(fds[0]), 0);
        (void)write_byte(&fds[1]);
        close_scope(&scope);
        tear_down();
    }
}

static void wait_in_loop(void)
{
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), -EPERM);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, NULL), 0);
    ck_assert_int_eq(th_fd_closing(fds[0]), 0);
}

FIBER_TEST(a_loop_must_not_wait)
{
    set_up();
    call_in_loop(wait_in_loop);
    tear_down();
}

/* ---- threads ---- */

START_TEST(a_plain_thread_waits_as_well)
{
    set_up();
    unsigned ready = 0;
    waiting w = { .fd = fds[0], .dirs = TH_FD_READ };
    pthread_t thread = start_thread(wait_in_thread, &w);
    (void)write_byte(&fds[1]);
    (void)pthread_join(thread, NULL);
    ck_assert_int_eq(w.result, 0);
    ck_assert_uint_eq(w.ready, TH_FD_READ);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_WRITE, &ready), 0);
    ck_assert_int_eq(th_wait_fd(-1, TH_FD_WRITE, &ready), -EBADF);
    (void)close(fds[0]);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, &ready), -EBADF);
    (void)close(fds[1]);
}
END_TEST

START_TEST(a_plain_thread_wakes_a_plain_thread)
{
    set_up();
    (void)read(fds[0], &(char){ 0 }, 1);
    waiting w = { .fd = fds[0], .dirs = TH_FD_READ };
    pthread_t thread = start_thread(wait_in_thread, &w);
    while (!atomic_load(&w.done)) {
        ck_assert_int_eq(th_fd_closing(fds[0]), 0);
        (void)sched_yield();
    }
    (void)pthread_join(thread, NULL);
    ck_assert_int_eq(w.result, -ECANCELED);
    (void)close(fds[0]);
    (void)close(fds[1]);
}
END_TEST

/* ---- a stopped process, lack of things ---- */

FIBER_TEST(a_deadline_holds_for_a_process_that_was_stopped)
{
    th_scope scope;
    set_up();
    pid_t self = getpid();
    pid_t other = fork();
    if (other == 0) {
        (void)kill(self, SIGSTOP);
        (void)kill(self, SIGCONT);
        _exit(0);
    }
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    ck_assert_int_eq(th_wait_fd(fds[0], TH_FD_READ, NULL), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(waitpid(other, NULL, 0), other);
    tear_down();
}

FIBER_TEST(without_memory_nothing_is_left_behind)
{
    int64_t kept = -1; /* by the worker, from its first wait to its end */
    set_up();
    for (int64_t n = 1;; n++) {
        th_scope scope;
        int64_t live = thi_alloc_live();
        open_scope_for(&scope, TH_MILLISECOND);
        (void)thi_alloc_fail_at(n);
        int result = th_wait_fd(fds[0], TH_FD_READ, NULL);
        (void)thi_alloc_fail_at(0);
        close_scope(&scope);
        ck_assert_uint_eq(thi_worker_self->loop.watches, 1);
        if (result == -ETIMEDOUT)
            break;
        ck_assert_int_eq(result, -ENOMEM);
        if (kept < 0 && thi_alloc_live() == live + 1)
            kept = n;
        ck_assert_int_eq(thi_alloc_live(), live + (n == kept));
        ck_assert_int_lt(n, 20);
    }
    tear_down();
}

/* Whether the n-th of these calls was reached. */
static bool wait_with_fault(const char *calls, unsigned long n)
{
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    thi_fault_begin(0, 0);
    thi_fault_order(calls, n, ENOMEM);
    int result = th_wait_fd(fds[0], TH_FD_READ, NULL);
    bool hit = thi_fault_hit();
    (void)thi_fault_end();
    close_scope(&scope);
    ck_assert_uint_eq(thi_worker_self->loop.watches, 1);
    ck_assert_msg(result == -ETIMEDOUT || (hit && result == -ENOMEM), "%s at call %lu",
                  th_errname(result), n);
    return hit;
}

/* The second epoll_ctl takes the descriptor out, which does not fail for lack of anything. */
FIBER_TEST(whatever_call_fails_nothing_is_left_behind)
{
    set_up();
    (void)wait_with_fault("epoll_ctl", 1);
    for (unsigned long n = 1; wait_with_fault("poll fstat", n); n++)
        ck_assert_uint_lt(n, 20);
    tear_down();
}

/* ---- simulated ---- */

static int wait_in_simulation(void *arg)
{
    th_scope scope;
    int pipe_fds[2];
    (void)arg;
    if (thi_sys_pipe(pipe_fds) < 0)
        return 1;
    waiting w = { .fd = pipe_fds[0], .dirs = TH_FD_READ };
    waiting closed = { .fd = pipe_fds[0], .dirs = TH_FD_READ };
    open_scope(&scope);
    spawn_on(&scope, 1, wait_for, &w);
    (void)th_sleep(TH_SECOND);
    bool too_early = w.done;
    (void)thi_sys_write(pipe_fds[1], "x", 1);
    close_scope(&scope);
    char byte;
    (void)thi_sys_read(pipe_fds[0], &byte, 1);
    open_scope(&scope);
    spawn_on(&scope, 1, wait_for, &closed);
    (void)th_sleep(TH_SECOND);
    int err = th_fd_closing(pipe_fds[0]);
    close_scope(&scope);
    (void)thi_sys_close(pipe_fds[0]);
    (void)thi_sys_close(pipe_fds[1]);
    return too_early || w.result != 0 || err != 0 || closed.result != -ECANCELED;
}

START_TEST(in_a_simulation_its_own_descriptors_can_be_waited_for)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        th_sim_result result;
        th_sim_opts opts = { .seed = seed, .workers = 2 };
        ck_assert_int_eq(th_sim_run(wait_in_simulation, NULL, &opts, &result), 0);
        ck_assert_int_eq(result.verdict, 0);
        ck_assert_int_eq(result.live_allocations, 0);
        ck_assert_uint_eq(result.open_descriptors, 0);
    }
}
END_TEST

/* In a shield, which the simulation must not wait for. */
static int wait_for_ever(void *arg)
{
    th_scope scope;
    int pipe_fds[2];
    (void)arg;
    if (thi_sys_pipe(pipe_fds) < 0)
        return 1;
    if (th_scope_open(&scope, &(th_scope_opts){ .shield = 1 }) < 0)
        return 1;
    int result = th_wait_fd(pipe_fds[0], TH_FD_READ, NULL);
    (void)th_scope_close(&scope);
    return result;
}

START_TEST(a_wait_that_a_simulation_abandons_harms_no_later_one)
{
    for (int i = 0; i < 3; i++) {
        th_sim_result result;
        ck_assert_int_eq(th_sim_run(wait_for_ever, NULL, NULL, &result), -EDEADLK);
        ck_assert_int_eq(th_sim_run(wait_in_simulation, NULL, &(th_sim_opts){ .workers = 2 }, NULL),
                         0);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "fibers");
    add_on_engines(tcase, what_is_ready_is_told_at_once);
    add_on_engines(tcase, a_bad_descriptor_is_told_at_once_and_again);
    add_on_engines(tcase, what_never_waits_is_ready_at_once);
    add_on_engines(tcase, the_scope_is_asked_first);
    add_on_engines(tcase, a_descriptor_that_is_always_ready_lets_others_run);
    add_on_engines(tcase, it_waits_until_the_descriptor_is_readable);
    add_on_engines(tcase, it_waits_until_the_descriptor_is_writable);
    add_on_engines(tcase, the_end_of_the_peer_is_readable_and_a_hangup);
    add_on_engines(tcase, half_a_hangup_does_not_wake_a_writer);
    add_on_engines(tcase, a_reader_and_a_writer_wait_for_one_descriptor);
    add_on_engines(tcase, any_number_may_wait_and_all_are_woken);
    add_on_engines(tcase, after_a_wait_that_timed_out_nothing_is_watched);
    add_on_engines(tcase, one_who_gives_up_leaves_the_others_waiting);
    add_on_engines(tcase, an_event_beats_the_end_of_the_scope);
    add_on_engines(tcase, a_number_that_is_used_again_is_waited_for_anew);
    add_on_engines(tcase, closed_behind_its_back_a_wait_neither_crashes_nor_spins);
    add_on_engines(tcase, an_epoll_descriptor_can_be_waited_for);
    tcase = thi_check_case(suite, "closing");
    add_on_engines(tcase, whoever_waits_for_a_descriptor_that_closes_is_told);
    add_on_engines(tcase, waits_on_other_workers_and_threads_have_ended_when_closing_returns);
    add_on_engines(tcase, several_may_say_that_it_closes);
    tcase_add_test(tcase, a_loop_must_not_wait);
    tcase = thi_check_case(suite, "threads");
    tcase_add_test(tcase, a_plain_thread_waits_as_well);
    tcase_add_test(tcase, a_plain_thread_wakes_a_plain_thread);
    tcase = thi_check_case(suite, "faults");
    add_on_engines(tcase, a_deadline_holds_for_a_process_that_was_stopped);
    add_on_engines(tcase, without_memory_nothing_is_left_behind);
    add_on_engines(tcase, whatever_call_fails_nothing_is_left_behind);
    tcase = thi_check_case(suite, "simulated");
    tcase_add_test(tcase, in_a_simulation_its_own_descriptors_can_be_waited_for);
    tcase_add_test(tcase, a_wait_that_a_simulation_abandons_harms_no_later_one);
}

int main(void)
{
    return thi_check_run("sync/wait_fd", fill_suite);
}
