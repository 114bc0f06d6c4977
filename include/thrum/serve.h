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

/* How to listen; all zero is the default. */
typedef struct th_listen_opts {
    size_t size;    /* sizeof(th_listen_opts), or 0 for the present one */
    int backlog;    /* connections the kernel queues; 0: as many as the system allows */
    int mode;       /* Unix: permissions of the socket file, in place before anyone can connect;
                       0: as the umask says */
    int dual_stack; /* 1: an IPv6 listener takes IPv4 clients too */
} th_listen_opts;

/**
 * Starts to listen. Connections are queued by the kernel from now on.
 *
 * A Unix socket file that nobody listens on is replaced; anything else at its path is left alone.
 *
 * @param address   where, as th_addr_parse() reads it; port 0 lets the system choose
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param listener  out: the listener, to be given back with th_listener_close()
 * @return 0; TH_EADDRESS; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES and other -errno with the address as
 *         detail; -EINVAL for NULL or unknown options; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_listen(const char *address, const th_listen_opts *opts,
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
} th_serve_opts;

/**
 * Listens at an address and serves every connection with a fiber, on all workers.
 *
 * Returns after an orderly stop (th_stop(), SIGTERM): nobody listens any more, those connections
 * that are open may finish until the time of grace is over and are then cancelled. In a scope that
 * has ended before, it returns at once and listens nowhere. When the scope ends later, no more
 * connections are accepted; those that were get their fiber, whose calls say that it is over.
 *
 * @param address  where, as th_listen() takes it
 * @param fn       what serves a connection
 * @param arg      handed to fn and opts->listening
 * @param opts     options, or NULL for the defaults
 * @return 0 when all connections had ended after a stop; -ECANCELED when the time of grace was
 *         over before; -ECANCELED or -ETIMEDOUT when the caller's scope says so, after all
 *         connections have ended; as th_listen(); -EPERM outside a fiber; -EINVAL, -ENOMEM
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
