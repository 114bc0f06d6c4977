/* SPDX-License-Identifier: MIT */

/*
 * A turn of a map's loop: ask the gates, wait, look at what is doubtful, call handlers.
 *
 * The fiber sleeps only while nobody is in map->ready. If somebody is, it steps aside once, so that
 * the worker's loop can tell what has happened since, and others can run: a dispatcher that is
 * always ready holds up nobody. All doubtful ones of a turn are looked at with one poll(2).
 *
 * Those whose turn it is are taken out of map->ready in one go. What becomes ready meanwhile waits
 * for the next turn, and who is closed meanwhile leaves the list of this one by himself.
 */
#include "callback/dispatch.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <thrum/time.h>

#define LOOK_MIN 16

/* ---- gates ---- */

static void ask_gates_of(th_dispatcher *d)
{
    const th_dispatcher_ops *ops = d->ops;
    uint32_t serial = d->serial;
    bool readable = !ops->readable || ops->readable(d, d->arg);
    bool writable = d->serial == serial && !(d->state & TH_DISPATCHER_ACCEPTING) &&
                    (!ops->writable || ops->writable(d, d->arg));
    if (d->serial == serial)
        thi_dispatch_set_gates(d, readable, writable);
}

static void ask_gates(th_dispatch_map *map)
{
    thi_list present;
    thi_list *node;
    thi_list_init(&present);
    thi_list_splice_back(&present, &map->gated);
    while ((node = thi_list_pop_front(&present))) {
        th_dispatcher *d = thi_list_item(node, th_dispatcher, gated_link);
        thi_list_push_back(&map->gated, node);
        th_dispatcher_ref(d);
        ask_gates_of(d);
        th_dispatcher_unref(d);
    }
}

/* ---- waiting ---- */

typedef struct map_wait {
    thi_wait wait;
    th_fiber *fiber;
} map_wait;

static const thi_wait_kind waiting = { "dispatch", THI_BY_DESCRIPTOR,
                                       offsetof(th_dispatch_map, shown) };

static void wake(thi_wait *wait, int result)
{
    th_dispatch_map *map = (th_dispatch_map *)(uintptr_t)wait->object;
    map->sleeper = NULL;
    thi_sched_ready(thi_container_of(wait, map_wait, wait)->fiber, result);
}

static int sleep_until(th_dispatch_map *map, int64_t until)
{
    map_wait w = { .wait = { .kind = &waiting, .object = map, .abort = wake },
                   .fiber = thi_sched_self() };
    if (until != TH_NEVER)
        thi_loop_timer(&map->worker->loop, &map->timer, until);
    map->sleeper = &w.wait;
    return thi_sched_park(&w.wait);
}

/* Until something is ready, somebody wants a turn, or the time is up. */
static int wait_for_events(th_dispatch_map *map, int64_t until)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    if (thi_list_empty(&map->ready) && !map->woken && until > map->worker->loop.now)
        return sleep_until(map, until);
    thi_sched_give_way();
    if (until <= map->worker->loop.now)
        map->late = true;
    return 0;
}

/* ---- looking ---- */

static unsigned doubts(const th_dispatcher *d)
{
    return d->maybe & thi_dispatch_interest(d);
}

static int reserve_looks(th_dispatch_map *map, size_t count)
{
    if (count <= map->look_room)
        return 0;
    size_t room = thi_max(map->look_room * 2, (size_t)LOOK_MIN);
    while (room < count)
        room *= 2;
    struct pollfd *look = thi_realloc_array(map->look, room, sizeof *look);
    if (!look)
        return -ENOMEM;
    map->look = look;
    map->look_room = room;
    return 0;
}

static short events_of(unsigned dirs)
{
    return (short)((dirs & THI_READ ? POLLIN : 0) | (dirs & THI_WRITE ? POLLOUT : 0) |
                   (dirs & THI_PRI ? POLLPRI : 0));
}

