/* SPDX-License-Identifier: MIT */

/*
 * Datagrams: UDP over IPv4 and IPv6 and Unix datagram sockets, one by one or in batches.
 *
 * A th_udp belongs to the worker on which it was made; any number of that worker's fibers may send
 * and receive on it at the same time. All calls look as if they blocked, suspend the fiber instead,
 * and obey its scope. What is sent is sent whole or not at all, and what the network loses nobody
 * tells.
 *
 *     th_udp *udp;
 *     th_addr from;
 *     char buf[1500];
 *     ssize_t n;
 *     err = th_udp_open("udp://0.0.0.0:7", NULL, &udp);
 *     while ((n = th_udp_recv(udp, buf, sizeof buf, &from, NULL)) >= 0)
 *         (void)th_udp_send(udp, buf, (size_t)n, &from);
 *
 * Of many small datagrams most of the cost is that of a system call and of the kernel's way to the
 * network for each. A batch receives many with one call, and sends many with one; neighbours of the
 * same size to the same peer go that way together, where the kernel can split them at its end (UDP
 * segmentation offload).
 */
#ifndef THRUM_UDP_H
#define THRUM_UDP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/addr.h>
#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_udp th_udp;
typedef struct th_udp_batch th_udp_batch;

/* What a batch shall tell of each datagram besides its sender; IPv4 and IPv6 only. */
enum {
    TH_UDP_TELL_LOCAL = 1, /* to which address it was sent, and through which interface it came */
    TH_UDP_TELL_TOS = 2,   /* the byte with service class and congestion mark */
    TH_UDP_TELL_TTL = 4    /* how many hops it had left */
};

/* Flags of a datagram that was received. */
enum {
    TH_DGRAM_CUT = 1, /* it was longer than the room for it: the rest is lost */
    TH_DGRAM_TOS = 2, /* `tos` was told */
    TH_DGRAM_TTL = 4  /* `ttl` was told */
};

/* One datagram of a batch. All zero but data and size is one to send on a connected socket. */
typedef struct th_dgram {
    void *data;           /* its bytes; to send: borrowed for the call, and not changed */
    size_t size;          /* how many, also 0 */
    const th_addr *peer;  /* who sent it; to send: where to, NULL on a connected socket */
    const th_addr *local; /* to which address it was sent, NULL when that was not told; to send:
                             from which address (its port is not used), NULL: the system chooses */
    uint32_t interface;   /* through which interface, by number, 0 when that was not told; to send:
                             likewise, where `local` leaves that open */
    int32_t error;        /* of one that was to be sent: 0, or why it was not, -errno */
    uint16_t flags;       /* TH_DGRAM_* */
    uint8_t tos;          /* its lowest two bits are the congestion mark: RFC 3168 */
    uint8_t ttl;
} th_dgram;

/* How to make a socket; all zero is the default. */
typedef struct th_udp_opts {
    size_t size;        /* sizeof(th_udp_opts), or 0 for the present one */
    unsigned tell;      /* TH_UDP_TELL_*, together */
    int errors;         /* 1: receiving tells of datagrams that came back as undeliverable */
    int coalesce;       /* 1: the kernel may hand over many datagrams of one sender as one piece,
                           where it can (UDP receive offload); such a socket is read by batches */
    int broadcast;      /* 1: sending to broadcast addresses is allowed */
    int reuse_addr;     /* 1: other sockets may have the same address if they say so too; each
                           gets what is sent to a group, one of them what is sent to one host */
    int dual_stack;     /* 1: an IPv6 socket speaks IPv4 as well, as ::ffff:a.b.c.d */
    const char *device; /* the network interface it is bound to, by name; NULL: any */
    const char *tune;   /* more options by name, as in <thrum/tune.h>: "rcvbuf=1M"; NULL: none */
    int mode;           /* Unix: permissions of the socket file; 0: as the umask says */
} th_udp_opts;

