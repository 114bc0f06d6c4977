/* SPDX-License-Identifier: MIT */

/*
 * The life of a dispatcher: made, opened, watched, closed, released; and what it is interested in.
 *
 * A stream socket that is neither connected nor listening is not watched yet, for the kernel would
 * call it hung up. A regular file cannot be watched, and is ready always.
 *
 * Closing takes the dispatcher out of all lists before the descriptor is closed, so that nothing
 * that comes later can meet the number in other hands. The memory goes at the end of the turn.
 */
#include "callback/dispatch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/capture.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* ---- interest ---- */

static unsigned interest_of_connected(const th_dispatcher *d, bool may_read, bool may_write)
{
    unsigned dirs = 0;
    if (may_read)
        dirs |= THI_READ | THI_PRI;
    if (may_write)
        dirs |= THI_WRITE;
    if (may_read || may_write)
        dirs |= THI_HUP;
    dirs &= ~(unsigned)d->told;
    if (d->out.first && (d->state & TH_DISPATCHER_CONNECTED))
        dirs |= THI_WRITE;
    return dirs;
}

unsigned thi_dispatch_interest(const th_dispatcher *d)
{
    bool may_read = d->gates & THI_READ;
    bool may_write = d->gates & THI_WRITE;
    if (d->fd < 0)
        return 0;
    if (d->state & TH_DISPATCHER_ACCEPTING)
        return may_read && !d->rests ? THI_READ : 0;
    if (d->state & TH_DISPATCHER_CONNECTING)
        return (may_read ? THI_READ : 0u) | (may_write ? THI_WRITE : 0u);
    return interest_of_connected(d, may_read, may_write);
}

/* An event that nobody wants now may be over when somebody does. */
void thi_dispatch_set_gates(th_dispatcher *d, bool readable, bool writable)
{
    d->gates = (uint8_t)((readable ? THI_READ : 0) | (writable ? THI_WRITE : 0));
    uint8_t unwanted = (uint8_t)(d->sure & ~thi_dispatch_interest(d));
    d->sure &= (uint8_t)~unwanted;
    d->maybe |= unwanted;
    thi_dispatch_review(d);
}

int th_dispatcher_set_gates(th_dispatcher *d, bool readable, bool writable)
{
    int err = d ? thi_dispatch_may_use(d) : -EINVAL;
    if (err == 0 && d->gated)
        err = -EINVAL;
    if (err == 0)
        thi_dispatch_set_gates(d, readable, writable);
    return (int)thi_err_plain(err);
}

static void make_ready(th_dispatcher *d)
{
    if (thi_list_linked(&d->ready_link))
        return;
    thi_list_push_back(&d->map->ready, &d->ready_link);
    if (d->map->sleeper)
        d->map->sleeper->abort(d->map->sleeper, 0);
}

void thi_dispatch_review(th_dispatcher *d)
{
    unsigned interest = thi_dispatch_interest(d);
    if (d->always && d->fd >= 0)
        d->sure = THI_READ | THI_WRITE;
    unsigned missing =
        interest & ~(unsigned)(d->sure | d->maybe) & (THI_READ | THI_WRITE | THI_PRI);
    if (interest == THI_HUP && !d->over) /* whoever asks for anything is told of that, too */
        missing = THI_PRI;
    /* If the loop cannot tell, each turn has to look. */
    if (missing && d->watch.fd >= 0 && thi_loop_want(&d->map->worker->loop, &d->watch, missing) < 0)
        d->maybe |= (uint8_t)missing;
    if (interest & (d->sure | d->maybe))
        make_ready(d);
}

/*
 * After a hang-up the loop says that both directions are ready, whether they are or not; and
 * io_uring takes the kernel's word that whatever arrives may be urgent.
 */
static void on_event(thi_watch *watch, unsigned events)
{
    th_dispatcher *d = thi_container_of(watch, th_dispatcher, watch);
    unsigned interest = thi_dispatch_interest(d);
    if (TH_UNLIKELY(events & THI_HUP)) {
        d->over = true;
        d->maybe |= THI_READ | THI_WRITE | THI_HUP;
    } else {
        d->sure |= (uint8_t)(events & interest & ~(unsigned)THI_PRI);
        d->maybe |= (uint8_t)(events & ~interest);
    }
    d->maybe |= (uint8_t)(events & THI_PRI);
    if (interest & (d->sure | d->maybe))
        make_ready(d);
}

int thi_dispatch_watch(th_dispatcher *d)
{
    if (d->watch.fd >= 0 || d->always)
        return 0;
    int err = thi_loop_watch(&d->map->worker->loop, &d->watch, d->fd, 0, on_event);
    if (err == -EPERM) {
        d->always = true;
        err = 0;
    }
    if (err == 0)
        thi_dispatch_review(d);
    return err;
}

/* ---- made and released ---- */

