/* SPDX-License-Identifier: MIT */

/*
 * What the end of a scope does to calls on the network: who begins too late is turned away, who
 * waits gets what there is.
 */
#include "net/pair.h"

#include "sys/fault.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/serve.h>

#include <stdio.h>

/* The ways in which a scope ends. */
enum { CANCELLED, EXPIRED, WAYS };
static const int words[WAYS] = { -ECANCELED, -ETIMEDOUT };

/* Time passes when a test says so, and never by itself on a slow machine. */
static int64_t clock_ahead;

static int64_t read_clock(void)
{
    return thi_sys_real.clock() + clock_ahead;
}

/* Opens a scope that ends when end_scope() is called, in the way that is asked for. */
static void open_ending(th_scope *scope, int way)
{
    static thi_sys sys;
    sys = thi_sys_real;
    sys.clock = read_clock;
    thi_sys_table = &sys;
    if (way == EXPIRED)
        open_scope_for(scope, TH_HOUR);
    else
        open_scope(scope);
}

/* Ends it without a turn of the loop, as if the fiber had computed for long. */
static void end_scope(th_scope *scope, int way)
{
    if (way == CANCELLED) {
        ck_assert_int_eq(th_scope_cancel(scope, 0), 0);
        return;
    }
    clock_ahead += TH_HOUR;
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
}

/* ---- at the beginning ------------------------------------------------------------------------ */

/* Makes the stream know that there is, or that there is not, something to read. */
static void let_know(pair *p, bool ready)
{
    char byte[2];
    peer_sends(p, "x");
    ck_assert_int_eq(th_stream_read(p->stream, byte, ready ? 1 : 2), 1);
    ck_assert_int_eq(thi_socket_has_arrival(p->socket), ready);
}

static void every_step_says(pair *p, int file, int word)
{
    char buf[8];
    struct iovec iov[2] = { { buf, 1 }, { buf, 1 } };
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(th_stream_read(p->stream, buf, sizeof buf), word);
        ck_assert_int_eq(th_stream_read_all(p->stream, buf, 1), word);
        ck_assert_int_eq(th_stream_write(p->stream, "no", 2), word);
        ck_assert_int_eq(th_stream_writev(p->stream, iov, 2), word);
        ck_assert_int_eq(th_stream_sendfile(p->stream, file, 0, 1), word);
    }
}

static void steps_begin_too_late(pair p, int way, bool ready)
{
    char buf[8] = "";
    th_scope scope;
    int file = open("/proc/self/exe", O_RDONLY);
    ck_assert_int_ge(file, 0);
    let_know(&p, ready);
    peer_sends(&p, "there");
    open_ending(&scope, way);
    end_scope(&scope, way);
    every_step_says(&p, file, words[way]);
    th_scope_close(&scope);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 5); /* nothing was lost */
    ck_assert_str_eq(buf, "there");
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, MSG_DONTWAIT), -1); /* nor anything sent */
    close(file);
    close_pair(&p);
}

FIBER_TEST(a_step_that_begins_after_the_end_does_nothing_whatever_is_ready)
{
    for (int way = 0; way < WAYS; way++) {
        for (int ready = 0; ready < 2; ready++) {
            steps_begin_too_late(open_pair(), way, ready);
            steps_begin_too_late(open_tcp_pair(), way, ready);
        }
    }
}

/* The timer of a deadline is coarser than the clock. */
FIBER_TEST(a_deadline_counts_even_before_its_timer_has_fired)
{
    char buf[8];
    pair p = open_pair();
    th_scope scope;
    peer_sends(&p, "there");
    open_scope_for(&scope, TH_HOUR);
    thi_worker_self->loop.now = th_scope_deadline(&scope);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), -ETIMEDOUT);
    ck_assert_int_eq(th_stream_write(p.stream, buf, 1), -ETIMEDOUT);
    th_scope_close(&scope);
    close_pair(&p);
}

