/* SPDX-License-Identifier: MIT */

/*
 * Simulated datagram sockets are held against the real ones: each case runs the same script on the
 * kernel and on the simulation under several seeds, with the same assertions.
 */
#include "check_main.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/engines.h"
#include "loop/sim.h"
#include "loop/sim_desc.h"
#include "loop/sim_engine.h"
#include "socket_option.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SEEDS 8

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
#define once_ready(call)                                                                           \
    ({                                                                                             \
        ssize_t r_;                                                                                \
        for (int patience_ = 5000; (r_ = (call)) == -EAGAIN && patience_ > 0; patience_--)         \
            moment();                                                                              \
        r_;                                                                                        \
    })

#define WORLD_TEST(name)                                                                           \
    static void name##_script(void);                                                               \
    START_TEST(name)                                                                               \
    {                                                                                              \
        open_world(_i);                                                                            \
        name##_script();                                                                           \
        close_world();                                                                             \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_script(void)

/* ---- sockets ---- */

typedef union name {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
} name;

static name loopback(uint16_t port)
{
    return (name){ .in = { .sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons(port) } };
}

static name name_of(int fd)
{
    name n = { .sa = { 0 } };
    socklen_t len = sizeof n;
    ck_assert_int_eq(thi_sys_getsockname(fd, &n.sa, &len), 0);
    return n;
}

static int open_dgram(name *at)
{
    name n = loopback(0);
    int fd = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_bind(fd, &n.sa, sizeof n.in), 0);
    if (at)
        *at = name_of(fd);
    return fd;
}

static ssize_t send_to(int fd, const void *data, size_t size, const name *to)
{
    struct iovec iov = { (void *)(uintptr_t)data, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (to) {
        msg.msg_name = (void *)(uintptr_t)to;
        msg.msg_namelen = to->sa.sa_family == AF_INET ? sizeof to->in : sizeof to->in6;
    }
    return thi_sys_sendmsg(fd, &msg, 0);
}

static char got[70000];
static name from;
static int flags;

static ssize_t receive(int fd, size_t room)
{
    struct iovec iov = { got, room };
    struct msghdr msg = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1
    };
    memset(got, 0, sizeof got);
    ssize_t n = thi_sys_recvmsg(fd, &msg, 0);
    flags = msg.msg_flags;
    return n;
}

static void expect(int fd, const char *text)
{
    ck_assert_int_eq(once_ready(receive(fd, sizeof got)), (ssize_t)strlen(text));
    ck_assert_mem_eq(got, text, strlen(text));
}

static void set(int fd, int level, int option, int value)
{
    ck_assert_int_eq(thi_sys_setsockopt(fd, level, option, &value, sizeof value), 0);
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    ck_assert_int_eq(thi_sys_getsockopt(fd, level, option, &value, &len), 0);
    return value;
}

/* ---- the cases ------------------------------------------------------------------------------- */

