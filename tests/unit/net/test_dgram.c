/* SPDX-License-Identifier: MIT */

/* Datagrams on a loop, without a fiber: the queue, failures, pauses, the end. */
#include "loop/engines_table.h"

#include "base/alloc.h"
#include "net/dgram.h"

#include <thrum/time.h>
#include <thrum/udp.h>

#include <netinet/in.h>
#include <sys/socket.h>

/* One socket, and what it was told: r received, f failed, m room, c closed. */
typedef struct party {
    thi_dgram d;
    th_addr addr;
    char log[128];
    char last[64]; /* bytes received last */
    size_t size;
    unsigned flags;
    th_addr peer;
    int err; /* failed last, and its target */
    th_addr to;
    int why;     /* closed */
    bool inside; /* in a call: nothing may be told */
    void (*on_received)(struct party *p);
} party;

static party *of(thi_dgram *d)
{
    party *p = thi_container_of(d, party, d);
    ck_assert(!p->inside);
    return p;
}

static void note(party *p, char c)
{
    size_t len = strlen(p->log);
    ck_assert_uint_lt(len, sizeof p->log - 1);
    p->log[len] = c;
}

static void received(thi_dgram *d, const void *data, size_t size, const th_addr *peer,
                     unsigned flags)
{
    party *p = of(d);
    note(p, 'r');
    p->size = size;
    p->flags = flags;
    p->peer = *peer;
    memset(p->last, 0, sizeof p->last);
    memcpy(p->last, data, thi_min(size, sizeof p->last - 1));
    if (p->on_received)
        p->on_received(p);
}

static void failed(thi_dgram *d, int err, const th_addr *to)
{
    party *p = of(d);
    note(p, 'f');
    p->err = err;
    p->to = to ? *to : (th_addr){ .kind = TH_ADDR_NONE };
}

static void room(thi_dgram *d)
{
    note(of(d), 'm');
}

static void closed(thi_dgram *d, int err)
{
    party *p = of(d);
    note(p, 'c');
    p->why = err;
}

static const thi_dgram_ops ops = { received, failed, room, closed };

/* ---- the stage ---- */

static int open_fd(th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    th_addr any = { .kind = TH_ADDR_IP4, .ip = { 127, 0, 0, 1 } };
    int fd = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_bind(fd, &sa.sa, thi_addr_to_sockaddr(&any, &sa)), 0);
    ck_assert_int_eq(thi_sys_getsockname(fd, &sa.sa, &len), 0);
    thi_addr_from_sockaddr(&sa, len, addr);
    return fd;
}

static void open_party(party *p)
{
    *p = (party){ .inside = false };
    int fd = open_fd(&p->addr);
    ck_assert_int_eq(thi_dgram_open(&p->d, &loop, fd, AF_INET, &ops), 0);
}

static void turn(void)
{
    ck_assert_int_ge(thi_loop_turn(&loop, th_after(10 * TH_SECOND)), 0);
}

/* Turns until the party has been told so many things. */
static void until(party *p, size_t count)
{
    int64_t patience = th_after(10 * TH_SECOND);
    while (strlen(p->log) < count && th_now() < patience)
        turn();
    ck_assert_uint_ge(strlen(p->log), count);
}

static void close_party(party *p)
{
    size_t before = strlen(p->log);
    thi_dgram_close(&p->d);
    until(p, before + 1);
    ck_assert_int_eq(p->log[strlen(p->log) - 1], 'c');
}

/* Sends; nothing may be told inside of the call. */
static int say(party *p, const char *text, const th_addr *to)
{
    p->inside = true;
    int err = thi_dgram_send(&p->d, text, strlen(text), to);
    p->inside = false;
    return err;
}

/* A kernel that has no room for a while, or refuses. */
static thi_sys sys;
static int refuse_times;
static int refuse_with;
static unsigned attempts;

static ssize_t refuse_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    attempts++;
    if (refuse_times > 0) {
        refuse_times--;
        return refuse_with;
    }
    return thi_sys_real.sendmsg(fd, msg, flags);
}

