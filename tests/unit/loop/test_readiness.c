/* SPDX-License-Identifier: MIT */

/* The promise that all back ends make about watched descriptors. */
#include "engines_table.h"

#include "base/alloc.h"
#include "sys/machine.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* A watch that remembers what it was told. */
typedef struct probe {
    thi_watch watch;
    int calls;
    unsigned last; /* events of the last call */
    unsigned all;  /* events of all calls */
    void (*then)(struct probe *probe);
} probe;

static int fds[2]; /* a connected pair of stream sockets: [0] is watched, [1] is the peer */

static void remember(thi_watch *watch, unsigned events)
{
    probe *p = thi_container_of(watch, probe, watch);
    p->calls++;
    p->last = events;
    p->all |= events;
    if (p->then)
        p->then(p);
}

static void watch(probe *p, int fd)
{
    *p = (probe){ 0 };
    ck_assert_int_eq(thi_loop_watch(&loop, &p->watch, fd, 0, remember), 0);
}

static void want(probe *p, unsigned dirs)
{
    ck_assert_int_eq(thi_loop_want(&loop, &p->watch, dirs), 0);
}

/* What an owner does that was told EAGAIN. */
static void wait_for(probe *p, unsigned dirs)
{
    p->watch.ready &= (uint8_t)~dirs;
    p->all = 0;
    p->calls = 0;
    want(p, dirs);
}

static void open_pair(int engine)
{
    open_loop(engine);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

/* Watches fds[0] and gets over with what is told at the beginning. */
static void watch_pair(probe *p)
{
    watch(p, fds[0]);
    settle();
}

static void send_byte(int fd)
{
    ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
}

static ssize_t receive(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0);
}

static void fill(int fd)
{
    static const char block[4096];
    while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
}

static void drain(int fd)
{
    static char block[65536];
    while (recv(fd, block, sizeof block, 0) > 0)
        ;
}

/* Nothing is told, and a turn that may wait does wait. */
static void assert_quiet(void)
{
    settle();
    uint64_t before = loop.events, turns = loop.turns;
    int64_t until = thi_sys_clock() + 3000000;
    while (thi_sys_clock() < until) {
        ck_assert_int_ge(thi_loop_turn(&loop, until), 0);
        ck_assert_uint_eq(loop.events, before);
    }
    ck_assert_uint_lt(loop.turns - turns, 20);
}

START_TEST(both_directions_count_as_ready_at_first)
{
    open_pair(_i);
    probe p;
    watch(&p, fds[0]);
    ck_assert_uint_eq(p.watch.ready, THI_READ | THI_WRITE);
    ck_assert_int_eq(p.calls, 0);
}
END_TEST

START_TEST(data_makes_readable)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    ck_assert_int_eq(p.calls, 0);
    turn_until(p.calls > 0);
    ck_assert(p.all & THI_READ);
    ck_assert(p.watch.ready & THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
}
END_TEST

START_TEST(data_that_was_there_before_is_told)
{
    open_pair(_i);
    send_byte(fds[1]);
    probe p;
    watch(&p, fds[0]);
    wait_for(&p, THI_READ);
    turn_until(p.all & THI_READ);
}
END_TEST

START_TEST(room_makes_writable)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    fill(fds[0]);
    settle();
    wait_for(&p, THI_WRITE);
    settle();
    ck_assert_int_eq(p.calls, 0);
    drain(fds[1]);
    turn_until(p.calls > 0);
    ck_assert(p.all & THI_WRITE);
    ck_assert(!(p.all & THI_READ));
    ck_assert(p.watch.ready & THI_WRITE);
}
END_TEST

START_TEST(both_directions_come_in_one_event)
{
    open_pair(_i);
    probe p;
    send_byte(fds[1]);
    watch(&p, fds[0]);
    wait_for(&p, THI_READ | THI_WRITE);
    turn_until(p.calls > 0);
    ck_assert_int_eq(p.calls, 1);
    ck_assert_uint_eq(p.last, THI_READ | THI_WRITE);
}
END_TEST

START_TEST(told_once_although_it_lasts)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    send_byte(fds[1]);
    turn_until(p.calls > 0);
    assert_quiet();
    ck_assert_int_eq(p.calls, 1);
    ck_assert_int_eq(receive(fds[0]), 1);
    wait_for(&p, THI_READ);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    turn_until(p.calls > 0);
}
END_TEST

