/* SPDX-License-Identifier: MIT */

/*
 * Handshakes take turns, so that a crowd of newcomers starves neither those who are in nor each
 * other.
 *
 * A handshake computes in a few steps, each between bytes that come from the peer and bytes that go
 * there. Only a step needs a turn: who waits for a slow peer holds up nobody. On each worker
 *
 * - one step begins in each turn of the loop, so whatever the others wait for is looked at after
 *   each, and not after a queue of them;
 * - a bounded number of steps is under way, which are those whose fiber is parked because a private
 *   key is used elsewhere; more would only make that queue longer, which knows no fairness;
 * - who has to wait stands in the queue of the peer that the connection comes from (an address of
 *   IPv4, 64 bits of one of IPv6), and peers are served in turn: one with a thousand connections
 *   waits for itself;
 * - who has made its first step goes on before newcomers begin: otherwise a crowd that came
 * together goes on in step, none of it is done before all are, and the worker has nothing to do
 * while they all compute. Newcomers get one of four turns all the same, for peers decide how many
 * steps there are;
 * - a fiber has the lowest rank during its handshake, so fibers that are ready to serve go first.
 *
 *     thi_handshake h;
 *     thi_handshake_begin(&h, config->handshakes_max, &peer);
 *     while (not done) {
 *         err = thi_handshake_enter(&h);      may wait; what the scope says
 *         if (err == 0) {
 *             ... SSL_do_handshake() ...
 *             thi_handshake_leave(&h);
 *             ... wait for the peer ...
 *         }
 *     }
 *     thi_handshake_end(&h);
 */
#ifndef THI_TLS_HANDSHAKES_H
#define THI_TLS_HANDSHAKES_H

#include <thrum/addr.h>
#include <thrum/defs.h>

#include <stdbool.h>
#include <stdint.h>

/* Steps under way on a worker, where nobody says otherwise. */
#define THI_HANDSHAKES_MAX 32

typedef struct thi_handshakes thi_handshakes;

/* Of one handshake; on the stack of the fiber that makes it, from begin to end. */
typedef struct thi_handshake {
    thi_handshakes *all; /* those of the worker; NULL: it takes no turns */
    const th_addr *peer; /* borrowed; NULL: unknown */
    unsigned max;
    uint8_t rank; /* of the fiber, before */
    bool inside;  /* its step is counted */
    bool begun;   /* it has made a step */
} thi_handshake;

/* Begins; `max` is the bound for this one (0: the default). Outside of a fiber, and without memory,
 * it takes no turns. */
void thi_handshake_begin(thi_handshake *h, unsigned max, const th_addr *peer);

/* Waits for its turn: 0; -ECANCELED or -ETIMEDOUT when the scope says so. */
TH_MUST int thi_handshake_enter(thi_handshake *h);

/* The step is over; no-op when there was none. */
void thi_handshake_leave(thi_handshake *h);

/* The handshake is over, in whatever way. */
void thi_handshake_end(thi_handshake *h);

#endif