static void refuse(int times, int error)
{
    sys = thi_sys_real;
    sys.sendmsg = refuse_sendmsg;
    refuse_times = times;
    refuse_with = error;
    thi_sys_table = &sys;
}

/* A test whose body runs once for each engine, engine number _i. */
#define ENGINE_TEST(name)                                                                          \
    static void name##_body(int _i);                                                               \
    START_TEST(name)                                                                               \
    {                                                                                              \
        name##_body(_i);                                                                           \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(int _i)

/* ---- sending and receiving ------------------------------------------------------------------- */

ENGINE_TEST(what_is_sent_is_received_from_the_loop)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    ck_assert_int_eq(say(&a, "hello", &b.addr), 0);
    ck_assert_uint_eq(a.d.count, 0);
    ck_assert_str_eq(b.log, "");
    until(&b, 1);
    ck_assert_str_eq(b.last, "hello");
    ck_assert_int_eq(th_addr_equal(&b.peer, &a.addr), 1);
    ck_assert_int_eq(say(&a, "", &b.addr), 0); /* an empty one is one */
    until(&b, 2);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_int_eq(th_addr_equal(&b.peer, &a.addr), 1);
    close_party(&a);
    close_party(&b);
    ck_assert_str_eq(a.log, "c");
    ck_assert_str_eq(b.log, "rrc");
    thi_loop_close(&loop);
}

ENGINE_TEST(what_arrives_during_a_pause_comes_after_it)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    ck_assert_int_eq(say(&a, "1", &b.addr), 0);
    until(&b, 1);
    thi_dgram_receive(&b.d, false);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(say(&a, "2", &b.addr), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
    ck_assert_str_eq(b.log, "r");
    thi_dgram_receive(&b.d, true);
    until(&b, 4);
    close_party(&a);
    close_party(&b);
    ck_assert_str_eq(b.log, "rrrrc");
    thi_loop_close(&loop);
}

static void pause_it(party *p)
{
    thi_dgram_receive(&p->d, false);
}

static void abort_it(party *p)
{
    thi_dgram_abort(&p->d, -ECANCELED);
}

ENGINE_TEST(receiving_may_be_paused_and_ended_from_inside)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    b.on_received = pause_it;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(say(&a, "x", &b.addr), 0);
    thi_dgram_receive(&b.d, true);
    until(&b, 1);
    ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
    ck_assert_str_eq(b.log, "r");
    b.on_received = abort_it;
    thi_dgram_receive(&b.d, true);
    until(&b, 3);
    ck_assert_str_eq(b.log, "rrc");
    ck_assert_int_eq(b.why, -ECANCELED);
    close_party(&a);
    thi_loop_close(&loop);
}

/* ---- the queue ------------------------------------------------------------------------------- */

ENGINE_TEST(what_has_no_room_is_queued_and_keeps_its_order_and_targets)
{
    party a, b, c;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    open_party(&c);
    thi_dgram_receive(&b.d, true);
    thi_dgram_receive(&c.d, true);
    refuse(1, -EAGAIN);
    ck_assert_int_eq(say(&a, "one", &b.addr), 0);
    ck_assert_int_eq(say(&a, "two", &c.addr), 0);
    ck_assert_int_eq(say(&a, "three", &b.addr), 0);
    ck_assert_uint_eq(attempts, 1); /* what is queued is not overtaken */
    ck_assert_uint_eq(a.d.count, 3);
    ck_assert_uint_eq(a.d.queued, 11);
    until(&b, 2);
    until(&c, 1);
    ck_assert_str_eq(b.last, "three");
    ck_assert_str_eq(c.last, "two");
    ck_assert_uint_eq(a.d.count, 0);
    ck_assert_uint_eq(a.d.queued, 0);
    close_party(&a);
    close_party(&b);
    close_party(&c);
    thi_loop_close(&loop);
}

