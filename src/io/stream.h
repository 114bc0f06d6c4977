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
} thi_stream_ops;

struct th_stream {
    const thi_stream_ops *ops;
};

#endif