FIBER_TEST(misuse_and_nothing_to_do_come_before_the_scope)
{
    char byte = 'x';
    struct iovec none = { NULL, 0 };
    pair p = open_pair();
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read(p.stream, &byte, 0), 0);
    ck_assert_int_eq(th_stream_write(p.stream, &byte, 0), 0);
    ck_assert_int_eq(th_stream_writev(p.stream, &none, 1), 0);
    ck_assert_int_eq(th_stream_sendfile(p.stream, 0, 0, 0), 0);
    ck_assert_int_eq(th_stream_sendfile(p.stream, -1, 0, 1), -EINVAL);
    ck_assert_int_eq(th_stream_close(p.stream), 0); /* the end is no wait */
    ck_assert_int_eq(th_stream_read(p.stream, &byte, 1), -EBADF);
    th_scope_close(&scope);
    close_pair(&p);
}

/* ---- in the middle --------------------------------------------------------------------------- */

/* A call in a fiber of its own, and one more right after it. */
typedef struct call {
    pair *pair;
    size_t size; /* to write */
    ssize_t result;
    ssize_t next;
    char buf[16];
    char detail[128];
} call;

static int read_twice(void *arg)
{
    call *c = arg;
    c->result = th_stream_read(c->pair->stream, c->buf, 4);
    c->next = th_stream_read(c->pair->stream, c->buf + 4, 4);
    return 0;
}

/* Bytes arrive and then the scope ends, before the loop has had a chance to tell of either. */
static void read_meets_end(pair p, int way)
{
    th_scope scope;
    call c = { .pair = &p };
    open_ending(&scope, way);
    spawn(&scope, read_twice, &c);
    let_others_run();
    ck_assert_ptr_nonnull(p.socket->reader);
    peer_sends(&p, "datamore");
    end_scope(&scope, way);
    th_scope_close(&scope);
    ck_assert_int_eq(c.result, 4);
    ck_assert_str_eq(c.buf, "data");
    ck_assert_int_eq(c.next, words[way]);
    ck_assert_int_eq(th_stream_read(p.stream, c.buf, sizeof c.buf), 4);
    close_pair(&p);
}

FIBER_TEST(bytes_beat_the_end_of_the_scope)
{
    for (int way = 0; way < WAYS; way++) {
        read_meets_end(open_pair(), way);
        read_meets_end(open_tcp_pair(), way);
    }
}

FIBER_TEST(the_end_of_the_stream_beats_the_end_of_the_scope)
{
    th_scope scope;
    pair p = open_pair();
    call c = { .pair = &p };
    open_scope(&scope);
    spawn(&scope, read_twice, &c);
    let_others_run();
    close_peer(&p);
    end_scope(&scope, CANCELLED);
    th_scope_close(&scope);
    ck_assert_int_eq(c.result, TH_EOF);
    ck_assert_int_eq(c.next, -ECANCELED);
    close_pair(&p);
}

static char much[1 << 20];

static int write_twice(void *arg)
{
    call *c = arg;
    c->result = th_stream_write(c->pair->stream, much, c->size);
    (void)snprintf(c->detail, sizeof c->detail, "%s", th_err_detail());
    c->next = th_stream_write(c->pair->stream, much, 1);
    return 0;
}

/* How much the kernel takes for a peer that does not read. */
static size_t capacity(void)
{
    int fds[2];
    size_t taken = 0;
    ssize_t n;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    while ((n = send(fds[0], much, sizeof much, MSG_DONTWAIT)) > 0)
        taken += (size_t)n;
    close(fds[0]);
    close(fds[1]);
    return taken;
}

static size_t drain(const pair *p)
{
    size_t taken = 0;
    ssize_t n;
    while ((n = recv(p->peer, much, sizeof much, MSG_DONTWAIT)) > 0)
        taken += (size_t)n;
    return taken;
}

