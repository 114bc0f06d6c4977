/* SPDX-License-Identifier: MIT */

/*
 * Lists of networks.
 *
 * A network must be exact: bits beyond its prefix are refused, because 10.0.0.1/8 in a list of whom
 * to believe means somebody erred, and believing more than was meant is the worse way to err.
 */
#include "net/networks.h"

#include "base/alloc.h"
#include "base/error.h"

#include <thrum/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static void keep_bits(uint8_t ip[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * i : 0;
        if (kept < 8)
            ip[i] &= (uint8_t)(0xff00u >> kept);
    }
}

thi_network thi_network_of(const th_addr *addr, unsigned bits4, unsigned bits6)
{
    thi_network n = { .kind = (uint8_t)addr->kind };
    if (addr->kind == TH_ADDR_IP6 && memcmp(addr->ip, mapped, sizeof mapped) == 0) {
        n.kind = TH_ADDR_IP4;
        memcpy(n.ip, addr->ip + sizeof mapped, 4);
    } else if (addr->kind == TH_ADDR_IP4) {
        memcpy(n.ip, addr->ip, 4);
    } else if (addr->kind == TH_ADDR_IP6) {
        memcpy(n.ip, addr->ip, 16);
    }
    n.bits = (uint8_t)(n.kind == TH_ADDR_IP4 ? bits4 : n.kind == TH_ADDR_IP6 ? bits6 : 0);
    keep_bits(n.ip, n.bits);
    return n;
}

bool thi_networks_have(const thi_networks *networks, const th_addr *addr)
{
    for (size_t i = 0; i < networks->count; i++) {
        const thi_network *n = &networks->list[i];
        thi_network own = thi_network_of(addr, n->bits, n->bits);
        if (own.kind == n->kind && memcmp(own.ip, n->ip, sizeof own.ip) == 0)
            return true;
    }
    return false;
}

static bool read_bits(th_str text, unsigned max, uint8_t *bits)
{
    uint64_t n;
    if (th_str_to_u64(text, &n) < 0 || n > max)
        return false;
    *bits = (uint8_t)n;
    return true;
}

static int parse_one(th_str item, thi_network *n)
{
    char ip[INET6_ADDRSTRLEN];
    uint8_t before[16];
    const char *slash = memchr(item.ptr, '/', item.len);
    size_t len = slash ? (size_t)(slash - item.ptr) : item.len;
    *n = (thi_network){ .kind = TH_ADDR_UNIX };
    if (th_str_eq(item, TH_STR("unix")))
        return 0;
    if (len >= sizeof ip)
        return thi_err_set(TH_EADDRESS, "'%.*s' is no network", 60, item.ptr);
    memcpy(ip, item.ptr, len);
    ip[len] = '\0';
    if (strlen(ip) == len && inet_pton(AF_INET, ip, n->ip) == 1)
        *n = (thi_network){ .kind = TH_ADDR_IP4,
                            .bits = 32,
                            .ip = { n->ip[0], n->ip[1], n->ip[2], n->ip[3] } };
    else if (strlen(ip) == len && inet_pton(AF_INET6, ip, n->ip) == 1)
        n->kind = TH_ADDR_IP6, n->bits = 128;
    else
        return thi_err_set(TH_EADDRESS, "'%.*s' is no network: write 10.0.0.0/8, ::1 or unix",
                           (int)item.len, item.ptr);
    if (slash && !read_bits(th_str_make(slash + 1, item.len - len - 1), n->bits, &n->bits))
        return thi_err_set(TH_EADDRESS, "'%.*s': the prefix must be 0 to %u", (int)item.len,
                           item.ptr, n->bits);
    memcpy(before, n->ip, sizeof before);
    keep_bits(n->ip, n->bits);
    if (memcmp(before, n->ip, sizeof before) != 0)
        return thi_err_set(TH_EADDRESS, "'%.*s' has bits beyond its prefix", (int)item.len,
                           item.ptr);
    if (n->kind == TH_ADDR_IP6 && n->bits >= 96 && memcmp(n->ip, mapped, sizeof mapped) == 0)
        *n = (thi_network){ .kind = TH_ADDR_IP4,
                            .bits = (uint8_t)(n->bits - 96),
                            .ip = { n->ip[12], n->ip[13], n->ip[14], n->ip[15] } };
    return 0;
}

int thi_networks_parse(const char *text, thi_networks *networks)
{
    size_t count = 1;
    for (const char *at = text; (at = strchr(at, ',')); at++)
        count++;
    thi_network *list = thi_calloc(count, sizeof *list);
    if (!list)
        return thi_err_clear(-ENOMEM);
    th_str rest = th_str_of(text);
    for (size_t i = 0; i < count; i++) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
        th_str item = th_str_trim(th_str_make(rest.ptr, len));
        int err = item.len > 0 && item.len < 80
                      ? parse_one(item, &list[i])
                      : thi_err_set(TH_EADDRESS, "'%.100s' has an entry that is no network", text);
        if (err < 0) {
            thi_free(list);
            return err;
        }
        if (comma)
            rest = th_str_make(comma + 1, rest.len - len - 1);
    }
    *networks = (thi_networks){ .list = list, .count = count };
    return 0;
}

void thi_networks_deinit(thi_networks *networks)
{
    thi_free(networks->list);
    *networks = (thi_networks){ .list = NULL };
}