ENGINE_TEST(room_is_told_once_when_the_queue_has_been_full)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_set_marks(&a.d, 8, 4);
    refuse(1, -EAGAIN);
    ck_assert_int_eq(say(&a, "1234567", &b.addr), 0);
    ck_assert(!a.d.full);
    ck_assert_int_eq(say(&a, "8", &b.addr), 0);
    ck_assert(a.d.full);
    until(&a, 1);
    ck_assert(!a.d.full);
    ck_assert_int_eq(say(&a, "12345678", &b.addr), 0); /* goes at once: was never full */
    ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
    close_party(&a);
    close_party(&b);
    ck_assert_str_eq(a.log, "mc");
    thi_loop_close(&loop);
}

ENGINE_TEST(closing_sends_what_is_queued_and_aborting_loses_it)
{
    party a, b;
    open_loop(_i);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    for (int aborted = 0; aborted < 2; aborted++) {
        open_party(&a);
        refuse(1, -EAGAIN);
        ck_assert_int_eq(say(&a, "last words", &b.addr), 0);
        a.inside = true;
        if (aborted)
            thi_dgram_abort(&a.d, -ECONNRESET);
        else
            thi_dgram_close(&a.d);
        a.inside = false;
        ck_assert_int_eq(say(&a, "too late", &b.addr), -EBADF);
        until(&a, 1);
        ck_assert_str_eq(a.log, "c");
        ck_assert_int_eq(a.why, aborted ? -ECONNRESET : 0);
        ck_assert_uint_eq(a.d.count, 0);
    }
    until(&b, 1);
    ck_assert_int_ge(thi_loop_turn(&loop, 0), 0);
    ck_assert_str_eq(b.log, "r");
    close_party(&b);
    thi_loop_close(&loop);
}

/* ---- failures -------------------------------------------------------------------------------- */

ENGINE_TEST(a_failure_is_told_from_the_loop_and_the_next_one_is_sent)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    refuse(1, -ENETUNREACH);
    ck_assert_int_eq(say(&a, "bad", &b.addr), 0);
    ck_assert_int_eq(say(&a, "good", &b.addr), 0);
    until(&a, 1);
    until(&b, 1);
    ck_assert_str_eq(b.last, "good");
    ck_assert_int_eq(a.err, -ENETUNREACH);
    ck_assert_int_eq(th_addr_equal(&a.to, &b.addr), 1);
    close_party(&a);
    close_party(&b);
    ck_assert_str_eq(a.log, "fc");
    thi_loop_close(&loop);
}

/* The first attempt finds no room; of those that follow the second one fails. */
static ssize_t fail_in_the_middle(int fd, const struct msghdr *msg, int flags)
{
    attempts++;
    if (attempts == 1)
        return -EAGAIN;
    return attempts == 3 ? -EHOSTUNREACH : thi_sys_real.sendmsg(fd, msg, flags);
}

ENGINE_TEST(a_failure_in_the_middle_of_the_queue_does_not_hold_up_the_rest)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    refuse(0, 0);
    sys.sendmsg = fail_in_the_middle;
    ck_assert_int_eq(say(&a, "one", &b.addr), 0);
    ck_assert_int_eq(say(&a, "two", &b.addr), 0);
    ck_assert_int_eq(say(&a, "three", &b.addr), 0);
    until(&b, 2);
    until(&a, 1);
    ck_assert_str_eq(b.last, "three");
    ck_assert_int_eq(a.err, -EHOSTUNREACH);
    close_party(&a);
    close_party(&b);
    ck_assert_str_eq(a.log, "fc");
    ck_assert_str_eq(b.log, "rrc");
    thi_loop_close(&loop);
}

