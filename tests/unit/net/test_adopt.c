/* SPDX-License-Identifier: MIT */

/* Sockets that become streams and streams that become descriptors again; pairs; resets; looks. */
#include "net/pair.h"

#include "base/alloc.h"

#include <thrum/addr.h>
#include <thrum/fd_stream.h>
#include <thrum/socket.h>

#include <stdio.h>

/* ---- adopting -------------------------------------------------------------------------------- */

static int connected(int *peer)
{
    pair p = open_tcp_pair();
    int fd = th_stream_detach(p.stream);
    ck_assert_int_ge(fd, 0);
    th_stream_free(p.stream);
    *peer = p.peer;
    return fd;
}

FIBER_TEST(a_connected_socket_becomes_a_stream_with_addresses)
{
    char buf[8];
    th_stream *stream;
    th_addr addr;
    int peer;
    int fd = connected(&peer);
    ck_assert_int_ge(fcntl(fd, F_SETFL, 0), 0); /* blocking, as others make them */
    ck_assert_int_eq(th_stream_from_socket(fd, &stream), 0);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(th_stream_peer(stream, &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_IP4);
    ck_assert_int_eq(send(peer, "hi", 2, 0), 2);
    ck_assert_int_eq(th_stream_read(stream, buf, sizeof buf), 2);
    th_stream *second;
    ck_assert_int_eq(th_stream_from_socket(fd, &second), -EEXIST);
    th_stream_free(stream);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    close(peer);
}

FIBER_TEST(what_is_no_connected_socket_is_refused_and_left_as_it_was)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    th_stream *stream;
    int pipes[2];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(th_stream_from_socket(-1, &stream), -EBADF);
    ck_assert_int_eq(th_stream_from_socket(1000, &stream), -EBADF);
    ck_assert_int_eq(th_stream_from_socket(pipes[0], &stream), -ENOTSOCK);
    ck_assert_int_eq(th_stream_from_socket(datagrams, &stream), -EPROTOTYPE);
    ck_assert_int_eq(th_stream_from_socket(listener, &stream), -EINVAL);
    ck_assert_int_eq(th_stream_from_socket(fresh, &stream), -ENOTCONN);
    ck_assert_int_eq(th_stream_from_socket(fresh, NULL), -EINVAL);
    ck_assert(!(fcntl(fresh, F_GETFL) & O_NONBLOCK));
    close(listener);
    close(datagrams);
    close(fresh);
    close(pipes[0]);
    close(pipes[1]);
}

FIBER_TEST(without_memory_a_socket_stays_as_it_was)
{
    th_stream *stream;
    int peer;
    int fd = connected(&peer);
    ck_assert_int_ge(fcntl(fd, F_SETFL, 0), 0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_from_socket(fd, &stream), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    close(fd);
    close(peer);
}

START_TEST(outside_of_fibers_there_is_no_adopting)
{
    th_stream *ends[2];
    ck_assert_int_eq(th_stream_from_socket(0, &ends[0]), -EPERM);
    ck_assert_int_eq(th_stream_pair(ends), -EPERM);
}
END_TEST

/* ---- detaching ------------------------------------------------------------------------------- */

static int read_once(void *arg)
{
    char buf[8];
    ssize_t n = th_stream_read(arg, buf, sizeof buf);
    return n == -ECANCELED ? 0 : -EIO;
}

FIBER_TEST(a_detached_descriptor_works_on)
{
    char buf[8];
    pair p = open_tcp_pair();
    int fd = p.socket->watch.fd;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, read_once, p.stream);
    let_others_run();
    ck_assert_int_eq(th_stream_detach(p.stream), fd);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_detach(p.stream), -EBADF);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    ck_assert_int_eq(send(fd, "still", 5, 0), 5);
    peer_receives(&p, "still");
    close_pair(&p);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    close(fd);
}

FIBER_TEST(a_detached_pipe_works_on_and_can_be_adopted_again)
{
    char buf[8];
    th_stream *ends[2];
    ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    ck_assert_int_eq(th_stream_write(ends[1], "abc", 3), 3);
    int fd = th_stream_detach(ends[0]);
    ck_assert_int_ge(fd, 0);
    th_stream_free(ends[0]);
    ck_assert_int_eq(th_stream_from_fd(fd, 0, &ends[0]), 0);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), 3);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

