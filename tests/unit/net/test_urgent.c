/* SPDX-License-Identifier: MIT */

/* The urgent byte: apart and in line, beside ordinary reads, its waits, who has none. */
#include "net/pair.h"

#include <thrum/fd_stream.h>
#include <thrum/sim.h>
#include <thrum/socket.h>

typedef struct call {
    th_stream *stream;
    int result;
    unsigned char byte;
    char buf[32];
    ssize_t n;
} call;

static int read_urgent(void *arg)
{
    call *c = arg;
    c->result = th_stream_read_urgent(c->stream, &c->byte);
    return 0;
}

static int read_once(void *arg)
{
    call *c = arg;
    c->n = th_stream_read(c->stream, c->buf, sizeof c->buf - 1);
    return 0;
}

static void peer_sends_urgent(pair *p, const char *text)
{
    ck_assert_int_eq(send(p->peer, text, strlen(text), MSG_OOB), (ssize_t)strlen(text));
}

FIBER_TEST(it_overtakes_what_was_sent_before)
{
    char buf[8] = "";
    unsigned char byte = 0;
    pair p = open_tcp_pair();
    peer_sends(&p, "abc");
    peer_sends_urgent(&p, "!");
    peer_sends(&p, "def");
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), 0);
    ck_assert_int_eq(byte, '!');
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 6), 6);
    ck_assert_str_eq(buf, "abcdef");
    close_pair(&p);
}

/* All is there before anybody reads, so no further event tells of what lies behind the mark. */
static void read_past_mark(pair p)
{
    char buf[16] = "";
    th_scope scope;
    call c = { .stream = p.stream };
    open_scope(&scope);
    spawn(&scope, read_once, &c); /* what is known of it now is that there is nothing */
    let_others_run();
    peer_sends(&p, "abc");
    peer_sends_urgent(&p, "!");
    peer_sends(&p, "def");
    close_scope(&scope);
    size_t done = (size_t)c.n;
    ck_assert_int_ge(c.n, 1);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 6 - done), (ssize_t)(6 - done));
    close_pair(&p);
}

FIBER_TEST(a_read_that_stops_at_the_mark_does_not_stall_the_next)
{
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_at_urgent(p.stream), 0); /* it knows of urgent data */
    read_past_mark(p);
}

FIBER_TEST(nor_does_one_of_who_does_not_expect_it)
{
    read_past_mark(open_tcp_pair());
}

FIBER_TEST(taking_it_first_does_not_hide_what_lies_behind_its_place)
{
    char buf[16] = "";
    unsigned char byte;
    pair p = open_tcp_pair();
    call c = { .stream = p.stream };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    peer_sends(&p, "a");
    close_scope(&scope);
    peer_sends(&p, "abc");
    peer_sends_urgent(&p, "!");
    peer_sends(&p, "def");
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), 0);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "def");
    close_pair(&p);
}

FIBER_TEST(one_waits_for_it_while_another_reads)
{
    pair p = open_tcp_pair();
    call urgent = { .stream = p.stream, .result = 1 };
    call reads = { .stream = p.stream };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_urgent, &urgent);
    spawn(&scope, read_once, &reads);
    let_others_run();
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &urgent.byte), -EBUSY);
    ck_assert_int_eq(th_stream_set_urgent_in_line(p.stream, 1), -EBUSY);
    peer_sends(&p, "abc");
    while (reads.n == 0)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(urgent.result, 1);
    peer_sends_urgent(&p, "?");
    close_scope(&scope);
    ck_assert_int_eq(urgent.result, 0);
    ck_assert_int_eq(urgent.byte, '?');
    ck_assert_str_eq(reads.buf, "abc");
    close_pair(&p);
}

FIBER_TEST(one_byte_after_the_other)
{
    unsigned char byte = 0;
    pair p = open_tcp_pair();
    for (char c = 'a'; c < 'f'; c++) {
        peer_sends_urgent(&p, (char[]){ c, 0 });
        ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), 0);
        ck_assert_int_eq(byte, c);
    }
    close_pair(&p);
}

