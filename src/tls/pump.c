/* SPDX-License-Identifier: MIT */

/*
 * Moves bytes between an engine and the stream below it, and makes fibers wait where they have to.
 *
 * Two fibers may use a stream, one that reads and one that writes; a third may close it. They wait
 *
 * - in the stream below, for its bytes (who reads) or for room (who has something to send). Only
 *   one of them is there for each direction; the rule "one reads, one writes" holds below as well.
 * - for a turn: while the engine is busy, because a private key that is kept elsewhere signs; while
 *   the other one makes the handshake; while the other one sends. Whoever ends one of these calls
 *   thi_tls_pump_turn(), and all who wait look again.
 *
 * What OpenSSL has made for the peer is in wire.out, and is sent in this order whoever sends. A
 * fiber that reads may have made some (an answer to an update of keys): it sends what goes at once
 * and leaves the rest to the next step of anybody, for if it waited, two peers that both do would
 * wait for each other. Where nobody may come back for it, after a try to write or behind a
 * handshake, a fiber of our own sends it. That fiber may live longer than the stream: who frees the
 * stream then leaves the memory to it, or to the end of the worker, for on its way there by the
 * root scope it may be lost. Where the stream below is not ours to keep alive there is no such
 * fiber: what is left waits for the next call.
 */
#include "tls/pump.h"

#include "base/error.h"
#include "base/util.h"
#include "tls/engine_early.h"
#include "tls/handshakes.h"
#include "tls/kernel.h"

#include <thrum/addr.h>
#include <thrum/fiber.h>
#include <thrum/scope.h>

#include <errno.h>
#include <stdio.h>

/* Pieces of wire.out that are handed down in one step: about 256 KiB, more than there ever are. */
#define PIECES 16

/* What was written before a close is still sent to a peer that takes so long. */
#define LINGER (30 * TH_SECOND)

/* ---- turns ---- */

typedef struct turn_wait {
    thi_wait wait;
    thi_list link;
    th_fiber *fiber;
} turn_wait;

static void wake(thi_wait *wait, int result)
{
    turn_wait *w = thi_container_of(wait, turn_wait, wait);
    thi_list_remove(&w->link);
    thi_sched_ready(w->fiber, result);
}

static const thi_wait_kind for_turn = { "tls", THI_BY_ANYBODY, 0 };

static int wait_for_turn(thi_tls_pump *p)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    turn_wait w = { .wait = { .kind = &for_turn, .object = p, .abort = wake },
                    .fiber = thi_sched_self() };
    thi_list_push_back(&p->waiters, &w.link);
    err = thi_sched_park(&w.wait);
    return p->closed ? -ECANCELED : err;
}

void thi_tls_pump_turn(thi_tls_pump *p)
{
    while (!thi_list_empty(&p->waiters)) {
        turn_wait *w = thi_container_of(thi_list_first(&p->waiters), turn_wait, link);
        wake(&w->wait, 0);
    }
}

int thi_tls_pump_enter(thi_tls_pump *p)
{
    int err = 0;
    while (err == 0 && p->engine.busy)
        err = wait_for_turn(p);
    return err;
}

/* ---- in ---- */

/* Takes what has come, as the end or an error; -EAGAIN: nothing has. */
static int take_in(thi_tls_pump *p, ssize_t n)
{
    if (n == TH_EOF)
        p->engine.ended = true;
    return n >= 0 || n == TH_EOF ? 0 : (int)n;
}

int thi_tls_pump_try_pull(thi_tls_pump *p)
{
    size_t size;
    const thi_stream_ops *ops = p->below->ops;
    if (p->engine.ended)
        return 0;
    if (!ops->try_read)
        return thi_err_clear(-EOPNOTSUPP);
    char *room = thi_tls_engine_room(&p->engine, &size);
    if (!room)
        return thi_err_clear(-ENOMEM);
    ssize_t n = ops->try_read(p->below, room, size);
    thi_tls_engine_fed(&p->engine, n > 0 ? (size_t)n : 0);
    return take_in(p, n);
}

