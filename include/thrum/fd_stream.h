/* SPDX-License-Identifier: MIT */

/* Streams of what a program has or is given as a descriptor: pipes, terminals, files, sockets. */
#ifndef THRUM_FD_STREAM_H
#define THRUM_FD_STREAM_H

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/* The descriptor stays the caller's, and others may have it too: leave its flags as they are. */
#define TH_STREAM_SHARED 1u

/**
 * Makes a pipe: what is written to one end can be read from the other.
 *
 * Writing when the reader is closed fails with -EPIPE. th_stream_shutdown() of the writer is as
 * good as closing it.
 *
 * @param reader  out: the end to read from, for th_stream_free()
 * @param writer  out: the end to write to
 * @return 0; -EINVAL for NULL; -EPERM outside a worker; -EMFILE, -ENFILE or -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_pipe(th_stream **reader, th_stream **writer);

/**
 * Makes a stream of a descriptor, whatever that is.
 *
 * Pipes, terminals, sockets and the like are waited for by the worker's loop; of regular files,
 * which no loop can wait for, what is not in memory is read and everything is written on the pool
 * "files", at the offset of the descriptor. Addresses (th_stream_peer()) are TH_ADDR_NONE; of a
 * connected socket that is nobody else's, th_stream_from_socket() makes more.
 *
 * Otherwise than with TH_STREAM_SHARED the stream owns the descriptor from now on: it closes it,
 * and makes it non-blocking at once. A shared one may belong to other programs as well, as standard
 * streams mostly do; O_NONBLOCK is a matter of what the descriptor refers to and not of the
 * descriptor, so these programs would see it, too. Therefore a pipe or terminal is opened a second
 * time; where that is refused, the stream does without O_NONBLOCK. Then, on Linux before 6.4, a
 * write may hold up the worker if another process fills the same pipe at the same moment.
 *
 * @param fd      an open descriptor
 * @param flags   0 or TH_STREAM_SHARED
 * @param stream  out: the stream, for th_stream_free()
 * @return 0; -EBADF; -EINVAL for unknown flags or NULL; -EEXIST when this worker has a stream of
 *         the same descriptor, without TH_STREAM_SHARED; -EPERM outside a worker; -EMFILE or
 *         -ENOMEM; then fd is still the caller's and unchanged
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_from_fd(int fd, unsigned flags, th_stream **stream);

/**
 * Makes a stream of the program's standard input.
 *
 * As th_stream_from_fd() of descriptor 0 with TH_STREAM_SHARED: the descriptor itself stays as it
 * is and open, also when the stream is freed. Several streams, on one worker or several, each get
 * some of the bytes.
 *
 * @param stream  out: the stream, for th_stream_free()
 * @return 0; -EBADF when the program was started without one; else as th_stream_from_fd()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stdin(th_stream **stream);

/**
 * Makes a stream of the program's standard output; as th_stdin(), with descriptor 1.
 *
 * It knows nothing of what stdio has buffered: call fflush() before writing to it, if the program
 * uses printf() as well.
 *
 * @param stream  out: the stream, for th_stream_free()
 * @return 0; else as th_stdin()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stdout(th_stream **stream);

/**
 * Makes a stream of the program's standard error; as th_stdout(), with descriptor 2.
 *
 * @param stream  out: the stream, for th_stream_free()
 * @return 0; else as th_stdin()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stderr(th_stream **stream);

TH_END_DECLS

#endif