/**
 * Makes a socket that is bound to an address.
 *
 * @param address  where: `udp://HOST:PORT`, `HOST:PORT`, `unix:/path`, `unix:@abstract`, with HOST
 *                 as th_addr_parse() reads it; port 0 lets the system choose one, and `unix:`
 *                 alone an abstract name. A Unix socket file that no socket holds is replaced.
 *                 `systemd:NAME` and `fd:N` take a socket over that the process was given, as
 *                 th_listen() does
 * @param opts     options, or NULL for the defaults; read during the call only
 * @param udp      out: the socket, to be given back with th_udp_free()
 * @return 0; TH_EADDRESS; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -ENODEV and other -errno with the
 *         address as detail; -ENOENT, -EBUSY, -EPROTOTYPE, -ENOTSOCK, -EBADF for sockets that the
 *         process was or was not given; -EINVAL for NULL, wrong options, or such as come too late
 *         for a socket that is bound; -EPERM outside a worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_open(const char *address, const th_udp_opts *opts, th_udp **udp);

/**
 * Makes a socket that is connected to an address, from any address of its own.
 *
 * Nothing is sent by this, and nobody need be there. Such a socket receives from its peer only, and
 * hears with -ECONNREFUSED that nobody is there when the peer's system says so.
 *
 * Of a name with several addresses the first is taken to which there is a way.
 *
 * @param address  the peer, as th_udp_open() reads it, or with a name as host; `0.0.0.0` and `[::]`
 *                 mean this machine. A Unix socket gets an abstract name of its own, so that it can
 *                 be answered
 * @param opts     options, or NULL for the defaults; read during the call only
 * @param udp      out: the socket, to be given back with th_udp_free()
 * @return 0; TH_EADDRESS; TH_ENAME, TH_ENAMESERVER and others of a name as th_resolve();
 *         -ENETUNREACH, -EACCES (broadcast without the option) and other -errno
 *         with the address as detail, for a Unix socket also -ENOENT and -ECONNREFUSED; -EINVAL
 *         for NULL or wrong options; -EPERM outside a worker, for a name outside a fiber; -ENOMEM
 *
 * Suspends: yes, while a name is looked up
 * Thread: worker
 * On cancel: nothing is made
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_dial(const char *address, const th_udp_opts *opts, th_udp **udp);

/**
 * Takes over a descriptor that was made elsewhere.
 *
 * It becomes non-blocking and is the socket's from now on. Its options are left as they are, and
 * nothing but sender and size is told of its datagrams.
 *
 * @param fd   a datagram socket of IPv4, IPv6 or Unix, connected or not
 * @param udp  out: the socket, to be given back with th_udp_free()
 * @return 0; -EBADF when it is not open; -ENOTSOCK when it is no socket; -EPROTOTYPE when it is one
 *         of another type or family; -EEXIST when this worker watches it already; -EINVAL for NULL;
 *         -EPERM outside a worker; -ENOMEM; then fd is still the caller's
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_from_fd(int fd, th_udp **udp);

/**
 * Gives the descriptor away without closing it: the socket is closed, the descriptor goes on.
 *
 * Fibers that wait in the socket return -ECANCELED. A Unix socket's file stays.
 *
 * @param udp  the socket
 * @return the descriptor, which is the caller's now; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_udp_detach(th_udp *udp);

/**
 * Tells the descriptor, for options that Thrum has no name for.
 *
 * @param udp  the socket
 * @return the descriptor, which stays the socket's; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_udp_fd(const th_udp *udp);

/**
 * Connects a socket to a peer, or to another one than before, or to none.
 *
 * A connected socket sends to its peer, without naming it, and receives from it only; what has
 * arrived from others before can still be received.
 *
 * @param udp   the socket
 * @param peer  the peer, of the socket's family; NULL: none any more. Its own address stays
 * @return 0; -EAFNOSUPPORT for another family; -ENETUNREACH and other -errno, for a Unix socket
 *         also -ENOENT and -ECONNREFUSED; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_connect(th_udp *udp, const th_addr *peer);

/**
 * Receives one datagram.
 *
 * @param udp    the socket, made without `coalesce`
 * @param buf    out: its bytes; what has no room is lost
 * @param size   room at buf, bytes; may be 0
 * @param peer   out: who sent it, an unnamed Unix address for a socket without one; may be NULL
 * @param flags  out: 0 or TH_DGRAM_CUT; may be NULL
 * @return the bytes in buf, 0 for an empty datagram; -ECONNREFUSED, -EHOSTUNREACH and the like for
 *         a datagram of ours that came back, on a connected socket or with the option `errors`
 *         (th_udp_returned() tells which): the socket is as good as before; TH_EOF when
 *         th_udp_serve() ends and nothing is left; -EINVAL on a socket made with `coalesce`; -EBADF
 *         when it is closed, -ECANCELED when that happens meanwhile; -ECANCELED or -ETIMEDOUT when
 *         the caller's scope says so, asked first; -EPERM on another worker
 *
 * Suspends: yes, until one is there
 * Thread: fiber
 * On cancel: nothing is received
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_udp_recv(th_udp *udp, void *buf, size_t size, th_addr *peer,
                                   unsigned *flags);

/**
 * Sends one datagram.
 *
 * @param udp   the socket
 * @param data  its bytes; borrowed for the call
 * @param size  how many; may be 0, and is at most 65,507 over IPv4
 * @param to    where to; NULL on a connected socket, and only there
 * @return 0 when the kernel has taken it; -EMSGSIZE when it is too large; -EISCONN for an address
 *         on a connected socket, -EDESTADDRREQ for none on another; -EACCES for a broadcast address
 *         without the option; -ENETUNREACH, -ECONNREFUSED and other -errno of the network, on a
 *         Unix socket whose peer was closed -ECONNREFUSED and then -ENOTCONN;
 *         -EBADF, -ECANCELED, -ETIMEDOUT, -EPERM as th_udp_recv()
 *
 * Suspends: yes, while the kernel has no room
 * Thread: fiber
 * On cancel: nothing is sent
 * Since: 0.1
 */
