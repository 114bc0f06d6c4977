/* SPDX-License-Identifier: MIT */

/*
 * Protocols: what is to happen on a connection, as functions that are called when it does.
 *
 * The same protocol runs over TCP, Unix sockets, pipes, memory and TLS. Its functions are called by
 * the loop of the transport's worker, outside of fibers, on the thread's own stack, one at a time
 * and never from within a call on the transport. They must not suspend; they may spawn fibers, and
 * set what fibers wait for. While one of them runs nothing else runs on its worker.
 *
 * The order, whatever happens: connection_made(), once; then any number of the others; then
 * connection_lost(), once; nothing after that. A function that returns a negative code ends its own
 * connection with that, and no other.
 */
#ifndef THRUM_PROTOCOL_H
#define THRUM_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/dial.h>
#include <thrum/scope.h>
#include <thrum/serve.h>
#include <thrum/str.h>
#include <thrum/transport.h>

TH_BEGIN_DECLS

/*
 * The functions of a protocol; a constant of the program, mostly. NULL where nothing is to be done.
 * A protocol of streams has either data_received() or both get_buffer() and buffer_updated(), one
 * of datagrams has datagram_received().
 */
typedef struct th_protocol {
    size_t size; /* sizeof(th_protocol), or 0 for the present one */
    int (*connection_made)(th_transport *transport, void *self);
    /* Some bytes; borrowed during the call. */
    int (*data_received)(th_transport *transport, void *self, th_str data);
    /* Instead of that: gives room for what comes, which must not be empty; is then told how many
     * bytes were put there. */
    int (*get_buffer)(th_transport *transport, void *self, struct iovec *room);
    int (*buffer_updated)(th_transport *transport, void *self, size_t count);
    /* The peer sends no more. 1: it may still be sent to; 0, or no such function: close. */
    int (*eof_received)(th_transport *transport, void *self);
    /* The sending direction has ended, as th_transport_write_eof() asked for. */
    int (*eof_sent)(th_transport *transport, void *self);
    /* More bytes wait than the high mark says; no more than the low mark says. In turns. */
    void (*pause_writing)(th_transport *transport, void *self);
    void (*resume_writing)(th_transport *transport, void *self);
    /* The server has been asked to stop: finish what is in progress and close, before the time of
     * grace is over. */
    void (*stopping)(th_transport *transport, void *self);
    /* The connection is gone: 0 in order, else why. The last call; here `self` is freed. */
    void (*connection_lost)(th_transport *transport, void *self, int reason);
    /* Of datagrams: one that has come, perhaps empty, and from where; both borrowed during the
     * call. */
    int (*datagram_received)(th_transport *transport, void *self, th_str data, const th_addr *from);
    /* Receiving has failed (to is NULL), or sending one that waited; the transport lives on. */
    void (*error_received)(th_transport *transport, void *self, int error, const th_addr *to);
} th_protocol;

/*
 * Makes what is to handle a new transport, and names it with th_transport_set_protocol() or a call
 * that does that, as th_framing_start(). It is called when there is a connection and may write
 * already. A negative result closes the connection, of which nothing is then told.
 */
typedef int (*th_protocol_factory)(th_transport *transport, void *arg);

/* How to make a transport; all zero is the default. */
typedef struct th_protocol_opts {
    size_t size;     /* sizeof(th_protocol_opts), or 0 for the present one */
    th_scope *scope; /* what it belongs to, a scope of this worker; NULL: the innermost one of the
                        calling fiber. Outside a fiber it must be given. */
    int64_t time;    /* th_protocol_connect(): ns for the attempt; 0: no limit of its own */
    const th_dial_opts *dial; /* th_protocol_connect(): how to dial; NULL: the defaults. What it
                                 points to must last until the attempt is over */
    void (*failed)(void *arg, int error); /* th_protocol_connect(): told by the loop that there will
                                             be no connection; NULL: nobody wants to know */
} th_protocol_opts;

/* How to serve; all zero is the default. */
typedef struct th_protocol_serve_opts {
    size_t size;              /* sizeof(th_protocol_serve_opts), or 0 for the present one */
    uint32_t max_connections; /* at the same time, over all workers; further clients wait in the
                                 kernel's queue; 0: no limit */
    void (*listening)(const th_addr *addr, void *arg); /* called once for each address when clients
                                                          can connect; may be NULL */
    const th_listen_opts *listen; /* th_protocol_serve(): how to listen; NULL: the defaults */
    uint32_t max_per_peer;        /* as in th_serve_opts, these four */
    uint8_t peer_bits4;
    uint8_t peer_bits6;
    struct th_tls *tls;
} th_protocol_serve_opts;

