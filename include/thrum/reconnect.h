/* SPDX-License-Identifier: MIT */

/*
 * A client that connects again when its connection is lost, or there was none.
 *
 * Each further attempt comes after a delay that grows from one to the next, up to a bound, and is
 * scattered, so that a thousand clients of a server that was restarted do not come all at once. The
 * delay begins anew when the client says that all is well (th_reconnect_reset()), and not just
 * because a connection was made: a server that accepts and hangs up is no better than one that is
 * gone.
 */
#ifndef THRUM_RECONNECT_H
#define THRUM_RECONNECT_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/protocol.h>
#include <thrum/scope.h>
#include <thrum/transport.h>

TH_BEGIN_DECLS

typedef struct th_reconnect th_reconnect;

/* How to do it; all zero is the default. */
typedef struct th_reconnect_opts {
    size_t size;      /* sizeof(th_reconnect_opts), or 0 for the present one */
    th_scope *scope;  /* what it and its connections belong to, as in th_protocol_opts */
    int64_t first;    /* what the delay begins with, ns; 0: 1 s. It grows before each use. */
    int64_t most;     /* the longest delay before it is scattered, ns; 0: 1 h */
    unsigned factor;  /* by which it grows, in thousandths; 0: 2718; not below 1000 */
    int scatter;      /* standard deviation of a delay, in thousandths of it; 0: 120; -1: none */
    unsigned retries; /* attempts in a row without a reset, after the first one; 0: no limit */
    int64_t time;     /* for one attempt, ns; 0: 30 s */
    const th_dial_opts *dial; /* how to dial; NULL: the defaults. What it points to must last as
                                 long as the client is not stopped */
    /* Told by the loop that an attempt has failed (error < 0), or a connection has been lost, in
     * order (0) or not; and after how long the next attempt comes, ns; -1: there will be none. */
    void (*waits)(void *arg, int error, int64_t delay);
} th_reconnect_opts;

/**
 * Starts to connect, and to connect again.
 *
 * @param address    where, as th_dial() takes it
 * @param factory    called for each connection, which is then like one of th_protocol_connect()
 * @param arg        handed to factory and opts->waits
 * @param opts       options, or NULL for the defaults
 * @param reconnect  out: for th_reconnect_free()
 * @return 0; -EINVAL for NULL, numbers out of range, no scope, or one of another worker; else as
 *         th_protocol_connect()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_reconnect_start(const char *address, th_protocol_factory factory, void *arg,
                                      const th_reconnect_opts *opts, th_reconnect **reconnect);

/**
 * Says that the connection has proved good: delay and count of attempts begin anew.
 *
 * @param reconnect  the client
 * @return 0; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_reconnect_reset(th_reconnect *reconnect);

/**
 * Stops it: an attempt that waits or is in progress is given up, and no other one comes.
 *
 * A connection that is there stays. The end of the scope does the same, and ends that as well.
 *
 * @param reconnect  the client
 * @return 0, also when it is stopped already; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_reconnect_stop(th_reconnect *reconnect);

/**
 * Gives the present connection.
 *
 * @param reconnect  the client
 * @return the transport, as long as there is one; else NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_transport *th_reconnect_transport(const th_reconnect *reconnect);

/**
 * Stops it and gives it back. A connection that is there stays.
 *
 * @param reconnect  the client; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_reconnect_free(th_reconnect *reconnect);

TH_END_DECLS

#endif
