/* SPDX-License-Identifier: MIT */

/*
 * Two flows and two ends, with the manners of Linux.
 *
 * TCP: an end that is closed with unread bytes, or with a linger time of 0, resets the other; so
 * does one that is sent to after it was closed. A reset overtakes what is under way, which is lost;
 * bytes that had arrived can still be read, then comes ECONNRESET once, then the end. For an end
 * that has read the peer's end already the code is EPIPE (tcp_reset() in the kernel).
 *
 * AF_UNIX: everything is known to the other end at once. Closing with unread bytes tells
 * ECONNRESET to whoever reads next; writing gives EPIPE.
 */
#include "loop/sim_stream.h"

#include "base/alloc.h"
#include "loop/sim_choice.h"
#include "loop/sim_fault.h"
#include "loop/sim_sockopt.h"
#include "loop/sim_trace.h"

#include <errno.h>

#define EVERYTHING (THI_READ | THI_WRITE | THI_HUP)

static thi_sim_link *link_of(thi_sim_flow *flow)
{
    return thi_container_of(flow - flow->side, thi_sim_link, flows[0]);
}

/* ---- resets ---- */

/* The end is told that the connection is broken. */
static void kill_end(thi_sim *w, thi_sim_endpoint *ep, int error)
{
    thi_sim_trace(w, "reset", ep->desc.fd, error);
    ep->error = error;
    ep->dead = true;
    thi_sim_flow_cut(w, thi_sim_inflow(ep));
    thi_sim_flow_cut(w, thi_sim_outflow(ep));
    thi_sim_announce(&ep->desc, EVERYTHING);
}

static void on_reset(thi_sim *w, thi_sim_event *event, unsigned side)
{
    thi_sim_link *link = thi_container_of(event - side, thi_sim_link, resets[0]);
    thi_sim_endpoint *ep = link->ends[side];
    if (ep && !ep->dead)
        kill_end(w, ep, link->flows[!side].end_arrived ? EPIPE : ECONNRESET);
}

static void on_reset_0(thi_sim *w, thi_sim_event *event)
{
    on_reset(w, event, 0);
}

static void on_reset_1(thi_sim *w, thi_sim_event *event)
{
    on_reset(w, event, 1);
}

static void send_reset(thi_sim *w, thi_sim_link *link, unsigned side)
{
    if (!link->ends[side] || thi_sim_event_pending(&link->resets[side]))
        return;
    thi_sim_flow_cut(w, &link->flows[!side]);
    thi_sim_event_set(w, &link->resets[side], w->now + thi_sim_latency(w),
                      side == 0 ? on_reset_0 : on_reset_1);
}

/* A fault: both ends lose the connection, this one now. */
static void break_link(thi_sim *w, thi_sim_endpoint *ep)
{
    thi_sim_link *link = ep->link;
    unsigned other = !ep->side;
    kill_end(w, ep, 0);
    if (link->ends[other] && !link->ends[other]->dead)
        send_reset(w, link, other);
}

/* ---- links ---- */

static void on_arrival(thi_sim *w, thi_sim_flow *flow)
{
    thi_sim_link *link = link_of(flow);
    thi_sim_endpoint *to = link->ends[!flow->side];
    if (to)
        thi_sim_announce(&to->desc, THI_READ | (flow->end_arrived ? THI_HUP : 0));
    else if (link->tcp && flow->arrived > flow->taken)
        send_reset(w, link, flow->side);
}

static void on_room(thi_sim *w, thi_sim_flow *flow)
{
    (void)w;
    thi_sim_endpoint *from = link_of(flow)->ends[flow->side];
    if (from)
        thi_sim_announce(&from->desc, THI_WRITE);
}

static int init_flow(thi_sim *w, thi_sim_link *link, uint8_t side)
{
    thi_sim_flow *flow = &link->flows[side];
    int err = thi_sim_flow_init(w, flow, link->tcp, 1);
    if (err < 0)
        return err;
    flow->side = side;
    flow->on_arrival = on_arrival;
    flow->on_room = on_room;
    if (link->tcp && thi_sim_fault(w, TH_SIM_NEVER_READS))
        flow->quiet_until = w->fault_end;
    return 0;
}

int thi_sim_link_new(thi_sim *w, bool tcp, thi_sim_endpoint *first, thi_sim_endpoint *second)
{
    thi_sim_link *link = thi_calloc(1, sizeof *link);
    if (!link)
        return -ENOMEM;
    link->tcp = tcp;
    if (init_flow(w, link, 0) < 0 || init_flow(w, link, 1) < 0) {
        thi_sim_flow_deinit(w, &link->flows[0]);
        thi_free(link);
        return -ENOMEM;
    }
    first->link = second->link = link;
    first->side = 0;
    second->side = 1;
    link->ends[0] = first;
    link->ends[1] = second;
    return 0;
}

