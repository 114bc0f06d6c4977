/* SPDX-License-Identifier: MIT */

/*
 * A stream of TLS over another one: the table of <thrum/stream.h>, made of the engine's steps.
 *
 * A step of a reader is: what the engine has; if it has nothing, wait for bytes below, feed them,
 * and look again. A step of a writer is: what is left of an earlier one is sent, a few records are
 * made, and these are sent before the step ends. If the scope ends in that last part the bytes are
 * taken all the same, for the records have been made and cannot be taken back: the step returns
 * their number, and the next one sends what is left, and tells of the scope.
 *
 * The first step of either makes the handshake where it was left for later.
 */
#include "tls/stream.h"

#include "base/alloc.h"
#include "base/util.h"
#include "io/fileway.h"
#include "tls/ahead.h"
#include "tls/engine_early.h"
#include "tls/kernel.h"
#include "tls/pool.h"
#include "tls/pump.h"

#include <thrum/addr.h>
#include <thrum/tls_stream.h>

#include <errno.h>

/* Taken in one step of a writer, bytes of the user's: four full records. */
#define STEP (4 * THI_TLS_RECORD_MAX)

typedef struct tls_stream {
    th_stream base;
    thi_tls_pump pump;
    bool reading; /* a fiber is in a step that reads */
    bool writing;
} tls_stream;

static const thi_stream_ops tls_ops;

static tls_stream *of(th_stream *stream)
{
    return thi_container_of(stream, tls_stream, base);
}

static tls_stream *tls_of(th_stream *stream)
{
    return stream && stream->ops == &tls_ops ? of(stream) : NULL;
}

thi_tls_engine *thi_tls_stream_engine(th_stream *stream)
{
    tls_stream *s = tls_of(stream);
    return s ? &s->pump.engine : NULL;
}

th_stream *thi_tls_stream_below(th_stream *stream)
{
    tls_stream *s = tls_of(stream);
    return s ? s->pump.below : NULL;
}

/* ---- what every call asks first ---- */

static int may_try(const tls_stream *s)
{
    if (!thi_sched_self() || thi_worker_self != s->pump.worker)
        return -EPERM;
    return s->pump.closed ? -EBADF : 0;
}

