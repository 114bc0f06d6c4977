/* SPDX-License-Identifier: MIT */

/* Addresses of simulated sockets. The network is one host that has every address. */
#ifndef THI_LOOP_SIM_ADDR_H
#define THI_LOOP_SIM_ADDR_H

#include <thrum/defs.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct thi_sim_addr {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
} thi_sim_addr;

/* Takes over what a caller passes to bind or connect: -EINVAL, -EAFNOSUPPORT, -EFAULT. */
TH_MUST int thi_sim_addr_read(const struct sockaddr *sa, socklen_t n, int family,
                              thi_sim_addr *addr);

/* Gives an address out as getsockname(2) does: cut to *n, with the full length in *n. */
void thi_sim_addr_write(const thi_sim_addr *addr, int family, struct sockaddr *sa, socklen_t *n);

/* The port of an Internet address, in host order; 0 for a Unix socket. */
uint16_t thi_sim_addr_port(const thi_sim_addr *addr);
void thi_sim_addr_set_port(thi_sim_addr *addr, uint16_t port);

/* The all-zero host with port 0, and whether an address has that host. */
thi_sim_addr thi_sim_addr_any(int family);
bool thi_sim_addr_is_any(const thi_sim_addr *addr);

/* Where "this machine" was meant by the all-zero host: the loopback address. */
void thi_sim_addr_aim(thi_sim_addr *addr);

/* The same host, port and family; for Unix sockets the same name. */
bool thi_sim_addr_equal(const thi_sim_addr *a, const thi_sim_addr *b);

/* Whether a socket bound to `own` may be meant by `target`, and how exactly: 0 not at all. */
int thi_sim_addr_match(const thi_sim_addr *own, bool v6_only, const thi_sim_addr *target);

/* ::ffff:a.b.c.d for an IPv4 address; others stay as they are. */
thi_sim_addr thi_sim_addr_mapped(const thi_sim_addr *addr);

#endif
