/* SPDX-License-Identifier: MIT */

/* The promise of loop.h on the simulated engine, which is edge-triggered or not, by its seed. */
#include "check_main.h"

#include "base/util.h"
#include "loop/sim.h"
#include "loop/sim_clock.h"
#include "loop/sim_engine.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SEEDS 16

static thi_sim world;
static thi_loop loop;
static int fds[2];

/* A watch that remembers what it was told. */
typedef struct probe {
    thi_watch watch;
    int calls;
    unsigned all; /* events of all calls */
    void (*then)(struct probe *probe);
} probe;

static void remember(thi_watch *watch, unsigned events)
{
    probe *p = thi_container_of(watch, probe, watch);
    p->calls++;
    p->all |= events;
    if (p->then)
        p->then(p);
}

static void open_world(int seed)
{
    thi_sim_open(&world, &(th_sim_opts){ .seed = (uint64_t)seed });
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_sim), 0);
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
}

static void close_world(void)
{
    thi_loop_close(&loop);
    thi_sim_close(&world);
}

static void watch_flags(probe *p, int fd, unsigned flags)
{
    *p = (probe){ 0 };
    ck_assert_int_eq(thi_loop_watch(&loop, &p->watch, fd, flags, remember), 0);
}

static void watch(probe *p, int fd)
{
    watch_flags(p, fd, 0);
}

static void settle(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
}

/* What an owner does that was told EAGAIN. */
static void wait_for(probe *p, unsigned dirs)
{
    p->watch.ready &= (uint8_t)~dirs;
    p->all = 0;
    p->calls = 0;
    ck_assert_int_eq(thi_loop_want(&loop, &p->watch, dirs), 0);
}

#define turn_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_ge(thi_loop_turn(&loop, INT64_MAX), 0)

static ssize_t send_byte(int fd)
{
    return thi_sys_send(fd, "x", 1, 0);
}

static ssize_t receive(int fd)
{
    char byte;
    return thi_sys_recv(fd, &byte, 1, 0);
}

static void fill(int fd)
{
    while (send_byte(fd) == 1)
        ;
}

static void drain(int fd)
{
    while (receive(fd) == 1)
        ;
}

START_TEST(both_directions_count_as_ready_at_first)
{
    open_world(_i);
    probe p;
    watch(&p, fds[0]);
    ck_assert_uint_eq(p.watch.ready, THI_READ | THI_WRITE);
    ck_assert_int_eq(p.calls, 0);
    close_world();
}
END_TEST

