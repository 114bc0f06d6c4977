/* SPDX-License-Identifier: MIT */

/*
 * Streams of bytes in both directions, whatever carries them.
 *
 * A stream belongs to the worker on which it was opened; fibers of that worker use it, one reading
 * and one writing at the same time. All calls look as if they blocked and suspend the fiber
 * instead.
 *
 * Those that may suspend obey the scope of their fiber by one rule, on every carrier and back end:
 *
 * - The scope is asked first. A call that begins when it is cancelled or past its deadline returns
 *   -ECANCELED or -ETIMEDOUT and does nothing, even if it would not have had to wait: bytes that
 *   have arrived stay in the stream, for a caller in a scope that is still open. A deadline has
 *   passed when the worker's loop, or th_check(), has seen the clock pass it.
 * - What happens beats the end of the scope. When the scope ends while a call waits, and the bytes
 *   (the room for them, the end of the stream, the failure) are there by the time the fiber runs,
 *   the call returns them; the next one tells of the scope.
 *
 * A call of several steps asks the scope before each: th_stream_read_all() and the calls that write
 * may end between two of them. Calls that cannot suspend (shutdown, close, free, peer, local,
 * those named try) do not ask.
 */
#ifndef THRUM_STREAM_H
#define THRUM_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_stream th_stream;
struct th_addr; /* thrum/addr.h */

/**
 * Reads what is there, waiting for the first byte.
 *
 * @param stream  the stream
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 at once
 * @return the number of bytes, 1 to size; TH_EOF at the end of the stream, every time;
 *         -ECANCELED or -ETIMEDOUT when the caller's scope says so, -ECANCELED also when another
 *         fiber closes the stream meanwhile; -EBADF when it is closed; -EBUSY when another fiber
 *         reads; -EPERM outside a fiber or on another worker; -errno of the connection
 *
 * Suspends: yes, until there is something to read
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_read(th_stream *stream, void *buf, size_t size);

/**
 * Reads exactly as many bytes as asked for.
 *
 * @param stream  the stream
 * @param buf     out: the bytes
 * @param size    how many
 * @return size; TH_EOF when the stream ends before the first byte, TH_ETRUNCATED when it ends
 *         later; else as th_stream_read()
 *
 * Suspends: yes, until all bytes are there
 * Thread: fiber
 * On cancel: bytes read so far are in buf and gone from the stream
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_read_all(th_stream *stream, void *buf, size_t size);

/**
 * Shows bytes that are there, waiting for the first, and leaves them in the stream.
 *
 * @param stream  the stream, carried by a socket or by memory
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 at once
 * @return as th_stream_read(); -EOPNOTSUPP for other carriers
 *
 * Suspends: yes, until there is something to read
 * Thread: fiber
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_peek(th_stream *stream, void *buf, size_t size);

/**
 * Reads what is there without waiting.
 *
 * @param stream  the stream
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 at once
 * @return the number of bytes, 1 to size; -EAGAIN when there are none; -EOPNOTSUPP for a regular
 *         file, where nobody knows without trying; else as th_stream_read(), but nothing of the
 *         scope
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_try_read(th_stream *stream, void *buf, size_t size);

/**
 * Writes all bytes, or fails.
 *
 * @param stream  the stream
 * @param buf     the bytes; borrowed during the call
 * @param size    how many; with 0 the call returns 0 at once
 * @return size; -EPIPE or -ECONNRESET when the peer is gone (never a SIGPIPE); -ECANCELED or
 *         -ETIMEDOUT when the caller's scope says so, and then the detail tells how many bytes were
 *         written; -EBADF, -EBUSY, -EPERM as th_stream_read()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been written
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_write(th_stream *stream, const void *buf, size_t size);

/**
 * Writes what the stream takes without waiting.
 *
 * @param stream  the stream
 * @param buf     the bytes; borrowed during the call
 * @param size    how many; with 0 the call returns 0 at once
 * @return the number of bytes, 1 to size; -EAGAIN when it takes none; -EOPNOTSUPP for a regular
 *         file; else as th_stream_write(), but nothing of the scope
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_try_write(th_stream *stream, const void *buf, size_t size);

/**
 * Writes all bytes of several pieces in order, or fails.
 *
 * @param stream  the stream
 * @param iov     the pieces; borrowed during the call, empty ones are allowed
 * @param count   how many, at least 1
 * @return the number of bytes; -EINVAL for count < 1; else as th_stream_write()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been written
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_writev(th_stream *stream, const struct iovec *iov, int count);

/**
 * Sends a stretch of a file without copying it through the program where the kernel can.
 *
 * Where it cannot, because of the carrier or of the file, it is read and written. When that shows
 * only after something was sent, the call fails.
 *
 * @param stream  the stream
 * @param fd      a file open for reading that has offsets; its own is neither used nor moved
 * @param offset  where to start, bytes
 * @param size    how many bytes; with 0 the call returns 0 at once
 * @return the number of bytes sent, less than size only where the file ends; -EINVAL for a negative
 *         offset; -ESPIPE for a pipe or socket, which have none (th_stream_copy() is for these);
 *         else as th_stream_write()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been sent
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_sendfile(th_stream *stream, int fd, int64_t offset, size_t size);

/**
 * Ends the sending direction: the peer reads what was written and then the end of the stream.
 *
 * @param stream  the stream
 * @return 0; -ENOTCONN when the peer is gone; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_stream_shutdown(th_stream *stream);

/**
 * Closes a stream. Fibers that wait in it return -ECANCELED; later calls return -EBADF.
 *
 * What was written is still sent. What the peer has sent and nobody has read is lost; over TCP the
 * peer then finds the connection reset, and may lose what was written before: th_stream_finish()
 * avoids that.
 *
 * @param stream  the stream
 * @return 0; -EBADF when it is closed already, or its descriptor was closed by somebody else: then
 *         it is closed all the same
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: closes
 * Since: 0.1
 */