FIBER_TEST(in_line_it_comes_in_its_place)
{
    char buf[16] = "";
    unsigned char byte;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_set_urgent_in_line(p.stream, 1), 0);
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), -EINVAL);
    peer_sends(&p, "abc");
    peer_sends_urgent(&p, "!");
    peer_sends(&p, "def");
    ck_assert_int_eq(th_stream_at_urgent(p.stream), 0);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 3), 3);
    while (th_stream_at_urgent(p.stream) == 0)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_stream_read_all(p.stream, buf + 3, 4), 4);
    ck_assert_str_eq(buf, "abc!def");
    ck_assert_int_eq(th_stream_set_urgent_in_line(p.stream, 0), 0);
    peer_sends_urgent(&p, "?");
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), 0);
    close_pair(&p);
}

FIBER_TEST(ours_reaches_the_peer)
{
    char byte = 0;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_write(p.stream, "abc", 3), 3);
    ck_assert_int_eq(th_stream_write_urgent(p.stream, '!'), 0);
    peer_receives(&p, "abc");
    struct pollfd at = { .fd = p.peer, .events = POLLPRI };
    ck_assert_int_eq(poll(&at, 1, 5000), 1);
    ck_assert_int_eq(recv(p.peer, &byte, 1, MSG_OOB), 1);
    ck_assert_int_eq(byte, '!');
    close_pair(&p);
}

static void wait_ends_with(void (*end)(pair *p), int result)
{
    pair p = open_tcp_pair();
    call urgent = { .stream = p.stream, .result = 1 };
    call reads = { .stream = p.stream };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_urgent, &urgent);
    spawn(&scope, read_once, &reads);
    let_others_run();
    end(&p);
    close_scope(&scope);
    ck_assert_int_eq(urgent.result, result);
    close_pair(&p);
}

static void close_stream(pair *p)
{
    ck_assert_int_eq(th_stream_close(p->stream), 0);
}

FIBER_TEST(the_wait_ends_with_the_connection)
{
    wait_ends_with(close_peer, TH_EOF);
    wait_ends_with(reset_peer, TH_EOF);
    wait_ends_with(close_stream, -ECANCELED);
}

FIBER_TEST(the_wait_obeys_its_scope)
{
    unsigned char byte = 0;
    pair p = open_tcp_pair();
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), -ECANCELED);
    ck_assert_int_eq(th_stream_write_urgent(p.stream, '!'), -ECANCELED);
    close_scope(&scope);
    peer_sends_urgent(&p, "!");
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), 0);
    close_pair(&p);
}

FIBER_TEST(who_has_none_says_so)
{
    unsigned char byte;
    th_stream *ends[2];
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_read_urgent(NULL, &byte), -EINVAL);
    ck_assert_int_eq(th_stream_read_urgent(p.stream, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_write_urgent(NULL, '!'), -EINVAL);
    ck_assert_int_eq(th_stream_at_urgent(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), -EBADF);
    ck_assert_int_eq(th_stream_write_urgent(p.stream, '!'), -EBADF);
    close_pair(&p);
    p = open_pair();
    ck_assert_int_eq(th_stream_read_urgent(p.stream, &byte), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_write_urgent(p.stream, '!'), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_set_urgent_in_line(p.stream, 1), -EOPNOTSUPP);
    close_pair(&p);
    ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    ck_assert_int_eq(th_stream_read_urgent(ends[0], &byte), -EOPNOTSUPP);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "urgent");
    add_on_engines(tcase, it_overtakes_what_was_sent_before);
    add_on_engines(tcase, a_read_that_stops_at_the_mark_does_not_stall_the_next);
    for (int i = 0; i < (int)thi_array_len(engine_names); i++)
        if (strcmp(engine_names[i], "uring") != 0) /* see net/socket.c */
            tcase_add_loop_test(tcase, nor_does_one_of_who_does_not_expect_it, i, i + 1);
    add_on_engines(tcase, taking_it_first_does_not_hide_what_lies_behind_its_place);
    add_on_engines(tcase, one_waits_for_it_while_another_reads);
    add_on_engines(tcase, one_byte_after_the_other);
    add_on_engines(tcase, in_line_it_comes_in_its_place);
    add_on_engines(tcase, ours_reaches_the_peer);
    add_on_engines(tcase, the_wait_ends_with_the_connection);
    tcase_add_test(tcase, the_wait_obeys_its_scope);
    tcase_add_test(tcase, who_has_none_says_so);
}

int main(void)
{
    return thi_check_run("net/urgent", fill);
}