static void free_link(thi_sim *w, thi_sim_link *link)
{
    for (unsigned side = 0; side < 2; side++) {
        thi_sim_flow_deinit(w, &link->flows[side]);
        thi_sim_event_cancel(w, &link->resets[side]);
    }
    thi_free(link);
}

/* The other end learns at once that this one is gone. */
static void leave_local(thi_sim *w, thi_sim_endpoint *ep, thi_sim_endpoint *other)
{
    if (ep->abort || thi_sim_flow_ready(thi_sim_inflow(ep)) > 0)
        other->error = ECONNRESET;
    other->write_shut = true;
    thi_sim_flow_end(w, thi_sim_outflow(ep));
    thi_sim_announce(&other->desc, EVERYTHING);
}

static void leave_tcp(thi_sim *w, thi_sim_endpoint *ep)
{
    bool unread = thi_sim_flow_ready(thi_sim_inflow(ep)) > 0;
    if (unread || ep->abort || thi_sim_sockopt_aborts(ep))
        send_reset(w, ep->link, !ep->side);
    else
        thi_sim_flow_end(w, thi_sim_outflow(ep));
}

void thi_sim_stream_leave(thi_sim *w, thi_sim_endpoint *ep)
{
    thi_sim_link *link = ep->link;
    thi_sim_endpoint *other = link ? thi_sim_other_end(ep) : NULL;
    if (!link)
        return;
    if (other && !ep->dead && link->tcp)
        leave_tcp(w, ep);
    else if (other && !ep->dead)
        leave_local(w, ep, other);
    link->ends[ep->side] = NULL;
    ep->link = NULL;
    if (!other)
        free_link(w, link);
}

/* ---- reading and writing ---- */

/* The pending error as a result, told once; 0 when there is none. */
static int take_error(thi_sim_endpoint *ep)
{
    int error = ep->error;
    ep->error = 0;
    return -error;
}

static bool is_tcp(const thi_sim_endpoint *ep)
{
    return ep->family != AF_UNIX;
}

static ssize_t read_unconnected(thi_sim_endpoint *ep)
{
    switch (ep->state) {
    case THI_SIM_CONNECTING:
        return -EAGAIN;
    case THI_SIM_FAILED:
        return take_error(ep);
    default:
        return is_tcp(ep) ? -ENOTCONN : -EINVAL;
    }
}

/*
 * Fewer bytes than possible, down to one, if chance wants it so. To whoever takes a short read for
 * the end of what is there, as epoll(7) allows, the rest must look as if it came a little later.
 */
static size_t cut_read(thi_sim *w, thi_sim_endpoint *ep, size_t n)
{
    if (n <= 1 || !thi_sim_fault(w, TH_SIM_SHORT_READ))
        return n;
    thi_sim_nudge(w, &ep->desc);
    return (size_t)thi_sim_draw(w, 1, (int64_t)n - 1);
}

/* And after a short write, as if the buffer were full. */
static size_t cut_write(thi_sim *w, thi_sim_flow *flow, size_t n)
{
    if (n <= 1 || !thi_sim_fault(w, TH_SIM_SHORT_WRITE))
        return n;
    flow->turned_away = true;
    return (size_t)thi_sim_draw(w, 1, (int64_t)n - 1);
}

static ssize_t read_nothing(thi_sim_endpoint *ep)
{
    if (ep->error)
        return take_error(ep);
    return ep->dead || ep->read_shut || thi_sim_inflow(ep)->end_arrived ? 0 : -EAGAIN;
}

ssize_t thi_sim_stream_read(thi_sim *w, thi_sim_endpoint *ep, const struct iovec *iov, int count,
                            int flags)
{
    if (ep->state != THI_SIM_CONNECTED)
        return read_unconnected(ep);
    thi_sim_flow *flow = thi_sim_inflow(ep);
    if (is_tcp(ep) && !ep->dead && thi_sim_fault(w, TH_SIM_RESET)) {
        break_link(w, ep);
        return -ECONNRESET;
    }
    size_t n = thi_min(thi_sim_iov_size(iov, count), thi_sim_flow_ready(flow));
    if (n == 0)
        return read_nothing(ep);
    if (thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, &ep->desc);
        return -EAGAIN;
    }
    n = cut_read(w, ep, n);
    thi_sim_flow_get(w, flow, iov, n, flags & MSG_PEEK);
    return (ssize_t)n;
}

