/* SPDX-License-Identifier: MIT */

/*
 * The chain of segments.
 *
 *     head                                 tail
 *     [ free |#####| free ] -> [###] -> [#########| free ]
 *       base  start end limit
 *
 * Invariants, whenever no reservation is open: no segment is empty; len is the sum of the segments;
 * an empty buffer has no segment. A reservation may leave one empty segment at the tail, which
 * commit fills or takes away. Borrowed segments are never written to.
 *
 * What can fail allocates first and changes the buffer afterwards, so that a failure leaves it as
 * it was. A release callback is called when the buffer is consistent again but for the segment that
 * leaves; it must not touch the buffer.
 */
#include "base/buf.h"

#include "base/util.h"

#include <errno.h>
#include <string.h>

static size_t used(const thi_seg *seg)
{
    return (size_t)(seg->end - seg->start);
}

/* Bytes that can be written behind those in the segment. */
static size_t room_after(const thi_seg *seg)
{
    return seg->kind == THI_SEG_BORROWED ? 0 : (size_t)(seg->limit - seg->end);
}

static size_t room_before(const thi_seg *seg)
{
    return seg->kind == THI_SEG_BORROWED ? 0 : (size_t)(seg->start - seg->base);
}

/* Writes behind the bytes of a segment that has room for it. */
static void fill(thi_seg *seg, const char *data, size_t n)
{
    memcpy(seg->end, data, n);
    seg->end += n;
}

/* Links a chain from first to last behind the tail. */
static void link_behind(thi_buf *buf, thi_seg *first, thi_seg *last)
{
    if (buf->head)
        buf->tail->next = first;
    else
        buf->head = first;
    buf->tail = last;
}

static void link_before(thi_buf *buf, thi_seg *seg)
{
    seg->next = buf->head;
    if (!buf->head)
        buf->tail = seg;
    buf->head = seg;
}

/* Takes the first segment out and gives it back to the pool. */
static void drop_head(thi_buf *buf)
{
    thi_seg *seg = buf->head;
    buf->head = seg->next;
    buf->len -= used(seg);
    thi_bufpool_put(buf->pool, seg);
}

static void put_chain(thi_bufpool *pool, thi_seg *chain)
{
    while (chain) {
        thi_seg *next = chain->next;
        thi_bufpool_put(pool, chain);
        chain = next;
    }
}

void thi_buf_clear(thi_buf *buf)
{
    TH_ASSERT(!buf->reserved);
    while (buf->head)
        drop_head(buf);
}

/*
 * Copies n bytes, n > 0, into a chain of new segments, large ones first; the chain's last segment
 * goes to *last. NULL when there is no memory.
 */
static thi_seg *make_chain(thi_bufpool *pool, const char *data, size_t n, thi_seg **last)
{
    thi_seg *first = NULL, **link = &first;
    for (size_t piece; n > 0; data += piece, n -= piece) {
        piece = thi_min(n, THI_SEG_LARGE_ROOM);
        thi_seg *seg = thi_bufpool_get(pool, piece);
        if (!seg) {
            put_chain(pool, first);
            return NULL;
        }
        fill(seg, data, piece);
        *link = seg;
        link = &seg->next;
        *last = seg;
    }
    return first;
}

int thi_buf_append(thi_buf *buf, const void *data, size_t n)
{
    TH_ASSERT(!buf->reserved);
    const char *bytes = data;
    size_t fits = buf->head ? thi_min(n, room_after(buf->tail)) : 0;
    if (fits < n) {
        thi_seg *last, *first = make_chain(buf->pool, bytes + fits, n - fits, &last);
        if (!first)
            return -ENOMEM;
        if (fits > 0)
            fill(buf->tail, bytes, fits);
        link_behind(buf, first, last);
    } else if (n > 0) {
        fill(buf->tail, bytes, n);
    }
    buf->len += n;
    return 0;
}

int thi_buf_prepend(thi_buf *buf, const void *data, size_t n)
{
    TH_ASSERT(!buf->reserved);
    if (n == 0)
        return 0;
    if (!buf->head || room_before(buf->head) < n) {
        thi_seg *seg = thi_bufpool_get(buf->pool, n);
        if (!seg)
            return -ENOMEM;
        /* At the very end, so that the next prepending finds room before it. */
        seg->start = seg->limit;
        seg->end = seg->limit;
        link_before(buf, seg);
    }
    buf->head->start -= n;
    memcpy(buf->head->start, data, n);
    buf->len += n;
    return 0;
}

