/* SPDX-License-Identifier: MIT */

/*
 * Two ends of a connection in memory.
 *
 * Each direction is a ring of bytes, made when the first is written. Who reads an empty one or
 * writes to a full one waits in it, and is woken by any byte, any room, and the end. No descriptor
 * and no system call is involved, so what happens depends on nothing but the order in which the
 * fibers run.
 *
 * The two ends are one block, and go when both have been freed. An end that is closed leaves what
 * it has written for the other one to read; one that is reset takes that back.
 */
#include "io/stream.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "runtime/sched.h"

#include <thrum/addr.h>

#include <limits.h>
#include <string.h>

#define SIZE_DEFAULT ((size_t)64 * 1024)

typedef struct memory_way {
    char *ring;  /* NULL before the first byte */
    size_t size; /* bytes at ring */
    size_t at;   /* where the oldest byte is */
    size_t len;  /* bytes in it */
    bool ended;  /* nothing will be written any more */
    bool deaf;   /* nothing will be read any more */
    bool broken; /* the writer has been reset */
    thi_wait *reader;
    thi_wait *writer;
} memory_way;

typedef struct memory_pair memory_pair;

typedef struct memory_end {
    th_stream base;
    memory_pair *pair;
    memory_way *in;
    memory_way *out;
    bool closed;
    bool freed;
} memory_end;

struct memory_pair {
    memory_end ends[2];
    memory_way ways[2]; /* ways[i] takes what ends[i] writes */
    thi_worker *worker;
};

static memory_end *of(th_stream *stream)
{
    return thi_container_of(stream, memory_end, base);
}

/* ---- waiting --------------------------------------------------------------------------------- */

typedef struct memory_wait {
    thi_wait wait;
    thi_wait **slot;
    th_fiber *fiber;
} memory_wait;

static void wake(thi_wait *wait, int result)
{
    memory_wait *w = thi_container_of(wait, memory_wait, wait);
    *w->slot = NULL;
    thi_sched_ready(w->fiber, result);
}

static const thi_wait_kind to_read = { "read", THI_BY_ANYBODY, 0 };
static const thi_wait_kind to_write = { "write", THI_BY_ANYBODY, 0 };

static int wait_in(memory_end *end, thi_wait **slot, const thi_wait_kind *kind)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    memory_wait w = { .wait = { .kind = kind, .object = end->pair, .abort = wake },
                      .slot = slot,
                      .fiber = thi_sched_self() };
    *slot = &w.wait;
    return thi_sched_park(&w.wait);
}

static void wake_in(thi_wait **slot, int result)
{
    if (*slot)
        (*slot)->abort(*slot, result);
}

/* Why a call that cannot suspend must not be made. */
static int may_try(memory_end *end, thi_wait *const *slot)
{
    if (!thi_sched_self() || thi_worker_self != end->pair->worker)
        return -EPERM;
    if (end->closed)
        return -EBADF;
    return *slot ? -EBUSY : 0;
}

