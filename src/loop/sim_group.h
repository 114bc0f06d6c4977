/* SPDX-License-Identifier: MIT */

/* Multicast groups of simulated datagram sockets. */
#ifndef THI_LOOP_SIM_GROUP_H
#define THI_LOOP_SIM_GROUP_H

#include "loop/sim_letter.h"

/* Whether an address is that of a group, or the limited broadcast address, which all hear. */
bool thi_sim_group_is(const thi_sim_addr *addr);

/* Whether a socket gets what was sent to a group. */
bool thi_sim_group_hears(const thi_sim_endpoint *ep, const thi_sim_letter *letter);

/* The options that join and leave: RFC 3678. */
bool thi_sim_group_is_option(int level, int name);
TH_MUST int thi_sim_group_change(thi_sim_endpoint *ep, int name, const void *val, socklen_t n);

/* Leaves all. */
void thi_sim_group_clear(thi_sim_endpoint *ep);

#endif
