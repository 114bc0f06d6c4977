/* SPDX-License-Identifier: MIT */

/* Maps and their loop, and the life of what is in them. */
#include "callback/channels.h"

#include "base/alloc.h"
#include "runtime/worker.h"

#include <thrum/event.h>
#include <thrum/file.h>

#include <sys/stat.h>

/* ---- the loop ---- */

FIBER_TEST(an_empty_map_returns_at_once)
{
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, 5), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, -1, 5), -EINVAL);
}

FIBER_TEST(a_turn_without_events_lasts_as_long_as_it_was_told)
{
    channel c = { 0 };
    int peer = open_channel(&c, &gated, NULL, AF_UNIX); /* and nobody wants any */
    int64_t began = th_now();
    ck_assert_int_eq(th_dispatch_map_loop(NULL, 20 * TH_MILLISECOND, 2), 0);
    ck_assert_int_ge(th_now() - began, 40 * TH_MILLISECOND);
    ck_assert_uint_ge(c.asked, 2);
    ck_assert_uint_eq(c.asked_w, c.asked);
    ck_assert_str_eq(c.told, "");
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(it_takes_as_many_turns_as_it_was_told)
{
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    peer_sends(peer, "x");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, 4), 0);
    ck_assert_str_eq(c.told, "rrrr");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, 0), 0);
    ck_assert_str_eq(c.told, "rrrr");
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(it_ends_when_its_scope_does_and_loses_no_event)
{
    channel c = { .readable = true };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    th_scope scope;
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), -ETIMEDOUT);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), -ETIMEDOUT);
    close_scope(&scope);
    peer_sends(peer, "x");
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), -ECANCELED);
    close_scope(&scope);
    ck_assert_str_eq(c.told, "");
    turn_until(NULL, c.told[0]);
    ck_assert_str_eq(c.told, "r");
    close(peer);
    end_channels(NULL);
}

static void sleep_in_handler(channel *c, char event)
{
    if (event == 'r')
        c->result = th_sleep(TH_NEVER);
}

/* The end of the scope in which the loop runs is no failure of a dispatcher. */
FIBER_TEST(a_handler_may_suspend_and_its_loops_end_is_not_its_own_failure)
{
    channel c = { .act = sleep_in_handler, .fails_in = 'r' };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    th_scope scope;
    peer_sends(peer, "x");
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_str_eq(c.told, "r");
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 1);
    close(peer);
    end_channels(NULL);
}

static int run_loop(void *arg)
{
    return th_dispatch_map_loop(arg, TH_NEVER, -1);
}

static void loop_again(channel *c, char event)
{
    if (event == 'r')
        c->err = th_dispatch_map_loop(NULL, 0, 1);
}

