/* SPDX-License-Identifier: MIT */

/* Opening what is looked into, and describing it in words. */
#include "inspection.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

/* ---- the command line ------------------------------------------------------------------------ */

const char *set_core(void *settings, const char *value)
{
    ((inspect_settings *)settings)->choice.core = value;
    return NULL;
}

const char *set_exe(void *settings, const char *value)
{
    ((inspect_settings *)settings)->choice.program = value;
    return NULL;
}

const char *set_json(void *settings, const char *value)
{
    (void)value;
    ((inspect_settings *)settings)->json = true;
    return NULL;
}

const char *take_process(void *settings, const char *text)
{
    inspect_settings *s = settings;
    long pid;
    if (s->choice.pid != 0)
        return "one process is enough";
    if (!options_number(text, 1, INT_MAX, &pid))
        return "is no number of a process";
    s->choice.pid = (int)pid;
    return NULL;
}

int inspection_open(inspection *in, const command *cmd, const target_choice *choice)
{
    *in = (inspection){ .t = NULL };
    if (choice->core && choice->pid)
        return options_wrong(cmd, "either a process or a core file");
    if (!choice->core && !choice->pid)
        return options_wrong(cmd, "which process? Its number is missing");
    if (choice->program && !choice->core)
        return options_wrong(cmd, "--exe goes with --core");
    in->t = target_open(cmd->name, choice);
    if (!in->t)
        return 1;
    if (snapshot_open(cmd->name, in->t, &in->s) < 0) {
        inspection_close(in);
        return 1;
    }
    in->k = stacks_open(in->t);
    in->n = sockets_open(in->t);
    if (!in->k || !in->n || !snapshot_take(&in->s)) {
        inspection_close(in);
        print_error("thrum %s: there is not enough memory", cmd->name);
        return 1;
    }
    return -1;
}

void inspection_close(inspection *in)
{
    snapshot_close(&in->s);
    stacks_close(in->k);
    sockets_close(in->n);
    target_close(in->t);
}

/* ---- fibers in words ------------------------------------------------------------------------- */

/* The function's name in "FUNCTION at FILE:LINE", if it is one: the call may have had any
 * expression there. Its length, or 0. */
static size_t function_of_origin(const char *origin)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$";
    size_t len = strspn(origin, letters);
    return strncmp(origin + len, " at ", 4) == 0 ? len : 0;
}

const char *inspect_name(inspection *in, const fiber_view *f, char *text, size_t size)
{
    uint64_t offset;
    size_t len = function_of_origin(f->origin);
    const char *function = *f->name || len > 0 ? NULL : stacks_name(in->k, f->fn, &offset);
    if (*f->name)
        snprintf(text, size, "%s", f->name);
    else if (len > 0)
        snprintf(text, size, "%.*s", (int)len, f->origin);
    else if (function)
        snprintf(text, size, "%s", function);
    else
        snprintf(text, size, "0x%" PRIx64, f->fn);
    return text;
}

const char *inspect_state(const fiber_view *f)
{
    static const char *const states[] = { "free", "ready", "running", "parked", "ended" };
    return f->state < sizeof states / sizeof states[0] ? states[f->state] : "?";
}

int64_t inspect_waited(const fiber_view *f)
{
    if (!f->kind || f->worker->now == INT64_MIN)
        return -1;
    return f->worker->now > f->since ? f->worker->now - f->since : 0;
}

void inspect_span(int64_t span, char *text, size_t size)
{
    int64_t seconds = span / SECOND;
    if (span < 0)
        snprintf(text, size, "-");
    else if (span < SECOND)
        snprintf(text, size, "%d ms", (int)(span / 1000000));
    else if (seconds < 100)
        snprintf(text, size, "%.1f s", (double)span / (double)SECOND);
    else if (seconds < 3600)
        snprintf(text, size, "%d min %d s", (int)(seconds / 60), (int)(seconds % 60));
    else
        snprintf(text, size, "%" PRId64 " h %d min", seconds / 3600, (int)(seconds / 60 % 60));
}