/* The peer makes room and then the scope ends: how much of `size` bytes has come, `*c` as well. */
static size_t write_meets_end(size_t size, int way, call *c)
{
    th_scope scope;
    pair p = open_pair();
    *c = (call){ .pair = &p, .size = size };
    open_ending(&scope, way);
    spawn(&scope, write_twice, c);
    let_others_run();
    ck_assert_ptr_nonnull(p.socket->writer);
    size_t came = drain(&p);
    end_scope(&scope, way);
    th_scope_close(&scope);
    ck_assert_int_eq(c->next, words[way]);
    came += drain(&p);
    close_pair(&p);
    return came;
}

FIBER_TEST(a_write_that_can_be_completed_beats_the_end_of_the_scope)
{
    for (int way = 0; way < WAYS; way++) {
        call c;
        size_t size = capacity() + 1000;
        ck_assert_uint_eq(write_meets_end(size, way, &c), size);
        ck_assert_int_eq(c.result, (ssize_t)size);
    }
}

FIBER_TEST(a_write_that_cannot_be_completed_tells_how_far_it_came)
{
    for (int way = 0; way < WAYS; way++) {
        call c;
        size_t told = 0;
        ck_assert_uint_lt(3 * capacity(), sizeof much);
        size_t came = write_meets_end(sizeof much, way, &c);
        ck_assert_int_eq(c.result, words[way]);
        ck_assert_int_eq(sscanf(c.detail, "%zu bytes were written", &told), 1);
        ck_assert_uint_eq(told, came);
    }
}

/* Whoever breaks a wait off for a reason of his own means it. */
FIBER_TEST(a_verdict_on_the_peer_is_not_tried_again)
{
    th_scope scope;
    pair p = open_pair();
    call c = { .pair = &p };
    open_scope(&scope);
    spawn(&scope, read_twice, &c);
    let_others_run();
    peer_sends(&p, "datamore");
    p.socket->reader->abort(p.socket->reader, TH_ESLOW);
    close_scope(&scope);
    ck_assert_int_eq(c.result, TH_ESLOW);
    ck_assert_int_eq(c.next, 4);
    close_pair(&p);
}

/* ---- connecting ------------------------------------------------------------------------------ */

typedef struct target {
    th_listener *listener;
    char text[TH_ADDR_TEXT];
    th_stream *stream; /* of who dialled */
    int result;
} target;

static target listen_at(const char *address)
{
    target t = { .result = 77 };
    th_addr addr;
    ck_assert_int_eq(th_listen(address, NULL, &t.listener), 0);
    th_listener_addr(t.listener, &addr);
    th_addr_format(&addr, t.text, sizeof t.text);
    return t;
}

static void close_target(target *t)
{
    th_stream_free(t->stream);
    th_listener_close(t->listener);
}

static void nobody_is_dialled(const char *address, int way)
{
    th_scope scope;
    target t = listen_at(address);
    open_ending(&scope, way);
    end_scope(&scope, way);
    thi_fault_begin(0, 0);
    ck_assert_int_eq(th_dial(t.text, NULL, &t.stream), words[way]);
    ck_assert_uint_eq(thi_fault_end(), 0); /* not a single system call */
    ck_assert_ptr_nonnull(strstr(th_err_detail(), t.text));
    ck_assert_int_eq(th_dial(NULL, NULL, &t.stream), -EINVAL);
    th_scope_close(&scope);
    close_target(&t);
}

FIBER_TEST(who_dials_after_the_end_dials_nobody)
{
    char name[80];
    (void)snprintf(name, sizeof name, "unix:@thrum-cancel-%ld", (long)getpid());
    for (int way = 0; way < WAYS; way++) {
        nobody_is_dialled("127.0.0.1:0", way);
        nobody_is_dialled(name, way);
    }
}

static int dial_target(void *arg)
{
    target *t = arg;
    t->result = th_dial(t->text, NULL, &t->stream);
    return 0;
}