/* For a stream below of which one can only read. While it waits nobody may see half a change. */
static int pull_by_reading(thi_tls_pump *p)
{
    char buf[512];
    ssize_t n = p->below->ops->read(p->below, buf, sizeof buf);
    if (p->closed)
        return thi_err_clear(-ECANCELED);
    int err = n > 0 ? thi_tls_engine_feed(&p->engine, buf, (size_t)n) : 0;
    return err < 0 ? err : take_in(p, n);
}

static int pull(thi_tls_pump *p)
{
    const thi_stream_ops *ops = p->below->ops;
    int err = ops->wait ? ops->wait(p->below) : 0;
    if (err == 0 && p->closed)
        err = thi_err_clear(-ECANCELED);
    if (err < 0)
        return err;
    err = ops->wait ? thi_tls_pump_try_pull(p) : -EOPNOTSUPP;
    if (err == -EOPNOTSUPP)
        err = pull_by_reading(p);
    return err == -EAGAIN ? 0 : err; /* then the caller finds nothing, and comes back to wait */
}

/* Does a part of the handshake, as long as there is time for that. A scope of its own, so that what
 * is too long can be told from what the caller wanted. */
static int do_in_time(thi_tls_pump *p, int (*part)(thi_tls_pump *p))
{
    th_scope scope;
    if (p->handshake_time == TH_NEVER)
        return part(p);
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = p->handshake_end });
    if (err < 0)
        return err;
    err = part(p);
    bool late = th_scope_reason(&scope) == -ETIMEDOUT;
    (void)th_scope_close(&scope);
    if (err == -ETIMEDOUT && late && thi_sched_may_park() == 0)
        return thi_err_set(err, "the handshake took longer than %.1f s",
                           (double)p->handshake_time / 1e9);
    return err;
}

/* Early data did not wait for the rest of the handshake, whose time goes on. */
int thi_tls_pump_pull(thi_tls_pump *p)
{
    bool rest = thi_tls_engine_early_ready(&p->engine) && !p->engine.done;
    return rest ? do_in_time(p, pull) : pull(p);
}

/* ---- out ---- */

/* Hands what is in wire.out down, or a part of it, with a wait. */
static ssize_t hand_down(thi_tls_pump *p)
{
    thi_buf *out = &p->engine.wire.out;
    struct iovec iov[PIECES];
    if (TH_UNLIKELY(p->engine.wire.kernel.sends))
        return thi_tls_kernel_send(&p->engine.wire, p->below);
    ssize_t n = p->below->ops->writev(p->below, iov, thi_buf_iov(out, iov, PIECES));
    if (n > 0)
        thi_buf_consume(out, (size_t)n);
    return n;
}

/* The same without a wait. */
static ssize_t try_hand_down(thi_tls_pump *p)
{
    thi_buf *out = &p->engine.wire.out;
    struct iovec iov[PIECES];
    if (TH_UNLIKELY(p->engine.wire.kernel.sends))
        return thi_tls_kernel_try_send(&p->engine.wire, p->below);
    ssize_t n = p->below->ops->try_writev(p->below, iov, thi_buf_iov(out, iov, PIECES));
    if (n > 0)
        thi_buf_consume(out, (size_t)n);
    return n;
}

