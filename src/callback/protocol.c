/* SPDX-License-Identifier: MIT */

/* Handing connections to protocols: descriptors, pairs in memory, and addresses. */
#include "callback/attempt.h"
#include "callback/carrier.h"

#include "base/error.h"
#include "sys/sys.h"

#include <thrum/error.h>

/* ---- descriptors ---- */

int th_protocol_open(int fd, th_protocol_factory factory, void *arg, const th_protocol_opts *opts)
{
    thi_scope *scope = NULL;
    th_transport *t = NULL;
    int err = factory ? thi_transport_find_scope(opts, &scope) : -EINVAL;
    if (err == 0)
        err = thi_transport_take_place(scope);
    if (err < 0)
        return thi_err_clear(err);
    err = thi_carrier_descriptor(fd, &t);
    if (err == 0)
        err = thi_transport_start_lent(t, scope, factory, arg);
    if (err < 0)
        thi_scope_child_ended(scope, 0);
    return err;
}

/* ---- memory ---- */

/* In the second of two places; what was started before is told by its carrier. */
static int start_end(th_transport *t, thi_scope *scope, th_protocol_factory factory, void *arg)
{
    int err = thi_transport_start(t, scope, factory, arg);
    if (err < 0) {
        thi_transport_discard(t);
        thi_scope_child_ended(scope, 0);
    }
    return err;
}

int th_protocol_pair(th_protocol_factory factory, void *const args[2], const th_protocol_opts *opts)
{
    thi_scope *scope = NULL;
    th_transport *ends[2];
    int err = factory && args ? thi_transport_find_scope(opts, &scope) : -EINVAL;
    if (err == 0)
        err = thi_transport_take_place(scope);
    if (err < 0)
        return thi_err_clear(err);
    err = thi_transport_take_place(scope);
    if (err < 0) {
        thi_scope_child_ended(scope, 0);
        return thi_err_clear(err);
    }
    err = thi_carrier_memory(ends);
    if (err < 0) {
        thi_scope_child_ended(scope, 0);
        thi_scope_child_ended(scope, 0);
        return thi_err_clear(err);
    }
    err = start_end(ends[0], scope, factory, args[0]);
    if (err < 0) {
        thi_transport_discard(ends[1]);
        thi_scope_child_ended(scope, 0);
        return err;
    }
    return start_end(ends[1], scope, factory, args[1]);
}

/* ---- addresses ---- */

static void on_attempt(thi_attempt *a, int result)
{
    th_transport *t = NULL;
    int err = result < 0 ? result : a->scope->status < 0 ? a->scope->reason : 0;
    if (err == 0)
        err = thi_attempt_carrier(a, result, &t);
    if (err == 0)
        err = thi_transport_start_lent(t, a->scope, a->factory, a->arg);
    if (err == 0)
        return;
    if (result >= 0)
        (void)thi_sys_close(result);
    if (a->failed)
        a->failed(a->arg, err);
    thi_scope_child_ended(a->scope, 0);
}

int th_protocol_connect(const char *address, th_protocol_factory factory, void *arg,
                        const th_protocol_opts *opts)
{
    thi_scope *scope = NULL;
    int err = address && factory ? thi_transport_find_scope(opts, &scope) : -EINVAL;
    if (err < 0)
        return thi_err_clear(err);
    thi_attempt *a = thi_attempt_new(address);
    if (!a)
        return thi_err_clear(-ENOMEM);
    a->done = on_attempt;
    a->factory = factory;
    a->arg = arg;
    a->failed = opts ? opts->failed : NULL;
    a->time = opts ? opts->time : 0;
    a->dial = opts ? opts->dial : NULL;
    return (int)thi_err_plain(thi_attempt_begin(a, scope));
}