TH_API int th_udp_send(th_udp *udp, const void *data, size_t size, const th_addr *to);

/* What is known of a datagram that came back. */
typedef struct th_udp_returned_info {
    th_addr to;   /* where it was sent to */
    th_addr by;   /* who sent it back; TH_ADDR_NONE: not known */
    int error;    /* why, -errno */
    uint32_t mtu; /* -EMSGSIZE: how large a packet may be on this way, bytes; else 0 */
} th_udp_returned_info;

/**
 * Tells of the datagram that receiving has last reported to have come back.
 *
 * @param udp   a socket made with the option `errors`
 * @param info  out: what is known of it
 * @return 0; -ENOENT when none has come back so far
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_returned(const th_udp *udp, th_udp_returned_info *info);

/**
 * Makes the memory into which th_udp_recv_batch() receives.
 *
 * @param count  datagrams received at once at most, 1 to 1024
 * @param size   room for each, bytes, 1 to 65,536; what is larger is cut. For a socket that
 *               coalesces it counts for nothing: there each has 64 KiB of address space, of which
 *               memory is made only where something arrives
 * @param batch  out: the memory, to be given back with th_udp_batch_free()
 * @return 0; -EINVAL for numbers outside these bounds; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_batch_new(size_t count, size_t size, th_udp_batch **batch);

/**
 * Gives a batch's memory back.
 *
 * @param batch  the batch, which nobody uses any more; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_udp_batch_free(th_udp_batch *batch);

/**
 * Receives as many datagrams as are there, at least one.
 *
 * They lie in the batch until it is used again: nothing is copied. They may be changed in place and
 * handed to th_udp_send_batch(), which sends each to who sent it.
 *
 * @param udp     the socket
 * @param batch   where to; used for this socket only, and by one fiber at a time
 * @param dgrams  out: the datagrams, in the order of their arrival; valid until the next call with
 *                this batch
 * @return how many; failures as th_udp_recv(); -EBUSY when the batch holds what another socket has
 *         received and nobody has fetched
 *
 * Suspends: yes, until one is there
 * Thread: fiber
 * On cancel: nothing is received
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_recv_batch(th_udp *udp, th_udp_batch *batch, th_dgram **dgrams);

/**
 * Sends several datagrams, in their order, with as few system calls as possible.
 *
 * One that cannot be sent does not keep the others from being sent: its `error` says why.
 *
 * @param udp     the socket
 * @param dgrams  in and out: the datagrams; data, size, peer, local and interface are read, error
 *                is set in each, of which none was tried as well
 * @param count   how many
 * @return how many were sent; when none was, the error of the first, as th_udp_send(); 0 for a
 *         count of 0
 *
 * Suspends: yes, while the kernel has no room
 * Thread: fiber
 * On cancel: the rest is not sent: its `error` is the scope's
 * Since: 0.1
 */
TH_API int th_udp_send_batch(th_udp *udp, th_dgram *dgrams, size_t count);

/**
 * Joins a multicast group: the socket receives what is sent to it.
 *
 * @param udp        a socket of the group's family
 * @param group      the group's address, without a port: `239.1.2.3`, `ff02::1234`
 * @param source     only what this address sends; NULL: whoever sends. Several may be joined
 * @param interface  the network interface, by name or number; NULL: the system chooses
 * @return 0; TH_EADDRESS with a detail for what cannot be read or is no group; -EADDRINUSE when
 *         it is joined already; -ENODEV; -ENOBUFS when there are too many; -EOPNOTSUPP for a Unix
 *         socket; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_join(th_udp *udp, const char *group, const char *source,
                               const char *interface);

/**
 * Leaves a multicast group.
 *
 * @param udp        the socket
 * @param group      as it was joined
 * @param source     likewise
 * @param interface  likewise
 * @return 0; -EADDRNOTAVAIL when it was not joined so; else as th_udp_join()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_leave(th_udp *udp, const char *group, const char *source,
                                const char *interface);

/* What can be set of a socket, of whichever family it is. */
enum th_udp_option {
    TH_UDP_TTL,                 /* hops a datagram may take, 1 to 255 */
    TH_UDP_TOS,                 /* service class and congestion mark, 0 to 255 */
    TH_UDP_BROADCAST,           /* 1: broadcast addresses may be sent to */
    TH_UDP_MULTICAST_TTL,       /* hops to a group, 0 (this machine) to 255; at first 1 */
    TH_UDP_MULTICAST_LOOP,      /* 1: groups on this machine hear it too, as at first */
    TH_UDP_MULTICAST_INTERFACE, /* by number: through which what goes to a group leaves; 0: any */
    TH_UDP_DONT_FRAGMENT,       /* 1: what does not fit into a packet of the way is -EMSGSIZE */
    TH_UDP_RECV_BUFFER,         /* bytes that wait to be received, as the kernel counts them */
    TH_UDP_SEND_BUFFER          /* bytes that wait to be sent, likewise */
};

