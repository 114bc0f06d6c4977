/* SPDX-License-Identifier: MIT */

/*
 * Transports: connections that call a protocol's functions instead of being waited for by a fiber.
 *
 * A transport belongs to the worker on which it was made, and to a scope: that scope does not close
 * before the transport has ended, and its cancellation or deadline aborts it. All calls are made on
 * its worker, by the functions of its protocol or by fibers. None of them suspends, and none calls
 * a function of the protocol: those are called by the worker's loop, outside of fibers, later.
 *
 * Whoever keeps a transport beyond the connection_lost() of its protocol takes a reference. From
 * then on calls do nothing, as said of each.
 */
#ifndef THRUM_TRANSPORT_H
#define THRUM_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <thrum/defs.h>
#include <thrum/scope.h>

TH_BEGIN_DECLS

typedef struct th_transport th_transport;
struct th_addr;     /* thrum/addr.h */
struct th_protocol; /* thrum/protocol.h */
struct th_tls;      /* thrum/tls.h */
struct th_tls_info; /* thrum/tls_stream.h */

/* Bytes that may wait to be sent before the protocol is told to pause, unless told otherwise. */
#define TH_TRANSPORT_HIGH ((size_t)64 * 1024)

/**
 * Sends bytes: what the kernel takes at once leaves now, the rest is copied and follows.
 *
 * The caller's memory is its own again when this returns. A failure of the connection is returned
 * to the call that meets it, drops what was waiting, and is told by connection_lost(). On a
 * transport that is closing or gone the bytes are dropped and counted, and 0 is returned.
 *
 * @param transport  the transport
 * @param buf        the bytes; borrowed during the call
 * @param size       how many; with 0 nothing happens
 * @return 0; 1 when now more bytes wait than the high mark says: send no more until
 *         resume_writing(); -EBUSY while TLS begins; -EINVAL after th_transport_write_eof(), for
 *         NULL, or on a transport of datagrams; -EPERM on another worker; -ENOMEM, with nothing
 * sent, or else with the connection broken off; -EPIPE, -ECONNRESET and other -errno of the
 * connection
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_write(th_transport *transport, const void *buf, size_t size);

/**
 * Sends several pieces in order, as th_transport_write() does one.
 *
 * @param transport  the transport
 * @param iov        the pieces; borrowed during the call, empty ones are allowed
 * @param count      how many, at least 1
 * @return as th_transport_write(); -EINVAL also for count < 1 or above 1024
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_writev(th_transport *transport, const struct iovec *iov, int count);

/**
 * Sends what the kernel takes at once, and nothing later.
 *
 * @param transport  the transport
 * @param buf        the bytes; borrowed during the call
 * @param size       how many
 * @return the number of bytes sent, 0 for a size of 0; -EAGAIN when it takes none now, or others
 *         wait already; -EBADF when the transport is closing or gone; else as th_transport_write()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_transport_try_write(th_transport *transport, const void *buf,
                                              size_t size);

/* Told of the end of a th_transport_sendfile(): 0, or why it broke off, and how many bytes of the
 * file have left. */
typedef void (*th_transport_sent_fn)(th_transport *transport, void *arg, int result, uint64_t sent);

