/* SPDX-License-Identifier: MIT */

/*
 * Which of several addresses of a name is worth trying first: RFC 6724, 6.
 *
 * A rank is a number that says how good an address is; higher ones come first, and equal ones stay
 * in the order of the answer.
 */
#ifndef THI_NET_ADDR_RANK_H
#define THI_NET_ADDR_RANK_H

#include <thrum/addr.h>

#include <stdbool.h>

typedef uint32_t thi_addr_rank;

/*
 * From which address of this machine a destination would be called, by the kernel's choice: without
 * a packet. TH_ADDR_NONE: there is no way to it.
 *
 * `device` may name the interface to be used. False when the kernel could not be asked.
 */
bool thi_addr_source(const th_addr *to, const char *device, th_addr *source);

/* The rank of a destination that would be called from `source`; NULL: nobody knows from where. */
thi_addr_rank thi_addr_rank_of(const th_addr *to, const th_addr *source);

/* Both in one: the rank of a destination on this machine as it is now. `source` is the address that
 * it will be called from if that has been decided, else of TH_ADDR_NONE. */
thi_addr_rank thi_addr_rank_here(const th_addr *to, const th_addr *source, const char *device);

/* Puts the better ones first, as thi_addr_rank_here() has it; at most THI_ADDR_SORT_MAX. */
void thi_addr_sort(th_addr *addrs, size_t count, const th_addr *source, const char *device);
#define THI_ADDR_SORT_MAX 128

#endif
