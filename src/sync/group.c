/* SPDX-License-Identifier: MIT */

/*
 * The group.
 *
 * It is a scope, and a record for each child. A child's fiber runs the user's function and then
 * files the result, on whatever worker it is: under the lock of the group's queue it puts its
 * record at the end of the list of those that have ended, and wakes the host if that waits for it.
 * Only then does it end for the scope, so a group is never gone before its children have left it.
 *
 * Records are numbered when their spawn has succeeded, by the spawner or by the child that is
 * faster, so that a spawn that fails leaves no hole. Room for a number is claimed before the spawn,
 * so that numbering cannot fail. They are kept in a ring: an ordered map forgets from its low end.
 *
 * A start on another worker may fail there, after its spawn has succeeded here. Such a child never
 * files a result. It is found when the scope is empty: whoever has not ended by then never began.
 * For this the host, when it waits, also leaves a wait in the scope, as th_scope_wait() does.
 */
#include "sync/group.h"

#include "base/alloc.h"
#include "base/util.h"
#include "runtime/place.h"
#include "runtime/waiter.h"

#include <thrum/error.h>

#include <limits.h>

/* A child. */
typedef struct member {
    th_group *group;
    th_fiber_fn fn;
    void *arg;
    struct member *next; /* that ended after this one */
    size_t index;        /* NOBODY until it is numbered */
    int result;          /* once it has ended */
    bool ended;
} member;

/* The lock of `queue` guards what stands below it. */
struct th_group {
    th_scope scope;
    th_fiber *host;
    int mode;
    th_spawn_opts how;
    thi_wait stirred; /* in the scope while the host waits */
    thi_waitq queue;  /* the host alone */
    member **members; /* a ring: that with index i at [i & (room - 1)] */
    size_t room;      /* a power of two, or 0 */
    size_t first;     /* the lowest index that is kept */
    size_t count;     /* children that were numbered */
    size_t claimed;   /* room for spawns that are under way */
    size_t ended;
    const member *given; /* the last one that th_group_next() gave; NULL before the first */
    member *first_ended;
    member *last_ended;
    size_t decider; /* whose result is the verdict */
    int verdict;
    bool echoed;  /* it may yet be replaced */
    bool won;     /* it is that of the winner of a race */
    bool ordered; /* nobody asks for the order of the ends */
};

#define NOBODY SIZE_MAX /* of an index: there is none */

/* What the host's waiter may request besides an index. */
#define ANYBODY  SIZE_MAX       /* whoever ends next */
#define THE_LAST (SIZE_MAX - 1) /* that the scope is empty */

#define ROOM_MIN 8

static void lock(th_group *g)
{
    thi_waitq_lock(&g->queue);
}

static void unlock(th_group *g)
{
    thi_waitq_unlock(&g->queue);
}

static member **place_of(const th_group *g, size_t index)
{
    return &g->members[index & (g->room - 1)];
}

/* ---- room and numbers ---- */

/* Moves the ring to a larger place, unless somebody has done so meanwhile. */
static int grow(th_group *g, size_t room)
{
    member **unused = thi_calloc(room, sizeof(member *));
    if (!unused)
        return -ENOMEM;
    lock(g);
    if (room > g->room) {
        member **larger = unused;
        for (size_t i = g->first; i < g->count; i++)
            larger[i & (room - 1)] = *place_of(g, i);
        unused = g->members;
        g->members = larger;
        g->room = room;
    }
    unlock(g);
    thi_free(unused);
    return 0;
}

/* Makes sure that one more child can be numbered. */
static int claim(th_group *g)
{
    for (;;) {
        lock(g);
        bool full = g->count + g->claimed >= INT_MAX;
        bool fits = g->count - g->first + g->claimed < g->room;
        size_t larger = thi_max(g->room * 2, (size_t)ROOM_MIN);
        g->claimed += fits && !full;
        unlock(g);
        if (full || fits)
            return full ? TH_ELIMIT : 0;
        int err = grow(g, larger);
        if (err < 0)
            return err;
    }
}

/* Under the lock: gives a child its number if it has none. */
static void number(th_group *g, member *m)
{
    if (m->index != NOBODY)
        return;
    m->index = g->count++;
    *place_of(g, m->index) = m;
    g->claimed--;
}

/* ---- ends ---- */

/*
 * Under the lock: what a result means for the verdict. An echo only repeats what the group's scope
 * says, and stands until there is a failure of another kind. True when it ends the race.
 */
static bool judge(th_group *g, const member *m, bool echo)
{
    bool wins = m->result >= 0 && g->mode == TH_GROUP_RACE && !g->won;
    bool fails = m->result < 0 && !g->won && (g->decider == NOBODY || (g->echoed && !echo));
    if (wins || fails) {
        g->verdict = m->result;
        g->decider = m->index;
        g->echoed = echo;
        g->won = wins;
    }
    return wins;
}