/**
 * Sends a stretch of a file, after what waits already and before what is written later.
 *
 * The kernel sends it without copying where it can; otherwise, and where the file is not in memory,
 * it goes through the pool "files" in pieces, and the worker never waits for a disk.
 *
 * @param transport  the transport
 * @param fd         a file open for reading, borrowed until done is called; its offset is neither
 *                   used nor moved
 * @param offset     where to start, bytes
 * @param size       how many bytes; -1: up to the end of the file
 * @param done       called once by the loop, when the last byte has left, the file has ended before
 *                   that, or the transport has failed or was aborted; NULL: nobody wants to know
 * @param arg        handed to done
 * @return 0: done will be called; -EINVAL for a negative offset, another negative size, NULL, a
 *         transport of datagrams, or after th_transport_write_eof(); -EBADF when the transport is
 *         closing or gone; -EPERM on another worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_sendfile(th_transport *transport, int fd, int64_t offset,
                                         int64_t size, th_transport_sent_fn done, void *arg);

/**
 * Sends a datagram; with no room in the kernel it waits, with its address, and keeps its place.
 *
 * An empty one is sent as well. One that waited and cannot be sent is told by error_received(), and
 * those behind it are sent all the same.
 *
 * @param transport  a transport of datagrams
 * @param buf        the bytes; borrowed during the call
 * @param size       how many; may be 0
 * @param to         where to; NULL on a connected socket, and only there
 * @return 0; 1 when now more bytes wait than the high mark says; 0 on a transport that is closing
 *         or gone, where it is dropped and counted; -EISCONN for an address on a connected socket,
 *         -EDESTADDRREQ for none on another; -EMSGSIZE, -ENETUNREACH, -EACCES and other -errno of
 *         the network, and -ENOMEM: it was not sent, and the transport lives on; -EINVAL for NULL
 *         or a transport of streams; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_send_to(th_transport *transport, const void *buf, size_t size,
                                const struct th_addr *to);

/**
 * Ends the sending direction once all that waits has left: the peer then reads the end.
 *
 * The protocol is told by eof_sent(). Reading goes on. When both directions have ended the
 * transport closes by itself.
 *
 * @param transport  the transport
 * @return 0, also the second time, and on a transport that is closing or gone, which changes
 *         nothing; -EINVAL for NULL or a transport of datagrams; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_write_eof(th_transport *transport);

/**
 * Closes a transport in order: reads no more, sends what waits, then tells connection_lost() 0.
 *
 * With a producer registered it is closed once that is taken away and all has left.
 *
 * @param transport  the transport
 * @return 0, also when it is closing or gone, which changes nothing; -EINVAL for NULL; -EPERM on
 *         another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_close(th_transport *transport);

/**
 * Breaks a transport off: drops what waits, resets the connection, and tells connection_lost() why.
 *
 * @param transport  the transport
 * @param reason     a negative code for connection_lost(); 0 means -ECONNABORTED
 * @return 0, also when it is gone; -EINVAL for NULL or a positive reason; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_abort(th_transport *transport, int reason);

/**
 * Stops reading: no data_received() until it is resumed. What the peer sends waits in the kernel.
 *
 * @param transport  the transport
 * @return 0, also when it is paused, closing or gone; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_pause_reading(th_transport *transport);

/**
 * Goes on reading.
 *
 * @param transport  the transport
 * @return 0, also when it reads, is closing or gone; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_resume_reading(th_transport *transport);

/**
 * Gives bytes back, to be the next that are received, before any others.
 *
 * For a protocol that has been handed more than it wants now: it pauses, or hands over to another
 * one, and gives back the rest. Bytes given back twice come in the opposite order of giving back.
 *
 * @param transport  the transport
 * @param buf        the bytes; borrowed during the call
 * @param size       how many
 * @return 0, also on a transport that is closing or gone, which drops them; -EINVAL for NULL or a
 *         transport of datagrams; -EPERM on another worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_unread(th_transport *transport, const void *buf, size_t size);

/**
 * Sets how many bytes may wait to be sent.
 *
 * The protocol is told pause_writing() when more than `high` wait, and resume_writing() when no
 * more than `low` do. What holds now is compared at once.
 *
 * @param transport  the transport
 * @param high       bytes; 0: pause whenever anything waits. TH_TRANSPORT_HIGH until it is set
 * @param low        bytes, not above high; SIZE_MAX: a quarter of high
 * @return 0; -EINVAL for low above high or NULL, with nothing changed; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_set_marks(th_transport *transport, size_t high, size_t low);

/**
 * Makes another protocol receive what comes from now on.
 *
 * Nothing is told to either of them by this. From within data_received() the rest of the bytes can
 * be handed over with th_transport_unread(). The former protocol gets no further call, and has to
 * free its data itself.
 *
 * @param transport  the transport
 * @param protocol   the functions; borrowed until the transport has ended or gets another one
 * @param self       handed to the functions
 * @return 0; -EINVAL for NULL or a protocol that lacks what the transport needs, with nothing
 *         changed; -EBADF when the transport is gone; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_set_protocol(th_transport *transport,
                                             const struct th_protocol *protocol, void *self);

/**
 * Gives what is handed to the functions of a transport's present protocol.
 *
 * @param transport  the transport
 * @return self of th_transport_set_protocol(); NULL while there is no protocol
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void *th_transport_self(const th_transport *transport);

/**
 * Gives the scope that a transport belongs to, in which a function of its protocol can spawn.
 *
 * @param transport  the transport
 * @return the scope, open as long as the transport has not ended; NULL after that
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_scope *th_transport_scope(const th_transport *transport);

/* What a transport is at. */
typedef struct th_transport_info {
    const char *carrier; /* "socket", "descriptor", "memory", "datagrams" */
    int fd;              /* its descriptor; -1: it has none. Not to be read, written or closed */
    int reading;         /* 1: neither paused nor at its end nor closing */
    int closing;         /* 1: closing, or gone */
    size_t waiting;      /* bytes that wait to be sent, without those of files */
    size_t high;         /* the marks */
    size_t low;
    uint64_t received; /* bytes so far */
    uint64_t sent;
    uint64_t dropped; /* calls of th_transport_write() that came after the end */
} th_transport_info;

/**
 * Tells what a transport is at.
 *
 * @param transport  the transport
 * @param info       out: what holds now
 * @return 0; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_get_info(const th_transport *transport, th_transport_info *info);

/**
 * Tells the address of the other end.
 *
 * @param transport  the transport
 * @param addr       out: the address; TH_ADDR_NONE where the carrier has none
 * @return 0; -ENOTCONN when the peer is gone; -EBADF when the transport is; -EINVAL for NULL;
 *         -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_peer(const th_transport *transport, struct th_addr *addr);

/**
 * Tells the address of this end.
 *
 * @param transport  the transport
 * @param addr       out: the address; TH_ADDR_NONE where the carrier has none
 * @return 0; -EBADF when the transport is gone; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_local(const th_transport *transport, struct th_addr *addr);

/*
 * A source of bytes that is held back by the transport it writes to. The functions are called by
 * the loop.
 */
