/* SPDX-License-Identifier: MIT */

/*
 * Waits without an end, as text.
 *
 * A finding is written by several workers, each of which describes its own fibers, whose stacks
 * nobody else may walk. Thousands of fibers that were lost in one place are one entry: whoever has
 * to find the mistake wants the place.
 */
#include "runtime/report.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/util.h"
#include "fiber/unwind.h"
#include "runtime/outside.h"
#include "sys/symbolize.h"
#include "sys/sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FRAMES     32
#define PLACES_MAX 64

/* ---- text ------------------------------------------------------------------------------------ */

static bool make_room(thi_text *text, size_t wanted)
{
    if (text->len + wanted < text->room)
        return true;
    size_t room = 2 * text->room + wanted + 256;
    char *at = thi_realloc(text->at, room);
    if (!at)
        return false;
    text->at = at;
    text->room = room;
    return true;
}

static void append(thi_text *text, const char *more, size_t len)
{
    if (!make_room(text, len + 1))
        return;
    memcpy(text->at + text->len, more, len + 1);
    text->len += len;
}

void thi_text_add_all(thi_text *text, const char *more)
{
    if (more)
        append(text, more, strlen(more));
}

void thi_text_add(thi_text *text, const char *format, ...)
{
    char piece[512];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    append(text, piece, thi_min(wanted < 0 ? 0 : (size_t)wanted, sizeof piece - 1));
}

void thi_text_deinit(thi_text *text)
{
    thi_free(text->at);
    *text = (thi_text){ .at = NULL };
}

/* ---- who waits for what ---------------------------------------------------------------------- */

static unsigned long long number(uint64_t id)
{
    return id & 0xffffffffffff; /* the worker's own count */
}

static void add_fiber(thi_text *text, const th_fiber *fiber)
{
    char entry[THI_SYMBOL_SIZE];
    thi_text_add(text, "fiber");
    if (fiber->name || fiber->origin)
        thi_text_add(text, " '%.100s'", thi_fiber_text(fiber->name, fiber->origin));
    thi_text_add(text, " #%llu on worker %u", number(fiber->id), fiber->worker->index);
    if (thi_symbolize((const void *)(uintptr_t)fiber->fn, entry, sizeof entry))
        thi_text_add(text, ", which runs %.*s,", (int)strcspn(entry, "+"), entry);
}

static void add_age(thi_text *text, int64_t since, int64_t now)
{
    int64_t age = thi_max(now - since, (int64_t)0) / TH_MILLISECOND;
    thi_text_add(text, " has waited for %lld.%03lld s", (long long)(age / 1000),
                 (long long)(age % 1000));
}

static void add_stack(thi_text *text, const void *const *pcs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[THI_SYMBOL_SIZE];
        /* A return address may be the first of the next function: the call is what counts. */
        const void *at = (const char *)pcs[i] - 1;
        bool found = thi_symbolize(at, name, sizeof name);
        if (found && strncmp(name, "thi_fiber_entry+", 16) == 0)
            break;
        thi_text_add(text, "    %s\n", name);
    }
}

static const char *thing(const thi_wait_kind *kind)
{
    switch (kind->ends) {
    case THI_BY_OWNER:
        return "held by";
    case THI_BY_FIBER:
        return "the end of";
    case THI_BY_CHILDREN:
        return "with its child";
    default:
        return "of";
    }
}

static void add_next(thi_text *text, const thi_member *member)
{
    const thi_tie *next = &member->next;
    thi_text_add(text, ": %s %p, %s ", member->tie.kind->what, member->tie.object,
                 thing(member->tie.kind));
    if (next->foreign) {
        char name[64];
        thi_outsider_describe(next->party, name, sizeof name);
        thi_text_add(text, "%s\n", name);
    } else {
        thi_text_add(text, "fiber #%llu on worker %u\n", number(next->id), next->worker);
    }
}

static void report_thread(thi_member *member)
{
    char name[64];
    thi_text text = { .at = NULL };
    thi_outsider_describe(member->tie.party, name, sizeof name);
    thi_text_add(&text, "%s", name);
    add_age(&text, member->tie.since, thi_sys_clock());
    add_next(&text, member);
    member->text = text.at;
    member->present = true;
}

void thi_report_member(thi_member *member)
{
    if (member->tie.foreign) {
        report_thread(member);
        return;
    }
    /* The address is that of one of this worker's own fibers, which are never given back. */
    th_fiber *fiber = (th_fiber *)(uintptr_t)member->tie.party;
    const void *pcs[FRAMES];
    thi_text text = { .at = NULL };
    if (fiber->state != THI_FIBER_PARKED || fiber->id != member->tie.id ||
        fiber->waits->since != member->tie.since)
        return;
    member->present = true;
    member->fresh = fiber->told != member->tie.since;
    fiber->told = member->tie.since;
    add_fiber(&text, fiber);
    add_age(&text, member->tie.since, fiber->worker->loop.now);
    add_next(&text, member);
    add_stack(&text, pcs, thi_unwind(fiber, pcs, FRAMES));
    member->text = text.at;
}