START_TEST(one_direction_told_leaves_the_other_wanted)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    fill(fds[0]);
    settle();
    wait_for(&p, THI_READ);
    want(&p, THI_WRITE);
    send_byte(fds[1]);
    turn_until(p.all & THI_READ);
    ck_assert(!(p.all & THI_WRITE));
    drain(fds[1]);
    turn_until(p.all & THI_WRITE);
}
END_TEST

START_TEST(data_sent_before_the_peer_stopped_comes_first)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    send_byte(fds[1]);
    ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
    turn_until(p.all & THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
    ck_assert_int_eq(receive(fds[0]), 0);
    assert_quiet();
}
END_TEST

START_TEST(end_of_the_peers_sending_is_told)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
    turn_until(p.all & THI_READ);
    if (!is_engine(&thi_engine_select))
        ck_assert(p.all & THI_HUP);
    ck_assert_int_eq(receive(fds[0]), 0);
}
END_TEST

START_TEST(data_sent_before_the_peer_closed_comes_first)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    send_byte(fds[1]);
    close(fds[1]);
    turn_until(p.all & THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
    ck_assert_int_eq(receive(fds[0]), 0);
}
END_TEST

START_TEST(hang_up_wakes_both_directions_and_does_not_spin)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    fill(fds[0]);
    settle();
    wait_for(&p, THI_READ | THI_WRITE);
    close(fds[1]);
    turn_until((p.watch.ready & (THI_READ | THI_WRITE)) == (THI_READ | THI_WRITE));
    assert_quiet();
}
END_TEST

START_TEST(writer_is_not_told_again_and_again_that_the_peer_sends_no_more)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    fill(fds[0]);
    ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
    settle();
    wait_for(&p, THI_WRITE);
    assert_quiet();
    ck_assert_int_eq(p.calls, 0);
    drain(fds[1]);
    turn_until(p.all & THI_WRITE);
}
END_TEST

START_TEST(pipe_without_a_reader_wakes_the_writer)
{
    open_loop(_i);
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    static const char block[4096];
    while (write(ends[1], block, sizeof block) > 0)
        ;
    probe p;
    watch(&p, ends[1]);
    settle();
    wait_for(&p, THI_WRITE);
    close(ends[0]);
    turn_until(p.watch.ready & THI_WRITE);
    assert_quiet();
}
END_TEST