/* Appends to a text; what does not fit is left out. */
#define ADD(text, size, ...)                                                                       \
    ((void)snprintf((text) + strlen(text), (size)-strlen(text), __VA_ARGS__))

static void add_time(const fiber_view *f, char *text, size_t size)
{
    char left[32];
    int64_t due = (int64_t)f->datum;
    if (due == NEVER) {
        ADD(text, size, " for ever");
    } else if (f->worker->now != INT64_MIN) {
        inspect_span(due > f->worker->now ? due - f->worker->now : 0, left, sizeof left);
        ADD(text, size, ", %s left", left);
    }
}

static void add_owner(inspection *in, const fiber_view *f, char *text, size_t size)
{
    char name[NAME_SIZE];
    if (f->datum == 0) {
        ADD(text, size, ", held by nobody");
    } else if (f->waits_for != NOBODY) {
        const fiber_view *owner = &in->s.fibers[f->waits_for];
        ADD(text, size, ", held by fiber %" PRIu64 " (%s)", owner->id,
            inspect_name(in, owner, name, sizeof name));
    } else {
        int thread = inspect_owner_thread(in, f->datum);
        if (thread > 0)
            ADD(text, size, ", held by thread %d", thread);
        else
            ADD(text, size, ", held by a thread");
    }
}

static void add_descriptor(inspection *in, const fiber_view *f, char *text, size_t size)
{
    char what[160];
    int fd = (int)(uint32_t)f->datum;
    sockets_describe(in->n, fd, what, sizeof what);
    ADD(text, size, " on descriptor %d%s%s", fd, *what ? ", " : "", what);
}

static void add_fiber(inspection *in, const fiber_view *f, char *text, size_t size)
{
    char name[NAME_SIZE];
    if (f->waits_for == NOBODY) {
        ADD(text, size, " of a fiber that does not run");
        return;
    }
    const fiber_view *other = &in->s.fibers[f->waits_for];
    ADD(text, size, " fiber %" PRIu64 " (%s)", other->id,
        inspect_name(in, other, name, sizeof name));
}

static void add_children(const fiber_view *f, char *text, size_t size)
{
    if (f->scope_limit != UINT32_MAX && f->scope_limit != 0)
        ADD(text, size, ", %" PRIu32 " of %" PRIu32 " children", f->scope_live, f->scope_limit);
    else
        ADD(text, size, ", %" PRIu32 " %s", f->scope_live,
            f->scope_live == 1 ? "child" : "children");
}

/* A name if it has one: a variable of the program. */
static void add_object(inspection *in, const fiber_view *f, char *text, size_t size)
{
    if (f->object == 0)
        return;
    uint64_t offset;
    const char *name = stacks_name(in->k, f->object, &offset);
    if (name && offset > 0)
        ADD(text, size, " %s+%" PRIu64, name, offset);
    else if (name)
        ADD(text, size, " %s", name);
    else
        ADD(text, size, " 0x%" PRIx64, f->object);
}

static void add_function(inspection *in, const fiber_view *f, char *text, size_t size)
{
    uint64_t offset;
    const char *name = stacks_name(in->k, f->datum, &offset);
    if (name)
        ADD(text, size, " %s", name);
}

void inspect_wait(inspection *in, const fiber_view *f, char *text, size_t size)
{
    *text = '\0';
    if (f->state == TH_INSPECT_PARKED && !f->kind)
        snprintf(text, size, "?");
    if (!f->kind)
        return;
    snprintf(text, size, "%s", f->kind->what);
    switch (f->kind->ends) {
    case TH_INSPECT_BY_OWNER:
        add_object(in, f, text, size);
        add_owner(in, f, text, size);
        break;
    case TH_INSPECT_BY_FIBER:
        add_fiber(in, f, text, size);
        break;
    case TH_INSPECT_BY_CHILDREN:
        add_children(f, text, size);
        break;
    case TH_INSPECT_BY_DESCRIPTOR:
        add_descriptor(in, f, text, size);
        break;
    case TH_INSPECT_BY_TIME:
        add_time(f, text, size);
        break;
    case TH_INSPECT_BY_POOL:
        ADD(text, size, " %s", f->pool);
        break;
    case TH_INSPECT_BY_WORK:
        add_function(in, f, text, size);
        break;
    default:
        add_object(in, f, text, size);
        break;
    }
}

