/* SPDX-License-Identifier: MIT */

/* Reading, writing and comparing of addresses. */
#include "loop/sim_addr.h"

#include "base/util.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static socklen_t size_of(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int thi_sim_addr_read(const struct sockaddr *sa, socklen_t n, int family, thi_sim_addr *addr)
{
    thi_sim_addr read = { .len = n };
    if (!sa)
        return -EFAULT;
    if (n < sizeof(sa_family_t) || n > sizeof read.u)
        return -EINVAL;
    memcpy(&read.u, sa, n);
    if (read.u.sa.sa_family != family)
        return family == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
    if (family != AF_UNIX) {
        if (n < size_of(family))
            return -EINVAL;
        read.len = size_of(family);
    } else if (n == sizeof(sa_family_t)) {
        return -EINVAL;
    } else if (read.u.un.sun_path[0] != '\0') { /* a path ends at its NUL: unix(7) */
        size_t at = offsetof(struct sockaddr_un, sun_path);
        read.len = (socklen_t)(at + strnlen(read.u.un.sun_path, n - at));
    }
    *addr = read;
    return 0;
}

void thi_sim_addr_write(const thi_sim_addr *addr, int family, struct sockaddr *sa, socklen_t *n)
{
    thi_sim_addr given = *addr;
    if (given.len == 0) { /* an unnamed socket has a family all the same */
        given = thi_sim_addr_any(family);
        given.len = family == AF_UNIX ? sizeof(sa_family_t) : given.len;
    } else if (family == AF_UNIX && given.u.un.sun_path[0] != '\0' &&
               given.len < sizeof given.u.un) {
        given.len++; /* the kernel counts the NUL of a path, where it has room for one */
    }
    if (sa)
        memcpy(sa, &given.u, thi_min(*n, given.len));
    if (n)
        *n = given.len;
}

uint16_t thi_sim_addr_port(const thi_sim_addr *addr)
{
    if (addr->u.sa.sa_family == AF_INET)
        return ntohs(addr->u.in.sin_port);
    return addr->u.sa.sa_family == AF_INET6 ? ntohs(addr->u.in6.sin6_port) : 0;
}

void thi_sim_addr_set_port(thi_sim_addr *addr, uint16_t port)
{
    if (addr->u.sa.sa_family == AF_INET)
        addr->u.in.sin_port = htons(port);
    else if (addr->u.sa.sa_family == AF_INET6)
        addr->u.in6.sin6_port = htons(port);
}

thi_sim_addr thi_sim_addr_any(int family)
{
    thi_sim_addr any = { .len = size_of(family) };
    any.u.sa.sa_family = (sa_family_t)family;
    return any;
}

bool thi_sim_addr_is_any(const thi_sim_addr *addr)
{
    if (addr->u.sa.sa_family == AF_INET)
        return addr->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
    return addr->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->u.in6.sin6_addr);
}

void thi_sim_addr_aim(thi_sim_addr *addr)
{
    if (!thi_sim_addr_is_any(addr))
        return;
    if (addr->u.sa.sa_family == AF_INET)
        addr->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        addr->u.in6.sin6_addr = in6addr_loopback;
}

static bool same_host(const thi_sim_addr *a, const thi_sim_addr *b)
{
    if (a->u.sa.sa_family == AF_INET)
        return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
    return memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, sizeof a->u.in6.sin6_addr) == 0;
}

bool thi_sim_addr_equal(const thi_sim_addr *a, const thi_sim_addr *b)
{
    if (a->len == 0 || b->len == 0 || a->u.sa.sa_family != b->u.sa.sa_family)
        return false;
    if (a->u.sa.sa_family == AF_UNIX)
        return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
    return thi_sim_addr_port(a) == thi_sim_addr_port(b) && same_host(a, b);
}

int thi_sim_addr_match(const thi_sim_addr *own, bool v6_only, const thi_sim_addr *target)
{
    if (thi_sim_addr_equal(own, target))
        return 3;
    if (own->len == 0 || own->u.sa.sa_family == AF_UNIX ||
        thi_sim_addr_port(own) != thi_sim_addr_port(target) || !thi_sim_addr_is_any(own))
        return 0;
    if (own->u.sa.sa_family == target->u.sa.sa_family)
        return 2;
    return own->u.sa.sa_family == AF_INET6 && target->u.sa.sa_family == AF_INET && !v6_only;
}

thi_sim_addr thi_sim_addr_mapped(const thi_sim_addr *addr)
{
    if (addr->u.sa.sa_family != AF_INET)
        return *addr;
    thi_sim_addr mapped = thi_sim_addr_any(AF_INET6);
    mapped.u.in6.sin6_port = addr->u.in.sin_port;
    mapped.u.in6.sin6_addr.s6_addr[10] = 0xff;
    mapped.u.in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.u.in6.sin6_addr.s6_addr[12], &addr->u.in.sin_addr, 4);
    return mapped;
}