int thi_buf_append_borrowed(thi_buf *buf, th_str bytes, thi_buf_release release, void *ctx)
{
    TH_ASSERT(!buf->reserved);
    if (bytes.len == 0) {
        if (release)
            release(ctx);
        return 0;
    }
    thi_seg *seg = thi_bufpool_borrow(buf->pool, bytes.ptr, bytes.len);
    if (!seg)
        return -ENOMEM;
    seg->release = release;
    seg->ctx = ctx;
    link_behind(buf, seg, seg);
    buf->len += bytes.len;
    return 0;
}

char *thi_buf_reserve(thi_buf *buf, size_t n, size_t *room)
{
    TH_ASSERT(!buf->reserved && n > 0);
    if (!buf->head || room_after(buf->tail) < n) {
        thi_seg *seg = thi_bufpool_get(buf->pool, n);
        if (!seg)
            return NULL;
        link_behind(buf, seg, seg);
    }
    buf->reserved = true;
    *room = room_after(buf->tail);
    return buf->tail->end;
}

/* Takes away the tail, the one segment that holds nothing. */
static void drop_empty_tail(thi_buf *buf)
{
    thi_seg *empty = buf->tail, **link = &buf->head;
    thi_seg *before = NULL;
    while (*link != empty) {
        before = *link;
        link = &before->next;
    }
    *link = NULL;
    buf->tail = before;
    thi_bufpool_put(buf->pool, empty);
}

void thi_buf_commit(thi_buf *buf, size_t n)
{
    TH_ASSERT(buf->reserved && n <= room_after(buf->tail));
    buf->reserved = false;
    buf->tail->end += n;
    buf->len += n;
    if (used(buf->tail) == 0)
        drop_empty_tail(buf);
}

void thi_buf_consume(thi_buf *buf, size_t n)
{
    TH_ASSERT(!buf->reserved && n <= buf->len);
    while (n > 0) {
        size_t here = used(buf->head);
        if (n < here) {
            buf->head->start += n;
            buf->len -= n;
            return;
        }
        drop_head(buf);
        n -= here;
    }
}

size_t thi_buf_peek(const thi_buf *buf, void *out, size_t n)
{
    char *at = out;
    n = thi_min(n, buf->len);
    size_t left = n;
    for (const thi_seg *seg = buf->head; left > 0; seg = seg->next) {
        size_t piece = thi_min(left, used(seg));
        memcpy(at, seg->start, piece);
        at += piece;
        left -= piece;
    }
    return n;
}

size_t thi_buf_read(thi_buf *buf, void *out, size_t n)
{
    size_t got = thi_buf_peek(buf, out, n);
    thi_buf_consume(buf, got);
    return got;
}

int thi_buf_iov(const thi_buf *buf, struct iovec *iov, int max)
{
    int count = 0;
    for (const thi_seg *seg = buf->head; seg && count < max; seg = seg->next)
        iov[count++] = (struct iovec){ .iov_base = seg->start, .iov_len = used(seg) };
    return count;
}

/* Whether the head can take n bytes in all, once its own are moved to its base. */
static bool head_can_hold(const thi_buf *buf, size_t n)
{
    const thi_seg *head = buf->head;
    return head->kind != THI_SEG_BORROWED && n <= (size_t)(head->limit - head->base);
}

const char *thi_buf_pullup(thi_buf *buf, size_t n)
{
    TH_ASSERT(!buf->reserved && n <= buf->len);
    if (n == 0 || n <= used(buf->head))
        return buf->head ? buf->head->start : "";
    thi_seg *front;
    if (head_can_hold(buf, n)) {
        front = buf->head;
        buf->head = front->next;
        buf->len -= used(front);
        if (room_after(front) < n - used(front)) {
            memmove(front->base, front->start, used(front));
            front->end = front->base + used(front);
            front->start = front->base;
        }
    } else {
        front = thi_bufpool_get(buf->pool, n);
        if (!front)
            return NULL;
    }
    size_t more = n - used(front);
    front->end += thi_buf_read(buf, front->end, more);
    link_before(buf, front);
    buf->len += n;
    return front->start;
}

void thi_buf_move(thi_buf *buf, thi_buf *from)
{
    TH_ASSERT(!buf->reserved && !from->reserved && buf->pool == from->pool);
    if (!from->head)
        return;
    link_behind(buf, from->head, from->tail);
    buf->len += from->len;
    from->head = NULL;
    from->len = 0;
}
