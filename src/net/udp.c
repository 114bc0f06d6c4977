/* SPDX-License-Identifier: MIT */

/*
 * Datagram sockets for fibers: try first, and wait when the kernel says that it is too early.
 *
 * watch.ready keeps what is known, as with streams: a direction is tried while its bit is set, and
 * EAGAIN clears it. The scope is asked before anything else, and a wait that it breaks off is
 * followed by one more try, because the datagram may be there and only its event not yet told.
 *
 * Of an unconnected Unix socket the kernel cannot say when there is room: it is always writable,
 * whatever the peer's queue. There a sender comes back after a pause, which grows.
 */
#include "net/udp.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/metrics.h"
#include "base/util.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "sys/sys.h"

#include <thrum/fiber.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

#define PAUSE_MIN (100 * TH_MICROSECOND)
#define PAUSE_MAX (20 * TH_MILLISECOND)

/* ---- what came back ---- */

/* The address of the sender of an ICMP message stands behind the error: ip(7), IP_RECVERR. */
static void read_returned(struct msghdr *msg, th_udp_returned_info *info)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct sock_extended_err ee;
        thi_sockaddr by = { .sa = { 0 } };
        bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (!is_error || c->cmsg_len < CMSG_LEN(sizeof ee))
            continue;
        size_t rest = thi_min(c->cmsg_len - CMSG_LEN(sizeof ee), sizeof by);
        memcpy(&ee, CMSG_DATA(c), sizeof ee);
        memcpy(&by, CMSG_DATA(c) + sizeof ee, rest);
        info->error = -(int)ee.ee_errno;
        info->mtu = ee.ee_errno == EMSGSIZE ? ee.ee_info : 0;
        /* What failed here at once, the sender was told of. */
        if (ee.ee_origin == SO_EE_ORIGIN_LOCAL)
            info->error = 0;
        thi_addr_from_sockaddr(&by, (socklen_t)rest, &info->by);
    }
}

/* Takes one from the kernel's queue: 1, or 0 when there is none. */
static int take_returned(th_udp *u)
{
    union {
        char buf[256];
        struct cmsghdr align;
    } control;
    thi_sockaddr to;
    struct msghdr msg = { .msg_name = &to,
                          .msg_namelen = sizeof to,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    if (thi_sys_recvmsg(u->watch.fd, &msg, MSG_ERRQUEUE) < 0)
        return 0;
    th_udp_returned_info info = { .error = 0 };
    read_returned(&msg, &info);
    if (info.error < 0) {
        thi_addr_from_sockaddr(&to, msg.msg_namelen, &info.to);
        u->returned = info;
        u->returned_news = u->returned_any = true;
    }
    return 1;
}

/* ---- waiting ---- */

typedef struct udp_wait {
    thi_wait wait;
    thi_list link; /* in readers or writers */
    th_fiber *fiber;
} udp_wait;

static void wake(thi_wait *wait, int result)
{
    udp_wait *w = thi_container_of(wait, udp_wait, wait);
    thi_list_remove(&w->link);
    thi_sched_ready(w->fiber, result);
}

static void wake_first(thi_list *waiting, int result)
{
    udp_wait *w = thi_list_item(thi_list_first(waiting), udp_wait, link);
    wake(&w->wait, result);
}

static void wake_all(thi_list *waiting, int result)
{
    while (!thi_list_empty(waiting))
        wake_first(waiting, result);
}

static void on_event(thi_watch *watch, unsigned events)
{
    th_udp *u = thi_container_of(watch, th_udp, watch);
    if ((events & THI_WRITE) && !thi_list_empty(&u->writers))
        wake_first(&u->writers, 0);
    if ((events & THI_READ) && !thi_list_empty(&u->readers))
        wake_first(&u->readers, 0);
}

static thi_list *list_of(th_udp *u, unsigned dir)
{
    return dir == THI_READ ? &u->readers : &u->writers;
}

static const thi_wait_kind waits_for[] = {
    { "receive", THI_BY_DESCRIPTOR, offsetof(th_udp, watch.fd) },
    { "send", THI_BY_DESCRIPTOR, offsetof(th_udp, watch.fd) },
};

static int wait_for_event(th_udp *u, unsigned dir)
{
    int err = thi_loop_want(&u->worker->loop, &u->watch, dir);
    if (err < 0)
        return err;
    udp_wait w = { .wait = { .kind = &waits_for[dir == THI_WRITE], .object = u, .abort = wake },
                   .fiber = thi_sched_self() };
    thi_list_push_back(list_of(u, dir), &w.link);
    return thi_sched_park(&w.wait);
}

static bool needs_pause(const th_udp *u, unsigned dir)
{
    return dir == THI_WRITE && u->family == AF_UNIX && !u->connected;
}

/* Left in the kernel's queue it would make the loop tell of an error again and again. */
static void keep_returned(th_udp *u)
{
    while (take_returned(u))
        continue;
    if (u->returned_news && !thi_list_empty(&u->readers))
        wake_first(&u->readers, 0);
}

static int wait_for(th_udp *u, unsigned dir, int64_t *pause)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    if (dir == THI_WRITE && u->errors && (u->watch.ready & THI_HUP))
        keep_returned(u);
    if (!needs_pause(u, dir)) {
        u->watch.ready &= (uint8_t) ~(dir | THI_HUP);
        return wait_for_event(u, dir);
    }
    *pause = thi_min(thi_max(*pause * 2, PAUSE_MIN), PAUSE_MAX);
    return th_sleep(*pause);
}

