/* SPDX-License-Identifier: MIT */

/*
 * Addresses in use, attempts to connect, and queues of connections to be accepted.
 *
 * Both ends and the link of a TCP connection are made when connect() is called, so that lack of
 * memory is told to the caller; the far end waits inside the attempt until it has reached a
 * listener. There it meets, as on Linux: nobody (refused), a full queue (refused, or dropped and
 * tried again after a second, two, four ..., as chance has it), or a place in the queue, and then
 * the connection stands before anybody accepts it.
 */
#include "loop/sim_connect.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_fault.h"
#include "loop/sim_name.h"
#include "loop/sim_sockopt.h"
#include "loop/sim_stream.h"
#include "loop/sim_trace.h"

#include <thrum/time.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG_MAX 4096 /* net.core.somaxconn */
#define TRIES_MAX   6
#define NO_ANSWER   (127 * TH_SECOND) /* what six tries take: tcp(7), tcp_syn_retries */
#define PORT_FIRST  32768             /* net.ipv4.ip_local_port_range */
#define PORT_LAST   60999

void thi_sim_endpoint_init(thi_sim_endpoint *ep, const thi_sim_kind *kind, int family)
{
    thi_sim_desc_init(&ep->desc, kind);
    ep->family = family;
    thi_list_init(&ep->bound);
    thi_list_init(&ep->by_port);
    thi_list_init(&ep->waiting);
    thi_list_init(&ep->queue);
}

static thi_sim_endpoint *bound_item(thi_list *node)
{
    return thi_list_item(node, thi_sim_endpoint, bound);
}

static thi_sim_endpoint *port_item(thi_list *node)
{
    return thi_list_item(node, thi_sim_endpoint, by_port);
}

/* Those who hold an address that can be the same as this one: ports are equal where addresses are.
 */
static thi_list *neighbours(thi_sim *w, const thi_sim_addr *addr)
{
    return &w->by_port[thi_sim_addr_port(addr) % THI_SIM_PORT_LISTS];
}

