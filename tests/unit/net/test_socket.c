/* SPDX-License-Identifier: MIT */

/* Streams on sockets: whole reads and writes, ends, resets, closing, cancelling, fairness. */
#include "net/pair.h"

#include <thrum/addr.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON (20 * TH_MILLISECOND)

/* ---- calls of other fibers --------------------------------------------------------------------
 */

/* What one call in a fiber of its own gave. */
typedef struct call {
    pair *pair;
    ssize_t result;
    char buf[64];
    char detail[128];
} call;

static int read_once(void *arg)
{
    call *c = arg;
    c->result = th_stream_read(c->pair->stream, c->buf, sizeof c->buf - 1);
    return 0;
}

static char megabytes[64 << 20]; /* more than the kernel ever keeps for two sockets */

static int write_much(void *arg)
{
    call *c = arg;
    c->result = th_stream_write(c->pair->stream, megabytes, sizeof megabytes);
    (void)snprintf(c->detail, sizeof c->detail, "%s", th_err_detail());
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

FIBER_TEST(a_read_gives_what_is_there)
{
    char buf[64] = "";
    pair p = open_pair();
    peer_sends(&p, "hello");
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 5);
    ck_assert_str_eq(buf, "hello");
    peer_sends(&p, "abcdef");
    ck_assert_int_eq(th_stream_read(p.stream, buf, 2), 2);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 4);
    ck_assert_mem_eq(buf, "cdef", 4);
    close_pair(&p);
}

FIBER_TEST(a_read_waits_for_the_first_byte)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    ck_assert_int_eq(c.result, 0);
    peer_sends(&p, "late");
    close_scope(&scope);
    ck_assert_int_eq(c.result, 4);
    ck_assert_str_eq(c.buf, "late");
    close_pair(&p);
}

/* A short read says that there was no more; the next one must not take that for the last word. */
FIBER_TEST(reads_go_on_after_a_short_one)
{
    pair p = open_tcp_pair();
    for (int i = 0; i < 100; i++) {
        char buf[16] = "";
        peer_sends(&p, "abc");
        ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 3);
        ck_assert_str_eq(buf, "abc");
    }
    close_pair(&p);
}

FIBER_TEST(a_short_read_does_not_hide_the_end)
{
    char buf[16];
    pair p = open_pair();
    peer_sends(&p, "abc");
    close_peer(&p);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), TH_EOF);
    close_pair(&p);
}

FIBER_TEST(the_end_is_told_every_time)
{
    char buf[16];
    pair p = open_tcp_pair();
    close_peer(&p);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, sizeof buf), TH_EOF);
    close_pair(&p);
}

FIBER_TEST(a_read_of_nothing_returns_at_once)
{
    char buf[1];
    pair p = open_pair();
    ck_assert_int_eq(th_stream_read(p.stream, buf, 0), 0);
    ck_assert_int_eq(th_stream_read(p.stream, NULL, 0), 0);
    ck_assert_int_eq(th_stream_read_all(p.stream, NULL, 0), 0);
    close_pair(&p);
}

static int send_slowly(void *arg)
{
    pair *p = arg;
    for (int i = 0; i < 10; i++) {
        peer_sends(p, "0123456789");
        th_yield();
    }
    close_peer(p);
    return 0;
}

FIBER_TEST(read_all_gathers_what_comes_in_pieces)
{
    char buf[90];
    pair p = open_pair();
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, send_slowly, &p);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, sizeof buf), 90);
    for (size_t i = 0; i < sizeof buf; i++)
        ck_assert_int_eq(buf[i], (char)('0' + i % 10));
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 11), TH_ETRUNCATED);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 11), TH_EOF);
    close_scope(&scope);
    close_pair(&p);
}

/* ---- writing --------------------------------------------------------------------------------- */

FIBER_TEST(a_write_arrives)
{
    pair p = open_pair();
    ck_assert_int_eq(th_stream_write(p.stream, "hello", 5), 5);
    peer_receives(&p, "hello");
    ck_assert_int_eq(th_stream_write(p.stream, NULL, 0), 0);
    close_pair(&p);
}

/* Checks that the stream carries the megabytes' pattern, `size` bytes of it. */
typedef struct check_pattern {
    int fd;
    size_t size;
} check_pattern;

static void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof megabytes; i++)
        megabytes[i] = (char)(i * 7 / 3 + i / 4096);
}

