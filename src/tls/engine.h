/* SPDX-License-Identifier: MIT */

/*
 * TLS without input and output: the core of every kind of connection.
 *
 * Bytes of the peer are put into wire.in, bytes for the peer are found in wire.out, and the calls
 * below go as far as that carries. None of them suspends, but for a private key that is kept
 * elsewhere (or a callback of the user's) and does: while one such call is under way, the engine is
 * `busy`, and every other call on it returns -EBUSY.
 */
#ifndef THI_TLS_ENGINE_H
#define THI_TLS_ENGINE_H

#include "tls/engine_step.h"

#include <thrum/tls_engine.h>

#include <sys/uio.h>

/*
 * Makes one, in the caller's storage, which must stay where it is. `pool` is for its bytes, and
 * belongs to who uses the engine. Takes a reference to the configuration. 0, or a failure with its
 * detail: -EINVAL for options, -ENOMEM, what loading the trust of clients failed with.
 */
TH_MUST int thi_tls_engine_init(thi_tls_engine *engine, thi_tls_config *config, bool server,
                                const th_tls_stream_opts *opts, thi_bufpool *pool);

/* Says nothing to the peer. Not while it is busy. A zeroed one is a no-op. */
void thi_tls_engine_deinit(thi_tls_engine *engine);

/* Checks a structure of options: 0 or -EINVAL with a detail. NULL is allowed. */
TH_MUST int thi_tls_engine_check(const th_tls_stream_opts *opts);

/* Room for bytes of the peer: where, and in *size how many (at least 1); NULL: no memory. To be
 * followed by thi_tls_engine_fed() with how many came, before anything else is done. */
TH_MUST char *thi_tls_engine_room(thi_tls_engine *engine, size_t *size);
void thi_tls_engine_fed(thi_tls_engine *engine, size_t size);

/* The same for bytes that are somewhere else: 0 or -ENOMEM. */
TH_MUST int thi_tls_engine_feed(thi_tls_engine *engine, const void *buf, size_t size);

/* Whether nothing can be read, and nothing will change, before more bytes come. */
bool thi_tls_engine_is_hungry(const thi_tls_engine *engine);

/* As the calls of <thrum/tls_engine.h>; their arguments are good, and no size is 0. */
TH_MUST int thi_tls_engine_handshake(thi_tls_engine *engine);
/* The same until it is complete, whatever early data there is: -EAGAIN until then. */
TH_MUST int thi_tls_engine_complete(thi_tls_engine *engine);

/* Whether the user may read and write: the handshake is complete, or there is early data. */
bool thi_tls_engine_is_open(const thi_tls_engine *engine);

TH_MUST ssize_t thi_tls_engine_read(thi_tls_engine *engine, void *buf, size_t size);
TH_MUST ssize_t thi_tls_engine_peek(thi_tls_engine *engine, void *buf, size_t size);
TH_MUST int thi_tls_engine_shutdown(thi_tls_engine *engine);

/*
 * Writes several pieces, of which small ones share a record: takes at most `most` bytes, and none
 * while wire.out is full.
 */
TH_MUST ssize_t thi_tls_engine_writev(thi_tls_engine *engine, const struct iovec *iov, int count,
                                      size_t most);

/* Why nothing of the user's can be written: 0 when it can, once it is open. */
TH_MUST int thi_tls_engine_may_write(thi_tls_engine *engine);

/* Declares ends as said; false leaves one as it is. */
void thi_tls_engine_set_closed(thi_tls_engine *engine, bool sent, bool received);

/* Lets who captures the socket whose tap this is see what is inside; NULL: nobody any more. Takes
 * no more than is undone by thi_tls_engine_deinit(). */
void thi_tls_engine_cover(thi_tls_engine *engine, struct thi_tap **tap, int fd);

/* Whether what came first is no TLS but begins like a request or an answer of HTTP. */
bool thi_tls_engine_speaks_plainly(const thi_tls_engine *engine);

/* In peer_info.c: what the public calls of these names give. */
int thi_tls_engine_info(thi_tls_engine *engine, th_tls_info *info);
TH_MUST ssize_t thi_tls_engine_cert(thi_tls_engine *engine, int chain, size_t at, void *buf,
                                    size_t size);
TH_MUST int thi_tls_engine_session(thi_tls_engine *engine, struct th_tls_session **session);

#endif