/* Under the lock: a child has a result. Whom it wakes, or NULL. */
static thi_waiter *file(th_group *g, member *m, int result)
{
    m->result = result;
    m->ended = true;
    m->next = NULL;
    g->ended++;
    if (!g->ordered && g->last_ended)
        g->last_ended->next = m;
    else if (!g->ordered)
        g->first_ended = m;
    if (!g->ordered)
        g->last_ended = m;
    const thi_waiter *host = g->queue.first;
    bool wanted = host && (host->request == ANYBODY || host->request == m->index);
    return wanted ? thi_waitq_take(&g->queue) : NULL;
}

/* What a child's fiber runs. */
static int run_member(void *arg)
{
    member *m = arg;
    th_group *g = m->group;
    lock(g);
    number(g, m); /* before those that it may spawn */
    unlock(g);
    int result = m->fn(m->arg);
    const thi_scope *home = thi_sched_self()->home; /* on this worker, wherever the group's is */
    bool echo = result < 0 && result == home->status;
    lock(g);
    thi_waiter *woken = file(g, m, result);
    bool won = judge(g, m, echo);
    unlock(g);
    if (won)
        (void)th_scope_cancel(&g->scope, 0);
    if (woken)
        thi_waiter_wake(woken, 0);
    return result;
}

/* The scope is empty: files those for whom there was no memory where they were to live. Whether
 * there were any. */
static bool file_unstarted(th_group *g)
{
    lock(g);
    size_t missing = g->count - g->ended;
    for (size_t i = g->first; i < g->count && g->ended < g->count; i++) {
        member *m = *place_of(g, i);
        if (!m->ended) {
            (void)file(g, m, -ENOMEM);
            (void)judge(g, m, false);
        }
    }
    unlock(g);
    return missing > 0;
}

/* ---- waiting ---- */

static bool is_empty(const thi_scope *scope)
{
    return scope->live == 0 && atomic_load(&scope->inflight) == 0;
}

/* Called on the host's worker when the scope is empty, or may be. */
static void on_stirred(thi_wait *wait, int result)
{
    th_group *g = thi_container_of(wait, th_group, stirred);
    lock(g);
    thi_waiter *host = thi_waitq_take(&g->queue);
    unlock(g);
    if (host)
        thi_waiter_wake(host, result);
}

static const thi_wait_kind children = { "group", THI_BY_CHILDREN, 0 };

/*
 * Waits until a child has ended that the host wants, or the scope is empty. What the group's own
 * scope says does not end the wait; what a scope inside it says does.
 */
static int wait_for(th_group *g, size_t wanted)
{
    thi_scope *scope = thi_scope_of(&g->scope);
    thi_waiter w;
    if (g->host->scope == scope) {
        thi_waiter_init_on(&w, &g->queue, &children, scope);
    } else {
        int err = thi_waiter_init(&w, &g->queue, &children, scope);
        if (err < 0)
            return err;
    }
    w.request = wanted;
    g->stirred = (thi_wait){ .kind = &children, .object = scope, .abort = on_stirred };
    scope->closer = &g->stirred;
    lock(g);
    bool is_there = wanted == ANYBODY ? g->given != g->last_ended
                                      : wanted != THE_LAST && (*place_of(g, wanted))->ended;
    if (!is_there)
        thi_waitq_push(&g->queue, &w);
    unlock(g);
    int err = is_there ? 0 : thi_waiter_sleep(&w);
    scope->closer = NULL;
    return err;
}

/* 0 when the caller is the host. */
static int check_host(const th_group *g)
{
    const th_fiber *self = thi_sched_self();
    if (!g)
        return -EINVAL;
    if (!self)
        return -EPERM;
    return self == g->host ? 0 : -EINVAL;
}

/* The next one to give, if it is there. */
static const member *find_next(th_group *g)
{
    lock(g);
    const member *m = g->given ? g->given->next : g->first_ended;
    if (m)
        g->given = m;
    unlock(g);
    return m;
}

int th_group_next(th_group *g, int *result)
{
    int err = check_host(g);
    while (err == 0) {
        const member *m = find_next(g);
        if (m) {
            if (result)
                *result = m->result;
            return (int)m->index;
        }
        if (!is_empty(thi_scope_of(&g->scope)))
            err = wait_for(g, ANYBODY);
        else if (!file_unstarted(g))
            return TH_EOF;
    }
    return err;
}

int th_group_result(th_group *g, size_t index, int *result)
{
    int err = check_host(g);
    while (err == 0) {
        lock(g);
        const member *m = index >= g->first && index < g->count ? *place_of(g, index) : NULL;
        bool ended = m && m->ended;
        unlock(g);
        if (!m)
            return -EINVAL;
        if (ended) {
            if (result)
                *result = m->result;
            return 0;
        }
        if (is_empty(thi_scope_of(&g->scope)))
            (void)file_unstarted(g);
        else
            err = wait_for(g, index);
    }
    return err;
}

