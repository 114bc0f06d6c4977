/* SPDX-License-Identifier: MIT */

/*
 * TLS over a socket as a carrier.
 *
 * A fiber has made the handshake; from then on nothing in TLS waits but for bytes, so the loop goes
 * on without one. Reading takes bytes of the socket to the engine until that gives something for
 * the user; writing encrypts some of the user's and sends what comes of it. What the socket does
 * not take stays in the engine, bounded: the transport is `behind` until it is gone, and as long as
 * that lasts no more is encrypted.
 *
 * Reading can make bytes to be sent, a key that is answered with a key, and may not go on before
 * these have gone. It is `starved` then, and tried again when they have.
 *
 * The end of the stream is what the peer says in TLS; a socket that ends without that was cut off.
 * And so an orderly close says the end first (`says_end`).
 */
#include "callback/carrier.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "net/capture.h"
#include "tls/kernel.h"
#include "tls/stream.h"

#include <thrum/error.h>

#define PIECES    16
#define AT_A_TIME (4 * THI_TLS_RECORD_MAX) /* bytes of the user's in one step */

typedef struct tls_carried {
    th_stream *stream; /* of TLS; below it is a shell */
    thi_tls_engine *engine;
    bool starved; /* reading waits for what is to be sent */
} tls_carried;

static tls_carried *of(const th_transport *t)
{
    return t->carried;
}

/* ---- sending ---- */

/* Sends a part of what the engine has made: bytes, -EAGAIN, or an error. */
static ssize_t send_some(th_transport *t)
{
    thi_tls_wire *wire = &of(t)->engine->wire;
    struct iovec iov[PIECES];
    if (wire->kernel.sends) {
        ssize_t sealed = thi_tls_kernel_send_over(wire, t->watch.fd);
        if (sealed > 0)
            thi_metric_add(THI_M_BYTES_WRITTEN, sealed);
        if (sealed > 0 && TH_UNLIKELY(thi_capture_is_on()))
            thi_capture_unseen(&t->tap, t->watch.fd, TH_CAPTURE_SENT, (size_t)sealed);
        return sealed;
    }
    ssize_t n = thi_carrier_socket_writev(t, iov, thi_buf_iov(&wire->out, iov, PIECES));
    if (n > 0)
        thi_buf_consume(&wire->out, (size_t)n);
    return n;
}

/* Sends what the engine has made: 0 when all has gone, -EAGAIN, or an error. */
static int tls_flush(th_transport *t)
{
    tls_carried *c = of(t);
    while (thi_buf_len(&c->engine->wire.out) > 0) {
        ssize_t n = send_some(t);
        if (n == -EAGAIN) {
            t->behind = true;
            thi_transport_want(t, THI_WRITE);
            return -EAGAIN;
        }
        if (n < 0)
            return (int)n;
    }
    t->behind = false;
    if (c->starved) {
        c->starved = false;
        t->watch.ready |= THI_READ;
        thi_transport_later(t);
    }
    return 0;
}

static ssize_t tls_writev(th_transport *t, const struct iovec *iov, int count)
{
    int err = tls_flush(t);
    if (err < 0)
        return err;
    ssize_t n = thi_tls_engine_writev(of(t)->engine, iov, count, AT_A_TIME);
    if (n < 0)
        return n == -ENOBUFS ? -EAGAIN : n;
    err = tls_flush(t);
    return err < 0 && err != -EAGAIN ? err : n;
}

/* Says the end. The peer may have said its own, or may not yet: both are well. */
static int tls_shutdown(th_transport *t)
{
    int err = thi_tls_engine_shutdown(of(t)->engine);
    if (err < 0 && err != -EAGAIN)
        return err;
    err = tls_flush(t);
    return err == -EAGAIN ? 0 : err;
}

/* ---- receiving ---- */