FIBER_TEST(a_descriptor_closed_behind_it_is_told_at_the_close)
{
    char buf[8];
    pair p = open_tcp_pair();
    close(p.socket->watch.fd);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), -EBADF);
    /* Its number may be a stranger's by now. */
    int stranger = dup(p.peer);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    ck_assert_int_ge(fcntl(stranger, F_GETFD), 0);
    close(stranger);
    close_pair(&p);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

FIBER_TEST(the_ends_of_a_pair_talk_and_are_closed_on_exec)
{
    char buf[8];
    th_stream *ends[2];
    ck_assert_int_eq(th_stream_pair(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_pair(ends), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_stream_write(ends[i], "abc", 3), 3);
        ck_assert_int_eq(th_stream_read(ends[!i], buf, sizeof buf), 3);
    }
    for (int i = 0; i < 2; i++) {
        int fd = th_stream_detach(ends[i]);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
        close(fd);
        th_stream_free(ends[i]);
    }
}

FIBER_TEST(without_memory_a_pair_leaves_nothing)
{
    th_stream *ends[2];
    int64_t live = thi_alloc_live();
    int lowest = dup(0);
    close(lowest);
    for (int n = 1; n <= 2; n++) {
        thi_alloc_fail_at(n);
        ck_assert_int_eq(th_stream_pair(ends), -ENOMEM);
        thi_alloc_fail_at(0);
    }
    ck_assert_int_eq(thi_alloc_live(), live);
    ck_assert_int_eq(dup(0), lowest);
    close(lowest);
}

/* ---- ends ------------------------------------------------------------------------------------ */

FIBER_TEST(a_reset_is_found_by_the_peer_and_a_close_is_not)
{
    char buf[8];
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_write(p.stream, "abc", 3), 3);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), 3);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), 0);
    close_pair(&p);
    p = open_tcp_pair();
    ck_assert_int_eq(th_stream_reset(p.stream), 0);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    ck_assert_int_eq(th_stream_reset(p.stream), -EBADF);
    close_pair(&p);
}

FIBER_TEST(a_reset_works_after_a_shutdown_and_wakes_who_waits)
{
    char buf[8];
    th_scope scope;
    pair p = open_tcp_pair();
    open_scope(&scope);
    spawn(&scope, read_once, p.stream);
    let_others_run();
    ck_assert_int_eq(th_stream_shutdown(p.stream), 0);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), 0);
    ck_assert_int_eq(th_stream_reset(p.stream), 0);
    close_scope(&scope);
    ck_assert_int_eq(send(p.peer, "x", 1, MSG_NOSIGNAL), -1);
    close_pair(&p);
}

FIBER_TEST(a_close_with_bytes_unread_resets_and_a_finish_does_not)
{
    char buf[8];
    pair p = open_tcp_pair();
    peer_sends(&p, "unread");
    ck_assert_int_eq(th_stream_peek(p.stream, buf, sizeof buf), 6);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close_pair(&p);
    p = open_tcp_pair();
    peer_sends(&p, "unread");
    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    ck_assert_int_eq(th_stream_finish(p.stream, 6), 0);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, 0), 0);
    close_pair(&p);
}

FIBER_TEST(a_finish_that_takes_too_long_resets)
{
    char buf[8];
    th_scope scope;
    pair p = open_tcp_pair();
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_finish(p.stream, 6), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_close(p.stream), -EBADF);
    ck_assert_int_ge(recv(p.peer, buf, sizeof buf, 0), -1);
    close_pair(&p);
}

/* ---- looks and tries ------------------------------------------------------------------------- */

