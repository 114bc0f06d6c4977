/* SPDX-License-Identifier: MIT */

/* Simulated datagram sockets: what their system calls do. */
#ifndef THI_LOOP_SIM_DGRAM_H
#define THI_LOOP_SIM_DGRAM_H

#include "loop/sim_endpoint.h"

/* Makes a fresh endpoint a datagram socket; -ENOMEM. */
TH_MUST int thi_sim_dgram_init(thi_sim *w, thi_sim_endpoint *ep);

/* As the system calls of these names. */
TH_MUST int thi_sim_dgram_connect(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa,
                                  socklen_t n);
TH_MUST ssize_t thi_sim_dgram_sendmsg(thi_sim *w, thi_sim_endpoint *ep, const struct msghdr *msg);
TH_MUST ssize_t thi_sim_dgram_recvmsg(thi_sim *w, thi_sim_endpoint *ep, struct msghdr *msg,
                                      int flags);

/* The conditions that hold now. */
unsigned thi_sim_dgram_level(const thi_sim_endpoint *ep);

/* Frees what a datagram socket has, when it is closed; no-op for another one. */
void thi_sim_dgram_leave(thi_sim_endpoint *ep);

#endif
