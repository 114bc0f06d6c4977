/* SPDX-License-Identifier: MIT */

/*
 * Maps: a function over many items, on few fibers.
 *
 * A map over indices needs no order: its fibers take the next index from a counter as soon as they
 * are free, and write the result where it belongs. An ordered map is a group whose children are
 * waited for one after the other; what was told is forgotten, and as many as the limit allows are
 * begun and not told yet.
 */
#include "sync/group.h"

#include "base/alloc.h"
#include "base/util.h"
#include "runtime/sched.h"

#include <thrum/error.h>

#include <stdatomic.h>

/* ---- over indices ---- */

typedef struct map {
    size_t count;
    th_map_fn fn;
    void *arg;
    int *results; /* or NULL */
    int mode;
    th_scope scope;
    atomic_size_t next;  /* the lowest index that nobody has taken */
    atomic_int verdict;  /* 0 until there is one */
    atomic_bool decided; /* nobody is to begin anything more */
} map;

/* What a result means for the map. One that only repeats what the scope says cancels nothing. */
static void judge(map *m, int result)
{
    int none = 0;
    if (result < 0)
        (void)atomic_compare_exchange_strong(&m->verdict, &none, result);
    if (m->mode == TH_GROUP_COLLECT || (result >= 0) != (m->mode == TH_GROUP_RACE))
        return;
    bool echo = result < 0 && result == thi_sched_self()->home->status;
    if (!atomic_exchange(&m->decided, true) && !echo)
        (void)th_scope_cancel(&m->scope, thi_min(result, 0));
}

/* A fiber of a map: as long as there is something to do and nobody says stop. */
static int take_indices(void *arg)
{
    map *m = arg;
    size_t i;
    while (thi_sched_may_park() == 0 && !atomic_load(&m->decided) &&
           (i = atomic_fetch_add(&m->next, 1)) < m->count) {
        int result = m->fn(i, m->arg);
        if (m->results)
            m->results[i] = result;
        judge(m, result);
    }
    return 0;
}

/* Starts the fibers. One is enough to go on with, should there be no memory for more. */
static int start(map *m, const th_group_opts *opts)
{
    uint32_t limit = opts->limit ? opts->limit : UINT32_MAX;
    th_spawn_opts how = { .name = opts->name, .place = opts->place };
    for (size_t i = 0; i < m->count && i < limit; i++) {
        int err = th_spawn_with_from("th_map", &m->scope, take_indices, m, &how, NULL);
        if (err < 0)
            return i > 0 && err == -ENOMEM ? 0 : err;
    }
    return 0;
}

/* What is said of those that nobody has begun. */
static void mark_rest(map *m, int status)
{
    if (!m->results)
        return;
    for (size_t i = atomic_load(&m->next); i < m->count; i++)
        m->results[i] = status == -ETIMEDOUT ? -ETIMEDOUT : -ECANCELED;
}

/* When all has ended: the result of the map, of its starts, and of its scope. */
static int conclude(map *m, int started, int closed)
{
    int verdict = atomic_load(&m->verdict);
    if (atomic_load(&m->decided))
        return m->mode == TH_GROUP_RACE ? 0 : verdict;
    if (verdict < 0 || atomic_load(&m->next) >= m->count)
        return verdict;
    return started < 0 ? started : closed;
}

int th_map(size_t count, th_map_fn fn, void *arg, const th_group_opts *opts, int *results)
{
    static const th_group_opts defaults = { 0 };
    int err = fn ? thi_group_check(opts) : -EINVAL;
    if (err < 0)
        return err;
    if (!opts)
        opts = &defaults;
    map m = { .count = count, .fn = fn, .arg = arg, .results = results, .mode = opts->mode };
    err = th_scope_open(&m.scope, &(th_scope_opts){ .deadline = opts->deadline });
    if (err < 0)
        return err;
    int started = start(&m, opts);
    int closed = th_scope_close(&m.scope);
    int status = thi_scope_of(&m.scope)->status; /* the storage is still ours */
    mark_rest(&m, status);
    return conclude(&m, started, closed < 0 ? closed : status);
}