/**
 * Listens at an address and serves every connection with a protocol, on all workers.
 *
 * Returns after an orderly stop (th_stop(), SIGTERM): nobody listens any more, the connections are
 * told by stopping(), and those that have not ended when the time of grace is over are aborted. The
 * connections are no fibers: an open one that is quiet costs its structure. On a listener for TLS
 * a fiber makes the handshake, and factory is called after that; th_serve() tells the rest.
 *
 * @param address  where, as th_listen() takes it
 * @param factory  called for each connection, on the worker that has it
 * @param arg      handed to factory and opts->listening
 * @param opts     options, or NULL for the defaults
 * @return as th_serve()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: aborts the connections with that reason, and returns when they have ended
 * Since: 0.1
 */
TH_API TH_MUST int th_protocol_serve(const char *address, th_protocol_factory factory, void *arg,
                                     const th_protocol_serve_opts *opts);

/**
 * Serves listeners that are open already, as th_protocol_serve() does.
 *
 * @param listeners  the listeners; they stay the caller's. An orderly stop ends listening: then
 *                   they are good for th_listener_close() only
 * @param count      how many, 1 to 64
 * @param factory    called for each connection, on the worker that has it
 * @param arg        handed to factory and opts->listening
 * @param opts       options, or NULL for the defaults
 * @return as th_serve()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: as th_protocol_serve()
 * Since: 0.1
 */
TH_API TH_MUST int th_protocol_serve_on(th_listener *const *listeners, size_t count,
                                        th_protocol_factory factory, void *arg,
                                        const th_protocol_serve_opts *opts);

/**
 * Connects to an address and hands the connection to a protocol.
 *
 * Returns at once. Later the loop calls factory and then connection_made(), or else opts->failed().
 * The attempt, like the connection, belongs to the scope: its end gives it up.
 *
 * @param address  where, as th_dial() takes it
 * @param factory  called when there is a connection
 * @param arg      handed to factory and opts->failed
 * @param opts     options, or NULL for the defaults
 * @return 0: the attempt has begun; -ECANCELED or -ETIMEDOUT when the scope has ended; -EAGAIN when
 *         the scope has as many children as its limit says; -EINVAL for NULL, no scope, or one of
 *         another worker; -EPERM outside a worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_protocol_connect(const char *address, th_protocol_factory factory, void *arg,
                                       const th_protocol_opts *opts);

/**
 * Hands a descriptor to a protocol.
 *
 * That is a connected socket, the end of a pipe, a terminal; or a socket of datagrams, connected or
 * not, whose transport then sends and receives datagrams.
 *
 * @param fd       the descriptor, which is made non-blocking and is the transport's on success
 * @param factory  called at once, from within this call
 * @param arg      handed to factory
 * @param opts     options, or NULL for the defaults
 * @return 0: connection_made() will be called; what factory returned if that is negative; -EBADF;
 *         -EEXIST when this worker watches it already; -ENOTSUP for a regular file or a directory;
 *         -ECANCELED, -ETIMEDOUT, -EAGAIN, -EINVAL, -EPERM and -ENOMEM as th_protocol_connect()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_protocol_open(int fd, th_protocol_factory factory, void *arg,
                                    const th_protocol_opts *opts);

/**
 * Makes two transports of this worker that are connected to each other in memory.
 *
 * Between them there is room for 64 KiB in each direction; what is more waits with the sender, as
 * it would before a socket.
 *
 * @param factory  called at once for the one and then for the other
 * @param args     handed to the two calls of factory; borrowed during this call
 * @param opts     options, or NULL for the defaults
 * @return 0; what factory returned if that is negative: then the other one, if there is one,
 *         finds itself at the end of the stream; -ECANCELED, -ETIMEDOUT, -EAGAIN, -EINVAL, -EPERM
 *         and -ENOMEM as th_protocol_connect()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_protocol_pair(th_protocol_factory factory, void *const args[2],
                                    const th_protocol_opts *opts);

TH_END_DECLS

#endif