FIBER_TEST(a_connection_that_is_made_beats_the_end_of_the_scope)
{
    for (int way = 0; way < WAYS; way++) {
        th_scope scope;
        target t = listen_at("127.0.0.1:0");
        open_ending(&scope, way);
        spawn(&scope, dial_target, &t);
        while (atomic_load(&thi_worker_self->load) < 2)
            th_yield();
        th_yield(); /* the fiber has called connect(2), and loopback has answered */
        end_scope(&scope, way);
        th_scope_close(&scope);
        ck_assert_msg(t.result == 0, "%s", th_errname(t.result));
        ck_assert_int_eq(th_stream_write(t.stream, "x", 1), 1);
        close_target(&t);
    }
}

/* A connect(2) to an address where nobody is; the kernel refuses it at once. */
FIBER_TEST(a_refusal_beats_the_end_of_the_scope)
{
    th_scope scope;
    target t = listen_at("127.0.0.1:0");
    th_listener_close(t.listener);
    t.listener = NULL;
    open_scope(&scope);
    spawn(&scope, dial_target, &t);
    th_yield();
    end_scope(&scope, CANCELLED);
    th_scope_close(&scope);
    ck_assert_msg(t.result == -ECONNREFUSED, "%s", th_errname(t.result));
}

/* ---- serving --------------------------------------------------------------------------------- */

static int heard;

static void hear(const th_addr *addr, void *arg)
{
    (void)addr;
    (void)arg;
    heard++;
}

static int serve_nobody(th_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return 0;
}

static int answer_nobody(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)reply;
    (void)arg;
    return 0;
}

FIBER_TEST_ON(2, who_serves_after_the_end_does_not_even_listen)
{
    th_serve_opts opts = { .listening = hear };
    th_http_opts http_opts = { .listening = hear };
    for (int way = 0; way < WAYS; way++) {
        th_scope scope;
        target t = listen_at("127.0.0.1:0");
        open_ending(&scope, way);
        end_scope(&scope, way);
        thi_fault_begin(0, 0);
        ck_assert_int_eq(th_serve("127.0.0.1:0", serve_nobody, NULL, &opts), words[way]);
        ck_assert_int_eq(th_serve_on(&t.listener, 1, serve_nobody, NULL, &opts), words[way]);
        ck_assert_int_eq(th_http_serve("127.0.0.1:0", answer_nobody, NULL, &http_opts), words[way]);
        ck_assert_int_eq(th_http_serve_on(&t.listener, 1, answer_nobody, NULL, &http_opts),
                         words[way]);
        ck_assert_uint_eq(thi_fault_end(), 0);
        ck_assert_int_eq(heard, 0);
        th_scope_close(&scope);
        close_target(&t);
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "beginning");
    add_on_engines(tcase, a_step_that_begins_after_the_end_does_nothing_whatever_is_ready);
    tcase_add_test(tcase, a_deadline_counts_even_before_its_timer_has_fired);
    tcase_add_test(tcase, misuse_and_nothing_to_do_come_before_the_scope);
    tcase = thi_check_case(suite, "middle");
    add_on_engines(tcase, bytes_beat_the_end_of_the_scope);
    add_on_engines(tcase, the_end_of_the_stream_beats_the_end_of_the_scope);
    add_on_engines(tcase, a_write_that_can_be_completed_beats_the_end_of_the_scope);
    add_on_engines(tcase, a_write_that_cannot_be_completed_tells_how_far_it_came);
    tcase_add_test(tcase, a_verdict_on_the_peer_is_not_tried_again);
    tcase = thi_check_case(suite, "connecting");
    add_on_engines(tcase, who_dials_after_the_end_dials_nobody);
    add_on_engines(tcase, a_connection_that_is_made_beats_the_end_of_the_scope);
    add_on_engines(tcase, a_refusal_beats_the_end_of_the_scope);
    tcase = thi_check_case(suite, "serving");
    add_on_engines(tcase, who_serves_after_the_end_does_not_even_listen);
}

int main(void)
{
    return thi_check_run("net/cancel", fill_suite);
}
