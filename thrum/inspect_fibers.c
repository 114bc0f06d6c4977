/* SPDX-License-Identifier: MIT */

/*
 * Taking a snapshot: from the layouts to the runtimes, their workers, and their slabs of fibers.
 *
 * Lists in a target that runs may change while they are followed, and a damaged target may hold
 * anything: each walk has a limit, and what is not possible ends it.
 */
#include "inspect_fibers.h"

#include "inspect_chunk.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

#define RUNTIMES_MAX 256
#define WORKERS_MAX  1024
#define SLABS_MAX    100000
#define SLAB_MAX     65536 /* fibers of one slab */
#define STACK_MIN    8     /* a frame has two words */
#define ATTEMPTS     4     /* to read a fiber and its stack that keeps going on */

static uint64_t read_word(target *t, uint64_t at)
{
    uint64_t value;
    return target_read(t, at, &value, sizeof value) ? value : 0;
}

static uint32_t read_half(target *t, uint64_t at)
{
    uint32_t value;
    return target_read(t, at, &value, sizeof value) ? value : 0;
}

int snapshot_open(const char *who, target *t, snapshot *s)
{
    *s = (snapshot){ .t = t };
    s->layout_count = layouts_find(t, s->layouts);
    if (s->layout_count > 0)
        return 0;
    if (s->layout_count < 0)
        print_error("thrum %s: it uses a version of Thrum that this program (%s) does not know",
                    who, TH_VERSION);
    else if (t->core)
        print_error("thrum %s: %s: no Thrum in it, or its program is not where it was "
                    "(see --exe)",
                    who, t->core);
    else
        print_error("thrum %s: process %d does not use Thrum", who, t->pid);
    return -1;
}

/* ---- workers --------------------------------------------------------------------------------- */

static bool add_worker(snapshot *s, const th_inspect *l, unsigned runtime, uint64_t at)
{
    worker_view *more = realloc(s->workers, (s->worker_count + 1) * sizeof *more);
    if (!more)
        return false;
    s->workers = more;
    worker_view *w = &more[s->worker_count++];
    *w = (worker_view){ .layout = l, .address = at, .runtime = runtime };
    w->index = read_half(s->t, at + l->worker_index);
    w->current = read_word(s->t, at + l->worker_current);
    w->thread = (int)read_half(s->t, at + l->worker_thread);
    uint64_t engine = read_word(s->t, at + l->worker_engine);
    if (engine)
        target_read_text(s->t, read_word(s->t, engine + l->engine_name), w->engine,
                         sizeof w->engine);
    w->now = (int64_t)read_word(s->t, at + l->worker_now);
    return true;
}

/*
 * In a process the kernel's clock tells the time, in a simulation the loop; in a core the latest
 * that any of its loops has seen.
 */
static void set_clocks(snapshot *s)
{
    int64_t now = s->t->clock(s->t);
    int64_t latest = INT64_MIN;
    for (size_t i = 0; i < s->worker_count; i++)
        if (strcmp(s->workers[i].engine, "sim") != 0 && s->workers[i].now > latest)
            latest = s->workers[i].now;
    for (size_t i = 0; i < s->worker_count; i++)
        if (strcmp(s->workers[i].engine, "sim") != 0)
            s->workers[i].now = now != INT64_MIN ? now : latest;
}

static bool add_workers(snapshot *s)
{
    unsigned number = 0;
    for (int i = 0; i < s->layout_count; i++) {
        const th_inspect *l = &s->layouts[i];
        uint64_t runtime = read_word(s->t, (uint64_t)(uintptr_t)l->runtimes);
        for (int n = 0; runtime && n < RUNTIMES_MAX; n++, number++) {
            uint64_t workers = read_word(s->t, runtime + l->runtime_workers);
            uint32_t count = read_half(s->t, runtime + l->runtime_count);
            s->cut |= count > WORKERS_MAX;
            for (uint32_t w = 0; workers && w < count && w < WORKERS_MAX; w++)
                if (!add_worker(s, l, number, workers + (uint64_t)w * l->worker_size))
                    return false;
            runtime = read_word(s->t, runtime + l->runtime_next);
        }
        s->cut |= runtime != 0;
    }
    set_clocks(s);
    return true;
}

/* ---- fibers ---------------------------------------------------------------------------------- */

static bool add_slab(snapshot *s, chunk *c, const worker_view *w, uint64_t slab)
{
    uint32_t used = read_half(s->t, slab + w->layout->slab_used);
    uint32_t count = read_half(s->t, slab + w->layout->slab_count);
    if (used > count || count > SLAB_MAX) {
        s->cut = true;
        return true;
    }
    fiber_view *more = realloc(s->fibers, (s->fiber_count + used + 1) * sizeof *more);
    if (!more)
        return false;
    s->fibers = more;
    uint64_t first = slab + w->layout->slab_fibers;
    for (uint32_t at = 0; at < used; at += CHUNK)
        s->fiber_count += chunk_read(c, s, w, first + (uint64_t)at * w->layout->fiber_size,
                                     used - at < CHUNK ? used - at : CHUNK, more + s->fiber_count);
    return true;
}

