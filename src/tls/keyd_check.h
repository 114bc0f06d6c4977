/* SPDX-License-Identifier: MIT */

/*
 * Whether what a key process is asked to compute is a signature of TLS, and nothing else.
 *
 * A bare RSA operation also decrypts, and signs whatever anybody likes. A server that was broken
 * into can have handshakes signed as long as it reaches the key process; it shall not be able to
 * decrypt what was recorded in former times, nor to sign certificates or programs.
 */
#ifndef THI_TLS_KEYD_CHECK_H
#define THI_TLS_KEYD_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether a key of `bits` bits may be asked for `op` (thi_sign_op) with this input. */
bool thi_keyd_may_sign(int op, const uint8_t *in, size_t len, unsigned bits);

#endif
