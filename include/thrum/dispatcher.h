/* SPDX-License-Identifier: MIT */

/*
 * Dispatchers: sockets, pipes and files whose events call functions, as asyncore has them.
 *
 * A dispatcher is a descriptor and a table of handlers. It lives in a map; one fiber runs the map's
 * loop, sleeps until some of them have events, and calls their handlers, one after the other, on
 * its own stack. A handler may do whatever a fiber may: it may even suspend, and then the other
 * dispatchers of its map wait, but nobody else on the worker does.
 *
 *     static int on_read(th_dispatcher *d, void *arg)
 *     {
 *         char buf[4096];
 *         ssize_t n = th_dispatcher_recv(d, buf, sizeof buf);
 *         return n > 0 ? th_dispatcher_push(d, buf, (size_t)n) : (int)n;
 *     }
 *
 *     static int on_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
 *     {
 *         static const th_dispatcher_ops echo = { .read = on_read };
 *         th_dispatcher *d;
 *         int err = th_dispatcher_new(&echo, NULL, th_dispatcher_map(listener), &d);
 *         return err < 0 ? err : th_dispatcher_attach(d, fd, 0);
 *     }
 *
 * What a handler returns says how it goes on: 0; a negative result is a failure, which concerns its
 * own dispatcher and nobody else; a positive one leaves the loop, which returns it. -EAGAIN, which
 * reading may give when another was faster, counts as 0, and what tells of a broken connection
 * (ECONNRESET, EPIPE, ENOTCONN, ESHUTDOWN, ECONNABORTED, EBADF) as the event `close`. If the loop's
 * fiber is cancelled, or its time is up, a handler that returns that leaves the loop as well.
 *
 * Readiness is what poll(2) would tell: an event comes again in each turn as long as its cause is
 * there and the gate is open. All calls on a map and its dispatchers are made on the map's worker.
 */
#ifndef THRUM_DISPATCHER_H
#define THRUM_DISPATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/log.h>

TH_BEGIN_DECLS

typedef struct th_dispatch_map th_dispatch_map;
typedef struct th_dispatcher th_dispatcher;

/* The result of a handler that leaves the loop; any other positive number does that, too. */
#define TH_DISPATCH_LEAVE 1

/* What a dispatcher is; see th_dispatcher_state(). */
enum {
    TH_DISPATCHER_OPEN = 1,       /* it has a descriptor */
    TH_DISPATCHER_CONNECTED = 2,  /* the handler `connect` has returned, or it was attached so */
    TH_DISPATCHER_CONNECTING = 4, /* th_dispatcher_connect() has begun */
    TH_DISPATCHER_ACCEPTING = 8   /* it listens */
};

/* Of th_dispatcher_attach(): the dispatcher gets a duplicate, the descriptor stays the caller's. */
enum { TH_DISPATCHER_DUP = 1 };

/*
 * The handlers. Each may be NULL, which does what stands beside it. `arg` is what th_dispatcher_new
 * was given. "Told" is a message for `log`, of the level TH_LOG_DEBUG, once per descriptor; and the
 * event is waited for no more.
 */
typedef struct th_dispatcher_ops {
    size_t size;      /* sizeof(th_dispatcher_ops), or 0 for the present one */
    const char *name; /* in messages, static; NULL: "dispatcher" */

    /* A connection that was begun is there. Then `read` or `write` follow. NULL: told. */
    int (*connect)(th_dispatcher *d, void *arg);
    /* A client waits. NULL: clients are accepted, up to 16 in a turn, and `accepted` called for
     * each. For want of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM) an error is logged,
     * and no client told for 100 ms, whoever accepts. */
    int (*accept)(th_dispatcher *d, void *arg);
    /* A client was accepted. The descriptor is the handler's, to be attached somewhere; if it fails
     * before it has done that, it is closed. NULL: it is closed, and told. */
    int (*accepted)(th_dispatcher *d, void *arg, int fd, const th_addr *peer);
    /* There is something to read, or the end. NULL: told. */
    int (*read)(th_dispatcher *d, void *arg);
    /* There is room to write. NULL: told. */
    int (*write)(th_dispatcher *d, void *arg);
    /* There is urgent data. NULL: told. */
    int (*expt)(th_dispatcher *d, void *arg);
    /* The connection has ended, and nothing is left to read, if that is asked for; at most once per
     * descriptor. NULL: th_dispatcher_close(), and told.
     */
    int (*close)(th_dispatcher *d, void *arg);
    /* A handler has failed, or a connection could not be made. NULL: an error is logged with the
     * dispatcher's text, the result and its detail, then `close` is called. */
    int (*error)(th_dispatcher *d, void *arg, int err);
    /* All that was pushed has been sent, and nothing is to be done then. NULL: nothing. */
    int (*drained)(th_dispatcher *d, void *arg);

    /* Gates: asked before each turn whether `read` and `expt`, and whether `write`, may be called;
     * of one that connects, both may bring `connect`. NULL: they may. A dispatcher without gates
     * of its own costs nothing while it is idle. */
    bool (*readable)(th_dispatcher *d, void *arg);
    bool (*writable)(th_dispatcher *d, void *arg);

    /* A message. NULL: it goes where the library's go, see th_log_set_sink(). */
    void (*log)(th_dispatcher *d, void *arg, th_log_level level, const char *text);
    /* The dispatcher ends: the last that is called, and the only one that may be called outside of
     * a fiber, when a worker ends with its default map. NULL: nothing. */
    void (*release)(void *arg);
} th_dispatcher_ops;

