/* SPDX-License-Identifier: MIT */

/*
 * DTLS 1.2 (RFC 6347): TLS for datagrams.
 *
 *     th_dtls *dtls;
 *     err = th_dtls_dial("dtls://sensor.example:5684", &(th_dtls_opts){ .tls = tls }, &dtls);
 *     if (err == 0)
 *         err = th_dtls_send(dtls, "hello", 5);
 *     if (err == 0)
 *         n = th_dtls_recv(dtls, buf, sizeof buf);
 *
 * What is sent arrives whole or not at all, perhaps later than what was sent after it, as with UDP;
 * but nobody else can read or change it, and nothing arrives twice. Only the handshake is repeated
 * until it has arrived.
 *
 * Contexts are those of <thrum/tls.h>, made with the option `dtls`. A server answers the first
 * datagram of a client by a cookie, and keeps nothing of it until the client has shown, by sending
 * the cookie back, that it is where it says.
 */
#ifndef THRUM_DTLS_H
#define THRUM_DTLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/tls_stream.h>
#include <thrum/udp.h>

TH_BEGIN_DECLS

struct th_tls; /* thrum/tls.h */

typedef struct th_dtls th_dtls;

/* How a client connects; all zero but the context is the default. */
typedef struct th_dtls_opts {
    size_t size;        /* sizeof(th_dtls_opts), or 0 for the present one */
    struct th_tls *tls; /* the context, made with th_tls_opts.dtls; needed */
    const char *name;   /* the name or address that the server's certificate must be for, also told
                           to the server; NULL: the host of the address */
    const char *const *alpn; /* protocols to offer, best first, ended by NULL; NULL: those of the
                                context */
    size_t mtu;             /* largest datagram that is sent, bytes of UDP's payload, 256 to 65,507;
                               0: 1200, which gets through everywhere */
    int64_t handshake_time; /* the handshake may take so long, ns; 0: as the context says; TH_NEVER:
                               no limit */
    const th_udp_opts *udp; /* of the socket; NULL: the defaults */
    void *user;             /* for the callbacks of the context */
} th_dtls_opts;

/**
 * Connects to a server and makes the handshake.
 *
 * @param address  `dtls://HOST:PORT`, or as th_udp_dial() reads it
 * @param opts     options, among them the context; borrowed for the call
 * @param dtls     out: the connection, for th_dtls_free()
 * @return 0; as th_udp_dial(); TH_ETLS when the handshake failed, with the reason as detail;
 *         -ECONNREFUSED when nobody is there and the system says so; -ETIMEDOUT when the handshake
 *         took too long, with a detail, or the scope says so; -ECANCELED; -EINVAL for NULL, wrong
 *         options, or a context without DTLS; -EPERM outside a fiber; -ENOMEM
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: nothing is made
 * Since: 0.1
 */
TH_API TH_MUST int th_dtls_dial(const char *address, const th_dtls_opts *opts, th_dtls **dtls);

/**
 * Receives what the peer has sent by one th_dtls_send().
 *
 * @param dtls  the connection
 * @param buf   out: the bytes; what has no room is lost
 * @param size  room at buf, bytes, at least 1
 * @return the bytes in buf, at least 1; TH_EOF when the peer has ended the connection, or the
 *         service that it belongs to ends; -ETIMEDOUT when a server's peer has sent nothing for
 *         longer than it may, with a detail; TH_ETLS after an alert; -ECONNREFUSED and the like as
 *         th_udp_recv(); -EBUSY when another fiber receives; -EBADF when it is closed, -ECANCELED
 *         when that happens meanwhile; -ECANCELED or -ETIMEDOUT when the caller's scope says so;
 *         -EINVAL for NULL and size 0; -EPERM on another worker
 *
 * Suspends: yes, until something comes
 * Thread: fiber
 * On cancel: nothing is received
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_dtls_recv(th_dtls *dtls, void *buf, size_t size);

/**
 * Sends bytes as one datagram.
 *
 * @param dtls  the connection
 * @param data  the bytes; borrowed for the call
 * @param size  how many, 1 to th_dtls_payload()
 * @return 0 when the kernel has taken it; -EMSGSIZE when it is larger; -EPIPE after
 *         th_dtls_shutdown(); -EBADF when it is closed; as th_udp_send(); TH_ETLS when the
 *         connection has failed before; -EINVAL for NULL and size 0; -EPERM on another worker
 *
 * Suspends: yes, while the kernel has no room
 * Thread: fiber
 * On cancel: it is sent or lost
 * Since: 0.1
 */
