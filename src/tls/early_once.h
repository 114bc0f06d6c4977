/* SPDX-License-Identifier: MIT */

/*
 * Early data once only (RFC 8446 8.2): a register of the hellos that came with some.
 *
 * A hello that is sent again is the same to the byte, its random number included, and OpenSSL takes
 * early data only of hellos that are at most ten seconds old by their ticket. So it is enough to
 * remember the random numbers of a little more than that time. When there are too many of them, or
 * by chance two have the same hash, early data is refused, which costs the client a round trip.
 *
 * All certificates of a context share one. The register is this process's. Another one with the
 * same ticket keys has its own, and takes the same early data once more.
 */
#ifndef THI_TLS_EARLY_ONCE_H
#define THI_TLS_EARLY_ONCE_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thi_early_once thi_early_once;

/* For so many hellos within THI_EARLY_SPAN, a power of two of at least 64; with one reference. 0;
 * -ENOMEM. */
TH_MUST int thi_early_once_new(size_t max, thi_early_once **register_);

thi_early_once *thi_early_once_ref(thi_early_once *register_);

/* NULL is a no-op. */
void thi_early_once_unref(thi_early_once *register_);

/* Notes a random number at a time of the clock: true when it was not there. Any thread. */
TH_MUST bool thi_early_once_note(thi_early_once *register_, const void *random, size_t size,
                                 int64_t now);

/* What was noted is remembered for at least so long, ns. */
#define THI_EARLY_SPAN (12 * INT64_C(1000000000))

#endif