/* ---- calls ---- */

/* What every call asks first. The scope is obeyed even by those that need not wait. */
static int may_step(th_udp *u)
{
    th_fiber *self = thi_sched_self();
    if (TH_UNLIKELY(!self || self->worker != u->worker))
        return -EPERM;
    if (TH_UNLIKELY(u->closed))
        return -EBADF;
    thi_sched_spend(THI_COST_DESCRIPTOR);
    if (TH_UNLIKELY(u->closed)) /* by who ran meanwhile */
        return -ECANCELED;
    return thi_sched_may_park_as(self);
}

/* Leaves a direction to the next one who waits for it. */
static void pass_on(th_udp *u, unsigned dir)
{
    thi_list *waiting = list_of(u, dir);
    if (TH_LIKELY(thi_list_empty(waiting)))
        return;
    if ((u->watch.ready & dir) || thi_loop_want(&u->worker->loop, &u->watch, dir) < 0)
        wake_first(waiting, 0);
}

static bool is_broken_off(ssize_t result)
{
    return result == -ECANCELED || result == -ETIMEDOUT;
}

ssize_t thi_udp_step(th_udp *u, unsigned dir, thi_udp_attempt *attempt, void *call)
{
    int64_t pause = 0;
    ssize_t over = 0; /* the scope's word, after which there is one last try */
    ssize_t n = may_step(u);
    if (n < 0)
        return n;
    for (;;) {
        n = (u->watch.ready & dir) || over < 0 ? attempt(u, call) : -EAGAIN;
        if (n != -EAGAIN)
            break;
        if (u->ending && dir == THI_READ)
            n = TH_EOF;
        else
            n = over < 0 ? over : wait_for(u, dir, &pause);
        if (u->closed)
            return -ECANCELED;
        if (over < 0 || (n < 0 && !is_broken_off(n)))
            break;
        over = n;
    }
    pass_on(u, dir);
    return n;
}

/* ---- telling what came back ---- */

ssize_t thi_udp_next_returned(th_udp *u, ssize_t result)
{
    if (!u->errors)
        return result;
    while (!u->returned_news && take_returned(u))
        continue;
    if (!u->returned_news)
        return result;
    u->returned_news = false;
    return u->returned.error;
}

int th_udp_returned(const th_udp *u, th_udp_returned_info *info)
{
    if (!info)
        return thi_err_clear(-EINVAL);
    if (!u->returned_any)
        return thi_err_clear(-ENOENT);
    *info = u->returned;
    return 0;
}

/* ---- one datagram ---- */

static ssize_t receive(th_udp *u, void *call)
{
    struct msghdr *msg = call;
    socklen_t room = msg->msg_namelen;
    if (u->returned_news)
        return thi_udp_next_returned(u, 0);
    ssize_t n = thi_sys_recvmsg(u->watch.fd, msg, 0);
    if (n >= 0)
        return n;
    msg->msg_namelen = room;
    return thi_udp_next_returned(u, n);
}