ENGINE_TEST(nobody_there_is_told_and_receiving_goes_on)
{
    thi_sockaddr sa;
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    close_party(&b);
    ck_assert_int_eq(thi_sys_connect(a.d.watch.fd, &sa.sa, thi_addr_to_sockaddr(&b.addr, &sa)), 0);
    thi_dgram_set_connected(&a.d, true);
    thi_dgram_receive(&a.d, true);
    ck_assert_int_eq(say(&a, "hello?", &b.addr), -EISCONN);
    ck_assert_int_eq(say(&a, "hello?", NULL), 0);
    until(&a, 1);
    ck_assert_int_eq(a.err, -ECONNREFUSED);
    ck_assert_int_eq(thi_sys_connect(a.d.watch.fd, &sa.sa, thi_addr_to_sockaddr(&a.addr, &sa)), 0);
    ck_assert_int_eq(say(&a, "me", NULL), 0);
    until(&a, 2);
    close_party(&a);
    ck_assert_str_eq(a.log, "frc");
    thi_loop_close(&loop);
}

/* An error that nobody wants to hear of must not keep the loop busy, nor outlive the end. */
ENGINE_TEST(an_error_without_a_receiver_makes_nobody_busy)
{
    thi_sockaddr sa;
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    close_party(&b);
    ck_assert_int_eq(thi_sys_connect(a.d.watch.fd, &sa.sa, thi_addr_to_sockaddr(&b.addr, &sa)), 0);
    thi_dgram_set_connected(&a.d, true);
    ck_assert_int_eq(say(&a, "hello?", NULL), 0);
    int64_t over = th_after(20 * TH_MILLISECOND);
    uint64_t before = loop.turns;
    while (th_now() < over)
        ck_assert_int_ge(thi_loop_turn(&loop, over), 0);
    ck_assert_uint_lt(loop.turns - before, 10);
    ck_assert_str_eq(a.log, "");
    thi_dgram_receive(&a.d, true);
    thi_dgram_abort(&a.d, 0);
    until(&a, 1);
    ck_assert_str_eq(a.log, "c");
    thi_loop_close(&loop);
}

ENGINE_TEST(without_memory_a_datagram_is_refused_and_nothing_else)
{
    party a, b;
    open_loop(_i);
    open_party(&a);
    open_party(&b);
    thi_dgram_receive(&b.d, true);
    refuse(2, -EAGAIN);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(say(&a, "lost", &b.addr), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_int_eq(say(&a, "kept", &b.addr), 0);
    until(&b, 1);
    ck_assert_str_eq(b.last, "kept");
    close_party(&a);
    close_party(&b);
    thi_loop_close(&loop);
}

START_TEST(opening_without_memory_leaves_the_descriptor_to_its_owner)
{
    party p = { .inside = false };
    open_loop(0);
    int fd = open_fd(&p.addr);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_dgram_open(&p.d, &loop, fd, AF_INET, &ops), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_int_eq(thi_sys_close(fd), 0);
    thi_loop_close(&loop);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "both ways");
    add_for_engines(tcase, what_is_sent_is_received_from_the_loop);
    add_for_engines(tcase, what_arrives_during_a_pause_comes_after_it);
    add_for_engines(tcase, receiving_may_be_paused_and_ended_from_inside);
    tcase = thi_check_case(suite, "the queue");
    add_for_engines(tcase, what_has_no_room_is_queued_and_keeps_its_order_and_targets);
    add_for_engines(tcase, room_is_told_once_when_the_queue_has_been_full);
    add_for_engines(tcase, closing_sends_what_is_queued_and_aborting_loses_it);
    tcase = thi_check_case(suite, "failures");
    add_for_engines(tcase, a_failure_is_told_from_the_loop_and_the_next_one_is_sent);
    add_for_engines(tcase, a_failure_in_the_middle_of_the_queue_does_not_hold_up_the_rest);
    add_for_engines(tcase, nobody_there_is_told_and_receiving_goes_on);
    add_for_engines(tcase, an_error_without_a_receiver_makes_nobody_busy);
    add_for_engines(tcase, without_memory_a_datagram_is_refused_and_nothing_else);
    tcase_add_test(tcase, opening_without_memory_leaves_the_descriptor_to_its_owner);
}

int main(void)
{
    return thi_check_run("net/dgram", fill_suite);
}