/* ---- the lost -------------------------------------------------------------------------------- */

/* Fibers that wait in one place, for the same kind of thing. */
typedef struct place {
    const th_fiber *first;
    uint64_t hash; /* of the stack and the kind */
    size_t fibers;
} place;

typedef struct places {
    size_t count;
    size_t fibers;
    size_t in_vain;
    size_t elsewhere; /* fibers for whose places there was no room */
    place at[PLACES_MAX];
} places;

static uint64_t hash_of(const th_fiber *fiber)
{
    const void *pcs[FRAMES];
    uint64_t hash = (uintptr_t)thi_wait_kind_of(fiber->waits);
    size_t count = thi_unwind(fiber, pcs, FRAMES);
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (uintptr_t)pcs[i]) * UINT64_C(0x9e3779b97f4a7c15) >> 1;
    return hash;
}

static void sort_in(th_fiber *fiber, void *arg)
{
    places *all = arg;
    if (fiber->state != THI_FIBER_PARKED || fiber->told == fiber->waits->since)
        return;
    fiber->told = fiber->waits->since;
    all->fibers++;
    all->in_vain += thi_waits_in_vain(fiber);
    uint64_t hash = hash_of(fiber);
    size_t i = 0;
    while (i < all->count && all->at[i].hash != hash)
        i++;
    if (i == PLACES_MAX) {
        all->elsewhere++;
        return;
    }
    if (i == all->count)
        all->at[all->count++] = (place){ .first = fiber, .hash = hash };
    all->at[i].fibers++;
}

static void add_place(thi_text *text, const place *p, int64_t now)
{
    const void *pcs[FRAMES];
    add_fiber(text, p->first);
    if (p->fibers > 1)
        thi_text_add(text, " and %zu more like it: the first", p->fibers - 1);
    add_age(text, p->first->waits->since, now);
    thi_text_add(text, ": %s\n", thi_wait_kind_of(p->first->waits)->what);
    add_stack(text, pcs, thi_unwind(p->first, pcs, FRAMES));
}

size_t thi_report_parked(thi_worker *worker, thi_text *text, size_t *in_vain)
{
    places *all = thi_calloc(1, sizeof *all);
    if (!all)
        return 0;
    thi_fiber_pool_each(&worker->fibers, sort_in, all);
    for (size_t i = 0; i < all->count; i++)
        add_place(text, &all->at[i], worker->loop.now);
    if (all->elsewhere > 0)
        thi_text_add(text, "%zu fibers on worker %u in other places\n", all->elsewhere,
                     worker->index);
    size_t fibers = all->fibers;
    *in_vain = all->in_vain;
    thi_free(all);
    return fibers;
}

/* ---- to whom --------------------------------------------------------------------------------- */

/* An entry becomes one message: the lines of its stack follow on. Returns where the next begins. */
static const char *log_entry(th_log_level level, const char *from)
{
    char line[THI_LOG_SIZE];
    size_t len = 0;
    for (; *from && !(from[0] == '\n' && from[1] != ' '); from++) {
        const char *piece = *from == '\n' ? " <" : NULL;
        if (piece)
            from += 3; /* of the four spaces the last one stays */
        for (; piece && *piece && len < sizeof line - 1; piece++)
            line[len++] = *piece;
        if (!piece && len < sizeof line - 1)
            line[len++] = *from;
    }
    line[len] = '\0';
    thi_log(level, "%s", line);
    return *from ? from + 1 : from;
}

void thi_report_deliver(const thi_runtime *rt, int kind, size_t fibers, const thi_text *text)
{
    bool circle = kind == TH_DEADLOCK_CIRCLE;
    th_deadlock found = { .kind = kind, .fibers = fibers, .text = text->at ? text->at : "" };
    thi_metric_add(circle ? THI_M_DEADLOCK_CIRCLES : THI_M_DEADLOCK_LOST, 1);
    if (rt->opts.on_deadlock) {
        rt->opts.on_deadlock(rt->opts.deadlock_arg, &found);
        return;
    }
    th_log_level level = circle ? TH_LOG_ERROR : TH_LOG_WARNING;
    for (const char *at = found.text; *at;)
        at = log_entry(level, at);
    if (!text->at)
        thi_log(level, "%zu fibers wait for ever; there is no memory to say more", fibers);
}
