/* SPDX-License-Identifier: MIT */

/* Writes that lend their memory: when they do, when they come back, what ends them. */
#include "net/pair.h"

#include "base/alloc.h"

#include <thrum/fd_stream.h>
#include <thrum/sim.h>
#include <thrum/socket.h>

#include <linux/errqueue.h>
#include <stdlib.h>

#define LARGE ((size_t)64 * 1024)

static thi_sys table;
static const thi_sys *below;
static int lent;     /* calls that lent memory */
static int plain;    /* calls that did not */
static int no_notes; /* as if the kernel never told */
static int fail;     /* the error of a call that lends */
static bool zeroed;  /* notes do not say that bytes were copied */

static ssize_t counted_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if ((flags & MSG_ZEROCOPY) && fail < 0)
        return fail;
    ssize_t n = below->sendmsg(fd, msg, flags);
    if (n > 0 && (flags & MSG_ZEROCOPY))
        lent++;
    else if (n > 0)
        plain++;
    return n;
}

static ssize_t noted_recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (no_notes)
        return -EAGAIN;
    ssize_t n = below->recvmsg(fd, msg, flags);
    struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(msg) : NULL;
    if (header && zeroed) /* as on the way to another machine */
        ((struct sock_extended_err *)(void *)CMSG_DATA(header))->ee_code = 0;
    return n;
}

static void watch_calls(void)
{
    lent = plain = no_notes = fail = 0;
    zeroed = true;
    below = thi_sys_table;
    table = *below;
    table.sendmsg = counted_sendmsg;
    table.recvmsg = noted_recvmsg;
    thi_sys_table = &table;
}

static void unwatch_calls(void)
{
    thi_sys_table = below;
}

static char bytes[8 << 20];

typedef struct taking {
    th_stream *stream;
    size_t size;
    bool same;
} taking;

static int take_all(void *arg)
{
    taking *t = arg;
    static char got[65536];
    t->same = true;
    for (size_t at = 0; at < t->size;) {
        ssize_t n = th_stream_read(t->stream, got, thi_min(sizeof got, t->size - at));
        if (n < 0)
            return (int)n;
        t->same = t->same && memcmp(got, bytes + at, (size_t)n) == 0;
        at += (size_t)n;
    }
    return 0;
}

static void adopt_peer(pair *p, th_stream **peer)
{
    ck_assert_int_eq(th_stream_from_socket(p->peer, peer), 0);
    p->peer = -1;
}

static void write_and_take(th_stream *stream, th_stream *peer, size_t size)
{
    taking t = { .stream = peer, .size = size };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, take_all, &t);
    ck_assert_int_eq(th_stream_write(stream, bytes, size), (ssize_t)size);
    close_scope(&scope);
    ck_assert(t.same);
}

FIBER_TEST(large_writes_lend_and_small_ones_do_not)
{
    th_stream *peer;
    pair p = open_tcp_pair();
    adopt_peer(&p, &peer);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 13 + (i >> 11));
    watch_calls();
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    write_and_take(p.stream, peer, LARGE - 1);
    ck_assert_int_eq(lent, 0);
    ck_assert_int_gt(plain, 0);
    write_and_take(p.stream, peer, LARGE);
    ck_assert_int_gt(lent, 0);
    ck_assert_uint_eq(p.socket->rare->lent, p.socket->rare->returned);
    write_and_take(p.stream, peer, sizeof bytes);
    ck_assert_int_gt(lent, 1);
    ck_assert_uint_eq(p.socket->rare->lent, p.socket->rare->returned);
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, 0), 0);
    lent = 0;
    write_and_take(p.stream, peer, sizeof bytes);
    ck_assert_int_eq(lent, 0);
    unwatch_calls();
    th_stream_free(peer);
    close_pair(&p);
}

FIBER_TEST(where_bytes_are_copied_all_the_same_it_is_switched_off)
{
    th_stream *peer;
    pair p = open_tcp_pair();
    adopt_peer(&p, &peer);
    watch_calls();
    zeroed = false;
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    write_and_take(p.stream, peer, LARGE);
    ck_assert_int_gt(lent, 0);
    lent = 0;
    write_and_take(p.stream, peer, LARGE);
    ck_assert_int_eq(lent, 0);
    unwatch_calls();
    th_stream_free(peer);
    close_pair(&p);
}

