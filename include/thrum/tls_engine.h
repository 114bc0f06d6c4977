/* SPDX-License-Identifier: MIT */

/*
 * TLS without input and output: bytes of the network in and out by hand, on any thread.
 *
 * For those who carry the bytes themselves: another event loop, a protocol inside a protocol, a
 * test. No call suspends (unless on a fiber, while a private key that is kept elsewhere signs).
 *
 *     for (;;) {
 *         err = th_tls_engine_handshake(engine);
 *         while ((n = th_tls_engine_take(engine, buf, sizeof buf)) > 0)
 *             ... send them ...
 *         if (err != -EAGAIN)
 *             break;
 *         ... receive some ...
 *         n = th_tls_engine_feed(engine, buf, (size_t)received);
 *     }
 *
 * Two answers mean "not yet". -EAGAIN: nothing goes on before th_tls_engine_feed() has brought more
 * (or th_tls_engine_feed_end() said that there will be none). -ENOBUFS: nothing goes on before
 * th_tls_engine_take() has made room. Every call may leave bytes to be taken, those that read and
 * those that fail (an alert for the peer) among them.
 *
 * An engine is used by one thread or fiber at a time.
 */
#ifndef THRUM_TLS_ENGINE_H
#define THRUM_TLS_ENGINE_H

#include <stddef.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/tls_stream.h>

TH_BEGIN_DECLS

typedef struct th_tls_engine th_tls_engine;

/* The two roles. */
enum { TH_TLS_SERVER = 1, TH_TLS_CLIENT };

/* How an engine is made; all zero is the default. */
typedef struct th_tls_engine_opts {
    size_t size;      /* sizeof(th_tls_engine_opts), or 0 for the present one */
    size_t in_limit;  /* bytes that wait to be read by the engine at most; 0: 64 KiB */
    size_t out_limit; /* nothing is added while so many bytes wait to be taken; 0: 64 KiB. What is
                         added last may go beyond it by one record */
    th_tls_stream_opts connection; /* handshake_time, later and keep_below have no meaning here */
} th_tls_engine_opts;

