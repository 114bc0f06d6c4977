/* SPDX-License-Identifier: MIT */

/* Files that go out: stretches, what is no regular file, order, deadlines, peers that go; and long
 * writes under a rain of signals. */
#include "net/pair.h"

#include <thrum/fd_stream.h>
#include <thrum/socket.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define FILE_SIZE ((size_t)6 << 20)

static char bytes[FILE_SIZE];
static char got[2 * FILE_SIZE];

static int make_file(void)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 11 + (i >> 10));
    ck_assert_uint_eq(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    ck_assert_int_eq(fflush(file), 0);
    return fileno(file);
}

typedef struct taking {
    th_stream *stream;
    size_t size;
} taking;

static int take_all(void *arg)
{
    taking *t = arg;
    ssize_t n;
    while ((n = th_stream_read(t->stream, got + t->size, sizeof got - t->size)) > 0)
        t->size += (size_t)n;
    return n == TH_EOF ? 0 : (int)n;
}

static void open_ends(th_stream *ends[2])
{
    pair p = open_tcp_pair();
    ends[0] = p.stream;
    ck_assert_int_eq(th_stream_from_socket(p.peer, &ends[1]), 0);
}

static void free_ends(th_stream *ends[2])
{
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

FIBER_TEST(a_stretch_is_sent_and_counted_and_the_offset_of_the_file_stays)
{
    th_stream *ends[2];
    taking t = { 0 };
    th_scope scope;
    int file = make_file();
    ck_assert_int_eq(lseek(file, 77, SEEK_SET), 77);
    open_ends(ends);
    t.stream = ends[1];
    open_scope(&scope);
    spawn(&scope, take_all, &t);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, FILE_SIZE), FILE_SIZE);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 100, 50), 50);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, FILE_SIZE - 10, 1000), 10);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, FILE_SIZE, 1), 0);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, 0), 0);
    ck_assert_int_eq(th_stream_shutdown(ends[0]), 0);
    close_scope(&scope);
    ck_assert_uint_eq(t.size, FILE_SIZE + 60);
    ck_assert(memcmp(got, bytes, FILE_SIZE) == 0);
    ck_assert(memcmp(got + FILE_SIZE, bytes + 100, 50) == 0);
    ck_assert(memcmp(got + FILE_SIZE + 50, bytes + FILE_SIZE - 10, 10) == 0);
    ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 77);
    free_ends(ends);
}

FIBER_TEST(what_is_written_before_and_after_comes_in_order)
{
    th_stream *ends[2];
    char buf[16] = "";
    int file = make_file();
    memcpy(bytes, "file", 4);
    ck_assert_int_eq(pwrite(file, "file", 4, 0), 4);
    open_ends(ends);
    ck_assert_int_eq(th_stream_write(ends[0], "<", 1), 1);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, 4), 4);
    ck_assert_int_eq(th_stream_write(ends[0], ">", 1), 1);
    ck_assert_int_eq(th_stream_read_all(ends[1], buf, 6), 6);
    ck_assert_str_eq(buf, "<file>");
    free_ends(ends);
}

static ssize_t no_sendfile(int out, int in, off_t *at, size_t n)
{
    (void)out;
    (void)in;
    (void)at;
    (void)n;
    return -EINVAL;
}

FIBER_TEST(what_the_kernel_cannot_send_is_copied)
{
    static thi_sys table;
    const thi_sys *before = thi_sys_table;
    char buf[64];
    th_stream *ends[2];
    int zero = open("/dev/zero", O_RDONLY);
    int file = make_file();
    open_ends(ends);
    table = *before;
    table.sendfile = no_sendfile;
    thi_sys_table = &table;
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 10, 20), 20);
    thi_sys_table = before;
    ck_assert_int_eq(th_stream_read_all(ends[1], buf, 20), 20);
    ck_assert_mem_eq(buf, bytes + 10, 20);
    ck_assert_int_eq(th_stream_sendfile(ends[0], zero, 0, 64), 64);
    ck_assert_int_eq(th_stream_read_all(ends[1], buf, 64), 64);
    for (size_t i = 0; i < sizeof buf; i++)
        ck_assert_int_eq(buf[i], 0);
    close(zero);
    free_ends(ends);
}

static int fail_later;

static ssize_t sendfile_once(int out, int in, off_t *at, size_t n)
{
    return fail_later++ == 0 ? thi_sys_real.sendfile(out, in, at, thi_min(n, (size_t)10)) : -EINVAL;
}

FIBER_TEST(it_is_not_copied_when_something_has_been_sent)
{
    static thi_sys table;
    const thi_sys *before = thi_sys_table;
    th_stream *ends[2];
    int file = make_file();
    open_ends(ends);
    table = *before;
    table.sendfile = sendfile_once;
    thi_sys_table = &table;
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, 100), -EINVAL);
    thi_sys_table = before;
    ck_assert_str_eq(th_err_detail(), "10 bytes were written before");
    free_ends(ends);
}

FIBER_TEST(what_has_no_offsets_is_refused)
{
    th_stream *ends[2];
    int pipes[2];
    int file = make_file();
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(write(pipes[1], "abc", 3), 3);
    open_ends(ends);
    ck_assert_int_eq(th_stream_sendfile(ends[0], pipes[0], 0, 3), -ESPIPE);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, -1, 3), -EINVAL);
    ck_assert_int_eq(th_stream_sendfile(ends[0], -1, 0, 3), -EINVAL);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, SIZE_MAX), -EINVAL);
    free_ends(ends);
}

