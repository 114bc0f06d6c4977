/* SPDX-License-Identifier: MIT */

/*
 * Keys that another process holds: this one has their public part.
 *
 * Each worker keeps some connections to each key process. A fiber that needs a signature takes one,
 * or makes one, sends its request, waits for the reply, and puts it back; so requests of several
 * fibers are under way at once, each on its own connection. A connection whose fiber was cancelled
 * in between is closed: its reply would be another one's.
 *
 * A key process may be restarted, or hang. A connection that was kept and turns out to be dead is
 * replaced by a new one at once. When that cannot be made, or no answer came in time, requests fail
 * without another attempt for a while that grows from 20 ms to a second; then one of them tries. So
 * a crowd of handshakes does not wait for a process that is not there, and is served soon after it
 * is.
 */
#ifndef THI_TLS_KEYD_CLIENT_H
#define THI_TLS_KEYD_CLIENT_H

#include "tls/keyd_wire.h"

#include <thrum/stream.h>

#include <stdbool.h>

/* Whether a text names a key that lives in a key process: begins with "keyd:". */
bool thi_keyd_is_spec(const char *text);

/*
 * Makes a key of "keyd:ADDRESS" or "keyd:ADDRESS#WHICH" for a certificate with that public key.
 * ADDRESS is a Unix socket; WHICH the name of the key there, or the fingerprint of its public part
 * (SHA-256, 64 digits), which is compared here. Connects to nobody.
 * 0; TH_EADDRESS and TH_ETLS with a detail; -ENOMEM. The key can be used in fibers only.
 */
TH_MUST int thi_keyd_key(const char *spec, const EVP_PKEY *public, EVP_PKEY **key);

/*
 * One request over a stream, and its reply's data in `reply` (at THI_KEYD_MAX bytes), which *data
 * points into. The status, or a failure of the stream or the protocol.
 */
TH_MUST int thi_keyd_exchange(th_stream *stream, const thi_keyd_request *request, uint8_t *reply,
                              const uint8_t **data, size_t *len);

#endif