WORLD_TEST(datagrams_keep_boundaries_and_sender)
{
    name at, to;
    int a = open_dgram(&at);
    int b = open_dgram(&to);
    ck_assert_int_eq(get(a, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    ck_assert_int_eq(get(a, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    ck_assert_int_eq(receive(b, 8), -EAGAIN);
    ck_assert_int_eq(send_to(a, "abc", 3, &to), 3);
    ck_assert_int_eq(send_to(a, "", 0, &to), 0);
    ck_assert_int_eq(send_to(a, "longer", 6, &to), 6);
    ck_assert_int_eq(once_ready(receive(b, 8)), 3);
    ck_assert_int_eq(from.in.sin_port, at.in.sin_port);
    ck_assert_int_eq(flags & MSG_TRUNC, 0);
    ck_assert_int_eq(once_ready(receive(b, 8)), 0);
    ck_assert_int_eq(once_ready(receive(b, 3)), 3);
    ck_assert_int_eq(flags & MSG_TRUNC, MSG_TRUNC);
    ck_assert_int_eq(receive(b, 8), -EAGAIN);
    thi_sys_close(a);
    thi_sys_close(b);
}

WORLD_TEST(sizes_and_targets_are_checked)
{
    name to;
    name all = loopback(9);
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    all.in.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    ck_assert_int_eq(send_to(a, got, 65508, &to), -EMSGSIZE);
    ck_assert_int_eq(send_to(a, "x", 1, NULL), -EDESTADDRREQ);
    name zero = loopback(0);
    ck_assert_int_eq(send_to(a, "x", 1, &zero), -EINVAL);
    ck_assert_int_eq(send_to(a, "x", 1, &all), -EACCES);
    ck_assert_int_eq(thi_sys_listen(a, 1), -EOPNOTSUPP);
    ck_assert_int_eq(thi_sys_accept(a, NULL, NULL), -EOPNOTSUPP);
    ck_assert_int_eq(thi_sys_socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), -EPROTONOSUPPORT);
    thi_sys_close(a);
    thi_sys_close(b);
}

WORLD_TEST(a_fresh_socket_gets_a_port_when_it_sends)
{
    name to;
    int a = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    int b = open_dgram(&to);
    ck_assert_int_eq(name_of(a).in.sin_port, 0);
    ck_assert_int_eq(send_to(a, "x", 1, &to), 1);
    ck_assert_int_ne(name_of(a).in.sin_port, 0);
    expect(b, "x");
    ck_assert_int_eq(from.in.sin_port, name_of(a).in.sin_port);
    ck_assert_int_eq(from.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    thi_sys_close(a);
    thi_sys_close(b);
}

/* Datagrams have ports of their own; two of them share one only if both say so. */
WORLD_TEST(ports_are_shared_as_with_streams_and_not_with_streams)
{
    name at;
    int a = open_dgram(&at);
    int b = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    int c = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(thi_sys_bind(b, &at.sa, sizeof at.in), -EADDRINUSE);
    int shared = thi_sys_bind(c, &at.sa, sizeof at.in);
    ck_assert(shared == 0 || (!simulated && shared == -EADDRINUSE)); /* somebody else's stream */
    set(b, SOL_SOCKET, SO_REUSEPORT, 1);
    ck_assert_int_eq(thi_sys_bind(b, &at.sa, sizeof at.in), -EADDRINUSE);
    set(a, SOL_SOCKET, SO_REUSEPORT, 1); /* though it is bound already */
    ck_assert_int_eq(thi_sys_bind(b, &at.sa, sizeof at.in), 0);
    thi_sys_close(a);
    thi_sys_close(b);
    thi_sys_close(c);
}

WORLD_TEST(of_sockets_that_share_a_port_one_sender_has_one)
{
    name at;
    int fds[2] = { open_dgram(&at), thi_sys_socket(AF_INET, SOCK_DGRAM, 0) };
    set(fds[0], SOL_SOCKET, SO_REUSEPORT, 1);
    set(fds[1], SOL_SOCKET, SO_REUSEPORT, 1);
    ck_assert_int_eq(thi_sys_bind(fds[1], &at.sa, sizeof at.in), 0);
    for (int i = 0; i < 20; i++) {
        int counts[2] = { 0, 0 };
        int a = open_dgram(NULL);
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(send_to(a, "x", 1, &at), 1);
        for (int patience = 5000; counts[0] + counts[1] < 3 && patience > 0; patience--) {
            moment();
            for (int k = 0; k < 2; k++)
                while (receive(fds[k], 8) == 1)
                    counts[k]++;
        }
        ck_assert_int_eq(counts[0] + counts[1], 3);
        ck_assert(counts[0] == 0 || counts[1] == 0);
        thi_sys_close(a);
    }
    thi_sys_close(fds[0]);
    thi_sys_close(fds[1]);
}

WORLD_TEST(a_connected_socket_hears_its_peer_only_and_can_be_disconnected)
{
    name at_a, at_b, at_c;
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    name peer;
    socklen_t len = sizeof peer;
    int a = open_dgram(&at_a);
    int b = open_dgram(&at_b);
    int c = open_dgram(&at_c);
    ck_assert_int_eq(thi_sys_getpeername(a, &peer.sa, &len), -ENOTCONN);
    ck_assert_int_eq(thi_sys_connect(a, &at_b.sa, sizeof at_b.in), 0);
    len = sizeof peer;
    ck_assert_int_eq(thi_sys_getpeername(a, &peer.sa, &len), 0);
    ck_assert_int_eq(peer.in.sin_port, at_b.in.sin_port);
    ck_assert_int_eq(send_to(c, "not heard", 9, &at_a), 9);
    ck_assert_int_eq(send_to(b, "heard", 5, &at_a), 5);
    expect(a, "heard");
    ck_assert_int_eq(thi_sys_send(a, "out", 3, 0), 3);
    expect(b, "out");
    ck_assert_int_eq(thi_sys_connect(a, &none, sizeof none), 0);
    len = sizeof peer;
    ck_assert_int_eq(thi_sys_getpeername(a, &peer.sa, &len), -ENOTCONN);
    ck_assert_int_eq(thi_sys_send(a, "out", 3, 0), -EDESTADDRREQ);
    thi_sys_close(a);
    thi_sys_close(b);
    thi_sys_close(c);
}

static name dead_name(void)
{
    name at;
    thi_sys_close(open_dgram(&at));
    return at;
}

WORLD_TEST(a_dead_port_is_told_to_connected_sockets_once)
{
    name dead = dead_name();
    name at_b;
    int a = open_dgram(NULL);
    int b = open_dgram(&at_b);
    ck_assert_int_eq(send_to(b, "x", 1, &dead), 1); /* not connected: hears nothing */
    ck_assert_int_eq(thi_sys_connect(a, &dead.sa, sizeof dead.in), 0);
    ck_assert_int_eq(thi_sys_send(a, "x", 1, 0), 1);
    ck_assert_int_eq(once_ready(receive(a, 8)), -ECONNREFUSED);
    ck_assert_int_eq(receive(a, 8), -EAGAIN);
    moment();
    ck_assert_int_eq(receive(b, 8), -EAGAIN);
    ck_assert_int_eq(get(b, SOL_SOCKET, SO_ERROR), 0);
    thi_sys_close(a);
    thi_sys_close(b);
}

/* What came back, with where it was to go. */
static ssize_t receive_returned(int fd, struct sock_extended_err *ee)
{
    union {
        char buf[256];
        struct cmsghdr align;
    } control;
    struct iovec iov = { got, sizeof got };
    struct msghdr msg = { .msg_name = &from,
                          .msg_namelen = sizeof from,
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = thi_sys_recvmsg(fd, &msg, MSG_ERRQUEUE);
    if (n < 0)
        return n;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(c->cmsg_level, IPPROTO_IP);
    ck_assert_int_eq(c->cmsg_type, IP_RECVERR);
    memcpy(ee, CMSG_DATA(c), sizeof *ee);
    return n;
}

WORLD_TEST(what_comes_back_is_queued_for_who_wants_it)
{
    name dead[2] = { dead_name(), dead_name() };
    struct sock_extended_err ee;
    int a = open_dgram(NULL);
    set(a, IPPROTO_IP, IP_RECVERR, 1);
    ck_assert_int_eq(receive_returned(a, &ee), -EAGAIN);
    ck_assert_int_eq(send_to(a, "one", 3, &dead[0]), 3);
    ck_assert_int_eq(once_ready(receive_returned(a, &ee)), 3);
    ck_assert_int_eq(from.in.sin_port, dead[0].in.sin_port);
    ck_assert_uint_eq(ee.ee_errno, ECONNREFUSED);
    ck_assert_uint_eq(ee.ee_origin, SO_EE_ORIGIN_ICMP);
    ck_assert_mem_eq(got, "one", 3);
    ck_assert_int_eq(receive(a, 8), -EAGAIN); /* nothing is pending any more */
    ck_assert_int_eq(send_to(a, "two", 3, &dead[1]), 3);
    ck_assert_int_eq(once_ready(receive(a, 8)), -ECONNREFUSED);
    ck_assert_int_eq(receive_returned(a, &ee), 3);
    ck_assert_int_eq(from.in.sin_port, dead[1].in.sin_port);
    thi_sys_close(a);
}

WORLD_TEST(several_are_sent_and_received_with_one_call)
{
    enum { MANY = 5 };
    name to;
    char bufs[MANY][8];
    struct iovec out[MANY];
    struct iovec in[MANY];
    struct mmsghdr msgs[MANY];
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    for (int i = 0; i < MANY; i++) {
        out[i] = (struct iovec){ "abcdefgh", (size_t)i };
        msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &to,
                                                 .msg_namelen = sizeof to.in,
                                                 .msg_iov = &out[i],
                                                 .msg_iovlen = 1 } };
    }
    ck_assert_int_eq(thi_sys_sendmmsg(a, msgs, MANY, 0), MANY);
    for (int seen = 0; seen < MANY;) {
        for (int i = 0; i < MANY; i++) {
            in[i] = (struct iovec){ bufs[i], sizeof bufs[i] };
            msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &in[i], .msg_iovlen = 1 } };
        }
        ssize_t n = once_ready(thi_sys_recvmmsg(b, msgs, MANY, 0));
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++)
            ck_assert_uint_eq(msgs[i].msg_len, (unsigned)seen++);
    }
    ck_assert_int_eq(thi_sys_recvmmsg(b, msgs, MANY, 0), -EAGAIN);
    thi_sys_close(a);
    thi_sys_close(b);
}