static int may_step(const tls_stream *s, const bool *busy)
{
    int err = may_try(s);
    if (err < 0)
        return err;
    thi_sched_spend(THI_COST_DESCRIPTOR);
    if (s->pump.closed) /* by who ran meanwhile */
        return -ECANCELED;
    err = thi_sched_may_park();
    return err < 0 ? err : *busy ? -EBUSY : 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef ssize_t reading(thi_tls_engine *engine, void *buf, size_t size);

/* One look, and what has to be sent for it. */
static ssize_t look(tls_stream *s, reading *how, void *buf, size_t size)
{
    thi_tls_pump *p = &s->pump;
    ssize_t n = thi_tls_pump_enter(p);
    if (n < 0)
        return thi_err_clear((int)n);
    n = thi_tls_engine_is_hungry(&p->engine) ? -EAGAIN : how(&p->engine, buf, size);
    thi_tls_pump_turn(p);
    if (p->closed)
        return thi_err_clear(-ECANCELED);
    if (thi_buf_len(&p->engine.wire.out) > 0)
        (void)thi_tls_pump_push(p); /* what goes wrong here is for a writer to find */
    return n < 0 && p->engine.failed.code < 0 ? thi_err_again(&p->engine.failed) : n;
}

static ssize_t read_steps(tls_stream *s, reading *how, void *buf, size_t size)
{
    thi_tls_pump *p = &s->pump;
    int err = thi_tls_pump_handshake(p);
    while (err == 0) {
        ssize_t n = look(s, how, buf, size);
        if (n != -EAGAIN && n != -ENOBUFS)
            return n;
        err = n == -EAGAIN ? thi_tls_pump_pull(p) : thi_tls_pump_flush(p);
    }
    return err;
}

static ssize_t read_step(th_stream *stream, reading *how, void *buf, size_t size)
{
    tls_stream *s = of(stream);
    int err = may_step(s, &s->reading);
    if (err < 0)
        return thi_err_clear(err);
    s->reading = true;
    ssize_t n = read_steps(s, how, buf, size);
    s->reading = false;
    return n;
}

static ssize_t tls_read(th_stream *stream, void *buf, size_t size)
{
    return read_step(stream, thi_tls_engine_read, buf, size);
}

static ssize_t tls_peek(th_stream *stream, void *buf, size_t size)
{
    return read_step(stream, thi_tls_engine_peek, buf, size);
}

/* If there is an end or a failure, the read that follows will say so. */
static int tls_wait(th_stream *stream)
{
    char byte;
    ssize_t n = read_step(stream, thi_tls_engine_peek, &byte, 1);
    return n == -EPERM || n == -EBADF || n == -EBUSY || n == -ECANCELED || n == -ETIMEDOUT
               ? thi_err_clear((int)n)
               : 0;
}

static ssize_t tls_try_read(th_stream *stream, void *buf, size_t size)
{
    tls_stream *s = of(stream);
    thi_tls_pump *p = &s->pump;
    int err = may_try(s);
    if (err == 0 && s->reading)
        err = -EBUSY;
    if (err == 0 && (p->engine.busy || p->shaking))
        err = -EAGAIN;
    if (err < 0)
        return thi_err_clear(err);
    for (;;) {
        ssize_t n = look(s, thi_tls_engine_read, buf, size);
        if (n == -ENOBUFS) {
            thi_tls_pump_send_rest(p);
            return thi_err_clear(-EAGAIN);
        }
        if (n != -EAGAIN)
            return n;
        err = thi_tls_pump_try_pull(p);
        if (err < 0)
            return err;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Sends the records that n bytes have become: n, also when the scope ends before all are gone. */
static ssize_t sent(tls_stream *s, ssize_t n)
{
    int err = thi_tls_pump_flush(&s->pump);
    bool scope_over = !s->pump.closed && (err == -ECANCELED || err == -ETIMEDOUT);
    return err < 0 && !scope_over ? err : n;
}

static ssize_t write_steps(tls_stream *s, const struct iovec *iov, int count)
{
    thi_tls_pump *p = &s->pump;
    int err = thi_tls_pump_handshake(p);
    if (err == 0)
        err = thi_tls_pump_flush(p);
    if (err == 0)
        err = thi_tls_pump_enter(p);
    if (err < 0)
        return err;
    ssize_t n = p->engine.wire.kernel.sends ? thi_tls_pump_plain_writev(p, iov, count)
                                            : thi_tls_engine_writev(&p->engine, iov, count, STEP);
    return n < 0 ? n : sent(s, n);
}

/*
 * The stream below takes no more. The peer may have said why before it went: in 1.3 it judges the
 * certificate of a client behind the handshake. Who reads meanwhile hears that anyhow, and what is
 * no alert stays there to be read.
 */
static ssize_t heed_alert(tls_stream *s, ssize_t n)
{
    thi_tls_pump *p = &s->pump;
    char byte;
    bool gone = n == -EPIPE || n == -ECONNRESET;
    if (!gone || s->reading || p->closed || !p->engine.done || p->engine.sent_close)
        return n;
    s->reading = true;
    ssize_t seen = look(s, thi_tls_engine_peek, &byte, 1);
    while (seen == -EAGAIN && !p->engine.ended && thi_tls_pump_try_pull(p) == 0)
        seen = look(s, thi_tls_engine_peek, &byte, 1);
    s->reading = false;
    return seen == TH_ETLS ? seen : thi_err_clear((int)n);
}

static ssize_t tls_writev(th_stream *stream, const struct iovec *iov, int count)
{
    tls_stream *s = of(stream);
    int err = may_step(s, &s->writing);
    if (err < 0)
        return thi_err_clear(err);
    s->writing = true;
    ssize_t n = heed_alert(s, write_steps(s, iov, count));
    s->writing = false;
    return n;
}

/*
 * A few records of a file. While a piece is read, by a pool perhaps, the records of those before it
 * lie in wire.out, and whoever else sends may take them along.
 */
static ssize_t send_pieces(tls_stream *s, int fd, int64_t offset, size_t size, char *buf)
{
    thi_filefacts facts = { .endpoint = THI_ENDPOINT_UNKNOWN };
    thi_tls_engine *engine = &s->pump.engine;
    size_t done = 0;
    while (done < thi_min(size, STEP)) {
        size_t piece = thi_min(size - done, THI_SEG_LARGE_ROOM);
        ssize_t n = thi_fileway_pread(fd, buf, piece, offset + (int64_t)done, &facts);
        if (n > 0 && s->pump.closed)
            n = -ECANCELED;
        if (n > 0) {
            struct iovec iov = { .iov_base = buf, .iov_len = (size_t)n };
            int err = thi_tls_pump_enter(&s->pump);
            n = err < 0 ? err : thi_tls_engine_writev(engine, &iov, 1, (size_t)n);
        }
        if (n <= 0)
            return done > 0 ? (ssize_t)done : n;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static ssize_t sendfile_steps(tls_stream *s, int fd, int64_t offset, size_t size)
{
    thi_tls_pump *p = &s->pump;
    thi_bufpool *pool = p->engine.wire.out.pool;
    int err = thi_tls_pump_handshake(p);
    if (err == 0)
        err = thi_tls_pump_flush(p);
    if (err == 0 && p->engine.wire.kernel.sends) {
        ssize_t n = thi_tls_pump_plain_sendfile(p, fd, offset, size);
        return n > 0 ? sent(s, n) : n;
    }
    thi_seg *seg = err < 0 ? NULL : thi_bufpool_get(pool, THI_SEG_LARGE_ROOM);
    if (!seg)
        return err < 0 ? err : thi_err_clear(-ENOMEM);
    ssize_t n = send_pieces(s, fd, offset, size, seg->base);
    thi_bufpool_put(pool, seg);
    return n > 0 ? sent(s, n) : n;
}

static ssize_t tls_sendfile(th_stream *stream, int fd, int64_t offset, size_t size)
{
    tls_stream *s = of(stream);
    int err = may_step(s, &s->writing);
    if (err < 0)
        return thi_err_clear(err);
    s->writing = true;
    ssize_t n = heed_alert(s, sendfile_steps(s, fd, offset, size));
    s->writing = false;
    return n;
}

/* The handshake as far as it goes without a wait. */
static int try_handshake(thi_tls_pump *p)
{
    int err;
    if (p->shaking)
        return thi_err_clear(-EAGAIN);
    while ((err = thi_tls_engine_handshake(&p->engine)) == -EAGAIN) {
        err = thi_tls_pump_push(p);
        err = err < 0 ? err : thi_tls_pump_try_pull(p);
        if (err < 0)
            return err;
    }
    return err;
}

static ssize_t try_write(tls_stream *s, const struct iovec *iov, int count)
{
    thi_tls_pump *p = &s->pump;
    int err = may_try(s);
    if (err == 0 && s->writing)
        err = -EBUSY;
    if (err == 0 && p->engine.busy)
        err = -EAGAIN;
    if (err < 0)
        return thi_err_clear(err);
    err = thi_tls_engine_is_open(&p->engine) ? 0 : try_handshake(p);
    if (err == 0)
        err = thi_tls_pump_push(p);
    if (err == 0 && thi_buf_len(&p->engine.wire.out) > 0)
        err = thi_err_clear(-EAGAIN);
    if (err < 0)
        return err;
    if (p->engine.wire.kernel.sends)
        return thi_tls_pump_plain_try_writev(p, iov, count);
    ssize_t n = thi_tls_engine_writev(&p->engine, iov, count, THI_TLS_RECORD_MAX);
    err = n > 0 ? thi_tls_pump_push(p) : 0;
    return err < 0 ? err : n;
}

static ssize_t tls_try_writev(th_stream *stream, const struct iovec *iov, int count)
{
    tls_stream *s = of(stream);
    ssize_t n = try_write(s, iov, count);
    if (n != -EPERM && n != -EBADF)
        thi_tls_pump_send_rest(&s->pump);
    return n;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Says the end, if that can be: 0, or why not. */
static int say_end(tls_stream *s)
{
    thi_tls_pump *p = &s->pump;
    if (p->shaking)
        return thi_err_clear(-ENOTCONN);
    if (p->engine.busy)
        return thi_err_clear(-EBUSY);
    int err = thi_tls_engine_shutdown(&p->engine);
    int pushed = thi_tls_pump_push(p);
    if (err == -EAGAIN || err == -ENOBUFS || err == 0)
        return pushed;
    return err;
}

/* The rest of a handshake that early data did not wait for: TLS has no end before. */
static int complete(thi_tls_pump *p)
{
    int err = thi_tls_pump_enter(p);
    while (err == 0 && !p->engine.done) {
        err = thi_tls_engine_complete(&p->engine);
        thi_tls_pump_turn(p);
        int sent = thi_tls_pump_flush(p);
        if (sent < 0)
            return sent;
        if (err == -EAGAIN)
            err = thi_tls_pump_pull(p);
        else if (err == -ENOBUFS)
            err = 0;
    }
    return err;
}

static int tls_shutdown(th_stream *stream)
{
    tls_stream *s = of(stream);
    if (s->pump.closed)
        return thi_err_clear(-EBADF);
    int err = s->pump.engine.done || !thi_tls_engine_early_ready(&s->pump.engine)
                  ? 0
                  : complete(&s->pump);
    if (err == 0)
        err = say_end(s);
    if (err == 0)
        thi_tls_pump_send_rest(&s->pump);
    return err;
}

/* Who waits in a stream below that is kept could not be told. */
static int may_close(const tls_stream *s)
{
    if (s->pump.closed)
        return -EBADF;
    bool used = s->reading || s->writing || s->pump.shaking;
    return s->pump.keep_below && used ? -EBUSY : 0;
}

/*
 * A socket that is closed with unread bytes is reset, and the peer may lose what it has not read. A
 * server of 1.3 sends tickets behind the handshake, which a client that only writes never reads.
 */
static void take_away_tickets(tls_stream *s)
{
    thi_tls_pump *p = &s->pump;
    if (p->engine.link.server || p->engine.received_close || s->reading)
        return;
    if (thi_tls_pump_try_pull(p) == 0)
        thi_buf_clear(&p->engine.wire.in);
}

static int tls_close(th_stream *stream)
{
    tls_stream *s = of(stream);
    int err = may_close(s);
    if (err < 0)
        return thi_err_clear(err);
    if (s->pump.engine.done && s->pump.engine.failed.code == 0) {
        (void)say_end(s);
        take_away_tickets(s);
    }
    /* Whoever waits below, or is in the middle of a write, is told at once: that is no orderly end.
     */
    return thi_tls_pump_close(&s->pump, !s->reading && !s->writing && !s->pump.shaking);
}

static int tls_reset(th_stream *stream)
{
    tls_stream *s = of(stream);
    int err = may_close(s);
    if (err < 0)
        return thi_err_clear(err);
    s->pump.closed = true;
    err = s->pump.keep_below ? 0 : th_stream_reset(s->pump.below);
    thi_tls_pump_turn(&s->pump);
    return err;
}

/* What was made, without the stream below, which is its owner's again. */
static void take_off(tls_stream *s)
{
    thi_tls_engine_deinit(&s->pump.engine);
    thi_free(s);
}

static void destroy(thi_tls_pump *p)
{
    tls_stream *s = thi_container_of(p, tls_stream, pump);
    if (!p->keep_below)
        th_stream_free(p->below);
    take_off(s);
}

static void destroy_orphan(thi_tls_orphan *orphan)
{
    destroy(thi_container_of(orphan, thi_tls_pump, orphan));
}

static void tls_free(th_stream *stream)
{
    tls_stream *s = of(stream);
    if (!s->pump.closed)
        (void)tls_close(stream);
    s->pump.abandoned = s->pump.rest_fiber;
    if (s->pump.abandoned)
        thi_tls_pool_leave(&s->pump.orphan);
    else
        destroy(&s->pump);
}

/* ---- about the connection -------------------------------------------------------------------- */

static int tls_peer(th_stream *stream, th_addr *addr)
{
    th_stream *below = of(stream)->pump.below;
    return below->ops->peer(below, addr);
}

static int tls_local(th_stream *stream, th_addr *addr)
{
    th_stream *below = of(stream)->pump.below;
    return below->ops->local(below, addr);
}

static int tls_descriptor(th_stream *stream)
{
    th_stream *below = of(stream)->pump.below;
    return below->ops->descriptor ? below->ops->descriptor(below) : -EOPNOTSUPP;
}

static int tls_origin(th_stream *stream, const struct thi_origin **origin)
{
    th_stream *below = of(stream)->pump.below;
    if (below->ops->origin)
        return below->ops->origin(below, origin);
    *origin = NULL;
    return 0;
}

static const thi_stream_ops tls_ops = {
    .name = "tls",
    .read = tls_read,
    .writev = tls_writev,
    .sendfile = tls_sendfile,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .free = tls_free,
    .peer = tls_peer,
    .local = tls_local,
    .descriptor = tls_descriptor,
    .origin = tls_origin,
    .peek = tls_peek,
    .try_read = tls_try_read,
    .try_writev = tls_try_writev,
    .wait = tls_wait,
    .reset = tls_reset,
};

/* ---- making one ------------------------------------------------------------------------------ */

/* The port of whoever is at the other end; 0 where there is none. */
static uint16_t port_below(th_stream *below)
{
    th_addr addr;
    if (!below->ops->peer || below->ops->peer(below, &addr) < 0)
        return 0;
    return addr.kind == TH_ADDR_IP4 || addr.kind == TH_ADDR_IP6 ? addr.port : 0;
}

int thi_tls_stream_new(thi_tls_config *config, bool server, th_stream *below,
                       const th_tls_stream_opts *opts, th_stream **stream)
{
    static const th_tls_stream_opts defaults;
    opts = opts ? opts : &defaults;
    thi_bufpool *pool = thi_tls_pool();
    tls_stream *s = pool ? thi_calloc(1, sizeof *s) : NULL;
    if (!s)
        return thi_err_clear(-ENOMEM);
    s->base.ops = &tls_ops;
    s->pump.below = below;
    s->pump.keep_below = opts->keep_below;
    s->pump.worker = thi_worker_self;
    s->pump.orphan.never = destroy_orphan;
    s->pump.handshake_time =
        opts->handshake_time > 0 ? opts->handshake_time : config->facts.handshake_time;
    thi_list_init(&s->pump.waiters);
    th_tls_stream_opts with_port = *opts;
    if (!server && opts->port == 0)
        with_port.port = port_below(below);
    int err = thi_tls_engine_init(&s->pump.engine, config, server, &with_port, pool);
    if (err < 0) {
        thi_free(s);
        return err;
    }
    if (!s->pump.engine.early)
        thi_tls_kernel_offer(&s->pump.engine.wire, below, &s->pump.flushing);
    int fd = -1;
    struct thi_tap **tap = below->ops->tap ? below->ops->tap(below, &fd) : NULL;
    thi_tls_engine_cover(&s->pump.engine, tap, fd);
    *stream = &s->base;
    return 0;
}

/* Makes one, and its handshake unless that is for later. */
static int wrap(th_tls *tls, bool server, th_stream *below, const th_tls_stream_opts *opts,
                th_stream **out)
{
    th_stream *stream = NULL;
    if (!tls || !below || !out)
        return thi_err_clear(-EINVAL);
    int err = thi_tls_engine_check(opts);
    if (err < 0)
        return err;
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    thi_tls_config *config = thi_tls_config_of(tls);
    err = thi_tls_stream_new(config, server, below, opts, &stream);
    thi_tls_config_unref(config);
    if (err < 0)
        return err;
    if (!opts || !opts->later)
        err = thi_tls_pump_handshake(&of(stream)->pump);
    if (err == 0)
        *out = stream;
    else
        take_off(of(stream));
    return err;
}

int th_tls_server(struct th_tls *tls, th_stream *below, const th_tls_stream_opts *opts,
                  th_stream **stream)
{
    return wrap(tls, true, below, opts, stream);
}

int th_tls_client(struct th_tls *tls, th_stream *below, const th_tls_stream_opts *opts,
                  th_stream **stream)
{
    return wrap(tls, false, below, opts, stream);
}

int th_tls_handshake(th_stream *stream)
{
    tls_stream *s = tls_of(stream);
    if (!s)
        return thi_err_clear(-EINVAL);
    bool nobody = false;
    int err = may_step(s, &nobody);
    return err < 0 ? thi_err_clear(err) : thi_tls_pump_handshake(&s->pump);
}

int th_tls_flush(th_stream *stream)
{
    tls_stream *s = tls_of(stream);
    if (!s)
        return thi_err_clear(-EINVAL);
    int err = may_step(s, &s->writing);
    if (err < 0)
        return thi_err_clear(err);
    s->writing = true;
    err = thi_tls_pump_flush(&s->pump);
    s->writing = false;
    return err;
}

int th_tls_info_get(th_stream *stream, th_tls_info *info)
{
    thi_tls_engine *engine = thi_tls_stream_engine(stream);
    return engine && info ? thi_tls_engine_info(engine, info) : thi_err_clear(-EINVAL);
}

ssize_t th_tls_cert_get(th_stream *stream, int chain, size_t at, void *buf, size_t size)
{
    thi_tls_engine *engine = thi_tls_stream_engine(stream);
    return engine ? thi_tls_engine_cert(engine, chain, at, buf, size) : thi_err_clear(-EINVAL);
}

int th_tls_session_get(th_stream *stream, struct th_tls_session **session)
{
    thi_tls_engine *engine = thi_tls_stream_engine(stream);
    return engine && session ? thi_tls_engine_session(engine, session) : thi_err_clear(-EINVAL);
}

/* ---- back to plain --------------------------------------------------------------------------- */

/* Until both ends have been said: 0. */
static int end_in_agreement(tls_stream *s)
{
    thi_tls_pump *p = &s->pump;
    for (;;) {
        int err = thi_tls_engine_shutdown(&p->engine);
        if (err < 0 && err != -EAGAIN && err != -ENOBUFS)
            return err;
        int sent = thi_tls_pump_flush(p);
        if (sent < 0 || err == 0)
            return sent;
        if (SSL_pending(p->engine.link.ssl) > 0)
            return thi_err_set(-EBUSY, "the peer has sent bytes that were not read");
        sent = thi_tls_pump_pull(p);
        if (sent < 0)
            return sent;
    }
}

/* Nothing of ours is under way any more, so the stream below can be given away. */
static int hand_over(tls_stream *s, th_stream **plain)
{
    thi_buf *in = &s->pump.engine.wire.in;
    th_stream *below = s->pump.below;
    if (thi_buf_len(in) > 0) {
        int err = thi_ahead_new(below, in, &below);
        if (err < 0)
            return err;
    }
    take_off(s);
    *plain = below;
    return 0;
}

int th_tls_unwrap(th_stream *stream, th_stream **plain)
{
    tls_stream *s = tls_of(stream);
    if (!s || !plain || s->pump.keep_below)
        return thi_err_clear(-EINVAL);
    if (s->pump.engine.wire.kernel.sends)
        return thi_err_set(-EOPNOTSUPP, "the kernel encrypts what is sent, and does not stop");
    bool busy = s->reading || s->writing || s->pump.shaking;
    int err = may_step(s, &busy);
    if (err < 0)
        return thi_err_clear(err);
    s->reading = true;
    s->writing = true;
    err = end_in_agreement(s);
    while (err == 0 && s->pump.rest_fiber)
        err = thi_tls_pump_await_rest(&s->pump);
    s->reading = false;
    s->writing = false;
    return err < 0 ? err : hand_over(s, plain);
}