static unsigned dirs_of(short events)
{
    return (events & POLLIN ? THI_READ : 0u) | (events & POLLOUT ? THI_WRITE : 0u) |
           (events & POLLPRI ? THI_PRI : 0u) |
           (events & (POLLHUP | POLLERR | POLLNVAL) ? THI_HUP : 0u);
}

static int poll_now(struct pollfd *look, size_t count)
{
    int n;
    do
        n = thi_sys_poll(look, count, 0);
    while (n == -EINTR);
    return n;
}

/* What a look has found. A descriptor that cannot be looked at is taken at its word. */
static void resolve(th_dispatcher *d, unsigned asked, unsigned found)
{
    d->maybe &= (uint8_t)~asked;
    if ((found & THI_HUP) && d->datagram) /* an error of one of them, which receiving tells */
        found = (found & ~(unsigned)THI_HUP) | THI_READ;
    d->sure |= (uint8_t)(found & (asked | (d->over || (found & THI_HUP) ? THI_HUP : 0u)));
}

/* How many of a batch are in doubt, and their looks if there is room for them. */
static size_t gather(const thi_list *batch, struct pollfd *look)
{
    size_t count = 0;
    thi_list_each (node, batch) {
        const th_dispatcher *d = thi_list_item(node, th_dispatcher, ready_link);
        unsigned asked = doubts(d);
        if (asked && look)
            look[count] = (struct pollfd){ .fd = d->fd, .events = events_of(asked) };
        count += asked != 0;
    }
    return count;
}

static void look_at_doubtful(th_dispatch_map *map, thi_list *batch)
{
    size_t count = gather(batch, NULL);
    if (TH_LIKELY(count == 0))
        return;
    bool able = reserve_looks(map, count) == 0;
    if (able) {
        gather(batch, map->look);
        able = poll_now(map->look, count) >= 0;
    }
    size_t at = 0;
    thi_list_each (node, batch) {
        th_dispatcher *d = thi_list_item(node, th_dispatcher, ready_link);
        unsigned asked = doubts(d);
        if (asked)
            resolve(d, asked, able ? dirs_of(map->look[at++].revents) : asked & ~(unsigned)THI_HUP);
    }
}

/* ---- the turn ---- */

/* Calls the handlers of one of a batch. */
static int serve(th_dispatcher *d, bool *served)
{
    th_dispatch_map *map = d->map;
    int code = 0;
    th_dispatcher_ref(d);
    if (d->sure & thi_dispatch_interest(d)) {
        *served = true;
        code = thi_dispatch_serve(d);
    }
    if (d->fd >= 0)
        thi_dispatch_review(d);
    th_dispatcher_unref(d);
    if (code == 0 && map->leave) {
        code = map->leave;
        map->leave = 0;
    }
    return code;
}

/* Those whose turn has not come when a handler leaves are the first of the next one. */
static int serve_all(th_dispatch_map *map, thi_list *batch, bool *served)
{
    thi_list *node;
    int code = 0;
    while (code == 0 && (node = thi_list_pop_front(batch)))
        code = serve(thi_list_item(node, th_dispatcher, ready_link), served);
    thi_list_splice_back(batch, &map->ready);
    thi_list_splice_back(&map->ready, batch);
    return code;
}

int thi_dispatch_turn(th_dispatch_map *map, int64_t until)
{
    bool served = false;
    int code = 0;
    map->late = map->woken = false;
    ask_gates(map);
    do {
        thi_list batch;
        code = wait_for_events(map, until);
        if (code < 0)
            break;
        thi_list_init(&batch);
        thi_list_splice_back(&batch, &map->ready);
        look_at_doubtful(map, &batch);
        code = serve_all(map, &batch, &served);
    } while (code == 0 && !served && !map->late && !map->woken);
    thi_dispatch_release_closed(map);
    return code;
}

void thi_dispatch_release_closed(th_dispatch_map *map)
{
    thi_list *node;
    while ((node = thi_list_pop_front(&map->closed))) {
        th_dispatcher *d = thi_list_item(node, th_dispatcher, link);
        d->held = false;
        thi_list_push_back(&map->kept, node);
        th_dispatcher_unref(d);
    }
}