START_TEST(refused_connection_wakes_the_writer)
{
    open_loop(_i);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int taken = socket(AF_INET, SOCK_STREAM, 0); /* bound but not listening: refuses */
    ck_assert_int_eq(bind(taken, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(getsockname(taken, (struct sockaddr *)&sa, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), -1);
    probe p;
    watch(&p, fd);
    wait_for(&p, THI_WRITE);
    turn_until(p.watch.ready & THI_WRITE);
    int err = 0;
    len = sizeof err;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    ck_assert_int_eq(err, ECONNREFUSED);
}
END_TEST

/* ---- shared watches -----------------------------------------------------------------------------
 */

static void share(probe *p, int fd)
{
    *p = (probe){ 0 };
    ck_assert_int_eq(thi_loop_watch(&loop, &p->watch, fd, THI_WATCH_SHARED, remember), 0);
}

START_TEST(shared_watch_is_told_while_it_lasts)
{
    open_pair(_i);
    probe p;
    share(&p, fds[0]);
    settle();
    ck_assert_int_eq(p.calls, 0);
    send_byte(fds[1]);
    turn_until(p.calls == 1);
    turn_until(p.calls == 2);
    turn_until(p.calls == 3);
    ck_assert_uint_eq(p.all, THI_READ);
    ck_assert_int_eq(receive(fds[0]), 1);
    settle();
    int calls = p.calls;
    assert_quiet();
    ck_assert_int_eq(p.calls, calls);
}
END_TEST

START_TEST(shared_watch_falls_silent_after_a_hang_up)
{
    open_loop(_i);
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    probe p;
    share(&p, ends[0]);
    close(ends[1]);
    turn_until(p.calls > 0);
    if (!is_engine(&thi_engine_select)) { /* which sees no difference to data */
        ck_assert(p.all & THI_HUP);
        assert_quiet();
    }
    thi_loop_unwatch(&loop, &p.watch);
    assert_quiet();
}
END_TEST

START_TEST(one_of_two_loops_takes_what_comes)
{
    open_pair(_i);
    static thi_loop other;
    ck_assert_int_eq(thi_loop_open(&other, every_engine[_i]), 0);
    probe a, b = { 0 };
    share(&a, fds[0]);
    ck_assert_int_eq(thi_loop_watch(&other, &b.watch, fds[0], THI_WATCH_SHARED, remember), 0);
    for (int round = 0; round < 20; round++) {
        settle();
        ck_assert_int_ge(thi_loop_turn(&other, 0), 0);
        a.calls = b.calls = 0;
        send_byte(fds[1]);
        settle();
        for (int i = 0; i < 3; i++)
            ck_assert_int_ge(thi_loop_turn(&other, 0), 0);
        ck_assert_int_ge(a.calls + b.calls, 1);
        ck_assert_int_eq(receive(fds[0]), 1);
    }
    thi_loop_close(&other);
}
END_TEST

/* ---- removal ------------------------------------------------------------------------------------
 */

static void unwatch(probe *p)
{
    thi_loop_unwatch(&loop, &p->watch);
}

static int freed;

static void free_itself(probe *p)
{
    unwatch(p);
    thi_free(p);
    freed++;
}

START_TEST(watch_may_end_and_be_freed_in_its_own_call)
{
    open_pair(_i);
    size_t before = loop.watches;
    for (int i = 0; i < 2; i++) {
        probe *p = thi_alloc(sizeof *p);
        ck_assert_ptr_nonnull(p);
        watch(p, fds[i]);
        p->then = free_itself;
        want(p, THI_WRITE);
    }
    turn_until(freed == 2);
    ck_assert_uint_eq(loop.watches, before);
    settle();
    ck_assert_int_eq(freed, 2);
}
END_TEST

#define FEW 12

static void end_itself(probe *p)
{
    unwatch(p);
}

START_TEST(end_of_one_does_not_put_off_the_events_of_others)
{
    open_loop(_i);
    static probe few[FEW];
    for (int i = 0; i < FEW; i++) {
        watch(&few[i], eventfd(1, EFD_NONBLOCK));
        few[i].then = end_itself;
        want(&few[i], THI_READ);
    }
    ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
    for (int i = 0; i < FEW; i++)
        ck_assert_int_eq(few[i].calls, 1);
}
END_TEST

static probe twins[2];

static void end_the_other(probe *p)
{
    unwatch(&twins[p == &twins[0]]);
}

START_TEST(watch_that_ended_gets_no_event_of_the_same_batch)
{
    open_pair(_i);
    for (int i = 0; i < 2; i++) {
        watch(&twins[i], fds[i]);
        twins[i].then = end_the_other;
        want(&twins[i], THI_WRITE);
    }
    turn_until(twins[0].calls + twins[1].calls > 0);
    settle();
    ck_assert_int_eq(twins[0].calls + twins[1].calls, 1);
}
END_TEST

static probe heir;

/* Ends the other, closes its descriptor and watches something new under the same number. */
static void replace_the_other(probe *p)
{
    p->then = NULL;
    int fd = twins[p == &twins[0]].watch.fd;
    unwatch(&twins[p == &twins[0]]);
    close(fd);
    ck_assert_int_eq(eventfd(0, EFD_NONBLOCK), fd);
    watch(&heir, fd);
    want(&heir, THI_READ);
}

START_TEST(event_of_a_closed_descriptor_does_not_reach_the_next_owner_of_its_number)
{
    open_loop(_i);
    for (int i = 0; i < 2; i++) {
        watch(&twins[i], eventfd(1, EFD_NONBLOCK));
        twins[i].then = replace_the_other;
        want(&twins[i], THI_READ);
    }
    turn_until(twins[0].calls + twins[1].calls > 0);
    settle();
    ck_assert_int_eq(twins[0].calls + twins[1].calls, 1);
    ck_assert(!(heir.all & THI_READ));
    uint64_t one = 1;
    ck_assert_int_eq(write(heir.watch.fd, &one, sizeof one), sizeof one);
    turn_until(heir.all & THI_READ);
}
END_TEST

#define CROWD 2500

static probe crowd[CROWD];
static int crowd_size;

static void end_everybody(probe *p)
{
    (void)p;
    for (int i = 0; i < crowd_size; i++) {
        int fd = crowd[i].watch.fd;
        unwatch(&crowd[i]);
        close(fd);
    }
}

START_TEST(all_of_a_crowd_with_events_pending_end_in_one_call)
{
    open_loop(_i);
    long room = thi_machine_raise_nofile() - 100;
    crowd_size = is_engine(&thi_engine_select) ? 900 : (int)thi_min(room, (long)CROWD);
    for (int i = 0; i < crowd_size; i++) {
        watch(&crowd[i], eventfd(1, EFD_NONBLOCK));
        crowd[i].then = end_everybody;
        want(&crowd[i], THI_READ | THI_WRITE);
    }
    turn_until(loop.watches == 1);
    settle();
    int calls = 0;
    for (int i = 0; i < crowd_size; i++)
        calls += crowd[i].calls;
    ck_assert_int_eq(calls, 1);
    assert_quiet();
    watch(&crowd[0], eventfd(1, EFD_NONBLOCK)); /* the loop is as good as new */
    want(&crowd[0], THI_READ);
    turn_until(crowd[0].calls > 0);
}
END_TEST

START_TEST(close_after_unwatch_reaches_the_peer_at_once)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    settle();
    unwatch(&p);
    close(fds[0]);
    ck_assert_int_eq(receive(fds[1]), 0);
}
END_TEST

START_TEST(close_reaches_the_peer_at_once_although_an_event_is_pending)
{
    open_loop(_i);
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    probe p;
    watch(&p, ends[0]);
    settle();
    wait_for(&p, THI_READ);
    settle();
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    unwatch(&p);
    close(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    settle();
    ck_assert_int_eq(p.calls, 0);
}
END_TEST

START_TEST(close_after_the_loop_reaches_the_peer_at_once)
{
    open_pair(_i);
    probe p;
    watch_pair(&p);
    thi_loop_close(&loop);
    close(fds[0]);
    ck_assert_int_eq(receive(fds[1]), 0);
}
END_TEST

/* ---- refusals -----------------------------------------------------------------------------------
 */

START_TEST(second_watch_on_a_descriptor_is_refused)
{
    open_pair(_i);
    probe first, second = { 0 };
    watch(&first, fds[0]);
    ck_assert_int_eq(thi_loop_watch(&loop, &second.watch, fds[0], 0, remember), -EEXIST);
    ck_assert_int_eq(thi_loop_watch(&loop, &first.watch, fds[0], 0, NULL), -EEXIST);
    send_byte(fds[1]);
    wait_for(&first, THI_READ);
    turn_until(first.all & THI_READ);
    unwatch(&first);
    watch(&second, fds[0]);
    wait_for(&second, THI_READ);
    turn_until(second.all & THI_READ);
}
END_TEST

START_TEST(what_never_waits_is_refused)
{
    open_loop(_i);
    size_t before = loop.watches;
    probe p;
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, fileno(file), 0, remember), -EPERM);
    int dir = open("/", O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, dir, 0, remember), -EPERM);
    ck_assert_uint_eq(loop.watches, before);
    assert_quiet();
    fclose(file);
    close(dir);
}
END_TEST

