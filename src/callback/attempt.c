/* SPDX-License-Identifier: MIT */

/*
 * Dialling, and TLS's handshake, for those who are no fibers.
 *
 * Names, several addresses and their racing are written once, for fibers, and so is the handshake,
 * in which a key may be used that another thread or process has; a fiber is cheap for as long as an
 * attempt takes. It works in a scope of its own, by which the attempt is cancelled or runs out of
 * time, and hands the bare descriptor over, and TLS beside it. The attempt holds a place in the
 * scope that it belongs to, beside that of the fiber, until it has told what it found.
 *
 * After the handshake nothing of TLS has to wait but for bytes: what remains is done by the loop.
 */
#include "callback/attempt.h"

#include "base/alloc.h"
#include "callback/carrier.h"
#include "callback/transport.h"
#include "net/socket.h"
#include "runtime/start.h"
#include "sys/sys.h"
#include "tls/stream.h"

#include <thrum/dial.h>

#include <stdio.h>
#include <string.h>

/* By the loop: no fiber is part of it any more. */
static void on_later(thi_deferred *deferred)
{
    thi_attempt *a = thi_container_of(deferred, thi_attempt, later);
    thi_loop_stay_awake(&a->scope->worker->loop);
    if (a->result < 0)
        thi_err_set(a->result, "%s", a->detail);
    a->done(a, a->result);
    thi_attempt_free(a);
}

/*
 * Takes the descriptor out of a stream that nobody uses. With TLS its stream stays, to be carried
 * on by the loop, and the socket below it as a shell without a descriptor.
 */
static int take_descriptor(thi_attempt *a, th_stream *stream)
{
    if (!thi_tls_stream_engine(stream)) {
        int fd = th_stream_detach(stream);
        th_stream_free(stream);
        return fd;
    }
    a->tls_stream = stream;
    return th_stream_detach(thi_tls_stream_below(stream));
}

/* On failure the descriptor is closed. */
static int shake_hands(thi_attempt *a, th_stream **stream)
{
    th_tls_stream_opts opts = { .name = *a->address ? a->address : NULL,
                                .ahead = th_str_make(a->ahead, a->ahead_len) };
    thi_socket *below;
    int err = thi_socket_new(a->fd, &below);
    if (err < 0) {
        (void)thi_sys_close(a->fd);
        return thi_err_clear(err);
    }
    err = a->server ? th_tls_server(a->tls, &below->base, &opts, stream)
                    : th_tls_client(a->tls, &below->base, &opts, stream);
    if (err < 0)
        th_stream_free(&below->base);
    return err;
}

static int try(thi_attempt *a)
{
    th_stream *stream = NULL;
    th_scope_opts opts = { .deadline = a->time ? th_after(a->time) : 0 };
    int err = a->cancelled ? -ECANCELED : th_scope_open(&a->inner, &opts);
    if (err < 0) {
        if (a->fd >= 0)
            (void)thi_sys_close(a->fd);
        return err;
    }
    a->trying = true;
    err = a->fd >= 0 ? shake_hands(a, &stream) : th_dial(a->address, a->dial, &stream);
    a->trying = false;
    (void)th_scope_close(&a->inner);
    return err < 0 ? err : take_descriptor(a, stream);
}

static int try_on_fiber(void *arg)
{
    thi_attempt *a = arg;
    a->result = try(a);
    if (a->result < 0)
        snprintf(a->detail, sizeof a->detail, "%s", th_err_detail());
    thi_loop_defer(&a->scope->worker->loop, &a->later);
    return 0;
}

/* ---- calls ---- */

thi_attempt *thi_attempt_new(const char *address)
{
    size_t size = strlen(address) + 1;
    thi_attempt *a = thi_calloc(1, sizeof *a + size);
    if (!a)
        return NULL;
    memcpy(a->address, address, size);
    a->fd = -1;
    thi_deferred_init(&a->later, on_later);
    return a;
}

thi_attempt *thi_attempt_new_tls(int fd, th_tls *tls, bool server, const char *name)
{
    thi_attempt *a = thi_attempt_new(name ? name : "");
    if (!a)
        return NULL;
    a->fd = fd;
    a->tls = th_tls_ref(tls);
    a->server = server;
    return a;
}

void thi_attempt_free(thi_attempt *a)
{
    if (!a)
        return;
    if (a->tls_stream) /* nobody has taken it, nor the descriptor */
        (void)th_stream_reset(a->tls_stream);
    th_stream_free(a->tls_stream);
    th_tls_unref(a->tls);
    thi_free(a->ahead);
    thi_free(a);
}

int thi_attempt_carrier(thi_attempt *a, int fd, th_transport **transport)
{
    if (!a->tls_stream)
        return thi_carrier_socket(fd, transport);
    int err = thi_carrier_tls(fd, a->tls_stream, transport);
    if (err == 0)
        a->tls_stream = NULL;
    return err;
}

int thi_attempt_begin(thi_attempt *a, thi_scope *scope)
{
    thi_start start = { .fn = try_on_fiber, .arg = a, .name = "connect" };
    int err = thi_transport_take_place(scope);
    if (err < 0) {
        thi_attempt_free(a);
        return err;
    }
    a->scope = scope;
    scope->live++;
    err = thi_start_here(scope, &start);
    if (err < 0) {
        thi_attempt_free(a);
        thi_scope_child_ended(scope, 0);
        thi_scope_child_ended(scope, 0);
    }
    return err;
}

void thi_attempt_cancel(thi_attempt *a)
{
    a->cancelled = true;
    if (a->trying)
        (void)th_scope_cancel(&a->inner, 0);
}
