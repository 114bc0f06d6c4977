/* SPDX-License-Identifier: MIT */

/* Lists of networks, such as those whose proxies are believed. */
#ifndef THI_NET_NETWORKS_H
#define THI_NET_NETWORKS_H

#include <thrum/addr.h>

#include <stdbool.h>

/* What share the first `bits` of ip; of Unix sockets, all. */
typedef struct thi_network {
    uint8_t kind; /* TH_ADDR_IP4, IP6 or UNIX */
    uint8_t bits;
    uint8_t ip[16];
} thi_network;

typedef struct thi_networks {
    thi_network *list;
    size_t count;
} thi_networks;

/*
 * Reads "10.0.0.0/8, ::1, unix": addresses, networks, and the word for Unix sockets, separated by
 * commas. 0; TH_EADDRESS with a detail; -ENOMEM. The list is to be given back.
 */
TH_MUST int thi_networks_parse(const char *text, thi_networks *networks);

void thi_networks_deinit(thi_networks *networks);

/* Whether an address is in one of them. IPv4 in IPv6 (::ffff:a.b.c.d) counts as IPv4. */
bool thi_networks_have(const thi_networks *networks, const th_addr *addr);

/* An address as its network of so many bits, with the rest zeroed; IPv4 in IPv6 as IPv4. */
thi_network thi_network_of(const th_addr *addr, unsigned bits4, unsigned bits6);

#endif
