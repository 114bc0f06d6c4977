/* SPDX-License-Identifier: MIT */

/*
 * Dialling for those who are no fibers.
 *
 * Names, several addresses and their racing are written once, for fibers; a fiber is cheap for as
 * long as an attempt takes. It dials in a scope of its own, by which the attempt is cancelled or
 * runs out of time, and hands the bare descriptor over. The attempt holds a place in the scope that
 * it belongs to, beside that of the fiber, until it has told what it found.
 */
#include "callback/attempt.h"

#include "base/alloc.h"
#include "callback/transport.h"
#include "net/socket.h"
#include "runtime/start.h"

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
    thi_free(a);
}

/* Takes the descriptor out of a stream that nobody uses. */
static int take_descriptor(th_stream *stream)
{
    thi_socket *socket = thi_container_of(stream, thi_socket, base);
    int fd = socket->watch.fd;
    thi_loop_unwatch(&socket->worker->loop, &socket->watch);
    socket->closed = true;
    th_stream_free(stream);
    return fd;
}

static int dial(thi_attempt *a)
{
    th_stream *stream = NULL;
    th_scope_opts opts = { .deadline = a->time ? th_after(a->time) : 0 };
    int err = a->cancelled ? -ECANCELED : th_scope_open(&a->inner, &opts);
    if (err < 0)
        return err;
    a->dialling = true;
    err = th_dial(a->address, a->dial, &stream);
    a->dialling = false;
    (void)th_scope_close(&a->inner);
    return err < 0 ? err : take_descriptor(stream);
}

static int dial_on_fiber(void *arg)
{
    thi_attempt *a = arg;
    a->result = dial(a);
    if (a->result < 0)
        snprintf(a->detail, sizeof a->detail, "%s", th_err_detail());
    thi_loop_defer(&a->scope->worker->loop, &a->later);
    return 0;
}

thi_attempt *thi_attempt_new(const char *address)
{
    size_t size = strlen(address) + 1;
    thi_attempt *a = thi_calloc(1, sizeof *a + size);
    if (!a)
        return NULL;
    memcpy(a->address, address, size);
    thi_deferred_init(&a->later, on_later);
    return a;
}

int thi_attempt_begin(thi_attempt *a, thi_scope *scope)
{
    thi_start start = { .fn = dial_on_fiber, .arg = a, .name = "connect" };
    int err = thi_transport_take_place(scope);
    if (err < 0) {
        thi_free(a);
        return err;
    }
    a->scope = scope;
    scope->live++;
    err = thi_start_here(scope, &start);
    if (err < 0) {
        thi_free(a);
        thi_scope_child_ended(scope, 0);
        thi_scope_child_ended(scope, 0);
    }
    return err;
}

void thi_attempt_cancel(thi_attempt *a)
{
    a->cancelled = true;
    if (a->dialling)
        (void)th_scope_cancel(&a->inner, 0);
}