FIBER_TEST(two_at_once_cannot_run_it)
{
    channel c = { .act = loop_again };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    peer_sends(peer, "x");
    turn_until(NULL, c.told[0]);
    ck_assert_int_eq(c.err, -EBUSY);
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(a_sleeping_loop_sees_what_other_fibers_do)
{
    channel c = { .readable = true };
    channel late = { 0 };
    th_scope scope;
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    open_scope(&scope);
    spawn(&scope, run_loop, NULL);
    while (c.asked == 0)
        th_yield();
    /* Opened while it sleeps. */
    int late_peer = open_channel(&late, &reading, NULL, AF_INET);
    peer_sends(late_peer, "x");
    while (!late.told[0])
        th_yield();
    /* A gate that depends on something else. */
    unsigned asked = c.asked;
    c.writable = true;
    ck_assert_int_eq(th_dispatch_map_wake(NULL), 0);
    while (!c.told[0])
        th_yield();
    c.writable = false;
    ck_assert_uint_gt(c.asked, asked);
    /* Closed: it ends with the last one. */
    ck_assert_int_eq(th_dispatch_map_close_all(NULL), 0);
    close_scope(&scope);
    ck_assert_ptr_nonnull(strchr(c.told, 'R'));
    ck_assert_str_eq(late.told, "rR");
    close(peer);
    close(late_peer);
}

/* While one dispatcher is always ready the others of the map and other fibers have their turns. */
FIBER_TEST(who_is_always_ready_holds_up_nobody)
{
    channel busy = { .writable = true };
    channel other = { 0 };
    th_scope scope;
    int busy_peer = open_channel(&busy, &gated, NULL, AF_INET);
    int other_peer = open_channel(&other, &reading, NULL, AF_INET);
    open_scope(&scope);
    spawn(&scope, run_loop, NULL);
    while (!strstr(busy.told, "www"))
        th_yield();
    peer_sends(other_peer, "x");
    while (!other.told[0])
        th_yield();
    ck_assert_int_eq(th_dispatch_map_close_all(NULL), 0);
    close_scope(&scope);
    close(busy_peer);
    close(other_peer);
}

/* ---- gates ---- */

static int listening_gates(th_dispatcher *d, void *arg, int fd, const th_addr *peer)
{
    (void)d;
    (void)peer;
    close(fd);
    return tell(arg, 'a');
}

FIBER_TEST(gates_are_asked_each_turn_but_not_a_listener_whether_it_writes)
{
    th_dispatcher_ops ops = gated;
    channel c = { .readable = false };
    th_addr addr;
    ops.accepted = listening_gates;
    make(&c, &ops, NULL);
    ck_assert_int_eq(th_dispatcher_bind(c.d, "127.0.0.1:0"), 0);
    ck_assert_int_eq(th_dispatcher_listen(c.d, 0), 0);
    th_dispatcher_addr(c.d, &addr);
    int client = connect_bare(&addr);
    turn_a_few(NULL);
    ck_assert_uint_ge(c.asked, 8);
    ck_assert_uint_eq(c.asked_w, 0);
    ck_assert_str_eq(c.told, "");
    c.readable = true;
    turn_until(NULL, c.told[0]);
    ck_assert_str_eq(c.told, "a");
    close(client);
    end_channels(NULL);
}

FIBER_TEST(what_arrived_while_the_gate_was_closed_is_told_when_it_opens)
{
    channel c = { 0 };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    peer_sends(peer, "x");
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "");
    c.readable = true;
    turn_until(NULL, c.told[0]);
    ck_assert_str_eq(c.told, "r");
    /* And what somebody else has taken away meanwhile is not. */
    c.readable = false;
    peer_sends(peer, "y");
    turn_a_few(NULL);
    char byte;
    ck_assert_int_eq(recv(th_dispatcher_fd(c.d), &byte, 1, 0), 1);
    c.readable = true;
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "r");
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(gates_can_be_set_instead_of_asked)
{
    th_dispatcher_ops ops = gated;
    channel c = { 0 };
    channel asked = { 0 };
    ops.readable = ops.writable = NULL;
    int peer = open_channel(&c, &ops, NULL, AF_INET);
    int asked_peer = open_channel(&asked, &gated, NULL, AF_INET);
    ck_assert_int_eq(th_dispatcher_set_gates(asked.d, true, true), -EINVAL);
    ck_assert_int_eq(th_dispatcher_set_gates(c.d, false, false), 0);
    peer_sends(peer, "x");
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "");
    ck_assert_int_eq(th_dispatcher_set_gates(c.d, true, false), 0);
    turn_until(NULL, c.got_len);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "r");
    ck_assert_int_eq(th_dispatcher_set_gates(c.d, false, true), 0);
    turn_until(NULL, c.told[1]);
    ck_assert_str_eq(c.told, "rw");
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(th_dispatcher_set_gates(c.d, true, true), -EBADF);
    close(peer);
    close(asked_peer);
    end_channels(NULL);
}

FIBER_TEST(without_gates_both_are_open)
{
    th_dispatcher_ops ops = gated;
    ops.readable = ops.writable = NULL;
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &ops, NULL, AF_INET);
    peer_sends(peer, "x");
    turn_until(NULL, strstr(c.told, "rw"));
    close(peer);
    end_channels(NULL);
}

/* ---- changes while handlers run ---- */

static channel *victim;

static void close_victim(channel *c, char event)
{
    if (event == 'r' && victim != c)
        ck_assert_int_eq(th_dispatcher_close(victim->d), 0);
}

