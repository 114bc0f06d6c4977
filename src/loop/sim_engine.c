/* SPDX-License-Identifier: MIT */

/*
 * The engine: readiness of simulated descriptors, told in an order that chance picks.
 *
 * Each loop is at random either edge-triggered, like epoll, or told what is wanted, like poll: a
 * loop's user must cope with both. An edge is kept with the watcher until it is told; what is told
 * is the condition that holds by then, and nothing when it has passed. Shared watches are told in
 * each turn while the condition lasts; since workers take turns, it is always one of them that is
 * woken first.
 *
 * A watcher is in the list `hot` whenever there may be something to tell: since a change of its
 * descriptor or a want(). So looking for work costs nothing for those that are quiet.
 */
#include "loop/sim_engine.h"

#include "base/alloc.h"
#include "loop/sim_choice.h"
#include "loop/sim_desc.h"
#include "loop/sim_trace.h"
#include "sys/sys.h"

#include <errno.h>

#define ROOM_MIN 16

/* A watch, from add to remove; its index in state->all is watch->slot. */
typedef struct entry {
    thi_sim_watcher watcher;
    thi_watch *watch;
    bool hung_up; /* a shared watch that was told so falls silent */
} entry;

typedef struct engine_state {
    entry **all;
    size_t count;
    size_t room;
    thi_list hot;   /* watchers that may have something to tell */
    thi_list batch; /* those that are being told */
    bool by_want;   /* tells what is wanted; otherwise by edges */
} engine_state;

static int sim_open(thi_loop *loop)
{
    thi_sim *w = thi_sim_self;
    if (!w)
        return -ENOSYS;
    engine_state *st = thi_calloc(1, sizeof *st);
    if (!st)
        return -ENOMEM;
    thi_list_init(&st->hot);
    thi_list_init(&st->batch);
    st->by_want = thi_sim_draw(w, 0, 1) == 1;
    loop->state = st;
    return 0;
}

static void sim_close(thi_loop *loop)
{
    engine_state *st = loop->state;
    for (size_t i = 0; i < st->count; i++) {
        thi_sim_watcher_detach(&st->all[i]->watcher);
        thi_free(st->all[i]);
    }
    thi_free(st->all);
    thi_free(st);
}

static int reserve(engine_state *st)
{
    if (st->count < st->room)
        return 0;
    size_t room = thi_max(st->room * 2, (size_t)ROOM_MIN);
    entry **all = thi_realloc_array(st->all, room, sizeof(entry *));
    if (!all)
        return -ENOMEM;
    st->all = all;
    st->room = room;
    return 0;
}

/* Real descriptors cannot be waited for in virtual time. */
static int refuse_real(int fd)
{
    struct stat st;
    int err = thi_sys_real.fstat(fd, &st);
    return err < 0 ? err : -EPERM;
}

static bool is_watched_by(const thi_sim_desc *desc, const engine_state *st)
{
    thi_list_each (node, &desc->watchers)
        if (thi_list_item(node, thi_sim_watcher, link)->loop_hot == &st->hot)
            return true;
    return false;
}

static int sim_add(thi_loop *loop, thi_watch *watch)
{
    engine_state *st = loop->state;
    thi_sim_desc *desc = thi_sim_desc_find(thi_sim_self, watch->fd);
    if (!desc)
        return refuse_real(watch->fd);
    if (is_watched_by(desc, st))
        return -EEXIST;
    entry *made = reserve(st) < 0 ? NULL : thi_calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->watch = watch;
    thi_sim_watcher_attach(&made->watcher, desc, &st->hot);
    watch->wanted = 0;
    watch->slot = (uint32_t)st->count;
    st->all[st->count++] = made;
    return 0;
}

static void sim_remove(thi_loop *loop, thi_watch *watch)
{
    engine_state *st = loop->state;
    entry *gone = st->all[watch->slot];
    thi_sim_watcher_detach(&gone->watcher);
    entry *last = st->all[--st->count];
    st->all[watch->slot] = last;
    last->watch->slot = watch->slot;
    thi_free(gone);
}

static int sim_want(thi_loop *loop, thi_watch *watch, unsigned dirs)
{
    engine_state *st = loop->state;
    entry *e = st->all[watch->slot];
    if (!st->by_want || !e->watcher.desc)
        return 0;
    watch->wanted |= dirs & (THI_READ | THI_WRITE);
    if (!thi_list_linked(&e->watcher.hot))
        thi_list_push_back(&st->hot, &e->watcher.hot);
    return 0;
}

