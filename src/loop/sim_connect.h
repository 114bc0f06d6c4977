/* SPDX-License-Identifier: MIT */

/* How simulated sockets find each other: bind, listen, connect, accept. */
#ifndef THI_LOOP_SIM_CONNECT_H
#define THI_LOOP_SIM_CONNECT_H

#include "loop/sim_endpoint.h"

/* As the system calls of these names. */
TH_MUST int thi_sim_bind(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa, socklen_t n);
TH_MUST int thi_sim_listen(thi_sim *w, thi_sim_endpoint *ep, int backlog);
TH_MUST int thi_sim_connect(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa,
                            socklen_t n);

/* Takes the oldest connection of a listener and numbers it; as accept(2) without addresses. */
TH_MUST int thi_sim_accept(thi_sim *w, thi_sim_endpoint *listener, thi_sim_endpoint **accepted);

/* Gives up what an endpoint has to do with addresses, attempts and queues, when it is closed. */
void thi_sim_unbind(thi_sim *w, thi_sim_endpoint *ep);

/* Prepares a fresh endpoint of a family. */
void thi_sim_endpoint_init(thi_sim_endpoint *ep, const thi_sim_kind *kind, int family);

#endif
