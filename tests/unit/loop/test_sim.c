/* SPDX-License-Identifier: MIT */

/*
 * The simulated system calls are held against the real ones: each case runs the same script on the
 * kernel with epoll and on the simulation under several seeds, with the same assertions.
 */
#include "check_main.h"

#include "base/util.h"
#include "loop/engines.h"
#include "loop/sim.h"
#include "loop/sim_desc.h"
#include "loop/sim_engine.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SEEDS 12

static thi_sim world;
static thi_loop loop;
static bool simulated;

/* World 0 is the kernel, the others are simulations by their seeds. */
static void open_world(int i)
{
    simulated = i > 0;
    if (simulated)
        thi_sim_open(&world, &(th_sim_opts){ .seed = (uint64_t)i });
    ck_assert_int_eq(thi_loop_open(&loop, simulated ? &thi_engine_sim : &thi_engine_epoll), 0);
}

static void close_world(void)
{
    thi_loop_close(&loop);
    if (simulated) {
        ck_assert_uint_eq(world.desc_count, 0);
        thi_sim_close(&world);
    }
}

/* Lets a moment pass: what is under way gets on. */
static void moment(void)
{
    ck_assert_int_ge(thi_loop_turn(&loop, thi_sys_clock() + TH_MILLISECOND), 0);
}

/* Tries again as long as it is too early. */
#define patiently(call)                                                                            \
    __extension__({                                                                                \
        __typeof__(call) r_ = (call);                                                              \
        for (int t_ = 0; r_ == -EAGAIN && t_ < 5000; t_++) {                                       \
            moment();                                                                              \
            r_ = (call);                                                                           \
        }                                                                                          \
        r_;                                                                                        \
    })

static ssize_t take(int fd, void *buf, size_t n)
{
    return patiently(thi_sys_recv(fd, buf, n, 0));
}

/* One byte: there is room for that in every buffer. */
static void send_byte(int fd, char byte)
{
    ck_assert_int_eq(patiently(thi_sys_send(fd, &byte, 1, 0)), 1);
}

static void expect_byte(int fd, char byte)
{
    char got = 0;
    ck_assert_int_eq(take(fd, &got, 1), 1);
    ck_assert_int_eq(got, byte);
}

/* Sends and receives by turns, for the buffer may be smaller than the text. */
static void pass(int from, int to, const char *text)
{
    size_t sent = 0, got = 0, total = strlen(text);
    char buf[256];
    while (got < total) {
        ssize_t n = sent < total ? thi_sys_send(from, text + sent, total - sent, 0) : -EAGAIN;
        ssize_t m = thi_sys_recv(to, buf + got, total - got, 0);
        ck_assert((n > 0 || n == -EAGAIN) && (m > 0 || m == -EAGAIN));
        sent += n > 0 ? (size_t)n : 0;
        got += m > 0 ? (size_t)m : 0;
        if (n < 0 && m < 0)
            moment();
    }
    ck_assert_int_eq(strncmp(buf, text, total), 0);
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t n = sizeof error;
    ck_assert_int_eq(thi_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n), 0);
    return error;
}

static void make_pair(int fds[2])
{
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
}

static void close_both(const int fds[2])
{
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
}

/* ---- TCP helpers ---- */

static struct sockaddr_in v4(uint32_t host, uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(host) };
}