FIBER_TEST(without_room_for_notes_bytes_are_copied)
{
    th_stream *peer;
    pair p = open_tcp_pair();
    adopt_peer(&p, &peer);
    watch_calls();
    fail = -ENOBUFS;
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    write_and_take(p.stream, peer, sizeof bytes);
    ck_assert_int_eq(lent, 0);
    unwatch_calls();
    th_stream_free(peer);
    close_pair(&p);
}

/* Memory that is still in use must not go out later with other bytes in it. */
FIBER_TEST(a_scope_that_ends_before_it_is_returned_breaks_the_connection_off)
{
    th_scope scope;
    pair p = open_tcp_pair();
    watch_calls();
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    ck_assert_int_eq(th_stream_write(p.stream, bytes, sizeof bytes), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_write(p.stream, bytes, 1), -EBADF);
    close_pair(&p);
    p = open_tcp_pair();
    no_notes = 1;
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    ck_assert_int_eq(th_stream_write(p.stream, bytes, LARGE), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    close_pair(&p);
    unwatch_calls();
}

typedef struct call {
    pair *pair;
    ssize_t result;
} call;

static int write_large(void *arg)
{
    call *c = arg;
    c->result = th_stream_write(c->pair->stream, bytes, LARGE);
    return 0;
}

FIBER_TEST(a_close_ends_the_wait)
{
    th_scope scope;
    pair p = open_tcp_pair();
    call c = { .pair = &p };
    watch_calls();
    no_notes = 1;
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, LARGE), 0);
    open_scope(&scope);
    spawn(&scope, write_large, &c);
    let_others_run();
    ck_assert_int_eq(c.result, 0);
    ck_assert_int_eq(th_stream_write(p.stream, "x", 1), -EBUSY);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    close_scope(&scope);
    ck_assert_int_eq(c.result, -ECANCELED);
    unwatch_calls();
    close_pair(&p);
}

static int lend_in_simulation(void *arg)
{
    th_stream *ends[2];
    (void)arg;
    ck_assert_int_eq(th_stream_pair(ends), 0);
    ck_assert_int_eq(th_stream_set_zerocopy(ends[0], LARGE), -EOPNOTSUPP);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return 0;
}

START_TEST(in_a_simulation_there_is_none)
{
    ck_assert_int_eq(th_sim_run(lend_in_simulation, NULL, NULL, NULL), 0);
}
END_TEST

FIBER_TEST(who_cannot_says_so)
{
    th_stream *ends[2];
    pair p = open_pair();
    ck_assert_int_eq(th_stream_set_zerocopy(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, 1), -EOPNOTSUPP);
    close_pair(&p);
    ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    ck_assert_int_eq(th_stream_set_zerocopy(ends[1], 1), -EOPNOTSUPP);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    p = open_tcp_pair();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, 1), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, 1), -EBADF);
    close_pair(&p);
}

FIBER_TEST(select_cannot)
{
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_set_zerocopy(p.stream, 1), -EOPNOTSUPP);
    close_pair(&p);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "lend");
    int but_select = 0; /* the last one */
    while (strcmp(engine_names[but_select], "select") != 0)
        but_select++;
    tcase_add_loop_test(tcase, large_writes_lend_and_small_ones_do_not, 0, but_select);
    tcase_add_loop_test(tcase, where_bytes_are_copied_all_the_same_it_is_switched_off, 0,
                        but_select);
    tcase_add_test(tcase, without_room_for_notes_bytes_are_copied);
    tcase_add_loop_test(tcase, a_scope_that_ends_before_it_is_returned_breaks_the_connection_off, 0,
                        but_select);
    tcase_add_loop_test(tcase, a_close_ends_the_wait, 0, but_select);
    tcase_add_test(tcase, in_a_simulation_there_is_none);
    tcase_add_test(tcase, who_cannot_says_so);
    tcase_add_loop_test(tcase, select_cannot, but_select, but_select + 1);
}

int main(void)
{
    return thi_check_run("net/lend", fill);
}
