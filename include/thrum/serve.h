/* SPDX-License-Identifier: MIT */

/* Listeners, and serving connections with a fiber each. */
#ifndef THRUM_SERVE_H
#define THRUM_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

typedef struct th_listener th_listener;
struct th_tls; /* thrum/tls.h */

/* Whether connections begin with a PROXY header, by which a proxy tells who the client is. There is
 * no guessing, which clients could abuse: from whom a header is to come is settled before. */
enum {
    TH_PROXY_NONE,     /* they do not */
    TH_PROXY_REQUIRED, /* all do; with proxy_from, connections from elsewhere are reset */
    TH_PROXY_OPTIONAL  /* those from proxy_from do, all others do not */
};

/* How to listen; all zero is the default. */
typedef struct th_listen_opts {
    size_t size;    /* sizeof(th_listen_opts), or 0 for the present one */
    int backlog;    /* connections the kernel queues; 0: as many as the system allows */
    int mode;       /* Unix: permissions of the socket file, in place before anyone can connect;
                       0: as the umask says */
    int dual_stack; /* 1: an IPv6 listener takes IPv4 clients too */
    int reuse_port; /* 1: other listeners of this user that say so too may have the same port; the
                       kernel then deals clients out by chance, and loses those that are queued at
                       one that closes */
    int proxy_protocol;     /* TH_PROXY_* */
    const char *proxy_from; /* whose headers are believed: "10.0.0.0/8, ::1, unix"; NULL:
                               everybody's if they are required */
    int64_t proxy_time;     /* until the header must be there, ns; 0: 5 s; then a reset */
    const char *tune; /* options of sockets as th_tune_parse() reads them, for the listener and
                         all that it accepts; NULL: none */
    int tls;          /* 1: what is accepted speaks TLS, as `tls://` in an address says; for
                         addresses that are values */
} th_listen_opts;

/**
 * Starts to listen. Connections are queued by the kernel from now on.
 *
 * A Unix socket file that nobody listens on is replaced; anything else at its path is left alone.
 *
 * Two more kinds of address mean a socket that the process was given: `systemd:NAME` the next of
 * that name (`systemd:` of any) that systemd passed and nobody has taken, and `fd:N` a descriptor
 * by its number. If it does not listen yet, it does now. It is closed with the listener; who else
 * holds it goes on listening, so that clients wait in its queue for the next process.
 *
 * `tls://HOST:PORT`, and `tls+` before any other address, as `tls+unix:/path`, say that what is
 * accepted here speaks TLS. The listener keeps that, and what stands behind a `?`, for who serves
 * it: th_serve() tells what that may be.
 *
 * @param address   where, as th_addr_parse() reads it; port 0 lets the system choose; `unix:@` an
 *                  abstract name that the system chooses; or an inherited socket
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param listener  out: the listener, to be given back with th_listener_close()
 * @return 0; TH_EADDRESS, also for proxy_from; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES and other
 * -errno with the address as detail; -ENOPROTOOPT, TH_ECONFIG, -EPERM and others for tune, as
 *         th_tune_parse() and th_stream_tune(); -ENOENT, -EBUSY, -ENOTSOCK, -EPROTOTYPE for an
 *         inherited socket that was not passed, is taken, or is not of that kind; -EINVAL for NULL,
 *         unknown options, TH_PROXY_OPTIONAL without proxy_from, or for an inherited socket options
 *         that come too late; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_listen(const char *address, const th_listen_opts *opts,
                             th_listener **listener);

/**
 * Starts to listen at an address that is a value, such as one with NUL bytes in its abstract name.
 *
 * @param addr      where
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param listener  out: the listener, to be given back with th_listener_close()
 * @return as th_listen(); -EINVAL for TH_ADDR_NONE too
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_listen_addr(const th_addr *addr, const th_listen_opts *opts,
                                  th_listener **listener);

/**
 * Tells where a listener listens, with the real port.
 *
 * @param listener  the listener
 * @param addr      out: its address
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_listener_addr(const th_listener *listener, th_addr *addr);

/**
 * Tells whether what a listener accepts speaks TLS.
 *
 * @param listener  the listener
 * @return 1 when its address or its options said so, else 0
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_listener_is_tls(const th_listener *listener);

/**
 * Stops listening and frees the listener.
 *
 * Clients in the kernel's queue are reset. A Unix socket file is removed if it is still the one
 * that was made.
 *
 * @param listener  a listener that nobody serves; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_listener_close(th_listener *listener);

/* What serves one connection. The stream is closed and freed when it returns; a negative result
 * other than TH_EOF is counted as a failure and hurts nobody else. */
