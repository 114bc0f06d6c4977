/* SPDX-License-Identifier: MIT */

/*
 * The contexts of a server's listeners: which of them speak TLS, and with what.
 *
 * A server has one context from its options, for all listeners whose addresses do not say
 * otherwise. What is kept is the handle: th_tls_replace() shows with the next connection.
 */
#ifndef THI_TLS_DOORS_H
#define THI_TLS_DOORS_H

#include "net/server.h"

#include <thrum/tls.h>

typedef struct thi_tls_doors {
    th_listener *const *listeners;
    size_t count;
    th_tls **contexts; /* one for each listener, NULL where no TLS is spoken; NULL: nowhere */
} thi_tls_doors;

/*
 * Finds the contexts. `given` is what the options say, or NULL. 0; -EINVAL with a detail where a
 * listener of TLS has no certificate, or there is a context and no listener of TLS; as th_tls_new()
 * for what an address describes; -ENOMEM. Suspends when a context has to be built.
 */
TH_MUST int thi_tls_doors_open(th_listener *const *listeners, size_t count, th_tls *given,
                               thi_tls_doors *doors);

void thi_tls_doors_close(thi_tls_doors *doors);

/* The context of a listener of theirs; NULL: no TLS is spoken there. */
th_tls *thi_tls_doors_at(const thi_tls_doors *doors, const th_listener *listener);

#endif
