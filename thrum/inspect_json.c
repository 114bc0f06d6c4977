/* SPDX-License-Identifier: MIT */

/* A snapshot as JSON; docs/ps.schema.json is the promise about it. */
#include "inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Prints a text in quotes. What is no UTF-8 becomes U+FFFD, byte by byte. */
static void print_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        unsigned more = *c >= 0xf0 && *c < 0xf5 ? 3 : *c >= 0xe0 ? 2 : *c >= 0xc2 ? 1 : 0;
        unsigned n = 0;
        while (n < more && (c[n + 1] & 0xc0) == 0x80)
            n++;
        if (*c < 0x80 && *c >= ' ' && *c != '"' && *c != '\\' && *c != 0x7f)
            putchar(*c);
        else if (*c < 0x80)
            printf("\\u%04x", *c);
        else if (*c < 0xf5 && more > 0 && n == more)
            printf("%.*s", (int)more + 1, (const char *)c);
        else
            printf("\\ufffd");
        if (*c >= 0x80 && *c < 0xf5 && more > 0 && n == more)
            c += more;
    }
    putchar('"');
}

static void key(const char *name)
{
    printf(",\"%s\":", name);
}

static void print_text_or_null(const char *text)
{
    if (text && *text)
        print_text(text);
    else
        printf("null");
}