TH_API int th_dtls_send(th_dtls *dtls, const void *data, size_t size);

/**
 * Tells the peer that nothing more comes. Like all that is sent, that may get lost.
 *
 * @param dtls  the connection
 * @return 0; as th_dtls_send()
 *
 * Suspends: yes, while the kernel has no room
 * Thread: fiber
 * On cancel: it is sent or lost
 * Since: 0.1
 */
TH_API int th_dtls_shutdown(th_dtls *dtls);

/**
 * Tells how many bytes one th_dtls_send() may have: what the mtu leaves.
 *
 * @param dtls  the connection
 * @return the bytes; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API ssize_t th_dtls_payload(th_dtls *dtls);

/**
 * Changes the largest datagram that is sent.
 *
 * @param dtls  the connection
 * @param mtu   bytes of UDP's payload, 256 to 65,507
 * @return 0; -EINVAL for NULL and other sizes
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dtls_set_mtu(th_dtls *dtls, size_t mtu);

/**
 * Tells who is at the other end.
 *
 * @param dtls  the connection
 * @param addr  out: the address
 * @return 0; -EINVAL for NULL; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dtls_peer(th_dtls *dtls, th_addr *addr);

/**
 * Tells what the handshake has agreed upon, as th_tls_info_get() does for streams.
 *
 * @param dtls  the connection
 * @param info  in and out: its size, and what is known; texts are borrowed and end with the
 *              connection
 * @return 0; -EINVAL for NULL or a wrong size
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dtls_info(th_dtls *dtls, th_tls_info *info);

/**
 * Closes a connection.
 *
 * The peer is told, for which it waits a second at most; fibers that wait in it return -ECANCELED.
 *
 * @param dtls  the connection
 * @return 0; -EBADF when it is closed already; -EINVAL for NULL
 *
 * Suspends: yes, while the kernel has no room
 * Thread: fiber
 * On cancel: closes
 * Since: 0.1
 */
TH_API int th_dtls_close(th_dtls *dtls);

/**
 * Closes a connection if it is open and frees it.
 *
 * No other fiber may be in a call on it. What serves a peer does not free it: that is done when it
 * returns.
 *
 * @param dtls  the connection; NULL is allowed and does nothing
 *
 * Suspends: yes, as th_dtls_close()
 * Thread: fiber
 * On cancel: frees
 * Since: 0.1
 */
TH_API void th_dtls_free(th_dtls *dtls);

/* What serves one peer, on a fiber of its own, once its handshake is complete. */
typedef int (*th_dtls_fn)(th_dtls *dtls, void *arg);

/* How to serve; all zero but the context is the default. */
typedef struct th_dtls_serve_opts {
    size_t size;            /* sizeof(th_dtls_serve_opts), or 0 for the present one */
    struct th_tls *tls;     /* the context, made with th_tls_opts.dtls; needed. When it is replaced,
                               newcomers get what took its place */
    size_t mtu;             /* as th_dtls_opts.mtu */
    int64_t handshake_time; /* for each handshake, ns; 0: as the context says; TH_NEVER: no limit */
    int64_t idle_time;      /* ns after which a peer that has sent nothing is taken for gone; 0:
                               5 min; TH_NEVER: never */
    size_t peers_max;       /* peers at the same time on each worker; newcomers beyond it get no
                               answer; 0: 10,000 */
    size_t waiting_max;     /* datagrams of a peer that wait to be received; more are lost; 0: 64 */
    size_t stack_size;      /* of each peer's fiber, bytes; 0: the runtime's default */
    const th_udp_opts *udp; /* of the sockets; NULL: the defaults */
    void (*listening)(const th_addr *addr, void *arg); /* called once when datagrams are received;
                                                          may be NULL */
} th_dtls_serve_opts;

/**
 * Serves an address on all workers, each peer on a fiber of its own.
 *
 * @param address  `dtls://HOST:PORT`, or as th_udp_serve() takes it
 * @param fn       what serves a peer; its result matters to nobody else
 * @param arg      handed to fn and opts->listening
 * @param opts     options, among them the context; borrowed until this returns
 * @return as th_udp_serve(); -EINVAL also for a context without DTLS or without a certificate
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cancels what serves, waits for it, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_dtls_serve(const char *address, th_dtls_fn fn, void *arg,
                                 const th_dtls_serve_opts *opts);

TH_END_DECLS

#endif
