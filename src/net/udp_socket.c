/* SPDX-License-Identifier: MIT */

/*
 * Making datagram sockets.
 *
 * SO_REUSEADDR is not set unless asked for: for UDP it would let any other socket of this machine
 * take the traffic away (socket(7)).
 */
#include "net/udp_socket.h"

#include "base/error.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "net/tune.h"
#include "sys/sys.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#define TELL_ALL (TH_UDP_TELL_LOCAL | TH_UDP_TELL_TOS | TH_UDP_TELL_TTL)

int thi_udp_address(const char *text, th_addr *addr)
{
    if (strcmp(text, "unix:") == 0) {
        *addr = (th_addr){ .kind = TH_ADDR_UNIX };
        return 0;
    }
    return th_addr_parse(strncmp(text, "udp://", 6) == 0 ? text + 6 : text, addr);
}

int thi_udp_say(int err, const char *where, const char *address)
{
    const char *said = th_err_detail();
    if (*said)
        return thi_err_set(err, "no datagram socket %s %.100s: %s", where, address, said);
    return thi_err_set(err, "no datagram socket %s %.100s", where, address);
}

bool thi_udp_opts_valid(const th_udp_opts *opts)
{
    return !opts || (opts->size <= sizeof *opts && (opts->tell & ~(unsigned)TELL_ALL) == 0 &&
                     (!opts->device || strlen(opts->device) < IFNAMSIZ));
}

/* ---- options ---- */

static int switch_on(int fd, int level, int name)
{
    int one = 1;
    return thi_sys_setsockopt(fd, level, name, &one, sizeof one);
}

/* An option that IPv4 and IPv6 have under names of their own. */
typedef struct twofold {
    int wanted;
    int ip4;
    int ip6;
} twofold;

/* An IPv6 socket may meet IPv4 as well; where it cannot, nothing is lost by asking. */
static int switch_on_twofold(int fd, int family, const twofold *option)
{
    if (family == AF_INET)
        return switch_on(fd, IPPROTO_IP, option->ip4);
    (void)switch_on(fd, IPPROTO_IP, option->ip4);
    return switch_on(fd, IPPROTO_IPV6, option->ip6);
}

static int set_ip_options(int fd, int family, const th_udp_opts *opts)
{
    const twofold twofolds[] = {
        { opts->tell & TH_UDP_TELL_LOCAL, IP_PKTINFO, IPV6_RECVPKTINFO },
        { opts->tell & TH_UDP_TELL_TOS, IP_RECVTOS, IPV6_RECVTCLASS },
        { opts->tell & TH_UDP_TELL_TTL, IP_RECVTTL, IPV6_RECVHOPLIMIT },
        { opts->errors, IP_RECVERR, IPV6_RECVERR },
    };
    int err = 0;
    for (size_t i = 0; i < sizeof twofolds / sizeof *twofolds && err == 0; i++)
        if (twofolds[i].wanted)
            err = switch_on_twofold(fd, family, &twofolds[i]);
    if (err == 0 && opts->broadcast)
        err = switch_on(fd, SOL_SOCKET, SO_BROADCAST);
    if (err == 0 && opts->reuse_addr)
        err = switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (err == 0 && opts->device)
        err = thi_sys_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, opts->device,
                                 (socklen_t)strlen(opts->device));
    if (err == 0 && opts->coalesce) /* a kernel that cannot hands over one by one */
        (void)switch_on(fd, IPPROTO_UDP, UDP_GRO);
    return err;
}

/* On Linux a socket hears of every group that anybody on the machine has joined, unless told. */
static void hear_own_groups_only(int fd, int family)
{
    int all = 0;
    (void)thi_sys_setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &all, sizeof all);
    if (family == AF_INET6)
        (void)thi_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &all, sizeof all);
}

static int set_options(int fd, int family, const th_udp_opts *opts)
{
    static const th_udp_opts defaults;
    if (family == AF_UNIX)
        return 0;
    opts = opts ? opts : &defaults;
    hear_own_groups_only(fd, family);
    if (family == AF_INET6) {
        int only = !opts->dual_stack;
        int err = thi_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
        if (err < 0)
            return err;
    }
    return set_ip_options(fd, family, opts);
}

