/* SPDX-License-Identifier: MIT */

/*
 * Framings: protocols that receive whole messages instead of bytes in pieces.
 *
 * A framing sits between a transport and functions of yours. It keeps what has come of a frame that
 * is not whole yet, which its limit bounds, and calls frame() for each that is, on the loop, in
 * order. From within frame() everything may be changed: the kind of framing, the protocol of the
 * transport, whether it reads. What has been received beyond this frame is then treated as if it
 * came only now.
 *
 * A framing belongs to its transport and ends with it, or when that gets another protocol.
 */
#ifndef THRUM_FRAMING_H
#define THRUM_FRAMING_H

#include <stddef.h>

#include <thrum/defs.h>
#include <thrum/str.h>
#include <thrum/transport.h>

TH_BEGIN_DECLS

typedef struct th_framing th_framing;

/* How frames are told apart. */
enum th_framing_kind {
    TH_FRAMING_LINES = 1,  /* each ends with a delimiter, which is not part of it */
    TH_FRAMING_NETSTRINGS, /* "5:hello," */
    TH_FRAMING_PREFIX8,    /* the length in front, in one byte, */
    TH_FRAMING_PREFIX16,   /* in two bytes of network order, */
    TH_FRAMING_PREFIX32,   /* in four */
    TH_FRAMING_FIXED,      /* all have the same length */
    TH_FRAMING_RAW         /* none: what comes goes to raw() */
};

/* The limit of a frame unless told otherwise, bytes: of lines, and of those with their length. */
#define TH_FRAMING_LINE_LIMIT  ((size_t)16384)
#define TH_FRAMING_FRAME_LIMIT ((size_t)99999)

/* What to receive. */
typedef struct th_framing_opts {
    size_t size;      /* sizeof(th_framing_opts), or 0 for the present one */
    int kind;         /* enum th_framing_kind */
    size_t limit;     /* bytes of a frame; 0: as above */
    th_str delimiter; /* LINES: 1 to 16 bytes, copied; empty: CR LF */
    size_t length;    /* FIXED: bytes of each frame, at least 1 */
} th_framing_opts;

/*
 * What receives frames; called by the loop, outside of fibers, as the functions of a protocol are.
 * NULL where nothing is to be done. A negative result ends the connection with that.
 */
typedef struct th_frames {
    size_t size; /* sizeof(th_frames), or 0 for the present one */
    int (*made)(th_framing *framing, void *self);
    /* A whole frame; borrowed during the call. */
    int (*frame)(th_framing *framing, void *self, th_str frame);
    /* Kind RAW: some bytes; borrowed during the call. */
    int (*raw)(th_framing *framing, void *self, th_str bytes);
    /*
     * A frame is longer than the limit: `length` is what its prefix says, or how much of it there
     * is; `rest` is all that has been received of it, and after it. 1: drop that and go on with
     * what comes next; 0: close in order. Without this function the connection ends with TH_ELIMIT.
     */
    int (*exceeded)(th_framing *framing, void *self, size_t length, th_str rest);
    /* The peer sends no more; `partial` is the beginning of a frame that will not be whole. As
     * eof_received() of a protocol. */
    int (*eof)(th_framing *framing, void *self, th_str partial);
    void (*pause_writing)(th_framing *framing, void *self);
    void (*resume_writing)(th_framing *framing, void *self);
    void (*stopping)(th_framing *framing, void *self);
    /* The connection is gone; the last call, after which there is no framing. */
    void (*lost)(th_framing *framing, void *self, int reason);
} th_frames;

/**
 * Makes a transport receive frames; mostly called by the factory of a protocol.
 *
 * @param transport  the transport, whose present protocol gets no further call
 * @param opts       what to receive
 * @param frames     what receives it; borrowed until the transport has ended or gets another one
 * @param self       handed to the functions
 * @param framing    out: the framing; NULL if nobody wants it now
 * @return 0; -EINVAL for NULL, an unknown kind, a limit that no prefix can say, a delimiter that is
 *         too long, or functions without frame(), or raw() for RAW; -EBADF when the transport is
 *         gone; -EPERM on another worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_framing_start(th_transport *transport, const th_framing_opts *opts,
                                    const th_frames *frames, void *self, th_framing **framing);

/**
 * Changes what a framing receives, from the byte on that follows the present frame.
 *
 * @param framing  the framing
 * @param opts     what to receive from now on
 * @return 0; -EINVAL as th_framing_start(), with nothing changed
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_framing_set(th_framing *framing, const th_framing_opts *opts);

/**
 * Sends a frame in the form that is received, too: with its delimiter, its length, or as it is.
 *
 * @param framing  the framing
 * @param frame    the bytes; borrowed during the call
 * @return as th_transport_write(); -EMSGSIZE when the length does not fit into the prefix, or is
 *         not that of all frames: then nothing is sent
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_framing_send(th_framing *framing, th_str frame);

/**
 * Gives the transport of a framing, to pause, close or write to it.
 *
 * @param framing  the framing
 * @return its transport; NULL for NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_transport *th_framing_transport(const th_framing *framing);

TH_END_DECLS

#endif