/**
 * Sets an option.
 *
 * @param udp     the socket
 * @param option  which
 * @param value   what to
 * @return 0; -EINVAL for an unknown option or a value outside its range; -EOPNOTSUPP for what a
 *         Unix socket does not have; -ENODEV, -EPERM and other -errno of the kernel; -EBADF when
 *         it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_set(th_udp *udp, enum th_udp_option option, int value);

/**
 * Tells the value of an option.
 *
 * @param udp     the socket
 * @param option  which
 * @param value   out: its value; buffers as large as they really are, which is twice as large as
 *                they were set on Linux
 * @return 0; -EINVAL, -EOPNOTSUPP, -EBADF as th_udp_set()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_get(const th_udp *udp, enum th_udp_option option, int *value);

/**
 * Tells the socket's own address, with the real port.
 *
 * @param udp   the socket
 * @param addr  out: the address
 * @return 0; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_udp_local(const th_udp *udp, th_addr *addr);

/**
 * Tells the address of the peer of a connected socket.
 *
 * @param udp   the socket
 * @param addr  out: the address
 * @return 0; -ENOTCONN when it has none; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_udp_peer(const th_udp *udp, th_addr *addr);

/**
 * Closes a socket. Fibers that wait in it return -ECANCELED; later calls return -EBADF.
 *
 * The file of a Unix socket is removed if it is still the one that was made.
 *
 * @param udp  the socket
 * @return 0; -EBADF when it is closed already, also when somebody has closed its descriptor
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: closes
 * Since: 0.1
 */
TH_API int th_udp_close(th_udp *udp);

/**
 * Closes a socket if it is open and frees it. No other fiber may be in a call on it.
 *
 * @param udp  the socket; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: frees
 * Since: 0.1
 */
TH_API void th_udp_free(th_udp *udp);

/* What serves datagrams on one worker, with a socket of its own: receives until TH_EOF. */
typedef int (*th_udp_fn)(th_udp *udp, void *arg);

/* How to serve; all zero is the default. */
typedef struct th_udp_serve_opts {
    size_t size;            /* sizeof(th_udp_serve_opts), or 0 for the present one */
    const th_udp_opts *udp; /* of the sockets; NULL: the defaults */
    size_t stack_size;      /* of each worker's fiber, bytes; 0: the runtime's default */
    void (*listening)(const th_addr *addr, void *arg); /* called once when datagrams are received;
                                                          may be NULL */
} th_udp_serve_opts;

/**
 * Serves an address on all workers, each with a socket and a fiber of its own.
 *
 * The kernel shares what arrives among the sockets by sender, so that one sender's datagrams all
 * come to one worker, in their order. After an orderly stop (th_stop(), SIGTERM) receiving returns
 * what has arrived until then, and then TH_EOF; whoever goes on for longer than the time of grace
 * is cancelled. A Unix socket, and one that the process was given, is served by one worker.
 *
 * @param address  where, as th_udp_open() takes it; another process that has it is -EADDRINUSE
 * @param fn       what serves on one worker; it may start fibers, but must await them. When it
 *                 fails, other than with TH_EOF, the others are cancelled; the socket is freed
 *                 when it returns
 * @param arg      handed to fn and opts->listening
 * @param opts     options, or NULL for the defaults
 * @return 0 when all have ended after a stop; the failure of the first fn that failed; -ECANCELED
 *         when the time of grace was over; -ECANCELED or -ETIMEDOUT when the caller's scope says
 *         so; as th_udp_open(); -EPERM outside a fiber
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cancels what serves, waits for it, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_udp_serve(const char *address, th_udp_fn fn, void *arg,
                                const th_udp_serve_opts *opts);

TH_END_DECLS

#endif