FIBER_TEST(who_is_closed_by_another_handler_of_the_turn_is_not_called)
{
    channel a = { .act = close_victim };
    channel b = { .act = close_victim };
    int a_peer = open_channel(&a, &reading, NULL, AF_UNIX);
    int b_peer = open_channel(&b, &reading, NULL, AF_UNIX);
    turn_a_few(NULL);
    peer_sends(a_peer, "x");
    peer_sends(b_peer, "x");
    th_yield(); /* both are told of in one turn */
    victim = &b;
    turn_until(NULL, a.told[0] || b.told[0]);
    victim = &a;
    turn_a_few(NULL);
    /* Whichever came first, nothing was called after it was closed. */
    ck_assert_ptr_null(strstr(a.told, "Rr"));
    ck_assert_ptr_null(strstr(b.told, "Rr"));
    ck_assert_str_eq(b.told[0] == 'r' ? "rR" : "R", b.told);
    close(a_peer);
    close(b_peer);
    end_channels(NULL);
}

static void close_self(channel *c, char event)
{
    if (event == 'r')
        ck_assert_int_eq(th_dispatcher_close(c->d), 0);
}

FIBER_TEST(who_closes_himself_hears_no_more_of_the_same_turn)
{
    channel c = { .act = close_self, .readable = true, .writable = true };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    peer_sends(peer, "x");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    const char *end = strchr(c.told, 'r');
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(end, "rR");
    close(peer);
}

static channel newcomer;
static int newcomer_peer;

static void open_newcomer(channel *c, char event)
{
    (void)c;
    if (event == 'r' && !newcomer.d) {
        newcomer_peer = open_channel(&newcomer, &reading, NULL, AF_UNIX);
        peer_sends(newcomer_peer, "new");
    }
}

FIBER_TEST(who_is_opened_by_a_handler_is_told_from_then_on)
{
    newcomer = (channel){ 0 };
    channel c = { .act = open_newcomer };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    peer_sends(peer, "x");
    turn_until(NULL, newcomer.got_len == 3);
    ck_assert_str_eq(newcomer.got, "new");
    close(peer);
    close(newcomer_peer);
    end_channels(NULL);
}

/* The same number, in other hands. */
static void reopen(channel *c, char event)
{
    int fds[2];
    if (event != 'z')
        return;
    int fd = th_dispatcher_fd(c->d);
    ck_assert_int_eq(th_dispatcher_close(c->d), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert(fds[0] == fd || fds[1] == fd);
    newcomer_peer = fds[0] == fd ? fds[1] : fds[0];
    ck_assert_int_eq(th_dispatcher_attach(c->d, fd, 0), 0);
}

FIBER_TEST(a_dispatcher_can_be_opened_again_in_its_own_end)
{
    channel c = { .act = reopen, .keeps_open = true };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    close(peer);
    turn_until(NULL, c.told[0]);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "zr");
    peer_sends(newcomer_peer, "again");
    turn_until(NULL, c.got_len);
    ck_assert_str_eq(c.got, "again");
    c.act = NULL;
    close(newcomer_peer);
    end_channels(NULL);
}

/* ---- life ---- */

FIBER_TEST(a_closed_one_is_released_at_the_end_of_the_turn_once)
{
    channel c = { 0 };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_uint_eq(th_dispatcher_state(c.d), 0);
    ck_assert_int_eq(th_dispatcher_fd(c.d), -EBADF);
    ck_assert_str_eq(c.told, "");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, 0, 1), 0);
    ck_assert_str_eq(c.told, "R");
    close(peer);
}

FIBER_TEST(a_reference_keeps_the_handle_beyond_the_end_and_beyond_the_map)
{
    th_dispatch_map *map = NULL;
    channel c = { 0 };
    ck_assert_int_eq(th_dispatch_map_new(NULL, &map), 0);
    int peer = open_channel(&c, &reading, map, AF_UNIX);
    ck_assert_ptr_eq(th_dispatcher_ref(c.d), c.d);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(th_dispatch_map_loop(map, 0, 1), 0);
    ck_assert_int_eq(th_dispatcher_send(c.d, "x", 1), -EBADF);
    ck_assert_ptr_eq(th_dispatcher_map(c.d), map);
    /* It can be used again. */
    ck_assert_int_eq(th_dispatcher_create(c.d, AF_INET, SOCK_STREAM), 0);
    ck_assert_uint_eq(th_dispatch_map_count(map), 1);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
    ck_assert_ptr_null(th_dispatcher_map(c.d));
    ck_assert_int_eq(th_dispatcher_create(c.d, AF_INET, SOCK_STREAM), -EBADF);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_str_eq(c.told, "");
    th_dispatcher_unref(c.d);
    ck_assert_str_eq(c.told, "R");
    th_dispatcher_unref(NULL);
    close(peer);
}