/* Takes bytes of the socket to the engine: how many, 0 at the end, or an error. */
static ssize_t feed(th_transport *t, thi_tls_engine *engine)
{
    size_t size;
    char *room = thi_tls_engine_room(engine, &size);
    if (!room)
        return -ENOMEM;
    ssize_t n = thi_carrier_socket_read(t, room, size);
    thi_tls_engine_fed(engine, n > 0 ? (size_t)n : 0);
    if (n == 0)
        engine->ended = true;
    return n;
}

/* Sends what there is before reading goes on. Others may have waited for that: an end to be said.
 */
static int catch_up(th_transport *t)
{
    bool was_behind = t->behind;
    int err = tls_flush(t);
    if (was_behind && err == 0)
        thi_transport_settle(t);
    return err;
}

/* What the engine has for the user; -EAGAIN when it wants bytes, or is starved. */
static ssize_t take(th_transport *t, void *buf, size_t size)
{
    tls_carried *c = of(t);
    for (;;) {
        ssize_t n = thi_tls_engine_read(c->engine, buf, size);
        int err = thi_buf_len(&c->engine->wire.out) > 0 ? catch_up(t) : 0;
        if (n != -ENOBUFS)
            return n;
        if (err < 0) {
            c->starved = err == -EAGAIN;
            return err;
        }
    }
}

static ssize_t tls_read(th_transport *t, void *buf, size_t size)
{
    for (;;) {
        ssize_t n = take(t, buf, size);
        if (n != -EAGAIN || of(t)->starved)
            return n == TH_EOF ? 0 : n;
        n = feed(t, of(t)->engine);
        if (n < 0)
            return n;
    }
}

/* What OpenSSL keeps does not show in what a read has brought. */
static bool tls_may_have_more(th_transport *t)
{
    (void)t;
    return true;
}

/* ---- the end ---- */

static void tls_explain(th_transport *t)
{
    (void)thi_err_again(&of(t)->engine->failed);
}

/* A peer that has been found wrong is told so, and that has to reach it. */
static void tls_close(th_transport *t, bool reset)
{
    tls_carried *c = of(t);
    bool told = c->engine->failed.code < 0 && thi_buf_len(&c->engine->wire.out) > 0;
    if (told && !t->lent)
        (void)tls_flush(t);
    thi_carrier_socket_close(t, reset && !told);
    thi_buf_clear(&c->engine->wire.out);
    (void)th_stream_reset(c->stream); /* all that was to be said has been */
    th_stream_free(c->stream);
    thi_free(c);
    t->carried = NULL;
}

static const thi_carrier tls_carrier = {
    .name = "tls",
    .may_have_more = tls_may_have_more,
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .says_end = true,
    .flush = tls_flush,
    .explain = tls_explain,
    .want = thi_carrier_fd_want,
    .close = tls_close,
    .peer = thi_carrier_fd_peer,
    .local = thi_carrier_fd_local,
};

/* ---- making one ---- */

static tls_carried *new_carried(th_stream *stream)
{
    tls_carried *c = thi_alloc(sizeof *c);
    if (c)
        *c = (tls_carried){ .stream = stream, .engine = thi_tls_stream_engine(stream) };
    return c;
}

static void put_on(th_transport *t, tls_carried *c, int fd)
{
    t->carried = c;
    thi_tls_engine_cover(c->engine, &t->tap, fd);
}

int thi_carrier_tls(int fd, th_stream *stream, th_transport **out)
{
    tls_carried *c = new_carried(stream);
    if (!c)
        return -ENOMEM;
    int err = thi_carrier_fd_make(&tls_carrier, fd, true, out);
    if (err < 0)
        thi_free(c);
    else
        put_on(*out, c, fd);
    return err;
}

int thi_carrier_tls_over(th_transport *t, int fd, th_stream *stream)
{
    tls_carried *c = new_carried(stream);
    if (!c)
        return -ENOMEM;
    int err = thi_carrier_fd_rewatch(t, fd);
    if (err < 0) {
        thi_free(c);
        return err;
    }
    put_on(t, c, fd);
    t->carrier = &tls_carrier;
    return 0;
}

th_stream *thi_carrier_tls_of(const th_transport *t)
{
    return t->carrier == &tls_carrier ? of(t)->stream : NULL;
}