/**
 * Makes an engine.
 *
 * @param tls     the context; the engine keeps what it needs of it
 * @param role    TH_TLS_SERVER or TH_TLS_CLIENT
 * @param opts    options, borrowed for the call; NULL: the defaults
 * @param engine  out: the engine, for th_tls_engine_free()
 * @return 0; -EINVAL for NULL, another role or wrong options, with a detail; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_engine_new(struct th_tls *tls, int role, const th_tls_engine_opts *opts,
                                     th_tls_engine **engine);

/**
 * Frees an engine. It says nothing to the peer: th_tls_engine_shutdown() does.
 *
 * @param engine  the engine; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_engine_free(th_tls_engine *engine);

/**
 * Brings bytes that came from the peer.
 *
 * @param engine  the engine
 * @param buf     the bytes; borrowed for the call
 * @param size    how many
 * @return how many were taken, 1 to size; 0 for size 0; -ENOBUFS when as many wait as may: read
 *         first; -EPIPE after th_tls_engine_feed_end(); -EINVAL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_feed(th_tls_engine *engine, const void *buf, size_t size);

/**
 * Says that no more bytes will come: the connection has ended.
 *
 * @param engine  the engine
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_tls_engine_feed_end(th_tls_engine *engine);

/**
 * Takes bytes that are to be sent to the peer.
 *
 * @param engine  the engine
 * @param buf     out: the bytes
 * @param size    room at buf, bytes
 * @return how many; 0 when there are none; -EINVAL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_take(th_tls_engine *engine, void *buf, size_t size);

/**
 * Tells how many bytes wait to be taken.
 *
 * @param engine  the engine; NULL counts as one with none
 * @return bytes
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_tls_engine_to_take(const th_tls_engine *engine);

/**
 * Goes on with the handshake as far as the bytes reach.
 *
 * @param engine  the engine
 * @return 0 when it is complete, now or before; -EAGAIN, -ENOBUFS: not yet; TH_ETLS when it failed,
 *         with a detail; TH_EOF when the peer left before its end in order, TH_ETRUNCATED when it
 *         just left; TH_ELIMIT; -EBUSY inside another call; -EINVAL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_engine_handshake(th_tls_engine *engine);

/**
 * Reads bytes that the peer wrote; makes the handshake first if it is not complete.
 *
 * @param engine  the engine
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 and does nothing
 * @return how many, 1 to size; TH_EOF when the peer has said its end; TH_ETRUNCATED when the bytes
 *         ended without that; -EAGAIN, -ENOBUFS: not yet; else as th_tls_engine_handshake()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_read(th_tls_engine *engine, void *buf, size_t size);

/**
 * Shows bytes that the peer wrote, and leaves them to be read.
 *
 * @param engine  the engine
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 and does nothing
 * @return as th_tls_engine_read(), at most those of one record
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_peek(th_tls_engine *engine, void *buf, size_t size);

/**
 * Tells how many bytes are decrypted and not read.
 *
 * @param engine  the engine; NULL counts as one with none
 * @return bytes, at most those of one record; there may be more records behind it
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_tls_engine_pending(const th_tls_engine *engine);

/**
 * Writes bytes for the peer; makes the handshake first if it is not complete.
 *
 * @param engine  the engine
 * @param buf     the bytes; borrowed for the call
 * @param size    how many; with 0 the call returns 0 and does nothing
 * @return how many were taken, 1 to size, as out_limit allows: the rest may be written later from
 *         any address; -ENOBUFS when none were; -EPIPE after th_tls_engine_shutdown(); -EAGAIN: the
 *         handshake is not complete; else as th_tls_engine_handshake()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_write(th_tls_engine *engine, const void *buf, size_t size);

/**
 * Says the end of what this end sends, once.
 *
 * @param engine  the engine
 * @return 0 when both ends have said theirs; -EAGAIN when the peer has not, as far as has been
 *         read; -ENOBUFS: not said yet; -ENOTCONN before the handshake is complete; else as
 *         th_tls_engine_handshake()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_engine_shutdown(th_tls_engine *engine);

/**
 * Declares the ends as said, without a word to the peer.
 *
 * They are what the information tells as sent_close and received_close.
 *
 * A session of a connection that ends without these cannot be resumed.
 *
 * @param engine    the engine
 * @param sent      1: this end counts as having said its end; 0: leaves it as it is
 * @param received  1: the peer counts as having; 0: leaves it as it is
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_tls_engine_set_closed(th_tls_engine *engine, int sent, int received);

/**
 * Tells what is known of the connection: as th_tls_info_get().
 *
 * @param engine  the engine
 * @param info    in: its size; out: the rest. Its texts are borrowed, until the engine is freed
 * @return 0; -EINVAL for NULL or an unknown size
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_tls_engine_info(th_tls_engine *engine, th_tls_info *info);

/**
 * Gives a certificate of the connection in DER: as th_tls_cert_get().
 *
 * @param engine  the engine
 * @param chain   TH_TLS_CERTS_...
 * @param at      which one, from 0
 * @param buf     out: the bytes, if there is room for all of them; NULL when size is 0
 * @param size    room at buf, bytes
 * @return how many bytes it has, also when that is more than size; -ENOENT when there is none;
 *         -EINVAL for NULL or an unknown chain; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_engine_cert(th_tls_engine *engine, int chain, size_t at, void *buf,
                                          size_t size);

/**
 * Gives the session of a client's connection: as th_tls_session_get().
 *
 * @param engine   the engine of a client
 * @param session  out: the session with a reference, for th_tls_session_unref()
 * @return 0; -EAGAIN when none has come yet; -EINVAL for a server, NULL, or a context that keeps no
 *         sessions; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_engine_session(th_tls_engine *engine, struct th_tls_session **session);

TH_END_DECLS

#endif
