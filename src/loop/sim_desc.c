/* SPDX-License-Identifier: MIT */

/* The table of descriptors, and how a change of one reaches the loops that watch it. */
#include "loop/sim_desc.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"

#include <thrum/time.h>

#include <errno.h>
#include <string.h>

#define ROOM_MIN 64

/* How long after a made-up EAGAIN the truth is told. */
#define NUDGE_MIN TH_MICROSECOND
#define NUDGE_MAX TH_MILLISECOND

void thi_sim_desc_init(thi_sim_desc *desc, const thi_sim_kind *kind)
{
    desc->kind = kind;
    desc->fd = -1;
    thi_list_init(&desc->watchers);
}

static int reserve(thi_sim *w)
{
    size_t room = thi_max(w->desc_room * 2, (size_t)ROOM_MIN);
    thi_sim_desc **descs = thi_realloc_array(w->descs, room, sizeof(thi_sim_desc *));
    if (!descs)
        return -ENOMEM;
    memset(descs + w->desc_room, 0, (room - w->desc_room) * sizeof(thi_sim_desc *));
    w->descs = descs;
    w->desc_room = room;
    return 0;
}

int thi_sim_desc_number(thi_sim *w, thi_sim_desc *desc)
{
    size_t i = w->desc_free;
    if (w->desc_count >= w->opts.descriptors)
        return -EMFILE;
    while (i < w->desc_room && w->descs[i])
        i++;
    if (i == w->desc_room && reserve(w) < 0)
        return -ENOMEM;
    w->descs[i] = desc;
    w->desc_free = i + 1;
    w->desc_count++;
    desc->fd = THI_SIM_FD_BASE + (int)i;
    return desc->fd;
}

thi_sim_desc *thi_sim_desc_find(const thi_sim *w, int fd)
{
    size_t i = (size_t)fd - THI_SIM_FD_BASE;
    return fd >= THI_SIM_FD_BASE && i < w->desc_room ? w->descs[i] : NULL;
}

void thi_sim_desc_close(thi_sim *w, thi_sim_desc *desc)
{
    while (!thi_list_empty(&desc->watchers)) {
        thi_list *first = thi_list_first(&desc->watchers);
        thi_sim_watcher_detach(thi_list_item(first, thi_sim_watcher, link));
    }
    thi_sim_event_cancel(w, &desc->nudge);
    if (desc->fd >= 0) {
        size_t i = (size_t)desc->fd - THI_SIM_FD_BASE;
        w->descs[i] = NULL;
        w->desc_free = thi_min(w->desc_free, i);
        w->desc_count--;
        desc->fd = -1;
    }
    desc->kind->close(w, desc);
}

void thi_sim_announce(thi_sim_desc *desc, unsigned edges)
{
    thi_list_each (node, &desc->watchers) {
        thi_sim_watcher *watcher = thi_list_item(node, thi_sim_watcher, link);
        watcher->edges |= edges;
        if (!thi_list_linked(&watcher->hot))
            thi_list_push_back(watcher->loop_hot, &watcher->hot);
    }
}

static void on_nudge(thi_sim *w, thi_sim_event *event)
{
    (void)w;
    thi_sim_announce(thi_container_of(event, thi_sim_desc, nudge), THI_READ | THI_WRITE);
}

void thi_sim_nudge(thi_sim *w, thi_sim_desc *desc)
{
    if (!thi_sim_event_pending(&desc->nudge))
        thi_sim_event_set(w, &desc->nudge, w->now + thi_sim_draw(w, NUDGE_MIN, NUDGE_MAX),
                          on_nudge);
}

void thi_sim_watcher_attach(thi_sim_watcher *watcher, thi_sim_desc *desc, thi_list *loop_hot)
{
    *watcher = (thi_sim_watcher){ .desc = desc, .loop_hot = loop_hot };
    thi_list_init(&watcher->hot);
    thi_list_push_back(&desc->watchers, &watcher->link);
    watcher->edges = THI_READ | THI_WRITE;
    thi_list_push_back(loop_hot, &watcher->hot);
}

void thi_sim_watcher_detach(thi_sim_watcher *watcher)
{
    if (watcher->desc)
        thi_list_remove(&watcher->link);
    thi_list_remove(&watcher->hot);
    watcher->desc = NULL;
}