FIBER_TEST(all_are_closed_and_the_map_is_empty)
{
    for (int own = 0; own < 2; own++) {
        th_dispatch_map *map = NULL;
        channel c[10] = { 0 };
        int peer[10];
        if (own)
            ck_assert_int_eq(th_dispatch_map_new(NULL, &map), 0);
        for (int i = 0; i < 10; i++)
            peer[i] = open_channel(&c[i], &reading, map, AF_UNIX);
        ck_assert_uint_eq(th_dispatch_map_count(map), 10);
        ck_assert_int_eq(th_dispatch_map_close_all(map), 0);
        ck_assert_uint_eq(th_dispatch_map_count(map), 0);
        for (int i = 0; i < 10; i++) {
            char byte;
            ck_assert_int_eq(recv(peer[i], &byte, 1, 0), 0);
            close(peer[i]);
        }
        ck_assert_int_eq(th_dispatch_map_loop(map, 0, 1), 0);
        ck_assert_str_eq(c[9].told, "R");
        if (own)
            ck_assert_int_eq(th_dispatch_map_free(map), 0);
    }
}

FIBER_TEST(one_that_was_closed_behind_its_back_does_not_keep_the_others_from_being_closed)
{
    channel c[2] = { 0 };
    int peer[2];
    for (int i = 0; i < 2; i++)
        peer[i] = open_channel(&c[i], &reading, NULL, AF_UNIX);
    close(th_dispatcher_fd(c[0].d));
    turn_a_few(NULL); /* nor does it make the loop fail, or spin */
    ck_assert_int_eq(th_dispatch_map_close_all(NULL), 0);
    for (int i = 0; i < 2; i++)
        close(peer[i]);
    end_channels(NULL);
}

FIBER_TEST(maps_are_apart)
{
    th_dispatch_map *map = NULL;
    channel mine = { 0 };
    channel other = { 0 };
    ck_assert_int_eq(th_dispatch_map_new(NULL, &map), 0);
    int mine_peer = open_channel(&mine, &reading, map, AF_UNIX);
    int other_peer = open_channel(&other, &reading, NULL, AF_UNIX);
    ck_assert_ptr_eq(th_dispatcher_map(mine.d), map);
    ck_assert_ptr_eq(th_dispatcher_map(other.d), th_dispatch_map_default());
    ck_assert_ptr_eq(th_dispatcher_arg(mine.d), &mine);
    peer_sends(mine_peer, "x");
    peer_sends(other_peer, "x");
    turn_until(map, mine.told[0]);
    ck_assert_str_eq(other.told, "");
    turn_until(NULL, other.told[0]);
    ck_assert_int_eq(th_dispatch_map_free(th_dispatch_map_default()), -EINVAL);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
    ck_assert_int_eq(th_dispatch_map_free(NULL), 0);
    ck_assert_str_eq(mine.told, "rR");
    close(mine_peer);
    close(other_peer);
    end_channels(NULL);
}

static channel left_open;

static int leave_open(void *arg)
{
    (void)arg;
    int peer = open_channel(&left_open, &reading, NULL, AF_UNIX);
    close(peer);
    return 0;
}

START_TEST(the_default_map_of_a_worker_goes_with_it)
{
    left_open = (channel){ 0 };
    int64_t live = thi_alloc_live();
    run_in_fiber(1, _i, leave_open, NULL);
    ck_assert_str_eq(left_open.told, "R");
    int64_t once = thi_alloc_live() - live;
    run_in_fiber(1, _i, leave_open, NULL); /* what is made once is there from now on */
    ck_assert_int_eq(thi_alloc_live() - live, once);
}
END_TEST

static char unclosed[512];

static void sink(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    if (level == TH_LOG_WARNING)
        snprintf(unclosed, sizeof unclosed, "%s", text.ptr);
}

FIBER_TEST(what_is_left_open_in_a_map_is_reported)
{
    th_dispatch_map *map = NULL;
    channel c = { 0 };
    char text[TH_DISPATCHER_TEXT];
    char expected[TH_DISPATCHER_TEXT + 16];
    ck_assert_int_eq(th_log_set_sink(sink, NULL, TH_LOG_WARNING), 0);
    ck_assert_int_eq(th_dispatch_map_new(NULL, &map), 0);
    int peer = open_channel(&c, &reading, map, AF_INET);
    int fd = th_dispatcher_fd(c.d);
    snprintf(expected, sizeof expected, "unclosed %s",
             th_dispatcher_format(c.d, text, sizeof text));
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
#ifndef NDEBUG
    ck_assert_str_eq(unclosed, expected);
#endif
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_OFF), 0);
    close(peer);
}