/* ---- stacks in words ------------------------------------------------------------------------- */

void inspect_place(const place_view *place, char *text, size_t size)
{
    snprintf(text, size, "%s", place->function ? place->function : "??");
    if (place->file)
        ADD(text, size, " at %s:%d", place->file, place->line);
    else if (place->module)
        ADD(text, size, " in %s+0x%" PRIx64, place->module, place->offset);
    else
        ADD(text, size, " at 0x%" PRIx64, place->offset);
}

/*
 * The folder of the library's sources, as its debug information calls it: every wait ends in a
 * <folder>/<layer>/<file> of it. Its length, 0 if that is not known.
 */
static size_t library_folder(const place_view *innermost)
{
    const char *slash = innermost->file ? strrchr(innermost->file, '/') : NULL;
    size_t len = slash ? (size_t)(slash - innermost->file) : 0;
    while (len > 0 && innermost->file[len - 1] != '/')
        len--;
    return len;
}

static bool begins_with(const char *text, const char *prefix, size_t len)
{
    return text && strncmp(text, prefix, len) == 0;
}

/* Whether a place is in the library. Without debug information names have to tell. */
static bool is_ours(const place_view *place, const place_view *innermost, size_t folder)
{
    if (folder > 0)
        return begins_with(place->file, innermost->file, folder);
    return begins_with(place->function, "th_", 3) || begins_with(place->function, "thi_", 4);
}

/*
 * The first place that is not in the library. A fiber of the library itself has none; neither has
 * one whose function ended in a call that left no frame. Of these, where they began.
 */
static const place_view *caller_among(inspection *in, const stack_view *stack)
{
    const place_view *innermost = NULL;
    const place_view *last = NULL;
    size_t folder = 0;
    for (size_t i = 0; i < stack->count; i++) {
        const place_view *places;
        size_t count = stacks_places(in->k, stack->at[i], i > 0, &places);
        if (i == 0) {
            innermost = &places[0];
            folder = library_folder(innermost);
        }
        for (size_t p = 0; p < count; p++) {
            if (places[p].function && strcmp(places[p].function, "thi_fiber_entry") == 0)
                return last;
            if (!is_ours(&places[p], innermost, folder))
                return &places[p];
            last = &places[p];
        }
    }
    return last;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void inspect_caller(inspection *in, fiber_view *f, char *text, size_t size)
{
    stack_view stack;
    *text = '\0';
    if (!stacks_walk(in->k, &in->s, f, &stack))
        return;
    const place_view *place = caller_among(in, &stack);
    if (!place || !place->function) /* without names, at least what the fiber is there for */
        (void)stacks_places(in->k, f->fn, false, &place);
    if (place->function)
        snprintf(text, size, "%s", place->function);
    else if (place->module)
        snprintf(text, size, "%s+0x%" PRIx64, base_name(place->module), place->offset);
    if (place->file)
        ADD(text, size, " (%s:%d)", base_name(place->file), place->line);
}

void inspect_print_stack(inspection *in, const fiber_view *f, const stack_view *stack)
{
    char line[1024];
    int number = 0;
    if (!stack && f->state == TH_INSPECT_RUNNING)
        printf("         it runs: its stack is that of thread %d\n", f->worker->thread);
    else if (!stack && f->state != TH_INSPECT_ENDED)
        printf("         it goes on: its stack cannot be told\n");
    for (size_t i = 0; stack && i < stack->count; i++) {
        const place_view *places;
        size_t count = stacks_places(in->k, stack->at[i], i > 0, &places);
        for (size_t p = 0; p < count; p++) {
            inspect_place(&places[p], line, sizeof line);
            printf("         #%-2d %s\n", number++, line);
        }
    }
}
