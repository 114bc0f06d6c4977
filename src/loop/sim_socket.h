/* SPDX-License-Identifier: MIT */

/* Making of simulated sockets. */
#ifndef THI_LOOP_SIM_SOCKET_H
#define THI_LOOP_SIM_SOCKET_H

#include "loop/sim_endpoint.h"

/* As socket(2) and socketpair(2), for stream sockets of AF_INET, AF_INET6 and AF_UNIX. */
TH_MUST int thi_sim_socket(thi_sim *w, int domain, int type, int protocol);
TH_MUST int thi_sim_socketpair(thi_sim *w, int domain, int type, int fds[2]);

/* The socket of a number: -EBADF, -ENOTSOCK for what is none. */
TH_MUST int thi_sim_socket_find(const thi_sim *w, int fd, thi_sim_endpoint **ep);

#endif
