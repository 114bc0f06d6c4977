/* SPDX-License-Identifier: MIT */

/*
 * Who is in which group. There is one network and one interface, so whichever is named is that one.
 *
 * As with Linux a socket hears of a group only what it has joined itself (IP_MULTICAST_ALL, which
 * is on there, would let it hear what others have joined: nobody should rely on that).
 */
#include "loop/sim_group.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

/* One that was joined. */
typedef struct membership {
    thi_list link; /* in mail->groups */
    thi_sim_addr group;
    thi_sim_addr source; /* of len 0: any */
} membership;

static bool is_broadcast(const thi_sim_addr *addr)
{
    return addr->u.sa.sa_family == AF_INET && addr->u.in.sin_addr.s_addr == htonl(INADDR_BROADCAST);
}

static bool is_multicast(const thi_sim_addr *addr)
{
    if (addr->u.sa.sa_family == AF_INET)
        return IN_MULTICAST(ntohl(addr->u.in.sin_addr.s_addr));
    return addr->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&addr->u.in6.sin6_addr);
}

bool thi_sim_group_is(const thi_sim_addr *addr)
{
    return is_broadcast(addr) || is_multicast(addr);
}

/* The same host, whatever the ports. */
static bool same_host(const thi_sim_addr *a, const thi_sim_addr *b)
{
    thi_sim_addr x = *a;
    thi_sim_addr y = *b;
    thi_sim_addr_set_port(&x, 0);
    thi_sim_addr_set_port(&y, 0);
    return thi_sim_addr_equal(&x, &y);
}

static membership *find(const thi_sim_endpoint *ep, const membership *like)
{
    thi_list_each (node, &ep->mail->groups) {
        membership *m = thi_list_item(node, membership, link);
        bool same_source =
            m->source.len == 0 ? like->source.len == 0 : same_host(&m->source, &like->source);
        if (same_host(&m->group, &like->group) && same_source)
            return m;
    }
    return NULL;
}

bool thi_sim_group_hears(const thi_sim_endpoint *ep, const thi_sim_letter *letter)
{
    if (!ep->mail || ep->family == AF_UNIX ||
        thi_sim_addr_port(&ep->local) != thi_sim_addr_port(&letter->to))
        return false;
    if (is_broadcast(&letter->to))
        return ep->family == AF_INET;
    thi_list_each (node, &ep->mail->groups) {
        const membership *m = thi_list_item(node, membership, link);
        if (same_host(&m->group, &letter->to) &&
            (m->source.len == 0 || same_host(&m->source, &letter->from)))
            return true;
    }
    return false;
}

bool thi_sim_group_is_option(int level, int name)
{
    return (level == IPPROTO_IP || level == IPPROTO_IPV6) &&
           (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP ||
            name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP);
}

static int read_membership(const thi_sim_endpoint *ep, const void *val, socklen_t n, membership *m)
{
    struct group_source_req wish;
    struct group_req any;
    bool has_source = n >= sizeof wish;
    if (n < sizeof any)
        return -EINVAL;
    memcpy(&any, val, sizeof any);
    if (!has_source)
        return thi_sim_addr_read((struct sockaddr *)&any.gr_group, sizeof(struct sockaddr_in6),
                                 ep->family, &m->group);
    memcpy(&wish, val, sizeof wish);
    int err = thi_sim_addr_read((struct sockaddr *)&wish.gsr_source, sizeof(struct sockaddr_in6),
                                ep->family, &m->source);
    return err < 0 ? err
                   : thi_sim_addr_read((struct sockaddr *)&wish.gsr_group,
                                       sizeof(struct sockaddr_in6), ep->family, &m->group);
}

int thi_sim_group_change(thi_sim_endpoint *ep, int name, const void *val, socklen_t n)
{
    membership wish = { .source.len = 0 };
    bool joins = name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP;
    int err = read_membership(ep, val, n, &wish);
    if (err < 0)
        return err;
    if (!is_multicast(&wish.group))
        return -EINVAL;
    membership *m = find(ep, &wish);
    if (!joins && !m)
        return -EADDRNOTAVAIL;
    if (!joins) {
        thi_list_remove(&m->link);
        thi_free(m);
        return 0;
    }
    if (m)
        return -EADDRINUSE;
    m = thi_alloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    *m = wish;
    thi_list_push_back(&ep->mail->groups, &m->link);
    return 0;
}

void thi_sim_group_clear(thi_sim_endpoint *ep)
{
    while (!thi_list_empty(&ep->mail->groups))
        thi_free(thi_list_item(thi_list_pop_front(&ep->mail->groups), membership, link));
}