/* How a map behaves; all zero is the default. */
typedef struct th_dispatch_map_opts {
    size_t size;      /* sizeof(th_dispatch_map_opts), or 0 for the present one */
    size_t push_high; /* bytes that may wait in one dispatcher before pushing more is refused; 0:
                         1 MiB, SIZE_MAX: no limit */
} th_dispatch_map_opts;

/**
 * Makes an empty map, on the calling worker.
 *
 * @param opts  options, or NULL for the defaults; read during the call only
 * @param map   out: the map, to be given back with th_dispatch_map_free()
 * @return 0; -EINVAL for unknown options or NULL; -EPERM on a thread that is no worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatch_map_new(const th_dispatch_map_opts *opts, th_dispatch_map **map);

/**
 * Gives the map that a worker has without being asked: what NULL means where a map is expected.
 *
 * It is made at the first call, and freed when the worker ends.
 *
 * @return the map; NULL on a thread that is no worker, and for want of memory
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_dispatch_map *th_dispatch_map_default(void);

/**
 * Closes all dispatchers of a map and frees it, and them.
 *
 * Builds for debugging log a warning for each that was still open.
 *
 * @param map  a map of th_dispatch_map_new(); NULL is allowed and does nothing
 * @return 0; -EBUSY while its loop runs, with nothing done; -EINVAL for a default map; -EPERM on
 *         another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatch_map_free(th_dispatch_map *map);

/**
 * Runs a map's loop: waits for events and calls handlers, turn after turn.
 *
 * A turn asks the gates, waits until something is ready, and calls the handlers of what is: for
 * each dispatcher `read`, `write`, `expt` and `close`, in this order. It ends without calling any
 * when its time is up. Handlers may open and close any dispatcher, their own included.
 *
 * @param map      a map, or NULL for the worker's default one
 * @param timeout  how long a turn waits at most, ns; 0: not at all, TH_NEVER: as long as it takes
 * @param count    so many turns at most; negative: until no dispatcher of the map is open
 * @return 0 after so many turns, and when none is open (any more); what a handler returned to leave
 *         the loop; -ECANCELED or -ETIMEDOUT when the caller's scope says so, with all dispatchers
 *         as they are; -EBUSY when the loop runs already; -EINVAL for a negative timeout; -EPERM
 *         outside a fiber or on another worker; -ENOMEM
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: returns after the handler that runs; no event is lost
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatch_map_loop(th_dispatch_map *map, int64_t timeout, int64_t count);

/**
 * Has a sleeping loop take a turn: gates are asked anew.
 *
 * For whoever changes, outside of handlers, what a gate of the program looks at.
 *
 * @param map  a map, or NULL for the worker's default one
 * @return 0; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatch_map_wake(th_dispatch_map *map);

/**
 * Closes all dispatchers of a map.
 *
 * @param map  a map, or NULL for the worker's default one
 * @return 0; the first failure of close(2) other than EBADF and ENOTCONN: they are closed all the
 *         same; -EPERM on another worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatch_map_close_all(th_dispatch_map *map);

/**
 * Tells how many dispatchers of a map are open.
 *
 * @param map  a map, or NULL for the worker's default one
 * @return their number
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_dispatch_map_count(const th_dispatch_map *map);

/**
 * Makes a dispatcher, without a descriptor yet.
 *
 * It belongs to its map, and ends once it has been closed, or could not be opened: at the end of
 * the turn, unless it has been opened again by then, or with the map. Until then the handle can be
 * used; see th_dispatcher_ref() for longer.
 *
 * @param ops         its handlers, which must stay as they are
 * @param arg         handed to them; on success the dispatcher's, until ops->release
 * @param map         a map, or NULL for the worker's default one
 * @param dispatcher  out: the dispatcher
 * @return 0; -EINVAL for NULL or unknown handlers; -EPERM on another worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_new(const th_dispatcher_ops *ops, void *arg, th_dispatch_map *map,
                                     th_dispatcher **dispatcher);

/**
 * Keeps the handle of a dispatcher usable, also after it has been closed.
 *
 * @param d  a dispatcher
 * @return d
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_dispatcher *th_dispatcher_ref(th_dispatcher *d);

/**
 * Takes back one th_dispatcher_ref().
 *
 * @param d  a dispatcher; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_dispatcher_unref(th_dispatcher *d);

/**
 * Opens a dispatcher with a new socket.
 *
 * The socket is non-blocking and close-on-exec; one for TCP has TCP_NODELAY.
 *
 * @param d       a dispatcher that is not open
 * @param family  AF_INET, AF_INET6 or AF_UNIX
 * @param type    SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET
 * @return 0; -EBUSY when it is open; -EBADF when its map is gone; -errno of socket(2); -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_create(th_dispatcher *d, int family, int type);

/**
 * Opens a dispatcher with a descriptor of any kind.
 *
 * A socket may be connected, listening or neither. Pipes, terminals and whatever else poll(2) takes
 * are connected; a regular file is, too, and always ready, though reading it may wait for the disk;
 * large ones are better sent by th_producer_of_file(). The descriptor becomes non-blocking,
 * also for others who share its description.
 *
 * @param d      a dispatcher that is not open
 * @param fd     the descriptor; on success it is the dispatcher's, and closed with it
 * @param flags  TH_DISPATCHER_DUP or 0
 * @return 0; -EBUSY when it is open; -EEXIST when something else of this worker watches the
 *         descriptor; -EBADF, also when its map is gone; -EINVAL for unknown flags; -ENOMEM;
 * -EMFILE; -errno of getpeername(2) for a broken socket
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_attach(th_dispatcher *d, int fd, unsigned flags);

/**
 * Allows an address to be bound that a former server has left behind (SO_REUSEADDR).
 *
 * @param d  an open dispatcher
 * @return 0, also when the kernel refuses; -EBADF when it is not open
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatcher_set_reuse_addr(th_dispatcher *d);

/**
 * Binds a dispatcher's socket to an address.
 *
 * @param d        a dispatcher; one that is not open gets a stream socket of the address' family
 * @param address  as th_addr_parse() reads it; port 0 for a free one, see th_dispatcher_addr()
 * @return 0; TH_EADDRESS; -EADDRINUSE, -EACCES and what else bind(2) may say, with a detail; what
 *         th_dispatcher_create() says; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_bind(th_dispatcher *d, const char *address);

/**
 * Begins to accept clients.
 *
 * @param d        a dispatcher with a socket
 * @param backlog  how many clients may wait; 0: as many as the system allows
 * @return 0; -EBADF when it is not open; -errno of listen(2); -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_listen(th_dispatcher *d, int backlog);

/**
 * Takes a client that waits; for the handler `accept`.
 *
 * @param d     a dispatcher that listens
 * @param fd    out: the connection, the caller's; non-blocking and close-on-exec
 * @param peer  out: the client's address; may be NULL
 * @return 1; 0 when there is none (any more): EAGAIN, ECONNABORTED; -EBADF when it is not open;
 *         -EINVAL for NULL; any other error of accept(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_accept(th_dispatcher *d, int *fd, th_addr *peer);

/**
 * Begins to connect; the handler `connect` is called when that is done.
 *
 * If it is done at once, as with datagrams and Unix sockets, the handler is called before this
 * returns. If it fails later, `error` is.
 *
 * @param d        a dispatcher; one that is not open gets a stream socket of the address' family
 * @param address  as th_addr_parse() reads it
 * @return 0; TH_EADDRESS; what connect(2) or the handler says at once, with a detail; what
 *         th_dispatcher_create() says; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_connect(th_dispatcher *d, const char *address);

/**
 * Opens and closes the gates of a dispatcher that has none of its own.
 *
 * They say what handlers of those names would, without being asked each turn: with a closed one
 * `read` and `expt`, or `write`, are not called, and what has happened is told when it opens. Both
 * are open when a dispatcher is opened. What was pushed is sent in any case.
 *
 * @param d         an open dispatcher without handlers `readable` and `writable`
 * @param readable  whether `read` and `expt` may be called
 * @param writable  whether `write` may be called
 * @return 0; -EBADF when it is not open; -EINVAL when it has such handlers
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatcher_set_gates(th_dispatcher *d, bool readable, bool writable);

/**
 * Sends what the kernel takes now.
 *
 * @param d     an open dispatcher
 * @param data  the bytes
 * @param size  their number
 * @return bytes sent, perhaps fewer; 0 also when there is no room, and when the connection turned
 *         out to be broken: then the handler `close` has been called; -EBADF when it is not open;
 *         any other error of send(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_dispatcher_send(th_dispatcher *d, const void *data, size_t size);

/**
 * Receives what is there.
 *
 * @param d     an open dispatcher
 * @param buf   out: the bytes
 * @param size  room at buf, at least 1
 * @return bytes received; 0 when the connection has ended or is broken: then the handler `close`
 * has been called; -EAGAIN when there is nothing now; -EBADF when it is not open; -EINVAL for a
 *         size of 0; any other error of recv(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_dispatcher_recv(th_dispatcher *d, void *buf, size_t size);

/**
 * Sends a datagram to an address.
 *
 * @param d     an open dispatcher with a datagram socket
 * @param data  the datagram
 * @param size  its bytes
 * @param to    where it goes; NULL where the socket is connected to
 * @return size; -EAGAIN when there is no room; -EBADF when it is not open; any other error of
 *         sendmsg(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_dispatcher_send_to(th_dispatcher *d, const void *data, size_t size,
                                             const th_addr *to);

/**
 * Receives a datagram, and says who has sent it.
 *
 * @param d     an open dispatcher with a datagram socket
 * @param buf   out: the datagram; what has no room is lost
 * @param size  room at buf
 * @param from  out: the sender; may be NULL
 * @return its bytes, 0 for an empty one; -EAGAIN when there is none now; -EBADF when it is not
 *         open; any other error of recvmsg(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_dispatcher_recv_from(th_dispatcher *d, void *buf, size_t size,
                                               th_addr *from);

/**
 * Sends bytes, and keeps for later what the kernel does not take now.
 *
 * The loop sends the rest in order as room comes, whatever the gate says; `drained` is called when
 * nothing is left. Before the connection is there everything is kept.
 *
 * @param d     an open dispatcher
 * @param data  the bytes, copied if need be
 * @param size  their number
 * @return 0; TH_ELIMIT, with nothing sent, when as much as the map allows waits already; -EBADF
 * when it is not open; -ENOMEM; -EPIPE and the like when the connection turned out to be broken:
 *         then the handler `close` has been called; any other error of send(2)
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_push(th_dispatcher *d, const void *data, size_t size);

/**
 * Has a dispatcher end when all that was pushed has been sent: the handler `close` is called then.
 *
 * Called from that handler itself, when the peer has ended what it sends, the dispatcher is closed
 * when all has been sent.
 *
 * @param d  an open dispatcher
 * @return 0; -EBADF when it is not open; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_dispatcher_close_when_done(th_dispatcher *d);

/**
 * Tells how many bytes were pushed and not sent yet.
 *
 * @param d  a dispatcher
 * @return bytes; those that producers have yet to make do not count
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_dispatcher_pending(const th_dispatcher *d);

/**
 * Closes a dispatcher, and drops what was pushed and not sent.
 *
 * No handler is called after this but `release`. No-op when it is not open, but that one that never
 * was ends with this, too.
 *
 * @param d  a dispatcher
 * @return 0; -errno of close(2), but for EBADF and ENOTCONN: it is closed all the same; -EPERM on
 *         another worker
 *
 * Suspends: no, unless the release of a producer does
 * Thread: worker
 * On cancel: closes all the same
 * Since: 0.1
 */