static int read_pattern(void *arg)
{
    check_pattern *c = arg;
    static char buf[50000];
    for (size_t at = 0; at < c->size;) {
        ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0) {
            ck_assert_int_eq(errno, EAGAIN);
            th_yield();
            continue;
        }
        ck_assert_int_gt(n, 0);
        ck_assert_mem_eq(buf, megabytes + at, (size_t)n);
        at += (size_t)n;
    }
    return 0;
}

FIBER_TEST(a_large_write_waits_for_the_peer_and_is_whole)
{
    pair p = open_tcp_pair();
    check_pattern reading = { p.peer, sizeof megabytes };
    th_scope scope;
    fill_pattern();
    open_scope(&scope);
    spawn(&scope, read_pattern, &reading);
    ck_assert_int_eq(th_stream_write(p.stream, megabytes, sizeof megabytes), sizeof megabytes);
    close_scope(&scope);
    close_pair(&p);
}

/* Writes the pattern in so many pieces; every third one is empty. */
static void write_pieces(int count, size_t size)
{
    static struct iovec iov[1000];
    pair p = open_pair();
    check_pattern reading = { p.peer, 0 };
    th_scope scope;
    for (int i = 0; i < count; i++) {
        iov[i].iov_base = megabytes + reading.size;
        iov[i].iov_len = i % 3 == 1 ? 0 : size;
        reading.size += iov[i].iov_len;
    }
    open_scope(&scope);
    spawn(&scope, read_pattern, &reading);
    ck_assert_int_eq(th_stream_writev(p.stream, iov, count), (ssize_t)reading.size);
    close_scope(&scope);
    close_pair(&p);
}

FIBER_TEST(pieces_arrive_in_order_however_many)
{
    static const int counts[] = { 1, 2, 63, 64, 65, 128, 1000 };
    fill_pattern();
    for (size_t i = 0; i < thi_array_len(counts); i++) {
        write_pieces(counts[i], 1);
        write_pieces(counts[i], 3001);
    }
}

FIBER_TEST(pieces_that_are_all_empty_are_no_bytes)
{
    static struct iovec empty[100];
    pair p = open_pair();
    ck_assert_int_eq(th_stream_writev(p.stream, empty, 1), 0);
    ck_assert_int_eq(th_stream_writev(p.stream, empty, 100), 0);
    ck_assert_int_eq(th_stream_writev(p.stream, empty, 0), -EINVAL);
    ck_assert_int_eq(th_stream_writev(p.stream, empty, -1), -EINVAL);
    close_pair(&p);
}

FIBER_TEST(a_peer_that_never_reads_is_given_up_at_the_deadline)
{
    static struct iovec iov[2] = { { megabytes, sizeof megabytes }, { megabytes, 10 } };
    for (int pieces = 0; pieces < 2; pieces++) {
        pair p = open_pair();
        th_scope scope;
        size_t written = 0;
        open_scope_for(&scope, SOON);
        ssize_t n = pieces ? th_stream_writev(p.stream, iov, 2)
                           : th_stream_write(p.stream, megabytes, sizeof megabytes);
        ck_assert_int_eq(n, -ETIMEDOUT);
        ck_assert_int_eq(sscanf(th_err_detail(), "%zu bytes were written", &written), 1);
        th_scope_close(&scope);
        th_stream_close(p.stream);
        size_t arrived = 0;
        while ((n = recv(p.peer, megabytes, sizeof megabytes, 0)) > 0)
            arrived += (size_t)n;
        ck_assert_uint_eq(arrived, written);
        close_pair(&p);
    }
}

FIBER_TEST(a_write_after_the_peer_has_gone_fails_without_a_signal)
{
    pair p = open_tcp_pair();
    reset_peer(&p);
    ssize_t n = 0;
    for (int i = 0; i < 3; i++) {
        n = th_stream_write(p.stream, "x", 1);
        ck_assert_msg(n == -EPIPE || n == -ECONNRESET, "%s", th_errname((int)n));
    }
    ck_assert_int_eq(n, -EPIPE);
    close_pair(&p);
}

FIBER_TEST(a_reset_ends_a_waiting_read)
{
    pair p = open_tcp_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    reset_peer(&p);
    close_scope(&scope);
    ck_assert_int_eq(c.result, -ECONNRESET);
    close_pair(&p);
}

FIBER_TEST(a_reset_ends_a_waiting_write)
{
    pair p = open_tcp_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, write_much, &c);
    let_others_run();
    reset_peer(&p);
    close_scope(&scope);
    ck_assert_msg(c.result == -ECONNRESET || c.result == -EPIPE, "%d", (int)c.result);
    close_pair(&p);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A file with the pattern in it. */
static int pattern_file(size_t size)
{
    char name[] = "/tmp/thrum-socket-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    fill_pattern();
    ck_assert_int_eq(write(fd, megabytes, size), (ssize_t)size);
    return fd;
}

