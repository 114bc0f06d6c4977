/* SPDX-License-Identifier: MIT */

/*
 * The buffered writer.
 *
 * What is written goes into a ring of at most `high` bytes, and a fiber of its own, the flusher,
 * takes it from there to the stream: so many small writes become few large ones, and nobody waits
 * for the peer who does not have to. Whoever finds no room waits until the ring has drained to
 * `low`, so that a slow peer makes writers wait and never makes memory grow. An empty writer holds
 * no ring.
 *
 * Writers take turns under a mutex, in the order in which they came. A write of up to `high` bytes
 * is taken whole or not at all; a larger one is taken in parts, of which none other comes between.
 *
 * When the stream fails, what is buffered is dropped; whoever waits and whoever comes later is told
 * the same error.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "io/stream.h"
#include "runtime/sched.h"

#include <thrum/event.h>
#include <thrum/fiber.h>
#include <thrum/mutex.h>
#include <thrum/scope.h>
#include <thrum/time.h>
#include <thrum/writer.h>

#include <limits.h>
#include <string.h>

#define HIGH_DEFAULT ((size_t)64 * 1024)

struct th_writer {
    th_stream *stream; /* borrowed */
    th_fiber *flusher;
    thi_worker *worker;
    char *ring; /* NULL while nothing is in it */
    size_t at;  /* where the oldest byte is */
    size_t len; /* bytes in it */
    size_t high;
    size_t low;
    size_t resume; /* who waits for room goes on when no more than this is in it */
    th_mutex turn;
    th_event work;    /* automatic: for the flusher */
    th_event room;    /* automatic: for the writer whose turn it is */
    th_event drained; /* manual: the ring is empty, or never will be written */
    int failed;
    bool waits;   /* a writer waits for room */
    bool closing; /* the flusher is to end when the ring is empty */
};

/* ---- the flusher ----------------------------------------------------------------------------- */

static void tell_writers(th_writer *w)
{
    if (w->waits && (w->failed < 0 || w->len <= w->resume))
        th_event_set(&w->room);
    if (w->len == 0)
        th_event_set(&w->drained);
}

static void release_ring(th_writer *w)
{
    thi_free(w->ring);
    w->ring = NULL;
    w->at = 0;
    w->len = 0;
}

static int flush_step(th_writer *w)
{
    size_t first = thi_min(w->len, w->high - w->at);
    struct iovec iov[2] = { { w->ring + w->at, first }, { w->ring, w->len - first } };
    ssize_t n = w->stream->ops->writev(w->stream, iov, first < w->len ? 2 : 1);
    if (n < 0)
        return (int)n;
    w->at = (w->at + (size_t)n) % w->high;
    w->len -= (size_t)n;
    if (w->len == 0)
        release_ring(w);
    tell_writers(w);
    return 0;
}

static int flush_all(void *arg)
{
    th_writer *w = arg;
    int err = 0;
    while (err == 0) {
        if (w->len > 0)
            err = flush_step(w);
        else if (w->closing)
            break;
        else
            err = th_event_wait(&w->work);
    }
    if (err < 0) {
        w->failed = err;
        release_ring(w);
        tell_writers(w);
    }
    return 0; /* the writers are told, and whoever closes */
}

/* ---- making and ending one ------------------------------------------------------------------- */

static bool are_sound(const th_writer_opts *opts)
{
    if (!opts)
        return true;
    size_t high = opts->high > 0 ? opts->high : HIGH_DEFAULT;
    return opts->size <= sizeof *opts && high <= SSIZE_MAX && opts->low <= high;
}

