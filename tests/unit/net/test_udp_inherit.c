/* SPDX-License-Identifier: MIT */

/* Datagram sockets that the process was given, by number. Names are those of net/inherit. */
#include "runtime/in_fiber.h"

#include "net/addr.h"
#include "net/udp.h"
#include "sys/fault.h"

#include <thrum/runtime.h>
#include <thrum/tune.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char text[20];

/* A bare socket, and its address as a text for the library. */
static int bare(int type)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    return fd;
}

static th_udp *taken(const th_udp_opts *opts)
{
    th_udp *udp = NULL;
    int err = th_udp_open(text, opts, &udp);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return udp;
}

static void refused(const th_udp_opts *opts, int code)
{
    th_udp *udp = NULL;
    int err = th_udp_open(text, opts, &udp);
    ck_assert_msg(err == code, "%s: %s: %s", text, th_errname(err), th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), text) != NULL, "%s", th_err_detail());
    ck_assert_ptr_null(udp);
}

/* Says something to it, and hears what is said back. */
static void talk(th_udp *udp)
{
    char buf[8];
    th_addr here, from;
    th_udp *peer = NULL;
    ck_assert_int_eq(th_udp_local(udp, &here), 0);
    char place[TH_ADDR_TEXT];
    ck_assert_int_eq(th_udp_dial(th_addr_format(&here, place, sizeof place), NULL, &peer), 0);
    ck_assert_int_eq(th_udp_send(peer, "warp", 4, NULL), 0);
    ck_assert_int_eq(th_udp_recv(udp, buf, sizeof buf, &from, NULL), 4);
    ck_assert_int_eq(th_udp_send(udp, "weft", 4, &from), 0);
    ck_assert_int_eq(th_udp_recv(peer, buf, sizeof buf, NULL, NULL), 4);
    th_udp_free(peer);
}

FIBER_TEST(a_socket_that_was_given_is_taken_over)
{
    int fd = bare(SOCK_DGRAM);
    th_udp *udp = taken(NULL);
    ck_assert_int_eq(th_udp_fd(udp), fd);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    talk(udp);
    refused(NULL, -EBUSY);
    ck_assert_int_eq(th_udp_close(udp), 0);
    th_udp_free(udp);
    refused(NULL, -EBADF);
    ck_assert_int_eq(bare(SOCK_DGRAM), fd); /* the number is free for another one */
    udp = taken(NULL);
    ck_assert_int_eq(th_udp_detach(udp), fd);
    th_udp_free(udp);
    th_udp_free(taken(NULL));
}

FIBER_TEST(what_carries_no_datagrams_is_refused_and_stays)
{
    int fd = bare(SOCK_STREAM);
    refused(NULL, -EPROTOTYPE);
    ck_assert_int_eq(close(fd), 0);
    fd = socket(AF_NETLINK, SOCK_DGRAM, 0); /* not of a family that is known */
    ck_assert_int_ge(fd, 0);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    refused(NULL, -EPROTOTYPE);
    ck_assert_int_eq(close(fd), 0);
    (void)snprintf(text, sizeof text, "fd:9999999");
    refused(NULL, TH_EADDRESS);
    (void)snprintf(text, sizeof text, "systemd:none");
    refused(NULL, -ENOENT);
}

FIBER_TEST(options_that_come_too_late_are_refused)
{
    int fd = bare(SOCK_DGRAM);
    refused(&(th_udp_opts){ .reuse_addr = 1 }, -EINVAL);
    refused(&(th_udp_opts){ .dual_stack = 1 }, -EINVAL);
    refused(&(th_udp_opts){ .device = "lo" }, -EINVAL);
    refused(&(th_udp_opts){ .mode = 0600 }, -EINVAL);
    th_udp *udp = NULL;
    ck_assert_int_eq(th_udp_open(text, &(th_udp_opts){ .tune = "nonsense" }, &udp), -ENOPROTOOPT);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    udp = taken(&(th_udp_opts){ .tell = TH_UDP_TELL_TTL, .broadcast = 1, .tune = "tos=16" });
    int tos = 0, broadcast = 0;
    socklen_t size = sizeof tos;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_IP, IP_TOS, &tos, &size), 0);
    ck_assert_int_eq(tos, 16);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_BROADCAST, &broadcast, &size), 0);
    ck_assert_int_eq(broadcast, 1);
    th_udp_free(udp);
}

FIBER_TEST(each_system_call_may_fail_and_it_stays_the_processs)
{
    const char *hit;
    unsigned long n = 1;
    int fd = bare(SOCK_DGRAM);
    do {
        th_udp *udp = NULL;
        thi_fault_begin(n++, ENOBUFS);
        int err = th_udp_open(text, NULL, &udp);
        hit = thi_fault_hit();
        (void)thi_fault_end();
        bool unseen = hit && (strcmp(hit, "setsockopt") == 0 || strcmp(hit, "getpeername") == 0);
        ck_assert_msg(err == (hit && !unseen ? -ENOBUFS : 0), "%s: %s", hit ? hit : "none",
                      th_errname(err));
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        if (err < 0)
            continue;
        th_udp_free(udp);
        ck_assert_int_eq(bare(SOCK_DGRAM), fd);
    } while (hit);
    ck_assert_uint_gt(n, 6);
    close(fd);
}

static int served; /* workers that do */

static int serve_one(th_udp *udp, void *arg)
{
    (void)arg;
    served++;
    talk(udp);
    ck_assert_int_eq(th_stop(), 0);
    char byte;
    return (int)th_udp_recv(udp, &byte, 1, NULL, NULL);
}

FIBER_TEST_ON(2, it_is_served_by_one_worker)
{
    int fd = bare(SOCK_DGRAM);
    served = 0;
    ck_assert_int_eq(th_udp_serve(text, serve_one, NULL, NULL), 0);
    ck_assert_int_eq(served, 1);
    ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(th_udp_serve(text, serve_one, NULL, NULL), -EBADF);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), text));
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "given");
    add_on_engines(tcase, a_socket_that_was_given_is_taken_over);
    tcase_add_test(tcase, what_carries_no_datagrams_is_refused_and_stays);
    tcase_add_test(tcase, options_that_come_too_late_are_refused);
    tcase_add_test(tcase, each_system_call_may_fail_and_it_stays_the_processs);
    tcase_add_test(tcase, it_is_served_by_one_worker);
}

int main(void)
{
    return thi_check_run("net/udp_inherit", fill_suite);
}
