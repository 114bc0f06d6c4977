/* SPDX-License-Identifier: MIT */

/*
 * Serving datagrams on every worker, each with a socket of its own.
 *
 * Listeners are shared by all workers, because a connection that waits in the queue of one worker's
 * socket would be lost with that worker. A datagram socket has no connections to lose, only a
 * buffer, and that of one socket would be fought for by all workers with each datagram. So each
 * gets its own at the same address (SO_REUSEPORT), and the kernel shares out by sender.
 *
 * SO_REUSEPORT has a trap: with it, a second instance of a program gets half of the datagrams
 * instead of an error. Therefore the first socket is bound without it, and says so only when it has
 * the address; a second instance then fails there.
 *
 * The sockets are all bound before anybody receives, and closed only after all have received what
 * there was: the kernel shares out by the number of sockets, and a change of that sends what one
 * sender sends to another worker.
 *
 * A socket that the process was given is one, and has one worker.
 */
#include "net/udp.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "runtime/stop.h"
#include "sys/sys.h"

#include <thrum/scope.h>

typedef struct udp_service udp_service;

/* One worker's share. */
typedef struct udp_part {
    udp_service *service;
    int fd; /* until udp has it; -1: none */
    th_udp *udp;
    thi_stopper stopper;
} udp_part;

struct udp_service {
    th_udp_fn fn;
    void *arg;
    const th_udp_opts *opts;
    const char *given; /* the address of a socket that the process was given; else NULL */
    th_addr addr;
    thi_sockfile file;
    unsigned count;
    udp_part *parts;
    th_scope scope;
};

/* ---- sockets ---- */

static int share_port(int fd)
{
    int one = 1;
    return thi_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
}

static int bind_first(udp_service *s)
{
    udp_part *part = &s->parts[0];
    if (s->given) {
        part->fd = thi_udp_inherit(s->given, s->opts, &s->addr);
        return part->fd < 0 ? part->fd : 0;
    }
    part->fd = thi_udp_socket(thi_addr_family(&s->addr), s->opts);
    if (part->fd < 0)
        return part->fd;
    int err = thi_udp_bind(part->fd, s->opts, &s->addr, &s->file);
    if (err == 0 && s->count > 1)
        err = share_port(part->fd);
    return (int)thi_err_plain(err);
}

static int bind_next(udp_service *s, udp_part *part)
{
    th_addr addr = s->addr;
    part->fd = thi_udp_socket(thi_addr_family(&s->addr), s->opts);
    if (part->fd < 0)
        return part->fd;
    int err = share_port(part->fd);
    if (err == 0)
        err = thi_udp_bind(part->fd, s->opts, &addr, NULL);
    return (int)thi_err_plain(err);
}

static int bind_all(udp_service *s)
{
    int err = bind_first(s);
    for (unsigned i = 1; i < s->count && err == 0; i++)
        err = bind_next(s, &s->parts[i]);
    return err;
}

/* ---- the life of a part ---- */

/* After a stop the descriptor stays in the group until all have ended; before, others take over. */
static void leave(udp_part *part)
{
    int fd = part->udp->ending ? th_udp_detach(part->udp) : -1;
    part->fd = fd >= 0 ? fd : -1;
    th_udp_free(part->udp);
}

static void on_stop(thi_stopper *stopper)
{
    udp_part *part = thi_container_of(stopper, udp_part, stopper);
    thi_udp_end(part->udp);
}

static int run_part(void *arg)
{
    udp_part *part = arg;
    udp_service *s = part->service;
    int err = thi_udp_new(part->fd, thi_addr_family(&s->addr), s->opts, &part->udp);
    if (err < 0)
        return err;
    part->fd = -1;
    part->udp->inherited = s->given != NULL;
    thi_stopper_add(&part->stopper, on_stop);
    err = s->fn(part->udp, s->arg);
    thi_stopper_remove(&part->stopper);
    leave(part);
    return err < 0 && err != TH_EOF ? err : 0;
}

static int run_all(udp_service *s, size_t stack_size)
{
    int err = th_scope_open(&s->scope, &(th_scope_opts){ .cancel_rest = 1 });
    if (err < 0)
        return err;
    for (unsigned i = 0; i < s->count && err == 0; i++) {
        th_spawn_opts opts = { .name = "datagrams",
                               .place = s->count > 1 ? 1 + (int)i : 0,
                               .stack_size = stack_size };
        err = th_spawn_with(&s->scope, run_part, &s->parts[i], &opts, NULL);
        if (err < 0)
            (void)th_scope_cancel(&s->scope, err);
    }
    int ended = th_scope_close(&s->scope);
    return err < 0 ? err : ended;
}

/* ---- the whole ---- */

static int make_parts(udp_service *s)
{
    s->parts = thi_calloc(s->count, sizeof *s->parts);
    if (!s->parts)
        return -ENOMEM;
    for (unsigned i = 0; i < s->count; i++) {
        s->parts[i].service = s;
        s->parts[i].fd = -1;
    }
    return 0;
}

static void drop_parts(udp_service *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->parts[i].fd >= 0) {
            thi_sys_close(s->parts[i].fd);
            if (s->given)
                thi_inherit_release(s->parts[i].fd);
        }
    thi_sockfile_remove(&s->file, &s->addr);
    thi_free(s->parts);
}

static int serve(udp_service *s, const char *address, const th_udp_serve_opts *opts)
{
    bool one = s->given || s->addr.kind == TH_ADDR_UNIX;
    s->count = one ? 1 : thi_sched_self()->worker->runtime->count;
    int err = make_parts(s);
    if (err < 0)
        return thi_err_clear(err);
    err = bind_all(s);
    if (err < 0) {
        drop_parts(s);
        return s->given ? err : thi_udp_say(err, "at", address);
    }
    if (opts && opts->listening)
        opts->listening(&s->addr, s->arg);
    err = run_all(s, opts ? opts->stack_size : 0);
    drop_parts(s);
    return (int)thi_err_plain(err);
}

int th_udp_serve(const char *address, th_udp_fn fn, void *arg, const th_udp_serve_opts *opts)
{
    udp_service s = { .fn = fn, .arg = arg, .opts = opts ? opts->udp : NULL };
    if (!address || !fn || (opts && opts->size > sizeof *opts) || !thi_udp_opts_valid(s.opts) ||
        (opts && thi_stack_class(opts->stack_size) < 0))
        return thi_err_clear(-EINVAL);
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    if (thi_inherit_means(address))
        s.given = address;
    else
        err = thi_udp_address(address, &s.addr);
    return err < 0 ? err : serve(&s, address, opts);
}