/* What poll(2) would tell: nothing unasked, and a writer does not hear that the peer only ends. */
static unsigned as_wanted(unsigned level, unsigned wanted)
{
    unsigned mask = wanted ? THI_HUP : 0;
    if (wanted & THI_READ)
        mask |= THI_READ | THI_SIM_RDHUP;
    if (wanted & THI_WRITE)
        mask |= THI_WRITE;
    return level & mask;
}

/* What there is to tell a watch now; 0 for nothing. */
static unsigned to_tell(const engine_state *st, const entry *e)
{
    thi_sim_desc *desc = e->watcher.desc;
    if (!desc)
        return 0;
    unsigned level = desc->kind->level(desc);
    if (e->watch->flags & THI_WATCH_SHARED)
        level = e->hung_up ? 0 : level & (THI_READ | THI_HUP);
    else if (st->by_want)
        level = as_wanted(level, e->watch->wanted);
    else if (e->watcher.edges == 0)
        level = 0;
    if (level & THI_SIM_RDHUP)
        level = (level & ~(unsigned)THI_SIM_RDHUP) | THI_HUP;
    return level;
}

static entry *entry_of(thi_list *node)
{
    return thi_container_of(thi_list_item(node, thi_sim_watcher, hot), entry, watcher);
}

bool thi_sim_loop_ready(const thi_loop *loop)
{
    const engine_state *st = loop->state;
    thi_list_each (node, &st->hot)
        if (to_tell(st, entry_of(node)) != 0)
            return true;
    return false;
}

/* Moves what has something to tell into the batch; forgets the rest until something changes. */
static size_t gather(engine_state *st)
{
    size_t count = 0;
    thi_list_each_safe (node, &st->hot) {
        bool told = to_tell(st, entry_of(node)) != 0;
        thi_list_remove(node);
        if (told) {
            thi_list_push_back(&st->batch, node);
            count++;
        }
    }
    return count;
}

static thi_list *nth(const thi_list *list, unsigned n)
{
    thi_list *node = list->next;
    while (n-- > 0)
        node = node->next;
    return node;
}

static size_t length(const thi_list *list)
{
    size_t n = 0;
    thi_list_each (node, list)
        n++;
    return n;
}

/* The watch may be gone, with its entry, when its function returns. */
static void tell(thi_loop *loop, entry *e, unsigned events)
{
    engine_state *st = loop->state;
    thi_watch *watch = e->watch;
    e->watcher.edges = 0;
    if (watch->flags & THI_WATCH_SHARED) {
        e->hung_up = events & THI_HUP;
        thi_list_push_back(&st->hot, &e->watcher.hot);
    } else if (events & THI_HUP) {
        watch->wanted = 0;
    } else {
        watch->wanted &= (uint8_t)~events;
    }
    thi_sim_trace(thi_sim_self, "event", watch->fd, events);
    thi_loop_deliver(loop, watch, events);
}

/* Tells a batch, of which a small one may be all that the "kernel" hands out at once. */
static int dispatch(thi_loop *loop)
{
    thi_sim *w = thi_sim_self;
    engine_state *st = loop->state;
    int64_t count = (int64_t)gather(st);
    int64_t limit = count - thi_sim_draw(w, 0, thi_max(count - 1, INT64_C(0)));
    int done = 0;
    while (done < limit && !thi_list_empty(&st->batch)) {
        thi_list *node = nth(&st->batch, thi_sim_choose(w, "next-event", length(&st->batch)));
        entry *e = entry_of(node);
        thi_list_remove(node);
        unsigned events = to_tell(st, e);
        if (events == 0)
            continue;
        done++;
        tell(loop, e, events);
    }
    thi_list_splice_back(&st->hot, &st->batch);
    return done;
}

static int sim_wait(thi_loop *loop, int64_t timeout)
{
    thi_sim *w = thi_sim_self;
    int err = w->wait(w, loop, timeout);
    return err < 0 ? err : dispatch(loop);
}

int thi_sim_wait_alone(thi_sim *w, thi_loop *loop, int64_t timeout)
{
    int64_t until = timeout < 0 ? INT64_MAX : w->now + timeout;
    while (!thi_sim_loop_ready(loop) && w->now < until) {
        int64_t next = thi_min(thi_sim_next_event(w), until);
        if (next == INT64_MAX)
            return -EDEADLK;
        thi_sim_pass(w, next);
    }
    thi_sim_pass(w, w->now);
    return 0;
}

const thi_engine thi_engine_sim = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .add = sim_add,
    .remove = sim_remove,
    .want = sim_want,
    .wait = sim_wait,
};
