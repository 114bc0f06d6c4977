/* SPDX-License-Identifier: MIT */

/* Datagram sockets as descriptors: made, bound, connected. No loop and no fibers here. */
#ifndef THI_NET_UDP_SOCKET_H
#define THI_NET_UDP_SOCKET_H

#include "net/sockfile.h"

#include <thrum/udp.h>

/* Reads the address of a datagram socket; `unix:` alone is any abstract name. */
TH_MUST int thi_udp_address(const char *text, th_addr *addr);

/* The detail of a failure to make a socket `where` ("at", "to") the address: with what is said of
 * it already. */
int thi_udp_say(int err, const char *where, const char *address);

/* Whether options are valid. */
bool thi_udp_opts_valid(const th_udp_opts *opts);

/* A socket of the family with the options, which may be NULL. A descriptor, or -errno, with a
 * detail where an option of opts->tune is to blame, and else with none. */
TH_MUST int thi_udp_socket(int family, const th_udp_opts *opts);

/*
 * Takes one over that the process was given (see net/inherit.h), whose address *addr becomes. What
 * has to be there before it is bound is -EINVAL. A descriptor, or an error with a detail.
 */
TH_MUST int thi_udp_inherit(const char *address, const th_udp_opts *opts, th_addr *addr);

/* Binds it; *addr becomes the real address. */
TH_MUST int thi_udp_bind(int fd, const th_udp_opts *opts, th_addr *addr, thi_sockfile *file);

/* Connects it to a peer, the unspecified address meaning this machine; NULL: to none any more. */
TH_MUST int thi_udp_aim(int fd, const th_addr *peer);

/* Its own address. */
TH_MUST int thi_udp_name(int fd, th_addr *addr);

#endif