int th_group_wait(th_group *g)
{
    int err = check_host(g);
    while (err == 0 && !is_empty(thi_scope_of(&g->scope)))
        err = wait_for(g, THE_LAST);
    if (err == 0)
        (void)file_unstarted(g);
    return err;
}

int th_group_verdict(th_group *g, size_t *decided)
{
    int err = check_host(g);
    if (err < 0)
        return err;
    lock(g);
    int verdict = g->verdict;
    size_t decider = g->decider;
    unlock(g);
    if (decided)
        *decided = decider;
    return verdict;
}

/* ---- opening, spawning, closing ---- */

int thi_group_check(const th_group_opts *opts)
{
    const th_fiber *self = thi_sched_self();
    if (opts && (opts->size > sizeof *opts || opts->mode < TH_GROUP_FAIL_FAST ||
                 opts->mode > TH_GROUP_RACE || opts->place < TH_PLACE_ROUND))
        return -EINVAL;
    if (!self)
        return -EPERM;
    return opts && opts->place > (int)self->worker->runtime->count ? -EINVAL : 0;
}

int th_group_open(const th_group_opts *opts, th_group **group)
{
    static const th_group_opts defaults = { 0 };
    int err = group ? thi_group_check(opts) : -EINVAL;
    if (err < 0)
        return err;
    if (!opts)
        opts = &defaults;
    th_group *g = thi_calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->host = thi_sched_self();
    g->mode = opts->mode;
    g->how = (th_spawn_opts){ .name = opts->name, .place = opts->place };
    g->decider = NOBODY;
    th_scope_opts scope = { .deadline = opts->deadline,
                            .limit = opts->limit,
                            .cancel_rest = opts->mode == TH_GROUP_FAIL_FAST };
    err = th_scope_open(&g->scope, &scope);
    TH_ASSERT(err == 0);
    *group = g;
    return 0;
}

/* Whether the caller would wait for room that may come only when it has ended. */
static bool would_hang(th_group *g)
{
    const thi_scope *top = thi_scope_of(&g->scope);
    const th_fiber *self = thi_sched_self();
    if (!self || self->worker != top->worker || self == g->host)
        return false;
    if (top->live < top->limit && thi_list_empty(&top->waiting))
        return false;
    for (const thi_scope *scope = self->scope; scope; scope = scope->parent)
        if (scope == top)
            return true;
    return false;
}

int(th_group_spawn)(th_group *g, th_fiber_fn fn, void *arg)
{
    return th_group_spawn_from(g, fn, arg, NULL);
}

int th_group_spawn_from(th_group *g, th_fiber_fn fn, void *arg, const char *origin)
{
    if (!g || !fn)
        return -EINVAL;
    if (would_hang(g))
        return -EDEADLK;
    member *m = thi_alloc(sizeof *m);
    if (!m)
        return -ENOMEM;
    *m = (member){ .group = g, .fn = fn, .arg = arg, .index = NOBODY };
    int result = claim(g);
    if (result == 0) {
        result = th_spawn_with_from(origin, &g->scope, run_member, m, &g->how, NULL);
        lock(g);
        if (result == 0) {
            number(g, m);
            result = (int)m->index;
        } else {
            g->claimed--;
        }
        unlock(g);
    }
    if (result < 0)
        thi_free(m);
    return result;
}

void thi_group_set_ordered(th_group *g)
{
    g->ordered = true;
}

void thi_group_forget_first(th_group *g)
{
    lock(g);
    member **place = place_of(g, g->first++);
    member *m = *place;
    *place = NULL;
    unlock(g);
    thi_free(m);
}

int th_group_close(th_group *g)
{
    if (!g)
        return 0;
    int err = check_host(g);
    if (err == 0 && g->host->scope != thi_scope_of(&g->scope))
        err = -EINVAL;
    if (err < 0)
        return err;
    (void)th_scope_close(&g->scope);
    (void)file_unstarted(g);
    int verdict = g->verdict;
    for (size_t i = g->first; i < g->count; i++)
        thi_free(*place_of(g, i));
    thi_free(g->members);
    thi_free(g);
    return verdict;
}

th_scope *th_group_scope(th_group *g)
{
    return g ? &g->scope : NULL;
}

int th_group_get_info(th_group *g, th_group_info *info)
{
    if (!g || !info)
        return -EINVAL;
    const thi_scope *scope = thi_scope_of(&g->scope);
    if (scope->worker != thi_worker_self)
        return -EPERM;
    th_group_info seen = { .limit = scope->limit == UINT32_MAX ? 0 : scope->limit };
    thi_list_each (node, &scope->waiting)
        seen.waiting++;
    lock(g);
    seen.spawned = g->count;
    seen.ended = g->ended;
    unlock(g);
    *info = seen;
    return 0;
}