static int use_from_elsewhere(void *arg)
{
    channel *c = arg;
    th_dispatcher *d = NULL;
    th_dispatch_map *map = th_dispatcher_map(c->d);
    char byte;
    ck_assert_int_eq(th_dispatcher_new(&reading, NULL, map, &d), -EPERM);
    ck_assert_int_eq(th_dispatcher_close(c->d), -EPERM);
    ck_assert_int_eq(th_dispatcher_send(c->d, "x", 1), -EPERM);
    ck_assert_int_eq(th_dispatcher_recv(c->d, &byte, 1), -EPERM);
    ck_assert_int_eq(th_dispatcher_push(c->d, "x", 1), -EPERM);
    ck_assert_int_eq(th_dispatch_map_loop(map, 0, 1), -EPERM);
    ck_assert_int_eq(th_dispatch_map_wake(map), -EPERM);
    ck_assert_int_eq(th_dispatch_map_close_all(map), -EPERM);
    ck_assert_ptr_ne(th_dispatch_map_default(), map);
    return 0;
}

FIBER_TEST_ON(2, another_worker_has_its_own_map_and_may_not_use_this_one)
{
    channel c = { 0 };
    th_scope scope;
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    open_scope(&scope);
    spawn_on(&scope, 1, use_from_elsewhere, &c);
    close_scope(&scope);
    close(peer);
    end_channels(NULL);
}

START_TEST(outside_of_workers_there_is_none)
{
    th_dispatch_map *map = NULL;
    th_dispatcher *d = NULL;
    ck_assert_ptr_null(th_dispatch_map_default());
    ck_assert_int_eq(th_dispatch_map_new(NULL, &map), -EPERM);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, 0, 1), -EPERM);
    ck_assert_int_eq(th_dispatcher_new(&reading, NULL, NULL, &d), -EPERM);
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 0);
}
END_TEST

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    th_dispatch_map *map = NULL;
    th_dispatcher *d = NULL;
    th_dispatcher_ops large = { .size = sizeof large + 1 };
    th_dispatch_map_opts opts = { .size = sizeof opts + 1 };
    ck_assert_int_eq(th_dispatch_map_new(&opts, &map), -EINVAL);
    ck_assert_int_eq(th_dispatch_map_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_dispatcher_new(&large, NULL, NULL, &d), -EINVAL);
    ck_assert_int_eq(th_dispatcher_new(NULL, NULL, NULL, &d), -EINVAL);
    ck_assert_int_eq(th_dispatcher_new(&reading, NULL, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(d);
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_listen(c.d, 1), -EBADF);
    ck_assert_int_eq(th_dispatcher_bind(c.d, "nonsense"), TH_EADDRESS);
    ck_assert_int_eq(th_dispatcher_attach(c.d, 0, 0x80), -EINVAL);
    end_channels(NULL);
    ck_assert_str_eq(c.told, ""); /* a fresh one waits for its map's end */
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, 0, 1), 0);
    ck_assert_str_eq(c.told, "R");
}

/* ---- descriptors of other kinds ---- */

FIBER_TEST(a_pipe_is_read_and_written)
{
    int fds[2];
    channel in = { 0 };
    channel out = { .writable = true };
    ck_assert_int_eq(pipe(fds), 0);
    make(&in, &reading, NULL);
    make(&out, &gated, NULL);
    ck_assert_int_eq(th_dispatcher_attach(in.d, fds[0], 0), 0);
    ck_assert_int_eq(th_dispatcher_attach(out.d, fds[1], 0), 0);
    ck_assert_uint_eq(th_dispatcher_state(in.d), TH_DISPATCHER_OPEN | TH_DISPATCHER_CONNECTED);
    turn_until(NULL, out.told[0]);
    ck_assert_int_eq(th_dispatcher_send(out.d, "through", 7), 7);
    turn_until(NULL, in.got_len == 7);
    ck_assert_str_eq(in.got, "through");
    ck_assert_int_eq(th_dispatcher_close(out.d), 0);
    turn_until(NULL, strchr(in.told, 'z'));
    end_channels(NULL);
}