WORLD_TEST(a_message_is_split_where_the_sender_wants_it)
{
    name to;
    union {
        char buf[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control;
    uint16_t segment = 4;
    int value = 0;
    socklen_t len = sizeof value;
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    if (thi_sys_getsockopt(a, IPPROTO_UDP, UDP_SEGMENT, &value, &len) < 0) {
        thi_check_skip(__func__, "this kernel does not split datagrams");
    } else {
        struct iovec iov[2] = { { "abc", 3 }, { "defghij", 7 } };
        struct msghdr msg = { .msg_name = &to,
                              .msg_namelen = sizeof to.in,
                              .msg_iov = iov,
                              .msg_iovlen = 2,
                              .msg_control = &control,
                              .msg_controllen = sizeof control };
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){ CMSG_LEN(sizeof segment), IPPROTO_UDP, UDP_SEGMENT };
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
        ck_assert_int_eq(thi_sys_sendmsg(a, &msg, 0), 10);
        expect(b, "abcd");
        expect(b, "efgh");
        expect(b, "ij");
    }
    thi_sys_close(a);
    thi_sys_close(b);
}

WORLD_TEST(what_a_receiver_has_no_room_for_is_lost)
{
    name to;
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    int count = 0;
    set(b, SOL_SOCKET, SO_RCVBUF, 8192);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(send_to(a, got, 1000, &to), 1000);
    for (int i = 0; i < 50; i++)
        moment();
    while (receive(b, sizeof got) == 1000)
        count++;
    ck_assert_int_gt(count, 2);
    ck_assert_int_lt(count, 100);
    thi_sys_close(a);
    thi_sys_close(b);
}

/* ---- ip6 and groups ---- */

WORLD_TEST(ip6_hears_ip4_unless_it_is_told_not_to)
{
    name at;
    name to;
    name six = { .in6 = { .sin6_family = AF_INET6 } };
    int a = open_dgram(&at);
    int b = thi_sys_socket(AF_INET6, SOCK_DGRAM, 0);
    set(b, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    ck_assert_int_eq(thi_sys_bind(b, &six.sa, sizeof six.in6), 0);
    to = loopback(ntohs(name_of(b).in6.sin6_port));
    ck_assert_int_eq(send_to(a, "four", 4, &to), 4);
    expect(b, "four");
    ck_assert_int_eq(from.sa.sa_family, AF_INET6);
    ck_assert(IN6_IS_ADDR_V4MAPPED(&from.in6.sin6_addr));
    ck_assert_int_eq(send_to(b, "back", 4, &from), 4);
    expect(a, "back");
    thi_sys_close(a);
    thi_sys_close(b);
}

/* The simulation has one interface and everybody in it; the kernel's loopback has groups enough. */
static struct group_source_req wish(bool with_source, uint32_t source)
{
    struct group_source_req w = { .gsr_interface = 1 };
    name group = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xef4d0708) } };
    name from_whom = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(source) } };
    memcpy(&w.gsr_group, &group, sizeof group.in);
    if (with_source)
        memcpy(&w.gsr_source, &from_whom, sizeof from_whom.in);
    return w;
}

