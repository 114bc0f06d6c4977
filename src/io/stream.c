/* SPDX-License-Identifier: MIT */

/* The public calls on streams: whole reads and writes made of the carrier's steps. */
#include "io/stream.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "io/fileway.h"
#include "io/pieces.h"

#include <errno.h>
#include <limits.h>

ssize_t th_stream_read(th_stream *stream, void *buf, size_t size)
{
    if (!stream || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    if (size == 0)
        return 0;
    return stream->ops->read(stream, buf, thi_min(size, (size_t)SSIZE_MAX));
}

ssize_t th_stream_try_read(th_stream *stream, void *buf, size_t size)
{
    if (!stream || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    if (!stream->ops->try_read)
        return thi_err_clear(-EOPNOTSUPP);
    if (size == 0)
        return 0;
    return stream->ops->try_read(stream, buf, thi_min(size, (size_t)SSIZE_MAX));
}

ssize_t th_stream_peek(th_stream *stream, void *buf, size_t size)
{
    if (!stream || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    if (!stream->ops->peek)
        return thi_err_clear(-EOPNOTSUPP);
    if (size == 0)
        return 0;
    return stream->ops->peek(stream, buf, thi_min(size, (size_t)SSIZE_MAX));
}

ssize_t th_stream_read_all(th_stream *stream, void *buf, size_t size)
{
    char *at = buf;
    size_t left = size;
    while (left > 0) {
        ssize_t n = th_stream_read(stream, at, left);
        if (n < 0)
            return n == TH_EOF && left < size ? TH_ETRUNCATED : n;
        at += n;
        left -= (size_t)n;
    }
    return (ssize_t)size;
}

/* Tells how far a write came that failed; if it failed at once, the step has told what there is. */
static ssize_t stopped_after(size_t done, ssize_t err)
{
    if (done == 0)
        return err;
    return thi_err_set((int)err, "%zu bytes were written before", done);
}

/* Writes all; *done goes up by what was written, also when the rest fails. */
static int write_steps(th_stream *stream, const char *at, size_t size, size_t *done)
{
    while (size > 0) {
        struct iovec iov = { .iov_base = (void *)(uintptr_t)at, .iov_len = size };
        ssize_t n = stream->ops->writev(stream, &iov, 1);
        if (n < 0)
            return (int)n;
        at += n;
        size -= (size_t)n;
        *done += (size_t)n;
    }
    return 0;
}

ssize_t th_stream_write(th_stream *stream, const void *buf, size_t size)
{
    size_t done = 0;
    if (!stream || (!buf && size > 0) || size > SSIZE_MAX)
        return thi_err_clear(-EINVAL);
    int err = write_steps(stream, buf, size, &done);
    return err < 0 ? stopped_after(done, err) : (ssize_t)size;
}

ssize_t th_stream_writev(th_stream *stream, const struct iovec *iov, int count)
{
    if (!stream || !iov || count < 1)
        return thi_err_clear(-EINVAL);
    thi_pieces pieces = { .iov = iov, .count = count };
    struct iovec left[THI_PIECES];
    size_t done = 0;
    int n;
    while ((n = thi_pieces_left(&pieces, left)) > 0) {
        ssize_t step = stream->ops->writev(stream, left, n);
        if (step < 0)
            return stopped_after(done, step);
        done += (size_t)step;
        pieces.skip += (size_t)step;
    }
    return (ssize_t)done;
}

ssize_t th_stream_try_write(th_stream *stream, const void *buf, size_t size)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };
    if (!stream || (!buf && size > 0) || size > SSIZE_MAX)
        return thi_err_clear(-EINVAL);
    if (!stream->ops->try_writev)
        return thi_err_clear(-EOPNOTSUPP);
    return size > 0 ? stream->ops->try_writev(stream, &iov, 1) : 0;
}

#define COPY_SIZE (16 * 1024)

/* Where the carrier has no way from file to wire: through memory. */
static ssize_t send_copied(th_stream *stream, int fd, int64_t offset, size_t size)
{
    char *buf = thi_alloc(COPY_SIZE);
    if (!buf)
        return thi_err_clear(-ENOMEM);
    thi_filefacts facts = { .endpoint = THI_ENDPOINT_UNKNOWN };
    size_t done = 0;
    int err = 0;
    while (err == 0 && done < size) {
        size_t piece = thi_min(size - done, (size_t)COPY_SIZE);
        ssize_t n = thi_fileway_pread(fd, buf, piece, offset + (int64_t)done, &facts);
        if (n == 0)
            break;
        err = n < 0 ? thi_err_clear((int)n) : write_steps(stream, buf, (size_t)n, &done);
    }
    thi_free(buf);
    return err < 0 ? stopped_after(done, err) : (ssize_t)done;
}

ssize_t th_stream_sendfile(th_stream *stream, int fd, int64_t offset, size_t size)
{
    if (!stream || fd < 0 || offset < 0 || size > SSIZE_MAX)
        return thi_err_clear(-EINVAL);
    if (!stream->ops->sendfile)
        return send_copied(stream, fd, offset, size);
    size_t done = 0;
    while (done < size) {
        ssize_t n = stream->ops->sendfile(stream, fd, offset + (int64_t)done, size - done);
        /* The kernel cannot send from such a file, which it says before it has begun. */
        if (done == 0 && (n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP))
            return send_copied(stream, fd, offset, size);
        if (n < 0)
            return stopped_after(done, n);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int th_stream_shutdown(th_stream *stream)
{
    return stream ? stream->ops->shutdown(stream) : thi_err_clear(-EINVAL);
}

int th_stream_reset(th_stream *stream)
{
    if (!stream)
        return thi_err_clear(-EINVAL);
    return stream->ops->reset ? stream->ops->reset(stream) : stream->ops->close(stream);
}

int th_stream_detach(th_stream *stream)
{
    if (!stream)
        return thi_err_clear(-EINVAL);
    return stream->ops->detach ? stream->ops->detach(stream) : thi_err_clear(-EOPNOTSUPP);
}

/* Until the end, or more bytes than anybody should have to read in vain. */
static int discard(th_stream *stream, size_t limit)
{
    char bin[1024];
    size_t done = 0;
    for (;;) {
        ssize_t n = th_stream_read(stream, bin, sizeof bin);
        if (n < 0)
            return n == TH_EOF ? 0 : (int)n;
        done += (size_t)n;
        if (done > limit)
            return thi_err_set(TH_ELIMIT, "the peer goes on sending after %zu bytes", limit);
    }
}

int th_stream_finish(th_stream *stream, size_t limit)
{
    int err = th_stream_shutdown(stream);
    if (err == 0)
        err = discard(stream, limit);
    if (err == -EINVAL && !stream)
        return err;
    int closed = err < 0 ? th_stream_reset(stream) : th_stream_close(stream);
    return err < 0 ? err : closed;
}

int th_stream_close(th_stream *stream)
{
    return stream ? stream->ops->close(stream) : thi_err_clear(-EINVAL);
}

void th_stream_free(th_stream *stream)
{
    if (stream)
        stream->ops->free(stream);
}

int th_stream_peer(th_stream *stream, struct th_addr *addr)
{
    return stream && addr ? stream->ops->peer(stream, addr) : thi_err_clear(-EINVAL);
}

int th_stream_local(th_stream *stream, struct th_addr *addr)
{
    return stream && addr ? stream->ops->local(stream, addr) : thi_err_clear(-EINVAL);
}
