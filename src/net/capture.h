/* SPDX-License-Identifier: MIT */

/*
 * Taps on connections: copies of the bytes that pass, for somebody who captures.
 *
 * A carrier of a stream calls these where bytes have passed:
 *
 *     if (TH_UNLIKELY(thi_capture_is_on()))
 *         thi_capture_bytes(&s->tap, fd, TH_CAPTURE_SENT, &iov, 1, n);
 *
 * and, when it closes, thi_capture_closed(), which a tap that is NULL makes a no-op. Nothing waits
 * here, and nothing fails: what cannot be kept is counted. One captures at a time.
 *
 * TLS above a carrier covers its tap, and tells of what is inside. That is kept if whoever captures
 * has asked for it, and instead of the carrier's bytes then.
 */
#ifndef THI_NET_CAPTURE_H
#define THI_NET_CAPTURE_H

#include <thrum/control.h>
#include <thrum/error.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

typedef struct thi_tap thi_tap;

/* The number of the capture under way; 0: there is none. */
extern atomic_uint thi_capture_session;

static inline bool thi_capture_is_on(void)
{
    return atomic_load_explicit(&thi_capture_session, memory_order_relaxed) != 0;
}

/* The first n bytes of the pieces have been received or sent. The tap is made when it is NULL. */
void thi_capture_bytes(thi_tap **tap, int fd, unsigned kind, const struct iovec *iov, int count,
                       size_t n);

/* The first n bytes from this offset of a file have been sent. */
void thi_capture_file(thi_tap **tap, int fd, int file, int64_t offset, size_t n);

/* n bytes have passed that nobody has seen: they are lost. */
void thi_capture_unseen(thi_tap **tap, int fd, unsigned kind, size_t n);

/* One direction has ended: TH_CAPTURE_ENDED or TH_CAPTURE_SHUT. */
void thi_capture_end(thi_tap **tap, int fd, unsigned kind);

/* What a call that receives has returned: bytes, the end, or an error. */
static inline void thi_capture_received(thi_tap **tap, int fd, const struct iovec *iov, ssize_t n)
{
    if (n > 0)
        thi_capture_bytes(tap, fd, TH_CAPTURE_RECEIVED, iov, 1, (size_t)n);
    else if (n == 0)
        thi_capture_end(tap, fd, TH_CAPTURE_ENDED);
}

/* The connection is closed; gives the tap back. */
void thi_capture_closed(thi_tap **tap);

/*
 * TLS begins above the carrier whose tap this is: a reference to it, for the calls below. NULL
 * without memory: then only the bytes of the wire can be captured.
 */
TH_MUST thi_tap *thi_capture_cover(thi_tap **tap, int fd);

/* TLS is over: gives the reference back, and makes it NULL. NULL is a no-op. */
void thi_capture_uncover(thi_tap **tap);

/* The first n bytes of the pieces have been received or sent inside of TLS; and the end of a
 * direction. `tap` is what thi_capture_cover() gave. */
void thi_capture_inside(thi_tap *tap, unsigned kind, const struct iovec *iov, int count, size_t n);
void thi_capture_inside_file(thi_tap *tap, int file, int64_t offset, size_t n);
void thi_capture_inside_end(thi_tap *tap, unsigned kind);

/* What a call that receives inside of TLS has returned: bytes, TH_EOF, or an error. */
static inline void thi_capture_inside_received(thi_tap *tap, void *buf, ssize_t n)
{
    struct iovec iov = { buf, n > 0 ? (size_t)n : 0 };
    if (n > 0)
        thi_capture_inside(tap, TH_CAPTURE_RECEIVED, &iov, 1, (size_t)n);
    else if (n == TH_EOF)
        thi_capture_inside_end(tap, TH_CAPTURE_ENDED);
}

/* ---- for whoever captures -------------------------------------------------------------------- */

#define THI_CAPTURE_WHAT 160

/* Begins a capture of what is named, as <thrum/control.h> says, of the bytes of the wire or those
 * inside of TLS where it is spoken; -EINVAL for what names nothing. */
TH_MUST int thi_capture_begin(const char *what, bool inside_tls);
void thi_capture_finish(void);

/*
 * Takes records and their bytes as they lie in the ring of some worker, and hands them on; `put`
 * returns 0 or an error, which ends it. How many bytes there were, or that error.
 */
TH_MUST ptrdiff_t thi_capture_drain(int (*put)(void *arg, const void *bytes, size_t size),
                                    void *arg);

/* Bytes that could not be kept since the beginning. */
uint64_t thi_capture_lost(void);

#endif