static bool add_fibers(snapshot *s, const worker_view *w)
{
    chunk *c = chunk_new(w->layout->fiber_size);
    bool ok = c != NULL;
    uint64_t slab = read_word(s->t, w->address + w->layout->worker_slabs);
    for (int n = 0; ok && slab && n < SLABS_MAX; n++) {
        ok = add_slab(s, c, w, slab);
        slab = read_word(s->t, slab + w->layout->slab_next);
    }
    chunk_free(c);
    return ok;
}

static int by_address(const void *a, const void *b)
{
    const fiber_view *x = a;
    const fiber_view *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

size_t snapshot_find(const snapshot *s, uint64_t address)
{
    fiber_view key = { .address = address };
    if (address == 0 || s->fiber_count == 0)
        return NOBODY;
    const fiber_view *found =
        bsearch(&key, s->fibers, s->fiber_count, sizeof *s->fibers, by_address);
    return found ? (size_t)(found - s->fibers) : NOBODY;
}

size_t snapshot_find_id(const snapshot *s, uint64_t id)
{
    for (size_t i = 0; i < s->fiber_count; i++)
        if (s->fibers[i].id == id)
            return i;
    return NOBODY;
}

/* Puts places where addresses were. */
static void link_fiber(const snapshot *s, fiber_view *f)
{
    f->parent = snapshot_find(s, f->parent_address);
    f->waits_for = NOBODY;
    if (f->kind && (f->kind->ends == TH_INSPECT_BY_OWNER || f->kind->ends == TH_INSPECT_BY_FIBER))
        f->waits_for = snapshot_find(s, f->datum);
}

static void link_fibers(snapshot *s)
{
    if (s->fiber_count > 0)
        qsort(s->fibers, s->fiber_count, sizeof *s->fibers, by_address);
    for (size_t i = 0; i < s->fiber_count; i++)
        link_fiber(s, &s->fibers[i]);
}

bool snapshot_take(snapshot *s)
{
    s->fiber_count = s->worker_count = 0;
    s->cut = false;
    if (!add_workers(s))
        return false;
    for (size_t i = 0; i < s->worker_count; i++)
        if (!add_fibers(s, &s->workers[i]))
            return false;
    link_fibers(s);
    return true;
}

void snapshot_close(snapshot *s)
{
    for (size_t i = 0; i < s->kind_count; i++)
        free(s->kinds[i]);
    chunk_free(s->single);
    free(s->workers);
    free(s->fibers);
    *s = (snapshot){ .t = NULL };
}

/* ---- stacks ---------------------------------------------------------------------------------- */

/* Copies the stack, if the fiber is still the one that was read, waiting where it waited. */
static size_t copy_if_same(const snapshot *s, const fiber_view *f, void *to, size_t size)
{
    unsigned char image[4096];
    const th_inspect *l = f->worker->layout;
    uint64_t high = f->stack_low + f->stack_size;
    uint64_t now[3] = { 0 };
    if (f->context < f->stack_low || f->context >= high || high - f->context < STACK_MIN)
        return 0;
    if (size > high - f->context)
        size = high - f->context;
    target_piece pieces[] = {
        { .at = f->context, .to = to, .size = size },
        { .at = f->address, .to = image, .size = l->fiber_size },
        { .at = f->wait + l->wait_since, .to = &now[2], .size = f->wait ? 8 : 0 },
    };
    s->t->read(s->t, pieces, sizeof pieces / sizeof pieces[0]);
    if (!pieces[0].done || !pieces[1].done || !pieces[2].done)
        return 0;
    memcpy(&now[0], image + l->fiber_id, 8);
    memcpy(&now[1], image + l->fiber_context, 8);
    bool same = now[0] == f->id && now[1] == f->context && image[l->fiber_state] == f->state &&
                (f->wait == 0 || (int64_t)now[2] == f->since);
    return same ? size : 0;
}

static bool is_at_rest(const fiber_view *f)
{
    return !f->moving && (f->state == TH_INSPECT_PARKED || f->state == TH_INSPECT_READY);
}

/* Of the layout whose fibers are the largest. */
static size_t largest_fiber(const snapshot *s)
{
    size_t size = 0;
    for (int i = 0; i < s->layout_count; i++)
        if (s->layouts[i].fiber_size > size)
            size = s->layouts[i].fiber_size;
    return size;
}

/* Reads a fiber anew; false when it is another one by now. */
static bool refresh(snapshot *s, fiber_view *f)
{
    fiber_view now;
    if (!s->single)
        s->single = chunk_new(largest_fiber(s));
    if (!s->single || chunk_read(s->single, s, f->worker, f->address, 1, &now) != 1 ||
        now.id != f->id)
        return false;
    *f = now;
    link_fiber(s, f);
    return true;
}

size_t snapshot_copy_stack(snapshot *s, fiber_view *f, void *to, size_t size)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        size_t copied = is_at_rest(f) ? copy_if_same(s, f, to, size) : 0;
        if (copied > 0 || s->t->core)
            return copied;
        if (!refresh(s, f))
            break;
    }
    f->moving = true;
    f->kind = NULL;
    return 0;
}