static ssize_t write_unconnected(thi_sim_endpoint *ep)
{
    if (ep->state == THI_SIM_CONNECTING)
        return -EAGAIN;
    if (ep->error)
        return take_error(ep);
    return is_tcp(ep) ? -EPIPE : -ENOTCONN;
}

/* What a write meets before it comes to the buffer: 0, or the error. */
static ssize_t write_obstacle(thi_sim *w, thi_sim_endpoint *ep)
{
    if (!is_tcp(ep) && ep->write_shut)
        return -EPIPE;
    if (ep->error)
        return take_error(ep);
    if (ep->write_shut || ep->dead)
        return -EPIPE;
    if (is_tcp(ep) && thi_sim_fault(w, TH_SIM_RESET)) {
        break_link(w, ep);
        return -ECONNRESET;
    }
    if (is_tcp(ep) && thi_sim_fault(w, TH_SIM_BROKEN_PIPE)) {
        break_link(w, ep);
        return -EPIPE;
    }
    if (thi_sim_fault(w, TH_SIM_NO_BUFFERS))
        return thi_sim_draw(w, 0, 1) == 0 ? -ENOBUFS : -ENOMEM;
    return 0;
}

ssize_t thi_sim_stream_write(thi_sim *w, thi_sim_endpoint *ep, const struct iovec *iov, int count)
{
    if (ep->state != THI_SIM_CONNECTED)
        return write_unconnected(ep);
    ssize_t err = write_obstacle(w, ep);
    if (err < 0)
        return err;
    thi_sim_flow *flow = thi_sim_outflow(ep);
    size_t wanted = thi_sim_iov_size(iov, count);
    size_t n = thi_min(wanted, thi_sim_flow_room(flow));
    if (n > 0 && thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, &ep->desc);
        return -EAGAIN;
    }
    if (n < wanted)
        flow->turned_away = true;
    if (n == 0)
        return -EAGAIN;
    n = cut_write(w, flow, n);
    thi_sim_flow_put(w, flow, iov, n);
    return (ssize_t)n;
}

/* ---- the end of a direction ---- */

/* A local writer learns at once that nobody will read. */
static void shut_reading(thi_sim_endpoint *ep)
{
    thi_sim_endpoint *other = thi_sim_other_end(ep);
    ep->read_shut = true;
    thi_sim_announce(&ep->desc, THI_READ | THI_HUP);
    if (other && !is_tcp(ep)) {
        other->write_shut = true;
        thi_sim_announce(&other->desc, THI_WRITE | THI_HUP);
    }
}

int thi_sim_stream_shutdown(thi_sim *w, thi_sim_endpoint *ep, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (is_tcp(ep) && (ep->state != THI_SIM_CONNECTED || ep->dead))
        return -ENOTCONN;
    if (ep->state != THI_SIM_CONNECTED)
        return 0; /* Linux has nothing against it */
    if (how != SHUT_WR)
        shut_reading(ep);
    if (how != SHUT_RD) {
        ep->write_shut = true;
        thi_sim_flow_end(w, thi_sim_outflow(ep));
        thi_sim_announce(&ep->desc, THI_WRITE);
    }
    return 0;
}

/* Whoever looks and sees no room will be told of it, as by tcp_poll() in Linux. */
static unsigned level_connected(const thi_sim_endpoint *ep)
{
    const thi_sim_flow *in = thi_sim_inflow(ep);
    bool broken = ep->dead || ep->error != 0;
    bool no_more_in = in->end_arrived || ep->read_shut || ep->dead;
    unsigned level = 0;
    if (thi_sim_flow_ready(in) > 0 || no_more_in || broken)
        level |= THI_READ;
    if (thi_sim_flow_room(thi_sim_outflow(ep)) > 0 || ep->write_shut || broken)
        level |= THI_WRITE;
    else
        thi_sim_outflow(ep)->turned_away = true;
    if (no_more_in)
        level |= THI_SIM_RDHUP;
    if (broken || (no_more_in && ep->write_shut))
        level |= THI_HUP;
    return level;
}

unsigned thi_sim_stream_level(const thi_sim_endpoint *ep)
{
    switch (ep->state) {
    case THI_SIM_CONNECTED:
        return level_connected(ep);
    case THI_SIM_CONNECTING:
        return 0;
    case THI_SIM_FAILED:
        return EVERYTHING;
    default:
        return THI_WRITE | THI_HUP; /* as Linux tells of a socket that was never connected */
    }
}