int thi_dispatcher_init(th_dispatcher *d, const th_dispatcher_ops *ops, void *arg,
                        th_dispatch_map *map)
{
    int err = thi_dispatch_map_of(map, &map);
    if (err < 0)
        return err;
    *d = (th_dispatcher){ .watch.fd = -1,
                          .fd = -1,
                          .refs = 1,
                          .held = true,
                          .map = map,
                          .ops = ops,
                          .arg = arg,
                          .name = ops->name ? ops->name : "dispatcher",
                          .gated = ops->readable || ops->writable };
    thi_list_init(&d->ready_link);
    thi_list_init(&d->gated_link);
    thi_list_push_back(&map->fresh, &d->link);
    return 0;
}

int th_dispatcher_new(const th_dispatcher_ops *ops, void *arg, th_dispatch_map *map,
                      th_dispatcher **dispatcher)
{
    if (!ops || !dispatcher || ops->size > sizeof *ops)
        return thi_err_clear(-EINVAL);
    th_dispatcher *d = thi_alloc(sizeof *d);
    if (!d)
        return thi_err_clear(-ENOMEM);
    int err = thi_dispatcher_init(d, ops, arg, map);
    if (err < 0)
        thi_free(d);
    else
        *dispatcher = d;
    return (int)thi_err_plain(err);
}

th_dispatcher *th_dispatcher_ref(th_dispatcher *d)
{
    d->refs++;
    return d;
}

void th_dispatcher_unref(th_dispatcher *d)
{
    if (!d || --d->refs > 0)
        return;
    thi_list_remove(&d->link);
    thi_out_clear(&d->out);
    if (d->ops->release)
        d->ops->release(d->arg);
    if (d->end)
        d->end(d);
    else
        thi_free(d);
}

/* ---- opened ---- */

/* What nobody handles need not come even once, if nobody would be told. */
static uint8_t told_before(const th_dispatcher *d)
{
    const th_dispatcher_ops *ops = d->ops;
    if (ops->log || thi_log_enabled(TH_LOG_DEBUG))
        return d->quiet;
    return (uint8_t)(d->quiet | (ops->read ? 0 : THI_READ) | (ops->write ? 0 : THI_WRITE) |
                     (ops->expt ? 0 : THI_PRI));
}

/* Gives a dispatcher its descriptor. */
static void install(th_dispatcher *d, int fd)
{
    th_dispatch_map *map = d->map;
    d->fd = fd;
    d->serial++;
    d->sure = d->maybe = 0;
    d->told = told_before(d);
    d->gates = d->gated ? 0 : THI_READ | THI_WRITE;
    d->always = d->over = d->ended = d->rests = d->owing = false;
    d->state |= TH_DISPATCHER_OPEN;
    if (!d->held)
        th_dispatcher_ref(d);
    d->held = true;
    thi_list_remove(&d->link);
    thi_list_push_back(&map->open, &d->link);
    map->count++;
    map->shown = fd;
    if (d->gated) {
        thi_list_push_back(&map->gated, &d->gated_link);
        thi_dispatch_wake(map);
    }
}

/* Takes it away again; it is still open for the kernel. */
static int remove_from_map(th_dispatcher *d)
{
    th_dispatch_map *map = d->map;
    int fd = d->fd;
    if (d->watch.fd >= 0)
        thi_loop_unwatch(&map->worker->loop, &d->watch);
    thi_capture_closed(&d->tap);
    d->fd = -1;
    d->serial++;
    d->state = 0;
    d->addr = (th_addr){ .kind = TH_ADDR_NONE };
    thi_list_remove(&d->ready_link);
    thi_list_remove(&d->gated_link);
    thi_list_remove(&d->link);
    thi_list_push_back(&map->closed, &d->link);
    map->count--;
    thi_dispatch_wake(map);
    return fd;
}

/* One that was never open, or could not be opened, ends like one that was closed. */
static void give_up(th_dispatcher *d)
{
    if (d->fd >= 0 || !d->held)
        return;
    thi_list_remove(&d->link);
    thi_list_push_back(&d->map->closed, &d->link);
    thi_dispatch_wake(d->map);
}

static int may_open(const th_dispatcher *d)
{
    if (!d->map)
        return -EBADF;
    if (d->map->worker != thi_worker_self)
        return -EPERM;
    return d->fd >= 0 ? -EBUSY : 0;
}

static int create(th_dispatcher *d, int family, int type)
{
    int one = 1;
    int fd = thi_sys_socket(family, type, 0);
    if (fd < 0)
        return fd;
    if (type == SOCK_STREAM && family != AF_UNIX)
        (void)thi_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    d->socket = true;
    d->datagram = type != SOCK_STREAM;
    install(d, fd);
    int err = type == SOCK_DGRAM ? thi_dispatch_watch(d) : 0;
    if (err < 0)
        (void)thi_sys_close(remove_from_map(d));
    return err;
}