START_TEST(data_is_told_once)
{
    open_world(_i);
    probe p;
    watch(&p, fds[0]);
    settle();
    wait_for(&p, THI_READ);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    turn_until(p.all & THI_READ);
    settle();
    ck_assert_int_eq(p.calls, 1);
    ck_assert(p.watch.ready & THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
    wait_for(&p, THI_READ);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    turn_until(p.all & THI_READ);
    close_world();
}
END_TEST

START_TEST(data_that_was_there_before_is_told)
{
    open_world(_i);
    send_byte(fds[1]);
    probe p;
    watch(&p, fds[0]);
    wait_for(&p, THI_READ);
    turn_until(p.all & THI_READ);
    close_world();
}
END_TEST

START_TEST(room_is_told_to_a_writer_who_was_turned_away)
{
    open_world(_i);
    probe p;
    watch(&p, fds[0]);
    settle();
    fill(fds[0]);
    settle();
    wait_for(&p, THI_WRITE);
    settle();
    ck_assert_int_eq(p.calls, 0);
    drain(fds[1]);
    turn_until(p.all & THI_WRITE);
    ck_assert(!(p.all & THI_READ));
    close_world();
}
END_TEST

START_TEST(hang_up_wakes_both_directions_and_does_not_spin)
{
    open_world(_i);
    probe p;
    watch(&p, fds[0]);
    settle();
    fill(fds[0]);
    settle();
    wait_for(&p, THI_READ | THI_WRITE);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    turn_until((p.watch.ready & (THI_READ | THI_WRITE)) == (THI_READ | THI_WRITE));
    int calls = p.calls;
    settle();
    ck_assert_int_eq(p.calls, calls);
    close_world();
}
END_TEST

START_TEST(end_of_the_peers_sending_is_told)
{
    open_world(_i);
    probe p;
    watch(&p, fds[0]);
    settle();
    wait_for(&p, THI_READ);
    ck_assert_int_eq(thi_sys_shutdown(fds[1], SHUT_WR), 0);
    turn_until((p.all & (THI_READ | THI_HUP)) == (THI_READ | THI_HUP) ||
               (p.watch.ready & THI_READ));
    ck_assert(p.all & THI_HUP);
    ck_assert_int_eq(receive(fds[0]), 0);
    close_world();
}
END_TEST

START_TEST(shared_watch_is_told_while_it_lasts)
{
    open_world(_i);
    probe p;
    watch_flags(&p, fds[0], THI_WATCH_SHARED);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    turn_until(p.calls == 3);
    ck_assert_uint_eq(p.all, THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
    settle();
    ck_assert_int_eq(p.calls, 3);
    close_world();
}
END_TEST

START_TEST(shared_watch_falls_silent_after_a_hang_up)
{
    open_world(_i);
    probe p;
    watch_flags(&p, fds[0], THI_WATCH_SHARED);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    turn_until(p.calls > 0);
    settle();
    ck_assert_int_eq(p.calls, 1);
    close_world();
}
END_TEST

/* ---- the end of a watch ---- */

static probe twins[2];

static void end_the_other(probe *p)
{
    thi_loop_unwatch(&loop, &twins[p == &twins[0]].watch);
}

START_TEST(watch_that_ended_gets_no_event_of_the_same_batch)
{
    open_world(_i);
    for (int i = 0; i < 2; i++) {
        watch(&twins[i], fds[i]);
        twins[i].then = end_the_other;
        ck_assert_int_eq(thi_loop_want(&loop, &twins[i].watch, THI_WRITE), 0);
    }
    turn_until(twins[0].calls + twins[1].calls > 0);
    settle();
    ck_assert_int_eq(twins[0].calls + twins[1].calls, 1);
    close_world();
}
END_TEST

START_TEST(descriptor_closed_behind_the_back_harms_nobody)
{
    open_world(_i);
    probe p, q;
    watch(&p, fds[0]);
    settle();
    wait_for(&p, THI_READ);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    int event = thi_sys_eventfd(); /* gets the number */
    ck_assert_int_eq(event, fds[0]);
    settle();
    ck_assert_int_eq(p.calls, 0);
    thi_loop_unwatch(&loop, &p.watch);
    watch(&q, event);
    settle();
    wait_for(&q, THI_READ);
    uint64_t one = 1;
    ck_assert_int_eq(thi_sys_write(event, &one, sizeof one), sizeof one);
    turn_until(q.all & THI_READ);
    close_world();
}
END_TEST

START_TEST(what_cannot_be_watched_is_refused)
{
    open_world(_i);
    probe p, q;
    watch(&p, fds[0]);
    ck_assert_int_eq(thi_loop_watch(&loop, &q.watch, fds[0], 0, remember), -EEXIST);
    int file = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(thi_loop_watch(&loop, &q.watch, file, 0, remember), -EPERM);
    close(file);
    ck_assert_int_eq(thi_loop_watch(&loop, &q.watch, file, 0, remember), -EBADF);
    ck_assert_int_eq(thi_loop_watch(&loop, &q.watch, fds[1] + 100, 0, remember), -EBADF);
    ck_assert_uint_eq(loop.watches, 2);
    close_world();
}
END_TEST

START_TEST(engine_needs_a_world)
{
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_sim), -ENOSYS);
}
END_TEST

/* ---- time ---- */

START_TEST(wait_takes_exactly_its_virtual_time)
{
    open_world(_i);
    int64_t until = thi_sys_clock() + TH_HOUR;
    ck_assert_int_eq(thi_loop_turn(&loop, until), 0);
    ck_assert_int_eq(thi_sys_clock(), until);
    ck_assert_int_eq(loop.now, until);
    close_world();
}
END_TEST

START_TEST(polling_takes_no_time)
{
    open_world(_i);
    int64_t before = thi_sys_clock();
    settle();
    ck_assert_int_eq(thi_sys_clock(), before);
    close_world();
}
END_TEST