typedef int (*th_serve_fn)(th_stream *stream, void *arg);

/* How to serve; all zero is the default. */
typedef struct th_serve_opts {
    size_t size;              /* sizeof(th_serve_opts), or 0 for the present one */
    uint32_t max_connections; /* at the same time, over all workers; further clients wait in the
                                 kernel's queue; 0: no limit */
    size_t stack_size;        /* of a connection's fiber, bytes; 0: the runtime's default */
    void (*listening)(const th_addr *addr, void *arg); /* called once for each address when clients
                                                          can connect; may be NULL */
    const th_listen_opts *listen; /* th_serve(): how to listen; NULL: the defaults */
    uint32_t max_per_peer;        /* connections of one peer at the same time; one more is reset at
                                     once; Unix sockets are not counted; 0: no limit */
    uint8_t peer_bits4;           /* what is one peer: addresses that share so many bits; 0: 32 */
    uint8_t peer_bits6;           /* of IPv6; 0: 64, what one customer usually has */
    struct th_tls *tls;           /* how TLS is spoken on listeners that are for it; NULL: as their
                                     addresses say */
} th_serve_opts;

/**
 * Listens at an address and serves every connection with a fiber, on all workers.
 *
 * Returns after an orderly stop (th_stop(), SIGTERM): nobody listens any more, those connections
 * that are open may finish until the time of grace is over and are then cancelled. In a scope that
 * has ended before, it returns at once and listens nowhere. When the scope ends later, no more
 * connections are accepted; those that were get their fiber, whose calls say that it is over.
 *
 * When the process or the system is out of descriptors or memory, accepting is suspended for a
 * tenth of a second, then longer, up to a second, and until one of the own connections ends;
 * clients wait in the kernel's queue meanwhile, and those that are connected are served as ever. A
 * warning in the log tells that it began, once, and a message that it is over.
 *
 * On a listener for TLS each connection's fiber first makes the handshake, for which it has the
 * time that the context says; fn then has a stream like any other. A client with which that fails
 * costs nobody else anything, is counted, and the log tells why at TH_LOG_DEBUG. A PROXY header
 * comes before TLS. Instead of opts->tls an address may say, behind a `?` and parted by `&`,
 * `cert=FILE` and `key=FILE`, in PEM, and `ca=FILE` for the authorities of whom every client must
 * have a certificate; or `dev` for the certificate of th_cert_dev_open(), which is made if it is
 * not there: "tls://localhost:7000?dev".
 *
 * @param address  where, as th_listen() takes it
 * @param fn       what serves a connection
 * @param arg      handed to fn and opts->listening
 * @param opts     options, or NULL for the defaults
 * @return 0 when all connections had ended after a stop; -ECANCELED when the time of grace was
 *         over before; -ECANCELED or -ETIMEDOUT when the caller's scope says so, after all
 *         connections have ended; as th_listen(); as th_tls_new() for what an address says of TLS;
 *         -EPERM outside a fiber; -EINVAL, with a detail where TLS has no certificate, or one that
 *         no listener is for; -ENOMEM
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cancels the connections, waits for their fibers, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_serve(const char *address, th_serve_fn fn, void *arg,
                            const th_serve_opts *opts);

/**
 * Serves listeners that are open already, as th_serve() does.
 *
 * @param listeners  the listeners; they stay the caller's. An orderly stop ends listening: then
 * they are good for th_listener_close() only
 * @param count      how many, 1 to 64
 * @param fn         what serves a connection
 * @param arg        handed to fn and opts->listening
 * @param opts       options, or NULL for the defaults
 * @return as th_serve()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cancels the connections, waits for their fibers, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_serve_on(th_listener *const *listeners, size_t count, th_serve_fn fn,
                               void *arg, const th_serve_opts *opts);

TH_END_DECLS

#endif