int th_dispatcher_create(th_dispatcher *d, int family, int type)
{
    int err = d ? may_open(d) : -EINVAL;
    if (err < 0)
        return thi_err_clear(err);
    err = create(d, family, type);
    if (err < 0)
        give_up(d);
    return (int)thi_err_plain(err);
}

/* What kind of socket it is, and in what state: TH_DISPATCHER_* in *state. */
static int probe_socket(th_dispatcher *d, int fd, unsigned *state)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int listens = 0;
    socklen_t size = sizeof listens;
    *state = 0;
    if (thi_sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
        *state = TH_DISPATCHER_ACCEPTING;
    int err =
        listens ? thi_sys_getsockname(fd, &sa.sa, &len) : thi_sys_getpeername(fd, &sa.sa, &len);
    if (err == -ENOTCONN || (err == -EINVAL && !listens))
        return 0;
    if (err < 0)
        return err;
    thi_addr_from_sockaddr(&sa, len, &d->addr);
    if (!listens)
        *state = TH_DISPATCHER_CONNECTED;
    return 0;
}

static int probe(th_dispatcher *d, int fd, unsigned *state)
{
    int type = SOCK_STREAM;
    socklen_t size = sizeof type;
    int err = thi_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    d->socket = err != -ENOTSOCK;
    d->datagram = d->socket && type != SOCK_STREAM;
    *state = TH_DISPATCHER_CONNECTED;
    if (!d->socket)
        return 0;
    return err < 0 ? err : probe_socket(d, fd, state);
}

/* What was just accepted is known. */
static bool is_accepted(th_dispatcher *d, int fd, unsigned *state)
{
    if (d->map->accepted != fd)
        return false;
    d->socket = true;
    d->datagram = false;
    d->addr = d->map->peer;
    *state = TH_DISPATCHER_CONNECTED;
    return true;
}

/* With a descriptor that is its own if this succeeds. */
static int open_with(th_dispatcher *d, int fd)
{
    unsigned state;
    if (!is_accepted(d, fd, &state)) {
        int flags = thi_sys_fcntl(fd, F_GETFL, 0);
        int err = flags < 0 ? flags : probe(d, fd, &state);
        if (err == 0 && !(flags & O_NONBLOCK))
            err = thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        if (err < 0)
            return err;
    }
    install(d, fd);
    d->state |= (uint8_t)state;
    int err = state || d->datagram ? thi_dispatch_watch(d) : 0;
    if (err < 0)
        (void)remove_from_map(d);
    return err;
}

static int attach(th_dispatcher *d, int fd, unsigned flags)
{
    if (fd < 0)
        return -EBADF;
    if (!(flags & TH_DISPATCHER_DUP)) {
        int err = open_with(d, fd);
        if (err == 0 && d->map->accepted == fd)
            d->map->accepted = -1;
        return err;
    }
    int own = thi_sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int err = own < 0 ? own : open_with(d, own);
    if (err < 0 && own >= 0)
        (void)thi_sys_close(own);
    return err;
}

int th_dispatcher_attach(th_dispatcher *d, int fd, unsigned flags)
{
    bool known = d && !(flags & ~(unsigned)TH_DISPATCHER_DUP);
    int err = known ? may_open(d) : -EINVAL;
    if (err < 0)
        return thi_err_clear(err);
    err = attach(d, fd, flags);
    if (err < 0)
        give_up(d);
    return (int)thi_err_plain(err);
}

/* ---- closed ---- */

int th_dispatcher_close(th_dispatcher *d)
{
    if (!d->map)
        return 0;
    if (d->map->worker != thi_worker_self)
        return thi_err_clear(-EPERM);
    if (d->fd < 0) {
        give_up(d);
        return 0;
    }
    int fd = remove_from_map(d);
    th_dispatcher_ref(d); /* a producer that is released may suspend, and a turn end meanwhile */
    int err = thi_sys_close(fd);
    thi_out_clear(&d->out);
    if (d->closed)
        d->closed(d);
    th_dispatcher_unref(d);
    return (int)thi_err_plain(err == -EBADF || err == -ENOTCONN ? 0 : err);
}

/* ---- looked at ---- */

unsigned th_dispatcher_state(const th_dispatcher *d)
{
    return d->state;
}

int th_dispatcher_fd(const th_dispatcher *d)
{
    return d->fd >= 0 ? d->fd : -EBADF;
}

void th_dispatcher_addr(const th_dispatcher *d, th_addr *addr)
{
    *addr = d->addr;
}

void *th_dispatcher_arg(const th_dispatcher *d)
{
    return d->arg;
}

th_dispatch_map *th_dispatcher_map(const th_dispatcher *d)
{
    return d->map;
}

size_t th_dispatcher_pending(const th_dispatcher *d)
{
    return d->out.bytes;
}