FIBER_TEST(a_file_is_sent_whole)
{
    int fd = pattern_file(3 << 20);
    pair p = open_tcp_pair();
    check_pattern reading = { p.peer, 3 << 20 };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_pattern, &reading);
    off_t before = lseek(fd, 0, SEEK_CUR);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 0, 3 << 20), 3 << 20);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), before);
    close_scope(&scope);
    close_pair(&p);
    close(fd);
}

FIBER_TEST(a_stretch_of_a_file_ends_where_the_file_does)
{
    char buf[32] = "";
    char name[] = "/tmp/thrum-socket-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    ck_assert_int_eq(write(fd, "0123456789", 10), 10);
    pair p = open_pair();
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 2, 5), 5);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 7, 100), 3);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 10, 5), 0);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 1000, 5), 0);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, 0, 0), 0);
    ck_assert_int_eq(th_stream_sendfile(p.stream, fd, -1, 5), -EINVAL);
    ck_assert_int_eq(th_stream_sendfile(p.stream, -1, 0, 5), -EINVAL);
    th_stream_close(p.stream);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, MSG_WAITALL), 8);
    ck_assert_str_eq(buf, "23456789");
    close_pair(&p);
    close(fd);
}

FIBER_TEST(a_file_for_a_peer_that_has_gone_fails_without_a_signal)
{
    int fd = pattern_file(1000);
    pair p = open_tcp_pair();
    reset_peer(&p);
    ssize_t n = 0;
    for (int i = 0; i < 3; i++) {
        n = th_stream_sendfile(p.stream, fd, 0, 1000);
        ck_assert_msg(n == -EPIPE || n == -ECONNRESET, "%s", th_errname((int)n));
    }
    close_pair(&p);
    close(fd);
}

/* ---- ending ---------------------------------------------------------------------------------- */

FIBER_TEST(half_a_close_ends_one_direction)
{
    char buf[16] = "";
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_write(p.stream, "last", 4), 4);
    ck_assert_int_eq(th_stream_shutdown(p.stream), 0);
    peer_receives(&p, "last");
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), 0);
    peer_sends(&p, "reply");
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 5);
    ck_assert_str_eq(buf, "reply");
    ck_assert_int_eq(th_stream_write(p.stream, "x", 1), -EPIPE);
    close_pair(&p);
}

FIBER_TEST(a_close_wakes_the_reader_and_the_writer)
{
    pair p = open_pair();
    call reading = { .pair = &p };
    call writing = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &reading);
    spawn(&scope, write_much, &writing);
    let_others_run();
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    close_scope(&scope);
    ck_assert_int_eq(reading.result, -ECANCELED);
    ck_assert_int_eq(writing.result, -ECANCELED);
    close_pair(&p);
}

/* The peer's bytes have made the reader ready, and then the stream is closed before it runs. */
FIBER_TEST(a_close_overtakes_a_wake_up)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    p.socket->watch.fn(&p.socket->watch, THI_READ);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    close_scope(&scope);
    ck_assert_int_eq(c.result, -ECANCELED);
    close_pair(&p);
}

FIBER_TEST(use_after_a_close_is_refused)
{
    char buf[4];
    struct iovec iov = { buf, 1 };
    th_addr addr;
    pair p = open_pair();
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_write(p.stream, buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_writev(p.stream, &iov, 1), -EBADF);
    ck_assert_int_eq(th_stream_sendfile(p.stream, 0, 0, 1), -EBADF);
    ck_assert_int_eq(th_stream_shutdown(p.stream), -EBADF);
    ck_assert_int_eq(th_stream_peer(p.stream, &addr), -EBADF);
    ck_assert_int_eq(th_stream_local(p.stream, &addr), -EBADF);
    close_pair(&p);
}

/* A fiber that writes in small steps is made to let others run, and one of them closes. */
static int write_steps(void *arg)
{
    call *c = arg;
    while ((c->result = th_stream_write(c->pair->stream, "x", 1)) == 1)
        continue;
    return 0;
}