FIBER_TEST(a_look_less_than_all_then_all_then_a_read)
{
    char buf[16] = "";
    th_scope scope;
    pair p = open_pair();
    peer_sends(&p, "abcdef");
    ck_assert_int_eq(th_stream_peek(p.stream, buf, 2), 2);
    ck_assert_int_eq(th_stream_peek(p.stream, buf, sizeof buf), 6);
    ck_assert_int_eq(th_stream_read(p.stream, buf, sizeof buf), 6);
    ck_assert_str_eq(buf, "abcdef");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_peek(p.stream, buf, 1), -ETIMEDOUT);
    close_scope(&scope);
    close_peer(&p);
    ck_assert_int_eq(th_stream_peek(p.stream, buf, 1), TH_EOF);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), TH_EOF);
    close_pair(&p);
}

FIBER_TEST(a_try_takes_and_gives_what_is_there_at_once)
{
    static char block[65536];
    ssize_t n;
    pair p = open_pair();
    ck_assert_int_eq(th_stream_try_read(p.stream, block, sizeof block), -EAGAIN);
    peer_sends(&p, "abc");
    ck_assert_int_eq(th_stream_try_read(p.stream, block, sizeof block), 3);
    while ((n = th_stream_try_write(p.stream, block, sizeof block)) > 0)
        ;
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert_int_gt(recv(p.peer, block, sizeof block, 0), 0);
    while (recv(p.peer, block, sizeof block, MSG_DONTWAIT) > 0)
        ;
    ck_assert_int_eq(th_stream_write(p.stream, "after", 5), 5); /* the wait still works */
    close_peer(&p);
    ck_assert_int_eq(th_stream_try_write(p.stream, "x", 1), -EPIPE);
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(th_stream_try_write(p.stream, "x", 1), -EBADF);
    ck_assert_int_eq(th_stream_try_read(p.stream, block, 1), -EBADF);
    close_pair(&p);
}

FIBER_TEST(tries_work_on_pipes_and_not_on_files)
{
    char buf[8];
    th_stream *ends[2];
    th_stream *file;
    ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(th_stream_try_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_peek(ends[0], buf, sizeof buf), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_reset(ends[1]), 0);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), TH_EOF);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    FILE *tmp = tmpfile();
    ck_assert_int_eq(th_stream_from_fd(dup(fileno(tmp)), 0, &file), 0);
    ck_assert_int_eq(th_stream_try_read(file, buf, sizeof buf), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_try_write(file, buf, 1), -EOPNOTSUPP);
    int fd = th_stream_detach(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
    th_stream_free(file);
    fclose(tmp);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "adopt");
    add_on_engines(tcase, a_connected_socket_becomes_a_stream_with_addresses);
    tcase_add_test(tcase, what_is_no_connected_socket_is_refused_and_left_as_it_was);
    tcase_add_test(tcase, without_memory_a_socket_stays_as_it_was);
    tcase_add_test(tcase, outside_of_fibers_there_is_no_adopting);
    tcase = thi_check_case(suite, "detach");
    add_on_engines(tcase, a_detached_descriptor_works_on);
    add_on_engines(tcase, a_detached_pipe_works_on_and_can_be_adopted_again);
    add_on_engines(tcase, a_descriptor_closed_behind_it_is_told_at_the_close);
    tcase = thi_check_case(suite, "pair");
    tcase_add_test(tcase, the_ends_of_a_pair_talk_and_are_closed_on_exec);
    tcase_add_test(tcase, without_memory_a_pair_leaves_nothing);
    tcase = thi_check_case(suite, "ends");
    add_on_engines(tcase, a_reset_is_found_by_the_peer_and_a_close_is_not);
    add_on_engines(tcase, a_reset_works_after_a_shutdown_and_wakes_who_waits);
    tcase_add_test(tcase, a_close_with_bytes_unread_resets_and_a_finish_does_not);
    tcase_add_test(tcase, a_finish_that_takes_too_long_resets);
    tcase = thi_check_case(suite, "tries");
    add_on_engines(tcase, a_look_less_than_all_then_all_then_a_read);
    add_on_engines(tcase, a_try_takes_and_gives_what_is_there_at_once);
    tcase_add_test(tcase, tries_work_on_pipes_and_not_on_files);
}

int main(void)
{
    return thi_check_run("net/adopt", fill);
}