static int change(int fd, int option, uint32_t source)
{
    struct group_source_req w = wish(source != 0, source);
    struct group_req any = { .gr_interface = w.gsr_interface, .gr_group = w.gsr_group };
    return source ? thi_sys_setsockopt(fd, IPPROTO_IP, option, &w, sizeof w)
                  : thi_sys_setsockopt(fd, IPPROTO_IP, option, &any, sizeof any);
}

static void is_heard(int a, int b, const name *group, bool heard)
{
    name direct = loopback(ntohs(group->in.sin_port));
    ck_assert_int_eq(send_to(a, "group", 5, group), 5);
    ck_assert_int_eq(send_to(a, "direct", 6, &direct), 6);
    if (heard)
        expect(b, "group");
    expect(b, "direct");
}

WORLD_TEST(a_group_is_heard_by_those_who_have_joined_it)
{
    SKIP_UNLESS(simulated || kernel_has_option(SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_ALL),
                "the kernel has no IP_MULTICAST_ALL");
    name any = { .in = { .sin_family = AF_INET } };
    struct ip_mreqn by = { .imr_ifindex = 1 };
    int a = open_dgram(NULL);
    int b = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    set(b, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    ck_assert_int_eq(thi_sys_bind(b, &any.sa, sizeof any.in), 0);
    ck_assert_int_eq(thi_sys_setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by), 0);
    name group = loopback(ntohs(name_of(b).in.sin_port));
    group.in.sin_addr.s_addr = htonl(0xef4d0708);
    is_heard(a, b, &group, false);
    ck_assert_int_eq(change(b, MCAST_LEAVE_GROUP, 0), -EADDRNOTAVAIL);
    ck_assert_int_eq(change(b, MCAST_JOIN_GROUP, 0), 0);
    ck_assert_int_eq(change(b, MCAST_JOIN_GROUP, 0), -EADDRINUSE);
    is_heard(a, b, &group, true);
    ck_assert_int_eq(change(b, MCAST_LEAVE_GROUP, 0), 0);
    is_heard(a, b, &group, false);
    ck_assert_int_eq(change(b, MCAST_JOIN_SOURCE_GROUP, 0x7f000002), 0);
    is_heard(a, b, &group, false);
    ck_assert_int_eq(change(b, MCAST_JOIN_SOURCE_GROUP, INADDR_LOOPBACK), 0);
    is_heard(a, b, &group, true);
    thi_sys_close(a);
    thi_sys_close(b);
}

