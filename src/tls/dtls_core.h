/* SPDX-License-Identifier: MIT */

/*
 * DTLS without input and output: datagrams in, datagrams out, and a timer.
 *
 * Datagrams of the peer are put into wire.in, those for it are found in wire.out, and the calls
 * below go as far as that carries. None of them suspends, but for a private key that is kept
 * elsewhere.
 */
#ifndef THI_TLS_DTLS_CORE_H
#define THI_TLS_DTLS_CORE_H

#include "base/error_kept.h"
#include "tls/dtls_wire.h"
#include "tls/link.h"

#include <thrum/addr.h>

#include <sys/types.h>

enum {
    THI_DTLS_MTU = 1200, /* IPv6 carries 1280 bytes everywhere, less its own head and UDP's */
    THI_DTLS_MTU_MIN = 256,
    THI_DTLS_MTU_MAX = 65507,
    THI_DTLS_WAITING = 64
};

typedef struct thi_dtls_core {
    thi_tls_link link;
    thi_dtls_wire wire;
    th_addr peer;        /* of a server's: what cookies are made of */
    thi_err_kept failed; /* what every later call returns */
    bool done;           /* the handshake is complete */
    bool sent_close;
    bool received_close;
} thi_dtls_core;

/* Makes one in the caller's storage, which must stay where it is. 0, or as thi_tls_link_open();
 * -EINVAL with a detail for a context without DTLS. */
TH_MUST int thi_dtls_core_init(thi_dtls_core *core, thi_tls_config *config, bool server,
                               const thi_tls_link_opts *opts, size_t mtu);

/* A zeroed one is a no-op. */
void thi_dtls_core_deinit(thi_dtls_core *core);

/*
 * Of a server's that has not begun: looks at the datagrams that have come, of a peer that nothing
 * is known of. 1: it has shown where it is, and the handshake may go on; 0: not yet, an answer may
 * be in wire.out, and nothing is remembered; negative: a failure of ours.
 */
TH_MUST int thi_dtls_core_listen(thi_dtls_core *core, const th_addr *peer);

/* 0: complete; -EAGAIN: more has to come, or the timer; TH_ETLS and others: failed. */
TH_MUST int thi_dtls_core_handshake(thi_dtls_core *core);

/* The next message: its size; -EAGAIN; TH_EOF; a failure. */
TH_MUST ssize_t thi_dtls_core_read(thi_dtls_core *core, void *buf, size_t size);

/* One message: 0; -EMSGSIZE; -EPIPE; a failure. */
TH_MUST int thi_dtls_core_write(thi_dtls_core *core, const void *data, size_t size);

/* Says the end: 0, also when it was said before; a failure. */
TH_MUST int thi_dtls_core_shutdown(thi_dtls_core *core);

/* For how long to wait before thi_dtls_core_late() is called, ns; TH_NEVER: there is nothing to
 * repeat. */
int64_t thi_dtls_core_wait(thi_dtls_core *core);

/* The time is up: repeats what was sent last. Does nothing before. 0, or TH_ETLS when it has been
 * repeated too often. */
TH_MUST int thi_dtls_core_late(thi_dtls_core *core);

/* Bytes of a message at most, as the mtu is now. */
size_t thi_dtls_core_payload(thi_dtls_core *core);

/* -EINVAL for one out of bounds. */
TH_MUST int thi_dtls_core_set_mtu(thi_dtls_core *core, size_t mtu);

#endif