static void print_name(inspection *in, uint64_t at)
{
    uint64_t offset;
    print_text_or_null(at ? stacks_name(in->k, at, &offset) : NULL);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void print_worker(inspection *in, const worker_view *w)
{
    char does[DESCRIPTION_SIZE];
    size_t fiber = snapshot_find(&in->s, w->current);
    printf("{\"runtime\":%u,\"index\":%u", w->runtime, w->index);
    key("thread");
    printf("%d", w->thread);
    key("backend");
    print_text(w->engine);
    key("fiber");
    if (fiber == NOBODY)
        printf("null");
    else
        printf("%" PRIu64, in->s.fibers[fiber].id);
    key("does");
    inspect_worker(in, w, does, sizeof does);
    print_text(does);
    putchar('}');
}

static void print_place(const place_view *place, uint64_t at)
{
    printf("{\"pc\":\"0x%" PRIx64 "\"", at);
    key("function");
    print_text_or_null(place->function);
    key("file");
    print_text_or_null(place->file);
    key("line");
    if (place->file)
        printf("%d", place->line);
    else
        printf("null");
    key("module");
    print_text_or_null(place->module);
    key("inlined");
    printf("%s}", place->inlined ? "true" : "false");
}

static void print_stack(inspection *in, const stack_view *stack)
{
    const char *comma = "";
    putchar('[');
    for (size_t i = 0; i < stack->count; i++) {
        const place_view *places;
        size_t count = stacks_places(in->k, stack->at[i], i > 0, &places);
        for (size_t p = 0; p < count; p++) {
            printf("%s", comma);
            print_place(&places[p], stack->at[i]);
            comma = ",";
        }
    }
    putchar(']');
}

static const char *ends_by(const wait_kind *kind)
{
    static const char *const names[] = { "anybody",    "owner", "fiber", "children",
                                         "descriptor", "time",  "pool",  "work" };
    return kind->ends < sizeof names / sizeof names[0] ? names[kind->ends] : "anybody";
}

/* Who or what can end the wait, by its kind. */
static void print_end(inspection *in, const fiber_view *f)
{
    char text[160];
    switch (f->kind->ends) {
    case TH_INSPECT_BY_OWNER:
    case TH_INSPECT_BY_FIBER:
        key("fiber");
        if (f->waits_for == NOBODY)
            printf("null");
        else
            printf("%" PRIu64, in->s.fibers[f->waits_for].id);
        if (f->kind->ends == TH_INSPECT_BY_OWNER && f->waits_for == NOBODY && f->datum != 0)
            printf(",\"thread\":%d", inspect_owner_thread(in, f->datum));
        break;
    case TH_INSPECT_BY_CHILDREN:
        printf(",\"children\":%" PRIu32, f->scope_live);
        break;
    case TH_INSPECT_BY_DESCRIPTOR:
        printf(",\"descriptor\":%d", (int)(uint32_t)f->datum);
        sockets_describe(in->n, (int)(uint32_t)f->datum, text, sizeof text);
        key("socket");
        print_text_or_null(text);
        break;
    case TH_INSPECT_BY_TIME:
        key("left_ns");
        if ((int64_t)f->datum == NEVER || f->worker->now == INT64_MIN)
            printf("null");
        else
            printf("%" PRId64, (int64_t)f->datum - f->worker->now);
        break;
    case TH_INSPECT_BY_POOL:
        key("pool");
        print_text(f->pool);
        break;
    case TH_INSPECT_BY_WORK:
        key("function");
        print_name(in, f->datum);
        break;
    default:
        break;
    }
}

static void print_wait(inspection *in, const fiber_view *f)
{
    char text[DESCRIPTION_SIZE];
    key("wait");
    if (!f->kind) {
        printf("null");
        return;
    }
    printf("{\"kind\":");
    print_text(f->kind->what);
    key("ends_by");
    print_text(ends_by(f->kind));
    key("object");
    if (f->object)
        printf("\"0x%" PRIx64 "\"", f->object);
    else
        printf("null");
    key("symbol");
    print_name(in, f->object);
    key("waited_ns");
    if (inspect_waited(f) >= 0)
        printf("%" PRId64, inspect_waited(f));
    else
        printf("null");
    print_end(in, f);
    key("text");
    inspect_wait(in, f, text, sizeof text);
    print_text(text);
    putchar('}');
}

static void print_fiber(inspection *in, fiber_view *f, bool with_stack)
{
    stack_view stack;
    bool walked = with_stack && stacks_walk(in->k, &in->s, f, &stack);
    printf("{\"id\":%" PRIu64, f->id);
    key("name");
    print_text_or_null(f->name);
    key("function");
    print_name(in, f->fn);
    key("origin");
    print_text_or_null(f->origin);
    printf(",\"runtime\":%u,\"worker\":%u", f->worker->runtime, f->worker->index);
    key("parent");
    if (f->parent == NOBODY)
        printf("null");
    else
        printf("%" PRIu64, in->s.fibers[f->parent].id);
    key("state");
    print_text(inspect_state(f));
    printf(",\"moving\":%s", f->moving ? "true" : "false");
    print_wait(in, f);
    key("deadline_ns");
    if (f->deadline == NEVER || f->worker->now == INT64_MIN)
        printf("null");
    else
        printf("%" PRId64, f->deadline - f->worker->now);
    printf(",\"cancelled\":%s", f->cancelled ? "true" : "false");
    if (with_stack)
        key("stack");
    if (walked)
        print_stack(in, &stack);
    else if (with_stack)
        printf("null");
    putchar('}');
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void print_program(const target *t)
{
    char path[4096];
    const char *program = t->program;
    if (!t->core && program) { /* a link in /proc */
        ssize_t len = readlink(program, path, sizeof path - 1);
        path[len > 0 ? len : 0] = '\0';
        program = path;
    }
    key("program");
    print_text_or_null(program);
}

void inspect_print_json(inspection *in, const size_t *order, size_t count, bool with_stacks)
{
    printf("{\"version\":1");
    key("library");
    print_text(in->s.layouts[0].library);
    key("pid");
    if (in->t->pid)
        printf("%d", in->t->pid);
    else
        printf("null");
    key("core");
    print_text_or_null(in->t->core);
    print_program(in->t);
    printf(",\"complete\":%s", in->s.cut ? "false" : "true");
    printf(",\"workers\":[");
    for (size_t i = 0; i < in->s.worker_count; i++) {
        printf("%s\n  ", i > 0 ? "," : "");
        print_worker(in, &in->s.workers[i]);
    }
    printf("],\"fibers\":[");
    for (size_t i = 0; i < count; i++) {
        printf("%s\n  ", i > 0 ? "," : "");
        print_fiber(in, &in->s.fibers[order[i]], with_stacks);
    }
    printf("]}\n");
}
