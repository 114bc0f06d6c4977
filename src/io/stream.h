/* SPDX-License-Identifier: MIT */

/*
 * What a carrier of a stream implements: one table, and the stream as its first member.
 *
 * The calls here do one step and may be short; the public calls make whole ones of them. One that
 * fails leaves its own detail (thi_err_set) or none (thi_err_clear), never that of an earlier one.
 */
#ifndef THI_IO_STREAM_H
#define THI_IO_STREAM_H

#include <thrum/stream.h>

struct thi_origin; /* net/origin.h */
struct thi_tap;    /* net/capture.h */

typedef struct thi_stream_ops {
    const char *name;
    /* 1..size bytes, TH_EOF, or an error. */
    ssize_t (*read)(th_stream *stream, void *buf, size_t size);
    /* At least one byte of the pieces, or an error. Total size and count are above 0. */
    ssize_t (*writev)(th_stream *stream, const struct iovec *iov, int count);
    /* At least one byte of the file, 0 where it ends, or an error; NULL where it must be copied. */
    ssize_t (*sendfile)(th_stream *stream, int fd, int64_t offset, size_t size);
    int (*shutdown)(th_stream *stream);
    int (*close)(th_stream *stream);
    void (*free)(th_stream *stream);
    int (*peer)(th_stream *stream, struct th_addr *addr);
    int (*local)(th_stream *stream, struct th_addr *addr);
    /* The descriptor below, to set options of; -EBADF when it is closed. NULL where there is none.
     */
    int (*descriptor)(th_stream *stream);
    /* What is known of an accepted connection beyond its socket, NULL when nothing; -EBADF when it
     * is closed. NULL where there is none ever. */
    int (*origin)(th_stream *stream, const struct thi_origin **origin);
    /* The rest may be NULL: the carrier cannot do it, or has nothing to do. */
    /* As read, but leaves the bytes in the stream. */
    ssize_t (*peek)(th_stream *stream, void *buf, size_t size);
    /* As read and writev, but -EAGAIN instead of a wait; they do not ask the scope. */
    ssize_t (*try_read)(th_stream *stream, void *buf, size_t size);
    ssize_t (*try_writev)(th_stream *stream, const struct iovec *iov, int count);
    /* Waits as read does, and reads nothing. */
    int (*wait)(th_stream *stream);
    /*
     * From the stream to a pipe of the caller's that is empty, from such a pipe to the stream: as
     * read and writev. -EOPNOTSUPP when bytes have to take another way, now or for good.
     */
    ssize_t (*splice_in)(th_stream *stream, int pipe, size_t size);
    ssize_t (*splice_out)(th_stream *stream, int pipe, size_t size);
    /* Closes and lets the peer know that this is not the ordinary end; NULL: as close. */
    int (*reset)(th_stream *stream);
    /* As close, but the descriptor stays open; returns it. */
    int (*detach)(th_stream *stream);
    /* Where the tap of whoever captures is, and the descriptor; NULL: nothing is captured here. */
    struct thi_tap **(*tap)(th_stream *stream, int *fd);
} thi_stream_ops;

struct th_stream {
    const thi_stream_ops *ops;
};

#endif
