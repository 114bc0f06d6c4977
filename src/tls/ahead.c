/* SPDX-License-Identifier: MIT */

/*
 * A stream of which some bytes have been read already.
 *
 * Calls that read look at the bytes first, and from the moment when there are none left every call
 * is the one of the stream below. It has no descriptor of its own to detach, and no way through a
 * pipe, for the bytes would be passed over.
 */
#include "tls/ahead.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "runtime/sched.h"

#include <thrum/addr.h>

#include <errno.h>

typedef struct ahead_stream {
    th_stream base;
    th_stream *below;
    thi_buf bytes;
} ahead_stream;

static ahead_stream *of(th_stream *stream)
{
    return thi_container_of(stream, ahead_stream, base);
}

static th_stream *below(th_stream *stream)
{
    return of(stream)->below;
}

/* Whether a call that reads finds bytes here; it has asked the stream below whether it may. */
static bool has_bytes(th_stream *stream)
{
    return thi_buf_len(&of(stream)->bytes) > 0;
}

/* What every step asks first; the stream below would tell a closed one. */
static int may_read(th_stream *stream)
{
    th_addr unused;
    if (!thi_sched_self())
        return -EPERM;
    int err = below(stream)->ops->local(below(stream), &unused);
    return err == -EBADF ? err : 0;
}

static int may_step(th_stream *stream)
{
    int err = may_read(stream);
    return err < 0 ? err : thi_sched_may_park();
}

static ssize_t ahead_read(th_stream *stream, void *buf, size_t size)
{
    if (!has_bytes(stream))
        return below(stream)->ops->read(below(stream), buf, size);
    int err = may_step(stream);
    return err < 0 ? thi_err_clear(err) : (ssize_t)thi_buf_read(&of(stream)->bytes, buf, size);
}

static ssize_t ahead_try_read(th_stream *stream, void *buf, size_t size)
{
    const thi_stream_ops *ops = below(stream)->ops;
    if (has_bytes(stream)) {
        int err = may_read(stream);
        return err < 0 ? thi_err_clear(err) : (ssize_t)thi_buf_read(&of(stream)->bytes, buf, size);
    }
    return ops->try_read ? ops->try_read(below(stream), buf, size) : thi_err_clear(-EOPNOTSUPP);
}

static ssize_t ahead_peek(th_stream *stream, void *buf, size_t size)
{
    const thi_stream_ops *ops = below(stream)->ops;
    if (has_bytes(stream)) {
        int err = may_step(stream);
        return err < 0 ? thi_err_clear(err) : (ssize_t)thi_buf_peek(&of(stream)->bytes, buf, size);
    }
    return ops->peek ? ops->peek(below(stream), buf, size) : thi_err_clear(-EOPNOTSUPP);
}

static int ahead_wait(th_stream *stream)
{
    const thi_stream_ops *ops = below(stream)->ops;
    if (has_bytes(stream)) {
        int err = may_step(stream);
        return err < 0 ? thi_err_clear(err) : 0;
    }
    return ops->wait ? ops->wait(below(stream)) : 0;
}

static ssize_t ahead_writev(th_stream *stream, const struct iovec *iov, int count)
{
    return below(stream)->ops->writev(below(stream), iov, count);
}

static ssize_t ahead_try_writev(th_stream *stream, const struct iovec *iov, int count)
{
    const thi_stream_ops *ops = below(stream)->ops;
    return ops->try_writev ? ops->try_writev(below(stream), iov, count)
                           : thi_err_clear(-EOPNOTSUPP);
}

static ssize_t ahead_sendfile(th_stream *stream, int fd, int64_t offset, size_t size)
{
    const thi_stream_ops *ops = below(stream)->ops;
    return ops->sendfile ? ops->sendfile(below(stream), fd, offset, size)
                         : thi_err_clear(-EOPNOTSUPP);
}

static int ahead_shutdown(th_stream *stream)
{
    return th_stream_shutdown(below(stream));
}

static int ahead_close(th_stream *stream)
{
    return th_stream_close(below(stream));
}

static int ahead_reset(th_stream *stream)
{
    return th_stream_reset(below(stream));
}

static void ahead_free(th_stream *stream)
{
    th_stream_free(below(stream));
    thi_buf_clear(&of(stream)->bytes);
    thi_free(of(stream));
}

static int ahead_peer(th_stream *stream, th_addr *addr)
{
    return th_stream_peer(below(stream), addr);
}

static int ahead_local(th_stream *stream, th_addr *addr)
{
    return th_stream_local(below(stream), addr);
}

static int ahead_descriptor(th_stream *stream)
{
    const thi_stream_ops *ops = below(stream)->ops;
    return ops->descriptor ? ops->descriptor(below(stream)) : -EOPNOTSUPP;
}

static int ahead_origin(th_stream *stream, const struct thi_origin **origin)
{
    const thi_stream_ops *ops = below(stream)->ops;
    *origin = NULL;
    return ops->origin ? ops->origin(below(stream), origin) : 0;
}

static struct thi_tap **ahead_tap(th_stream *stream, int *fd)
{
    const thi_stream_ops *ops = below(stream)->ops;
    return ops->tap ? ops->tap(below(stream), fd) : NULL;
}

static const thi_stream_ops ahead_ops = {
    .name = "ahead",
    .read = ahead_read,
    .writev = ahead_writev,
    .sendfile = ahead_sendfile,
    .shutdown = ahead_shutdown,
    .close = ahead_close,
    .free = ahead_free,
    .peer = ahead_peer,
    .local = ahead_local,
    .descriptor = ahead_descriptor,
    .origin = ahead_origin,
    .peek = ahead_peek,
    .try_read = ahead_try_read,
    .try_writev = ahead_try_writev,
    .wait = ahead_wait,
    .reset = ahead_reset,
    .tap = ahead_tap,
};

int thi_ahead_new(th_stream *stream_below, thi_buf *bytes, th_stream **stream)
{
    ahead_stream *s = thi_alloc(sizeof *s);
    if (!s)
        return thi_err_clear(-ENOMEM);
    s->base.ops = &ahead_ops;
    s->below = stream_below;
    thi_buf_init(&s->bytes, bytes->pool);
    thi_buf_move(&s->bytes, bytes);
    *stream = &s->base;
    return 0;
}