static int temporary(const char *content)
{
    char path[] = "/tmp/thrum-dispatch-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

FIBER_TEST(a_regular_file_is_always_ready_and_ends)
{
    int fd = temporary("all of it");
    channel c = { .step = 4 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, fd, 0), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(c.got, "all of it");
    ck_assert_str_eq(c.told, "rrrzrR");
}

FIBER_TEST(a_directory_is_an_error_when_it_is_read)
{
    channel c = { 0 };
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, fd, 0), 0);
    turn_until(NULL, c.told[0]);
    ck_assert_int_eq(c.last, -EISDIR);
    end_channels(NULL);
}

FIBER_TEST(the_first_of_it_comes_within_two_turns)
{
    int fd = temporary("quick");
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, fd, 0), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, 2), 0);
    ck_assert_str_eq(c.got, "quick");
    end_channels(NULL);
}

FIBER_TEST(a_duplicate_is_its_own)
{
    int fd = temporary("twice");
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, fd, TH_DISPATCHER_DUP), 0);
    ck_assert_int_ne(th_dispatcher_fd(c.d), fd);
    ck_assert_int_ne(flags_of(fd) & O_NONBLOCK, 0); /* the description is one */
    char buf[8] = "";
    ck_assert_int_eq(th_dispatcher_send(c.d, "TW", 2), 2);
    ck_assert_int_eq(th_dispatcher_recv(c.d, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "ice");
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(th_dispatcher_recv(c.d, buf, sizeof buf), -EBADF);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(pread(fd, buf, 2, 0), 2);
    ck_assert_int_eq(memcmp(buf, "TW", 2), 0);
    close(fd);
    end_channels(NULL);
}

FIBER_TEST(an_unconnected_socket_can_be_attached_and_connected)
{
    char text[TH_ADDR_TEXT];
    channel c = { 0 };
    int listener = listen_bare(AF_INET, text);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, fd, 0), 0);
    ck_assert_uint_eq(th_dispatcher_state(c.d), TH_DISPATCHER_OPEN);
    ck_assert_int_ne(flags_of(fd) & O_NONBLOCK, 0);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "");
    ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
    turn_until(NULL, c.told[0]);
    ck_assert_str_eq(c.told, "c");
    close(listener);
    end_channels(NULL);
}

FIBER_TEST(a_socket_that_listens_can_be_attached)
{
    char text[TH_ADDR_TEXT];
    th_addr addr;
    channel c = { .fails_in = 'a', .result = -EAGAIN };
    int listener = listen_bare(AF_INET, text);
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(c.d, listener, 0), 0);
    ck_assert_uint_eq(th_dispatcher_state(c.d), TH_DISPATCHER_OPEN | TH_DISPATCHER_ACCEPTING);
    th_dispatcher_addr(c.d, &addr);
    int client = connect_bare(&addr);
    turn_until(NULL, c.told[0]);
    close(client);
    end_channels(NULL);
}

FIBER_TEST(one_descriptor_has_one_dispatcher)
{
    channel c = { 0 };
    channel again = { 0 };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    make(&again, &reading, NULL);
    int fd = th_dispatcher_fd(c.d);
    ck_assert_int_eq(th_dispatcher_attach(again.d, fd, 0), -EEXIST);
    ck_assert_int_eq(th_dispatcher_attach(c.d, peer, 0), -EBUSY);
    ck_assert_int_eq(fcntl(fd, F_GETFD) & ~FD_CLOEXEC, 0); /* it is open still */
    peer_sends(peer, "x");
    turn_until(NULL, c.told[0]);
    ck_assert_str_eq(again.told, "R"); /* what could not be opened has ended */
    make(&again, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(again.d, -1, 0), -EBADF);
    turn_a_few(NULL);
    make(&again, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(again.d, 1023, 0), -EBADF);
    close(peer);
    end_channels(NULL);
}

/* ---- texts ---- */

