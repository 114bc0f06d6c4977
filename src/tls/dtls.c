/* SPDX-License-Identifier: MIT */

/*
 * DTLS connections of fibers.
 *
 * Every wait has two ends: something comes, or OpenSSL's timer runs out and what was sent last is
 * sent again. The timer is a deadline of a scope that is opened for the wait alone, so that the
 * scopes of the caller are obeyed as everywhere.
 */
#include "tls/dtls.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "runtime/sched.h"
#include "sys/sys.h"
#include "tls/ossl.h"
#include "tls/target.h"

#include <thrum/fiber.h>
#include <thrum/scope.h>
#include <thrum/time.h>
#include <thrum/tls.h>

#include <errno.h>
#include <string.h>

#define FAREWELL TH_SECOND /* that closing may take to say the end */

/* ---- what every call asks first ---- */

static int may_call(const th_dtls *d)
{
    if (!thi_sched_self() || thi_worker_self != d->worker)
        return thi_err_clear(-EPERM);
    if (d->closed)
        return thi_err_clear(-EBADF);
    return (int)thi_err_plain(th_check());
}

/* ---- datagrams ---- */

int thi_dtls_flush(th_dtls *d)
{
    int err = 0;
    for (thi_datagram *out; err == 0 && (out = thi_dtls_wire_take(&d->core.wire)) != NULL;) {
        err = th_udp_send(d->udp, out->data, out->size, d->room ? NULL : &d->core.peer);
        thi_free(out);
    }
    return err;
}

static int receive_own(th_dtls *d)
{
    ssize_t n = th_udp_recv(d->udp, d->room, THI_DTLS_ROOM, NULL, NULL);
    if (n < 0)
        return (int)n;
    thi_dtls_wire_feed(&d->core.wire, d->room, (size_t)n);
    return 0;
}

static int receive(th_dtls *d)
{
    if (d->room)
        return receive_own(d);
    if (d->ended)
        return thi_err_clear(TH_EOF);
    int err = th_event_wait(&d->arrived);
    return err < 0 ? thi_err_clear(err) : 0;
}

/* Waits for something to come, at most so long: 0 in either case. */
static int await(th_dtls *d, int64_t span)
{
    th_scope scope;
    if (span == TH_NEVER)
        return receive(d);
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(span) });
    if (err < 0)
        return thi_err_clear(err);
    err = receive(d);
    bool late = err == -ETIMEDOUT && th_scope_reason(&scope) == -ETIMEDOUT;
    (void)th_scope_close(&scope);
    return late && th_check() == 0 ? 0 : err;
}

/* The same, at most until the timer runs out or `most` is over; then what is lost is sent again. */
static int advance(th_dtls *d, int64_t most)
{
    int err = await(d, thi_min(thi_dtls_core_wait(&d->core), most));
    if (err == 0 && d->closed)
        err = thi_err_clear(-ECANCELED);
    if (err == 0 && thi_dtls_core_wait(&d->core) <= 0)
        err = thi_dtls_core_late(&d->core);
    return err;
}

/* ---- the handshake ---- */

static int shake(th_dtls *d)
{
    for (;;) {
        int err = thi_dtls_core_handshake(&d->core);
        int sent = thi_dtls_flush(d);
        if (err != -EAGAIN)
            return err < 0 ? err : sent;
        err = sent < 0 ? sent : advance(d, TH_NEVER);
        if (err < 0)
            return err;
    }
}

int thi_dtls_shake(th_dtls *d, int64_t span)
{
    th_scope scope;
    if (span == TH_NEVER)
        return shake(d);
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(span) });
    if (err < 0)
        return thi_err_clear(err);
    err = shake(d);
    bool late = th_scope_reason(&scope) == -ETIMEDOUT;
    (void)th_scope_close(&scope);
    if (err == -ETIMEDOUT && late && th_check() == 0)
        return thi_err_set(err, "the handshake took longer than %.1f s", (double)span / 1e9);
    return err;
}