FIBER_TEST(a_close_while_a_busy_fiber_yields_is_seen_by_it)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, write_steps, &c);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    int decoy[2]; /* takes the number of the closed descriptor */
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, decoy), 0);
    close_scope(&scope);
    ck_assert_int_eq(c.result, -ECANCELED);
    ck_assert_int_eq(recv(decoy[0], &(char){ 0 }, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(recv(decoy[1], &(char){ 0 }, 1, MSG_DONTWAIT), -1);
    close(decoy[0]);
    close(decoy[1]);
    close_pair(&p);
}

/* ---- who may ----------------------------------------------------------------------------------
 */

FIBER_TEST(a_direction_has_one_user_at_a_time)
{
    char buf[4];
    pair p = open_pair();
    call reading = { .pair = &p };
    call writing = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &reading);
    spawn(&scope, write_much, &writing);
    let_others_run();
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -EBUSY);
    ck_assert_int_eq(th_stream_write(p.stream, buf, 1), -EBUSY);
    ck_assert_int_eq(th_stream_sendfile(p.stream, 0, 0, 1), -EBUSY);
    peer_sends(&p, "for the first");
    while (reading.result == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_str_eq(reading.buf, "for the first");
    th_stream_close(p.stream);
    close_scope(&scope);
    close_pair(&p);
}

static int use_from_elsewhere(void *arg)
{
    pair *p = arg;
    char buf[4];
    ck_assert_int_eq(th_stream_read(p->stream, buf, 1), -EPERM);
    ck_assert_int_eq(th_stream_write(p->stream, buf, 1), -EPERM);
    ck_assert_int_eq(th_stream_sendfile(p->stream, 0, 0, 1), -EPERM);
    return 0;
}

FIBER_TEST_ON(2, a_stream_stays_on_its_worker)
{
    pair p = open_pair();
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 1, use_from_elsewhere, &p);
    close_scope(&scope);
    close_pair(&p);
}

FIBER_TEST(null_is_refused)
{
    char buf[4];
    th_addr addr;
    pair p = open_pair();
    ck_assert_int_eq(th_stream_read(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_stream_read(p.stream, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_stream_write(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_stream_write(p.stream, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_stream_writev(p.stream, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_stream_sendfile(NULL, 0, 0, 1), -EINVAL);
    ck_assert_int_eq(th_stream_shutdown(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_close(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_peer(NULL, &addr), -EINVAL);
    ck_assert_int_eq(th_stream_local(p.stream, NULL), -EINVAL);
    th_stream_free(NULL);
    close_pair(&p);
}

FIBER_TEST(both_ends_have_addresses)
{
    th_addr here;
    th_addr there;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_local(p.stream, &here), 0);
    ck_assert_int_eq(th_stream_peer(p.stream, &there), 0);
    ck_assert_uint_eq(here.kind, TH_ADDR_IP4);
    ck_assert_uint_eq(there.kind, TH_ADDR_IP4);
    ck_assert_uint_ne(here.port, there.port);
    reset_peer(&p);
    ck_assert_int_eq(th_stream_peer(p.stream, &there), -ENOTCONN);
    close_pair(&p);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

FIBER_TEST(a_cancelled_scope_is_obeyed_by_every_step)
{
    char buf[4];
    pair p = open_pair();
    th_scope scope;
    peer_sends(&p, "ready");
    open_cancelled_scope(&scope);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -ECANCELED);
        ck_assert_int_eq(th_stream_write(p.stream, buf, 1), -ECANCELED);
        ck_assert_int_eq(th_stream_sendfile(p.stream, 0, 0, 1), -ECANCELED);
    }
    th_scope_close(&scope);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), 1); /* the stream itself is as before */
    close_pair(&p);
}

FIBER_TEST(a_waiting_read_ends_with_its_scope)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    ck_assert_int_eq(c.result, -ECANCELED);
    peer_sends(&p, "a");
    ck_assert_int_eq(th_stream_read(p.stream, c.buf, 4), 1);
    close_pair(&p);
}

FIBER_TEST(a_read_is_given_up_at_the_deadline_and_may_be_tried_again)
{
    char buf[4];
    pair p = open_pair();
    th_scope scope;
    open_scope_for(&scope, SOON);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -ETIMEDOUT);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -ETIMEDOUT);
    th_scope_close(&scope);
    peer_sends(&p, "a");
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), 1);
    close_pair(&p);
}

/* Two streams feed each other: there is always something to read. */
static int read_for_ever(void *arg)
{
    call *c = arg;
    char byte[1];
    do {
        peer_sends(c->pair, "x");
        c->result = th_stream_read(c->pair->stream, byte, 1);
    } while (c->result == 1);
    return 0;
}

FIBER_TEST(a_fiber_that_always_has_data_lets_others_run_and_can_be_cancelled)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_for_ever, &c);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(c.result, 1);
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    ck_assert_int_eq(c.result, -ECANCELED);
    close_pair(&p);
}