/* What every step asks first. */
static int may_step(memory_end *end, thi_wait *const *slot)
{
    int err = may_try(end, slot);
    if (err < 0)
        return err;
    thi_sched_spend(1);
    if (end->closed)
        return -ECANCELED;
    err = thi_sched_may_park();
    return err < 0 ? err : *slot ? -EBUSY : 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static size_t copy_out(const memory_way *way, char *buf, size_t size)
{
    size_t n = thi_min(size, way->len);
    size_t first = thi_min(n, way->size - way->at);
    if (n == 0)
        return 0;
    memcpy(buf, way->ring + way->at, first);
    memcpy(buf + first, way->ring, n - first);
    return n;
}

/* Bytes, the end, a failure, or -EAGAIN. */
static ssize_t look(const memory_way *way, void *buf, size_t size)
{
    if (way->broken)
        return -ECONNRESET;
    if (way->len > 0)
        return (ssize_t)copy_out(way, buf, size);
    return way->ended ? TH_EOF : -EAGAIN;
}

static ssize_t take(memory_way *way, void *buf, size_t size)
{
    ssize_t n = look(way, buf, size);
    if (n <= 0)
        return n;
    way->len -= (size_t)n;
    way->at = way->len > 0 ? (way->at + (size_t)n) % way->size : 0;
    wake_in(&way->writer, 0);
    return n;
}

typedef ssize_t reading(memory_way *way, void *buf, size_t size);

static ssize_t peek(memory_way *way, void *buf, size_t size)
{
    return look(way, buf, size);
}

static ssize_t read_step(memory_end *end, reading *how, void *buf, size_t size)
{
    int over = 0;
    ssize_t n = may_step(end, &end->in->reader);
    if (n < 0)
        return n;
    for (;;) {
        n = how(end->in, buf, size);
        if (n != -EAGAIN || over < 0)
            return n == -EAGAIN ? over : n;
        over = wait_in(end, &end->in->reader, &to_read);
        if (end->closed)
            return -ECANCELED;
    }
}

static ssize_t memory_read(th_stream *stream, void *buf, size_t size)
{
    return thi_err_plain(read_step(of(stream), take, buf, size));
}

static ssize_t memory_peek(th_stream *stream, void *buf, size_t size)
{
    return thi_err_plain(read_step(of(stream), peek, buf, size));
}

static int memory_wait_readable(th_stream *stream)
{
    char byte;
    ssize_t n = read_step(of(stream), peek, &byte, 1);
    return n == -EPERM || n == -EBADF || n == -EBUSY || n == -ECANCELED || n == -ETIMEDOUT
               ? thi_err_clear((int)n)
               : 0;
}

static ssize_t memory_try_read(th_stream *stream, void *buf, size_t size)
{
    memory_end *end = of(stream);
    int err = may_try(end, &end->in->reader);
    return thi_err_plain(err < 0 ? err : take(end->in, buf, size));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void copy_in(memory_way *way, const char *buf, size_t n)
{
    size_t to = (way->at + way->len) % way->size;
    size_t first = thi_min(n, way->size - to);
    memcpy(way->ring + to, buf, first);
    memcpy(way->ring, buf + first, n - first);
    way->len += n;
}

/* As many bytes as there is room for; a failure, or -EAGAIN. */
static ssize_t put(memory_way *way, const struct iovec *iov, int count)
{
    size_t done = 0;
    if (way->ended || way->deaf)
        return -EPIPE;
    if (!way->ring && !(way->ring = thi_alloc(way->size)))
        return -ENOMEM;
    for (int i = 0; i < count && way->len < way->size; i++) {
        size_t n = thi_min(iov[i].iov_len, way->size - way->len);
        if (n > 0)
            copy_in(way, iov[i].iov_base, n);
        done += n;
    }
    if (done > 0)
        wake_in(&way->reader, 0);
    return done > 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t write_step(memory_end *end, const struct iovec *iov, int count)
{
    int over = 0;
    ssize_t n = may_step(end, &end->out->writer);
    if (n < 0)
        return n;
    for (;;) {
        n = put(end->out, iov, count);
        if (n != -EAGAIN || over < 0)
            return n == -EAGAIN ? over : n;
        over = wait_in(end, &end->out->writer, &to_write);
        if (end->closed)
            return -ECANCELED;
    }
}

static ssize_t memory_writev(th_stream *stream, const struct iovec *iov, int count)
{
    return thi_err_plain(write_step(of(stream), iov, count));
}

static ssize_t memory_try_writev(th_stream *stream, const struct iovec *iov, int count)
{
    memory_end *end = of(stream);
    int err = may_try(end, &end->out->writer);
    return thi_err_plain(err < 0 ? err : put(end->out, iov, count));
}

/* ---- the end --------------------------------------------------------------------------------- */

static int memory_shutdown(th_stream *stream)
{
    memory_end *end = of(stream);
    if (end->closed)
        return thi_err_clear(-EBADF);
    if (end->out->deaf)
        return thi_err_clear(-ENOTCONN);
    end->out->ended = true;
    wake_in(&end->out->reader, 0);
    wake_in(&end->out->writer, 0);
    return 0;
}

/* A closed end hears nothing more: what lies in its way in is lost, and its writer told. */
static int memory_close(th_stream *stream)
{
    memory_end *end = of(stream);
    if (end->closed)
        return thi_err_clear(-EBADF);
    end->closed = true;
    end->in->deaf = true;
    end->in->len = 0;
    end->out->ended = true;
    wake_in(&end->in->reader, -ECANCELED);
    wake_in(&end->in->writer, 0);
    wake_in(&end->out->reader, 0);
    wake_in(&end->out->writer, -ECANCELED);
    return 0;
}

static int memory_reset(th_stream *stream)
{
    memory_end *end = of(stream);
    if (!end->closed) {
        end->out->broken = true;
        end->out->len = 0;
    }
    return memory_close(stream);
}

static void memory_free(th_stream *stream)
{
    memory_end *end = of(stream);
    memory_pair *pair = end->pair;
    if (!end->closed)
        (void)memory_close(stream);
    end->freed = true;
    if (!pair->ends[0].freed || !pair->ends[1].freed)
        return;
    thi_free(pair->ways[0].ring);
    thi_free(pair->ways[1].ring);
    thi_free(pair);
}

static int memory_address(th_stream *stream, th_addr *addr)
{
    if (of(stream)->closed)
        return thi_err_clear(-EBADF);
    *addr = (th_addr){ .kind = TH_ADDR_NONE };
    return 0;
}

static const thi_stream_ops memory_ops = {
    .name = "memory",
    .read = memory_read,
    .writev = memory_writev,
    .shutdown = memory_shutdown,
    .close = memory_close,
    .free = memory_free,
    .peer = memory_address,
    .local = memory_address,
    .peek = memory_peek,
    .try_read = memory_try_read,
    .try_writev = memory_try_writev,
    .wait = memory_wait_readable,
    .reset = memory_reset,
};

int th_stream_memory(size_t size, th_stream *ends[2])
{
    if (!ends || size > SSIZE_MAX)
        return thi_err_clear(-EINVAL);
    if (!thi_worker_self)
        return thi_err_clear(-EPERM);
    memory_pair *pair = thi_calloc(1, sizeof *pair);
    if (!pair)
        return thi_err_clear(-ENOMEM);
    pair->worker = thi_worker_self;
    for (int i = 0; i < 2; i++) {
        pair->ways[i].size = size > 0 ? size : SIZE_DEFAULT;
        pair->ends[i] = (memory_end){
            .base.ops = &memory_ops, .pair = pair, .out = &pair->ways[i], .in = &pair->ways[!i]
        };
        ends[i] = &pair->ends[i].base;
    }
    return 0;
}
