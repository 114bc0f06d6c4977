/* SPDX-License-Identifier: MIT */

/*
 * Options of datagram sockets, and multicast.
 *
 * The same wish has a name in IPv4 and another in IPv6, and some take other types there. The table
 * says which; groups are joined by the calls that both have in common (RFC 3678).
 */
#include "net/udp.h"

#include "base/error.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/str.h>

#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* ---- options ---- */

/* How the kernel calls an option; name -1: it does not have it. */
typedef struct naming {
    int level;
    int name;
} naming;

typedef struct option {
    int least;
    int most;
    naming ip4;
    naming ip6;
} option;

static const option options[] = {
    [TH_UDP_TTL] = { 1, 255, { IPPROTO_IP, IP_TTL }, { IPPROTO_IPV6, IPV6_UNICAST_HOPS } },
    [TH_UDP_TOS] = { 0, 255, { IPPROTO_IP, IP_TOS }, { IPPROTO_IPV6, IPV6_TCLASS } },
    [TH_UDP_BROADCAST] = { 0, 1, { SOL_SOCKET, SO_BROADCAST }, { SOL_SOCKET, SO_BROADCAST } },
    [TH_UDP_MULTICAST_TTL] = { 0,
                               255,
                               { IPPROTO_IP, IP_MULTICAST_TTL },
                               { IPPROTO_IPV6, IPV6_MULTICAST_HOPS } },
    [TH_UDP_MULTICAST_LOOP] = { 0,
                                1,
                                { IPPROTO_IP, IP_MULTICAST_LOOP },
                                { IPPROTO_IPV6, IPV6_MULTICAST_LOOP } },
    [TH_UDP_MULTICAST_INTERFACE] = { 0,
                                     INT_MAX,
                                     { IPPROTO_IP, IP_MULTICAST_IF },
                                     { IPPROTO_IPV6, IPV6_MULTICAST_IF } },
    [TH_UDP_DONT_FRAGMENT] = { 0,
                               1,
                               { IPPROTO_IP, IP_MTU_DISCOVER },
                               { IPPROTO_IPV6, IPV6_MTU_DISCOVER } },
    [TH_UDP_RECV_BUFFER] = { 1, INT_MAX, { SOL_SOCKET, SO_RCVBUF }, { SOL_SOCKET, SO_RCVBUF } },
    [TH_UDP_SEND_BUFFER] = { 1, INT_MAX, { SOL_SOCKET, SO_SNDBUF }, { SOL_SOCKET, SO_SNDBUF } },
};

static int find_option(const th_udp *u, enum th_udp_option which, const option **found)
{
    if ((unsigned)which >= sizeof options / sizeof *options)
        return -EINVAL;
    if (u->closed)
        return -EBADF;
    *found = &options[which];
    if (u->family == AF_UNIX && (*found)->ip4.level != SOL_SOCKET)
        return -EOPNOTSUPP;
    return u->family == AF_UNIX && which == TH_UDP_BROADCAST ? -EOPNOTSUPP : 0;
}

/* What the kernel is told for a value. */
static int to_kernel(enum th_udp_option which, int value)
{
    if (which == TH_UDP_DONT_FRAGMENT) /* the same numbers in IPv6 */
        return value ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
    return value;
}

static int from_kernel(enum th_udp_option which, int value)
{
    return which == TH_UDP_DONT_FRAGMENT ? value == IP_PMTUDISC_DO : value;
}

int th_udp_set(th_udp *u, enum th_udp_option which, int value)
{
    const option *o = NULL;
    int err = find_option(u, which, &o);
    if (err == 0 && (value < o->least || value > o->most))
        err = -EINVAL;
    if (err < 0)
        return thi_err_clear(err);
    const naming *name = u->family == AF_INET6 ? &o->ip6 : &o->ip4;
    struct ip_mreqn by_number = { .imr_ifindex = value };
    int number = to_kernel(which, value);
    if (which == TH_UDP_MULTICAST_INTERFACE && u->family == AF_INET)
        err =
            thi_sys_setsockopt(u->watch.fd, name->level, name->name, &by_number, sizeof by_number);
    else
        err = thi_sys_setsockopt(u->watch.fd, name->level, name->name, &number, sizeof number);
    /* For IPv4 the kernel says of an interface that does not exist that it has no address. */
    if (which == TH_UDP_MULTICAST_INTERFACE && err == -EADDRNOTAVAIL)
        err = -ENODEV;
    return (int)thi_err_plain(err);
}