/* ---- messages ---- */

/* How long the peer may stay silent from now on; 0: it has been silent for too long. */
static int64_t patience(const th_dtls *d)
{
    if (d->idle_time == TH_NEVER)
        return TH_NEVER;
    return thi_max(d->idle_time - (thi_sys_clock() - d->last), (int64_t)0);
}

static ssize_t receive_message(th_dtls *d, void *buf, size_t size)
{
    for (;;) {
        ssize_t n = thi_dtls_core_read(&d->core, buf, size);
        int sent = thi_dtls_flush(d); /* a part of the handshake, once more */
        if (n != -EAGAIN)
            return n;
        int64_t left = patience(d);
        if (left == 0)
            return thi_err_set(-ETIMEDOUT, "nothing came from the peer for %.0f s",
                               (double)d->idle_time / 1e9);
        int err = sent < 0 ? sent : advance(d, left);
        if (err < 0)
            return err;
    }
}

ssize_t th_dtls_recv(th_dtls *d, void *buf, size_t size)
{
    if (!d || !buf || size == 0)
        return thi_err_clear(-EINVAL);
    int err = may_call(d);
    if (err == 0 && d->receiving)
        err = thi_err_clear(-EBUSY);
    if (err < 0)
        return err;
    thi_sched_spend(THI_COST_DESCRIPTOR);
    d->receiving = true;
    ssize_t n = receive_message(d, buf, size);
    d->receiving = false;
    return n;
}

int th_dtls_send(th_dtls *d, const void *data, size_t size)
{
    if (!d || !data || size == 0)
        return thi_err_clear(-EINVAL);
    int err = may_call(d);
    if (err == 0)
        err = thi_dtls_core_write(&d->core, data, size);
    return err < 0 ? err : thi_dtls_flush(d);
}

int th_dtls_shutdown(th_dtls *d)
{
    if (!d)
        return thi_err_clear(-EINVAL);
    int err = may_call(d);
    if (err == 0)
        err = thi_dtls_core_shutdown(&d->core);
    return err < 0 ? err : thi_dtls_flush(d);
}

/* ---- facts ---- */

ssize_t th_dtls_payload(th_dtls *d)
{
    return d ? (ssize_t)thi_dtls_core_payload(&d->core) : thi_err_clear(-EINVAL);
}

int th_dtls_set_mtu(th_dtls *d, size_t mtu)
{
    return d ? thi_dtls_core_set_mtu(&d->core, mtu) : thi_err_clear(-EINVAL);
}

int th_dtls_peer(th_dtls *d, th_addr *addr)
{
    if (!d || !addr)
        return thi_err_clear(-EINVAL);
    if (d->closed)
        return thi_err_clear(-EBADF);
    if (d->room)
        return th_udp_peer(d->udp, addr);
    *addr = d->core.peer;
    return 0;
}

int th_dtls_info(th_dtls *d, th_tls_info *info)
{
    if (!d || !info)
        return thi_err_clear(-EINVAL);
    int err = thi_tls_link_info(&d->core.link, d->core.done, info);
    if (err < 0)
        return err;
    info->sent_close = d->core.sent_close;
    info->received_close = d->core.received_close;
    return 0;
}

/* ---- beginning and end ---- */

int thi_dtls_new(thi_tls_config *config, bool server, const thi_tls_link_opts *opts, size_t mtu,
                 th_udp *udp, th_dtls **out)
{
    th_dtls *d = thi_calloc(1, sizeof *d);
    if (!d)
        return thi_err_clear(-ENOMEM);
    d->worker = thi_worker_self;
    d->idle_time = TH_NEVER;
    d->last = thi_sys_clock();
    d->arrived = (th_event)TH_EVENT_AUTO_INIT;
    d->room = server ? NULL : thi_alloc(THI_DTLS_ROOM);
    int err = server || d->room
                  ? thi_dtls_core_init(&d->core, config, server, opts, mtu ? mtu : THI_DTLS_MTU)
                  : thi_err_clear(-ENOMEM);
    if (err < 0) {
        thi_free(d->room);
        thi_free(d);
        return err;
    }
    d->udp = udp;
    *out = d;
    return 0;
}

