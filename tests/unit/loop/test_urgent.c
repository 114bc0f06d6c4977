/* SPDX-License-Identifier: MIT */

/* Urgent data is a direction of its own on every back end. */
#include "engines_table.h"

#include <netinet/in.h>
#include <sys/socket.h>

typedef struct probe {
    thi_watch watch;
    unsigned all; /* events of all calls */
} probe;

static int fds[2]; /* a TCP connection: [0] is watched, [1] is the peer */
static probe p;

static void remember(thi_watch *watch, unsigned events)
{
    thi_container_of(watch, probe, watch)->all |= events;
}

static void want(unsigned dirs)
{
    p.watch.ready &= (uint8_t)~dirs;
    p.all = 0;
    ck_assert_int_eq(thi_loop_want(&loop, &p.watch, dirs), 0);
}

static void open_watched(int engine)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    open_loop(engine);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&in, len), 0);
    fds[0] = thi_sys_accept(listener, NULL, NULL);
    close(listener);
    p = (probe){ 0 };
    ck_assert_int_eq(thi_loop_watch(&loop, &p.watch, fds[0], 0, remember), 0);
    settle();
}

static void close_watched(void)
{
    thi_loop_unwatch(&loop, &p.watch);
    close(fds[0]);
    close(fds[1]);
    thi_loop_close(&loop);
}

static void peer_sends(const char *text, int flags)
{
    ck_assert_int_eq(send(fds[1], text, strlen(text), flags), (ssize_t)strlen(text));
}

START_TEST(an_urgent_byte_is_told_as_such_and_not_as_readable)
{
    char byte = 0;
    open_watched(_i);
    ck_assert_uint_eq(p.watch.ready & THI_PRI, 0);
    want(THI_READ | THI_PRI);
    peer_sends("!", MSG_OOB);
    turn_until(p.all & THI_PRI);
    settle();
    ck_assert_uint_eq(p.all & THI_READ, 0);
    ck_assert(p.watch.ready & THI_PRI);
    ck_assert_int_eq(recv(fds[0], &byte, 1, MSG_OOB), 1);
    ck_assert_int_eq(byte, '!');
    ck_assert_int_eq(recv(fds[0], &byte, 1, 0), -1);
    close_watched();
}
END_TEST

START_TEST(bytes_after_an_urgent_one_are_readable)
{
    char got[8] = "";
    open_watched(_i);
    want(THI_READ | THI_PRI);
    peer_sends("!", MSG_OOB);
    turn_until(p.all & THI_PRI);
    want(THI_READ);
    peer_sends("abc", 0);
    turn_until(p.all & THI_READ);
    ck_assert_int_eq(recv(fds[0], got, sizeof got, 0), 3);
    ck_assert_str_eq(got, "abc");
    close_watched();
}
END_TEST

/* Sockets wake whoever waits with all that bytes may be, urgent ones among them. */
START_TEST(ordinary_bytes_are_not_told_as_urgent)
{
    char got[8];
    open_watched(_i);
    for (int i = 0; i < 4; i++) {
        want(i < 2 ? THI_READ : THI_READ | THI_PRI);
        peer_sends("abc", 0);
        turn_until(p.all & THI_READ);
        settle();
        ck_assert_uint_eq(p.all & THI_PRI, 0);
        ck_assert_uint_eq(p.watch.ready & THI_PRI, 0);
        ck_assert_int_eq(recv(fds[0], got, sizeof got, 0), 3);
    }
    close_watched();
}
END_TEST

START_TEST(an_urgent_byte_in_line_is_readable_too)
{
    int on = 1;
    char byte = 0;
    open_watched(_i);
    ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on), 0);
    want(THI_READ | THI_PRI);
    peer_sends("!", MSG_OOB);
    turn_until((p.all & (THI_READ | THI_PRI)) == (THI_READ | THI_PRI));
    ck_assert_int_eq(recv(fds[0], &byte, 1, 0), 1);
    ck_assert_int_eq(byte, '!');
    close_watched();
}
END_TEST

START_TEST(a_second_urgent_byte_is_told_again)
{
    char byte = 0;
    open_watched(_i);
    for (int i = 0; i < 3; i++) {
        want(THI_PRI);
        peer_sends("!", MSG_OOB);
        turn_until(p.all & THI_PRI);
        ck_assert_int_eq(recv(fds[0], &byte, 1, MSG_OOB), 1);
    }
    close_watched();
}
END_TEST

START_TEST(one_that_nobody_takes_keeps_no_loop_busy)
{
    open_watched(_i);
    want(THI_READ | THI_PRI);
    peer_sends("!", MSG_OOB);
    turn_until(p.all & THI_PRI);
    settle();
    uint64_t turns = loop.turns;
    int64_t until = thi_sys_clock() + 3000000;
    while (thi_sys_clock() < until)
        ck_assert_int_ge(thi_loop_turn(&loop, until), 0);
    ck_assert_uint_lt(loop.turns - turns, 20);
    close_watched();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "urgent");
    add_for_engines(tcase, an_urgent_byte_is_told_as_such_and_not_as_readable);
    add_for_engines(tcase, bytes_after_an_urgent_one_are_readable);
    add_for_engines(tcase, ordinary_bytes_are_not_told_as_urgent);
    add_for_engines(tcase, an_urgent_byte_in_line_is_readable_too);
    add_for_engines(tcase, a_second_urgent_byte_is_told_again);
    add_for_engines(tcase, one_that_nobody_takes_keeps_no_loop_busy);
}

int main(void)
{
    return thi_check_run("loop/urgent", fill);
}