typedef struct th_transport_producer {
    size_t size; /* sizeof(th_transport_producer), or 0 for the present one */
    int pull;    /* 1: produce() is called whenever nothing waits, and writes one piece; 0: it
                    writes by itself from registration on */
    void (*produce)(th_transport *transport, void *self); /* or: everything has left, go on */
    void (*pause)(th_transport *transport, void *self);   /* push: the high mark is passed */
    void (*stop)(th_transport *transport, void *self);    /* the transport is gone; the last call */
} th_transport_producer;

/**
 * Registers the producer of a transport.
 *
 * @param transport  the transport
 * @param producer   the functions, of which pause and stop may be NULL; borrowed until it is taken
 *                   away or stopped
 * @param self       handed to the functions
 * @return 0, also on a transport that is gone: then stop() is called; -EBUSY when there is one
 *         already; -EINVAL for NULL, a producer without produce(), or a transport of datagrams;
 *         -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_set_producer(th_transport *transport,
                                             const th_transport_producer *producer, void *self);

/**
 * Takes the producer of a transport away: it has no more to say, and is not called any more.
 *
 * @param transport  the transport
 * @return 0; -ENOENT when there is none; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_end_producer(th_transport *transport);

/*
 * Told by the loop what has become of a handshake: 0, or why it has failed, with the detail of that
 * in force; then connection_lost() follows. A negative result ends the connection.
 */
typedef int (*th_transport_tls_fn)(th_transport *transport, void *self, int result);

/**
 * Goes on with TLS on a transport that has none so far, as the server.
 *
 * What was written before leaves first, without TLS; what is given back with th_transport_unread(),
 * before this or by the function that called this, is the beginning of the peer's TLS. Until done()
 * has been called the protocol hears nothing, calls that write return -EBUSY, and the addresses are
 * not to be had. After that the same protocol goes on, or another one that done() has set. When the
 * transport ends before, connection_lost() alone tells.
 *
 * @param transport  a transport on a connected socket
 * @param tls        the context, which has a certificate; its handshake time is the limit
 * @param done       called once the handshake is over; NULL: nobody wants to know
 * @return 0: the handshake will be made; -EINVAL for NULL; -EBADF when the transport is closing or
 *         gone; -EBUSY when that has begun already, or it has a producer; -EPIPE when one direction
 *         has ended; -EOPNOTSUPP for what is no socket, or has TLS already; -EPERM on another
 *         worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_tls_server(th_transport *transport, struct th_tls *tls,
                                           th_transport_tls_fn done);

/**
 * Goes on with TLS on a transport that has none so far, as the client.
 *
 * @param transport  a transport on a connected socket
 * @param tls        the context; its handshake time is the limit
 * @param name       what the certificate of the server must be for, borrowed for the call; NULL
 * only where the context does not verify
 * @param done       as for th_transport_tls_server()
 * @return as th_transport_tls_server()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_transport_tls_client(th_transport *transport, struct th_tls *tls,
                                           const char *name, th_transport_tls_fn done);

/**
 * Tells what is known of the TLS of a transport, as th_tls_info_get() does of a stream.
 *
 * @param transport  the transport
 * @param info       in: its size; out: the rest. Its texts are borrowed, and end with the transport
 * @return 0; -EOPNOTSUPP when it has no TLS; -EBADF when it is gone; -EINVAL for NULL or an unknown
 *         size; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_transport_tls_info(th_transport *transport, struct th_tls_info *info);

/**
 * Gives a certificate of the TLS of a transport, in DER, as th_tls_cert_get() does of a stream.
 *
 * @param transport  the transport
 * @param chain      which chain: TH_TLS_CERTS_...
 * @param index      which of it, from 0
 * @param buf        out: the bytes, if there is room for all of them; NULL when size is 0
 * @param size       room at buf, bytes
 * @return how many bytes it has, also when that is more than size; -ENOENT when there is none;
 *         -EOPNOTSUPP when there is no TLS; -EBADF when the transport is gone; -EINVAL, -ENOMEM;
 *         -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_transport_tls_cert(th_transport *transport, int chain, size_t index,
                                             void *buf, size_t size);

/**
 * Takes a reference, with which the transport can be named after it is gone.
 *
 * @param transport  the transport; NULL is allowed
 * @return the same
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_transport *th_transport_ref(th_transport *transport);

/**
 * Gives a reference back. The connection is not touched by that.
 *
 * @param transport  the transport; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_transport_unref(th_transport *transport);

TH_END_DECLS

#endif
