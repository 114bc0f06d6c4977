/* SPDX-License-Identifier: MIT */

/* Pipes, streams of descriptors, and the standard streams, which others have as well. */
#include "sync/parties.h"

#include "base/alloc.h"
#include "io/stream.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <thrum/addr.h>
#include <thrum/fd_stream.h>
#include <thrum/sim.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static th_stream *reader, *writer;

static void make_pipe(void)
{
    ck_assert_int_eq(th_pipe(&reader, &writer), 0);
}

static void free_pipe(void)
{
    th_stream_free(reader);
    th_stream_free(writer);
    ck_assert_uint_eq(thi_worker_self->loop.watches, 1); /* its own */
}

static int flags_of(int fd)
{
    return fcntl(fd, F_GETFL);
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- pipes ---- */

static int write_warp(void *arg)
{
    ck_assert_int_eq(th_stream_write(arg, "warp", 4), 4);
    return 0;
}

FIBER_TEST(what_is_written_to_a_pipe_can_be_read_and_then_the_end)
{
    char buf[8];
    th_scope scope;
    make_pipe();
    open_scope(&scope);
    spawn(&scope, write_warp, writer);
    ck_assert_int_eq(th_stream_read(reader, buf, sizeof buf), 4);
    ck_assert_mem_eq(buf, "warp", 4);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_close(writer), 0);
    ck_assert_int_eq(th_stream_read(reader, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_stream_read(reader, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_stream_close(writer), -EBADF);
    ck_assert_int_eq(th_stream_write(writer, "x", 1), -EBADF);
    free_pipe();
}

FIBER_TEST(to_shut_down_the_writer_is_to_end_the_pipe)
{
    char buf[8];
    make_pipe();
    ck_assert_int_eq(th_stream_shutdown(writer), 0);
    ck_assert_int_eq(th_stream_read(reader, buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_stream_write(writer, "x", 1), -EPIPE);
    ck_assert_int_eq(th_stream_shutdown(reader), -EOPNOTSUPP);
    free_pipe();
}

FIBER_TEST(a_pipe_that_nobody_reads_is_told_and_no_signal_comes)
{
    make_pipe();
    ck_assert_int_eq(th_stream_close(reader), 0);
    ck_assert_int_eq(th_stream_write(writer, "x", 1), -EPIPE);
    free_pipe();
}

enum { BIG = 1024 * 1024 };

static int write_big(void *arg)
{
    char *bytes = malloc(BIG);
    for (int i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 7 >> 3);
    ck_assert_int_eq(th_stream_write(arg, bytes, BIG), BIG);
    free(bytes);
    return th_stream_close(arg);
}

FIBER_TEST(more_than_a_pipe_holds_goes_through_in_order)
{
    static char buf[BIG + 1];
    th_scope scope;
    make_pipe();
    open_scope(&scope);
    spawn(&scope, write_big, writer);
    ck_assert_int_eq(th_stream_read_all(reader, buf, BIG), BIG);
    for (int i = 0; i < BIG; i++)
        ck_assert_int_eq(buf[i], (char)(i * 7 >> 3));
    ck_assert_int_eq(th_stream_read(reader, buf, 1), TH_EOF);
    close_scope(&scope);
    free_pipe();
}

FIBER_TEST(a_transfer_obeys_its_scope)
{
    static char buf[BIG];
    th_scope scope;
    make_pipe();
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_read(reader, buf, 1), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_write(writer, buf, BIG), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read(reader, buf, 1), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_read(reader, buf, 1), 1);
    free_pipe();
}

static int close_stream(void *arg)
{
    return th_stream_close(arg);
}

FIBER_TEST(closing_wakes_who_waits)
{
    static char buf[BIG];
    th_scope scope;
    make_pipe();
    open_scope(&scope);
    spawn(&scope, close_stream, reader);
    ck_assert_int_eq(th_stream_read(reader, buf, 1), -ECANCELED);
    close_scope(&scope);
    free_pipe();
    make_pipe();
    open_scope(&scope);
    spawn(&scope, close_stream, writer);
    ck_assert_int_eq(th_stream_write(writer, buf, BIG), -ECANCELED);
    close_scope(&scope);
    free_pipe();
}

static int read_one(void *arg)
{
    char byte;
    return (int)th_stream_read(arg, &byte, 1);
}

FIBER_TEST(a_second_reader_is_refused)
{
    th_scope scope;
    char byte;
    make_pipe();
    open_scope(&scope);
    spawn(&scope, read_one, reader);
    (void)th_yield();
    ck_assert_int_eq(th_stream_read(reader, &byte, 1), -EBUSY);
    (void)write_warp(writer);
    close_scope(&scope);
    free_pipe();
}

FIBER_TEST(a_pipe_has_no_addresses_and_refuses_misuse)
{
    th_addr addr = { .kind = TH_ADDR_UNIX };
    make_pipe();
    ck_assert_int_eq(th_stream_peer(reader, &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_NONE);
    ck_assert_int_eq(th_stream_local(reader, &addr), 0);
    ck_assert_int_eq(th_pipe(NULL, &writer), -EINVAL);
    ck_assert_int_eq(th_stream_from_fd(-1, 0, &writer), -EBADF);
    ck_assert_int_eq(th_stream_from_fd(60, 0, &writer), -EBADF);
    ck_assert_int_eq(th_stream_from_fd(0, 2, &writer), -EINVAL);
    free_pipe();
}

/* ---- descriptors that are given away ---- */

FIBER_TEST(a_descriptor_that_is_given_away_is_closed_with_the_stream)
{
    int fds[2];
    char buf[8];
    th_stream *s;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(th_stream_from_fd(fds[0], 0, &s), 0);
    ck_assert(flags_of(fds[0]) & O_NONBLOCK);
    ck_assert_int_eq(write(fds[1], "weft", 4), 4);
    ck_assert_int_eq(th_stream_read(s, buf, sizeof buf), 4);
    th_stream_free(s);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
    (void)close(fds[1]);
}

FIBER_TEST(a_descriptor_that_cannot_be_given_away_is_as_it_was)
{
    int fds[2];
    th_stream *s;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_from_fd(fds[0], 0, &s), -ENOMEM);
    (void)thi_alloc_fail_at(0);
    ck_assert(!(flags_of(fds[0]) & O_NONBLOCK));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* ---- descriptors that others have, too ---- */

static void expect_echo(int fd, int other)
{
    char buf[8];
    th_stream *s;
    th_scope scope;
    int before = flags_of(fd);
    int fds = count_fds();
    ck_assert_int_eq(th_stream_from_fd(fd, TH_STREAM_SHARED, &s), 0);
    ck_assert_int_eq(flags_of(fd), before);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_read(s, buf, sizeof buf), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(write(other, "weft\n", 5), 5);
    ck_assert_int_eq(th_stream_read(s, buf, sizeof buf), 5);
    ck_assert_mem_eq(buf, "weft\n", 5);
    ck_assert_int_eq(flags_of(fd), before);
    th_stream_free(s);
    ck_assert_int_eq(flags_of(fd), before);
    ck_assert_int_eq(count_fds(), fds);
}

FIBER_TEST(a_shared_pipe_socket_and_terminal_keep_their_flags)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_echo(fds[0], fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_echo(fds[0], fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_eq(unlockpt(master), 0);
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
    expect_echo(slave, master);
    (void)close(slave);
    (void)close(master);
}

/* Where nothing can be opened anew. */
static int no_openat(int dir, const char *path, int flags, mode_t mode)
{
    (void)dir;
    (void)path;
    (void)flags;
    (void)mode;
    return -EACCES;
}

static ssize_t no_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    (void)fd;
    (void)iov;
    (void)count;
    (void)at;
    (void)flags;
    return -EOPNOTSUPP;
}

static int read_all_of(void *arg)
{
    static char buf[BIG];
    ck_assert_int_eq(th_stream_read_all(arg, buf, BIG), BIG);
    for (int i = 0; i < BIG; i++)
        ck_assert_int_eq(buf[i], (char)(i * 7 >> 3));
    return 0;
}

static void expect_careful(bool nowait)
{
    int fds[2];
    th_stream *from;
    th_stream *to;
    th_scope scope;
    thi_sys table = *thi_sys_table;
    const thi_sys *former = thi_sys_table;
    table.openat = no_openat;
    if (!nowait)
        table.preadv2 = table.pwritev2 = no_preadv2;
    thi_sys_table = &table;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    expect_echo(fds[0], fds[1]);
    ck_assert_int_eq(th_stream_from_fd(fds[0], TH_STREAM_SHARED, &from), 0);
    ck_assert_int_eq(th_stream_from_fd(fds[1], TH_STREAM_SHARED, &to), 0);
    open_scope(&scope);
    spawn(&scope, write_big, to);
    spawn(&scope, read_all_of, from);
    close_scope(&scope);
    th_stream_free(from);
    th_stream_free(to);
    (void)close(fds[0]);
    (void)close(fds[1]);
    thi_sys_table = former;
}

FIBER_TEST(a_pipe_that_cannot_be_opened_anew_works_as_well)
{
    expect_careful(true);
    expect_careful(false);
}

FIBER_TEST(a_shared_file_is_used_at_its_common_offset)
{
    char path[] = "/tmp/thrum-test-XXXXXX";
    char buf[16];
    th_stream *s;
    int fd = mkstemp(path);
    (void)unlink(path);
    ck_assert_int_eq(write(fd, "before ", 7), 7);
    ck_assert_int_eq(th_stream_from_fd(fd, TH_STREAM_SHARED, &s), 0);
    ck_assert_int_eq(th_stream_write(s, "between ", 8), 8);
    ck_assert_int_eq(write(fd, "after", 5), 5);
    ck_assert_int_eq(lseek(fd, 7, SEEK_SET), 7);
    ck_assert_int_eq(th_stream_read_all(s, buf, 13), 13);
    ck_assert_mem_eq(buf, "between after", 13);
    ck_assert_int_eq(th_stream_read(s, buf, 1), TH_EOF);
    th_stream_free(s);
    (void)close(fd);
}

FIBER_TEST(what_never_blocks_needs_no_loop)
{
    char buf[8];
    th_stream *s;
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(th_stream_from_fd(fd, TH_STREAM_SHARED, &s), 0);
    ck_assert_int_eq(th_stream_read(s, buf, sizeof buf), 8);
    th_stream_free(s);
    (void)close(fd);
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(th_stream_from_fd(fd, 0, &s), 0);
    ck_assert_int_eq(th_stream_write(s, "x", 1), -ENOSPC);
    th_stream_free(s);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(th_stream_from_fd(fd, TH_STREAM_SHARED, &s), 0);
    ck_assert_int_eq(th_stream_read(s, buf, 1), TH_EOF);
    th_stream_free(s);
    (void)close(fd);
}

/* ---- the standard ones ---- */

FIBER_TEST(the_standard_streams_are_the_descriptors_0_1_and_2)
{
    int in[2], out[2], err[2];
    char buf[8];
    th_stream *s;
    int saved[3];
    for (int fd = 0; fd < 3; fd++)
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    (void)dup2(in[0], 0);
    (void)dup2(out[1], 1);
    (void)dup2(err[1], 2);
    ck_assert_int_eq(write(in[1], "warp", 4), 4);
    int got_in = th_stdin(&s);
    ssize_t n = th_stream_read(s, buf, sizeof buf);
    th_stream_free(s);
    int got_out = th_stdout(&s);
    ssize_t out_n = th_stream_write(s, "weft", 4);
    th_stream_free(s);
    int got_err = th_stderr(&s);
    ssize_t err_n = th_stream_write(s, "oops", 4);
    th_stream_free(s);
    int flags = flags_of(0) | flags_of(1) | flags_of(2);
    (void)close(0);
    int closed = th_stdin(&s);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(saved[fd], fd);
    ck_assert_int_eq(got_in | got_out | got_err, 0);
    ck_assert_int_eq(n, 4);
    ck_assert_int_eq(out_n, 4);
    ck_assert_int_eq(err_n, 4);
    ck_assert(!(flags & O_NONBLOCK));
    ck_assert_int_eq(closed, -EBADF);
    ck_assert_int_eq(read(out[0], buf, sizeof buf), 4);
    ck_assert_mem_eq(buf, "weft", 4);
    ck_assert_int_eq(read(err[0], buf, sizeof buf), 4);
    ck_assert_mem_eq(buf, "oops", 4);
}

/* ---- lack of things ---- */

static void expect_all_or_nothing(int (*make)(void))
{
    for (int64_t n = 1;; n++) {
        int fds = count_fds();
        int64_t live = thi_alloc_live();
        (void)thi_alloc_fail_at(n);
        int err = make();
        bool hit = thi_alloc_fail_at(0) >= n;
        if (err == 0)
            free_pipe();
        ck_assert(err == 0 || err == -ENOMEM);
        ck_assert_int_eq(count_fds(), fds);
        if (!hit)
            break;
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_lt(n, 20);
    }
    for (unsigned long n = 1;; n++) {
        int fds = count_fds();
        thi_fault_begin(0, 0);
        thi_fault_order("pipe openat fcntl fstat", n, EMFILE);
        int err = make();
        bool hit = thi_fault_hit();
        (void)thi_fault_end();
        if (err == 0)
            free_pipe();
        ck_assert(err == 0 || err == -EMFILE);
        ck_assert_int_eq(count_fds(), fds);
        if (!hit)
            break;
        ck_assert_uint_lt(n, 30);
    }
}

static int try_pipe(void)
{
    return th_pipe(&reader, &writer);
}

static int in_and_out[2];

static int try_shared(void)
{
    int err = th_stream_from_fd(in_and_out[0], TH_STREAM_SHARED, &reader);
    if (err < 0)
        return err;
    err = th_stream_from_fd(in_and_out[1], TH_STREAM_SHARED, &writer);
    if (err < 0)
        th_stream_free(reader);
    return err;
}

FIBER_TEST(without_memory_or_descriptors_there_is_no_stream_and_nothing_left)
{
    ck_assert_int_eq(pipe2(in_and_out, O_CLOEXEC), 0);
    expect_all_or_nothing(try_pipe);
    expect_all_or_nothing(try_shared);
    (void)close(in_and_out[0]);
    (void)close(in_and_out[1]);
}

/* ---- simulated ---- */

static int pipe_in_simulation(void *arg)
{
    th_stream *r;
    th_stream *w;
    th_scope scope;
    (void)arg;
    int err = th_pipe(&r, &w);
    if (err < 0)
        return err == -EMFILE || err == -ENFILE || err == -ENOMEM ? 0 : err;
    open_scope(&scope);
    spawn(&scope, write_big, w);
    spawn(&scope, read_all_of, r);
    err = th_scope_close(&scope);
    th_stream_free(r);
    th_stream_free(w);
    return err;
}

START_TEST(a_pipe_works_in_a_simulation)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        th_sim_result result;
        th_sim_opts opts = { .seed = seed, .buffer_max = 4096 };
        opts.faults[TH_SIM_SHORT_READ].per_million = 10000;
        opts.faults[TH_SIM_SHORT_WRITE].per_million = 10000;
        opts.faults[TH_SIM_AGAIN].per_million = 10000;
        ck_assert_int_eq(th_sim_run(pipe_in_simulation, NULL, &opts, &result), 0);
        ck_assert_int_eq(result.live_allocations, 0);
        ck_assert_uint_eq(result.open_descriptors, 0);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "pipes");
    add_on_engines(tcase, what_is_written_to_a_pipe_can_be_read_and_then_the_end);
    add_on_engines(tcase, to_shut_down_the_writer_is_to_end_the_pipe);
    add_on_engines(tcase, a_pipe_that_nobody_reads_is_told_and_no_signal_comes);
    add_on_engines(tcase, more_than_a_pipe_holds_goes_through_in_order);
    add_on_engines(tcase, a_transfer_obeys_its_scope);
    add_on_engines(tcase, closing_wakes_who_waits);
    add_on_engines(tcase, a_second_reader_is_refused);
    tcase_add_test(tcase, a_pipe_has_no_addresses_and_refuses_misuse);
    tcase = thi_check_case(suite, "descriptors");
    add_on_engines(tcase, a_descriptor_that_is_given_away_is_closed_with_the_stream);
    tcase_add_test(tcase, a_descriptor_that_cannot_be_given_away_is_as_it_was);
    add_on_engines(tcase, a_shared_pipe_socket_and_terminal_keep_their_flags);
    add_on_engines(tcase, a_pipe_that_cannot_be_opened_anew_works_as_well);
    add_on_engines(tcase, a_shared_file_is_used_at_its_common_offset);
    add_on_engines(tcase, what_never_blocks_needs_no_loop);
    add_on_engines(tcase, the_standard_streams_are_the_descriptors_0_1_and_2);
    tcase_add_test(tcase, without_memory_or_descriptors_there_is_no_stream_and_nothing_left);
    tcase = thi_check_case(suite, "simulated");
    tcase_add_test(tcase, a_pipe_works_in_a_simulation);
}

int main(void)
{
    return thi_check_run("io/fd_stream", fill);
}