FIBER_TEST(a_fiber_that_always_has_data_meets_its_deadline)
{
    pair p = open_pair();
    call c = { .pair = &p };
    th_scope scope;
    open_scope_for(&scope, SOON);
    spawn(&scope, read_for_ever, &c);
    th_scope_close(&scope);
    ck_assert_int_eq(c.result, -ETIMEDOUT);
    close_pair(&p);
}

/* ---- a socket that holds no fiber -------------------------------------------------------------
 */

static int arrivals;

static void count_arrival(thi_socket *socket)
{
    ck_assert(thi_socket_has_arrival(socket));
    arrivals++;
}

FIBER_TEST(an_arrival_is_told_when_nobody_reads)
{
    char buf[16];
    pair p = open_pair();
    arrivals = 0;
    p.socket->watch.ready &= (uint8_t)~THI_READ;
    p.socket->arrived = count_arrival;
    ck_assert_int_eq(thi_loop_want(&p.socket->worker->loop, &p.socket->watch, THI_READ), 0);
    peer_sends(&p, "x");
    while (arrivals == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 1);
    close_pair(&p);
}

FIBER_TEST(a_descriptor_that_cannot_be_watched_is_refused)
{
    thi_socket *socket = NULL;
    int fd = pattern_file(10);
    ck_assert_int_eq(thi_socket_new(fd, &socket), -EPERM);
    ck_assert_ptr_null(socket);
    ck_assert_int_eq(close(fd), 0); /* still the caller's */
    ck_assert_int_eq(thi_socket_new(fd, &socket), -EBADF);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "reading");
    add_on_engines(tcase, a_read_gives_what_is_there);
    add_on_engines(tcase, a_read_waits_for_the_first_byte);
    add_on_engines(tcase, reads_go_on_after_a_short_one);
    add_on_engines(tcase, a_short_read_does_not_hide_the_end);
    add_on_engines(tcase, the_end_is_told_every_time);
    tcase_add_test(tcase, a_read_of_nothing_returns_at_once);
    add_on_engines(tcase, read_all_gathers_what_comes_in_pieces);
    tcase = thi_check_case(suite, "writing");
    tcase_add_test(tcase, a_write_arrives);
    add_on_engines(tcase, a_large_write_waits_for_the_peer_and_is_whole);
    tcase_add_test(tcase, pieces_arrive_in_order_however_many);
    tcase_add_test(tcase, pieces_that_are_all_empty_are_no_bytes);
    add_on_engines(tcase, a_peer_that_never_reads_is_given_up_at_the_deadline);
    tcase_add_test(tcase, a_write_after_the_peer_has_gone_fails_without_a_signal);
    add_on_engines(tcase, a_reset_ends_a_waiting_read);
    add_on_engines(tcase, a_reset_ends_a_waiting_write);
    tcase = thi_check_case(suite, "files");
    add_on_engines(tcase, a_file_is_sent_whole);
    tcase_add_test(tcase, a_stretch_of_a_file_ends_where_the_file_does);
    tcase_add_test(tcase, a_file_for_a_peer_that_has_gone_fails_without_a_signal);
    tcase = thi_check_case(suite, "ending");
    tcase_add_test(tcase, half_a_close_ends_one_direction);
    add_on_engines(tcase, a_close_wakes_the_reader_and_the_writer);
    tcase_add_test(tcase, a_close_overtakes_a_wake_up);
    tcase_add_test(tcase, use_after_a_close_is_refused);
    tcase_add_test(tcase, a_close_while_a_busy_fiber_yields_is_seen_by_it);
    tcase = thi_check_case(suite, "users");
    tcase_add_test(tcase, a_direction_has_one_user_at_a_time);
    tcase_add_test(tcase, a_stream_stays_on_its_worker);
    tcase_add_test(tcase, null_is_refused);
    tcase_add_test(tcase, both_ends_have_addresses);
    tcase = thi_check_case(suite, "cancelling");
    tcase_add_test(tcase, a_cancelled_scope_is_obeyed_by_every_step);
    add_on_engines(tcase, a_waiting_read_ends_with_its_scope);
    add_on_engines(tcase, a_read_is_given_up_at_the_deadline_and_may_be_tried_again);
    tcase_add_test(tcase, a_fiber_that_always_has_data_lets_others_run_and_can_be_cancelled);
    tcase_add_test(tcase, a_fiber_that_always_has_data_meets_its_deadline);
    tcase = thi_check_case(suite, "without a fiber");
    add_on_engines(tcase, an_arrival_is_told_when_nobody_reads);
    tcase_add_test(tcase, a_descriptor_that_cannot_be_watched_is_refused);
}

int main(void)
{
    return thi_check_run("net/socket", fill_suite);
}
