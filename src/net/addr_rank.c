/* SPDX-License-Identifier: MIT */

/*
 * The rules of RFC 6724, 6, as one number.
 *
 * For each destination the kernel is asked from which address it would call: a socket of datagrams
 * that is "connected" sends nothing, and has a name afterwards. Then the rules compare scopes,
 * labels, precedences and prefixes of both. Each takes some bits of the number, the earlier rules
 * the higher ones, so that comparing two numbers applies them in order.
 *
 * Left out are the rules that need to know more than sockets tell: deprecated source addresses (3),
 * mobile ones (4), encapsulation (7). Rule 9, the longest common prefix, is for IPv6 alone, and for
 * the upper half of its addresses, which says where a network is. Among addresses of IPv4 it would
 * undo what a name server does to spread its clients, and says nothing about distance.
 */
#include "net/addr_rank.h"

#include "base/util.h"
#include "loop/sim_world.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <errno.h>
#include <string.h>

/* From the lowest: 7 bits of prefix, 4 of scope, 6 of precedence, and one each. */
#define SCOPE      7
#define PRECEDENCE 11
#define LABEL      17
#define SAME_SCOPE 18
#define USABLE     19

#define PORT_NONE 9 /* "discard": the kernel wants one, and nothing is sent to it */

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

/* RFC 6724, 2.1. */
typedef struct policy {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t precedence;
    uint8_t label;
} policy;

/* The longest prefixes first. */
static const policy policies[] = {
    { { [15] = 1 }, 128, 50, 0 },         /* ::1 */
    { { [10] = 0xff, 0xff }, 96, 35, 4 }, /* ::ffff:0:0, which is IPv4 */
    { { 0 }, 96, 1, 3 },                  /* ::a.b.c.d, long since given up */
    { { 0x20, 0x01, 0, 0 }, 32, 5, 5 },   /* Teredo */
    { { 0x20, 0x02 }, 16, 30, 2 },        /* 6to4 */
    { { 0x3f, 0xfe }, 16, 1, 12 },        /* 6bone */
    { { 0xfe, 0xc0 }, 10, 1, 11 },        /* site-local */
    { { 0xfc }, 7, 3, 13 },               /* unique local */
    { { 0 }, 0, 40, 1 },
};

/* IPv4 as IPv6 has it. */
static void widen(const th_addr *addr, uint8_t ip[static 16])
{
    memset(ip, 0, 16);
    if (addr->kind == TH_ADDR_IP6) {
        memcpy(ip, addr->ip, 16);
        return;
    }
    ip[10] = ip[11] = 0xff;
    memcpy(ip + 12, addr->ip, 4);
}

static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned most)
{
    unsigned n = 0;
    while (n < most && !((a[n / 8] ^ b[n / 8]) & (0x80 >> n % 8)))
        n++;
    return n;
}

static const policy *policy_of(const uint8_t ip[static 16])
{
    const policy *p = policies;
    while (common_bits(ip, p->prefix, p->bits) < p->bits)
        p++;
    return p;
}

/* RFC 6724, 3.1 and 3.2; private addresses of IPv4 are global there. */
static unsigned scope_of(const uint8_t ip[static 16])
{
    static const uint8_t loopback[16] = { [15] = 1 };
    if (ip[0] == 0xff)
        return ip[1] & 0xf;
    if (ip[10] == 0xff && common_bits(ip, policies[1].prefix, 96) == 96)
        return ip[12] == 127 || (ip[12] == 169 && ip[13] == 254) ? SCOPE_LINK : SCOPE_GLOBAL;
    if (memcmp(ip, loopback, 16) == 0 || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80))
        return SCOPE_LINK;
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

thi_addr_rank thi_addr_rank_of(const th_addr *to, const th_addr *source)
{
    uint8_t dst[16];
    uint8_t src[16];
    widen(to, dst);
    const policy *p = policy_of(dst);
    unsigned scope = scope_of(dst);
    bool usable = !source || source->kind != TH_ADDR_NONE;
    bool same_scope = usable;
    bool same_label = usable;
    unsigned prefix = 0;
    if (source && usable) {
        widen(source, src);
        same_scope = scope_of(src) == scope;
        same_label = policy_of(src)->label == p->label;
        if (to->kind == TH_ADDR_IP6)
            prefix = common_bits(dst, src, 64);
    }
    return (uint32_t)usable << USABLE | (uint32_t)same_scope << SAME_SCOPE |
           (uint32_t)same_label << LABEL | (uint32_t)p->precedence << PRECEDENCE |
           (15 - scope) << SCOPE | prefix;
}

/* ---- on this machine ---- */

/* Errors that are about the way to an address, and not about the asking. */
static bool is_no_way(int err)
{
    return err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EADDRNOTAVAIL ||
           err == -EAFNOSUPPORT || err == -EINVAL || err == -EACCES || err == -EPERM ||
           err == -ENETDOWN || err == -EPROTONOSUPPORT;
}

static int ask(int fd, const th_addr *to, const char *device, th_addr *source)
{
    thi_sockaddr sa;
    th_addr target = *to;
    target.port = PORT_NONE;
    int err = 0;
    if (device)
        err = thi_sys_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
                                 (socklen_t)strlen(device) + 1);
    if (err == 0) {
        socklen_t len = thi_addr_to_sockaddr(&target, &sa);
        err = thi_sys_connect(fd, &sa.sa, len);
    }
    socklen_t len = sizeof sa;
    if (err == 0)
        err = thi_sys_getsockname(fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, source);
    return err;
}

/* In a simulation this machine has whichever address is meant. */
bool thi_addr_source(const th_addr *to, const char *device, th_addr *source)
{
    if (thi_sim_self) {
        *source = *to;
        return true;
    }
    int fd = thi_sys_socket(thi_addr_family(to), SOCK_DGRAM, 0);
    int err = fd < 0 ? fd : ask(fd, to, device, source);
    if (fd >= 0)
        (void)thi_sys_close(fd);
    if (err < 0)
        *source = (th_addr){ .kind = TH_ADDR_NONE };
    return err == 0 || is_no_way(err);
}

thi_addr_rank thi_addr_rank_here(const th_addr *to, const th_addr *source, const char *device)
{
    th_addr found;
    if (source->kind != TH_ADDR_NONE)
        return thi_addr_rank_of(to, source);
    return thi_addr_rank_of(to, thi_addr_source(to, device, &found) ? &found : NULL);
}

/* There are few, and in order they are most of the time. */
void thi_addr_sort(th_addr *addrs, size_t count, const th_addr *source, const char *device)
{
    thi_addr_rank ranks[THI_ADDR_SORT_MAX];
    for (size_t i = 0; count > 1 && i < count; i++) {
        th_addr addr = addrs[i];
        thi_addr_rank rank = thi_addr_rank_here(&addr, source, device);
        size_t at = i;
        for (; at > 0 && ranks[at - 1] < rank; at--) {
            addrs[at] = addrs[at - 1];
            ranks[at] = ranks[at - 1];
        }
        addrs[at] = addr;
        ranks[at] = rank;
    }
}