START_TEST(wait_for_what_can_never_come_is_found_out)
{
    open_world(_i);
    ck_assert_int_eq(thi_loop_turn(&loop, INT64_MAX), -EDEADLK);
    close_world();
}
END_TEST

/* ---- traffic ---- */

#define TRAFFIC 3000

/* One side of a transfer, driven by readiness alone, as loop.h tells owners to behave. */
typedef struct mover {
    thi_watch watch;
    ssize_t (*step)(int fd, size_t done);
    unsigned dir;
    size_t done;
} mover;

static ssize_t send_some(int fd, size_t done)
{
    char block[64];
    size_t n = thi_min(sizeof block, TRAFFIC - done);
    for (size_t i = 0; i < n; i++)
        block[i] = (char)(done + i);
    return thi_sys_send(fd, block, n, 0);
}

static ssize_t receive_some(int fd, size_t done)
{
    char block[64];
    ssize_t n = thi_sys_recv(fd, block, sizeof block, 0);
    for (ssize_t i = 0; i < n; i++)
        ck_assert_int_eq(block[i], (char)(done + (size_t)i));
    return n;
}

static void move(thi_watch *watch, unsigned events)
{
    (void)events;
    mover *m = thi_container_of(watch, mover, watch);
    while ((watch->ready & m->dir) && m->done < TRAFFIC) {
        ssize_t n = m->step(watch->fd, m->done);
        if (n == -EAGAIN) {
            watch->ready &= (uint8_t)~m->dir;
            ck_assert_int_eq(thi_loop_want(&loop, watch, m->dir), 0);
            return;
        }
        ck_assert_int_gt(n, 0);
        m->done += (size_t)n;
    }
}

/* A wake-up that is lost ends in -EDEADLK here, because time has nowhere to go. */
START_TEST(no_wake_up_is_lost_under_false_eagain_and_short_transfers)
{
    th_sim_opts opts = { .seed = (uint64_t)_i };
    opts.faults[TH_SIM_AGAIN].per_million = 200000;
    opts.faults[TH_SIM_SHORT_READ].per_million = 200000;
    opts.faults[TH_SIM_SHORT_WRITE].per_million = 200000;
    thi_sim_open(&world, &opts);
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_sim), 0);
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
    mover to = { .step = send_some, .dir = THI_WRITE };
    mover from = { .step = receive_some, .dir = THI_READ };
    ck_assert_int_eq(thi_loop_watch(&loop, &to.watch, fds[0], 0, move), 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &from.watch, fds[1], 0, move), 0);
    move(&to.watch, 0);
    move(&from.watch, 0);
    turn_until(to.done == TRAFFIC && from.done == TRAFFIC);
    close_world();
}
END_TEST

static void add(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, SEEDS);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ready");
    add(tcase, both_directions_count_as_ready_at_first);
    add(tcase, data_is_told_once);
    add(tcase, data_that_was_there_before_is_told);
    add(tcase, room_is_told_to_a_writer_who_was_turned_away);
    add(tcase, hang_up_wakes_both_directions_and_does_not_spin);
    add(tcase, end_of_the_peers_sending_is_told);
    add(tcase, shared_watch_is_told_while_it_lasts);
    add(tcase, shared_watch_falls_silent_after_a_hang_up);

    tcase = thi_check_case(suite, "unwatch");
    add(tcase, watch_that_ended_gets_no_event_of_the_same_batch);
    add(tcase, descriptor_closed_behind_the_back_harms_nobody);
    add(tcase, what_cannot_be_watched_is_refused);
    tcase_add_test(tcase, engine_needs_a_world);

    tcase = thi_check_case(suite, "time");
    add(tcase, wait_takes_exactly_its_virtual_time);
    add(tcase, polling_takes_no_time);
    add(tcase, wait_for_what_can_never_come_is_found_out);

    tcase = thi_check_case(suite, "traffic");
    add(tcase, no_wake_up_is_lost_under_false_eagain_and_short_transfers);
}

int main(void)
{
    return thi_check_run("loop/sim_engine", fill_suite);
}