static int say_farewell(void *arg)
{
    th_dtls *d = arg;
    int err = thi_dtls_core_shutdown(&d->core);
    return err < 0 ? err : thi_dtls_flush(d);
}

int th_dtls_close(th_dtls *d)
{
    if (!d)
        return thi_err_clear(-EINVAL);
    if (d->closed)
        return thi_err_clear(-EBADF);
    d->closed = true;
    (void)!th_shielded(FAREWELL, say_farewell, d);
    (void)th_event_set(&d->arrived);
    if (d->room)
        (void)th_udp_close(d->udp);
    return 0;
}

void th_dtls_free(th_dtls *d)
{
    if (!d)
        return;
    if (!d->closed)
        (void)th_dtls_close(d);
    if (d->room)
        th_udp_free(d->udp);
    thi_dtls_core_deinit(&d->core);
    thi_free(d->room);
    thi_free(d);
}

/* ---- clients ---- */

const char *thi_dtls_address(const char *address)
{
    return strncmp(address, "dtls://", 7) == 0 ? address + 7 : address;
}

/* The host of an address, or NULL: then there is none. */
static char *host_of(const char *address)
{
    th_str host = thi_tls_host_of(thi_dtls_address(address));
    return host.len > 0 ? thi_strdup_n(host.ptr, host.len) : NULL;
}

static int check(const char *address, const th_dtls_opts *opts)
{
    if (!address || !opts || !opts->tls || opts->size > sizeof *opts || opts->handshake_time < 0)
        return thi_err_clear(-EINVAL);
    return (int)thi_err_plain(thi_sched_may_park());
}

static int connect_to(thi_tls_config *config, const char *address, const th_dtls_opts *opts,
                      const char *name, th_dtls **out)
{
    th_udp *udp;
    th_addr peer;
    int err = th_udp_dial(thi_dtls_address(address), opts->udp, &udp);
    if (err < 0)
        return err;
    bool named = th_udp_peer(udp, &peer) == 0 && peer.kind != TH_ADDR_UNIX;
    thi_tls_link_opts link = {
        .name = name, .alpn = opts->alpn, .port = named ? peer.port : 0, .user = opts->user
    };
    err = thi_dtls_new(config, false, &link, opts->mtu, udp, out);
    if (err < 0)
        th_udp_free(udp);
    return err;
}

static int dial(thi_tls_config *config, const char *address, const th_dtls_opts *opts,
                th_dtls **out)
{
    th_dtls *d = NULL;
    char *host = opts->name ? NULL : host_of(address);
    int64_t span = opts->handshake_time ? opts->handshake_time : config->facts.handshake_time;
    int err = connect_to(config, address, opts, opts->name ? opts->name : host, &d);
    thi_free(host);
    if (err < 0 || !d) /* there is one on success */
        return err;
    err = thi_dtls_shake(d, span);
    if (err == 0) {
        *out = d;
        return 0;
    }
    char why[THI_ERR_DETAIL_SIZE];
    memcpy(why, th_err_detail(), strlen(th_err_detail()) + 1);
    th_dtls_free(d);
    return thi_err_set(err, "%s", why);
}

int th_dtls_dial(const char *address, const th_dtls_opts *opts, th_dtls **dtls)
{
    int err = check(address, opts);
    if (err < 0 || !dtls)
        return err < 0 ? err : thi_err_clear(-EINVAL);
    thi_tls_config *config = thi_tls_config_of(opts->tls);
    err = dial(config, address, opts, dtls);
    thi_tls_config_unref(config);
    return err;
}
