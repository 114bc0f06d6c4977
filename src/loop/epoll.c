/* SPDX-License-Identifier: MIT */

/*
 * The epoll back end: every descriptor registered once, edge-triggered, in all directions.
 *
 * An edge that comes while nobody waits is kept in watch->ready, so nothing needs to be armed or
 * disarmed and a connection costs one epoll_ctl in its life. A descriptor that several loops watch
 * (a listener) is level-triggered and exclusive instead: the kernel wakes one of them, and again as
 * long as there is something to accept.
 *
 * The kernel hands back the address of the watch. A watch that is removed while its events are
 * still in the batch being dispatched is struck from the rest of the batch.
 */
#include "loop/engines.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <errno.h>

#define BATCH 256

typedef struct epoll_state {
    int fd;
    int at;    /* next event of the batch to dispatch */
    int count; /* events in the batch */
    struct epoll_event batch[BATCH];
} epoll_state;

static int epoll_open(thi_loop *loop)
{
    epoll_state *st = thi_calloc(1, sizeof *st);
    if (!st)
        return -ENOMEM;
    st->fd = thi_sys_epoll_create();
    if (st->fd < 0) {
        int err = st->fd;
        thi_free(st);
        return err;
    }
    loop->state = st;
    return 0;
}

static void epoll_close(thi_loop *loop)
{
    epoll_state *st = loop->state;
    thi_sys_close(st->fd);
    thi_free(st);
}

static int epoll_add(thi_loop *loop, thi_watch *watch)
{
    epoll_state *st = loop->state;
    struct epoll_event ev = { .data.ptr = watch };
    if (watch->flags & THI_WATCH_SHARED)
        ev.events = EPOLLIN | EPOLLEXCLUSIVE;
    else
        ev.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
    return thi_sys_epoll_ctl(st->fd, EPOLL_CTL_ADD, watch->fd, &ev);
}

static void epoll_remove(thi_loop *loop, thi_watch *watch)
{
    epoll_state *st = loop->state;
    (void)thi_sys_epoll_ctl(st->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = st->at; i < st->count; i++)
        if (st->batch[i].data.ptr == watch)
            st->batch[i].data.ptr = NULL;
}

static unsigned translate(uint32_t got)
{
    unsigned events = 0;
    if (got & EPOLLIN)
        events |= THI_READ;
    if (got & EPOLLOUT)
        events |= THI_WRITE;
    if (got & EPOLLPRI)
        events |= THI_PRI;
    if (got & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        events |= THI_HUP;
    return events;
}

static void dispatch(thi_loop *loop, thi_watch *watch, unsigned events)
{
    epoll_state *st = loop->state;
    /* Level-triggered, a hang-up would come back in each turn, whatever the owner does about it. */
    if ((watch->flags & THI_WATCH_SHARED) && (events & THI_HUP))
        (void)thi_sys_epoll_ctl(st->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    thi_loop_deliver(loop, watch, events);
}

static int epoll_wait_and_dispatch(thi_loop *loop, int64_t timeout)
{
    epoll_state *st = loop->state;
    int count = thi_sys_epoll_wait(st->fd, st->batch, BATCH, timeout);
    if (count < 0)
        return count;
    st->count = count;
    for (st->at = 0; st->at < st->count;) {
        struct epoll_event ev = st->batch[st->at++];
        if (ev.data.ptr)
            dispatch(loop, ev.data.ptr, translate(ev.events));
    }
    st->count = 0;
    return count;
}

static int epoll_descriptor(thi_loop *loop)
{
    epoll_state *st = loop->state;
    return st->fd;
}

/* Everything is with the kernel as soon as it is asked for. */
static int epoll_settle(thi_loop *loop)
{
    (void)loop;
    return 0;
}

const thi_engine thi_engine_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .add = epoll_add,
    .remove = epoll_remove,
    .wait = epoll_wait_and_dispatch,
    .descriptor = epoll_descriptor,
    .settle = epoll_settle,
};