/* ---- in order ---- */

/* An item between `next` and `done`. */
typedef struct job {
    const th_map_stream *stream;
    void *item;
    int unstarted; /* why it has no fiber; 0: it has one */
} job;

typedef struct ordered {
    const th_map_stream *stream;
    th_group *group;
    job *jobs; /* a ring: that of the item with index i at [i % limit] */
    uint32_t limit;
    size_t begun;
    size_t told;
    bool ended; /* there is no more input, or none is wanted */
    int cut;    /* the group's scope ended before the input: its status */
    int failed; /* of what `next` and `done` returned, the first failure */
} ordered;

static int run_job(void *arg)
{
    const job *j = arg;
    return j->stream->each(j->item, j->stream->arg);
}

static int status_of(const ordered *o)
{
    return thi_scope_of(th_group_scope(o->group))->status;
}

/* Begins one more item, or finds the end. */
static void begin_one(ordered *o)
{
    job *j = &o->jobs[o->begun % o->limit];
    o->cut = status_of(o);
    int err = o->cut < 0 ? TH_EOF : o->stream->next(&j->item, o->stream->arg);
    if (err < 0) {
        o->ended = true;
        if (err != TH_EOF && o->failed == 0)
            o->failed = err;
        return;
    }
    j->stream = o->stream;
    o->begun++;
    j->unstarted = thi_min(th_group_spawn_from(o->group, run_job, j, "th_map_ordered"), 0);
    if (j->unstarted < 0) {
        o->ended = true;
        o->cut = j->unstarted;
    }
}

/* Waits for the item that comes next in order, and tells it. */
static void tell_one(ordered *o)
{
    const job *j = &o->jobs[o->told++ % o->limit];
    int result = j->unstarted;
    if (result == 0) { /* the last one alone may have no fiber, so children and items count alike */
        int err = th_group_result(o->group, o->told - 1, &result);
        TH_ASSERT(err == 0);
        thi_group_forget_first(o->group);
    }
    int err = o->stream->done ? o->stream->done(j->item, result, o->stream->arg) : 0;
    if (err < 0 && o->failed == 0) {
        o->failed = err;
        o->ended = true;
        (void)th_scope_cancel(th_group_scope(o->group), err);
    }
}

static void run_stream(ordered *o)
{
    do {
        while (!o->ended && o->begun - o->told < o->limit)
            begin_one(o);
        if (o->told < o->begun)
            tell_one(o);
    } while (!o->ended || o->told < o->begun);
}

static int close_ordered(ordered *o, int mode)
{
    size_t decided = SIZE_MAX;
    (void)th_group_verdict(o->group, &decided);
    int verdict = th_group_close(o->group);
    bool won = mode == TH_GROUP_RACE && decided != SIZE_MAX && verdict >= 0;
    if (o->failed < 0)
        return o->failed;
    return verdict < 0 || won ? thi_min(verdict, 0) : o->cut;
}

int th_map_ordered(const th_map_stream *stream, const th_group_opts *opts)
{
    if (!stream || stream->size > sizeof *stream || !stream->next || !stream->each)
        return -EINVAL;
    int err = thi_group_check(opts);
    if (err < 0)
        return err;
    th_group_opts how = opts ? *opts : (th_group_opts){ 0 };
    if (how.limit == 0)
        how.limit = TH_MAP_LIMIT;
    ordered o = { .stream = stream, .limit = how.limit };
    o.jobs = thi_calloc(o.limit, sizeof *o.jobs);
    if (!o.jobs)
        return -ENOMEM;
    err = th_group_open(&how, &o.group);
    if (err == 0) {
        thi_group_set_ordered(o.group);
        run_stream(&o);
        err = close_ordered(&o, how.mode);
    }
    thi_free(o.jobs);
    return err;
}
