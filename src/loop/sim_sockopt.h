/* SPDX-License-Identifier: MIT */

/* Options of simulated sockets. */
#ifndef THI_LOOP_SIM_SOCKOPT_H
#define THI_LOOP_SIM_SOCKOPT_H

#include "loop/sim_endpoint.h"

/* As setsockopt(2) and getsockopt(2). What is not known is remembered and has no effect. */
TH_MUST int thi_sim_sockopt_set(thi_sim_endpoint *ep, int level, int name, const void *val,
                                socklen_t n);
TH_MUST int thi_sim_sockopt_get(thi_sim_endpoint *ep, int level, int name, void *val, socklen_t *n);

/* The value of an int option, 0 when it was not set. */
int thi_sim_sockopt_int(const thi_sim_endpoint *ep, int level, int name);

/* Whether closing shall reset the connection: SO_LINGER with a time of 0. */
bool thi_sim_sockopt_aborts(const thi_sim_endpoint *ep);

/* Gives a connection the options of its listener. */
void thi_sim_sockopt_inherit(thi_sim_endpoint *ep, const thi_sim_endpoint *listener);

#endif
