/* SPDX-License-Identifier: MIT */

/*
 * Addresses of a dispatcher's socket: binding, connecting.
 *
 * A Unix socket says EAGAIN when the queue of the one who listens is full. Nothing will ever come
 * of that attempt, so it is a failure, unlike the EINPROGRESS of TCP.
 */
#include "callback/dispatch.h"

#include "base/error.h"
#include "net/addr.h"
#include "sys/sys.h"

int th_dispatcher_set_reuse_addr(th_dispatcher *d)
{
    int one = 1;
    int err = thi_dispatch_may_use(d);
    if (err == 0)
        (void)thi_sys_setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return (int)thi_err_plain(err);
}

/* Makes a socket for an address, if there is none yet. */
static int prepare(th_dispatcher *d, const th_addr *addr)
{
    if (d->map && d->fd < 0)
        return th_dispatcher_create(d, thi_addr_family(addr), SOCK_STREAM);
    return thi_dispatch_may_use(d);
}

static int bind_to(th_dispatcher *d, const char *address, const th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int err = thi_sys_bind(d->fd, &sa.sa, len);
    if (err < 0)
        return thi_err_set(err, "cannot bind to %.100s", address);
    len = sizeof sa;
    if (addr->kind == TH_ADDR_UNIX) {
        d->addr = *addr;
        return 0;
    }
    err = thi_sys_getsockname(d->fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, &d->addr);
    return (int)thi_err_plain(err);
}

int th_dispatcher_bind(th_dispatcher *d, const char *address)
{
    th_addr addr;
    if (!d || !address)
        return thi_err_clear(-EINVAL);
    int err = th_addr_parse(address, &addr);
    if (err < 0)
        return err;
    err = prepare(d, &addr);
    return err < 0 ? thi_err_clear(err) : bind_to(d, address, &addr);
}

static bool is_under_way(int err, const th_addr *addr)
{
    return err == -EINPROGRESS || err == -EALREADY ||
           (err == -EAGAIN && addr->kind != TH_ADDR_UNIX);
}

static int connect_to(th_dispatcher *d, const char *address, const th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int err = thi_sys_connect(d->fd, &sa.sa, len);
    if (err < 0 && err != -EISCONN && !is_under_way(err, addr))
        return thi_err_set(err, "cannot connect to %.100s", address);
    d->addr = *addr;
    d->state &= (uint8_t)~TH_DISPATCHER_CONNECTED;
    d->state |= TH_DISPATCHER_CONNECTING;
    if (is_under_way(err, addr))
        return (int)thi_err_plain(thi_dispatch_watch(d));
    return thi_dispatch_handle_connect(d);
}

/* What the handler says of a connection that is there at once. */
static int settle(th_dispatcher *d, uint32_t serial, int code)
{
    if (code > 0) {
        if (d->map->leave == 0)
            d->map->leave = code;
        code = 0;
    }
    if (code < 0 || d->serial != serial)
        return code;
    code = (int)thi_err_plain(thi_dispatch_watch(d));
    if (code == 0)
        thi_dispatch_review(d);
    return code;
}

int th_dispatcher_connect(th_dispatcher *d, const char *address)
{
    th_addr addr;
    if (!d || !address)
        return thi_err_clear(-EINVAL);
    int err = th_addr_parse(address, &addr);
    if (err < 0)
        return err;
    err = prepare(d, &addr);
    if (err < 0)
        return thi_err_clear(err);
    uint32_t serial = d->serial;
    th_dispatcher_ref(d);
    err = settle(d, serial, connect_to(d, address, &addr));
    th_dispatcher_unref(d);
    return err;
}
