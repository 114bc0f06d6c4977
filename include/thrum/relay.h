/* SPDX-License-Identifier: MIT */

/*
 * From stream to stream.
 *
 * Sockets and pipes pass bytes on inside the kernel once there are many (splice(2)); what else a
 * stream may be carried by, they are copied.
 */
#ifndef THRUM_RELAY_H
#define THRUM_RELAY_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/**
 * Passes on what one stream has to read to another, until it ends.
 *
 * Neither of the two is shut down or closed.
 *
 * @param from    where to read
 * @param to      where to write; another one
 * @param limit   bytes to pass on at most; 0: all
 * @param copied  out, also on failure: how many were written; may be NULL
 * @return 0 when `from` has ended or the limit is reached; -EINVAL for NULL or the same stream
 *         twice; else the first failure of th_stream_read() of the one or th_stream_write() of the
 *         other; -ENOMEM
 *
 * Suspends: yes, until there is no more to read
 * Thread: fiber
 * On cancel: bytes that were read and not yet written are lost
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_copy(th_stream *from, th_stream *to, uint64_t limit, uint64_t *copied);

/* How to relay. */
typedef struct th_relay_opts {
    size_t size;  /* sizeof(th_relay_opts), or 0 for the present one */
    int64_t idle; /* the end, if nothing was passed on in either direction for so long, nanoseconds;
                     0: never */
} th_relay_opts;

/* What a relay has passed on, bytes. */
typedef struct th_relayed {
    uint64_t there; /* from the first stream to the second */
    uint64_t back;
} th_relayed;

/**
 * Passes bytes on between two streams, both ways, until both have ended.
 *
 * When one of them ends, the other one hears of that (th_stream_shutdown()), and its direction goes
 * on. A failure ends both directions. Neither stream is closed.
 *
 * @param a      a stream
 * @param b      another one, of the same worker
 * @param opts   NULL: the defaults
 * @param moved  out, also on failure: how many bytes were passed on; may be NULL
 * @return 0 when both have ended; -ETIMEDOUT when nothing has moved for the time of idleness, or
 *         the caller's scope says so; else the first failure, as th_stream_copy() tells it; -EINVAL
 *         for NULL, the same stream twice, or wrong options; -EPERM outside a fiber
 *
 * Suspends: yes, until both directions have ended
 * Thread: fiber
 * On cancel: bytes that were read and not yet written are lost
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_relay(th_stream *a, th_stream *b, const th_relay_opts *opts,
                                   th_relayed *moved);

TH_END_DECLS

#endif