int thi_tls_pump_flush(thi_tls_pump *p)
{
    const thi_buf *out = &p->engine.wire.out;
    while (thi_buf_len(out) > 0) {
        if (p->flushing) {
            int err = wait_for_turn(p);
            if (err < 0)
                return thi_err_clear(err);
            continue;
        }
        p->flushing = true;
        ssize_t n = hand_down(p);
        p->flushing = false;
        thi_tls_pump_turn(p);
        if (p->closed && !p->lingering)
            return thi_err_clear(-ECANCELED);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

int thi_tls_pump_push(thi_tls_pump *p)
{
    const thi_buf *out = &p->engine.wire.out;
    while (thi_buf_len(out) > 0 && !p->flushing && p->below->ops->try_writev) {
        ssize_t n = try_hand_down(p);
        if (n == -EAGAIN || n == -EOPNOTSUPP)
            break;
        if (n < 0)
            return (int)n;
    }
    return 0;
}

/* ---- out, where the kernel makes the records ---- */

/* Becomes the one who sends, behind all that is in wire.out. */
static int begin_plain(thi_tls_pump *p)
{
    int err = 0;
    while (err == 0 && (p->flushing || thi_buf_len(&p->engine.wire.out) > 0))
        err = p->flushing ? wait_for_turn(p) : thi_tls_pump_flush(p);
    if (err == 0 && p->closed)
        err = -ECANCELED;
    if (err == 0)
        err = thi_tls_engine_may_write(&p->engine);
    p->flushing = err == 0;
    return err;
}

static ssize_t end_plain(thi_tls_pump *p, ssize_t n)
{
    p->flushing = false;
    thi_tls_pump_turn(p);
    return p->closed ? thi_err_clear(-ECANCELED) : thi_tls_kernel_result(&p->engine.wire, n);
}

ssize_t thi_tls_pump_plain_writev(thi_tls_pump *p, const struct iovec *iov, int count)
{
    int err = begin_plain(p);
    return err < 0 ? err : end_plain(p, p->below->ops->writev(p->below, iov, count));
}

ssize_t thi_tls_pump_plain_sendfile(thi_tls_pump *p, int fd, int64_t offset, size_t size)
{
    int err = begin_plain(p);
    return err < 0 ? err : end_plain(p, p->below->ops->sendfile(p->below, fd, offset, size));
}

ssize_t thi_tls_pump_plain_try_writev(thi_tls_pump *p, const struct iovec *iov, int count)
{
    if (p->flushing)
        return thi_err_clear(-EAGAIN);
    int err = thi_tls_engine_may_write(&p->engine);
    return err < 0 ? err
                   : thi_tls_kernel_result(&p->engine.wire,
                                           p->below->ops->try_writev(p->below, iov, count));
}

static void limit_linger(thi_tls_pump *p)
{
    int err = p->rest_scope ? th_scope_set_deadline(p->rest_scope, th_after(LINGER)) : 0;
    (void)err; /* then it is limited by the peer alone */
}

/* What it cannot send, because of an error, the next one who writes finds. */
static int send_rest(void *arg)
{
    thi_tls_pump *p = arg;
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err == 0) {
        p->rest_scope = &scope;
        if (p->lingering)
            limit_linger(p);
        err = p->closed && !p->lingering ? 0 : thi_tls_pump_flush(p);
        p->rest_scope = NULL;
        (void)th_scope_close(&scope);
    }
    if (p->lingering)
        (void)(err < 0 ? th_stream_reset(p->below) : th_stream_close(p->below));
    p->rest_fiber = false;
    if (!p->abandoned) {
        thi_tls_pump_turn(p);
        return 0;
    }
    thi_list_remove(&p->orphan.link);
    p->orphan.never(&p->orphan);
    return 0;
}

void thi_tls_pump_send_rest(thi_tls_pump *p)
{
    if (p->rest_fiber || p->flushing || p->closed || p->keep_below ||
        thi_buf_len(&p->engine.wire.out) == 0)
        return;
    p->rest_fiber = true;
    if (th_spawn(th_scope_root(), send_rest, p) < 0)
        p->rest_fiber = false; /* then it is sent with what is written next */
}

int thi_tls_pump_close(thi_tls_pump *p, bool linger)
{
    if (linger)
        thi_tls_pump_send_rest(p);
    p->closed = true;
    p->lingering = linger && p->rest_fiber;
    if (p->lingering)
        limit_linger(p);
    int err = p->keep_below || p->lingering ? 0 : th_stream_close(p->below);
    thi_tls_pump_turn(p);
    return err;
}

int thi_tls_pump_await_rest(thi_tls_pump *p)
{
    int err = 0;
    while (err == 0 && p->rest_fiber)
        err = wait_for_turn(p);
    return err < 0 ? thi_err_clear(err) : 0;
}

/* ---- the handshake ---- */

/*
 * The stream below takes no more. The peer may have said why before it went: an alert is among what
 * it has sent, and tells more than a broken pipe.
 */
static int listen_for_alert(thi_tls_pump *p, int err)
{
    if (err != -EPIPE && err != -ECONNRESET)
        return err;
    while (thi_tls_pump_try_pull(p) == 0 && !p->engine.ended)
        ;
    int said = thi_tls_engine_handshake(&p->engine);
    return said == TH_ETLS ? said : thi_err_clear(err);
}

/* A server's steps take turns with those of other newcomers. */
static int take_step(thi_tls_pump *p, thi_handshake *h)
{
    int err = p->engine.link.server ? thi_handshake_enter(h) : 0;
    if (err < 0)
        return thi_err_clear(err);
    if (p->closed) {
        thi_handshake_leave(h);
        return thi_err_clear(-ECANCELED);
    }
    err = thi_tls_engine_handshake(&p->engine);
    thi_handshake_leave(h);
    return err;
}

/* One step of the engine, and what has to be sent for it: 0 done, -EAGAIN: more has to come. */
static int shake(thi_tls_pump *p, thi_handshake *h)
{
    int err = take_step(p, h);
    thi_tls_pump_turn(p); /* it was busy, and is not */
    if (p->closed)
        return thi_err_clear(-ECANCELED);
    if (p->engine.failed.code < 0) {
        (void)thi_tls_pump_push(p); /* the alert; and the failure's words are kept */
        return thi_err_again(&p->engine.failed);
    }
    if (err < 0 && err != -EAGAIN && err != -ENOBUFS)
        return err;
    if (err == 0) {
        err = p->keep_below ? thi_tls_pump_flush(p) : thi_tls_pump_push(p);
        if (err == 0)
            thi_tls_pump_send_rest(p);
        return err < 0 ? listen_for_alert(p, err) : 0;
    }
    int sent = thi_tls_pump_flush(p);
    return sent < 0 ? listen_for_alert(p, sent) : err;
}

static int shake_until_done(thi_tls_pump *p, thi_handshake *h)
{
    int err;
    while ((err = shake(p, h)) == -EAGAIN || err == -ENOBUFS) {
        if (err == -EAGAIN)
            err = thi_tls_pump_pull(p);
        if (err < 0 && err != -ENOBUFS)
            return err;
    }
    return err;
}

static int shake_hands(thi_tls_pump *p)
{
    thi_handshake h;
    th_addr peer;
    if (!p->engine.link.server)
        return shake_until_done(p, &(thi_handshake){ 0 });
    bool known = p->below->ops->peer(p->below, &peer) == 0;
    thi_handshake_begin(&h, p->engine.link.config->handshakes_max, known ? &peer : NULL);
    int err = shake_until_done(p, &h);
    thi_handshake_end(&h);
    return err;
}

int thi_tls_pump_handshake(thi_tls_pump *p)
{
    while (!thi_tls_engine_is_open(&p->engine)) {
        int err = thi_err_again(&p->engine.failed);
        if (err < 0)
            return err;
        if (p->shaking) {
            err = wait_for_turn(p);
            if (err < 0)
                return thi_err_clear(err);
            continue;
        }
        p->shaking = true;
        p->handshake_end = th_after(p->handshake_time);
        err = do_in_time(p, shake_hands);
        p->shaking = false;
        thi_tls_pump_turn(p);
        if (err < 0)
            return err;
    }
    return 0;
}
