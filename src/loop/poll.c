/* SPDX-License-Identifier: MIT */

/*
 * The poll back end: what every POSIX system has.
 *
 * poll tells the same condition again and again, so a direction is asked for by want(), reported
 * once and then dropped. A hang-up cannot be deselected in poll; an entry nobody wants anything of
 * therefore has its descriptor complemented, and poll skips negative ones.
 *
 * The entries are dense: the last one moves into the gap that a removed one leaves. A batch is
 * dispatched from the end to the beginning, and an entry's revents are cleared when its turn comes.
 * So an entry that moves during dispatch has either been dispatched, and has no event left, or
 * moves with its event to where the dispatch has yet to come.
 */
#include "loop/engines.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/watchset.h"
#include "sys/sys.h"

#include <errno.h>
#include <poll.h>

#define ENTRIES_MIN 64

typedef struct poll_state {
    thi_watchset set;
    struct pollfd *entries; /* watch->slot is the index; fd is complemented while idle */
    size_t count;
    size_t room;
} poll_state;

static int poll_open(thi_loop *loop)
{
    loop->state = thi_calloc(1, sizeof(poll_state));
    return loop->state ? 0 : -ENOMEM;
}

static void poll_close(thi_loop *loop)
{
    poll_state *st = loop->state;
    thi_watchset_deinit(&st->set);
    thi_free(st->entries);
    thi_free(st);
}

static int reserve(poll_state *st)
{
    if (st->count < st->room)
        return 0;
    size_t room = thi_max(st->room * 2, (size_t)ENTRIES_MIN);
    struct pollfd *entries = thi_realloc_array(st->entries, room, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    st->entries = entries;
    st->room = room;
    return 0;
}

static int descriptor_of(const struct pollfd *entry)
{
    return entry->fd < 0 ? ~entry->fd : entry->fd;
}

/*
 * Tells poll what the watch wants. The peer's end of sending is of interest to a reader only: a
 * writer that waits for room would be called again and again by it.
 */
static void arm(poll_state *st, const thi_watch *watch)
{
    struct pollfd *entry = &st->entries[watch->slot];
    entry->fd = watch->wanted ? watch->fd : ~watch->fd;
    entry->events = 0;
    if (watch->wanted & THI_READ)
        entry->events |= POLLIN | POLLRDHUP;
    if (watch->wanted & THI_WRITE)
        entry->events |= POLLOUT;
    if (watch->wanted & THI_PRI)
        entry->events |= POLLPRI;
}

static int poll_add(thi_loop *loop, thi_watch *watch)
{
    poll_state *st = loop->state;
    int err = reserve(st);
    if (err < 0)
        return err;
    err = thi_watchset_add(&st->set, watch);
    if (err < 0)
        return err;
    watch->slot = (uint32_t)st->count;
    watch->wanted = watch->flags & THI_WATCH_SHARED ? THI_READ : 0;
    st->entries[st->count++] = (struct pollfd){ 0 };
    arm(st, watch);
    return 0;
}

static void poll_remove(thi_loop *loop, thi_watch *watch)
{
    poll_state *st = loop->state;
    thi_watchset_remove(&st->set, watch);
    struct pollfd *gap = &st->entries[watch->slot];
    *gap = st->entries[--st->count];
    thi_watch *moved = thi_watchset_find(&st->set, descriptor_of(gap));
    if (moved)
        moved->slot = watch->slot;
}

static int poll_want(thi_loop *loop, thi_watch *watch, unsigned dirs)
{
    watch->wanted |= dirs & (THI_READ | THI_WRITE | THI_PRI);
    arm(loop->state, watch);
    return 0;
}

static unsigned translate(short got)
{
    unsigned events = 0;
    if (got & POLLIN)
        events |= THI_READ;
    if (got & POLLOUT)
        events |= THI_WRITE;
    if (got & POLLPRI)
        events |= THI_PRI;
    if (got & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
        events |= THI_HUP;
    return events;
}

/* Reports once what was wanted. After a hang-up even a shared watch falls silent. */
static void report(thi_loop *loop, struct pollfd *entry)
{
    poll_state *st = loop->state;
    thi_watch *watch = thi_watchset_find(&st->set, descriptor_of(entry));
    unsigned events = translate(entry->revents);
    entry->revents = 0;
    if (events & THI_HUP)
        watch->wanted = 0;
    else if (!(watch->flags & THI_WATCH_SHARED))
        watch->wanted &= (uint8_t)~events;
    arm(st, watch);
    thi_loop_deliver(loop, watch, events);
}

static int poll_wait_and_dispatch(thi_loop *loop, int64_t timeout)
{
    poll_state *st = loop->state;
    int count = thi_sys_poll(st->entries, st->count, timeout);
    if (count < 0)
        return count;
    for (size_t i = count > 0 ? st->count : 0; i-- > 0;)
        if (i < st->count && st->entries[i].revents != 0)
            report(loop, &st->entries[i]);
    return count;
}

const thi_engine thi_engine_poll = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .add = poll_add,
    .remove = poll_remove,
    .want = poll_want,
    .wait = poll_wait_and_dispatch,
};