int th_udp_get(const th_udp *u, enum th_udp_option which, int *value)
{
    const option *o = NULL;
    int err = find_option(u, which, &o);
    if (err == 0 && !value)
        err = -EINVAL;
    if (err == 0 && which == TH_UDP_MULTICAST_INTERFACE && u->family == AF_INET)
        err = -EOPNOTSUPP; /* Linux tells its address only */
    if (err < 0)
        return thi_err_clear(err);
    const naming *name = u->family == AF_INET6 ? &o->ip6 : &o->ip4;
    int number = 0;
    socklen_t len = sizeof number;
    err = thi_sys_getsockopt(u->watch.fd, name->level, name->name, &number, &len);
    if (err < 0)
        return thi_err_clear(err);
    *value = from_kernel(which, number);
    return 0;
}

/* ---- multicast ---- */

/* Reads a numeric address of the family, without a port. */
static int read_host(int family, const char *text, thi_sockaddr *sa)
{
    th_addr addr = { .kind = family == AF_INET ? TH_ADDR_IP4 : TH_ADDR_IP6 };
    if (inet_pton(family, text, addr.ip) != 1)
        return thi_err_set(TH_EADDRESS, "'%.60s' is no IPv%d address", text,
                           family == AF_INET ? 4 : 6);
    (void)thi_addr_to_sockaddr(&addr, sa);
    return 0;
}

static bool is_group(const thi_sockaddr *sa)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    return sa->sa.sa_family == AF_INET ? IN_MULTICAST(ntohl(in->sin_addr.s_addr))
                                       : IN6_IS_ADDR_MULTICAST(&in6->sin6_addr);
}

/* 0 stands for no interface in particular. */
static int read_interface(const char *text, uint32_t *interface)
{
    uint64_t n = 0;
    if (text && th_str_to_u64((th_str){ text, strlen(text) }, &n) < 0) {
        n = if_nametoindex(text);
        if (n == 0)
            return thi_err_set(-ENODEV, "there is no interface '%.40s'", text);
    }
    if (n > INT_MAX)
        return thi_err_set(-ENODEV, "there is no interface '%.40s'", text);
    *interface = (uint32_t)n;
    return 0;
}

/* The two calls that join, or the two that leave. */
typedef struct membership {
    int any;
    int source;
} membership;

static int change(th_udp *u, const membership *how, const struct group_source_req *wish,
                  bool has_source)
{
    int level = u->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    struct group_req any = { .gr_interface = wish->gsr_interface };
    if (has_source)
        return thi_sys_setsockopt(u->watch.fd, level, how->source, wish, sizeof *wish);
    memcpy(&any.gr_group, &wish->gsr_group, sizeof any.gr_group);
    return thi_sys_setsockopt(u->watch.fd, level, how->any, &any, sizeof any);
}

static int read_and_change(th_udp *u, const membership *how, const char *group, const char *source,
                           const char *interface)
{
    struct group_source_req wish = { .gsr_interface = 0 };
    thi_sockaddr sa = { .sa = { .sa_family = AF_UNSPEC } };
    int err = read_interface(interface, &wish.gsr_interface);
    if (err == 0)
        err = read_host(u->family, group, &sa);
    if (err < 0)
        return err;
    if (!is_group(&sa))
        return thi_err_set(TH_EADDRESS, "'%.60s' is no multicast group", group);
    memcpy(&wish.gsr_group, &sa.storage, sizeof wish.gsr_group);
    err = source ? read_host(u->family, source, &sa) : 0;
    if (err < 0)
        return err;
    if (source)
        memcpy(&wish.gsr_source, &sa.storage, sizeof wish.gsr_source);
    err = change(u, how, &wish, source != NULL);
    return err < 0 ? thi_err_set(err, "multicast group %.60s", group) : 0;
}

static int change_membership(th_udp *u, const membership *how, const char *group,
                             const char *source, const char *interface)
{
    if (!group)
        return thi_err_clear(-EINVAL);
    if (u->closed)
        return thi_err_clear(-EBADF);
    if (u->family == AF_UNIX)
        return thi_err_clear(-EOPNOTSUPP);
    return read_and_change(u, how, group, source, interface);
}

int th_udp_join(th_udp *u, const char *group, const char *source, const char *interface)
{
    static const membership joining = { MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP };
    return change_membership(u, &joining, group, source, interface);
}

int th_udp_leave(th_udp *u, const char *group, const char *source, const char *interface)
{
    static const membership leaving = { MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP };
    return change_membership(u, &leaving, group, source, interface);
}
