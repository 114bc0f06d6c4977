/* SPDX-License-Identifier: MIT */

/*
 * What an event does: which handler it calls, and what becomes of what that returns.
 *
 * The order is that of asyncore: read, write, exceptional data, end. But the end is told only when
 * nothing is left to read: a peer that sends and closes at once would lose what does not fit into
 * one receive. A failure ends the events of its dispatcher for this turn. One that says that the
 * connection is broken is the event `close`, another one is `error`, whoever met it; the end of the
 * loop's own scope is no failure of a dispatcher, and leaves the loop.
 */
#include "callback/dispatch.h"

#include "base/error.h"
#include "base/trace.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/error.h>

bool thi_dispatch_is_broken(ssize_t err)
{
    return err == -ECONNRESET || err == -ENOTCONN || err == -ESHUTDOWN || err == -ECONNABORTED ||
           err == -EPIPE || err == -EBADF;
}

/* Nobody handles it: told once, then not waited for. */
static int unhandled(th_dispatcher *d, unsigned dir, const char *what)
{
    if (!(d->told & dir))
        thi_dispatch_log(d, TH_LOG_DEBUG, "unhandled %s event", what);
    d->told |= (uint8_t)dir;
    return 0;
}

/* ---- the end, and failures ---- */

/* Whether a failure is the end of the scope in which the loop runs. */
static bool is_own_end(int err)
{
    return (err == -ECANCELED || err == -ETIMEDOUT) && thi_sched_self() &&
           thi_sched_may_park() == err;
}

static int close_by_default(th_dispatcher *d)
{
    (void)unhandled(d, 0, "close");
    (void)th_dispatcher_close(d);
    return 0;
}

int thi_dispatch_handle_close(th_dispatcher *d)
{
    if (d->fd < 0 || d->ended)
        return 0;
    uint32_t serial = d->serial;
    d->ended = true;
    d->told |= THI_READ | THI_PRI | THI_HUP;
    int code = d->ops->close ? d->ops->close(d, d->arg) : close_by_default(d);
    if (code >= 0 || is_own_end(code))
        return code;
    if (d->serial == serial)
        (void)th_dispatcher_close(d);
    return 0;
}

int thi_dispatch_handle_broken(th_dispatcher *d)
{
    if (!d->ended)
        return thi_dispatch_handle_close(d);
    thi_out_clear(&d->out); /* it was told, and left open: nothing can be sent any more */
    d->told |= THI_DISPATCH_ALL;
    return 0;
}

void thi_dispatch_closed_in_call(th_dispatcher *d, bool broken)
{
    th_dispatch_map *map = d->map;
    int code = broken ? thi_dispatch_handle_broken(d) : thi_dispatch_handle_close(d);
    if (code > 0 && map->leave == 0)
        map->leave = code;
}

int thi_dispatch_fail(th_dispatcher *d, int err)
{
    char text[TH_DISPATCHER_TEXT];
    const char *detail = th_err_detail();
    uint32_t serial = d->serial;
    thi_dispatch_log(d, TH_LOG_ERROR, "closing %s: %s%s%s",
                     th_dispatcher_format(d, text, sizeof text), th_strerror(err),
                     *detail ? ": " : "", detail);
    int code = thi_dispatch_handle_close(d);
    if (d->serial == serial) /* the program has let that pass once */
        (void)th_dispatcher_close(d);
    return code;
}

static int handle_error(th_dispatcher *d, int err)
{
    uint32_t serial = d->serial;
    if (!d->ops->error)
        return thi_dispatch_fail(d, err);
    int code = d->ops->error(d, d->arg, err);
    if (code >= 0 || is_own_end(code))
        return code;
    if (d->serial == serial)
        (void)th_dispatcher_close(d);
    return 0;
}

/* What a handler has returned, or we on its behalf. */
static int settle(th_dispatcher *d, uint32_t serial, int result)
{
    if (result >= 0 || is_own_end(result))
        return result;
    if (result == -EAGAIN)
        return 0;
    if (thi_dispatch_is_broken(result))
        return d->serial == serial ? thi_dispatch_handle_broken(d) : 0;
    return handle_error(d, result);
}

/* ---- connecting ---- */

/* 0: it is there; -EINPROGRESS: not yet. A socket may meet itself by simultaneous open. */
static int outcome_of_connect(th_dispatcher *d)
{
    int verdict = 0;
    socklen_t size = sizeof verdict;
    thi_sockaddr sa;
    th_addr here;
    int err = thi_sys_getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &verdict, &size);
    if (err == 0)
        err = -verdict;
    size = sizeof sa;
    if (err == 0)
        err = thi_sys_getpeername(d->fd, &sa.sa, &size);
    if (err < 0)
        return err == -ENOTCONN ? -EINPROGRESS : err;
    th_addr there;
    thi_addr_from_sockaddr(&sa, size, &there);
    size = sizeof sa;
    if (d->datagram || there.kind == TH_ADDR_UNIX || thi_sys_getsockname(d->fd, &sa.sa, &size) < 0)
        return 0;
    thi_addr_from_sockaddr(&sa, size, &here);
    return th_addr_equal(&here, &there) ? -ECONNREFUSED : 0;
}