TH_API int th_dispatcher_close(th_dispatcher *d);

/**
 * Tells what a dispatcher is.
 *
 * @param d  a dispatcher
 * @return TH_DISPATCHER_OPEN, _CONNECTED, _CONNECTING, _ACCEPTING, combined; 0 when it is closed
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API unsigned th_dispatcher_state(const th_dispatcher *d);

/**
 * Gives the descriptor, for options and the like.
 *
 * @param d  a dispatcher
 * @return the descriptor, which stays the dispatcher's; -EBADF when it is not open
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_dispatcher_fd(const th_dispatcher *d);

/**
 * Gives the address: the one bound to, of one that listens; the peer's, of one that is connected.
 *
 * @param d     a dispatcher
 * @param addr  out: the address; TH_ADDR_NONE where there is none
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_dispatcher_addr(const th_dispatcher *d, th_addr *addr);

/**
 * Gives what th_dispatcher_new() was told to hand to the handlers.
 *
 * @param d  a dispatcher
 * @return the pointer
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void *th_dispatcher_arg(const th_dispatcher *d);

/**
 * Gives the map in which a dispatcher lives.
 *
 * @param d  a dispatcher
 * @return the map; NULL when it is gone
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_dispatch_map *th_dispatcher_map(const th_dispatcher *d);

/* Room for what th_dispatcher_format() writes, with its NUL. */
#define TH_DISPATCHER_TEXT 224

/**
 * Describes a dispatcher for people, as `<echo connected 127.0.0.1:4711 at 0x5581a0>`.
 *
 * @param d     a dispatcher
 * @param text  out: the text, cut if there is no room, with a NUL unless size is 0
 * @param size  bytes at text; TH_DISPATCHER_TEXT is enough
 * @return text
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API char *th_dispatcher_format(const th_dispatcher *d, char *text, size_t size);

TH_END_DECLS

#endif