/* ---- Unix sockets ---- */

static int open_unix(name *at, socklen_t *len)
{
    name any = { .un = { .sun_family = AF_UNIX } };
    int fd = thi_sys_socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_bind(fd, &any.sa, sizeof any.sa.sa_family), 0);
    *len = sizeof *at;
    ck_assert_int_eq(thi_sys_getsockname(fd, &at->sa, len), 0);
    return fd;
}

WORLD_TEST(unix_datagrams_wait_for_room)
{
    name at_a, at_b;
    socklen_t len_a, len_b;
    int a = open_unix(&at_a, &len_a);
    int b = open_unix(&at_b, &len_b);
    int sent = 0;
    ssize_t n;
    ck_assert_uint_eq(len_a, offsetof(struct sockaddr_un, sun_path) + 6);
    ck_assert_int_eq(at_a.un.sun_path[0], '\0');
    ck_assert_mem_ne(&at_a, &at_b, len_a);
    ck_assert_int_eq(thi_sys_send(a, "x", 1, 0), -ENOTCONN);
    ck_assert_int_eq(thi_sys_connect(a, &at_b.sa, len_b), 0);
    while ((n = thi_sys_send(a, "drop", 4, 0)) == 4)
        sent++;
    ck_assert_int_eq(n, -EAGAIN);
    for (int i = 0; i < sent; i++)
        expect(b, "drop");
    ck_assert_mem_eq(&from.un.sun_path, &at_a.un.sun_path, 6);
    ck_assert_int_eq(receive(b, 8), -EAGAIN);
    ck_assert_int_eq(once_ready(thi_sys_send(a, "more", 4, 0)), 4);
    expect(b, "more");
    thi_sys_close(b);
    b = thi_sys_socket(AF_UNIX, SOCK_DGRAM, 0); /* another one of the same name */
    ck_assert_int_eq(thi_sys_bind(b, &at_b.sa, len_b), 0);
    ck_assert_int_eq(thi_sys_send(a, "more", 4, 0), -ECONNREFUSED);
    ck_assert_int_eq(thi_sys_send(a, "more", 4, 0), -ENOTCONN);
    ck_assert_int_eq(thi_sys_connect(a, &at_b.sa, len_b), 0);
    ck_assert_int_eq(thi_sys_send(a, "more", 4, 0), 4);
    expect(b, "more");
    thi_sys_close(a);
    thi_sys_close(b);
}

