/* SPDX-License-Identifier: MIT */

/* What a simulated datagram is, and what a socket has that sends and receives such. */
#ifndef THI_LOOP_SIM_LETTER_H
#define THI_LOOP_SIM_LETTER_H

#include "loop/sim_endpoint.h"

/* A datagram. */
typedef struct thi_sim_letter {
    thi_list link; /* in w->letters, an inbox, or among those that came back */
    thi_sim_event arrival;
    thi_sim_addr from;
    thi_sim_addr to;
    size_t size;
    char data[];
} thi_sim_letter;

/* What a datagram socket has besides. */
typedef struct thi_sim_mailbox {
    thi_list inbox;       /* letters that have arrived, the oldest first */
    size_t size;          /* bytes in it, as the kernel counts them */
    size_t count;         /* letters in it */
    thi_list returned;    /* letters that came back and are to be told: IP_RECVERR in ip(7) */
    thi_list groups;      /* multicast groups that were joined */
    int64_t last_arrival; /* of what was sent last, so that nothing overtakes it */
    thi_sim_endpoint *owner;
    uint64_t id;   /* of this socket alone */
    uint64_t peer; /* Unix, connected: of that one, which another at the same name is not */
    thi_list
        turned_away; /* Unix: mailboxes of connected senders for whose letters there was no room */
    thi_list waits;  /* Unix: in that list of the peer, until there is room or the peer is gone */
} thi_sim_mailbox;

#endif
