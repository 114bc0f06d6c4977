/* SPDX-License-Identifier: MIT */

/*
 * The control socket: through it the owner of a process asks it, while it runs, for what cannot be
 * seen from outside. So far that is the bytes of its connections: `thrum capture PID`.
 *
 * It is there only if the program or whoever starts it wants it: th_control_start(), or the
 * environment variable THRUM_CONTROL=1. It is a Unix stream socket of the abstract name
 * TH_CONTROL_NAME, which lives as long as the process, and answers to processes of the same user,
 * and of root, alone. A thread of its own serves it, so it answers even if all workers hang, and a
 * client that is slow or dead holds up nobody.
 *
 * One client is served at a time. It sends a line, `capture WHAT`, and is answered by a line: `ok`,
 * or `error: ` and what is wrong. After `ok` th_capture_record come, each followed by `size` bytes,
 * in the byte order of the machine, until the client closes. WHAT is `*` for all connections, the
 * number of a descriptor, an address as th_addr_format() writes it, or `:PORT`; it is compared with
 * both ends of a connection.
 *
 * Of connections that speak TLS these are the bytes of the wire. With the line `plaintext WHAT`
 * they are instead what is inside of TLS; all other connections are as ever. That is answered to
 * processes of the same user alone, and not to root.
 */
#ifndef THRUM_CONTROL_H
#define THRUM_CONTROL_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* The abstract name, without its leading NUL byte; for printf with the process's number. */
#define TH_CONTROL_NAME "thrum/control/%d"

#define TH_CAPTURE_INSIDE_TLS "tls"

/* What happened to a connection. */
enum {
    TH_CAPTURE_OPEN = 1,     /* from here on; bytes: the local address, a NUL, the peer's, a NUL,
                                and, if what comes is inside of TLS, TH_CAPTURE_INSIDE_TLS, a NUL */
    TH_CAPTURE_RECEIVED = 2, /* bytes came from the peer */
    TH_CAPTURE_SENT = 3,     /* bytes went to the peer */
    TH_CAPTURE_ENDED = 4,    /* the peer will send no more */
    TH_CAPTURE_SHUT = 5,     /* nothing more is sent to the peer */
    TH_CAPTURE_CLOSED = 6,   /* it is over */
    TH_CAPTURE_LOST = 7      /* told now and then: so many bytes could not be kept, in `offset` */
};

/* One such thing; `size` bytes follow. */
typedef struct th_capture_record {
    uint32_t size;
    uint32_t kind;       /* TH_CAPTURE_... */
    uint64_t connection; /* its number, in this capture */
    int64_t wall;        /* ns since 1970 */
    uint64_t offset;     /* of the first byte in its direction; a gap: bytes were lost */
} th_capture_record;

/**
 * Opens the control socket of the process.
 *
 * @return 0; -EALREADY when it is open; -EADDRINUSE when somebody else has its name; -EMFILE,
 *         -ENOMEM, or -EAGAIN when there is no thread to be had
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_control_start(void);

/**
 * Closes it; who captures is cut off.
 *
 * @return 0; -EALREADY when it is not open
 *
 * Suspends: no (it waits for its thread, which takes no longer than it is scheduled late)
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_control_stop(void);

TH_END_DECLS

#endif