FIBER_TEST(a_text_says_what_it_is)
{
    char text[TH_DISPATCHER_TEXT];
    char addr_text[TH_ADDR_TEXT];
    char expected[2 * TH_DISPATCHER_TEXT];
    th_addr addr;
    channel c = { 0 };
    make(&c, &reading, NULL);
    snprintf(expected, sizeof expected, "<reading at %p>", (void *)c.d);
    ck_assert_str_eq(th_dispatcher_format(c.d, text, sizeof text), expected);
    ck_assert_int_eq(th_dispatcher_bind(c.d, "127.0.0.1:0"), 0);
    ck_assert_int_eq(th_dispatcher_listen(c.d, 1), 0);
    th_dispatcher_addr(c.d, &addr);
    th_addr_format(&addr, addr_text, sizeof addr_text);
    snprintf(expected, sizeof expected, "<reading listening %s at %p>", addr_text, (void *)c.d);
    ck_assert_str_eq(th_dispatcher_format(c.d, text, sizeof text), expected);
    channel client = { 0 };
    make(&client, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_connect(client.d, addr_text), 0);
    turn_until(NULL, client.told[0]);
    snprintf(expected, sizeof expected, "<reading connected %s at %p>", addr_text,
             (void *)client.d);
    ck_assert_str_eq(th_dispatcher_format(client.d, text, sizeof text), expected);
    ck_assert_str_eq(th_dispatcher_format(client.d, text, 9), "<reading");
    close(c.accepted);
    end_channels(NULL);
}

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "loop");
    add_on_engines(tc, an_empty_map_returns_at_once);
    add_on_engines(tc, a_turn_without_events_lasts_as_long_as_it_was_told);
    add_on_engines(tc, it_takes_as_many_turns_as_it_was_told);
    add_on_engines(tc, it_ends_when_its_scope_does_and_loses_no_event);
    add_on_engines(tc, a_handler_may_suspend_and_its_loops_end_is_not_its_own_failure);
    add_on_engines(tc, two_at_once_cannot_run_it);
    add_on_engines(tc, a_sleeping_loop_sees_what_other_fibers_do);
    add_on_engines(tc, who_is_always_ready_holds_up_nobody);
    tc = thi_check_case(suite, "gates");
    add_on_engines(tc, gates_are_asked_each_turn_but_not_a_listener_whether_it_writes);
    add_on_engines(tc, what_arrived_while_the_gate_was_closed_is_told_when_it_opens);
    add_on_engines(tc, gates_can_be_set_instead_of_asked);
    add_on_engines(tc, without_gates_both_are_open);
    tc = thi_check_case(suite, "changes");
    add_on_engines(tc, who_is_closed_by_another_handler_of_the_turn_is_not_called);
    add_on_engines(tc, who_closes_himself_hears_no_more_of_the_same_turn);
    add_on_engines(tc, who_is_opened_by_a_handler_is_told_from_then_on);
    add_on_engines(tc, a_dispatcher_can_be_opened_again_in_its_own_end);
    tc = thi_check_case(suite, "life");
    add_on_engines(tc, a_closed_one_is_released_at_the_end_of_the_turn_once);
    add_on_engines(tc, a_reference_keeps_the_handle_beyond_the_end_and_beyond_the_map);
    add_on_engines(tc, all_are_closed_and_the_map_is_empty);
    add_on_engines(tc,
                   one_that_was_closed_behind_its_back_does_not_keep_the_others_from_being_closed);
    add_on_engines(tc, maps_are_apart);
    add_on_engines(tc, the_default_map_of_a_worker_goes_with_it);
    add_on_engines(tc, what_is_left_open_in_a_map_is_reported);
    add_on_engines(tc, another_worker_has_its_own_map_and_may_not_use_this_one);
    tcase_add_test(tc, outside_of_workers_there_is_none);
    add_on_engines(tc, misuse_is_refused_and_changes_nothing);
    tc = thi_check_case(suite, "descriptors");
    add_on_engines(tc, a_pipe_is_read_and_written);
    add_on_engines(tc, a_regular_file_is_always_ready_and_ends);
    add_on_engines(tc, a_directory_is_an_error_when_it_is_read);
    add_on_engines(tc, the_first_of_it_comes_within_two_turns);
    add_on_engines(tc, a_duplicate_is_its_own);
    add_on_engines(tc, an_unconnected_socket_can_be_attached_and_connected);
    add_on_engines(tc, a_socket_that_listens_can_be_attached);
    add_on_engines(tc, one_descriptor_has_one_dispatcher);
    tc = thi_check_case(suite, "texts");
    add_on_engines(tc, a_text_says_what_it_is);
}

int main(void)
{
    return thi_check_run("callback/dispatch_map", fill_suite);
}