static bool only_v6(const thi_sim_endpoint *ep)
{
    return thi_sim_sockopt_int(ep, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
}

/* A path is held by its file, which may be gone while its socket is still bound. */
static bool overlap(const thi_sim_endpoint *a, const thi_sim_endpoint *b)
{
    if (a->inode > 0 || b->inode > 0 || !a->mail != !b->mail)
        return false;
    return thi_sim_addr_match(&a->local, only_v6(a), &b->local) ||
           thi_sim_addr_match(&b->local, only_v6(b), &a->local);
}

/* ---- binding ---- */

/*
 * Two sockets may hold the same address if both say so, with SO_REUSEADDR only as long as the one
 * that was there before does not listen: socket(7).
 */
static bool may_share(const thi_sim_endpoint *ep, const thi_sim_endpoint *before)
{
    if (thi_sim_sockopt_int(ep, SOL_SOCKET, SO_REUSEPORT) &&
        thi_sim_sockopt_int(before, SOL_SOCKET, SO_REUSEPORT))
        return true;
    return before->state != THI_SIM_LISTENING &&
           thi_sim_sockopt_int(ep, SOL_SOCKET, SO_REUSEADDR) &&
           thi_sim_sockopt_int(before, SOL_SOCKET, SO_REUSEADDR);
}

static bool share_never(const thi_sim_endpoint *a, const thi_sim_endpoint *b)
{
    (void)a;
    (void)b;
    return false;
}

/* Whether somebody holds the address of an endpoint with whom it cannot share. */
static bool is_taken(thi_sim *w, const thi_sim_endpoint *ep,
                     bool (*share)(const thi_sim_endpoint *, const thi_sim_endpoint *))
{
    thi_list_each (node, neighbours(w, &ep->local)) {
        const thi_sim_endpoint *other = port_item(node);
        if (other != ep && overlap(ep, other) && !share(ep, other))
            return true;
    }
    return false;
}

/* Finds a port that nobody holds at all. */
static int take_any_port(thi_sim *w, thi_sim_endpoint *ep)
{
    for (int left = PORT_LAST - PORT_FIRST + 1; left > 0; left--) {
        if (w->next_port < PORT_FIRST || w->next_port > PORT_LAST)
            w->next_port = PORT_FIRST;
        thi_sim_addr_set_port(&ep->local, w->next_port++);
        if (!is_taken(w, ep, share_never))
            return 0;
    }
    return -EADDRINUSE;
}

static int bind_path(thi_sim *w, thi_sim_endpoint *ep)
{
    char path[sizeof ep->local.u.un.sun_path + 1];
    size_t len = ep->local.len - offsetof(struct sockaddr_un, sun_path);
    memcpy(path, ep->local.u.un.sun_path, len);
    path[len] = '\0';
    return thi_sim_name_add(w, path, &ep->inode);
}

/* Takes ep->local, which is filled in, or empties it. */
static int hold(thi_sim *w, thi_sim_endpoint *ep)
{
    int err = 0;
    if (ep->family == AF_UNIX && ep->local.u.un.sun_path[0] != '\0')
        err = bind_path(w, ep);
    else if (ep->family != AF_UNIX && thi_sim_addr_port(&ep->local) == 0)
        err = take_any_port(w, ep);
    else if (is_taken(w, ep, may_share))
        err = -EADDRINUSE;
    if (err < 0) {
        ep->local.len = 0;
        return err;
    }
    thi_list_push_back(&w->bound, &ep->bound);
    thi_list_push_back(neighbours(w, &ep->local), &ep->by_port);
    return 0;
}

/* Five hexadecimal digits in the abstract name space, when none is asked for: unix(7). */
static int hold_any_name(thi_sim *w, thi_sim_endpoint *ep)
{
    size_t at = offsetof(struct sockaddr_un, sun_path);
    ep->local = (thi_sim_addr){ .len = (socklen_t)(at + 6), .u.un.sun_family = AF_UNIX };
    do
        snprintf(ep->local.u.un.sun_path + 1, 6, "%05x", w->next_name++ & 0xfffffu);
    while (is_taken(w, ep, share_never));
    thi_list_push_back(&w->bound, &ep->bound);
    thi_list_push_back(neighbours(w, &ep->local), &ep->by_port);
    return 0;
}

int thi_sim_bind(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa, socklen_t n)
{
    thi_sim_addr addr;
    bool any_name = ep->family == AF_UNIX && n == sizeof(sa_family_t);
    int err = any_name ? 0 : thi_sim_addr_read(sa, n, ep->family, &addr);
    if (err < 0)
        return err;
    if (ep->state != THI_SIM_FRESH || ep->local.len > 0)
        return -EINVAL;
    if (any_name)
        return hold_any_name(w, ep);
    ep->local = addr;
    return hold(w, ep);
}

/* ---- listening ---- */

int thi_sim_listen(thi_sim *w, thi_sim_endpoint *ep, int backlog)
{
    if (ep->state != THI_SIM_FRESH && ep->state != THI_SIM_LISTENING)
        return -EINVAL;
    if (ep->local.len == 0) {
        if (ep->family == AF_UNIX)
            return -EINVAL;
        ep->local = thi_sim_addr_any(ep->family);
        int err = hold(w, ep);
        if (err < 0)
            return err;
    }
    if (is_taken(w, ep, may_share))
        return -EADDRINUSE;
    ep->state = THI_SIM_LISTENING;
    ep->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (size_t)backlog;
    return 0;
}

/* The listeners that fit best; if several share the address, chance picks one. */
static thi_sim_endpoint *find_listener(thi_sim *w, const thi_sim_addr *target)
{
    int best = 1;
    size_t count = 0;
    thi_list_each (node, neighbours(w, target)) {
        const thi_sim_endpoint *ep = port_item(node);
        int match = ep->state == THI_SIM_LISTENING
                        ? thi_sim_addr_match(&ep->local, only_v6(ep), target)
                        : 0;
        count = match > best ? 1 : count + (match == best);
        best = thi_max(match, best);
    }
    unsigned pick = thi_sim_choose(w, "listener", count);
    thi_list_each (node, neighbours(w, target)) {
        thi_sim_endpoint *ep = port_item(node);
        if (ep->state == THI_SIM_LISTENING &&
            thi_sim_addr_match(&ep->local, only_v6(ep), target) == best && pick-- == 0)
            return ep;
    }
    return NULL;
}

static bool is_full(const thi_sim_endpoint *listener)
{
    return listener->queued > listener->backlog;
}

/* Both ends stand; the far one waits to be accepted. */
static void establish(thi_sim_endpoint *ep, thi_sim_endpoint *far, thi_sim_endpoint *listener)
{
    thi_sim_sockopt_inherit(far, listener);
    far->state = THI_SIM_CONNECTED;
    far->local = ep->peer;
    far->peer = ep->local;
    if (listener->family == AF_INET6 && far->family == AF_INET) {
        far->family = AF_INET6;
        far->local = thi_sim_addr_mapped(&far->local);
        far->peer = thi_sim_addr_mapped(&far->peer);
    }
    ep->state = THI_SIM_CONNECTED;
    thi_list_push_back(&listener->queue, &far->waiting);
    listener->queued++;
    thi_sim_announce(&listener->desc, THI_READ);
    thi_sim_announce(&ep->desc, THI_WRITE);
}

/* ---- connecting ---- */

static void fail(thi_sim *w, thi_sim_endpoint *ep, int error)
{
    thi_sim_trace(w, "connect-failed", ep->desc.fd, error);
    thi_sim_endpoint *far = thi_sim_other_end(ep);
    ep->dead = true; /* nobody was there whom to tell */
    far->dead = true;
    thi_sim_desc_close(w, &far->desc);
    thi_sim_stream_leave(w, ep);
    ep->dead = false;
    ep->state = THI_SIM_FAILED;
    ep->error = error;
    thi_sim_announce(&ep->desc, THI_READ | THI_WRITE | THI_HUP);
}

static void on_failed(thi_sim *w, thi_sim_event *event)
{
    fail(w, thi_container_of(event, thi_sim_endpoint, try), ETIMEDOUT);
}

/* Whether nobody answers at that address, by the scenario's word. */
static bool is_silent(const thi_sim *w, const thi_sim_addr *target)
{
    char text[INET6_ADDRSTRLEN] = "";
    const char *at = w->opts.silent;
    bool six = target->u.sa.sa_family == AF_INET6;
    if (!at)
        return false;
    (void)inet_ntop(target->u.sa.sa_family,
                    six ? (const void *)&target->u.in6.sin6_addr : &target->u.in.sin_addr, text,
                    sizeof text);
    size_t len = strlen(text);
    for (size_t n; *(at += strspn(at, " ")); at += n) {
        n = strcspn(at, " ");
        if (n == len && memcmp(at, text, n) == 0)
            return true;
    }
    return false;
}

/* The attempt has come to where the listener should be. */
static void on_try(thi_sim *w, thi_sim_event *event)
{
    thi_sim_endpoint *ep = thi_container_of(event, thi_sim_endpoint, try);
    thi_sim_endpoint *listener = find_listener(w, &ep->peer);
    if (is_silent(w, &ep->peer) || thi_sim_fault(w, TH_SIM_NO_ANSWER)) {
        thi_sim_event_set(w, &ep->try, w->now + NO_ANSWER, on_failed);
    } else if (!listener || thi_sim_fault(w, TH_SIM_REFUSE)) {
        fail(w, ep, ECONNREFUSED);
    } else if (!is_full(listener)) {
        establish(ep, thi_sim_other_end(ep), listener);
        thi_sim_trace(w, "connected", ep->desc.fd, listener->desc.fd);
    } else if (thi_sim_draw(w, 0, 1) == 0 || ep->tries == TRIES_MAX) {
        fail(w, ep, ep->tries == TRIES_MAX ? ETIMEDOUT : ECONNREFUSED);
    } else {
        thi_sim_event_set(w, &ep->try, w->now + (TH_SECOND << ep->tries++), on_try);
    }
}

/* Makes the far end and the link to it. */
static int prepare(thi_sim *w, thi_sim_endpoint *ep, bool tcp)
{
    thi_sim_endpoint *far = thi_calloc(1, sizeof *far);
    if (!far)
        return -ENOMEM;
    thi_sim_endpoint_init(far, ep->desc.kind, ep->family);
    int err = thi_sim_link_new(w, tcp, ep, far);
    if (err < 0)
        thi_free(far);
    return err;
}

static int connect_tcp(thi_sim *w, thi_sim_endpoint *ep)
{
    int err = 0;
    thi_sim_addr_aim(&ep->peer);
    if (ep->local.len == 0) {
        ep->local = ep->peer;
        thi_sim_addr_set_port(&ep->local, 0);
        err = hold(w, ep);
    }
    if (err == 0)
        err = prepare(w, ep, true);
    if (err < 0)
        return err;
    ep->state = THI_SIM_CONNECTING;
    ep->tries = 0;
    thi_sim_event_set(w, &ep->try, w->now + thi_sim_latency(w), on_try);
    return -EINPROGRESS;
}

/* The listener behind a Unix address; *exists tells whether there is at least a file. */
static thi_sim_endpoint *find_unix(thi_sim *w, const thi_sim_addr *addr, bool *exists)
{
    const char *path = addr->u.un.sun_path;
    bool is_path = path[0] != '\0';
    char text[sizeof addr->u.un.sun_path + 1] = { 0 };
    memcpy(text, path, addr->len - offsetof(struct sockaddr_un, sun_path));
    uint64_t inode = is_path ? thi_sim_name_inode(w, text) : 0;
    *exists = inode > 0;
    if (!is_path)
        return find_listener(w, addr);
    thi_list_each (node, &w->bound) {
        thi_sim_endpoint *ep = bound_item(node);
        if (*exists && ep->inode == inode && ep->state == THI_SIM_LISTENING)
            return ep;
    }
    return NULL;
}

/* A Unix socket is connected, or not, when the call returns. */
static int connect_unix(thi_sim *w, thi_sim_endpoint *ep)
{
    bool exists;
    thi_sim_endpoint *listener = find_unix(w, &ep->peer, &exists);
    if (!listener)
        return exists || ep->peer.u.un.sun_path[0] == '\0' ? -ECONNREFUSED : -ENOENT;
    if (is_full(listener))
        return -EAGAIN;
    int err = prepare(w, ep, false);
    if (err == 0)
        establish(ep, thi_sim_other_end(ep), listener);
    return err;
}

static int may_connect(thi_sim_endpoint *ep)
{
    int err;
    switch (ep->state) {
    case THI_SIM_CONNECTING:
        return -EALREADY;
    case THI_SIM_CONNECTED:
        return -EISCONN;
    case THI_SIM_LISTENING:
        return ep->family == AF_UNIX ? -EINVAL : -EISCONN;
    case THI_SIM_FAILED: /* tells what became of the last attempt, and may be tried again */
        err = ep->error ? ep->error : ECONNABORTED;
        ep->error = 0;
        ep->state = THI_SIM_FRESH;
        return -err;
    default:
        return 0;
    }
}

int thi_sim_connect(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa, socklen_t n)
{
    int err = may_connect(ep);
    if (err == 0)
        err = thi_sim_addr_read(sa, n, ep->family, &ep->peer);
    if (err < 0)
        return err;
    err = ep->family == AF_UNIX ? connect_unix(w, ep) : connect_tcp(w, ep);
    if (err < 0 && err != -EINPROGRESS)
        ep->peer.len = 0;
    return err;
}

/* ---- accepting ---- */

static thi_sim_endpoint *take_waiting(thi_sim_endpoint *listener)
{
    listener->queued--;
    return thi_list_item(thi_list_pop_front(&listener->queue), thi_sim_endpoint, waiting);
}

/* Ends a connection that nobody will accept: the client is reset. */
static void drop_waiting(thi_sim *w, thi_sim_endpoint *listener)
{
    thi_sim_endpoint *waiting = take_waiting(listener);
    waiting->abort = true;
    thi_sim_desc_close(w, &waiting->desc);
}

/* Faults of accept itself: 0 or the error. */
static int accept_obstacle(thi_sim *w, thi_sim_endpoint *listener)
{
    if (thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, &listener->desc);
        return -EAGAIN;
    }
    if (thi_sim_fault(w, TH_SIM_ACCEPT_FULL))
        return thi_sim_draw(w, 0, 1) == 0 ? -EMFILE : -ENFILE;
    if (thi_sim_fault(w, TH_SIM_ABORTED)) {
        drop_waiting(w, listener);
        return -ECONNABORTED;
    }
    return 0;
}