static int bind_v4(int fd, uint32_t host, uint16_t port)
{
    struct sockaddr_in sa = v4(host, port);
    return thi_sys_bind(fd, (struct sockaddr *)&sa, sizeof sa);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in6 sa;
    socklen_t n = sizeof sa;
    ck_assert_int_eq(thi_sys_getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    return ntohs(sa.sin6_port);
}

static int tcp_socket(void)
{
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static int listen_v4(int backlog)
{
    int fd = tcp_socket();
    ck_assert_int_eq(bind_v4(fd, INADDR_LOOPBACK, 0), 0);
    ck_assert_int_eq(thi_sys_listen(fd, backlog), 0);
    return fd;
}

static int start_connect(int fd, uint16_t port)
{
    struct sockaddr_in sa = v4(INADDR_LOOPBACK, port);
    int err = thi_sys_connect(fd, (struct sockaddr *)&sa, sizeof sa);
    return err == -EINPROGRESS ? 0 : err;
}

/* What a look at a descriptor sees. */
static int look(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    int count = thi_sys_poll(&p, 1, 0);
    ck_assert_int_eq(count, p.revents != 0);
    return p.revents;
}

static bool is_writable(int fd)
{
    return look(fd, POLLOUT) != 0;
}

static int dial(uint16_t port)
{
    int fd = tcp_socket();
    ck_assert_int_eq(start_connect(fd, port), 0);
    for (int i = 0; i < 5000 && !is_writable(fd); i++)
        moment();
    ck_assert_int_eq(error_of(fd), 0);
    return fd;
}

/* A connection: fds[0] dialled, fds[1] was accepted. */
static void tcp_pair(int fds[2])
{
    int listener = listen_v4(8);
    fds[0] = dial(port_of(listener));
    fds[1] = patiently(thi_sys_accept(listener, NULL, NULL));
    ck_assert_int_ge(fds[1], 0);
    ck_assert_int_eq(thi_sys_close(listener), 0);
}

/* ---- what every socket does ---- */

START_TEST(closed_and_foreign_descriptors_are_refused)
{
    open_world(_i);
    int fd = tcp_socket();
    ck_assert_int_eq(thi_sys_close(fd), 0);
    char byte;
    ck_assert_int_eq(thi_sys_recv(fd, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(thi_sys_send(fd, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(thi_sys_read(fd, &byte, 1), -EBADF);
    ck_assert_int_eq(thi_sys_close(fd), -EBADF);
    ck_assert_int_eq(thi_sys_listen(fd, 1), -EBADF);
    int event = thi_sys_eventfd();
    ck_assert_int_eq(thi_sys_recv(event, &byte, 1, 0), -ENOTSOCK);
    ck_assert_int_eq(thi_sys_listen(event, 1), -ENOTSOCK);
    ck_assert_int_eq(thi_sys_close(event), 0);
    int file = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(thi_sys_recv(file, &byte, 1, 0), -ENOTSOCK);
    ck_assert_int_eq(thi_sys_read(file, &byte, 1), 0);
    ck_assert_int_eq(thi_sys_close(file), 0);
    close_world();
}
END_TEST

START_TEST(unknown_kinds_of_sockets_are_refused)
{
    open_world(_i);
    ck_assert_int_eq(thi_sys_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
    ck_assert_int_eq(thi_sys_socket(4711, SOCK_STREAM, 0), -EAFNOSUPPORT);
    int fds[2];
    ck_assert_int_eq(thi_sys_socketpair(AF_INET, SOCK_STREAM, fds), -EOPNOTSUPP);
    close_world();
}
END_TEST

START_TEST(unconnected_sockets_transfer_nothing)
{
    open_world(_i);
    int tcp = tcp_socket();
    int local = thi_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    char byte = 'x';
    ck_assert_int_eq(thi_sys_recv(tcp, &byte, 1, 0), -ENOTCONN);
    ck_assert_int_eq(thi_sys_recv(local, &byte, 1, 0), -EINVAL);
    ck_assert_int_eq(thi_sys_send(tcp, &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_send(local, &byte, 1, 0), -ENOTCONN);
    ck_assert_int_eq(thi_sys_shutdown(tcp, SHUT_WR), -ENOTCONN);
    ck_assert_int_eq(thi_sys_shutdown(local, SHUT_WR), 0);
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    ck_assert_int_eq(thi_sys_getpeername(tcp, (struct sockaddr *)&sa, &n), -ENOTCONN);
    ck_assert_int_eq(thi_sys_accept(tcp, NULL, NULL), -EINVAL);
    ck_assert_int_eq(thi_sys_listen(local, 1), -EINVAL);
    close_both((int[]){ tcp, local });
    close_world();
}
END_TEST

START_TEST(bytes_arrive_in_order_both_ways)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    pass(fds[0], fds[1], "the quick brown fox");
    pass(fds[1], fds[0], "jumps over");
    char byte;
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), -EAGAIN);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(bytes_in_equal_bytes_out_through_full_buffers)
{
    open_world(_i);
    int fds[2];
    if (_i % 2)
        make_pair(fds);
    else
        tcp_pair(fds);
    enum { TOTAL = 20000 };
    static unsigned char out[TOTAL], in[TOTAL];
    for (size_t i = 0; i < TOTAL; i++)
        out[i] = (unsigned char)(i * 7 + i / 251);
    size_t sent = 0, got = 0;
    while (got < TOTAL) {
        ssize_t n = sent < TOTAL ? thi_sys_send(fds[0], out + sent, TOTAL - sent, 0) : -EAGAIN;
        sent += n > 0 ? (size_t)n : 0;
        ssize_t m = thi_sys_recv(fds[1], in + got, TOTAL - got, 0);
        got += m > 0 ? (size_t)m : 0;
        ck_assert(n > 0 || n == -EAGAIN);
        ck_assert(m > 0 || m == -EAGAIN);
        if (n < 0 && m < 0)
            moment();
    }
    ck_assert_mem_eq(in, out, TOTAL);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(peeked_bytes_stay)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    send_byte(fds[0], 'a');
    char byte = 0;
    ck_assert_int_eq(patiently(thi_sys_recv(fds[1], &byte, 1, MSG_PEEK)), 1);
    ck_assert_int_eq(byte, 'a');
    expect_byte(fds[1], 'a');
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(pieces_are_gathered_and_scattered)
{
    open_world(_i);
    int fds[2];
    make_pair(fds);
    struct iovec out[] = { { (char[]){ "ab" }, 2 }, { NULL, 0 }, { (char[]){ "c" }, 1 } };
    struct msghdr msg = { .msg_iov = out, .msg_iovlen = 3 };
    ssize_t n = thi_sys_sendmsg(fds[0], &msg, 0);
    ck_assert_int_gt(n, 0);
    char got[4] = "";
    struct iovec in[] = { { got, 1 }, { got + 1, 2 } };
    struct msghdr into = { .msg_iov = in, .msg_iovlen = 2 };
    ck_assert_int_eq(thi_sys_recvmsg(fds[1], &into, 0), n);
    ck_assert_int_eq(strncmp(got, "abc", (size_t)n), 0);
    n = thi_sys_writev(fds[1], out, 1);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(thi_sys_readv(fds[0], in, 2), n);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(file_is_sent_from_its_offset)
{
    open_world(_i);
    int fds[2];
    make_pair(fds);
    FILE *file = tmpfile();
    fputs("0123456789", file);
    fflush(file);
    off_t at = 3;
    while (at < 10) {
        ssize_t n = patiently(thi_sys_sendfile(fds[0], fileno(file), &at, 100));
        ck_assert_int_gt(n, 0);
        char got[16] = "";
        ck_assert_int_eq(take(fds[1], got, sizeof got), n);
        ck_assert_int_eq(strncmp(got, &"0123456789"[at - n], (size_t)n), 0);
    }
    ck_assert_int_eq(thi_sys_sendfile(fds[0], fileno(file), &at, 100), 0);
    fclose(file);
    close_both(fds);
    close_world();
}
END_TEST

/* ---- the end of a TCP connection ---- */

START_TEST(half_closed_connection_carries_the_other_direction)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    send_byte(fds[0], 'q');
    ck_assert_int_eq(thi_sys_shutdown(fds[0], SHUT_WR), 0);
    char byte = 'x';
    ck_assert_int_eq(thi_sys_send(fds[0], &byte, 1, 0), -EPIPE);
    expect_byte(fds[1], 'q');
    ck_assert_int_eq(take(fds[1], &byte, 1), 0);
    ck_assert_int_eq(take(fds[1], &byte, 1), 0);
    pass(fds[1], fds[0], "answer");
    ck_assert_int_eq(thi_sys_shutdown(fds[0], SHUT_WR), 0);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(closed_connection_is_read_to_its_end)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    send_byte(fds[0], 'x');
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    expect_byte(fds[1], 'x');
    char byte;
    ck_assert_int_eq(take(fds[1], &byte, 1), 0);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    close_world();
}
END_TEST

START_TEST(writer_to_a_closed_connection_gets_epipe_after_a_while)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    char byte = 'x';
    ck_assert_int_eq(take(fds[1], &byte, 1), 0);
    ssize_t n = thi_sys_send(fds[1], &byte, 1, 0);
    ck_assert_int_eq(n, 1);
    for (int i = 0; i < 5000 && (n == 1 || n == -EAGAIN); i++) {
        moment();
        n = thi_sys_send(fds[1], &byte, 1, 0);
    }
    ck_assert_int_eq(n, -EPIPE);
    ck_assert_int_eq(thi_sys_send(fds[1], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(take(fds[1], &byte, 1), 0);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    close_world();
}
END_TEST

START_TEST(close_with_unread_bytes_resets)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    send_byte(fds[0], 'x');
    char byte = 'x';
    ck_assert_int_eq(patiently(thi_sys_recv(fds[1], &byte, 1, MSG_PEEK)), 1);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    ck_assert_int_eq(take(fds[0], &byte, 1), -ECONNRESET);
    ck_assert_int_eq(take(fds[0], &byte, 1), 0);
    ck_assert_int_eq(thi_sys_send(fds[0], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_shutdown(fds[0], SHUT_WR), -ENOTCONN);
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    ck_assert_int_eq(thi_sys_getpeername(fds[0], (struct sockaddr *)&sa, &n), -ENOTCONN);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    close_world();
}
END_TEST

START_TEST(zero_linger_resets_and_so_error_tells_it)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    struct linger linger = { .l_onoff = 1 };
    ck_assert_int_eq(thi_sys_setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    int error = 0;
    for (int i = 0; i < 5000 && error == 0; i++) {
        moment();
        error = error_of(fds[0]);
    }
    ck_assert_int_eq(error, ECONNRESET);
    ck_assert_int_eq(error_of(fds[0]), 0);
    char byte;
    ck_assert_int_eq(take(fds[0], &byte, 1), 0);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    close_world();
}
END_TEST

START_TEST(arrived_bytes_can_be_read_before_the_reset)
{
    open_world(_i);
    int fds[2];
    tcp_pair(fds);
    send_byte(fds[0], 'x');
    send_byte(fds[1], 'y');
    char byte = 'x';
    ck_assert_int_eq(patiently(thi_sys_recv(fds[0], &byte, 1, MSG_PEEK)), 1);
    ck_assert_int_eq(patiently(thi_sys_recv(fds[1], &byte, 1, MSG_PEEK)), 1);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    for (int i = 0; i < 100; i++)
        moment();
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), 1);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), -ECONNRESET);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    close_world();
}
END_TEST

/* ---- finding each other ---- */

START_TEST(names_of_both_ends_agree)
{
    open_world(_i);
    int listener = listen_v4(1);
    int client = dial(port_of(listener));
    struct sockaddr_in peer, own;
    socklen_t n = sizeof peer;
    int server = patiently(thi_sys_accept(listener, (struct sockaddr *)&peer, &n));
    ck_assert_int_ge(server, 0);
    ck_assert_uint_eq(n, sizeof peer);
    ck_assert_int_eq(thi_sys_getsockname(client, (struct sockaddr *)&own, &n), 0);
    ck_assert_mem_eq(&own, &peer, sizeof own);
    ck_assert_int_eq(thi_sys_getpeername(server, (struct sockaddr *)&own, &n), 0);
    ck_assert_mem_eq(&own, &peer, sizeof own);
    ck_assert_uint_eq(port_of(server), port_of(listener));
    n = 2; /* less room than the address needs */
    own.sin_port = 4711;
    ck_assert_int_eq(thi_sys_getsockname(client, (struct sockaddr *)&own, &n), 0);
    ck_assert_uint_eq(n, sizeof own);
    ck_assert_uint_eq(own.sin_port, 4711);
    close_both((int[]){ client, server });
    ck_assert_int_eq(thi_sys_close(listener), 0);
    close_world();
}
END_TEST

START_TEST(connection_nobody_listens_for_is_refused)
{
    open_world(_i);
    int bound = tcp_socket(); /* holds the port and does not listen */
    ck_assert_int_eq(bind_v4(bound, INADDR_LOOPBACK, 0), 0);
    int fd = tcp_socket();
    ck_assert_int_eq(start_connect(fd, port_of(bound)), 0);
    for (int i = 0; i < 5000 && !is_writable(fd); i++)
        moment();
    ck_assert_int_eq(error_of(fd), ECONNREFUSED);
    ck_assert_int_eq(error_of(fd), 0);
    char byte = 'x';
    ck_assert_int_eq(thi_sys_recv(fd, &byte, 1, 0), 0);
    ck_assert_int_eq(thi_sys_send(fd, &byte, 1, 0), -EPIPE);
    close_both((int[]){ bound, fd });
    close_world();
}
END_TEST

START_TEST(connecting_twice_is_refused)
{
    open_world(_i);
    int listener = listen_v4(1);
    int fd = dial(port_of(listener));
    struct sockaddr_in sa = v4(INADDR_LOOPBACK, port_of(listener));
    (void)!thi_sys_connect(fd, (struct sockaddr *)&sa, sizeof sa); /* Linux tells success once */
    ck_assert_int_eq(thi_sys_connect(fd, (struct sockaddr *)&sa, sizeof sa), -EISCONN);
    int fresh = tcp_socket();
    ck_assert_int_eq(thi_sys_connect(fresh, (struct sockaddr *)&sa, 3), -EINVAL);
    ck_assert_int_eq(thi_sys_close(fresh), 0);
    ck_assert_int_eq(thi_sys_connect(listener, (struct sockaddr *)&sa, sizeof sa), -EISCONN);
    close_both((int[]){ listener, fd });
    close_world();
}
END_TEST

START_TEST(address_in_use_is_refused)
{
    open_world(_i);
    int first = listen_v4(1);
    uint16_t port = port_of(first);
    ck_assert_uint_gt(port, 0);
    int second = tcp_socket();
    ck_assert_int_eq(bind_v4(second, INADDR_LOOPBACK, port), -EADDRINUSE);
    ck_assert_int_eq(bind_v4(second, INADDR_ANY, port), -EADDRINUSE);
    ck_assert_int_eq(bind_v4(second, INADDR_LOOPBACK + 1, port), 0);
    ck_assert_int_eq(bind_v4(second, INADDR_LOOPBACK, 0), -EINVAL);
    ck_assert_int_eq(thi_sys_close(first), 0);
    int third = tcp_socket();
    ck_assert_int_eq(bind_v4(third, INADDR_LOOPBACK, port), 0);
    close_both((int[]){ second, third });
    close_world();
}
END_TEST

static int reusing(int option)
{
    int fd = tcp_socket();
    int one = 1;
    ck_assert_int_eq(thi_sys_setsockopt(fd, SOL_SOCKET, option, &one, sizeof one), 0);
    return fd;
}

START_TEST(address_is_shared_only_by_those_who_agree)
{
    open_world(_i);
    int a = reusing(SO_REUSEADDR), b = reusing(SO_REUSEADDR);
    ck_assert_int_eq(bind_v4(a, INADDR_LOOPBACK, 0), 0);
    ck_assert_int_eq(bind_v4(b, INADDR_LOOPBACK, port_of(a)), 0);
    ck_assert_int_eq(thi_sys_listen(a, 1), 0);
    ck_assert_int_eq(thi_sys_listen(b, 1), -EADDRINUSE);
    close_both((int[]){ a, b });
    a = reusing(SO_REUSEPORT), b = reusing(SO_REUSEPORT);
    ck_assert_int_eq(bind_v4(a, INADDR_LOOPBACK, 0), 0);
    ck_assert_int_eq(bind_v4(b, INADDR_LOOPBACK, port_of(a)), 0);
    ck_assert_int_eq(thi_sys_listen(a, 1), 0);
    ck_assert_int_eq(thi_sys_listen(b, 1), 0);
    close_both((int[]){ a, b });
    close_world();
}
END_TEST

static int listen_v6(int only)
{
    int fd = thi_sys_socket(AF_INET6, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), 0);
    struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
    ck_assert_int_eq(thi_sys_bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(thi_sys_listen(fd, 4), 0);
    return fd;
}

START_TEST(dual_stack_listener_sees_mapped_addresses)
{
    open_world(_i);
    int listener = listen_v6(0);
    int client = dial(port_of(listener));
    struct sockaddr_in6 peer;
    socklen_t n = sizeof peer;
    int server = patiently(thi_sys_accept(listener, (struct sockaddr *)&peer, &n));
    ck_assert_int_ge(server, 0);
    ck_assert_uint_eq(n, sizeof peer);
    ck_assert_int_eq(peer.sin6_family, AF_INET6);
    ck_assert(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    ck_assert_uint_eq(ntohs(peer.sin6_port), port_of(client));
    close_both((int[]){ client, server });
    ck_assert_int_eq(thi_sys_close(listener), 0);
    close_world();
}
END_TEST

START_TEST(v6_only_listener_refuses_v4)
{
    open_world(_i);
    int listener = listen_v6(1);
    int fd = tcp_socket();
    ck_assert_int_eq(start_connect(fd, port_of(listener)), 0);
    for (int i = 0; i < 5000 && !is_writable(fd); i++)
        moment();
    ck_assert_int_eq(error_of(fd), ECONNREFUSED);
    close_both((int[]){ listener, fd });
    close_world();
}
END_TEST

START_TEST(listener_that_closes_resets_its_queue)
{
    open_world(_i);
    int listener = listen_v4(4);
    int fd = dial(port_of(listener));
    moment();
    ck_assert_int_eq(thi_sys_close(listener), 0);
    char byte;
    ck_assert_int_eq(take(fd, &byte, 1), -ECONNRESET);
    ck_assert_int_eq(thi_sys_close(fd), 0);
    close_world();
}
END_TEST

START_TEST(nothing_to_accept_is_eagain)
{
    open_world(_i);
    int listener = listen_v4(4);
    ck_assert_int_eq(thi_sys_accept(listener, NULL, NULL), -EAGAIN);
    ck_assert_int_eq(thi_sys_listen(listener, 8), 0);
    ck_assert_int_eq(thi_sys_close(listener), 0);
    close_world();
}
END_TEST

/* ---- options ---- */

static int int_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof value;
    ck_assert_int_eq(thi_sys_getsockopt(fd, level, name, &value, &n), 0);
    ck_assert_uint_eq(n, sizeof value);
    return value;
}

START_TEST(options_are_remembered_and_inherited)
{
    open_world(_i);
    int listener = listen_v4(1);
    int one = 1;
    ck_assert_int_eq(int_option(listener, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(thi_sys_setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    int client = dial(port_of(listener));
    int server = patiently(thi_sys_accept(listener, NULL, NULL));
    ck_assert_int_eq(int_option(server, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(int_option(client, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(int_option(server, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    ck_assert_int_eq(int_option(server, SOL_SOCKET, SO_DOMAIN), AF_INET);
    ck_assert_int_eq(int_option(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    ck_assert_int_eq(int_option(server, SOL_SOCKET, SO_ACCEPTCONN), 0);
    close_both((int[]){ client, server });
    ck_assert_int_eq(thi_sys_close(listener), 0);
    int fds[2];
    make_pair(fds);
    ck_assert_int_eq(thi_sys_setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one),
                     -EOPNOTSUPP);
    close_both(fds);
    close_world();
}
END_TEST

/* Whether this kernel answers as Linux does since 4.12; one that is emulated may cut it short. */
static bool knows_meminfo(void)
{
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t n = sizeof info;
    int fd = thi_sys_real.socket(AF_UNIX, SOCK_STREAM, 0);
    int err = thi_sys_real.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &n);
    ck_assert_int_eq(thi_sys_real.close(fd), 0);
    return err == 0 && n == sizeof info;
}

START_TEST(bytes_that_the_peer_has_not_taken_are_told)
{
    SKIP_UNLESS(_i > 0 || knows_meminfo(), "the kernel's SO_MEMINFO is not the whole of it");
    open_world(_i);
    int fds[2];
    make_pair(fds);
    uint32_t info[SK_MEMINFO_VARS] = { 0 };
    socklen_t n = sizeof info;
    send_byte(fds[0], 'x');
    ck_assert_int_eq(thi_sys_getsockopt(fds[0], SOL_SOCKET, SO_MEMINFO, info, &n), 0);
    ck_assert_uint_eq(n, sizeof info);
    ck_assert_uint_gt(info[SK_MEMINFO_SNDBUF], 0);
    ck_assert_uint_gt(info[SK_MEMINFO_WMEM_QUEUED] + info[SK_MEMINFO_WMEM_ALLOC], 0);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(kinds_of_descriptors_show_in_fstat)
{
    open_world(_i);
    struct stat st;
    int fds[2];
    make_pair(fds);
    ck_assert_int_eq(thi_sys_fstat(fds[0], &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_int_eq(thi_sys_fcntl(fds[0], F_GETFL, 0) & O_NONBLOCK, O_NONBLOCK);
    ck_assert_int_eq(thi_sys_fcntl(fds[0], F_GETFD, 0), FD_CLOEXEC);
    ck_assert_int_eq(thi_sys_preadv2(fds[0], &(struct iovec){ &st, 1 }, 1, 0, 0), -ESPIPE);
    close_both(fds);
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    ck_assert_int_eq(thi_sys_fstat(fds[0], &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    close_both(fds);
    ck_assert_int_eq(thi_sys_fstat(fds[0], &st), -EBADF);
    close_world();
}
END_TEST

/* ---- Unix sockets ---- */

static struct sockaddr_un unix_name(char path[108])
{
    snprintf(path, 108, "/tmp/thrum-test-sim-%d", (int)getpid());
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    memcpy(sa.sun_path, path, strlen(path) + 1);
    return sa;
}

static int unix_call(int (*call)(int, const struct sockaddr *, socklen_t), int fd,
                     const struct sockaddr_un *sa)
{
    return call(fd, (const struct sockaddr *)sa, sizeof *sa);
}

static int unix_socket(void)
{
    int fd = thi_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(path_of_a_socket_lives_longer_than_the_socket)
{
    open_world(_i);
    char path[108];
    struct sockaddr_un sa = unix_name(path);
    int listener = unix_socket(), client = unix_socket();
    ck_assert_int_eq(unix_call(thi_sys_connect, client, &sa), -ENOENT);
    ck_assert_int_eq(unix_call(thi_sys_bind, listener, &sa), 0);
    struct stat st;
    ck_assert_int_eq(thi_sys_fstatat(AT_FDCWD, path, &st, 0), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_int_eq(thi_sys_chmod(path, 0600), 0);
    ck_assert_int_eq(thi_sys_fstatat(AT_FDCWD, path, &st, 0), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(unix_call(thi_sys_connect, client, &sa), -ECONNREFUSED);
    ck_assert_int_eq(thi_sys_listen(listener, 1), 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, client, &sa), 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, client, &sa), -EISCONN);
    ck_assert_int_eq(thi_sys_close(listener), 0);
    listener = unix_socket();
    ck_assert_int_eq(unix_call(thi_sys_bind, listener, &sa), -EADDRINUSE);
    ck_assert_int_eq(thi_sys_unlink(path), 0);
    ck_assert_int_eq(thi_sys_unlink(path), -ENOENT);
    ck_assert_int_eq(unix_call(thi_sys_bind, listener, &sa), 0);
    ck_assert_int_eq(thi_sys_unlink(path), 0);
    close_both((int[]){ listener, client });
    close_world();
}
END_TEST

START_TEST(unix_connection_has_the_listeners_name_and_an_unnamed_client)
{
    open_world(_i);
    char path[108];
    struct sockaddr_un sa = unix_name(path), got;
    int listener = unix_socket(), client = unix_socket();
    ck_assert_int_eq(unix_call(thi_sys_bind, listener, &sa), 0);
    ck_assert_int_eq(thi_sys_listen(listener, 1), 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, client, &sa), 0);
    socklen_t n = sizeof got;
    int server = thi_sys_accept(listener, (struct sockaddr *)&got, &n);
    ck_assert_int_ge(server, 0);
    ck_assert_uint_eq(n, sizeof(sa_family_t));
    ck_assert_int_eq(got.sun_family, AF_UNIX);
    n = sizeof got;
    ck_assert_int_eq(thi_sys_getsockname(server, (struct sockaddr *)&got, &n), 0);
    ck_assert_uint_eq(n, sizeof(sa_family_t) + strlen(path) + 1);
    ck_assert_str_eq(got.sun_path, path);
    n = sizeof got;
    ck_assert_int_eq(thi_sys_getpeername(client, (struct sockaddr *)&got, &n), 0);
    ck_assert_str_eq(got.sun_path, path);
    ck_assert_int_eq(thi_sys_unlink(path), 0);
    close_both((int[]){ client, server });
    ck_assert_int_eq(thi_sys_close(listener), 0);
    close_world();
}
END_TEST

START_TEST(full_queue_of_a_unix_listener_is_eagain)
{
    open_world(_i);
    char path[108];
    struct sockaddr_un sa = unix_name(path);
    int listener = unix_socket(), first = unix_socket(), second = unix_socket();
    ck_assert_int_eq(unix_call(thi_sys_bind, listener, &sa), 0);
    ck_assert_int_eq(thi_sys_listen(listener, 0), 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, first, &sa), 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, second, &sa), -EAGAIN);
    int server = thi_sys_accept(listener, NULL, NULL);
    ck_assert_int_ge(server, 0);
    ck_assert_int_eq(unix_call(thi_sys_connect, second, &sa), 0);
    ck_assert_int_eq(thi_sys_close(listener), 0);
    char byte;
    ck_assert_int_eq(thi_sys_recv(second, &byte, 1, 0), -ECONNRESET);
    ck_assert_int_eq(thi_sys_unlink(path), 0);
    close_both((int[]){ first, second });
    ck_assert_int_eq(thi_sys_close(server), 0);
    close_world();
}
END_TEST

START_TEST(abstract_name_is_free_again_when_its_socket_closes)
{
    open_world(_i);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, "thrum-test-sim-%d", (int)getpid());
    int a = unix_socket(), b = unix_socket();
    ck_assert_int_eq(unix_call(thi_sys_connect, b, &sa), -ECONNREFUSED);
    ck_assert_int_eq(unix_call(thi_sys_bind, a, &sa), 0);
    ck_assert_int_eq(unix_call(thi_sys_bind, b, &sa), -EADDRINUSE);
    ck_assert_int_eq(thi_sys_close(a), 0);
    ck_assert_int_eq(unix_call(thi_sys_bind, b, &sa), 0);
    ck_assert_int_eq(thi_sys_close(b), 0);
    close_world();
}
END_TEST

START_TEST(local_pair_ends_at_once)
{
    open_world(_i);
    int fds[2];
    make_pair(fds);
    char byte = 'x';
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), -EAGAIN);
    send_byte(fds[1], 'x');
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    ck_assert_int_eq(thi_sys_send(fds[0], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), 1);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), 0);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    make_pair(fds);
    send_byte(fds[0], 'x');
    ck_assert_int_eq(thi_sys_close(fds[1]), 0); /* with a byte unread */
    ck_assert_int_eq(thi_sys_send(fds[0], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), -ECONNRESET);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), 0);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    make_pair(fds);
    ck_assert_int_eq(thi_sys_shutdown(fds[0], SHUT_RDWR), 0);
    ck_assert_int_eq(thi_sys_recv(fds[0], &byte, 1, 0), 0);
    ck_assert_int_eq(thi_sys_recv(fds[1], &byte, 1, 0), 0);
    ck_assert_int_eq(thi_sys_send(fds[0], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_send(fds[1], &byte, 1, 0), -EPIPE);
    ck_assert_int_eq(thi_sys_shutdown(fds[0], 77), -EINVAL);
    close_both(fds);
    close_world();
}
END_TEST

/* ---- pipes and eventfds ---- */

START_TEST(pipe_carries_bytes_and_its_end)
{
    open_world(_i);
    int fds[2];
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    char buf[8];
    ck_assert_int_eq(thi_sys_read(fds[0], buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(thi_sys_write(fds[1], "abc", 3), 3);
    ck_assert_int_eq(thi_sys_read(fds[0], buf, sizeof buf), 3);
    ck_assert_int_eq(thi_sys_write(fds[0], "abc", 3), -EBADF);
    ck_assert_int_eq(thi_sys_read(fds[1], buf, 3), -EBADF);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    ck_assert_int_eq(thi_sys_read(fds[0], buf, sizeof buf), 0);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    ck_assert_int_eq(thi_sys_close(fds[0]), 0);
    signal(SIGPIPE, SIG_IGN); /* the kernel sends it, a simulation does not */
    ck_assert_int_eq(thi_sys_write(fds[1], "abc", 3), -EPIPE);
    ck_assert_int_eq(thi_sys_close(fds[1]), 0);
    close_world();
}
END_TEST

START_TEST(small_writes_to_a_pipe_are_whole)
{
    open_world(_i);
    int fds[2];
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    static char page[PIPE_BUF];
    ssize_t n;
    while ((n = thi_sys_write(fds[1], page, sizeof page)) == PIPE_BUF)
        ;
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert(!is_writable(fds[1]));
    ck_assert_int_eq(thi_sys_read(fds[0], page, PIPE_BUF), PIPE_BUF);
    ck_assert(is_writable(fds[1]));
    ck_assert_int_eq(thi_sys_write(fds[1], page, sizeof page), PIPE_BUF);
    close_both(fds);
    close_world();
}
END_TEST

START_TEST(a_look_sees_what_can_be_done)
{
    open_world(_i);
    int fds[2];
    make_pair(fds);
    ck_assert_int_eq(look(fds[0], POLLIN), 0);
    ck_assert_int_eq(look(fds[0], POLLIN | POLLOUT), POLLOUT);
    send_byte(fds[1], 'x');
    for (int i = 0; i < 5000 && look(fds[0], POLLIN) == 0; i++)
        moment();
    ck_assert_int_eq(look(fds[0], POLLIN), POLLIN);
    ck_assert_int_eq(look(fds[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
    expect_byte(fds[0], 'x');
    ck_assert_int_eq(look(fds[0], POLLIN), 0);
    ck_assert_int_eq(thi_sys_shutdown(fds[1], SHUT_WR), 0);
    for (int i = 0; i < 5000 && look(fds[0], POLLIN) == 0; i++)
        moment();
    ck_assert_int_eq(look(fds[0], POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
    close_both(fds);
    ck_assert_int_eq(look(fds[0], POLLIN), POLLNVAL);
    ck_assert_int_eq(look(-1, POLLIN), 0);
    close_world();
}
END_TEST

START_TEST(eventfd_counts_until_it_is_read)
{
    open_world(_i);
    int fd = thi_sys_eventfd();
    uint64_t value = 1;
    ck_assert_int_eq(thi_sys_read(fd, &value, sizeof value), -EAGAIN);
    value = 2;
    ck_assert_int_eq(thi_sys_write(fd, &value, sizeof value), sizeof value);
    ck_assert_int_eq(thi_sys_write(fd, &value, sizeof value), sizeof value);
    ck_assert_int_eq(thi_sys_read(fd, &value, sizeof value), sizeof value);
    ck_assert_uint_eq(value, 4);
    value = UINT64_MAX - 1;
    ck_assert_int_eq(thi_sys_write(fd, &value, sizeof value), sizeof value);
    value = 1;
    ck_assert_int_eq(thi_sys_write(fd, &value, sizeof value), -EAGAIN);
    ck_assert_int_eq(thi_sys_write(fd, &value, 4), -EINVAL);
    ck_assert_int_eq(thi_sys_read(fd, &value, 4), -EINVAL);
    value = UINT64_MAX;
    ck_assert_int_eq(thi_sys_write(fd, &value, sizeof value), -EINVAL);
    ck_assert_int_eq(thi_sys_close(fd), 0);
    close_world();
}
END_TEST

static void add(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, SEEDS + 1);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "sockets");
    add(tcase, closed_and_foreign_descriptors_are_refused);
    add(tcase, unknown_kinds_of_sockets_are_refused);
    add(tcase, unconnected_sockets_transfer_nothing);
    add(tcase, bytes_arrive_in_order_both_ways);
    add(tcase, bytes_in_equal_bytes_out_through_full_buffers);
    add(tcase, peeked_bytes_stay);
    add(tcase, pieces_are_gathered_and_scattered);
    add(tcase, file_is_sent_from_its_offset);

    tcase = thi_check_case(suite, "the end");
    add(tcase, half_closed_connection_carries_the_other_direction);
    add(tcase, closed_connection_is_read_to_its_end);
    add(tcase, writer_to_a_closed_connection_gets_epipe_after_a_while);
    add(tcase, close_with_unread_bytes_resets);
    add(tcase, zero_linger_resets_and_so_error_tells_it);
    add(tcase, arrived_bytes_can_be_read_before_the_reset);

    tcase = thi_check_case(suite, "addresses");
    add(tcase, names_of_both_ends_agree);
    add(tcase, connection_nobody_listens_for_is_refused);
    add(tcase, connecting_twice_is_refused);
    add(tcase, address_in_use_is_refused);
    add(tcase, address_is_shared_only_by_those_who_agree);
    add(tcase, dual_stack_listener_sees_mapped_addresses);
    add(tcase, v6_only_listener_refuses_v4);
    add(tcase, listener_that_closes_resets_its_queue);
    add(tcase, nothing_to_accept_is_eagain);

    tcase = thi_check_case(suite, "options");
    add(tcase, options_are_remembered_and_inherited);
    add(tcase, bytes_that_the_peer_has_not_taken_are_told);
    add(tcase, kinds_of_descriptors_show_in_fstat);

    tcase = thi_check_case(suite, "Unix sockets");
    add(tcase, path_of_a_socket_lives_longer_than_the_socket);
    add(tcase, unix_connection_has_the_listeners_name_and_an_unnamed_client);
    add(tcase, full_queue_of_a_unix_listener_is_eagain);
    add(tcase, abstract_name_is_free_again_when_its_socket_closes);
    add(tcase, local_pair_ends_at_once);

    tcase = thi_check_case(suite, "pipes");
    add(tcase, pipe_carries_bytes_and_its_end);
    add(tcase, small_writes_to_a_pipe_are_whole);
    add(tcase, a_look_sees_what_can_be_done);
    add(tcase, eventfd_counts_until_it_is_read);
}

int main(void)
{
    return thi_check_run("loop/sim", fill_suite);
}