static int send_it(void *arg)
{
    taking *t = arg;
    return (int)th_stream_sendfile(t->stream, (int)t->size, 0, FILE_SIZE);
}

FIBER_TEST(a_deadline_ends_it_and_tells_how_far_it_came)
{
    th_stream *ends[2];
    taking t = { 0 };
    size_t told = 0;
    th_scope scope;
    int file = make_file();
    int small = 4096;
    pair p = open_tcp_pair();
    ck_assert_int_eq(setsockopt(p.socket->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small),
                     0);
    ck_assert_int_eq(setsockopt(p.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    ends[0] = p.stream;
    ck_assert_int_eq(th_stream_from_socket(p.peer, &ends[1]), 0);
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    ck_assert_int_eq(th_stream_sendfile(ends[0], file, 0, FILE_SIZE), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(sscanf(th_err_detail(), "%zu bytes were written before", &told), 1);
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    t.stream = ends[1];
    ck_assert_int_eq(take_all(&t), 0);
    ck_assert_uint_eq(t.size, told);
    ck_assert(memcmp(got, bytes, told) == 0);
    free_ends(ends);
}

FIBER_TEST(a_write_meanwhile_is_refused_and_a_peer_that_goes_ends_it)
{
    th_stream *ends[2];
    th_scope scope;
    int small = 4096;
    pair p = open_tcp_pair();
    ck_assert_int_eq(setsockopt(p.socket->watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small),
                     0);
    ck_assert_int_eq(setsockopt(p.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    ends[0] = p.stream;
    ck_assert_int_eq(th_stream_from_socket(p.peer, &ends[1]), 0);
    taking t = { .stream = ends[0], .size = (size_t)make_file() };
    open_scope(&scope);
    spawn(&scope, send_it, &t);
    let_others_run();
    ck_assert_int_eq(th_stream_write(ends[0], "x", 1), -EBUSY);
    ck_assert_int_eq(th_stream_close(ends[1]), 0);
    int err = th_scope_close(&scope);
    ck_assert(err == -EPIPE || err == -ECONNRESET);
    free_ends(ends);
}

/* ---- signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t rang;

static void ring(int signo)
{
    (void)signo;
    rang++;
}

static void ring_every(int microseconds)
{
    struct sigaction act = { .sa_handler = ring }; /* no SA_RESTART */
    struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };
    ck_assert_int_eq(sigaction(SIGALRM, &act, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static int take_slowly(void *arg)
{
    taking *t = arg;
    ssize_t n;
    while ((n = th_stream_read(t->stream, got + t->size, 128 * 1024)) > 0) {
        t->size += (size_t)n;
        if (th_sleep(TH_MILLISECOND) < 0)
            return -EIO;
    }
    return n == TH_EOF ? 0 : (int)n;
}

FIBER_TEST(a_long_write_under_signals_is_whole)
{
    th_stream *ends[2];
    taking t = { 0 };
    th_scope scope;
    sigset_t alarms;
    (void)make_file();
    open_ends(ends);
    t.stream = ends[1];
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
    ring_every(10000);
    open_scope(&scope);
    spawn(&scope, take_slowly, &t);
    ck_assert_int_eq(th_stream_write(ends[0], bytes, FILE_SIZE), FILE_SIZE);
    ck_assert_int_eq(th_stream_shutdown(ends[0]), 0);
    close_scope(&scope);
    ring_every(0);
    ck_assert_int_gt(rang, 0);
    ck_assert_uint_eq(t.size, FILE_SIZE);
    ck_assert(memcmp(got, bytes, FILE_SIZE) == 0);
    free_ends(ends);
}

FIBER_TEST(signals_do_not_stretch_a_deadline)
{
    char byte;
    th_stream *ends[2];
    th_scope scope;
    sigset_t alarms;
    open_ends(ends);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
    ring_every(5000);
    int64_t begin = th_now();
    open_scope_for(&scope, 100 * TH_MILLISECOND);
    int64_t deadline = th_scope_deadline(&scope);
    ck_assert_int_eq(th_stream_read(ends[0], &byte, 1), -ETIMEDOUT);
    close_scope(&scope);
    ring_every(0);
    ck_assert_int_gt(rang, 0);
    ck_assert_int_ge(th_now(), deadline);
    ck_assert_int_lt(th_now() - begin, 30 * TH_SECOND); /* and not for as long as they come */
    free_ends(ends);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "sendfile");
    add_on_engines(tcase, a_stretch_is_sent_and_counted_and_the_offset_of_the_file_stays);
    tcase_add_test(tcase, what_is_written_before_and_after_comes_in_order);
    tcase_add_test(tcase, what_the_kernel_cannot_send_is_copied);
    tcase_add_test(tcase, it_is_not_copied_when_something_has_been_sent);
    tcase_add_test(tcase, what_has_no_offsets_is_refused);
    add_on_engines(tcase, a_deadline_ends_it_and_tells_how_far_it_came);
    tcase_add_test(tcase, a_write_meanwhile_is_refused_and_a_peer_that_goes_ends_it);
    tcase = thi_check_case(suite, "signals");
    add_on_engines(tcase, a_long_write_under_signals_is_whole);
    add_on_engines(tcase, signals_do_not_stretch_a_deadline);
}

int main(void)
{
    return thi_check_run("net/sendfile", fill);
}
