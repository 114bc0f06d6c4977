/* SPDX-License-Identifier: MIT */

/*
 * Byte buffers of streams: a chain of segments that come from a cache of their thread.
 *
 * Bytes enter at the end (or are put back at the front) and leave at the front. An empty buffer
 * holds no segment, so an idle connection costs nothing but the struct. Work is per segment, never
 * per byte, except where bytes are copied in or out.
 */
#ifndef THI_BASE_BUF_H
#define THI_BASE_BUF_H

#include "base/assert.h"
#include "base/bufpool.h"

#include <thrum/str.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Caller's storage; one thread at a time; must stay on the thread of its pool while it holds bytes.
 */
typedef struct thi_buf {
    thi_seg *head;     /* oldest bytes; NULL when empty */
    thi_seg *tail;     /* where bytes are added; valid unless head is NULL */
    size_t len;        /* bytes in all segments */
    thi_bufpool *pool; /* borrowed */
    bool reserved;     /* between reserve and commit */
} thi_buf;

/* Called when the last byte of a borrowed segment has left the buffer it was in. */
typedef void (*thi_buf_release)(void *ctx);

static inline void thi_buf_init(thi_buf *buf, thi_bufpool *pool)
{
    *buf = (thi_buf){ .pool = pool };
}

static inline size_t thi_buf_len(const thi_buf *buf)
{
    return buf->len;
}

/* Drops all bytes and gives every segment back. The buffer stays usable; there is no deinit. */
void thi_buf_clear(thi_buf *buf);

/* Copies n bytes to the end, or to the front: 0, or -ENOMEM with the buffer as it was. */
TH_MUST int thi_buf_append(thi_buf *buf, const void *data, size_t n);
TH_MUST int thi_buf_prepend(thi_buf *buf, const void *data, size_t n);

/*
 * Appends n bytes without copying them: they stay valid and unchanged until release(ctx) is called
 * (release may be NULL: for static data). 0, or -ENOMEM with the bytes not taken and release not
 * called. For n = 0 release is called at once.
 */
TH_MUST int thi_buf_append_borrowed(thi_buf *buf, th_str bytes, thi_buf_release release, void *ctx);

/*
 * Room at the end for at least n contiguous bytes (n >= 1), to be written by the caller: its
 * address, and in *room how many fit; NULL when there is no memory. Until thi_buf_commit() nothing
 * else may be done with the buffer.
 */
TH_MUST char *thi_buf_reserve(thi_buf *buf, size_t n, size_t *room);

/* Appends the first n of the bytes just reserved; 0 gives the room back. */
void thi_buf_commit(thi_buf *buf, size_t n);

/* Drops the first n bytes; n <= length. */
void thi_buf_consume(thi_buf *buf, size_t n);

/* The bytes of the first segment, empty when there are none; valid until the buffer is changed. */
static inline th_str thi_buf_front(const thi_buf *buf)
{
    return buf->head ? th_str_make(buf->head->start, (size_t)(buf->head->end - buf->head->start))
                     : th_str_make(NULL, 0);
}

/* Copies the first n bytes, or as many as there are, and leaves them; returns how many. */
size_t thi_buf_peek(const thi_buf *buf, void *out, size_t n);

/* Moves the first n bytes, or as many as there are, out of the buffer; returns how many. */
size_t thi_buf_read(thi_buf *buf, void *out, size_t n);

/* Describes the first bytes in at most max pieces, for writev(2) or a search; returns how many. */
int thi_buf_iov(const thi_buf *buf, struct iovec *iov, int max);

/*
 * Makes the first n bytes (n <= length) contiguous and returns their address, valid until the
 * buffer is changed; NULL when there is no memory, with the buffer as it was.
 */
TH_MUST const char *thi_buf_pullup(thi_buf *buf, size_t n);

/* Moves all bytes of `from` to the end of `buf`, without copying; both of the same pool. */
void thi_buf_move(thi_buf *buf, thi_buf *from);

#endif