int thi_udp_socket(int family, const th_udp_opts *opts)
{
    int fd = thi_sys_socket(family, SOCK_DGRAM, 0);
    if (fd < 0)
        return thi_err_clear(fd);
    int err = (int)thi_err_plain(set_options(fd, family, opts));
    if (err == 0 && opts && opts->tune)
        err = thi_tune_apply(fd, opts->tune);
    if (err < 0) {
        thi_sys_close(fd);
        return err;
    }
    return fd;
}

/* The rest of the options, those of a socket that is bound. */
static int fit(int fd, const th_udp_opts *opts, th_addr *addr)
{
    int err = thi_udp_name(fd, addr);
    if (err == 0 && addr->kind == TH_ADDR_NONE)
        err = -EPROTOTYPE;
    if (err < 0 || addr->kind == TH_ADDR_UNIX)
        return thi_err_clear(err);
    int family = thi_addr_family(addr);
    hear_own_groups_only(fd, family);
    err = opts ? set_ip_options(fd, family, opts) : 0;
    if (err < 0)
        return thi_err_clear(err);
    return opts && opts->tune ? thi_tune_apply(fd, opts->tune) : 0;
}

int thi_udp_inherit(const char *address, const th_udp_opts *opts, th_addr *addr)
{
    if (opts && (opts->reuse_addr || opts->dual_stack || opts->device || opts->mode))
        return thi_err_set(-EINVAL, "%.100s is bound already, with its own mode and options",
                           address);
    int fd = thi_inherit_take(address, SOCK_DGRAM);
    if (fd < 0)
        return fd;
    int err = fit(fd, opts, addr);
    if (err < 0) { /* it stays whose it was */
        thi_inherit_release(fd);
        return thi_udp_say(err, "at", address);
    }
    return fd;
}

/* ---- addresses ---- */

int thi_udp_name(int fd, th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = thi_sys_getsockname(fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return err;
}

int thi_udp_bind(int fd, const th_udp_opts *opts, th_addr *addr, thi_sockfile *file)
{
    thi_sockaddr sa;
    if (thi_sockfile_is_path(addr))
        return thi_sockfile_bind(file, fd, SOCK_DGRAM, addr, opts ? opts->mode : 0);
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int err = thi_sys_bind(fd, &sa.sa, len);
    return err < 0 ? err : thi_udp_name(fd, addr);
}

static bool is_unspecified(const th_addr *addr)
{
    static const uint8_t zero[16];
    return (addr->kind == TH_ADDR_IP4 && memcmp(addr->ip, zero, 4) == 0) ||
           (addr->kind == TH_ADDR_IP6 && memcmp(addr->ip, zero, 16) == 0);
}

/*
 * Without a peer a socket is as it was bound. One that the system chose the port for loses it by
 * that (udp_disconnect() in the kernel), so it is bound to it again.
 */
static int aim_at_nobody(int fd)
{
    const struct sockaddr none = { .sa_family = AF_UNSPEC };
    th_addr before = { .kind = TH_ADDR_NONE };
    th_addr after = { .kind = TH_ADDR_NONE };
    int err = thi_udp_name(fd, &before);
    if (err == 0)
        err = thi_sys_connect(fd, &none, sizeof none);
    if (err == 0)
        err = thi_udp_name(fd, &after);
    if (err < 0 || before.kind == TH_ADDR_UNIX || after.port == before.port)
        return err;
    thi_sockaddr sa;
    after.port = before.port;
    return thi_sys_bind(fd, &sa.sa, thi_addr_to_sockaddr(&after, &sa));
}

int thi_udp_aim(int fd, const th_addr *peer)
{
    thi_sockaddr sa;
    if (!peer)
        return aim_at_nobody(fd);
    th_addr addr = *peer;
    if (is_unspecified(&addr)) { /* made explicit, since systems differ */
        addr.ip[0] = addr.kind == TH_ADDR_IP4 ? 127 : 0;
        addr.ip[addr.kind == TH_ADDR_IP4 ? 3 : 15] = 1;
    }
    return thi_sys_connect(fd, &sa.sa, thi_addr_to_sockaddr(&addr, &sa));
}