int th_writer_open(th_scope *scope, th_stream *stream, const th_writer_opts *opts,
                   th_writer **writer)
{
    if (!scope || !stream || !writer || !are_sound(opts))
        return thi_err_clear(-EINVAL);
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    th_writer *w = thi_calloc(1, sizeof *w);
    if (!w)
        return thi_err_clear(-ENOMEM);
    w->stream = stream;
    w->worker = thi_worker_self;
    w->high = opts && opts->high > 0 ? opts->high : HIGH_DEFAULT;
    w->low = opts && opts->low > 0 ? opts->low : w->high / 4;
    w->work = (th_event)TH_EVENT_AUTO_INIT;
    w->room = (th_event)TH_EVENT_AUTO_INIT;
    th_event_set(&w->drained);
    th_spawn_opts how = { .name = "writer" };
    int err = th_spawn_with(scope, flush_all, w, &how, &w->flusher);
    if (err < 0) {
        thi_free(w);
        return thi_err_clear(err);
    }
    *writer = w;
    return 0;
}

static int join_flusher(void *arg)
{
    const th_writer *w = arg;
    return th_join(w->flusher, NULL);
}

int th_writer_close(th_writer *writer)
{
    th_writer *w = writer;
    if (!w)
        return 0;
    w->closing = true;
    th_event_set(&w->work);
    int err = th_join(w->flusher, NULL);
    if (err < 0) {
        (void)th_fiber_cancel(w->flusher, 0);
        int joined = th_shielded(TH_NEVER, join_flusher, w);
        TH_ASSERT(joined == 0);
        w->failed = err;
    }
    th_fiber_unref(w->flusher);
    err = w->failed;
    release_ring(w);
    thi_free(w);
    return (int)thi_err_plain(err);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Puts in what there is room for. */
static ssize_t put(th_writer *w, const char *buf, size_t size)
{
    size_t n = thi_min(size, w->high - w->len);
    if (!w->ring && !(w->ring = thi_alloc(w->high)))
        return -ENOMEM;
    size_t to = (w->at + w->len) % w->high;
    size_t first = thi_min(n, w->high - to);
    memcpy(w->ring + to, buf, first);
    memcpy(w->ring, buf + first, n - first);
    w->len += n;
    th_event_clear(&w->drained);
    th_event_set(&w->work);
    return (ssize_t)n;
}

static int wait_for_room(th_writer *w, size_t need)
{
    w->resume = thi_min(w->low, w->high - need);
    w->waits = true;
    int err = th_event_wait(&w->room);
    w->waits = false;
    if (err < 0)
        th_event_clear(&w->room); /* it may have been set for who has just given up */
    return err;
}

/* In turn: puts in all; *done goes up by what has been. */
static int write_in_turn(th_writer *w, const char *buf, size_t size, size_t *done)
{
    while (*done < size) {
        size_t need = size <= w->high ? size : 1;
        ssize_t n = w->failed;
        if (n == 0 && w->high - w->len >= need) {
            n = put(w, buf + *done, size - *done);
            *done += n > 0 ? (size_t)n : 0;
        } else if (n == 0) {
            n = wait_for_room(w, need);
        }
        if (n < 0)
            return (int)n;
    }
    return 0;
}

ssize_t th_writer_write(th_writer *writer, const void *buf, size_t size)
{
    th_writer *w = writer;
    size_t done = 0;
    if (!w || (!buf && size > 0) || size > SSIZE_MAX)
        return thi_err_clear(-EINVAL);
    if (!thi_sched_self() || thi_worker_self != w->worker)
        return thi_err_clear(-EPERM);
    if (size == 0)
        return 0;
    thi_sched_spend(1);
    int err = thi_sched_may_park();
    if (err == 0)
        err = th_mutex_lock(&w->turn);
    if (err < 0)
        return thi_err_clear(err);
    err = write_in_turn(w, buf, size, &done);
    th_mutex_unlock(&w->turn);
    if (err < 0 && done > 0)
        return thi_err_set(err, "%zu bytes were taken before", done);
    return err < 0 ? thi_err_clear(err) : (ssize_t)size;
}

int th_writer_flush(th_writer *writer)
{
    th_writer *w = writer;
    if (!w)
        return thi_err_clear(-EINVAL);
    int err = thi_worker_self == w->worker ? th_event_wait(&w->drained) : -EPERM;
    return (int)thi_err_plain(err < 0 ? err : w->failed);
}

size_t th_writer_pending(const th_writer *writer)
{
    return writer ? writer->len : 0;
}