TH_API int th_stream_close(th_stream *stream);

/**
 * Closes a stream and breaks the connection off: the peer is to know that this is not its end.
 *
 * Over TCP what was written and has not arrived is lost, and the peer finds the connection reset
 * (-ECONNRESET). So it does on a pair in memory, where it also loses what has arrived. Carriers
 * that know no reset, Unix sockets and pipes among them, are closed.
 *
 * @param stream  the stream
 * @return as th_stream_close()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: closes
 * Since: 0.1
 */
TH_API int th_stream_reset(th_stream *stream);

/**
 * Ends a stream in agreement with the peer.
 *
 * Ends the sending direction, reads and throws away what the peer still sends up to its end, and
 * closes. That takes as long as the peer likes; give the scope a deadline. If it does not come to
 * an end in order, the stream is reset instead.
 *
 * @param stream  the stream
 * @param limit   how many bytes to throw away at most
 * @return 0; TH_ELIMIT when the peer sends more than that; -ENOTCONN or -ECONNRESET when it was
 *         gone before; -ECANCELED, -ETIMEDOUT, -EBUSY, -EPERM as th_stream_read(); -EBADF. In any
 *         case the stream is closed now.
 *
 * Suspends: yes, until the peer has ended its direction
 * Thread: fiber
 * On cancel: resets
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_finish(th_stream *stream, size_t limit);

/**
 * Closes a stream, but not its descriptor, which is the caller's from now on.
 *
 * It is non-blocking and closed on exec, and otherwise as it was: nothing that was written or has
 * arrived is lost. Fibers that wait in the stream return -ECANCELED; the stream remains to be
 * freed.
 *
 * @param stream  the stream
 * @return the descriptor; -EBADF when it is closed; -EBUSY while a transfer of it runs on a pool;
 *         -EOPNOTSUPP for a carrier without one
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_detach(th_stream *stream);

/**
 * Makes a connection in memory: what is written to one end can be read from the other.
 *
 * Each direction holds a bounded number of bytes; who writes more waits for the reader, as with a
 * socket. Nothing else is involved: no descriptor, and no time. Both ends belong to the worker of
 * the caller, and the fibers at both of them run there. A closed end leaves its bytes to be read;
 * writing to one is -EPIPE.
 *
 * @param size  bytes that each direction holds; 0: 64 KiB
 * @param ends  out: both ends, each to be freed by th_stream_free()
 * @return 0; -EINVAL for NULL; -EPERM outside a worker; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_memory(size_t size, th_stream *ends[2]);

/**
 * Closes a stream if it is open and frees it. No other fiber may be in a call on it.
 *
 * @param stream  the stream; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: frees
 * Since: 0.1
 */
TH_API void th_stream_free(th_stream *stream);

/**
 * Tells the address of the other end.
 *
 * @param stream  the stream
 * @param addr    out: the address; TH_ADDR_NONE where the carrier has none
 * @return 0; -ENOTCONN when the peer is gone; -EBADF when the stream is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_stream_peer(th_stream *stream, struct th_addr *addr);

/**
 * Tells the address of this end.
 *
 * @param stream  the stream
 * @param addr    out: the address; TH_ADDR_NONE where the carrier has none
 * @return 0; -EBADF when the stream is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_stream_local(th_stream *stream, struct th_addr *addr);

TH_END_DECLS

#endif
