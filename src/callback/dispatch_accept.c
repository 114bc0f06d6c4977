/* SPDX-License-Identifier: MIT */

/*
 * Listening, and accepting clients.
 *
 * When nobody waits any more a look confirms it: a client that comes to one who is not told is
 * lost.
 *
 * When descriptors or memory run out the client stays in the queue, so that poll(2) would report it
 * again and again. The listener rests for a while instead, says so, and then goes on: it neither
 * spins nor is it lost.
 */
#include "callback/dispatch.h"

#include "base/error.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/time.h>

#define CLIENTS_IN_A_TURN 16
#define REST              (100 * TH_MILLISECOND)

/* ---- listening ---- */

static int listen_now(th_dispatcher *d, int backlog)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = thi_dispatch_may_use(d);
    if (err == 0)
        err = backlog < 0 ? -EINVAL : thi_sys_listen(d->fd, backlog > 0 ? backlog : INT32_MAX);
    if (err < 0)
        return err;
    if (d->addr.kind == TH_ADDR_NONE) {
        err = thi_sys_getsockname(d->fd, &sa.sa, &len);
        if (err < 0)
            return err;
        thi_addr_from_sockaddr(&sa, len, &d->addr);
    }
    d->state |= TH_DISPATCHER_ACCEPTING;
    return thi_dispatch_watch(d);
}

int th_dispatcher_listen(th_dispatcher *d, int backlog)
{
    return (int)thi_err_plain(d ? listen_now(d, backlog) : -EINVAL);
}

/* ---- accepting ---- */

static int accept_now(th_dispatcher *d, int *fd, th_addr *peer)
{
    thi_sockaddr sa = { .sa.sa_family = AF_UNSPEC };
    socklen_t len = sizeof sa;
    int err = thi_dispatch_may_use(d);
    if (err < 0)
        return err;
    int got = thi_sys_accept(d->fd, &sa.sa, &len);
    if (got == -EAGAIN || got == -ECONNABORTED)
        return 0;
    if (got < 0)
        return got;
    *fd = got;
    if (peer)
        thi_addr_from_sockaddr(&sa, len, peer);
    return 1;
}

int th_dispatcher_accept(th_dispatcher *d, int *fd, th_addr *peer)
{
    return (int)thi_err_plain(d && fd ? accept_now(d, fd, peer) : -EINVAL);
}

/* Calls `accepted`. The descriptor is closed if that fails and has not attached it anywhere. */
static int hand_over(th_dispatcher *d, int fd)
{
    th_dispatch_map *map = d->map;
    int code = 0;
    if (!d->ops->accepted) {
        (void)thi_sys_close(fd);
        thi_dispatch_log(d, TH_LOG_DEBUG, "unhandled accepted event");
        return 0;
    }
    th_addr peer = map->peer;
    map->accepted = fd;
    code = d->ops->accepted(d, d->arg, fd, &peer);
    bool left_behind = code < 0 && map->accepted == fd;
    map->accepted = -1;
    if (left_behind)
        (void)thi_sys_close(fd);
    return code;
}

static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static int rest(th_dispatcher *d, int err)
{
    thi_loop *loop = &d->map->worker->loop;
    thi_dispatch_log(d, TH_LOG_ERROR, "cannot accept clients for a moment: %s", th_strerror(err));
    d->rests = true;
    if (!thi_timer_active(&d->map->rest))
        thi_loop_timer(loop, &d->map->rest, loop->now + REST);
    return 0;
}

void thi_dispatch_on_rested(thi_timer *timer)
{
    th_dispatch_map *map = thi_container_of(timer, th_dispatch_map, rest);
    thi_list_each (node, &map->open) {
        th_dispatcher *d = thi_list_item(node, th_dispatcher, link);
        if (!d->rests)
            continue;
        d->rests = false;
        d->maybe |= THI_READ;
        thi_dispatch_review(d);
    }
}

static int accept_some(th_dispatcher *d)
{
    th_dispatch_map *map = d->map;
    uint32_t serial = d->serial;
    for (int i = 0; i < CLIENTS_IN_A_TURN; i++) {
        int fd = -1;
        int code = th_dispatcher_accept(d, &fd, &map->peer);
        if (code == 0)
            return 0;
        if (code > 0)
            code = hand_over(d, fd);
        if (code != 0 || d->serial != serial)
            return code;
    }
    d->sure |= THI_READ; /* trying is cheaper than to look */
    return 0;
}

int thi_dispatch_handle_client(th_dispatcher *d)
{
    uint32_t serial = d->serial;
    int code = d->ops->accept ? d->ops->accept(d, d->arg) : accept_some(d);
    return is_shortage(code) && d->serial == serial ? rest(d, code) : code;
}