ssize_t th_udp_recv(th_udp *u, void *buf, size_t size, th_addr *peer, unsigned *flags)
{
    thi_sockaddr sa;
    struct iovec iov = { .iov_base = buf, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (peer) {
        msg.msg_name = &sa;
        msg.msg_namelen = sizeof sa;
    }
    if ((!buf && size > 0) || u->coalesce)
        return thi_err_clear(-EINVAL);
    ssize_t n = thi_udp_step(u, THI_READ, receive, &msg);
    if (n < 0)
        return thi_err_clear((int)n);
    thi_metric_add(THI_M_BYTES_READ, n);
    if (peer) {
        thi_addr_from_sockaddr(&sa, msg.msg_namelen, peer);
        if (msg.msg_namelen == 0 && u->family == AF_UNIX)
            peer->kind = TH_ADDR_UNIX;
    }
    if (flags)
        *flags = msg.msg_flags & MSG_TRUNC ? TH_DGRAM_CUT : 0;
    return n;
}

/*
 * An error that is pending from an earlier datagram comes first, once. Where it is told by
 * receiving it is no business of this one.
 */
static ssize_t send_one(th_udp *u, void *call)
{
    const struct msghdr *msg = call;
    ssize_t n = thi_sys_sendmsg(u->watch.fd, msg, 0);
    if (n < 0 && n != -EAGAIN && u->errors)
        n = thi_sys_sendmsg(u->watch.fd, msg, 0);
    return n;
}

int th_udp_send(th_udp *u, const void *data, size_t size, const th_addr *to)
{
    thi_sockaddr sa;
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (!data && size > 0)
        return thi_err_clear(-EINVAL);
    ssize_t n = u->closed ? -EBADF : thi_udp_check_target(u, to);
    if (n == 0 && to) {
        msg.msg_name = &sa;
        msg.msg_namelen = thi_addr_to_sockaddr(to, &sa);
    }
    if (n == 0)
        n = thi_udp_step(u, THI_WRITE, send_one, &msg);
    if (n < 0)
        return thi_err_clear((int)n);
    thi_metric_add(THI_M_BYTES_WRITTEN, n);
    return 0;
}

/* ---- making one ---- */

int thi_udp_new(int fd, int family, const th_udp_opts *opts, th_udp **out)
{
    th_udp *u = thi_calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->worker = thi_worker_self;
    u->family = family;
    u->errors = opts && opts->errors && family != AF_UNIX;
    u->coalesce = opts && opts->coalesce && family != AF_UNIX;
    u->told = u->coalesce || (opts && opts->tell && family != AF_UNIX);
    thi_list_init(&u->readers);
    thi_list_init(&u->writers);
    int err = thi_udp_name(fd, &u->local);
    if (err == 0)
        err = thi_loop_watch(&u->worker->loop, &u->watch, fd, 0, on_event);
    if (err < 0) {
        thi_free(u);
        return err;
    }
    *out = u;
    return 0;
}

/* ---- descriptors from elsewhere ---- */

/* The family of a datagram socket, or -errno. */
static int family_of(int fd)
{
    int type = 0;
    int family = 0;
    socklen_t len = sizeof type;
    int err = fd < 0 ? -EBADF : thi_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    len = sizeof family;
    if (err == 0)
        err = thi_sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    if (err < 0)
        return err;
    bool known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    return type == SOCK_DGRAM && known ? family : -EPROTOTYPE;
}

static bool has_peer(int fd)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    return thi_sys_getpeername(fd, &sa.sa, &len) == 0;
}

int th_udp_from_fd(int fd, th_udp **udp)
{
    if (!udp)
        return thi_err_clear(-EINVAL);
    if (!thi_worker_self)
        return thi_err_clear(-EPERM);
    int family = family_of(fd);
    int flags = family < 0 ? family : thi_sys_fcntl(fd, F_GETFL, 0);
    if (flags < 0)
        return thi_err_clear(flags);
    th_udp *made = NULL;
    int err = thi_udp_new(fd, family, NULL, &made);
    if (err < 0)
        return thi_err_clear(err);
    err = flags & O_NONBLOCK ? 0 : thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (err < 0) {
        (void)th_udp_detach(made);
        th_udp_free(made);
        return thi_err_clear(err);
    }
    made->connected = has_peer(fd);
    *udp = made;
    return 0;
}

/* Takes the descriptor out of the loop; whoever waits is told. */
static int let_go(th_udp *u)
{
    int fd = u->watch.fd;
    u->closed = true;
    thi_loop_unwatch(&u->worker->loop, &u->watch);
    wake_all(&u->readers, -ECANCELED);
    wake_all(&u->writers, -ECANCELED);
    if (u->inherited)
        thi_inherit_release(fd);
    return fd;
}

int th_udp_detach(th_udp *u)
{
    if (u->closed)
        return thi_err_clear(-EBADF);
    return let_go(u);
}

int th_udp_close(th_udp *u)
{
    if (u->closed)
        return thi_err_clear(-EBADF);
    int err = thi_sys_close(let_go(u));
    thi_sockfile_remove(&u->file, &u->local);
    return (int)thi_err_plain(err);
}

void th_udp_free(th_udp *u)
{
    if (!u)
        return;
    if (!u->closed)
        (void)th_udp_close(u);
    thi_udp_outbox_free(u->outbox);
    thi_free(u);
}

void thi_udp_end(th_udp *u)
{
    u->ending = true;
    u->watch.ready |= THI_READ; /* what has arrived may not have been told yet */
    wake_all(&u->readers, 0);
}

/* ---- addresses ---- */

int th_udp_connect(th_udp *u, const th_addr *peer)
{
    if (u->closed)
        return thi_err_clear(-EBADF);
    if (peer && thi_addr_family(peer) != u->family &&
        !(u->family == AF_INET6 && peer->kind == TH_ADDR_IP4))
        return thi_err_clear(-EAFNOSUPPORT);
    int err = thi_udp_aim(u->watch.fd, peer);
    if (err == 0)
        u->connected = peer != NULL;
    return (int)thi_err_plain(err);
}

int th_udp_fd(const th_udp *u)
{
    return u->closed ? thi_err_clear(-EBADF) : u->watch.fd;
}

int th_udp_local(const th_udp *u, th_addr *addr)
{
    return (int)thi_err_plain(u->closed ? -EBADF : thi_udp_name(u->watch.fd, addr));
}

int th_udp_peer(const th_udp *u, th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = u->closed ? -EBADF : thi_sys_getpeername(u->watch.fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, addr);
    return (int)thi_err_plain(err);
}