START_TEST(closed_descriptors_are_refused)
{
    open_pair(_i);
    close(fds[0]);
    probe p;
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, fds[0], 0, remember), -EBADF);
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, -1, 0, remember), -EBADF);
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, 1000, 0, remember), -EBADF);
    assert_quiet();
}
END_TEST

START_TEST(descriptor_closed_behind_the_back_neither_spins_nor_harms)
{
    open_pair(_i);
    probe p, q;
    watch_pair(&p);
    wait_for(&p, THI_READ);
    settle();
    close(fds[0]);
    assert_quiet();
    ck_assert_int_le(p.calls, 1);
    ck_assert_int_eq(eventfd(0, EFD_NONBLOCK), fds[0]); /* somebody else gets the number */
    unwatch(&p);
    watch(&q, fds[0]);
    settle();
    wait_for(&q, THI_READ);
    uint64_t one = 1;
    ck_assert_int_eq(write(fds[0], &one, sizeof one), sizeof one);
    turn_until(q.all & THI_READ);
}
END_TEST

/* ---- anything -----------------------------------------------------------------------------------
 */

START_TEST(foreign_epoll_set_can_be_watched)
{
    open_loop(_i);
    int set = epoll_create1(0), inner = eventfd(0, EFD_NONBLOCK);
    struct epoll_event ev = { .events = EPOLLIN };
    ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, inner, &ev), 0);
    probe p;
    watch(&p, set);
    settle();
    wait_for(&p, THI_READ);
    uint64_t one = 1;
    ck_assert_int_eq(write(inner, &one, sizeof one), sizeof one);
    turn_until(p.all & THI_READ);
    unwatch(&p);
    assert_quiet();
}
END_TEST

#define MANY 40

