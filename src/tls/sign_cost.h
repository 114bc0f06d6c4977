/* SPDX-License-Identifier: MIT */

/*
 * What a signature costs, and what it costs to hand one over: measured, once for each kind and size
 * or curve of key and once for the process.
 *
 * The shortest of several tries counts: what comes on top is other people's work. In a simulation
 * nothing is measured, for the same seed must do the same on every machine: there RSA and curves of
 * more than 256 bits are dear.
 */
#ifndef THI_TLS_SIGN_COST_H
#define THI_TLS_SIGN_COST_H

#include <thrum/defs.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds that one signature with the key takes; INT64_MAX when it cannot sign. May suspend in
 * a fiber, which must not compute for long itself. */
int64_t thi_sign_cost(EVP_PKEY *key);

/* Nanoseconds from handing work to the pool "crypto", whose threads are asleep, until its result is
 * there, within bounds that no busy machine shifts. Takes a dozen milliseconds the first time. May
 * suspend in a fiber. */
int64_t thi_sign_handoff(void);

/* Whether a signature of that cost is handed over: it takes twice as long as the way there, which
 * costs the others on the machine something, too, and more than 100 us. */
bool thi_sign_cost_is_dear(int64_t cost);

/* The same for a key. */
bool thi_sign_is_dear(EVP_PKEY *key);

#endif