int thi_sim_accept(thi_sim *w, thi_sim_endpoint *listener, thi_sim_endpoint **accepted)
{
    if (listener->state != THI_SIM_LISTENING)
        return -EINVAL;
    if (thi_list_empty(&listener->queue))
        return -EAGAIN;
    int err = accept_obstacle(w, listener);
    if (err < 0)
        return err;
    thi_list *first = thi_list_first(&listener->queue);
    thi_sim_endpoint *ep = thi_list_item(first, thi_sim_endpoint, waiting);
    int fd = thi_sim_desc_number(w, &ep->desc);
    if (fd < 0)
        return fd;
    (void)take_waiting(listener);
    *accepted = ep;
    return fd;
}

void thi_sim_unbind(thi_sim *w, thi_sim_endpoint *ep)
{
    thi_list_remove(&ep->bound);
    thi_list_remove(&ep->by_port);
    thi_list_remove(&ep->waiting);
    thi_sim_event_cancel(w, &ep->try);
    if (ep->state == THI_SIM_CONNECTING) {
        thi_sim_endpoint *far = thi_sim_other_end(ep);
        ep->dead = far->dead = true;
        thi_sim_desc_close(w, &far->desc);
    }
    while (!thi_list_empty(&ep->queue))
        drop_waiting(w, ep);
}