/* A watch of the random test: on an eventfd, read until EAGAIN in each call. */
typedef struct member {
    probe probe;
    bool watched;
    bool due; /* was written to and wants to hear of it */
} member;

static member members[MANY];

static void read_member(probe *p)
{
    member *m = thi_container_of(p, member, probe);
    ck_assert(m->watched);
    uint64_t count;
    ssize_t n = read(p->watch.fd, &count, sizeof count);
    if (n > 0)
        m->due = false;
    p->watch.ready &= (uint8_t)~THI_READ;
    want(p, THI_READ);
}

static void toggle(member *m)
{
    m->due = false;
    m->watched = !m->watched;
    if (!m->watched) {
        int fd = m->probe.watch.fd;
        unwatch(&m->probe);
        close(fd);
        return;
    }
    watch(&m->probe, eventfd(0, EFD_NONBLOCK));
    m->probe.then = read_member;
    want(&m->probe, THI_READ);
}

START_TEST(any_sequence_of_watching_and_ending_keeps_events_with_their_owners)
{
    open_loop(_i);
    unsigned seed = 1;
    for (int step = 0; step < 20000; step++) {
        member *m = &members[rand_r(&seed) % MANY];
        uint64_t one = 1;
        int what = rand_r(&seed) % 8;
        if (what == 0)
            toggle(m);
        else if (what < 5 && m->watched)
            m->due = write(m->probe.watch.fd, &one, sizeof one) == sizeof one;
        if (what != 7)
            continue;
        settle();
        for (int i = 0; i < MANY; i++)
            ck_assert(!members[i].due);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ready");
    add_for_engines(tcase, both_directions_count_as_ready_at_first);
    add_for_engines(tcase, data_makes_readable);
    add_for_engines(tcase, data_that_was_there_before_is_told);
    add_for_engines(tcase, room_makes_writable);
    add_for_engines(tcase, both_directions_come_in_one_event);
    add_for_engines(tcase, told_once_although_it_lasts);
    add_for_engines(tcase, one_direction_told_leaves_the_other_wanted);
    add_for_engines(tcase, foreign_epoll_set_can_be_watched);

    tcase = thi_check_case(suite, "hang-up");
    add_for_engines(tcase, data_sent_before_the_peer_stopped_comes_first);
    add_for_engines(tcase, end_of_the_peers_sending_is_told);
    add_for_engines(tcase, data_sent_before_the_peer_closed_comes_first);
    add_for_engines(tcase, hang_up_wakes_both_directions_and_does_not_spin);
    add_for_engines(tcase, writer_is_not_told_again_and_again_that_the_peer_sends_no_more);
    add_for_engines(tcase, pipe_without_a_reader_wakes_the_writer);
    add_for_engines(tcase, refused_connection_wakes_the_writer);

    tcase = thi_check_case(suite, "shared");
    add_for_engines(tcase, shared_watch_is_told_while_it_lasts);
    add_for_engines(tcase, shared_watch_falls_silent_after_a_hang_up);
    add_for_engines(tcase, one_of_two_loops_takes_what_comes);

    tcase = thi_check_case(suite, "unwatch");
    add_for_engines(tcase, watch_may_end_and_be_freed_in_its_own_call);
    add_for_engines(tcase, end_of_one_does_not_put_off_the_events_of_others);
    add_for_engines(tcase, watch_that_ended_gets_no_event_of_the_same_batch);
    add_for_engines(tcase,
                    event_of_a_closed_descriptor_does_not_reach_the_next_owner_of_its_number);
    add_for_engines(tcase, all_of_a_crowd_with_events_pending_end_in_one_call);
    add_for_engines(tcase, close_after_unwatch_reaches_the_peer_at_once);
    add_for_engines(tcase, close_reaches_the_peer_at_once_although_an_event_is_pending);
    add_for_engines(tcase, close_after_the_loop_reaches_the_peer_at_once);
    add_for_engines(tcase, any_sequence_of_watching_and_ending_keeps_events_with_their_owners);

    tcase = thi_check_case(suite, "refused");
    add_for_engines(tcase, second_watch_on_a_descriptor_is_refused);
    add_for_engines(tcase, what_never_waits_is_refused);
    add_for_engines(tcase, closed_descriptors_are_refused);
    add_for_engines(tcase, descriptor_closed_behind_the_back_neither_spins_nor_harms);
}

int main(void)
{
    return thi_check_run("loop/readiness", fill_suite);
}
