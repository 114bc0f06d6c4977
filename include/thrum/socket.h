/* SPDX-License-Identifier: MIT */

/*
 * What only streams on sockets have: those of th_dial(), of a server, of th_stream_pair(), and of
 * sockets that were connected by somebody else.
 *
 * Other streams answer -EOPNOTSUPP to all this.
 */
#ifndef THRUM_SOCKET_H
#define THRUM_SOCKET_H

#include <stddef.h>

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/**
 * Makes a stream of a connected socket: one that was inherited, passed, or made by other code.
 *
 * The stream owns the descriptor and makes it non-blocking. Other than th_stream_from_fd(), which
 * takes any descriptor, it knows that this is a socket: it has addresses, and all calls of this
 * header and of <thrum/unix.h> work.
 *
 * @param fd      a connected socket of type SOCK_STREAM
 * @param stream  out: the stream, for th_stream_free()
 * @return 0; -EBADF; -ENOTSOCK; -EPROTOTYPE for another type; -ENOTCONN when it is not connected;
 *         -EINVAL for a listening one, or NULL; -EEXIST when this worker has a stream of the same
 *         descriptor; -EPERM outside a fiber; -ENOMEM. Then fd is still the caller's and unchanged
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_from_socket(int fd, th_stream **stream);

/**
 * Makes two Unix sockets that are connected with each other (socketpair(2)).
 *
 * @param ends  out: both ends, each to be freed by th_stream_free()
 * @return 0; -EINVAL for NULL; -EPERM outside a fiber; -EMFILE, -ENFILE or -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_pair(th_stream *ends[2]);

/**
 * Writes an urgent byte over TCP (MSG_OOB).
 *
 * The peer hears of it before it has read what was written earlier. There is one urgent byte at a
 * time: another one, written before the peer has read this, takes its place. RFC 6093 advises
 * against it in new protocols.
 *
 * @param stream  the stream
 * @param byte    the byte
 * @return 0; -EOPNOTSUPP unless it is a TCP socket, and in a simulation; else as th_stream_write()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: not written
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_write_urgent(th_stream *stream, unsigned char byte);

/**
 * Waits for an urgent byte and reads it, past all that has to be read before it.
 *
 * Ordinary reads go on beside it, by another fiber, and do not see the byte. With the back end
 * `select` the end of the connection is noticed when one of these reads notices it.
 *
 * @param stream  the stream
 * @param byte    out: the byte
 * @return 0; TH_EOF when the peer has ended or broken off the connection; -EINVAL for NULL, or when
 *         urgent bytes are in line; -EBUSY when another fiber waits for one; -EOPNOTSUPP unless it
 *         is a TCP socket; -ENOMEM; else as th_stream_read()
 *
 * Suspends: yes, until there is one
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_read_urgent(th_stream *stream, unsigned char *byte);

/**
 * Leaves urgent bytes in line: they are read in their place among the others (SO_OOBINLINE).
 *
 * @param stream  the stream
 * @param on      1: in line; 0: apart, as at first
 * @return 0; -EBUSY while a fiber waits for an urgent byte; -EOPNOTSUPP unless it is a TCP socket;
 *         -EBADF; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_set_urgent_in_line(th_stream *stream, int on);

/**
 * Tells whether all before the urgent byte has been read.
 *
 * A read ends before it, so that asking between two reads does not miss it.
 *
 * @param stream  the stream
 * @return 1 when the next byte in line is the urgent one, or comes after it if that is apart; else
 *         0; -EOPNOTSUPP unless it is a TCP socket; -EBADF
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_at_urgent(th_stream *stream);

/**
 * Has large writes sent from the caller's memory, without a copy in the kernel (MSG_ZEROCOPY).
 *
 * A write of at least so many bytes then does not return before the peer has acknowledged them, for
 * until then the kernel uses that memory; if the scope ends during that, the connection is broken
 * off and the stream closed. So it is for bulk data on fast networks, where copying is what limits:
 * Linux' own documentation finds it worth while from some 10 KiB on, and a write should be many
 * times what is on its way during one round trip. It is off unless it is switched on. Where the
 * kernel copies all the same, as between addresses of one machine, it says so after the first
 * write, and the stream switches it off again.
 *
 * @param stream  the stream
 * @param size    the smallest write that is sent so, bytes; 0 switches it off
 * @return 0; -EOPNOTSUPP unless it is a TCP socket, with the back end `select`, and in a
 *         simulation; -EBADF; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_set_zerocopy(th_stream *stream, size_t size);

TH_END_DECLS

#endif
