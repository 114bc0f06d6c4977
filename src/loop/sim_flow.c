/* SPDX-License-Identifier: MIT */

/*
 * A ring of bytes and a queue of parcels.
 *
 * What one call puts in is split at random into a few parcels, each with a delay of its own; none
 * overtakes another, so that a stream keeps its order. When the queue of parcels is full the last
 * one grows. The sender's room comes back a delay after the reader has taken the bytes, as with the
 * acknowledgements of TCP.
 */
#include "loop/sim_flow.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_fault.h"

#include <errno.h>
#include <string.h>

#define SPLITS 3 /* a call's bytes travel in at most one more parcels than this */

static int log2_of(size_t n)
{
    return 63 - __builtin_clzll((unsigned long long)n);
}

/* All orders of magnitude are equally likely, so that tiny buffers are as common as large ones. */
static size_t draw_size(thi_sim *w, size_t size_min)
{
    int most = log2_of(thi_max(w->opts.buffer_max, size_min));
    int least = log2_of(size_min);
    return (size_t)1 << (most - (int)thi_sim_draw(w, 0, most - least));
}

int thi_sim_flow_init(thi_sim *w, thi_sim_flow *flow, bool distant, size_t size_min)
{
    *flow = (thi_sim_flow){ .distant = distant, .size = draw_size(w, size_min) };
    flow->ring = thi_alloc(flow->size);
    return flow->ring ? 0 : -ENOMEM;
}

void thi_sim_flow_deinit(thi_sim *w, thi_sim_flow *flow)
{
    thi_sim_event_cancel(w, &flow->arrival);
    thi_sim_event_cancel(w, &flow->room);
    thi_free(flow->ring);
    flow->ring = NULL;
}

size_t thi_sim_iov_size(const struct iovec *iov, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

/* Copies between memory and the ring, whose stretch may wrap around once. */
static void copy_in(thi_sim_flow *flow, uint64_t at, const char *from, size_t n)
{
    size_t start = (size_t)at & (flow->size - 1);
    size_t before_wrap = thi_min(n, flow->size - start);
    memcpy(flow->ring + start, from, before_wrap);
    memcpy(flow->ring, from + before_wrap, n - before_wrap);
}

static void copy_out(const thi_sim_flow *flow, uint64_t at, char *to, size_t n)
{
    size_t start = (size_t)at & (flow->size - 1);
    size_t before_wrap = thi_min(n, flow->size - start);
    memcpy(to, flow->ring + start, before_wrap);
    memcpy(to + before_wrap, flow->ring, n - before_wrap);
}

static void on_arrival(thi_sim *w, thi_sim_event *event);

static void expect_first(thi_sim *w, thi_sim_flow *flow)
{
    int64_t at = flow->count > 0 ? flow->parcels[flow->first].at : INT64_MAX;
    if (at < INT64_MAX)
        thi_sim_event_set(w, &flow->arrival, at, on_arrival);
}

static void on_arrival(thi_sim *w, thi_sim_event *event)
{
    thi_sim_flow *flow = thi_container_of(event, thi_sim_flow, arrival);
    while (flow->count > 0 && flow->parcels[flow->first].at <= w->now) {
        const thi_sim_parcel *parcel = &flow->parcels[flow->first];
        flow->arrived = parcel->end;
        flow->end_arrived = parcel->last;
        flow->first = (flow->first + 1) % THI_SIM_PARCELS;
        flow->count--;
    }
    expect_first(w, flow);
    flow->on_arrival(w, flow);
}

/* Sends off what was put in up to a position. */
static void send_parcel(thi_sim *w, thi_sim_flow *flow, uint64_t end, bool last)
{
    thi_sim_parcel *before =
        &flow->parcels[(flow->first + flow->count + THI_SIM_PARCELS - 1) % THI_SIM_PARCELS];
    int64_t at = thi_max(w->now + thi_sim_latency(w), flow->quiet_until);
    if (flow->count > 0)
        at = thi_max(at, before->at);
    if (flow->count == THI_SIM_PARCELS) {
        before->end = end;
        before->last = last;
        return;
    }
    unsigned place = (flow->first + flow->count++) % THI_SIM_PARCELS;
    flow->parcels[place] = (thi_sim_parcel){ .end = end, .at = at, .last = last };
    if (flow->count == 1)
        expect_first(w, flow);
}

/* Splits what was just put in. */
static void send_off(thi_sim *w, thi_sim_flow *flow, size_t size)
{
    for (int64_t splits = thi_sim_draw(w, 0, SPLITS); splits > 0 && size > 1; splits--) {
        size_t part = size - (size_t)thi_sim_draw(w, 0, (int64_t)size - 1);
        size -= part;
        if (size > 0)
            send_parcel(w, flow, flow->sent - size, false);
    }
    send_parcel(w, flow, flow->sent, false);
}

void thi_sim_flow_put(thi_sim *w, thi_sim_flow *flow, const struct iovec *iov, size_t size)
{
    for (size_t left = size; left > 0; iov++) {
        size_t n = thi_min(left, iov->iov_len);
        if (n > 0)
            copy_in(flow, flow->sent, iov->iov_base, n);
        flow->sent += n;
        left -= n;
    }
    if (flow->distant) {
        send_off(w, flow, size);
        return;
    }
    flow->arrived = flow->sent;
    flow->on_arrival(w, flow);
}

static void tell_room(thi_sim *w, thi_sim_flow *flow)
{
    flow->acked = flow->taken;
    if (flow->turned_away) {
        flow->turned_away = false;
        flow->on_room(w, flow);
    }
}

static void on_room(thi_sim *w, thi_sim_event *event)
{
    tell_room(w, thi_container_of(event, thi_sim_flow, room));
}

void thi_sim_flow_get(thi_sim *w, thi_sim_flow *flow, const struct iovec *iov, size_t size,
                      bool peek)
{
    uint64_t at = flow->taken;
    for (size_t left = size; left > 0; iov++) {
        size_t n = thi_min(left, iov->iov_len);
        if (n > 0)
            copy_out(flow, at, iov->iov_base, n);
        at += n;
        left -= n;
    }
    if (peek)
        return;
    flow->taken = at;
    if (!flow->distant)
        tell_room(w, flow);
    else if (!thi_sim_event_pending(&flow->room))
        thi_sim_event_set(w, &flow->room, w->now + thi_sim_latency(w), on_room);
}

void thi_sim_flow_end(thi_sim *w, thi_sim_flow *flow)
{
    if (flow->ended)
        return;
    flow->ended = true;
    if (flow->distant) {
        send_parcel(w, flow, flow->sent, true);
        return;
    }
    flow->end_arrived = true;
    flow->on_arrival(w, flow);
}

void thi_sim_flow_cut(thi_sim *w, thi_sim_flow *flow)
{
    thi_sim_event_cancel(w, &flow->arrival);
    thi_sim_event_cancel(w, &flow->room);
    flow->count = 0;
    flow->sent = flow->arrived;
}
