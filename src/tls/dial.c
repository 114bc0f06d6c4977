/* SPDX-License-Identifier: MIT */

/*
 * The public entry point of connecting, with TLS or without.
 *
 * It is here and not in src/net because the address decides what is spoken, and so who dials has to
 * know all that can be: an entry point stands above everything that it can lead to.
 */
#include "net/dial.h"

#include "base/error.h"
#include "runtime/sched.h"
#include "tls/target.h"

#include <thrum/tls_stream.h>

static int shake_hands(const thi_tls_target *target, th_stream *below, th_stream **stream)
{
    th_tls_stream_opts opts = { .name = thi_tls_target_name(target) };
    int err = th_tls_client(target->tls, below, &opts, stream);
    if (err == 0)
        return 0;
    th_stream_free(below);
    return thi_err_set(err, "cannot connect to %.100s%s%s", target->address.shown,
                       *th_err_detail() ? ": " : "", th_err_detail());
}

/* The settings come first: what is wrong with them costs no connection. */
static int dial_tls(const char *address, const th_dial_opts *opts, th_stream **stream)
{
    thi_tls_target target;
    th_stream *below;
    int err = thi_tls_target_open(address, opts, &target);
    if (err < 0)
        return err;
    err = thi_dial(target.address.place, target.address.shown, opts, &below);
    if (err == 0)
        err = shake_hands(&target, below, stream);
    thi_tls_target_close(&target);
    return err;
}

int th_dial(const char *address, const th_dial_opts *opts, th_stream **stream)
{
    static const th_dial_opts defaults;
    opts = opts ? opts : &defaults;
    if (!address || !stream || opts->size > sizeof *opts)
        return thi_err_clear(-EINVAL);
    if (thi_tls_address_means(address))
        return thi_sched_self() ? dial_tls(address, opts, stream) : thi_err_clear(-EPERM);
    if (opts->tls || opts->tls_name)
        return thi_err_set(
            -EINVAL,
            "%.100s asks for no TLS, as tls://HOST:PORT does, but .tls or .tls_name is set",
            address);
    return thi_dial(address, address, opts, stream);
}
