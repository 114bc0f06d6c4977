/* SPDX-License-Identifier: MIT */

/* Between th_addr and the kernel's socket addresses. */
#ifndef THI_NET_ADDR_H
#define THI_NET_ADDR_H

#include <thrum/addr.h>

#include <sys/socket.h>
#include <sys/un.h>

/* Any socket address that th_addr can hold, and one byte more for a path of full length. */
typedef union thi_sockaddr {
    struct sockaddr sa;
    struct sockaddr_storage storage;
    struct sockaddr_un un;
} thi_sockaddr;

/* Fills sa and returns its length; 0 for TH_ADDR_NONE. */
socklen_t thi_addr_to_sockaddr(const th_addr *addr, thi_sockaddr *sa);

/* Families that Thrum does not know give TH_ADDR_NONE. */
void thi_addr_from_sockaddr(const thi_sockaddr *sa, socklen_t len, th_addr *addr);

/* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC for none. */
int thi_addr_family(const th_addr *addr);

#endif