/* ---- the simulation alone ---- */

START_TEST(the_end_of_a_world_frees_what_is_under_way)
{
    name to;
    int64_t live = thi_alloc_live();
    open_world(1);
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(send_to(a, "x", 1, &to), 1);
    moment();
    thi_sys_close(a);
    thi_sys_close(b);
    close_world();
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

START_TEST(without_memory_nothing_is_sent_and_nothing_is_left)
{
    name to;
    open_world(1);
    int a = open_dgram(NULL);
    int b = open_dgram(&to);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(send_to(a, "lost", 4, &to), -ENOMEM);
    (void)thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_sys_socket(AF_INET, SOCK_DGRAM, 0), -ENOMEM);
    (void)thi_alloc_fail_at(2);
    ck_assert_int_eq(thi_sys_socket(AF_INET, SOCK_DGRAM, 0), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_int_eq(send_to(a, "kept", 4, &to), 4);
    expect(b, "kept");
    thi_sys_close(a);
    thi_sys_close(b);
    close_world();
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ip4");
    tcase_add_loop_test(tcase, datagrams_keep_boundaries_and_sender, 0, SEEDS);
    tcase_add_loop_test(tcase, sizes_and_targets_are_checked, 0, SEEDS);
    tcase_add_loop_test(tcase, a_fresh_socket_gets_a_port_when_it_sends, 0, SEEDS);
    tcase_add_loop_test(tcase, ports_are_shared_as_with_streams_and_not_with_streams, 0, SEEDS);
    tcase_add_loop_test(tcase, of_sockets_that_share_a_port_one_sender_has_one, 0, SEEDS);
    tcase_add_loop_test(tcase, a_connected_socket_hears_its_peer_only_and_can_be_disconnected, 0,
                        SEEDS);
    tcase_add_loop_test(tcase, a_dead_port_is_told_to_connected_sockets_once, 0, SEEDS);
    tcase_add_loop_test(tcase, what_comes_back_is_queued_for_who_wants_it, 0, SEEDS);
    tcase_add_loop_test(tcase, several_are_sent_and_received_with_one_call, 0, SEEDS);
    tcase_add_loop_test(tcase, a_message_is_split_where_the_sender_wants_it, 0, SEEDS);
    tcase_add_loop_test(tcase, what_a_receiver_has_no_room_for_is_lost, 0, SEEDS);
    tcase = thi_check_case(suite, "ip6 and groups");
    tcase_add_loop_test(tcase, ip6_hears_ip4_unless_it_is_told_not_to, 0, SEEDS);
    tcase_add_loop_test(tcase, a_group_is_heard_by_those_who_have_joined_it, 0, SEEDS);
    tcase = thi_check_case(suite, "unix");
    tcase_add_loop_test(tcase, unix_datagrams_wait_for_room, 0, SEEDS);
    tcase = thi_check_case(suite, "the simulation");
    tcase_add_test(tcase, the_end_of_a_world_frees_what_is_under_way);
    tcase_add_test(tcase, without_memory_nothing_is_sent_and_nothing_is_left);
}

int main(void)
{
    return thi_check_run("loop/sim_dgram", fill_suite);
}
