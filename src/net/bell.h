/* SPDX-License-Identifier: MIT */

/*
 * A fiber that waits for the first of several things that the loop will tell: answers, sockets,
 * times. Whatever happens rings; the fiber then looks at all of it.
 */
#ifndef THI_NET_BELL_H
#define THI_NET_BELL_H

#include "runtime/sched.h"

/* On the stack of the fiber. */
typedef struct thi_bell {
    thi_wait wait;
    th_fiber *fiber;
    bool rung;  /* since the fiber last came back from waiting */
    bool waits; /* the fiber is parked */
    int fd;     /* for whoever looks: the descriptor that matters most, -1 for none */
} thi_bell;

/* Prepares one for the running fiber; the kind has THI_BY_DESCRIPTOR at `fd`. */
void thi_bell_init(thi_bell *bell, const thi_wait_kind *kind);

/* From the loop. */
void thi_bell_ring(thi_bell *bell);

/* Waits until it rings, or has rung. 0, or what the scope says. */
TH_MUST int thi_bell_wait(thi_bell *bell);

#endif