int thi_dispatch_handle_connect(th_dispatcher *d)
{
    char text[TH_ADDR_TEXT];
    uint32_t serial = d->serial;
    int err = outcome_of_connect(d);
    if (err == -EINPROGRESS) { /* the event was another's; what comes with the connection is new */
        d->sure = d->maybe = 0;
        return 0;
    }
    if (err < 0) {
        d->state &= (uint8_t)~TH_DISPATCHER_CONNECTING;
        return thi_err_set(err, "cannot connect to %s",
                           th_addr_format(&d->addr, text, sizeof text));
    }
    int code = d->ops->connect ? d->ops->connect(d, d->arg) : unhandled(d, 0, "connect");
    if (d->serial == serial && code >= 0) {
        d->state &= (uint8_t)~TH_DISPATCHER_CONNECTING;
        d->state |= TH_DISPATCHER_CONNECTED;
    }
    return code;
}

/* What comes before reading and writing: 1 to go on with these. */
static int connect_first(th_dispatcher *d)
{
    if (TH_LIKELY(!(d->state & TH_DISPATCHER_CONNECTING)))
        return 1;
    uint32_t serial = d->serial;
    int code = thi_dispatch_handle_connect(d);
    if (code > 0 && d->map->leave == 0)
        d->map->leave = code;
    if (code < 0)
        return code;
    return d->serial == serial && !(d->state & TH_DISPATCHER_CONNECTING);
}

/* ---- the events ---- */

static int on_readable(th_dispatcher *d)
{
    const th_dispatcher_ops *ops = d->ops;
    if (d->state & TH_DISPATCHER_ACCEPTING)
        return thi_dispatch_handle_client(d);
    int ready = connect_first(d);
    if (ready <= 0)
        return ready;
    return ops->read ? ops->read(d, d->arg) : unhandled(d, THI_READ, "read");
}

/* What was pushed goes first; a gate that is closed was passed on its behalf only. */
static int on_writable(th_dispatcher *d)
{
    uint32_t serial = d->serial;
    int ready = connect_first(d);
    if (ready <= 0)
        return ready;
    if (d->out.first) {
        int code = thi_dispatch_flush(d);
        if (code != 0 || d->serial != serial || d->out.first)
            return code;
    }
    if (!d->ops->write)
        return unhandled(d, THI_WRITE, "write");
    return d->gates & THI_WRITE ? d->ops->write(d, d->arg) : 0;
}

/* There may be an error behind it, which counts as the end. */
static int on_exceptional(th_dispatcher *d)
{
    int verdict = 0;
    socklen_t size = sizeof verdict;
    if (d->socket && thi_sys_getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &verdict, &size) == 0 &&
        verdict != 0)
        return thi_dispatch_handle_close(d);
    return d->ops->expt ? d->ops->expt(d, d->arg) : unhandled(d, THI_PRI, "exceptional");
}

static int call_handler(th_dispatcher *d, unsigned dir)
{
    d->sure &= (uint8_t)~dir;
    if (dir == THI_HUP)
        return thi_dispatch_handle_close(d);
    d->maybe |= (uint8_t)dir; /* unless a call of ours finds out otherwise */
    if (dir == THI_READ)
        return on_readable(d);
    return dir == THI_WRITE ? on_writable(d) : on_exceptional(d);
}

/* What the trace names: the handler that is most likely called. */
static uintptr_t function_of(const th_dispatcher *d, unsigned dir)
{
    const th_dispatcher_ops *ops = d->ops;
    if (d->state & TH_DISPATCHER_ACCEPTING)
        return ops->accept ? (uintptr_t)ops->accept : (uintptr_t)ops->accepted;
    if (d->state & TH_DISPATCHER_CONNECTING)
        return (uintptr_t)ops->connect;
    if (dir == THI_READ)
        return (uintptr_t)ops->read;
    if (dir == THI_WRITE)
        return (uintptr_t)ops->write;
    return dir == THI_PRI ? (uintptr_t)ops->expt : (uintptr_t)ops->close;
}

static int call(th_dispatcher *d, unsigned dir)
{
    int64_t began = thi_trace_begin();
    if (TH_LIKELY(began == 0))
        return call_handler(d, dir);
    uint64_t fd = (uint64_t)d->fd;
    uintptr_t function = function_of(d, dir);
    int result = call_handler(d, dir);
    thi_trace_end(began, TH_TRACE_CALLBACK, fd, dir, function);
    return result;
}

int thi_dispatch_serve(th_dispatcher *d)
{
    static const uint8_t order[] = { THI_READ, THI_WRITE, THI_PRI, THI_HUP };
    unsigned due = d->sure & thi_dispatch_interest(d);
    uint32_t serial = d->serial;
    if ((due & THI_HUP) && (due & THI_READ)) {
        due &= ~(unsigned)THI_HUP;
        d->sure &= (uint8_t)~THI_HUP;
        d->maybe |= THI_HUP;
    }
    for (size_t i = 0; i < thi_array_len(order) && d->serial == serial; i++) {
        if (!(due & order[i]))
            continue;
        int result = call(d, order[i]);
        if (result != 0 && result != -EAGAIN)
            return settle(d, serial, result);
    }
    return 0;
}
