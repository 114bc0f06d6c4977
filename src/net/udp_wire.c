/* SPDX-License-Identifier: MIT */

/* Reading and writing the control messages of datagrams. */
#include "net/udp_wire.h"

#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>

/* ---- reading ---- */

static void read_pktinfo4(const struct cmsghdr *c, th_dgram *d, th_addr *local)
{
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    *local = (th_addr){ .kind = TH_ADDR_IP4 };
    memcpy(local->ip, &info.ipi_addr, 4);
    d->interface = (uint32_t)info.ipi_ifindex;
    d->local = local;
}

static void read_pktinfo6(const struct cmsghdr *c, th_dgram *d, th_addr *local)
{
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    *local = (th_addr){ .kind = TH_ADDR_IP6 };
    memcpy(local->ip, &info.ipi6_addr, 16);
    d->interface = (uint32_t)info.ipi6_ifindex;
    d->local = local;
}

/* One byte for the service class over IPv4, an int for everything else. */
static uint8_t read_byte(const struct cmsghdr *c)
{
    int value = 0;
    if (c->cmsg_len < CMSG_LEN(sizeof value))
        return *CMSG_DATA(c);
    memcpy(&value, CMSG_DATA(c), sizeof value);
    return (uint8_t)value;
}

static void read_one(const struct cmsghdr *c, th_dgram *d, th_addr *local)
{
    bool ip4 = c->cmsg_level == IPPROTO_IP;
    if (!ip4 && c->cmsg_level != IPPROTO_IPV6)
        return;
    if (ip4 && c->cmsg_type == IP_PKTINFO) {
        read_pktinfo4(c, d, local);
    } else if (!ip4 && c->cmsg_type == IPV6_PKTINFO) {
        read_pktinfo6(c, d, local);
    } else if (c->cmsg_type == (ip4 ? IP_TOS : IPV6_TCLASS)) {
        d->tos = read_byte(c);
        d->flags |= TH_DGRAM_TOS;
    } else if (c->cmsg_type == (ip4 ? IP_TTL : IPV6_HOPLIMIT)) {
        d->ttl = read_byte(c);
        d->flags |= TH_DGRAM_TTL;
    }
}

size_t thi_udp_read_told(struct msghdr *msg, th_dgram *d, th_addr *local)
{
    int segment = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
        else
            read_one(c, d, local);
    }
    return segment > 0 ? (size_t)segment : 0;
}

/* ---- writing ---- */

static void append(struct msghdr *msg, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    msg->msg_controllen += CMSG_SPACE(size);
}

/* What was sent to a group cannot be answered as from the group. */
static bool can_be_source(const th_addr *local)
{
    if (!local)
        return false;
    if (local->kind == TH_ADDR_IP4)
        return local->ip[0] < 224;
    return local->kind == TH_ADDR_IP6 && local->ip[0] != 0xff;
}

static bool is_link_local(const th_addr *local)
{
    return local->kind == TH_ADDR_IP6 && local->ip[0] == 0xfe && (local->ip[1] & 0xc0) == 0x80;
}

/*
 * An address of this machine decides the way by itself: an answer may have to leave by another
 * interface than the one the question came through. A group's and a link-local one do not.
 */
static void append_source(struct msghdr *msg, const th_dgram *d, int family)
{
    bool named = can_be_source(d->local);
    uint32_t interface = named && !is_link_local(d->local) ? 0 : d->interface;
    if (named ? d->local->kind == TH_ADDR_IP4 : family == AF_INET) {
        struct in_pktinfo info = { .ipi_ifindex = (int)interface };
        if (named)
            memcpy(&info.ipi_spec_dst, d->local->ip, 4);
        append(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = { .ipi6_ifindex = interface };
        if (named)
            memcpy(&info.ipi6_addr, d->local->ip, 16);
        append(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void thi_udp_write_wish(struct msghdr *msg, thi_udp_wish *wish, const th_dgram *d, int family,
                        uint16_t segment)
{
    msg->msg_control = wish;
    msg->msg_controllen = 0;
    if (family != AF_UNIX && (d->local || d->interface > 0))
        append_source(msg, d, family);
    if (segment > 0)
        append(msg, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    if (msg->msg_controllen == 0)
        msg->msg_control = NULL;
}
