/* SPDX-License-Identifier: MIT */

/*
 * What private keys cost on this machine, and where they are used.
 *
 * A signature that takes twice as long as to hand it to the pool "crypto", and more than 100 us, is
 * computed there, while the fiber that is in a handshake stays parked and its worker serves others.
 * Both are measured when keys are loaded. Here the same is measured for the usual kinds of keys,
 * for people to see.
 */
#ifndef THRUM_KEY_COST_H
#define THRUM_KEY_COST_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* The usual kinds of keys, in the order of the table. */
#define TH_KEY_COSTS 7

/* One kind of key. */
typedef struct th_key_cost {
    const char *kind; /* "P-256", "RSA-2048", ...; static text */
    int64_t cost;     /* of one signature, ns */
    int pooled;       /* 1: computed in the pool "crypto", 0: by the fiber itself */
} th_key_cost;

/**
 * Measures what signatures cost with the usual kinds of keys.
 *
 * These are P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072 and RSA-4096. It computes for some
 * hundred milliseconds, in a fiber on a thread of the pool "crypto"; what was measured once in the
 * process, here or for a key that was loaded, is not measured again. The RSA keys are made of
 * primes that everybody knows, which makes no difference to the time.
 *
 * @param costs    out: TH_KEY_COSTS entries, in the order above
 * @param handoff  out: what it costs to hand work over and to get its result, ns; a
 *                 signature that takes less than twice as long, or 100 us, is computed in place
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller's scope says so; TH_ETLS when OpenSSL lacks
 *         one of the kinds, with a detail; -EINVAL for NULL; -EPERM on a worker outside a fiber;
 *         -ENOMEM
 *
 * Suspends: yes, while it measures
 * Thread: any
 * On cancel: nothing measured
 * Since: 0.1
 */
TH_API TH_MUST int th_key_costs(th_key_cost costs[TH_KEY_COSTS], int64_t *handoff);

TH_END_DECLS

#endif
