/* SPDX-License-Identifier: MIT */

/*
 * TLS that begins on a transport in the middle of its life.
 *
 * It is asked for by a call and begun by the loop, once all that was written before has left: so
 * whatever a function of the protocol gives back after the call is the peer's TLS as well. From
 * then until the handshake is over the descriptor is an attempt's, whose fiber reads and writes it,
 * and the transport has a carrier that does nothing. It may end meanwhile: the attempt is told, and
 * gives the descriptor up.
 */
#include "callback/attempt.h"
#include "callback/carrier.h"
#include "callback/transport.h"

#include "base/alloc.h"
#include "base/util.h"
#include "net/capture.h"
#include "runtime/tree.h"
#include "sys/sys.h"

#include <thrum/tls_stream.h>

#include <string.h>

struct thi_upgrade {
    thi_attempt *attempt; /* NULL: it has told what it found */
    th_transport_tls_fn done;
    bool begun;
};

/* ---- a transport whose descriptor is away ---- */

static ssize_t away_read(th_transport *t, void *buf, size_t size)
{
    (void)t;
    (void)buf;
    (void)size;
    return -EAGAIN;
}

static ssize_t away_writev(th_transport *t, const struct iovec *iov, int count)
{
    (void)t;
    (void)iov;
    (void)count;
    return -EAGAIN;
}

static int away_shutdown(th_transport *t)
{
    (void)t;
    return 0;
}

static int away_want(th_transport *t, unsigned dirs)
{
    (void)t;
    (void)dirs;
    return 0;
}

static int away_address(const th_transport *t, th_addr *addr)
{
    (void)t;
    (void)addr;
    return -EBUSY;
}

static void away_close(th_transport *t, bool reset)
{
    (void)t;
    (void)reset;
}

static const thi_carrier away_carrier = {
    .name = "tls",
    .read = away_read,
    .writev = away_writev,
    .shutdown = away_shutdown,
    .want = away_want,
    .close = away_close,
    .peer = away_address,
    .local = away_address,
};

/* ---- the course ---- */

bool thi_transport_is_upgrading(const th_transport *t)
{
    return t->upgrade && t->upgrade->begun;
}

void thi_transport_drop_upgrade(th_transport *t)
{
    thi_upgrade *u = t->upgrade;
    if (!u)
        return;
    t->upgrade = NULL;
    if (u->begun && u->attempt) {
        u->attempt->maker = NULL;
        thi_attempt_cancel(u->attempt);
    } else {
        thi_attempt_free(u->attempt);
    }
    thi_free(u);
}

static int put_on(th_transport *t, thi_attempt *a, int fd)
{
    int err = thi_carrier_tls_over(t, fd, a->tls_stream);
    if (err < 0)
        (void)thi_sys_close(fd);
    else
        a->tls_stream = NULL;
    return err;
}

/* By the loop: the handshake has been made, or not, and `done` is told so. */
static void on_attempt(thi_attempt *a, int result)
{
    th_transport *t = a->maker;
    thi_scope *scope = a->scope;
    if (!t) {
        if (result >= 0)
            (void)thi_sys_close(result);
        thi_scope_child_ended(scope, 0);
        return;
    }
    th_transport_tls_fn done = t->upgrade->done;
    int err = result < 0 || t->dead ? thi_min(result, 0) : put_on(t, a, result);
    if (err == 0 && t->dead && result >= 0)
        (void)thi_sys_close(result);
    t->upgrade->attempt = NULL;
    thi_transport_drop_upgrade(t);
    if (!t->dead && done)
        thi_transport_judge(t, "tls", done(t, t->self, err));
    if (err < 0)
        thi_transport_fail(t, err);
    thi_transport_later(t);
    thi_scope_child_ended(scope, 0);
}

/* What was given back is the beginning of the peer's TLS. */
static int take_unread(th_transport *t, thi_attempt *a)
{
    size_t size = 0;
    for (thi_unread *u = t->unread; u; u = u->next)
        size += u->end - u->at;
    if (size == 0)
        return 0;
    a->ahead = thi_alloc(size);
    if (!a->ahead)
        return -ENOMEM;
    for (thi_unread *u = t->unread; u; u = u->next) {
        memcpy(a->ahead + a->ahead_len, u->bytes + u->at, u->end - u->at);
        a->ahead_len += u->end - u->at;
    }
    thi_transport_drop_unread(t);
    return 0;
}

static int begin(th_transport *t)
{
    thi_upgrade *u = t->upgrade;
    thi_attempt *a = u->attempt;
    int err = take_unread(t, a);
    if (err < 0)
        return err;
    a->fd = t->watch.fd;
    u->attempt = NULL; /* a beginning that fails frees it */
    err = thi_attempt_begin(a, t->scope);
    if (err < 0)
        return err;
    u->attempt = a;
    u->begun = true;
    thi_capture_closed(&t->tap);
    thi_loop_unwatch(&t->worker->loop, &t->watch);
    t->carrier = &away_carrier;
    return 0;
}

void thi_transport_begin_upgrade(th_transport *t)
{
    if (t->upgrade->begun || t->dead || t->closing || !thi_transport_is_idle(t))
        return;
    int err = begin(t);
    if (err < 0)
        thi_transport_fail(t, err);
}

/* ---- calls ---- */

static int may_upgrade(const th_transport *t, const th_tls *tls)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!tls)
        return -EINVAL;
    if (t->dead || t->closing)
        return -EBADF;
    if (t->upgrade || t->producer)
        return -EBUSY;
    if (!thi_carrier_is_socket(t))
        return -EOPNOTSUPP;
    return t->ends || t->end_told ? -EPIPE : 0;
}

static int upgrade(th_transport *t, th_tls *tls, bool server, const char *name,
                   th_transport_tls_fn done)
{
    int err = may_upgrade(t, tls);
    if (err < 0)
        return err;
    thi_upgrade *u = thi_calloc(1, sizeof *u);
    thi_attempt *a = u ? thi_attempt_new_tls(-1, tls, server, name) : NULL;
    if (!a) {
        thi_free(u);
        return -ENOMEM;
    }
    a->done = on_attempt;
    a->maker = t;
    u->attempt = a;
    u->done = done;
    t->upgrade = u;
    thi_transport_later(t);
    return 0;
}

int th_transport_tls_server(th_transport *t, struct th_tls *tls, th_transport_tls_fn done)
{
    return upgrade(t, tls, true, NULL, done);
}

int th_transport_tls_client(th_transport *t, struct th_tls *tls, const char *name,
                            th_transport_tls_fn done)
{
    return upgrade(t, tls, false, name, done);
}

int th_transport_tls_info(th_transport *t, struct th_tls_info *info)
{
    int err = info ? thi_transport_check(t) : -EINVAL;
    if (err < 0)
        return err;
    if (!t->scope)
        return -EBADF;
    th_stream *stream = thi_carrier_tls_of(t);
    return stream ? th_tls_info_get(stream, info) : -EOPNOTSUPP;
}

ssize_t th_transport_tls_cert(th_transport *t, int chain, size_t index, void *buf, size_t size)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!t->scope)
        return -EBADF;
    th_stream *stream = thi_carrier_tls_of(t);
    return stream ? th_tls_cert_get(stream, chain, index, buf, size) : -EOPNOTSUPP;
}
